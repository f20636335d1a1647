// Letting a gateway read an account: the EIP-712 signature that a wallet would show (protocol 8.1). What does not live
// here: what is expected of it (accounts.mjs).
import { rpc } from "./jsonrpc.mjs";

/** What the account signs; `expiresAt` in seconds since 1970. */
export function viewingKey(gateway, account, expiresAt) {
  return rpc(gateway, "obscuro_viewingKey", [account.address, ...(expiresAt ? [quantity(expiresAt)] : [])]);
}

/** Hands a signature over what {@link viewingKey} returned to the gateway. */
export function authorise(gateway, account, typed, signature) {
  return rpc(gateway, "obscuro_authorise", [account.address, quantity(typed.message.expiresAt), signature]);
}

/** Both, as a wallet does it. */
export async function letRead(gateway, account, expiresAt) {
  const typed = await viewingKey(gateway, account, expiresAt);
  return authorise(gateway, account, typed, await account.signTypedData(typed));
}

function quantity(number) {
  return `0x${BigInt(number).toString(16)}`;
}
