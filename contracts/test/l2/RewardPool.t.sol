// SPDX-License-Identifier: MIT
// Tests of RewardPool's external functions, reverts first. What does not live here: who earns what, which is the
// enclave's.
pragma solidity 0.8.37;

import {IRewardPool} from "../../src/interfaces/IRewardPool.sol";
import {L2Bridge} from "../../src/l2/L2Bridge.sol";
import {RewardPool} from "../../src/l2/RewardPool.sol";
import {L2} from "../support/L2.sol";

/// @dev Claims again while it is being paid.
contract Greedy {
    RewardPool private immutable pool;
    uint256 public received;

    constructor(RewardPool pool_) {
        pool = pool_;
    }

    function claim() external {
        pool.claim(address(this));
    }

    receive() external payable {
        received += msg.value;
        (bool again,) = address(pool).call(abi.encodeCall(IRewardPool.claim, (address(this))));
        if (again) received = type(uint256).max;
    }
}

contract Refusing {}

contract RewardPoolTest is L2 {
    bytes32 private constant ROLLUP = keccak256("rollup");
    uint256 private constant KEY = 0xe9c1a5e;
    address private immutable enclave = vm.addr(KEY);
    address private immutable alice = makeAddress("alice");
    address private immutable bob = makeAddress("bob");

    function setUp() public {
        startL2(OBX);
    }

    function reward(address owner, uint256 amount) private {
        IRewardPool.Reward[] memory rewards = new IRewardPool.Reward[](1);
        rewards[0] = IRewardPool.Reward(owner, amount);
        vm.prank(SYSTEM);
        pool.credit(rewards, new IRewardPool.Prize[](0));
    }

    function offer(uint256 amount) private {
        IRewardPool.Prize[] memory prizes = new IRewardPool.Prize[](1);
        prizes[0] = IRewardPool.Prize(ROLLUP, enclave, alice, amount);
        vm.prank(SYSTEM);
        pool.credit(new IRewardPool.Reward[](0), prizes);
    }

    function owed(address owner) private returns (uint256) {
        vm.prank(owner);
        return pool.owed(owner);
    }

    function proof(uint256 key, bytes32 rollup) private view returns (bytes memory) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Obscuro"),
                keccak256("1"),
                block.chainid,
                address(pool)
            )
        );
        bytes32 message = keccak256(abi.encode(keccak256("Executed(bytes32 rollup)"), rollup));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, keccak256(abi.encodePacked(hex"1901", domain, message)));
        return abi.encodePacked(r, s, v);
    }

    function test_genesis_slotZeroIsTheReserve() public view {
        vm.assertEq(pool.reserve(), RESERVE);
        vm.assertEq(pool.totalOwed(), 0);
    }

    // credit

    function test_credit_revertsForOthers(address caller) public {
        vm.assume(caller != SYSTEM);
        vm.expectRevert(IRewardPool.NotSystem.selector);
        vm.prank(caller);
        pool.credit(new IRewardPool.Reward[](0), new IRewardPool.Prize[](0));
    }

    function test_credit_addsUp() public {
        reward(alice, 5);
        reward(bob, 7);
        reward(alice, 1);
        vm.assertEq(owed(alice), 6);
        vm.assertEq(owed(bob), 7);
        vm.assertEq(pool.totalOwed(), 13);
    }

    // owed

    function test_owed_revertsForOthers() public {
        vm.expectRevert(IRewardPool.NotAuthorised.selector);
        vm.prank(bob);
        pool.owed(alice);
    }

    // claim

    function claim(address owner, address recipient) private returns (uint256) {
        vm.prank(owner);
        return pool.claim(recipient);
    }

    function test_claim_revertsWithoutEntitlement() public {
        vm.deal(address(pool), 10);
        reward(alice, 6);
        // Who names another is not paid what that one is owed, and does not learn of it.
        vm.expectRevert(IRewardPool.NothingToClaim.selector);
        vm.prank(bob);
        pool.claim(alice);
    }

    function test_claim_revertsIfTheRecipientDoesNotAccept() public {
        address refusing = address(new Refusing());
        vm.deal(address(pool), 10);
        reward(alice, 1);
        vm.expectRevert(IRewardPool.NotPaid.selector);
        vm.prank(alice);
        pool.claim(refusing);
    }

    function test_claim_paysWhomTheOwnerNames() public {
        vm.deal(address(pool), 10);
        reward(alice, 6);
        vm.assertEq(claim(alice, bob), 6);
        vm.assertEq(bob.balance, 6);
        vm.assertEq(address(pool).balance, 4);
        vm.assertEq(owed(alice), 0);
        vm.expectRevert(IRewardPool.NothingToClaim.selector);
        vm.prank(alice);
        pool.claim(alice);
    }

    function test_claim_neverPaysMoreThanThePoolHas(uint96 held, uint96 first, uint96 second) public {
        vm.assume(held > 0 && first > 0);
        vm.deal(address(pool), held);
        reward(alice, first);
        reward(bob, second);
        uint256 paid = claim(alice, alice);
        vm.assertEq(paid, first < held ? first : held);
        vm.assertEq(owed(alice), first - paid);
        vm.assertEq(pool.totalOwed(), uint256(first) + second - paid);
        // What is missing stays owed, and is paid once there are fees again.
        vm.deal(address(pool), uint256(first) + second);
        if (first > paid) claim(alice, alice);
        if (second > 0) claim(bob, bob);
        vm.assertEq(pool.totalOwed(), 0);
        vm.assertEq(alice.balance + bob.balance, uint256(first) + second);
    }

    function test_claim_paysOnceThoughTheOwnerCallsAgain() public {
        Greedy greedy = new Greedy(pool);
        vm.deal(address(pool), 10);
        reward(address(greedy), 4);
        greedy.claim();
        vm.assertEq(greedy.received(), 4);
        vm.assertEq(address(pool).balance, 6);
    }

    // claimPrize

    function test_claimPrize_revertsWithoutPrize() public {
        bytes memory signature = proof(KEY, ROLLUP);
        vm.expectRevert(IRewardPool.NoPrize.selector);
        pool.claimPrize(ROLLUP, enclave, signature);
    }

    function test_claimPrize_revertsForAnotherSignature() public {
        vm.deal(address(pool), 10);
        offer(6);
        bytes[4] memory signatures =
            [proof(KEY + 1, ROLLUP), proof(KEY, keccak256("another")), bytes(""), new bytes(65)];
        for (uint256 i = 0; i < signatures.length; ++i) {
            vm.expectRevert(IRewardPool.NotExecuted.selector);
            pool.claimPrize(ROLLUP, enclave, signatures[i]);
        }
        bytes memory zero = new bytes(65);
        vm.expectRevert(IRewardPool.NoPrize.selector);
        pool.claimPrize(ROLLUP, address(0), zero);
    }

    function test_claimPrize_isOwedOnce() public {
        offer(6);
        vm.roll(block.number + pool.PRIZE_ROLLUPS());
        vm.assertEq(pool.prizeOf(ROLLUP, enclave), 6);
        bytes memory signature = proof(KEY, ROLLUP);
        // Also while the pool is empty: a prize does not wait for fees.
        vm.prank(bob);
        vm.assertEq(pool.claimPrize(ROLLUP, enclave, signature), 6);
        vm.assertEq(owed(alice), 6);
        vm.assertEq(pool.totalOwed(), 6);
        vm.expectRevert(IRewardPool.NoPrize.selector);
        pool.claimPrize(ROLLUP, enclave, signature);
        vm.deal(address(pool), 10);
        vm.assertEq(claim(alice, alice), 6);
        vm.assertEq(alice.balance, 6);
    }

    function test_claimPrize_revertsLater() public {
        vm.deal(address(pool), 10);
        offer(6);
        vm.roll(block.number + pool.PRIZE_ROLLUPS() + 1);
        vm.assertEq(pool.prizeOf(ROLLUP, enclave), 0);
        bytes memory signature = proof(KEY, ROLLUP);
        vm.expectRevert(IRewardPool.NoPrize.selector);
        pool.claimPrize(ROLLUP, enclave, signature);
    }

    // burnExcess

    function test_burnExcess_revertsUpToWhatIsOwedAndTheReserve() public {
        reward(alice, 5);
        vm.deal(address(pool), RESERVE + 5);
        vm.expectRevert(IRewardPool.NoExcess.selector);
        pool.burnExcess();
    }

    function test_burnExcess_withdrawsTheRestToTheToken() public {
        reward(alice, 5);
        vm.deal(address(pool), RESERVE + 12);
        vm.assertEq(pool.burnExcess(), 7);
        vm.assertEq(address(pool).balance, RESERVE + 5);
        vm.assertEq(address(l2Bridge).balance, 7);
        vm.assertEq(uint256(l2Bridge.withdrawalCount()), 1);
    }
}
