//! All key derivation labels and what is derived with them (protocol 2.2; S2 "Cryptography").
//! Not here: an enclave's own keys, which are random, and who may hold the seed.

use crate::{config::RevealOption, secret::Secret};
use hkdf::Hkdf;
use hpke::{Deserializable, Kem, Serializable, kem::XWing};
use sha2::Sha256;

/// HPKE private key of the X-Wing KEM.
pub type KemPrivateKey = <XWing as Kem>::PrivateKey;
/// HPKE public key of the X-Wing KEM, 1,216 bytes on the wire.
pub type KemPublicKey = <XWing as Kem>::PublicKey;

/// Bytes of an X-Wing public key.
pub const KEM_PUBLIC_KEY_BYTES: usize = 1_216;
/// Bytes of an X-Wing encapsulation.
pub const KEM_ENCAPSULATION_BYTES: usize = 1_120;

/// What a key derived from the master seed is for. Each label is used by exactly one module.
#[derive(Clone, Copy, Debug)]
pub enum Label {
    /// The key pair to which users encrypt ("Obscuro_Public_Key").
    Network,
    /// `EncryptionKey(option, interval)` of rollup payloads.
    Reveal,
    /// The map of positions inside a payload, never revealed.
    PositionMap,
    /// Messages among aggregators.
    Gossip,
    /// Records in the host's store.
    State,
    /// `prevrandao` and the order of transactions.
    Randomness,
}

impl Label {
    fn bytes(self) -> &'static [u8] {
        match self {
            Self::Network => b"obscuro/v1/network",
            Self::Reveal => b"obscuro/v1/reveal",
            Self::PositionMap => b"obscuro/v1/position-map",
            Self::Gossip => b"obscuro/v1/gossip",
            Self::State => b"obscuro/v1/state",
            Self::Randomness => b"obscuro/v1/randomness",
        }
    }
}

/// Lookup keys of the encrypted store, derived from [`Label::State`].
pub const LABEL_STORE_LOOKUP: &[u8] = b"obscuro/v1/store-lookup";
/// Encryption key of the encrypted store, derived from [`Label::State`].
pub const LABEL_STORE_ENCRYPTION: &[u8] = b"obscuro/v1/store-encryption";
/// HPKE info of user envelopes; the network config hash follows.
pub const LABEL_ENVELOPE: &[u8] = b"obscuro/v1/envelope";
/// HPKE export of the key that encrypts requests.
pub const LABEL_ENVELOPE_REQUEST: &[u8] = b"request";
/// HPKE export of the key that encrypts replies.
pub const LABEL_ENVELOPE_REPLY: &[u8] = b"reply";
/// HPKE info of seed shares; chain id, contract, responder, requester and epoch follow.
pub const LABEL_SEED_SHARE: &[u8] = b"obscuro/v1/seed-share";
/// HPKE info of forced transactions; the network config hash, version and epoch follow.
pub const LABEL_FORCED: &[u8] = b"obscuro/v1/forced";
/// Snapshots of the L1 view, derived from an enclave's own encryption key: who once held a seed must
/// not be able to make one.
pub const LABEL_SNAPSHOT: &[u8] = b"obscuro/v1/snapshot";
/// An enclave's lottery key (BLS), from a secret of its own.
pub const LABEL_LOTTERY: &[u8] = b"obscuro/v1/lottery";
/// What an enclave signs with its lottery key; the draw follows.
pub const LABEL_DRAW: &[u8] = b"obscuro/v1/draw";
/// The key that seals an enclave's identity, from what its TEE gives it.
pub const LABEL_SEALING: &[u8] = b"obscuro/v1/sealing";

/// HKDF-SHA256 of a secret for one purpose.
pub fn derive(secret: &Secret, label: &[u8], context: &[u8]) -> Secret {
    Deriver::new(secret).derive(label, context)
}

/// [`derive`] for many purposes of one secret: its half of the work is done once.
pub struct Deriver(Hkdf<Sha256>);

impl Deriver {
    /// For this secret.
    pub fn new(secret: &Secret) -> Self {
        Self(Hkdf::new(None, secret.expose()))
    }

    /// As [`derive`].
    pub fn derive(&self, label: &[u8], context: &[u8]) -> Secret {
        let mut key = [0; 32];
        // Expansion fails only beyond 255 hashes; this asks for one.
        let _ = self.0.expand_multi_info(&[label, context], &mut key);
        Secret::new(key)
    }
}

/// The 256 bits from which the network derives everything (S2 "Shared Secret").
#[derive(Debug)]
pub struct MasterSeed(Secret);

impl MasterSeed {
    /// Takes a seed over: fresh entropy in the genesis enclave, an opened share elsewhere.
    pub fn new(seed: Secret) -> Self {
        Self(seed)
    }

    /// The bytes, to be sealed or shared.
    pub fn secret(&self) -> &Secret {
        &self.0
    }

    /// A second copy, made where it can be seen.
    pub fn duplicate(&self) -> Self {
        Self(self.0.duplicate())
    }

    /// The key for one purpose.
    pub fn derive(&self, label: Label) -> Secret {
        derive(&self.0, label.bytes(), &[])
    }

    /// `EncryptionKey(option, interval)` (S2 "Symmetric key revealing").
    pub fn reveal_key(&self, option: RevealOption, interval: u64) -> Secret {
        let mut context = [option as u8; 9];
        context[1..].copy_from_slice(&interval.to_be_bytes());
        derive(&self.0, Label::Reveal.bytes(), &context)
    }

    /// The network's key pair.
    pub fn network_key(&self) -> (KemPrivateKey, KemPublicKey) {
        XWing::derive_keypair(self.derive(Label::Network).expose())
    }
}

/// A KEM key pair from 32 bytes of entropy.
pub fn kem_key_pair(entropy: &Secret) -> (KemPrivateKey, KemPublicKey) {
    XWing::derive_keypair(entropy.expose())
}

/// The wire form of a public key.
pub fn kem_public_key_bytes(key: &KemPublicKey) -> Vec<u8> {
    key.to_bytes().to_vec()
}

/// A public key from its wire form.
pub fn kem_public_key(bytes: &[u8]) -> Option<KemPublicKey> {
    KemPublicKey::from_bytes(bytes).ok()
}
