// SPDX-License-Identifier: MIT
// Tests of RollupTree against a naive model that keeps every rollup in a list and answers by walking, and of what an
// adversary can make others pay. What does not live here: who may publish (RollupManagement.t.sol).
pragma solidity 0.8.37;

import {RollupTree} from "../src/RollupTree.sol";
import {Test} from "./support/Test.sol";

/// @dev The library behind external functions. Rollups are named by small numbers; 1 is genesis.
contract Tree {
    using RollupTree for RollupTree.Tree;

    uint256 public immutable timeoutBlocks;
    RollupTree.Tree private _tree;

    constructor(uint256 timeoutBlocks_) {
        timeoutBlocks = timeoutBlocks_;
        _tree.plant(bytes32(uint256(1)));
    }

    function grow(uint256 rollup, uint256 parent) external {
        _tree.grow(bytes32(rollup), bytes32(parent), 0, 0, RollupTree.sliceLength(timeoutBlocks));
    }

    function judge(uint256 rollup) external view returns (bool undisputed, bool suspended) {
        return _tree.judge(bytes32(rollup), timeoutBlocks);
    }

    function isUndisputed(uint256 rollup) external view returns (bool undisputed) {
        (undisputed,) = _tree.judge(bytes32(rollup), timeoutBlocks);
    }

    function isAncestor(uint256 ancestor, uint256 descendant) external view returns (bool) {
        return _tree.isAncestor(bytes32(ancestor), bytes32(descendant));
    }

    function fork(uint256 rollup, uint256 rival) external view returns (uint256 depth, uint256 rivalDepth) {
        return _tree.fork(bytes32(rollup), bytes32(rival));
    }

    function liveSince() external view returns (uint256) {
        return _tree.liveSince(timeoutBlocks);
    }

    function isHead(uint256 rollup) external view returns (bool) {
        return !_tree.entries[bytes32(rollup)].extended;
    }

    function depthOf(uint256 rollup) external view returns (uint256) {
        return _tree.branches[_tree.entries[bytes32(rollup)].branch].depth;
    }
}

/// @dev The same tree, told the slow way. Rollup `i` is at index `i`; index 0 is unused.
contract Model {
    uint256 public immutable timeoutBlocks;
    uint256[] public parent = [0, 0];
    uint256[] public includedAt;
    uint256[] public children = [0, 0];
    uint256[] public number = [0, 0];
    uint256 public highest = 1;

    constructor(uint256 timeoutBlocks_) {
        timeoutBlocks = timeoutBlocks_;
        includedAt = [0, block.number];
    }

    function count() external view returns (uint256) {
        return parent.length - 1;
    }

    function grow(uint256 parent_) external returns (uint256 rollup) {
        rollup = parent.length;
        parent.push(parent_);
        includedAt.push(block.number);
        children.push(0);
        children[parent_]++;
        number.push(number[parent_] + 1);
        if (number[rollup] > number[highest]) highest = rollup;
    }

    function isAncestor(uint256 ancestor, uint256 descendant) public view returns (bool) {
        while (descendant > ancestor) descendant = parent[descendant];
        return descendant == ancestor;
    }

    /// @dev Since when a head must have made progress to be live: the last block with a rollup that is a timeout ago.
    function turningPoint() public view returns (uint256 last) {
        for (uint256 i = 1; i < parent.length; i++) {
            if (includedAt[i] + timeoutBlocks <= block.number) last = includedAt[i];
        }
    }

    /// @dev The definition, word for word: no progress for the timeout after another rollup came in a later block.
    function isDead(uint256 head, uint256[] memory blocks) private view returns (bool) {
        for (uint256 i = 1; i < blocks.length; i++) {
            if (blocks[i] > blocks[head] && blocks[i] + timeoutBlocks <= block.number) return true;
        }
        return false;
    }

    /// @dev How far two rollups stand above their last common ancestor.
    function fork(uint256 rollup, uint256 rival) public view returns (uint256 depth, uint256 rivalDepth) {
        (uint256 a, uint256 b) = (rollup, rival);
        while (a != b) {
            if (a > b) a = parent[a];
            else b = parent[b];
        }
        return (number[rollup] - number[a], number[rival] - number[a]);
    }

    /// @dev The heads that made progress at `since` or later.
    function headsSince(uint256 since) external view returns (bool[] memory live) {
        live = new bool[](includedAt.length);
        for (uint256 i = 1; i < live.length; i++) {
            live[i] = children[i] == 0 && includedAt[i] >= since;
        }
    }

    /// @dev The live heads.
    function heads() external view returns (bool[] memory live) {
        uint256[] memory blocks = includedAt;
        live = new bool[](blocks.length);
        for (uint256 i = 1; i < live.length; i++) {
            live[i] = children[i] == 0 && !isDead(i, blocks);
        }
    }

    /// @dev Whether two of these stand at least two above their last common ancestor.
    function isDeepFork(bool[] memory live) external view returns (bool) {
        for (uint256 i = 1; i < live.length; i++) {
            for (uint256 j = 1; live[i] && j < i; j++) {
                if (!live[j]) continue;
                (uint256 depth, uint256 rivalDepth) = fork(i, j);
                if (depth >= 2 && rivalDepth >= 2) return true;
            }
        }
        return false;
    }

    /// @dev For each rollup, whether all the live are among it and its descendants. Parents come before children.
    function carryAll(bool[] memory live) external view returns (bool[] memory all) {
        uint256 total = 0;
        uint256[] memory carried = new uint256[](live.length);
        for (uint256 i = live.length - 1; i > 0; i--) {
            if (live[i]) (total, carried[i]) = (total + 1, carried[i] + 1);
            carried[parent[i]] += carried[i];
        }
        all = new bool[](live.length);
        for (uint256 i = 1; i < live.length; i++) {
            all[i] = carried[i] == total;
        }
    }
}

