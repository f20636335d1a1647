// SPDX-License-Identifier: MIT
// Quotes as a quoting enclave makes them, stripped as they travel on L1, and a verifier that accepts them. What does not live
// here: certificates (Pki.sol) and assertions.
pragma solidity 0.8.37;

import {AttestationVerifier} from "../../src/attestation/AttestationVerifier.sol";
import {IAttestationVerifier} from "../../src/interfaces/IAttestationVerifier.sol";
import {Pki} from "./Pki.sol";

abstract contract Quotes is Pki {
    uint256 internal constant ATTESTATION_KEY = 0xa005;
    bytes32 internal constant MEASUREMENT = keccak256("measurement");
    bytes32 internal constant SGX_QE_SIGNER = keccak256("signer of the SGX quoting enclave");
    bytes32 internal constant TDX_QE_SIGNER = keccak256("signer of the TDX quoting enclave");
    uint32 internal constant LIFETIME_BLOCKS = 10_000;
    uint16 internal constant SECURITY_VERSION = 3;

    address internal immutable governor = makeAddress("governor");

    AttestationVerifier internal attestation;

    /// @dev All that varies in a quote. Everything can be spoiled before it is signed.
    struct QuoteSpec {
        bytes header;
        bytes report;
        bytes qe;
        bytes32 authentication;
        bytes32 platform;
        uint256 pckKey;
        uint256 attestationKey;
        bool tdx;
    }

    /// @dev A development verifier that knows the hierarchy and one machine.
    function deployAttestation() internal {
        vm.warp(NOW);
        attestation = new AttestationVerifier(certificate(rootSpec()), true, governor, measurements(), policy());
        attestation.registerAuthority(certificate(caSpec()));
        attestation.registerAuthority(certificate(tcbSignerSpec()));
        attestation.publishCrl(crl(ROOT_NAME, ROOT_KEY, noSerials()));
        attestation.publishCrl(crl(CA_NAME, CA_KEY, noSerials()));
        attestation.registerPlatform(certificate(pckSpec()));
        vm.startPrank(governor);
        attestation.setTcbMinimum(FMSPC, tcbMinimum());
        attestation.setQeIdentity(false, qeIdentity(false));
        attestation.setQeIdentity(true, qeIdentity(true));
        vm.stopPrank();
    }

    function measurements() internal pure returns (bytes32[] memory list) {
        list = new bytes32[](2);
        list[0] = MEASUREMENT;
        list[1] = tdMeasurement();
    }

    function policy() internal pure returns (IAttestationVerifier.Policy memory) {
        return IAttestationVerifier.Policy({
            minimumSecurityVersion: SECURITY_VERSION,
            minimumTcbEvaluation: 17,
            allowedTcbStatuses: 1,
            attestationLifetimeBlocks: LIFETIME_BLOCKS
        });
    }

    function tcbMinimum() internal pure returns (IAttestationVerifier.TcbMinimum memory) {
        return IAttestationVerifier.TcbMinimum({
            sgxComponents: 0x07070202030100050000000000000000,
            pceSvn: PCE_SVN,
            validUntil: uint40(NEXT_MONTH_TIME),
            tdxComponents: 0x05010200000000000000000000000000
        });
    }

    function qeIdentity(bool tdx) internal pure returns (IAttestationVerifier.QeIdentity memory) {
        return IAttestationVerifier.QeIdentity({
            mrSigner: tdx ? TDX_QE_SIGNER : SGX_QE_SIGNER,
            isvProdId: tdx ? 2 : 1,
            minimumIsvSvn: 4,
            miscSelect: 0,
            miscSelectMask: 0xffffffff,
            attributes: 0x11000000000000000000000000000000,
            attributesMask: 0xfbffffffffffffff0000000000000000,
            validUntil: uint40(NEXT_MONTH_TIME)
        });
    }

    function sgxSpec(bytes32 measurement, bytes32 reportData) internal pure returns (QuoteSpec memory q) {
        q = emptySpec(false);
        q.header = bytes.concat(hex"0300020000000000", hex"0a000f00", qeVendor(), new bytes(20));
        q.report = enclaveReport(0x05000000000000000700000000000000, 0, 0, SECURITY_VERSION, reportData);
        patch(q.report, 64, bytes.concat(measurement));
    }

    /// @dev The measurement is {tdMeasurement}.
    function tdxSpec(bytes32 reportData) internal pure returns (QuoteSpec memory q) {
        q = emptySpec(true);
        q.header = bytes.concat(hex"0400020081000000", hex"00000000", qeVendor(), new bytes(20));
        bytes memory svn = bytes.concat(bytes16(0x05010200000000000000000000000000));
        bytes memory module = bytes.concat(filled(48, 0x5e), new bytes(48), new bytes(8));
        bytes memory features = hex"0000001000000000e702060000000000";
        bytes memory configuration = new bytes(144);
        q.report = bytes.concat(svn, module, features, filled(48, 0x77), configuration);
        for (uint8 i = 0; i < 4; i++) {
            q.report = bytes.concat(q.report, filled(48, bytes1(0xa0 + i)));
        }
        q.report = bytes.concat(q.report, reportData, bytes32(0));
    }

    function tdMeasurement() internal pure returns (bytes32) {
        return keccak256(
            bytes.concat(filled(48, 0x77), filled(48, 0xa0), filled(48, 0xa1), filled(48, 0xa2), filled(48, 0xa3))
        );
    }

    /// @dev Signs everything and strips the chain, which was never there.
    function quote(QuoteSpec memory q) internal pure returns (bytes memory) {
        (uint256 x, uint256 y) = vm.publicKeyP256(q.attestationKey);
        patch(q.qe, 320, bytes.concat(sha256(abi.encode(x, y, q.authentication))));
        return signQuote(q);
    }

    /// @dev The same, whatever the QE says of the attestation key.
    function signQuote(QuoteSpec memory q) internal pure returns (bytes memory) {
        (uint256 x, uint256 y) = vm.publicKeyP256(q.attestationKey);
        bytes memory content = bytes.concat(q.header, q.report);
        bytes memory qePart = bytes.concat(q.qe, rawSignature(q.pckKey, sha256(q.qe)), hex"2000", q.authentication);
        if (q.tdx) qePart = bytes.concat(hex"0600e2010000", qePart);
        return bytes.concat(
            bytes.concat(hex"01", q.platform, content),
            q.tdx ? bytes(hex"68020000") : bytes(hex"62020000"),
            bytes.concat(rawSignature(q.attestationKey, sha256(content)), bytes32(x), bytes32(y)),
            qePart
        );
    }

    /// @dev An acceptable quote of an SGX enclave.
    function quote(bytes32 measurement, bytes32 reportData) internal pure returns (bytes memory) {
        return quote(sgxSpec(measurement, reportData));
    }

    function emptySpec(bool tdx) private pure returns (QuoteSpec memory q) {
        q.tdx = tdx;
        q.authentication = keccak256("authentication data");
        q.platform = keyId(PCK_KEY);
        q.pckKey = PCK_KEY;
        q.attestationKey = ATTESTATION_KEY;
        bytes32 signer = tdx ? TDX_QE_SIGNER : SGX_QE_SIGNER;
        q.qe = enclaveReport(0x1500000000000000e700000000000000, signer, tdx ? 2 : 1, 6, 0);
    }

    function enclaveReport(bytes16 attributes, bytes32 signer, uint16 product, uint16 version, bytes32 reportData)
        private
        pure
        returns (bytes memory)
    {
        bytes memory head = bytes.concat(CPU_SVN, new bytes(32), attributes, new bytes(64));
        bytes memory identity = bytes.concat(signer, new bytes(96), littleEndian(product), littleEndian(version));
        return bytes.concat(head, identity, new bytes(60), reportData, bytes32(0));
    }

    function qeVendor() private pure returns (bytes memory) {
        return hex"939a7233f79c4ca9940a0db3957f0607";
    }

    function littleEndian(uint16 value) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(value), uint8(value >> 8));
    }

    /// @dev Overwrites part of `data`.
    function patch(bytes memory data, uint256 at, bytes memory part) internal pure {
        for (uint256 i = 0; i < part.length; i++) {
            data[at + i] = part[i];
        }
    }
}
