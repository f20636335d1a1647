//! A secret that a user puts wherever data goes is nowhere but with that user: not on L1, in gossip,
//! in what a host stores, logs or relays, nor in any reply to another. Each place is shown to have been
//! searched by a public value that is found there in the same way. Not here: what a stranger is
//! answered (`privacy.mjs`), and what passes between host and enclave (the enclave's own tests).

use super::support::{eavesdropper::Eavesdropper, recorder::Recorder, traces::Traces, *};
use alloy_primitives::{Bytes, hex};
use obscuro_protocol::{gossip::Gossip, keys::KEM_ENCAPSULATION_BYTES};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

/// What the devnet is to log: as much as an operator could learn that way.
pub const EVERYTHING: &str = "info,jsonrpsee=trace,obscuro=trace,obscuro_host=trace,\
    obscuro_enclave=trace,obscuro_enclaved=trace,obscuro_devnet=trace,obscuro_gateway=trace";

const LIMIT: Duration = Duration::from_secs(30);
/// The part of an encapsulation by which an envelope is recognised, bytes.
const ENVELOPE_SAMPLE: std::ops::Range<usize> = 1..33;

/// Somewhere to look.
struct Place {
    name: &'static str,
    /// What is there, in pieces that belong together.
    found: Vec<Vec<u8>>,
    /// What must not be there.
    hidden: Traces,
    /// What is there for all to see.
    public: Traces,
}

impl Place {
    fn search(&self) {
        for piece in &self.found {
            if let Some(trace) = self.hidden.find(piece) {
                panic!("{}: {trace}", self.name);
            }
        }
        let is_searched = self.found.iter().any(|piece| self.public.find(piece).is_some());
        assert!(is_searched, "{}: not even what is public is found there", self.name);
    }
}

/// Lets a user act and a stranger ask, each through a gateway of its own, and searches every place.
pub fn is_nowhere_else(devnet: &mut Devnet, eavesdropper: &Eavesdropper) {
    let to_nodes = [0, 1].map(|node| Recorder::start(devnet.text(&format!("/nodes/{node}/rpc"))));
    let mut gateways = [0, 1].map(|user: usize| Gateway::start(devnet, &to_nodes[user].url));
    let to_stranger = Recorder::start(&gateways[1].url);
    let since = l1_number(devnet);
    let environment = [("GATEWAY1", gateways[0].url.as_str()), ("GATEWAY2", &to_stranger.url)];
    let output = run_client("privacy.mjs", &devnet.summary, &environment);
    print!("{output}");
    let secret: Secret = output
        .lines()
        .rev()
        .find_map(|line| serde_json::from_str(line).ok())
        .expect("privacy.mjs names its secrets");

    let rollup =
        rpc(devnet.text("/nodes/0/rpc"), "obscuro_rollup", json!([secret.rollup])).unwrap();
    let state_root = hex::decode(rollup["stateRoot"].as_str().unwrap()).unwrap();
    let header = || Traces::of(&[("the state root", &state_root)]);
    let envelopes = envelopes(&to_nodes[0]);
    let samples: BTreeSet<_> =
        envelopes.iter().map(|envelope| &envelope[ENVELOPE_SAMPLE]).collect();
    let samples: Vec<_> = samples.into_iter().map(|sample| ("an envelope", sample)).collect();
    let envelope = || Traces::of(&samples);

    eventually("a host hears of the rollup", LIMIT, || {
        gossiped(eavesdropper).iter().any(|message| header().find(message).is_some()).then_some(())
    });
    eventually("a host is given a payload", LIMIT, || {
        (!eavesdropper.payloads().is_empty()).then_some(())
    });
    let is_transactions = |message: &Gossip| matches!(message, Gossip::Transactions(_));
    assert!(eavesdropper.heard().iter().any(is_transactions), "a host hears of transactions");
    let relayed = |recorder: &Recorder| [recorder.requests(), recorder.replies()].concat();
    let logs = std::iter::once(&mut devnet.process)
        .chain(gateways.iter_mut().map(|gateway| &mut gateway.process));
    let logs = logs.map(|process| process.output().into_bytes()).collect();

    let places = [
        ("gossip", gossiped(eavesdropper), secret.all(), header()),
        ("between the user's gateway and its node", relayed(&to_nodes[0]), secret.all(), header()),
        (
            "between the stranger's gateway and its node",
            relayed(&to_nodes[1]),
            secret.all(),
            header(),
        ),
        ("envelopes", relayed(&to_nodes[0]), secret.all(), envelope()),
        ("replies to the stranger", to_stranger.replies(), secret.marker(), header()),
        ("answers of nodes to anybody", answers(devnet, &envelopes), secret.all(), header()),
        ("L1", l1(devnet, since), secret.all(), header()),
        ("stored anywhere", stored(devnet, ""), secret.without_account(), header()),
        ("logs", logs, secret.without_account(), envelope()),
    ];
    // Every database begins with it.
    let network = devnet.network();
    let stored = (0..devnet.nodes().len()).map(|node| {
        let public = Traces::of(&[("the network's name", network.as_slice())]);
        (
            "stored by a host",
            stored(devnet, &format!("node-{node}")),
            secret.without_account(),
            public,
        )
    });
    for (name, found, hidden, public) in places.into_iter().chain(stored) {
        Place { name, found, hidden, public }.search();
    }
}

