// Plain JSON-RPC over HTTP, for what client libraries hide. What does not live here: any address (network.mjs).
import assert from "node:assert/strict";

const TIMEOUT_MS = 60_000;

/** Calls a method; an error of the server is thrown with its `code` and `data`. */
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
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  return response.json();
}
