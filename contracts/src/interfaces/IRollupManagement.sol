// SPDX-License-Identifier: MIT
// Publishing rollups, forcing transactions into them, and asking what has become of them. Requirements are stated here, once. What does not live here:
// who may join (INetworkManagement) and what is paid out (IBridgeManagement).
pragma solidity 0.8.37;

import {INetworkManagement} from "./INetworkManagement.sol";

/// @title Rollup management
/// @notice The tree of rollups (protocol 5.2, 7.1, 7.5, 9.4). The contract cannot execute a rollup and does not choose
/// the canonical one: enclaves do. It keeps every fork visible and tells when no live head disputes a rollup.
///
/// Forks. A head dies when it makes no progress for `forkTimeoutBlocks` after another head progressed in a later block; it
/// revives with its next rollup. A single head never dies, however long the network is idle. A head that died may count as
/// live for another eighth of the timeout. Two heads are a *deep fork* if both stand at least two above their last common
/// ancestor. Honest enclaves build on the canonical rollup only, so an honest rollup that lost its round stays alone on its
/// branch: a deep fork needs a broken TEE, or a bug, on one side. While one is alive, nothing is confirmed.
///
/// Two siblings *contradict* each other if the L1 proof of one is not before the inclusion of the other: its enclave was
/// shown that one and passed it over as invalid, so one of the two is forged. Losers of a round contradict nobody.
///
/// Slashing (protocol 10.4). Whoever publishes a rollup at least `slashDepth` above a fork point has built on a branch that
/// others dispute; whoever publishes one of two that contradict each other disputes itself, or is disputed. Anyone may
/// {accuse} it of that, which freezes its stake; `slashDelayBlocks` later, once no head but the survivor's is alive, anyone
/// may {slash}. Nobody executes anything here, so the branch that outlives the other is taken
/// for the valid one, as by the bridge: both trust that some honest aggregator can publish within a fork timeout. Where
/// that fails, honest aggregators may lose their stakes to a majority of attackers, as users their deposits.
interface IRollupManagement {
    /// @notice The public header: a wire format. The rollup's hash is its EIP-712 hashStruct.
    /// @param version of the format: 2.
    /// @param parent hash of the parent rollup.
    /// @param number the parent's number plus one; genesis is 0.
    /// @param l1Proof hash of the L1 block by which the enclave was shown that the parent is included.
    /// @param l1ProofNumber number of that block.
    /// @param aggregator address of the enclave's signing key.
    /// @param nonce of the round: keccak256 of the lottery proof; judged by enclaves, never here (protocol 5.2).
    /// @param timestamp of the L1 proof block, in seconds.
    /// @param stateRoot of L2 after this rollup.
    /// @param transactionsRoot of this rollup's transactions.
    /// @param receiptsRoot of this rollup's receipts.
    /// @param withdrawalsRoot root of the Merkle tree of this rollup's withdrawals; zero if there are none.
    /// @param publicEventsRoot of the events published in clear.
    /// @param depositCursor index of the next L1 deposit to apply.
    /// @param forcedCursor index of the next forced transaction to apply.
    /// @param payloadHash keccak256 of the payload.
    /// @param gasUsed on L2.
    /// @param gasLimit on L2.
    /// @param baseFee on L2, in units of 1e-18 OBX.
    struct RollupHeader {
        uint16 version;
        bytes32 parent;
        uint64 number;
        bytes32 l1Proof;
        uint64 l1ProofNumber;
        address aggregator;
        uint256 nonce;
        uint64 timestamp;
        bytes32 stateRoot;
        bytes32 transactionsRoot;
        bytes32 receiptsRoot;
        bytes32 withdrawalsRoot;
        bytes32 publicEventsRoot;
        uint64 depositCursor;
        uint64 forcedCursor;
        bytes32 payloadHash;
        uint64 gasUsed;
        uint64 gasLimit;
        uint64 baseFee;
    }

