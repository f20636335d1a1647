// SPDX-License-Identifier: MIT
// The standard Merkle tree of withdrawals: how a rollup's root and a withdrawer's proof are made. What does not live
// here: verification, which is the contract's.
pragma solidity 0.8.37;

struct Withdrawal {
    uint64 index;
    address asset;
    address to;
    uint256 amount;
}

library Merkle {
    function leaf(Withdrawal memory w) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(w.index, w.asset, w.to, w.amount))));
    }

    function leaves(Withdrawal[] memory withdrawals) internal pure returns (bytes32[] memory hashes) {
        hashes = new bytes32[](withdrawals.length);
        for (uint256 i = 0; i < hashes.length; i++) {
            hashes[i] = leaf(withdrawals[i]);
        }
    }

    /// @dev A node without a sibling moves up as it is.
    function root(bytes32[] memory level) internal pure returns (bytes32) {
        while (level.length > 1) level = above(level);
        return level.length == 0 ? bytes32(0) : level[0];
    }

    function proof(bytes32[] memory level, uint256 index) internal pure returns (bytes32[] memory path) {
        path = new bytes32[](64);
        uint256 length = 0;
        for (; level.length > 1; (level, index) = (above(level), index / 2)) {
            uint256 sibling = index ^ 1;
            if (sibling < level.length) path[length++] = level[sibling];
        }
        assembly ("memory-safe") {
            mstore(path, length)
        }
    }

    function above(bytes32[] memory level) private pure returns (bytes32[] memory next) {
        next = new bytes32[]((level.length + 1) / 2);
        for (uint256 i = 0; i < next.length; i++) {
            next[i] = 2 * i + 1 < level.length ? pair(level[2 * i], level[2 * i + 1]) : level[2 * i];
        }
    }

    function pair(bytes32 a, bytes32 b) private pure returns (bytes32) {
        return a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
    }
}
