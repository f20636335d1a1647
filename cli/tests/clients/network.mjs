// The network under test, as `obscuro devnet --json` describes it in the environment variable DEVNET, and plain
// JSON-RPC to it. What does not live here: any client library.
import assert from "node:assert/strict";

/** Which accounts a script uses: no two share one, so that scripts may run side by side. */
const ACCOUNTS = { viem: [0, 1], ethers: [2, 3], cast: [4, 5], bridge: [6, 7], privacy: [8], accounts: [9] };

export const devnet = parse(process.env.DEVNET);

/** The script's accounts: `{ address, privateKey }`. */
export function accountsOf(name) {
  return ACCOUNTS[name].map((index) => devnet.accounts[index]);
}

/** Calls a JSON-RPC method; an error of the server is thrown with its `code` and `data`. */
export async function rpc(url, method, params = []) {
  const reply = await post(url, { jsonrpc: "2.0", id: 1, method, params });
  if (reply.error) throw Object.assign(new Error(reply.error.message), reply.error);
  assert.ok("result" in reply, `${method} answered neither result nor error`);
  return reply.result;
}

/** Sends any body (a string as it is) and returns the JSON that comes back. */
export async function post(url, body) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  });
  return response.json();
}

function parse(text) {
  if (!text) {
    console.error("DEVNET is not set: give it the line that `obscuro devnet --json` prints");
    process.exit(1);
  }
  return JSON.parse(text);
}
