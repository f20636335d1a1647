// SPDX-License-Identifier: MIT
// Tests of what ObscuroToken adds to OpenZeppelin's parts: their combination. What does not live here: tests of those
// parts.
pragma solidity 0.8.37;

import {ObscuroToken} from "../src/ObscuroToken.sol";
import {Test} from "./support/Test.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

contract ObscuroTokenTest is Test {
    uint256 private constant KEY = 0xbeef;
    address private immutable holder = vm.addr(KEY);
    address private immutable other = makeAddress("other");
    ObscuroToken private token;

    function setUp() public {
        token = new ObscuroToken(holder, 1000);
    }

    function test_constructor_revertsForZeroHolder() public {
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InvalidReceiver.selector, address(0)));
        new ObscuroToken(address(0), 1);
    }

    function test_constructor_revertsAboveVotesBound() public {
        vm.expectRevert();
        new ObscuroToken(holder, 1 << 208);
    }

    function test_constructor_givesWholeSupplyToHolder() public view {
        vm.assertEq(token.balanceOf(holder), 1000);
        vm.assertEq(token.totalSupply(), 1000);
        vm.assertEq(token.name(), "Obscuro");
        vm.assertEq(token.symbol(), "OBX");
        vm.assertEq(uint256(token.decimals()), 18);
    }

    function test_permit_approvesBySignature() public {
        bytes32 request = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                holder,
                other,
                uint256(7),
                token.nonces(holder),
                block.timestamp
            )
        );
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), request));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, digest);
        token.permit(holder, other, 7, block.timestamp, v, r, s);
        vm.assertEq(token.allowance(holder, other), 7);
        vm.assertEq(token.nonces(holder), 1);
    }

    function test_transfer_movesVotesOfDelegators() public {
        vm.prank(holder);
        token.delegate(holder);
        vm.assertEq(token.getVotes(holder), 1000);
        vm.prank(holder);
        vm.assertTrue(token.transfer(other, 400));
        vm.assertEq(token.getVotes(holder), 600);
        vm.assertEq(token.getVotes(other), 0);
        vm.roll(vm.getBlockNumber() + 1);
        vm.assertEq(token.getPastVotes(holder, vm.getBlockNumber() - 1), 600);
    }
}
