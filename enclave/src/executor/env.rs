//! Block parameters and the fee rule, and how they are told to `revm`.

use alloy_consensus::Transaction;
use alloy_eips::{eip7623::tokens_in_calldata, eip7840::BlobParams};
use alloy_primitives::{Address, B256, U256};
use revm::{
    context::{BlockEnv as RevmBlockEnv, CfgEnv},
    context_interface::{
        block::BlobExcessGasAndPrice,
        cfg::gas_params::{GasId, GasParams},
    },
    primitives::hardfork::SpecId,
};

/// The rules in force.
pub(super) const SPEC: SpecId = SpecId::OSAKA;

/// Blob target, limit and price schedule in force.
const BLOBS: BlobParams = BlobParams::osaka();

/// Excess blob gas beyond which the price no longer rises: e^50 wei per unit, which nobody can pay. EIP-4844's
/// exponential would overflow soon after.
const MAX_EXCESS_BLOB_GAS: u64 = 50 * BLOBS.update_fraction as u64;

/// The parameters of a block that execution can see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockEnv {
    /// Chain id that transactions must be signed for.
    pub chain_id: u64,
    /// Block number.
    pub number: u64,
    /// Seconds since 1970.
    pub timestamp: u64,
    /// `block.coinbase`; receives priority fees under [`FeeRule::Ethereum`].
    pub beneficiary: Address,
    /// Gas all transactions together may use.
    pub gas_limit: u64,
    /// Wei per gas.
    pub base_fee: u64,
    /// `block.prevrandao`.
    pub prevrandao: B256,
    /// Excess blob gas (EIP-4844); `None`: this chain has no blobs and rejects blob transactions.
    pub excess_blob_gas: Option<u64>,
    /// Who pays what to whom.
    pub fees: FeeRule,
}

/// Who pays what to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeeRule {
    /// Ethereum: the base fee is burnt, the priority fee goes to the beneficiary.
    Ethereum,
    /// Obscuro: everybody pays exactly `gas used × base fee` whatever priority fee was offered (protocol 6.4,
    /// 10.2). All of it is credited to this pool address when the block is finished. Also marks the L2, where
    /// programs cannot read the balances of others (protocol 8.1).
    Pool {
        /// The pool.
        address: Address,
        /// What a token of a transaction's data costs in gas beyond what it costs on Ethereum (protocol 10.2,
        /// EIP-7623).
        data_gas_per_token: u64,
    },
}

/// The price of one unit of blob gas for a block with this excess blob gas (EIP-4844).
pub fn blob_base_fee(excess_blob_gas: u64) -> u128 {
    blob_price(excess_blob_gas).blob_gasprice
}

/// The excess blob gas of the block after one with these header fields (EIP-4844, EIP-7918).
pub fn next_excess_blob_gas(excess_blob_gas: u64, blob_gas_used: u64, base_fee: u64) -> u64 {
    let excess = excess_blob_gas.min(MAX_EXCESS_BLOB_GAS);
    let used = blob_gas_used.min(BLOBS.max_blob_gas_per_block());
    BLOBS.next_block_excess_blob_gas_osaka(excess, used, base_fee)
}

fn blob_price(excess_blob_gas: u64) -> BlobExcessGasAndPrice {
    BlobExcessGasAndPrice::new(
        excess_blob_gas.min(MAX_EXCESS_BLOB_GAS),
        BLOBS.update_fraction as u64,
    )
}

impl BlockEnv {
    /// Blob gas all transactions together may use.
    pub fn max_blob_gas(&self) -> u64 {
        self.excess_blob_gas.map_or(0, |_| BLOBS.max_blob_gas_per_block())
    }

    /// The block environment. Chains without blobs show the price of an excess of zero to `BLOBBASEFEE`.
    pub(super) fn revm(&self) -> RevmBlockEnv {
        RevmBlockEnv {
            number: U256::from(self.number),
            beneficiary: self.beneficiary,
            timestamp: U256::from(self.timestamp),
            gas_limit: self.gas_limit,
            basefee: self.base_fee,
            difficulty: U256::ZERO,
            prevrandao: Some(self.prevrandao),
            blob_excess_gas_and_price: Some(blob_price(self.excess_blob_gas.unwrap_or_default())),
            slot_num: 0,
        }
    }

