//! A sealed block and what its transactions did.
//!
//! Blocks are immutable and shared by reference. How one is built is in `build`, how it is shown
//! to clients in `rpc::format`.

use alloy_consensus::{
    Block as ConsensusBlock, BlockBody, EthereumTxEnvelope, Header, ReceiptEnvelope, TxEip4844,
    transaction::{Recovered, SignerRecoverable},
};
use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::{Address, B256, Bloom, Bytes, Log};

/// A signed transaction as it stands in a block: blob transactions without their sidecar.
pub type Tx = EthereumTxEnvelope<TxEip4844>;

/// What one transaction of a block did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The receipt of consensus.
    pub receipt: ReceiptEnvelope,
    /// Gas used by this transaction alone.
    pub gas_used: u64,
    /// Address of the contract created by a creation transaction, also if it failed.
    pub created: Option<Address>,
    /// Number of logs in the block before this transaction's first.
    pub first_log: u64,
}

impl Outcome {
    /// Logs in the order they were emitted.
    pub fn logs(&self) -> &[Log] {
        self.receipt.logs()
    }
}

/// A sealed block with its transactions, their senders and outcomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// keccak256 of the RLP of the header.
    pub hash: B256,
    /// The header.
    pub header: Header,
    /// Transactions in order, with recovered senders.
    pub transactions: Vec<Recovered<Tx>>,
    /// Outcomes, one per transaction.
    pub outcomes: Vec<Outcome>,
    /// Size of the block's RLP.
    pub rlp_bytes: usize,
}

impl Block {
    /// Puts a block together and hashes its header.
    pub fn seal(header: Header, transactions: Vec<Recovered<Tx>>, outcomes: Vec<Outcome>) -> Self {
        let hash = header.hash_slow();
        let mut block = Self { hash, header, transactions, outcomes, rlp_bytes: 0 };
        block.rlp_bytes = block.rlp().len();
        block
    }

    /// Header and transactions of the RLP of a block; `None` when it is not one.
    pub fn decode(rlp: &[u8]) -> Option<(Header, Vec<Recovered<Tx>>)> {
        let block: ConsensusBlock<Tx> = alloy_rlp::decode_exact(rlp).ok()?;
        let transactions = block.body.transactions.into_iter();
        let recovered: Result<_, _> = transactions.map(Tx::try_into_recovered).collect();
        Some((block.header, recovered.ok()?))
    }

    /// Height of the block.
    pub fn number(&self) -> u64 {
        self.header.number
    }

    /// Transactions with their outcomes.
    pub fn included(&self) -> impl Iterator<Item = (&Recovered<Tx>, &Outcome)> {
        self.transactions.iter().zip(&self.outcomes)
    }

    /// Whether a log of the block may match.
    pub fn bloom(&self) -> Bloom {
        self.header.logs_bloom
    }

    /// Versioned hashes of all blobs of the block, in order.
    pub fn blob_hashes(&self) -> impl Iterator<Item = B256> {
        self.transactions.iter().flat_map(|tx| blob_hashes(tx.inner())).copied()
    }

    /// RLP of the whole block, as `debug_getRawBlock` and the journal have it.
    pub fn rlp(&self) -> Bytes {
        let body = BlockBody {
            transactions: self.transactions.iter().map(|tx| tx.inner().clone()).collect::<Vec<_>>(),
            ommers: Vec::new(),
            withdrawals: Some(Withdrawals::default()),
        };
        alloy_rlp::encode(ConsensusBlock { header: self.header.clone(), body }).into()
    }
}

/// Versioned hashes of the blobs that a transaction carries.
pub fn blob_hashes(tx: &Tx) -> &[B256] {
    alloy_consensus::Transaction::blob_versioned_hashes(tx).unwrap_or_default()
}
