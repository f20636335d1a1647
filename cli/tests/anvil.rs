//! Another L1 in place of the embedded one: anvil, with a reorganisation in the middle, and with a proposer
//! who runs a node. Not here: the embedded L1 (`devnet`).

mod support;

use alloy_primitives::{U256, hex, utils::parse_ether};
use alloy_sol_types::SolCall;
use obscuro_devnet::accounts;
use obscuro_protocol::l1::IObscuroToken;
use serde_json::{Value, json};
use std::time::Duration;
use support::*;

const LIMIT: Duration = Duration::from_secs(120);

fn quantity(value: &Value) -> u128 {
    u128::from_str_radix(value.as_str().unwrap_or("0x0").trim_start_matches("0x"), 16).unwrap_or(0)
}

fn balance(devnet: &Devnet, account: &str) -> u128 {
    quantity(
        &rpc(devnet.gateway(), "eth_getBalance", json!([account, "latest"])).unwrap_or(Value::Null),
    )
}

fn deposit(devnet: &Devnet, from: usize, to: &str) {
    let key = devnet.text(&format!("/accounts/{from}/privateKey"));
    let network = devnet.network_file();
    let output = obscuro(&[
        "bridge",
        "deposit",
        "--asset",
        "OBX",
        "--amount",
        "7",
        "--to",
        to,
        "--l1",
        devnet.l1(),
        "--private-key",
        key,
    ])
    .arg("--network")
    .arg(network)
    .output()
    .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// OBX that the bridge holds for deposits to `account`, by the events that are on L1 now.
fn deposited(devnet: &Devnet, account: &str) -> u128 {
    // keccak256 of the event Deposited's signature, from the artifact's interface.
    let topic = "0x".to_string() + &alloy_primitives::hex::encode(
        <obscuro_protocol::l1::IBridgeManagement::Deposited as alloy_sol_types::SolEvent>::SIGNATURE_HASH,
    );
    let padded = format!("0x{:0>64}", account.trim_start_matches("0x").to_lowercase());
    let filter = json!([{ "fromBlock": "0x0", "toBlock": "latest", "address": devnet.text("/contracts/BridgeManagement"), "topics": [topic, null, null, padded] }]);
    let logs = rpc(devnet.l1(), "eth_getLogs", filter).unwrap();
    let amount = |log: &Value| {
        let data = log["data"].as_str().unwrap_or_default().trim_start_matches("0x");
        u128::from_str_radix(&data[64 + 32..128], 16).unwrap()
    };
    logs.as_array().unwrap().iter().map(amount).sum()
}

#[test]
fn a_reorganisation_loses_and_doubles_nothing() {
    let anvil = Anvil::start();
    let devnet = Devnet::start(&["--l1", &anvil.url, "--aggregators", "2", "--verifiers", "1"]);
    let account = "0x00000000000000000000000000000000000000d1";
    // An account that the gateway may read: number 3 of the development accounts.
    let reader = devnet.text("/accounts/3/address").to_string();
    let before = balance(&devnet, &reader);
    assert_eq!(before, deposited(&devnet, &reader), "{account}");
    deposit(&devnet, 4, &reader);
    eventually("the deposit arrives", LIMIT, || {
        (balance(&devnet, &reader) == deposited(&devnet, &reader)).then_some(())
    });
    deposit(&devnet, 4, &reader);
    rpc(&anvil.url, "anvil_reorg", json!([3, []])).unwrap();
    deposit(&devnet, 4, &reader);
    eventually("L2 agrees with what L1 kept", LIMIT, || {
        let (owed, credited) = (deposited(&devnet, &reader), balance(&devnet, &reader));
        (owed == credited && owed > before).then_some(())
    });
    let nodes: Vec<String> =
        (0..3).map(|node| devnet.text(&format!("/nodes/{node}/rpc")).to_string()).collect();
    eventually("all nodes agree", LIMIT, || {
        let rollups: Vec<Value> = nodes
            .iter()
            .map(|node| rpc(node, "obscuro_rollup", json!(["latest"])).unwrap_or(Value::Null))
            .collect();
        (!rollups[0].is_null() && rollups.iter().all(|r| r["hash"] == rollups[0]["hash"]))
            .then_some(())
    });
}

/// S2 "Collocation": whoever proposes L1's blocks and verifies L2 may claim for each rollup that it included.
#[test]
fn a_proposer_who_runs_a_node_is_paid_for_it() {
    let anvil = Anvil::start();
    let proposer = accounts::operator(1);
    rpc(&anvil.url, "anvil_setCoinbase", json!([proposer.address()])).unwrap();
    let devnet = Devnet::start(
        &[
            &["--l1", &anvil.url, "--aggregators", "1", "--verifiers", "1"][..],
            &["--claim-every", "0"],
        ]
        .concat(),
    );
    let (key, node) = (hex::encode(proposer.to_bytes()), &devnet.nodes()[1]);
    let rewards = |command: &'static str| {
        let common = ["rewards", command, "--gateway", devnet.gateway(), "--node", node];
        [&common[..], &["--private-key", &key]].concat()
    };
    let half = U256::from(21_000_u64 * 1_000_000_000 / 2);
    let prizes = eventually("two rollups of a transfer each", LIMIT, || {
        let to = ["--to", devnet.text("/accounts/1/address"), "--amount", "0.1"];
        let from = ["--private-key", support::key(&devnet, 0), "--gateway", devnet.gateway()];
        run(&[&["account", "send"][..], &to, &from].concat());
        let status = json_of(&[&rewards("status")[..], &["--json"]].concat());
        let prizes = status["prizes"].as_array().unwrap().clone();
        (prizes.len() > 1).then_some(prizes)
    });
    for prize in &prizes {
        // The same again if it is drawn besides.
        let paid = amount(&prize["amount"]);
        assert!(paid == half || paid == half + half, "{prize}");
    }
    let (said, _) = run(&rewards("claim"));
    assert!(said.contains("for having executed") && said.contains("paid "), "{said}");
    // The token knows its bridge on this L1 too.
    let mint = IObscuroToken::mintIntoPoolCall { amount: parse_ether("1").unwrap() };
    let token = devnet.text("/contracts/ObscuroToken");
    send_l1(&devnet, accounts::funder(), token, mint.abi_encode());
}
