// SPDX-License-Identifier: MIT
// Tests of attesting again, and of how long a node is a member. What does not live here: the first attestation
// (Register.t.sol), and the policy itself (attestation/Policy.t.sol).
pragma solidity 0.8.37;

import {IAttestationVerifier} from "../../src/interfaces/IAttestationVerifier.sol";
import {INetworkManagement} from "../../src/interfaces/INetworkManagement.sol";
import {Network} from "../support/Network.sol";

contract NetworkAttestationTest is Network {
    address private immutable enclave = vm.addr(0xe1);
    bytes32 private immutable keyHash = keysHash();

    function setUp() public {
        deployNetwork();
        registerGenesis();
        vm.roll(START + 100);
    }

    function expectReattestRevert(bytes memory q, bytes32 key, uint64 l1Block, bytes memory error) private {
        vm.expectRevert(error);
        network.reattest(founder, q, key, l1Block);
    }

    function test_reattest_revertsForUnknownNodes() public {
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.NotRegistered.selector, enclave));
        network.reattest(enclave, "", keyHash, START);
        vm.prank(operator);
        network.leave(founder);
        expectReattestRevert(
            "", keyHash, START, abi.encodeWithSelector(INetworkManagement.NodeHasLeft.selector, founder)
        );
    }

    function test_reattest_revertsForBlock() public {
        uint64 current = uint64(vm.getBlockNumber());
        expectReattestRevert(
            "", keyHash, current, abi.encodeWithSelector(INetworkManagement.StaleBlock.selector, current)
        );
        // The block of the registration, whose quote could be shown again and again.
        expectReattestRevert(
            requote(founder, START - 1),
            keyHash,
            START - 1,
            abi.encodeWithSelector(INetworkManagement.NotNewer.selector, START - 1, START - 1)
        );
    }

    /// @dev Another enclave, owner, key or block than the quote's.
    function test_reattest_revertsForOtherReportData() public {
        uint64 l1Block = START + 99;
        bytes[4] memory quotes = [
            requote(enclave, l1Block),
            quoteFor(governor, keyHash, l1Block),
            quoteFor(operator, "other key", l1Block),
            requote(founder, START + 98)
        ];
        for (uint256 i = 0; i < quotes.length; i++) {
            vm.expectPartialRevert(IAttestationVerifier.WrongReportData.selector);
            network.reattest(founder, quotes[i], keyHash, l1Block);
        }
    }

    function quoteFor(address owner, bytes32 key, uint64 l1Block) private view returns (bytes memory) {
        bytes32 data = reportData(founder, owner, key, l1Block, keccak256(""), keccak256(""));
        return quote(MEASUREMENT, data);
    }

    function test_reattest_movesTheDeadline() public {
        uint64 l1Block = START + 99;
        bytes memory q = requote(founder, l1Block);
        vm.expectEmit(address(network));
        emit INetworkManagement.NodeReattested(founder, q, keyHash, l1Block, blockhash(l1Block));
        network.reattest(founder, q, keyHash, l1Block);
        vm.assertEq(uint256(network.node(founder).attestedAt), l1Block);
        vm.roll(l1Block + LIFETIME_BLOCKS);
        vm.assertTrue(network.isAggregator(founder));
        vm.roll(l1Block + LIFETIME_BLOCKS + 1);
        vm.assertFalse(network.isMember(founder));
    }

    function test_membership_lapsesAndComesBack() public {
        vm.roll(START - 1 + LIFETIME_BLOCKS);
        vm.assertTrue(network.isAggregator(founder));
        vm.roll(START + LIFETIME_BLOCKS);
        vm.assertFalse(network.isMember(founder));
        vm.assertFalse(network.isResponder(founder));
        vm.assertFalse(network.isAggregator(founder));
        vm.assertEq(network.aggregatorOwner(founder), address(0));
        // All nodes were down for long; the first that returns is enough.
        reattest(founder);
        vm.assertTrue(network.isAggregator(founder));
    }

    function test_membership_endsWithItsMachineOrMeasurement() public {
        vm.prank(governor);
        attestation.removeMachine(machineOf(PPID));
        vm.assertFalse(network.isAggregator(founder));
        vm.prank(governor);
        attestation.readmitMachine(machineOf(PPID));
        vm.assertTrue(network.isAggregator(founder));
        vm.prank(governor);
        attestation.approveMeasurement(MEASUREMENT, 1, START + 200);
        vm.roll(START + 199);
        vm.assertTrue(network.isAggregator(founder));
        vm.roll(START + 200);
        vm.assertFalse(network.isAggregator(founder));
    }

    /// @dev The same keys in another program on another machine, both admitted.
    function test_reattest_followsProgramAndMachine() public {
        bytes16 ppid = bytes16(uint128(5));
        CertificateSpec memory c = pckSpec(sgxExtension(ppid, CPU_SVN, PCE_SVN, FMSPC));
        (c.key, c.serial) = (0x55, 0x55);
        attestation.registerPlatform(certificate(c));
        uint64 l1Block = START + 99;
        QuoteSpec memory q = tdxSpec(reportData(founder, operator, keyHash, l1Block, keccak256(""), keccak256("")));
        (q.pckKey, q.platform) = (0x55, keyId(0x55));
        network.reattest(founder, quote(q), keyHash, l1Block);
        (bytes32 measurement, bytes32 machine) = attestation.admitted(network.node(founder).admission);
        vm.assertEq(measurement, tdMeasurement());
        vm.assertEq(machine, machineOf(ppid));
        vm.prank(governor);
        attestation.removeMachine(machineOf(PPID));
        vm.assertTrue(network.isAggregator(founder));
    }
}
