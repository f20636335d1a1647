// cast and forge script at the gateway, as people type them. What does not live here: the forge project (solidity/) and
// its compiler (solc.mjs).
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Factory, Router, Token, Weth } from "./artifacts.mjs";
import { check, failure, script } from "./checks.mjs";
import { accountsOf, devnet } from "./network.mjs";

const { rpc, chainId } = devnet.gateway;
const [owner, forger] = accountsOf("cast");
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const ETHER = 10n ** 18n;
// Many commands run side by side.
process.setMaxListeners(50);
const DEPOSIT = 1000n * ETHER;
const BUYER = "0x00000000000000000000000000000000000b0b01";
const FOREVER = 2n ** 256n - 1n;

script("cast", 150, async () => {
  await Promise.all([castAll(), forgeScript()]);
});

async function castAll() {
  await check("cast chain-id, client, block-number, gas-price, base-fee, balance, nonce, codesize, age, rpc", facts);
  const market = await check("cast send --create deploys ERC-20, WETH and Uniswap V2", deploy);
  await Promise.all([
    check("cast code, call, tx, receipt, block, erc20 of what was deployed", () => deployed(market)),
    check("cast reports reasons of failure in call, estimate and send", () => failures(market)),
  ]);
  await check("cast approves, adds liquidity and swaps; logs and reserves agree", () => trade(market));
  await check("cast mktx and publish; the fee is exact to the wei", publish);
}

async function facts() {
  const [id, client, number, price, fee, balance, coins, nonce, size, age, hash] = await Promise.all([
    cast("chain-id"),
    cast("client"),
    cast("block-number"),
    cast("gas-price"),
    cast("base-fee"),
    cast("balance", owner.address),
    cast("balance", owner.address, "--ether"),
    cast("nonce", owner.address),
    cast("codesize", owner.address),
    cast("age"),
    cast("rpc", "eth_getBlockByNumber", "latest", "false"),
  ]);
  assert.equal(Number(id), chainId);
  assert.ok(client.length > 0 && age.length > 0);
  assert.ok(BigInt(number) >= 0n && BigInt(price) >= BigInt(fee) && BigInt(fee) > 0n);
  assert.ok(BigInt(balance) > DEPOSIT && Number(coins) > 1000);
  assert.ok(Number(nonce) >= 0);
  assert.equal(size, "0");
  assert.match(JSON.parse(hash).hash, /^0x[0-9a-f]{64}$/);
}

/** All at once, with the nonces given: the addresses follow from them. */
async function deploy() {
  const nonce = Number(await cast("nonce", owner.address));
  const at = async (offset) =>
    (await cast("compute-address", owner.address, "--nonce", nonce + offset)).split(" ").at(-1);
  const addresses = await Promise.all([0, 1, 2, 3, 4].map(at));
  const [, , weth, factory] = addresses;
  const token = ["constructor(string,string,uint256)"];
  const deployments = [
    [Token, [...token, "Alpha", "ALPHA", 1000n * DEPOSIT]],
    [Token, [...token, "Beta", "BETA", 1000n * DEPOSIT]],
    [Weth, []],
    [Factory, ["constructor(address)", owner.address]],
    [Router, ["constructor(address,address)", factory, weth]],
  ];
  const hashes = [];
  for (const [offset, [{ bytecode }, args]] of deployments.entries()) {
    const options = ["--async", "--nonce", nonce + offset, "--gas-limit", 6_000_000, ...signing(owner)];
    hashes.push(await cast("send", ...options, "--create", bytecode, ...args));
  }
  const receipts = await Promise.all(hashes.map(async (hash) => JSON.parse(await cast("receipt", hash, "--json"))));
  receipts.forEach((receipt, index) => {
    assert.equal(receipt.status, "0x1");
    assert.equal(receipt.contractAddress.toLowerCase(), addresses[index].toLowerCase());
  });
  const [alpha, beta, , , router] = addresses;
  return { alpha, beta, weth, factory, router, receipt: receipts[3] };
}

