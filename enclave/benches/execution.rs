//! How fast blocks are executed and state roots computed, beside bare `revm` in the same run.
//!
//! `cargo bench -p obscuro-enclave --bench execution`. One thread, no signatures. Prints ratios; asserts nothing
//! about time. `revm` is named here only as the peer to compare with.

use alloy_consensus::{SignableTransaction, Transaction, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex, keccak256};
use obscuro_enclave::{
    executor::{self, Block, BlockEnv, CallRequest, FeeRule},
    state::{AccountUpdate, Changes, State},
    store::{EncryptedStore, MemoryStore},
    trie::{self, EMPTY_ROOT, NodeCache},
};
use revm::{
    Context, ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainContext,
    context::{CfgEnv, TxEnv},
    database::{CacheDB, EmptyDB},
    primitives::hardfork::SpecId,
    state::{AccountInfo, Bytecode},
};
use std::time::{Duration, Instant};

const ACCOUNTS: u64 = 1_000;
const TOKEN: Address = Address::repeat_byte(0x70);
const CHAIN_ID: u64 = 777;
const BASE_FEE: u64 = 1_000_000_000;
const ROUNDS: usize = 7;

fn main() {
    // One part alone: `-- blocks` or `-- trie`.
    let only = std::env::args().find(|arg| ["blocks", "trie"].contains(&arg.as_str()));
    if only.as_deref() != Some("trie") {
        blocks();
    }
    if only.as_deref() != Some("blocks") {
        million();
    }
}

fn blocks() {
    println!("ERC-20 transfers among {ACCOUNTS} accounts, best of {ROUNDS}");
    for transfers in [1_000, 10_000, 40_000] {
        compare(transfers);
    }
    queries();
}

/// What one question of a wallet costs.
fn queries() {
    const TIMES: u32 = 10_000;
    let workload = Workload::new(1);
    let chain = workload.chain();
    let state = State::new(&chain.store, &chain.cache, chain.root);
    let (tx, sender) = &workload.transfers[0];
    let request = CallRequest {
        from: Some(*sender),
        to: Some(TOKEN),
        data: tx.input().clone(),
        ..CallRequest::default()
    };
    let check = timed(|| {
        for _ in 0..TIMES {
            executor::check(state, &env(), tx, *sender).unwrap();
        }
    });
    let call = timed(|| {
        for _ in 0..TIMES {
            executor::call(state, &env(), |_| None, &request).unwrap();
        }
    });
    let estimate = timed(|| {
        for _ in 0..TIMES / 10 {
            executor::estimate_gas(state, &env(), |_| None, &request).unwrap().unwrap();
        }
    });
    println!(
        "check of a transaction: {:.2?}, call: {:.2?}, estimate: {:.2?}",
        check / TIMES,
        call / TIMES,
        estimate / (TIMES / 10)
    );
}

fn compare(transfers: u64) {
    let workload = Workload::new(transfers);
    let chain = workload.chain();
    // In turns, so that a noisy machine disturbs all of them alike.
    let mut best = [Duration::MAX; 4];
    for _ in 0..ROUNDS {
        let times = [
            workload.bare_commit_each(),
            workload.bare_one_journal(),
            workload.ours(&chain, false),
            workload.ours(&chain, true),
        ];
        for (best, time) in best.iter_mut().zip(times) {
            *best = time.min(*best);
        }
    }
    let [commit, journal, execute, block] = best;
    let rate = |time: Duration| transfers as f64 / time.as_secs_f64() / 1000.0;
    let bare = commit.min(journal);
    println!(
        "{transfers:>6}: bare revm {:.0} k/s (committing each) {:.0} k/s (one journal) | ours {:.0} k/s executed, \
         {:.0} k/s with roots = {:.0} % and {:.0} % of bare",
        rate(commit),
        rate(journal),
        rate(execute),
        rate(block),
        100.0 * bare.as_secs_f64() / execute.as_secs_f64(),
        100.0 * bare.as_secs_f64() / block.as_secs_f64(),
    );
}

fn user(index: u64) -> Address {
    Address::from_word(keccak256(index.to_be_bytes()))
}

