//! What aggregators tell each other. Not here: the network (the host's) and who is believed (the
//! enclave's).

use crate::{limits::GOSSIP_BYTES_MAX, rollup::SignedRollup, wire};
use alloy_primitives::Bytes;
use serde::{Deserialize, Serialize};

/// A message among aggregators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gossip {
    /// User transactions, encrypted under the gossip key: opaque outside an enclave.
    Transactions(Bytes),
    /// A sealed rollup that competes in its round.
    Candidate(Box<SignedRollup>),
}

impl Gossip {
    /// The wire form.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// From the wire, bounded by [`GOSSIP_BYTES_MAX`].
    pub fn decode(bytes: &[u8]) -> Result<Self, wire::WireError> {
        wire::decode(bytes, GOSSIP_BYTES_MAX)
    }
}