contract RollupTreeTest is Test {
    uint256 private constant START = 1000;

    Tree private tree;
    Model private model;

    function plant(uint256 timeoutBlocks) private {
        vm.roll(START);
        tree = new Tree(timeoutBlocks);
        model = new Model(timeoutBlocks);
    }

    function grow(uint256 parent) private returns (uint256 rollup) {
        rollup = model.grow(parent);
        tree.grow(rollup, parent);
    }

    function advance(uint256 blocks) private {
        vm.roll(vm.getBlockNumber() + blocks);
    }

    /// @dev Grows a random tree: mostly at one of the youngest rollups, so that branches compete, sometimes anywhere. Every
    /// other tree has no deep forks, only losers of a round beside one chain.
    function growRandomly(uint256 random, uint256 steps, uint256 gapMax) private {
        bool shallow = random & 1 == 0;
        for (uint256 i = 0; i < steps; i++) {
            random = uint256(keccak256(abi.encode(random)));
            if (random % 3 != 0) advance(1 + (random >> 8) % gapMax);
            uint256 count = model.count();
            uint256 reach = (random >> 64) % 5 == 0 ? count : 1 + (random >> 72) % (count < 4 ? count : 4);
            uint256 parent = count - (random >> 128) % reach;
            if (shallow) {
                parent = model.highest();
                for (uint256 j = 0; j < (random >> 192) % 4; j++) {
                    parent = model.parent(parent) == 0 ? parent : model.parent(parent);
                }
            }
            while (model.includedAt(parent) == vm.getBlockNumber() && parent != 1) parent = model.parent(parent);
            grow(parent);
            if (random % 7 == 0) check();
        }
        check();
        // Then nothing for a timeout and a half: heads die at different times.
        for (uint256 i = 0; i < 10; i++) {
            advance(1 + tree.timeoutBlocks() / 7);
            check();
        }
    }

    /// @dev Everything the tree says, against the model.
    function check() private view {
        uint256 exact = model.turningPoint();
        uint256 since = tree.liveSince();
        uint256 slice = (tree.timeoutBlocks() + 7) / 8;
        vm.assertLe(since, exact);
        vm.assertLt(exact, since + slice);

        bool[] memory heads = model.heads();
        bool[] memory headsSince = model.headsSince(since);
        (, bool suspended) = tree.judge(1);
        vm.assertEq(suspended, model.isDeepFork(headsSince));
        bool exactly = model.isDeepFork(heads);
        vm.assertTrue(suspended || !exactly, "a deep fork is alive");
        if (slice == 1) vm.assertEq(suspended, exactly);
        bool[] memory undisputed = model.carryAll(heads);
        bool[] memory undisputedSince = model.carryAll(headsSince);
        for (uint256 i = 1; i < undisputed.length; i++) {
            (bool isUndisputed, bool isSuspended) = tree.judge(i);
            vm.assertEq(isSuspended, suspended);
            vm.assertTrue(!isUndisputed || undisputed[i], "a live head disputes it");
            vm.assertEq(isUndisputed, undisputedSince[i]);
            if (slice == 1) vm.assertEq(isUndisputed, undisputed[i]);
            vm.assertEq(tree.isHead(i), model.children(i) == 0);
        }
    }

    /// forge-config: default.fuzz.runs = 40
    /// forge-config: deep.fuzz.runs = 1000
    function test_history_isExactWithSlicesOfOneBlock(uint256 random, uint256 timeoutBlocks) public {
        plant(bound(timeoutBlocks, 1, 8));
        growRandomly(random, 40, 3);
    }

    /// forge-config: default.fuzz.runs = 40
    /// forge-config: deep.fuzz.runs = 1000
    function test_history_isSafeWithLongerSlices(uint256 random, uint256 timeoutBlocks) public {
        plant(bound(timeoutBlocks, 9, 60));
        growRandomly(random, 40, 5);
    }

    /// forge-config: default.fuzz.runs = 40
    /// forge-config: deep.fuzz.runs = 1000
    function test_history_isSafeWhenSparse(uint256 random, uint256 timeoutBlocks) public {
        plant(bound(timeoutBlocks, 2, 60));
        growRandomly(random, 30, 100);
    }

    /// forge-config: default.fuzz.runs = 40
    /// forge-config: deep.fuzz.runs = 1000
    function test_isAncestor_agreesWithTheModel(uint256 random) public {
        plant(10);
        growRandomly(random, 40, 2);
        for (uint256 i = 1; i <= model.count(); i++) {
            for (uint256 j = 1; j <= model.count(); j++) {
                vm.assertEq(tree.isAncestor(i, j), model.isAncestor(i, j));
                (uint256 depth, uint256 rivalDepth) = tree.fork(i, j);
                (uint256 expected, uint256 rivalExpected) = model.fork(i, j);
                vm.assertEq(depth, expected);
                vm.assertEq(rivalDepth, rivalExpected);
            }
        }
    }

    function test_isAncestor_agreesWithTheModelInDeepNesting() public {
        plant(10);
        uint256 trunk = nest(1, 150);
        vm.assertEq(tree.depthOf(trunk), 150);
        uint256 count = model.count();
        for (uint256 i = 1; i <= count; i += 7) {
            for (uint256 j = 1; j <= count; j += 3) {
                vm.assertEq(tree.isAncestor(i, j), model.isAncestor(i, j));
            }
        }
    }

    /// @dev Makes each next rollup the second child of the last, so that every one starts a branch on the branch before.
    function nest(uint256 trunk, uint256 depth) private returns (uint256) {
        for (uint256 i = 0; i < depth; i++) {
            advance(1);
            grow(trunk);
            trunk = grow(trunk);
        }
        return trunk;
    }

    /// @dev What the honest chain pays does not grow with the number of forks an adversary has published.
    /// forge-config: default.isolate = true
    function test_gas_siblingsMakeNothingDearer() public {
        plant(80);
        uint256 trunk = 1;
        for (uint256 i = 0; i < 20; i++) {
            advance(1);
            trunk = grow(trunk);
        }
        advance(1);
        trunk = grow(trunk);
        uint256 growBefore = vm.snapshotGasLastCall("grow alone");
        tree.judge(1);
        uint256 confirmBefore = vm.snapshotGasLastCall("judge alone");

        for (uint256 i = 0; i < 300; i++) {
            grow(1 + i % 20);
        }
        trunk = grow(trunk - 1);
        advance(1);
        trunk = grow(trunk);
        uint256 growAfter = vm.snapshotGasLastCall("grow after 300 forks");
        tree.judge(1);
        uint256 confirmAfter = vm.snapshotGasLastCall("judge after 300 forks");
        vm.assertLe(growAfter, growBefore + 10_000);
        vm.assertLe(confirmAfter, confirmBefore + 25_000);

        // The forks die; the rollup they disputed is confirmed.
        vm.assertFalse(tree.isUndisputed(3));
        advance(90);
        trunk = grow(trunk);
        advance(80);
        vm.assertTrue(tree.isUndisputed(trunk));
    }

    /// @dev Nested forks cost the logarithm of their depth.
    /// forge-config: default.isolate = true
    function test_gas_nestingCostsItsLogarithm() public {
        plant(8);
        uint256 trunk = nest(1, 1000);
        advance(1);
        grow(trunk);
        vm.snapshotGasLastCall("grow at depth 1000");
        advance(1);
        // From the far end of the tree: the last common ancestor of a new branch at genesis and the deepest one.
        grow(1);
        uint256 growGas = vm.snapshotGasLastCall("grow across depth 1000");
        tree.judge(trunk);
        uint256 confirmGas = vm.snapshotGasLastCall("judge across depth 1000");
        vm.assertLe(growGas, 250_000);
        vm.assertLe(confirmGas, 250_000);
    }
}
