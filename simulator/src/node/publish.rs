//! Sends the operator's L1 transactions, as `host::publisher` does: one order at a time, simulated first,
//! priced for the next block, replaced when overdue. Not here: what is worth sending and at what price
//! (`host::publisher`'s cores).

use super::Node;
use crate::{events::NodeEvent, l1::Called, world::World};
use alloy_consensus::{Signed, TxEip4844Variant, TxEnvelope, transaction::Recovered};
use alloy_eips::{
    Decodable2718,
    eip4844::{
        Blob, Bytes48,
        builder::{SidecarBuilder, SimpleCoder},
    },
    eip7594::BlobTransactionSidecarEip7594,
    eip7825::MAX_TX_GAS_LIMIT_OSAKA,
};
use alloy_primitives::{Address, B256, Bytes, U256};
use obscuro_devnet::l1::{Incoming, StoredBlob};
use obscuro_enclave::executor::CallRequest;
use obscuro_host::publisher::{
    PublishError,
    carrier::{self, CarrierPolicy, Carrying},
    fees::{Fees, Prices},
    outbox::{Content, Purpose, Slot},
    revert,
    transaction::{Prepared, Refusal},
    turn,
};
use obscuro_protocol::door::Head;
use std::{sync::Arc, time::Duration};

/// The node's questions to L1 before it sends.
const QUESTIONS: Duration = Duration::from_millis(20);
/// How often it looks whether the enclave has caught up.
const CATCH_UP_STEP: Duration = Duration::from_millis(50);
/// Longest wait for that.
const CATCH_UP_MAX: Duration = Duration::from_secs(1);
/// Most that is paid, wei per gas.
const FEE_MAX: u128 = 500_000_000_000;

impl Node {
    /// Something is to be sent.
    pub fn order(&mut self, purpose: Purpose, content: Content, world: &mut World) {
        let Some(life) = &mut self.life else { return };
        life.orders.push_back((purpose, content));
        if !life.is_serving {
            life.is_serving = true;
            self.plan(world, Duration::from_micros(10), NodeEvent::Orders);
        }
    }

    /// Takes the next order, without those that a newer one supersedes.
    pub(super) fn take_order(&mut self, world: &mut World) {
        let Some(life) = &mut self.life else { return };
        let purposes: Vec<Purpose> = life.orders.iter().map(|(purpose, _)| *purpose).collect();
        let mut superseded = turn::superseded(&purposes).into_iter();
        life.orders.retain(|_| !superseded.next().unwrap_or(false));
        let Some((purpose, content)) = life.orders.pop_front() else {
            life.is_serving = false;
            return;
        };
        life.catching_up = Duration::ZERO;
        let l1 = world.network.l1_of[self.id];
        let count = world.l1.nonce(l1, self.operator.address());
        life.at = world.l1.head(l1).number();
        life.outbox.settle(count);
        if let Err(error) = self.check_turn(purpose, &content) {
            self.done(purpose, matches!(content, Content::Nothing(_)), Err(error), world);
            return;
        }
        self.plan(world, QUESTIONS, NodeEvent::Send(purpose, Box::new(content)));
    }

    /// The second half: simulate, catch up, and send.
    pub(super) fn send(&mut self, purpose: Purpose, content: Content, world: &mut World) {
        let newest = world.l1_head(self.id).number;
        let Some(life) = &mut self.life else { return };
        let is_behind = life.head.as_ref().is_some_and(|head| head.l1.number < newest);
        if is_behind && life.catching_up < CATCH_UP_MAX {
            life.catching_up += CATCH_UP_STEP;
            self.plan(world, CATCH_UP_STEP, NodeEvent::Send(purpose, Box::new(content)));
            return;
        }
        let is_withdrawal = matches!(content, Content::Nothing(_));
        let outcome = self.try_send(purpose, &content, world);
        self.done(purpose, is_withdrawal, outcome, world);
    }

    fn done(
        &mut self,
        purpose: Purpose,
        is_withdrawal: bool,
        outcome: Result<(), PublishError>,
        world: &mut World,
    ) {
        let what = match &outcome {
            Ok(()) => "sent".to_owned(),
            Err(PublishError::Reverts(reason)) => format!("would revert: {}", first_word(reason)),
            Err(error) => error.to_string(),
        };
        if purpose == Purpose::Publish && !matches!(outcome, Err(PublishError::Settled)) {
            let what = if is_withdrawal { format!("taken back: {what}") } else { what.clone() };
            *world.counts.publications.entry(what).or_default() += 1;
        }
        world.say(Some(self.id), format!("L1 transaction {purpose:?}: {what}"));
        self.plan(world, Duration::ZERO, NodeEvent::Orders);
    }

