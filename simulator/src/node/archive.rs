//! What L1 no longer gives: blobs that it has pruned come from the node's own archive or from other nodes',
//! as `host::l1::block` has it (protocol 7.4). Not here: whom to ask (`host::pull`), and what the enclave
//! makes of them.

use super::{Node, feed::gather};
use crate::{disk::Disk, events::NodeEvent, world::World};
use alloy_eips::eip4844::BYTES_PER_BLOB;
use alloy_primitives::{B256, Bytes};
use alloy_sol_types::SolEvent;
use obscuro_devnet::l1::Block;
use obscuro_host::{
    l1::{block::Fetched, follower::Input},
    pull,
};
use obscuro_protocol::{config::Contracts, gossip::Wanted, l1::IRollupManagement::RollupPublished};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// From an L1 node, by JSON-RPC.
const FETCH: Duration = Duration::from_millis(8);
/// Time for one node to give a blob before another is asked too.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the follower asks for.
#[derive(Clone, Copy, Debug)]
pub enum Asked {
    /// The block of this number.
    At(u64),
    /// The block of this hash.
    Block(B256),
}

/// A block some of whose blobs have not come yet.
pub struct Incomplete {
    asked: Asked,
    block: Arc<Block>,
    missing: BTreeSet<B256>,
}

impl Asked {
    fn answer(self, fetched: Option<Box<Fetched>>) -> NodeEvent {
        NodeEvent::Fetched(match self {
            Self::At(number) => Input::At(number, fetched),
            Self::Block(hash) => Input::Block(hash, fetched),
        })
    }
}

impl Node {
    /// Fetches what the node's L1 node has, and from other nodes what that has pruned.
    pub(super) fn fetch(&mut self, asked: Asked, block: Option<Arc<Block>>, world: &mut World) {
        let Some(block) = block else { return self.plan(world, FETCH, asked.answer(None)) };
        let missing: BTreeSet<B256> = match is_pruned(&block, world) {
            true => blobs(&block, &world.config.contracts)
                .filter(|hash| !self.disk.payloads.contains_key(hash))
                .collect(),
            false => BTreeSet::new(),
        };
        if missing.is_empty() {
            let fetched = gather(&block, &self.disk, world);
            return self.plan(world, FETCH, asked.answer(Some(Box::new(fetched))));
        }
        let Some(life) = &mut self.life else { return };
        life.incomplete.push(Incomplete { asked, block, missing: missing.clone() });
        for hash in missing {
            let want = pull::Input::Want(Wanted::Blob(hash), Vec::new(), PATIENCE);
            self.move_content(want, world);
        }
    }

    /// A blob from another node, or word that nobody gives it.
    pub(super) fn take_blob(&mut self, hash: B256, found: Option<Bytes>, world: &mut World) {
        match found {
            Some(bytes) => {
                world.counts.blobs_from_peers += 1;
                self.disk.payloads.insert(hash, bytes);
            }
            None => world.say(Some(self.id), format!("nobody gives the blob {hash}")),
        }
        let Some(life) = &mut self.life else { return };
        for incomplete in &mut life.incomplete {
            incomplete.missing.remove(&hash);
        }
        let complete = life.incomplete.extract_if(.., |incomplete| incomplete.missing.is_empty());
        for Incomplete { asked, block, .. } in complete.collect::<Vec<_>>() {
            let fetched = gather(&block, &self.disk, world);
            self.plan(world, Duration::ZERO, asked.answer(Some(Box::new(fetched))));
        }
    }

    /// Keeps the blobs of a block that the enclave has found right.
    pub(super) fn archive(&mut self, blobs: Vec<(B256, Bytes)>) {
        for (hash, blob) in blobs {
            let end = blob.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            self.disk.payloads.insert(hash, blob.slice(..end));
        }
    }
}

/// Whether L1 nodes have forgotten the blobs of a block.
pub fn is_pruned(block: &Block, world: &World) -> bool {
    let highest = world.l1.highest().number();
    world.scenario.blob_blocks.is_some_and(|kept| block.number() + kept < highest)
}

/// A blob of a block: from the archive, or from L1 as long as that has it.
pub fn blob(hash: B256, block: &Block, archive: &Disk, world: &World) -> Option<Bytes> {
    if !is_pruned(block, world) {
        return world.l1.blob(hash);
    }
    let mut whole = archive.payloads.get(&hash)?.to_vec();
    whole.resize(BYTES_PER_BLOB, 0);
    Some(whole.into())
}

/// Versioned hashes of what carried rollups' payloads in a block.
fn blobs<'a>(block: &'a Block, contracts: &'a Contracts) -> impl Iterator<Item = B256> + 'a {
    let logs = block.included().flat_map(|(_, outcome)| outcome.logs());
    let ours = logs.filter(|log| log.address == contracts.rollupManagement);
    ours.filter_map(|log| RollupPublished::decode_log(log).ok()).flat_map(|event| event.data.blobs)
}
