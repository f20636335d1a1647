//! Verification of L1 blocks: the enclave believes what it can check against a header, and a header
//! only as the child of one it knows (protocol 4.1). Not here: what the events mean (`view`).

use crate::{executor, trie};
use alloy_consensus::{Header, ReceiptEnvelope};
use alloy_eips::Decodable2718;
use alloy_primitives::{Address, B256, Bloom, BloomInput, Bytes, Log, keccak256};
use alloy_rlp::Decodable;
use alloy_sol_types::{SolEvent, SolEventInterface};
use obscuro_protocol::{
    config::{Contracts, L1BlockId},
    door::L1Block,
    fees::L1Prices,
    l1::{
        IAttestationVerifier::IAttestationVerifierEvents,
        IBridgeManagement::Deposited,
        INetworkManagement::INetworkManagementEvents,
        IRollupManagement::{IRollupManagementEvents, RollupPublished, TransactionForced},
    },
};

/// Most receipts of one block: gas limits keep real blocks far below.
const RECEIPTS_MAX: usize = 20_000;

/// A block that does not verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum L1Error {
    /// The header does not decode, or bytes are left over.
    #[error("malformed L1 header")]
    Header,
    /// The block is not one above its parent.
    #[error("L1 block number {number} does not follow its parent's {parent}")]
    Number {
        /// Of the block.
        number: u64,
        /// Of its parent.
        parent: u64,
    },
    /// The bloom does not exclude the management contract.
    #[error("receipts needed")]
    ReceiptsNeeded,
    /// The receipts are not those of the header.
    #[error("receipts do not match the header's receipts root")]
    ReceiptsRoot,
    /// A receipt with the right hash that does not decode: an L1 fork with a new transaction type.
    #[error("malformed receipt {0}")]
    Receipt(usize),
}

/// What a management contract reported.
#[derive(Debug)]
pub enum Event {
    /// By `AttestationVerifier`.
    Attestation(Box<IAttestationVerifierEvents>),
    /// By `NetworkManagement`.
    Network(Box<INetworkManagementEvents>),
    /// A rollup was published.
    Published(Box<RollupPublished>),
    /// A transaction was forced.
    Forced(Box<TransactionForced>),
    /// A deposit was made.
    Deposited(Box<Deposited>),
}

/// A block whose header and receipts agree.
#[derive(Debug)]
pub struct VerifiedBlock {
    /// Number and hash.
    pub id: L1BlockId,
    /// Hash of the parent.
    pub parent: B256,
    /// Seconds since 1970.
    pub timestamp: u64,
    /// RANDAO mix.
    pub randao: B256,
    /// What gas costs in it.
    pub prices: L1Prices,
    /// Who is paid for proposing it.
    pub proposer: Address,
    /// In the order of L1.
    pub events: Vec<Event>,
}

/// The parent hash that a header claims, to look the parent up.
pub fn parent_of(header: &[u8]) -> Result<B256, L1Error> {
    decode_header(header).map(|header| header.parent_hash)
}

/// Verifies a block against the number of its parent, which must be the one that it names.
pub fn verify(
    block: &L1Block,
    parent_number: u64,
    contracts: &Contracts,
) -> Result<VerifiedBlock, L1Error> {
    let header = decode_header(&block.header)?;
    if Some(header.number) != parent_number.checked_add(1) {
        return Err(L1Error::Number { number: header.number, parent: parent_number });
    }
    let events = match &block.receipts {
        Some(receipts) => events(receipts, header.receipts_root, contracts)?,
        None if may_concern(&header.logs_bloom, contracts) => return Err(L1Error::ReceiptsNeeded),
        None => Vec::new(),
    };
    Ok(VerifiedBlock {
        id: L1BlockId { number: header.number, hash: keccak256(&block.header) },
        parent: header.parent_hash,
        timestamp: header.timestamp,
        randao: header.mix_hash,
        prices: prices(&header),
        proposer: header.beneficiary,
        events,
    })
}

fn decode_header(bytes: &[u8]) -> Result<Header, L1Error> {
    let mut rest = bytes;
    let header = Header::decode(&mut rest).map_err(|_| L1Error::Header)?;
    // The hash is over the bytes as given: they must be the header's one encoding.
    if !rest.is_empty() || header.hash_slow() != keccak256(bytes) {
        return Err(L1Error::Header);
    }
    Ok(header)
}

fn prices(header: &Header) -> L1Prices {
    L1Prices {
        gas: header.base_fee_per_gas.unwrap_or_default(),
        blob_gas: executor::blob_base_fee(header.excess_blob_gas.unwrap_or_default()),
    }
}

fn may_concern(bloom: &Bloom, contracts: &Contracts) -> bool {
    let Contracts { attestationVerifier, networkManagement, .. } = contracts;
    [
        attestationVerifier,
        networkManagement,
        &contracts.rollupManagement,
        &contracts.bridgeManagement,
    ]
    .into_iter()
    .any(|contract| bloom.contains_input(BloomInput::Raw(contract.as_slice())))
}

fn events(receipts: &[Bytes], root: B256, contracts: &Contracts) -> Result<Vec<Event>, L1Error> {
    if receipts.len() > RECEIPTS_MAX || trie::ordered_root(receipts.iter()) != root {
        return Err(L1Error::ReceiptsRoot);
    }
    let mut events = Vec::new();
    for (index, receipt) in receipts.iter().enumerate() {
        let receipt: ReceiptEnvelope = ReceiptEnvelope::decode_2718(&mut receipt.as_ref())
            .map_err(|_| L1Error::Receipt(index))?;
        events.extend(receipt.logs().iter().filter_map(|log| event(log, contracts)));
    }
    Ok(events)
}

/// A log of one of the contracts as an event. What does not decode is none: the contracts are
/// fixed, so it is an event that this version does not need.
fn event(log: &Log, contracts: &Contracts) -> Option<Event> {
    if log.address == contracts.rollupManagement {
        let decoded = IRollupManagementEvents::decode_log(log);
        return decoded.ok().and_then(|event| match event.data {
            IRollupManagementEvents::RollupPublished(event) => {
                Some(Event::Published(Box::new(event)))
            }
            IRollupManagementEvents::TransactionForced(event) => {
                Some(Event::Forced(Box::new(event)))
            }
            // Forks are for the bridge and for people: enclaves know what is canonical.
            _ => None,
        });
    }
    if log.address == contracts.bridgeManagement {
        return Deposited::decode_log(log).ok().map(|e| Event::Deposited(Box::new(e.data)));
    }
    if log.address == contracts.networkManagement {
        let decoded = INetworkManagementEvents::decode_log(log);
        return decoded.ok().map(|e| Event::Network(Box::new(e.data)));
    }
    if log.address == contracts.attestationVerifier {
        let decoded = IAttestationVerifierEvents::decode_log(log);
        return decoded.ok().map(|e| Event::Attestation(Box::new(e.data)));
    }
    None
}