    /// A rollup that has lost is not worth its price any more.
    pub(super) fn take_back(&mut self, head: &Head, world: &mut World) {
        let Some(life) = &self.life else { return };
        if let Some(lost) = turn::lost(&life.outbox, Some(head)) {
            self.withdraw(lost, world);
        }
    }

    /// Something empty takes its place; a cheat rather pays.
    pub(super) fn withdraw(&mut self, rollup: B256, world: &mut World) {
        if self.is_honest() {
            self.order(Purpose::Publish, Content::Nothing(Some(rollup)), world);
        }
    }

    fn check_turn(&self, purpose: Purpose, content: &Content) -> Result<(), PublishError> {
        let Some(life) = &self.life else { return Err(PublishError::Stopped) };
        if self.adversary.as_ref().is_some_and(|adversary| adversary.publishes_anyway()) {
            return Ok(());
        }
        turn::check(&life.outbox, life.head.as_ref(), purpose, content)
    }

    fn try_send(
        &mut self,
        purpose: Purpose,
        content: &Content,
        world: &mut World,
    ) -> Result<(), PublishError> {
        let l1 = world.network.l1_of[self.id];
        let quoted = world.l1.prices(l1);
        let prices = Prices {
            base_fee: quoted.base_fee,
            priority_fee: quoted.priority_fee,
            blob_base_fee: quoted.blob_base_fee,
        };
        let Some(life) = &self.life else { return Err(PublishError::Stopped) };
        let block_gas = quoted.head.header.gas_limit;
        // Blobs cost much of the machine that simulates.
        let policy = match world.scenario.blob_blocks {
            Some(_) => CarrierPolicy::Blobs,
            None => CarrierPolicy::Calldata,
        };
        let carrying = turn::carrying(&life.outbox, purpose, content, &prices, policy, block_gas);
        let at = life.at;
        let prepared = self.prepare(content, carrying, world)?;
        let request = CallRequest {
            from: Some(self.operator.address()),
            to: Some(prepared.to),
            value: prepared.value,
            data: prepared.input.clone(),
            ..Default::default()
        };
        let gas = match world.l1.estimate(l1, &request, world.now) {
            Ok(gas) => turn::gas_limit(gas),
            Err(Called::Reverted(data))
                if turn::is_blind(&data, at, prepared.sidecar.is_some()) =>
            {
                prepared.gas_unsimulated()
            }
            Err(Called::Reverted(data)) => {
                return Err(PublishError::Reverts(revert::describe("reverted", &data)));
            }
            Err(Called::Returned(_)) => MAX_TX_GAS_LIMIT_OSAKA,
        };
        self.check_turn(purpose, content)?;
        let offer = prices.offer(prepared.sidecar.is_some());
        let Some(life) = &self.life else { return Err(PublishError::Stopped) };
        let fees = match life.outbox.find(purpose) {
            Some((_, former)) => former.fees.bumped().max(offer),
            None => offer,
        };
        self.offer(purpose, content, &prepared, gas, fees, world)
    }

    fn prepare(
        &mut self,
        content: &Content,
        carrying: Carrying,
        world: &World,
    ) -> Result<Prepared, PublishError> {
        match content {
            Content::Call { to, input, value } => {
                Ok(Prepared { to: *to, input: input.clone(), value: *value, sidecar: None })
            }
            Content::Nothing(_) => {
                let sidecar = (carrying == Carrying::Blobs).then(|| unproven(&[])).transpose()?;
                Ok(Prepared::nothing(self.operator.address(), sidecar))
            }
            Content::Rollup(rollup, answers) => {
                let sidecar = match carrying {
                    Carrying::Calldata => {
                        let payload = rollup.payload.clone();
                        self.disk.payloads.insert(rollup.header.payloadHash, payload);
                        None
                    }
                    Carrying::Blobs => {
                        let sidecar = unproven(&rollup.payload)?;
                        let blobs = sidecar.blobs.iter();
                        let blobs = blobs.map(|blob| Bytes::copy_from_slice(blob.as_slice()));
                        self.archive(sidecar.versioned_hashes().zip(blobs).collect());
                        Some(sidecar)
                    }
                };
                Ok(Prepared {
                    to: world.config.contracts.rollupManagement,
                    input: carrier::publish_input(rollup, answers, carrying),
                    value: U256::ZERO,
                    sidecar,
                })
            }
        }
    }

