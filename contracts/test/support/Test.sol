// SPDX-License-Identifier: MIT
// What every test stands on: cheat codes and a few shorthands. A test reads the block number through the cheat code,
// because the optimizer takes block.number for constant within a function. What does not live here: fixtures of the contracts
// (Network.sol, Token.sol).
pragma solidity 0.8.37;

import {Vm} from "./Vm.sol";

abstract contract Test {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    /// @dev forge recognises a test contract by this.
    bool public IS_TEST = true;

    /// @dev An address nobody has the key of, named in traces.
    function makeAddress(string memory name) internal returns (address account) {
        account = address(uint160(uint256(keccak256(bytes(name)))));
        vm.label(account, name);
    }

    function signature(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    /// @dev Maps a random value into [low, high].
    function bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        uint256 size = high - low + 1;
        return size == 0 ? value : low + value % size;
    }

    function filled(uint256 length, bytes1 value) internal pure returns (bytes memory data) {
        data = new bytes(length);
        for (uint256 i = 0; i < length; i++) {
            data[i] = value;
        }
    }
}
