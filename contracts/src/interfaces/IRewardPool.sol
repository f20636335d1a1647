// SPDX-License-Identifier: MIT
// The pool of fees on L2 and what nodes are paid from it. Requirements are stated here, once. What does not live here:
// who earned what, which the enclaves decide from L1 alone (enclave/src/rewards.rs), and fees, which they credit.
pragma solidity 0.8.37;

/// @title Reward pool
/// @notice Holds all fees in the native coin, and pays nodes what they claim (protocol 10.1, 10.3).
interface IRewardPool {
    /// @notice What publishing earned.
    struct Reward {
        address owner;
        uint256 amount;
    }

    /// @notice A prize for whoever shows that an enclave of `owner` executed a rollup.
    struct Prize {
        bytes32 rollup;
        address enclave;
        address owner;
        uint256 amount;
    }

    /// @notice What `owner` was owed was paid, to whomever it named.
    event Claimed(address indexed owner, uint256 amount);

    /// @notice The caller is not the system address.
    error NotSystem();
    /// @notice Nothing is owed, or the pool is empty.
    error NothingToClaim();
    /// @notice There is no such prize, or its time is over.
    error NoPrize();
    /// @notice The signature is not the enclave's.
    error NotExecuted();
    /// @notice The recipient did not accept the payment.
    error NotPaid();
    /// @notice The pool holds no more than it may.
    error NoExcess();
    /// @notice What another account is owed is not for the caller to know.
    error NotAuthorised();

    /// @notice Takes note of what is owed from now on, and of prizes, which can be claimed for {PRIZE_ROLLUPS} rollups.
    /// @dev Requires: the caller is the system address 0xfffffffffffffffffffffffffffffffffffffffe.
    function credit(Reward[] calldata rewards, Prize[] calldata prizes) external;

    /// @notice Pays `recipient` what the caller is owed, as far as the pool has it; the rest stays owed. Nobody can do it for
    /// another, or simulating it would tell everybody what another is owed.
    function claim(address recipient) external returns (uint256 paid);

    /// @notice Adds a prize to what its owner is owed. Anyone may call who has the enclave's signature over the EIP-712
    /// message Executed(bytes32 rollup) of this contract's domain (name "Obscuro", version "1", the L2 chain, this address).
    function claimPrize(bytes32 rollup, address enclave, bytes calldata signature) external returns (uint256 amount);

    /// @notice Sends what the pool holds beyond what it owes and its reserve to the OBX token on L1, which burns it. Anyone
    /// may call.
    function burnExcess() external returns (uint256 burnt);

    /// @notice What `owner` can claim. Only `owner` may ask.
    function owed(address owner) external view returns (uint256);

    /// @notice The prize that can be claimed now for an enclave and a rollup; zero if there is none. Drawn in public.
    function prizeOf(bytes32 rollup, address enclave) external view returns (uint256 amount);

    /// @notice Rollups for which a prize can be claimed.
    // forge-lint: disable-next-line(mixed-case-function)
    function PRIZE_ROLLUPS() external view returns (uint256);

    /// @notice What all together can claim.
    function totalOwed() external view returns (uint256);

    /// @notice What the pool may keep beyond what it owes.
    function reserve() external view returns (uint256);
}
