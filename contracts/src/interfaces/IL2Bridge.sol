// SPDX-License-Identifier: MIT
// The bridge as L2 sees it. Requirements are stated here, once. What does not live here: the L1 vault
// (IBridgeManagement) and the crediting of OBX, which is the native coin and is credited by the enclave itself.
pragma solidity 0.8.37;

/// @title L2 bridge
/// @notice Turns deposits into wrapped tokens, and takes back what is to be withdrawn on L1 (protocol section 9).
interface IL2Bridge {
    /// @notice To be paid out on L1. `index` counts from 0 along the L2 chain. For the native coin, `asset` is OBX.
    event Withdrawal(uint64 indexed index, address indexed asset, address indexed to, uint256 amount);

    /// @notice The asset's first deposit arrived, and its wrapped token exists.
    event TokenWrapped(address indexed asset, address indexed token);

    /// @notice The caller is not the system address.
    error NotSystem();
    /// @notice OBX is the native coin of L2 and has no wrapped token.
    error NativeAsset();
    /// @notice The asset was never deposited.
    error UnknownAsset(address asset);
    /// @notice The amount is zero.
    error ZeroAmount();
    /// @notice The receiver on L1 is zero.
    error ZeroAddress();
    /// @notice The block has 1,024 withdrawals already.
    error TooManyWithdrawals();

    /// @notice Credits a deposit of anything but OBX; at first sight of the asset, creates its wrapped token from `name`,
    /// `symbol` and `decimals`, which are ignored later.
    /// @dev Requires: the caller is the system address 0xfffffffffffffffffffffffffffffffffffffffe; the asset is not OBX;
    /// `to` is not zero; the asset's supply stays below 2^256. BridgeManagement guarantees the last two, so a deposit it
    /// lets through never fails here.
    function credit(
        address asset,
        address to,
        uint256 amount,
        string calldata name,
        string calldata symbol,
        uint8 decimals
    ) external;

    /// @notice Burns the caller's wrapped tokens, to be paid to `to` on L1.
    /// @dev Requires: `amount` and `to` are not zero; the asset has a wrapped token, of which the caller has the amount; the
    /// L2 block has fewer than 1,024 withdrawals of any asset so far, because that many fit into a rollup's payload.
    function withdraw(address asset, uint256 amount, address to) external;

    /// @notice Takes the value sent out of circulation, to be paid to `to` in OBX on L1. It stays in this account for ever,
    /// out of the supply.
    /// @dev Requires: the value and `to` are not zero; the L2 block has fewer than 1,024 withdrawals so far.
    function withdrawNative(address to) external payable;

    /// @notice The wrapped token of an asset; zero before its first deposit.
    function wrapped(address asset) external view returns (address);

    /// @notice How many withdrawals there were: the index of the next one.
    function withdrawalCount() external view returns (uint64);

    /// @notice The L1 address of OBX.
    function obx() external view returns (address);
}
