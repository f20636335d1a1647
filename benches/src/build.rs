//! Building and replaying a rollup of ERC-20 transfers through the enclave's door, beside bare
//! `revm` executing the same transactions: with nothing else, and with the signature recovery that
//! any node that executes signed transactions must do.

use crate::harness::{L1, Node, Reader, TestStore, User, config, deposited, registered};
use alloy_consensus::{Transaction, TxEnvelope, transaction::SignerRecoverable};
use alloy_eips::Decodable2718;
use alloy_primitives::{Address, Bytes, TxKind, U256, keccak256};
use alloy_sol_types::SolCall;
use obscuro_protocol::{
    contracts::L2_BRIDGE,
    door::L1Block,
    l1::{IERC20, IL2Bridge},
    query::{At, CallRequest, Query, Reply as Answer},
    rollup::SignedRollup,
};
use revm::{
    Context, ExecuteEvm, MainBuilder, MainContext,
    context::TxEnv,
    database::{CacheDB, EmptyDB},
    state::{AccountInfo, Bytecode},
};
use std::time::{Duration, Instant};

const ACCOUNTS: u64 = 1_000;
/// As many as the first rollup of a node surely holds.
const TRANSFERS: u64 = 2_000;
const ROUNDS: usize = 5;
const OBX: u128 = 1_000_000_000_000_000_000;
const ASSET: Address = Address::repeat_byte(0x99);

/// Prints the table.
pub fn run() {
    let network = Network::new();
    println!(
        "\nA rollup of {TRANSFERS} ERC-20 transfers among {ACCOUNTS} accounts, best of {ROUNDS}\n"
    );
    let (mut build, mut replay, mut sealed) = (Duration::MAX, Duration::MAX, None);
    for _ in 0..ROUNDS {
        let (time, node, rollup) = network.build();
        build = build.min(time);
        drop(node);
        replay = replay.min(network.replay(&rollup));
        sealed = Some(rollup);
    }
    let (bare, recovery) = network.bare();
    let rate = |time: Duration| TRANSFERS as f64 / time.as_secs_f64();
    let row = |name: &str, time: Duration| {
        println!(
            "{name:<34} {:>9.0} tx/s   {:>4.0} % of bare revm   {:>4.0} % of revm with recovery",
            rate(time),
            100.0 * bare.as_secs_f64() / time.as_secs_f64(),
            100.0 * (bare + recovery).as_secs_f64() / time.as_secs_f64(),
        );
    };
    row("bare revm", bare);
    row("signature recovery and bare revm", bare + recovery);
    row("build (seal, from the pool)", build);
    row("replay (fold, from L1)", replay);
    if let Some(rollup) = sealed {
        let raw: usize = network.transactions.iter().map(|raw| raw.len()).sum();
        println!(
            "\npayload {:.1} bytes per transfer, raw {:.1}",
            rollup.payload.len() as f64 / TRANSFERS as f64,
            raw as f64 / TRANSFERS as f64
        );
    }
}

/// A network with a token that everybody holds, and transfers that nobody has sent yet.
struct Network {
    blocks: L1,
    identity: Bytes,
    network_key: Bytes,
    transactions: Vec<Bytes>,
    token: Address,
    token_code: Bytes,
    users: Vec<User>,
}

impl Network {
    fn new() -> Self {
        let users: Vec<User> = (0..ACCOUNTS).map(|i| User::new(&format!("user {i}"))).collect();
        let (node, mut l1) = (Node::start(1, true), L1::new());
        node.follow(&l1.block(registered(&node.registration, 1_000), vec![]));
        let obx = config().contracts.obscuroToken;
        let mut logs = Vec::new();
        for user in &users {
            let index = logs.len() as u64;
            logs.push(deposited(index, obx, user.address(), 1_000 * OBX));
            logs.push(deposited(index + 1, ASSET, user.address(), 1_000 * OBX));
        }
        node.follow(&l1.block(logs, vec![]));
        let rollup = node.seal().unwrap();
        node.follow(&l1.publish(&rollup));
        let reader = Reader::new(&node, 5, &[]);
        let token = wrapped(&reader, &node);
        let Answer::Bytes(token_code) = reader.ask(&node, Query::Code(token, At::Latest)) else {
            panic!("no token")
        };
        let transactions = (0..TRANSFERS).map(|i| transfer(&users, token, i)).collect();
        let (identity, network_key) =
            (node.registration.identity.clone(), node.registration.network_key.clone());
        Self { blocks: l1, identity, network_key, transactions, token, token_code, users }
    }

