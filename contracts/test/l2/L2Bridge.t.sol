// SPDX-License-Identifier: MIT
// Tests of L2Bridge's external functions, reverts first. What does not live here: the tokens' own rules
// (WrappedToken.t.sol).
pragma solidity 0.8.37;

import {IL2Bridge} from "../../src/interfaces/IL2Bridge.sol";
import {L2Bridge} from "../../src/l2/L2Bridge.sol";
import {WrappedToken} from "../../src/l2/WrappedToken.sol";
import {L2} from "../support/L2.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

contract L2BridgeTest is L2 {
    address private constant ETHER = address(0);
    address private constant ASSET = address(0xa55e7);
    address private immutable alice = makeAddress("alice");
    address private immutable bob = makeAddress("bob");

    function setUp() public {
        startL2(OBX);
    }

    function test_genesis_slotZeroIsObx() public view {
        vm.assertEq(l2Bridge.obx(), OBX);
        vm.assertEq(uint256(l2Bridge.withdrawalCount()), 0);
    }

    // credit

    function test_credit_revertsForOthers(address caller) public {
        vm.assume(caller != SYSTEM);
        vm.expectRevert(IL2Bridge.NotSystem.selector);
        vm.prank(caller);
        l2Bridge.credit(ASSET, alice, 1, "", "", 0);
    }

    function test_credit_revertsForObx() public {
        vm.expectRevert(IL2Bridge.NativeAsset.selector);
        vm.prank(SYSTEM);
        l2Bridge.credit(OBX, alice, 1, "", "", 0);
    }

    function test_credit_createsTheTokenOnce() public {
        vm.assertEq(l2Bridge.wrapped(ASSET), address(0));
        vm.prank(SYSTEM);
        l2Bridge.credit(ASSET, alice, 5, "Token", "TKN", 6);
        WrappedToken token = WrappedToken(l2Bridge.wrapped(ASSET));
        vm.assertEq(token.name(), "Token");
        vm.assertEq(token.symbol(), "TKN");
        vm.assertEq(uint256(token.decimals()), 6);
        vm.assertEq(token.asset(), ASSET);
        vm.assertEq(token.bridge(), address(l2Bridge));

        vm.prank(SYSTEM);
        l2Bridge.credit(ASSET, bob, 7, "", "", 0);
        vm.assertEq(l2Bridge.wrapped(ASSET), address(token));
        vm.assertEq(token.name(), "Token");
        vm.assertEq(balance(token, alice), 5);
        vm.assertEq(balance(token, bob), 7);
        vm.assertEq(token.totalSupply(), 12);
    }

    function test_credit_announcesTheToken() public {
        bytes memory code =
            abi.encodePacked(type(WrappedToken).creationCode, abi.encode(ASSET, "Token", "TKN", uint8(6)));
        bytes32 salt = bytes32(uint256(uint160(ASSET)));
        address expected =
            address(uint160(uint256(keccak256(abi.encodePacked(hex"ff", address(l2Bridge), salt, keccak256(code))))));
        vm.expectEmit(address(l2Bridge));
        emit IL2Bridge.TokenWrapped(ASSET, expected);
        vm.assertEq(address(credit(ASSET, alice, 5)), expected);
    }

    function test_credit_takesEther() public {
        vm.assertEq(balance(credit(ETHER, alice, 3), alice), 3);
    }

    /// @dev Whatever L1 lets through: any bytes for a name, any receiver but zero, sums below 2^208.
    function test_credit_neverFails(
        address asset,
        address to,
        uint256 first,
        uint256 second,
        bytes memory name,
        bytes memory symbol,
        uint8 decimals
    ) public {
        vm.assume(asset != OBX && to != address(0));
        first = bound(first, 1, type(uint208).max - 1);
        second = bound(second, 1, type(uint208).max - first);
        vm.startPrank(SYSTEM);
        l2Bridge.credit(asset, to, first, string(name), string(symbol), decimals);
        l2Bridge.credit(asset, to, second, "", "", 0);
        vm.stopPrank();
        WrappedToken token = WrappedToken(l2Bridge.wrapped(asset));
        vm.assertEq(balance(token, to), first + second);
        vm.assertEq(bytes(token.name()), name);
        vm.assertEq(bytes(token.symbol()), symbol);
        token.DOMAIN_SEPARATOR();
        token.eip712Domain();
    }

    // withdraw

    function test_withdraw_reverts() public {
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IL2Bridge.UnknownAsset.selector, ASSET));
        l2Bridge.withdraw(ASSET, 1, bob);
        vm.expectRevert(abi.encodeWithSelector(IL2Bridge.UnknownAsset.selector, OBX));
        l2Bridge.withdraw(OBX, 1, bob);
        vm.stopPrank();
        credit(ASSET, alice, 5);
        vm.startPrank(alice);
        vm.expectRevert(IL2Bridge.ZeroAmount.selector);
        l2Bridge.withdraw(ASSET, 0, bob);
        vm.expectRevert(IL2Bridge.ZeroAddress.selector);
        l2Bridge.withdraw(ASSET, 1, address(0));
        vm.stopPrank();
    }

    function test_withdraw_revertsForMoreThanTheBalance() public {
        credit(ASSET, alice, 5);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientBalance.selector, alice, 5, 6));
        vm.prank(alice, alice);
        l2Bridge.withdraw(ASSET, 6, bob);
        vm.assertEq(uint256(l2Bridge.withdrawalCount()), 0);
    }

    function test_withdraw_burnsAndAnnounces() public {
        WrappedToken token = credit(ASSET, alice, 5);
        vm.expectEmit(address(l2Bridge));
        emit IL2Bridge.Withdrawal(0, ASSET, bob, 2);
        vm.prank(alice);
        l2Bridge.withdraw(ASSET, 2, bob);
        vm.expectEmit(address(l2Bridge));
        emit IL2Bridge.Withdrawal(1, ASSET, bob, 3);
        vm.prank(alice);
        l2Bridge.withdraw(ASSET, 3, bob);
        vm.assertEq(token.totalSupply(), 0);
        vm.assertEq(uint256(l2Bridge.withdrawalCount()), 2);
    }

    // withdrawNative

    function test_withdrawNative_reverts() public {
        vm.deal(alice, 5);
        vm.startPrank(alice);
        vm.expectRevert(IL2Bridge.ZeroAmount.selector);
        l2Bridge.withdrawNative(bob);
        vm.expectRevert(IL2Bridge.ZeroAddress.selector);
        l2Bridge.withdrawNative{value: 1}(address(0));
        vm.stopPrank();
    }

    function test_withdrawNative_keepsTheValue() public {
        vm.deal(alice, 5);
        vm.expectEmit(address(l2Bridge));
        emit IL2Bridge.Withdrawal(0, OBX, bob, 4);
        vm.prank(alice);
        l2Bridge.withdrawNative{value: 4}(bob);
        vm.assertEq(address(l2Bridge).balance, 4);
        vm.assertEq(alice.balance, 1);
    }

    function test_indices_runAcrossAssets() public {
        credit(ASSET, alice, 5);
        vm.deal(alice, 5);
        vm.startPrank(alice);
        l2Bridge.withdraw(ASSET, 1, bob);
        l2Bridge.withdrawNative{value: 1}(bob);
        vm.expectEmit(address(l2Bridge));
        emit IL2Bridge.Withdrawal(2, ASSET, bob, 1);
        l2Bridge.withdraw(ASSET, 1, bob);
        vm.stopPrank();
    }

    function test_withdrawals_areLimitedPerBlock() public {
        credit(ASSET, alice, 1e6);
        vm.deal(alice, 1e6);
        vm.roll(7);
        // One before, so that the index and the number in the block differ.
        vm.startPrank(alice);
        l2Bridge.withdraw(ASSET, 1, bob);
        for (uint256 height = 8; height <= 9; height++) {
            vm.roll(height);
            for (uint256 i = 0; i < 512; i++) {
                l2Bridge.withdraw(ASSET, 1, bob);
                l2Bridge.withdrawNative{value: 1}(bob);
            }
            vm.expectRevert(IL2Bridge.TooManyWithdrawals.selector);
            l2Bridge.withdraw(ASSET, 1, bob);
            vm.expectRevert(IL2Bridge.TooManyWithdrawals.selector);
            l2Bridge.withdrawNative{value: 1}(bob);
            vm.assertEq(uint256(l2Bridge.withdrawalCount()), 1 + 1024 * (height - 7));
        }
        vm.roll(10);
        vm.expectEmit(address(l2Bridge));
        emit IL2Bridge.Withdrawal(2049, ASSET, bob, 1);
        l2Bridge.withdraw(ASSET, 1, bob);
        vm.stopPrank();
        vm.assertEq(l2Bridge.obx(), OBX);
    }

    function test_withdraw_thatFailsDoesNotCount() public {
        credit(ASSET, alice, 1e6);
        vm.startPrank(alice, alice);
        for (uint256 i = 0; i < 1023; i++) {
            l2Bridge.withdraw(ASSET, 1, bob);
        }
        vm.expectRevert();
        l2Bridge.withdraw(ASSET, 1e6, bob);
        l2Bridge.withdraw(ASSET, 1, bob);
        vm.stopPrank();
        vm.assertEq(uint256(l2Bridge.withdrawalCount()), 1024);
    }

    /// @dev The count, the block and the number in it share slot 0 with OBX: at their highest they leave it alone.
    function test_withdrawals_leaveObxAlone() public {
        uint256 slot = uint256(uint160(OBX)) | (uint256(type(uint48).max - 1) << 160);
        vm.store(address(l2Bridge), 0, bytes32(slot));
        vm.roll(type(uint32).max);
        vm.deal(alice, 1);
        vm.expectEmit(address(l2Bridge));
        emit IL2Bridge.Withdrawal(type(uint48).max - 1, OBX, bob, 1);
        vm.prank(alice);
        l2Bridge.withdrawNative{value: 1}(bob);
        vm.assertEq(uint256(l2Bridge.withdrawalCount()), type(uint48).max);
        vm.assertEq(l2Bridge.obx(), OBX);
    }

    function test_receive_refusesPlainValue() public {
        vm.deal(alice, 5);
        vm.prank(alice);
        (bool ok,) = address(l2Bridge).call{value: 1}("");
        vm.assertFalse(ok);
    }

    /// forge-config: default.isolate = true
    function test_gas() public {
        credit(ASSET, alice, 5);
        vm.prank(SYSTEM);
        l2Bridge.credit(address(1), alice, 5, "Token", "TKN", 6);
        vm.snapshotGasLastCall("credit first");
        vm.prank(SYSTEM);
        l2Bridge.credit(ASSET, alice, 5, "", "", 0);
        vm.snapshotGasLastCall("credit");
        vm.prank(alice);
        l2Bridge.withdraw(ASSET, 1, bob);
        vm.snapshotGasLastCall("withdraw");
        vm.deal(alice, 5);
        vm.prank(alice);
        l2Bridge.withdrawNative{value: 1}(bob);
        vm.snapshotGasLastCall("withdrawNative");
    }
}
