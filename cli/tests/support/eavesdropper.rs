//! A host that only listens: its operator registered an aggregator, as anybody with a stake may, so that
//! other hosts let it in and tell it what they know; then it joins gossip in that node's place, keeps what it is told, and asks for every payload. The
//! links are encrypted from host to host, so what hosts see is not on the wire but here. Not here: what
//! the messages mean.

use super::{Devnet, eventually, node::start_node, rpc};
use alloy_primitives::{B256, Bytes, LogData};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolEvent;
use obscuro_host::{
    gossip::{self, Archive, GossipEvents, GossipHandle, GossipOptions, Peers, Verdict, peer_of},
    node::gossip_key,
};
use obscuro_protocol::{
    gossip::{Gossip, Wanted},
    l1::INetworkManagement::NodeRegistered,
};
use serde_json::json;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::runtime::Runtime;

/// The devnet account that operates it.
const OPERATOR: usize = 7;
const CONNECT_LIMIT: Duration = Duration::from_secs(60);

/// A listening host.
pub struct Eavesdropper {
    heard: Arc<Mutex<Vec<Gossip>>>,
    payloads: Arc<Mutex<Vec<Bytes>>>,
    // Ends the tasks of the host when it goes.
    _runtime: Runtime,
}

impl Eavesdropper {
    /// Connects to every aggregator of a network.
    pub fn join(devnet: &Devnet) -> Self {
        let others = host_addresses(devnet);
        register(devnet, others.len());
        let key = devnet.text(&format!("/accounts/{OPERATOR}/privateKey"));
        let key = gossip_key(&key.parse::<PrivateKeySigner>().unwrap());
        let mut wanted: Vec<gossip::Multiaddr> =
            others.iter().map(|address| address.parse().unwrap()).collect();
        // Verifiers only dial.
        wanted.retain(|address| address.iter().count() > 1);
        assert!(!wanted.is_empty(), "the network has aggregators");
        let runtime = Runtime::new().unwrap();
        let (heard, payloads) = (Arc::default(), Arc::default());
        runtime.block_on(async {
            let listen = None;
            let (network, archive) = (devnet.network(), Arc::new(NoArchive));
            let options = GossipOptions { listen, key, network, is_aggregator: true, archive };
            let (handle, events) = gossip::start(options).await.unwrap();
            let count = wanted.len();
            let gossiping = wanted.iter().filter_map(peer_of).collect();
            handle.set_peers(Peers { wanted, gossiping, ..Peers::default() });
            connected(&handle, count).await;
            tokio::spawn(listen_to(handle, events, Arc::clone(&heard), Arc::clone(&payloads)));
        });
        Self { heard, payloads, _runtime: runtime }
    }

    /// The payloads of all candidates so far.
    pub fn payloads(&self) -> Vec<Bytes> {
        self.payloads.lock().unwrap().clone()
    }

    /// What it has heard so far.
    pub fn heard(&self) -> Vec<Gossip> {
        self.heard.lock().unwrap().clone()
    }
}

/// Makes the other hosts know the eavesdropper: a node of its operator registers, and goes.
fn register(devnet: &Devnet, others: usize) {
    let directory = tempfile::tempdir().unwrap();
    let mut node = start_node(devnet, directory.path(), OPERATOR, &["--stake", "1000"]);
    eventually("the eavesdropper's node is registered", CONNECT_LIMIT, || {
        (host_addresses(devnet).len() > others).then_some(())
    });
    node.kill();
}

async fn listen_to(
    handle: GossipHandle,
    mut events: GossipEvents,
    heard: Arc<Mutex<Vec<Gossip>>>,
    payloads: Arc<Mutex<Vec<Bytes>>>,
) {
    while let Some((id, message)) = events.next().await {
        if let Gossip::Candidate(candidate) = &message {
            let (handle, payloads) = (handle.clone(), payloads.clone());
            let (wanted, source) = (Wanted::Payload(candidate.header.payloadHash), id.source());
            tokio::spawn(async move {
                let payload = handle.pull(wanted, vec![source], CONNECT_LIMIT).await;
                payloads.lock().unwrap().extend(payload);
            });
        }
        heard.lock().unwrap().push(message);
        handle.judge(id, Verdict::Ignore);
    }
}

/// It gives nothing.
struct NoArchive;

impl Archive for NoArchive {
    fn find(&self, _: Wanted) -> Option<Bytes> {
        None
    }
}

async fn connected(handle: &GossipHandle, peers: usize) {
    let all = async {
        while handle.peer_count() < peers {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(CONNECT_LIMIT, all).await.expect("every aggregator accepts a host");
}

/// Where the hosts of aggregators listen, as registered on L1.
fn host_addresses(devnet: &Devnet) -> Vec<String> {
    let filter = json!([{
        "address": devnet.text("/contracts/NetworkManagement"),
        "topics": [NodeRegistered::SIGNATURE_HASH],
        "fromBlock": "0x0",
    }]);
    let logs = rpc(devnet.l1(), "eth_getLogs", filter).unwrap();
    let addresses = logs.as_array().unwrap().iter().map(|log| {
        let topics: Vec<B256> = serde_json::from_value(log["topics"].clone()).unwrap();
        let data: Bytes = serde_json::from_value(log["data"].clone()).unwrap();
        let event = NodeRegistered::decode_log_data(&LogData::new_unchecked(topics, data)).unwrap();
        event.hostAddress
    });
    addresses.filter(|address| peer_of(&address.parse().unwrap()).is_some()).collect()
}
