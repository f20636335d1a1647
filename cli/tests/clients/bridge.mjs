// Assets across the bridge, with viem on both layers: OBX, ETH and a new ERC-20 are deposited on L1, spent on L2 and
// withdrawn to L1, exact to the wei (protocol 9.1 to 9.3, 9.5). What does not live here: forks, which suspend
// withdrawals, and the enclave's refusals of forged deposits.
import assert from "node:assert/strict";
import {
  ContractFunctionRevertedError,
  createPublicClient,
  createWalletClient,
  http,
  maxUint256,
  nonceManager,
  parseEther,
  parseEventLogs,
  webSocket,
  zeroAddress,
} from "viem";
import { generatePrivateKey, privateKeyToAccount, privateKeyToAddress } from "viem/accounts";
import { Token, obscuro } from "./artifacts.mjs";
import { chainAt } from "./chain.mjs";
import { PATIENCE_SECONDS, check, failure, first, script, within } from "./checks.mjs";
import { rpc } from "./jsonrpc.mjs";
import { accountsOf, devnet } from "./network.mjs";

const BRIDGE = devnet.contracts.BridgeManagement;
const OBX = devnet.contracts.ObscuroToken;
const ETH = zeroAddress;
const L2_BRIDGE = "0x0b5c000000000000000000000000000000000001";
const bridgeAbi = obscuro("BridgeManagement").abi;
const l2BridgeAbi = obscuro("L2Bridge").abi;
const wrappedAbi = obscuro("WrappedToken").abi;
const node = devnet.nodes[0].rpc;

const [userKey, otherKey] = accountsOf("bridge").map((account) => account.privateKey);
const l1 = layer("L1", devnet.l1);
const l2 = layer("Obscuro", devnet.gateway);
const [user, other] = [l2.user.account.address, privateKeyToAddress(otherKey)];

// Uneven amounts: a rounding or a swap of two assets would show.
const deposits = { obx: parseEther("123") + 1n, ether: parseEther("4.5") + 2n, gold: parseEther("1000") + 3n };
const spent = { obx: parseEther("7"), ether: parseEther("0.25") + 4n, gold: 5n };
const withdrawn = { obx: parseEther("100") + 6n, ether: parseEther("1") + 7n, gold: parseEther("999") + 8n };

script("bridge", 150, async () => {
  const gold = await check("deploys a new ERC-20 on L1 and approves the bridge", prepare);
  const assets = { obx: OBX, ether: ETH, gold };
  const lockedBefore = await locked(assets);
  const deposited = await check("deposits OBX, ETH and the ERC-20 on L1", () => deposit(assets));
  const wrapped = await check("the first rollup that knows of the deposits credits them", () =>
    credited(assets, deposited),
  );
  const orders = await check("spends and withdraws all three on L2; gas accounted, all is exact", () =>
    spend(assets, wrapped),
  );
  await check(
    "who has not confirmed, has the wrong amount or comes twice is not paid; the others are, to the wei",
    () => payOut(assets, orders),
  );
  await check("conservation: what is locked on L1 covers L2, and changed by deposits less withdrawals", () =>
    conservation(assets, wrapped, lockedBefore),
  );
});

async function prepare() {
  const hash = await l1.user.deployContract({ ...Token, args: ["Gold", "GLD", parseEther("5000")] });
  const { contractAddress } = await l1.mined(hash);
  const approve = (address) =>
    l1.write({ address, abi: Token.abi, functionName: "approve", args: [BRIDGE, maxUint256] });
  await Promise.all([approve(OBX), approve(contractAddress)]);
  return contractAddress;
}

