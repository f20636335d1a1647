// Load for benchmarks: ERC-20 transfers, signed in advance, sent in batches to any Ethereum JSON-RPC that funds the
// development accounts, until the last receipt. Usage: node load.mjs URL [TRANSACTIONS]; prints one line of JSON. What
// does not live here: comparisons, and any expectation of speed.
import assert from "node:assert/strict";
import { createPublicClient, createWalletClient, encodeFunctionData, http, keccak256, pad, toHex } from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { Token } from "./artifacts.mjs";
import { chainAt } from "./chain.mjs";
import { post } from "./jsonrpc.mjs";

const MNEMONIC = "test test test test test test test test test test test junk";
const SENDERS = 10;
const BATCH = 200;
const BATCHES_AT_ONCE = 4;
const TRANSFER_GAS = 100_000n;
const SECONDS_MAX = 600;

const [url, count = "1000"] = process.argv.slice(2);
const transactions = Number(count);
if (!url || !(transactions >= SENDERS)) {
  console.error(`usage: node load.mjs URL [TRANSACTIONS], at least ${SENDERS}`);
  process.exit(2);
}

const client = createPublicClient({ transport: http(url), pollingInterval: 200 });
const chain = chainAt({ rpc: url, chainId: await client.getChainId() });
const senders = Array.from({ length: SENDERS }, (_, addressIndex) => mnemonicToAccount(MNEMONIC, { addressIndex }));
const fees = { maxFeePerGas: (await client.getGasPrice()) * 4n, maxPriorityFeePerGas: 0n };

const token = await deploy();
const { raws, last } = await sign(token);
const begun = performance.now();
await send(raws);
await receipts(last);
const seconds = (performance.now() - begun) / 1000;
await verify(token);
console.log(
  JSON.stringify({ transactions, seconds: Number(seconds.toFixed(3)), perSecond: Math.round(transactions / seconds) }),
);

/** A token of which every sender has exactly what it will transfer. */
async function deploy() {
  const [first, ...others] = senders;
  const wallet = createWalletClient({ account: first, chain, transport: http(url) });
  let nonce = await client.getTransactionCount({ address: first.address, blockTag: "pending" });
  const deployment = await wallet.deployContract({
    ...Token,
    args: ["Load", "LOAD", BigInt(transactions)],
    nonce: nonce++,
    ...fees,
  });
  const { contractAddress: address } = await client.waitForTransactionReceipt({ hash: deployment });
  const gifts = [];
  for (const [index, { address: to }] of others.entries()) {
    const args = [to, BigInt(share(index + 1))];
    gifts.push(
      await wallet.writeContract({
        address,
        abi: Token.abi,
        functionName: "transfer",
        args,
        nonce: nonce++,
        gas: TRANSFER_GAS,
        ...fees,
      }),
    );
  }
  await Promise.all(gifts.map((hash) => client.waitForTransactionReceipt({ hash })));
  return address;
}

/** Each to a recipient of its own, in the order in which the senders take turns; and each sender's last hash. */
async function sign(token) {
  const nonces = await Promise.all(
    senders.map(({ address }) => client.getTransactionCount({ address, blockTag: "pending" })),
  );
  const raws = [];
  for (let index = 0; index < transactions; index++) {
    const turn = index % SENDERS;
    const to = pad(toHex(0x10ad_0000_0000 + index), { size: 20 });
    const data = encodeFunctionData({ abi: Token.abi, functionName: "transfer", args: [to, 1n] });
    const fields = {
      type: "eip1559",
      chainId: chain.id,
      to: token,
      data,
      gas: TRANSFER_GAS,
      nonce: nonces[turn]++,
      ...fees,
    };
    raws.push(await senders[turn].signTransaction(fields));
  }
  return { raws, last: raws.slice(-SENDERS) };
}

/** A few batches under way at any time; a refusal ends it. */
async function send(raws) {
  const batches = [];
  for (let at = 0; at < raws.length; at += BATCH) batches.push(raws.slice(at, at + BATCH));
  const queue = batches.values();
  const worker = async () => {
    for (const batch of queue) await all(batch.map((raw) => ["eth_sendRawTransaction", [raw]]));
  };
  await Promise.all(Array.from({ length: BATCHES_AT_ONCE }, worker));
}

/** Each sender's last receipt: the ones before it are then there too. */
async function receipts(raws) {
  let missing = raws.map((raw) => keccak256(raw));
  const deadline = performance.now() + SECONDS_MAX * 1000;
  while (missing.length > 0) {
    assert.ok(performance.now() < deadline, `${missing.length} senders have no last receipt after ${SECONDS_MAX} s`);
    const found = await all(missing.map((hash) => ["eth_getTransactionReceipt", [hash]]));
    for (const receipt of found) assert.notEqual(receipt?.status, "0x0", "a transfer failed");
    missing = missing.filter((_, position) => !found[position]);
    if (missing.length > 0) await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** All transfers succeeded: nobody has anything left. */
async function verify(address) {
  for (const account of senders) {
    const left = await client.readContract({
      address,
      abi: Token.abi,
      functionName: "balanceOf",
      args: [account.address],
    });
    assert.equal(left, 0n, `${account.address} has transferred everything`);
  }
}

/** How many transfers a sender makes. */
function share(index) {
  return Math.floor(transactions / SENDERS) + (index < transactions % SENDERS ? 1 : 0);
}

/** Results of a batch, in order. */
async function all(calls) {
  const replies = await post(
    url,
    calls.map(([method, params], id) => ({ jsonrpc: "2.0", id, method, params })),
  );
  const sorted = replies.sort((a, b) => a.id - b.id);
  for (const { error } of sorted) if (error) throw new Error(`${error.message} (${error.code})`);
  return sorted.map(({ result }) => result);
}
