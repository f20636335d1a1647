// SPDX-License-Identifier: MIT
// Quotes and collateral of real machines, as Intel signed them: accepted under Intel's root at their date, and under no other.
// The files are outside of this repository; without them the tests are skipped. What does not live here: every reason to
// refuse a quote (Verify.t.sol).
pragma solidity 0.8.37;

import {AttestationVerifier} from "../../src/attestation/AttestationVerifier.sol";
import {IAttestationVerifier} from "../../src/interfaces/IAttestationVerifier.sol";
import {Quotes} from "../support/Quotes.sol";
import {Base64} from "@openzeppelin/contracts/utils/Base64.sol";

contract IntelSamplesTest is Quotes {
    string private constant DIRECTORY = "../../shared/vectors/dcap/";
    /// @dev 2025-06-20, noon.
    uint256 private constant SAMPLED = 1_750_420_800;
    bytes6 private constant SGX_FMSPC = 0x00a067110000;
    bytes6 private constant TDX_FMSPC = 0xb0c06f000000;

    /// @dev A quote as it travels, and its certificates: of the machine, of its CA, of the root.
    struct Sample {
        bytes quote;
        bytes pck;
        bytes ca;
        bytes root;
        string collateral;
    }

    function setUp() public {
        vm.warp(SAMPLED);
    }

    function requireFiles() private {
        bool present = false;
        // Where the folder is missing altogether, even asking is not permitted.
        try vm.exists(string.concat(DIRECTORY, "sgx_quote")) returns (bool exists) {
            present = exists;
        } catch {}
        vm.skip(!present, "no Intel samples: ../../shared/vectors/dcap is missing");
    }

    function load(string memory name, uint256 stripped) private view returns (Sample memory s) {
        bytes memory file = vm.readFileBinary(string.concat(DIRECTORY, name));
        s.collateral = vm.readFile(string.concat(DIRECTORY, name, "_collateral.json"));
        bytes[] memory chain = certificates(part(file, stripped + 6, file.length));
        (s.pck, s.ca, s.root) = (chain[0], chain[1], chain[2]);
        s.quote = bytes.concat(hex"01", platformOf(s.pck), part(file, 0, stripped));
    }

    function loadSgx() private view returns (Sample memory s) {
        s = load("sgx_quote", 1046);
        patch(s.quote, 33 + 432, hex"62020000");
    }

    function loadTdx() private view returns (Sample memory s) {
        s = load("tdx_quote", 1252);
        patch(s.quote, 33 + 632, hex"68020000");
        patch(s.quote, 33 + 766, hex"e2010000");
    }

    /// @dev A production verifier that knows everything of the sample, and what Intel's own collateral says.
    function deployFor(Sample memory s, bytes32 measurement) private {
        bytes32[] memory approved = new bytes32[](1);
        approved[0] = measurement;
        IAttestationVerifier.Policy memory p = policy();
        p.minimumSecurityVersion = 0;
        attestation = new AttestationVerifier(s.root, false, governor, approved, p);
        attestation.registerAuthority(s.ca);
        attestation.registerAuthority(
            certificates(bytes(vm.parseJsonString(s.collateral, ".tcb_info_issuer_chain")))[0]
        );
        attestation.registerPlatform(s.pck);
        attestation.publishCrl(hexOf(s, ".root_ca_crl"));
        attestation.publishCrl(hexOf(s, ".pck_crl"));
        attestation.publishCollateral(
            bytes(vm.parseJsonString(s.collateral, ".tcb_info")), hexOf(s, ".tcb_info_signature")
        );
        attestation.publishCollateral(
            bytes(vm.parseJsonString(s.collateral, ".qe_identity")), hexOf(s, ".qe_identity_signature")
        );
        setMinima();
    }

    function setMinima() private {
        uint40 validUntil = uint40(SAMPLED + 30 days);
        IAttestationVerifier.QeIdentity memory sgx = qeIdentity(false);
        sgx.mrSigner = 0x8c4f5775d796503e96137f77c68a829a0056ac8ded70140b081b094490c57bff;
        (sgx.minimumIsvSvn, sgx.validUntil) = (8, validUntil);
        IAttestationVerifier.QeIdentity memory tdx = qeIdentity(true);
        tdx.mrSigner = 0xdc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5;
        (tdx.minimumIsvSvn, tdx.validUntil) = (4, validUntil);
        vm.startPrank(governor);
        attestation.setQeIdentity(false, sgx);
        attestation.setQeIdentity(true, tdx);
        attestation.setTcbMinimum(
            SGX_FMSPC, IAttestationVerifier.TcbMinimum(0x0b0b0202ff0100000000000000000000, 13, validUntil, 0)
        );
        bytes16 module = 0x05010200000000000000000000000000;
        attestation.setTcbMinimum(
            TDX_FMSPC, IAttestationVerifier.TcbMinimum(0x02020202030100050000000000000000, 11, validUntil, module)
        );
        vm.stopPrank();
    }

    function test_sgx_verifiesUnderIntelsRoot() public {
        requireFiles();
        Sample memory s = loadSgx();
        bytes32 measurement = bytes32(part(s.quote, 33 + 48 + 64, 33 + 48 + 96));
        deployFor(s, measurement);
        (bytes32 found,,) = attestation.verify(s.quote, bytes32("Hello, world!"));
        vm.assertEq(found, measurement);
    }

    /// @dev This TD filled all 64 bytes of its report data, which is the last thing to be refused.
    function test_tdx_verifiesUnderIntelsRoot() public {
        requireFiles();
        Sample memory s = loadTdx();
        bytes memory mrtd = part(s.quote, 33 + 48 + 136, 33 + 48 + 184);
        bytes memory rtmrs = part(s.quote, 33 + 48 + 328, 33 + 48 + 520);
        bytes32 data = bytes32(part(s.quote, 33 + 48 + 520, 33 + 48 + 552));
        deployFor(s, keccak256(bytes.concat(mrtd, rtmrs)));
        vm.expectRevert(abi.encodeWithSelector(IAttestationVerifier.WrongReportData.selector, data, data));
        attestation.verify(s.quote, data);
        // Without its measurement it does not get there.
        deployFor(s, keccak256("other"));
        vm.expectPartialRevert(IAttestationVerifier.MeasurementNotAdmitted.selector);
        attestation.verify(s.quote, data);
    }

    function test_sgx_isNotTrustedWhenAltered() public {
        requireFiles();
        Sample memory s = loadSgx();
        deployFor(s, keccak256("any"));
        s.quote[33 + 48 + 64] ^= 0x01;
        vm.expectRevert(IAttestationVerifier.QuoteNotTrusted.selector);
        attestation.verify(s.quote, bytes32("Hello, world!"));
    }

    function test_sgx_expires() public {
        requireFiles();
        Sample memory s = loadSgx();
        deployFor(s, bytes32(part(s.quote, 33 + 48 + 64, 33 + 48 + 96)));
        vm.warp(SAMPLED + 60 days);
        vm.expectPartialRevert(IAttestationVerifier.CrlExpired.selector);
        attestation.verify(s.quote, bytes32("Hello, world!"));
    }

    /// @dev TDX 1.5 in quotes of version 5 is for later.
    function test_tdxOfVersion5_isUnsupported() public {
        requireFiles();
        deployFor(loadTdx(), keccak256("any"));
        bytes memory file = vm.readFileBinary(string.concat(DIRECTORY, "tdx_quote_outdated"));
        vm.expectRevert(IAttestationVerifier.UnsupportedQuote.selector);
        attestation.verify(bytes.concat(hex"01", bytes32(0), part(file, 0, 1252)), 0);
    }

    function test_both_failUnderADevelopmentRoot() public {
        requireFiles();
        deployAttestation();
        vm.warp(NOW);
        for (uint256 i = 0; i < 2; i++) {
            Sample memory s = i == 0 ? loadSgx() : loadTdx();
            vm.expectRevert(IAttestationVerifier.UnknownIssuer.selector);
            attestation.registerAuthority(s.ca);
            vm.expectRevert(IAttestationVerifier.UnknownIssuer.selector);
            attestation.registerPlatform(s.pck);
            vm.expectRevert(abi.encodeWithSelector(IAttestationVerifier.UnknownPlatform.selector, platformOf(s.pck)));
            attestation.verify(s.quote, bytes32("Hello, world!"));
        }
    }

    function test_development_failsUnderIntelsRoot() public {
        requireFiles();
        deployFor(loadSgx(), MEASUREMENT);
        bytes memory der = certificate(caSpec());
        vm.expectRevert(IAttestationVerifier.UnknownIssuer.selector);
        attestation.registerAuthority(der);
        der = certificate(pckSpec());
        vm.expectRevert(IAttestationVerifier.UnknownIssuer.selector);
        attestation.registerPlatform(der);
        bytes memory q = quote(MEASUREMENT, 0);
        vm.expectRevert(abi.encodeWithSelector(IAttestationVerifier.UnknownPlatform.selector, keyId(PCK_KEY)));
        attestation.verify(q, 0);
    }

    /// forge-config: default.isolate = true
    function test_gas() public {
        requireFiles();
        Sample memory s = loadTdx();
        deployFor(s, keccak256("any"));
        attestation = new AttestationVerifier(s.root, false, governor, new bytes32[](0), policy());
        attestation.registerAuthority(s.ca);
        attestation.publishCrl(hexOf(s, ".pck_crl"));
        vm.snapshotGasLastCall("publishCrl of the platform CA, all new");
    }

    function hexOf(Sample memory s, string memory key) private pure returns (bytes memory) {
        return vm.parseBytes(string.concat("0x", vm.parseJsonString(s.collateral, key)));
    }

    /// @dev keccak256 of the key, which follows P-256's identifier and a head of four bytes.
    function platformOf(bytes memory der) private pure returns (bytes32) {
        bytes32 curve = keccak256(hex"2a8648ce3d03010703420004");
        for (uint256 i = 0; i + 76 <= der.length; i++) {
            if (keccak256(part(der, i, i + 12)) == curve) return keccak256(part(der, i + 12, i + 76));
        }
        revert("no key");
    }

    /// @dev The certificates in PEM, in their order.
    function certificates(bytes memory pem) private pure returns (bytes[] memory list) {
        list = new bytes[](3);
        uint256 count = 0;
        uint256 at = 0;
        while (count < list.length) {
            (uint256 begin, bool found) = find(pem, at, "-----BEGIN CERTIFICATE-----");
            if (!found) break;
            (uint256 end,) = find(pem, begin, "-----END CERTIFICATE-----");
            list[count++] = Base64.decode(string(withoutBreaks(part(pem, begin + 27, end))));
            at = end;
        }
        assembly {
            mstore(list, count)
        }
    }

    function find(bytes memory data, uint256 at, bytes memory what) private pure returns (uint256, bool) {
        for (; at + what.length <= data.length; at++) {
            // Comparing the first byte first: the rest is dear.
            if (data[at] == what[0] && keccak256(part(data, at, at + what.length)) == keccak256(what)) {
                return (at, true);
            }
        }
        return (at, false);
    }

    function withoutBreaks(bytes memory text) private pure returns (bytes memory) {
        uint256 length = 0;
        for (uint256 i = 0; i < text.length; i++) {
            if (text[i] != "\n" && text[i] != "\r") text[length++] = text[i];
        }
        assembly {
            mstore(text, length)
        }
        return text;
    }

    function part(bytes memory data, uint256 from, uint256 to) private pure returns (bytes memory result) {
        result = new bytes(to - from);
        assembly {
            mcopy(add(result, 32), add(add(data, 32), from), sub(to, from))
        }
    }
}
