// SPDX-License-Identifier: MIT
// Tests of what the owner of an AttestationVerifier decides, and of what members are asked by. What does not live here: how a
// quote fares under it (Verify.t.sol).
pragma solidity 0.8.37;

import {IAttestationVerifier} from "../../src/interfaces/IAttestationVerifier.sol";
import {Quotes} from "../support/Quotes.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

contract PolicyTest is Quotes {
    bytes32 private constant DATA = keccak256("report data");
    address private immutable stranger = makeAddress("stranger");

    function setUp() public {
        vm.roll(1000);
        deployAttestation();
    }

    function admissionOf(bytes32 measurement) private view returns (uint40 admission) {
        (,, admission) = attestation.verify(quote(measurement, DATA), DATA);
    }

    function test_everything_revertsForStrangers() public {
        bytes memory error = abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, stranger);
        vm.startPrank(stranger);
        vm.expectRevert(error);
        attestation.approveMeasurement(MEASUREMENT, 1, 0);
        vm.expectRevert(error);
        attestation.setPolicy(policy());
        vm.expectRevert(error);
        attestation.setTcbMinimum(FMSPC, tcbMinimum());
        vm.expectRevert(error);
        attestation.setQeIdentity(false, qeIdentity(false));
        vm.expectRevert(error);
        attestation.removeMachine(machineOf(PPID));
        vm.expectRevert(error);
        attestation.readmitMachine(machineOf(PPID));
        vm.stopPrank();
    }

    function test_transferOwnership_takesTwoSteps() public {
        vm.prank(governor);
        attestation.transferOwnership(stranger);
        vm.assertEq(attestation.owner(), governor);
        vm.prank(stranger);
        attestation.acceptOwnership();
        vm.assertEq(attestation.owner(), stranger);
    }

    // approveMeasurement

    function test_approveMeasurement_revertsForArguments() public {
        vm.startPrank(governor);
        vm.expectRevert(IAttestationVerifier.BadArgument.selector);
        attestation.approveMeasurement(0, 1, 0);
        vm.expectRevert(IAttestationVerifier.BadArgument.selector);
        attestation.approveMeasurement(MEASUREMENT, 0, 0);
        vm.expectRevert(IAttestationVerifier.BadArgument.selector);
        attestation.approveMeasurement(MEASUREMENT, 10, 10);
        vm.stopPrank();
    }

    /// @dev An upgrade: the new one begins, both run, the old one ends.
    function test_approveMeasurement_oldAndNewSideBySide() public {
        uint40 old = admissionOf(MEASUREMENT);
        bytes32 next = keccak256("next");
        vm.startPrank(governor);
        vm.expectEmit(address(attestation));
        emit IAttestationVerifier.MeasurementApproved(next, 1010, 0);
        attestation.approveMeasurement(next, 1010, 0);
        attestation.approveMeasurement(MEASUREMENT, 1, 1020);
        vm.stopPrank();
        vm.assertFalse(attestation.isAdmitted(next, machineOf(PPID)));
        vm.roll(1010);
        vm.assertTrue(attestation.isAdmitted(next, machineOf(PPID)));
        uint40 admission = admissionOf(next);
        vm.assertTrue(admission != old);
        vm.roll(1019);
        vm.assertTrue(attestation.isCurrent(old, 1000));
        vm.roll(1020);
        vm.assertFalse(attestation.isCurrent(old, 1000));
        vm.assertTrue(attestation.isCurrent(admission, 1000));
        vm.assertFalse(attestation.isAdmitted(MEASUREMENT, machineOf(PPID)));
        vm.assertEq(uint256(attestation.approval(MEASUREMENT).sunsetBlock), 1020);
        vm.assertEq(uint256(attestation.approval(next).activationBlock), 1010);

        vm.prank(governor);
        attestation.approveMeasurement(MEASUREMENT, 1, 0);
        vm.assertTrue(attestation.isCurrent(old, 1000));
        vm.assertTrue(admissionOf(MEASUREMENT) == old);
    }

    // setPolicy

    function test_setPolicy_revertsWithoutLifetime() public {
        IAttestationVerifier.Policy memory p = policy();
        p.attestationLifetimeBlocks = 0;
        vm.expectRevert(IAttestationVerifier.BadArgument.selector);
        vm.prank(governor);
        attestation.setPolicy(p);
    }

    function test_setPolicy_changesTheLifetime() public {
        uint40 admission = admissionOf(MEASUREMENT);
        vm.roll(1000 + LIFETIME_BLOCKS);
        vm.assertTrue(attestation.isCurrent(admission, 1000));
        vm.roll(1001 + LIFETIME_BLOCKS);
        vm.assertFalse(attestation.isCurrent(admission, 1000));
        IAttestationVerifier.Policy memory p = policy();
        p.attestationLifetimeBlocks = LIFETIME_BLOCKS + 1;
        vm.expectEmit(address(attestation));
        emit IAttestationVerifier.PolicyChanged(p);
        vm.prank(governor);
        attestation.setPolicy(p);
        vm.assertTrue(attestation.isCurrent(admission, 1000));
        vm.assertEq(uint256(attestation.policy().attestationLifetimeBlocks), LIFETIME_BLOCKS + 1);
        // Not of the future.
        vm.assertFalse(attestation.isCurrent(admission, vm.getBlockNumber() + 1));
        vm.assertFalse(attestation.isCurrent(admission, type(uint256).max));
    }

    // setTcbMinimum, setQeIdentity

    function test_setTcbMinimum_announces() public {
        vm.expectEmit(address(attestation));
        emit IAttestationVerifier.TcbMinimumChanged(FMSPC, tcbMinimum());
        vm.prank(governor);
        attestation.setTcbMinimum(FMSPC, tcbMinimum());
    }

    function test_setQeIdentity_revertsWithoutSigner() public {
        IAttestationVerifier.QeIdentity memory identity = qeIdentity(true);
        identity.mrSigner = 0;
        vm.expectRevert(IAttestationVerifier.BadArgument.selector);
        vm.prank(governor);
        attestation.setQeIdentity(true, identity);
    }

    function test_setQeIdentity_announces() public {
        vm.expectEmit(address(attestation));
        emit IAttestationVerifier.QeIdentityChanged(true, qeIdentity(true));
        vm.prank(governor);
        attestation.setQeIdentity(true, qeIdentity(true));
    }

    // removeMachine, readmitMachine

    function test_removeMachine_endsWhatRunsOnIt() public {
        uint40 admission = admissionOf(MEASUREMENT);
        bytes32 machine = machineOf(PPID);
        vm.expectEmit(address(attestation));
        emit IAttestationVerifier.MachineRemoved(machine);
        vm.prank(governor);
        attestation.removeMachine(machine);
        vm.assertTrue(attestation.isRemoved(machine));
        vm.assertFalse(attestation.isCurrent(admission, 1000));
        vm.assertFalse(attestation.isAdmitted(MEASUREMENT, machine));

        vm.expectEmit(address(attestation));
        emit IAttestationVerifier.MachineReadmitted(machine);
        vm.prank(governor);
        attestation.readmitMachine(machine);
        vm.assertFalse(attestation.isRemoved(machine));
        vm.assertTrue(attestation.isCurrent(admission, 1000));
    }

    function test_removeMachine_beforeItRegisters() public {
        bytes16 ppid = bytes16(uint128(42));
        vm.prank(governor);
        attestation.removeMachine(machineOf(ppid));
        CertificateSpec memory c = pckSpec(sgxExtension(ppid, CPU_SVN, PCE_SVN, FMSPC));
        (c.key, c.serial) = (42, 42);
        attestation.registerPlatform(certificate(c));
        QuoteSpec memory q = sgxSpec(MEASUREMENT, DATA);
        (q.pckKey, q.platform) = (42, keyId(42));
        bytes memory signed = quote(q);
        vm.expectRevert(abi.encodeWithSelector(IAttestationVerifier.MachineNotAdmitted.selector, machineOf(ppid)));
        attestation.verify(signed, DATA);
        // The other machine is not meant.
        attestation.verify(quote(MEASUREMENT, DATA), DATA);
    }

    // views

    function test_admitted_isZeroForUnknown(uint40 admission) public view {
        vm.assume(admission >> 24 > 2 && admission & 0xffffff > 1);
        (bytes32 measurement, bytes32 machine) = attestation.admitted(admission);
        vm.assertEq(measurement, 0);
        vm.assertEq(machine, 0);
        vm.assertFalse(attestation.isCurrent(admission, 1000));
        (measurement, machine) = attestation.admitted(0);
        vm.assertEq(measurement, 0);
        vm.assertEq(machine, 0);
        vm.assertFalse(attestation.isCurrent(0, 1000));
    }
}
