//! Viewing keys: how an account lets a gateway read for it (protocol 8.1). The account signs, once
//! and with an ordinary wallet (EIP-712), a viewing key; the viewing key signs each session. Not
//! here: what may be read, which is the enclave's to decide.

use crate::{limits::AUTHORISATIONS_MAX, rollup::recover};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_sol_types::{Eip712Domain, SolStruct, SolValue, eip712_domain, sol};
use serde::{Deserialize, Serialize};

sol! {
    /// What an account's wallet shows and signs.
    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ViewingKey {
        /// The account whose data may be read.
        address account;
        /// The address of the key that may read it.
        address viewingKey;
        /// Until when, seconds since 1970.
        uint64 expiresAt;
    }
}

/// An authorisation that does not hold.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ViewingError {
    /// More than [`AUTHORISATIONS_MAX`] accounts.
    #[error("too many viewing keys in one request")]
    TooMany,
    /// The session or an authorisation has run out.
    #[error("viewing key or session expired")]
    Expired,
    /// A signature is not the account's or the viewing key's.
    #[error("viewing key is not signed by its account")]
    Signature,
}

impl ViewingKey {
    /// The EIP-712 domain: the L2 chain, so that wallets show the right network.
    pub fn domain(l2_chain_id: u64) -> Eip712Domain {
        eip712_domain! { name: "Obscuro", version: "1", chain_id: l2_chain_id, }
    }

    /// What the account signs.
    pub fn signing_hash(&self, l2_chain_id: u64) -> B256 {
        self.eip712_signing_hash(&Self::domain(l2_chain_id))
    }
}

/// A viewing key with its account's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorisation {
    /// What was signed.
    pub key: ViewingKey,
    /// The account's 65-byte signature.
    pub signature: Bytes,
}

/// What a viewing key signs to bind a session to itself.
pub fn session_digest(session: B256, config_hash: B256, expires_at: u64) -> B256 {
    keccak256((keccak256("Obscuro session v1"), session, config_hash, expires_at).abi_encode())
}

/// Accounts that one session may read, and the proof of it. All authorisations name the same
/// viewing key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// One per account.
    pub authorisations: Vec<Authorisation>,
    /// Until when the session binding holds, seconds since 1970.
    pub expires_at: u64,
    /// The viewing key's signature over [`session_digest`]; empty without authorisations.
    pub signature: Bytes,
}

impl Credentials {
    /// The accounts that may be read in this session at this time; `now` is verified L1 time.
    pub fn verify(
        &self,
        session: B256,
        config_hash: B256,
        l2_chain_id: u64,
        now: u64,
    ) -> Result<Vec<Address>, ViewingError> {
        let Some(first) = self.authorisations.first() else {
            return Ok(Vec::new());
        };
        if self.authorisations.len() > AUTHORISATIONS_MAX {
            return Err(ViewingError::TooMany);
        }
        if self.expires_at <= now {
            return Err(ViewingError::Expired);
        }
        let digest = session_digest(session, config_hash, self.expires_at);
        if recover(&digest, &self.signature) != Some(first.key.viewingKey) {
            return Err(ViewingError::Signature);
        }
        self.authorisations
            .iter()
            .map(|a| a.verify(first.key.viewingKey, l2_chain_id, now))
            .collect()
    }
}

impl Authorisation {
    fn verify(
        &self,
        viewing_key: Address,
        l2_chain_id: u64,
        now: u64,
    ) -> Result<Address, ViewingError> {
        if self.key.expiresAt <= now {
            return Err(ViewingError::Expired);
        }
        let signer = recover(&self.key.signing_hash(l2_chain_id), &self.signature);
        if self.key.viewingKey != viewing_key || signer != Some(self.key.account) {
            return Err(ViewingError::Signature);
        }
        Ok(self.key.account)
    }
}
