//! Encryption and integrity of everything the enclave keeps at the host.
//!
//! **Nodes** are content-addressed: the host sees `HMAC(lookup_key, hash)` as the key, so it cannot tell
//! which public trie node or contract an entry is, and an XChaCha20-Poly1305 box bound to that key as the value.
//! **Records** are immutable data under an identity that determines the content (a rollup hash): same box, bound
//! to domain and identity. One identity has one content, so a swapped, altered or older value never opens.
//!
//! Any number of enclaves with the same state key can share one store. What the host still learns: when an
//! entry is read or written, which entries belong together by timing, and the size class (see [`padded_len`]).

use super::{
    Store, StoreError,
    cipher::{Cipher, CipherError, KEY_BYTES, NONCE_BYTES, TAG_BYTES},
};
use crate::trie::NodeStore;
use alloy_primitives::{B256, Bytes, keccak256};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use obscuro_protocol::keys::{LABEL_STORE_ENCRYPTION, LABEL_STORE_LOOKUP};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Length of the state key.
pub const STATE_KEY_BYTES: usize = 32;

/// Largest plaintext stored under one key: a rollup payload fits several times.
pub const MAX_RECORD_BYTES: usize = 16 << 20;

/// The plaintext's length, little-endian, precedes it in the box.
const LENGTH_BYTES: usize = 4;

/// Size classes below the regular ones: most leaves, extensions and small branches, full branches.
const SMALL_CLASSES: [usize; 3] = [128, 320, 544];
/// From here on sizes are rounded up by at most an eighth.
const REGULAR_FROM_BYTES: usize = 1024;

/// What the lookup key authenticates: nodes' keys, records' keys and nonces never meet.
const TAG_NODE: &[u8] = b"n";
const TAG_RECORD: &[u8] = b"r";
const TAG_NONCE: &[u8] = b"c";

/// What kind of record an identity names; part of what the box is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Domain(pub &'static str);

/// A key and what the host keeps under it.
pub type Sealed = (B256, Vec<u8>);

/// A [`Store`] of the host behind encryption and integrity.
pub struct EncryptedStore<'a> {
    store: &'a dyn Store,
    /// Under the lookup key. Keyed once: it is copied for every use.
    lookup: Hmac<Sha256>,
    cipher: Cipher,
    /// What was written under an older key.
    earlier: Option<Box<Self>>,
}

impl std::fmt::Debug for EncryptedStore<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EncryptedStore").finish_non_exhaustive()
    }
}

impl<'a> EncryptedStore<'a> {
    /// Wraps the host's store with the state key.
    pub fn new(store: &'a dyn Store, state_key: &[u8; STATE_KEY_BYTES]) -> Self {
        // HMAC pads its key with zeros to a block of SHA-256.
        let mut lookup_key = Zeroizing::new([0; 64]);
        let (key, _padding) = lookup_key.split_at_mut(KEY_BYTES);
        key.copy_from_slice(subkey(state_key, LABEL_STORE_LOOKUP).as_slice());
        Self {
            store,
            lookup: Hmac::new((&*lookup_key).into()),
            cipher: Cipher::new(subkey(state_key, LABEL_STORE_ENCRYPTION)),
            earlier: None,
        }
    }

    /// Also reads what was written under an older key. Nothing is written there any more.
    pub fn or_earlier(self, earlier: Self) -> Self {
        Self { earlier: Some(Box::new(earlier)), ..self }
    }

    /// Stores trie nodes and codes, each under its keccak256.
    pub fn put_nodes(&self, nodes: &[(B256, Bytes)]) -> Result<(), StoreError> {
        let sealed = nodes.iter().map(|(hash, node)| self.seal_node(*hash, node));
        self.put(sealed.collect::<Result<_, _>>()?)
    }

    /// Stores what was sealed.
    pub fn put(&self, sealed: Vec<Sealed>) -> Result<(), StoreError> {
        self.store.put(sealed)
    }

    /// A trie node or code, by its keccak256.
    pub fn seal_node(&self, hash: B256, node: &[u8]) -> Result<Sealed, StoreError> {
        let key = self.node_key(hash);
        // The key determines the content, so the nonce is never used for another one.
        Ok((key, self.seal(key, first_bytes(key), node, false)?))
    }

    /// An immutable record. A second content under the same identity is the caller's mistake: it does not
    /// endanger confidentiality (the nonce depends on the content), but an older value could then be replayed.
    pub fn seal_record(
        &self,
        domain: Domain,
        id: B256,
        content: &[u8],
    ) -> Result<Sealed, StoreError> {
        self.seal_and_digest(domain, id, content).map(|(sealed, _)| sealed)
    }

    /// [`Self::seal_record`], and the SHA-256 of the content.
    pub fn seal_and_digest(
        &self,
        domain: Domain,
        id: B256,
        content: &[u8],
    ) -> Result<(Sealed, [u8; 32]), StoreError> {
        let key = self.record_key(domain, id);
        let digest: [u8; 32] = Sha256::digest(content).into();
        let nonce = first_bytes(self.mac(&[TAG_NONCE, key.as_slice(), &digest]));
        Ok(((key, self.seal(key, nonce, content, true)?), digest))
    }