    /// @notice What is stored of a rollup. Whatever else is wanted can be proven by presenting the header.
    /// @param parent hash of the parent; zero for genesis.
    /// @param number of the rollup.
    /// @param includedAt L1 block of its publication.
    /// @param branch on which it lies: a path without forks.
    /// @param withdrawalsRoot see {RollupHeader}.
    struct Rollup {
        bytes32 parent;
        uint64 number;
        uint64 includedAt;
        uint32 branch;
        bytes32 withdrawalsRoot;
    }

    /// @notice A rollup was published. `blobs` are the versioned hashes of the transaction's blobs; if there are none, the
    /// payload is in the transaction's calldata.
    event RollupPublished(
        bytes32 indexed rollup,
        address indexed aggregator,
        RollupHeader header,
        bytes signature,
        bytes lotteryProof,
        bytes32[] blobs
    );

    /// @notice A transaction was forced. Rollups built on this block or a later one must apply it, in the order of
    /// `index`, which counts from 0. `sender` paid for it on L1; who signed the transaction is in the envelope.
    event TransactionForced(uint64 indexed index, address indexed sender, bytes envelope);

    /// @notice A rollup of which somebody says that its publisher is to be slashed.
    /// @param accuser receives the reward.
    /// @param since L1 block of the accusation.
    struct Accusation {
        address accuser;
        uint64 since;
    }

    /// @notice A rollup is not the first on its parent: it begins a branch. Honest rollups that lose a round do that too.
    event ForkBegan(bytes32 indexed rollup, bytes32 indexed parent, uint256 branch);

    /// @notice The rollup forms a deep fork with another of about the same time: see {isSuspended}, which is exact. Said
    /// again about once in an eighth of the fork timeout while both branches grow.
    event DeepForkSeen(bytes32 indexed rollup);

    /// @notice A publisher is accused and its stake frozen.
    event Accused(bytes32 indexed rollup, address indexed aggregator, bytes32 rival, address accuser);

    /// @notice An accusation came to nothing.
    event Acquitted(bytes32 indexed rollup, address indexed aggregator);

    /// @notice A constructor argument is zero.
    error ZeroArgument();
    /// @notice The header's version is not supported.
    error UnsupportedVersion(uint16 version);
    /// @notice The rollup was published before.
    error AlreadyPublished(bytes32 rollup);
    /// @notice The parent, or the rollup asked for, is not in the tree.
    error UnknownRollup(bytes32 rollup);
    /// @notice The number does not follow the parent's.
    error WrongNumber(uint64 number, uint64 expected);
    /// @notice The L1 proof is older than the parent's inclusion, more than 256 blocks old, or not in the past.
    error L1ProofOutOfRange(uint64 l1ProofNumber, uint256 parentIncludedAt);
    /// @notice The L1 proof is not an ancestor of the current block.
    error WrongL1Proof(bytes32 l1Proof, bytes32 actual);
    /// @notice The payload given is not the one of the header.
    error WrongPayload(bytes32 actual, bytes32 expected);
    /// @notice There is neither a payload nor a blob, or there are both.
    error PayloadMissingOrDouble();
    /// @notice The payload is in the calldata, and the caller is not the sender of the transaction, or has code.
    error PayloadNotInTransaction(address caller);
    /// @notice The lottery proof is not 48 bytes.
    error BadProofLength(uint256 length);
    /// @notice The forced transaction's envelope is longer than 68 KiB.
    error EnvelopeTooLong(uint256 length);
    /// @notice A transaction is forced by a caller who is not the sender of the L1 transaction, or has code.
    error ForcedByContract(address caller);
    /// @notice More than 16 answers.
    error TooManyAnswers(uint256 count);
    /// @notice The signature is not the aggregator's.
    error BadSignature(address signer, address aggregator);
    /// @notice The enclave is not an aggregator.
    error NotAggregator(address enclave);
    /// @notice The caller does not own the aggregator.
    error NotOwner(address caller, address owner);

