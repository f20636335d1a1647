// SPDX-License-Identifier: MIT
// Parts of a byte string in memory: reads and hashes that never leave it. What does not live here: what the bytes mean.
pragma solidity 0.8.37;

import {IAttestationVerifier} from "../interfaces/IAttestationVerifier.sol";

library Slice {
    /// @dev The precompiled contract SHA-256.
    uint256 private constant SHA256 = 0x02;

    /// @notice `length` (at most 32) bytes at `at`, as the low end of a word.
    function number(bytes memory data, uint256 at, uint256 length) internal pure returns (uint256 value) {
        if (length == 0 || length > 32 || at > data.length || length > data.length - at) {
            revert IAttestationVerifier.Malformed();
        }
        assembly ("memory-safe") {
            value := shr(sub(256, shl(3, length)), mload(add(add(data, 32), at)))
        }
    }

    /// @notice keccak256 of the bytes from `at` up to `end`.
    function keccak(bytes memory data, uint256 at, uint256 end) internal pure returns (bytes32 hash) {
        _check(data, at, end);
        assembly ("memory-safe") {
            hash := keccak256(add(add(data, 32), at), sub(end, at))
        }
    }

    /// @notice SHA-256 of the bytes from `at` up to `end`.
    function sha(bytes memory data, uint256 at, uint256 end) internal view returns (bytes32 hash) {
        _check(data, at, end);
        bool done;
        assembly ("memory-safe") {
            done := staticcall(gas(), SHA256, add(add(data, 32), at), sub(end, at), 0, 32)
            hash := mload(0)
        }
        // Only for want of gas.
        if (!done) revert IAttestationVerifier.Malformed();
    }

    function _check(bytes memory data, uint256 at, uint256 end) private pure {
        if (at > end || end > data.length) revert IAttestationVerifier.Malformed();
    }
}
