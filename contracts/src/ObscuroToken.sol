// SPDX-License-Identifier: MIT
// The OBX token on L1: stakes, votes and, once bridged, the native coin of L2. What does not live here: minting,
// rewards and governance; the whole supply exists from the constructor on and only moves.
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC20Votes} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";

/// @title Obscuro token
/// @notice An ERC-20 with permit (ERC-2612) and votes counted in L1 blocks (ERC-5805). No owner, no minting.
contract ObscuroToken is ERC20, ERC20Permit, ERC20Votes {
    /// @param holder receives the whole supply. Must not be zero.
    /// @param supply in units of 1e-18 OBX. At most 2^208 - 1 (the bound of ERC20Votes).
    constructor(address holder, uint256 supply) ERC20("Obscuro", "OBX") ERC20Permit("Obscuro") {
        _mint(holder, supply);
    }

    /// @inheritdoc ERC20Permit
    function nonces(address owner) public view override(ERC20Permit, Nonces) returns (uint256) {
        return super.nonces(owner);
    }

    function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Votes) {
        super._update(from, to, value);
    }
}
