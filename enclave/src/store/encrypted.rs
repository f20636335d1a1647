//! Encryption and integrity of everything the enclave keeps at the host.
//!
//! **Nodes** are content-addressed: the host sees `keccak256(lookup_key ‖ hash)` as the key, so it cannot tell
//! which public trie node or contract an entry is, and an XChaCha20-Poly1305 box bound to that key as the value.
//! **Records** are immutable data under an identity that determines the content (a rollup hash): same box, bound
//! to domain and identity. One identity has one content, so a swapped, altered or older value never opens.
//!
//! Any number of enclaves with the same state key can share one store. What the host still learns: when an
//! entry is read or written, which entries belong together by timing, and the size class (see [`padded_len`]).

use super::{Store, StoreError};
use crate::trie::NodeStore;
use alloy_primitives::{B256, Bytes, Keccak256, keccak256};
use chacha20poly1305::{
    Key, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{AeadInOut, Error as AeadError},
};
use hkdf::Hkdf;
use obscuro_protocol::keys::{LABEL_STORE_ENCRYPTION, LABEL_STORE_LOOKUP};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Length of the state key.
pub const STATE_KEY_BYTES: usize = 32;

/// Largest plaintext stored under one key: a rollup payload fits several times.
pub const MAX_RECORD_BYTES: usize = 16 << 20;

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
/// The plaintext's length, little-endian, precedes it in the box.
const LENGTH_BYTES: usize = 4;

/// Size classes below the regular ones: most leaves, extensions and small branches, full branches.
const SMALL_CLASSES: [usize; 3] = [128, 320, 544];
/// From here on sizes are rounded up by at most an eighth.
const REGULAR_FROM_BYTES: usize = 1024;

/// What kind of record an identity names; part of what the box is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Domain(pub &'static str);

/// A [`Store`] of the host behind encryption and integrity.
pub struct EncryptedStore<'a> {
    store: &'a dyn Store,
    lookup_key: Zeroizing<[u8; 32]>,
    cipher: XChaCha20Poly1305,
}

impl std::fmt::Debug for EncryptedStore<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EncryptedStore").finish_non_exhaustive()
    }
}

impl<'a> EncryptedStore<'a> {
    /// Wraps the host's store with the state key.
    pub fn new(store: &'a dyn Store, state_key: &[u8; STATE_KEY_BYTES]) -> Self {
        let encryption_key = subkey(state_key, LABEL_STORE_ENCRYPTION);
        Self {
            store,
            lookup_key: subkey(state_key, LABEL_STORE_LOOKUP),
            cipher: XChaCha20Poly1305::new(&Key::from(*encryption_key)),
        }
    }

    /// Stores trie nodes and codes, each under its keccak256.
    pub fn put_nodes(&self, nodes: &[(B256, Bytes)]) -> Result<(), StoreError> {
        let sealed = nodes.iter().map(|(hash, node)| {
            let key = self.node_key(*hash);
            // The key determines the content, so the nonce is never used for another one.
            self.seal(key, first_bytes(key), node).map(|value| (key, value))
        });
        self.store.put(sealed.collect::<Result<_, _>>()?)
    }

    /// The record of this identity; `None` if the host says there is none.
    pub fn get_record(&self, domain: Domain, id: B256) -> Result<Option<Vec<u8>>, StoreError> {
        let key = self.record_key(domain, id);
        let Some(mut value) = self.store.get(key)? else {
            return Ok(None);
        };
        let nonce = value.split_off_first().ok_or(StoreError::Tampered { key })?;
        self.open(key, nonce, value).map(Some)
    }

    /// Stores an immutable record. A second content under the same identity is the caller's mistake: it does not
    /// endanger confidentiality (the nonce depends on the content), but an older value could then be replayed.
    pub fn put_record(&self, domain: Domain, id: B256, content: &[u8]) -> Result<(), StoreError> {
        self.put_records(domain, [(id, content)])
    }