/** Where it happened, and what the user had on L2 before. */
async function deposit(assets) {
  const rollup = await l2.client.getBlockNumber();
  const obx = await l2.client.getBalance({ address: user, blockNumber: rollup });
  const receipts = await Promise.all(
    Object.entries(assets).map(([name, asset]) => {
      const args = [asset, deposits[name], user];
      const value = asset === ETH ? deposits[name] : 0n;
      return l1.write({ address: BRIDGE, abi: bridgeAbi, functionName: "deposit", args, value });
    }),
  );
  const events = receipts.flatMap((receipt) =>
    parseEventLogs({ abi: bridgeAbi, eventName: "Deposited", logs: receipt.logs }),
  );
  assert.equal(events.length, 3);
  const goldEvent = events.find((event) => event.args.asset.toLowerCase() === assets.gold.toLowerCase());
  assert.deepEqual([goldEvent.args.name, goldEvent.args.symbol, goldEvent.args.decimals], ["Gold", "GLD", 18]);
  const blocks = receipts.map((receipt) => receipt.blockNumber).sort(byValue);
  const indices = events.map((event) => event.args.index).sort(byValue);
  return { rollup, firstBlock: blocks[0], lastBlock: blocks.at(-1), lastIndex: indices.at(-1), obx };
}

async function credited(assets, { rollup, firstBlock, lastBlock, lastIndex, obx }) {
  const before = await firstRollup(rollup, (header) => header.l1ProofNumber >= firstBlock);
  const after = await firstRollup(before.number - 1n, (header) => header.l1ProofNumber >= lastBlock);
  assert.ok(BigInt(after.depositCursor) > lastIndex, "the rollup has read the deposits");
  const balance = (blockNumber) => l2.client.getBalance({ address: user, blockNumber });
  assert.equal(await balance(before.number - 1n), obx, "not before");
  assert.equal(await balance(after.number), obx + deposits.obx);

  const blockNumber = after.number;
  const wrappedOf = (asset) =>
    l2.read({ address: L2_BRIDGE, abi: l2BridgeAbi, functionName: "wrapped", args: [asset] });
  const [ether, gold] = await Promise.all([wrappedOf(assets.ether), wrappedOf(assets.gold)]);
  assert.notEqual(gold, zeroAddress);
  assert.equal(await ofWrapped(gold, "balanceOf", [user], { account: user, blockNumber }), deposits.gold);
  const [etherAfter, etherBefore] = await Promise.all([
    ofWrapped(ether, "balanceOf", [user], { account: user, blockNumber }),
    // Before the first deposit of all there is no such token.
    ofWrapped(ether, "balanceOf", [user], { account: user, blockNumber: before.number - 1n }).catch(() => 0n),
  ]);
  assert.equal(etherAfter - etherBefore, deposits.ether);

  const facts = await Promise.all(["name", "symbol", "decimals", "asset"].map((name) => ofWrapped(gold, name)));
  assert.deepEqual(
    facts.map((fact) => String(fact).toLowerCase()),
    ["gold", "gld", "18", assets.gold.toLowerCase()],
  );
  assert.equal(await ofWrapped(gold, "balanceOf", [user]), deposits.gold, "tools leave the sender out");
  const nosy = ofWrapped(gold, "balanceOf", [user], { account: other });
  assert.equal((await reverted(nosy)).errorName, "NotAuthorised", "another account may not ask");
  return { ether, gold };
}

