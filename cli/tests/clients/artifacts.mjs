// Contracts, ready to deploy: `{ abi, bytecode }`. Uniswap's come from their packages as they were published, the
// tests' own from build.mjs, the management contracts from the repository's artifacts. Nothing is deployed here.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { build } from "./build.mjs";

const require = createRequire(import.meta.url);

const own = build();
export const Token = own.Token;
export const Probe = own.Probe;

export const Factory = published("@uniswap/v2-core/build/UniswapV2Factory.json");
export const Pair = published("@uniswap/v2-core/build/UniswapV2Pair.json");
export const Router = published("@uniswap/v2-periphery/build/UniswapV2Router02.json");
export const Weth = published("@uniswap/v2-periphery/build/WETH9.json");

/** A market: two tokens, WETH, Uniswap, and a probe, each with its arguments; `at(n)` is where the n-th will be. */
export function deployments(from, at, supply) {
  return [
    [Token, ["Alpha", "ALPHA", supply]],
    [Token, ["Beta", "BETA", supply]],
    [Weth, []],
    [Factory, [from]],
    [Router, [at(3), at(2)]],
    [Probe, []],
  ];
}

/** A contract of this repository, by name. */
export function obscuro(name) {
  const url = new URL(`../../../contracts/artifacts/${name}.json`, import.meta.url);
  const { abi, bytecode } = JSON.parse(readFileSync(url, "utf8"));
  return { abi, bytecode };
}

function published(path) {
  const { abi, bytecode } = require(path);
  return { abi, bytecode: `0x${bytecode}` };
}
