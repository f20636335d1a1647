// What another user does not see (protocol 8.1, 8.6): the first user acts through a gateway (environment variable
// GATEWAY1), putting a random marker wherever data goes; a second user with a gateway of its own (GATEWAY2) asks for all
// of it and gets nothing. The last line of output names the secrets, so that the caller can look for them everywhere
// else. What does not live here: L1, gossip, files and logs.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
  createPublicClient,
  createWalletClient,
  decodeEventLog,
  encodeAbiParameters,
  encodeFunctionData,
  http,
  keccak256,
  nonceManager,
  parseEther,
  toHex,
  webSocket,
} from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { Probe } from "./artifacts.mjs";
import { chainAt } from "./chain.mjs";
import { PATIENCE_SECONDS, check, failure, first, script } from "./checks.mjs";
import { rpc } from "./jsonrpc.mjs";
import { accountsOf, devnet, variable } from "./network.mjs";
import { letRead } from "./viewing.mjs";

const ZERO_WORD = `0x${"0".repeat(64)}`;
const marker = toHex(randomBytes(32));

const gateway = variable("GATEWAY1", "the URL of the first user's gateway");
const other = variable("GATEWAY2", "the URL of a gateway without the first user's keys");
const chain = chainAt({ rpc: gateway, chainId: devnet.gateway.chainId });
const client = createPublicClient({ chain, transport: http(), pollingInterval: 500 });
const account = privateKeyToAccount(accountsOf("privacy")[0].privateKey, { nonceManager });
const user = createWalletClient({ account, chain, transport: http() });
const stranger = privateKeyToAccount(generatePrivateKey());

script("privacy", 150, async () => {
  await letRead(gateway, account);
  await letRead(other, stranger);
  const listening = await listen();
  const secret = await check(
    "the first user puts a marker into calldata, storage, an event and reasons of failure",
    act,
  );
  await follow(listening.socket, secret.receipts.at(-1).blockNumber);
  await Promise.all([
    check("its own gateway shows the user all of it", () => own(secret)),
    check("another's gateway shows no balance, nonce, transaction, receipt, block content or proof", () =>
      nothing(secret),
    ),
    check("another's gateway shows no storage, events or answers to calls", () => noState(secret)),
    check("refusals tell nothing of the account", () => refusals(secret)),
  ]);
  await check("another's filters and subscriptions heard nothing meanwhile", () => heardNothing(listening));
  console.log(
    JSON.stringify({
      marker,
      account: account.address,
      contract: secret.address,
      transactions: secret.receipts.map((receipt) => receipt.transactionHash),
      rollup: Number(secret.receipts[1].blockNumber),
    }),
  );
});

async function act() {
  const deployment = await mined(await user.deployContract(Probe));
  const address = deployment.contractAddress;
  const send = async (functionName, args) =>
    user.writeContract({ address, abi: Probe.abi, functionName, args, gas: 200_000n });
  const hashes = [
    await send("keep", [marker]),
    await send("refuseWithReason", [`because of ${marker}`]),
    await send("refuseWithError", [marker]),
  ];
  const receipts = await Promise.all(hashes.map(mined));
  assert.deepEqual(
    receipts.map((receipt) => receipt.status),
    ["success", "reverted", "reverted"],
  );
  // Requests that fail before they become transactions must leave no trace either.
  const garbled = ["eth_sendRawTransaction", "eth_getBalance", `no_such_method_${marker}`];
  for (const method of garbled) await failure(rpc(gateway, method, [marker]), method);
  await failure(
    rpc(gateway, "eth_call", [{ from: account.address, to: address, data: marker }, "latest"]),
    "an unknown function",
  );
  return { address, receipts: [deployment, ...receipts] };
}

async function own({ address, receipts }) {
  const [, kept] = receipts;
  assert.equal(await client.readContract({ address, abi: Probe.abi, functionName: "kept", account }), marker);
  assert.ok((await client.getTransaction({ hash: kept.transactionHash })).input.includes(marker.slice(2)));
  assert.equal(decodeEventLog({ abi: Probe.abi, ...kept.logs[0] }).args.mark, marker);
  const call = { address, abi: Probe.abi, functionName: "refuseWithReason", args: [marker], account };
  for (const how of ["simulateContract", "estimateContractGas"]) {
    assert.match((await failure(client[how](call), how)).message, new RegExp(marker), "the reason is told to who asks");
  }
}

async function nothing({ receipts }) {
  const from = account.address;
  for (const block of ["latest", "pending", toHex(receipts[1].blockNumber)]) {
    assert.equal(await ask("eth_getBalance", [from, block]), "0x0");
    assert.equal(await ask("eth_getTransactionCount", [from, block]), "0x0");
  }
  const accounts = await ask("eth_accounts", []);
  assert.ok(!accounts.some((each) => each.toLowerCase() === from.toLowerCase()));
  for (const { transactionHash, blockHash, blockNumber, transactionIndex } of receipts) {
    const index = toHex(transactionIndex);
    const number = toHex(blockNumber);
    for (const method of ["eth_getTransactionByHash", "eth_getTransactionReceipt"]) {
      assert.equal(await ask(method, [transactionHash]), null, method);
    }
    assert.equal(await ask("eth_getTransactionByBlockHashAndIndex", [blockHash, index]), null);
    assert.equal(await ask("eth_getTransactionByBlockNumberAndIndex", [number, index]), null);
    for (const full of [true, false]) {
      assert.deepEqual((await ask("eth_getBlockByHash", [blockHash, full])).transactions, []);
      assert.deepEqual((await ask("eth_getBlockByNumber", [number, full])).transactions, []);
    }
    assert.equal(await ask("eth_getBlockTransactionCountByHash", [blockHash]), "0x0");
    assert.equal(await ask("eth_getBlockTransactionCountByNumber", [number]), "0x0");
    assert.deepEqual(await refusedOr([], "eth_getBlockReceipts", [blockHash]), []);
    assert.equal(await refusedOr(null, "eth_getRawTransactionByHash", [transactionHash]), null);
    for (const method of ["debug_traceTransaction", "trace_transaction"]) await refused(method, [transactionHash]);
  }
  for (const method of ["eth_getProof", "debug_accountRange"]) await refused(method, [from, [], "latest"]);
  for (const method of ["txpool_content", "debug_dumpBlock"]) await refused(method, ["latest"]);
}

