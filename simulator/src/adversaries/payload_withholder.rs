//! Gossips a good rollup, wins, and publishes its header with blobs that hold something else: the payload
//! is on nobody's L1. Every enclave must treat the rollup as not published, also those that executed it
//! when it was gossiped.

use super::Adversary;
use crate::{events::MessageId, node::Node, world::World};
use alloy_consensus::{SignableTransaction, TxEip4844, transaction::Recovered};
use alloy_eips::eip4844::{Blob, kzg_to_versioned_hash};
use alloy_primitives::B256;
use alloy_signer::SignerSync;
use obscuro_devnet::l1::{Incoming, StoredBlob};
use obscuro_host::{
    publisher::carrier::{Carrying, publish_input},
    round::Effect,
};
use obscuro_protocol::rollup::SignedRollup;
use std::sync::Arc;

/// Gas of publishing.
const GAS: u64 = 1_000_000;
/// What it pays, wei per gas.
const FEE: u128 = 50_000_000_000;

/// See above.
#[derive(Default)]
pub struct PayloadWithholder {
    /// A blob of nothing, and its versioned hash.
    blob: Option<(B256, Arc<StoredBlob>)>,
}

impl Adversary for PayloadWithholder {
    fn effect(
        &mut self,
        node: &mut Node,
        effect: Effect<MessageId>,
        world: &mut World,
    ) -> Vec<Effect<MessageId>> {
        let Effect::Publish(rollup) = &effect else { return vec![effect] };
        if self.publish(node, rollup, world).is_none() {
            return vec![effect];
        }
        *world.counts.attacks.entry("payloads withheld").or_default() += 1;
        Vec::new()
    }
}

impl PayloadWithholder {
    fn publish(&mut self, node: &Node, rollup: &SignedRollup, world: &mut World) -> Option<()> {
        let (hash, blob) = match &self.blob {
            Some(blob) => blob.clone(),
            None => self.blob.insert(junk()?).clone(),
        };
        let l1 = world.network.l1_of[node.id];
        let from = node.operator.address();
        let transaction = TxEip4844 {
            chain_id: world.config.l1ChainId,
            nonce: world.l1.pending_nonce(l1, from),
            gas_limit: GAS,
            max_fee_per_gas: FEE,
            max_priority_fee_per_gas: FEE / 10,
            to: world.config.contracts.rollupManagement,
            blob_versioned_hashes: vec![hash],
            max_fee_per_blob_gas: FEE,
            input: publish_input(rollup, &[], Carrying::Blobs),
            ..Default::default()
        };
        let signature = node.operator.sign_hash_sync(&transaction.signature_hash()).ok()?;
        let tx = Recovered::new_unchecked(transaction.into_signed(signature).into(), from);
        let sent = world.send_incoming(l1, Incoming { tx, blobs: vec![(hash, blob)] });
        world.say(Some(node.id), format!("publishes a header without its payload: {sent:?}"));
        sent.ok().map(|_| ())
    }
}

fn junk() -> Option<(B256, Arc<StoredBlob>)> {
    let blob = Blob::default();
    let commitment = c_kzg::ethereum_kzg_settings(0)
        .blob_to_kzg_commitment(&c_kzg::Blob::from_bytes(blob.as_slice()).ok()?)
        .ok()?;
    let hash = kzg_to_versioned_hash(commitment.to_bytes().as_slice());
    Some((hash, Arc::new(StoredBlob::new(&blob))))
}
