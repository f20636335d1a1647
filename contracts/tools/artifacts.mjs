// Writes the compiled contracts that the rest of the repository uses to artifacts/, or with --check fails if what is
// there is not what the sources compile to. Compiles src/ alone and from scratch: the optimizer's output can depend on
// what else is in the same compiler run. What does not live here: compiler settings (foundry.toml).
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const TARGET = join(ROOT, "artifacts");
const FORGE = join(ROOT, "node_modules", ".bin", "forge");
const OUT = "cache/artifacts/out";
const CACHE = "cache/artifacts/cache";

const NAMES = [
  "AttestationVerifier",
  "BridgeManagement",
  "IAttestationVerifier",
  "IBridgeManagement",
  "IL2Bridge",
  "INetworkManagement",
  "IRewardPool",
  "IRollupManagement",
  "IWrappedToken",
  "L2Bridge",
  "NetworkManagement",
  "ObscuroToken",
  "RewardPool",
  "RollupManagement",
  "WrappedToken",
];

// These go into a genesis state as they are, so nothing may be filled in by a constructor.
const PREDEPLOYS = ["L2Bridge", "RewardPool"];

function fail(message) {
  console.error(message);
  process.exit(1);
}

function compile() {
  const flags = ["--force", "--skip", "test", "--out", OUT, "--cache-path", CACHE, "--color", "never"];
  const { status, error, stdout, stderr } = spawnSync(FORGE, ["build", ...flags], { cwd: ROOT, encoding: "utf8" });
  if (status !== 0) fail(`forge build failed: ${error ?? ""}\n${stdout}${stderr}`);
}

function code(name, { object, linkReferences }) {
  if (Object.keys(linkReferences ?? {}).length !== 0) fail(`${name}: bytecode needs linking`);
  return object.startsWith("0x") ? object : `0x${object}`;
}

function entryKey({ type, name = "", inputs = [] }) {
  return `${type} ${name}(${inputs.map((input) => input.type).join(",")})`;
}

function artifact(name) {
  const path = join(ROOT, OUT, `${name}.sol`, `${name}.json`);
  if (!existsSync(path)) fail(`${name}: not compiled`);
  const compiled = JSON.parse(readFileSync(path, "utf8"));
  const immutables = compiled.deployedBytecode.immutableReferences ?? {};
  if (PREDEPLOYS.includes(name) && Object.keys(immutables).length !== 0) fail(`${name}: a predeploy with immutables`);
  const abi = compiled.abi.toSorted((a, b) => (entryKey(a) < entryKey(b) ? -1 : 1));
  return `${JSON.stringify(
    {
      contractName: name,
      abi,
      bytecode: code(name, compiled.bytecode),
      deployedBytecode: code(name, compiled.deployedBytecode),
    },
    null,
    1,
  )}\n`;
}

function write() {
  rmSync(TARGET, { recursive: true, force: true });
  mkdirSync(TARGET);
  for (const name of NAMES) writeFileSync(join(TARGET, `${name}.json`), artifact(name));
}

function check() {
  const expected = NAMES.map((name) => `${name}.json`);
  const present = existsSync(TARGET) ? readdirSync(TARGET).sort() : [];
  const stray = present.filter((file) => !expected.includes(file));
  const changed = NAMES.filter((name) => {
    const path = join(TARGET, `${name}.json`);
    return !existsSync(path) || readFileSync(path, "utf8") !== artifact(name);
  });
  if (stray.length + changed.length === 0) return;
  fail(`artifacts/ is not what the sources compile to (${[...changed, ...stray].join(", ")}); run npm run artifacts`);
}

const [mode, ...rest] = process.argv.slice(2);
if (rest.length !== 0 || (mode !== undefined && mode !== "--check")) fail("usage: artifacts.mjs [--check]");
compile();
if (mode === "--check") check();
else write();
