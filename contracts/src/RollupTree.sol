// SPDX-License-Identifier: MIT
// The tree of rollups, and the one question the bridge asks of it: do all live heads build on this rollup? What lives
// here: branches, last common ancestors, and the record of what was published recently. What does not live here:
// signatures, L1 proofs, payloads (RollupManagement) and the canonical rule, which only enclaves compute.
pragma solidity 0.8.37;

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
/// progress at the turning point or later, and all of them build on X exactly if every rollup published since then is
/// comparable with X: its ancestor, its descendant, or X itself. No list of heads is needed for that. Time is cut into
/// slices of an eighth of the timeout, and of each slice with a rollup one {Span} is kept. Publishing updates one slot;
/// the question reads at most ten. An adversary who publishes many forks makes nothing dearer for anybody, and there is
/// no list to fill up.
library RollupTree {
    /// @dev Slices in a fork timeout.
    uint256 private constant SLICES = 8;

    /// @dev Past slices that are kept. A timeout touches nine slices, the current one included, and the turning point may
    /// lie in one before them.
    uint256 private constant SPANS = SLICES + 1;

    /// @dev What a set of rollups has in common. If the set is a chain: its last rollup. If it is `forked`: the last
    /// common ancestor of its members. A rollup X is comparable with every member exactly if it is comparable with the
    /// former, or is an ancestor of (or equal to) the latter.
    struct Trace {
        uint32 branch;
        uint40 number;
        bool forked;
    }

    /// @dev A rollup. Numbers of rollups and of L1 blocks grow by one at a time: 40 bits last for ever. The first slot is
    /// read when a child is published, the others by views and withdrawals.
    struct Entry {
        uint40 number;
        uint40 includedAt;
        uint32 branch;
        bytes32 parent;
        bytes32 withdrawalsRoot;
    }

    /// @dev A path since a fork point; never changes. The path to genesis leaves branch `parent` at rollup
    /// `parentNumber` and branch `jump`, further up, at `jumpNumber`. Branch 0 starts with genesis and points to itself.
    struct Branch {
        uint32 parent;
        uint40 parentNumber;
        uint32 jump;
        uint40 jumpNumber;
        uint32 depth;
        uint32 jumpDepth;
    }

    /// @dev What was published in one slice: the blocks of its first and last rollup, the trace of all its rollups, and
    /// the trace of those in its last block. One slot. `position` is used in the current span only: where it will go.
    struct Span {
        uint40 firstBlock;
        uint40 lastBlock;
        uint32 branch;
        uint40 number;
        bool forked;
        uint32 lastBranch;
        uint40 lastNumber;
        bool lastForked;
        uint8 position;
    }

    struct Tree {
        mapping(bytes32 rollup => Entry) entries;
        mapping(uint256 branch => bytes32) heads;
        mapping(uint256 branch => Branch) branches;
        uint32 branchCount;
        Span current;
        Span[SPANS] past;
    }

    /// @notice Starts the tree. Requires: the tree is empty.
    function plant(Tree storage tree, bytes32 genesis) internal {
        tree.entries[genesis].includedAt = uint40(block.number);
        tree.heads[0] = genesis;
        tree.branchCount = 1;
        tree.current.firstBlock = uint40(block.number);
        tree.current.lastBlock = uint40(block.number);
    }

    /// @notice Adds a rollup included in the current block.
    /// Requires: `parent` is in the tree and `rollup` is not.
    /// @param sliceBlocks see {sliceLength}.
    function grow(Tree storage tree, bytes32 rollup, bytes32 parent, bytes32 withdrawalsRoot, uint256 sliceBlocks)
        internal
    {
        uint40 parentNumber = tree.entries[parent].number;
        uint32 branch = tree.entries[parent].branch;
        if (tree.heads[branch] != parent) branch = _fork(tree, branch, parentNumber);
        tree.heads[branch] = rollup;

        Entry storage entry = tree.entries[rollup];
        entry.number = parentNumber + 1;
        entry.includedAt = uint40(block.number);
        entry.branch = branch;
        entry.parent = parent;
        if (withdrawalsRoot != 0) entry.withdrawalsRoot = withdrawalsRoot;

        _remember(tree, branch, parentNumber + 1, sliceBlocks);
    }

    /// @notice Whether the rollup was included at least `blocks` L1 blocks ago and every live head builds on it.
    /// @dev Never true when a live head does not build on it. A slice in which the turning point lies counts as a whole,
    /// so a head may be taken for live for up to one slice after it has died; {liveSince} is the same bound.
    function isConfirmed(Tree storage tree, bytes32 rollup, uint256 blocks, uint256 timeoutBlocks)
        internal
        view
        returns (bool)
    {
        Entry storage entry = tree.entries[rollup];
        uint256 includedAt = entry.includedAt;
        if (includedAt == 0 || block.number - includedAt < blocks) return false;
        (uint32 branch, uint40 number) = (entry.branch, entry.number);

        uint256 due = _due(timeoutBlocks);
        Span memory span = tree.current;
        if (!_agrees(tree, branch, number, _traceSince(span, due))) return false;
        if (span.firstBlock <= due) return true;
        Span memory turning;
        for (uint256 i = 0; i < SPANS; i++) {
            span = tree.past[i];
            if (span.firstBlock > due) {
                if (!_agrees(tree, branch, number, _traceSince(span, due))) return false;
            } else if (span.firstBlock > turning.firstBlock) {
                turning = span;
            }
        }
        // With no such span, this is the trace of genesis, with which everything agrees.
        return _agrees(tree, branch, number, _traceSince(turning, due));
    }

    /// @notice The L1 block since which a head must have made progress to count as live, as {isConfirmed} counts.
    function liveSince(Tree storage tree, uint256 timeoutBlocks) internal view returns (uint256) {
        uint256 due = _due(timeoutBlocks);
        Span memory turning = tree.current;
        for (uint256 i = 0; i < SPANS && turning.firstBlock > due; i++) {
            // Backwards from the youngest.
            turning = tree.past[(tree.current.position + SPANS - 1 - i) % SPANS];
        }
        return turning.lastBlock <= due ? turning.lastBlock : turning.firstBlock;
    }

    /// @notice Whether `ancestor` is on the path from genesis to `descendant`, which includes both ends.
    /// Requires: both are in the tree.
    function isAncestor(Tree storage tree, bytes32 ancestor, bytes32 descendant) internal view returns (bool) {
        (uint32 branch, uint40 number) = (tree.entries[ancestor].branch, tree.entries[ancestor].number);
        (uint32 otherBranch, uint40 otherNumber) = (tree.entries[descendant].branch, tree.entries[descendant].number);
        (uint32 meetBranch, uint40 meetNumber) = _meet(tree, branch, number, otherBranch, otherNumber);
        return meetBranch == branch && meetNumber == number;
    }

    /// @notice Blocks in a slice.
    function sliceLength(uint256 timeoutBlocks) internal pure returns (uint256) {
        return (timeoutBlocks + SLICES - 1) / SLICES;
    }

    /// @dev Starts a branch after rollup `number` of branch `parent`.
    function _fork(Tree storage tree, uint32 parent, uint40 number) private returns (uint32 id) {
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
    function _remember(Tree storage tree, uint32 branch, uint40 number, uint256 sliceBlocks) private {
        Span memory span = tree.current;
        Trace memory all = Trace(branch, number, false);
        Trace memory last = all;
        if (span.lastBlock / sliceBlocks == block.number / sliceBlocks) {
            all = _fold(tree, Trace(span.branch, span.number, span.forked), branch, number);
            if (span.lastBlock == block.number) {
                last = _fold(tree, Trace(span.lastBranch, span.lastNumber, span.lastForked), branch, number);
            }
        } else {
            uint8 position = span.position;
            tree.past[position] = span;
            // Less than SPANS.
            // forge-lint: disable-next-line(unsafe-typecast)
            span.position = uint8((position + 1) % SPANS);
            span.firstBlock = uint40(block.number);
        }
        span.lastBlock = uint40(block.number);
        (span.branch, span.number, span.forked) = (all.branch, all.number, all.forked);
        (span.lastBranch, span.lastNumber, span.lastForked) = (last.branch, last.number, last.forked);
        tree.current = span;
    }

    /// @dev The turning point is the last block with a rollup that is not after this one. Genesis is after block 0.
    function _due(uint256 timeoutBlocks) private view returns (uint256) {
        return block.number < timeoutBlocks ? 0 : block.number - timeoutBlocks;
    }

    /// @dev The trace of what counts of a span: if the whole span is due, only its last block, the turning point; if
    /// nothing or a part of it is, everything.
    function _traceSince(Span memory span, uint256 due) private pure returns (Trace memory) {
        if (span.lastBlock <= due) return Trace(span.lastBranch, span.lastNumber, span.lastForked);
        return Trace(span.branch, span.number, span.forked);
    }

    /// @dev The trace of a set to which one more rollup, a leaf of the tree, is added.
    function _fold(Tree storage tree, Trace memory trace, uint32 branch, uint40 number)
        private
        view
        returns (Trace memory)
    {
        (uint32 meetBranch, uint40 meetNumber) = _meet(tree, trace.branch, trace.number, branch, number);
        bool builds = meetBranch == trace.branch && meetNumber == trace.number;
        if (!builds) return Trace(meetBranch, meetNumber, true);
        return trace.forked ? trace : Trace(branch, number, false);
    }

    /// @dev Whether the rollup at (branch, number) is comparable with every member of the traced set.
    function _agrees(Tree storage tree, uint32 branch, uint40 number, Trace memory trace) private view returns (bool) {
        (uint32 meetBranch, uint40 meetNumber) = _meet(tree, branch, number, trace.branch, trace.number);
        if (meetBranch == branch && meetNumber == number) return true;
        return !trace.forked && meetBranch == trace.branch && meetNumber == trace.number;
    }

    /// @dev The last common ancestor of two places. Climbs the deeper side to the depth of the other, then both sides,
    /// by jumps where these do not pass the goal. Branches of equal depth have jumps of equal length.
    function _meet(Tree storage tree, uint32 xBranch, uint40 xNumber, uint32 yBranch, uint40 yNumber)
        private
        view
        returns (uint32, uint40)
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
