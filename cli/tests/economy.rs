//! Fees and rewards as node operators meet them (protocol 10), with real networks and the real command: what
//! publishing and executing earned is paid, by command and by itself, and what the pool has too much ends on
//! L1. Not here: the rules (`obscuro_enclave`), and L1 proposers, for whom L1 must be another (`anvil`).

mod support;

use alloy_primitives::{Address, U256, utils::parse_ether};
use alloy_sol_types::{SolCall, SolEvent, sol};
use obscuro_devnet::accounts;
use obscuro_protocol::{
    contracts::FEE_POOL,
    l1::{IERC20, IObscuroToken::mintIntoPoolCall},
};
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use support::{node::start_node, *};

const LIMIT: Duration = Duration::from_secs(120);
/// Bytes of a transaction that makes a prize worth more than claiming it, whoever is drawn.
const LARGE: usize = 40_000;

sol! {
    function totalSupply() external view returns (uint256);
    event FeesWithdrawn(address indexed owner, uint256 amount);
}

/// The arguments of `rewards` for an operator and its node.
fn rewards<'a>(devnet: &'a Devnet, command: &'a str, key: &'a str, node: &'a str) -> Vec<&'a str> {
    let common = ["rewards", command, "--private-key", key, "--gateway", devnet.gateway()];
    [&common[..], &["--node", node]].concat()
}

fn status(devnet: &Devnet, key: &str, node: &str) -> Value {
    json_of(&[&rewards(devnet, "status", key, node)[..], &["--json"]].concat())
}

fn balance(url: &str, account: Address) -> U256 {
    amount(&rpc(url, "eth_getBalance", json!([account, "latest"])).unwrap())
}

/// Sends from development account 3 until something is so; each transaction is in a rollup of its own.
fn while_users_send<T>(devnet: &Devnet, bytes: usize, mut found: impl FnMut() -> Option<T>) -> T {
    let own = accounts::account(3).address();
    let chain_id: U256 = amount(&rpc(devnet.gateway(), "eth_chainId", json!([])).unwrap());
    eventually("it happens while users send", LIMIT, || {
        let nonce = rpc(devnet.gateway(), "eth_getTransactionCount", json!([own, "latest"]));
        let nonce: u64 = amount(&nonce.unwrap()).to();
        let raw = signed(key(devnet, 3), chain_id.to(), nonce, own, &vec![7; bytes]);
        if let Ok(hash) = rpc(devnet.gateway(), "eth_sendRawTransaction", json!([raw])) {
            eventually("a user's transaction is executed", LIMIT, || {
                let receipt = rpc(devnet.gateway(), "eth_getTransactionReceipt", json!([hash]));
                (!receipt.unwrap().is_null()).then_some(())
            });
        }
        found()
    })
}

#[test]
fn an_operator_claims_what_its_node_earned() {
    let devnet = Devnet::start(&["--aggregators", "1", "--verifiers", "0", "--claim-every", "0"]);
    let operator = accounts::operator(0);
    let (key, node) = (alloy_primitives::hex::encode(operator.to_bytes()), &devnet.nodes()[0]);
    let earned = while_users_send(&devnet, 0, || {
        let status = status(&devnet, &key, node);
        let is_complete = status["prizes"].as_array().unwrap().len() > 1 && status["owed"] != "0";
        is_complete.then_some(status)
    });
    assert_eq!(earned["claimsEvery"], 0);
    // The only member is drawn each time: half of what users paid for computing a transfer.
    for prize in earned["prizes"].as_array().unwrap() {
        assert_eq!(
            amount(&prize["amount"]),
            U256::from(21_000_u64 * 1_000_000_000 / 2),
            "{earned}"
        );
    }
    let recipient = accounts::account(8).address();
    let before = balance(devnet.gateway(), recipient);
    let to = recipient.to_string();
    let claim = [&rewards(&devnet, "claim", &key, node)[..], &["--to", &to, "--json"]].concat();
    let said = json_of(&claim);
    assert_eq!(said["to"], json!(recipient), "{said}");
    assert!(!said["prizes"].as_array().unwrap().is_empty(), "{said}");
    let prizes = earned["prizes"].as_array().unwrap();
    let prizes: U256 = prizes.iter().map(|prize| amount(&prize["amount"])).sum();
    let paid = balance(devnet.gateway(), recipient) - before;
    assert!(paid >= amount(&earned["owed"]) + prizes, "{paid} for {earned}");
}

