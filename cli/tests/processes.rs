//! Nodes as processes of their own: joining late, SIGKILL, a lost disk, a lost seal. Not here: the devnet in one
//! process (`devnet`), other L1s (`anvil`).

mod support;

use alloy_primitives::Address;
use serde_json::json;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
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
    fs::remove_dir_all(directory.path().join("node-5")).unwrap();
    transact(&devnet);
    let verifier = start_node(&devnet, directory.path(), 5, &[]);
    agree(&first, &verifier.rpc, caught_up);
}

/// As on TDX, where each life of an enclave has another sealing key.
#[test]
fn a_node_whose_enclave_cannot_unseal_joins_anew() {
    let devnet = Devnet::start(&["--aggregators", "1", "--verifiers", "0"]);
    let first = devnet.text("/nodes/0/rpc").to_string();
    let directory = tempfile::tempdir().unwrap();
    let forgetful = Forgetful::new(directory.path());
    let enclaved = ["--stake", "1000", "--enclaved", forgetful.program.to_str().unwrap()];
    let mut node = start_node(&devnet, directory.path(), 5, &enclaved);
    transact(&devnet);
    let mut known = vec![await_aggregator(&node.rpc, &[])];
    let reached = agree(&first, &node.rpc, 0);

    // The enclave alone dies, and its host goes on.
    forgetful.kill();
    let second = await_aggregator(&node.rpc, &known);
    known.push(second);
    eventually("it wins a round", Duration::from_secs(120), || {
        transact(&devnet);
        (latest(&first)["aggregator"] == json!(second)).then_some(())
    });
    let reached = agree(&first, &node.rpc, reached);

    // Both of them.
    node.kill();
    let node = start_node(&devnet, directory.path(), 5, &enclaved);
    await_aggregator(&node.rpc, &known);
    transact(&devnet);
    agree(&first, &node.rpc, reached);
}

/// A program that begins each life without what the one before could unseal.
struct Forgetful {
    program: PathBuf,
    id: PathBuf,
}

impl Forgetful {
    fn new(directory: &Path) -> Self {
        let (program, id) = (directory.join("forgetful"), directory.join("forgetful.id"));
        let genuine = Path::new(env!("CARGO_BIN_EXE_obscuro")).with_file_name("enclaved-software");
        let sealing_key = directory.join("node-5/sealing-key");
        let script = format!(
            "#!/bin/sh\nrm -f {}\necho $$ > {}\nexec {} \"$@\"\n",
            sealing_key.display(),
            id.display(),
            genuine.display()
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self { program, id }
    }

    /// SIGKILL for the life that runs.
    fn kill(&self) {
        let id = fs::read_to_string(&self.id).unwrap();
        assert!(Command::new("kill").args(["-9", id.trim()]).status().unwrap().success());
    }
}

/// Waits until a node is an aggregator under an identity that it had not before.
fn await_aggregator(node: &str, known: &[Address]) -> Address {
    eventually("a new identity is an aggregator", LIMIT, || {
        let status = rpc(node, "obscuro_status", json!([])).ok()?;
        let enclave = serde_json::from_value(status["enclave"].clone()).ok()?;
        (status["isAggregator"] == true && !known.contains(&enclave)).then_some(enclave)
    })
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
