//! `obscuro verify node` and `obscuro network status` against a running network. Not here: quotes
//! themselves (`verify_quote`), joining (`joining`).

mod support;

use alloy_primitives::{Address, B256};
use alloy_sol_types::SolCall;
use obscuro_devnet::accounts;
use obscuro_protocol::l1::INetworkManagement::leaveCall;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    process::Output,
    thread,
    time::Duration,
};
use support::{node::*, *};

fn run(devnet: &Devnet, arguments: &[&str]) -> Output {
    let mut command = obscuro(arguments);
    command.args(["--l1", devnet.l1(), "--network"]).arg(devnet.network_file());
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Exit code 1 and one line that says why; in JSON too.
fn refuses(devnet: &Devnet, node: &str, reason: &str) {
    let output = run(devnet, &["verify", "node", node]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(output.stdout.is_empty());
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.contains(reason), "{errors}");
    let output = run(devnet, &["verify", "node", node, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verdict["accepted"], false);
    assert!(verdict["reason"].as_str().unwrap().contains(reason), "{verdict}");
}

fn verdict(devnet: &Devnet, node: &str) -> Value {
    let output = run(devnet, &["verify", "node", node, "--json"]);
    serde_json::from_str(&stdout(&output)).unwrap()
}

fn status(devnet: &Devnet) -> Value {
    serde_json::from_str(&stdout(&run(devnet, &["network", "status", "--json"]))).unwrap()
}

/// A node that answers every question with the same proof.
fn liar(proof: Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let body = json!({ "jsonrpc": "2.0", "id": 0, "result": proof }).to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(&stream);
            let mut length = 0;
            for line in reader.by_ref().lines().map_while(Result::ok) {
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
            let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            (&stream).write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

#[test]
fn users_see_what_runs() {
    let devnet = Devnet::start(&["--aggregators", "2", "--verifiers", "1"]);
    let nodes = devnet.nodes();
    let enclaves: Vec<Address> = nodes.iter().map(|node| enclave(node)).collect();

    let fresh = verdict(&devnet, &nodes[0]);
    assert_eq!(fresh["enclave"], json!(enclaves[0]));
    assert_eq!(fresh["owner"], json!(accounts::operator(0).address()));
    assert_eq!(fresh["role"], "aggregator");
    assert_eq!(fresh["stake"], "1000000000000000000000");
    assert_eq!(fresh["attested"]["tcbStatus"], "UpToDate");
    for (what, expected) in
        [("accepted", true), ("isFresh", true), ("holdsSeed", true), ("isIntelRoot", false)]
    {
        assert_eq!(fresh[what], expected, "{what}");
    }
    let recorded = verdict(&devnet, &enclaves[0].to_string());
    assert_eq!(recorded["isFresh"], false);
    assert_eq!(recorded["attested"]["measurement"], fresh["attested"]["measurement"]);
    assert_eq!(recorded["attested"]["machine"], fresh["attested"]["machine"]);
    let text = stdout(&run(&devnet, &["verify", "node", &nodes[2]]));
    for part in
        ["this network protects nothing", "role              verifier", "holds it (epoch 1)"]
    {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }

    // Another node's proof, or one of yesterday, is none.
    let stale = rpc(&nodes[1], "obscuro_prove", json!([B256::repeat_byte(1)])).unwrap();
    refuses(&devnet, &liar(stale.clone()), "not about this challenge");
    let mut borrowed = stale;
    borrowed["enclave"] = json!(enclaves[0]);
    refuses(&devnet, &liar(borrowed), "not about this challenge");
    refuses(&devnet, devnet.l1(), "does not prove what it runs");
    refuses(&devnet, &Address::repeat_byte(9).to_string(), "is not registered on L1");
    refuses(&devnet, "nonsense", "neither the address of an enclave nor the URL of a node");

    the_network_is_shown(&devnet, &enclaves);
    a_newcomer_is_shown(&devnet, &enclaves);
}

fn the_network_is_shown(devnet: &Devnet, enclaves: &[Address]) {
    let before = status(devnet);
    assert_eq!(before["members"].as_array().unwrap().len(), 3);
    assert_eq!(before["withdrawalsSuspended"], false);
    assert_eq!(before["seed"]["epoch"], 1);
    assert_eq!(before["seed"]["copies"], json!({ "current": 3, "live": 3, "left": 0 }));
    assert_eq!(before["pendingJoins"], json!([]));
    assert_eq!(before["measurements"][0]["isActive"], true);
    assert_eq!(before["collateral"].as_array().unwrap().len(), 6, "{}", before["collateral"]);

    leave(devnet, 1, enclaves[1]);
    let after = status(devnet);
    assert_eq!(after["members"].as_array().unwrap().len(), 2);
    assert_eq!(after["others"][0]["enclave"], json!(enclaves[1]));
    assert_eq!(after["seed"]["copies"], json!({ "current": 2, "live": 2, "left": 1 }));
    refuses(devnet, &enclaves[1].to_string(), "the node left in L1 block");
    refuses(devnet, &devnet.nodes()[1], "the node left in L1 block");
    let text = stdout(&run(devnet, &["network", "status"]));
    for part in
        ["this network protects nothing", "Seed epoch 1", "2 members hold it", "Not members"]
    {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

/// Whoever comes when nobody is left to answer waits.
fn a_newcomer_is_shown(devnet: &Devnet, enclaves: &[Address]) {
    leave(devnet, 0, enclaves[0]);
    leave(devnet, 2, enclaves[2]);
    let directory = tempfile::tempdir().unwrap();
    let newcomer = start_node(devnet, directory.path(), 5, &[]);
    let joins = eventually("a newcomer registers", Duration::from_secs(60), || {
        let joins = status(devnet)["pendingJoins"].take();
        (joins != json!([])).then_some(joins)
    });
    assert_eq!(joins.as_array().unwrap().len(), 1);
    assert_eq!(joins[0]["enclave"], json!(enclave(&newcomer.rpc)));
    let text = stdout(&run(devnet, &["network", "status"]));
    for part in ["1 pending joins", "waits for the seed since block"] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

fn leave(devnet: &Devnet, operator: u32, enclave: Address) {
    let leave = leaveCall { enclave }.abi_encode();
    let network = devnet.text("/contracts/NetworkManagement");
    send_l1(devnet, accounts::operator(operator), network, leave);
}
