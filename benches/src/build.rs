//! Building and replaying a rollup through the enclave's door, beside bare `revm` executing the same
//! transactions: with nothing else, and with the signature recovery that any node that executes
//! signed transactions must do. Times are those that threads spent on a processor, so that other work
//! on the machine does not count. Of tasks that are done side by side, the time counts in which the
//! last of them would be done if so many cores were free. Not here: what the transactions do
//! (`workload`).

use crate::{
    harness::{CORES, L1, Node, RUN, Reader, TestStore, User, config, deposited, registered},
    workload::{self, ACCOUNTS, Workload},
};
use alloy_consensus::{Transaction, TxEnvelope, transaction::SignerRecoverable};
use alloy_eips::Decodable2718;
use alloy_primitives::{Address, Bytes, U256, keccak256};
use alloy_sol_types::SolCall;
use eyre::Result;
use obscuro_enclave::device::Task;
use obscuro_protocol::{
    contracts::L2_BRIDGE,
    l1::IL2Bridge,
    query::{At, CallRequest, Query, Reply as Answer},
    rollup::SignedRollup,
};
use revm::{
    Context, ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainContext,
    context::TxEnv,
    database::{CacheDB, EmptyDB},
    state::{AccountInfo, Bytecode},
};
use std::{
    cell::Cell,
    collections::BTreeMap,
    fs,
    sync::{Mutex, atomic::Ordering},
    thread,
    time::Duration,
};

const ROUNDS: usize = 5;
const OBX: u128 = 1_000_000_000_000_000_000;
const ASSETS: [Address; 2] = [Address::repeat_byte(0x99), Address::repeat_byte(0x9a)];

/// Prints the tables.
pub fn run() -> Result<()> {
    *RUN.lock().unwrap() = on_cores;
    let network = Network::new();
    for count in [2_000, 3_500] {
        network.compare(&workload::transfers(&network.users, network.tokens[0].0, count));
    }
    let tokens = network.tokens.clone().map(|(address, _)| address);
    match workload::swaps(&network.users, tokens, 1_500)? {
        Some(swaps) => network.compare(&swaps),
        None => println!("Uniswap was not found: run `npm ci` in cli/tests/clients"),
    }
    Ok(())
}

/// A network with tokens that everybody holds.
struct Network {
    blocks: L1,
    identity: Bytes,
    network_key: Bytes,
    /// With their codes.
    tokens: [(Address, Bytes); 2],
    users: Vec<User>,
}

impl Network {
    fn new() -> Self {
        let users: Vec<User> = (0..ACCOUNTS).map(|i| User::new(&format!("user {i}"))).collect();
        let (node, mut l1) = (Node::start(1, true), L1::new());
        node.follow(&l1.block(registered(&node.registration, 1_000), vec![]));
        let mut logs = Vec::new();
        for user in &users {
            for asset in [config().contracts.obscuroToken, ASSETS[0], ASSETS[1]] {
                logs.push(deposited(logs.len() as u64, asset, user.address(), 1_000 * OBX));
            }
        }
        node.follow(&l1.block(logs, vec![]));
        node.follow(&l1.block(vec![], vec![]));
        let rollup = node.seal().unwrap();
        node.follow(&l1.publish(&rollup));
        let reader = Reader::new(&node, 5, &[]);
        let tokens = ASSETS.map(|asset| wrapped(&reader, &node, asset));
        let (identity, network_key) =
            (node.registration.identity.clone(), node.registration.network_key.clone());
        Self { blocks: l1, identity, network_key, tokens, users }
    }