    /// Stores several records of one kind at once, as [`Self::put_record`].
    pub fn put_records<T: AsRef<[u8]>>(
        &self,
        domain: Domain,
        records: impl IntoIterator<Item = (B256, T)>,
    ) -> Result<(), StoreError> {
        let sealed = records.into_iter().map(|(id, content)| {
            let key = self.record_key(domain, id);
            let nonce = self.synthetic_nonce(key, content.as_ref());
            let mut value = nonce.to_vec();
            value.extend(self.seal(key, nonce, content.as_ref())?);
            Ok((key, value))
        });
        self.store.put(sealed.collect::<Result<_, _>>()?)
    }

    fn node_key(&self, hash: B256) -> B256 {
        let mut hasher = Keccak256::new();
        hasher.update(self.lookup_key.as_slice());
        hasher.update(hash);
        hasher.finalize()
    }

    /// Longer input than for nodes, so the two kinds never meet.
    fn record_key(&self, domain: Domain, id: B256) -> B256 {
        let mut hasher = Keccak256::new();
        hasher.update(self.lookup_key.as_slice());
        hasher.update(keccak256(domain.0));
        hasher.update(id);
        hasher.finalize()
    }

    fn synthetic_nonce(&self, key: B256, content: &[u8]) -> [u8; NONCE_BYTES] {
        let mut hasher = Keccak256::new();
        hasher.update(self.lookup_key.as_slice());
        hasher.update(key);
        hasher.update(b"nonce");
        hasher.update(content);
        first_bytes(hasher.finalize())
    }

    fn seal(
        &self,
        key: B256,
        nonce: [u8; NONCE_BYTES],
        content: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let too_large = StoreError::TooLarge { bytes: content.len(), max: MAX_RECORD_BYTES };
        let length = match u32::try_from(content.len()) {
            Ok(length) if content.len() <= MAX_RECORD_BYTES => length,
            _ => return Err(too_large),
        };
        let padded = padded_len(LENGTH_BYTES + content.len());
        let mut buffer = Vec::with_capacity(padded + TAG_BYTES);
        buffer.extend_from_slice(&length.to_le_bytes());
        buffer.extend_from_slice(content);
        buffer.resize(padded, 0);
        self.cipher
            .encrypt_in_place(&XNonce::from(nonce), key.as_slice(), &mut buffer)
            .map_err(|AeadError| too_large)?;
        Ok(buffer)
    }

    fn open(
        &self,
        key: B256,
        nonce: [u8; NONCE_BYTES],
        mut value: Vec<u8>,
    ) -> Result<Vec<u8>, StoreError> {
        let tampered = StoreError::Tampered { key };
        if value.len() > padded_len(LENGTH_BYTES + MAX_RECORD_BYTES) + TAG_BYTES {
            return Err(tampered);
        }
        self.cipher
            .decrypt_in_place(&XNonce::from(nonce), key.as_slice(), &mut value)
            .map_err(|AeadError| tampered.clone())?;
        let length = value.split_off_first().map(u32::from_le_bytes);
        match length.and_then(|length| usize::try_from(length).ok()) {
            Some(length) if length <= value.len() => value.truncate(length),
            _ => return Err(tampered),
        }
        Ok(value)
    }
}

impl NodeStore for EncryptedStore<'_> {
    fn get(&self, hash: B256) -> Result<Option<Bytes>, StoreError> {
        let key = self.node_key(hash);
        let Some(value) = self.store.get(key)? else {
            return Ok(None);
        };
        let node = self.open(key, first_bytes(key), value)?;
        if keccak256(&node) != hash {
            return Err(StoreError::Tampered { key });
        }
        Ok(Some(node.into()))
    }
}

/// Takes a fixed number of bytes off the front.
trait SplitOffFirst {
    fn split_off_first<const N: usize>(&mut self) -> Option<[u8; N]>;
}

impl SplitOffFirst for Vec<u8> {
    fn split_off_first<const N: usize>(&mut self) -> Option<[u8; N]> {
        let first = *self.first_chunk()?;
        self.drain(..N);
        Some(first)
    }
}

fn first_bytes(hash: B256) -> [u8; NONCE_BYTES] {
    let mut bytes = [0; NONCE_BYTES];
    bytes.copy_from_slice(&hash.0[..NONCE_BYTES]);
    bytes
}

fn subkey(state_key: &[u8; STATE_KEY_BYTES], label: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
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
