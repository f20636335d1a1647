//! Batched update of a trie: one recursion over the sorted changes, so that every touched node is encoded and
//! hashed once, and nodes that a deletion folds away are never written.

use super::{
    EMPTY_ROOT, NodeCache, NodeStore, TrieError,
    cache::Hint,
    load,
    node::{Branch, HASHED_FROM_BYTES, Link, Node, WIDTH, head, joined, prefixed, tail},
};
use alloy_primitives::{B256, Bytes, keccak256};
use alloy_trie::Nibbles;
use std::{mem, sync::Arc};

/// The new value of one key; an empty value deletes.
pub(super) struct Change {
    path: Nibbles,
    value: Bytes,
}

impl Change {
    pub fn new(path: Nibbles, value: Option<Bytes>) -> Self {
        Self { path, value: value.unwrap_or_default() }
    }
}

/// What became of a subtree.
enum Outcome {
    Unchanged,
    Empty,
    /// Its new top node, not yet encoded: the parent may still fold it into itself.
    Node(Node),
}

/// A child of a branch under construction.
enum Slot {
    Old(Link),
    New(Box<Node>),
}

/// A branch under construction.
struct Fork {
    slots: [Slot; WIDTH],
    value: Bytes,
}

/// One batched update: where nodes come from and where new ones go.
pub(super) struct Updater<'a, S> {
    store: &'a S,
    cache: &'a NodeCache,
    new_nodes: &'a mut Vec<(B256, Bytes)>,
    /// The root, blamed when a path turns out to be longer than any key.
    root: B256,
}

impl<'a, S: NodeStore> Updater<'a, S> {
    pub fn new(store: &'a S, cache: &'a NodeCache, new_nodes: &'a mut Vec<(B256, Bytes)>) -> Self {
        Self { store, cache, new_nodes, root: EMPTY_ROOT }
    }

    /// Applies the changes to the trie under `root` and returns the new root.
    pub fn run(mut self, root: B256, mut changes: Vec<Change>) -> Result<B256, TrieError> {
        sort_last_wins(&mut changes);
        self.root = root;
        let link = if root == EMPTY_ROOT { Link::Empty } else { Link::Hash(root, Hint::UNKNOWN) };
        match self.apply_link(&link, 0, &changes)? {
            Outcome::Unchanged => Ok(root),
            Outcome::Empty => Ok(EMPTY_ROOT),
            Outcome::Node(node) => Ok(self.seal_root(node)),
        }
    }

    /// All `changes` share the first `depth` nibbles, which lead to `link`.
    fn apply_link(
        &mut self,
        link: &Link,
        depth: usize,
        changes: &[Change],
    ) -> Result<Outcome, TrieError> {
        match (link, changes) {
            (_, []) => Ok(Outcome::Unchanged),
            (Link::Empty, _) => self.apply_empty(depth, changes),
            (Link::Hash(hash, hint), _) => {
                let node = load(self.store, self.cache, *hash, *hint)?;
                self.apply_node(node, depth, changes)
            }
            (Link::Inline(node), _) => self.apply_node(Node::clone(node), depth, changes),
        }
    }

    fn apply_node(
        &mut self,
        node: Node,
        depth: usize,
        changes: &[Change],
    ) -> Result<Outcome, TrieError> {
        match node {
            Node::Leaf { path, value } => self.apply_leaf(&path, value, depth, changes),
            Node::Extension { path, child } => self.apply_extension(&path, child, depth, changes),
            Node::Branch(branch) => self.apply_fork(Fork::of(*branch), depth, changes),
        }
    }

    fn apply_empty(&mut self, depth: usize, changes: &[Change]) -> Result<Outcome, TrieError> {
        match changes {
            [change] if change.value.is_empty() => Ok(Outcome::Unchanged),
            [change] => Ok(Outcome::Node(Node::Leaf {
                path: tail(&change.path, depth),
                value: change.value.clone(),
            })),
            [first, ..] => {
                let path = tail(&first.path, depth);
                self.split(&path, common(&path, depth, changes), Fork::empty(), depth, changes)
            }
            [] => Ok(Outcome::Unchanged),
        }
    }

