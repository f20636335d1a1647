// SPDX-License-Identifier: MIT
// Tests of BridgeManagement's external functions, reverts first. What does not live here: metadata of odd tokens
// (TokenMetadata.t.sol) and random histories of both sides (BridgeInvariants.t.sol).
pragma solidity 0.8.37;

import {BridgeManagement} from "../src/BridgeManagement.sol";
import {ObscuroToken} from "../src/ObscuroToken.sol";
import {IBridgeManagement} from "../src/interfaces/IBridgeManagement.sol";
import {IRollupManagement} from "../src/interfaces/IRollupManagement.sol";
import {Merkle, Withdrawal} from "./support/Merkle.sol";
import {Network} from "./support/Network.sol";
import {CallbackToken, OddToken, TaxedToken, Token} from "./support/Tokens.sol";
import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";

contract BridgeManagementTest is Network {
    using Merkle for Withdrawal;
    using Merkle for bytes32[];

    uint256 private constant WITHDRAWAL_BLOCKS = 5;
    address private constant ETHER = address(0);

    address private immutable alice = makeAddress("alice");
    address private immutable bob = makeAddress("bob");
    BridgeManagement private bridge;
    Token private token;

    function setUp() public {
        deployNetwork();
        registerGenesis();
        bridge = new BridgeManagement(obx, rollups, WITHDRAWAL_BLOCKS);
        token = new Token("Token", "TKN", 6);
        token.mint(alice, type(uint256).max);
        vm.deal(alice, 1000 ether);
        vm.startPrank(alice);
        token.approve(address(bridge), type(uint256).max);
        vm.stopPrank();
        vm.roll(START + 1);
    }

    function depositEther(uint256 amount) private {
        vm.prank(alice);
        bridge.deposit{value: amount}(ETHER, amount, bob);
    }

    function depositToken(uint256 amount) private {
        vm.prank(alice);
        bridge.deposit(address(token), amount, bob);
    }

    /// @dev Publishes a rollup with these withdrawals.
    function publishWithdrawals(bytes32 parent, bytes32 root) private returns (bytes32) {
        IRollupManagement.RollupHeader memory h = header(parent);
        h.withdrawalsRoot = root;
        return publish(h);
    }

    /// @dev Publishes one withdrawal and lets it be confirmed.
    function confirmed(Withdrawal memory w) private returns (bytes32 rollup) {
        rollup = publishWithdrawals(CONFIG_HASH, w.leaf());
        vm.roll(vm.getBlockNumber() + WITHDRAWAL_BLOCKS);
    }

    function withdraw(bytes32 rollup, Withdrawal memory w) private {
        bridge.withdraw(rollup, w.index, w.asset, w.to, w.amount, new bytes32[](0));
    }

    // constructor

    function test_constructor_revertsForZeroAddresses() public {
        vm.expectRevert(IBridgeManagement.ZeroAddress.selector);
        new BridgeManagement(ObscuroToken(address(0)), rollups, 1);
        vm.expectRevert(IBridgeManagement.ZeroAddress.selector);
        new BridgeManagement(obx, IRollupManagement(address(0)), 1);
    }

    // deposit

    function test_deposit_revertsForZeroReceiver() public {
        vm.expectRevert(IBridgeManagement.ZeroAddress.selector);
        vm.prank(alice);
        bridge.deposit{value: 1}(ETHER, 1, address(0));
    }

    function test_deposit_revertsForZeroAmount() public {
        vm.startPrank(alice);
        vm.expectRevert(IBridgeManagement.ZeroAmount.selector);
        bridge.deposit(ETHER, 0, bob);
        vm.expectRevert(IBridgeManagement.ZeroAmount.selector);
        bridge.deposit(address(token), 0, bob);
        vm.stopPrank();
    }

    function test_deposit_revertsForValue() public {
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IBridgeManagement.WrongValue.selector, 1, 2));
        bridge.deposit{value: 1}(ETHER, 2, bob);
        vm.expectRevert(abi.encodeWithSelector(IBridgeManagement.WrongValue.selector, 3, 2));
        bridge.deposit{value: 3}(ETHER, 2, bob);
        vm.expectRevert(abi.encodeWithSelector(IBridgeManagement.WrongValue.selector, 1, 0));
        bridge.deposit{value: 1}(address(token), 1, bob);
        vm.stopPrank();
    }

    function test_deposit_revertsForAssetWithoutCode() public {
        vm.expectRevert();
        vm.prank(alice);
        bridge.deposit(bob, 1, bob);
    }

    function test_deposit_revertsIfNothingArrives() public {
        TaxedToken taxed = new TaxedToken();
        taxed.setTax(100);
        taxed.mint(alice, 100);
        vm.startPrank(alice);
        taxed.approve(address(bridge), 100);
        vm.expectRevert(IBridgeManagement.ZeroAmount.selector);
        bridge.deposit(address(taxed), 100, bob);
        vm.stopPrank();
    }

    function test_deposit_revertsAboveWhatL2CanHold(uint256 first, uint256 second) public {
        uint256 most = type(uint208).max;
        first = bound(first, 1, most);
        second = bound(second, most - first + 1, type(uint256).max - first);
        depositToken(first);
        vm.expectRevert(abi.encodeWithSelector(IBridgeManagement.TooMuchLocked.selector, address(token), first, most));
        depositToken(second);
    }

    function test_deposit_announcesEther() public {
        vm.expectEmit(address(bridge));
        emit IBridgeManagement.Deposited(0, ETHER, bob, alice, 1 ether, "Ether", "ETH", 18);
        depositEther(1 ether);
        vm.expectEmit(address(bridge));
        emit IBridgeManagement.Deposited(1, ETHER, bob, alice, 2 ether, "", "", 0);
        depositEther(2 ether);
        vm.assertEq(bridge.locked(ETHER), 3 ether);
        vm.assertEq(address(bridge).balance, 3 ether);
        vm.assertEq(uint256(bridge.depositCount()), 2);
    }

    function test_deposit_announcesTokenOnce(uint256 amount) public {
        amount = bound(amount, 1, type(uint208).max - 1);
        vm.expectEmit(address(bridge));
        emit IBridgeManagement.Deposited(0, address(token), bob, alice, amount, "Token", "TKN", 6);
        depositToken(amount);
        vm.assertTrue(bridge.isKnown(address(token)));
        vm.expectEmit(address(bridge));
        emit IBridgeManagement.Deposited(1, address(token), bob, alice, 1, "", "", 0);
        depositToken(1);
        vm.assertEq(bridge.locked(address(token)), amount + 1);
        vm.assertEq(token.balanceOf(address(bridge)), amount + 1);
    }

    function test_deposit_neverNamesObx() public {
        vm.startPrank(operator);
        obx.approve(address(bridge), 5);
        vm.expectEmit(address(bridge));
        emit IBridgeManagement.Deposited(0, address(obx), bob, operator, 5, "", "", 0);
        bridge.deposit(address(obx), 5, bob);
        vm.stopPrank();
    }

    function test_deposit_creditsWhatArrives() public {
        TaxedToken taxed = new TaxedToken();
        taxed.mint(alice, 100);
        vm.startPrank(alice);
        taxed.approve(address(bridge), 100);
        vm.expectEmit(address(bridge));
        emit IBridgeManagement.Deposited(0, address(taxed), bob, alice, 90, "Taxed", "TAX", 18);
        bridge.deposit(address(taxed), 100, bob);
        vm.stopPrank();
        vm.assertEq(bridge.locked(address(taxed)), 90);
    }

    function test_deposit_acceptsTokenThatReturnsNothing() public {
        OddToken odd = new OddToken();
        odd.mint(alice, 100);
        vm.expectEmit(address(bridge));
        emit IBridgeManagement.Deposited(0, address(odd), bob, alice, 100, "", "", 0);
        vm.prank(alice);
        bridge.deposit(address(odd), 100, bob);
    }

    function test_deposit_cannotBeReentered() public {
        CallbackToken callback = new CallbackToken();
        callback.mint(alice, 100);
        vm.prank(alice);
        callback.approve(address(bridge), 100);
        callback.set(address(bridge), abi.encodeCall(bridge.deposit, (address(callback), 1, bob)));
        vm.prank(alice);
        bridge.deposit(address(callback), 100, bob);
        vm.assertTrue(callback.failed());
        vm.assertEq(bridge.locked(address(callback)), 100);
    }

    /// @dev With too little gas the metadata would come out empty and stay so; the deposit must fail instead.
    function test_deposit_namesTheTokenWhateverTheGas(uint256 gasLimit) public {
        gasLimit = bound(gasLimit, 60_000, 400_000);
        vm.prank(alice);
        (bool ok,) = address(bridge).call{gas: gasLimit}(abi.encodeCall(bridge.deposit, (address(token), 1, bob)));
        if (!ok) {
            vm.assertFalse(bridge.isKnown(address(token)));
            vm.expectEmit(address(bridge));
            emit IBridgeManagement.Deposited(0, address(token), bob, alice, 1, "Token", "TKN", 6);
            depositToken(1);
        } else {
            vm.assertTrue(bridge.isKnown(address(token)));
            vm.assertTrue(gasLimit > 200_000);
        }
    }

    // withdraw

    function test_withdraw_revertsForUnknownRollup() public {
        Withdrawal memory w = Withdrawal(0, ETHER, bob, 1);
        vm.expectRevert(abi.encodeWithSelector(IBridgeManagement.NotConfirmed.selector, bytes32(uint256(1))));
        withdraw(bytes32(uint256(1)), w);
    }

    function test_withdraw_revertsBeforeConfirmation() public {
        depositEther(1 ether);
        Withdrawal memory w = Withdrawal(0, ETHER, bob, 1 ether);
        bytes32 rollup = publishWithdrawals(CONFIG_HASH, w.leaf());
        vm.roll(vm.getBlockNumber() + WITHDRAWAL_BLOCKS - 1);
        vm.expectRevert(abi.encodeWithSelector(IBridgeManagement.NotConfirmed.selector, rollup));
        withdraw(rollup, w);
    }

    function test_withdraw_revertsWhileForked() public {
        depositEther(1 ether);
        Withdrawal memory w = Withdrawal(0, ETHER, bob, 1 ether);
        bytes32 rollup = publishWithdrawals(CONFIG_HASH, w.leaf());
        publish(CONFIG_HASH);
        vm.roll(vm.getBlockNumber() + 1000);
        vm.expectRevert(abi.encodeWithSelector(IBridgeManagement.NotConfirmed.selector, rollup));
        withdraw(rollup, w);
        publish(rollup);
        vm.roll(vm.getBlockNumber() + FORK_TIMEOUT_BLOCKS);
        withdraw(rollup, w);
        vm.assertEq(bob.balance, 1 ether);
    }

    /// @dev Also what both branches agree on waits: nobody can tell what else is wrong.
    function test_withdraw_revertsWhileSuspended() public {
        depositEther(1 ether);
        Withdrawal memory w = Withdrawal(0, ETHER, bob, 1 ether);
        bytes32 rollup = publishWithdrawals(CONFIG_HASH, w.leaf());
        vm.roll(vm.getBlockNumber() + 1);
        bytes32 a = publish(rollup);
        bytes32 b = publish(rollup);
        vm.roll(vm.getBlockNumber() + 1);
        a = publish(a);
        publish(b);
        vm.roll(vm.getBlockNumber() + 1000);
        vm.expectRevert(IBridgeManagement.WithdrawalsSuspended.selector);
        withdraw(rollup, w);
        publish(a);
        vm.roll(vm.getBlockNumber() + FORK_TIMEOUT_BLOCKS);
        withdraw(rollup, w);
        vm.assertEq(bob.balance, 1 ether);
    }

    function test_withdraw_revertsOnADeadFork() public {
        depositEther(1 ether);
        Withdrawal memory w = Withdrawal(0, ETHER, bob, 1 ether);
        bytes32 rollup = publishWithdrawals(CONFIG_HASH, w.leaf());
        bytes32 winner = publish(CONFIG_HASH);
        vm.roll(vm.getBlockNumber() + 1);
        publish(winner);
        vm.roll(vm.getBlockNumber() + 1000);
        vm.assertTrue(rollups.isConfirmed(winner, WITHDRAWAL_BLOCKS));
        vm.expectRevert(abi.encodeWithSelector(IBridgeManagement.NotConfirmed.selector, rollup));
        withdraw(rollup, w);
    }

    function test_withdraw_revertsForAnythingNotInTheRollup(uint256 field) public {
        depositEther(1 ether);
        Withdrawal memory w = Withdrawal(7, ETHER, bob, 1 ether);
        bytes32 rollup = confirmed(w);
        field = bound(field, 0, 3);
        if (field == 0) w.index = 8;
        else if (field == 1) w.asset = address(token);
        else if (field == 2) w.to = alice;
        else w.amount = 0.5 ether;
        vm.expectRevert(abi.encodeWithSelector(IBridgeManagement.NotInRollup.selector, rollup, w.leaf()));
        withdraw(rollup, w);
    }

    function test_withdraw_revertsForRollupWithoutWithdrawals() public {
        depositEther(1 ether);
        Withdrawal memory w = Withdrawal(0, ETHER, bob, 1 ether);
        bytes32 rollup = publish(CONFIG_HASH);
        vm.roll(vm.getBlockNumber() + WITHDRAWAL_BLOCKS);
        vm.expectRevert(abi.encodeWithSelector(IBridgeManagement.NotInRollup.selector, rollup, w.leaf()));
        withdraw(rollup, w);
    }

    function test_withdraw_revertsForSecondTime() public {
        depositEther(2 ether);
        Withdrawal memory w = Withdrawal(3, ETHER, bob, 1 ether);
        bytes32 rollup = confirmed(w);
        withdraw(rollup, w);
        vm.assertTrue(bridge.isWithdrawn(3));
        vm.expectRevert(abi.encodeWithSelector(IBridgeManagement.AlreadyWithdrawn.selector, 3));
        withdraw(rollup, w);
        // Nor the same index in a later rollup.
        w.to = alice;
        bytes32 later = publishWithdrawals(rollup, w.leaf());
        vm.roll(vm.getBlockNumber() + WITHDRAWAL_BLOCKS);
        vm.expectRevert(abi.encodeWithSelector(IBridgeManagement.AlreadyWithdrawn.selector, 3));
        withdraw(later, w);
    }

    function test_withdraw_revertsForMoreThanIsLocked() public {
        depositEther(1 ether);
        vm.deal(address(bridge), 5 ether);
        Withdrawal memory w = Withdrawal(0, ETHER, bob, 1 ether + 1);
        bytes32 rollup = confirmed(w);
        vm.expectRevert(abi.encodeWithSelector(IBridgeManagement.NotEnoughLocked.selector, ETHER, 1 ether, 1 ether + 1));
        withdraw(rollup, w);
    }

    function test_withdraw_revertsIfRefusedAndCanBeRepeated() public {
        depositEther(1 ether);
        Withdrawal memory w = Withdrawal(0, ETHER, address(token), 1 ether);
        bytes32 rollup = confirmed(w);
        vm.expectRevert(Errors.FailedCall.selector);
        withdraw(rollup, w);
        vm.assertFalse(bridge.isWithdrawn(0));
        vm.assertEq(bridge.locked(ETHER), 1 ether);
    }

    function test_withdraw_cannotBeReentered() public {
        CallbackToken callback = new CallbackToken();
        callback.mint(alice, 100);
        vm.startPrank(alice);
        callback.approve(address(bridge), 100);
        bridge.deposit(address(callback), 100, bob);
        vm.stopPrank();
        Withdrawal memory w = Withdrawal(0, address(callback), bob, 10);
        bytes32 rollup = confirmed(w);
        callback.set(
            address(bridge), abi.encodeCall(bridge.withdraw, (rollup, 0, w.asset, w.to, w.amount, new bytes32[](0)))
        );
        withdraw(rollup, w);
        vm.assertTrue(callback.failed());
        vm.assertEq(callback.balanceOf(bob), 10);
        vm.assertEq(bridge.locked(address(callback)), 90);
    }

    function test_withdraw_paysByProof(uint256 count, uint256 chosen, uint256 random) public {
        count = bound(count, 1, 40);
        chosen = bound(chosen, 0, count - 1);
        depositEther(100 ether);
        depositToken(100 ether);
        Withdrawal[] memory list = new Withdrawal[](count);
        for (uint256 i = 0; i < count; i++) {
            uint256 amount = uint256(keccak256(abi.encode(random, i))) % 1 ether + 1;
            list[i] = Withdrawal(uint64(i), amount % 2 == 0 ? ETHER : address(token), bob, amount);
        }
        bytes32[] memory leaves = Merkle.leaves(list);
        bytes32 rollup = publishWithdrawals(CONFIG_HASH, leaves.root());
        vm.roll(vm.getBlockNumber() + WITHDRAWAL_BLOCKS);

        Withdrawal memory w = list[chosen];
        vm.expectEmit(address(bridge));
        emit IBridgeManagement.Withdrawn(w.index, w.asset, w.to, w.amount);
        bridge.withdraw(rollup, w.index, w.asset, w.to, w.amount, leaves.proof(chosen));
        vm.assertEq(w.asset == ETHER ? bob.balance : token.balanceOf(bob), w.amount);
        vm.assertEq(bridge.locked(w.asset), 100 ether - w.amount);
    }

    function test_receive_refusesPlainEther() public {
        vm.prank(alice);
        (bool ok,) = address(bridge).call{value: 1}("");
        vm.assertFalse(ok);
    }

    /// forge-config: default.isolate = true
    function test_gas() public {
        depositEther(1 ether);
        vm.snapshotGasLastCall("deposit ETH first");
        depositEther(1 ether);
        vm.snapshotGasLastCall("deposit ETH");
        depositToken(1 ether);
        vm.snapshotGasLastCall("deposit token first");
        depositToken(1 ether);
        vm.snapshotGasLastCall("deposit token");

        Withdrawal[] memory list = new Withdrawal[](128);
        for (uint64 i = 0; i < 128; i++) {
            list[i] = Withdrawal(i, i % 2 == 0 ? ETHER : address(token), bob, 1000);
        }
        bytes32[] memory leaves = Merkle.leaves(list);
        bytes32 rollup = publishWithdrawals(CONFIG_HASH, leaves.root());
        vm.roll(vm.getBlockNumber() + WITHDRAWAL_BLOCKS);
        for (uint256 i = 0; i < 4; i++) {
            Withdrawal memory w = list[i];
            bridge.withdraw(rollup, w.index, w.asset, w.to, w.amount, leaves.proof(i));
            if (i == 2) vm.snapshotGasLastCall("withdraw ETH of 128");
            if (i == 3) vm.snapshotGasLastCall("withdraw token of 128");
        }
    }
}