/** Transfers to the other account and withdrawals to new L1 addresses, all in flight together. */
async function spend(assets, wrapped) {
  const receivers = Object.fromEntries(
    Object.keys(assets).map((name) => [name, privateKeyToAddress(generatePrivateKey())]),
  );
  const wrappedBalances = (account) =>
    Promise.all([wrapped.ether, wrapped.gold].map((token) => ofWrapped(token, "balanceOf", [account], { account })));
  const everything = async (account) => [
    await l2.client.getBalance({ address: account }),
    ...(await wrappedBalances(account)),
  ];
  const [userBefore, otherBefore] = await Promise.all([everything(user), everything(other)]);
  const withdraw = (name) =>
    l2.write({
      address: L2_BRIDGE,
      abi: l2BridgeAbi,
      functionName: "withdraw",
      args: [assets[name], withdrawn[name], receivers[name]],
    });
  const give = (name) =>
    l2.write({ address: wrapped[name], abi: wrappedAbi, functionName: "transfer", args: [other, spent[name]] });
  const receipts = await Promise.all([
    l2.user.sendTransaction({ to: other, value: spent.obx }).then(l2.mined),
    give("ether"),
    give("gold"),
    l2.write({
      address: L2_BRIDGE,
      abi: l2BridgeAbi,
      functionName: "withdrawNative",
      args: [receivers.obx],
      value: withdrawn.obx,
    }),
    withdraw("ether"),
    withdraw("gold"),
  ]);
  const fees = receipts.reduce((sum, receipt) => sum + receipt.gasUsed * receipt.effectiveGasPrice, 0n);
  const left = (position, name) => userBefore[position] - spent[name] - withdrawn[name];
  assert.deepEqual(await everything(user), [left(0, "obx") - fees, left(1, "ether"), left(2, "gold")]);
  assert.deepEqual(await everything(other), [
    otherBefore[0] + spent.obx,
    otherBefore[1] + spent.ether,
    otherBefore[2] + spent.gold,
  ]);

  const orders = receipts.flatMap((receipt) =>
    parseEventLogs({ abi: l2BridgeAbi, eventName: "Withdrawal", logs: receipt.logs }).map(({ args }) => ({
      ...args,
      rollup: receipt.blockHash,
    })),
  );
  assert.deepEqual(new Set(orders.map((order) => order.amount)), new Set(Object.values(withdrawn)));
  const unknown = l2.client.simulateContract({
    address: L2_BRIDGE,
    abi: l2BridgeAbi,
    functionName: "withdraw",
    args: [other, 1n, user],
    account: user,
  });
  assert.equal((await reverted(unknown)).errorName, "UnknownAsset");
  return orders;
}

async function payOut(assets, orders) {
  const blocks = await l1.read({ address: BRIDGE, abi: bridgeAbi, functionName: "withdrawalBlocks" });
  const proven = await Promise.all(orders.map(async (order) => ({ ...order, proof: await proof(order) })));
  const withdraw = ({ rollup, index, asset, to, amount, proof }, changes) => ({
    address: BRIDGE,
    abi: bridgeAbi,
    functionName: "withdraw",
    args: [rollup, index, asset, to, amount + (changes?.more ?? 0n), proof],
    account: l1.user.account,
  });
  if (blocks > 1n) {
    const early = await reverted(l1.client.simulateContract(withdraw(proven[0])));
    assert.equal(early.errorName, "NotConfirmed", "withdrawals wait");
  }
  await Promise.all(proven.map((order) => confirmed(order.rollup, blocks)));
  const wrong = await reverted(l1.client.simulateContract(withdraw(proven[0], { more: 1n })));
  assert.equal(wrong.errorName, "NotInRollup");

  await Promise.all(proven.map((order) => l1.write(withdraw(order))));
  for (const { asset, to, amount } of proven) assert.equal(await l1Balance(asset, to), amount);
  const twice = await reverted(l1.client.simulateContract(withdraw(proven[0])));
  assert.equal(twice.errorName, "AlreadyWithdrawn");
}

async function conservation(assets, wrapped, before) {
  const after = await locked(assets);
  for (const [name, asset] of Object.entries(assets)) {
    assert.equal(after[name], before[name] + deposits[name] - withdrawn[name], `locked ${name}`);
    assert.ok((await l1Balance(asset, BRIDGE)) >= after[name], `the bridge has the ${name}`);
  }
  assert.equal(await ofWrapped(wrapped.gold, "totalSupply"), after.gold);
  assert.ok((await ofWrapped(wrapped.ether, "totalSupply")) <= after.ether);
}

