// SPDX-License-Identifier: MIT
// The OBX token on L1: stakes, votes and, once bridged, the native coin of L2. Besides its first supply it is minted only
// into the pool of fees on L2, slowly and up to a bound, and burnt when that pool has too much (protocol 10.1). What does
// not live here: the pool itself (RewardPool), and who decides how much is minted, which is the owner's, governance.
pragma solidity 0.8.37;

import {IBridgeManagement} from "./interfaces/IBridgeManagement.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC20Votes} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";

/// @title Obscuro token
/// @notice An ERC-20 with permit (ERC-2612) and votes counted in L1 blocks (ERC-5805).
contract ObscuroToken is ERC20, ERC20Permit, ERC20Votes, Ownable2Step {
    /// @notice Time after which as much may be minted again.
    uint256 public constant MINTING_PERIOD = 30 days;
    /// @dev The pool of fees on L2.
    address private constant POOL = 0x0b5c000000000000000000000000000000000002;
    /// @dev A fifth of the first supply over four years at least.
    uint256 private constant SUPPLY_SHARE = 5;
    uint256 private constant PERIODS = 48;

    /// @notice Takes stakes from those who register, and OBX from nobody else: it needs no allowance for that.
    address public immutable network;
    /// @notice Most that is ever minted, and most within a period.
    uint256 public immutable mintableMax;
    uint256 public immutable mintablePerPeriod;

    /// @notice The bridge to L2; zero until the owner names it, once.
    IBridgeManagement public bridge;
    /// @notice How much was minted so far.
    uint256 public minted;
    /// @notice The period of the last minting, and how much that period has.
    uint256 public period;
    uint256 public mintedInPeriod;

    /// @notice Into the pool on L2.
    event Minted(uint256 amount);
    /// @notice The pool's excess, out of existence.
    event ExcessBurnt(uint256 amount);

    /// @notice The bridge is zero, or was named before.
    error BridgeAlreadyNamed();
    /// @notice More than the schedule allows now.
    error AboveSchedule(uint256 amount, uint256 mintable);

    /// @param holder receives the first supply and owns the contract. Must not be zero.
    /// @param supply in units of 1e-18 OBX. With what can be minted, at most 2^208 - 1 (the bound of ERC20Votes).
    /// @param network_ the NetworkManagement that there will be. It must take OBX from its callers only.
    constructor(address holder, uint256 supply, address network_)
        ERC20("Obscuro", "OBX")
        ERC20Permit("Obscuro")
        Ownable(holder)
    {
        network = network_;
        mintableMax = supply / SUPPLY_SHARE;
        mintablePerPeriod = mintableMax / PERIODS;
        _mint(holder, supply);
    }

    /// @notice Names the bridge, for ever.
    /// @dev Requires: the caller is the owner; no bridge was named before.
    function nameBridge(IBridgeManagement bridge_) external onlyOwner {
        if (address(bridge) != address(0) || address(bridge_) == address(0)) revert BridgeAlreadyNamed();
        bridge = bridge_;
    }

    /// @notice Mints into the pool of fees on L2, through the bridge.
    /// @dev Requires: the caller is the owner; the bridge is named; the schedule allows the amount, which is not zero.
    function mintIntoPool(uint256 amount) external onlyOwner {
        uint256 most = mintable();
        if (amount > most) revert AboveSchedule(amount, most);
        uint256 current = block.timestamp / MINTING_PERIOD;
        mintedInPeriod = amount + (current == period ? mintedInPeriod : 0);
        period = current;
        minted += amount;
        _mint(address(this), amount);
        _approve(address(this), address(bridge), amount);
        emit Minted(amount);
        bridge.deposit(address(this), amount, POOL);
    }

    /// @notice What a spender may take from an owner: everything, if it is `network`, so that who joins sends one
    /// transaction.
    function allowance(address owner, address spender) public view override returns (uint256) {
        return spender == network ? type(uint256).max : super.allowance(owner, spender);
    }

    /// @notice Burns what this contract holds: the excess that the pool on L2 has sent here. Anyone may call.
    function burnExcess() external {
        uint256 amount = balanceOf(address(this));
        _burn(address(this), amount);
        emit ExcessBurnt(amount);
    }

    /// @notice How much may be minted now.
    function mintable() public view returns (uint256) {
        uint256 left = mintableMax - minted;
        uint256 spent = block.timestamp / MINTING_PERIOD == period ? mintedInPeriod : 0;
        uint256 allowed = mintablePerPeriod - spent;
        return allowed < left ? allowed : left;
    }

    /// @inheritdoc ERC20Permit
    function nonces(address owner) public view override(ERC20Permit, Nonces) returns (uint256) {
        return super.nonces(owner);
    }

    function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Votes) {
        super._update(from, to, value);
    }
}
