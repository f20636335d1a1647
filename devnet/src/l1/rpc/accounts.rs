//! The state: accounts, storage, proofs.
//!
//! What is needed is taken from the chain under its lock; reading happens outside.

use std::sync::Arc;

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, U64, U256};
use alloy_rpc_types_eth::{AccountInfo, EIP1186AccountProofResponse, EIP1186StorageProof};
use alloy_serde::JsonStorageKey;
use obscuro_enclave::{
    executor::BlockEnv,
    state::{Account, State, StateError},
    store::MemoryStore,
};

use super::{
    Args, Registered, Table,
    errors::{self, Reply},
};
use crate::l1::{build, server::Shared, world::World};

pub(super) fn register(table: &mut Table) -> Registered {
    table.quick("eth_getTransactionCount", transaction_count)?;
    table.quick("eth_getBalance", |shared, args| {
        let address: Address = args.next()?;
        let view = View::read(shared, args)?;
        Ok(view.account(address)?.balance)
    })?;
    table.quick("eth_getCode", |shared, args| {
        let address: Address = args.next()?;
        let view = View::read(shared, args)?;
        view.world.code(view.root, address).map_err(errors::state)
    })?;
    table.quick("eth_getStorageAt", |shared, args| {
        let (address, slot): (Address, JsonStorageKey) = (args.next()?, args.next()?);
        let view = View::read(shared, args)?;
        let word = view.state().storage(address, slot.as_b256().into()).map_err(errors::state)?;
        Ok(B256::from(word))
    })?;
    table.quick("eth_getAccountInfo", |shared, args| {
        let address: Address = args.next()?;
        let view = View::read(shared, args)?;
        let account = view.account(address)?;
        let code = view.state().code(account.code_hash).map_err(errors::state)?;
        Ok(AccountInfo { balance: account.balance, nonce: account.nonce, code })
    })?;
    table.heavy("eth_getProof", proof)
}

/// The state after one block, and the parameters that calls on it see.
pub(super) struct View {
    pub world: Arc<World>,
    pub root: B256,
    pub env: BlockEnv,
    pub hashes: Vec<(u64, B256)>,
}

impl View {
    /// The block that the next argument names, the head by default.
    pub fn read(shared: &Shared, args: &mut Args<'_>) -> Reply<Self> {
        let id: Option<BlockId> = args.optional()?;
        Self::at(shared, id.unwrap_or_default())
    }

    fn at(shared: &Shared, id: BlockId) -> Reply<Self> {
        let now = shared.now();
        shared.with_chain(|chain| {
            let block = chain.resolve(id).ok_or_else(errors::no_block)?.clone();
            if !chain.has_state(&block) {
                let number = block.number();
                return Err(errors::server(format!(
                    "state of block {number} is not kept any more"
                )));
            }
            let (env, hashes) = if id == BlockId::Number(BlockNumberOrTag::Pending) {
                chain.next_environment(now)
            } else {
                let hashes = chain.recent_hashes(&block.header.parent_hash);
                (build::environment_of(chain.config(), &block.header), hashes)
            };
            let world = chain.world().clone();
            Ok(Self { world, root: block.header.state_root, env, hashes })
        })
    }

    fn state(&self) -> State<'_, MemoryStore> {
        self.world.state(self.root)
    }

    fn account(&self, address: Address) -> Reply<Account> {
        self.world.account(self.root, address).map_err(errors::state)
    }
}

fn transaction_count(shared: &Shared, args: &mut Args<'_>) -> Reply<U64> {
    let address: Address = args.next()?;
    let id: BlockId = args.optional()?.unwrap_or_default();
    if id == BlockId::Number(BlockNumberOrTag::Pending) {
        let nonce = shared.with_chain(|chain| chain.pending_nonce(address));
        return Ok(U64::from(nonce.map_err(errors::state)?));
    }
    Ok(U64::from(View::at(shared, id)?.account(address)?.nonce))
}

fn proof(shared: &Shared, args: &mut Args<'_>) -> Reply<EIP1186AccountProofResponse> {
    let (address, keys): (Address, Vec<JsonStorageKey>) = (args.next()?, args.next()?);
    let view = View::read(shared, args)?;
    let slots: Vec<U256> = keys.iter().map(|key| key.as_b256().into()).collect();
    let proof = view.state().proof(address, &slots).map_err(|error| match error {
        error @ StateError::TooManySlots(_) => errors::invalid(error.to_string()),
        error => errors::state(error),
    })?;
    let account = proof.account.unwrap_or_default();
    let storage = keys.into_iter().zip(proof.storage);
    Ok(EIP1186AccountProofResponse {
        address,
        balance: account.balance,
        code_hash: account.code_hash,
        nonce: account.nonce,
        storage_hash: account.storage_root,
        account_proof: proof.nodes,
        storage_proof: storage
            .map(|(key, slot)| EIP1186StorageProof::new(key, slot.value, slot.nodes))
            .collect(),
    })
}
