// viem at the gateway, as an application uses it: OpenZeppelin's ERC-20 and Uniswap V2 deployed and used, events,
// reasons of failure, nonces, blocks, JSON-RPC itself. What does not live here: who may read what (privacy.mjs,
// accounts.mjs) and the bridge (bridge.mjs).
import assert from "node:assert/strict";
import {
  ContractFunctionRevertedError,
  InsufficientFundsError,
  IntrinsicGasTooLowError,
  NonceTooLowError,
  createPublicClient,
  createWalletClient,
  encodeDeployData,
  getContractAddress,
  http,
  maxUint256,
  nonceManager,
  parseEther,
  parseEventLogs,
  webSocket,
  zeroAddress,
} from "viem";
import { generatePrivateKey, privateKeyToAccount, privateKeyToAddress } from "viem/accounts";
import { Factory, Pair, Probe, Router, Token, Weth, deployments } from "./artifacts.mjs";
import { chainAt } from "./chain.mjs";
import { PATIENCE_SECONDS, check, failure, first, script } from "./checks.mjs";
import { post } from "./jsonrpc.mjs";
import { accountsOf, devnet } from "./network.mjs";

const { rpc, ws, chainId } = devnet.gateway;
const chain = chainAt(devnet.gateway);
const pollingInterval = 500;
const client = createPublicClient({ chain, transport: http(), pollingInterval });
const socket = createPublicClient({ chain, transport: webSocket(), pollingInterval });

const [ownerKey, traderKey] = accountsOf("viem").map((account) => account.privateKey);
// The owner's nonces are counted by viem, so that its transactions may be sent side by side.
const owner = createWalletClient({
  account: privateKeyToAccount(ownerKey, { nonceManager }),
  chain,
  transport: http(),
});
const trader = createWalletClient({ account: privateKeyToAccount(traderKey), chain, transport: http() });

const SUPPLY = parseEther("1000000");
const DEPOSIT = parseEther("1000");
const COIN = parseEther("1");
// An estimate is made at the time of the newest block. In a later one a pair's first swap also writes its price sums.
const SWAP_GAS = 300_000n;

script("viem", 150, async () => {
  await check("chain id, version, fees, balances, an address without code", facts);
  const market = await check("deploys ERC-20, WETH, Uniswap V2 and a probe side by side", deploy);
  await Promise.all([trade(market), failures(market), jsonRpc(market), traderTransactions(market)]);
});

async function facts() {
  assert.equal(await client.getChainId(), chainId);
  assert.equal(await socket.getChainId(), chainId);
  assert.equal(await client.request({ method: "net_version" }), String(chainId));
  assert.ok((await client.request({ method: "web3_clientVersion" })).length > 0);
  assert.ok((await client.getGasPrice()) > 0n);
  const { maxFeePerGas, maxPriorityFeePerGas } = await client.estimateFeesPerGas();
  assert.ok(maxFeePerGas > maxPriorityFeePerGas);
  const history = await client.getFeeHistory({ blockCount: 2, rewardPercentiles: [25, 75] });
  assert.equal(history.baseFeePerGas.length, history.gasUsedRatio.length + 1);
  for (const { account } of [owner, trader]) {
    assert.ok((await client.getBalance({ address: account.address })) > DEPOSIT, "a development account has OBX");
  }
  assert.equal(await client.getCode({ address: "0x00000000000000000000000000000000000000c0" }), undefined);
}

async function deploy() {
  const from = owner.account.address;
  const nonce = await client.getTransactionCount({ address: from, blockTag: "pending" });
  const at = (offset) => getContractAddress({ from, nonce: BigInt(nonce + offset) });
  // All at once: viem counts the nonces in the order of these lines, so the router's arguments are known before.
  const receipts = [];
  for (const [{ abi, bytecode }, args] of deployments(from, at, SUPPLY)) {
    receipts.push(mined(await owner.deployContract({ abi, bytecode, args, gas: 6_000_000n })));
  }
  const mineds = await Promise.all(receipts);
  mineds.forEach((receipt, index) => {
    assert.equal(receipt.status, "success");
    assert.equal(receipt.contractAddress?.toLowerCase(), at(index).toLowerCase());
  });
  const factory = await client.getTransaction({ hash: mineds[3].transactionHash });
  assert.equal(factory.input, encodeDeployData({ ...Factory, args: [from] }), "the bytecode is unchanged");
  assert.ok((await client.getCode({ address: at(4) })).length > 40_000, "the router's code can be read");
  const [alpha, beta, weth, factoryAddress, router, probe] = mineds.map((receipt) => receipt.contractAddress);
  return { alpha, beta, weth, factory: factoryAddress, router, probe, since: mineds[0].blockNumber };
}

