//! Merkle proofs of accounts and storage, as `eth_getProof` returns them (EIP-1186).

use super::{Account, State, StateError, slot_key};
use crate::trie::{self, NodeStore};
use alloy_primitives::{Address, Bytes, U256, keccak256};

/// Storage slots in one proof at most.
pub const MAX_PROOF_SLOTS: usize = 1024;

/// Proof of one account (or of its absence) and some of its storage against a state root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// Whose.
    pub address: Address,
    /// The account; `None` is what the proof then shows.
    pub account: Option<Account>,
    /// Nodes from the state root to `keccak256(address)`.
    pub nodes: Vec<Bytes>,
    /// One proof per requested slot, in the order of the request.
    pub storage: Vec<StorageProof>,
}

/// Proof of one storage word against the account's storage root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageProof {
    /// Which.
    pub slot: U256,
    /// Its word; zero if absent.
    pub value: U256,
    /// Nodes from the storage root to the hashed slot; none if the storage is empty.
    pub nodes: Vec<Bytes>,
}

impl<S: NodeStore> State<'_, S> {
    /// Proves an account and up to [`MAX_PROOF_SLOTS`] of its storage slots.
    pub fn proof(&self, address: Address, slots: &[U256]) -> Result<AccountProof, StateError> {
        if slots.len() > MAX_PROOF_SLOTS {
            return Err(StateError::TooManySlots(slots.len()));
        }
        let key = keccak256(address);
        let account = self.account_at(key)?;
        let nodes = trie::prove(self.store, self.cache, self.root, key)?;
        let storage = slots
            .iter()
            .map(|slot| self.storage_proof(&account.unwrap_or_default(), *slot))
            .collect::<Result<_, _>>()?;
        Ok(AccountProof { address, account, nodes, storage })
    }

    fn storage_proof(&self, account: &Account, slot: U256) -> Result<StorageProof, StateError> {
        Ok(StorageProof {
            slot,
            value: self.storage_in(account.storage_root, slot)?,
            nodes: trie::prove(self.store, self.cache, account.storage_root, slot_key(slot))?,
        })
    }
}
