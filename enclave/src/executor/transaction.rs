//! From a signed transaction to what `revm` executes: the checks geth makes first, the fee rule, and the
//! translation of `revm`'s rejections.

use super::{BlockEnv, FeeRule, Reject};
use alloy_consensus::{Transaction, TxType};
use alloy_eips::{eip4844::DATA_GAS_PER_BLOB, eip7702::constants::PER_EMPTY_ACCOUNT_COST};
use alloy_primitives::{Address, U256};
use revm::{
    context::TxEnv,
    context_interface::{either::Either, result::InvalidTransaction},
};

/// What the block has left.
#[derive(Clone, Copy)]
pub(super) struct Remaining {
    pub gas: u64,
    pub blob_gas: u64,
}

/// A transaction ready to run.
pub(super) struct Prepared {
    pub env: TxEnv,
    pub ty: TxType,
    /// Wei per gas it will pay.
    pub gas_price: u128,
    /// Blob gas it will use.
    pub blob_gas: u64,
}

/// Checks what can be checked without the state and applies the fee rule.
pub(super) fn prepare<T: Transaction>(
    tx: &T,
    sender: Address,
    env: &BlockEnv,
    remaining: Remaining,
) -> Result<Prepared, Reject> {
    let ty = TxType::try_from(tx.ty()).map_err(|_| Reject::UnsupportedType(tx.ty()))?;
    check_gas(tx, env, remaining)?;
    let blob_gas = check_blobs(tx, ty, sender, env, remaining)?;
    check_authorizations(tx, ty)?;
    let (gas_price, tip) = fees(tx, sender, env)?;
    let authorization_list = tx
        .authorization_list()
        .unwrap_or_default()
        .iter()
        .map(|authorization| Either::Right(authorization.clone().into_recovered()))
        .collect();
    let env = TxEnv {
        tx_type: ty as u8,
        caller: sender,
        gas_limit: tx.gas_limit(),
        gas_price: if tip.is_some() { tx_max_fee(tx, env, gas_price) } else { gas_price },
        kind: tx.kind(),
        value: tx.value(),
        data: tx.input().clone(),
        nonce: tx.nonce(),
        chain_id: tx.chain_id(),
        access_list: tx.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: tip,
        blob_hashes: tx.blob_versioned_hashes().unwrap_or_default().to_vec(),
        max_fee_per_blob_gas: tx.max_fee_per_blob_gas().unwrap_or_default(),
        authorization_list,
    };
    Ok(Prepared { env, ty, gas_price, blob_gas })
}

fn check_gas<T: Transaction>(tx: &T, env: &BlockEnv, remaining: Remaining) -> Result<(), Reject> {
    let want = tx.gas_limit();
    if want > env.gas_limit {
        return Err(Reject::AboveBlockLimit { limit: env.gas_limit, want });
    }
    if want > remaining.gas {
        return Err(Reject::BlockFull { remaining: remaining.gas, want });
    }
    match tx.chain_id() {
        Some(have) if have != env.chain_id => Err(Reject::ChainId { have, want: env.chain_id }),
        _ => Ok(()),
    }
}

/// The blob gas the transaction uses.
fn check_blobs<T: Transaction>(
    tx: &T,
    ty: TxType,
    sender: Address,
    env: &BlockEnv,
    remaining: Remaining,
) -> Result<u64, Reject> {
    if ty != TxType::Eip4844 {
        return Ok(0);
    }
    if env.excess_blob_gas.is_none() {
        return Err(Reject::UnsupportedType(ty as u8));
    }
    if tx.kind().is_create() {
        return Err(Reject::CreateNotAllowed);
    }
    let blobs = tx.blob_versioned_hashes().unwrap_or_default().len();
    let want = u64::try_from(blobs).unwrap_or(u64::MAX).saturating_mul(DATA_GAS_PER_BLOB);
    if want > remaining.blob_gas {
        return Err(Reject::BlobsFull { remaining: remaining.blob_gas, want });
    }
    if tx.max_fee_per_blob_gas().unwrap_or_default().checked_mul(want.into()).is_none() {
        return Err(Reject::CostOverflow { address: sender });
    }
    Ok(want)
}

/// Recovering an authority is work: no more of it than the gas limit pays for.
fn check_authorizations<T: Transaction>(tx: &T, ty: TxType) -> Result<(), Reject> {
    if ty != TxType::Eip7702 {
        return Ok(());
    }
    if tx.kind().is_create() {
        return Err(Reject::CreateNotAllowed);
    }
    let count = tx.authorization_list().unwrap_or_default().len();
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    let want = count.saturating_mul(PER_EMPTY_ACCOUNT_COST);
    if want > tx.gas_limit() {
        return Err(Reject::IntrinsicGas { have: tx.gas_limit(), want });
    }
    Ok(())
}

