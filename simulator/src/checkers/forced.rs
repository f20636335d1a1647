//! What users force through L1 is applied by the next rollup built on that L1 block or a later one: before
//! everything else, in order, and nothing of it is left behind. Runs force less than one rollup takes.

use super::{Verdict, Violation};
use crate::{reference::short, world::World};
use alloy_consensus::{Transaction, TxEnvelope, transaction::SignerRecoverable};
use alloy_eips::Decodable2718;
use alloy_primitives::{Address, B256, Bytes, keccak256};
use obscuro_protocol::{door::Head, forced::ForcedEnvelope};
use std::collections::HashSet;

/// See above.
#[derive(Default)]
pub struct Forced {
    seen: HashSet<B256>,
}

impl Forced {
    /// A node has this canonical chain.
    pub fn head(&mut self, node: usize, head: &Head, world: &World) -> Verdict {
        for (hash, rollup) in world.reference.chain(head.rollup) {
            if !self.seen.insert(hash) {
                return Ok(());
            }
            let header = &rollup.header;
            let Some(proof) = world.reference.view(header.l1Proof) else { continue };
            let wrong = |text: String| {
                let text = format!("rollup {} {}: {text}", header.number, short(hash));
                Err(Violation::new("forced", text, [node]))
            };
            if header.forcedCursor != proof.forced.len() as u64 {
                let (cursor, all) = (header.forcedCursor, proof.forced.len());
                return wrong(format!("{cursor} of {all} forced transactions are applied"));
            }
            let parent = world.reference.rollup(header.parent);
            let from = parent.map_or(0, |parent| parent.header.forcedCursor) as usize;
            let due: Vec<Bytes> = proof.forced[from.min(proof.forced.len())..]
                .iter()
                .filter_map(|envelope| open(envelope, world))
                .collect();
            if !due.is_empty()
                && let Some(late) = late(&world.reference.contents(rollup).raws, &due)
            {
                return wrong(format!("{late} was forced, and is not in front or not in order"));
            }
        }
        Ok(())
    }
}

/// The first transaction that was due and stands behind one that was not, or behind one that was due
/// after it. Some cannot be executed at their turn; such a one may come later after all, behind its
/// sender's transaction before it.
fn late(raws: &[Bytes], due: &[Bytes]) -> Option<B256> {
    let mut rest = due.iter();
    let front = raws.iter().take_while(|raw| rest.any(|due| due == *raw)).count();
    let (front, behind) = raws.split_at(front);
    let mut others = front.iter().map(sender_and_nonce).collect::<Vec<_>>();
    for raw in behind {
        let own = sender_and_nonce(raw);
        let is_next = own.is_some_and(|(sender, nonce)| {
            let before = nonce.checked_sub(1).map(|before| (sender, before));
            before.is_some() && others[front.len()..].contains(&before)
        });
        if due.contains(raw) && !is_next {
            return Some(keccak256(raw));
        }
        others.push(own);
    }
    None
}

fn sender_and_nonce(raw: &Bytes) -> Option<(Address, u64)> {
    let transaction = TxEnvelope::decode_2718_exact(raw).ok()?;
    Some((transaction.recover_signer().ok()?, transaction.nonce()))
}

/// The transaction in an envelope.
fn open(envelope: &[u8], world: &World) -> Option<Bytes> {
    let (key, _) = world.reference.seed.as_ref()?.network_key();
    let raw = ForcedEnvelope::parse(envelope)?.open(&key, world.config.hash()).ok()?;
    Some(raw.into())
}
