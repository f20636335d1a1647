// SPDX-License-Identifier: MIT
// Value crossing between L1 and L2, on the L1 side. Requirements are stated here, once. What does not live here: which
// rollup may be believed (IRollupManagement) and the L2 side (IL2Bridge).
pragma solidity 0.8.37;

/// @title Bridge management
/// @notice Holds what was deposited and pays out what was withdrawn on L2 (protocol section 9). ETH is asset address(0).
/// Conservation: for every asset, the contract's balance is at least `locked(asset)`, which is at least what L2 holds.
/// Not supported: tokens that reduce balances by themselves (negative rebasing); their loss would be the last holders'.
interface IBridgeManagement {
    /// @notice A deposit, to be credited on L2 by the next rollup. `index` counts from 0. `name`, `symbol` (valid UTF-8, at
    /// most 64 bytes each) and `decimals` are given at the first deposit of an asset only, and never for OBX, which is
    /// the native coin of L2; they are empty and zero otherwise.
    event Deposited(
        uint64 indexed index,
        address indexed asset,
        address indexed to,
        address from,
        uint256 amount,
        string name,
        string symbol,
        uint8 decimals
    );

    /// @notice A withdrawal was paid out.
    event Withdrawn(uint64 indexed index, address indexed asset, address indexed to, uint256 amount);

    /// @notice An address is zero that must not be.
    error ZeroAddress();
    /// @notice The amount, or what was received of it, is zero.
    error ZeroAmount();
    /// @notice The value sent does not match: the amount for ETH, zero for any other asset.
    error WrongValue(uint256 sent, uint256 expected);
    /// @notice The bridge would hold more of the asset than L2 can represent.
    error TooMuchLocked(address asset, uint256 locked, uint256 maximum);
    /// @notice A deep fork is alive: no withdrawal is paid until one of its branches dies (protocol 9.4).
    error WithdrawalsSuspended();
    /// @notice The rollup is not confirmed.
    error NotConfirmed(bytes32 rollup);
    /// @notice The withdrawal is not in the rollup.
    error NotInRollup(bytes32 rollup, bytes32 leaf);
    /// @notice The withdrawal was executed before.
    error AlreadyWithdrawn(uint64 index);
    /// @notice The bridge holds less of the asset: the rollup's withdrawal cannot be genuine.
    error NotEnoughLocked(address asset, uint256 locked, uint256 amount);

    /// @notice Locks `amount` of `asset` for `to` on L2. What is credited is what the bridge received.
    /// @dev Requires:
    /// - `to` and `amount` are not zero, and something is received;
    /// - for ETH the value sent is `amount`; for any other asset it is zero, and the caller has approved `amount`;
    /// - the bridge then holds less than 2^208 of the asset, so that no sum on L2 can overflow;
    /// - at the first deposit of an asset, enough gas to ask it for its name, symbol and decimals.
    function deposit(address asset, uint256 amount, address to) external payable;

    /// @notice Pays out a withdrawal made on L2. Anyone may call.
    /// @dev Requires:
    /// - no deep fork is alive, see {IRollupManagement-isSuspended};
    /// - `rollup` is confirmed: every live head builds on it and it was included `withdrawalBlocks` ago;
    /// - `proof` proves the leaf keccak256(bytes.concat(keccak256(abi.encode(index, asset, to, amount)))) in the rollup's
    ///   withdrawals root (OpenZeppelin's standard tree: sorted pairs);
    /// - no withdrawal with this index was executed before: an index is unique along the L2 chain;
    /// - the bridge holds the amount, and `to` accepts it.
    function withdraw(bytes32 rollup, uint64 index, address asset, address to, uint256 amount, bytes32[] calldata proof)
        external;

    /// @notice How much of the asset is locked: deposited and not withdrawn.
    function locked(address asset) external view returns (uint256);

    /// @notice How many deposits there were: the index of the next one.
    function depositCount() external view returns (uint64);

    /// @notice Whether the asset was deposited before, so that its name is known on L2.
    function isKnown(address asset) external view returns (bool);

    /// @notice Whether the withdrawal with this index was executed.
    function isWithdrawn(uint64 index) external view returns (bool);

    /// @notice L1 blocks a rollup must have been included for before its withdrawals are paid.
    function withdrawalBlocks() external view returns (uint256);
}
