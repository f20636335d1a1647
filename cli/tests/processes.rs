//! Nodes as processes of their own: joining late, SIGKILL, a lost disk. Not here: the devnet in one
//! process (`devnet`), other L1s (`anvil`).

mod support;

use serde_json::json;
use std::time::Duration;
use support::{node::*, *};

const LIMIT: Duration = Duration::from_secs(90);

#[test]
fn a_late_verifier_survives_sigkill_and_the_loss_of_its_disk() {
    let devnet = Devnet::start(&["--aggregators", "1", "--verifiers", "0"]);
    let first = devnet.text("/nodes/0/rpc").to_string();
    transact(&devnet);
    let directory = tempfile::tempdir().unwrap();
    let mut verifier = start_node(&devnet, directory.path(), 5, &[]);
    let joined = agree(&first, &verifier.rpc, 0);

    verifier.kill();
    transact(&devnet);
    let mut verifier = start_node(&devnet, directory.path(), 5, &[]);
    let caught_up = agree(&first, &verifier.rpc, joined);

    verifier.kill();
    std::fs::remove_dir_all(directory.path().join("node-5")).unwrap();
    transact(&devnet);
    let verifier = start_node(&devnet, directory.path(), 5, &[]);
    agree(&first, &verifier.rpc, caught_up);
}

#[test]
fn an_acknowledged_transaction_survives_sigkill() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let arguments = ["--aggregators", "1", "--verifiers", "0", "--data-dir", path];
    let mut devnet = Devnet::start(&arguments);
    let from = ["--private-key", devnet.text("/accounts/0/privateKey")];
    let to = ["--to", devnet.text("/accounts/1/address"), "--amount", "1"];
    let mut command = obscuro(&["account", "send", "--gateway", devnet.gateway()]);
    let mut sending = Process::spawn("account send", command.args(from).args(to));
    let hash = sending.await_line(|line| {
        line.strip_prefix("sent ")?.split_once(',').map(|(hash, _)| hash.to_string())
    });
    devnet.process.kill();

    let devnet = Devnet::start(&arguments);
    let receipt = eventually("its rollup", LIMIT, || {
        let found = rpc(devnet.gateway(), "eth_getTransactionReceipt", json!([hash])).unwrap();
        (!found.is_null()).then_some(found)
    });
    assert_eq!(receipt["status"], "0x1");
}

#[test]
fn an_aggregator_of_its_own_takes_over() {
    let devnet = Devnet::start(&["--aggregators", "1", "--verifiers", "0"]);
    let first = devnet.text("/nodes/0/rpc").to_string();
    let directory = tempfile::tempdir().unwrap();
    let second = start_node(&devnet, directory.path(), 6, &["--stake", "1000"]);
    let enclave = eventually("the second node is an aggregator", LIMIT, || {
        let status = rpc(&second.rpc, "obscuro_status", json!([])).ok()?;
        (status["isAggregator"] == true).then(|| status["enclave"].clone())
    });
    // The lottery is fair: soon one of its rollups is canonical.
    eventually("the second aggregator wins a round", Duration::from_secs(120), || {
        transact(&devnet);
        let newest = latest(&first);
        (newest["aggregator"] == enclave).then_some(())
    });
    agree(&first, &second.rpc, 0);
}
