// SPDX-License-Identifier: MIT
// Tests of seed shares, their rejection, and seed epochs, reverts first. What does not live here: registrations
// (Register.t.sol) and answers that travel with a rollup (RollupManagement.t.sol).
pragma solidity 0.8.37;

import {INetworkManagement} from "../../src/interfaces/INetworkManagement.sol";
import {Network} from "../support/Network.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

contract SeedsTest is Network {
    uint256 private constant KEY = 0xe1;
    uint256 private constant OTHER_KEY = 0xe2;
    address private immutable enclave = vm.addr(KEY);
    address private immutable other = vm.addr(OTHER_KEY);
    address private immutable stranger = makeAddress("stranger");
    bytes private networkKey = filled(1216, 0x55);

    function setUp() public {
        deployNetwork();
        registerGenesis();
        register(enclave, MINIMUM_STAKE);
    }

    function expectShareRevert(uint256 responderKey, uint32 epoch, bytes memory seed, bytes memory error) private {
        bytes memory signed = signature(responderKey, networkDigest(seedShareHash(enclave, epoch, seed)));
        vm.expectRevert(error);
        network.shareSeed(enclave, vm.addr(responderKey), epoch, seed, signed);
    }

    function reject(uint256 key, address responder) private {
        uint32 epoch = network.seedEpoch();
        network.rejectSeed(vm.addr(key), responder, epoch, signRejection(key, responder, epoch));
    }

    function expectRejectRevert(uint256 key, address responder, uint32 epoch, bytes memory error) private {
        bytes memory signed = signRejection(key, responder, epoch);
        vm.expectRevert(error);
        network.rejectSeed(vm.addr(key), responder, epoch, signed);
    }

    function shares(address to) private pure returns (INetworkManagement.EpochShare[] memory list) {
        list = new INetworkManagement.EpochShare[](1);
        list[0] = INetworkManagement.EpochShare(to, "share");
    }

    function begin(address opener) private {
        vm.prank(governor);
        network.beginSeedEpoch(opener);
    }

    function open(uint256 key, uint32 epoch, INetworkManagement.EpochShare[] memory list) private {
        bytes memory signed = signEpoch(key, epoch, networkKey, list);
        network.openSeedEpoch(epoch, vm.addr(key), networkKey, list, signed);
    }

    function expectOpenRevert(
        uint256 key,
        uint32 epoch,
        INetworkManagement.EpochShare[] memory list,
        bytes memory error
    ) private {
        bytes memory signed = signEpoch(key, epoch, networkKey, list);
        vm.expectRevert(error);
        network.openSeedEpoch(epoch, vm.addr(key), networkKey, list, signed);
    }

    // shareSeed

    function test_shareSeed_revertsForUnknownNodes() public {
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.NotRegistered.selector, stranger));
        network.shareSeed(stranger, founder, 1, "seed", "");
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.NotRegistered.selector, stranger));
        network.shareSeed(enclave, stranger, 1, "seed", "");
    }

    function test_shareSeed_revertsForResponderWithoutSeed() public {
        register(other, 0);
        expectShareRevert(
            OTHER_KEY, 1, "seed", abi.encodeWithSelector(INetworkManagement.ResponderHoldsNoSeed.selector, other)
        );
        // Nor can a newcomer answer itself.
        expectShareRevert(
            KEY, 1, "seed", abi.encodeWithSelector(INetworkManagement.ResponderHoldsNoSeed.selector, enclave)
        );
    }

    function test_shareSeed_revertsForNodesThatLeft() public {
        register(other, 0);
        vm.startPrank(operator);
        network.leave(enclave);
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.NodeHasLeft.selector, enclave));
        network.shareSeed(enclave, founder, 1, "seed", "");
        network.leave(founder);
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.NodeHasLeft.selector, founder));
        network.shareSeed(other, founder, 1, "seed", "");
        vm.stopPrank();
    }

    function test_shareSeed_revertsForNodesThatAreNotAdmitted() public {
        vm.prank(governor);
        attestation.removeMachine(machineOf(PPID));
        expectShareRevert(
            GENESIS_KEY, 1, "seed", abi.encodeWithSelector(INetworkManagement.NotMember.selector, enclave)
        );
    }

    /// @dev The newcomer runs a new program; the responder's has ended meanwhile.
    function test_shareSeed_revertsForResponderAfterItsSunset() public {
        INetworkManagement.Registration memory r = registration(other, 0);
        r.quote = quote(tdxSpec(reportData(r, operator)));
        vm.prank(operator);
        network.register{value: FEE}(r);
        vm.prank(governor);
        attestation.approveMeasurement(MEASUREMENT, 1, START);
        bytes memory signed = signShare(other, GENESIS_KEY, "seed");
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.NotMember.selector, founder));
        network.shareSeed(other, founder, 1, "seed", signed);
    }

    function test_shareSeed_revertsForSecondAnswer() public {
        share(enclave, GENESIS_KEY, "one");
        expectShareRevert(
            GENESIS_KEY, 1, "two", abi.encodeWithSelector(INetworkManagement.AlreadyAnswered.selector, enclave)
        );
    }

    function test_shareSeed_revertsForSeedLength() public {
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.BadSeedLength.selector, 0));
        network.shareSeed(enclave, founder, 1, "", "");
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.BadSeedLength.selector, 4097));
        network.shareSeed(enclave, founder, 1, filled(4097, 0x01), "");
    }

    function test_shareSeed_revertsForEpoch() public {
        expectShareRevert(GENESIS_KEY, 2, "seed", abi.encodeWithSelector(INetworkManagement.WrongEpoch.selector, 2, 1));
        expectShareRevert(GENESIS_KEY, 0, "seed", abi.encodeWithSelector(INetworkManagement.WrongEpoch.selector, 0, 1));
    }

    function test_shareSeed_revertsForSignature() public {
        bytes[3] memory signed = [
            signShare(enclave, GENESIS_KEY, "other"),
            signShare(other, GENESIS_KEY, "seed"),
            signature(GENESIS_KEY, networkDigest(seedShareHash(enclave, 2, "seed")))
        ];
        for (uint256 i = 0; i < signed.length; i++) {
            vm.expectPartialRevert(INetworkManagement.BadSignature.selector);
            network.shareSeed(enclave, founder, 1, "seed", signed[i]);
        }
    }

    function test_shareSeed_paysTheFirstAnswer() public {
        register(other, 0);
        admit(other);
        uint256 before = network.fees(operator);
        bytes memory signed = signShare(enclave, OTHER_KEY, "one");
        vm.expectEmit(address(network));
        emit INetworkManagement.SeedShared(enclave, other, 1, "one");
        vm.prank(stranger);
        network.shareSeed(enclave, other, 1, "one", signed);
        vm.assertEq(network.fees(operator), before + FEE);
        vm.assertEq(network.answeredBy(enclave), other);
        vm.assertTrue(network.isAggregator(enclave));
    }

    // shareSeeds

    function test_shareSeeds_passesOverWhatIsRefused() public {
        register(other, 0);
        INetworkManagement.SeedAnswer[] memory answers = new INetworkManagement.SeedAnswer[](5);
        answers[0] = INetworkManagement.SeedAnswer(stranger, founder, 1, "seed", "");
        answers[1] = INetworkManagement.SeedAnswer(enclave, founder, 1, "seed", filled(64, 0x01));
        answers[2] = INetworkManagement.SeedAnswer(enclave, founder, 1, "seed", signShare(enclave, GENESIS_KEY, "seed"));
        answers[3] = answers[2];
        answers[4] = INetworkManagement.SeedAnswer(other, founder, 1, "seed", signShare(other, GENESIS_KEY, "seed"));
        vm.assertEq(network.shareSeeds(answers), 2);
        vm.assertEq(network.answeredBy(enclave), founder);
        vm.assertEq(network.answeredBy(other), founder);
    }

    // rejectSeed

    function test_rejectSeed_reverts() public {
        bytes memory nothing = abi.encodeWithSelector(INetworkManagement.NothingToReject.selector, enclave, founder);
        expectRejectRevert(KEY, founder, 1, nothing);
        expectRejectRevert(
            KEY, address(0), 1, abi.encodeWithSelector(INetworkManagement.NothingToReject.selector, enclave, address(0))
        );
        admit(enclave);
        expectRejectRevert(
            KEY, other, 1, abi.encodeWithSelector(INetworkManagement.NothingToReject.selector, enclave, other)
        );
        expectRejectRevert(KEY, founder, 2, abi.encodeWithSelector(INetworkManagement.WrongEpoch.selector, 2, 1));
        bytes memory signed = signRejection(OTHER_KEY, founder, 1);
        vm.expectPartialRevert(INetworkManagement.BadSignature.selector);
        network.rejectSeed(enclave, founder, 1, signed);
        // Its own share is no answer.
        expectRejectRevert(
            GENESIS_KEY,
            founder,
            1,
            abi.encodeWithSelector(INetworkManagement.NothingToReject.selector, founder, founder)
        );
    }

    function test_rejectSeed_reopensTheRegistration() public {
        register(other, 0);
        admit(other);
        share(enclave, OTHER_KEY, "garbage");
        uint256 before = network.fees(operator);
        bytes memory signed = signRejection(KEY, other, 1);
        vm.expectEmit(address(network));
        emit INetworkManagement.SeedRejected(enclave, other, 1);
        vm.prank(stranger);
        network.rejectSeed(enclave, other, 1, signed);
        vm.assertFalse(network.isResponder(enclave));
        vm.assertEq(network.answeredBy(enclave), address(0));
        vm.assertEq(uint256(network.rejectedIn(enclave, other)), 1);

        // Not by the same, nor twice; by another, who earns nothing.
        expectShareRevert(
            OTHER_KEY,
            1,
            "more garbage",
            abi.encodeWithSelector(INetworkManagement.RejectedResponder.selector, enclave, other)
        );
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.NothingToReject.selector, enclave, other));
        network.rejectSeed(enclave, other, 1, signed);
        share(enclave, GENESIS_KEY, "seed");
        vm.assertTrue(network.isAggregator(enclave));
        vm.assertEq(network.fees(operator), before);
    }

    function test_rejectSeed_keepsTheFeeWhenLeaving() public {
        admit(enclave);
        reject(KEY, founder);
        uint256 before = network.fees(operator);
        vm.prank(operator);
        network.leave(enclave);
        vm.assertEq(network.fees(operator), before);
    }

    function test_rejectSeed_isBounded() public {
        for (uint256 i = 0; i < 17; i++) {
            register(vm.addr(0xf00 + i), 0);
            admit(vm.addr(0xf00 + i));
            share(enclave, 0xf00 + i, "garbage");
            if (i < 16) reject(KEY, vm.addr(0xf00 + i));
        }
        expectRejectRevert(
            KEY, vm.addr(0xf10), 1, abi.encodeWithSelector(INetworkManagement.TooManyRejections.selector, enclave)
        );
        // Each epoch anew.
        begin(address(0));
        open(GENESIS_KEY, 2, shares(enclave));
        vm.assertEq(uint256(network.node(enclave).rejections), 0);
        reject(KEY, founder);
        vm.assertEq(uint256(network.node(enclave).rejections), 1);
    }

    // beginSeedEpoch

    function test_beginSeedEpoch_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, operator));
        vm.prank(operator);
        network.beginSeedEpoch(address(0));
        deployNetwork();
        vm.expectRevert(INetworkManagement.GenesisMismatch.selector);
        begin(address(0));
    }

    function test_beginSeedEpoch_replacesTheRequest() public {
        vm.expectEmit(address(network));
        emit INetworkManagement.SeedEpochBegun(2, founder);
        begin(founder);
        vm.expectEmit(address(network));
        emit INetworkManagement.SeedEpochBegun(2, address(0));
        begin(address(0));
        (uint32 epoch, address opener) = network.begunSeedEpoch();
        vm.assertEq(uint256(epoch), 2);
        vm.assertEq(opener, address(0));
        vm.assertEq(uint256(network.seedEpoch()), 1);
    }

    // openSeedEpoch

    function test_openSeedEpoch_revertsWithoutRequest() public {
        expectOpenRevert(
            GENESIS_KEY, 2, shares(enclave), abi.encodeWithSelector(INetworkManagement.NoEpochBegun.selector)
        );
    }

    function test_openSeedEpoch_reverts() public {
        begin(address(0));
        expectOpenRevert(
            GENESIS_KEY, 3, shares(enclave), abi.encodeWithSelector(INetworkManagement.WrongEpoch.selector, 3, 2)
        );
        expectOpenRevert(
            KEY, 2, shares(enclave), abi.encodeWithSelector(INetworkManagement.ResponderHoldsNoSeed.selector, enclave)
        );
        expectOpenRevert(
            GENESIS_KEY, 2, shares(stranger), abi.encodeWithSelector(INetworkManagement.NotMember.selector, stranger)
        );
        INetworkManagement.EpochShare[] memory list = shares(enclave);
        list[0].encryptedSeed = "";
        expectOpenRevert(GENESIS_KEY, 2, list, abi.encodeWithSelector(INetworkManagement.BadSeedLength.selector, 0));
        list = new INetworkManagement.EpochShare[](65);
        expectOpenRevert(GENESIS_KEY, 2, list, abi.encodeWithSelector(INetworkManagement.TooManyShares.selector, 65));
        networkKey = filled(1215, 0x55);
        expectOpenRevert(
            GENESIS_KEY, 2, shares(enclave), abi.encodeWithSelector(INetworkManagement.BadKeyLength.selector, 1215)
        );
    }

    function test_openSeedEpoch_revertsForSignature() public {
        begin(address(0));
        bytes memory signed = signEpoch(GENESIS_KEY, 2, networkKey, shares(enclave));
        INetworkManagement.EpochShare[] memory list = shares(enclave);
        list[0].encryptedSeed = "other";
        vm.expectPartialRevert(INetworkManagement.BadSignature.selector);
        network.openSeedEpoch(2, founder, networkKey, list, signed);
        list = shares(founder);
        vm.expectPartialRevert(INetworkManagement.BadSignature.selector);
        network.openSeedEpoch(2, founder, networkKey, list, signed);
        list = shares(enclave);
        vm.expectPartialRevert(INetworkManagement.BadSignature.selector);
        network.openSeedEpoch(2, founder, filled(1216, 0x56), list, signed);
        list = new INetworkManagement.EpochShare[](0);
        vm.expectPartialRevert(INetworkManagement.BadSignature.selector);
        network.openSeedEpoch(2, founder, networkKey, list, signed);
    }

    function test_openSeedEpoch_opens() public {
        register(other, 0);
        admit(other);
        begin(address(0));
        INetworkManagement.EpochShare[] memory list = shares(other);
        bytes memory signed = signEpoch(GENESIS_KEY, 2, networkKey, list);
        vm.expectEmit(address(network));
        emit INetworkManagement.NetworkKeyPublished(2, founder, networkKey);
        vm.expectEmit(address(network));
        emit INetworkManagement.SeedShared(other, founder, 2, "share");
        vm.prank(stranger);
        network.openSeedEpoch(2, founder, networkKey, list, signed);

        vm.assertEq(uint256(network.seedEpoch()), 2);
        vm.assertEq(network.networkKeyHash(2), keccak256(networkKey));
        vm.assertEq(network.networkKeyHash(1), keccak256(filled(1216, 0x22)));
        vm.assertTrue(network.isAggregator(founder));
        vm.assertTrue(network.isResponder(other));
        vm.assertEq(network.answeredBy(other), founder);
        (uint32 epoch,) = network.begunSeedEpoch();
        vm.assertEq(uint256(epoch), 0);
        // The first one wins.
        expectOpenRevert(OTHER_KEY, 2, list, abi.encodeWithSelector(INetworkManagement.NoEpochBegun.selector));
    }

    /// @dev Whoever holds the old seed alone neither publishes nor answers, until somebody shares the new one.
    function test_openSeedEpoch_leavesOutWhoGotNoShare() public {
        admit(enclave);
        uint256 before = network.fees(operator);
        begin(address(0));
        open(GENESIS_KEY, 2, new INetworkManagement.EpochShare[](0));
        vm.assertTrue(network.isMember(enclave));
        vm.assertFalse(network.isAggregator(enclave));
        vm.assertEq(network.answeredBy(enclave), address(0));
        register(other, 0);
        bytes memory signed = signShare(other, KEY, "old seed");
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.ResponderHoldsNoSeed.selector, enclave));
        network.shareSeed(other, enclave, 2, "old seed", signed);
        admit(enclave);
        vm.assertTrue(network.isAggregator(enclave));
        // Its registration was paid for in the first epoch.
        vm.assertEq(network.fees(operator), before);
    }

    /// @dev A share must not reach whoever was removed after it was made.
    function test_openSeedEpoch_revertsForRemovedMember() public {
        admit(enclave);
        INetworkManagement.Registration memory r = registration(other, 0);
        r.quote = quote(tdxSpec(reportData(r, operator)));
        vm.prank(operator);
        network.register{value: FEE}(r);
        begin(address(0));
        vm.prank(governor);
        attestation.approveMeasurement(tdMeasurement(), 1, START);
        expectOpenRevert(
            GENESIS_KEY, 2, shares(other), abi.encodeWithSelector(INetworkManagement.NotMember.selector, other)
        );
        open(GENESIS_KEY, 2, shares(enclave));
        bytes memory signed = signShare(other, GENESIS_KEY, "seed");
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.NotMember.selector, other));
        network.shareSeed(other, founder, 2, "seed", signed);
    }

    /// @dev Else whoever is given a share could hold the opening up by leaving first, again and again.
    function test_openSeedEpoch_passesOverWhoLeft() public {
        begin(address(0));
        vm.prank(operator);
        network.leave(enclave);
        open(GENESIS_KEY, 2, shares(enclave));
        vm.assertEq(uint256(network.seedEpoch()), 2);
        vm.assertEq(network.answeredBy(enclave), address(0));
        vm.assertEq(uint256(network.node(enclave).seedEpoch), 0);
    }

    function test_openSeedEpoch_passesOverWhoLapsed() public {
        begin(address(0));
        vm.roll(START + LIFETIME_BLOCKS);
        reattest(founder);
        open(GENESIS_KEY, 2, shares(enclave));
        vm.assertEq(network.answeredBy(enclave), address(0));
    }

    /// @dev Shares are public: what is made for a removed machine must not be published, though its node leaves too.
    function test_openSeedEpoch_revertsForRemovedMachineThatLeft() public {
        begin(address(0));
        INetworkManagement.Registration memory r = registration(other, 0);
        r.quote = quote(tdxSpec(reportData(r, operator)));
        vm.startPrank(operator);
        network.register{value: FEE}(r);
        network.leave(other);
        vm.stopPrank();
        vm.prank(governor);
        attestation.approveMeasurement(tdMeasurement(), 1, START);
        expectOpenRevert(
            GENESIS_KEY, 2, shares(other), abi.encodeWithSelector(INetworkManagement.NotMember.selector, other)
        );
    }

    /// @dev A broken TEE opens an epoch and gives nobody a usable share; the owner names who opens the next.
    function test_openSeedEpoch_recoversFromABrokenOpener() public {
        admit(enclave);
        begin(address(0));
        open(KEY, 2, shares(founder));
        reject(GENESIS_KEY, enclave);
        begin(address(0));
        expectOpenRevert(
            GENESIS_KEY,
            3,
            shares(enclave),
            abi.encodeWithSelector(INetworkManagement.ResponderHoldsNoSeed.selector, founder)
        );
        begin(founder);
        expectOpenRevert(
            KEY, 3, shares(founder), abi.encodeWithSelector(INetworkManagement.NotOpener.selector, enclave, founder)
        );
        open(GENESIS_KEY, 3, new INetworkManagement.EpochShare[](0));
        vm.assertTrue(network.isAggregator(founder));
        vm.assertFalse(network.isResponder(enclave));
    }
}
