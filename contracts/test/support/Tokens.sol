// SPDX-License-Identifier: MIT
// Tokens as the bridge meets them: ordinary, old, taxed, hostile. What does not live here: assertions.
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @dev An ordinary token, whose answers about itself can be chosen.
contract Token is ERC20 {
    uint8 private immutable _decimals;

    constructor(string memory name_, string memory symbol_, uint8 decimals_) ERC20(name_, symbol_) {
        _decimals = decimals_;
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function burn(address from, uint256 amount) external {
        _burn(from, amount);
    }

    function decimals() public view override returns (uint8) {
        return _decimals;
    }
}

/// @dev Keeps a part of every transfer to itself.
contract TaxedToken is Token("Taxed", "TAX", 18) {
    uint256 public taxPercent = 10;

    function setTax(uint256 percent) external {
        taxPercent = percent;
    }

    function _update(address from, address to, uint256 value) internal override {
        if (from == address(0) || to == address(0)) return super._update(from, to, value);
        uint256 tax = value * taxPercent / 100;
        super._update(from, address(this), tax);
        super._update(from, to, value - tax);
    }
}

/// @dev Moves balances without returning anything, and answers questions about itself with whatever it is told to.
contract OddToken {
    enum Mood {
        Answer,
        Revert,
        BurnGas,
        Flood,
        Demand
    }

    mapping(address => uint256) public balanceOf;
    Mood public mood;
    bytes public answer;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function set(Mood mood_, bytes calldata answer_) external {
        (mood, answer) = (mood_, answer_);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }

    fallback() external {
        uint256 gasGiven = gasleft();
        if (mood == Mood.Revert) revert();
        if (mood == Mood.BurnGas) while (true) {}
        if (mood == Mood.Flood) {
            assembly {
                return(0, 100000)
            }
        }
        if (mood == Mood.Demand && gasGiven < 99_500) revert();
        bytes memory data = answer;
        assembly {
            return(add(data, 32), mload(data))
        }
    }
}

/// @dev Calls back into a target during every transfer.
contract CallbackToken is Token("Callback", "CB", 18) {
    address private _target;
    bytes private _call;
    bool public failed;

    function set(address target, bytes calldata call_) external {
        (_target, _call) = (target, call_);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (_target == address(0)) return;
        (bool ok,) = _target.call(_call);
        if (!ok) failed = true;
    }
}
