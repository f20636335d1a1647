// Compiles the tests' own contracts (solidity/src) with solc's wasm build into artifacts/, once for each state of the
// sources. What does not live here: contracts that come compiled (artifacts.mjs) and forge's compiler (solc.mjs).
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(import.meta.url);
const SOURCES = ["Token.sol", "Probe.sol"];
const SETTINGS = {
  evmVersion: "osaka",
  optimizer: { enabled: true, runs: 200 },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
};

/** The compiled contracts by name: `{ abi, bytecode }`. */
export function build() {
  const sources = Object.fromEntries(
    SOURCES.map((name) => [name, { content: readFileSync(new URL(`solidity/src/${name}`, import.meta.url), "utf8") }]),
  );
  const versions = ["solc", "@openzeppelin/contracts"].map((name) => require(`${name}/package.json`).version);
  const state = createHash("sha256")
    .update(JSON.stringify([sources, SETTINGS, versions]))
    .digest("hex");
  const file = new URL(`artifacts/${state.slice(0, 16)}.json`, import.meta.url);
  if (!existsSync(file)) write(file, compile(sources));
  return JSON.parse(readFileSync(file, "utf8"));
}

function compile(sources) {
  // Loaded only when needed: it takes a second.
  const solc = require("solc");
  const input = { language: "Solidity", sources, settings: SETTINGS };
  const load = (path) => ({ contents: readFileSync(require.resolve(path), "utf8") });
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: load }));
  if (output.errors?.length) throw new Error(output.errors.map((error) => error.formattedMessage).join("\n"));
  return Object.fromEntries(
    SOURCES.map((name) => {
      const contract = name.replace(".sol", "");
      const { abi, evm } = output.contracts[name][contract];
      return [contract, { abi, bytecode: `0x${evm.bytecode.object}` }];
    }),
  );
}

/** Whole or not at all: scripts that run side by side may build at the same time. */
function write(file, contracts) {
  mkdirSync(new URL(".", file), { recursive: true });
  const part = new URL(`${file.href}.${process.pid}`);
  writeFileSync(part, JSON.stringify(contracts));
  renameSync(part, file);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) build();