    /// The record of this identity; `None` if the host says there is none.
    pub fn get_record(&self, domain: Domain, id: B256) -> Result<Option<Vec<u8>>, StoreError> {
        let key = self.record_key(domain, id);
        let Some(mut value) = self.store.get(key)? else {
            return self.earlier.as_ref().map_or(Ok(None), |store| store.get_record(domain, id));
        };
        let Some((nonce, sealed)) = value.split_first_chunk_mut() else {
            return Err(StoreError::Tampered { key });
        };
        self.open(key, nonce, sealed).map(|content| Some(content.to_vec()))
    }

    /// Stores a record, as [`Self::seal_record`] says.
    pub fn put_record(&self, domain: Domain, id: B256, content: &[u8]) -> Result<(), StoreError> {
        self.put(vec![self.seal_record(domain, id, content)?])
    }

    fn node_key(&self, hash: B256) -> B256 {
        self.mac(&[TAG_NODE, hash.as_slice()])
    }

    fn record_key(&self, domain: Domain, id: B256) -> B256 {
        self.mac(&[TAG_RECORD, domain.0.as_bytes(), id.as_slice()])
    }

    /// Of these parts, of which at most one has no fixed length.
    fn mac(&self, parts: &[&[u8]]) -> B256 {
        let mut mac = self.lookup.clone();
        for part in parts {
            mac.update(part);
        }
        B256::new(mac.finalize().into_bytes().into())
    }

    /// The box, after its nonce if that is to be kept.
    fn seal(
        &self,
        key: B256,
        nonce: [u8; NONCE_BYTES],
        content: &[u8],
        keep_nonce: bool,
    ) -> Result<Vec<u8>, StoreError> {
        let too_large = StoreError::TooLarge { bytes: content.len(), max: MAX_RECORD_BYTES };
        let length = match u32::try_from(content.len()) {
            Ok(length) if content.len() <= MAX_RECORD_BYTES => length,
            _ => return Err(too_large),
        };
        let start = if keep_nonce { NONCE_BYTES } else { 0 };
        let end = start + padded_len(LENGTH_BYTES + content.len());
        let mut value = Vec::with_capacity(end + TAG_BYTES);
        value.extend_from_slice(nonce.get(..start).unwrap_or_default());
        value.extend_from_slice(&length.to_le_bytes());
        value.extend_from_slice(content);
        value.resize(end, 0);
        self.cipher
            .seal(&nonce, key.as_slice(), &mut value, start)
            .map_err(|CipherError| too_large)?;
        Ok(value)
    }

    /// What a box holds. It is decrypted where it lies.
    fn open<'v>(
        &self,
        key: B256,
        nonce: &[u8; NONCE_BYTES],
        sealed: &'v mut [u8],
    ) -> Result<&'v [u8], StoreError> {
        let tampered = StoreError::Tampered { key };
        if sealed.len() > padded_len(LENGTH_BYTES + MAX_RECORD_BYTES) + TAG_BYTES {
            return Err(tampered);
        }
        let padded = self
            .cipher
            .open(nonce, key.as_slice(), sealed)
            .map_err(|CipherError| tampered.clone())?;
        let (length, rest) = padded.split_first_chunk().ok_or(tampered.clone())?;
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        rest.get(..length).ok_or(tampered)
    }
}

impl NodeStore for EncryptedStore<'_> {
    fn get(&self, hash: B256) -> Result<Option<Bytes>, StoreError> {
        let key = self.node_key(hash);
        let Some(mut value) = self.store.get(key)? else {
            return self.earlier.as_ref().map_or(Ok(None), |store| NodeStore::get(&**store, hash));
        };
        let node = self.open(key, &first_bytes(key), &mut value)?;
        if keccak256(node) != hash {
            return Err(StoreError::Tampered { key });
        }
        Ok(Some(Bytes::copy_from_slice(node)))
    }
}

fn first_bytes(hash: B256) -> [u8; NONCE_BYTES] {
    let mut bytes = [0; NONCE_BYTES];
    bytes.copy_from_slice(&hash.0[..NONCE_BYTES]);
    bytes
}

fn subkey(state_key: &[u8; STATE_KEY_BYTES], label: &[u8]) -> Zeroizing<[u8; KEY_BYTES]> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    let expanded = Hkdf::<Sha256>::new(None, state_key).expand(label, key.as_mut_slice());
    debug_assert!(expanded.is_ok(), "32 bytes are within HKDF's limit of 255 blocks");
    key
}

/// The length that `len` bytes are padded to: one of three classes that trie nodes fall into, then steps of at
/// most an eighth (Padmé with three bits), about eight classes per doubling.
pub(super) fn padded_len(len: usize) -> usize {
    if let Some(class) = SMALL_CLASSES.into_iter().find(|class| len <= *class) {
        return class;
    }
    let len = len.max(REGULAR_FROM_BYTES);
    let step = 1usize << len.ilog2().saturating_sub(3);
    len.div_ceil(step).saturating_mul(step)
}
