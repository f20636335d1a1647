// SPDX-License-Identifier: MIT
// The tree of rollups, and what the bridge asks of it: is a deep fork alive, and do all live heads build on this rollup?
// What lives here: branches, last common ancestors, and the record of what was published recently. What does not live
// here: signatures, L1 proofs, payloads (RollupManagement) and the canonical rule, which only enclaves compute.
pragma solidity 0.8.37;

import {IRollupManagement} from "./interfaces/IRollupManagement.sol";

/// @title Rollup tree
/// @notice Every operation costs a bounded amount of gas, however long the chain is and however many forks there are.
///
/// Branches. A rollup that extends the head of its parent's branch stays on that branch; any other starts a new one. So
/// branches and leaves are in one-to-one correspondence, and a place in the tree is a pair (branch, number). A branch
/// knows its parent branch and, further up, one more ancestor (the jump pointers of a skew-binary list), so the last
/// common ancestor of two places is found in a number of steps logarithmic in the depth of nested forks. An honest chain
/// nests too: each time the second published of two siblings wins, the canonical chain moves to a new branch.
///
/// Recent rollups. A head dies when it makes no progress for the fork timeout after another head progressed in a later
/// block; counted from then, so that an idle chain is not overtaken at one stroke by an old branch that revives. Call
/// the last L1 block with a rollup that is at least a timeout ago the turning point. Then the live heads are those with
/// progress at the turning point or later, and what they have in common can be told from the rollups published since then,
/// without a list of heads: see {Trace}. Time is cut into slices of an eighth of the timeout, and of each slice with a
/// rollup one {Span} is kept. Publishing updates one slot; the question reads at most ten. An adversary who publishes many
/// forks makes nothing dearer for anybody, and there is no list to fill up.
///
/// Deep forks. Two heads are a deep fork if both stand at least two above their last common ancestor. One above is where
/// honest rollups that lost their round end; nobody honest builds on those.
library RollupTree {
    /// @dev Slices in a fork timeout.
    uint256 private constant SLICES = 8;

    /// @dev Past slices that are kept. A timeout touches nine slices, the current one included, and the turning point may
    /// lie in one before them.
    uint256 private constant SPANS = SLICES + 1;

    /// @dev Two rollups this far above their last common ancestor are a deep fork (protocol 9.4).
    uint256 private constant DEEP = 2;

    /// @dev Of {Span-common}: the set has a deep fork. Numbers of rollups have one bit less.
    uint32 private constant DEEP_FLAG = 1 << 31;

    /// @dev What a set of rollups has in common. (branch, number) is its highest member. `common` says how far up that
    /// member's path all agree: its own number if the set is a chain; else the number of the last rollup that is
    /// comparable with every member. `deep` says whether two members are a deep fork. This suffices to unite sets: where no
    /// two members are a deep fork, all stand at most one off the path of the highest, so whatever forks deeply from any of
    /// them forks deeply from the highest.
    struct Trace {
        uint32 branch;
        uint32 number;
        uint32 common;
        bool deep;
    }

    /// @dev A rollup. Numbers of rollups and of L1 blocks grow by one at a time: for two billion rollups in a row, L1 would
    /// have to do nothing else for years. The first slot is read when a child is published, the others by views and withdrawals.
    /// `provenAt` is the L1 block that proved it. `extended`: its branch goes on; it is no head.
    struct Entry {
        uint32 number;
        uint32 includedAt;
        uint32 provenAt;
        uint32 branch;
        bool extended;
        bytes32 parent;
        bytes32 withdrawalsRoot;
    }

    /// @dev A path since a fork point; never changes. The path to genesis leaves branch `parent` at rollup
    /// `parentNumber` and branch `jump`, further up, at `jumpNumber`. Branch 0 starts with genesis and points to itself.
    struct Branch {
        uint32 parent;
        uint32 parentNumber;
        uint32 jump;
        uint32 jumpNumber;
        uint32 depth;
        uint32 jumpDepth;
    }

    /// @dev What was published in one slice: the blocks of its first and last rollup, the {Trace} of all its rollups, and
    /// that of those in its last block. One slot.
    struct Span {
        uint32 firstBlock;
        uint32 lastBlock;
        uint32 branch;
        uint32 number;
        uint32 common;
        uint32 lastBranch;
        uint32 lastNumber;
        uint32 lastCommon;
    }

    /// @dev `position` is where the current span will go.
    struct Tree {
        mapping(bytes32 rollup => Entry) entries;
        mapping(uint256 branch => Branch) branches;
        uint32 branchCount;
        uint8 position;
        Span current;
        Span[SPANS] past;
    }

    /// @notice Starts the tree. Requires: the tree is empty.
    function plant(Tree storage tree, bytes32 genesis) internal {
        tree.entries[genesis].includedAt = uint32(block.number);
        tree.branchCount = 1;
        tree.current.firstBlock = uint32(block.number);
        tree.current.lastBlock = uint32(block.number);
    }

    /// @notice Adds a rollup included in the current block, and announces what it shows of forks.
    /// Requires: `parent` is in the tree and `rollup` is not; `provenAt` is before the current block.
    /// @param sliceBlocks see {sliceLength}.
    function grow(
        Tree storage tree,
        bytes32 rollup,
        bytes32 parent,
        uint64 provenAt,
        bytes32 withdrawalsRoot,
        uint256 sliceBlocks
    ) internal {
        uint32 parentNumber = tree.entries[parent].number;
        uint32 branch = tree.entries[parent].branch;
        if (tree.entries[parent].extended) {
            branch = _fork(tree, branch, parentNumber);
            emit IRollupManagement.ForkBegan(rollup, parent, branch);
        } else {
            tree.entries[parent].extended = true;
        }

        Entry storage entry = tree.entries[rollup];
        entry.number = parentNumber + 1;
        entry.includedAt = uint32(block.number);
        // Before the current block.
        // forge-lint: disable-next-line(unsafe-typecast)
        entry.provenAt = uint32(provenAt);
        entry.branch = branch;
        entry.parent = parent;
        if (withdrawalsRoot != 0) entry.withdrawalsRoot = withdrawalsRoot;

        if (_remember(tree, branch, parentNumber + 1, sliceBlocks)) emit IRollupManagement.DeepForkSeen(rollup);
    }

    /// @notice Whether every live head builds on the rollup, and whether a deep fork is alive: two live heads stand at least
    /// two above their last common ancestor.
    /// @dev Never undisputed when a live head does not build on it, always suspended when a deep fork is alive. A slice in which the turning point lies counts as a whole, so a head may be taken for
    /// live for up to one slice after it has died; {liveSince} is the same bound.
    /// Requires: the rollup is in the tree.
    function judge(Tree storage tree, bytes32 rollup, uint256 timeoutBlocks)
        internal
        view
        returns (bool undisputed, bool suspended)
    {
        Trace memory live = _live(tree, timeoutBlocks);
        uint32 number = tree.entries[rollup].number;
        (, uint32 meetNumber) = _meet(tree, tree.entries[rollup].branch, number, live.branch, live.number);
        bool isChain = live.common == live.number;
        undisputed =
            isChain ? meetNumber == number || meetNumber == live.number : meetNumber == number && number <= live.common;
        suspended = live.deep;
    }

    /// @notice How far two rollups stand above their last common ancestor.
    /// Requires: both are in the tree.
    function fork(Tree storage tree, bytes32 rollup, bytes32 rival)
        internal
        view
        returns (uint256 depth, uint256 rivalDepth)
    {
        Entry storage a = tree.entries[rollup];
        Entry storage b = tree.entries[rival];
        (, uint32 meetNumber) = _meet(tree, a.branch, a.number, b.branch, b.number);
        return (a.number - meetNumber, b.number - meetNumber);
    }

    /// @notice Whether two rollups share a parent, and the enclave of the later one was shown the other and passed it over.
    /// Honest enclaves never do that to each other: one of the two is forged (protocol 5.3).
    /// Requires: both are in the tree.
    function contradict(Tree storage tree, bytes32 rollup, bytes32 rival)
        internal
        view
        returns (bool siblings, bool contradiction)
    {
        Entry storage a = tree.entries[rollup];
        Entry storage b = tree.entries[rival];
        siblings = rollup != rival && a.parent == b.parent;
        contradiction = siblings && (a.provenAt >= b.includedAt || b.provenAt >= a.includedAt);
    }

    /// @notice Whether the rollup was published so lately that the head of its branch is alive.
    /// Requires: the rollup is in the tree.
    function isRecent(Tree storage tree, bytes32 rollup, uint256 timeoutBlocks) internal view returns (bool) {
        return tree.entries[rollup].includedAt >= liveSince(tree, timeoutBlocks);
    }

    /// @notice The L1 block since which a head must have made progress to count as live, as {judge} counts.
    function liveSince(Tree storage tree, uint256 timeoutBlocks) internal view returns (uint256) {
        uint256 due = _due(timeoutBlocks);
        Span memory turning = tree.current;
        for (uint256 i = 0; i < SPANS && turning.firstBlock > due; i++) {
            // Backwards from the youngest.
            turning = tree.past[(tree.position + SPANS - 1 - i) % SPANS];
        }
        return turning.lastBlock <= due ? turning.lastBlock : turning.firstBlock;
    }

    /// @notice Whether `ancestor` is on the path from genesis to `descendant`, which includes both ends.
    /// Requires: both are in the tree.
    function isAncestor(Tree storage tree, bytes32 ancestor, bytes32 descendant) internal view returns (bool) {
        (uint256 depth,) = fork(tree, ancestor, descendant);
        return depth == 0;
    }

    /// @notice Blocks in a slice.
    function sliceLength(uint256 timeoutBlocks) internal pure returns (uint256) {
        return (timeoutBlocks + SLICES - 1) / SLICES;
    }

    /// @dev Starts a branch after rollup `number` of branch `parent`.
    function _fork(Tree storage tree, uint32 parent, uint32 number) private returns (uint32 id) {
        id = tree.branchCount;
        tree.branchCount = id + 1;
        Branch memory above = tree.branches[parent];
        Branch memory skip = tree.branches[above.jump];
        Branch memory branch = Branch(parent, number, parent, number, above.depth + 1, above.depth);
        // Two jumps of equal length above the parent are joined into one; branch 0, which jumps nowhere, has none.
        if (above.depth != 0 && above.depth - above.jumpDepth == above.jumpDepth - skip.jumpDepth) {
            (branch.jump, branch.jumpNumber, branch.jumpDepth) = (skip.jump, skip.jumpNumber, skip.jumpDepth);
        }
        tree.branches[id] = branch;
    }

    /// @dev Adds a rollup to the current span; a span whose slice has ended moves to the past first.
    /// @return deepens whether the rollup makes the slice a deep fork, or is one with the highest of the slice before: two
    /// branches that answer each other are always seen so, sooner or later. {isSuspended} is exact.
    function _remember(Tree storage tree, uint32 branch, uint32 number, uint256 sliceBlocks)
        private
        returns (bool deepens)
    {
        Span memory span = tree.current;
        Trace memory rollup = Trace(branch, number, number, false);
        Trace memory all = rollup;
        Trace memory last = rollup;
        if (span.lastBlock / sliceBlocks == block.number / sliceBlocks) {
            Trace memory before = _trace(span.branch, span.number, span.common);
            all = _unite(tree, before, rollup);
            if (span.lastBlock == block.number) {
                last = _unite(tree, _trace(span.lastBranch, span.lastNumber, span.lastCommon), rollup);
            }
            deepens = all.deep && !before.deep;
        } else {
            uint8 position = tree.position;
            tree.past[position] = span;
            // Less than SPANS.
            // forge-lint: disable-next-line(unsafe-typecast)
            tree.position = uint8((position + 1) % SPANS);
            span.firstBlock = uint32(block.number);
            deepens = _unite(tree, Trace(span.branch, span.number, span.number, false), rollup).deep;
        }
        span.lastBlock = uint32(block.number);
        (span.branch, span.number, span.common) = (all.branch, all.number, _flagged(all));
        (span.lastBranch, span.lastNumber, span.lastCommon) = (last.branch, last.number, _flagged(last));
        tree.current = span;
    }

    /// @dev The trace of all rollups published at the turning point or later.
    function _live(Tree storage tree, uint256 timeoutBlocks) private view returns (Trace memory live) {
        uint256 due = _due(timeoutBlocks);
        Span memory span = tree.current;
        live = _traceSince(span, due);
        if (span.firstBlock <= due) return live;
        Span memory turning;
        for (uint256 i = 0; i < SPANS; i++) {
            span = tree.past[i];
            if (span.firstBlock > due) live = _unite(tree, live, _traceSince(span, due));
            else if (span.firstBlock > turning.firstBlock) turning = span;
        }
        // With no such span, this is the trace of genesis, on which everything builds.
        return _unite(tree, live, _traceSince(turning, due));
    }

    /// @dev The turning point is the last block with a rollup that is not after this one. Genesis is after block 0.
    function _due(uint256 timeoutBlocks) private view returns (uint256) {
        return block.number < timeoutBlocks ? 0 : block.number - timeoutBlocks;
    }

    /// @dev The trace of what counts of a span: if the whole span is due, only its last block, the turning point; if
    /// nothing or a part of it is, everything.
    function _traceSince(Span memory span, uint256 due) private pure returns (Trace memory) {
        if (span.lastBlock <= due) return _trace(span.lastBranch, span.lastNumber, span.lastCommon);
        return _trace(span.branch, span.number, span.common);
    }

    /// @dev A trace out of a span.
    function _trace(uint32 branch, uint32 number, uint32 flagged) private pure returns (Trace memory) {
        return Trace(branch, number, flagged & ~DEEP_FLAG, flagged & DEEP_FLAG != 0);
    }

    /// @dev `common` as a span keeps it.
    function _flagged(Trace memory trace) private pure returns (uint32) {
        return trace.deep ? trace.common | DEEP_FLAG : trace.common;
    }

    /// @dev The trace of the union of two sets.
    function _unite(Tree storage tree, Trace memory a, Trace memory b) private view returns (Trace memory united) {
        (, uint32 meetNumber) = _meet(tree, a.branch, a.number, b.branch, b.number);
        (Trace memory high, Trace memory low) = a.number >= b.number ? (a, b) : (b, a);
        (united.branch, united.number) = (high.branch, high.number);
        united.deep = a.deep || b.deep || low.number - meetNumber >= DEEP;
        // The lower one is an ancestor of the higher if they meet in it.
        united.common = meetNumber == low.number ? high.number : meetNumber;
        if (a.common < a.number && a.common < united.common) united.common = a.common;
        if (b.common < b.number && b.common < united.common) united.common = b.common;
    }

    /// @dev The last common ancestor of two places. Climbs the deeper side to the depth of the other, then both sides,
    /// by jumps where these do not pass the goal. Branches of equal depth have jumps of equal length.
    function _meet(Tree storage tree, uint32 xBranch, uint32 xNumber, uint32 yBranch, uint32 yNumber)
        private
        view
        returns (uint32, uint32)
    {
        if (xBranch != yBranch) {
            Branch memory x = tree.branches[xBranch];
            Branch memory y = tree.branches[yBranch];
            while (xBranch != yBranch) {
                bool both = x.depth == y.depth;
                bool far = !both || x.jump != y.jump;
                (uint32 xDepth, uint32 yDepth) = (x.depth, y.depth);
                if (xDepth >= yDepth) {
                    (xBranch, xNumber) =
                        far && (both || x.jumpDepth >= yDepth) ? (x.jump, x.jumpNumber) : (x.parent, x.parentNumber);
                    x = tree.branches[xBranch];
                }
                if (yDepth >= xDepth) {
                    (yBranch, yNumber) =
                        far && (both || y.jumpDepth >= xDepth) ? (y.jump, y.jumpNumber) : (y.parent, y.parentNumber);
                    y = tree.branches[yBranch];
                }
            }
        }
        return (xBranch, xNumber < yNumber ? xNumber : yNumber);
    }
}
