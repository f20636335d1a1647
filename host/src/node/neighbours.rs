//! Tells gossip who the other hosts are: those that L1 lists, as the enclave has read them there, and
//! those that the operator names. The list outlives the process, because a node that has to replay L1
//! may need content of others before it has read the list again. Not here: links (`gossip`).

use crate::{
    gossip::{GossipHandle, Peers, peer_of},
    l1::feed::Followed,
    stop::Stop,
    storage::Storage,
};
use libp2p::{Multiaddr, PeerId};
use obscuro_protocol::{door::Head, wire};
use std::sync::Arc;
use tokio::sync::watch;
use tracing::warn;

/// Links that a host keeps which only asks for content.
const LINKS_OF_A_READER: usize = 8;
/// Longest list that is read back, bytes.
const LIST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What decides who the neighbours are.
pub struct Neighbours {
    /// Who is told.
    pub gossip: GossipHandle,
    /// Where the list is kept.
    pub storage: Arc<Storage>,
    /// Where the enclave stands.
    pub followed: watch::Receiver<Option<Followed>>,
    /// Hosts that the operator names.
    pub named: Vec<Multiaddr>,
    /// Whether links to all aggregators are wanted.
    pub is_aggregator: bool,
    /// The end.
    pub stop: Stop,
}

impl Neighbours {
    /// Runs until told to stop.
    pub async fn run(mut self) {
        let stop = self.stop.clone();
        tokio::select! {
            () = self.follow() => {}
            () = stop.requested() => {}
        }
    }

    async fn follow(&mut self) {
        let mut kept = self.storage.neighbours().ok().flatten().unwrap_or_default();
        let list = wire::decode::<(Vec<String>, Vec<String>)>(&kept, LIST_BYTES_MAX);
        let (aggregators, readers) = list.unwrap_or_default();
        self.gossip.set_peers(self.peers(&aggregators, &readers));
        while self.followed.changed().await.is_ok() {
            let head = {
                let followed = self.followed.borrow_and_update();
                let synced = followed.as_ref().filter(|followed| followed.is_synced);
                synced.map(|followed| followed.head.clone())
            };
            let Some(Head { peers, readers, .. }) = head else { continue };
            let aggregators: Vec<String> =
                peers.into_iter().map(|peer| peer.host_address).collect();
            self.gossip.set_peers(self.peers(&aggregators, &readers));
            let list = wire::encode(&(aggregators, readers));
            if kept != list {
                kept = list.into();
                if let Err(error) = self.storage.keep_neighbours(&kept) {
                    warn!(%error, "the list of hosts is not kept");
                }
            }
        }
    }

    fn peers(&self, aggregators: &[String], readers: &[String]) -> Peers {
        let mut wanted = addresses(aggregators);
        let gossiping = wanted.iter().filter_map(peer_of).collect();
        let admitted: Vec<PeerId> =
            wanted.iter().chain(&addresses(readers)).filter_map(peer_of).collect();
        if !self.is_aggregator {
            // Not everybody asks the same.
            let own = self.gossip.peer_id().to_bytes();
            let place = own.iter().fold(0_usize, |sum, byte| sum + usize::from(*byte));
            let middle = place % wanted.len().max(1);
            wanted.rotate_left(middle);
            wanted.truncate(LINKS_OF_A_READER);
        }
        wanted.retain(|address| address.iter().count() > 1);
        wanted.extend(self.named.iter().cloned());
        Peers { wanted, admitted, gossiping }
    }
}

/// Addresses that name a host.
fn addresses(peers: &[String]) -> Vec<Multiaddr> {
    let parsed = peers.iter().filter_map(|address| address.parse::<Multiaddr>().ok());
    parsed.filter(|address| peer_of(address).is_some()).collect()
}