    fn compare(&self, workload: &Workload) {
        println!("\n{}, {ACCOUNTS} accounts, best of {ROUNDS}\n", workload.name);
        let mut prepared = self.blocks.clone();
        let node = self.node(&prepared);
        if !workload.setup.is_empty() {
            publish(&node, &mut prepared, &workload.setup);
        }
        drop(node);
        let bare = Bare::new(self, workload);
        let [mut execution, mut recovery] = [Duration::MAX; 2];
        let mut ours = [1, 2, 4].map(|cores| (cores, Duration::MAX, Duration::MAX));
        let mut payload_bytes = 0;
        // In turns, so that a noisy machine disturbs all of them alike.
        for _ in 0..ROUNDS {
            let (times, gas) = bare.run();
            execution = execution.min(times[0]);
            recovery = recovery.min(times[1]);
            for (cores, build, replay) in &mut ours {
                CORES.store(*cores, Ordering::Relaxed);
                let (time, l1, rollup) = self.build(&prepared, workload);
                *build = time.min(*build);
                let used = rollup.header.gasUsed;
                assert!(used.abs_diff(gas) < gas / 50, "other work: {used} gas, and {gas}");
                *replay = self.replay(l1, &rollup).min(*replay);
                payload_bytes = rollup.payload.len();
            }
        }
        let count = workload.measured.len() as f64;
        let row = |name: &str, time: Duration| {
            println!(
                "{name:<34} {:>9.0} tx/s   {:>4.0} % of bare revm   {:>4.0} % of revm with recovery",
                count / time.as_secs_f64(),
                100.0 * execution.as_secs_f64() / time.as_secs_f64(),
                100.0 * (execution + recovery).as_secs_f64() / time.as_secs_f64(),
            );
        };
        row("bare revm", execution);
        row("signature recovery and bare revm", execution + recovery);
        for (cores, build, _) in ours {
            row(&format!("build (seal, from the pool), {cores} cores"), build);
        }
        for (cores, _, replay) in ours {
            row(&format!("replay (from L1), {cores} cores"), replay);
        }
        let raw: usize = workload.measured.iter().map(|raw| raw.len()).sum();
        println!(
            "payload {:.1} bytes each, raw {:.1}",
            payload_bytes as f64 / count,
            raw as f64 / count
        );
    }

    /// A node at the head of this branch with nothing cached of what follows.
    fn node(&self, l1: &L1) -> Node {
        let mut node = Node::restart(1, TestStore::default(), Some(self.identity.clone()));
        node.registration.network_key = self.network_key.clone();
        node.catch_up(l1);
        node
    }

    /// The second rollup that a node builds. Returns the L1 before it, too.
    fn build(&self, l1: &L1, workload: &Workload) -> (Duration, L1, SignedRollup) {
        let (node, mut l1) = (self.node(l1), l1.clone());
        publish(&node, &mut l1, &workload.warm);
        send(&node, &workload.measured);
        let (time, rollup) = timed(|| node.seal().unwrap());
        (time, l1, rollup)
    }

    fn replay(&self, mut l1: L1, rollup: &SignedRollup) -> Duration {
        let node = self.node(&l1);
        let block = l1.publish(rollup);
        let (time, head) = timed(|| node.follow(&block));
        assert_eq!(head.rollup, rollup.header.hash());
        time
    }
}

fn send(node: &Node, transactions: &[Bytes]) {
    let reader = Reader::new(node, 6, &[]);
    for raw in transactions {
        let reply = reader.ask(node, Query::SendTransaction(raw.clone()));
        assert!(matches!(reply, Answer::Accepted(_)), "{reply:?}");
    }
}

/// A rollup with these transactions.
fn publish(node: &Node, l1: &mut L1, transactions: &[Bytes]) {
    send(node, transactions);
    let rollup = node.seal().unwrap();
    node.follow(&l1.publish(&rollup));
}

/// The same transactions and the state before them, without an enclave.
struct Bare {
    db: CacheDB<EmptyDB>,
    measured: Vec<TxEnvelope>,
}

impl Bare {
    fn new(network: &Network, workload: &Workload) -> Self {
        let mut db = CacheDB::new(EmptyDB::default());
        let supply = U256::from(1_000 * OBX);
        for (token, code) in &network.tokens {
            let code = Bytecode::new_legacy(code.clone());
            db.insert_account_info(*token, AccountInfo::default().with_code(code));
            for user in &network.users {
                let slot = keccak256([user.address().into_word().as_slice(), &[0; 32]].concat());
                db.insert_account_storage(*token, slot.into(), supply).unwrap();
            }
        }
        for user in &network.users {
            db.insert_account_info(user.address(), AccountInfo::from_balance(supply));
        }
        let mut evm = evm(db);
        for tx in decoded(&workload.setup).iter().chain(&decoded(&workload.warm)) {
            let sender = tx.recover_signer().unwrap();
            assert!(evm.transact_commit(tx_env(tx, sender)).unwrap().is_success());
        }
        let db = evm.ctx.journaled_state.database;
        Self { db, measured: decoded(&workload.measured) }
    }

