// SPDX-License-Identifier: MIT
// OpenZeppelin's ERC-20 as people deploy it: nothing in it knows of Obscuro.
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

contract Token is ERC20 {
    constructor(string memory name, string memory symbol, uint256 supply) ERC20(name, symbol) {
        _mint(msg.sender, supply);
    }
}