    /// @notice The slash depth is below two: it would hit honest rollups that lost a round.
    error SlashDepthTooLow(uint256 slashDepth);
    /// @notice Stakes unbond within a fork timeout: too soon for an accusation.
    error UnbondingTooShort(uint256 unbondingBlocks, uint256 forkTimeoutBlocks);
    /// @notice The two do not contradict each other, and one does not stand `slashDepth` above their last common ancestor.
    error ForkTooShallow(bytes32 rollup, bytes32 rival, uint256 depth, uint256 rivalDepth);
    /// @notice The rollup is accused already.
    error AlreadyAccused(bytes32 rollup);
    /// @notice The rollup is not accused.
    error NotAccused(bytes32 rollup);
    /// @notice A live head does not build on the rollup.
    error Disputed(bytes32 rollup);
    /// @notice Slashing must wait until that block.
    error TooEarlyToSlash(uint256 dueBlock);
    /// @notice The rollup stands `slashDepth` or more above the survivor's branch.
    error TooDeepToAcquit(bytes32 rollup, bytes32 survivor, uint256 depth);
    /// @notice The rollup builds on the survivor, or stands directly above a fork point and the survivor is not its sibling,
    /// or contradicts it.
    error NotInnocent(bytes32 rollup, bytes32 survivor);

    /// @notice Publishes a rollup.
    /// @dev Requires:
    /// - `header.version` is 2; the rollup was not published before; the parent was, and `header.number` follows it;
    /// - `header.l1Proof` is the hash of L1 block `header.l1ProofNumber`, which is before the current block, not before
    ///   the parent's inclusion, and at most 256 blocks old: enclaves remember only so many, and a losing candidate that
    ///   was withheld must not dispute others for long;
    /// - either `payload` has the hash `header.payloadHash` and the transaction carries no blob, or `payload` is empty and
    ///   the transaction carries at least one blob (whose content enclaves check);
    /// - `signature` (65 bytes, low s) is `header.aggregator`'s over the EIP-712 digest of the header, domain ("Obscuro",
    ///   "1", chain id, this contract);
    /// - `lotteryProof` is 48 bytes: the BLS signature whose hash `header.nonce` should be;
    /// - with a payload in the calldata, the caller sent the transaction and has no code (of EIP-7702 either): hosts read
    ///   the payload from the transaction's own input, and a call by a contract is not in it;
    /// - `header.aggregator` is an aggregator and the caller owns it: nobody else can publish a signed header with
    ///   another payload;
    /// - at most 16 answers.
    /// Not required: anything else about the nonce and its proof, the roots, gas or time. Enclaves ignore an invalid rollup. Nor that the
    /// answers are accepted: they go to {INetworkManagement-shareSeeds} after everything else.
    /// @param answers of any responders to members that wait for the seed (protocol 3.5).
    function publish(
        RollupHeader calldata header,
        bytes calldata signature,
        bytes calldata lotteryProof,
        bytes calldata payload,
        INetworkManagement.SeedAnswer[] calldata answers
    ) external;

    /// @notice Forces a transaction: every valid rollup built on this block or a later one applies it in its turn
    /// (protocol 6.6), whatever hosts and aggregators would like. No fee but L1's gas.
    /// @dev Requires:
    /// - `envelope` has at most 68 KiB: room for a transaction of 64 KiB, sealed and padded;
    /// - the caller sent the transaction and has no code (of EIP-7702 either): a contract could make envelopes for a
    ///   fifth of what calldata costs, and keep enclaves busy with them. Anyone may send anyone's envelope.
    /// Not required: that the envelope opens, or holds a transaction that can be executed. Enclaves skip such a one.
    /// @param envelope one signed L2 transaction, sealed to the network key for this purpose
    /// (protocol/src/forced.rs, vectors/forced.json).
    /// @return index of the forced transaction.
    function forceTransaction(bytes calldata envelope) external returns (uint64 index);

