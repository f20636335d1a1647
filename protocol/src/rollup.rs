//! The rollup header: its wire form, hash and signature (protocol 7.1). Not here: the payload
//! (`payload`) and which rollup is canonical (`canonical`).

use alloy_primitives::{Address, B256, Bytes, Signature, U256, keccak256};
use alloy_sol_types::{Eip712Domain, SolStruct, SolValue, eip712_domain};
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

pub use crate::l1::RollupHeader;

/// The version of the header that this code makes and accepts.
pub const HEADER_VERSION: u16 = 2;

/// The EIP-712 domain of one network's signatures; `contract` is the one that checks them.
pub fn signing_domain(l1_chain_id: u64, contract: Address) -> Eip712Domain {
    eip712_domain! {
        name: "Obscuro",
        version: "1",
        chain_id: l1_chain_id,
        verifying_contract: contract,
    }
}

impl RollupHeader {
    /// The identity of the rollup, and its L2 block hash. Rollup 0 is not published and has no
    /// parent: its hash is the network's config hash, which stands in the place of the parent.
    pub fn hash(&self) -> B256 {
        if self.number == 0 { self.parent } else { self.struct_hash() }
    }

    /// What the aggregator's enclave signs.
    pub fn signing_hash(&self, domain: &Eip712Domain) -> B256 {
        let (prefix, domain) = ([0x19, 0x01], domain.separator());
        keccak256([&prefix, domain.as_slice(), self.struct_hash().as_slice()].concat())
    }

    /// EIP-712's `hashStruct`. The type, a third of what goes into it, is hashed once.
    fn struct_hash(&self) -> B256 {
        static TYPE: OnceLock<B256> = OnceLock::new();
        let kind = TYPE.get_or_init(|| self.eip712_type_hash());
        keccak256([kind.as_slice(), &self.eip712_encode_data()].concat())
    }

    /// The round of the lottery in which this rollup competes.
    pub fn round(&self) -> (B256, B256) {
        (self.parent, self.l1Proof)
    }
}

/// A header with its signature, lottery proof and payload: what is gossiped and published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRollup {
    /// The public part.
    pub header: RollupHeader,
    /// 65 bytes, r ‖ s ‖ v with v in {27, 28}, s low.
    pub signature: Bytes,
    /// 48 bytes whose keccak256 is `header.nonce`: see [`crate::lottery`].
    pub lottery_proof: Bytes,
    /// The bytes whose keccak256 is `header.payloadHash`.
    pub payload: Bytes,
}

/// The address that made a 65-byte signature over a digest; `None` for malformed or high-s ones.
pub fn recover(digest: &B256, signature: &[u8]) -> Option<Address> {
    let signature = Signature::try_from(signature).ok()?;
    if signature.normalize_s().is_some() {
        return None;
    }
    signature.recover_address_from_prehash(digest).ok()
}

/// A withdrawal that a rollup orders, in clear (S2 "Withdrawal Process").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// Position among all withdrawals of the L2 chain.
    pub index: u64,
    /// L1 address of the asset; zero for ETH.
    pub asset: Address,
    /// Who receives it on L1.
    pub to: Address,
    /// In the asset's smallest unit.
    pub amount: U256,
}

impl Withdrawal {
    /// The leaf of the withdrawal tree: a doubled hash, so that no inner node can pass for a leaf.
    pub fn leaf(&self) -> B256 {
        keccak256(keccak256((self.index, self.asset, self.to, self.amount).abi_encode()))
    }
}

/// Root of the withdrawal tree (sorted pairs, as OpenZeppelin's `MerkleProof` checks it); zero
/// without withdrawals.
pub fn withdrawals_root(withdrawals: &[Withdrawal]) -> B256 {
    let levels = merkle_levels(withdrawals);
    levels.last().and_then(|level| level.first()).copied().unwrap_or_default()
}

/// For each withdrawal, the siblings from its leaf up to the root.
pub fn withdrawal_proofs(withdrawals: &[Withdrawal]) -> Vec<Vec<B256>> {
    let levels = merkle_levels(withdrawals);
    let proof = |leaf: usize| {
        let siblings = levels.iter().enumerate();
        siblings.filter_map(|(height, level)| level.get((leaf >> height) ^ 1)).copied().collect()
    };
    (0..withdrawals.len()).map(proof).collect()
}

/// From the leaves up to the root.
fn merkle_levels(withdrawals: &[Withdrawal]) -> Vec<Vec<B256>> {
    let mut levels = vec![withdrawals.iter().map(Withdrawal::leaf).collect::<Vec<_>>()];
    while let Some(level) = levels.last().filter(|level| level.len() > 1) {
        levels.push(merkle_parents(level));
    }
    levels
}

/// One level up; an odd last node moves up unchanged.
fn merkle_parents(level: &[B256]) -> Vec<B256> {
    level
        .chunks(2)
        .map(|pair| match pair {
            [a, b] => keccak256([a.min(b).as_slice(), a.max(b).as_slice()].concat()),
            rest => rest[0],
        })
        .collect()
}
