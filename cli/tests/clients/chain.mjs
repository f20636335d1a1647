// A network as viem wants it described. What does not live here: which networks there are (network.mjs).
import { defineChain } from "viem";

/** The chain behind an endpoint: `{ rpc, ws, chainId }`, the WebSocket if there is one. */
export function chainAt({ rpc, ws, chainId }, name = "Obscuro", symbol = "OBX") {
  return defineChain({
    id: chainId,
    name,
    nativeCurrency: { name, symbol, decimals: 18 },
    rpcUrls: { default: { http: [rpc], ...(ws && { webSocket: [ws] }) } },
  });
}
