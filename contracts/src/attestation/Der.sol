// SPDX-License-Identifier: MIT
// DER (ITU-T X.690): elements, and the few values that certificates are made of. Anything that DER forbids is refused, so
// that nobody else can read the same bytes in another way. What does not live here: certificates (X509.sol).
pragma solidity 0.8.37;

import {IAttestationVerifier} from "../interfaces/IAttestationVerifier.sol";

/// @dev Every `end` is at most the length of the bytes, and every `at` that is returned at most the `end` that was given.
/// All lengths are below 2^24, so no sum of a few of them overflows: nothing is checked but what can go wrong.
library Der {
    uint256 internal constant BOOLEAN = 0x01;
    uint256 internal constant INTEGER = 0x02;
    uint256 internal constant BIT_STRING = 0x03;
    uint256 internal constant OCTET_STRING = 0x04;
    uint256 internal constant OBJECT_IDENTIFIER = 0x06;
    uint256 internal constant UTC_TIME = 0x17;
    uint256 internal constant GENERALIZED_TIME = 0x18;
    uint256 internal constant SEQUENCE = 0x30;

    /// @dev Most bytes of a length: elements of less than 16 MiB.
    uint256 private constant LENGTH_BYTES_MAX = 3;
    /// @dev A longer object identifier is none that is known here.
    uint256 private constant IDENTIFIER_LENGTH_MAX = 31;
    /// @dev The letter Z.
    uint256 private constant UTC = 0x5a;

    /// @notice The element at `at`, which must end by `end` and have this tag: where its content starts, and where it ends.
    function enter(bytes memory der, uint256 at, uint256 end, uint256 tag)
        internal
        pure
        returns (uint256 start, uint256 next)
    {
        unchecked {
            uint256 head = _word(der, at);
            if (end < at + 2 || head >> 248 != tag) revert IAttestationVerifier.Malformed();
            uint256 length = head >> 240 & 0xff;
            start = at + 2;
            if (length >= 0x80) {
                uint256 count = length & 0x7f;
                if (count == 0 || count > LENGTH_BYTES_MAX) revert IAttestationVerifier.Malformed();
                length = (head << 16) >> (256 - 8 * count);
                start += count;
                // The shortest form is the only one.
                if (length < 0x80 || length >> (8 * (count - 1)) == 0) revert IAttestationVerifier.Malformed();
            }
            next = start + length;
            if (next > end) revert IAttestationVerifier.Malformed();
        }
    }

    /// @notice `length` (1 to 32) bytes at `at`, which must end by `end`, as a number.
    function peek(bytes memory der, uint256 at, uint256 end, uint256 length) internal pure returns (uint256) {
        unchecked {
            if (at + length > end) revert IAttestationVerifier.Malformed();
            return _word(der, at) >> (256 - 8 * length);
        }
    }

    /// @notice Whether there is another element at `at`, and it has this tag.
    function follows(bytes memory der, uint256 at, uint256 end, uint256 tag) internal pure returns (bool) {
        return at < end && _word(der, at) >> 248 == tag;
    }

    /// @notice Nothing may follow.
    function finish(uint256 at, uint256 end) internal pure {
        if (at != end) revert IAttestationVerifier.Malformed();
    }

    /// @notice A non-negative INTEGER below 2^256.
    function integer(bytes memory der, uint256 at, uint256 end) internal pure returns (uint256 value, uint256 next) {
        unchecked {
            uint256 start;
            (start, next) = enter(der, at, end, INTEGER);
            uint256 length = next - start;
            uint256 first = _word(der, start) >> 248;
            if (length == 0 || first >= 0x80) revert IAttestationVerifier.Malformed();
            if (first == 0 && length > 1) {
                (start, length) = (start + 1, length - 1);
                // A leading zero is there for the sign, or not at all.
                if (_word(der, start) >> 248 < 0x80) revert IAttestationVerifier.Malformed();
            }
            if (length > 32) revert IAttestationVerifier.Malformed();
            value = _word(der, start) >> (256 - 8 * length);
        }
    }

    /// @notice A BOOLEAN that is not at its default, FALSE.
    function isTrue(bytes memory der, uint256 at, uint256 end) internal pure returns (uint256 next) {
        uint256 start;
        (start, next) = enter(der, at, end, BOOLEAN);
        if (next - start != 1 || _word(der, start) >> 248 != 0xff) revert IAttestationVerifier.Malformed();
    }

    /// @notice An OBJECT IDENTIFIER, as its length in the highest byte and its content in the lowest ones; 0 if too long.
    function identifier(bytes memory der, uint256 at, uint256 end) internal pure returns (uint256 value, uint256 next) {
        unchecked {
            uint256 start;
            (start, next) = enter(der, at, end, OBJECT_IDENTIFIER);
            uint256 length = next - start;
            if (length == 0) revert IAttestationVerifier.Malformed();
            if (length <= IDENTIFIER_LENGTH_MAX) value = length << 248 | _word(der, start) >> (256 - 8 * length);
        }
    }

    /// @notice A UTCTime or GeneralizedTime to the second and in UTC, as unix time.
    function time(bytes memory der, uint256 at, uint256 end) internal pure returns (uint256 seconds_, uint256 next) {
        bool short = follows(der, at, end, UTC_TIME);
        (at, next) = enter(der, at, end, short ? UTC_TIME : GENERALIZED_TIME);
        finish(at + (short ? 13 : 15), next);
        uint256 text = _word(der, at);
        uint256 year = _digits(text, 0);
        if (short) {
            year += year < 50 ? 2000 : 1900;
        } else {
            year = 100 * year + _digits(text, 2);
            text <<= 16;
        }
        if (year < 1970 || text >> 152 & 0xff != UTC) revert IAttestationVerifier.Malformed();
        seconds_ = _time(year, text << 16);
    }

    /// @dev Unix time of a year and a text that begins with the ten digits MMDDhhmmss.
    function _time(uint256 year, uint256 text) private pure returns (uint256) {
        uint256 month = _digits(text, 0);
        uint256 day = _digits(text, 2);
        uint256 hour = _digits(text, 4);
        uint256 minute = _digits(text, 6);
        uint256 second = _digits(text, 8);
        if (month == 0 || month > 12 || day == 0 || day > 31 || hour > 23 || minute > 59 || second > 59) {
            revert IAttestationVerifier.Malformed();
        }
        unchecked {
            return ((_days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
        }
    }

    /// @dev Days since 1970-01-01. Years are counted from March, so that a leap day is the last of its year.
    function _days(uint256 year, uint256 month, uint256 day) private pure returns (uint256) {
        unchecked {
            if (month < 3) (year, month) = (year - 1, month + 12);
            return 365 * year + year / 4 - year / 100 + year / 400 + (153 * (month - 3) + 2) / 5 + day - 1 - 719_468;
        }
    }

    /// @dev The two digits after the first `at` bytes of a text.
    function _digits(uint256 text, uint256 at) private pure returns (uint256) {
        unchecked {
            uint256 pair = text >> (240 - 8 * at) & 0xffff ^ 0x3030;
            if (pair >> 8 > 9 || pair & 0xff > 9) revert IAttestationVerifier.Malformed();
            return 10 * (pair >> 8) + (pair & 0xff);
        }
    }

    /// @dev The 32 bytes at `at`, whatever lies beyond the end: for callers who use what lies before it.
    function _word(bytes memory der, uint256 at) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(add(add(der, 32), at))
        }
    }
}
