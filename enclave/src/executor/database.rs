//! What `revm` reads the state through: one block's view, which remembers what it read so that the changes of
//! the block can be told apart at its end.

use super::Fatal;
use crate::{
    state::{Account, AccountChange, AccountUpdate, Changes, Known, State, StateError, slot_key},
    trie::{EMPTY_CODE_HASH, NodeStore},
};
use alloy_primitives::{
    Address, B256, U256, keccak256,
    map::{AddressMap, HashMap, hash_map::Entry},
};
use revm::{
    Database,
    context_interface::DBErrorMarker,
    state::{Account as Touched, AccountId, AccountInfo, Bytecode, EvmState},
};

impl DBErrorMarker for StateError {}

/// Block hashes by number; `None` reads as zero.
pub(super) type BlockHashes<'a> = Box<dyn Fn(u64) -> Result<Option<B256>, StateError> + 'a>;

/// What a source of block hashes may answer: a hash that is at hand, or one that had to be read and could not.
///
/// A source that reads from the host must pass its error on. Answering `None` instead would let the host decide what
/// `BLOCKHASH` returns.
pub trait BlockHashAnswer {
    /// The answer, or why there is none; an error is fatal for the block.
    fn into_result(self) -> Result<Option<B256>, StateError>;
}

impl BlockHashAnswer for Option<B256> {
    fn into_result(self) -> Result<Option<B256>, StateError> {
        Ok(self)
    }
}

impl<E: Into<StateError>> BlockHashAnswer for Result<Option<B256>, E> {
    fn into_result(self) -> Result<Option<B256>, StateError> {
        self.map_err(Into::into)
    }
}

/// Any answering function in the one form used here.
pub(super) fn block_hashes<'a, A: BlockHashAnswer>(
    source: impl Fn(u64) -> A + 'a,
) -> BlockHashes<'a> {
    Box::new(move |number| source(number).into_result())
}

/// The state as it was before the block.
pub(super) struct BlockState<'a, S> {
    state: State<'a, S>,
    block_hashes: BlockHashes<'a>,
    read: Reads,
}

/// What was read of it.
#[derive(Default)]
pub(super) struct Reads {
    /// Accounts that exist, in the order in which they were first read; an [`AccountId`] is an index.
    loaded: Vec<Loaded>,
    /// Every account read: its index, or that it does not exist.
    index: AddressMap<Option<AccountId>>,
}

/// An account as it was before the block, and the words of it that were read, each with its key in its trie.
struct Loaded {
    key: B256,
    account: Account,
    slots: HashMap<U256, (B256, U256)>,
}

impl<'a, S: NodeStore> BlockState<'a, S> {
    pub fn new(state: State<'a, S>, block_hashes: BlockHashes<'a>) -> Self {
        Self { state, block_hashes, read: Reads::default() }
    }

    pub fn state(&self) -> &State<'a, S> {
        &self.state
    }

    pub fn read(&self) -> &Reads {
        &self.read
    }

    /// An account's nonce; zero if there is no account.
    pub fn nonce(&mut self, address: Address) -> Result<u64, StateError> {
        let id = self.load(address)?;
        Ok(id.and_then(|id| self.read.get(id)).map_or(0, |loaded| loaded.account.nonce))
    }

    /// Reads an account once.
    fn load(&mut self, address: Address) -> Result<Option<AccountId>, StateError> {
        let entry = match self.read.index.entry(address) {
            Entry::Occupied(entry) => return Ok(*entry.get()),
            Entry::Vacant(entry) => entry,
        };
        let key = keccak256(address);
        let Some(account) = self.state.account_at(key)? else {
            return Ok(*entry.insert(None));
        };
        let id = AccountId::new(self.read.loaded.len());
        self.read.loaded.push(Loaded { key, account, slots: HashMap::default() });
        Ok(*entry.insert(id))
    }

    fn read_slot(&mut self, id: AccountId, slot: U256) -> Result<U256, StateError> {
        let Some(loaded) = self.read.loaded.get_mut(id.get()) else {
            return Ok(U256::ZERO);
        };
        Ok(match loaded.slots.entry(slot) {
            Entry::Occupied(entry) => entry.get().1,
            Entry::Vacant(entry) => {
                let key = slot_key(slot);
                entry.insert((key, self.state.word_at(loaded.account.storage_root, key)?)).1
            }
        })
    }
}

