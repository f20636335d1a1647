// SPDX-License-Identifier: MIT
// The bridge's predeploy on L2: its runtime code and storage slot 0 are part of the L2 genesis state, so it has neither
// a constructor nor immutables. What does not live here: the tokens' own rules (WrappedToken), and the reading of
// deposits from L1 and of withdrawals into the rollup, which the enclave does.
pragma solidity 0.8.37;

import {IL2Bridge} from "../interfaces/IL2Bridge.sol";
import {WrappedToken} from "./WrappedToken.sol";

/// @title L2 bridge
/// @notice See {IL2Bridge}.
contract L2Bridge is IL2Bridge {
    /// @dev The sender of calls the protocol itself makes (as in EIP-4788).
    address private constant SYSTEM = 0xffffFFFfFFffffffffffffffFfFFFfffFFFfFFfE;

    /// @inheritdoc IL2Bridge
    /// @dev Slot 0, written at genesis. Must stay the first variable.
    address public obx;
    /// @inheritdoc IL2Bridge
    uint64 public withdrawalCount;
    /// @inheritdoc IL2Bridge
    mapping(address asset => address) public wrapped;

    /// @inheritdoc IL2Bridge
    function credit(
        address asset,
        address to,
        uint256 amount,
        string calldata name,
        string calldata symbol,
        uint8 decimals
    ) external {
        if (msg.sender != SYSTEM) revert NotSystem();
        if (asset == obx) revert NativeAsset();
        address token = wrapped[asset];
        if (token == address(0)) {
            bytes32 salt = bytes32(uint256(uint160(asset)));
            token = address(new WrappedToken{salt: salt}(asset, name, symbol, decimals));
            wrapped[asset] = token;
            emit TokenWrapped(asset, token);
        }
        WrappedToken(token).mint(to, amount);
    }

    /// @inheritdoc IL2Bridge
    function withdraw(address asset, uint256 amount, address to) external {
        address token = wrapped[asset];
        if (token == address(0)) revert UnknownAsset(asset);
        _announce(asset, amount, to);
        WrappedToken(token).burn(msg.sender, amount);
    }

    /// @inheritdoc IL2Bridge
    function withdrawNative(address to) external payable {
        _announce(obx, msg.value, to);
    }

    function _announce(address asset, uint256 amount, address to) private {
        if (amount == 0) revert ZeroAmount();
        if (to == address(0)) revert ZeroAddress();
        emit Withdrawal(withdrawalCount++, asset, to, amount);
    }
}
