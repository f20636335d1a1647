//! What is fixed when an embedded L1 is created: identity, funded accounts, limits and parameters.
//!
//! Knows nothing of blocks, sockets or the clock. The same [`Config`] always yields the same
//! genesis hash.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};

/// Block gas limit of mainnet since November 2025.
pub const GAS_LIMIT: u64 = 60_000_000;

/// Base fee of the genesis block, wei (EIP-1559).
pub const INITIAL_BASE_FEE: u64 = 1_000_000_000;

/// Chain id of the embedded L1 unless configured otherwise.
pub const CHAIN_ID: u64 = 1337;

/// Blocks below the head that the `safe` tag names.
pub const SAFE_DEPTH: u64 = 32;

/// Blocks below the head that the `finalized` tag names; no reorganisation goes below it.
pub const FINALIZED_DEPTH: u64 = 64;

/// Blocks below the head whose state can be read.
pub const STATE_DEPTH: u64 = 4_096;

/// Bytes of blobs kept in memory, trailing zeros not counted.
pub const BLOB_BYTES_MAX: usize = 128 << 20;

/// An account that exists in the genesis block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenesisAccount {
    /// Balance in wei.
    pub balance: U256,
    /// Nonce.
    pub nonce: u64,
    /// Deployed code; empty for an ordinary account.
    pub code: Bytes,
    /// Storage, slot to value.
    pub storage: BTreeMap<U256, U256>,
}

impl GenesisAccount {
    /// An ordinary account with a balance in wei.
    pub fn funded(balance: U256) -> Self {
        Self { balance, ..Self::default() }
    }

    /// A contract as a deployment would leave it: nonce 1 (EIP-161).
    pub fn contract(code: Bytes) -> Self {
        Self { nonce: 1, code, ..Self::default() }
    }
}

/// Everything that determines the genesis block and the rules after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Timestamp of the genesis block, seconds since 1970.
    pub genesis_timestamp: u64,
    /// Accounts of the genesis block, besides the system contracts.
    pub alloc: BTreeMap<Address, GenesisAccount>,
    /// Gas limit of every block.
    pub gas_limit: u64,
    /// Base fee of the genesis block, wei.
    pub initial_base_fee: u64,
    /// Seed of `prevRandao` and of the beacon roots.
    pub seed: B256,
    /// Receiver of priority fees.
    pub beneficiary: Address,
    /// Depth of the `safe` tag, blocks.
    pub safe_depth: u64,
    /// Depth of the `finalized` tag, blocks.
    pub finalized_depth: u64,
    /// Blocks below the head whose state is kept; never fewer than down to the finalised one.
    pub state_depth: u64,
    /// Bytes of blobs kept in memory; older ones are dropped first. A chain file has them all.
    pub blob_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            chain_id: CHAIN_ID,
            genesis_timestamp: 1_767_225_600,
            alloc: BTreeMap::new(),
            gas_limit: GAS_LIMIT,
            initial_base_fee: INITIAL_BASE_FEE,
            seed: keccak256(b"obscuro embedded l1"),
            beneficiary: Address::with_last_byte(0xee),
            safe_depth: SAFE_DEPTH,
            finalized_depth: FINALIZED_DEPTH,
            state_depth: STATE_DEPTH,
            blob_bytes_max: BLOB_BYTES_MAX,
        }
    }
}

impl Config {
    /// Adds accounts that each start with `balance` wei.
    pub fn fund(mut self, accounts: impl IntoIterator<Item = Address>, balance: U256) -> Self {
        for address in accounts {
            self.alloc.insert(address, GenesisAccount::funded(balance));
        }
        self
    }
}
