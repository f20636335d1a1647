#!/usr/bin/env node
// The Solidity compiler for forge: npm's wasm build behind the command line of the native one, for inputs of less than
// a megabyte. What does not live here: settings (solidity/foundry.toml) and import resolution, which is forge's.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const solc = createRequire(import.meta.url)("solc");

if (process.argv.includes("--version")) {
  // forge parses the native form of the platform suffix.
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${native(solc.version())}`);
} else if (process.argv.includes("--standard-json")) {
  console.log(solc.compile(readFileSync(0, "utf8")));
} else {
  console.error("usage: solc.mjs --version | solc.mjs --standard-json < input.json");
  process.exitCode = 2;
}

function native(version) {
  return version.replace("Emscripten.clang", "Linux.g++");
}
