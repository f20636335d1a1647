//! How a rollup travels to L1: its payload in calldata or in blobs, whichever is cheaper (protocol
//! 7.4). Not here: fees and sending.

use super::fees::Prices;
use alloy_eips::{
    eip4844::{
        DATA_GAS_PER_BLOB, FIELD_ELEMENTS_PER_BLOB,
        builder::{SidecarBuilder, SimpleCoder},
    },
    eip7594::BlobTransactionSidecarEip7594,
    eip7623::{STANDARD_TOKEN_COST, tokens_in_calldata, transaction_floor_cost},
    eip7825::MAX_TX_GAS_LIMIT_OSAKA,
};
use alloy_primitives::Bytes;
use alloy_sol_types::SolCall;
use obscuro_protocol::{
    fees::{BLOB_BURDEN_GAS, PUBLICATION_GAS},
    l1::{IRollupManagement::publishCall, SeedAnswer},
    rollup::SignedRollup,
};
use tracing::info;

/// Largest payload that nodes queue in calldata, bytes: geth takes transactions of up to 128 KiB, and
/// header, signature and fees need some of that.
const CALLDATA_PAYLOAD_BYTES_MAX: usize = 126 * 1024;
/// Precomputation for cell proofs: none. Eight would save a third of their time for 100 MB of memory and
/// another second of loading, and an enclave or an L1 in the same process would load its own again.
const KZG_PRECOMPUTE: u64 = 0;
/// Share of an L1 block that calldata may take: beyond it, inclusion in the next block is unlikely.
const BLOCK_GAS_SHARE: u64 = 2;

/// Which carriers to consider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CarrierPolicy {
    /// Whichever is cheaper.
    #[default]
    Cheapest,
    /// Calldata for whatever fits: where L1 gas costs nothing, as on a development network.
    Calldata,
    /// Blobs for everything, whatever they cost.
    Blobs,
}

/// How a payload travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrying {
    /// In the transaction's calldata.
    Calldata,
    /// In blobs.
    Blobs,
}

/// Chooses for a payload at these prices, on an L1 with this block gas limit.
pub fn choose(
    payload: &[u8],
    prices: &Prices,
    policy: CarrierPolicy,
    block_gas_limit: u64,
) -> Carrying {
    let calldata_gas = calldata_gas(payload);
    let fitting = MAX_TX_GAS_LIMIT_OSAKA.min(block_gas_limit / BLOCK_GAS_SHARE);
    if calldata_gas > fitting || payload.len() > CALLDATA_PAYLOAD_BYTES_MAX {
        return Carrying::Blobs;
    }
    match policy {
        CarrierPolicy::Calldata => return Carrying::Calldata,
        CarrierPolicy::Blobs => return Carrying::Blobs,
        CarrierPolicy::Cheapest => {}
    }
    let gas_price = prices.gas_price();
    let calldata_cost = gas_price.saturating_mul(calldata_gas.into());
    let execution_gas = u128::from(PUBLICATION_GAS + BLOB_BURDEN_GAS);
    let blob_gas = u128::from(DATA_GAS_PER_BLOB) * blob_count(payload.len()) as u128;
    let blob_cost = gas_price
        .saturating_mul(execution_gas)
        .saturating_add(prices.blob_base_fee.saturating_mul(blob_gas));
    if blob_cost < calldata_cost { Carrying::Blobs } else { Carrying::Calldata }
}

/// Gas of publishing a payload in calldata (EIP-7623).
fn calldata_gas(payload: &[u8]) -> u64 {
    let tokens = tokens_in_calldata(payload);
    let standard = PUBLICATION_GAS + STANDARD_TOKEN_COST * tokens;
    standard.max(transaction_floor_cost(tokens))
}

/// Blobs that a payload of this length fills: one field element holds the length, the others 31 bytes
/// each.
fn blob_count(length: usize) -> usize {
    (1 + length.div_ceil(31)).div_ceil(FIELD_ELEMENTS_PER_BLOB as usize)
}

/// The calldata of `publish`; without the payload when that is in blobs.
pub fn publish_input(rollup: &SignedRollup, answers: &[SeedAnswer], carrying: Carrying) -> Bytes {
    let payload = match carrying {
        Carrying::Calldata => rollup.payload.clone(),
        Carrying::Blobs => Bytes::new(),
    };
    let call = publishCall {
        header: rollup.header.clone(),
        signature: rollup.signature.clone(),
        lotteryProof: rollup.lottery_proof.clone(),
        payload,
        answers: answers.to_vec(),
    };
    call.abi_encode().into()
}

