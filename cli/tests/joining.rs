//! How nodes join, return, are replaced and removed while the network runs, with every quote verified
//! on L1. Time is counted in L1 blocks. Not here: refusals (the contracts' and the enclave's tests),
//! killed processes (`processes`).

mod support;

use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_provider::{Provider, ProviderBuilder};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolCall, SolEvent, SolValue};
use obscuro_devnet::accounts;
use obscuro_protocol::l1::{
    AttestationPolicy,
    IAttestationVerifier::{
        MeasurementApproved, PlatformRegistered, PolicyChanged, approveMeasurementCall,
        removeMachineCall, setPolicyCall,
    },
    IERC20::transferCall,
    INetworkManagement::{
        NetworkKeyPublished, NodeReattested, NodeRegistered, SeedShared, beginSeedEpochCall,
    },
    IRollupManagement::{RollupPublished, publishCall},
};
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};
use support::{node::*, *};

const LIMIT: Duration = Duration::from_secs(60);
/// L1 blocks from registration to the seed, at most.
const JOINING_BLOCKS_MAX: u64 = 3;
/// How long a quote counts, in the test that renews it.
const LIFETIME_BLOCKS: u64 = 14;

/// Sends OBX through a gateway again and again while something else happens; every transaction must
/// end in a rollup.
struct Traffic<'a> {
    gateway: &'a str,
    key: &'a str,
    stop: &'a AtomicBool,
}

impl Traffic<'_> {
    /// How many were sent, until it is stopped.
    fn flow(&self) -> u64 {
        let mut sent = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let to = Address::repeat_byte(0xee).to_string();
            let account = ["--private-key", self.key, "--to", &to, "--amount", "0.001"];
            let mut command = obscuro(&["account", "send", "--gateway", self.gateway]);
            // It waits for the receipt.
            let output = command.args(account).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            sent += 1;
        }
        sent
    }
}

