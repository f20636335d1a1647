//! The embedded L1 as a deterministic state machine: a tree of blocks, a chosen head, a pool.
//!
//! No clock, sockets, threads or randomness: timestamps are arguments, and the same calls give the
//! same block hashes. `server` drives it in real time; a simulator can drive it directly, grow
//! competing branches with [`Chain::mine_on`] and switch between them with [`Chain::set_head`].
//! State is content-addressed, so switching is moving a pointer.

mod durable;

use std::{collections::VecDeque, sync::Arc};

use alloy_consensus::transaction::Recovered;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use obscuro_enclave::{
    executor::{self, BlockEnv, ExecutionError, Reject},
    state::StateError,
};

use super::{
    blobs::{BlobArchive, StoredBlob},
    block::{Block, Tx, blob_hashes},
    build::{self, BuildError, Built, Candidates, Plan},
    config::Config,
    genesis,
    incoming::{Incoming, Refusal},
    journal::{Journal, JournalError, Record},
    pool::Pool,
    tree::{HeadChange, Tree, TreeError},
    world::World,
};

/// Events kept until [`Chain::take_events`]; older ones are dropped.
pub const EVENTS_MAX: usize = 65_536;

/// How far the nonce of a waiting transaction may be ahead of its account's.
pub const NONCE_GAP_MAX: u64 = 16_384;

/// Latest timestamp that can be asked for, so that there is always a later one.
const TIMESTAMP_MAX: u64 = 1 << 40;

/// Extra data that tells a replacement block from the one it replaces.
const SALT_BYTES: usize = 8;

/// Blocks between two searches for states to forget, at least.
const SWEEP_BLOCKS_MIN: u64 = 16;

/// Blocks that one reorganisation may replace.
pub const REORG_DEPTH_MAX: u64 = 1_024;

/// Why the chain did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The head cannot move there.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// No block could be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The chain file failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A block of the chain file is not what its execution gives.
    #[error("chain file: block {number} does not match its execution; choose another directory")]
    Replay {
        /// Height of the block.
        number: u64,
    },
    /// The chain file belongs to another genesis block.
    #[error("chain file was made with genesis {found}, not {wanted}; choose another directory")]
    Genesis {
        /// Genesis hash in the file.
        found: B256,
        /// Genesis hash of the configuration.
        wanted: B256,
    },
    /// A reorganisation of no, or too many, blocks.
    #[error("cannot reorganise {depth} blocks at height {height}")]
    Depth {
        /// Blocks to replace.
        depth: u64,
        /// Height of the head.
        height: u64,
    },
}

/// Something that clients may wait for.
#[derive(Clone, Debug)]
pub enum Event {
    /// The canonical chain changed.
    Head(HeadChange),
    /// A transaction entered the pool.
    Pending(Box<Recovered<Tx>>),
}

/// The chain.
#[derive(Debug)]
pub struct Chain {
    config: Arc<Config>,
    world: Arc<World>,
    tree: Tree,
    pool: Pool,
    blobs: BlobArchive,
    events: VecDeque<Arc<Event>>,
    journal: Option<Journal>,
    /// Height of the oldest block whose state is kept.
    oldest_state: u64,
}

impl Chain {
    /// A new chain in memory.
    ///
    /// # Errors
    /// When the genesis state cannot be built from the configuration.
    pub fn new(config: Config) -> Result<Self, ChainError> {
        let world = Arc::new(World::default());
        let genesis = Arc::new(genesis::block(&config, &world)?);
        Ok(Self {
            tree: Tree::new(genesis, config.finalized_depth),
            pool: Pool::default(),
            blobs: BlobArchive::new(config.blob_bytes_max),
            events: VecDeque::new(),
            journal: None,
            oldest_state: 0,
            world,
            config: Arc::new(config),
        })
    }

    /// What was configured.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The known blocks.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The waiting transactions.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The state after any block.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// The canonical head.
    pub fn head(&self) -> &Arc<Block> {
        self.tree.head()
    }

    /// A blob that is still kept, in memory or in the chain file.
    pub fn blob(&self, versioned_hash: &B256) -> Option<Arc<StoredBlob>> {
        let recent = self.blobs.get(versioned_hash).cloned();
        recent.or_else(|| self.journal.as_ref()?.blob(versioned_hash).map(Arc::new))
    }

