//! An incremental Merkle-Patricia trie over a content-addressed store (Ethereum yellow paper, appendix D).
//!
//! **Requires** keys already hashed to 32 bytes (the "secure" trie) and a [`NodeStore`] that may lie.
//! **Provides** reads, batched updates, proofs in the format of `eth_getProof`, and the roots of ordered lists.
//! The trie is persistent: an update yields a new root and the old one stays readable, so there is no undo
//! code anywhere and switching branch is switching a root.
//! **Does not provide** accounts (see `state`), encryption (see `store`), or pruning.

mod cache;
mod node;
pub(crate) mod ordered;
#[cfg(test)]
mod tests;
mod update;

pub use cache::{DEFAULT_CACHED_NODES, MAX_CACHED_CODES, NodeCache};

/// What other modules' tests compare with.
#[cfg(test)]
pub(crate) use alloy_trie as reference;

use crate::{executor::Code, store::StoreError};
use alloy_primitives::{B256, Bytes, keccak256};
use alloy_trie::Nibbles;
use cache::{Hint, Walked};
use node::{Node, NodeRef, Step, step};
use ordered::Part;
use update::{Change, Updater};

/// Root of the trie that holds nothing: keccak256 of the empty RLP string.
pub const EMPTY_ROOT: B256 = alloy_trie::EMPTY_ROOT_HASH;

/// keccak256 of no bytes: the code hash of an account without code.
pub const EMPTY_CODE_HASH: B256 = alloy_trie::KECCAK_EMPTY;

/// Longest key in nibbles; bounds every walk and every recursion over the trie.
const MAX_KEY_NIBBLES: usize = 64;

/// Where nodes and codes are read from, by content.
pub trait NodeStore: Sync {
    /// The node RLP or contract code whose keccak256 is `hash`; `None` if absent.
    fn get(&self, hash: B256) -> Result<Option<Bytes>, StoreError>;
}

impl<S: NodeStore + ?Sized> NodeStore for &S {
    fn get(&self, hash: B256) -> Result<Option<Bytes>, StoreError> {
        (**self).get(hash)
    }
}

/// Why a trie operation failed. None of these means "the key is absent".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrieError {
    /// The store does not have a node that must exist. The host lost or withholds it.
    #[error("trie node or code {0} is missing from the store")]
    Missing(B256),
    /// The store answered with bytes that do not hash to what was asked for. Fatal.
    #[error("the store returned other bytes for trie node or code {0}")]
    Corrupt(B256),
    /// The bytes hash correctly but are no trie node: the root itself is not one of ours. Fatal.
    #[error("malformed trie node {0}")]
    Malformed(B256),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The value under `key` in the trie with this `root`.
pub fn get<S: NodeStore>(
    store: &S,
    cache: &NodeCache,
    root: B256,
    key: B256,
) -> Result<Option<Bytes>, TrieError> {
    read(store, cache, root, key, Bytes::copy_from_slice)
}

/// [`get`] without copying the value: `decode` sees it where it lies. It runs while the cache is locked, so it must be
/// quick and must not use the cache.
pub(crate) fn read<S: NodeStore, R>(
    store: &S,
    cache: &NodeCache,
    root: B256,
    key: B256,
    decode: impl Fn(&[u8]) -> R,
) -> Result<Option<R>, TrieError> {
    walk(store, cache, root, Nibbles::unpack(key), |_| (), decode)
}

/// Applies `changes` (`None`, or an empty value, deletes) and returns the new root.
///
/// Nodes that did not exist before are appended to `new_nodes` and put into the cache; the caller stores them.
/// The order of `changes` does not matter; of several changes to one key the last wins.
pub fn update<S: NodeStore>(
    store: &S,
    cache: &NodeCache,
    root: B256,
    changes: impl IntoIterator<Item = (B256, Option<Bytes>)>,
    new_nodes: &mut Vec<(B256, Bytes)>,
) -> Result<B256, TrieError> {
    let changes =
        changes.into_iter().map(|(key, value)| Change::new(Nibbles::unpack(key), value)).collect();
    Updater::new(store, cache, new_nodes).run(root, changes)
}

