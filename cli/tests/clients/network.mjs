// The network under test, as the environment describes it, and which of its accounts a script may use. What does not
// live here: talking to it.

/** Which accounts a script uses: no two share one, so that scripts may run side by side. */
const ACCOUNTS = { viem: [0, 1], ethers: [2, 3], cast: [4, 5], bridge: [6, 7], privacy: [8], accounts: [9] };

export const devnet = JSON.parse(variable("DEVNET", "the line that `obscuro devnet --json` prints"));

/** The script's accounts: `{ address, privateKey }`. */
export function accountsOf(name) {
  return ACCOUNTS[name].map((index) => devnet.accounts[index]);
}

/** A variable of the environment, without which there is nothing to test. */
export function variable(name, what) {
  const value = process.env[name];
  if (value) return value;
  console.error(`${name} is not set: give it ${what}`);
  process.exit(1);
}