    /// Execution and recovery of the senders, and the gas used.
    fn run(&self) -> ([Duration; 2], u64) {
        let recover = || self.measured.iter().map(|tx| tx.recover_signer().unwrap()).collect();
        let (recovery, senders): (_, Vec<Address>) = timed(recover);
        let mut evm = evm(self.db.clone());
        let prepared: Vec<TxEnv> =
            self.measured.iter().zip(senders).map(|(tx, sender)| tx_env(tx, sender)).collect();
        let (execution, gas) = timed(|| {
            let mut gas = 0;
            for tx in prepared {
                let result = evm.transact_one(tx).unwrap();
                assert!(result.is_success());
                gas += result.tx_gas_used();
            }
            drop(evm.finalize());
            gas
        });
        ([execution, recovery], gas)
    }
}

thread_local! {
    /// What this thread waited for tasks.
    static WAITED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// What `run` returns, and how long this thread was on a processor for it or waited for tasks.
fn timed<T>(run: impl FnOnce() -> T) -> (Duration, T) {
    let before = processor_time() + WAITED.get();
    let result = run();
    (processor_time() + WAITED.get() - before, result)
}

/// Does tasks on so many threads, each of which takes the next when it has done one, and waits as long as they
/// take on as many cores.
fn on_cores(tasks: Vec<Task<'_>>) {
    let mut cores = vec![Duration::ZERO; CORES.load(Ordering::Relaxed)];
    if cores.len() == 1 {
        return tasks.into_iter().for_each(|task| task());
    }
    let queue = Mutex::new(tasks.into_iter().enumerate());
    let next = || queue.lock().unwrap().next();
    let times = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in &cores {
            scope.spawn(|| {
                while let Some((number, task)) = next() {
                    let (time, ()) = timed(task);
                    times.lock().unwrap().insert(number, time);
                }
            });
        }
    });
    for time in times.into_inner().unwrap().into_values() {
        *cores.iter_mut().min().unwrap() += time;
    }
    WAITED.set(WAITED.get() + cores.into_iter().max().unwrap());
}

fn processor_time() -> Duration {
    // The kernel counts when it takes the processor away.
    thread::yield_now();
    let times = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(times.split(' ').next().unwrap().parse().unwrap())
}

type Evm = revm::MainnetEvm<revm::handler::MainnetContext<CacheDB<EmptyDB>>>;

fn evm(db: CacheDB<EmptyDB>) -> Evm {
    Context::mainnet()
        .with_db(db)
        .modify_cfg_chained(|cfg| cfg.chain_id = config().l2ChainId)
        .modify_block_chained(|block| block.gas_limit = config().gasLimit)
        .build_mainnet()
}

fn decoded(raws: &[Bytes]) -> Vec<TxEnvelope> {
    raws.iter().map(|raw| TxEnvelope::decode_2718(&mut raw.as_ref()).unwrap()).collect()
}

fn tx_env(tx: &TxEnvelope, sender: Address) -> TxEnv {
    TxEnv {
        tx_type: 2,
        caller: sender,
        gas_limit: tx.gas_limit(),
        gas_price: tx.max_fee_per_gas(),
        gas_priority_fee: tx.max_priority_fee_per_gas(),
        kind: tx.kind(),
        value: tx.value(),
        data: tx.input().clone(),
        nonce: tx.nonce(),
        chain_id: tx.chain_id(),
        ..Default::default()
    }
}

/// The token on the L2 that stands for an asset, and its code.
fn wrapped(reader: &Reader, node: &Node, asset: Address) -> (Address, Bytes) {
    let data = IL2Bridge::wrappedCall { asset }.abi_encode().into();
    let call = CallRequest { to: Some(L2_BRIDGE), data, ..Default::default() };
    let Answer::Bytes(output) = reader.ask(node, Query::Call(call, At::Latest)) else {
        panic!("no token")
    };
    let token = IL2Bridge::wrappedCall::abi_decode_returns(&output).unwrap();
    match reader.ask(node, Query::Code(token, At::Latest)) {
        Answer::Bytes(code) => (token, code),
        other => panic!("{other:?}"),
    }
}