async function noState({ address, receipts }) {
  const from = account.address;
  // Where Solidity keeps the entry of a mapping in slot 0.
  const slot = keccak256(encodeAbiParameters([{ type: "address" }, { type: "uint256" }], [from, 0n]));
  for (const [where, key] of [
    [address, slot],
    [address, "0x0"],
    [from, "0x0"],
  ]) {
    assert.equal(await ask("eth_getStorageAt", [where, key, "latest"]), ZERO_WORD);
  }
  const fromBlock = toHex(receipts[0].blockNumber);
  const kept = receipts[1].logs[0].topics;
  const filters = [
    { address, fromBlock },
    { topics: kept, fromBlock },
    { topics: [null, kept[1]], fromBlock, toBlock: "latest" },
    { blockHash: receipts[1].blockHash },
  ];
  for (const filter of filters) {
    assert.deepEqual(await ask("eth_getLogs", [filter]), []);
    if (filter.blockHash) continue;
    const id = await ask("eth_newFilter", [filter]);
    assert.deepEqual(await ask("eth_getFilterLogs", [id]), []);
    assert.deepEqual(await ask("eth_getFilterChanges", [id]), []);
  }
  const data = encodeFunctionData({ abi: Probe.abi, functionName: "kept" });
  for (const method of ["eth_call", "eth_estimateGas", "eth_createAccessList"]) {
    await refused(method, [{ from, to: address, data }, "latest"]);
  }
  assert.equal(await ask("eth_call", [{ to: address, data }, "latest"]), ZERO_WORD);
  assert.equal(await ask("eth_call", [{ from: stranger.address, to: address, data }, "latest"]), ZERO_WORD);
}

/** A transaction that the user signed for another chain may be known to anybody. */
async function refusals({ address, receipts }) {
  const nonce = await client.getTransactionCount({ address: account.address });
  const balance = await client.getBalance({ address: account.address });
  const fields = {
    to: address,
    value: parseEther("1000000000"),
    gas: 21_000n,
    nonce: 0,
    maxFeePerGas: parseEther("1"),
    maxPriorityFeePerGas: 0n,
  };
  for (const signed of [
    await account.signTransaction({ ...fields, type: "eip1559", chainId: 1 }),
    await account.signTransaction({
      ...fields,
      maxFeePerGas: undefined,
      maxPriorityFeePerGas: undefined,
      gasPrice: parseEther("1"),
      type: "legacy",
    }),
  ]) {
    const { message } = await refused("eth_sendRawTransaction", [signed]);
    assert.match(message, /chain|replay-protected/, "the first thing wrong with it is what anybody can see");
    assert.ok(!message.includes(String(balance)) && !new RegExp(`state: ${nonce}`).test(message));
  }
  const unknown = await ask("eth_getTransactionReceipt", [keccak256(marker)]);
  assert.equal(
    unknown,
    await ask("eth_getTransactionReceipt", [receipts[0].transactionHash]),
    "unknown and hidden look the same",
  );
}

/** Filters and subscriptions of the second user, from before anything happens. */
async function listen() {
  const socket = createPublicClient({ chain, transport: webSocket(other.replace(/^http/, "ws")) });
  const heard = [];
  const onData = (data) => heard.push(data);
  await socket.transport.subscribe({ params: ["logs", {}], onData, onError: onData });
  // A gateway need not know of waiting transactions at all.
  await socket.transport.subscribe({ params: ["newPendingTransactions"], onData, onError: onData }).catch(() => {});
  const filters = [await ask("eth_newFilter", [{}])];
  await ask("eth_newPendingTransactionFilter", []).then(
    (id) => filters.push(id),
    () => {},
  );
  return { socket, heard, filters };
}

/** Waits until the second gateway has a block: what there was to hear of it has been heard. */
function follow(socket, number) {
  return first(`block ${number} at the second gateway`, (resolve, onError) =>
    socket.watchBlocks({ emitOnBegin: true, onBlock: (block) => block.number >= number && resolve(), onError }),
  );
}

async function heardNothing({ heard, filters }) {
  for (const id of filters) assert.deepEqual(await ask("eth_getFilterChanges", [id]), []);
  assert.deepEqual(heard, []);
}

/** The second gateway's answer. */
function ask(method, params) {
  return rpc(other, method, params);
}

/** The second gateway's error. */
async function refused(method, params) {
  const error = await failure(ask(method, params), method);
  assert.ok(Number.isInteger(error.code), `${method} failed otherwise than by an error of the gateway: ${error}`);
  return error;
}

/** The second gateway's answer, or `otherwise` if it does not know the method. */
function refusedOr(otherwise, method, params) {
  return ask(method, params).catch((error) => {
    assert.equal(error.code, -32601);
    return otherwise;
  });
}

function mined(hash) {
  return client.waitForTransactionReceipt({ hash, timeout: PATIENCE_SECONDS * 1000 });
}