/// Runs something while transactions flow; none of them may fail.
fn under_traffic<T>(devnet: &Devnet, accounts: &[usize], act: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let flowing: Vec<_> = accounts
            .iter()
            .map(|account| {
                let key = devnet.text(&format!("/accounts/{account}/privateKey"));
                let traffic = Traffic { gateway: devnet.gateway(), key, stop: &stop };
                scope.spawn(move || traffic.flow())
            })
            .collect();
        // A failure of what is under test must not leave the traffic running.
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        stop.store(true, Ordering::Relaxed);
        let sent: u64 = flowing.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert!(sent > 0);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The logs of an event on L1 from the beginning, as JSON.
fn logs(devnet: &Devnet, contract: &str, topics: &[Value]) -> Vec<Value> {
    let address = match contract {
        "AttestationVerifier" => attestation_verifier(devnet),
        name => devnet.text(&format!("/contracts/{name}")).to_string(),
    };
    let filter = json!([{ "address": address, "topics": topics, "fromBlock": "0x0" }]);
    serde_json::from_value(rpc(devnet.l1(), "eth_getLogs", filter).unwrap()).unwrap()
}

fn attestation_verifier(devnet: &Devnet) -> String {
    let config = std::fs::read(devnet.network_file()).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    config["contracts"]["AttestationVerifier"].as_str().unwrap().to_string()
}

fn block(log: &Value) -> u64 {
    number(&log["blockNumber"])
}

fn number(quantity: &Value) -> u64 {
    u64::from_str_radix(quantity.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

fn topic(address: Address) -> Value {
    json!(address.into_word())
}

/// Whether the transaction of a log published a rollup.
fn is_in_publication(devnet: &Devnet, log: &Value) -> bool {
    let found = rpc(devnet.l1(), "eth_getTransactionByHash", json!([log["transactionHash"]]));
    let input = found.unwrap()["input"].as_str().unwrap().to_string();
    input.starts_with(&alloy_primitives::hex::encode_prefixed(publishCall::SELECTOR))
}

#[test]
fn a_newcomer_has_the_seed_with_the_next_rollup() {
    let devnet = Devnet::start(&["--aggregators", "1", "--verifiers", "0"]);
    let directory = tempfile::tempdir().unwrap();
    let newcomers = under_traffic(&devnet, &[0], || {
        [5, 6].map(|operator| {
            let node = start_node(&devnet, directory.path(), operator, &[]);
            await_seed(&node.rpc);
            (enclave(&node.rpc), operator, node)
        })
    });
    let mut in_publications = 0;
    for (enclave, operator, _) in &newcomers {
        let registered = &logs(
            &devnet,
            "NetworkManagement",
            &[json!(NodeRegistered::SIGNATURE_HASH), topic(*enclave)],
        )[0];
        let shared = &logs(
            &devnet,
            "NetworkManagement",
            &[json!(SeedShared::SIGNATURE_HASH), topic(*enclave)],
        )[0];
        let rollups = logs(&devnet, "RollupManagement", &[json!(RollupPublished::SIGNATURE_HASH)]);
        let next = rollups.iter().map(block).find(|rollup| *rollup > block(registered)).unwrap();
        let waited = block(shared) - block(registered);
        println!("registered in L1 block {}, seed {waited} blocks later", block(registered));
        assert!(block(shared) <= next, "with the next rollup: {} > {next}", block(shared));
        assert!((1..=JOINING_BLOCKS_MAX).contains(&waited), "{waited} blocks");
        in_publications += u64::from(is_in_publication(&devnet, shared));
        // One transaction introduces the machine, one registers the enclave, and no other is needed.
        let own = devnet.text(&format!("/accounts/{operator}/address"));
        let count = rpc(devnet.l1(), "eth_getTransactionCount", json!([own, "latest"])).unwrap();
        assert_eq!(number(&count), 2, "transactions of the newcomer");
    }
    assert!(in_publications > 0, "answers travel in rollups");
}

#[test]
fn the_last_copy_of_the_seed_restores_everything() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let start = |verifiers| {
        Devnet::start(&["--aggregators", "1", "--verifiers", verifiers, "--data-dir", path])
    };
    let mut devnet = start("2");
    transact(&devnet);
    let before = latest(devnet.text("/nodes/0/rpc"));
    devnet.process.kill();

    // All stop, and one returns.
    let mut devnet = start("0");
    transact(&devnet);
    assert_eq!(same(&devnet, &before), before["stateRoot"]);
    // A stake for the one that will replace it.
    let amount = U256::from(10).pow(U256::from(21));
    let stake = transferCall { to: accounts::operator(0).address(), amount };
    send_l1(
        &devnet,
        accounts::funder(),
        devnet.text("/contracts/ObscuroToken"),
        stake.abi_encode(),
    );
    let before = latest(devnet.text("/nodes/0/rpc"));
    devnet.process.kill();

    // Every disk is lost but that of one verifier, which was off.
    for lost in ["node-0", "node-2"] {
        std::fs::remove_dir_all(directory.path().join(lost)).unwrap();
    }
    let devnet = start("1");
    transact(&devnet);
    assert_eq!(same(&devnet, &before), before["stateRoot"]);
    let nodes = devnet.nodes();
    agree(&nodes[0], &nodes[1], number_of(&before).unwrap());
}

/// The state root that a network has now at a rollup of its past.
fn same(devnet: &Devnet, rollup: &Value) -> Value {
    let number = number_of(rollup).unwrap();
    let found = rpc(devnet.text("/nodes/0/rpc"), "obscuro_rollup", json!([number])).unwrap();
    assert_eq!(found["hash"], rollup["hash"]);
    found["stateRoot"].clone()
}

#[test]
fn a_running_network_is_upgraded() {
    let devnet = Devnet::start(&["--aggregators", "1", "--verifiers", "0"]);
    let old = devnet.text("/nodes/0/rpc").to_string();
    let directory = tempfile::tempdir().unwrap();
    let (current, next) = (program(&devnet), keccak256("the next version"));
    let new = under_traffic(&devnet, &[0], || {
        approve(&devnet, next, head(&devnet) + 3, 0);
        let wrapper = another_program(directory.path(), next);
        let enclaved = ["--stake", "1000", "--enclaved", wrapper.to_str().unwrap()];
        let new = start_node(&devnet, directory.path(), 6, &enclaved);
        eventually("the new program is an aggregator", LIMIT, || {
            let status = rpc(&new.rpc, "obscuro_status", json!([])).ok()?;
            (status["isAggregator"] == true).then_some(())
        });
        new
    });
    let registered = logs(
        &devnet,
        "NetworkManagement",
        &[json!(NodeRegistered::SIGNATURE_HASH), topic(enclave(&new.rpc))],
    );
    let approved =
        logs(&devnet, "AttestationVerifier", &[json!(MeasurementApproved::SIGNATURE_HASH)]);
    assert!(block(&registered[0]) > block(approved.last().unwrap()), "not before its activation");

    // The old program's users move; what it took before its end is not lost.
    let gateway = Gateway::start(&devnet, &new.rpc);
    let sunset = head(&devnet) + 5;
    approve(&devnet, current, 1, sunset);
    let (stop, key) = (AtomicBool::new(false), devnet.text("/accounts/1/privateKey"));
    let summary = &devnet.summary;
    let acknowledged = thread::scope(|scope| {
        let traffic = Traffic { gateway: &gateway.url, key, stop: &stop };
        let flowing = scope.spawn(move || traffic.flow());
        let staying = scope.spawn(|| send_until_refused(summary, 2, &stop));
        eventually("the sunset", LIMIT, || (head(&devnet) > sunset + 4).then_some(()));
        stop.store(true, Ordering::Relaxed);
        assert!(flowing.join().unwrap() > 0);
        staying.join().unwrap()
    });
    let key = devnet.text("/accounts/2/privateKey");
    let authorise = ["account", "authorise", "--private-key", key, "--gateway", &gateway.url];
    assert!(obscuro(&authorise).status().unwrap().success());
    println!("{} transactions acknowledged by the old program", acknowledged.len());
    assert!(!acknowledged.is_empty());
    for hash in acknowledged {
        let receipt = eventually("a transaction of the old program's users", LIMIT, || {
            let found = rpc(&gateway.url, "eth_getTransactionReceipt", json!([hash])).unwrap();
            (!found.is_null()).then_some(found)
        });
        assert_eq!(receipt["status"], "0x1");
    }
    let rollups = logs(&devnet, "RollupManagement", &[json!(RollupPublished::SIGNATURE_HASH)]);
    let late: Vec<&Value> = rollups.iter().filter(|log| block(log) >= sunset).collect();
    assert!(!late.is_empty(), "the network goes on");
    assert!(late.iter().all(|log| log["topics"][2] == topic(enclave(&new.rpc))));
    let status = rpc(&old, "obscuro_status", json!([])).unwrap();
    assert_eq!(status["isAggregator"], false, "the old program is out");
    agree(&old, &new.rpc, 0);
}

#[test]
fn a_seed_epoch_begins_while_users_go_on() {
    let devnet = Devnet::start(&["--aggregators", "2", "--verifiers", "1"]);
    let nodes = devnet.nodes();
    let removed = enclave(&nodes[2]);
    under_traffic(&devnet, &[0], || {
        begin_epoch(&devnet, 2);
        nodes.iter().for_each(|node| await_seed(node));
        let machine = machine(&devnet, removed);
        let remove = removeMachineCall { machine }.abi_encode();
        send_l1(&devnet, accounts::funder(), &attestation_verifier(&devnet), remove);
        begin_epoch(&devnet, 3);
        nodes[..2].iter().for_each(|node| await_seed(node));
        // Whoever missed an epoch can speak to nobody from the fourth on.
        begin_epoch(&devnet, 4);
        nodes[..2].iter().for_each(|node| await_seed(node));
    });
    transact(&devnet);
    let status = rpc(&nodes[2], "obscuro_status", json!([])).unwrap();
    assert_eq!(status["hasSeed"], false, "a removed machine gets no later seed");
    let text = [json!(SeedShared::SIGNATURE_HASH), topic(removed)];
    let shares = logs(&devnet, "NetworkManagement", &text);
    assert_eq!(shares.len(), 2, "its first seed, and that of epoch 2");
    agree(&nodes[0], &nodes[1], 0);
}

#[test]
fn nodes_attest_again_in_time_and_stay_members() {
    let devnet = Devnet::start(&["--aggregators", "1", "--verifiers", "1"]);
    let changed = logs(&devnet, "AttestationVerifier", &[json!(PolicyChanged::SIGNATURE_HASH)]);
    let data: Bytes = serde_json::from_value(changed.last().unwrap()["data"].clone()).unwrap();
    let policy = AttestationPolicy::abi_decode(&data).unwrap();
    let policy = AttestationPolicy { attestationLifetimeBlocks: LIFETIME_BLOCKS as u32, ..policy };
    let shorter = setPolicyCall { policy }.abi_encode();
    send_l1(&devnet, accounts::funder(), &attestation_verifier(&devnet), shorter);
    let changed = head(&devnet);
    let renewed = |node: &String| {
        let topics = [json!(NodeReattested::SIGNATURE_HASH), topic(enclave(node))];
        logs(&devnet, "NetworkManagement", &topics).iter().map(block).collect::<Vec<u64>>()
    };
    under_traffic(&devnet, &[0], || {
        for node in devnet.nodes() {
            let blocks = eventually("the node has attested thrice more", LIMIT, || {
                let blocks = renewed(&node);
                (blocks.len() >= 3).then_some(blocks)
            });
            println!("lifetime {LIFETIME_BLOCKS} from block {changed}, renewed in {blocks:?}");
            // A quote names a block before the one that took it.
            let gaps = blocks.windows(2).map(|pair| pair[1] - pair[0]);
            assert!(gaps.clone().all(|gap| gap < LIFETIME_BLOCKS), "it was no member meanwhile");
            assert!(gaps.clone().all(|gap| gap > LIFETIME_BLOCKS / 2), "and not more often");
        }
    });
    let rollups = logs(&devnet, "RollupManagement", &[json!(RollupPublished::SIGNATURE_HASH)]);
    let late = rollups.iter().filter(|log| block(log) > changed + LIFETIME_BLOCKS).count();
    assert!(late > 0, "the aggregator still publishes");
    agree(&devnet.nodes()[0], &devnet.nodes()[1], 0);
}

/// Sends one transaction after the other without waiting for receipts, until the node takes no more;
/// those that were acknowledged.
#[tokio::main(flavor = "current_thread")]
async fn send_until_refused(summary: &Value, account: usize, stop: &AtomicBool) -> Vec<B256> {
    let key = summary["accounts"][account]["privateKey"].as_str().unwrap();
    let signer: PrivateKeySigner = key.parse().unwrap();
    let gateway = summary["gateway"]["rpc"].as_str().unwrap().parse().unwrap();
    let gateway = ProviderBuilder::new().wallet(signer).connect_http(gateway);
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let transfer = TransactionRequest::default()
            .with_to(Address::repeat_byte(0xdd))
            .with_value(U256::ONE)
            .with_nonce(acknowledged.len() as u64)
            .with_gas_limit(100_000)
            .with_gas_price(10_000_000_000);
        match gateway.send_transaction(transfer).await {
            Ok(sent) => acknowledged.push(*sent.tx_hash()),
            Err(refused) => {
                println!("the old program takes no more: {refused}");
                break;
            }
        }
        // The pace of a busy user.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    acknowledged
}

/// Has the owner begin an epoch, and waits until it is open.
fn begin_epoch(devnet: &Devnet, epoch: u64) {
    let begin = beginSeedEpochCall { opener: Address::ZERO }.abi_encode();
    send_l1(devnet, accounts::funder(), devnet.text("/contracts/NetworkManagement"), begin);
    eventually("the epoch opens", LIMIT, || {
        let topics =
            [json!(NetworkKeyPublished::SIGNATURE_HASH), json!(B256::from(U256::from(epoch)))];
        (!logs(devnet, "NetworkManagement", &topics).is_empty()).then_some(())
    });
}

fn approve(devnet: &Devnet, measurement: B256, activation: u64, sunset: u64) {
    let call =
        approveMeasurementCall { measurement, activationBlock: activation, sunsetBlock: sunset };
    send_l1(devnet, accounts::funder(), &attestation_verifier(devnet), call.abi_encode());
}

fn head(devnet: &Devnet) -> u64 {
    number(&rpc(devnet.l1(), "eth_blockNumber", json!([])).unwrap())
}

/// The program that the devnet runs.
fn program(devnet: &Devnet) -> B256 {
    let approved =
        logs(devnet, "AttestationVerifier", &[json!(MeasurementApproved::SIGNATURE_HASH)]);
    serde_json::from_value(approved[0]["topics"][1].clone()).unwrap()
}

/// The machine of an enclave, from the certificate that was registered in front of it.
fn machine(devnet: &Devnet, enclave: Address) -> B256 {
    let registered = &logs(
        devnet,
        "NetworkManagement",
        &[json!(NodeRegistered::SIGNATURE_HASH), topic(enclave)],
    )[0];
    let quote = NodeRegistered::abi_decode_data(
        &alloy_primitives::hex::decode(registered["data"].as_str().unwrap()).unwrap(),
    )
    .unwrap()
    .0;
    let platform = json!(B256::from_slice(&quote[1..33]));
    let platforms =
        logs(devnet, "AttestationVerifier", &[json!(PlatformRegistered::SIGNATURE_HASH), platform]);
    serde_json::from_value(platforms[0]["topics"][2].clone()).unwrap()
}

/// A program that plays another measurement.
fn another_program(directory: &Path, measurement: B256) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    build_enclaved();
    let program = Path::new(env!("CARGO_BIN_EXE_obscuro")).with_file_name("enclaved-software");
    let wrapper = directory.join("enclaved-next");
    let script =
        format!("#!/bin/sh\nexec {} --measurement {measurement} \"$@\"\n", program.display());
    std::fs::write(&wrapper, script).unwrap();
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).unwrap();
    wrapper
}