    /// Whether the state after a block can be read.
    pub fn has_state(&self, block: &Block) -> bool {
        block.number() >= self.oldest_state
    }

    /// Heights and hashes that `BLOCKHASH` knows in a child of `parent`, newest first.
    pub fn recent_hashes(&self, parent: &B256) -> Vec<(u64, B256)> {
        self.tree.ancestors(parent, build::BLOCK_HASHES)
    }

    /// Execution parameters of the next block, and what `BLOCKHASH` knows in it.
    pub fn next_environment(&self, timestamp: u64) -> (BlockEnv, Vec<(u64, B256)>) {
        self.environment_after(self.head().clone(), timestamp)
    }

    /// Execution parameters of a child of a block, and what `BLOCKHASH` knows in it.
    pub fn environment_after(
        &self,
        parent: Arc<Block>,
        timestamp: u64,
    ) -> (BlockEnv, Vec<(u64, B256)>) {
        let plan = self.plan(parent, timestamp);
        (build::environment(&self.config, &plan), plan.hashes)
    }

    /// The block that a client names. `pending` is answered with the head; see [`Chain::preview`].
    pub fn resolve(&self, id: BlockId) -> Option<&Arc<Block>> {
        match id {
            BlockId::Hash(hash) => {
                let block = self.tree.get(&hash.block_hash)?;
                let required = hash.require_canonical == Some(true);
                (!required || self.tree.is_canonical(block)).then_some(block)
            }
            BlockId::Number(tag) => self.tree.at(self.number(tag)),
        }
    }

    /// The height that a tag names.
    pub fn number(&self, tag: BlockNumberOrTag) -> u64 {
        let head = self.head().number();
        match tag {
            BlockNumberOrTag::Latest | BlockNumberOrTag::Pending => head,
            BlockNumberOrTag::Safe => {
                head.saturating_sub(self.config.safe_depth).max(self.tree.finalized())
            }
            BlockNumberOrTag::Finalized => self.tree.finalized(),
            BlockNumberOrTag::Earliest => 0,
            BlockNumberOrTag::Number(number) => number,
        }
    }

