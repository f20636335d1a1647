// ethers at the gateway, as an application uses it: the same market as in viem.mjs, through ethers' own ways of
// deploying, waiting, listening and explaining failures. What does not live here: what is the same for every client
// (blocks, JSON-RPC and nonces in detail: viem.mjs).
import assert from "node:assert/strict";
import {
  Contract,
  ContractFactory,
  JsonRpcProvider,
  MaxUint256,
  NonceManager,
  Transaction,
  Wallet,
  WebSocketProvider,
  ZeroAddress,
  getCreateAddress,
  isError,
  parseEther,
} from "ethers";
import { Factory, Pair, Token, deployments } from "./artifacts.mjs";
import { PATIENCE_SECONDS, check, failure, first, script, within } from "./checks.mjs";
import { accountsOf, devnet } from "./network.mjs";

const { rpc, ws, chainId } = devnet.gateway;
const provider = new JsonRpcProvider(rpc, undefined, { pollingInterval: 500 });
const socket = new WebSocketProvider(ws);

const [ownerKey, traderKey] = accountsOf("ethers").map((account) => account.privateKey);
const owner = new NonceManager(new Wallet(ownerKey, provider));
const trader = new Wallet(traderKey, provider);

const SUPPLY = parseEther("1000000");
const DEPOSIT = parseEther("1000");
const COIN = parseEther("1");
// An estimate is made at the time of the newest block. In a later one a pair's first swap also writes its price sums.
const SWAP_GAS = 300_000n;

script("ethers", 150, async () => {
  await check("chain id, fees, balances over HTTP and WebSocket", facts);
  const market = await check("deploys ERC-20, WETH, Uniswap V2 and a probe with ContractFactory", deploy);
  await Promise.all([trade(market), failures(market), traderTransactions(market)]);
});

async function facts() {
  for (const each of [provider, socket]) {
    assert.equal((await each.getNetwork()).chainId, BigInt(chainId));
    assert.ok((await each.getFeeData()).maxFeePerGas > 0n);
    assert.ok((await each.getBalance(trader.address)) > DEPOSIT, "a development account has OBX");
    assert.equal(await each.getCode(Wallet.createRandom().address), "0x");
  }
}

async function deploy() {
  const from = await owner.getAddress();
  const nonce = await owner.getNonce("pending");
  const at = (offset) => getCreateAddress({ from, nonce: nonce + offset });
  const contracts = [];
  for (const [{ abi, bytecode }, args] of deployments(from, at, SUPPLY)) {
    contracts.push(await new ContractFactory(abi, bytecode, owner).deploy(...args));
  }
  await within(Promise.all(contracts.map((contract) => contract.waitForDeployment())), "the deployments");
  for (const [offset, contract] of contracts.entries()) assert.equal(await contract.getAddress(), at(offset));
  const [alpha, beta, weth, factory, router, probe] = contracts;
  const sent = await provider.getTransaction(factory.deploymentTransaction().hash);
  assert.ok(sent.data.startsWith(Factory.bytecode), "the bytecode is unchanged");
  return { alpha, beta, weth, factory, router, probe };
}

async function trade(market) {
  const { alpha, beta, router } = market;
  await check("approves and reads the allowance", async () => {
    await Promise.all([sent(alpha.approve(router.target, MaxUint256)), sent(beta.approve(router.target, MaxUint256))]);
    assert.equal(await alpha.allowance(await owner.getAddress(), router.target), MaxUint256);
  });
  const pair = await check("adds liquidity to a new pair and to one with OBX; reserves are right", () =>
    addLiquidity(market),
  );
  await check("swaps; listeners over WebSocket and HTTP, receipts and queryFilter agree", () => swap(market, pair));
}

async function addLiquidity({ alpha, beta, weth, factory, router }) {
  const to = await owner.getAddress();
  const deadline = await soon();
  const [receipt] = await Promise.all([
    sent(router.addLiquidity(alpha.target, beta.target, DEPOSIT, DEPOSIT * 2n, 0n, 0n, to, deadline)),
    sent(router.addLiquidityETH(alpha.target, DEPOSIT, 0n, 0n, to, deadline, { value: COIN })),
  ]);
  const address = await factory.getPair(alpha.target, beta.target);
  const created = receipt.logs
    .map((log) => factory.interface.parseLog(log))
    .find((event) => event?.name === "PairCreated");
  assert.equal(created.args.pair, address);
  const pair = new Contract(address, Pair.abi, provider);
  assert.deepEqual(await reserves(pair, alpha), [DEPOSIT, DEPOSIT * 2n]);
  assert.equal(await weth.balanceOf(await factory.getPair(alpha.target, weth.target)), COIN);
  return pair;
}

async function swap({ alpha, beta, weth, router }, pair) {
  const amount = COIN;
  const deadline = await soon();
  const [, expected] = await router.getAmountsOut(amount, [alpha.target, beta.target]);
  const overSocket = heard(pair.connect(socket), "Swap", "a Swap event over WebSocket");
  const overHttp = heard(
    beta.connect(provider),
    beta.filters.Transfer(null, trader.address),
    "a Transfer event over HTTP",
  );
  const head = first("a block over WebSocket", (resolve) => {
    socket.once("block", resolve);
    return () => socket.off("block", resolve);
  });
  const [receipt] = await Promise.all([
    sent(
      router.swapExactTokensForTokens(amount, expected, [alpha.target, beta.target], trader.address, deadline, {
        gasLimit: SWAP_GAS,
      }),
    ),
    sent(
      router.swapExactETHForTokens(0n, [weth.target, alpha.target], trader.address, deadline, {
        value: COIN / 10n,
        gasLimit: SWAP_GAS,
      }),
    ),
  ]);
  assert.equal(await beta.balanceOf(trader.address), expected);
  assert.deepEqual(await reserves(pair, alpha), [DEPOSIT + amount, DEPOSIT * 2n - expected]);

  const swaps = receipt.logs.filter((log) => pair.interface.parseLog(log)?.name === "Swap");
  assert.equal(swaps.length, 1);
  const identity = ({ transactionHash, index, blockHash, data }) => ({ transactionHash, index, blockHash, data });
  assert.deepEqual(identity((await overSocket).log), identity(swaps[0]), "the event over WebSocket is the receipt's");
  assert.equal((await overHttp).args.value, expected);
  const swapsTo = (to) => pair.queryFilter(pair.filters.Swap(null, null, null, null, null, to), receipt.blockNumber);
  const found = await swapsTo(trader.address);
  assert.deepEqual(found.map(identity), swaps.map(identity), "queryFilter finds the same event");
  assert.deepEqual(await swapsTo(ZeroAddress), []);
  const number = await head;
  assert.equal((await provider.getBlock(number)).number, number);
}