async function deployed({ alpha, factory, receipt }) {
  const { transactionHash, blockHash, blockNumber } = receipt;
  const [code, supply, ofOwner, input, from, status, block, setter] = await Promise.all([
    cast("code", factory),
    number("call", alpha, "totalSupply()(uint256)"),
    number("erc20", "balance", alpha, owner.address),
    cast("tx", transactionHash, "input"),
    cast("tx", transactionHash, "from"),
    cast("receipt", transactionHash, "status"),
    cast("block", BigInt(blockNumber), "--json"),
    cast("call", factory, "feeToSetter()(address)"),
  ]);
  assert.ok(code.length > 20_000);
  assert.equal(supply, 1000n * DEPOSIT);
  assert.equal(ofOwner, supply);
  assert.ok(input.startsWith(Factory.bytecode), "the bytecode is unchanged");
  assert.equal(from.toLowerCase(), owner.address.toLowerCase());
  assert.equal(status, "true");
  assert.equal(JSON.parse(block).hash, blockHash);
  assert.equal(setter.toLowerCase(), owner.address.toLowerCase());
}

async function failures({ alpha, beta, router }) {
  const tooMuch = [alpha, "transfer(address,uint256)", router, 2000n * DEPOSIT];
  const from = ["--from", owner.address];
  const expired = [
    router,
    "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)",
    1,
    0,
    `[${alpha},${beta}]`,
    owner.address,
    1,
  ];
  const said = async (...args) => (await failure(cast(...args), args[0])).stderr;
  const [call, estimate, sending, custom] = await Promise.all([
    said("call", ...from, ...expired),
    said("estimate", ...from, ...expired),
    said("send", ...signing(owner), ...expired),
    said("call", ...from, ...tooMuch),
  ]);
  for (const text of [call, estimate, sending]) assert.match(text, /execution reverted: UniswapV2Router: EXPIRED/);
  assert.match(custom, /execution reverted/);
  // ERC20InsufficientBalance(address,uint256,uint256)
  assert.match(custom, /0xe450d38c|ERC20InsufficientBalance/);
}

async function trade({ alpha, beta, factory, router }) {
  const nonce = Number(await cast("nonce", owner.address));
  const send = async (offset, ...args) => {
    const receipt = JSON.parse(await cast("send", ...signing(owner), "--json", "--nonce", nonce + offset, ...args));
    assert.equal(receipt.status, "0x1", args.join(" "));
    return receipt;
  };
  const approve = (offset, token) => send(offset, token, "approve(address,uint256)", router, FOREVER);
  await Promise.all([approve(0, alpha), approve(1, beta)]);
  const liquidity = "addLiquidity(address,address,uint256,uint256,uint256,uint256,address,uint256)";
  await send(2, router, liquidity, alpha, beta, DEPOSIT, 2n * DEPOSIT, 0, 0, owner.address, FOREVER);
  const pair = await cast("call", factory, "getPair(address,address)(address)", alpha, beta);

  const path = `[${alpha},${beta}]`;
  const [, expected] = await numbers("call", router, "getAmountsOut(uint256,address[])(uint256[])", ETHER, path);
  const swap = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)";
  // The first swap of a pair also writes its price sums, which an estimate at an earlier time does not know.
  const receipt = await send(3, "--gas-limit", 300_000, router, swap, ETHER, expected, path, forger.address, FOREVER);
  assert.equal(await number("call", beta, "balanceOf(address)(uint256)", forger.address), expected);
  const reserves = await numbers("call", pair, "getReserves()(uint112,uint112,uint32)");
  assert.deepEqual(new Set(reserves.slice(0, 2)), new Set([DEPOSIT + ETHER, 2n * DEPOSIT - expected]));
  const swapped = [
    "--from-block",
    BigInt(receipt.blockNumber),
    "--address",
    pair,
    "Swap(address indexed,uint256,uint256,uint256,uint256,address indexed)",
  ];
  const logs = JSON.parse(await cast("logs", "--json", ...swapped, router));
  assert.deepEqual(
    logs.map((log) => log.transactionHash),
    [receipt.transactionHash],
  );
  assert.deepEqual(JSON.parse(await cast("logs", "--json", ...swapped, owner.address)), [], "topics are respected");
}