/// [`update`] for keys of any length up to 32 bytes, not hashed: what the official vectors use.
#[doc(hidden)]
pub fn update_unhashed<S: NodeStore>(
    store: &S,
    cache: &NodeCache,
    root: B256,
    changes: Vec<(Vec<u8>, Option<Bytes>)>,
    new_nodes: &mut Vec<(B256, Bytes)>,
) -> Result<B256, TrieError> {
    if changes.iter().any(|(key, _)| key.len() > MAX_KEY_NIBBLES / 2) {
        return Err(TrieError::Malformed(root));
    }
    let changes =
        changes.into_iter().map(|(key, value)| Change::new(Nibbles::unpack(key), value)).collect();
    Updater::new(store, cache, new_nodes).run(root, changes)
}

/// The nodes on the path to `key`, root first: a proof of its value or of its absence (`eth_getProof`).
/// Nodes shorter than 32 bytes are inside their parents and not listed.
pub fn prove<S: NodeStore>(
    store: &S,
    cache: &NodeCache,
    root: B256,
    key: B256,
) -> Result<Vec<Bytes>, TrieError> {
    let mut proof = Vec::new();
    let visit = |node: NodeRef<'_>| {
        let mut rlp = Vec::new();
        node.encode(&mut rlp);
        proof.push(rlp.into());
    };
    walk(store, cache, root, Nibbles::unpack(key), visit, |_| ())?;
    Ok(proof)
}

/// Root of the trie that maps `rlp(index)` to each item: transactions, receipts, withdrawals.
pub fn ordered_root(items: impl ExactSizeIterator<Item = impl AsRef<[u8]>>) -> B256 {
    let items: Vec<_> = items.collect();
    ordered::root([Part::new(0, &items, |item, out| out.extend_from_slice(item.as_ref()))])
}

/// The contract code with this keccak256, through the cache.
pub fn code<S: NodeStore>(store: &S, cache: &NodeCache, hash: B256) -> Result<Code, TrieError> {
    if hash == EMPTY_CODE_HASH {
        return Ok(Code::new(Bytes::new()));
    }
    if let Some(code) = cache.code(hash) {
        return Ok(code);
    }
    let code = Code::new(fetch(store, hash)?);
    cache.put_code(hash, code.clone());
    Ok(code)
}

/// Follows `path` from `root`, showing every separately hashed node to `visit`, and reads the value it leads to.
/// `read` runs while the cache is locked and must not use it.
fn walk<S: NodeStore, R>(
    store: &S,
    cache: &NodeCache,
    root: B256,
    path: Nibbles,
    mut visit: impl FnMut(NodeRef<'_>),
    read: impl Fn(&[u8]) -> R,
) -> Result<Option<R>, TrieError> {
    if root == EMPTY_ROOT {
        return Ok(None);
    }
    let (mut hash, mut rest) = (root, path);
    loop {
        (hash, rest) = match cache.walk(hash, rest, &mut visit, &read) {
            Walked::Done(value) => return Ok(value),
            Walked::Missing(hash, rest) => (hash, rest),
        };
        // Take one step on what was fetched: a cache that cannot hold it must not stop the walk.
        let node = fetch_node(store, hash)?;
        visit(NodeRef::Other(&node));
        match step(NodeRef::Other(&node), &mut rest) {
            Step::Value(value) => {
                let value = value.map(|value| read(value));
                cache.put_node(hash, node);
                return Ok(value);
            }
            Step::Descend(child, _) => {
                cache.put_node(hash, node);
                hash = child;
            }
        }
    }
}

/// A copy of the node with this hash, from the cache or, checked, from the store; and where it now is.
fn load<S: NodeStore>(
    store: &S,
    cache: &NodeCache,
    hash: B256,
    hint: Hint,
) -> Result<Node, TrieError> {
    if let Some(node) = cache.node(hash, hint) {
        return Ok(node);
    }
    let node = fetch_node(store, hash)?;
    cache.put_node(hash, node.clone());
    Ok(node)
}

fn fetch_node<S: NodeStore>(store: &S, hash: B256) -> Result<Node, TrieError> {
    let rlp = fetch(store, hash)?;
    Node::decode(&rlp).ok_or(TrieError::Malformed(hash))
}

/// Bytes by content: absent is an error, and so is anything that does not hash to `hash`.
fn fetch<S: NodeStore>(store: &S, hash: B256) -> Result<Bytes, TrieError> {
    let bytes = store.get(hash)?.ok_or(TrieError::Missing(hash))?;
    if keccak256(&bytes) != hash {
        return Err(TrieError::Corrupt(hash));
    }
    Ok(bytes)
}
