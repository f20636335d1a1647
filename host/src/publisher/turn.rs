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
use obscuro_protocol::limits::PROOF_AGE_BLOCKS_MAX;

/// L1 blocks after which a transaction is replaced at a higher fee.
pub const PATIENCE_BLOCKS: u64 = 2;
/// Times that one transaction is offered at a higher fee because an unknown one is in its way.
pub const RAISES_MAX: usize = 10;
/// Gas beyond the estimate: a sibling that is included first makes the contract open a branch.
const GAS_SPARE: u64 = 200_000;

/// Whether a rollup is still worth its price: L1 would take a late sibling, and the operator would pay for
/// nothing. `canonical` is the enclave's head rollup, if it has one.
pub fn check(
    outbox: &Outbox,
    canonical: Option<B256>,
    content: &Content,
) -> Result<(), PublishError> {
    let rollup = match content {
        Content::Rollup(rollup, _) => rollup,
        Content::Call { .. } => return Ok(()),
        Content::Nothing => return check_withdrawal(outbox),
    };
    let header = &rollup.header;
    if canonical.is_some_and(|canonical| canonical != header.parent) {
        return Err(PublishError::Late);
    }
    if let Some((_, slot)) = outbox.find(Purpose::Publish)
        && let Content::Rollup(former, _) = &slot.content
        && former.header.parent == header.parent
        && slot.sent_at >= header.l1ProofNumber
    {
        return Err(PublishError::Underway);
    }
    Ok(())
}

/// Whether the rollup under way has lost: L1 went on from another one, and would take it as a late sibling.
pub fn has_lost(outbox: &Outbox, canonical: Option<B256>) -> bool {
    let Some((_, slot)) = outbox.find(Purpose::Publish) else { return false };
    let Content::Rollup(rollup, _) = &slot.content else { return false };
    let header = &rollup.header;
    canonical.is_some_and(|canonical| canonical != header.parent && canonical != header.hash())
}

/// Whether a rollup is under way whose place nothing can take: L1 nodes let only blobs replace blobs, and
/// those cost what is to be saved.
fn check_withdrawal(outbox: &Outbox) -> Result<(), PublishError> {
    let is_under_way = outbox.find(Purpose::Publish).is_some_and(|(_, slot)| {
        matches!(slot.content, Content::Rollup(..)) && slot.fees.max_blob_fee == 0
    });
    if is_under_way { Ok(()) } else { Err(PublishError::Settled) }
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
    let Content::Rollup(rollup, _) = content else { return Carrying::Calldata };
    let former = outbox.find(purpose).map(|(_, slot)| slot.fees.max_blob_fee > 0);
    let policy = match (former, outbox.kinds()) {
        (Some(true), _) => return Carrying::Blobs,
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