    /// @notice How many transactions were forced: the index of the next one.
    function forcedCount() external view returns (uint64);

    /// @notice Accuses the publisher of a rollup. Its stake cannot be withdrawn until it is slashed or acquitted, so it must
    /// be accused before its unbonding ends; the branch need not be dead.
    /// @dev Requires:
    /// - both rollups are published, and they contradict each other, or each stands at least `slashDepth` above their last
    ///   common ancestor;
    /// - the rollup is not accused already, and its publisher has something at stake;
    /// - `rival`, or either of two that contradict each other, is so recent that a head on it is alive; or every live head
    ///   builds on `rival`: nobody is accused any more of having outlived a dead branch.
    function accuse(RollupHeader calldata header, bytes32 rival) external;

    /// @notice Slashes the publisher of an accused rollup: see {INetworkManagement-slash}. Once per publisher; its other
    /// rollups have nothing left to slash.
    /// @dev Requires:
    /// - the rollup was accused at least `slashDelayBlocks` ago;
    /// - both rollups contradict each other, or stand at least `slashDepth` above their last common ancestor;
    /// - every live head builds on `survivor`, so that the accused branch is dead.
    function slash(RollupHeader calldata header, bytes32 survivor) external;

    /// @notice Withdraws an accusation that came to nothing.
    /// @dev Requires:
    /// - the rollup is accused;
    /// - every live head builds on `survivor`, and the rollup stands less than `slashDepth` above their last common ancestor: it
    ///   is on the surviving chain, or a loser beside it. `survivor` is not one of its ancestors: these survive either way.
    ///   If the rollup is directly beside the chain, `survivor` is its sibling, and they do not contradict each other.
    function acquit(RollupHeader calldata header, bytes32 survivor) external;

    /// @notice The accusation of a rollup; zero if there is none.
    function accusations(bytes32 rollup) external view returns (address accuser, uint64 since);

    /// @notice Whether a deep fork is alive (protocol 9.4): all withdrawals wait until one of the branches dies.
    /// @dev The cost is bounded as for {isConfirmed}.
    function isSuspended() external view returns (bool);

    /// @notice Whether the rollup was included at least `blocks` L1 blocks ago, every live head is the rollup or its
    /// descendant, and no deep fork is alive.
    /// @dev False for an unknown rollup. The cost is bounded, however long the chain is and however many forks it has.
    function isConfirmed(bytes32 rollup, uint256 blocks) external view returns (bool);

    /// @notice The withdrawals root of a rollup; zero if it has no withdrawals or is unknown.
    function withdrawalsRoot(bytes32 rollup) external view returns (bytes32);

    /// @notice What is stored of a rollup.
    /// @dev Requires: the rollup is in the tree.
    function rollup(bytes32 hash) external view returns (Rollup memory);

    /// @notice Whether `ancestor` lies on the path from genesis to `descendant`, both ends included.
    /// @dev Requires: both are in the tree.
    function isAncestor(bytes32 ancestor, bytes32 descendant) external view returns (bool);

    /// @notice Rollup number 0: the hash of the NetworkConfig, included when the contract was deployed.
    function genesis() external view returns (bytes32);

    /// @notice L1 blocks without progress after which a head is dead.
    function forkTimeoutBlocks() external view returns (uint256);

    /// @notice How far above a fork point a rollup must stand for its publisher to be slashed; at least two.
    function slashDepth() external view returns (uint256);

    /// @notice L1 blocks between an accusation and slashing.
    function slashDelayBlocks() external view returns (uint256);

    /// @notice The hash of a rollup: the EIP-712 hashStruct of its header.
    function hashRollup(RollupHeader calldata header) external pure returns (bytes32);

    /// @notice What the aggregator signs: the EIP-712 digest of the header.
    function digest(RollupHeader calldata header) external view returns (bytes32);
}