async function trade(market) {
  const { alpha, beta, router } = market;
  await check("approves, with Approval events in the receipts", async () => {
    const approve = (token) => write(token, Token, "approve", [router, maxUint256]);
    for (const receipt of await Promise.all([approve(alpha), approve(beta)])) {
      const [event] = parseEventLogs({ abi: Token.abi, eventName: "Approval", logs: receipt.logs });
      assert.deepEqual(event.args, { owner: owner.account.address, spender: event.args.spender, value: maxUint256 });
      assert.equal(event.args.spender.toLowerCase(), router.toLowerCase());
    }
  });
  const pair = await check("adds liquidity to a new pair and to one with OBX; reserves are right", () =>
    addLiquidity(market),
  );
  await check("swaps tokens, and OBX for tokens; amounts, events over WebSocket and getLogs agree", () =>
    swap(market, pair),
  );
}

async function addLiquidity({ alpha, beta, weth, factory, router }) {
  const to = owner.account.address;
  const deadline = await soon();
  const [receipt] = await Promise.all([
    write(router, Router, "addLiquidity", [alpha, beta, DEPOSIT, DEPOSIT * 2n, 0n, 0n, to, deadline]),
    write(router, Router, "addLiquidityETH", [alpha, DEPOSIT, 0n, 0n, to, deadline], { value: COIN }),
  ]);
  const [created] = parseEventLogs({ abi: Factory.abi, eventName: "PairCreated", logs: receipt.logs });
  const pair = await read(factory, Factory, "getPair", [alpha, beta]);
  // The event's last parameter has no name, so its arguments are a list.
  assert.equal(created.args[2], pair);
  const { alphaReserve, betaReserve } = await reserves(pair, alpha);
  assert.deepEqual([alphaReserve, betaReserve], [DEPOSIT, DEPOSIT * 2n]);
  const minted = await read(pair, Pair, "balanceOf", [to]);
  assert.equal(minted, (await read(pair, Pair, "totalSupply")) - 1000n, "all but Uniswap's minimum liquidity");
  const coinPair = await read(factory, Factory, "getPair", [alpha, weth]);
  assert.equal(await read(weth, Weth, "balanceOf", [coinPair]), COIN);
  return pair;
}

