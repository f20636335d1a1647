//! What hosts tell each other: gossip among aggregators, and requests for content by its hash. Not here:
//! the network (the host's) and who is believed (the enclave's).

use crate::{
    limits::{ANNOUNCEMENT_BYTES_MAX, CONTENT_BYTES_MAX, GOSSIP_BYTES_MAX},
    rollup::{RollupHeader, SignedRollup},
    wire::{self, WireError},
};
use alloy_primitives::{B256, Bytes};
use serde::{Deserialize, Serialize};

/// A message among aggregators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gossip {
    /// User transactions, encrypted under the gossip key: opaque outside an enclave.
    Transactions(Bytes),
    /// A sealed rollup that competes in its round.
    Candidate(Box<Announcement>),
}

/// A candidate without its payload, which whoever needs it asks for by its hash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The header.
    pub header: RollupHeader,
    /// The aggregator's signature, as in [`SignedRollup`].
    pub signature: Bytes,
    /// The proof of the nonce, as in [`SignedRollup`].
    pub lottery_proof: Bytes,
}

impl Announcement {
    /// Announces a rollup.
    pub fn of(rollup: &SignedRollup) -> Self {
        let SignedRollup { header, signature, lottery_proof, .. } = rollup.clone();
        Self { header, signature, lottery_proof }
    }

    /// The rollup, with its payload.
    pub fn with_payload(self, payload: Bytes) -> SignedRollup {
        let Self { header, signature, lottery_proof } = self;
        SignedRollup { header, signature, lottery_proof, payload }
    }
}

impl Gossip {
    /// The wire form.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// From the wire, bounded by [`GOSSIP_BYTES_MAX`], and for candidates by
    /// [`ANNOUNCEMENT_BYTES_MAX`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let message = wire::decode(bytes, GOSSIP_BYTES_MAX)?;
        let (length, limit) = (bytes.len(), ANNOUNCEMENT_BYTES_MAX);
        match message {
            Self::Candidate(_) if length > limit => Err(WireError::TooLong { length, limit }),
            message => Ok(message),
        }
    }
}

/// What a host asks another host for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Wanted {
    /// A rollup's payload, by its keccak256.
    Payload(B256),
    /// A blob, by its versioned hash (EIP-4844).
    Blob(B256),
}

impl Wanted {
    /// Longest wire form, bytes.
    pub const BYTES_MAX: usize = 3 + B256::len_bytes();

    /// The wire form.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// From the wire.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        wire::decode(bytes, Self::BYTES_MAX)
    }
}

/// The answer to [`Wanted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// The content; of a blob, without the zeros at its end.
    Content(Bytes),
    /// It is not here, or this peer has had its share.
    Nothing,
}

impl Found {
    /// The wire form.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// From the wire, bounded by [`CONTENT_BYTES_MAX`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        wire::decode(bytes, CONTENT_BYTES_MAX)
    }
}