    fn apply_leaf(
        &mut self,
        path: &Nibbles,
        value: Bytes,
        depth: usize,
        changes: &[Change],
    ) -> Result<Outcome, TrieError> {
        if let [change] = changes
            && tail(&change.path, depth) == *path
        {
            return Ok(match &change.value {
                new if *new == value => Outcome::Unchanged,
                new if new.is_empty() => Outcome::Empty,
                new => Outcome::Node(Node::Leaf { path: *path, value: new.clone() }),
            });
        }
        let shared = common(path, depth, changes);
        let mut fork = Fork::empty();
        match path.get(shared) {
            None => fork.value = value,
            Some(nibble) => {
                let leaf = Node::Leaf { path: tail(path, shared + 1), value: value.clone() };
                fork.set(nibble, Slot::New(Box::new(leaf)));
            }
        }
        self.split(path, shared, fork, depth, changes)
    }

    fn apply_extension(
        &mut self,
        path: &Nibbles,
        child: Link,
        depth: usize,
        changes: &[Change],
    ) -> Result<Outcome, TrieError> {
        let shared = common(path, depth, changes);
        let Some(nibble) = path.get(shared) else {
            let outcome = self.apply_link(&child, depth + path.len(), changes)?;
            return self.extend(path, outcome);
        };
        let rest = tail(path, shared + 1);
        let mut fork = Fork::empty();
        fork.set(
            nibble,
            if rest.is_empty() {
                Slot::Old(child)
            } else {
                Slot::New(Box::new(Node::Extension { path: rest, child }))
            },
        );
        self.split(path, shared, fork, depth, changes)
    }

    /// Applies `changes` to a fork that stands after the first `shared` nibbles of `path`.
    fn split(
        &mut self,
        path: &Nibbles,
        shared: usize,
        fork: Fork,
        depth: usize,
        changes: &[Change],
    ) -> Result<Outcome, TrieError> {
        let outcome = self.apply_fork(fork, depth + shared, changes)?;
        self.extend(&head(path, shared), outcome)
    }

    fn apply_fork(
        &mut self,
        mut fork: Fork,
        depth: usize,
        changes: &[Change],
    ) -> Result<Outcome, TrieError> {
        let mut changed = false;
        let mut rest = changes;
        // Sorted: a key that ends here comes before all that go on.
        if let [here, below @ ..] = rest
            && here.path.len() <= depth
        {
            changed |= fork.value != here.value;
            fork.value = here.value.clone();
            rest = below;
        }
        while let Some(nibble) = rest.first().and_then(|change| change.path.get(depth)) {
            let group = rest.partition_point(|change| change.path.get(depth) <= Some(nibble));
            let (group, below) = rest.split_at_checked(group).unwrap_or((rest, &[]));
            rest = below;
            let outcome = match fork.slot(nibble) {
                Some(Slot::Old(link)) => self.apply_link(link, depth + 1, group)?,
                Some(Slot::New(node)) => self.apply_node(Node::clone(node), depth + 1, group)?,
                None => Outcome::Unchanged,
            };
            match outcome {
                Outcome::Unchanged => continue,
                Outcome::Empty => fork.set(nibble, Slot::Old(Link::Empty)),
                Outcome::Node(node) => fork.set(nibble, Slot::New(Box::new(node))),
            }
            changed = true;
        }
        if changed { self.finish(fork) } else { Ok(Outcome::Unchanged) }
    }

    /// Turns a changed fork into a node: a branch, or less if fewer than two ways are left.
    fn finish(&mut self, mut fork: Fork) -> Result<Outcome, TrieError> {
        let mut used = (0u8..).zip(&fork.slots).filter(|(_, slot)| slot.is_used());
        match (used.next(), used.next(), fork.value.is_empty()) {
            (None, _, true) => Ok(Outcome::Empty),
            (None, _, false) => {
                Ok(Outcome::Node(Node::Leaf { path: Nibbles::new(), value: fork.value }))
            }
            (Some((nibble, _)), None, true) => {
                let slot = fork.take(nibble);
                self.fold(nibble, slot).map(Outcome::Node)
            }
            _ => {
                let children = fork.slots.map(|slot| self.seal_slot(slot));
                let branch = Branch { children, value: fork.value };
                Ok(Outcome::Node(Node::Branch(Box::new(branch))))
            }
        }
    }

