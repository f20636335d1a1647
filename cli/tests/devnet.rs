//! The devnet as its users meet it: real binary, real sockets, real clients. Not here: single
//! packages, which test themselves.

#[path = "devnet/marker.rs"]
mod marker;
mod support;

use serde_json::{Value, json};
use std::time::Duration;
use support::{eavesdropper::Eavesdropper, *};

/// All clients against one network: starting it costs more than using it.
#[test]
fn clients_and_privacy() {
    let mut devnet = Devnet::start_logging(marker::EVERYTHING);
    let eavesdropper = Eavesdropper::join(&devnet);
    std::thread::scope(|scope| {
        for script in ["viem.mjs", "ethers.mjs", "cast.mjs", "bridge.mjs", "accounts.mjs"] {
            let summary = &devnet.summary;
            scope.spawn(move || print!("{}", run_client(script, summary, &[])));
        }
    });
    marker::is_nowhere_else(&mut devnet, &eavesdropper);
    all_nodes_agree(&devnet);
    assert!(devnet.process.interrupt(), "Ctrl-C stops it cleanly");
}

/// Every node reports the same rollup at the same number, the verifier too.
fn all_nodes_agree(devnet: &Devnet) {
    let nodes = devnet.nodes();
    let latest = rpc(&nodes[0], "obscuro_rollup", json!(["latest"])).unwrap();
    let number = latest["number"].clone();
    for node in &nodes {
        let same = eventually("a node reaches the rollup", Duration::from_secs(30), || {
            let found = rpc(node, "obscuro_rollup", json!([number])).ok()?;
            (!found.is_null()).then_some(found)
        });
        assert_eq!(same["hash"], latest["hash"], "{node}");
        assert_eq!(same["stateRoot"], latest["stateRoot"], "{node}");
    }
}

#[test]
fn a_restart_continues() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let arguments = ["--aggregators", "1", "--verifiers", "1", "--data-dir", path];
    let mut devnet = Devnet::start(&arguments);
    let account = devnet.text("/accounts/0/address").to_string();
    let balance = rpc(devnet.gateway(), "eth_getBalance", json!([account, "latest"])).unwrap();
    let number = rpc(devnet.gateway(), "eth_blockNumber", json!([])).unwrap();
    assert_ne!(balance, json!("0x0"));
    devnet.process.kill();
    let devnet = Devnet::start(&arguments);
    assert_eq!(
        rpc(devnet.gateway(), "eth_getBalance", json!([account, "latest"])).unwrap(),
        balance
    );
    let quantity = |value: &Value| {
        u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    };
    let now = rpc(devnet.gateway(), "eth_blockNumber", json!([])).unwrap();
    assert!(quantity(&now) >= quantity(&number), "after SIGKILL it continues where it stopped");
}

#[test]
fn wrong_arguments_are_explained_in_one_line() {
    let cases: [(&[&str], &str); 4] = [
        (&["devnet", "--l1", "http://127.0.0.1:1", "--json"], "cannot reach the L1"),
        (&["devnet", "--aggregators", "0"], "--aggregators"),
        (&["gateway", "--network", "/does/not/exist"], "cannot read the network configuration"),
        (
            &[
                "account",
                "show",
                "0x0000000000000000000000000000000000000001",
                "--gateway",
                "http://127.0.0.1:1",
            ],
            "cannot reach the gateway",
        ),
    ];
    for (arguments, expected) in cases {
        let output = obscuro(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
        assert!(!text.contains("panicked"), "{arguments:?}: {text}");
    }
}