/// Transfers of a token whose code is the project's own wrapped token (OpenZeppelin's ERC-20).
struct Workload {
    code: Bytes,
    transfers: Vec<(TxEnvelope, Address)>,
}

impl Workload {
    fn new(count: u64) -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts/artifacts/WrappedToken.json");
        let artifact: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let code = hex::decode(artifact["deployedBytecode"].as_str().unwrap()).unwrap().into();
        Self { code, transfers: (0..count).map(transfer).collect() }
    }

    fn bare_db(&self) -> CacheDB<EmptyDB> {
        let mut db = CacheDB::new(EmptyDB::new());
        for index in 0..ACCOUNTS {
            db.insert_account_info(user(index), AccountInfo::from_balance(rich()));
            db.insert_account_storage(TOKEN, balance_slot(user(index)), rich()).unwrap();
        }
        let code = Bytecode::new_raw(self.code.clone());
        db.insert_account_info(TOKEN, AccountInfo::default().with_code(code));
        db
    }

    fn bare_envs(&self) -> Vec<TxEnv> {
        let env = |(tx, sender): &(TxEnvelope, Address)| {
            TxEnv::builder()
                .tx_type(Some(2))
                .caller(*sender)
                .kind(tx.kind())
                .data(tx.input().clone())
                .gas_limit(tx.gas_limit())
                .gas_price(tx.max_fee_per_gas())
                .gas_priority_fee(Some(0))
                .nonce(tx.nonce())
                .chain_id(Some(CHAIN_ID))
                .build()
                .unwrap()
        };
        self.transfers.iter().map(env).collect()
    }

    fn bare_commit_each(&self) -> Duration {
        let mut evm = context(self.bare_db()).build_mainnet();
        let envs = self.bare_envs();
        timed(|| {
            for env in envs {
                assert!(evm.transact_commit(env).unwrap().is_success());
            }
        })
    }

    fn bare_one_journal(&self) -> Duration {
        let mut evm = context(self.bare_db()).build_mainnet();
        let envs = self.bare_envs();
        timed(|| {
            for env in envs {
                assert!(evm.transact_one(env).unwrap().is_success());
            }
            drop(evm.finalize());
        })
    }

    fn chain(&self) -> Chain {
        let (store, cache) = (MemoryStore::new(), NodeCache::default());
        let mut genesis = Changes::default();
        let account = AccountUpdate { balance: rich(), ..AccountUpdate::default() };
        for index in 0..ACCOUNTS {
            genesis.set(user(index), account.clone(), Bytes::new());
        }
        let storage = (0..ACCOUNTS).map(|index| (balance_slot(user(index)), rich())).collect();
        let token = AccountUpdate { nonce: 1, storage, ..AccountUpdate::default() };
        genesis.set(TOKEN, token, self.code.clone());
        let applied = State::new(&store, &cache, EMPTY_ROOT).apply(&genesis).unwrap();
        store.insert_nodes(applied.nodes);
        Chain { store, cache, root: applied.root }
    }

    fn ours(&self, chain: &Chain, finish: bool) -> Duration {
        timed(|| {
            let state = State::new(&chain.store, &chain.cache, chain.root);
            let mut block = Block::new(state, env(), |_| None);
            for (tx, sender) in &self.transfers {
                assert!(block.transact(tx, *sender).unwrap().success);
            }
            if finish {
                assert_ne!(block.finish().unwrap().applied.root, chain.root);
            }
        })
    }
}

struct Chain {
    store: MemoryStore,
    cache: NodeCache,
    root: B256,
}

fn context(db: CacheDB<EmptyDB>) -> revm::handler::MainnetContext<CacheDB<EmptyDB>> {
    Context::mainnet()
        .with_db(db)
        .with_cfg(CfgEnv::new_with_spec(SpecId::OSAKA).with_chain_id(CHAIN_ID))
        .modify_block_chained(|block| {
            block.basefee = BASE_FEE;
            block.gas_limit = u64::MAX;
        })
}

