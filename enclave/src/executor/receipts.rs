//! The receipts of a block and their digests. Not here: what a transaction did (see `outcome`).

use crate::trie;
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

    /// With their bloom filters, the root of their trie, and the union of the filters.
    pub fn digest(self) -> (Vec<ReceiptEnvelope>, B256, Bloom) {
        let (mut hashes, mut union) = (BloomHashes::default(), Bloom::ZERO);
        let complete = |(ty, receipt): (TxType, Receipt)| {
            let logs_bloom = hashes.bloom(&receipt.logs);
            union |= logs_bloom;
            ReceiptEnvelope::from_typed(ty, ReceiptWithBloom { receipt, logs_bloom })
        };
        let list: Vec<ReceiptEnvelope> = self.0.into_iter().map(complete).collect();
        let root = trie::ordered_root(list.iter().map(Encodable2718::encoded_2718));
        (list, root, union)
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
