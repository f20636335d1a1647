//! Several L1 nodes: each with a head, a pool and a view of its own, over blocks that the embedded L1 of
//! `devnet` executes once for all of them. They propose, race, fork and reorganise. What a host asks of
//! its L1 node over JSON-RPC it asks here directly. Not here: when and where messages travel (`world`).

use alloy_consensus::{Transaction, transaction::Recovered};
use alloy_primitives::{Address, B256, Bytes, U256};
use obscuro_devnet::l1::{
    Block, Chain, ChainError, Config, Incoming, Pool, Refusal, SUGGESTED_TIP, Tx, next_base_fee,
    next_blob_fee,
};
use obscuro_enclave::executor::{self, CallRequest, CallResult};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

/// Seconds since 1970 when a run begins.
pub const BEGINNING: u64 = 1_767_225_600;
/// Gas that a call may use.
const CALL_GAS: u64 = 30_000_000;

/// All L1 nodes.
pub struct L1 {
    chain: Chain,
    nodes: Vec<L1Node>,
    /// Tells blocks of the same parent and time apart.
    salt: u64,
    /// Transactions that proposers have left out, each once for every block.
    pub left_out: u64,
}

/// One of them.
struct L1Node {
    head: Arc<Block>,
    /// Hashes by number.
    canonical: Vec<B256>,
    known: HashSet<B256>,
    pool: Pool,
    /// Transactions that it does not take for as long: a proposer that censors.
    censored: HashSet<Address>,
}

/// How an L1 node's head has moved.
pub struct Moved {
    /// Blocks that are no longer canonical.
    pub removed: usize,
}

/// What a call came to.
pub enum Called {
    /// It returned.
    Returned(Bytes),
    /// It reverted with these bytes.
    Reverted(Bytes),
}

/// What a host needs to know of prices.
pub struct Quoted {
    /// The head.
    pub head: Arc<Block>,
    /// Wei per gas in the next block.
    pub base_fee: u128,
    /// Wei per gas for the proposer.
    pub priority_fee: u128,
    /// Wei per blob gas in the next block.
    pub blob_base_fee: u128,
}

