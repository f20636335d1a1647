// Who may read an account: nobody until its owner signs, then the gateway that was authorised, until the authorisation
// ends (protocol 8.1, 8.6). What does not live here: everything else that another gateway must not see (privacy.mjs).
import assert from "node:assert/strict";
import { createPublicClient, createWalletClient, http, parseEther } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { chainAt } from "./chain.mjs";
import { PATIENCE_SECONDS, check, failure, first, script } from "./checks.mjs";
import { rpc } from "./jsonrpc.mjs";
import { accountsOf, devnet } from "./network.mjs";
import { authorise, letRead, viewingKey } from "./viewing.mjs";

const { rpc: gateway, chainId } = devnet.gateway;
const chain = chainAt(devnet.gateway);
const client = createPublicClient({ chain, transport: http(), pollingInterval: 500 });
const walletOf = (account) => createWalletClient({ account, chain, transport: http() });
const funder = walletOf(privateKeyToAccount(accountsOf("accounts")[0].privateKey));
const newcomer = privateKeyToAccount(generatePrivateKey());
const guest = privateKeyToAccount(generatePrivateKey());
const GIFT = parseEther("5") + 1n;

script("accounts", 150, async () => {
  const gift = await check("a new account receives OBX, and nobody reads it", receive);
  await Promise.all([
    check("an authorisation that has ended is no longer valid", expire),
    check("forged, tampered, expired and garbled authorisations are refused by name", refuse).then(async () => {
      await check("its signature lets the gateway read it, to the wei", () => read(gift));
      await check("it spends, and what it revokes is unreadable again", spendAndRevoke);
    }),
  ]);
});

async function receive() {
  const nonce = await client.getTransactionCount({ address: funder.account.address, blockTag: "pending" });
  const send = async (to, offset) =>
    mined(await funder.sendTransaction({ to: to.address, value: GIFT, nonce: nonce + offset }));
  const [gift] = await Promise.all([send(newcomer, 0), send(guest, 1)]);
  await unreadable(newcomer);
  return gift.transactionHash;
}

async function refuse() {
  const typed = await viewingKey(gateway, newcomer);
  assert.equal(typed.primaryType, "ViewingKey");
  assert.equal(typed.domain.chainId, chainId);
  assert.equal(typed.message.account.toLowerCase(), newcomer.address.toLowerCase());
  assert.ok(typed.message.expiresAt > (await now()));
  const signature = await newcomer.signTypedData(typed);

  const refused = async (account, signed, sig) =>
    (await failure(authorise(gateway, account, signed, sig), "the authorisation")).message;
  assert.match(
    await refused(newcomer, typed, await guest.signTypedData(typed)),
    /signature/,
    "signed by another account",
  );
  const later = { ...typed, message: { ...typed.message, expiresAt: typed.message.expiresAt + 1 } };
  assert.match(await refused(newcomer, later, signature), /signature/, "another expiry");
  const elsewhere = { ...typed, domain: { ...typed.domain, chainId: chainId + 1 } };
  assert.match(await refused(newcomer, typed, await newcomer.signTypedData(elsewhere)), /signature/, "another chain");
  const past = await viewingKey(gateway, newcomer, (await now()) - 60);
  assert.match(await refused(newcomer, past, await newcomer.signTypedData(past)), /expired/, "expired");
  for (const garbled of ["0x", "0x00", `${signature}00`, "not hex"]) assert.ok(await refused(newcomer, typed, garbled));
  assert.equal(
    (await failure(rpc(gateway, "obscuro_authorise", [newcomer.address]), "too few arguments")).code,
    -32602,
  );
  await unreadable(newcomer);
}

async function read(gift) {
  const { address } = newcomer;
  assert.equal(await letRead(gateway, newcomer), true);
  assert.equal(await client.getBalance({ address }), GIFT);
  assert.equal((await client.getTransaction({ hash: gift })).value, GIFT, "the recipient sees the transaction");
  assert.equal((await client.getTransactionReceipt({ hash: gift })).status, "success");
  const listed = await rpc(gateway, "obscuro_accounts");
  assert.ok(listed.some(({ account, expiresAt }) => account.toLowerCase() === address.toLowerCase() && expiresAt > 0));
}

async function spendAndRevoke() {
  const { address } = newcomer;
  const value = 1_000n;
  const receipt = await mined(await walletOf(newcomer).sendTransaction({ to: funder.account.address, value }));
  assert.equal(await client.getBalance({ address }), GIFT - value - receipt.gasUsed * receipt.effectiveGasPrice);
  assert.equal(await client.getTransactionCount({ address }), 1);
  assert.equal(await rpc(gateway, "obscuro_revoke", [address]), true);
  assert.equal(await rpc(gateway, "obscuro_revoke", [address]), false, "once");
  await unreadable(newcomer);
}

/** The gateway stops using an authorisation half a minute before it ends. */
async function expire() {
  await letRead(gateway, guest, (await now()) + 40);
  const balance = () => client.getBalance({ address: guest.address });
  assert.equal(await balance(), GIFT);
  await first("the end of the authorisation", (resolve, reject) => {
    const look = () => balance().then((seen) => seen === 0n && resolve(), reject);
    const timer = setInterval(look, 1_000);
    return () => clearInterval(timer);
  });
}

/** To this gateway the account looks as if it did not exist. */
async function unreadable({ address }) {
  assert.equal(await client.getBalance({ address }), 0n);
  assert.equal(await client.getTransactionCount({ address }), 0);
  assert.match((await failure(client.call({ account: address, to: address }), "calling as it")).message, /authoris/i);
  assert.match(
    (await failure(client.estimateGas({ account: address, to: address }), "estimating as it")).message,
    /authoris/i,
  );
}

/** L1's time, by which authorisations end. */
async function now() {
  return Number((await rpc(devnet.l1.rpc, "eth_getBlockByNumber", ["latest", false])).timestamp);
}

async function mined(hash) {
  const receipt = await client.waitForTransactionReceipt({ hash, timeout: PATIENCE_SECONDS * 1000 });
  assert.equal(receipt.status, "success");
  return receipt;
}
