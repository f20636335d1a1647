// SPDX-License-Identifier: MIT
// Writing DER, for fixtures. What does not live here: certificates (Pki.sol), and reading (src/attestation/Der.sol).
pragma solidity 0.8.37;

library Asn1 {
    function tlv(uint8 tag, bytes memory content) internal pure returns (bytes memory) {
        uint256 length = content.length;
        if (length < 0x80) return abi.encodePacked(tag, uint8(length), content);
        if (length < 0x100) return abi.encodePacked(tag, uint8(0x81), uint8(length), content);
        if (length < 0x10000) return abi.encodePacked(tag, uint8(0x82), uint16(length), content);
        return abi.encodePacked(tag, uint8(0x83), uint24(length), content);
    }

    function seq(bytes memory content) internal pure returns (bytes memory) {
        return tlv(0x30, content);
    }

    function seq(bytes memory a, bytes memory b) internal pure returns (bytes memory) {
        return seq(bytes.concat(a, b));
    }

    function seq(bytes memory a, bytes memory b, bytes memory c) internal pure returns (bytes memory) {
        return seq(bytes.concat(a, b, c));
    }

    function integer(uint256 value) internal pure returns (bytes memory) {
        uint256 length = 1;
        while (length < 32 && value >> (8 * length) != 0) length++;
        bytes memory digits = new bytes(length);
        for (uint256 i = 0; i < length; i++) {
            digits[i] = bytes1(uint8(value >> (8 * (length - 1 - i))));
        }
        return tlv(0x02, uint8(digits[0]) < 0x80 ? digits : bytes.concat(hex"00", digits));
    }

    function oid(bytes memory content) internal pure returns (bytes memory) {
        return tlv(0x06, content);
    }

    function octets(bytes memory content) internal pure returns (bytes memory) {
        return tlv(0x04, content);
    }

    function bits(bytes memory content) internal pure returns (bytes memory) {
        return tlv(0x03, bytes.concat(hex"00", content));
    }

    /// @dev YYMMDDhhmmssZ.
    function utc(string memory time) internal pure returns (bytes memory) {
        return tlv(0x17, bytes(time));
    }

    /// @dev A name of one attribute, commonName.
    function name(string memory common) internal pure returns (bytes memory) {
        return seq(tlv(0x31, seq(oid(hex"550403"), tlv(0x0c, bytes(common)))));
    }
}
