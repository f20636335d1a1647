// SPDX-License-Identifier: MIT
// X.509 certificates and revocation lists (RFC 5280), of P-256 with SHA-256, and Intel's SGX extension of the PCK
// certificate. What does not live here: whom to trust, and at what time (AttestationVerifier.sol).
pragma solidity 0.8.37;

import {IAttestationVerifier} from "../interfaces/IAttestationVerifier.sol";
import {Der} from "./Der.sol";
import {Ecdsa} from "./Ecdsa.sol";
import {Slice} from "./Slice.sol";

library X509 {
    using Slice for bytes;

    /// @notice A certificate's statement and who signed it.
    /// @param digest SHA-256 of what is signed.
    /// @param signature by the issuer.
    /// @param issuer keccak256 of the issuer's name.
    /// @param subject keccak256 of the subject's name.
    /// @param serial number, unique for the issuer.
    /// @param notBefore unix time at which it becomes valid.
    /// @param notAfter unix time of its last valid second.
    /// @param key of the subject.
    /// @param isAuthority basic constraint CA.
    /// @param pathLength how many CAs may follow below; the largest number if there is no limit.
    /// @param usage first byte of the key usage.
    /// @param sgxStart where the content of Intel's SGX extension starts; 0 if there is none.
    /// @param sgxEnd where it ends.
    struct Certificate {
        bytes32 digest;
        Ecdsa.Signature signature;
        bytes32 issuer;
        bytes32 subject;
        uint256 serial;
        uint256 notBefore;
        uint256 notAfter;
        Ecdsa.Key key;
        bool isAuthority;
        uint256 pathLength;
        uint256 usage;
        uint256 sgxStart;
        uint256 sgxEnd;
    }

    /// @notice A revocation list.
    /// @param digest SHA-256 of what is signed.
    /// @param signature by the issuer.
    /// @param issuer keccak256 of the issuer's name.
    /// @param thisUpdate unix time of its making.
    /// @param nextUpdate unix time from which on it is out of date.
    /// @param entriesStart where the revoked certificates start.
    /// @param entriesEnd where they end.
    struct Crl {
        bytes32 digest;
        Ecdsa.Signature signature;
        bytes32 issuer;
        uint256 thisUpdate;
        uint256 nextUpdate;
        uint256 entriesStart;
        uint256 entriesEnd;
    }

    /// @notice What a PCK certificate says about its machine.
    /// @param machine keccak256 of the PPID.
    /// @param cpuSvn 16 component security versions.
    /// @param pceSvn security version of the provisioning certification enclave.
    /// @param fmspc kind of the machine.
    struct Pck {
        bytes32 machine;
        bytes16 cpuSvn;
        uint16 pceSvn;
        bytes6 fmspc;
    }

    uint256 internal constant USAGE_DIGITAL_SIGNATURE = 0x80;
    uint256 internal constant USAGE_SIGN_CERTIFICATES_AND_CRLS = 0x06;

    /// @dev Of a version 3 certificate: [0] { INTEGER 2 }.
    uint256 private constant VERSION_3 = 0xa003020102;
    /// @dev Of a version 2 list: INTEGER 1.
    uint256 private constant CRL_VERSION_2 = 0x020101;
    /// @dev SEQUENCE { ecdsa-with-SHA256 }.
    uint256 private constant ECDSA_SHA256 = 0x300a06082a8648ce3d040302;
    /// @dev SubjectPublicKeyInfo of P-256 up to an uncompressed point.
    uint256 private constant P256_KEY = 0x3059301306072a8648ce3d020106082a8648ce3d03010703420004;
    uint256 private constant P256_KEY_LENGTH = 27;

    uint256 private constant CRL_EXTENSIONS = 0xa0;
    uint256 private constant EXTENSIONS = 0xa3;
    // Object identifiers, as {Der-identifier} gives them.
    uint256 private constant KEY_USAGE = 3 << 248 | 0x551d0f;
    uint256 private constant BASIC_CONSTRAINTS = 3 << 248 | 0x551d13;
    uint256 private constant SGX_EXTENSION = 9 << 248 | 0x2a864886f84d010d01;
    // Identifiers inside of it, all but their last byte: tag, length, and the prefix of its fields, or of those of its TCB.
    uint256 private constant SGX_FIELD = 0x060a2a864886f84d010d01;
    uint256 private constant SGX_TCB_FIELD = 0x060b2a864886f84d010d0102;
    uint256 private constant SGX_PPID = 1;
    uint256 private constant SGX_TCB = 2;
    uint256 private constant SGX_FMSPC = 4;
    uint256 private constant SGX_PCESVN = 17;
    uint256 private constant SGX_CPUSVN = 18;

    /// @notice Reads a certificate.
    function certificate(bytes memory der) internal view returns (Certificate memory c) {
        uint256 at;
        uint256 end;
        (at, end, c.digest, c.signature) = _signed(der);
        at = _expect(der, at, end, VERSION_3, 5);
        (c.serial, at) = Der.integer(der, at, end);
        at = _expect(der, at, end, ECDSA_SHA256, 12);
        (c.issuer, at) = _name(der, at, end);
        (c.notBefore, c.notAfter, at) = _validity(der, at, end);
        (c.subject, at) = _name(der, at, end);
        at = _expect(der, at, end, P256_KEY, P256_KEY_LENGTH);
        c.key = Ecdsa.Key(bytes32(Der.peek(der, at, end, 32)), bytes32(Der.peek(der, at + 32, end, 32)));
        _extensions(der, at + 64, end, c);
    }

    /// @notice Reads a revocation list, up to its entries.
    function crl(bytes memory der) internal view returns (Crl memory c) {
        uint256 at;
        uint256 end;
        (at, end, c.digest, c.signature) = _signed(der);
        at = _expect(der, at, end, CRL_VERSION_2, 3);
        at = _expect(der, at, end, ECDSA_SHA256, 12);
        (c.issuer, at) = _name(der, at, end);
        (c.thisUpdate, at) = Der.time(der, at, end);
        (c.nextUpdate, at) = Der.time(der, at, end);
        if (Der.follows(der, at, end, Der.SEQUENCE)) {
            (c.entriesStart, c.entriesEnd) = Der.enter(der, at, end, Der.SEQUENCE);
            at = c.entriesEnd;
        }
        if (Der.follows(der, at, end, CRL_EXTENSIONS)) {
            (uint256 start, uint256 next) = Der.enter(der, at, end, CRL_EXTENSIONS);
            _refuseCritical(der, start, next);
            at = next;
        }
        Der.finish(at, end);
    }

    /// @notice The serial number of a revoked certificate, and where the next entry starts. When and why it was revoked does
    /// not matter; that an entry is of another issuer is announced by a critical extension of the whole list.
    function revoked(bytes memory der, uint256 at, uint256 end) internal pure returns (uint256 serial, uint256 next) {
        (at, next) = Der.enter(der, at, end, Der.SEQUENCE);
        (serial,) = Der.integer(der, at, next);
    }

    /// @notice Reads Intel's SGX extension.
    function pck(bytes memory der, Certificate memory c) internal pure returns (Pck memory p) {
        if (c.sgxStart == 0) revert IAttestationVerifier.NotPermitted();
        (uint256 at, uint256 end) = Der.enter(der, c.sgxStart, c.sgxEnd, Der.SEQUENCE);
        Der.finish(end, c.sgxEnd);
        uint256 found = 0;
        while (at < end) {
            uint256 field;
            uint256 value;
            (field, value, at) = _field(der, at, end, SGX_FIELD, 11);
            if (field == SGX_PPID) {
                (uint256 start, uint256 next) = _octets(der, value, at, 16);
                p.machine = der.keccak(start, next);
                found = _once(found, 1);
            } else if (field == SGX_TCB) {
                _tcb(der, value, at, p);
                found = _once(found, 2);
            } else if (field == SGX_FMSPC) {
                (uint256 start,) = _octets(der, value, at, 6);
                p.fmspc = bytes6(uint48(der.number(start, 6)));
                found = _once(found, 4);
            }
        }
        if (found != 7) revert IAttestationVerifier.Malformed();
    }

    function _tcb(bytes memory der, uint256 at, uint256 end, Pck memory p) private pure {
        uint256 next;
        (at, next) = Der.enter(der, at, end, Der.SEQUENCE);
        Der.finish(next, end);
        uint256 found = 0;
        while (at < end) {
            uint256 field;
            uint256 value;
            (field, value, at) = _field(der, at, end, SGX_TCB_FIELD, 12);
            if (field == SGX_PCESVN) {
                (uint256 pceSvn, uint256 rest) = Der.integer(der, value, at);
                Der.finish(rest, at);
                if (pceSvn > type(uint16).max) revert IAttestationVerifier.Malformed();
                // forge-lint: disable-next-line(unsafe-typecast)
                p.pceSvn = uint16(pceSvn);
                found = _once(found, 1);
            } else if (field == SGX_CPUSVN) {
                (uint256 start,) = _octets(der, value, at, 16);
                p.cpuSvn = bytes16(uint128(der.number(start, 16)));
                found = _once(found, 2);
            }
        }
        if (found != 3) revert IAttestationVerifier.Malformed();
    }

    /// @dev SEQUENCE { identifier, value }, where all but the last byte of the identifier is given: that byte, where the
    /// value starts, and where it ends.
    function _field(bytes memory der, uint256 at, uint256 end, uint256 prefix, uint256 prefixLength)
        private
        pure
        returns (uint256 field, uint256 value, uint256 next)
    {
        (at, next) = Der.enter(der, at, end, Der.SEQUENCE);
        field = Der.peek(der, at, next, prefixLength + 1);
        value = at + prefixLength + 1;
        if (field >> 8 != prefix) revert IAttestationVerifier.Malformed();
        field &= 0xff;
    }

    function _octets(bytes memory der, uint256 at, uint256 end, uint256 length)
        private
        pure
        returns (uint256 start, uint256 next)
    {
        (start, next) = Der.enter(der, at, end, Der.OCTET_STRING);
        Der.finish(next, end);
        if (next - start != length) revert IAttestationVerifier.Malformed();
    }

    /// @dev SEQUENCE { what is signed, algorithm, BIT STRING { SEQUENCE { r, s } } }, and nothing else.
    function _signed(bytes memory der)
        private
        view
        returns (uint256 start, uint256 next, bytes32 digest, Ecdsa.Signature memory signature)
    {
        (uint256 at, uint256 end) = Der.enter(der, 0, der.length, Der.SEQUENCE);
        Der.finish(end, der.length);
        (start, next) = Der.enter(der, at, end, Der.SEQUENCE);
        digest = der.sha(at, next);
        at = _expect(der, next, end, ECDSA_SHA256, 12);
        uint256 bits;
        (at, bits) = Der.enter(der, at, end, Der.BIT_STRING);
        Der.finish(bits, end);
        // No bit is unused.
        at = _expect(der, at, end, 0, 1);
        (at, bits) = Der.enter(der, at, end, Der.SEQUENCE);
        Der.finish(bits, end);
        uint256 value;
        (value, at) = Der.integer(der, at, end);
        signature.r = bytes32(value);
        (value, at) = Der.integer(der, at, end);
        signature.s = bytes32(value);
        Der.finish(at, end);
    }

    /// @dev Fixed bytes; others are of something unknown here.
    function _expect(bytes memory der, uint256 at, uint256 end, uint256 value, uint256 length)
        private
        pure
        returns (uint256)
    {
        if (Der.peek(der, at, end, length) != value) revert IAttestationVerifier.Unsupported();
        return at + length;
    }

    function _name(bytes memory der, uint256 at, uint256 end) private pure returns (bytes32 hash, uint256 next) {
        (, next) = Der.enter(der, at, end, Der.SEQUENCE);
        hash = der.keccak(at, next);
    }

    function _validity(bytes memory der, uint256 at, uint256 end)
        private
        pure
        returns (uint256 notBefore, uint256 notAfter, uint256 next)
    {
        (at, next) = Der.enter(der, at, end, Der.SEQUENCE);
        (notBefore, at) = Der.time(der, at, next);
        (notAfter, at) = Der.time(der, at, next);
        Der.finish(at, next);
    }

    function _extensions(bytes memory der, uint256 at, uint256 end, Certificate memory c) private pure {
        c.pathLength = type(uint256).max;
        uint256 next;
        (at, next) = Der.enter(der, at, end, EXTENSIONS);
        Der.finish(next, end);
        (at, next) = Der.enter(der, at, end, Der.SEQUENCE);
        Der.finish(next, end);
        uint256 found = 0;
        while (at < end) {
            uint256 id;
            bool critical;
            uint256 value;
            (id, critical, value, at) = _extension(der, at, end);
            if (id == BASIC_CONSTRAINTS) {
                _basicConstraints(der, value, at, c);
                found = _once(found, 1);
            } else if (id == KEY_USAGE) {
                _keyUsage(der, value, at, c);
                found = _once(found, 2);
            } else if (id == SGX_EXTENSION) {
                (c.sgxStart, c.sgxEnd) = (value, at);
                found = _once(found, 4);
            } else if (critical) {
                revert IAttestationVerifier.Unsupported();
            }
        }
    }

    /// @dev SEQUENCE { identifier, critical, OCTET STRING }: where the content of the last starts, and where all end.
    function _extension(bytes memory der, uint256 at, uint256 end)
        private
        pure
        returns (uint256 id, bool critical, uint256 value, uint256 next)
    {
        (at, next) = Der.enter(der, at, end, Der.SEQUENCE);
        (id, at) = Der.identifier(der, at, next);
        critical = Der.follows(der, at, next, Der.BOOLEAN);
        if (critical) at = Der.isTrue(der, at, next);
        (value, at) = Der.enter(der, at, next, Der.OCTET_STRING);
        Der.finish(at, next);
    }

    function _basicConstraints(bytes memory der, uint256 at, uint256 end, Certificate memory c) private pure {
        uint256 next;
        (at, next) = Der.enter(der, at, end, Der.SEQUENCE);
        Der.finish(next, end);
        c.isAuthority = Der.follows(der, at, end, Der.BOOLEAN);
        if (c.isAuthority) at = Der.isTrue(der, at, end);
        if (at < end) (c.pathLength, at) = Der.integer(der, at, end);
        Der.finish(at, end);
    }

    function _keyUsage(bytes memory der, uint256 at, uint256 end, Certificate memory c) private pure {
        uint256 next;
        (at, next) = Der.enter(der, at, end, Der.BIT_STRING);
        Der.finish(next, end);
        // The first byte counts unused bits; the usages known here are in the second.
        c.usage = Der.peek(der, at, end, 2) & 0xff;
    }

    /// @dev A SEQUENCE of extensions that takes the whole room.
    function _refuseCritical(bytes memory der, uint256 at, uint256 end) private pure {
        uint256 next;
        (at, next) = Der.enter(der, at, end, Der.SEQUENCE);
        Der.finish(next, end);
        while (at < next) {
            bool critical;
            (, critical,, at) = _extension(der, at, next);
            if (critical) revert IAttestationVerifier.Unsupported();
        }
    }

    function _once(uint256 found, uint256 bit) private pure returns (uint256) {
        if (found & bit != 0) revert IAttestationVerifier.Malformed();
        return found | bit;
    }
}