/** The withdrawal's proof, on which all nodes, the verifier too, must agree. */
async function proof({ rollup, index, asset, to, amount }) {
  const listed = await Promise.all(
    devnet.nodes.map(({ rpc: url }) =>
      eventually(`withdrawals at ${url}`, () => rpc(url, "obscuro_withdrawals", [rollup])),
    ),
  );
  for (const list of listed) assert.deepEqual(list, listed[0], "nodes agree on withdrawals");
  const found = listed[0].find((entry) => BigInt(entry.index) === index);
  assert.ok(found, "the withdrawal is listed");
  const said = [found.asset.toLowerCase(), found.to.toLowerCase(), BigInt(found.amount)];
  assert.deepEqual(said, [asset.toLowerCase(), to.toLowerCase(), amount]);
  return found.proof;
}

/** A node may be a moment behind the gateway's. */
function eventually(what, ask) {
  return first(what, (resolve) => {
    const attempt = () =>
      ask().then(
        (list) => list.length > 0 && resolve(list),
        () => {},
      );
    attempt();
    return l2.socket.watchBlockNumber({ onBlockNumber: attempt });
  });
}

/** Waits for L1 blocks until the rollup is confirmed. */
async function confirmed(rollup, blocks) {
  const address = devnet.contracts.RollupManagement;
  const { abi } = obscuro("RollupManagement");
  await first(`confirmation of ${rollup}`, (resolve, reject) => {
    const onBlockNumber = (blockNumber) =>
      l1
        .read({ address, abi, functionName: "isConfirmed", args: [rollup, blocks], blockNumber })
        .then((isConfirmed) => isConfirmed && resolve())
        .catch(reject);
    return l1.socket.watchBlockNumber({ emitOnBegin: true, onBlockNumber, onError: reject });
  });
}

/** The first rollup after `number` of which something is true, by its public header. */
async function firstRollup(number, isIt) {
  for (;;) {
    const next = ++number;
    const header = await within(
      first(`rollup ${next}`, (resolve, reject) => {
        const look = () =>
          rpc(node, "obscuro_rollup", [Number(next)])
            .then((found) => found && resolve(found))
            .catch(reject);
        look();
        return l2.socket.watchBlockNumber({ onBlockNumber: look, onError: reject });
      }),
      `rollup ${next}`,
    );
    if (isIt(header)) return { ...header, number: next };
  }
}

async function locked(assets) {
  const entries = Object.entries(assets).map(async ([name, asset]) => [
    name,
    await l1.read({ address: BRIDGE, abi: bridgeAbi, functionName: "locked", args: [asset] }),
  ]);
  return Object.fromEntries(await Promise.all(entries));
}

function l1Balance(asset, address) {
  if (asset === ETH) return l1.client.getBalance({ address });
  return l1.read({ address: asset, abi: Token.abi, functionName: "balanceOf", args: [address] });
}

function ofWrapped(address, functionName, args = [], options = {}) {
  return l2.read({ address, abi: wrappedAbi, functionName, args, ...options });
}

function byValue(a, b) {
  return a < b ? -1 : Number(a > b);
}

/** The custom error of a failing call. */
async function reverted(promise) {
  const error = await failure(promise, "the call");
  const found = error.walk((cause) => cause instanceof ContractFunctionRevertedError);
  assert.ok(found?.data, `no reason in: ${error.message}`);
  return found.data;
}

/** The clients of one layer. */
function layer(name, endpoint) {
  const chain = chainAt(endpoint, name, name);
  const client = createPublicClient({ chain, transport: http(), pollingInterval: 500 });
  const socket = createPublicClient({ chain, transport: webSocket(endpoint.ws) });
  const account = privateKeyToAccount(userKey, { nonceManager });
  const wallet = createWalletClient({ account, chain, transport: http() });
  const mined = async (hash) => {
    const receipt = await client.waitForTransactionReceipt({ hash, timeout: PATIENCE_SECONDS * 1000 });
    assert.equal(receipt.status, "success");
    return receipt;
  };
  return {
    client,
    socket,
    user: wallet,
    mined,
    read: (call) => client.readContract(call),
    write: async (call) => mined(await wallet.writeContract(call)),
  };
}
