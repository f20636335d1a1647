// SPDX-License-Identifier: MIT
// Quotes in the format of IAttestationVerifier: where everything is, and what a quote must be whoever asks. What does not
// live here: the policy (AttestationVerifier.sol), and the certificates behind a quote (X509.sol).
pragma solidity 0.8.37;

import {IAttestationVerifier} from "../interfaces/IAttestationVerifier.sol";
import {Ecdsa} from "./Ecdsa.sol";
import {Slice} from "./Slice.sol";

library Quote {
    using Ecdsa for Ecdsa.Key;
    using Slice for bytes;

    /// @notice What a quote says. Nothing of it is true before {requireSigned}.
    /// @param tdx whether the report is of a TD.
    /// @param platform whose PCK signed the QE's report.
    /// @param digest SHA-256 of header and report.
    /// @param signature of `digest` by `attestationKey`.
    /// @param attestationKey of the QE.
    /// @param binding SHA-256 of the attestation key and the QE's authentication data.
    /// @param qeDigest SHA-256 of the QE's report.
    /// @param qeSignature of `qeDigest` by the PCK.
    /// @param raw the quote, whose reports the other functions read.
    /// @param qe where the QE's report starts.
    struct Evidence {
        bool tdx;
        bytes32 platform;
        bytes32 digest;
        Ecdsa.Signature signature;
        Ecdsa.Key attestationKey;
        bytes32 binding;
        bytes32 qeDigest;
        Ecdsa.Signature qeSignature;
        bytes raw;
        uint256 qe;
    }

    uint256 private constant FORMAT = 1;
    /// @dev Of the bytes before the quote proper: format and platform.
    uint256 private constant PREFIX = 33;
    uint256 private constant HEADER = 48;
    uint256 private constant REPORT = PREFIX + HEADER;
    uint256 private constant SGX_REPORT = 384;
    uint256 private constant TD_REPORT = 584;
    uint256 private constant AUTHENTICATION = 32;
    /// @dev Of a QE's report, its signature and its authentication data with their length.
    uint256 private constant QE_PART = SGX_REPORT + 64 + 2 + AUTHENTICATION;
    uint256 private constant SGX_SIGNATURE_PART = 64 + 64 + QE_PART;
    /// @dev The QE's part is nested, with a type and a length.
    uint256 private constant TDX_SIGNATURE_PART = 64 + 64 + 6 + QE_PART;
    uint256 private constant SGX_LENGTH = REPORT + SGX_REPORT + 4 + SGX_SIGNATURE_PART;
    uint256 private constant TDX_LENGTH = REPORT + TD_REPORT + 4 + TDX_SIGNATURE_PART;

    // Of the header, little-endian: version, attestation key type 2 (ECDSA P-256), TEE type; and the QE's vendor.
    uint256 private constant SGX_V3 = 0x0300020000000000;
    uint256 private constant TDX_V4 = 0x0400020081000000;
    uint256 private constant INTEL_QE = 0x939a7233f79c4ca9940a0db3957f0607;
    /// @dev u16 type 6 and u32 length of the QE's part, little-endian.
    uint256 private constant QE_PART_HEADER = 0x0600e2010000;
    /// @dev u16 length of the authentication data, little-endian.
    uint256 private constant AUTHENTICATION_HEADER = 0x2000;

    // Of an enclave's report.
    uint256 private constant MISCSELECT = 16;
    uint256 private constant ATTRIBUTES = 48;
    uint256 private constant MRENCLAVE = 64;
    uint256 private constant MRSIGNER = 128;
    uint256 private constant ISVPRODID = 256;
    uint256 private constant ISVSVN = 258;
    uint256 private constant SGX_REPORT_DATA = 320;
    /// @dev In the first byte of the attributes.
    uint256 private constant SGX_DEBUG = 0x02;

    // Of a TD's report.
    uint256 private constant TEE_TCB_SVN = 0;
    uint256 private constant MRSIGNERSEAM = 64;
    uint256 private constant SEAMATTRIBUTES = 112;
    uint256 private constant TD_ATTRIBUTES = 120;
    uint256 private constant XFAM = 128;
    uint256 private constant MRTD = 136;
    uint256 private constant RTMRS = 328;
    uint256 private constant TD_REPORT_DATA = 520;

    // Of the TD's attributes, as a number: debugging and profiling; what is reserved; service TDs (17), migration (29).
    uint256 private constant TD_WATCHED = 0x71 | 1 << 29;
    uint256 private constant TD_FORBIDDEN = 0xffff | 1 << 17 | 0xf << 23 | 1 << 29 | 0x3fffffff << 32;
    uint256 private constant TD_SEPT_VE_DISABLE = 1 << 28;
    // Extended features that a TD must, and may, have.
    uint256 private constant XFAM_REQUIRED = 0x3;
    uint256 private constant XFAM_ALLOWED = 0x6dbe7;

    /// @notice Finds the parts of a quote. Requires: the format, and a version and QE that are supported.
    function parse(bytes calldata quote) internal view returns (Evidence memory e) {
        bytes memory raw = quote;
        if (raw.length < REPORT) revert IAttestationVerifier.Malformed();
        if (raw.number(0, 1) != FORMAT || raw.number(PREFIX + 12, 16) != INTEL_QE) {
            revert IAttestationVerifier.UnsupportedQuote();
        }
        uint256 kind = raw.number(PREFIX, 8);
        e.tdx = kind == TDX_V4;
        if (!e.tdx && kind != SGX_V3) revert IAttestationVerifier.UnsupportedQuote();
        if (raw.length != (e.tdx ? TDX_LENGTH : SGX_LENGTH)) revert IAttestationVerifier.Malformed();

        e.raw = raw;
        e.platform = raw.word(1);
        uint256 at = REPORT + (e.tdx ? TD_REPORT : SGX_REPORT);
        e.digest = raw.sha(PREFIX, at);
        if (_littleEndian(raw, at, 4) != (e.tdx ? TDX_SIGNATURE_PART : SGX_SIGNATURE_PART)) {
            revert IAttestationVerifier.Malformed();
        }
        e.signature = Ecdsa.Signature(raw.word(at + 4), raw.word(at + 36));
        e.attestationKey = Ecdsa.Key(raw.word(at + 68), raw.word(at + 100));
        at += 132;
        if (e.tdx) {
            if (raw.number(at, 6) != QE_PART_HEADER) revert IAttestationVerifier.Malformed();
            at += 6;
        }
        e.qe = at;
        at += SGX_REPORT;
        e.qeDigest = raw.sha(e.qe, at);
        e.qeSignature = Ecdsa.Signature(raw.word(at), raw.word(at + 32));
        if (raw.number(at + 64, 2) != AUTHENTICATION_HEADER) revert IAttestationVerifier.Malformed();
        e.binding = sha256(abi.encode(e.attestationKey, raw.word(at + 66)));
    }

    /// @notice Requires: the PCK signed the QE's report, that report vouches for the attestation key, and that key signed
    /// header and report.
    function requireSigned(Evidence memory e, Ecdsa.Key memory pck) internal view {
        bytes32 binding = e.raw.word(e.qe + SGX_REPORT_DATA);
        if (
            binding != e.binding || !pck.isValid(e.qeDigest, e.qeSignature)
                || !e.attestationKey.isValid(e.digest, e.signature)
        ) revert IAttestationVerifier.QuoteNotTrusted();
    }

    /// @notice Requires: the quoting enclave is the one that is described, and no debug enclave.
    function requireQe(Evidence memory e, IAttestationVerifier.QeIdentity memory identity) internal pure {
        bytes memory raw = e.raw;
        uint256 qe = e.qe;
        if (raw.number(qe + ATTRIBUTES, 1) & SGX_DEBUG != 0) revert IAttestationVerifier.DebugEnabled();
        bytes16 attributes = bytes16(uint128(raw.number(qe + ATTRIBUTES, 16)));
        bytes4 miscSelect = bytes4(uint32(raw.number(qe + MISCSELECT, 4)));
        if (
            raw.word(qe + MRSIGNER) != identity.mrSigner || _littleEndian(raw, qe + ISVPRODID, 2) != identity.isvProdId
                || _littleEndian(raw, qe + ISVSVN, 2) < identity.minimumIsvSvn
                || (attributes ^ identity.attributes) & identity.attributesMask != 0
                || (miscSelect ^ identity.miscSelect) & identity.miscSelectMask != 0
        ) revert IAttestationVerifier.QuotingEnclaveNotAdmitted();
    }

    /// @notice Requires: nobody looks into the enclave or TD, and a TD is of a kind that can be trusted.
    function requireClosed(Evidence memory e) internal pure {
        bytes memory raw = e.raw;
        if (!e.tdx) {
            if (raw.number(REPORT + ATTRIBUTES, 1) & SGX_DEBUG != 0) revert IAttestationVerifier.DebugEnabled();
            return;
        }
        uint256 attributes = _littleEndian(raw, REPORT + TD_ATTRIBUTES, 8);
        if (attributes & TD_WATCHED != 0) revert IAttestationVerifier.DebugEnabled();
        uint256 xfam = _littleEndian(raw, REPORT + XFAM, 8);
        uint256 seam = raw.number(REPORT + MRSIGNERSEAM, 32) | raw.number(REPORT + MRSIGNERSEAM + 32, 16)
            | raw.number(REPORT + SEAMATTRIBUTES, 8);
        if (
            attributes & TD_FORBIDDEN != 0 || attributes & TD_SEPT_VE_DISABLE == 0
                || xfam & XFAM_REQUIRED != XFAM_REQUIRED || xfam & ~XFAM_ALLOWED != 0 || seam != 0
        ) revert IAttestationVerifier.TdNotAdmitted();
    }

    /// @notice Requires: the report data are these 32 bytes and 32 zeros.
    function requireReportData(Evidence memory e, bytes32 expected) internal pure {
        uint256 at = REPORT + (e.tdx ? TD_REPORT_DATA : SGX_REPORT_DATA);
        bytes32 actual = e.raw.word(at);
        if (actual != expected || e.raw.word(at + 32) != 0) {
            revert IAttestationVerifier.WrongReportData(actual, expected);
        }
    }

    /// @notice What identifies the program, see {IAttestationVerifier-verify}.
    function measurement(Evidence memory e) internal pure returns (bytes32) {
        bytes memory raw = e.raw;
        if (!e.tdx) return raw.word(REPORT + MRENCLAVE);
        uint256 at = REPORT + MRTD;
        uint256 rtmrs = REPORT + RTMRS;
        return keccak256(
            abi.encodePacked(
                raw.word(at),
                bytes16(uint128(raw.number(at + 32, 16))),
                raw.word(rtmrs),
                raw.word(rtmrs + 32),
                raw.word(rtmrs + 64),
                raw.word(rtmrs + 96),
                raw.word(rtmrs + 128),
                raw.word(rtmrs + 160)
            )
        );
    }

    /// @notice The enclave's own security version. Requires: SGX.
    function securityVersion(Evidence memory e) internal pure returns (uint256) {
        return _littleEndian(e.raw, REPORT + ISVSVN, 2);
    }

    /// @notice The component security versions of the TDX module. Requires: TDX.
    function tdxComponents(Evidence memory e) internal pure returns (bytes16) {
        return bytes16(uint128(e.raw.number(REPORT + TEE_TCB_SVN, 16)));
    }

    /// @notice Whether each byte is at least the one of the minimum.
    function reaches(bytes16 components, bytes16 minimum) internal pure returns (bool) {
        // Two bytes per lane, in two halves: a borrow would clear the bit above the byte.
        uint256 carry = 0x01000100010001000100010001000100;
        uint256 bytes_ = 0x00ff00ff00ff00ff00ff00ff00ff00ff;
        uint256 a = uint128(components);
        uint256 b = uint128(minimum);
        uint256 low = ((a & bytes_) | carry) - (b & bytes_);
        uint256 high = ((a >> 8 & bytes_) | carry) - (b >> 8 & bytes_);
        return low & high & carry == carry;
    }

    /// @dev Turns the bytes around.
    function _littleEndian(bytes memory raw, uint256 at, uint256 length) private pure returns (uint256 value) {
        uint256 number = raw.number(at, length);
        for (uint256 i = 0; i < length; i++) {
            value = value << 8 | number & 0xff;
            number >>= 8;
        }
    }
}
