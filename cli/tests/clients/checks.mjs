// Running a script and its checks: one line for each that holds, exit code 1 at the first that does not, and a time
// limit for everything. What does not live here: the network (network.mjs) and what is expected of it.
import assert from "node:assert/strict";

/** Most seconds that one event or receipt may take. */
export const PATIENCE_SECONDS = 60;

let scriptName = "";

/** Runs a script; the process ends with it. */
export async function script(name, secondsMax, main) {
  scriptName = name;
  const timer = setTimeout(() => fail(new Error(`not finished after ${secondsMax} s`)), secondsMax * 1000);
  try {
    await main();
  } catch (error) {
    fail(error);
  }
  clearTimeout(timer);
  process.exit(0);
}

/** Runs a check and prints one line; returns what it returns. */
export async function check(what, body) {
  const begun = performance.now();
  let result;
  try {
    result = await body();
  } catch (error) {
    throw Object.assign(new Error(what, { cause: error }), { isCheck: true });
  }
  console.log(`ok ${scriptName}: ${what} (${((performance.now() - begun) / 1000).toFixed(1)} s)`);
  return result;
}

/** Waits for a promise, but not for ever. */
export async function within(promise, what, seconds = PATIENCE_SECONDS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing after ${seconds} s`)), seconds * 1000);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits for the first value that a subscription brings; `subscribe(resolve, reject)` returns how to end it. */
export async function first(what, subscribe) {
  let end;
  try {
    return await within(new Promise((resolve, reject) => (end = subscribe(resolve, reject))), what);
  } finally {
    end?.();
  }
}

/** The error with which a promise fails; that it fails is expected. */
export async function failure(promise, what) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  assert.fail(`${what} was expected to fail, but gave ${show(value)}`);
}

/** JSON with big integers, for messages. */
export function show(value) {
  return JSON.stringify(value, (_, part) => (typeof part === "bigint" ? part.toString() : part)) ?? String(value);
}

function fail(error) {
  const what = error.isCheck ? `${error.message}: ` : "";
  const cause = error.isCheck ? error.cause : error;
  console.error(`FAILED ${scriptName}: ${what}${cause?.stack ?? cause}`);
  process.exit(1);
}
