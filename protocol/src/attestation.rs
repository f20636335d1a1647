//! Quotes: what an enclave proves about itself before it is admitted (protocol 3.2).
//! A development network's quote is a signature of the development root named in the config.
//! Not here: the device that makes quotes.

use crate::rollup::recover;
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_sol_types::SolValue;

/// A quote that is not acceptable.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AttestationError {
    /// Not a quote.
    #[error("malformed quote")]
    Malformed,
    /// Signed by somebody else than the config's root.
    #[error("quote is not signed by the attestation root")]
    Root,
    /// About other keys, another owner, network or time.
    #[error("quote is about other report data")]
    ReportData,
}

/// Everything that a registration binds together.
#[derive(Clone, Debug)]
pub struct ReportData<'a> {
    /// EIP-155 id of the L1.
    pub l1_chain_id: u64,
    /// `NetworkManagement`.
    pub contract: Address,
    /// The enclave's signing address.
    pub enclave: Address,
    /// The L1 account that registers.
    pub owner: Address,
    /// The X-Wing key that is to receive the seed.
    pub encryption_key: &'a [u8],
    /// Hash of the `NetworkConfig`.
    pub config_hash: B256,
    /// A recent L1 block, the only freshness a quote has.
    pub l1_block: u64,
    /// Its hash.
    pub l1_block_hash: B256,
    /// The network key, at genesis only.
    pub network_key: &'a [u8],
    /// The seed encrypted to its maker, at genesis only.
    pub encrypted_seed: &'a [u8],
}

impl ReportData<'_> {
    /// The 32 bytes that stand in the quote; `NetworkManagement.register` computes the same.
    pub fn hash(&self) -> B256 {
        keccak256(
            (
                keccak256("Obscuro registration v1"),
                self.l1_chain_id,
                self.contract,
                self.enclave,
                self.owner,
                keccak256(self.encryption_key),
                self.config_hash,
                self.l1_block,
                self.l1_block_hash,
                keccak256(self.network_key),
                keccak256(self.encrypted_seed),
            )
                .abi_encode(),
        )
    }
}

/// What the development root signs.
pub fn development_digest(measurement: B256, report_data: B256) -> B256 {
    keccak256((keccak256("Obscuro development quote v1"), measurement, report_data).abi_encode())
}

/// The wire form of a development quote.
pub fn development_quote(measurement: B256, signature: &[u8]) -> Bytes {
    (measurement, Bytes::copy_from_slice(signature)).abi_encode_params().into()
}

/// Checks a development quote and returns the measurement it proves.
pub fn verify_development(
    quote: &[u8],
    report_data: B256,
    root: Address,
) -> Result<B256, AttestationError> {
    let (measurement, signature) =
        <(B256, Bytes)>::abi_decode_params(quote).map_err(|_| AttestationError::Malformed)?;
    match recover(&development_digest(measurement, report_data), &signature) {
        Some(signer) if signer == root => Ok(measurement),
        _ => Err(AttestationError::Root),
    }
}