async function failures({ alpha, router, probe }) {
  await check("reasons of failure: strings, custom errors and panics, in calls and estimates", async () => {
    const mine = (contract) => contract.connect(trader);
    const attempts = [
      [mine(alpha).transfer, [router.target, COIN]],
      [mine(router).swapExactTokensForTokens, [1n, 0n, [alpha.target, router.target], trader.address, 1n]],
      [mine(probe).panic, [0n]],
    ];
    for (const how of ["staticCall", "estimateGas"]) {
      const [custom, reason, panic] = await Promise.all(
        attempts.map(async ([method, args]) => {
          const error = await failure(method[how](...args), how);
          assert.ok(isError(error, "CALL_EXCEPTION"), `${how}: ${error.message}`);
          return error;
        }),
      );
      // Estimates carry the data; ethers explains custom errors by the interface only in calls.
      const { name, args } =
        custom.revert?.name === "ERC20InsufficientBalance" ? custom.revert : alpha.interface.parseError(custom.data);
      assert.deepEqual([name, args.needed], ["ERC20InsufficientBalance", COIN]);
      assert.equal(reason.reason, "UniswapV2Router: EXPIRED");
      assert.match(panic.reason, /DIVIDE_BY_ZERO/i);
    }
  });
  await check("waiting for a transaction that fails throws with its receipt", async () => {
    const response = await probe.refuseWithReason.send("no", { gasLimit: 100_000n });
    const error = await failure(response.wait(1, PATIENCE_SECONDS * 1000), "the transaction");
    assert.ok(isError(error, "CALL_EXCEPTION"), error.message);
    assert.equal(error.receipt.status, 0);
    assert.equal(error.receipt.hash, response.hash);
  });
}

/** One after the other, because the trader's nonces are counted here. */
async function traderTransactions({ probe }) {
  const nonce = await trader.getNonce();
  await check("a transfer's fee is exact to the wei; blocks know their transactions", async () => {
    const before = await provider.getBalance(trader.address);
    const value = 54_321n;
    const to = await owner.getAddress();
    const response = await trader.sendTransaction({ to, value });
    const receipt = await within(response.wait(), "the transfer");
    assert.equal(before - (await provider.getBalance(trader.address, receipt.blockNumber)), value + receipt.fee);
    assert.equal(await provider.getBalance(trader.address, receipt.blockNumber - 1), before);
    const block = await provider.getBlock(receipt.blockNumber, true);
    assert.equal(block.hash, receipt.blockHash);
    assert.equal(block.getPrefetchedTransaction(receipt.hash).from, trader.address);
    assert.equal(await trader.getNonce(), nonce + 1);
  });
  await check("a WebSocket signer sends, and waits for its receipt", async () => {
    const mark = `0x${"5a".repeat(32)}`;
    const overSocket = probe.connect(trader.connect(socket));
    const receipt = await sent(overSocket.keep(mark));
    assert.equal(receipt.logs.map((log) => probe.interface.parseLog(log)).find(Boolean).args.mark, mark);
    assert.equal(await overSocket.kept(), mark, "a call speaks for its signer");
  });
  await check("what can never be included is refused with ethers' own codes", async () => {
    const fields = { to: await owner.getAddress(), value: 1n, gasLimit: 21_000n };
    const code = async (overrides, signer = trader) =>
      (await failure(signer.sendTransaction({ ...fields, ...overrides }), "the transaction")).code;
    assert.equal(await code({ nonce }), "NONCE_EXPIRED");
    assert.equal(await code({ value: parseEther("1000000000") }), "INSUFFICIENT_FUNDS");
    const signed = Transaction.from(await trader.signTransaction(await trader.populateTransaction(fields)));
    signed.chainId = BigInt(chainId + 1);
    signed.signature = trader.signingKey.sign(signed.unsignedHash);
    assert.match(
      (await failure(provider.broadcastTransaction(signed.serialized), "another chain's")).message,
      /chain.?id/i,
    );
  });
}

async function sent(sending) {
  const response = await sending;
  const receipt = await within(response.wait(), "the receipt");
  assert.equal(receipt.status, 1);
  return receipt;
}

/** The payload of the next such event. */
function heard(contract, event, what) {
  return first(what, (resolve, reject) => {
    const listener = (...args) => resolve(args.at(-1));
    contract.on(event, listener).catch(reject);
    return () => contract.off(event, listener);
  });
}

async function reserves(pair, alpha) {
  const [[reserve0, reserve1], token0] = await Promise.all([pair.getReserves(), pair.token0()]);
  return token0 === alpha.target ? [reserve0, reserve1] : [reserve1, reserve0];
}

/** An hour after the newest block, by the chain's own clock. */
async function soon() {
  return (await provider.getBlock("latest")).timestamp + 3600;
}