/// The whole way of minting and of burning: L1, bridge, pool, bridge, L1.
#[test]
fn the_excess_of_the_pool_is_burnt_on_l1() {
    let devnet = Devnet::start(&["--aggregators", "1", "--verifiers", "0"]);
    let (network, funder) = (devnet.network_file(), key(&devnet, 9));
    let network = ["--network", network.to_str().unwrap(), "--l1", devnet.l1()];
    let token = devnet.text("/contracts/ObscuroToken");
    let read = |call: Vec<u8>| {
        let call = json!({ "to": token, "input": alloy_primitives::hex::encode_prefixed(call) });
        amount(&rpc(devnet.l1(), "eth_call", json!([call, "latest"])).unwrap())
    };
    let supply = || read(totalSupplyCall {}.abi_encode());
    let locked = || {
        let status = json_of(&[&["bridge", "status", "--json"][..], &network].concat());
        amount(&status["locked"]["OBX"])
    };
    let node = &devnet.nodes()[0];
    let burn = [&rewards(&devnet, "burn", funder, node)[..], &network].concat();
    let refused = obscuro(&burn).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("the pool has no excess"));

    // As much as the pool may keep with what it begins with, then something beyond it.
    let (reserve, minted) = ("990000", parse_ether("400000").unwrap());
    let pool = FEE_POOL.to_string();
    let deposit = ["bridge", "deposit", "--asset", "OBX", "--amount", reserve, "--to", &pool];
    run(&[&deposit[..], &["--private-key", funder], &network].concat());
    let before = supply();
    let block = send_l1(
        &devnet,
        accounts::funder(),
        token,
        mintIntoPoolCall { amount: minted }.abi_encode(),
    );
    assert_eq!(supply(), before + minted);
    eventually("the pool has it", LIMIT, || {
        let newest = rpc(node, "obscuro_rollup", json!(["latest"])).unwrap();
        (newest["l1ProofNumber"].as_u64()? >= block).then_some(())
    });
    // Interrupted on the way, it is finished in two steps.
    let before = (supply(), locked());
    let mut interrupted = Process::spawn("rewards burn", &mut obscuro(&burn));
    let rest = interrupted.await_line(|line| {
        let arguments = line.split_once("obscuro bridge pay ")?.1.trim_end_matches(')');
        Some(arguments.split(' ').map(str::to_owned).collect::<Vec<_>>())
    });
    interrupted.kill();
    assert_eq!(supply(), before.0);
    let pay = ["bridge", "pay", &rest[0], &rest[1], "--node", node, "--private-key", funder];
    run(&[&pay[..], &network].concat());
    assert_eq!(supply(), before.0);
    let said = json_of(&[&burn[..], &["--json"]].concat());
    let burnt = before.0 - supply();
    assert_eq!(amount(&said["burnt"]), burnt);
    assert_eq!(before.1 - locked(), burnt, "what L2 has no more, the bridge holds no more");
    // Fees came in meanwhile, and rewards became due.
    assert!(burnt.abs_diff(minted) < parse_ether("100").unwrap(), "{burnt}: {said}");
    let account = token.parse().unwrap();
    assert_eq!(read(IERC20::balanceOfCall { account }.abi_encode()), U256::ZERO);
}

#[test]
fn nodes_claim_by_themselves() {
    let devnet = Devnet::start(&["--aggregators", "1", "--verifiers", "0", "--claim-every", "4"]);
    let (aggregator, node) = (accounts::operator(0), &devnet.nodes()[0]);
    let secret = alloy_primitives::hex::encode(aggregator.to_bytes());
    assert_eq!(status(&devnet, &secret, node)["claimsEvery"], 4);
    // A verifier cannot pass transactions on: it lets the aggregator do that.
    let (directory, own) = (tempfile::tempdir().unwrap(), accounts::account(6).address());
    let arguments = ["--claim-every", "4", "--claim-through", node];
    let before = [aggregator.address(), own].map(|account| balance(devnet.gateway(), account));
    let verifier = start_node(&devnet, Path::new(directory.path()), 6, &arguments);
    while_users_send(&devnet, LARGE, || {
        let after = [aggregator.address(), own].map(|account| balance(devnet.gateway(), account));
        // The verifier's registration fee, which the aggregator earned by answering it, is on L1.
        let fees = json!([{ "fromBlock": "0x0", "topics": [FeesWithdrawn::SIGNATURE_HASH] }]);
        let fees = rpc(devnet.l1(), "eth_getLogs", fees).unwrap();
        let is_withdrawn = !fees.as_array().unwrap().is_empty();
        (after[0] > before[0] && after[1] > before[1] && is_withdrawn).then_some(())
    });
    drop(verifier);
}