    /// Next nonce of a sender, counting what waits in the pool.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn pending_nonce(&self, sender: Address) -> Result<u64, StateError> {
        let account = self.world.account(self.head().header.state_root, sender)?;
        Ok(self.pool.next_nonce(&sender, account.nonce))
    }

    /// Forgets the blobs of blocks up to this number, as consensus nodes do after some weeks.
    pub fn prune_blobs(&mut self, until: u64) {
        let blocks = (0..=until).filter_map(|number| self.tree.at(number));
        let hashes: Vec<B256> = blocks.flat_map(|block| block.blob_hashes()).collect();
        for hash in &hashes {
            self.blobs.remove(hash);
            if let Some(journal) = &mut self.journal {
                journal.forget_blob(hash);
            }
        }
    }

    /// Keeps blobs that another node's pool has taken.
    pub fn keep_blobs(&mut self, blobs: impl IntoIterator<Item = (B256, Arc<StoredBlob>)>) {
        for (versioned_hash, blob) in blobs {
            self.blobs.insert(versioned_hash, blob);
        }
    }

    /// Takes a transaction into the pool.
    ///
    /// # Errors
    /// Why it is not taken, in geth's words.
    pub fn submit(&mut self, incoming: Incoming) -> Result<B256, Refusal> {
        let hash = incoming.hash();
        if self.pool.get(&hash).is_some() {
            return Err(Refusal::AlreadyKnown);
        }
        self.check(&incoming.tx, self.head())?;
        self.pool.insert(incoming.tx.clone())?;
        for (versioned_hash, blob) in incoming.blobs {
            self.blobs.insert(versioned_hash, blob);
        }
        self.emit(Event::Pending(Box::new(incoming.tx)));
        Ok(hash)
    }

    /// Drops a waiting transaction; whether there was one.
    pub fn drop_transaction(&mut self, hash: &B256) -> bool {
        self.pool.remove(hash).is_some()
    }

    /// Builds a block of waiting transactions on the head, which moves to it.
    ///
    /// The timestamp, in seconds, is raised when it is not later than the parent's.
    ///
    /// # Errors
    /// When the block cannot be built or kept.
    pub fn mine(&mut self, timestamp: u64) -> Result<Arc<Block>, ChainError> {
        let plan = self.plan(self.head().clone(), timestamp);
        let built = build::block(&self.config, &self.world, plan, Candidates::Pool(&self.pool))?;
        for hash in &built.dead {
            self.pool.remove(hash);
        }
        let block = self.keep(built)?;
        self.set_head(block.hash)?;
        Ok(block)
    }

    /// Builds a block on any known block, of what waits in a pool that is not the chain's: that of
    /// another node, which sees another head. The head does not move. Also returns the
    /// transactions of the pool that can never be included.
    ///
    /// # Errors
    /// As [`Chain::mine_on`].
    pub fn mine_from(
        &mut self,
        parent: B256,
        pool: &Pool,
        timestamp: u64,
        extra_data: Bytes,
    ) -> Result<(Arc<Block>, Vec<B256>), ChainError> {
        let parent = self.tree.get(&parent).cloned().ok_or(TreeError::Unknown(parent))?;
        let mut plan = self.plan(parent, timestamp);
        plan.extra_data = extra_data;
        let mut built = build::block(&self.config, &self.world, plan, Candidates::Pool(pool))?;
        let dead = std::mem::take(&mut built.dead);
        Ok((self.keep(built)?, dead))
    }

    /// Builds a block of exactly these transactions on any known block. The head does not move.
    ///
    /// # Errors
    /// When the parent is unknown, a transaction cannot be included, or the block cannot be kept.
    pub fn mine_on(
        &mut self,
        parent: B256,
        transactions: Vec<Recovered<Tx>>,
        timestamp: u64,
    ) -> Result<Arc<Block>, ChainError> {
        self.mine_salted(parent, transactions, timestamp, Bytes::new())
    }

    /// Like [`Chain::mine_on`], with extra data that makes the block differ from its siblings.
    ///
    /// # Errors
    /// As [`Chain::mine_on`].
    pub fn mine_salted(
        &mut self,
        parent: B256,
        transactions: Vec<Recovered<Tx>>,
        timestamp: u64,
        extra_data: Bytes,
    ) -> Result<Arc<Block>, ChainError> {
        let parent = self.tree.get(&parent).cloned().ok_or(TreeError::Unknown(parent))?;
        let mut plan = self.plan(parent, timestamp);
        plan.extra_data = extra_data;
        let candidates = Candidates::Exactly(transactions);
        let built = build::block(&self.config, &self.world, plan, candidates)?;
        self.keep(built)
    }

    /// The block that would be mined now. It is not kept.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn preview(&self, timestamp: u64) -> Result<Block, ChainError> {
        let plan = self.plan(self.head().clone(), timestamp);
        Ok(build::block(&self.config, &self.world, plan, Candidates::Pool(&self.pool))?.block)
    }

    /// Makes the branch that ends in `hash` canonical.
    ///
    /// Transactions of blocks that leave the chain return to the pool.
    ///
    /// # Errors
    /// When the block is unknown or its branch would undo the finalised block; nothing changes.
    pub fn set_head(&mut self, hash: B256) -> Result<(), ChainError> {
        if self.head().hash == hash {
            return Ok(());
        }
        self.tree.check_head(hash)?;
        if let Some(journal) = &mut self.journal {
            journal.append(&Record::Head(hash))?;
        }
        let change = self.tree.set_head(hash)?;
        self.emit(Event::Head(change.clone()));
        self.update_pool(&change);
        self.forget_states();
        Ok(())
    }

    /// Replaces the newest `depth` blocks by as many others. The first ones get the given
    /// transactions, the rest are empty; what the old blocks held returns to the pool.
    ///
    /// # Errors
    /// When the chain is too short, the finalised block would go, or a transaction cannot be
    /// included.
    pub fn reorg(
        &mut self,
        depth: u64,
        mut contents: VecDeque<Vec<Recovered<Tx>>>,
    ) -> Result<Arc<Block>, ChainError> {
        let height = self.head().number();
        if depth == 0 || depth > height || depth > REORG_DEPTH_MAX {
            return Err(ChainError::Depth { depth, height });
        }
        let replaced: Vec<_> =
            (height - depth..=height).filter_map(|n| self.tree.at(n)).cloned().collect();
        let mut tip = replaced[0].clone();
        for old in &replaced[1..] {
            let transactions = contents.pop_front().unwrap_or_default();
            let salt = Bytes::copy_from_slice(&keccak256(old.hash)[..SALT_BYTES]);
            tip = self.mine_salted(tip.hash, transactions, old.header.timestamp, salt)?;
        }
        self.set_head(tip.hash)?;
        Ok(tip)
    }

    /// What happened since the last call, oldest first.
    pub fn take_events(&mut self) -> Vec<Arc<Event>> {
        self.events.drain(..).collect()
    }

    /// Whether a transaction could be executed on this block, now or when its fee suffices and the
    /// nonces before it are used.
    ///
    /// # Errors
    /// Why not, in geth's words.
    pub fn check(&self, tx: &Recovered<Tx>, on: &Arc<Block>) -> Result<(), Refusal> {
        let plan = self.plan(on.clone(), 0);
        let env = build::environment(&self.config, &plan);
        let free = BlockEnv { base_fee: 0, excess_blob_gas: Some(0), ..env };
        let state = self.world.state(on.header.state_root);
        match executor::check(state, &free, tx.inner(), tx.signer()) {
            Ok(()) => Ok(()),
            Err(ExecutionError::Fatal(fatal)) => Err(fatal.into()),
            Err(ExecutionError::Rejected(Reject::NonceTooHigh {
                tx: have, state: want, ..
            })) => {
                if have - want > NONCE_GAP_MAX {
                    return Err(Refusal::NonceGap { have, want });
                }
                Ok(())
            }
            Err(ExecutionError::Rejected(reject)) => Err(reject.into()),
        }
    }

    fn plan(&self, parent: Arc<Block>, timestamp: u64) -> Plan {
        Plan {
            timestamp: timestamp.min(TIMESTAMP_MAX).max(parent.header.timestamp + 1),
            hashes: self.recent_hashes(&parent.hash),
            parent,
            extra_data: Bytes::new(),
        }
    }

    fn keep(&mut self, built: Built) -> Result<Arc<Block>, ChainError> {
        self.world.insert(built.nodes);
        let block = Arc::new(built.block);
        if self.tree.get(&block.hash).is_none() {
            self.write(&block)?;
            self.tree.insert(block.clone());
        }
        Ok(block)
    }

    fn update_pool(&mut self, change: &HeadChange) {
        for block in change.added.iter() {
            for tx in &block.transactions {
                self.pool.remove(tx.inner().tx_hash());
            }
        }
        // Oldest first, so that arrival order follows the abandoned chain.
        let mut returned = Vec::new();
        for tx in change.removed.iter().rev().flat_map(|block| &block.transactions) {
            let included = self.tree.transaction(tx.inner().tx_hash()).is_some();
            let complete = blob_hashes(tx.inner()).iter().all(|hash| self.blob(hash).is_some());
            if !included && complete {
                self.pool.readmit(tx.clone());
                returned.push(tx.clone());
            }
        }
        let (root, world) = (self.head().header.state_root, &self.world);
        self.pool.prune(|sender| world.account(root, sender).unwrap_or_default().nonce);
        for tx in returned {
            if self.pool.get(tx.inner().tx_hash()).is_some() {
                self.emit(Event::Pending(Box::new(tx)));
            }
        }
    }

    /// Drops old states now and then: not with every block, because all kept ones are visited.
    fn forget_states(&mut self) {
        let depth = self.config.state_depth;
        let oldest = self.head().number().saturating_sub(depth).min(self.tree.finalized());
        if oldest < self.oldest_state.saturating_add(depth / 4 + SWEEP_BLOCKS_MIN) {
            return;
        }
        self.oldest_state = oldest;
        let kept = self.tree.iter().filter(|block| block.number() >= oldest);
        self.world.retain(kept.map(|block| block.header.state_root));
    }

    fn emit(&mut self, event: Event) {
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(Arc::new(event));
    }
}
