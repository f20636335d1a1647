//! The bounded cache of decoded nodes and of codes, shared by all roots.
//!
//! Entries are content-addressed and were hashed by the enclave, so they are believed without another check. A node
//! remembers in each link which slot its child was last seen in ([`Hint`]): descending costs one memory access per
//! level instead of a search. A hint is only a guess, checked against the hash, so a reused slot does no harm.
//! Slots are reused by the clock algorithm (second chance), which costs a read one bit.

use super::node::{Branch, Link, Node, NodeRef, Step, step};
use crate::executor::Code;
use alloy_primitives::{
    B256,
    map::{B256Map, FbBuildHasher, hash_map::Entry},
};
use alloy_trie::Nibbles;
use lru::LruCache;
use parking_lot::Mutex;
use std::{mem, num::NonZeroUsize};

/// Nodes kept by [`NodeCache::default`]: about 150 MiB, half of them branches.
pub const DEFAULT_CACHED_NODES: usize = 1 << 18;

/// Codes kept: at most 27 MiB, since EIP-170 limits a code to 24 KiB, and each byte has a bit in its analysis.
pub const MAX_CACHED_CODES: usize = 1 << 10;

/// Slots of each kind at most: a hint has 31 bits for the number, and one number means "unknown".
const MAX_SLOTS: usize = (1 << 31) - 1;

/// Slots looked at to find one to reuse: the cache is locked meanwhile.
const MAX_SWEEP: usize = 64;

/// Slots allocated together.
const CHUNK_SLOTS: usize = 1 << 10;

/// Recently used decoded nodes and codes.
#[derive(Debug)]
pub struct NodeCache {
    slots: Mutex<Slots>,
    codes: Mutex<LruCache<B256, Code, FbBuildHasher<32>>>,
}

/// Where a node was last seen in the cache. Says nothing about the node: all hints are equal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hint(u32);

/// How far a walk got within the cache.
pub(super) enum Walked<R> {
    /// To its end: the value, if there is one.
    Done(Option<R>),
    /// To a node that has to be fetched, with this much of the path left.
    Missing(B256, Nibbles),
}

impl NodeCache {
    /// A cache of about `nodes` decoded nodes, half of them branches (at least one of each kind).
    pub fn new(nodes: usize) -> Self {
        let codes = NonZeroUsize::new(MAX_CACHED_CODES).unwrap_or(NonZeroUsize::MIN);
        Self {
            slots: Mutex::new(Slots::new(nodes / 2)),
            codes: Mutex::new(LruCache::with_hasher(codes, FbBuildHasher::default())),
        }
    }

    /// Follows `rest` from `hash` as far as the cache reaches, showing every separately hashed node to `visit`.
    /// `read` must not use the cache: it is locked.
    pub(super) fn walk<R>(
        &self,
        hash: B256,
        rest: Nibbles,
        visit: &mut impl FnMut(NodeRef<'_>),
        read: impl FnOnce(&[u8]) -> R,
    ) -> Walked<R> {
        self.slots.lock().walk(hash, rest, visit, read)
    }

    /// A copy of a node.
    pub(super) fn node(&self, hash: B256, hint: Hint) -> Option<Node> {
        let mut slots = self.slots.lock();
        let hint = slots.find(hash, hint)?;
        slots.get(hint).map(NodeRef::to_node)
    }

    /// Adds a node and says where it is.
    pub(super) fn put_node(&self, hash: B256, node: Node) -> Hint {
        self.slots.lock().put(hash, node)
    }

    pub(super) fn code(&self, hash: B256) -> Option<Code> {
        self.codes.lock().get(&hash).cloned()
    }

    pub(crate) fn put_code(&self, hash: B256, code: Code) {
        self.codes.lock().put(hash, code);
    }
}

impl Default for NodeCache {
    fn default() -> Self {
        Self::new(DEFAULT_CACHED_NODES)
    }
}

impl Hint {
    /// No guess.
    pub const UNKNOWN: Self = Self(u32::MAX);

    const BRANCH: u32 = 1 << 31;

    fn slot(self) -> usize {
        usize::try_from(self.0 & !Self::BRANCH).unwrap_or(usize::MAX)
    }

    fn is_branch(self) -> bool {
        self.0 & Self::BRANCH != 0
    }

    fn new(slot: usize, branch: bool) -> Self {
        let kind = if branch { Self::BRANCH } else { 0 };
        u32::try_from(slot).map_or(Self::UNKNOWN, |slot| Self(slot | kind))
    }
}

impl Default for Hint {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

impl PartialEq for Hint {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Hint {}

/// The nodes, and where each of them is. Branches and the much smaller others have slots of their own.
#[derive(Debug)]
struct Slots {
    index: B256Map<Hint>,
    branches: Clock<Branch>,
    others: Clock<Node>,
}

impl Slots {
    fn new(capacity: usize) -> Self {
        Self {
            index: B256Map::default(),
            branches: Clock::new(capacity),
            others: Clock::new(capacity),
        }
    }

