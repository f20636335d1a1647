//! The receipts of a block and their digests. Not here: what a transaction did (see `outcome`).

use crate::trie;
use alloy_consensus::{Receipt, ReceiptEnvelope, ReceiptWithBloom, TxReceipt, TxType};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{
    B256, Bloom, BloomInput, Log, keccak256,
    map::{AddressMap, B256Map},
};

/// Receipts in the order of their transactions.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    list: Vec<ReceiptEnvelope>,
    hashes: BloomHashes,
}

/// The hashes that go into bloom filters. A block has few different addresses and topics, and hashing them for every
/// log would cost a third of a token transfer. As large as the logs that the block's gas can pay for.
#[derive(Debug, Default)]
struct BloomHashes {
    addresses: AddressMap<B256>,
    topics: B256Map<B256>,
}

impl Receipts {
    pub fn push(&mut self, ty: TxType, receipt: Receipt) {
        let logs_bloom = self.hashes.bloom(&receipt.logs);
        let receipt = ReceiptWithBloom { receipt, logs_bloom };
        self.list.push(ReceiptEnvelope::from_typed(ty, receipt));
    }

    pub fn as_slice(&self) -> &[ReceiptEnvelope] {
        &self.list
    }

    /// Root of the receipts trie, and the union of the bloom filters.
    pub fn digest(&self) -> (B256, Bloom) {
        let bloom = self.list.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom());
        let encoded = self.list.iter().map(Encodable2718::encoded_2718);
        (trie::ordered_root(encoded), bloom)
    }

    pub fn into_vec(self) -> Vec<ReceiptEnvelope> {
        self.list
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