async function swap({ alpha, beta, weth, router, since }, pair) {
  const to = trader.account.address;
  const [amount, coins] = [COIN, COIN / 10n];
  const deadline = await soon();
  const [, expected] = await read(router, Router, "getAmountsOut", [amount, [alpha, beta]]);
  const filter = await client.createContractEventFilter({ abi: Pair.abi, address: pair, eventName: "Swap" });
  const watched = first("a Swap event over WebSocket", (onLogs, onError) =>
    socket.watchContractEvent({ abi: Pair.abi, address: pair, eventName: "Swap", onLogs, onError }),
  );
  const head = first("a block over WebSocket", (onBlock, onError) => socket.watchBlocks({ onBlock, onError }));
  const polled = first("a Transfer event by polling", (onLogs, onError) =>
    client.watchContractEvent({ abi: Token.abi, address: beta, eventName: "Transfer", args: { to }, onLogs, onError }),
  );
  const [receipt] = await Promise.all([
    write(router, Router, "swapExactTokensForTokens", [amount, expected, [alpha, beta], to, deadline], {
      gas: SWAP_GAS,
    }),
    write(router, Router, "swapExactETHForTokens", [0n, [weth, alpha], to, deadline], { value: coins, gas: SWAP_GAS }),
  ]);
  assert.equal(await read(beta, Token, "balanceOf", [to]), expected);
  assert.ok((await read(alpha, Token, "balanceOf", [to])) > 0n);
  const { alphaReserve, betaReserve } = await reserves(pair, alpha);
  assert.deepEqual([alphaReserve, betaReserve], [DEPOSIT + amount, DEPOSIT * 2n - expected]);

  const swaps = parseEventLogs({ abi: Pair.abi, eventName: "Swap", logs: receipt.logs });
  assert.equal(swaps.length, 1);
  const same = (logs, what) => assert.deepEqual(logs.map(identity), swaps.map(identity), what);
  same(await watched, "the event over WebSocket is the receipt's");
  same(await client.getFilterChanges({ filter }), "the filter's event is the receipt's");
  assert.deepEqual(await client.getFilterChanges({ filter }), [], "a filter gives each event once");
  assert.equal(await client.uninstallFilter({ filter }), true);
  assert.equal((await polled)[0].args.value, expected);
  const query = { abi: Pair.abi, address: pair, fromBlock: since, toBlock: "latest" };
  same(await client.getContractEvents({ ...query, eventName: "Swap", args: { to } }), "getLogs gives the same event");
  same(
    await client.getContractEvents({
      ...query,
      eventName: "Swap",
      blockHash: receipt.blockHash,
      fromBlock: undefined,
      toBlock: undefined,
    }),
  );
  assert.deepEqual(await client.getContractEvents({ ...query, eventName: "Swap", args: { to: zeroAddress } }), []);

  const block = await head;
  assert.equal((await client.getBlock({ blockNumber: block.number })).hash, block.hash, "the announced block exists");
}

async function failures({ alpha, router, probe, since }) {
  const from = trader.account;
  await check("reasons of failure: strings, custom errors and panics, in calls and estimates", async () => {
    const transfer = { address: alpha, abi: Token.abi, functionName: "transfer", args: [router, COIN], account: from };
    const expired = {
      address: router,
      abi: Router.abi,
      functionName: "swapExactTokensForTokens",
      args: [1n, 0n, [alpha, router], router, 1n],
      account: from,
    };
    const panic = { address: probe, abi: Probe.abi, functionName: "panic", args: [0n], account: from };
    for (const attempt of ["simulateContract", "estimateContractGas"]) {
      const custom = await reverted(client[attempt](transfer));
      assert.equal(custom.data?.errorName, "ERC20InsufficientBalance", attempt);
      assert.deepEqual(custom.data.args, [from.address, 0n, COIN], attempt);
      assert.equal((await reverted(client[attempt](expired))).reason, "UniswapV2Router: EXPIRED", attempt);
      assert.match((await reverted(client[attempt](panic))).reason, /division|divide/i, attempt);
    }
  });
  await check("a transaction that fails has its receipt, its fee and its nonce", async () => {
    const hash = await owner.writeContract({
      address: probe,
      abi: Probe.abi,
      functionName: "refuseWithReason",
      args: ["no"],
      gas: 100_000n,
    });
    const receipt = await mined(hash);
    assert.equal(receipt.status, "reverted");
    assert.deepEqual(receipt.logs, []);
    assert.ok(receipt.gasUsed > 21_000n && receipt.gasUsed < 100_000n);
    assert.ok(receipt.blockNumber >= since);
  });
}

