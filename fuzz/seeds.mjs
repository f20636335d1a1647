// Gives each target something to begin with: the frozen vectors. What does not live here: any vector.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";

const vectors = (name) => JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url)));
const bytes = (hex) => Buffer.from(hex.slice(2), "hex");
const json = (value) => Buffer.from(JSON.stringify(value));

/** All strings of bytes below a value. */
function* below(value) {
  if (typeof value === "string" && /^0x([0-9a-f]{2})+$/.test(value)) yield bytes(value);
  else if (value && typeof value === "object") for (const part of Object.values(value)) yield* below(part);
}

/** The wire forms of messages, not the parts of which they consist. */
function* messages(value) {
  if (Array.isArray(value) || (value && typeof value === "object" && !value.bytes)) {
    for (const part of Object.values(value)) yield* messages(part);
  } else if (value?.bytes) yield bytes(value.bytes);
}

/** A quote as `attestation` reads it: of its second kind, piece 9, no patches. */
const asQuote = (quote) => Buffer.concat([Buffer.from([1, 9, 0]), quote]);

/** An envelope as `forced` reads it: of its first kind. The second has it as what was sealed. */
const asForced = (envelope) => [0, 1, 2].map((kind) => Buffer.concat([Buffer.from([kind]), envelope]));

/** A lot as `lottery` reads it. */
const asLot = ({ number, randao, publicKey, proof }) => {
  const big = Buffer.alloc(8);
  big.writeBigUInt64BE(BigInt(number));
  return Buffer.concat([big, ...[randao, publicKey, proof].map(bytes)]);
};

const header = vectors("rollup_header").header;
const tees = ["sgx", "tdx"].map((name) => vectors(`attestation/${name}`));
// Intel's own, where somebody has put them.
const samples = process.argv.slice(2).map((file) => readFileSync(file));
const seeds = {
  door: [...messages(vectors("door"))],
  enclave: [...messages(vectors("door"))],
  gossip: [...messages(vectors("gossip"))],
  query: [...messages(vectors("queries"))],
  envelope: [...below(vectors("envelope")), ...below(vectors("seed_share"))],
  forced: [...asForced(bytes(vectors("forced").envelope)), Buffer.from([2])],
  lottery: [asLot(vectors("lottery"))],
  header: [json(header), ...vectors("withdrawals").map((list) => json(list.withdrawals))],
  config: [json(vectors("network_config").config)],
  attestation: [...tees.flatMap((tee) => [bytes(tee.quote), bytes(tee.stripped)]), ...samples].map(asQuote),
  payload: [...below(vectors("payload")), ...below(vectors("payload_empty"))],
};
for (const [target, inputs] of Object.entries(seeds)) {
  const folder = new URL(`corpus/${target}/`, import.meta.url);
  mkdirSync(folder, { recursive: true });
  for (const input of inputs) {
    writeFileSync(new URL(createHash("sha256").update(input).digest("hex").slice(0, 40), folder), input);
  }
}
