// SPDX-License-Identifier: MIT
// Tests of RollupManagement's external functions, reverts first. What does not live here: long random histories of the
// tree against a naive model (RollupTree.t.sol).
pragma solidity 0.8.37;

import {INetworkManagement, RollupManagement} from "../src/RollupManagement.sol";
import {IRollupManagement} from "../src/interfaces/IRollupManagement.sol";
import {Network} from "./support/Network.sol";

contract RollupManagementTest is Network {
    bytes32 private constant GENESIS = CONFIG_HASH;

    function setUp() public {
        deployNetwork();
        registerGenesis();
        vm.roll(START + 1);
    }

    function expectPublishRevert(IRollupManagement.RollupHeader memory h, bytes memory error) private {
        bytes memory signed = sign(h);
        vm.expectRevert(error);
        vm.prank(operator, operator);
        rollups.publish(h, signed, LOTTERY_PROOF, PAYLOAD, noAnswers());
    }

    function test_constructor_revertsForZeroArguments() public {
        vm.expectRevert(IRollupManagement.ZeroArgument.selector);
        new RollupManagement(INetworkManagement(address(0)), GENESIS, 1, 2, 0);
        vm.expectRevert(IRollupManagement.ZeroArgument.selector);
        new RollupManagement(network, 0, 1, 2, 0);
        vm.expectRevert(IRollupManagement.ZeroArgument.selector);
        new RollupManagement(network, GENESIS, 0, 2, 0);
    }

    function test_constructor_revertsForParameters() public {
        vm.expectRevert(abi.encodeWithSelector(IRollupManagement.SlashDepthTooLow.selector, 1));
        new RollupManagement(network, GENESIS, 1, 1, 0);
        vm.expectRevert(
            abi.encodeWithSelector(IRollupManagement.UnbondingTooShort.selector, UNBONDING_BLOCKS, UNBONDING_BLOCKS)
        );
        new RollupManagement(network, GENESIS, UNBONDING_BLOCKS, 2, 0);
    }

    function test_publish_revertsForVersion() public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        h.version = 1;
        expectPublishRevert(h, abi.encodeWithSelector(IRollupManagement.UnsupportedVersion.selector, 1));
    }

    function test_publish_revertsForSecondTime() public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        bytes32 hash = publish(h);
        expectPublishRevert(h, abi.encodeWithSelector(IRollupManagement.AlreadyPublished.selector, hash));
    }

    function test_publish_revertsForUnknownParent() public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        h.parent = keccak256("unknown");
        expectPublishRevert(h, abi.encodeWithSelector(IRollupManagement.UnknownRollup.selector, h.parent));
    }

    function test_publish_revertsForNumber() public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        h.number = 2;
        expectPublishRevert(h, abi.encodeWithSelector(IRollupManagement.WrongNumber.selector, 2, 1));
        h.number = 0;
        expectPublishRevert(h, abi.encodeWithSelector(IRollupManagement.WrongNumber.selector, 0, 1));
    }

    function test_publish_revertsForL1ProofBeforeParent() public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        h.l1ProofNumber = START - 1;
        h.l1Proof = blockhash(START - 1);
        expectPublishRevert(
            h, abi.encodeWithSelector(IRollupManagement.L1ProofOutOfRange.selector, START - 1, uint256(START))
        );
    }

    function test_publish_revertsForL1ProofNotInThePast() public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        h.l1ProofNumber = uint64(vm.getBlockNumber());
        h.l1Proof = 0;
        expectPublishRevert(
            h, abi.encodeWithSelector(IRollupManagement.L1ProofOutOfRange.selector, vm.getBlockNumber(), uint256(START))
        );
    }

    function test_publish_revertsForOtherL1Proof() public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        bytes32 actual = h.l1Proof;
        h.l1Proof = keccak256("other");
        expectPublishRevert(h, abi.encodeWithSelector(IRollupManagement.WrongL1Proof.selector, h.l1Proof, actual));
    }

    function test_publish_revertsForL1ProofTooOld(uint256 age) public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        // Also with the hash that BLOCKHASH gives for a block it no longer knows.
        if (age % 2 == 0) h.l1Proof = 0;
        vm.roll(h.l1ProofNumber + bound(age, 257, 10_000));
        expectPublishRevert(
            h, abi.encodeWithSelector(IRollupManagement.L1ProofOutOfRange.selector, h.l1ProofNumber, uint256(START))
        );
    }

    function test_publish_acceptsL1ProofOf256Blocks() public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        vm.roll(h.l1ProofNumber + 256);
        // BLOCKHASH still knows that block.
        h.l1Proof = 0;
        expectPublishRevert(
            h, abi.encodeWithSelector(IRollupManagement.WrongL1Proof.selector, 0, blockhash(h.l1ProofNumber))
        );
        h.l1Proof = blockhash(h.l1ProofNumber);
        vm.assertTrue(h.l1Proof != 0);
        publish(h);
    }

    function test_publish_revertsForPayload() public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        h.payloadHash = keccak256("other");
        expectPublishRevert(
            h, abi.encodeWithSelector(IRollupManagement.WrongPayload.selector, keccak256(PAYLOAD), keccak256("other"))
        );
    }

    function test_publish_revertsWithoutPayloadAndBlob() public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        bytes memory signed = sign(h);
        vm.expectRevert(IRollupManagement.PayloadMissingOrDouble.selector);
        vm.prank(operator, operator);
        rollups.publish(h, signed, LOTTERY_PROOF, "", noAnswers());
    }

    function test_publish_revertsForPayloadAndBlob() public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        vm.blobhashes(blobs(1));
        expectPublishRevert(h, abi.encodeWithSelector(IRollupManagement.PayloadMissingOrDouble.selector));
    }

    function test_publish_revertsForSigner() public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        bytes memory signed = signature(GENESIS_KEY + 1, rollups.digest(h));
        vm.expectRevert(
            abi.encodeWithSelector(IRollupManagement.BadSignature.selector, vm.addr(GENESIS_KEY + 1), founder)
        );
        vm.prank(operator, operator);
        rollups.publish(h, signed, LOTTERY_PROOF, PAYLOAD, noAnswers());
    }

    function test_publish_revertsForMalformedSignature() public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        vm.expectRevert();
        vm.prank(operator, operator);
        rollups.publish(h, filled(64, 0x01), LOTTERY_PROOF, PAYLOAD, noAnswers());
    }

    function test_publish_revertsForVerifier() public {
        address verifier = vm.addr(0x7e51);
        register(verifier, 0);
        admit(verifier);
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        h.aggregator = verifier;
        bytes memory signed = signature(0x7e51, rollups.digest(h));
        vm.expectRevert(abi.encodeWithSelector(IRollupManagement.NotAggregator.selector, verifier));
        vm.prank(operator, operator);
        rollups.publish(h, signed, LOTTERY_PROOF, PAYLOAD, noAnswers());
    }

    function test_publish_revertsAfterLeaving() public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        vm.prank(operator);
        network.leave(founder);
        expectPublishRevert(h, abi.encodeWithSelector(IRollupManagement.NotAggregator.selector, founder));
    }

    function test_publish_revertsForOtherCaller() public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        bytes memory signed = sign(h);
        address stranger = makeAddress("stranger");
        vm.expectRevert(abi.encodeWithSelector(IRollupManagement.NotOwner.selector, stranger, operator));
        vm.prank(stranger, stranger);
        rollups.publish(h, signed, LOTTERY_PROOF, PAYLOAD, noAnswers());
    }

    /// @dev Hosts look for a payload in the input of the transaction.
    function test_publish_revertsForPayloadThroughAContract() public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        bytes memory signed = sign(h);
        address sender = makeAddress("sender");
        vm.expectRevert(abi.encodeWithSelector(IRollupManagement.PayloadNotInTransaction.selector, operator));
        vm.prank(operator, sender);
        rollups.publish(h, signed, LOTTERY_PROOF, PAYLOAD, noAnswers());
        // An account that delegates to a contract (EIP-7702), called by itself.
        vm.etch(operator, bytes.concat(hex"ef0100", bytes20(address(network))));
        vm.expectRevert(abi.encodeWithSelector(IRollupManagement.PayloadNotInTransaction.selector, operator));
        vm.prank(operator, operator);
        rollups.publish(h, signed, LOTTERY_PROOF, PAYLOAD, noAnswers());
        // Blobs belong to the transaction, whoever calls.
        vm.blobhashes(blobs(1));
        vm.prank(operator, sender);
        rollups.publish(h, signed, LOTTERY_PROOF, "", noAnswers());
    }

    function test_publish_revertsAfterTheAttestationLapsed() public {
        vm.roll(START + LIFETIME_BLOCKS);
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        expectPublishRevert(h, abi.encodeWithSelector(IRollupManagement.NotAggregator.selector, founder));
        reattest(founder);
        publish(h);
    }

    function test_publish_revertsForTooManyAnswers() public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        bytes memory signed = sign(h);
        vm.expectRevert(abi.encodeWithSelector(IRollupManagement.TooManyAnswers.selector, 17));
        vm.prank(operator, operator);
        rollups.publish(h, signed, LOTTERY_PROOF, PAYLOAD, new INetworkManagement.SeedAnswer[](17));
    }

    /// @dev S3's revision: one transaction by the newcomer, and its seed comes with the next rollup.
    function test_publish_carriesAnswers() public {
        address newcomer = vm.addr(0xe1);
        register(newcomer, 0);
        bytes memory seed = filled(1200, 0x44);
        bytes memory signed = signShare(newcomer, GENESIS_KEY, seed);
        INetworkManagement.SeedAnswer[] memory answers = new INetworkManagement.SeedAnswer[](3);
        answers[0] = INetworkManagement.SeedAnswer(newcomer, founder, 1, "bad", filled(65, 0x01));
        answers[1] = INetworkManagement.SeedAnswer(newcomer, founder, 1, seed, signed);
        answers[2] = answers[1];
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        bytes memory signedHeader = sign(h);
        vm.expectEmit(address(network));
        emit INetworkManagement.SeedShared(newcomer, founder, 1, seed);
        vm.prank(operator, operator);
        rollups.publish(h, signedHeader, LOTTERY_PROOF, PAYLOAD, answers);
        vm.assertTrue(network.isResponder(newcomer));
        vm.assertTrue(rollups.isConfirmed(rollups.hashRollup(h), 0));
    }

    /// @dev Somebody else's answer came first.
    function test_publish_doesNotFailForAnswers() public {
        address newcomer = vm.addr(0xe1);
        register(newcomer, 0);
        admit(newcomer);
        INetworkManagement.SeedAnswer[] memory answers = new INetworkManagement.SeedAnswer[](16);
        bytes memory signed = signShare(newcomer, GENESIS_KEY, "late");
        for (uint256 i = 0; i < answers.length; i++) {
            answers[i] = INetworkManagement.SeedAnswer(newcomer, founder, 1, "late", signed);
        }
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        bytes memory signedHeader = sign(h);
        vm.prank(operator, operator);
        rollups.publish(h, signedHeader, LOTTERY_PROOF, PAYLOAD, answers);
        vm.assertTrue(rollups.isConfirmed(rollups.hashRollup(h), 0));
    }

    /// Whoever publishes chooses how the arguments are laid out: hosts must find the payload wherever this takes it from,
    /// even where the answers are none that a strict decoder reads (`find_payload` of host/src/l1/block.rs).
    function test_publish_takesArgumentsInAnyLayout() public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        bytes memory data = abi.encodeCall(RollupManagement.publish, (h, sign(h), LOTTERY_PROOF, PAYLOAD, noAnswers()));
        uint256 end = data.length - 4;
        // An answer without content, and behind it the list that points back to it.
        bytes memory answer = abi.encode(address(0), address(0), uint32(0), 5 * 32, 6 * 32, 0, 0);
        bytes memory list = abi.encode(1, -int256(answer.length + 32));
        uint256 position = 4 + 32 * (19 + 3);
        uint256 start = end + answer.length;
        data = bytes.concat(data, answer, list);
        assembly ("memory-safe") {
            mstore(add(add(data, 32), position), start)
        }
        vm.prank(operator, operator);
        (bool success,) = address(rollups).call(data);
        vm.assertTrue(success);
        vm.assertEq(rollups.rollup(rollups.hashRollup(h)).includedAt, vm.getBlockNumber());
    }

    function test_publish_storesAndAnnounces() public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        h.withdrawalsRoot = keccak256("withdrawals");
        bytes32 hash = rollups.hashRollup(h);
        bytes memory signed = sign(h);
        vm.expectEmit(address(rollups));
        emit IRollupManagement.RollupPublished(hash, founder, h, signed, LOTTERY_PROOF, new bytes32[](0));
        vm.prank(operator, operator);
        rollups.publish(h, signed, LOTTERY_PROOF, PAYLOAD, noAnswers());

        IRollupManagement.Rollup memory r = rollups.rollup(hash);
        vm.assertEq(r.parent, GENESIS);
        vm.assertEq(uint256(r.number), 1);
        vm.assertEq(uint256(r.includedAt), vm.getBlockNumber());
        vm.assertEq(r.withdrawalsRoot, h.withdrawalsRoot);
        vm.assertEq(rollups.withdrawalsRoot(hash), h.withdrawalsRoot);
        vm.assertTrue(rollups.isConfirmed(hash, 0));
    }

    function test_publish_acceptsBlobs() public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        bytes memory signed = sign(h);
        bytes32 hash = rollups.hashRollup(h);
        vm.blobhashes(blobs(6));
        vm.expectEmit(address(rollups));
        emit IRollupManagement.RollupPublished(hash, founder, h, signed, LOTTERY_PROOF, blobs(6));
        vm.prank(operator, operator);
        rollups.publish(h, signed, LOTTERY_PROOF, "", noAnswers());
    }

    function test_publish_revertsForProofLength() public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        bytes memory signed = sign(h);
        for (uint256 length = 47; length <= 49; length += 2) {
            vm.expectRevert(abi.encodeWithSelector(IRollupManagement.BadProofLength.selector, length));
            vm.prank(operator, operator);
            rollups.publish(h, signed, filled(length, 0x01), PAYLOAD, noAnswers());
        }
    }

    function test_publish_ignoresNonce(uint256 nonce) public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        h.nonce = nonce;
        publish(h);
    }

    function test_publish_revertsForAnyChangeAfterSigning(uint256 field, uint64 change) public {
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        bytes memory signed = sign(h);
        bytes32 before = rollups.digest(h);
        field = bound(field, 0, 10);
        bytes32 value = keccak256(abi.encode(change));
        if (field == 0) h.nonce = uint256(value);
        else if (field == 1) h.timestamp = change | 1;
        else if (field == 2) h.stateRoot = value;
        else if (field == 3) h.transactionsRoot = value;
        else if (field == 4) h.receiptsRoot = value;
        else if (field == 5) h.withdrawalsRoot = value;
        else if (field == 6) h.publicEventsRoot = value;
        else if (field == 7) h.depositCursor = change | 1;
        else if (field == 8) h.forcedCursor = change | 1;
        else if (field == 9) h.gasUsed = change | 1;
        else h.baseFee = change | 1;
        vm.assertTrue(rollups.digest(h) != before);
        vm.expectPartialRevert(IRollupManagement.BadSignature.selector);
        vm.prank(operator, operator);
        rollups.publish(h, signed, LOTTERY_PROOF, PAYLOAD, noAnswers());
    }

    function test_hashRollup_isHashStruct() public view {
        IRollupManagement.RollupHeader memory h;
        h.version = 1;
        h.parent = bytes32(uint256(2));
        h.number = 3;
        h.l1Proof = bytes32(uint256(4));
        h.l1ProofNumber = 5;
        h.aggregator = address(6);
        h.nonce = 7;
        h.timestamp = 8;
        h.stateRoot = bytes32(uint256(9));
        h.transactionsRoot = bytes32(uint256(10));
        h.receiptsRoot = bytes32(uint256(11));
        h.withdrawalsRoot = bytes32(uint256(12));
        h.publicEventsRoot = bytes32(uint256(13));
        h.depositCursor = 14;
        h.forcedCursor = 15;
        h.payloadHash = bytes32(uint256(16));
        h.gasUsed = 17;
        h.gasLimit = 18;
        h.baseFee = 19;
        bytes memory encoded = abi.encode(
            keccak256(
                "RollupHeader(uint16 version,bytes32 parent,uint64 number,bytes32 l1Proof,uint64 l1ProofNumber,address aggregator,uint256 nonce,uint64 timestamp,bytes32 stateRoot,bytes32 transactionsRoot,bytes32 receiptsRoot,bytes32 withdrawalsRoot,bytes32 publicEventsRoot,uint64 depositCursor,uint64 forcedCursor,bytes32 payloadHash,uint64 gasUsed,uint64 gasLimit,uint64 baseFee)"
            )
        );
        for (uint256 i = 1; i <= 19; i++) {
            encoded = bytes.concat(encoded, bytes32(i));
        }
        bytes32 hash = keccak256(encoded);
        vm.assertEq(rollups.hashRollup(h), hash);
        vm.assertEq(rollups.digest(h), keccak256(abi.encodePacked(hex"1901", domainSeparator(address(rollups)), hash)));
    }

    function test_forceTransaction_revertsForLength() public {
        bytes memory envelope = filled(68 * 1024 + 1, 0x11);
        vm.expectRevert(abi.encodeWithSelector(IRollupManagement.EnvelopeTooLong.selector, envelope.length));
        force(operator, envelope);
        force(operator, filled(68 * 1024, 0x11));
    }

    function test_forceTransaction_revertsForContracts() public {
        address sender = makeAddress("sender");
        vm.expectRevert(abi.encodeWithSelector(IRollupManagement.ForcedByContract.selector, operator));
        vm.prank(operator, sender);
        rollups.forceTransaction("envelope");
        // An account that delegates to a contract (EIP-7702), called by itself.
        vm.etch(operator, bytes.concat(hex"ef0100", bytes20(address(network))));
        vm.expectRevert(abi.encodeWithSelector(IRollupManagement.ForcedByContract.selector, operator));
        force(operator, "envelope");
        vm.assertEq(rollups.forcedCount(), 0);
    }

    function test_forceTransaction_countsFromZero(uint8 count, bytes calldata envelope) public {
        for (uint64 i = 0; i < count; i++) {
            address sender = makeAddress(string(abi.encode(i)));
            vm.expectEmit(address(rollups));
            emit IRollupManagement.TransactionForced(i, sender, envelope);
            vm.assertEq(force(sender, envelope), i);
        }
        vm.assertEq(rollups.forcedCount(), count);
    }

    function test_rollup_revertsForUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(IRollupManagement.UnknownRollup.selector, bytes32(uint256(1))));
        rollups.rollup(bytes32(uint256(1)));
    }

    function test_isAncestor_revertsForUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(IRollupManagement.UnknownRollup.selector, bytes32(uint256(1))));
        rollups.isAncestor(bytes32(uint256(1)), GENESIS);
        vm.expectRevert(abi.encodeWithSelector(IRollupManagement.UnknownRollup.selector, bytes32(uint256(1))));
        rollups.isAncestor(GENESIS, bytes32(uint256(1)));
    }

    function test_genesis_isRollupZero() public view {
        vm.assertEq(rollups.genesis(), GENESIS);
        IRollupManagement.Rollup memory r = rollups.rollup(GENESIS);
        vm.assertEq(uint256(r.number), 0);
        vm.assertEq(uint256(r.includedAt), START);
        vm.assertEq(r.parent, 0);
        vm.assertTrue(rollups.isAncestor(GENESIS, GENESIS));
    }

    function test_isConfirmed_isFalseForUnknown() public view {
        vm.assertFalse(rollups.isConfirmed(keccak256("unknown"), 0));
    }

    function test_isConfirmed_countsBlocksOnASingleHead() public {
        bytes32 a = publish(GENESIS);
        vm.assertTrue(rollups.isConfirmed(a, 0));
        vm.assertFalse(rollups.isConfirmed(a, 5));
        vm.roll(vm.getBlockNumber() + 4);
        vm.assertFalse(rollups.isConfirmed(a, 5));
        vm.roll(vm.getBlockNumber() + 1);
        vm.assertTrue(rollups.isConfirmed(a, 5));
        vm.assertFalse(rollups.isConfirmed(a, type(uint256).max));
    }

    function test_isConfirmed_waitsUntilTheSiblingDies() public {
        bytes32 a = publish(GENESIS);
        bytes32 b = publish(GENESIS);
        uint256 forkedAt = vm.getBlockNumber();
        vm.assertFalse(rollups.isConfirmed(a, 0));
        vm.assertFalse(rollups.isConfirmed(b, 0));
        vm.assertTrue(rollups.isConfirmed(GENESIS, 1));

        vm.roll(forkedAt + 1);
        bytes32 a2 = publish(a);
        vm.roll(forkedAt + FORK_TIMEOUT_BLOCKS);
        vm.assertFalse(rollups.isConfirmed(a, 0));
        vm.roll(forkedAt + 1 + FORK_TIMEOUT_BLOCKS);
        vm.assertTrue(rollups.isConfirmed(a, 0));
        vm.assertTrue(rollups.isConfirmed(a2, 0));
        vm.assertFalse(rollups.isConfirmed(b, 0));
    }

    function test_isConfirmed_neitherSiblingDiesOfAnIdleNetwork() public {
        bytes32 a = publish(GENESIS);
        bytes32 b = publish(GENESIS);
        vm.roll(vm.getBlockNumber() + 10_000);
        vm.assertFalse(rollups.isConfirmed(a, 0));
        vm.assertFalse(rollups.isConfirmed(b, 0));
    }

    function test_isConfirmed_aRevivedHeadDoesNotOvertakeAnIdleChain() public {
        bytes32 a = publish(GENESIS);
        bytes32 b = publish(GENESIS);
        vm.roll(vm.getBlockNumber() + 1);
        bytes32 a2 = publish(a);
        vm.roll(vm.getBlockNumber() + 100);
        vm.assertTrue(rollups.isConfirmed(a2, 0));

        // The chain of `a` has a timeout to answer, however long it was idle before.
        publish(b);
        vm.assertFalse(rollups.isConfirmed(a, 0));
        vm.assertFalse(rollups.isConfirmed(b, 0));
        vm.roll(vm.getBlockNumber() + FORK_TIMEOUT_BLOCKS - 1);
        vm.assertFalse(rollups.isConfirmed(b, 0));
        publish(a2);
        vm.roll(vm.getBlockNumber() + 1);
        vm.assertFalse(rollups.isConfirmed(b, 0));
        vm.roll(vm.getBlockNumber() + FORK_TIMEOUT_BLOCKS - 2);
        vm.assertFalse(rollups.isConfirmed(a, 0));
        vm.roll(vm.getBlockNumber() + 1);
        vm.assertTrue(rollups.isConfirmed(a, 0));
        vm.assertFalse(rollups.isConfirmed(b, 0));
    }

    function test_isConfirmed_aRevivedHeadWinsWithoutAnswer() public {
        publish(GENESIS);
        bytes32 b = publish(GENESIS);
        vm.roll(vm.getBlockNumber() + 100);
        publish(b);
        vm.roll(vm.getBlockNumber() + FORK_TIMEOUT_BLOCKS - 1);
        vm.assertFalse(rollups.isConfirmed(b, 0));
        vm.roll(vm.getBlockNumber() + 1);
        vm.assertTrue(rollups.isConfirmed(b, 0));
    }

    /// @dev In isolation every call is a transaction of its own, so the snapshots are what an aggregator pays, in a network
    /// that has run for a while with a timeout of an hour. Forge has no isolated blob transactions, so they are taken
    /// with seven bytes of calldata: about as much as with a blob, whose own gas comes on top.
    /// forge-config: default.isolate = true
    function test_gas() public {
        rollups = new RollupManagement(network, GENESIS, 300, SLASH_DEPTH, SLASH_DELAY_BLOCKS);
        bytes32 parent = GENESIS;
        for (uint256 i = 0; i < 11; i++) {
            vm.roll(vm.getBlockNumber() + 38);
            parent = publish(parent);
        }
        vm.roll(vm.getBlockNumber() + 38);
        parent = publishRealistic(parent, false);
        vm.snapshotGasLastCall("publish first of a slice");
        vm.roll(vm.getBlockNumber() + 1);
        parent = publishRealistic(parent, false);
        vm.snapshotGasLastCall("publish");
        vm.roll(vm.getBlockNumber() + 1);
        bytes32 sibling = publishRealistic(parent, true);
        vm.snapshotGasLastCall("publish with withdrawals");
        publishRealistic(parent, false);
        vm.snapshotGasLastCall("publish a sibling");
        vm.roll(vm.getBlockNumber() + 1);
        parent = publishRealistic(sibling, false);
        vm.snapshotGasLastCall("publish after a sibling");
        vm.roll(vm.getBlockNumber() + 1);
        publishWithAnswer(parent);
        vm.snapshotGasLastCall("publish with an answer");
        // What a transfer takes: 256 bytes and their seal.
        force(operator, filled(1397, 0x11));
        vm.snapshotGasLastCall("force the first transaction");
        force(operator, filled(1397, 0x11));
        vm.snapshotGasLastCall("force a transaction");
        force(operator, filled(68 * 1024, 0x11));
        vm.snapshotGasLastCall("force the largest transaction");
    }

    function force(address sender, bytes memory envelope) private returns (uint64) {
        vm.prank(sender, sender);
        return rollups.forceTransaction(envelope);
    }

    function publishWithAnswer(bytes32 parent) private {
        address newcomer = vm.addr(0xe1);
        register(newcomer, 0);
        bytes memory seed = filled(1200, 0x44);
        INetworkManagement.SeedAnswer[] memory answers = new INetworkManagement.SeedAnswer[](1);
        bytes memory signed = signShare(newcomer, GENESIS_KEY, seed);
        answers[0] = INetworkManagement.SeedAnswer(newcomer, founder, 1, seed, signed);
        IRollupManagement.RollupHeader memory h = header(parent);
        bytes memory signedHeader = sign(h);
        vm.prank(operator, operator);
        rollups.publish(h, signedHeader, LOTTERY_PROOF, PAYLOAD, answers);
    }

    /// @dev Publishes with every field filled, so that calldata costs what it will.
    function publishRealistic(bytes32 parent, bool withdrawals) private returns (bytes32) {
        IRollupManagement.RollupHeader memory h = header(parent);
        h.nonce = uint256(keccak256(abi.encode(h.nonce)));
        h.timestamp = 1_900_000_000;
        h.transactionsRoot = keccak256("transactions");
        h.receiptsRoot = keccak256("receipts");
        h.withdrawalsRoot = withdrawals ? keccak256("withdrawals") : bytes32(0);
        h.publicEventsRoot = keccak256("events");
        h.depositCursor = uint64(vm.getBlockNumber());
        h.forcedCursor = h.depositCursor;
        h.gasUsed = 12_345_678;
        h.gasLimit = 30_000_000;
        h.baseFee = 1_000_000_007;
        bytes memory signed = sign(h);
        bytes32 hash = rollups.hashRollup(h);
        vm.prank(operator, operator);
        rollups.publish(h, signed, LOTTERY_PROOF, PAYLOAD, noAnswers());
        return hash;
    }

    function blobs(uint256 count) private pure returns (bytes32[] memory hashes) {
        hashes = new bytes32[](count);
        for (uint256 i = 0; i < count; i++) {
            hashes[i] = (keccak256(abi.encode("blob", i)) >> 8) | bytes32(bytes1(0x01));
        }
    }
}