async function jsonRpc({ probe }) {
  await check(
    "eth_call without a sender speaks for the gateway's account among its arguments, or for nobody",
    async () => {
      const own = owner.account.address;
      const stranger = privateKeyToAddress(generatePrivateKey());
      const senders = (fields, argument) =>
        client.readContract({ address: probe, abi: Probe.abi, functionName: "sender", args: [argument], ...fields });
      assert.deepEqual(await senders({ account: own }, stranger), [own, own]);
      assert.deepEqual(await senders({}, own), [own, own]);
      assert.deepEqual(await senders({}, stranger), [zeroAddress, zeroAddress]);
      assert.deepEqual(await senders({ account: zeroAddress }, stranger), [zeroAddress, zeroAddress]);
    },
  );
  await check("batches, bad requests and error codes of JSON-RPC", async () => {
    const request = (id, method, params = []) => ({ jsonrpc: "2.0", id, method, params });
    const replies = await post(rpc, [
      request(1, "eth_chainId"),
      request("two", "eth_noSuchMethod"),
      request(3, "eth_getBalance", ["not an address", "latest"]),
      request(4, "eth_getBalance", [owner.account.address, "latest"]),
    ]);
    const byId = new Map(replies.map((reply) => [reply.id, reply]));
    assert.equal(byId.get(1).result, `0x${chainId.toString(16)}`);
    assert.equal(byId.get("two").error.code, -32601);
    assert.equal(byId.get(3).error.code, -32602);
    assert.ok(BigInt(byId.get(4).result) > 0n);
    assert.equal((await post(rpc, "{ not json")).error.code, -32700);
    const batching = createPublicClient({ chain, transport: http(rpc, { batch: true }) });
    const [number, code, id] = await Promise.all([
      batching.getBlockNumber(),
      batching.getCode({ address: probe }),
      batching.getChainId(),
    ]);
    assert.ok(number > 0n && code.length > 2 && id === chainId);
  });
  await check("blocks by number, hash and tag form a chain", async () => {
    const latest = await client.getBlock();
    const [byNumber, byHash, parent] = await Promise.all([
      client.getBlock({ blockNumber: latest.number }),
      client.getBlock({ blockHash: latest.hash }),
      client.getBlock({ blockHash: latest.parentHash }),
    ]);
    assert.equal(byNumber.hash, latest.hash);
    assert.equal(byHash.number, latest.number);
    assert.equal(parent.number, latest.number - 1n);
    assert.ok(parent.timestamp <= latest.timestamp);
    assert.ok(latest.gasLimit > 0n && latest.baseFeePerGas > 0n);
    assert.equal(
      (await failure(client.getBlock({ blockNumber: latest.number + 1_000_000n }), "a future block")).name,
      "BlockNotFoundError",
    );
    assert.equal(await client.request({ method: "eth_getTransactionReceipt", params: [latest.hash] }), null);
  });
}

