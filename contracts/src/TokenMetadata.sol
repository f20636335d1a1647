// SPDX-License-Identifier: MIT
// Reading name, symbol and decimals of a token that may be missing them, old or hostile. What does not live here: when
// they are read and where they go (BridgeManagement).
pragma solidity 0.8.37;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";

/// @title Token metadata
/// @notice Whatever the token answers, the texts are valid UTF-8 of at most 64 bytes without control characters, so that
/// every decoder of the bridge's event reads the same. A missing answer is an empty text or zero decimals.
library TokenMetadata {
    /// @dev Longest text, in bytes.
    uint256 internal constant TEXT_LENGTH_MAX = 64;

    /// @dev Gas each of the three calls gets. Ample for a proxy that reads a long string from storage.
    uint256 internal constant CALL_GAS = 100_000;

    /// @dev What must be left before a call, so that it really gets CALL_GAS (EIP-150 keeps back one part in 64) and its
    /// own cold access (EIP-2929) is paid for.
    uint256 internal constant GAS_BEFORE_CALL = CALL_GAS + CALL_GAS / 63 + 5_000;

    /// @dev Bytes of an answer that are looked at: offset, length, and the text.
    uint256 private constant ANSWER_LENGTH_MAX = 64 + TEXT_LENGTH_MAX;

    /// @dev Stands for what is not valid UTF-8 or is a control character.
    bytes1 private constant REPLACEMENT = "?";

    /// @notice Too little gas left to give the token its share. Without this, whoever deposits an asset first could choose
    /// the gas such that the token fails to answer, and its wrapped token would be nameless for ever.
    error NotEnoughGas();

    /// @notice The token's name.
    function name(address token) internal view returns (string memory) {
        return _text(_ask(token, IERC20Metadata.name.selector));
    }

    /// @notice The token's symbol.
    function symbol(address token) internal view returns (string memory) {
        return _text(_ask(token, IERC20Metadata.symbol.selector));
    }

    /// @notice The token's decimals; zero if the answer is not a uint8.
    function decimals(address token) internal view returns (uint8) {
        bytes memory answer = _ask(token, IERC20Metadata.decimals.selector);
        if (answer.length < 32) return 0;
        uint256 value = uint256(_word(answer, 0));
        // forge-lint: disable-next-line(unsafe-typecast)
        return value > type(uint8).max ? 0 : uint8(value);
    }

    /// @dev The first bytes of the token's answer; empty if it reverted. Never copies more than ANSWER_LENGTH_MAX bytes.
    function _ask(address token, bytes4 selector) private view returns (bytes memory answer) {
        if (gasleft() < GAS_BEFORE_CALL) revert NotEnoughGas();
        uint256 callGas = CALL_GAS;
        uint256 lengthMax = ANSWER_LENGTH_MAX;
        assembly ("memory-safe") {
            mstore(0, selector)
            let length := 0
            if staticcall(callGas, token, 0, 4, 0, 0) {
                length := returndatasize()
                if gt(length, lengthMax) { length := lengthMax }
            }
            answer := mload(0x40)
            mstore(answer, length)
            returndatacopy(add(answer, 32), 0, length)
            mstore(0x40, add(answer, 192))
        }
    }

    /// @dev Reads a `string`, or the `bytes32` of tokens older than the standard.
    function _text(bytes memory answer) private pure returns (string memory) {
        if (answer.length == 32) {
            uint256 end = 0;
            while (end < 32 && answer[end] != 0) end++;
            return _sanitised(answer, 0, end);
        }
        if (answer.length < 64 || uint256(_word(answer, 0)) != 32) return "";
        uint256 length = uint256(_word(answer, 32));
        if (length > answer.length - 64) length = answer.length - 64;
        return _sanitised(answer, 64, length);
    }

    /// @dev Copies `length` bytes from `start`; what is not valid there is replaced byte by byte. A character cut off by
    /// the bound is not valid.
    function _sanitised(bytes memory source, uint256 start, uint256 length) private pure returns (string memory) {
        bytes memory text = new bytes(length);
        uint256 i = 0;
        while (i < length) {
            uint256 width = _characterWidth(source, start + i, length - i);
            if (width == 0) text[i++] = REPLACEMENT;
            for (; width > 0; width--) {
                text[i] = source[start + i];
                i++;
            }
        }
        return string(text);
    }

    /// @dev Bytes of the UTF-8 character that starts at `start` and ends within `available` bytes; zero if there is none
    /// or it is a control character (C0, delete, C1).
    function _characterWidth(bytes memory source, uint256 start, uint256 available) private pure returns (uint256) {
        uint8 lead = uint8(source[start]);
        if (lead < 0x80) return lead < 0x20 || lead == 0x7f ? 0 : 1;
        if (lead < 0xc2 || lead > 0xf4) return 0;
        uint256 width = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        if (width > available) return 0;
        // The second byte's range excludes overlong forms, surrogates and what lies beyond U+10FFFF (RFC 3629).
        uint8 second = uint8(source[start + 1]);
        uint8 least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : lead == 0xc2 ? 0xa0 : 0x80;
        uint8 most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        if (second < least || second > most) return 0;
        for (uint256 i = 2; i < width; i++) {
            if (uint8(source[start + i]) & 0xc0 != 0x80) return 0;
        }
        return width;
    }

    function _word(bytes memory source, uint256 offset) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(add(source, 32), offset))
        }
    }
}
