//! One L1 transaction: signed, and what a node's refusal of it means. Not here: which one, and at what
//! price (`publisher`).

use super::fees::Fees;
use alloy_consensus::{
    SignableTransaction, TxEip1559, TxEip4844, TxEip4844WithSidecar, TxEnvelope,
};
use alloy_eips::{
    Encodable2718,
    eip7594::{BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant},
    eip7623::{STANDARD_TOKEN_COST, tokens_in_calldata, transaction_floor_cost},
};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;

/// Gas for a call that cannot be simulated: what the management contract needs, with room.
const GAS_UNSIMULATED: u64 = 600_000;

/// What is sent, but for nonce, gas and fees.
pub struct Prepared {
    /// The contract.
    pub to: Address,
    /// Calldata.
    pub input: Bytes,
    /// Wei that go with it.
    pub value: U256,
    /// Blobs that go with it.
    pub sidecar: Option<BlobTransactionSidecarEip7594>,
}

impl Prepared {
    /// A transaction that does nothing but use its nonce; with blobs if it replaces some.
    pub fn nothing(operator: Address, sidecar: Option<BlobTransactionSidecarEip7594>) -> Self {
        Self { to: operator, input: Bytes::new(), value: U256::ZERO, sidecar }
    }

    /// A gas limit without a simulation.
    pub fn gas_unsimulated(&self) -> u64 {
        let tokens = tokens_in_calldata(&self.input);
        let standard = 21_000 + STANDARD_TOKEN_COST * tokens + GAS_UNSIMULATED;
        standard.max(transaction_floor_cost(tokens))
    }

    /// The signed transaction: its hash, and the form in which nodes take it.
    pub fn sign(
        &self,
        operator: &PrivateKeySigner,
        chain_id: u64,
        nonce: u64,
        gas_limit: u64,
        fees: Fees,
    ) -> Result<(B256, Bytes), alloy_signer::Error> {
        let signed: TxEnvelope = match &self.sidecar {
            None => {
                let transaction = TxEip1559 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: fees.max_fee,
                    max_priority_fee_per_gas: fees.priority_fee,
                    to: TxKind::Call(self.to),
                    value: self.value,
                    access_list: Default::default(),
                    input: self.input.clone(),
                };
                let signature = signature(operator, &transaction)?;
                transaction.into_signed(signature).into()
            }
            Some(sidecar) => {
                let transaction = TxEip4844 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: fees.max_fee,
                    max_priority_fee_per_gas: fees.priority_fee,
                    to: self.to,
                    value: self.value,
                    access_list: Default::default(),
                    blob_versioned_hashes: sidecar.versioned_hashes().collect(),
                    max_fee_per_blob_gas: fees.max_blob_fee,
                    input: self.input.clone(),
                };
                let signature = signature(operator, &transaction)?;
                let sidecar = BlobTransactionSidecarVariant::from(sidecar.clone());
                let whole = TxEip4844WithSidecar::from_tx_and_sidecar(transaction, sidecar);
                whole.into_signed(signature).into()
            }
        };
        Ok((*signed.tx_hash(), signed.encoded_2718().into()))
    }
}

fn signature(
    operator: &PrivateKeySigner,
    transaction: &impl SignableTransaction<Signature>,
) -> Result<Signature, alloy_signer::Error> {
    operator.sign_hash_sync(&transaction.signature_hash())
}

/// Why a node does not take a transaction, from the words that nodes use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has it already.
    Known,
    /// One with the same nonce is there and pays as much.
    Underpriced,
    /// The nonce is used.
    Past,
    /// The account cannot pay.
    Funds,
    /// Anything else.
    Other,
}

impl Refusal {
    /// From a node's message.
    pub fn of(message: &str) -> Self {
        let message = message.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
        if says(&["already known", "already imported"]) {
            Self::Known
        } else if says(&["underpriced", "too low to replace"]) {
            Self::Underpriced
        } else if says(&["nonce too low"]) {
            Self::Past
        } else if says(&["insufficient funds"]) {
            Self::Funds
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_understood() {
        let cases = [
            ("already known", Refusal::Known),
            ("replacement transaction underpriced", Refusal::Underpriced),
            ("transaction underpriced: tip needed 2", Refusal::Underpriced),
            ("Nonce too low: next nonce 4", Refusal::Past),
            ("insufficient funds for gas * price + value", Refusal::Funds),
            ("oversized data", Refusal::Other),
        ];
        for (message, expected) in cases {
            assert_eq!(Refusal::of(message), expected, "{message}");
        }
    }
}
