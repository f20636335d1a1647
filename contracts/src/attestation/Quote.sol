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

    /// @notice A quote whose length is right, so that its parts can be read without looking. Nothing that it says is true
    /// before {requireSigned}.
    /// @param raw the quote as it travels.
    /// @param tdx whether the report is of a TD.
    /// @param qe where the QE's report starts.
    struct Evidence {
        bytes raw;
        bool tdx;
        uint256 qe;
    }

    // Numbers instead of sums: the compiler would add them up every time.
    uint256 private constant FORMAT = 1;
    /// @dev Where header and report start, after format and platform.
    uint256 private constant HEADER = 33;
    uint256 private constant REPORT = 81;
    /// @dev Where header and report end.
    uint256 private constant SGX_REPORT_END = 465;
    uint256 private constant TDX_REPORT_END = 665;
    uint256 private constant SGX_LENGTH = 1079;
    uint256 private constant TDX_LENGTH = 1285;
    /// @dev From the QE's report to the end.
    uint256 private constant QE_PART = 482;
    uint256 private constant QE_REPORT = 384;

    // In the header, little-endian: version, attestation key type 2 (ECDSA P-256), TEE type; and the QE's vendor.
    uint256 private constant SGX_V3 = 0x0300020000000000;
    uint256 private constant TDX_V4 = 0x0400020081000000;
    uint256 private constant INTEL_QE = 0x939a7233f79c4ca9940a0db3957f0607;
    // u32 length of what follows the report, little-endian.
    uint256 private constant SGX_SIGNATURE_HEADER = 0x62020000;
    uint256 private constant TDX_SIGNATURE_HEADER = 0x68020000;
    /// @dev u16 type 6 and u32 length of the QE's part, little-endian.
    uint256 private constant QE_PART_HEADER = 0x0600e2010000;
    /// @dev u16 length of the authentication data, little-endian.
    uint256 private constant AUTHENTICATION_HEADER = 0x2000;

    uint256 private constant QE_VENDOR = 12;

    // After header and report.
    uint256 private constant ATTESTATION_KEY = 68;
    uint256 private constant ATTESTATION_KEY_Y = 100;
    // After the start of the QE's report.
    uint256 private constant AUTHENTICATION_LENGTH = 448;
    uint256 private constant AUTHENTICATION = 450;

    // In an enclave's report.
    uint256 private constant MISCSELECT = 16;
    uint256 private constant ATTRIBUTES = 48;
    uint256 private constant MRENCLAVE = 64;
    uint256 private constant MRSIGNER = 128;
    uint256 private constant ISVPRODID = 256;
    uint256 private constant ISVSVN = 258;
    uint256 private constant SGX_REPORT_DATA = 320;
    bytes16 private constant SGX_DEBUG = 0x02000000000000000000000000000000;

    // In a TD's report; it begins with TEE_TCB_SVN.
    uint256 private constant MRSIGNERSEAM = 64;
    /// @dev The last 24 of its 48 bytes, and SEAMATTRIBUTES.
    uint256 private constant MRSIGNERSEAM_TAIL = 88;
    uint256 private constant TD_ATTRIBUTES = 120;
    uint256 private constant XFAM = 128;
    uint256 private constant MRTD = 136;
    uint256 private constant MR_LENGTH = 48;
    uint256 private constant RTMRS = 328;
    uint256 private constant RTMRS_LENGTH = 192;

    // Of the TD's attributes, as a number: debugging and profiling; what is reserved; service TDs (17), migration (29).
    uint256 private constant TD_WATCHED = 0x71;
    uint256 private constant TD_FORBIDDEN = 0xffff | 1 << 17 | 0xf << 23 | 1 << 29 | 0x3fffffff << 32;
    uint256 private constant TD_SEPT_VE_DISABLE = 1 << 28;
    // Extended features that a TD must, and may, have.
    uint256 private constant XFAM_REQUIRED = 0x3;
    uint256 private constant XFAM_ALLOWED = 0x6dbe7;

    /// @notice Takes a quote apart. Requires: the format, and a version and a QE that are supported.
    function parse(bytes calldata quote) internal pure returns (Evidence memory e) {
        bytes memory raw = quote;
        if (raw.length < REPORT) revert IAttestationVerifier.Malformed();
        uint256 kind = _number(raw, HEADER, 8);
        bool tdx = kind == TDX_V4;
        if (
            _number(raw, 0, 1) != FORMAT || (!tdx && kind != SGX_V3) || _number(raw, HEADER + QE_VENDOR, 16) != INTEL_QE
        ) revert IAttestationVerifier.UnsupportedQuote();
        if (raw.length != (tdx ? TDX_LENGTH : SGX_LENGTH)) revert IAttestationVerifier.Malformed();
        uint256 qe = raw.length - QE_PART;
        if (
            _number(raw, _reportEnd(tdx), 4) != (tdx ? TDX_SIGNATURE_HEADER : SGX_SIGNATURE_HEADER)
                || _number(raw, qe + AUTHENTICATION_LENGTH, 2) != AUTHENTICATION_HEADER
                || (tdx && _number(raw, qe - 6, 6) != QE_PART_HEADER)
        ) revert IAttestationVerifier.Malformed();
        return Evidence(raw, tdx, qe);
    }

    /// @notice Whose PCK signed the QE's report.
    function platform(Evidence memory e) internal pure returns (bytes32) {
        return _word(e.raw, 0, 1);
    }

    /// @notice Requires: the PCK signed the QE's report, that report vouches for the attestation key, and that key signed
    /// header and report.
    function requireSigned(Evidence memory e, Ecdsa.Key memory pck) internal view {
        bytes memory raw = e.raw;
        uint256 qe = e.qe;
        uint256 qeEnd = qe + QE_REPORT;
        uint256 end = _reportEnd(e.tdx);
        Ecdsa.Key memory key = Ecdsa.Key(_word(raw, end, ATTESTATION_KEY), _word(raw, end, ATTESTATION_KEY_Y));
        bytes32 binding = sha256(abi.encodePacked(key.x, key.y, _word(raw, qe, AUTHENTICATION)));
        if (
            binding != _word(raw, qe, SGX_REPORT_DATA) || !pck.isValid(raw.sha(qe, qeEnd), _signature(raw, qeEnd, 0))
                || !key.isValid(raw.sha(HEADER, end), _signature(raw, end, 4))
        ) revert IAttestationVerifier.QuoteNotTrusted();
    }

    /// @notice Which quoting enclave it is, apart from bits that the masks leave out, and its security version. Requires: no
    /// debug enclave.
    function quotingEnclave(Evidence memory e, bytes16 attributesMask, bytes4 miscSelectMask)
        internal
        pure
        returns (bytes32 digest, uint256 isvSvn)
    {
        bytes memory raw = e.raw;
        uint256 qe = e.qe;
        bytes16 attributes = bytes16(_word(raw, qe, ATTRIBUTES));
        if (attributes & SGX_DEBUG != 0) revert IAttestationVerifier.DebugEnabled();
        digest = hashQe(
            _word(raw, qe, MRSIGNER),
            _littleEndian16(raw, qe, ISVPRODID),
            attributes & attributesMask,
            bytes4(_word(raw, qe, MISCSELECT)) & miscSelectMask
        );
        isvSvn = _littleEndian16(raw, qe, ISVSVN);
    }

    /// @notice Names a quoting enclave by its signer, product, and the bits of its attributes and MISCSELECT that count.
    function hashQe(bytes32 mrSigner, uint256 isvProdId, bytes16 attributes, bytes4 miscSelect)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(mrSigner, isvProdId, attributes, miscSelect));
    }

    /// @notice Requires: nobody looks into the enclave or TD, and a TD is of a kind that can be trusted.
    function requireClosed(Evidence memory e) internal pure {
        bytes memory raw = e.raw;
        if (!e.tdx) {
            if (bytes16(_word(raw, REPORT, ATTRIBUTES)) & SGX_DEBUG != 0) revert IAttestationVerifier.DebugEnabled();
            return;
        }
        uint256 attributes = _littleEndian64(raw, REPORT, TD_ATTRIBUTES);
        if (attributes & TD_WATCHED != 0) revert IAttestationVerifier.DebugEnabled();
        uint256 xfam = _littleEndian64(raw, REPORT, XFAM);
        bytes32 seam = _word(raw, REPORT, MRSIGNERSEAM) | _word(raw, REPORT, MRSIGNERSEAM_TAIL);
        if (
            attributes & TD_FORBIDDEN != 0 || attributes & TD_SEPT_VE_DISABLE == 0
                || xfam & XFAM_REQUIRED != XFAM_REQUIRED || xfam & ~XFAM_ALLOWED != 0 || seam != 0
        ) revert IAttestationVerifier.TdNotAdmitted();
    }

    /// @notice Requires: the report data are these 32 bytes and 32 zeros.
    function requireReportData(Evidence memory e, bytes32 expected) internal pure {
        uint256 at = _reportEnd(e.tdx) - 64;
        bytes32 actual = _word(e.raw, at, 0);
        if (actual != expected || _word(e.raw, at, 32) != 0) {
            revert IAttestationVerifier.WrongReportData(actual, expected);
        }
    }

    /// @notice What identifies the program, see {IAttestationVerifier-verify}.
    function measurement(Evidence memory e) internal pure returns (bytes32) {
        bytes memory raw = e.raw;
        if (!e.tdx) return _word(raw, REPORT, MRENCLAVE);
        bytes memory registers = new bytes(MR_LENGTH + RTMRS_LENGTH);
        assembly ("memory-safe") {
            let report := add(add(raw, 32), REPORT)
            mcopy(add(registers, 32), add(report, MRTD), MR_LENGTH)
            mcopy(add(add(registers, 32), MR_LENGTH), add(report, RTMRS), RTMRS_LENGTH)
        }
        return keccak256(registers);
    }

    /// @notice The enclave's own security version. Requires: SGX.
    function securityVersion(Evidence memory e) internal pure returns (uint256) {
        return _littleEndian16(e.raw, REPORT, ISVSVN);
    }

    /// @notice The component security versions of the TDX module. Requires: TDX.
    function tdxComponents(Evidence memory e) internal pure returns (bytes16) {
        return bytes16(_word(e.raw, REPORT, 0));
    }

    /// @notice Whether each byte is at least the one of the minimum.
    function reaches(bytes16 components, bytes16 minimum) internal pure returns (bool) {
        // Two bytes per lane, in two halves: a borrow would clear the bit above the byte.
        uint256 carry = 0x01000100010001000100010001000100;
        uint256 lane = 0x00ff00ff00ff00ff00ff00ff00ff00ff;
        uint256 a = uint128(components);
        uint256 b = uint128(minimum);
        uint256 low = ((a & lane) | carry) - (b & lane);
        uint256 high = ((a >> 8 & lane) | carry) - (b >> 8 & lane);
        return low & high & carry == carry;
    }

    /// @dev Where header and report end, which the attestation key signs.
    function _reportEnd(bool tdx) private pure returns (uint256) {
        return tdx ? TDX_REPORT_END : SGX_REPORT_END;
    }

    function _signature(bytes memory raw, uint256 part, uint256 at) private pure returns (Ecdsa.Signature memory) {
        return Ecdsa.Signature(_word(raw, part, at), _word(raw, part, at + 32));
    }

    /// @dev The 32 bytes at `at` in a part. Requires: that is in the quote, or what is beyond it does not matter.
    function _word(bytes memory raw, uint256 part, uint256 at) private pure returns (bytes32 value) {
        assembly ("memory-safe") {
            value := mload(add(add(raw, 32), add(part, at)))
        }
    }

    function _number(bytes memory raw, uint256 at, uint256 length) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(sub(256, shl(3, length)), mload(add(add(raw, 32), at)))
        }
    }

    function _littleEndian16(bytes memory raw, uint256 part, uint256 at) private pure returns (uint256) {
        uint256 value = uint256(_word(raw, part, at)) >> 240;
        return (value & 0xff) << 8 | value >> 8;
    }

    function _littleEndian64(bytes memory raw, uint256 part, uint256 at) private pure returns (uint256 value) {
        value = uint256(_word(raw, part, at)) >> 192;
        // Neighbours change places: bytes, pairs, halves.
        value = (value & 0x00ff00ff00ff00ff) << 8 | (value & 0xff00ff00ff00ff00) >> 8;
        value = (value & 0x0000ffff0000ffff) << 16 | (value & 0xffff0000ffff0000) >> 16;
        value = (value & 0x00000000ffffffff) << 32 | value >> 32;
    }
}
