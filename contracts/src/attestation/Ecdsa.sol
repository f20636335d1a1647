// SPDX-License-Identifier: MIT
// ECDSA over P-256, as the precompiled contract of EIP-7951 checks it. What does not live here: what is signed by whom.
pragma solidity 0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";

library Ecdsa {
    /// @notice A public key: a point.
    struct Key {
        bytes32 x;
        bytes32 y;
    }

    struct Signature {
        bytes32 r;
        bytes32 s;
    }

    /// @notice Whether the key signed the digest. Reverts if the chain has no such precompiled contract.
    function isValid(Key memory key, bytes32 digest, Signature memory signature) internal view returns (bool) {
        uint256 s = uint256(signature.s);
        // The manufacturer's signatures have any s; the library takes the lower of the two only. An s above the order
        // stays as it is and is refused there.
        if (s > P256.N / 2 && s < P256.N) s = P256.N - s;
        return P256.verifyNative(digest, signature.r, bytes32(s), key.x, key.y);
    }

    /// @notice Names a key: keccak256 of x || y.
    function id(Key memory key) internal pure returns (bytes32) {
        return keccak256(abi.encode(key));
    }
}