    fn walk<R>(
        &mut self,
        mut hash: B256,
        mut rest: Nibbles,
        visit: &mut impl FnMut(NodeRef<'_>),
        read: impl FnOnce(&[u8]) -> R,
    ) -> Walked<R> {
        let mut hint = Hint::UNKNOWN;
        let mut parent = None;
        loop {
            let Some(found) = self.find(hash, hint) else { return Walked::Missing(hash, rest) };
            if found.0 != hint.0
                && let Some((parent, nibble)) = parent
            {
                self.remember(parent, nibble, found);
            }
            let Some(node) = self.get(found) else { return Walked::Missing(hash, rest) };
            visit(node);
            parent = rest.first().map(|nibble| (found, nibble));
            match step(node, &mut rest) {
                Step::Value(value) => return Walked::Done(value.map(|value| read(value))),
                Step::Descend(child, at) => (hash, hint) = (child, at),
            }
        }
    }

    /// Where the node is, if it is anywhere.
    fn find(&mut self, hash: B256, hint: Hint) -> Option<Hint> {
        if self.touch(hash, hint) {
            return Some(hint);
        }
        let hint = *self.index.get(&hash)?;
        self.touch(hash, hint).then_some(hint)
    }

    /// Whether the node is in this slot; if so, it is in use.
    fn touch(&mut self, hash: B256, hint: Hint) -> bool {
        match hint.is_branch() {
            true => self.branches.touch(hash, hint.slot()),
            false => self.others.touch(hash, hint.slot()),
        }
    }

    fn get(&self, hint: Hint) -> Option<NodeRef<'_>> {
        Some(match hint.is_branch() {
            true => NodeRef::Branch(self.branches.get(hint.slot())?),
            false => NodeRef::Other(self.others.get(hint.slot())?),
        })
    }

    /// Notes in the parent where its child is.
    fn remember(&mut self, parent: Hint, nibble: u8, found: Hint) {
        let link = if parent.is_branch() {
            let branch = self.branches.get_mut(parent.slot());
            branch.and_then(|slot| slot.node.children.get_mut(usize::from(nibble)))
        } else {
            match self.others.get_mut(parent.slot()).map(|slot| &mut slot.node) {
                Some(Node::Extension { child, .. }) => Some(child),
                _ => None,
            }
        };
        if let Some(Link::Hash(_, hint)) = link {
            *hint = found;
        }
    }

    fn put(&mut self, hash: B256, node: Node) -> Hint {
        let entry = match self.index.entry(hash) {
            Entry::Occupied(entry) => return *entry.get(),
            Entry::Vacant(entry) => entry,
        };
        let (hint, evicted) = match node {
            Node::Branch(branch) => {
                let (slot, evicted) = self.branches.put(hash, *branch);
                (Hint::new(slot, true), evicted)
            }
            other => {
                let (slot, evicted) = self.others.put(hash, other);
                (Hint::new(slot, false), evicted)
            }
        };
        entry.insert(hint);
        if let Some(evicted) = evicted {
            self.index.remove(&evicted);
        }
        hint
    }
}

/// A bounded set of slots; the one to reuse is the next that was not used since the hand last passed.
#[derive(Debug)]
struct Clock<T> {
    /// All chunks but the last are full. In chunks, so that growing never moves what is there.
    chunks: Vec<Vec<Slot<T>>>,
    capacity: usize,
    len: usize,
    hand: usize,
}

#[derive(Debug)]
struct Slot<T> {
    hash: B256,
    used: bool,
    node: T,
}

impl<T> Clock<T> {
    fn new(capacity: usize) -> Self {
        let capacity = capacity.clamp(1, MAX_SLOTS);
        Self { chunks: Vec::new(), capacity, len: 0, hand: 0 }
    }

    fn get(&self, slot: usize) -> Option<&T> {
        let slot = self.chunks.get(slot / CHUNK_SLOTS)?.get(slot % CHUNK_SLOTS)?;
        Some(&slot.node)
    }

    fn get_mut(&mut self, slot: usize) -> Option<&mut Slot<T>> {
        self.chunks.get_mut(slot / CHUNK_SLOTS)?.get_mut(slot % CHUNK_SLOTS)
    }

    fn touch(&mut self, hash: B256, slot: usize) -> bool {
        let slot = self.get_mut(slot).filter(|slot| slot.hash == hash);
        slot.is_some_and(|slot| {
            slot.used = true;
            true
        })
    }

    /// The slot, and whose it was before.
    fn put(&mut self, hash: B256, node: T) -> (usize, Option<B256>) {
        // Unused until read: a node that is written and never read again goes first.
        let new = Slot { hash, used: false, node };
        if self.len < self.capacity {
            self.push(new);
            return (self.len - 1, None);
        }
        let slot = self.victim();
        let evicted = self.get_mut(slot).map(|slot| mem::replace(slot, new).hash);
        (slot, evicted)
    }

    fn push(&mut self, slot: Slot<T>) {
        match self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK_SLOTS) {
            Some(chunk) => chunk.push(slot),
            None => {
                let mut chunk = Vec::with_capacity(CHUNK_SLOTS.min(self.capacity));
                chunk.push(slot);
                self.chunks.push(chunk);
            }
        }
        self.len += 1;
    }

    /// The next slot that was not used lately, or the last one looked at.
    fn victim(&mut self) -> usize {
        let mut at = self.hand;
        for _ in 0..MAX_SWEEP {
            at = self.hand;
            self.hand = (at + 1) % self.len.max(1);
            match self.get_mut(at) {
                Some(slot) if slot.used => slot.used = false,
                _ => break,
            }
        }
        at
    }
}
