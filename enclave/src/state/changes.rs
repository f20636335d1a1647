//! A batch of changes to the world state, and applying it.

use super::{Account, State, StateError, slot_key};
use crate::{
    executor::Code,
    trie::{self, EMPTY_CODE_HASH, EMPTY_ROOT, NodeStore},
};
use alloy_primitives::{
    Address, B256, Bytes, U256, keccak256,
    map::{AddressMap, B256Map},
};

/// What a block, or a genesis allocation, does to the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The changed accounts.
    pub accounts: AddressMap<AccountChange>,
    /// Code deployed, by keccak256.
    pub codes: B256Map<Bytes>,
}

/// What becomes of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountChange {
    /// The account and its storage are gone.
    Destroyed,
    /// The account exists with these values.
    Updated(AccountUpdate),
}

/// The new values of an account. One that is empty by EIP-161 is removed instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountUpdate {
    /// New nonce.
    pub nonce: u64,
    /// New balance in wei.
    pub balance: U256,
    /// keccak256 of the code the account now has.
    pub code_hash: B256,
    /// Forget all earlier storage first: the account was created anew.
    pub wipe_storage: bool,
    /// Storage words that changed; zero deletes.
    pub storage: Vec<(U256, U256)>,
}

impl Default for AccountUpdate {
    fn default() -> Self {
        Self {
            nonce: 0,
            balance: U256::ZERO,
            code_hash: EMPTY_CODE_HASH,
            wipe_storage: false,
            storage: Vec::new(),
        }
    }
}

/// The result of applying changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The new state root.
    pub root: B256,
    /// What the store must hold from now on: new trie nodes and codes, by keccak256.
    pub nodes: Vec<(B256, Bytes)>,
}

impl Changes {
    /// Sets an account; for genesis allocations and tests. Code is hashed here.
    pub fn set(&mut self, address: Address, mut update: AccountUpdate, code: Bytes) {
        if !code.is_empty() {
            update.code_hash = keccak256(&code);
            self.codes.insert(update.code_hash, code);
        }
        self.accounts.insert(address, AccountChange::Updated(update));
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }
}

/// What whoever made the changes already knows of the state that they are applied to: it need not be hashed and read
/// again. `None` where nothing is known.
pub trait Known {
    /// The key of an account that exists, and its storage root.
    fn account(&self, address: &Address) -> Option<(B256, B256)>;
    /// The key of a storage word.
    fn slot(&self, address: &Address, slot: &U256) -> Option<B256>;
}

/// Nothing is known.
impl Known for () {
    fn account(&self, _: &Address) -> Option<(B256, B256)> {
        None
    }

    fn slot(&self, _: &Address, _: &U256) -> Option<B256> {
        None
    }
}

impl<S: NodeStore> State<'_, S> {
    /// Applies changes on top of this state. Nothing is written: the caller stores [`Applied::nodes`].
    pub fn apply(&self, changes: &Changes) -> Result<Applied, StateError> {
        self.apply_to_known(changes, &())
    }

    /// [`Self::apply`] with less work.
    pub fn apply_to_known(
        &self,
        changes: &Changes,
        known: &impl Known,
    ) -> Result<Applied, StateError> {
        let mut nodes = Vec::new();
        let mut accounts = Vec::with_capacity(changes.accounts.len());
        for (address, change) in &changes.accounts {
            let before = known.account(address);
            let key = before.map_or_else(|| keccak256(address), |(key, _)| key);
            let value = match change {
                AccountChange::Destroyed => None,
                AccountChange::Updated(update) => {
                    let storage_root = match before {
                        _ if update.wipe_storage => EMPTY_ROOT,
                        Some((_, storage_root)) => storage_root,
                        None => self.account_at(key)?.unwrap_or_default().storage_root,
                    };
                    let key =
                        |slot: &U256| known.slot(address, slot).unwrap_or_else(|| slot_key(*slot));
                    self.updated(storage_root, update, key, &mut nodes)?
                }
            };
            accounts.push((key, value));
        }
        let root = trie::update(self.store, self.cache, self.root, accounts, &mut nodes)?;
        for (hash, code) in &changes.codes {
            self.cache.put_code(*hash, Code::new(code.clone()));
            nodes.push((*hash, code.clone()));
        }
        Ok(Applied { root, nodes })
    }

    /// The account's new RLP, its storage updated; `None` if EIP-161 removes it.
    fn updated(
        &self,
        storage_root: B256,
        update: &AccountUpdate,
        key: impl Fn(&U256) -> B256,
        nodes: &mut Vec<(B256, Bytes)>,
    ) -> Result<Option<Bytes>, StateError> {
        let mut account = Account {
            nonce: update.nonce,
            balance: update.balance,
            storage_root,
            code_hash: update.code_hash,
        };
        if account.is_empty() {
            return Ok(None);
        }
        if !update.storage.is_empty() {
            let words = update.storage.iter().map(|(slot, word)| (key(slot), encode(word)));
            account.storage_root =
                trie::update(self.store, self.cache, storage_root, words, nodes)?;
        }
        Ok(Some(alloy_rlp::encode(account).into()))
    }
}

/// A storage word as the trie holds it; zero is absence.
fn encode(word: &U256) -> Option<Bytes> {
    (!word.is_zero()).then(|| alloy_rlp::encode_fixed_size(word).to_vec().into())
}
