// SPDX-License-Identifier: MIT
// The verifier against the certificates and quotes of the software TEE in ../vectors/attestation, which the enclaves' own
// verifier reads as well: both accept and refuse the same, for the same reason. What does not live here: fixtures of these
// tests' own (Quotes.sol), and Intel's quotes (IntelSamples.t.sol).
pragma solidity 0.8.37;

import {AttestationVerifier} from "../../src/attestation/AttestationVerifier.sol";
import {IAttestationVerifier} from "../../src/interfaces/IAttestationVerifier.sol";
import {Quotes} from "../support/Quotes.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";

contract SoftwareTeeTest is Quotes {
    string private constant DIRECTORY = "../vectors/attestation/";
    uint16 private constant MINIMUM = 1;

    string private sgx;
    string private tdx;

    function requireFiles() private {
        bool present = vm.exists(string.concat(DIRECTORY, "refused.json"));
        vm.skip(!present, "no quotes of the software TEE: ../vectors/attestation is missing");
    }

    function load(string memory name) private view returns (string memory) {
        return vm.readFile(string.concat(DIRECTORY, name));
    }

    function field(string memory json, string memory key) private pure returns (bytes memory) {
        return vm.parseBytes(vm.parseJsonString(json, key));
    }

    /// @dev Everything that the files say of one network.
    function deploy() private {
        sgx = load("sgx.json");
        tdx = load("tdx.json");
        vm.warp(vm.parseJsonUint(sgx, ".time"));
        bytes32[] memory approved = new bytes32[](2);
        approved[0] = vm.parseJsonBytes32(sgx, ".attested.measurement");
        approved[1] = vm.parseJsonBytes32(tdx, ".attested.measurement");
        IAttestationVerifier.Policy memory p = policy();
        p.minimumSecurityVersion = MINIMUM;
        attestation = new AttestationVerifier(field(sgx, ".collateral.rootCertificate"), true, governor, approved, p);
        attestation.registerAuthority(field(sgx, ".collateral.pckCaCertificate"));
        attestation.registerAuthority(field(sgx, ".collateral.tcbSignerCertificate"));
        attestation.publishCrl(field(sgx, ".collateral.rootCrl"));
        attestation.publishCrl(field(sgx, ".collateral.pckCrl"));
        attestation.registerPlatform(field(sgx, ".collateral.pckCertificate"));
        publishCollateral(sgx);
        publishCollateral(tdx);
        setMinima();
    }

    function publishCollateral(string memory json) private {
        attestation.publishCollateral(
            bytes(vm.parseJsonString(json, ".collateral.tcbInfo")), field(json, ".collateral.tcbInfoSignature")
        );
        attestation.publishCollateral(
            bytes(vm.parseJsonString(json, ".collateral.qeIdentity")), field(json, ".collateral.qeIdentitySignature")
        );
    }

    /// @dev The best level of the TCB info, and the QE identities.
    function setMinima() private {
        uint40 validUntil = uint40(vm.parseJsonUint(sgx, ".attested.expires"));
        string memory machine = load("machine.json");
        IAttestationVerifier.TcbMinimum memory minimum;
        minimum.sgxComponents = bytes16(field(machine, ".cpuSvn"));
        minimum.pceSvn = uint16(vm.parseJsonUint(machine, ".pceSvn"));
        minimum.tdxComponents = bytes16(field(machine, ".teeTcbSvn"));
        minimum.validUntil = validUntil;
        IAttestationVerifier.QeIdentity memory qe = qeIdentity(false);
        qe.mrSigner = 0x8c4f5775d796503e96137f77c68a829a0056ac8ded70140b081b094490c57bff;
        (qe.minimumIsvSvn, qe.validUntil) = (8, validUntil);
        IAttestationVerifier.QeIdentity memory tdQe = qeIdentity(true);
        tdQe.mrSigner = 0xdc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5;
        tdQe.validUntil = validUntil;
        vm.startPrank(governor);
        attestation.setTcbMinimum(bytes6(field(machine, ".fmspc")), minimum);
        attestation.setQeIdentity(false, qe);
        attestation.setQeIdentity(true, tdQe);
        vm.stopPrank();
    }

    function requireAttested(string memory json) private view {
        (bytes32 measurement, bytes32 machine,) =
            attestation.verify(field(json, ".stripped"), vm.parseJsonBytes32(json, ".reportData"));
        vm.assertEq(measurement, vm.parseJsonBytes32(json, ".attested.measurement"));
        vm.assertEq(machine, vm.parseJsonBytes32(json, ".attested.machine"));
    }

    function test_accepts() public {
        requireFiles();
        deploy();
        requireAttested(sgx);
        requireAttested(tdx);
    }

    function test_refuses() public {
        requireFiles();
        deploy();
        string memory json = load("refused.json");
        uint256 count = 0;
        for (; vm.keyExistsJson(json, string.concat("[", Strings.toString(count), "]")); count++) {
            string memory key = string.concat("[", Strings.toString(count), "]");
            bytes memory q = field(json, string.concat(key, ".stripped"));
            vm.expectPartialRevert(errorOf(vm.parseJsonString(json, string.concat(key, ".refusal"))));
            attestation.verify(q, vm.parseJsonBytes32(sgx, ".reportData"));
        }
        vm.assertTrue(count != 0);
    }

    /// @dev What the enclaves' verifier calls it, and what this one does.
    function errorOf(string memory refusal) private pure returns (bytes4) {
        bytes32 name = keccak256(bytes(refusal));
        if (name == keccak256("Debug")) return IAttestationVerifier.DebugEnabled.selector;
        if (name == keccak256("Measurement")) return IAttestationVerifier.MeasurementNotAdmitted.selector;
        if (name == keccak256("SecurityVersion")) return IAttestationVerifier.SecurityVersionTooLow.selector;
        if (name == keccak256("ReportData")) return IAttestationVerifier.WrongReportData.selector;
        if (name == keccak256("TrustDomain")) return IAttestationVerifier.TdNotAdmitted.selector;
        // Below every level that is allowed.
        if (name == keccak256("UnknownTcbLevel")) return IAttestationVerifier.TcbTooLow.selector;
        if (name == keccak256("TcbStatus")) return IAttestationVerifier.TcbTooLow.selector;
        revert(string.concat("no such refusal: ", refusal));
    }

    function test_refusesRevokedMachine() public {
        requireFiles();
        deploy();
        attestation.publishCrl(field(load("revocation_lists.json"), ".machine"));
        bytes memory q = field(sgx, ".stripped");
        vm.expectRevert(IAttestationVerifier.Revoked.selector);
        attestation.verify(q, vm.parseJsonBytes32(sgx, ".reportData"));
    }

    function test_refusesRevokedCa() public {
        requireFiles();
        deploy();
        attestation.publishCrl(field(load("revocation_lists.json"), ".pckCa"));
        bytes memory q = field(tdx, ".stripped");
        vm.expectRevert(IAttestationVerifier.Revoked.selector);
        attestation.verify(q, vm.parseJsonBytes32(tdx, ".reportData"));
    }

    function test_refusesOtherRoot() public {
        requireFiles();
        deploy();
        string memory other = load("other_authority.json");
        bytes memory der = field(other, ".pckCa.certificate");
        vm.expectRevert(IAttestationVerifier.UnknownIssuer.selector);
        attestation.registerAuthority(der);
        der = field(other, ".machine.pck.certificate");
        vm.expectRevert(IAttestationVerifier.UnknownIssuer.selector);
        attestation.registerPlatform(der);
    }
}
