// SPDX-License-Identifier: MIT
// Tests of TokenMetadata: what hostile, old and silent tokens can make the bridge say of them. What does not live here:
// when the bridge asks (BridgeManagement.t.sol).
pragma solidity 0.8.37;

import {TokenMetadata} from "../src/TokenMetadata.sol";
import {Test} from "./support/Test.sol";
import {OddToken, Token} from "./support/Tokens.sol";

contract TokenMetadataTest is Test {
    OddToken private odd;

    function setUp() public {
        odd = new OddToken();
    }

    function name() private view returns (string memory) {
        return TokenMetadata.name(address(odd));
    }

    /// @dev What the bridge reads when the token answers this.
    function reading(bytes memory answer) private returns (string memory) {
        odd.set(OddToken.Mood.Answer, answer);
        return name();
    }

    function ask() external view returns (string memory) {
        return TokenMetadata.name(address(odd));
    }

    function test_readsAnOrdinaryToken() public {
        address token = address(new Token(unicode"Tether USD₮", "USDT", 6));
        vm.assertEq(TokenMetadata.name(token), unicode"Tether USD₮");
        vm.assertEq(TokenMetadata.symbol(token), "USDT");
        vm.assertEq(uint256(TokenMetadata.decimals(token)), 6);
    }

    function test_readsBytes32() public {
        vm.assertEq(reading(abi.encode(bytes32("Maker"))), "Maker");
        vm.assertEq(reading(abi.encode(bytes32(0))), "");
        vm.assertEq(
            reading(abi.encode(bytes32("abcdefghijklmnopqrstuvwxyzABCDEF"))), "abcdefghijklmnopqrstuvwxyzABCDEF"
        );
    }

    function test_readsNothingFromSilence() public {
        vm.assertEq(reading(""), "");
        vm.assertEq(uint256(TokenMetadata.decimals(address(odd))), 0);
        vm.assertEq(TokenMetadata.name(makeAddress("no code")), "");
        odd.set(OddToken.Mood.Revert, "");
        vm.assertEq(name(), "");
        odd.set(OddToken.Mood.BurnGas, "");
        vm.assertEq(name(), "");
        odd.set(OddToken.Mood.Flood, "");
        vm.assertEq(name(), "");
    }

    function test_readsNothingFromMalformedAnswers() public {
        vm.assertEq(reading(hex"01"), "");
        vm.assertEq(reading(filled(33, 0x20)), "");
        vm.assertEq(reading(filled(63, 0x20)), "");
        // Offsets other than 32.
        vm.assertEq(reading(abi.encode(uint256(64), uint256(1), bytes32("a"))), "");
        vm.assertEq(reading(abi.encode(type(uint256).max, uint256(1), bytes32("a"))), "");
        // A length beyond the answer is cut to it.
        vm.assertEq(
            reading(abi.encode(uint256(32), type(uint256).max, bytes32("abcdefghijklmnopqrstuvwxyzABCDEF"))),
            "abcdefghijklmnopqrstuvwxyzABCDEF"
        );
        vm.assertEq(reading(abi.encode(uint256(32), uint256(5))), "");
    }

    function test_cutsAt64Bytes() public {
        vm.assertEq(reading(abi.encode(string(filled(64, "a")))), string(filled(64, "a")));
        vm.assertEq(reading(abi.encode(string(filled(65, "a")))), string(filled(64, "a")));
        vm.assertEq(reading(abi.encode(string(filled(10_000, "a")))), string(filled(64, "a")));
        // A character cut in two is replaced.
        bytes memory long = bytes.concat(filled(62, "a"), bytes(unicode"₮"));
        vm.assertEq(reading(abi.encode(string(long))), string(bytes.concat(filled(62, "a"), "??")));
    }

    function test_replacesWhatIsNotText() public {
        vm.assertEq(reading(abi.encode(bytes(hex"6100620a631b64007f"))), "a?b?c?d??");
        // C1 controls, lone continuation, overlong, surrogate, beyond U+10FFFF, truncated.
        vm.assertEq(reading(abi.encode(bytes(hex"c285"))), "??");
        vm.assertEq(reading(abi.encode(bytes(hex"80"))), "?");
        vm.assertEq(reading(abi.encode(bytes(hex"c0af"))), "??");
        vm.assertEq(reading(abi.encode(bytes(hex"e08080"))), "???");
        vm.assertEq(reading(abi.encode(bytes(hex"eda080"))), "???");
        vm.assertEq(reading(abi.encode(bytes(hex"f4908080"))), "????");
        vm.assertEq(reading(abi.encode(bytes(hex"f0808080"))), "????");
        vm.assertEq(reading(abi.encode(bytes(hex"e282"))), "??");
        vm.assertEq(reading(abi.encode(bytes(hex"ff41"))), "?A");
        // The borders of what is valid.
        vm.assertEq(reading(abi.encode(bytes(hex"c2a0"))), string(hex"c2a0"));
        vm.assertEq(reading(abi.encode(bytes(hex"e0a080"))), string(hex"e0a080"));
        vm.assertEq(reading(abi.encode(bytes(hex"ed9fbf"))), string(hex"ed9fbf"));
        vm.assertEq(reading(abi.encode(bytes(hex"f0908080"))), string(hex"f0908080"));
        vm.assertEq(reading(abi.encode(bytes(hex"f48fbfbf"))), string(hex"f48fbfbf"));
    }

    function test_readsDecimalsOfOneByteOnly() public {
        odd.set(OddToken.Mood.Answer, abi.encode(uint256(255)));
        vm.assertEq(uint256(TokenMetadata.decimals(address(odd))), 255);
        odd.set(OddToken.Mood.Answer, abi.encode(uint256(256)));
        vm.assertEq(uint256(TokenMetadata.decimals(address(odd))), 0);
        odd.set(OddToken.Mood.Answer, filled(31, 0x01));
        vm.assertEq(uint256(TokenMetadata.decimals(address(odd))), 0);
        odd.set(OddToken.Mood.Answer, abi.encode(uint256(7), uint256(8)));
        vm.assertEq(uint256(TokenMetadata.decimals(address(odd))), 7);
    }

    function test_anyAnswerIsBoundedText(bytes memory answer) public {
        requireText(reading(answer));
    }

    function test_anyStringIsBoundedText(bytes memory text) public {
        requireText(reading(abi.encode(string(text))));
    }

    /// @dev The token answers only if it gets all of its share.
    function test_asksWithEnoughGasOrNotAtAll(uint256 gasLimit) public {
        odd.set(OddToken.Mood.Demand, abi.encode("Name"));
        gasLimit = bound(gasLimit, 100_000, 115_000);
        try this.ask{gas: gasLimit}() returns (string memory read) {
            vm.assertEq(read, "Name");
        } catch (bytes memory error) {
            vm.assertEq(bytes32(error), bytes32(TokenMetadata.NotEnoughGas.selector));
        }
    }

    /// @dev An independent reading of RFC 3629: decodes code points and looks at their ranges.
    function requireText(string memory value) private pure {
        bytes memory text = bytes(value);
        vm.assertLe(text.length, 64);
        uint256 i = 0;
        while (i < text.length) {
            uint256 lead = uint8(text[i]);
            uint256 width = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
            vm.assertTrue(width != 0 && i + width <= text.length);
            uint256 point = width == 1 ? lead : lead & (0x7f >> width);
            for (uint256 k = 1; k < width; k++) {
                uint256 next = uint8(text[i + k]);
                vm.assertEq(next >> 6, 2);
                point = point << 6 | (next & 0x3f);
            }
            uint256 least = width == 1 ? 0x20 : width == 2 ? 0xa0 : width == 3 ? 0x800 : 0x10000;
            vm.assertTrue(point >= least && point <= 0x10ffff && point != 0x7f);
            vm.assertFalse(point >= 0xd800 && point <= 0xdfff);
            i += width;
        }
    }
}
