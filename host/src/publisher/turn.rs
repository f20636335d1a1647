//! What the publisher decides before it sends: whether a rollup is still worth its price, how its payload
//! travels, how much gas to allow, and which refusals of a simulation do not count. No I/O and no clock.
//! Not here: talking to L1, signing, nonces (`outbox`).

use super::{
    PublishError,
    carrier::{self, CarrierPolicy, Carrying},
    fees::Prices,
    outbox::{Content, Outbox, Purpose},
    revert::{self, Revert},
};
use alloy_eips::eip7825::MAX_TX_GAS_LIMIT_OSAKA;
use alloy_primitives::{B256, U256};
use obscuro_protocol::{
    door::Head,
    limits::{PROOF_AGE_BLOCKS_MAX, SETTLEMENT_BLOCKS},
    rollup::RollupHeader,
};

/// L1 blocks after which a transaction is replaced at a higher fee.
pub const PATIENCE_BLOCKS: u64 = 2;
/// Times that one transaction is offered at a higher fee because an unknown one is in its way.
pub const RAISES_MAX: usize = 10;
/// Gas beyond the estimate: a sibling that is included first makes the contract open a branch.
const GAS_SPARE: u64 = 200_000;

/// Whether a rollup is still worth its price: L1 would take a late sibling, and the operator would pay for
/// nothing. `head` is the enclave's, if it has one.
pub fn check(
    outbox: &Outbox,
    head: Option<&Head>,
    purpose: Purpose,
    content: &Content,
) -> Result<(), PublishError> {
    let rollup = match content {
        Content::Rollup(rollup, _) => rollup,
        Content::Call { .. } => return Ok(()),
        Content::Nothing(rollup) => return check_withdrawal(outbox, head, purpose, *rollup),
    };
    let header = &rollup.header;
    if head.is_some_and(|head| head.rollup != header.parent && !ran_ahead(head, header)) {
        return Err(PublishError::Late);
    }
    if let Some((_, slot)) = outbox.find(Purpose::Publish)
        && let Content::Rollup(former, _) = &slot.content
        && former.header.parent == header.parent
        && slot.sent_at >= header.l1ProofNumber
        && !is_raised(&former.header, header, slot.sent_at, head)
    {
        return Err(PublishError::Underway);
    }
    Ok(())
}

/// Whether a rollup is ordered again because others have waited behind it for long.
fn is_raised(
    former: &RollupHeader,
    again: &RollupHeader,
    sent_at: u64,
    head: Option<&Head>,
) -> bool {
    former == again && head.is_none_or(|head| sent_at + PATIENCE_BLOCKS <= head.l1.number)
}

/// The rollup under way, if it has lost: L1 went on from another one, and would take it as a late sibling.
pub fn lost(outbox: &Outbox, head: Option<&Head>) -> Option<B256> {
    let (_, slot) = outbox.find(Purpose::Publish)?;
    let Content::Rollup(rollup, _) = &slot.content else { return None };
    let (header, head) = (&rollup.header, head?);
    let hash = header.hash();
    let is_past = head.rollup != header.parent && head.rollup != hash;
    (is_past && !ran_ahead(head, header)).then_some(hash)
}

/// Whether the canonical rollup ran ahead of this one, which won their round. Included now, this one shows
/// it: then it is paid what it costs, and the other nothing (protocol 5.7).
fn ran_ahead(head: &Head, header: &RollupHeader) -> bool {
    head.round == header.round()
        && header.nonce < head.nonce
        && head.l1.number < head.included.saturating_add(SETTLEMENT_BLOCKS)
}

/// Whether what is to be taken back, or what took its place, is under way. L1 nodes let only blobs replace
/// blobs, and those cost what is to be saved: they are taken back when they are stuck.
fn check_withdrawal(
    outbox: &Outbox,
    head: Option<&Head>,
    purpose: Purpose,
    rollup: Option<B256>,
) -> Result<(), PublishError> {
    let Some((_, slot)) = outbox.find(purpose) else { return Err(PublishError::Settled) };
    let is_it = match (&slot.content, rollup) {
        (_, None) => true,
        (Content::Rollup(under_way, _), Some(hash)) => under_way.header.hash() == hash,
        (Content::Nothing(former), Some(_)) => *former == rollup,
        (Content::Call { .. }, Some(_)) => false,
    };
    let is_stuck = head.is_some_and(|head| slot.is_overdue(head.l1.number, PATIENCE_BLOCKS));
    match is_it && (!slot.has_blobs() || is_stuck) {
        true => Ok(()),
        false => Err(PublishError::Settled),
    }
}

/// How to carry what is sent. What is replaced or queued decides first: nodes refuse to queue
/// transactions with and without blobs for one account.
pub fn carrying(
    outbox: &Outbox,
    purpose: Purpose,
    content: &Content,
    prices: &Prices,
    policy: CarrierPolicy,
    block_gas_limit: u64,
) -> Carrying {
    let former = outbox.find(purpose).map(|(_, slot)| slot.has_blobs());
    if former == Some(true) {
        return Carrying::Blobs;
    }
    let Content::Rollup(rollup, _) = content else { return Carrying::Calldata };
    let policy = match (former, outbox.kinds()) {
        (None, (_, true)) | (Some(false), _) => CarrierPolicy::Calldata,
        _ => policy,
    };
    carrier::choose(&rollup.payload, prices, policy, block_gas_limit)
}

/// The gas limit for an estimate.
pub fn gas_limit(estimate: u64) -> u64 {
    (estimate + estimate / 8 + GAS_SPARE).min(MAX_TX_GAS_LIMIT_OSAKA)
}

/// Whether a simulation fails only because the node simulates on its newest block instead of the next
/// one, or without blobs.
pub fn is_blind(data: &[u8], head: u64, has_blobs: bool) -> bool {
    match revert::decode(data) {
        Some(Revert::L1ProofOutOfRange(error)) => {
            let number = error.l1ProofNumber;
            let is_recent = head.saturating_add(1) <= number.saturating_add(PROOF_AGE_BLOCKS_MAX);
            number <= head && is_recent && U256::from(number) >= error.parentIncludedAt
        }
        Some(Revert::WrongL1Proof(error)) => error.actual == B256::ZERO,
        Some(Revert::PayloadMissingOrDouble(_)) => has_blobs,
        _ => false,
    }
}

/// Of several orders that wait, only the newest rollup is worth publishing: those to drop, by position.
pub fn superseded(purposes: &[Purpose]) -> Vec<bool> {
    let newest = purposes.iter().rposition(|purpose| *purpose == Purpose::Publish);
    let purposes = purposes.iter().enumerate();
    purposes
        .map(|(position, purpose)| *purpose == Purpose::Publish && Some(position) != newest)
        .collect()
}