/** One after the other, because the trader's nonces are counted here. */
async function traderTransactions({ alpha }) {
  const { address } = trader.account;
  const nonce = await client.getTransactionCount({ address });
  await check("every type of transaction; the fee is exact to the wei, also in past states", async () => {
    const value = 12_345n;
    const to = owner.account.address;
    const gasPrice = await client.getGasPrice();
    const history = await client.getFeeHistory({ blockCount: 1, blockTag: "latest", rewardPercentiles: [50] });
    const accessList = [{ address: alpha, storageKeys: [] }];
    const before = await client.getBalance({ address });
    const receipts = await Promise.all([
      mined(await trader.sendTransaction({ to, value, nonce, type: "legacy", gasPrice: gasPrice * 2n })),
      mined(
        await trader.sendTransaction({
          to,
          value,
          nonce: nonce + 1,
          type: "eip2930",
          gasPrice: gasPrice * 2n,
          accessList,
        }),
      ),
      mined(
        await trader.sendTransaction({
          to,
          value,
          nonce: nonce + 2,
          type: "eip1559",
          maxFeePerGas: gasPrice * 2n,
          maxPriorityFeePerGas: gasPrice,
        }),
      ),
    ]);
    // Whatever was offered, the base fee is paid: no more than wallets were told of the next rollup.
    for (const { effectiveGasPrice, blockHash } of receipts) {
      assert.equal(effectiveGasPrice, (await client.getBlock({ blockHash })).baseFeePerGas);
    }
    assert(receipts[0].effectiveGasPrice <= gasPrice && history.baseFeePerGas.at(-1) <= gasPrice);
    assert.deepEqual(history.reward, [[0n]]);
    assert.deepEqual(
      receipts.map((receipt) => receipt.type),
      ["legacy", "eip2930", "eip1559"],
    );
    const cost = receipts.reduce((sum, r) => sum + value + r.gasUsed * r.effectiveGasPrice, 0n);
    const last = receipts.at(-1).blockNumber;
    assert.equal(before - (await client.getBalance({ address, blockNumber: last })), cost);
    const past = await client.getBalance({ address, blockNumber: receipts[0].blockNumber - 1n });
    assert.equal(past, before);
    const block = await client.getBlock({ blockHash: receipts[2].blockHash, includeTransactions: true });
    const found = block.transactions.find(({ hash }) => hash === receipts[2].transactionHash);
    assert.equal(found?.from, address.toLowerCase());
    assert.equal(await client.getTransactionCount({ address }), nonce + 3);
  });
  await check("nonces: a gap waits, a replacement wins, what can never be included is refused", async () => {
    const to = owner.account.address;
    const base = await client.getGasPrice();
    const priced = (factor) => ({
      maxFeePerGas: base * factor,
      maxPriorityFeePerGas: base * factor - base,
      gas: 21_000n,
      to,
    });
    const waiting = await trader.sendTransaction({ ...priced(2n), nonce: nonce + 4, value: 1n });
    assert.equal(
      (await client.getTransaction({ hash: waiting })).blockNumber,
      null,
      "it waits for the nonce before it",
    );
    const replacement = await trader.sendTransaction({ ...priced(4n), nonce: nonce + 4, value: 2n });
    assert.equal(await client.getTransactionCount({ address, blockTag: "pending" }), nonce + 3);
    const gapless = await trader.sendTransaction({ ...priced(4n), nonce: nonce + 3, value: 3n });
    await mined(gapless);
    assert.equal((await mined(replacement)).status, "success");
    assert.equal(await client.request({ method: "eth_getTransactionReceipt", params: [waiting] }), null);

    const refused = async (fields) =>
      failure(trader.sendTransaction({ ...priced(2n), value: 1n, nonce: nonce + 5, ...fields }), "the transaction");
    const is = (error, type) =>
      assert.ok(
        error.walk((cause) => cause instanceof type),
        `${type.name}, not ${error.details ?? error}`,
      );
    is(await refused({ nonce }), NonceTooLowError);
    is(await refused({ value: parseEther("1000000000") }), InsufficientFundsError);
    is(await refused({ gas: 20_000n }), IntrinsicGasTooLowError);
    const elsewhere = await trader.account.signTransaction({
      ...priced(2n),
      value: 1n,
      nonce: nonce + 5,
      chainId: chainId + 1,
    });
    assert.match(
      (await failure(client.sendRawTransaction({ serializedTransaction: elsewhere }), "another chain's")).details,
      /chain.?id/i,
    );
    assert.equal(
      await client.getTransactionCount({ address, blockTag: "pending" }),
      nonce + 5,
      "nothing refused is kept",
    );
  });
}

async function write(address, { abi }, functionName, args, overrides) {
  const receipt = await mined(await owner.writeContract({ address, abi, functionName, args, ...overrides }));
  assert.equal(receipt.status, "success", functionName);
  return receipt;
}

function read(address, { abi }, functionName, args = []) {
  return client.readContract({ address, abi, functionName, args });
}

function mined(hash) {
  return client.waitForTransactionReceipt({ hash, timeout: PATIENCE_SECONDS * 1000 });
}

/** The contract's reason in a failure. */
async function reverted(promise) {
  const error = await failure(promise, "the call");
  const found = error.walk((cause) => cause instanceof ContractFunctionRevertedError);
  assert.ok(found, `no reason in: ${error.message}`);
  return found;
}

async function reserves(pair, alpha) {
  const [[reserve0, reserve1], token0] = await Promise.all([
    read(pair, Pair, "getReserves"),
    read(pair, Pair, "token0"),
  ]);
  const isFirst = token0.toLowerCase() === alpha.toLowerCase();
  return isFirst
    ? { alphaReserve: reserve0, betaReserve: reserve1 }
    : { alphaReserve: reserve1, betaReserve: reserve0 };
}

/** An hour after the newest block, by the chain's own clock. */
async function soon() {
  return (await client.getBlock()).timestamp + 3600n;
}

function identity({ transactionHash, logIndex, blockHash, data, topics }) {
  return { transactionHash, logIndex, blockHash, data, topics };
}
