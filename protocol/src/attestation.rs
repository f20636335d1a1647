//! Quotes: what an enclave proves about itself before it is admitted (protocol 3.2), and what a
//! registration binds into its report. Not here: the device that makes quotes.

mod collateral;
mod dcap;
mod quote;
mod registry;
mod statement;
mod verify;

pub use collateral::Collateral;
pub use quote::{
    Quote, STRIPPED_VERSION, Stripped, Tee, platform_id, restore, strip, td_measurement,
};
pub use registry::{Approval, Platform, Registry};
pub use statement::{Statement, Subject};
pub use verify::{Admitted, Attested, Policy, TcbStatus, verify};

use alloy_primitives::{Address, B256, keccak256};
use alloy_sol_types::SolValue;

/// Intel's "SGX Root CA", the only root that a production network trusts. Compiled in, so that it
/// is part of the measurement.
pub const INTEL_ROOT: &[u8] = include_bytes!("attestation/intel-root.der");

/// A quote that is not acceptable. All are final for this quote and this collateral; a machine whose
/// collateral is only old can come back with newer.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AttestationError {
    /// Not a quote.
    #[error("malformed quote")]
    Malformed,
    /// Longer than anything honest.
    #[error("{what} is longer than {limit} bytes")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Bytes allowed.
        limit: usize,
    },
    /// A quote, but of a version, TEE, key type or vendor that is not admitted.
    #[error("a quote of this version, TEE, key type or vendor is not supported")]
    Unsupported,
    /// Signed by somebody else than the trusted root.
    #[error("quote is not signed by the attestation root")]
    Root,
    /// About other keys, another owner, network or time.
    #[error("quote is about other report data")]
    ReportData,
    /// A stripped quote of another machine than the certificate's.
    #[error("quote is of another platform than the certificate")]
    Platform,
    /// The host can look inside.
    #[error("the enclave runs in debug mode")]
    Debug,
    /// A trust domain that the host may influence.
    #[error("the trust domain is not closed: {0}")]
    TrustDomain(&'static str),
    /// Another program.
    #[error("measurement {0} is not admitted")]
    Measurement(B256),
    /// A machine that was removed from the network.
    #[error("machine {0} was removed from the network")]
    Machine(B256),
    /// The right program, but built before a security fix.
    #[error("security version {found} is below {minimum}")]
    SecurityVersion {
        /// The quote's.
        found: u16,
        /// The policy's.
        minimum: u16,
    },
    /// A platform whose firmware or configuration is not good enough.
    #[error("TCB status {0} is not admitted")]
    TcbStatus(TcbStatus),
    /// A platform below every level that Intel knows.
    #[error("the platform is below every known TCB level")]
    UnknownTcbLevel,
    /// Collateral from before an advisory that the policy takes into account.
    #[error("TCB evaluation number {found} is below {minimum}")]
    EvaluationNumber {
        /// The collateral's.
        found: u32,
        /// The policy's.
        minimum: u32,
    },
    /// A certificate or a TCB level is revoked.
    #[error("the platform or one of its certificates is revoked")]
    Revoked,
    /// A certificate, revocation list or statement is not valid at this time.
    #[error("a certificate or the collateral is not valid at this time")]
    Expired,
    /// Collateral of another TEE or another kind of platform.
    #[error("the collateral is for another TEE or another kind of platform")]
    OtherCollateral,
    /// The report is not signed by the attestation key.
    #[error("the quote's signature is wrong")]
    Signature,
    /// The attestation key is not that of a genuine quoting enclave on this machine.
    #[error("the quoting enclave is not genuine")]
    QuotingEnclave,
    /// A certificate, revocation list or statement is not signed by its issuer.
    #[error("the collateral is not signed by its issuer")]
    Chain,
    /// Collateral that cannot be used.
    #[error("collateral: {0}")]
    Collateral(String),
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
    /// The key that proves its lots.
    pub lottery_key: &'a [u8],
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
                keys_hash(self.encryption_key, self.lottery_key),
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

/// An enclave's public keys besides its address, as one hash; both have a fixed length.
pub fn keys_hash(encryption_key: &[u8], lottery_key: &[u8]) -> B256 {
    keccak256([encryption_key, lottery_key].concat())
}

/// What an enclave puts into its report for a user who asks what runs there.
#[derive(Clone, Debug)]
pub struct Challenge {
    /// The enclave's signing address.
    pub enclave: Address,
    /// Hash of the `NetworkConfig` that it runs with.
    pub config_hash: B256,
    /// Chosen by the user: the freshness.
    pub challenge: B256,
}

impl Challenge {
    /// The 32 bytes that stand in the quote. Never those of a registration: the domain differs.
    pub fn hash(&self) -> B256 {
        let domain = keccak256("Obscuro challenge v1");
        keccak256((domain, self.enclave, self.config_hash, self.challenge).abi_encode())
    }
}