async function publish() {
  const value = 777n;
  const before = await number("balance", owner.address);
  const gas = await number("estimate", "--from", owner.address, forger.address, "--value", value);
  assert.equal(gas, 21_000n);
  const raw = await cast("mktx", ...signing(owner), "--gas-limit", gas, "--value", value, forger.address);
  const receipt = JSON.parse(await cast("publish", raw));
  const cost = value + BigInt(receipt.gasUsed) * BigInt(receipt.effectiveGasPrice);
  const balance = (block) => number("balance", owner.address, "--block", block);
  const block = BigInt(receipt.blockNumber);
  assert.equal(before - (await balance(block)), cost);
  assert.equal(await balance(block - 1n), before);
  assert.match((await failure(cast("publish", raw), "publishing twice")).stderr, /nonce too low|already known/);
}

/** In a copy, so that nothing is written into the repository. */
async function forgeScript() {
  const project = mkdtempSync(join(tmpdir(), "obscuro-forge-"));
  process.on("exit", () => rmSync(project, { recursive: true, force: true }));
  cpSync(here("solidity"), project, { recursive: true });
  symlinkSync(here("node_modules"), join(project, "node_modules"));
  await check("forge script --broadcast deploys Uniswap V2, adds liquidity and swaps", () => broadcast(project));
}

async function broadcast(project) {
  const options = ["--rpc-url", rpc, "--broadcast", "--root", project];
  await run("forge", ["script", "script/Market.s.sol:Market", ...options], {
    cwd: project,
    env: {
      ...process.env,
      FOUNDRY_SOLC: here("solc.mjs"),
      PRIVATE_KEY: forger.privateKey,
      FACTORY_CODE: Factory.bytecode,
      ROUTER_CODE: Router.bytecode,
      WETH_CODE: Weth.bytecode,
    },
  });
  const file = join(project, "broadcast/Market.s.sol", String(chainId), "run-latest.json");
  const { transactions, receipts, returns } = JSON.parse(readFileSync(file, "utf8"));
  assert.equal(transactions.length, 9);
  assert.deepEqual(
    receipts.map((receipt) => receipt.status),
    Array(9).fill("0x1"),
  );
  // What the script saw in its simulation is what the network has.
  const [reserve0, reserve1] = await numbers("call", returns.pair.value, "getReserves()(uint112,uint112,uint32)");
  const bought = await number("call", returns.beta.value, "balanceOf(address)(uint256)", BUYER);
  assert.ok(bought > 0n);
  assert.equal(reserve0 + reserve1, 3n * DEPOSIT + ETHER - bought);
}

function signing({ privateKey }) {
  return ["--private-key", privateKey];
}

/** The number that cast prints. */
async function number(...args) {
  return (await numbers(...args))[0];
}

/** The numbers that cast prints, without their shorter forms in brackets. Its JSON would round them. */
async function numbers(...args) {
  const printed = (await cast(...args)).replace(/ \[[^\]]*e[^\]]*\]/g, "");
  return printed.match(/\d+/g).map(BigInt);
}

function cast(...args) {
  return run("cast", args.map(String), { env: { ...process.env, ETH_RPC_URL: rpc } });
}

/** Runs a tool of the project and returns what it prints; it does not outlive the script. */
async function run(tool, args, options) {
  const limits = { timeout: 120_000, maxBuffer: 1 << 26 };
  const running = promisify(execFile)(binary(tool), args, { ...limits, ...options });
  const stop = () => running.child.kill();
  process.once("exit", stop);
  try {
    return (await running).stdout.trim();
  } finally {
    process.off("exit", stop);
  }
}

/** The binary itself: the packages' launcher in .bin loses the exit code. */
function binary(tool) {
  const arch = process.arch === "x64" ? "amd64" : process.arch;
  return here(`node_modules/@foundry-rs/${tool}-${process.platform}-${arch}/bin/${tool}`);
}