    fn offer(
        &mut self,
        purpose: Purpose,
        content: &Content,
        prepared: &Prepared,
        gas: u64,
        mut fees: Fees,
        world: &mut World,
    ) -> Result<(), PublishError> {
        let l1 = world.network.l1_of[self.id];
        let chain_id = world.config.l1ChainId;
        let mut count = world.l1.nonce(l1, self.operator.address());
        for _ in 0..turn::RAISES_MAX {
            if fees.max_fee > FEE_MAX {
                return Err(PublishError::TooDear(FEE_MAX));
            }
            let Some(life) = &mut self.life else { return Err(PublishError::Stopped) };
            let nonce = life.outbox.nonce(purpose, count);
            let signed = prepared.sign(&self.operator, chain_id, nonce, gas, fees);
            let (hash, raw) = signed.map_err(|_| PublishError::Stopped)?;
            let sent = match prepared.sidecar {
                None => world.send_raw(l1, &raw),
                Some(_) => unverified(&raw, self.operator.address())
                    .ok_or_else(|| "malformed".to_owned())
                    .and_then(|incoming| world.send_incoming(l1, incoming)),
            };
            let refusal = sent.err().map(|error| Refusal::of(&error));
            match refusal {
                None | Some(Refusal::Known) => {}
                Some(Refusal::Underpriced) => {
                    fees = fees.bumped();
                    continue;
                }
                Some(Refusal::Past) if matches!(content, Content::Nothing(_)) => {
                    return Err(PublishError::Settled);
                }
                Some(Refusal::Past) => {
                    life.outbox.settle(count);
                    if life.outbox.nonce(purpose, count) == nonce {
                        count = nonce + 1;
                    }
                    continue;
                }
                Some(Refusal::Funds) => {
                    return Err(PublishError::Funds(self.operator.address()));
                }
                Some(Refusal::Other) => {
                    return Err(PublishError::Reverts("L1 refuses it".to_owned()));
                }
            }
            let sent_at = world.l1.head(l1).number().max(life.at);
            let content = content.clone();
            life.outbox.sent(nonce, Slot { purpose, content, fees, hashes: vec![hash], sent_at });
            return Ok(());
        }
        Err(PublishError::TooDear(fees.max_fee))
    }

    /// After each L1 block: forgets what is included, and raises what is overdue.
    pub(super) fn tend(&mut self, number: u64, world: &mut World) {
        let Some(life) = &mut self.life else { return };
        life.at = number;
        if life.outbox.is_empty() {
            return;
        }
        let l1 = world.network.l1_of[self.id];
        let count = world.l1.nonce(l1, self.operator.address());
        life.outbox.settle(count);
        let mut again = life.outbox.take_stranded(count);
        again.extend(life.outbox.overdue(number, turn::PATIENCE_BLOCKS).cloned());
        for slot in again {
            self.order(slot.purpose, slot.content, world);
        }
    }
}

/// A payload in blobs without cell proofs, which take half a second of a processor for each blob.
fn unproven(payload: &[u8]) -> Result<BlobTransactionSidecarEip7594, PublishError> {
    let blobs = SidecarBuilder::<SimpleCoder>::from_slice(payload).take();
    let settings = carrier::load_setup();
    let commit = |blob: &Blob| -> Result<Bytes48, c_kzg::Error> {
        let blob = c_kzg::Blob::from_bytes(blob.as_slice())?;
        Ok(settings.blob_to_kzg_commitment(&blob)?.to_bytes().into_inner().into())
    };
    let commitments: Result<_, _> = blobs.iter().map(commit).collect();
    let commitments = commitments.map_err(|error| PublishError::Blobs(error.to_string()))?;
    Ok(BlobTransactionSidecarEip7594::new(blobs, commitments, Vec::new()))
}

/// A transaction with such blobs as an L1 node takes it that does not ask for proofs.
fn unverified(raw: &[u8], sender: Address) -> Option<Incoming> {
    let TxEnvelope::Eip4844(signed) = TxEnvelope::decode_2718_exact(raw).ok()? else { return None };
    let (TxEip4844Variant::TxEip4844WithSidecar(whole), signature, hash) = signed.into_parts()
    else {
        return None;
    };
    let (tx, sidecar) = whole.into_parts();
    let blobs = sidecar.blobs().iter().map(|blob| Arc::new(StoredBlob::new(blob)));
    let blobs = tx.blob_versioned_hashes.iter().copied().zip(blobs).collect();
    let tx = Signed::new_unchecked(tx, signature, hash).into();
    Some(Incoming { tx: Recovered::new_unchecked(tx, sender), blobs })
}

fn first_word(reason: &str) -> &str {
    reason.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default()
}