/// What `privacy.mjs` says at its end.
#[derive(serde::Deserialize)]
struct Secret {
    /// Put wherever data goes.
    marker: Bytes,
    /// Whose it is. Every devnet account is named in the files and the output of the devnet.
    account: Bytes,
    contract: Bytes,
    transactions: Vec<Bytes>,
    /// The rollup with the first transaction that carried the marker.
    rollup: u64,
}

impl Secret {
    fn marker(&self) -> Traces {
        Traces::of(&[("the marker", &self.marker)])
    }

    fn without_account(&self) -> Traces {
        let transactions = self.transactions.iter().map(|hash| ("a transaction's hash", &hash[..]));
        let rest = [("the marker", &self.marker[..]), ("the contract", &self.contract)];
        Traces::of(&rest.into_iter().chain(transactions).collect::<Vec<_>>())
    }

    fn all(&self) -> Traces {
        let transactions = self.transactions.iter().map(|hash| ("a transaction's hash", &hash[..]));
        let rest = [
            ("the marker", &self.marker[..]),
            ("the contract", &self.contract),
            ("the account", &self.account),
        ];
        Traces::of(&rest.into_iter().chain(transactions).collect::<Vec<_>>())
    }
}

fn gossiped(eavesdropper: &Eavesdropper) -> Vec<Vec<u8>> {
    let payloads = eavesdropper.payloads().into_iter().map(|payload| payload.to_vec());
    eavesdropper.heard().iter().map(Gossip::encode).chain(payloads).collect()
}

/// Envelopes that passed: long strings of hexadecimal in what gateways send.
fn envelopes(recorder: &Recorder) -> Vec<Vec<u8>> {
    let requests = recorder.requests().concat();
    let strings = requests.split(|byte| *byte == b'"').filter_map(|text| text.strip_prefix(b"0x"));
    let envelopes: Vec<_> = strings
        .filter(|text| text.len() > 2 * KEM_ENCAPSULATION_BYTES)
        .filter_map(|text| hex::decode(text).ok())
        .collect();
    assert!(envelopes.len() > 10, "the user's envelopes were recorded");
    envelopes
}

/// All that nodes tell who asks, also when the user's envelopes are shown to them again.
fn answers(devnet: &Devnet, envelopes: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let replayed: Vec<Bytes> = envelopes.iter().take(100).cloned().map(Bytes::from).collect();
    let mut answers = Vec::new();
    for node in devnet.nodes() {
        let mut ask = |method: &str, params: Value| {
            let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
            let answer = post(&node, &call.to_string());
            answers.push(answer.clone().into_bytes());
            serde_json::from_str::<Value>(&answer).unwrap()["result"].take()
        };
        ask("obscuro_status", json!([]));
        ask("obscuro_network", json!([]));
        ask("obscuro_envelopes", json!([replayed]));
        ask("no_such_method", json!([]));
        let newest = ask("obscuro_rollup", json!(["latest"]))["number"].as_u64().unwrap();
        for number in 1..=newest {
            let rollup = ask("obscuro_rollup", json!([number]));
            ask("obscuro_withdrawals", json!([rollup["hash"]]));
        }
    }
    answers
}

/// All that L1 gives of its blocks from a number on.
fn l1(devnet: &Devnet, since: u64) -> Vec<Vec<u8>> {
    let quantity = |number: u64| format!("{number:#x}");
    let mut found = Vec::new();
    for number in since..=l1_number(devnet) {
        let ask = |method: &str, params: Value| rpc(devnet.l1(), method, params).unwrap();
        let block = ask("eth_getBlockByNumber", json!([quantity(number), true]));
        let range = json!({ "fromBlock": quantity(number), "toBlock": quantity(number) });
        found.push(ask("eth_getLogs", json!([range])));
        for transaction in block["transactions"].as_array().unwrap() {
            found.push(ask("eth_getTransactionReceipt", json!([transaction["hash"]])));
        }
        found.push(block);
        found.push(get(&format!("{}/eth/v1/beacon/blobs/{number}", devnet.l1())).into());
    }
    found.into_iter().map(|value| value.to_string().into_bytes()).collect()
}

fn l1_number(devnet: &Devnet) -> u64 {
    let number = rpc(devnet.l1(), "eth_blockNumber", json!([])).unwrap();
    u64::from_str_radix(number.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// The files below a folder of the data directory.
fn stored(devnet: &Devnet, folder: &str) -> Vec<Vec<u8>> {
    let files = files(&devnet.data_dir().join(folder));
    files.iter().filter_map(|file| std::fs::read(file).ok()).collect()
}
