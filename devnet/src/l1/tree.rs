//! The tree of known blocks and the branch that is canonical.
//!
//! Any block can be extended and any branch above the finalised block can become canonical:
//! [`Tree::set_head`] moves a pointer and says which blocks left and entered. Nothing is executed
//! here, and transactions are known only by hash.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use alloy_primitives::B256;

use super::block::Block;

/// A new head cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The block is not known.
    #[error("unknown block {0}")]
    Unknown(B256),
    /// The branch leaves the canonical chain below the finalised block.
    #[error("branch forks at or below block {fork}, but block {finalized} is finalized")]
    Finalized {
        /// Height of the last common block, as far as it is known.
        fork: u64,
        /// Height of the finalised block.
        finalized: u64,
    },
}

/// How the canonical chain changed.
#[derive(Clone, Debug, Default)]
pub struct HeadChange {
    /// Blocks that left it, newest first.
    pub removed: Vec<Arc<Block>>,
    /// Blocks that entered it, oldest first.
    pub added: Vec<Arc<Block>>,
}

impl HeadChange {
    /// Whether the head stayed where it was.
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty()
    }
}

/// Known blocks, indexed.
#[derive(Clone, Debug)]
pub struct Tree {
    blocks: HashMap<B256, Arc<Block>>,
    /// Hash of the canonical block at each height.
    canonical: Vec<B256>,
    /// All known blocks above the finalised one, by height.
    recent: BTreeMap<u64, Vec<B256>>,
    /// Canonical position of each transaction: height and index.
    included: HashMap<B256, (u64, usize)>,
    finalized_depth: u64,
    finalized: u64,
}

impl Tree {
    /// A tree of one block.
    pub fn new(genesis: Arc<Block>, finalized_depth: u64) -> Self {
        Self {
            canonical: vec![genesis.hash],
            blocks: HashMap::from([(genesis.hash, genesis)]),
            recent: BTreeMap::new(),
            included: HashMap::new(),
            finalized_depth,
            finalized: 0,
        }
    }

    /// The canonical head.
    pub fn head(&self) -> &Arc<Block> {
        let hash = self.canonical[self.canonical.len() - 1];
        &self.blocks[&hash]
    }

    /// A block on any branch.
    pub fn get(&self, hash: &B256) -> Option<&Arc<Block>> {
        self.blocks.get(hash)
    }

    /// The canonical block at a height.
    pub fn at(&self, number: u64) -> Option<&Arc<Block>> {
        let hash = self.canonical.get(usize::try_from(number).ok()?)?;
        self.blocks.get(hash)
    }

    /// Whether the block is on the canonical chain.
    pub fn is_canonical(&self, block: &Block) -> bool {
        self.at(block.number()).is_some_and(|canonical| canonical.hash == block.hash)
    }

    /// Canonical block and index of a transaction.
    pub fn transaction(&self, hash: &B256) -> Option<(&Arc<Block>, usize)> {
        let (number, index) = self.included.get(hash)?;
        Some((self.at(*number)?, *index))
    }

    /// Height of the finalised block.
    pub fn finalized(&self) -> u64 {
        self.finalized
    }

    /// Number of known blocks on all branches.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Never true: there is always a genesis block.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// All known blocks on all branches, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Block>> {
        self.blocks.values()
    }

    /// Hashes of up to `count` ancestors of `block`, itself first.
    pub fn ancestors(&self, block: &B256, count: usize) -> Vec<(u64, B256)> {
        let mut out = Vec::with_capacity(count);
        let mut next = self.blocks.get(block);
        while let Some(block) = next.filter(|_| out.len() < count) {
            if self.is_canonical(block) {
                // Below it there is one branch, which is at hand.
                let branch = self.canonical.iter().copied().enumerate();
                let branch = branch.map(|(number, hash)| (number as u64, hash)).rev();
                let left = count - out.len();
                out.extend(branch.skip_while(|(number, _)| *number > block.number()).take(left));
                break;
            }
            out.push((block.number(), block.hash));
            next = self.blocks.get(&block.header.parent_hash);
        }
        out
    }

    /// Adds a block whose parent is known. The head does not move.
    pub fn insert(&mut self, block: Arc<Block>) {
        if self.blocks.contains_key(&block.hash) {
            return;
        }
        self.recent.entry(block.number()).or_default().push(block.hash);
        self.blocks.insert(block.hash, block);
    }

    /// Makes the branch that ends in `hash` canonical.
    ///
    /// # Errors
    /// When the block is unknown or its branch would undo the finalised block; nothing changes.
    pub fn set_head(&mut self, hash: B256) -> Result<HeadChange, TreeError> {
        let (fork, added) = self.fork(hash)?;
        let removed = self.cut(fork);
        self.append(&added);
        self.finalize();
        Ok(HeadChange { removed, added })
    }

    /// Whether [`Tree::set_head`] would succeed.
    ///
    /// # Errors
    /// Those of [`Tree::set_head`].
    pub fn check_head(&self, hash: B256) -> Result<(), TreeError> {
        self.fork(hash).map(|_| ())
    }

    /// Height of the last common block with the canonical chain, and the blocks above it up to
    /// `hash`, oldest first.
    fn fork(&self, hash: B256) -> Result<(u64, Vec<Arc<Block>>), TreeError> {
        let added = self.branch(hash)?;
        let fork = match added.first() {
            Some(first) => first.number() - 1,
            None => self.get(&hash).ok_or(TreeError::Unknown(hash))?.number(),
        };
        if fork < self.finalized {
            return Err(TreeError::Finalized { fork, finalized: self.finalized });
        }
        Ok((fork, added))
    }

    /// Blocks from just above the canonical chain up to `hash`, oldest first.
    fn branch(&self, hash: B256) -> Result<Vec<Arc<Block>>, TreeError> {
        let mut block = self.get(&hash).ok_or(TreeError::Unknown(hash))?;
        let mut out = Vec::new();
        while !self.is_canonical(block) {
            out.push(block.clone());
            block = self.get(&block.header.parent_hash).ok_or(TreeError::Finalized {
                fork: block.number().saturating_sub(1),
                finalized: self.finalized,
            })?;
        }
        out.reverse();
        Ok(out)
    }

    /// Drops the canonical blocks above a height, newest first.
    fn cut(&mut self, fork: u64) -> Vec<Arc<Block>> {
        let mut removed = Vec::new();
        while self.head().number() > fork {
            let block = self.head().clone();
            for tx in &block.transactions {
                self.included.remove(tx.inner().tx_hash());
            }
            self.canonical.pop();
            removed.push(block);
        }
        removed
    }

    fn append(&mut self, added: &[Arc<Block>]) {
        for block in added {
            for (index, tx) in block.transactions.iter().enumerate() {
                self.included.insert(*tx.inner().tx_hash(), (block.number(), index));
            }
            self.canonical.push(block.hash);
        }
    }

    /// Advances the finalised block and forgets the branches that it rules out.
    fn finalize(&mut self) {
        let finalized = self.head().number().saturating_sub(self.finalized_depth);
        if finalized <= self.finalized {
            return;
        }
        self.finalized = finalized;
        let above = self.recent.split_off(&(finalized + 1));
        for (number, hashes) in std::mem::replace(&mut self.recent, above) {
            let kept = self.at(number).map(|block| block.hash);
            for hash in hashes.into_iter().filter(|hash| Some(*hash) != kept) {
                self.blocks.remove(&hash);
            }
        }
    }
}