impl Reads {
    /// What the block changed, given the accounts it touched or merely read.
    pub fn changes(&self, accounts: EvmState) -> Result<Changes, Fatal> {
        let mut changes = Changes::default();
        for (address, after) in accounts {
            let before = self.find(&address);
            let Some(change) = change(before, &after) else { continue };
            if let AccountChange::Updated(update) = &change
                && update.code_hash != EMPTY_CODE_HASH
                && before.is_none_or(|before| before.account.code_hash != update.code_hash)
            {
                // Without it the state would name a code that nobody has.
                let code = after.info.code.ok_or_else(|| {
                    Fatal::Evm(format!("the new code of {address} is not at hand"))
                })?;
                changes.codes.insert(update.code_hash, code.original_bytes());
            }
            changes.accounts.insert(address, change);
        }
        Ok(changes)
    }

    fn find(&self, address: &Address) -> Option<&Loaded> {
        self.index.get(address).copied().flatten().and_then(|id| self.get(id))
    }

    fn get(&self, id: AccountId) -> Option<&Loaded> {
        self.loaded.get(id.get())
    }
}

impl Known for Reads {
    fn account(&self, address: &Address) -> Option<(B256, B256)> {
        self.find(address).map(|loaded| (loaded.key, loaded.account.storage_root))
    }

    fn slot(&self, address: &Address, slot: &U256) -> Option<B256> {
        Some(self.find(address)?.slots.get(slot)?.0)
    }
}

impl<S: NodeStore> Database for BlockState<'_, S> {
    type Error = StateError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        let id = self.load(address)?;
        Ok(id.and_then(|id| self.read.get(id)).map(|Loaded { account, .. }| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            account_id: id,
            code: None,
        }))
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, StateError> {
        Ok(self.state.analysed_code(code_hash)?.into_bytecode())
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, StateError> {
        match self.load(address)? {
            Some(id) => self.read_slot(id, slot),
            None => Ok(U256::ZERO),
        }
    }

    fn storage_by_account_id(
        &mut self,
        _address: Address,
        id: AccountId,
        slot: U256,
    ) -> Result<U256, StateError> {
        self.read_slot(id, slot)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, StateError> {
        Ok((self.block_hashes)(number)?.unwrap_or_default())
    }
}

/// How an account differs from what it was before the block; `None` if it does not.
///
/// "Touched" is not asked: the account as it is now is compared with what was read.
fn change(before: Option<&Loaded>, after: &Touched) -> Option<AccountChange> {
    // Destroyed by the last transaction that touched it, or emptied (EIP-161).
    if after.is_selfdestructed_locally() || after.info.is_empty() {
        return before.map(|_| AccountChange::Destroyed);
    }
    let wipe_storage = after.is_created() || after.is_selfdestructed();
    let storage = changed_slots(before.filter(|_| !wipe_storage), after);
    let same = before.is_some_and(|Loaded { account, .. }| {
        !wipe_storage
            && account.nonce == after.info.nonce
            && account.balance == after.info.balance
            && account.code_hash == after.info.code_hash
    });
    if same && storage.is_empty() {
        return None;
    }
    Some(AccountChange::Updated(AccountUpdate {
        nonce: after.info.nonce,
        balance: after.info.balance,
        code_hash: after.info.code_hash,
        wipe_storage,
        storage,
    }))
}

fn changed_slots(before: Option<&Loaded>, after: &Touched) -> Vec<(U256, U256)> {
    let was = |slot: &U256| Some(before?.slots.get(slot)?.1);
    after
        .storage
        .iter()
        .map(|(slot, word)| (*slot, word.present_value))
        .filter(|(slot, word)| was(slot).unwrap_or_default() != *word)
        .collect()
}
