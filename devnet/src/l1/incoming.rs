//! A transaction as it arrives: decoded, its sender recovered, its blobs verified against their
//! commitments. Everything that can be judged without the state, so that it runs outside the
//! chain's lock.
//!
//! Refusals carry geth's wording, because tools match on it.

use std::sync::Arc;

use alloy_consensus::{
    EthereumTxEnvelope, TxEip4844WithSidecar,
    transaction::{Recovered, SignerRecoverable},
};
use alloy_eips::{Decodable2718, Encodable2718, eip7594::BlobTransactionSidecarVariant};
use alloy_primitives::B256;
use obscuro_enclave::executor::{Fatal, Reject};

use super::{
    blobs::StoredBlob,
    block::{Tx, blob_hashes},
    fees::BLOBS,
};

/// Bytes of a transaction without its blobs.
pub const TX_BYTES_MAX: usize = 128 * 1024;

/// Precomputation of the KZG settings: none. Verification does not profit from it, and loading is
/// faster.
const KZG_PRECOMPUTE: u64 = 0;

/// Why a transaction is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Refusal {
    #[error("rlp: {0}")]
    Malformed(String),
    #[error("invalid sender")]
    BadSignature,
    #[error("oversized data: transaction size {size}, limit {limit}")]
    Oversized { size: usize, limit: usize },
    #[error("too many blobs in transaction: have {have}, permitted {max}")]
    TooManyBlobs { have: usize, max: u64 },
    #[error("missing blob sidecar")]
    NoSidecar,
    #[error("invalid blob sidecar: {0}")]
    BadSidecar(String),
    #[error("nonce too high: next nonce {want}, tx nonce {have}")]
    NonceGap { have: u64, want: u64 },
    #[error(transparent)]
    Rejected(#[from] Reject),
    #[error("already known")]
    AlreadyKnown,
    #[error("replacement transaction underpriced")]
    Underpriced,
    #[error("txpool is full")]
    PoolFull,
    #[error(transparent)]
    Fatal(#[from] Fatal),
}

/// A transaction that passed every check that needs no state.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The transaction without its blobs, and its sender.
    pub tx: Recovered<Tx>,
    /// Verified blobs with their versioned hashes, in order.
    pub blobs: Vec<(B256, Arc<StoredBlob>)>,
}

/// Form in which transactions travel: blob transactions with their sidecar, in the EIP-7594
/// wrapper or in that of EIP-4844.
type Networked = EthereumTxEnvelope<TxEip4844WithSidecar<BlobTransactionSidecarVariant>>;

impl Incoming {
    /// Decodes and checks the argument of `eth_sendRawTransaction`.
    ///
    /// # Errors
    /// The first reason for which the transaction can never be included on any chain.
    pub fn decode(raw: &[u8]) -> Result<Self, Refusal> {
        let (tx, sidecar) = split(raw)?;
        check_size(&tx)?;
        let blobs = match sidecar {
            Some(sidecar) => verified(&tx, &sidecar)?,
            None => Vec::new(),
        };
        let sender = tx.recover_signer().map_err(|_| Refusal::BadSignature)?;
        Ok(Self { tx: Recovered::new_unchecked(tx, sender), blobs })
    }

    /// Hash of the transaction.
    pub fn hash(&self) -> B256 {
        *self.tx.inner().tx_hash()
    }
}

/// Loads the trusted set-up now instead of with the first blob.
pub fn warm_up_kzg() {
    c_kzg::ethereum_kzg_settings(KZG_PRECOMPUTE);
}

fn split(raw: &[u8]) -> Result<(Tx, Option<BlobTransactionSidecarVariant>), Refusal> {
    let malformed =
        |error: alloy_eips::eip2718::Eip2718Error| Refusal::Malformed(error.to_string());
    let networked = match Networked::decode_2718_exact(raw) {
        Ok(networked) => networked,
        Err(error) if raw.first() == Some(&3) => {
            let bare = Tx::decode_2718_exact(raw).is_ok();
            return Err(if bare { Refusal::NoSidecar } else { malformed(error) });
        }
        Err(error) => return Err(malformed(error)),
    };
    Ok(match networked {
        EthereumTxEnvelope::Legacy(tx) => (tx.into(), None),
        EthereumTxEnvelope::Eip2930(tx) => (tx.into(), None),
        EthereumTxEnvelope::Eip1559(tx) => (tx.into(), None),
        EthereumTxEnvelope::Eip7702(tx) => (tx.into(), None),
        EthereumTxEnvelope::Eip4844(signed) => {
            let (tx, signature, hash) = signed.into_parts();
            let (tx, sidecar) = tx.into_parts();
            let signed = alloy_consensus::Signed::new_unchecked(tx, signature, hash);
            (signed.into(), Some(sidecar))
        }
    })
}

/// What bounds the work of verifying the rest. Rules are checked by the executor.
fn check_size(tx: &Tx) -> Result<(), Refusal> {
    let size = tx.encode_2718_len();
    if size > TX_BYTES_MAX {
        return Err(Refusal::Oversized { size, limit: TX_BYTES_MAX });
    }
    let (have, max) = (blob_hashes(tx).len(), BLOBS.max_blobs_per_tx);
    if have as u64 > max {
        return Err(Refusal::TooManyBlobs { have, max });
    }
    Ok(())
}

fn verified(
    tx: &Tx,
    sidecar: &BlobTransactionSidecarVariant,
) -> Result<Vec<(B256, Arc<StoredBlob>)>, Refusal> {
    let hashes = blob_hashes(tx);
    if sidecar.blobs().len() != hashes.len() {
        return Err(Refusal::BadSidecar(format!(
            "{} blobs for {} versioned hashes",
            sidecar.blobs().len(),
            hashes.len()
        )));
    }
    sidecar
        .validate(hashes, c_kzg::ethereum_kzg_settings(KZG_PRECOMPUTE))
        .map_err(|error| Refusal::BadSidecar(error.to_string()))?;
    let blobs = sidecar.blobs().iter().map(|blob| Arc::new(StoredBlob::new(blob)));
    Ok(hashes.iter().copied().zip(blobs).collect())
}
