//! Ethereum's world state over the trie: accounts, storage, code, and proofs of them.
//!
//! **Requires** a `NodeStore` and the shared `NodeCache`. **Provides** reads at one root, and a batch of changes
//! that yields the next root with the nodes to store. **Does not provide** execution (see `executor`).

mod changes;
mod proof;
#[cfg(test)]
mod tests;

pub use changes::{AccountChange, AccountUpdate, Applied, Changes, Known};
pub use proof::{AccountProof, MAX_PROOF_SLOTS, StorageProof};

use crate::{
    executor::Code,
    trie::{self, EMPTY_CODE_HASH, EMPTY_ROOT, NodeCache, NodeStore, TrieError},
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::{Decodable, RlpDecodable, RlpEncodable};

/// An account as the trie holds it. Field order is the RLP order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct Account {
    /// Transactions sent, or contracts created by a contract.
    pub nonce: u64,
    /// Balance in wei.
    pub balance: U256,
    /// Root of the account's storage trie.
    pub storage_root: B256,
    /// keccak256 of the code.
    pub code_hash: B256,
}

impl Account {
    /// Whether EIP-161 forbids it to be in the state: no nonce, no balance, no code.
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && self.code_hash == EMPTY_CODE_HASH
    }
}

impl Default for Account {
    fn default() -> Self {
        Self { nonce: 0, balance: U256::ZERO, storage_root: EMPTY_ROOT, code_hash: EMPTY_CODE_HASH }
    }
}

/// Why the state could not be read or changed. Every variant is fatal for the operation, none means "absent".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A node is missing, tampered with, or the store failed.
    #[error(transparent)]
    Trie(#[from] TrieError),
    /// A value in the trie is not an account or a storage word.
    #[error("malformed value in the state trie under {0}")]
    Malformed(B256),
    /// More storage slots than one proof may have.
    #[error("a proof of {0} slots exceeds the limit of {MAX_PROOF_SLOTS}")]
    TooManySlots(usize),
}

/// The world state at one root. Cheap to copy; another root is another `State`.
#[derive(Debug)]
pub struct State<'a, S> {
    store: &'a S,
    cache: &'a NodeCache,
    root: B256,
}

impl<S> Clone for State<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for State<'_, S> {}

impl<'a, S: NodeStore> State<'a, S> {
    /// The state with this root; [`EMPTY_ROOT`] is the state without accounts.
    pub fn new(store: &'a S, cache: &'a NodeCache, root: B256) -> Self {
        Self { store, cache, root }
    }

    /// The state root.
    pub fn root(&self) -> B256 {
        self.root
    }

    /// The same store and cache at another root.
    pub fn at(&self, root: B256) -> Self {
        Self { root, ..*self }
    }

    /// The account at `address`, if it exists.
    pub fn account(&self, address: Address) -> Result<Option<Account>, StateError> {
        self.account_at(keccak256(address))
    }

    /// A storage word; zero where nothing is stored or no account exists.
    pub fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        match self.account(address)? {
            Some(account) => self.storage_in(account.storage_root, slot),
            None => Ok(U256::ZERO),
        }
    }

    /// A storage word of the account with this storage root.
    pub fn storage_in(&self, storage_root: B256, slot: U256) -> Result<U256, StateError> {
        self.word_at(storage_root, slot_key(slot))
    }

    /// The storage word under this key.
    pub(crate) fn word_at(&self, storage_root: B256, key: B256) -> Result<U256, StateError> {
        if storage_root == EMPTY_ROOT {
            return Ok(U256::ZERO);
        }
        let word = trie::read(self.store, self.cache, storage_root, key, decode)?;
        word.unwrap_or(Some(U256::ZERO)).ok_or(StateError::Malformed(key))
    }

    /// The code with this hash.
    pub fn code(&self, code_hash: B256) -> Result<Bytes, StateError> {
        Ok(self.analysed_code(code_hash)?.bytes())
    }

    /// The same, ready to be executed.
    pub(crate) fn analysed_code(&self, code_hash: B256) -> Result<Code, StateError> {
        Ok(trie::code(self.store, self.cache, code_hash)?)
    }

    /// The account under this key, if it exists.
    pub(crate) fn account_at(&self, key: B256) -> Result<Option<Account>, StateError> {
        match trie::read(self.store, self.cache, self.root, key, decode)? {
            Some(Some(account)) => Ok(Some(account)),
            Some(None) => Err(StateError::Malformed(key)),
            None => Ok(None),
        }
    }
}

pub(crate) fn slot_key(slot: U256) -> B256 {
    keccak256(slot.to_be_bytes::<32>())
}

/// A value that must fill `rlp` exactly.
fn decode<T: Decodable>(rlp: &[u8]) -> Option<T> {
    alloy_rlp::decode_exact(rlp).ok()
}
