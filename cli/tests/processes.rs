//! Nodes as processes of their own: joining late, SIGKILL, a lost disk. Not here: the devnet in one
//! process (`devnet`), other L1s (`anvil`).

mod support;

use serde_json::{Value, json};
use std::{
    io::Read,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};
use support::*;

const LIMIT: Duration = Duration::from_secs(90);

struct NodeProcess {
    process: Process,
    rpc: String,
    data_dir: PathBuf,
}

impl NodeProcess {
    /// SIGKILL for the host; its enclave, a process of its own, must not outlive it.
    fn kill(&mut self) {
        let mut enclave = UnixStream::connect(self.data_dir.join("enclave.sock")).unwrap();
        enclave.set_read_timeout(Some(LIMIT)).unwrap();
        self.process.kill();
        assert_eq!(enclave.read(&mut [0]).unwrap(), 0, "the enclave ends with its host");
    }
}

/// Starts a node whose operator is the devnet account of this number.
fn start_node(devnet: &Devnet, directory: &Path, operator: usize, extra: &[&str]) -> NodeProcess {
    let key_file = directory.join(format!("operator-{operator}.key"));
    let key = devnet.text(&format!("/accounts/{operator}/privateKey"));
    std::fs::write(&key_file, key.trim_start_matches("0x")).unwrap();
    build_enclaved();
    let data_dir = directory.join(format!("node-{operator}"));
    let mut command = obscuro(&["node", "--rpc", "127.0.0.1:0", "--l1", devnet.l1()]);
    command
        .arg("--network")
        .arg(devnet.network_file())
        .arg("--data-dir")
        .arg(&data_dir)
        .arg("--operator-key")
        .arg(&key_file)
        .args(extra);
    let mut process = Process::spawn("node", &mut command);
    let rpc = process.await_line(|line| {
        line.split_whitespace().find(|word| word.starts_with("http://")).map(String::from)
    });
    NodeProcess { process, rpc, data_dir }
}

fn latest(node: &str) -> Value {
    rpc(node, "obscuro_rollup", json!(["latest"])).unwrap_or(Value::Null)
}

/// Waits until two nodes report the same newest rollup, beyond `above`.
fn agree(a: &str, b: &str, above: u64) -> u64 {
    eventually("two nodes agree", LIMIT, || {
        let (a, b) = (latest(a), latest(b));
        let number = number_of(&a)?;
        (a["hash"] == b["hash"] && a["stateRoot"] == b["stateRoot"] && number > above)
            .then_some(number)
    })
}

fn number_of(rollup: &Value) -> Option<u64> {
    match &rollup["number"] {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => u64::from_str_radix(text.trim_start_matches("0x"), 16).ok(),
        _ => None,
    }
}

/// Makes the network publish a rollup: sends OBX on L2 and waits for it.
fn transact(devnet: &Devnet) {
    let key = devnet.text("/accounts/0/privateKey");
    let to = devnet.text("/accounts/1/address");
    let output = obscuro(&[
        "account",
        "send",
        "--gateway",
        devnet.gateway(),
        "--private-key",
        key,
        "--to",
        to,
        "--amount",
        "1",
    ])
    .output()
    .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

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
