//! A host that only listens: it joins the gossip of a network as any aggregator's host may, and keeps
//! what it is told. The links are encrypted from host to host, so what hosts see is not on the wire
//! but here. Not here: what the messages mean.

use super::{Devnet, rpc};
use alloy_primitives::{B256, Bytes, LogData};
use alloy_sol_types::SolEvent;
use obscuro_host::gossip::{self, GossipEvent, GossipHandle, GossipOptions, Verdict};
use obscuro_protocol::{gossip::Gossip, l1::INetworkManagement::NodeRegistered};
use serde_json::json;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::runtime::Runtime;

const CONNECT_LIMIT: Duration = Duration::from_secs(60);

/// A listening host.
pub struct Eavesdropper {
    heard: Arc<Mutex<Vec<Gossip>>>,
    // Ends the tasks of the host when it goes.
    _runtime: Runtime,
}

impl Eavesdropper {
    /// Connects to every aggregator of a network.
    pub fn join(devnet: &Devnet) -> Self {
        let peers = host_addresses(devnet);
        assert!(!peers.is_empty(), "the network has aggregators");
        let runtime = Runtime::new().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        runtime.block_on(async {
            let listen = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
            let options = GossipOptions { listen, key: [0xea; 32], network: devnet.network() };
            let (handle, mut events) = gossip::start(options).await.unwrap();
            handle.set_peers(peers.iter().map(|peer| peer.parse().unwrap()).collect());
            connected(&handle, peers.len()).await;
            let heard = heard.clone();
            tokio::spawn(async move {
                while let Some(GossipEvent::Message { id, message, .. }) = events.recv().await {
                    heard.lock().unwrap().push(message);
                    handle.judge(id, Verdict::Ignore);
                }
            });
        });
        Self { heard, _runtime: runtime }
    }

    /// What it has heard so far.
    pub fn heard(&self) -> Vec<Gossip> {
        self.heard.lock().unwrap().clone()
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
    addresses.filter(|address| !address.is_empty()).collect()
}
