//! Forced transactions (protocol 6.6): one signed transaction, sealed by its user to the network key
//! and posted to L1 (`RollupManagement.forceTransaction`), where no host can withhold it.
//!
//! ```text
//! version u8 | epoch u32 | encapsulation | ciphertext of the padded transaction
//! ```
//!
//! HPKE (RFC 9180) with X-Wing, in base mode, once. `info` is a label of its own, the config hash,
//! version and epoch: the envelope is no user request, and opens in no other network. It says to which
//! epoch's network key it is sealed, so that junk costs an enclave one decapsulation at most. It is
//! not bound to who posts it: posted twice, the second finds its nonce used. Not here: when a forced
//! transaction is due and what becomes of it (the enclave's `ledger`).

use crate::{
    envelope::{self, EnvelopeError},
    keys::{KEM_ENCAPSULATION_BYTES, KemPrivateKey, KemPublicKey, LABEL_FORCED},
    limits::{FORCED_ENVELOPE_BYTES_MAX, FORCED_TRANSACTION_BYTES_MAX},
    padding::{self, PADDED_BYTES_MIN},
};
use alloy_primitives::B256;
use rand_core::CryptoRng;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 5;
const TAG_BYTES: usize = 16;
const ENVELOPE_BYTES_MIN: usize =
    HEADER_BYTES + KEM_ENCAPSULATION_BYTES + PADDED_BYTES_MIN + TAG_BYTES;

/// Seals a signed transaction (EIP-2718 encoding, at most [`FORCED_TRANSACTION_BYTES_MAX`]) to the
/// network key of an epoch, counted from 1.
pub fn seal(
    network_key: &KemPublicKey,
    epoch: u32,
    config_hash: B256,
    transaction: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, EnvelopeError> {
    if transaction.len() > FORCED_TRANSACTION_BYTES_MAX {
        return Err(EnvelopeError::Malformed);
    }
    let header = [&[VERSION], epoch.to_be_bytes().as_slice()].concat();
    let info = info(config_hash, &header);
    let sealed = envelope::seal_once(network_key, &info, &padding::pad(transaction), rng)?;
    Ok([header, sealed].concat())
}

/// An envelope of the right form; whether it opens is another matter.
pub struct ForcedEnvelope<'a> {
    header: &'a [u8],
    sealed: &'a [u8],
    /// The epoch to whose network key it says it is sealed.
    pub epoch: u32,
}

impl<'a> ForcedEnvelope<'a> {
    /// Splits an envelope; `None` if it has not the form.
    pub fn parse(envelope: &'a [u8]) -> Option<Self> {
        if !(ENVELOPE_BYTES_MIN..=FORCED_ENVELOPE_BYTES_MAX).contains(&envelope.len()) {
            return None;
        }
        let (header, sealed) = envelope.split_at_checked(HEADER_BYTES)?;
        let (&version, epoch) = header.split_first()?;
        let epoch = u32::from_be_bytes(epoch.try_into().ok()?);
        (version == VERSION).then_some(Self { header, sealed, epoch })
    }

    /// The signed transaction, unchecked.
    pub fn open(&self, key: &KemPrivateKey, config_hash: B256) -> Result<Vec<u8>, EnvelopeError> {
        let padded = envelope::open_once(key, &info(config_hash, self.header), self.sealed)?;
        padding::unpad(&padded).map(<[u8]>::to_vec).ok_or(EnvelopeError::Malformed)
    }
}

fn info(config_hash: B256, header: &[u8]) -> Vec<u8> {
    [LABEL_FORCED, config_hash.as_slice(), header].concat()
}