/// Loads what [`sidecar`] needs: some seconds, the first time.
pub fn load_setup() -> &'static c_kzg::KzgSettings {
    static ANNOUNCED: std::sync::Once = std::sync::Once::new();
    ANNOUNCED.call_once(|| info!("loading the KZG set-up for blobs"));
    c_kzg::ethereum_kzg_settings(KZG_PRECOMPUTE)
}

/// A payload in blobs, with commitments and cell proofs (EIP-7594): half a second of one processor for
/// each blob.
pub fn sidecar(payload: &[u8]) -> Result<BlobTransactionSidecarEip7594, c_kzg::Error> {
    let settings = load_setup();
    let blobs = SidecarBuilder::<SimpleCoder>::from_slice(payload).take();
    let prove =
        |blob| BlobTransactionSidecarEip7594::try_from_blobs_with_settings(vec![blob], settings);
    let parts: Vec<_> = std::thread::scope(|scope| {
        let proving: Vec<_> =
            blobs.into_iter().map(|blob| scope.spawn(move || prove(blob))).collect();
        proving.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    });
    let mut whole = BlobTransactionSidecarEip7594::new(Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        let panicked = |_| c_kzg::Error::InvalidBytesLength("a proof was not finished".to_owned());
        let part = part.map_err(panicked)??;
        whole.blobs.extend(part.blobs);
        whole.commitments.extend(part.commitments);
        whole.cell_proofs.extend(part.cell_proofs);
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GWEI: u128 = 1_000_000_000;
    const BLOCK_GAS: u64 = 45_000_000;

    fn payload(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i % 255) as u8 + 1).collect()
    }

    #[test]
    fn the_cheaper_one_carries() {
        let at = |base_fee, blob_base_fee| Prices { base_fee, priority_fee: GWEI, blob_base_fee };
        let cases = [
            ("small, blobs at the floor", 1_000, at(20 * GWEI, 1), Carrying::Calldata),
            ("large, blobs at the floor", 100_000, at(20 * GWEI, 1), Carrying::Blobs),
            ("large, blobs as dear as gas", 100_000, at(20 * GWEI, 20 * GWEI), Carrying::Blobs),
            ("large, blobs very dear", 100_000, at(GWEI, 200 * GWEI), Carrying::Calldata),
            ("three blobs", 380_000, at(20 * GWEI, 5 * GWEI), Carrying::Blobs),
        ];
        for (name, length, prices, expected) in cases {
            let chosen = choose(&payload(length), &prices, CarrierPolicy::Cheapest, BLOCK_GAS);
            assert_eq!(chosen, expected, "{name}");
        }
    }

    #[test]
    fn calldata_is_kept_to_what_fits() {
        let prices = Prices { base_fee: GWEI, priority_fee: GWEI, blob_base_fee: 1_000 * GWEI };
        let cases = [
            (126 * 1024, BLOCK_GAS, Carrying::Calldata),
            (126 * 1024 + 1, BLOCK_GAS, Carrying::Blobs),
            (126 * 1024, 10_000_000, Carrying::Blobs),
        ];
        for (length, block_gas, expected) in cases {
            for policy in [CarrierPolicy::Calldata, CarrierPolicy::Cheapest] {
                assert_eq!(choose(&payload(length), &prices, policy, block_gas), expected);
            }
        }
    }

    /// What nodes that limit transactions to 128 KiB are sent.
    #[test]
    fn the_largest_calldata_leaves_room_for_the_rest() {
        let rollup = SignedRollup {
            header: Default::default(),
            signature: vec![1; 65].into(),
            lottery_proof: vec![1; 48].into(),
            payload: payload(CALLDATA_PAYLOAD_BYTES_MAX).into(),
        };
        let input = publish_input(&rollup, &[], Carrying::Calldata);
        assert!(input.len() + 512 < 128 * 1024, "{}", input.len());
    }

    #[test]
    fn blobs_proven_apart_are_the_blobs_proven_together() {
        let payload = payload(130_000);
        let together = SidecarBuilder::<SimpleCoder>::from_slice(&payload);
        let together = together.build_7594_with_settings(load_setup()).unwrap();
        assert_eq!(sidecar(&payload).unwrap(), together);
    }

    #[test]
    fn blobs_are_counted_as_they_are_filled() {
        for length in [0, 1, 1_000, 126_945, 126_946, 126_976, 126_977, 260_000, 380 * 1024] {
            let filled = SidecarBuilder::<SimpleCoder>::from_slice(&payload(length)).take().len();
            assert_eq!(blob_count(length), filled, "{length}");
        }
    }
}
