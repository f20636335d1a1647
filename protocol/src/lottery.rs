//! The lottery of a round (protocol 5.5): a nonce that nobody chooses and everybody can check. The proof
//! is a BLS signature over the round, of which there is exactly one for a key and a message; the nonce
//! is its hash. Not here: whose key counts in which round (the enclave's view), which nonce wins
//! (`canonical`).

use crate::{
    keys::{LABEL_DRAW, LABEL_LOTTERY},
    secret::Secret,
};
use alloy_primitives::{B256, Bytes, U256, keccak256};
use blst::{
    BLST_ERROR, Pairing, blst_p1_affine, blst_p2_affine,
    min_sig::{PublicKey, SecretKey, Signature},
};

/// Bytes of a public key: a compressed point in G2.
pub const PUBLIC_KEY_BYTES: usize = 96;
/// Bytes of a proof: a compressed point in G1.
pub const PROOF_BYTES: usize = 48;
/// The ciphersuite (IETF BLS signatures, basic scheme, minimal signature size). What separates this use
/// of it from others is in the message.
const SUITE: &[u8] = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_";

/// What lots are drawn by: fixed before anybody knows it, and beyond anybody's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Draw {
    /// The network: L1, contracts and all else that its configuration names.
    pub config_hash: B256,
    /// The number of the rollup: its parent's hash would be another for every choice of transactions.
    pub number: u64,
    /// The RANDAO mix of the L1 block that proves the parent's inclusion.
    pub randao: B256,
}

impl Draw {
    fn message(&self) -> Vec<u8> {
        let Self { config_hash, number, randao } = self;
        [LABEL_DRAW, config_hash.as_slice(), &number.to_be_bytes(), randao.as_slice()].concat()
    }
}

/// An enclave's own lottery key. Wiped on drop, never printed.
pub struct LotteryKey(SecretKey);

impl LotteryKey {
    /// The key that a secret yields.
    pub fn new(secret: &Secret) -> Self {
        // Fails for less than 32 bytes only.
        Self(SecretKey::key_gen(secret.expose(), LABEL_LOTTERY).unwrap_or_default())
    }

    /// The public half, for the registration.
    pub fn public_key(&self) -> Bytes {
        self.0.sk_to_pk().compress().into()
    }

    /// The one proof of this key for a draw.
    pub fn prove(&self, draw: &Draw) -> Bytes {
        self.0.sign(&draw.message(), SUITE, &[]).compress().into()
    }
}

/// The nonce that a proof stands for, whether or not it proves anything.
pub fn nonce(proof: &[u8]) -> U256 {
    keccak256(proof).into()
}

/// The nonce of a draw by the owner of a public key; `None` unless both are the one encoding of a point of
/// the right group, not infinity, and the proof is the key's for this draw. Takes about a millisecond.
pub fn verify(public_key: &[u8], draw: &Draw, proof: &[u8]) -> Option<U256> {
    let key = PublicKey::uncompress(public_key).ok().filter(|key| key.compress() == public_key)?;
    let signature = Signature::uncompress(proof).ok().filter(|point| point.compress() == proof)?;
    signature.validate(true).ok()?;
    // `Signature::verify` would start threads, which an enclave does not have.
    let mut pairing = Pairing::new(true, SUITE);
    let (key, signature) = (blst_p2_affine::from(key), blst_p1_affine::from(signature));
    let added = pairing.aggregate(&key, true, &signature, false, &draw.message(), &[]);
    if added != BLST_ERROR::BLST_SUCCESS {
        return None;
    }
    pairing.commit();
    pairing.finalverify(None).then(|| nonce(proof))
}
