//! The receipts of a block and their digests. Not here: what a transaction did (see `outcome`).

use crate::trie::ordered;
use alloy_consensus::{Receipt, ReceiptEnvelope, ReceiptWithBloom, TxType};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{
    B256, Bloom, BloomInput, Log, keccak256,
    map::{AddressMap, B256Map},
};

/// Receipts in the order of their transactions.
#[derive(Debug, Default)]
pub(super) struct Receipts(Vec<(TxType, Receipt)>);

/// The hashes that go into bloom filters. A block has few different addresses and topics, and hashing them for every
/// log would cost a third of a token transfer. As large as the logs that the block's gas can pay for.
#[derive(Debug, Default)]
struct BloomHashes {
    addresses: AddressMap<B256>,
    topics: B256Map<B256>,
}

impl Receipts {
    pub fn push(&mut self, ty: TxType, receipt: Receipt) {
        self.0.push((ty, receipt));
    }

    /// The logs in the last one.
    pub fn last_logs(&self) -> &[Log] {
        self.0.last().map_or(&[], |(_, receipt)| &receipt.logs)
    }

    /// In parts that can be digested side by side, as so many cores are best served.
    pub fn parts(self, cores: usize) -> Vec<Part> {
        let length = ordered::part_length(self.0.len(), cores);
        let mut rest = self.0.into_iter();
        let mut parts = Vec::new();
        while rest.len() > 0 {
            let receipts = rest.by_ref().take(length).collect();
            parts.push(Part { first: parts.len() * length, receipts, digested: None });
        }
        parts
    }

    /// All receipts with their bloom filters, the root of their trie, and the union of the filters; `None` if a
    /// part was not digested.
    pub fn join(parts: Vec<Part>) -> Option<(Vec<ReceiptEnvelope>, B256, Bloom)> {
        let (mut list, mut hashed, mut union) = (Vec::new(), Vec::new(), Bloom::ZERO);
        for part in parts {
            let (receipts, part, bloom) = part.digested?;
            list.extend(receipts);
            hashed.push(part);
            union |= bloom;
        }
        Some((list, ordered::root(hashed), union))
    }
}

/// Consecutive receipts of a block.
#[derive(Debug)]
pub(super) struct Part {
    first: usize,
    receipts: Vec<(TxType, Receipt)>,
    digested: Option<(Vec<ReceiptEnvelope>, ordered::Part, Bloom)>,
}

impl Part {
    /// Makes the bloom filters, and hashes what can be hashed without the other parts.
    pub fn digest(&mut self) {
        let (mut hashes, mut union) = (BloomHashes::default(), Bloom::ZERO);
        let complete = |(ty, receipt): (TxType, Receipt)| {
            let logs_bloom = hashes.bloom(&receipt.logs);
            union |= logs_bloom;
            ReceiptEnvelope::from_typed(ty, ReceiptWithBloom { receipt, logs_bloom })
        };
        let receipts = std::mem::take(&mut self.receipts);
        let list: Vec<ReceiptEnvelope> = receipts.into_iter().map(complete).collect();
        let part = ordered::Part::new(self.first, &list, |receipt, out| receipt.encode_2718(out));
        self.digested = Some((list, part, union));
    }
}

impl BloomHashes {
    fn bloom(&mut self, logs: &[Log]) -> Bloom {
        let mut bloom = Bloom::ZERO;
        for log in logs {
            let address =
                self.addresses.entry(log.address).or_insert_with(|| keccak256(log.address));
            bloom.accrue(BloomInput::Hash(*address));
            for topic in log.topics() {
                let topic = self.topics.entry(*topic).or_insert_with(|| keccak256(topic));
                bloom.accrue(BloomInput::Hash(*topic));
            }
        }
        bloom
    }
}