impl L1 {
    /// So many nodes at the same genesis.
    pub fn new(config: Config, nodes: usize) -> Result<Self, ChainError> {
        let chain = Chain::new(config)?;
        let genesis = chain.head().clone();
        let node = || L1Node {
            canonical: vec![genesis.hash],
            known: HashSet::from([genesis.hash]),
            head: genesis.clone(),
            pool: Pool::default(),
            censored: HashSet::new(),
        };
        Ok(Self { nodes: (0..nodes).map(|_| node()).collect(), chain, salt: 0, left_out: 0 })
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never true.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// A node's head.
    pub fn head(&self, node: usize) -> &Arc<Block> {
        &self.nodes[node].head
    }

    /// The highest head of all.
    pub fn highest(&self) -> &Arc<Block> {
        let mut best = &self.nodes[0].head;
        for node in &self.nodes {
            if node.head.number() > best.number() {
                best = &node.head;
            }
        }
        best
    }

    /// Any block.
    pub fn block(&self, hash: B256) -> Option<&Arc<Block>> {
        self.chain.tree().get(&hash)
    }

    /// The block of this number as a node sees it.
    pub fn at(&self, node: usize, number: u64) -> Option<&Arc<Block>> {
        self.block(*self.nodes[node].canonical.get(number as usize)?)
    }

    /// Whether a node has the block.
    pub fn knows(&self, node: usize, hash: B256) -> bool {
        self.nodes[node].known.contains(&hash)
    }

    /// Whether a block is on the branch that ends in another.
    pub fn is_ancestor(&self, ancestor: B256, of: B256) -> bool {
        let Some(wanted) = self.block(ancestor).map(|block| block.number()) else { return false };
        let mut block = self.block(of);
        while let Some(current) = block.filter(|block| block.number() > wanted) {
            block = self.block(current.header.parent_hash);
        }
        block.is_some_and(|block| block.hash == ancestor)
    }

    /// A node proposes a block on its head. It does not adopt it yet: see [`Self::take_block`].
    pub fn propose(&mut self, node: usize, now: Duration) -> Result<Arc<Block>, ChainError> {
        let parent = self.nodes[node].head.hash;
        self.propose_on(node, parent, now)
    }

    /// A node proposes a block on any block.
    pub fn propose_on(
        &mut self,
        node: usize,
        parent: B256,
        now: Duration,
    ) -> Result<Arc<Block>, ChainError> {
        self.salt += 1;
        let extra = Bytes::copy_from_slice(&self.salt.to_be_bytes());
        let time = BEGINNING + now.as_secs();
        let L1Node { pool, censored, .. } = &self.nodes[node];
        let kept;
        let pool = if censored.is_empty() {
            pool
        } else {
            let mut rest = pool.clone();
            let unwanted: Vec<B256> = pool
                .iter()
                .filter(|tx| censored.contains(&tx.signer()))
                .map(|tx| *tx.inner().tx_hash())
                .collect();
            self.left_out += unwanted.len() as u64;
            for hash in unwanted {
                rest.remove(&hash);
            }
            kept = rest;
            &kept
        };
        let (block, dead) = self.chain.mine_from(parent, pool, time, extra)?;
        for hash in dead {
            self.nodes[node].pool.remove(&hash);
        }
        Ok(block)
    }

    /// A block reaches a node. `Some` if its head has moved.
    pub fn take_block(&mut self, node: usize, hash: B256) -> Option<Moved> {
        // What it lacks below, it fetches from whoever brought the block.
        let mut missing = hash;
        while self.nodes[node].known.insert(missing) {
            missing = self.block(missing)?.header.parent_hash;
        }
        let block = self.block(hash)?.clone();
        if block.number() <= self.nodes[node].head.number() {
            return None;
        }
        Some(self.adopt(node, block))
    }

    /// A node's head moves to a block.
    fn adopt(&mut self, node: usize, block: Arc<Block>) -> Moved {
        let mut added = vec![block.clone()];
        let own = &self.nodes[node].canonical;
        let is_own = |block: &Block| own.get(block.number() as usize) == Some(&block.hash);
        while let Some(parent) = added.last().and_then(|block| self.block(block.header.parent_hash))
        {
            if is_own(parent) {
                break;
            }
            added.push(parent.clone());
        }
        added.reverse();
        let fork = added[0].number() as usize;
        let removed: Vec<B256> = own[fork.min(own.len())..].to_vec();
        let removed_blocks: Vec<Arc<Block>> =
            removed.iter().filter_map(|hash| self.block(*hash).cloned()).collect();
        let state = &mut self.nodes[node];
        state.canonical.truncate(fork);
        state.canonical.extend(added.iter().map(|block| block.hash));
        state.head = block.clone();
        let included: HashSet<B256> = added
            .iter()
            .flat_map(|block| block.transactions.iter().map(|tx| *tx.inner().tx_hash()))
            .collect();
        for hash in &included {
            state.pool.remove(hash);
        }
        for tx in removed_blocks.iter().flat_map(|block| &block.transactions) {
            if !included.contains(tx.inner().tx_hash()) {
                state.pool.readmit(tx.clone());
            }
        }
        let (world, root) = (self.chain.world().clone(), block.header.state_root);
        state.pool.prune(|sender| world.account(root, sender).unwrap_or_default().nonce);
        Moved { removed: removed.len() }
    }

    /// A node gives its newest blocks up; their transactions wait again.
    pub fn go_back(&mut self, node: usize, depth: u64) {
        let mut block = self.nodes[node].head.clone();
        let mut undone = Vec::new();
        for _ in 0..depth {
            let Some(parent) = self.block(block.header.parent_hash).cloned() else { break };
            undone.push(std::mem::replace(&mut block, parent));
        }
        let state = &mut self.nodes[node];
        state.canonical.truncate(block.number() as usize + 1);
        state.head = block;
        for tx in undone.iter().rev().flat_map(|block| &block.transactions) {
            state.pool.readmit(tx.clone());
        }
    }

    /// Makes the highest head that of the store of blocks, which may then forget what is too old.
    pub fn settle(&mut self) -> Result<(), ChainError> {
        let hash = self.highest().hash;
        self.chain.set_head(hash)?;
        self.chain.take_events();
        Ok(())
    }

    /// A transaction reaches a node.
    pub fn take_transaction(&mut self, node: usize, incoming: &Incoming) -> Result<(), Refusal> {
        let head = self.nodes[node].head.clone();
        if self.nodes[node].pool.get(&incoming.hash()).is_some() {
            return Err(Refusal::AlreadyKnown);
        }
        self.chain.check(&incoming.tx, &head)?;
        self.nodes[node].pool.insert(incoming.tx.clone())?;
        self.chain.keep_blobs(incoming.blobs.iter().cloned());
        Ok(())
    }

    /// What waits at a node from one account.
    pub fn waiting(&self, node: usize, from: Address) -> Vec<Recovered<Tx>> {
        let pool = self.nodes[node].pool.iter();
        pool.filter(|tx| tx.signer() == from).cloned().collect()
    }

    /// Nodes that propose leave these accounts out, or none.
    pub fn censor_everywhere(&mut self, accounts: &HashSet<Address>) {
        for node in &mut self.nodes {
            node.censored = accounts.clone();
        }
    }

    /// `eth_getTransactionCount` at the head.
    pub fn nonce(&self, node: usize, account: Address) -> u64 {
        let root = self.nodes[node].head.header.state_root;
        self.chain.world().account(root, account).unwrap_or_default().nonce
    }

    /// The nonce for one more transaction.
    pub fn pending_nonce(&self, node: usize, account: Address) -> u64 {
        self.nodes[node].pool.next_nonce(&account, self.nonce(node, account))
    }

    /// Prices of the next block.
    pub fn prices(&self, node: usize) -> Quoted {
        let head = self.nodes[node].head.clone();
        Quoted {
            base_fee: next_base_fee(&head.header).into(),
            priority_fee: SUGGESTED_TIP,
            blob_base_fee: next_blob_fee(&head.header),
            head,
        }
    }

    /// `eth_estimateGas` in the next block, from this account and free of charge.
    pub fn estimate(
        &self,
        node: usize,
        request: &CallRequest,
        now: Duration,
    ) -> Result<u64, Called> {
        let head = self.nodes[node].head.clone();
        let root = head.header.state_root;
        let (env, hashes) = self.chain.environment_after(head, BEGINNING + now.as_secs());
        let hash =
            |number| hashes.iter().find(|(known, _)| *known == number).map(|(_, hash)| *hash);
        let state = self.chain.world().state(root);
        match executor::estimate_gas(state, &env, hash, request) {
            Ok(Ok(gas)) => Ok(gas),
            Ok(Err(outcome)) => Err(called(outcome.result)),
            Err(_) => Err(Called::Reverted(Bytes::new())),
        }
    }

    /// `eth_call` on a block.
    pub fn call(&self, block: &Arc<Block>, to: Address, data: Bytes) -> Called {
        let (env, hashes) = self.chain.environment_after(block.clone(), 0);
        let hash =
            |number| hashes.iter().find(|(known, _)| *known == number).map(|(_, hash)| *hash);
        let state = self.chain.world().state(block.header.state_root);
        let request = CallRequest { to: Some(to), data, gas: Some(CALL_GAS), ..Default::default() };
        match executor::call(state, &env, hash, &request) {
            Ok(outcome) => called(outcome.result),
            Err(_) => Called::Reverted(Bytes::new()),
        }
    }

    /// What a blob holds, as a beacon node gives it.
    pub fn blob(&self, versioned_hash: B256) -> Option<Bytes> {
        self.chain.blob(&versioned_hash).map(|blob| blob.to_vec().into())
    }
}

fn called(result: CallResult) -> Called {
    match result {
        CallResult::Return(bytes) => Called::Returned(bytes),
        CallResult::Revert(bytes) => Called::Reverted(bytes),
        CallResult::Halt(_) => Called::Reverted(Bytes::new()),
    }
}

/// Gas that the transactions of a block used, by their hashes.
pub fn gas_used(block: &Block) -> HashMap<B256, (Address, u64, bool)> {
    block
        .included()
        .map(|(tx, outcome)| {
            let to = tx.inner().to().unwrap_or_default();
            (*tx.inner().tx_hash(), (to, outcome.gas_used, outcome.receipt.is_success()))
        })
        .collect()
}

/// An amount of the smallest unit with 18 decimals.
pub fn whole(amount: u64) -> U256 {
    U256::from(amount) * U256::from(10).pow(U256::from(18))
}