fn env() -> BlockEnv {
    BlockEnv {
        chain_id: CHAIN_ID,
        number: 1,
        timestamp: 1,
        beneficiary: Address::ZERO,
        gas_limit: u64::MAX,
        base_fee: BASE_FEE,
        prevrandao: B256::ZERO,
        excess_blob_gas: None,
        fees: FeeRule::Pool { address: Address::repeat_byte(9), data_gas_per_token: 0 },
    }
}

fn rich() -> U256 {
    U256::from(1u128 << 100)
}

/// Slot of `balanceOf[owner]`: the mapping is the contract's first variable.
fn balance_slot(owner: Address) -> U256 {
    keccak256([owner.into_word(), B256::ZERO].concat()).into()
}

fn transfer(index: u64) -> (TxEnvelope, Address) {
    let (from, to) = (user(index % ACCOUNTS), user((index * 7 + 1) % ACCOUNTS));
    let selector = hex!("a9059cbb");
    let amount = B256::from(U256::from(index + 1));
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce: index / ACCOUNTS,
        gas_limit: 100_000,
        max_fee_per_gas: u128::from(BASE_FEE),
        to: TxKind::Call(TOKEN),
        input: [&selector[..], to.into_word().as_slice(), amount.as_slice()].concat().into(),
        ..TxEip1559::default()
    };
    (tx.into_signed(Signature::test_signature()).into(), from)
}

fn timed(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

/// Roots and reads in a trie of a million accounts.
fn million() {
    const SIZE: u64 = 1_000_000;
    const CHANGED: u64 = 1_000;
    let store = MemoryStore::new();
    let cache = NodeCache::new(4 << 20);
    let key = |index: u64| keccak256(index.to_le_bytes());
    let value = |round: u64| Some(Bytes::from(keccak256(round.to_be_bytes()).repeat(3)));
    let mut nodes = Vec::new();
    let mut root = EMPTY_ROOT;
    let build = timed(|| {
        let all = (0..SIZE).map(|index| (key(index), value(index)));
        root = trie::update(&store, &cache, EMPTY_ROOT, all, &mut nodes).unwrap();
    });
    println!("trie of {SIZE}: built in {build:.2?}, {} nodes", nodes.len());
    store.insert_nodes(nodes.iter().cloned());
    let change = |round: u64, cache: &NodeCache| {
        let picked = |index: u64| (index * 997 + round * 31) % SIZE;
        let changes: Vec<_> = (0..CHANGED).map(|i| (key(picked(i)), value(i + round))).collect();
        let mut made = Vec::new();
        let time = timed(|| {
            trie::update(&store, cache, root, changes, &mut made).unwrap();
        });
        (time, made.len())
    };
    let warm = (1..=4 * ROUNDS as u64).map(|round| change(round, &cache)).min().unwrap();
    println!("  {CHANGED} changed, warm cache: {:.2?} ({} new nodes)", warm.0, warm.1);
    let cold = change(99, &NodeCache::new(1 << 18));
    println!("  {CHANGED} changed, cold cache, plain store: {:.2?}", cold.0);
    let reads = timed(|| {
        for index in 0..100_000 {
            assert!(trie::get(&store, &cache, root, key(index * 7)).unwrap().is_some());
        }
    });
    println!("  one read, warm cache: {:.2?}", reads / 100_000);
    encrypted(&nodes, root, key);
}

/// The same reads when every node has to come through the encrypted store.
fn encrypted(nodes: &[(B256, Bytes)], root: B256, key: impl Fn(u64) -> B256) {
    const READS: u32 = 1_000;
    let host = MemoryStore::new();
    let store = EncryptedStore::new(&host, &[7; 32]);
    let put = timed(|| store.put_nodes(&nodes[nodes.len() - 100_000..]).unwrap());
    println!("  encrypting one node: {:.2?}", put / 100_000);
    store.put_nodes(nodes).unwrap();
    let cache = NodeCache::new(1 << 18);
    let cold = timed(|| {
        for index in 0..READS {
            trie::get(&store, &cache, root, key(u64::from(index) * 997)).unwrap();
        }
    });
    println!("  one read, cold cache, encrypted store: {:.2?}", cold / READS);
}
