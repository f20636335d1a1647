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

    /// @dev Equals ROLLUP_WITHDRAWALS_MAX of protocol/src/limits.rs: a rollup's payload with more does not decode.
    uint16 private constant WITHDRAWALS_PER_BLOCK_MAX = 1024;

    /// @inheritdoc IL2Bridge
    /// @dev Slot 0, written at genesis. Must stay the first variable. The next three share the slot with it.
    address public obx;
    /// @dev Of all blocks: 2^32 blocks have at most 2^42.
    uint48 private _withdrawals;
    /// @dev The block of the last withdrawal, and how many that block has.
    uint32 private _block;
    uint16 private _blockWithdrawals;
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

    /// @inheritdoc IL2Bridge
    function withdrawalCount() external view returns (uint64) {
        return _withdrawals;
    }

    function _announce(address asset, uint256 amount, address to) private {
        if (amount == 0) revert ZeroAmount();
        if (to == address(0)) revert ZeroAddress();
        uint32 current = uint32(block.number);
        uint16 before = _block == current ? _blockWithdrawals : 0;
        if (before >= WITHDRAWALS_PER_BLOCK_MAX) revert TooManyWithdrawals();
        uint48 index = _withdrawals;
        _withdrawals = index + 1;
        _block = current;
        _blockWithdrawals = before + 1;
        emit Withdrawal(index, asset, to, amount);
    }
}
