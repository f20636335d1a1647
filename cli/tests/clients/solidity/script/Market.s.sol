// SPDX-License-Identifier: MIT
// A forge script as people write it: deploys a market of unchanged contracts, adds liquidity, swaps, and requires what
// must be true at each step. What does not live here: the bytecode of Uniswap (cast.mjs passes it in the environment).
pragma solidity ^0.8.28;

import {Token} from "../src/Token.sol";

interface Vm {
    function envBytes(string calldata name) external view returns (bytes memory);
    function envUint(string calldata name) external view returns (uint256);
    function startBroadcast(uint256 privateKey) external;
    function stopBroadcast() external;
}

interface IFactory {
    function getPair(address, address) external view returns (address);
}

interface IPair {
    function getReserves() external view returns (uint112, uint112, uint32);
}

interface IRouter {
    function addLiquidity(address, address, uint256, uint256, uint256, uint256, address, uint256)
        external
        returns (uint256, uint256, uint256);
    function swapExactTokensForTokens(uint256, uint256, address[] calldata, address, uint256)
        external
        returns (uint256[] memory);
}

contract Market {
    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint256 private constant DEPOSIT = 1000 ether;
    address private constant BUYER = address(0xb0b01);

    function run() external returns (address alpha, address beta, address pair, address router) {
        bytes memory factoryCode = VM.envBytes("FACTORY_CODE");
        bytes memory routerCode = VM.envBytes("ROUTER_CODE");
        bytes memory wethCode = VM.envBytes("WETH_CODE");
        uint256 key = VM.envUint("PRIVATE_KEY");

        VM.startBroadcast(key);
        alpha = address(new Token("Alpha", "ALPHA", 1_000_000 ether));
        beta = address(new Token("Beta", "BETA", 1_000_000 ether));
        address weth = create(wethCode);
        address factory = create(abi.encodePacked(factoryCode, abi.encode(BUYER)));
        router = create(abi.encodePacked(routerCode, abi.encode(factory, weth)));
        Token(alpha).approve(router, type(uint256).max);
        Token(beta).approve(router, type(uint256).max);
        IRouter(router).addLiquidity(alpha, beta, DEPOSIT, 2 * DEPOSIT, 0, 0, BUYER, type(uint256).max);
        address[] memory path = new address[](2);
        (path[0], path[1]) = (alpha, beta);
        IRouter(router).swapExactTokensForTokens(1 ether, 1, path, BUYER, type(uint256).max);
        VM.stopBroadcast();

        pair = IFactory(factory).getPair(alpha, beta);
        (uint256 reserve0, uint256 reserve1,) = IPair(pair).getReserves();
        require(reserve0 + reserve1 == 3 * DEPOSIT + 1 ether - Token(beta).balanceOf(BUYER), "reserves");
    }

    function create(bytes memory code) private returns (address created) {
        assembly {
            created := create(0, add(code, 0x20), mload(code))
        }
        require(created != address(0), "not created");
    }
}