    /// The chain configuration.
    pub(super) fn revm_cfg(&self) -> CfgEnv {
        let mut cfg = CfgEnv::new_with_spec(SPEC).with_chain_id(self.chain_id);
        cfg.set_max_blobs_per_tx(BLOBS.max_blobs_per_tx);
        if let FeeRule::Pool { data_gas_per_token, .. } = self.fees {
            charge_alike(&mut cfg.gas_params);
            if data_gas_per_token > 0 {
                charge_for_data(&mut cfg.gas_params, data_gas_per_token);
            }
        }
        cfg
    }

    /// Gas that a transaction is charged for its data.
    pub(super) fn data_gas<T: Transaction>(&self, tx: &T) -> u64 {
        let FeeRule::Pool { data_gas_per_token: per_token @ 1.., .. } = self.fees else { return 0 };
        let Besides { addresses, slots, authorizations } = Besides::of(tx);
        tokens_in_calldata(tx.input())
            .saturating_add(addresses * ADDRESS_TOKENS)
            .saturating_add(slots * SLOT_TOKENS)
            .saturating_add(authorizations * AUTHORIZATION_TOKENS)
            .saturating_mul(per_token)
    }

    /// What transactions need in this block before anything runs.
    pub fn intrinsic_gas(&self) -> IntrinsicGas {
        IntrinsicGas(self.revm_cfg().gas_params)
    }
}

/// The gas that a transaction must allow at least (EIP-2028, EIP-7623 and what follows from [`FeeRule::Pool`]).
#[derive(Debug)]
pub struct IntrinsicGas(GasParams);

impl IntrinsicGas {
    /// That of this transaction.
    pub fn of<T: Transaction>(&self, tx: &T) -> u64 {
        let Besides { addresses, slots, authorizations } = Besides::of(tx);
        let (input, is_create) = (tx.input(), tx.kind().is_create());
        let gas = self.0.initial_tx_gas(input, is_create, addresses, slots, authorizations, None);
        gas.initial_regular_gas.max(gas.floor_gas)
    }
}

/// How much a transaction carries besides call data.
struct Besides {
    addresses: u64,
    slots: u64,
    authorizations: u64,
}

impl Besides {
    fn of<T: Transaction>(tx: &T) -> Self {
        let list = tx.access_list().map_or(&[][..], |list| &list.0);
        Self {
            addresses: list.len() as u64,
            slots: list.iter().map(|item| item.storage_keys.len() as u64).sum(),
            authorizations: tx.authorization_list().map_or(0, <[_]>::len) as u64,
        }
    }
}

/// Tokens of what a transaction may carry besides call data, by the lengths of their encodings: a plain transfer
/// has none of it.
const ADDRESS_TOKENS: u64 = 4 * 20;
const SLOT_TOKENS: u64 = 4 * 32;
const AUTHORIZATION_TOKENS: u64 = 4 * 100;

/// Makes it cost the same to pay an account that exists and one that does not: on Ethereum, the difference tells
/// anybody who runs a program which of them it is. A plain transfer has never made one.
fn charge_alike(gas: &mut GasParams) {
    gas.override_gas([
        (GasId::new_account_cost(), 0),
        (GasId::new_account_cost_for_selfdestruct(), 0),
    ]);
}

/// Makes data dearer: also where it is charged the least that EIP-7623 allows.
fn charge_for_data(gas: &mut GasParams, per_token: u64) {
    let dearer = [
        (GasId::tx_token_cost(), 1),
        (GasId::tx_floor_cost_per_token(), 1),
        (GasId::tx_access_list_address_cost(), ADDRESS_TOKENS),
        (GasId::tx_access_list_storage_key_cost(), SLOT_TOKENS),
        (GasId::tx_eip7702_regular_gas(), AUTHORIZATION_TOKENS),
    ];
    let costs = dearer
        .map(|(id, tokens)| (id, gas.get(id).saturating_add(per_token.saturating_mul(tokens))));
    gas.override_gas(costs);
}