/// The price per gas to be paid and, for transactions that have one, the priority fee.
fn fees<T: Transaction>(
    tx: &T,
    address: Address,
    env: &BlockEnv,
) -> Result<(u128, Option<u128>), Reject> {
    let (max_fee, tip) = (tx.max_fee_per_gas(), tx.max_priority_fee_per_gas());
    if let Some(tip) = tip
        && tip > max_fee
    {
        return Err(Reject::TipAboveFee { address, tip, max_fee });
    }
    if max_fee < u128::from(env.base_fee) {
        return Err(Reject::FeeTooLow { address, max_fee, base_fee: env.base_fee });
    }
    // revm multiplies these in 128 bits.
    if max_fee.checked_mul(tx.gas_limit().into()).is_none() {
        return Err(Reject::CostOverflow { address });
    }
    Ok(match env.fees {
        FeeRule::Ethereum => (tx.effective_gas_price(Some(env.base_fee)), tip),
        FeeRule::Pool { .. } => (env.base_fee.into(), tip.map(|_| 0)),
    })
}

/// The most a dynamic-fee transaction must be able to pay per gas. Under a pool nobody ever pays more than the
/// base fee, so nobody needs to own more.
fn tx_max_fee<T: Transaction>(tx: &T, env: &BlockEnv, gas_price: u128) -> u128 {
    match env.fees {
        FeeRule::Ethereum => tx.max_fee_per_gas(),
        FeeRule::Pool { .. } => gas_price,
    }
}

/// `revm`'s rejection of a transaction.
pub(super) fn rejection(error: InvalidTransaction, tx: &TxEnv, env: &BlockEnv) -> Reject {
    use InvalidTransaction as Invalid;
    let address = tx.caller;
    match error {
        Invalid::NonceTooLow { tx, state } => Reject::NonceTooLow { address, tx, state },
        Invalid::NonceTooHigh { tx, state } => Reject::NonceTooHigh { address, tx, state },
        Invalid::NonceOverflowInTransaction => Reject::NonceMax { address },
        Invalid::LackOfFundForMaxFee { fee, balance } => {
            Reject::InsufficientFunds { address, have: *balance, want: *fee }
        }
        Invalid::OverflowPaymentInTransaction => Reject::CostOverflow { address },
        Invalid::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
            Reject::IntrinsicGas { have: gas_limit, want: initial_gas }
        }
        Invalid::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
            Reject::FloorGas { have: gas_limit, want: gas_floor }
        }
        Invalid::GasPriceLessThanBasefee => {
            Reject::FeeTooLow { address, max_fee: tx.gas_price, base_fee: env.base_fee }
        }
        Invalid::PriorityFeeGreaterThanMaxFee => Reject::TipAboveFee {
            address,
            tip: tx.gas_priority_fee.unwrap_or_default(),
            max_fee: tx.gas_price,
        },
        Invalid::CallerGasLimitMoreThanBlock => {
            Reject::AboveBlockLimit { limit: env.gas_limit, want: tx.gas_limit }
        }
        Invalid::TxGasLimitGreaterThanCap { gas_limit, cap } => {
            Reject::AboveTransactionCap { cap, want: gas_limit }
        }
        Invalid::RejectCallerWithCode => Reject::SenderHasCode { address },
        Invalid::CreateInitCodeSizeLimit => Reject::InitcodeTooLong { size: tx.data.len() },
        Invalid::BlobGasPriceGreaterThanMax { block_blob_gas_price, tx_max_fee_per_blob_gas } => {
            Reject::BlobFeeTooLow {
                address,
                max_fee: tx_max_fee_per_blob_gas,
                base_fee: block_blob_gas_price,
            }
        }
        Invalid::TooManyBlobs { max, have } => Reject::TooManyBlobs { have, max },
        Invalid::EmptyBlobs => Reject::NoBlobs,
        Invalid::BlobVersionNotSupported => Reject::BlobVersion,
        Invalid::EmptyAuthorizationList => Reject::NoAuthorizations,
        other => Reject::Other(other.to_string()),
    }
}

/// Blob fee of a transaction that uses this much blob gas.
pub(super) fn blob_fee(blob_gas: u64, excess_blob_gas: Option<u64>) -> U256 {
    match excess_blob_gas {
        Some(excess) => U256::from(blob_gas) * U256::from(super::blob_base_fee(excess)),
        None => U256::ZERO,
    }
}