    /// A node at the head with nothing cached of what follows.
    fn node(&self) -> Node {
        let mut node = Node::restart(1, TestStore::default(), Some(self.identity.clone()));
        node.registration.network_key = self.network_key.clone();
        node.catch_up(&self.blocks);
        node
    }

    fn build(&self) -> (Duration, Node, SignedRollup) {
        let node = self.node();
        let reader = Reader::new(&node, 6, &[]);
        for raw in &self.transactions {
            let reply = reader.ask(&node, Query::SendTransaction(raw.clone()));
            assert!(matches!(reply, Answer::Accepted(_)), "{reply:?}");
        }
        let start = Instant::now();
        let rollup = node.seal().unwrap();
        let time = start.elapsed();
        assert!(rollup.header.gasUsed > 30_000 * TRANSFERS, "all transfers are in it");
        (time, node, rollup)
    }

    fn replay(&self, rollup: &SignedRollup) -> Duration {
        let node = self.node();
        let block: L1Block = self.blocks.clone().publish(rollup);
        let start = Instant::now();
        let folded = node.feed(&block).unwrap();
        let time = start.elapsed();
        assert_eq!(node.set_head(folded.block.hash).rollup, rollup.header.hash());
        time
    }

    /// Bare execution, and recovery of the senders.
    fn bare(&self) -> (Duration, Duration) {
        let decoded: Vec<TxEnvelope> = self
            .transactions
            .iter()
            .map(|raw| TxEnvelope::decode_2718(&mut raw.as_ref()).unwrap())
            .collect();
        let start = Instant::now();
        let senders: Vec<Address> = decoded.iter().map(|tx| tx.recover_signer().unwrap()).collect();
        let recovery = start.elapsed();
        let execution = (0..ROUNDS).map(|_| self.execute(&decoded, &senders)).min().unwrap();
        (execution, recovery)
    }

    fn execute(&self, transactions: &[TxEnvelope], senders: &[Address]) -> Duration {
        let mut db = CacheDB::new(EmptyDB::default());
        let code = Bytecode::new_legacy(self.token_code.clone());
        db.insert_account_info(self.token, AccountInfo::default().with_code(code));
        for user in &self.users {
            db.insert_account_info(
                user.address(),
                AccountInfo::from_balance(U256::from(1_000 * OBX)),
            );
            let slot = keccak256([user.address().into_word().as_slice(), &[0; 32]].concat());
            db.insert_account_storage(self.token, slot.into(), U256::from(1_000 * OBX)).unwrap();
        }
        let mut evm = Context::mainnet()
            .with_db(db)
            .modify_cfg_chained(|cfg| cfg.chain_id = config().l2ChainId)
            .build_mainnet();
        let prepared: Vec<TxEnv> =
            transactions.iter().zip(senders).map(|(tx, sender)| tx_env(tx, *sender)).collect();
        let start = Instant::now();
        for tx in prepared {
            assert!(evm.transact_one(tx).unwrap().is_success());
        }
        let _ = evm.finalize();
        start.elapsed()
    }
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

fn wrapped(reader: &Reader, node: &Node) -> Address {
    let data = IL2Bridge::wrappedCall { asset: ASSET }.abi_encode().into();
    let call = CallRequest { to: Some(L2_BRIDGE), data, ..Default::default() };
    match reader.ask(node, Query::Call(call, At::Latest)) {
        Answer::Bytes(output) => IL2Bridge::wrappedCall::abi_decode_returns(&output).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Transfer number `index`: everybody sends in turn, to a stranger among the holders.
fn transfer(users: &[User], token: Address, index: u64) -> Bytes {
    let from = &users[(index % ACCOUNTS) as usize];
    let to = users[(index.wrapping_mul(7_919) % ACCOUNTS) as usize].address();
    let amount = U256::from(1 + index) * U256::from(1_234_567_890_123u64);
    let data = IERC20::transferCall { to, amount }.abi_encode();
    from.transaction(index / ACCOUNTS, TxKind::Call(token), 0, data)
}
