//! The genesis block: funded accounts, and the contracts that Ethereum's rules call or that
//! deployment tools expect.

use std::collections::BTreeMap;

use alloy_consensus::{
    Header,
    constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_WITHDRAWALS},
};
use alloy_eips::{
    eip2935::{HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE},
    eip4788::{BEACON_ROOTS_ADDRESS, BEACON_ROOTS_CODE},
    eip7002::{WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, WITHDRAWAL_REQUEST_PREDEPLOY_CODE},
    eip7251::{CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_CODE},
    eip7685::EMPTY_REQUESTS_HASH,
};
use alloy_primitives::{Address, B256, Bytes, address, bytes, keccak256};
use obscuro_enclave::{
    state::{AccountUpdate, Changes},
    trie::EMPTY_ROOT,
};

use super::{
    block::Block,
    build::BuildError,
    config::{Config, GenesisAccount},
    world::World,
};

/// The deployment proxy that forge and others use for CREATE2.
pub const CREATE2_DEPLOYER: Address = address!("0x4e59b44847b379578588920cA78FbF26c0B4956C");

static CREATE2_DEPLOYER_CODE: Bytes = bytes!(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3"
);

/// Root of the beacon block that carries the execution block with this hash, and
/// `parentBeaconBlockRoot` of that block's children. There is no beacon chain behind it.
pub fn beacon_root(seed: B256, block: B256) -> B256 {
    keccak256([b"beacon".as_slice(), seed.as_slice(), block.as_slice()].concat())
}

/// `prevRandao` of a child of the block with this hash.
pub fn prev_randao(seed: B256, parent: B256) -> B256 {
    keccak256([b"randao".as_slice(), seed.as_slice(), parent.as_slice()].concat())
}

/// Builds the genesis block; its state is put into the world.
///
/// # Errors
/// When the state cannot be built.
pub fn block(config: &Config, world: &World) -> Result<Block, BuildError> {
    let mut changes = Changes::default();
    let mut accounts = BTreeMap::from(system_contracts());
    accounts.extend(config.alloc.clone());
    for (address, account) in accounts {
        let update = AccountUpdate {
            nonce: account.nonce,
            balance: account.balance,
            storage: account.storage.iter().map(|(slot, word)| (*slot, *word)).collect(),
            ..AccountUpdate::default()
        };
        changes.set(address, update, account.code);
    }
    let applied = world.state(EMPTY_ROOT).apply(&changes)?;
    world.insert(applied.nodes);
    Ok(Block::seal(header(config, applied.root), Vec::new(), Vec::new()))
}

fn header(config: &Config, state_root: B256) -> Header {
    Header {
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        state_root,
        gas_limit: config.gas_limit,
        timestamp: config.genesis_timestamp,
        mix_hash: prev_randao(config.seed, B256::ZERO),
        base_fee_per_gas: Some(config.initial_base_fee),
        withdrawals_root: Some(EMPTY_WITHDRAWALS),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(EMPTY_REQUESTS_HASH),
        ..Header::default()
    }
}

fn system_contracts() -> [(Address, GenesisAccount); 5] {
    let contract = |address, code: &Bytes| (address, GenesisAccount::contract(code.clone()));
    [
        contract(HISTORY_STORAGE_ADDRESS, &HISTORY_STORAGE_CODE),
        contract(BEACON_ROOTS_ADDRESS, &BEACON_ROOTS_CODE),
        contract(WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, &WITHDRAWAL_REQUEST_PREDEPLOY_CODE),
        contract(CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, &CONSOLIDATION_REQUEST_PREDEPLOY_CODE),
        contract(CREATE2_DEPLOYER, &CREATE2_DEPLOYER_CODE),
    ]
}
