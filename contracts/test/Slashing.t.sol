// SPDX-License-Identifier: MIT
// Tests of deep forks: what is announced, who is accused, slashed, acquitted, reverts first. What does not live here: which
// forks are deep, in long random histories (RollupTree.t.sol), and what random histories do to stakes
// (SlashingInvariants.t.sol).
pragma solidity 0.8.37;

import {INetworkManagement} from "../src/interfaces/INetworkManagement.sol";
import {IRollupManagement} from "../src/interfaces/IRollupManagement.sol";
import {Network} from "./support/Network.sol";

contract SlashingTest is Network {
    bytes32 private constant GENESIS = CONFIG_HASH;
    uint256 private constant FORGER_KEY = 0xf0;
    uint256 private constant ACCOMPLICE_KEY = 0xf1;
    /// @dev A head counts as live for up to a slice after its death; here a slice is one block.
    uint256 private constant DEATH_BLOCKS = FORK_TIMEOUT_BLOCKS;

    address private immutable forger = vm.addr(FORGER_KEY);
    address private immutable accuser = makeAddress("accuser");

    mapping(bytes32 rollup => IRollupManagement.RollupHeader) private headers;
    /// @dev The honest chain and the forged one: rollup `i` of each stands `i` above genesis.
    bytes32[] private honest;
    bytes32[] private forged;

    function setUp() public {
        start(SLASH_DEPTH);
    }

    function start(uint256 slashDepth) private {
        deployNetwork(slashDepth);
        registerGenesis();
        register(forger, MINIMUM_STAKE);
        admit(forger);
        register(vm.addr(ACCOMPLICE_KEY), MINIMUM_STAKE);
        admit(vm.addr(ACCOMPLICE_KEY));
        vm.roll(START + 1);
        honest = [GENESIS];
        forged = [GENESIS];
    }

    function publishBy(uint256 key, bytes32 parent) private returns (bytes32 hash) {
        IRollupManagement.RollupHeader memory h = header(parent);
        hash = publishAs(key, h);
        headers[hash] = h;
    }

    function advance(uint256 blocks) private {
        vm.roll(vm.getBlockNumber() + blocks);
    }

    /// @dev The honest chain grows by one, a block later.
    function build() private {
        advance(1);
        honest.push(publishBy(GENESIS_KEY, honest[honest.length - 1]));
    }

    function forge(uint256 key) private {
        forged.push(publishBy(key, forged[forged.length - 1]));
    }

    /// @dev Two branches, both two deep, from genesis.
    function fork() private {
        build();
        forge(FORGER_KEY);
        build();
        forge(FORGER_KEY);
    }

    /// @dev The forged branch dies.
    function bury() private {
        build();
        advance(DEATH_BLOCKS);
    }

    function accuse(bytes32 rollup, bytes32 rival) private {
        vm.prank(accuser);
        rollups.accuse(headers[rollup], rival);
    }

    function expectAccuseRevert(bytes32 rollup, bytes32 rival, bytes memory error) private {
        vm.expectRevert(error);
        accuse(rollup, rival);
    }

    function tooShallow(bytes32 rollup, bytes32 rival, uint256 depth, uint256 rivalDepth)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(IRollupManagement.ForkTooShallow.selector, rollup, rival, depth, rivalDepth);
    }

    function disputed(bytes32 rollup) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IRollupManagement.Disputed.selector, rollup);
    }

    function notInnocent(bytes32 rollup, bytes32 survivor) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IRollupManagement.NotInnocent.selector, rollup, survivor);
    }

    function accusationsOf(uint256 key) private view returns (uint256) {
        return network.node(vm.addr(key)).accusations;
    }

    // publish

    function test_publish_announcesForks() public {
        bytes32 a = publishBy(GENESIS_KEY, GENESIS);
        IRollupManagement.RollupHeader memory h = header(GENESIS);
        bytes memory signed = sign(h);
        bytes32 b = rollups.hashRollup(h);
        vm.expectEmit(address(rollups));
        emit IRollupManagement.ForkBegan(b, GENESIS, 1);
        vm.prank(operator, operator);
        rollups.publish(h, signed, LOTTERY_PROOF, PAYLOAD, noAnswers());
        vm.assertFalse(rollups.isSuspended());

        advance(1);
        publishBy(GENESIS_KEY, a);
        vm.assertFalse(rollups.isSuspended());
        advance(1);
        // In another slice, where nothing else was published.
        h = header(b);
        signed = sign(h);
        vm.expectEmit(address(rollups));
        emit IRollupManagement.DeepForkSeen(rollups.hashRollup(h));
        vm.prank(operator, operator);
        rollups.publish(h, signed, LOTTERY_PROOF, PAYLOAD, noAnswers());
        vm.assertTrue(rollups.isSuspended());
    }

    // isSuspended

    function test_isSuspended_ignoresLosersOfARound() public {
        for (uint256 i = 0; i < 20; i++) {
            build();
            publishBy(FORGER_KEY, honest[honest.length - 2]);
            publishBy(FORGER_KEY, honest[honest.length - 2]);
            vm.assertFalse(rollups.isSuspended());
        }
    }

    function test_isSuspended_untilOneBranchDies() public {
        fork();
        vm.assertTrue(rollups.isSuspended());
        vm.assertFalse(rollups.isConfirmed(GENESIS, 0));
        uint256 forkedAt = vm.getBlockNumber();
        vm.roll(forkedAt + 1000);
        // Neither progresses, neither dies.
        vm.assertTrue(rollups.isSuspended());
        build();
        advance(DEATH_BLOCKS - 1);
        vm.assertTrue(rollups.isSuspended());
        advance(1);
        vm.assertFalse(rollups.isSuspended());
        vm.assertTrue(rollups.isConfirmed(honest[1], 0));
        // It revives, and all is suspended again.
        forge(FORGER_KEY);
        vm.assertTrue(rollups.isSuspended());
    }

    // accuse

    function test_accuse_reverts() public {
        forge(FORGER_KEY);
        build();
        forge(FORGER_KEY);
        expectAccuseRevert(forged[2], honest[1], tooShallow(forged[2], honest[1], 2, 1));
        build();
        // Whoever only lost a round.
        expectAccuseRevert(forged[1], honest[2], tooShallow(forged[1], honest[2], 1, 2));
        expectAccuseRevert(forged[2], forged[2], tooShallow(forged[2], forged[2], 0, 0));
        // An ancestor is no rival, nor is a descendant.
        expectAccuseRevert(honest[2], GENESIS, tooShallow(honest[2], GENESIS, 2, 0));
        bytes32 unknown = keccak256("unknown");
        bytes memory error = abi.encodeWithSelector(IRollupManagement.UnknownRollup.selector, unknown);
        expectAccuseRevert(forged[2], unknown, error);
        IRollupManagement.RollupHeader memory h = headers[forged[2]];
        h.aggregator = founder;
        vm.expectPartialRevert(IRollupManagement.UnknownRollup.selector);
        rollups.accuse(h, honest[2]);

        accuse(forged[2], honest[2]);
        error = abi.encodeWithSelector(IRollupManagement.AlreadyAccused.selector, forged[2]);
        expectAccuseRevert(forged[2], honest[2], error);
    }

    function test_accuse_revertsForTheSurvivor() public {
        fork();
        bury();
        // Nobody can freeze stakes for ever by one dead fork.
        expectAccuseRevert(honest[2], forged[2], disputed(forged[2]));
        expectAccuseRevert(honest[3], forged[2], disputed(forged[2]));
        accuse(forged[2], honest[2]);
    }

    function test_accuse_revertsWithNothingAtStake() public {
        forge(FORGER_KEY);
        advance(1);
        forge(FORGER_KEY);
        vm.startPrank(operator);
        network.leave(forger);
        advance(UNBONDING_BLOCKS);
        network.withdrawStake(forger);
        vm.stopPrank();
        build();
        build();
        expectAccuseRevert(
            forged[2], honest[2], abi.encodeWithSelector(INetworkManagement.NothingToSlash.selector, forger)
        );
    }

    function test_accuse_announcesAndFreezes() public {
        fork();
        vm.expectEmit(address(rollups));
        emit IRollupManagement.Accused(forged[2], forger, honest[2], accuser);
        accuse(forged[2], honest[2]);
        (address by, uint64 since) = rollups.accusations(forged[2]);
        vm.assertEq(by, accuser);
        vm.assertEq(uint256(since), vm.getBlockNumber());
        vm.assertEq(accusationsOf(FORGER_KEY), 1);

        vm.prank(operator);
        network.leave(forger);
        advance(UNBONDING_BLOCKS);
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.StakeFrozen.selector, forger));
        vm.prank(operator);
        network.withdrawStake(forger);
    }

    /// @dev One rollup beside an old one disputes everything above it, without a deep fork: withdrawals wait as long as such
    /// come. No honest enclave makes them: it was shown what it passes over.
    function test_accuse_reachesWhoForksBelowWhatItWasShown() public {
        for (uint256 i = 0; i < 3 * DEATH_BLOCKS; i++) {
            build();
        }
        vm.assertTrue(rollups.isConfirmed(honest[1], 0));
        forge(FORGER_KEY);
        vm.assertFalse(rollups.isConfirmed(honest[1], 0));
        vm.assertFalse(rollups.isSuspended());
        // An accomplice takes over: the first survivor is disputed all the time.
        advance(DEATH_BLOCKS - 1);
        build();
        accuse(forged[1], honest[1]);
        publishBy(ACCOMPLICE_KEY, GENESIS);
        advance(DEATH_BLOCKS);
        build();
        vm.expectRevert(disputed(honest[1]));
        rollups.slash(headers[forged[1]], honest[1]);

        bury();
        rollups.slash(headers[forged[1]], honest[1]);
        vm.assertFalse(network.isAggregator(forger));
        vm.assertTrue(rollups.isConfirmed(honest[1], 0));
    }

    /// @dev The first forged rollup, with the illegal withdrawal: the honest answer was proven after it.
    function test_accuse_reachesWhoeverIsPassedOver() public {
        forge(FORGER_KEY);
        advance(1);
        build();
        accuse(forged[1], honest[1]);
        vm.expectRevert(disputed(honest[1]));
        rollups.acquit(headers[forged[1]], honest[1]);
        bury();
        vm.expectRevert(notInnocent(forged[1], honest[1]));
        rollups.acquit(headers[forged[1]], honest[1]);
        vm.expectRevert(notInnocent(forged[1], honest[2]));
        rollups.acquit(headers[forged[1]], honest[2]);
        rollups.slash(headers[forged[1]], honest[1]);
        vm.assertFalse(network.isAggregator(forger));
    }

    function test_accuse_sparesLosersWhateverTheOrderOfTheirInclusion() public {
        // Proven by the same block; the loser is included three blocks later.
        advance(1);
        IRollupManagement.RollupHeader memory late = header(GENESIS);
        honest.push(publishBy(GENESIS_KEY, GENESIS));
        bytes32 rival = publishBy(FORGER_KEY, GENESIS);
        expectAccuseRevert(rival, honest[1], tooShallow(rival, honest[1], 1, 1));
        expectAccuseRevert(honest[1], rival, tooShallow(honest[1], rival, 1, 1));
        build();
        advance(2);
        bytes32 loser = publishAs(ACCOMPLICE_KEY, late);
        headers[loser] = late;
        expectAccuseRevert(loser, honest[1], tooShallow(loser, honest[1], 1, 1));
        expectAccuseRevert(honest[1], loser, tooShallow(honest[1], loser, 1, 1));
    }

    /// @dev While another fork is alive, a dead one still accuses nobody.
    function test_accuse_revertsForADeadRival() public {
        fork();
        bury();
        bytes32 parent = honest[honest.length - 1];
        for (uint256 i = 0; i < 2; i++) {
            build();
            parent = publishBy(ACCOMPLICE_KEY, parent);
        }
        build();
        vm.assertTrue(rollups.isSuspended());
        expectAccuseRevert(honest[honest.length - 1], forged[2], disputed(forged[2]));
        accuse(parent, honest[honest.length - 1]);
    }

    /// @dev An old contradiction does not serve to freeze the survivor's stake either.
    function test_accuse_revertsForADeadContradiction() public {
        build();
        advance(1);
        forge(FORGER_KEY);
        build();
        accuse(honest[1], forged[1]);
        bury();
        rollups.acquit(headers[honest[1]], honest[2]);
        expectAccuseRevert(honest[1], forged[1], disputed(forged[1]));
        accuse(forged[1], honest[1]);
    }

    // slash

    function test_slash_reverts() public {
        fork();
        IRollupManagement.RollupHeader memory h = headers[forged[2]];
        vm.expectRevert(abi.encodeWithSelector(IRollupManagement.NotAccused.selector, forged[2]));
        rollups.slash(h, honest[2]);
        accuse(forged[2], honest[2]);
        uint256 due = vm.getBlockNumber() + SLASH_DELAY_BLOCKS;
        advance(SLASH_DELAY_BLOCKS - 1);
        vm.expectRevert(abi.encodeWithSelector(IRollupManagement.TooEarlyToSlash.selector, due));
        rollups.slash(h, honest[2]);
        build();
        forge(FORGER_KEY);
        vm.expectRevert(disputed(honest[2]));
        rollups.slash(h, honest[2]);
        bury();
        vm.expectRevert(tooShallow(forged[2], honest[1], 2, 1));
        rollups.slash(h, honest[1]);
        vm.expectRevert(tooShallow(forged[2], forged[2], 0, 0));
        rollups.slash(h, forged[2]);
        rollups.slash(h, honest[2]);
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.NothingToSlash.selector, forger));
        rollups.slash(h, honest[2]);
    }

    function test_slash_paysTheAccuserAndTheOwnerAndEndsMembership() public {
        fork();
        accuse(forged[2], honest[2]);
        bury();
        vm.expectEmit(address(network));
        emit INetworkManagement.NodeSlashed(forger, accuser, MINIMUM_STAKE, MINIMUM_STAKE / 10);
        rollups.slash(headers[forged[2]], honest[2]);

        vm.assertEq(obx.balanceOf(accuser), MINIMUM_STAKE / 10);
        vm.assertEq(obx.balanceOf(governor), MINIMUM_STAKE * 9 / 10);
        vm.assertEq(uint256(network.node(forger).stake), 0);
        vm.assertEq(uint256(network.node(forger).leftAt), vm.getBlockNumber());
        vm.assertFalse(network.isMember(forger));
        vm.assertFalse(network.isAggregator(forger));
        advance(UNBONDING_BLOCKS);
        vm.startPrank(operator);
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.NodeHasLeft.selector, forger));
        network.leave(forger);
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.StakeFrozen.selector, forger));
        network.withdrawStake(forger);
        vm.stopPrank();
        vm.assertTrue(network.isAggregator(founder));
    }

    /// @dev A forger that leaves, and an accomplice that keeps the branch alive until the stake is unbonded.
    function test_slash_reachesWhoLeftLongAgo() public {
        fork();
        vm.prank(operator);
        network.leave(forger);
        accuse(forged[2], honest[2]);
        for (uint256 i = 0; i < UNBONDING_BLOCKS; i += DEATH_BLOCKS - 1) {
            advance(DEATH_BLOCKS - 2);
            build();
            forge(ACCOMPLICE_KEY);
        }
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.StakeFrozen.selector, forger));
        vm.prank(operator);
        network.withdrawStake(forger);
        accuse(forged[3], honest[honest.length - 1]);
        bury();
        advance(SLASH_DELAY_BLOCKS);
        rollups.slash(headers[forged[2]], honest[2]);
        rollups.slash(headers[forged[3]], honest[2]);
        vm.assertEq(obx.balanceOf(accuser), MINIMUM_STAKE / 5);
    }

    /// @dev An adversary builds on an honest rollup that lost its round: its publisher is not to blame.
    function test_slash_sparesTheHonestLoserThatAForgerBuildsOn() public {
        build();
        forged.push(publishBy(ACCOMPLICE_KEY, GENESIS));
        build();
        forge(FORGER_KEY);
        build();
        expectAccuseRevert(forged[1], honest[2], tooShallow(forged[1], honest[2], 1, 2));
        accuse(forged[2], honest[2]);
        bury();
        rollups.slash(headers[forged[2]], honest[2]);
        vm.assertEq(uint256(network.node(vm.addr(ACCOMPLICE_KEY)).stake) * 1e18, MINIMUM_STAKE);
    }

    function test_slash_leavesTheRestWithoutAnOwner() public {
        fork();
        accuse(forged[2], honest[2]);
        bury();
        vm.prank(governor);
        network.renounceOwnership();
        uint256 before = obx.balanceOf(address(network));
        rollups.slash(headers[forged[2]], honest[2]);
        vm.assertEq(obx.balanceOf(address(network)), before - MINIMUM_STAKE / 10);
    }

    /// @dev A forger whose branch died begins another one: everything is suspended again, but not the verdict.
    function test_slash_doesNotWaitForTheNextFork() public {
        fork();
        accuse(forged[2], honest[2]);
        bury();
        bytes32 parent = honest[honest.length - 1];
        for (uint256 i = 0; i < 2; i++) {
            build();
            parent = publishBy(FORGER_KEY, parent);
        }
        build();
        vm.assertTrue(rollups.isSuspended());
        rollups.slash(headers[forged[2]], honest[2]);
        vm.assertFalse(network.isAggregator(forger));
    }

    // acquit

    function test_acquit_reverts() public {
        fork();
        vm.expectRevert(abi.encodeWithSelector(IRollupManagement.NotAccused.selector, honest[2]));
        rollups.acquit(headers[honest[2]], honest[2]);
        accuse(honest[2], forged[2]);
        accuse(forged[2], honest[2]);
        vm.expectRevert(disputed(honest[2]));
        rollups.acquit(headers[honest[2]], honest[2]);
        bury();
        vm.expectRevert(disputed(forged[2]));
        rollups.acquit(headers[forged[2]], forged[2]);
        vm.expectRevert(
            abi.encodeWithSelector(IRollupManagement.TooDeepToAcquit.selector, forged[2], honest[1], uint256(2))
        );
        rollups.acquit(headers[forged[2]], honest[1]);
    }

    function test_acquit_freesTheSurvivor() public {
        fork();
        accuse(honest[2], forged[2]);
        bury();
        vm.expectEmit(address(rollups));
        emit IRollupManagement.Acquitted(honest[2], founder);
        rollups.acquit(headers[honest[2]], honest[3]);
        vm.assertEq(accusationsOf(GENESIS_KEY), 0);
        (address by,) = rollups.accusations(honest[2]);
        vm.assertEq(by, address(0));
    }

    /// @dev Accused while everything was disputed; beside the surviving chain it is one above the fork point.
    function test_acquit_freesALoserBesideTheSurvivor() public {
        fork();
        advance(1);
        bytes32 loser = publishBy(ACCOMPLICE_KEY, honest[2]);
        honest.push(publishBy(GENESIS_KEY, honest[2]));
        build();
        accuse(loser, forged[2]);
        bury();
        IRollupManagement.RollupHeader memory h = headers[loser];
        vm.expectRevert(tooShallow(loser, honest[4], 1, 2));
        rollups.slash(h, honest[4]);
        vm.expectRevert(notInnocent(loser, honest[4]));
        rollups.acquit(h, honest[4]);
        rollups.acquit(h, honest[3]);
        vm.assertEq(accusationsOf(ACCOMPLICE_KEY), 0);
    }

    /// @dev What the rollup itself builds on is undisputed also while its branch and the honest one are alive.
    function test_acquit_revertsForAnAncestor() public {
        start(3);
        for (uint256 i = 0; i < 4; i++) {
            build();
        }
        advance(1);
        bytes32 forgery = publishBy(FORGER_KEY, honest[3]);
        accuse(forgery, honest[4]);
        IRollupManagement.RollupHeader memory h = headers[forgery];
        // Twice: while both branches are alive, and when the forged one is dead.
        for (uint256 i = 0; i < 2; i++) {
            vm.expectRevert(notInnocent(forgery, honest[3]));
            rollups.acquit(h, honest[3]);
            vm.expectRevert(notInnocent(forgery, honest[2]));
            rollups.acquit(h, honest[2]);
            vm.expectRevert(
                abi.encodeWithSelector(IRollupManagement.TooDeepToAcquit.selector, forgery, honest[1], uint256(3))
            );
            rollups.acquit(h, honest[1]);
            bury();
        }
        vm.expectRevert(notInnocent(forgery, honest[4]));
        rollups.acquit(h, honest[4]);
        rollups.slash(h, honest[4]);
        vm.assertFalse(network.isAggregator(forger));
    }

    /// @dev Too shallow beside the survivor to be slashed, so its stake must not stay frozen for ever.
    function test_acquit_freesWhoIsTooShallowToBeSlashed() public {
        start(3);
        build();
        advance(1);
        bytes32 shallow = publishBy(ACCOMPLICE_KEY, honest[1]);
        advance(1);
        shallow = publishBy(ACCOMPLICE_KEY, shallow);
        for (uint256 i = 0; i < 3; i++) {
            forge(FORGER_KEY);
            build();
        }
        accuse(shallow, forged[3]);
        bury();
        IRollupManagement.RollupHeader memory h = headers[shallow];
        vm.expectRevert(tooShallow(shallow, honest[3], 2, 2));
        rollups.slash(h, honest[3]);
        vm.expectRevert(notInnocent(shallow, honest[1]));
        rollups.acquit(h, honest[1]);
        rollups.acquit(h, honest[3]);
        vm.assertEq(accusationsOf(ACCOMPLICE_KEY), 0);
    }

    // freezeStake, releaseStake, slash of NetworkManagement

    function test_network_obeysRollupManagementAlone() public {
        bytes memory error = abi.encodeWithSelector(INetworkManagement.NotRollups.selector, address(this));
        vm.expectRevert(error);
        network.freezeStake(founder);
        vm.expectRevert(error);
        network.releaseStake(founder);
        vm.expectRevert(error);
        network.slash(founder, address(this));
    }

    /// forge-config: default.isolate = true
    function test_gas() public {
        fork();
        accuse(forged[2], honest[2]);
        vm.snapshotGasLastCall("accuse");
        accuse(honest[2], forged[2]);
        bury();
        rollups.slash(headers[forged[2]], honest[2]);
        vm.snapshotGasLastCall("slash");
        rollups.acquit(headers[honest[2]], honest[2]);
        vm.snapshotGasLastCall("acquit");
    }
}
