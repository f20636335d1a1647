//! Which trie nodes and codes a set of states consists of, to forget the others.
//!
//! A chain that mines an empty block every two seconds writes several hundred megabytes of trie
//! nodes a day, nearly all of which belong to states that nobody asks for again. Walks the tries'
//! RLP (yellow paper, appendix D); what is forgotten when is decided by the chain.

use alloy_primitives::{B256, map::B256Set};
use alloy_rlp::{Decodable, Header};
use obscuro_enclave::{
    state::Account,
    trie::{EMPTY_CODE_HASH, EMPTY_ROOT, NodeStore},
};

/// Nesting of nodes inside their parents: those shorter than 32 bytes are not hashed.
const INLINE_DEPTH_MAX: usize = 64;

/// Hashes of all nodes and codes that are reachable from the given state roots.
pub fn reachable<S: NodeStore>(store: &S, roots: impl IntoIterator<Item = B256>) -> B256Set {
    let mut marker = Marker::default();
    for root in roots {
        marker.reach(root, Trie::Accounts);
        while let Some((hash, trie)) = marker.open.pop() {
            // What is missing has been forgotten before, and everything below it.
            if let Ok(Some(rlp)) = store.get(hash) {
                marker.node(&mut rlp.as_ref(), trie, 0);
            }
        }
    }
    marker.seen
}

/// What the leaves of a trie are.
#[derive(Clone, Copy)]
enum Trie {
    Accounts,
    Storage,
}

#[derive(Default)]
struct Marker {
    seen: B256Set,
    open: Vec<(B256, Trie)>,
}

impl Marker {
    fn reach(&mut self, hash: B256, trie: Trie) {
        if hash != EMPTY_ROOT && self.seen.insert(hash) {
            self.open.push((hash, trie));
        }
    }

    /// Follows a node: a list of 17 links, or of a path and a link or value.
    fn node(&mut self, rlp: &mut &[u8], trie: Trie, depth: usize) -> Option<()> {
        if depth > INLINE_DEPTH_MAX {
            return None;
        }
        let mut items = Header::decode_bytes(rlp, true).ok()?;
        let mut list = Vec::with_capacity(17);
        while !items.is_empty() {
            let start = items;
            let header = Header::decode(&mut items).ok()?;
            items = items.get(header.payload_length..)?;
            list.push((header.list, &start[..start.len() - items.len()]));
        }
        match list[..] {
            [(_, path), (is_list, target)] => {
                let is_leaf = Header::decode_bytes(&mut &*path, false).ok()?.first()? & 0x20 != 0;
                if is_leaf {
                    self.leaf(target, trie)
                } else {
                    self.link(is_list, target, trie, depth)
                }
            }
            _ => {
                for (is_list, target) in list.into_iter().take(16) {
                    self.link(is_list, target, trie, depth);
                }
                Some(())
            }
        }
    }

    fn link(&mut self, is_list: bool, target: &[u8], trie: Trie, depth: usize) -> Option<()> {
        if is_list {
            return self.node(&mut &*target, trie, depth + 1);
        }
        let hash = Header::decode_bytes(&mut &*target, false).ok()?;
        self.reach(B256::try_from(hash).ok()?, trie);
        Some(())
    }

    fn leaf(&mut self, target: &[u8], trie: Trie) -> Option<()> {
        let Trie::Accounts = trie else { return Some(()) };
        let value = Header::decode_bytes(&mut &*target, false).ok()?;
        let account = Account::decode(&mut &*value).ok()?;
        self.reach(account.storage_root, Trie::Storage);
        if account.code_hash != EMPTY_CODE_HASH {
            self.seen.insert(account.code_hash);
        }
        Some(())
    }
}
