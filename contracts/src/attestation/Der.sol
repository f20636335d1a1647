// SPDX-License-Identifier: MIT
// DER (ITU-T X.690): elements, and the few values that certificates are made of. Anything that DER forbids is refused, so
// that nobody else can read the same bytes in another way. What does not live here: certificates (X509.sol).
pragma solidity 0.8.37;

import {IAttestationVerifier} from "../interfaces/IAttestationVerifier.sol";
import {Slice} from "./Slice.sol";

library Der {
    using Slice for bytes;

    uint256 internal constant BOOLEAN = 0x01;
    uint256 internal constant INTEGER = 0x02;
    uint256 internal constant BIT_STRING = 0x03;
    uint256 internal constant OCTET_STRING = 0x04;
    uint256 internal constant OBJECT_IDENTIFIER = 0x06;
    uint256 internal constant UTC_TIME = 0x17;
    uint256 internal constant GENERALIZED_TIME = 0x18;
    uint256 internal constant SEQUENCE = 0x30;

    /// @dev Tags of more than one byte begin with these five bits.
    uint256 private constant LONG_TAG = 0x1f;
    /// @dev Most bytes of a length: elements of less than 16 MiB.
    uint256 private constant LENGTH_BYTES_MAX = 3;
    /// @dev The letter Z.
    uint256 private constant UTC = 0x5a;
    /// @dev A longer object identifier is none that is known here.
    uint256 private constant IDENTIFIER_LENGTH_MAX = 31;

    /// @notice The element at `at`, which must end by `end`: its tag, where its content starts, and where it ends.
    function read(bytes memory der, uint256 at, uint256 end)
        internal
        pure
        returns (uint256 tag, uint256 start, uint256 next)
    {
        if (at > end || end - at < 2) revert IAttestationVerifier.Malformed();
        uint256 head = der.number(at, 2);
        tag = head >> 8;
        uint256 length = head & 0xff;
        start = at + 2;
        if (tag & LONG_TAG == LONG_TAG) revert IAttestationVerifier.Malformed();
        if (length >= 0x80) {
            uint256 count = length & 0x7f;
            if (count == 0 || count > LENGTH_BYTES_MAX || end - start < count) revert IAttestationVerifier.Malformed();
            length = der.number(start, count);
            start += count;
            // The shortest form is the only one.
            if (length < 0x80 || length >> (8 * (count - 1)) == 0) revert IAttestationVerifier.Malformed();
        }
        if (length > end - start) revert IAttestationVerifier.Malformed();
        next = start + length;
    }

    /// @notice The same, of an element that must have this tag.
    function enter(bytes memory der, uint256 at, uint256 end, uint256 expected)
        internal
        pure
        returns (uint256 start, uint256 next)
    {
        uint256 tag;
        (tag, start, next) = read(der, at, end);
        if (tag != expected) revert IAttestationVerifier.Malformed();
    }

    /// @notice Whether there is another element at `at`, and it has this tag.
    function follows(bytes memory der, uint256 at, uint256 end, uint256 tag) internal pure returns (bool) {
        return at < end && der.number(at, 1) == tag;
    }

    /// @notice Nothing may follow.
    function finish(uint256 at, uint256 end) internal pure {
        if (at != end) revert IAttestationVerifier.Malformed();
    }

    /// @notice A non-negative INTEGER below 2^256.
    function integer(bytes memory der, uint256 at, uint256 end) internal pure returns (uint256 value, uint256 next) {
        uint256 start;
        (start, next) = enter(der, at, end, INTEGER);
        uint256 length = next - start;
        if (length == 0 || length > 33) revert IAttestationVerifier.Malformed();
        uint256 first = der.number(start, 1);
        if (first >= 0x80) revert IAttestationVerifier.Malformed();
        if (first == 0 && length > 1) {
            // A leading zero is there for the sign, or not at all.
            if (der.number(start + 1, 1) < 0x80) revert IAttestationVerifier.Malformed();
            (start, length) = (start + 1, length - 1);
        }
        if (length > 32) revert IAttestationVerifier.Malformed();
        value = der.number(start, length);
    }

    /// @notice A BOOLEAN that is not at its default, FALSE.
    function isTrue(bytes memory der, uint256 at, uint256 end) internal pure returns (uint256 next) {
        uint256 start;
        (start, next) = enter(der, at, end, BOOLEAN);
        if (next - start != 1 || der.number(start, 1) != 0xff) revert IAttestationVerifier.Malformed();
    }

    /// @notice An OBJECT IDENTIFIER, as its length in the highest byte and its content in the lowest ones; 0 if too long.
    function identifier(bytes memory der, uint256 at, uint256 end) internal pure returns (uint256 value, uint256 next) {
        uint256 start;
        (start, next) = enter(der, at, end, OBJECT_IDENTIFIER);
        uint256 length = next - start;
        if (length == 0) revert IAttestationVerifier.Malformed();
        if (length <= IDENTIFIER_LENGTH_MAX) value = length << 248 | der.number(start, length);
    }

    /// @notice A UTCTime or GeneralizedTime to the second and in UTC, as unix time.
    function time(bytes memory der, uint256 at, uint256 end) internal pure returns (uint256 seconds_, uint256 next) {
        uint256 tag;
        uint256 start;
        (tag, start, next) = read(der, at, end);
        uint256 year;
        if (tag == UTC_TIME && next - start == 13) {
            year = _digits(der, start);
            year += year < 50 ? 2000 : 1900;
        } else if (tag == GENERALIZED_TIME && next - start == 15) {
            year = 100 * _digits(der, start) + _digits(der, start + 2);
        }
        if (year < 1970 || der.number(next - 1, 1) != UTC) revert IAttestationVerifier.Malformed();
        seconds_ = _time(der, year, next - 11);
    }

    /// @dev Unix time of ten digits MMDDhhmmss in a year.
    function _time(bytes memory der, uint256 year, uint256 at) private pure returns (uint256) {
        uint256 month = _digits(der, at);
        uint256 day = _digits(der, at + 2);
        uint256 hour = _digits(der, at + 4);
        uint256 minute = _digits(der, at + 6);
        uint256 second = _digits(der, at + 8);
        if (month == 0 || month > 12 || day == 0 || day > 31 || hour > 23 || minute > 59 || second > 59) {
            revert IAttestationVerifier.Malformed();
        }
        return ((_days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    }

    /// @dev Days since 1970-01-01. Years are counted from March, so that a leap day is the last of its year.
    function _days(uint256 year, uint256 month, uint256 day) private pure returns (uint256) {
        if (month < 3) (year, month) = (year - 1, month + 12);
        return 365 * year + year / 4 - year / 100 + year / 400 + (153 * (month - 3) + 2) / 5 + day - 1 - 719_468;
    }

    function _digits(bytes memory der, uint256 at) private pure returns (uint256) {
        uint256 tens = der.number(at, 1) ^ 0x30;
        uint256 ones = der.number(at + 1, 1) ^ 0x30;
        if (tens > 9 || ones > 9) revert IAttestationVerifier.Malformed();
        return 10 * tens + ones;
    }
}