    /// The only child left under `nibble`, with the nibble moved into its path.
    fn fold(&mut self, nibble: u8, slot: Slot) -> Result<Node, TrieError> {
        let too_long = TrieError::Malformed(self.root);
        let (node, link) = match slot {
            Slot::New(node) => (*node, None),
            Slot::Old(Link::Inline(node)) => (Node::clone(&node), Some(Link::Inline(node))),
            Slot::Old(Link::Hash(hash, hint)) => {
                (load(self.store, self.cache, hash, hint)?, Some(Link::Hash(hash, hint)))
            }
            // Not reached: the caller has seen that the slot is used.
            Slot::Old(Link::Empty) => return Err(too_long),
        };
        match node {
            Node::Leaf { path, value } => {
                Ok(Node::Leaf { path: prefixed(nibble, &path).ok_or(too_long)?, value })
            }
            Node::Extension { path, child } => {
                Ok(Node::Extension { path: prefixed(nibble, &path).ok_or(too_long)?, child })
            }
            branch @ Node::Branch(_) => {
                let path = prefixed(nibble, &Nibbles::new()).ok_or(too_long)?;
                let child = link.unwrap_or_else(|| self.seal(branch));
                Ok(Node::Extension { path, child })
            }
        }
    }

    /// Puts `path` before a changed subtree.
    fn extend(&mut self, path: &Nibbles, outcome: Outcome) -> Result<Outcome, TrieError> {
        let Outcome::Node(node) = outcome else {
            return Ok(outcome);
        };
        if path.is_empty() {
            return Ok(Outcome::Node(node));
        }
        let too_long = TrieError::Malformed(self.root);
        Ok(Outcome::Node(match node {
            Node::Leaf { path: rest, value } => {
                Node::Leaf { path: joined(path, &rest).ok_or(too_long)?, value }
            }
            Node::Extension { path: rest, child } => {
                Node::Extension { path: joined(path, &rest).ok_or(too_long)?, child }
            }
            branch @ Node::Branch(_) => Node::Extension { path: *path, child: self.seal(branch) },
        }))
    }

    fn seal_slot(&mut self, slot: Slot) -> Link {
        match slot {
            Slot::Old(link) => link,
            Slot::New(node) => self.seal(*node),
        }
    }

    /// Encodes a finished node and returns how its parent refers to it.
    fn seal(&mut self, node: Node) -> Link {
        let rlp = encode(&node);
        if rlp.len() < HASHED_FROM_BYTES {
            return Link::Inline(Arc::new(node));
        }
        let (hash, hint) = self.emit(node, rlp);
        Link::Hash(hash, hint)
    }

    /// The root is always referred to by hash, however short.
    fn seal_root(&mut self, node: Node) -> B256 {
        let rlp = encode(&node);
        self.emit(node, rlp).0
    }

    fn emit(&mut self, node: Node, rlp: Vec<u8>) -> (B256, Hint) {
        let hash = keccak256(&rlp);
        let hint = self.cache.put_node(hash, node);
        self.new_nodes.push((hash, rlp.into()));
        (hash, hint)
    }
}

impl Fork {
    fn empty() -> Self {
        Self { slots: std::array::from_fn(|_| Slot::Old(Link::Empty)), value: Bytes::new() }
    }

    fn of(branch: Branch) -> Self {
        Self { slots: branch.children.map(Slot::Old), value: branch.value.clone() }
    }

    fn slot(&self, nibble: u8) -> Option<&Slot> {
        self.slots.get(usize::from(nibble))
    }

    fn set(&mut self, nibble: u8, new: Slot) {
        if let Some(slot) = self.slots.get_mut(usize::from(nibble)) {
            *slot = new;
        }
    }

    fn take(&mut self, nibble: u8) -> Slot {
        match self.slots.get_mut(usize::from(nibble)) {
            Some(slot) => mem::replace(slot, Slot::Old(Link::Empty)),
            None => Slot::Old(Link::Empty),
        }
    }
}

impl Slot {
    fn is_used(&self) -> bool {
        !matches!(self, Self::Old(Link::Empty))
    }
}

/// How many nibbles after `depth` all sorted changes have in common with `path`. The keys that share a given
/// prefix with it are neighbours, so only the first and the last need to be looked at.
fn common(path: &Nibbles, depth: usize, changes: &[Change]) -> usize {
    let with = |change: Option<&Change>| {
        change.map_or(path.len(), |change| tail(&change.path, depth).common_prefix_length(path))
    };
    with(changes.first()).min(with(changes.last()))
}

/// Sorts by key; of several changes to one key only the last given stays.
fn sort_last_wins(changes: &mut Vec<Change>) {
    changes.sort_by_key(|change| change.path);
    changes.dedup_by(|later, earlier| {
        let same = later.path == earlier.path;
        if same {
            mem::swap(earlier, later);
        }
        same
    });
}

fn encode(node: &Node) -> Vec<u8> {
    let mut rlp = Vec::with_capacity(node.rlp_length());
    node.encode(&mut rlp);
    rlp
}
