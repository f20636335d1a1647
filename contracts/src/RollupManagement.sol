// SPDX-License-Identifier: MIT
// Accepting rollups from aggregators and forced transactions from anyone (protocol 5.2, 6.6, 7.1, 7.5), accusing publishers
// on forks. What does not live here: the tree's own arithmetic (RollupTree), admission and stakes of aggregators
// (NetworkManagement), rewards, and the validity of a rollup's content.
pragma solidity 0.8.37;

import {RollupTree} from "./RollupTree.sol";
import {INetworkManagement} from "./interfaces/INetworkManagement.sol";
import {IRollupManagement} from "./interfaces/IRollupManagement.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// @title Rollup management
/// @notice See {IRollupManagement}.
contract RollupManagement is IRollupManagement, EIP712 {
    using RollupTree for RollupTree.Tree;

    bytes32 private constant HEADER_TYPEHASH = keccak256(
        "RollupHeader(uint16 version,bytes32 parent,uint64 number,bytes32 l1Proof,uint64 l1ProofNumber,"
        "address aggregator,uint256 nonce,uint64 timestamp,bytes32 stateRoot,bytes32 transactionsRoot,"
        "bytes32 receiptsRoot,bytes32 withdrawalsRoot,bytes32 publicEventsRoot,uint64 depositCursor,"
        "uint64 forcedCursor,bytes32 payloadHash,uint64 gasUsed,uint64 gasLimit,uint64 baseFee)"
    );

    uint16 private constant VERSION = 2;
    /// @dev Equals PROOF_AGE_BLOCKS_MAX of protocol/src/limits.rs. Not more than 256, which is what BLOCKHASH serves: the
    /// hash of an older block reads as zero.
    uint256 private constant L1_PROOF_AGE_BLOCKS_MAX = 256;
    /// @dev More newcomers at a time wait for the next rollup, or for stand-alone answers.
    uint256 private constant ANSWERS_MAX = 16;
    /// @dev Bytes of a compressed BLS12-381 signature in G1.
    uint256 private constant LOTTERY_PROOF_LENGTH = 48;
    /// @dev Equals FORCED_ENVELOPE_BYTES_MAX of protocol/src/limits.rs.
    uint256 private constant FORCED_ENVELOPE_BYTES_MAX = 68 * 1024;

    /// @dev A rollup one above a fork point may be an honest one that lost its round.
    uint256 private constant SLASH_DEPTH_MIN = 2;

    INetworkManagement public immutable network;
    /// @inheritdoc IRollupManagement
    bytes32 public immutable genesis;
    /// @inheritdoc IRollupManagement
    uint256 public immutable forkTimeoutBlocks;
    uint256 private immutable _sliceBlocks;
    /// @inheritdoc IRollupManagement
    uint256 public immutable slashDepth;
    /// @inheritdoc IRollupManagement
    uint256 public immutable slashDelayBlocks;

    /// @inheritdoc IRollupManagement
    uint64 public forcedCount;

    RollupTree.Tree private _tree;
    /// @inheritdoc IRollupManagement
    mapping(bytes32 rollup => Accusation) public accusations;

    constructor(
        INetworkManagement network_,
        bytes32 genesis_,
        uint256 forkTimeoutBlocks_,
        uint256 slashDepth_,
        uint256 slashDelayBlocks_
    ) EIP712("Obscuro", "1") {
        if (address(network_) == address(0) || genesis_ == 0 || forkTimeoutBlocks_ == 0) {
            revert ZeroArgument();
        }
        if (slashDepth_ < SLASH_DEPTH_MIN) revert SlashDepthTooLow(slashDepth_);
        uint256 unbondingBlocks = network_.unbondingBlocks();
        if (unbondingBlocks <= forkTimeoutBlocks_) revert UnbondingTooShort(unbondingBlocks, forkTimeoutBlocks_);
        network = network_;
        slashDepth = slashDepth_;
        slashDelayBlocks = slashDelayBlocks_;
        genesis = genesis_;
        forkTimeoutBlocks = forkTimeoutBlocks_;
        _sliceBlocks = RollupTree.sliceLength(forkTimeoutBlocks_);
        _tree.plant(genesis_);
    }

    /// @inheritdoc IRollupManagement
    function publish(
        RollupHeader calldata header,
        bytes calldata signature,
        bytes calldata lotteryProof,
        bytes calldata payload,
        INetworkManagement.SeedAnswer[] calldata answers
    ) external {
        bytes32 hash = hashRollup(header);
        _checkPosition(header, hash);
        _checkL1Proof(header);
        bytes32[] memory blobs = _checkPayload(header, payload);
        _checkAggregator(header, hash, signature);
        if (lotteryProof.length != LOTTERY_PROOF_LENGTH) revert BadProofLength(lotteryProof.length);
        if (answers.length > ANSWERS_MAX) revert TooManyAnswers(answers.length);

        _tree.grow(hash, header.parent, header.l1ProofNumber, header.withdrawalsRoot, _sliceBlocks);
        emit RollupPublished(hash, header.aggregator, header, signature, lotteryProof, blobs);
        if (answers.length != 0) network.shareSeeds(answers);
    }

    /// @inheritdoc IRollupManagement
    function forceTransaction(bytes calldata envelope) external returns (uint64 index) {
        if (envelope.length > FORCED_ENVELOPE_BYTES_MAX) revert EnvelopeTooLong(envelope.length);
        if (!_isOwnTransaction()) revert ForcedByContract(msg.sender);
        index = forcedCount++;
        emit TransactionForced(index, msg.sender, envelope);
    }

    /// @inheritdoc IRollupManagement
    function accuse(RollupHeader calldata header, bytes32 rival) external {
        bytes32 hash = hashRollup(header);
        bool contradiction = _checkGuilt(hash, rival);
        if (accusations[hash].accuser != address(0)) revert AlreadyAccused(hash);
        // Else one old fork would serve to freeze stakes for ever.
        bool timely =
            _tree.isRecent(rival, forkTimeoutBlocks) || (contradiction && _tree.isRecent(hash, forkTimeoutBlocks));
        if (!timely) _checkUndisputed(rival);

        accusations[hash] = Accusation(msg.sender, uint64(block.number));
        emit Accused(hash, header.aggregator, rival, msg.sender);
        network.freezeStake(header.aggregator);
    }

    /// @inheritdoc IRollupManagement
    function slash(RollupHeader calldata header, bytes32 survivor) external {
        bytes32 hash = hashRollup(header);
        Accusation memory accusation = _accusation(hash);
        uint256 due = accusation.since + slashDelayBlocks;
        if (block.number < due) revert TooEarlyToSlash(due);
        _checkGuilt(hash, survivor);
        _checkUndisputed(survivor);

        network.slash(header.aggregator, accusation.accuser);
    }

    /// @inheritdoc IRollupManagement
    function acquit(RollupHeader calldata header, bytes32 survivor) external {
        bytes32 hash = hashRollup(header);
        _accusation(hash);
        _checkUndisputed(survivor);
        (uint256 depth, uint256 survivorDepth) = _tree.fork(hash, survivor);
        if (depth >= slashDepth) revert TooDeepToAcquit(hash, survivor, depth);
        (bool siblings, bool contradiction) = _tree.contradict(hash, survivor);
        // What the rollup builds on is undisputed while both branches live. Further above a survivor beside it no sibling
        // survives that it could contradict.
        bool proves = depth == 0 || siblings || (depth > 1 && survivorDepth != 0);
        if (contradiction || !proves) revert NotInnocent(hash, survivor);

        delete accusations[hash];
        emit Acquitted(hash, header.aggregator);
        network.releaseStake(header.aggregator);
    }

    /// @inheritdoc IRollupManagement
    function isSuspended() external view returns (bool suspended) {
        (, suspended) = _tree.judge(genesis, forkTimeoutBlocks);
    }

    /// @inheritdoc IRollupManagement
    function isConfirmed(bytes32 hash, uint256 blocks) external view returns (bool) {
        uint256 includedAt = _tree.entries[hash].includedAt;
        if (includedAt == 0 || block.number - includedAt < blocks) return false;
        (bool undisputed, bool suspended) = _tree.judge(hash, forkTimeoutBlocks);
        return undisputed && !suspended;
    }

    /// @inheritdoc IRollupManagement
    function withdrawalsRoot(bytes32 hash) external view returns (bytes32) {
        return _tree.entries[hash].withdrawalsRoot;
    }

    /// @inheritdoc IRollupManagement
    function rollup(bytes32 hash) external view returns (Rollup memory) {
        RollupTree.Entry storage entry = _known(hash);
        return Rollup(entry.parent, entry.number, entry.includedAt, entry.branch, entry.withdrawalsRoot);
    }

    /// @inheritdoc IRollupManagement
    function isAncestor(bytes32 ancestor, bytes32 descendant) external view returns (bool) {
        _known(ancestor);
        _known(descendant);
        return _tree.isAncestor(ancestor, descendant);
    }

    /// @inheritdoc IRollupManagement
    function digest(RollupHeader calldata header) external view returns (bytes32) {
        return _hashTypedDataV4(hashRollup(header));
    }

    /// @inheritdoc IRollupManagement
    function hashRollup(RollupHeader calldata header) public pure returns (bytes32) {
        // Every member is one word, so the ABI encoding of the header is the encodeData of EIP-712.
        return keccak256(abi.encode(HEADER_TYPEHASH, header));
    }

    function _checkPosition(RollupHeader calldata header, bytes32 hash) private view {
        if (header.version != VERSION) revert UnsupportedVersion(header.version);
        if (_tree.entries[hash].includedAt != 0) revert AlreadyPublished(hash);
        uint64 expected = _known(header.parent).number + 1;
        if (header.number != expected) revert WrongNumber(header.number, expected);
    }

    function _checkL1Proof(RollupHeader calldata header) private view {
        uint256 parentIncludedAt = _tree.entries[header.parent].includedAt;
        uint64 number = header.l1ProofNumber;
        if (number < parentIncludedAt || number >= block.number || block.number - number > L1_PROOF_AGE_BLOCKS_MAX) {
            revert L1ProofOutOfRange(number, parentIncludedAt);
        }
        bytes32 actual = blockhash(number);
        if (header.l1Proof != actual) revert WrongL1Proof(header.l1Proof, actual);
    }

    function _checkPayload(RollupHeader calldata header, bytes calldata payload)
        private
        view
        returns (bytes32[] memory blobs)
    {
        blobs = _blobs();
        if ((payload.length == 0) == (blobs.length == 0)) revert PayloadMissingOrDouble();
        if (payload.length == 0) return blobs;
        if (!_isOwnTransaction()) revert PayloadNotInTransaction(msg.sender);
        bytes32 actual = keccak256(payload);
        if (actual != header.payloadHash) revert WrongPayload(actual, header.payloadHash);
    }

    function _checkAggregator(RollupHeader calldata header, bytes32 hash, bytes calldata signature) private view {
        address signer = ECDSA.recoverCalldata(_hashTypedDataV4(hash), signature);
        if (signer != header.aggregator) revert BadSignature(signer, header.aggregator);
        address owner = network.aggregatorOwner(signer);
        if (owner == address(0)) revert NotAggregator(signer);
        if (msg.sender != owner) revert NotOwner(msg.sender, owner);
    }

    /// @dev Whether the calldata is that of the transaction itself. Its sender may have code too (EIP-7702), and call
    /// this from inside.
    function _isOwnTransaction() private view returns (bool) {
        return msg.sender == tx.origin && msg.sender.code.length == 0;
    }

    /// @dev Both branches must be that deep: the rival of somebody guilty is no loser of a round either.
    function _checkGuilt(bytes32 hash, bytes32 rival) private view returns (bool contradiction) {
        _known(hash);
        _known(rival);
        (, contradiction) = _tree.contradict(hash, rival);
        if (contradiction) return true;
        (uint256 depth, uint256 rivalDepth) = _tree.fork(hash, rival);
        if (depth < slashDepth || rivalDepth < slashDepth) revert ForkTooShallow(hash, rival, depth, rivalDepth);
    }

    function _checkUndisputed(bytes32 survivor) private view {
        _known(survivor);
        (bool undisputed,) = _tree.judge(survivor, forkTimeoutBlocks);
        if (!undisputed) revert Disputed(survivor);
    }

    function _accusation(bytes32 hash) private view returns (Accusation memory accusation) {
        accusation = accusations[hash];
        if (accusation.accuser == address(0)) revert NotAccused(hash);
    }

    function _known(bytes32 hash) private view returns (RollupTree.Entry storage entry) {
        entry = _tree.entries[hash];
        if (entry.includedAt == 0) revert UnknownRollup(hash);
    }

    /// @dev The versioned hashes of the transaction's blobs; the protocol bounds their number.
    function _blobs() private view returns (bytes32[] memory blobs) {
        uint256 count = 0;
        while (blobhash(count) != 0) count++;
        blobs = new bytes32[](count);
        for (uint256 i = 0; i < count; i++) {
            blobs[i] = blobhash(i);
        }
    }
}
