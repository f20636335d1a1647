//! Random blocks executed here, with one journal for the whole block, and by bare `revm`, which commits after each
//! transaction: results, receipts and the resulting state must be the same.

use super::fixture::*;
use crate::{
    executor::*,
    state::{AccountUpdate, Changes},
    store::MemoryStore,
};
use alloy_consensus::{Transaction, TxEip1559, TxEip7702, TxEnvelope};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use proptest::{collection::vec, prelude::*};
use revm::{
    Context, Database, ExecuteCommitEvm, MainBuilder, MainContext, MainnetEvm,
    context::{CfgEnv, TxEnv},
    context_interface::{either::Either, result::ExecutionResult},
    database::{EmptyDB, State as RevmState},
    handler::MainnetContext,
    state::{AccountInfo, Bytecode},
};

const CONTRACTS: u8 = 4;
const SENDERS: [Address; 2] = [ALICE, BOB];

/// One thing a program does.
#[derive(Clone, Debug)]
enum Op {
    Store(u8, u8),
    Count(u8),
    Transient(u8),
    Call(u8, u8),
    DelegateCall(u8),
    Create2 { child: u8, salt: u8, value: u8 },
    Observe(u8, u8),
    Log(u8),
    Destroy(u8),
    Revert,
    Stop,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let byte = any::<u8>;
    let op = prop_oneof![
        3 => (0u8..3, 0u8..3).prop_map(|(slot, word)| Op::Store(slot, word)),
        2 => (0u8..3).prop_map(Op::Count),
        1 => (0u8..3).prop_map(Op::Transient),
        4 => (byte(), 0u8..3).prop_map(|(to, value)| Op::Call(to, value)),
        1 => byte().prop_map(Op::DelegateCall),
        4 => (0u8..3, 0u8..2, 0u8..2).prop_map(|(child, salt, value)| Op::Create2 { child, salt, value }),
        2 => (byte(), 3u8..6).prop_map(|(who, slot)| Op::Observe(who, slot)),
        1 => byte().prop_map(Op::Log),
        1 => byte().prop_map(Op::Destroy),
        1 => Just(Op::Revert),
        1 => Just(Op::Stop),
    ];
    vec(op, 0..7)
}

/// Init codes of at most 32 bytes: one destroys itself at once, one leaves code that does so when called, one
/// leaves storage and code that counts.
fn child(kind: u8) -> Vec<u8> {
    match kind {
        0 => asm("0x01 PUSH0 SSTORE CALLER SELFDESTRUCT"),
        1 => asm("0x33ff PUSH0 MSTORE 0x02 0x1e RETURN"),
        _ => asm("0x07 PUSH0 SSTORE 0x5f546001015f55 PUSH0 MSTORE 0x07 0x19 RETURN"),
    }
}

fn contract(index: u8) -> Address {
    Address::with_last_byte(0xc0 + index % CONTRACTS)
}

/// Everybody a program or a transaction may name.
fn people() -> Vec<Address> {
    let mut people =
        vec![ALICE, BOB, COINBASE, Address::with_last_byte(0xee), Address::with_last_byte(4)];
    people.extend((0..CONTRACTS).map(contract));
    people.extend((0..3).map(|index| authorization(index).recover_authority().unwrap()));
    for creator in (0..CONTRACTS).map(contract) {
        for salt in 0..2 {
            for kind in 0..3 {
                people.push(creator.create2(B256::with_last_byte(salt), keccak256(child(kind))));
            }
        }
    }
    people
}

fn person(index: u8) -> Address {
    let people = people();
    people[usize::from(index) % people.len()]
}

/// Anybody's signature recovers to somebody.
fn authorization(index: u8) -> SignedAuthorization {
    let authorization = Authorization { chain_id: U256::ZERO, address: contract(index), nonce: 0 };
    let r = U256::from(0x1234_5678u64 + u64::from(index));
    let usable = (0u64..64).map(|offset| {
        let signature = Signature::new(r + U256::from(offset), U256::from(99), false);
        authorization.clone().into_signed(signature)
    });
    usable.into_iter().find(|signed| signed.recover_authority().is_ok()).unwrap()
}

fn push(address: Address) -> String {
    format!("{address:#x}")
}

fn program(ops: &[Op]) -> Vec<u8> {
    let word = |op: &Op| match op {
        Op::Store(slot, word) => format!("{word:#04x} {slot:#04x} SSTORE"),
        Op::Count(slot) => format!("{slot:#04x} SLOAD 0x01 ADD {slot:#04x} SSTORE"),
        Op::Transient(slot) => {
            format!("{slot:#04x} TLOAD 0x01 ADD DUP1 {slot:#04x} TSTORE {slot:#04x} SSTORE")
        }
        Op::Call(to, value) => {
            format!("PUSH0 PUSH0 PUSH0 PUSH0 {value:#04x} {} 0x9c40 CALL POP", push(person(*to)))
        }
        Op::DelegateCall(to) => {
            format!("PUSH0 PUSH0 PUSH0 PUSH0 {} 0x9c40 DELEGATECALL POP", push(person(*to)))
        }
        Op::Create2 { child: kind, salt, value } => {
            let init = child(*kind);
            let length = init.len();
            let offset = 32 - length;
            let init = alloy_primitives::hex::encode(init);
            format!(
                "0x{init} PUSH0 MSTORE {salt:#04x} {length:#04x} {offset:#04x} {value:#04x} CREATE2 POP"
            )
        }
        Op::Observe(who, slot) => {
            let who = push(person(*who));
            format!("{who} BALANCE {who} EXTCODEHASH ADD {who} EXTCODESIZE ADD {slot:#04x} SSTORE")
        }
        Op::Log(topic) => format!("{topic:#04x} PUSH0 PUSH0 LOG1"),
        Op::Destroy(to) => format!("{} SELFDESTRUCT", push(person(*to))),
        Op::Revert => "PUSH0 PUSH0 REVERT".into(),
        Op::Stop => "STOP".into(),
    };
    asm(&ops.iter().map(word).collect::<Vec<_>>().join(" "))
}

/// What a transaction does; its nonce comes later.
#[derive(Clone, Debug)]
enum Action {
    Call { to: u8, value: u8, gas: u32 },
    Create(Vec<Op>),
    Delegate { to: u8, whom: Vec<u8> },
    Invalid,
}

fn actions() -> impl Strategy<Value = Vec<(bool, Action)>> {
    let action = prop_oneof![
        6 => (any::<u8>(), 0u8..3, 21_000u32..400_000)
            .prop_map(|(to, value, gas)| Action::Call { to, value, gas }),
        2 => ops().prop_map(Action::Create),
        2 => (any::<u8>(), vec(0u8..3, 1..3)).prop_map(|(to, whom)| Action::Delegate { to, whom }),
        1 => Just(Action::Invalid),
    ];
    vec((any::<bool>(), action), 1..10)
}

fn transaction(action: &Action, nonce: u64) -> TxEnvelope {
    match action {
        Action::Call { to, value, gas } => signed(TxEip1559 {
            gas_limit: u64::from(*gas),
            to: TxKind::Call(person(*to)),
            value: U256::from(*value),
            ..transfer(nonce)
        }),
        Action::Create(ops) => signed(create(nonce, program(ops))),
        Action::Delegate { to, whom } => signed(TxEip7702 {
            chain_id: CHAIN_ID,
            nonce,
            gas_limit: 300_000,
            max_fee_per_gas: u128::from(3 * GWEI),
            max_priority_fee_per_gas: 1,
            to: person(*to),
            authorization_list: whom.iter().map(|index| authorization(*index)).collect(),
            ..TxEip7702::default()
        }),
        Action::Invalid => signed(transfer(nonce + 1)),
    }
}

/// Bare `revm` on its own in-memory database, which applies EIP-161 at each commit.
struct Bare(MainnetEvm<MainnetContext<RevmState<EmptyDB>>>);

impl Bare {
    fn new(codes: &[Vec<u8>]) -> Self {
        let mut db = RevmState::builder().with_database(EmptyDB::new()).build();
        for sender in SENDERS {
            db.insert_account(sender, AccountInfo::from_balance(ETHER * U256::from(100)));
        }
        for (index, code) in (0u8..).zip(codes) {
            let code = Bytecode::new_legacy(code.clone().into());
            let info = AccountInfo::default().with_code_and_hash(code.clone(), code.hash_slow());
            let info = AccountInfo { nonce: 1, balance: U256::from(10), ..info };
            db.insert_account(contract(index), info);
        }
        let context = Context::mainnet()
            .with_db(db)
            .with_cfg(CfgEnv::new_with_spec(super::super::env::SPEC).with_chain_id(CHAIN_ID))
            .with_block(env().revm());
        Self(context.build_mainnet())
    }

    fn transact(&mut self, tx: &TxEnvelope, sender: Address) -> Option<ExecutionResult> {
        let authorizations = tx.authorization_list().unwrap_or_default().iter();
        let env = TxEnv {
            tx_type: tx.tx_type() as u8,
            caller: sender,
            gas_limit: tx.gas_limit(),
            gas_price: tx.max_fee_per_gas(),
            kind: tx.kind(),
            value: tx.value(),
            data: tx.input().clone(),
            nonce: tx.nonce(),
            chain_id: tx.chain_id(),
            gas_priority_fee: tx.max_priority_fee_per_gas(),
            authorization_list: authorizations.cloned().map(Either::Left).collect(),
            ..TxEnv::default()
        };
        self.0.transact_commit(env).ok()
    }

    fn account(&mut self, address: Address) -> Option<AccountInfo> {
        self.db().basic(address).unwrap()
    }

    fn slot(&mut self, address: Address, slot: U256) -> U256 {
        self.db().storage(address, slot).unwrap()
    }

    fn db(&mut self) -> &mut RevmState<EmptyDB> {
        &mut self.0.ctx.journaled_state.database
    }
}

fn genesis(codes: &[Vec<u8>]) -> Chain {
    let mut chain = Chain::new(&[]);
    let mut changes = Changes::default();
    for (index, code) in (0u8..).zip(codes) {
        let update =
            AccountUpdate { nonce: 1, balance: U256::from(10), ..AccountUpdate::default() };
        changes.set(contract(index), update, Bytes::from(code.clone()));
    }
    chain.commit(&changes);
    chain
}

fn same_state(chain: &Chain, bare: &mut Bare) -> Result<(), TestCaseError> {
    let known: Vec<Address> = bare.db().cache.accounts.keys().copied().collect();
    for address in known {
        let ours = chain.state().account(address).unwrap();
        let theirs = bare.account(address);
        prop_assert_eq!(
            ours.map(|ours| (ours.nonce, ours.balance, ours.code_hash)),
            theirs.map(|theirs| (theirs.nonce, theirs.balance, theirs.code_hash)),
            "{}",
            address
        );
        if let Some(ours) = ours {
            prop_assert_eq!(keccak256(chain.state().code(ours.code_hash).unwrap()), ours.code_hash);
        }
        for slot in (0..6).map(U256::from) {
            let ours = chain.state().storage(address, slot).unwrap();
            prop_assert_eq!(ours, bare.slot(address, slot), "{}", address);
        }
    }
    Ok(())
}

fn run_block(
    block: &mut Block<'_, MemoryStore>,
    bare: &mut Bare,
    actions: &[(bool, Action)],
    nonces: &mut [u64; 2],
) -> Result<(), TestCaseError> {
    for (who, action) in actions {
        let who = usize::from(*who);
        let tx = transaction(action, nonces[who]);
        let ours = block.transact(&tx, SENDERS[who]).ok();
        let theirs = bare.transact(&tx, SENDERS[who]);
        prop_assert_eq!(ours.is_some(), theirs.is_some(), "{:?}", action);
        let (Some(ours), Some(theirs)) = (ours, theirs) else {
            continue;
        };
        nonces[who] += 1;
        prop_assert_eq!(ours.gas_used, theirs.tx_gas_used(), "{:?}", action);
        prop_assert_eq!(ours.success, theirs.is_success());
        if theirs.is_success() {
            prop_assert_eq!(block.logs(), theirs.logs());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn blocks_equal_transactions_committed_one_by_one(
        programs in vec(ops(), usize::from(CONTRACTS)),
        blocks in vec(actions(), 1..4),
    ) {
        let codes: Vec<_> = programs.iter().map(|ops| program(ops)).collect();
        let (mut chain, mut bare, mut nonces) = (genesis(&codes), Bare::new(&codes), [0; 2]);
        for actions in blocks {
            let mut block = chain.block();
            run_block(&mut block, &mut bare, &actions, &mut nonces)?;
            let finished = block.finish().unwrap();
            chain.adopt(&finished);
            same_state(&chain, &mut bare)?;
        }
    }

    /// No wei appears or disappears, whatever programs do (short of destroying contracts that hold some).
    #[test]
    fn a_pool_conserves_the_native_coin(
        programs in vec(ops(), usize::from(CONTRACTS)),
        actions in actions(),
    ) {
        let calm = |ops: &[Op]| -> Vec<Op> {
            let burns = |op: &&Op| matches!(op, Op::Create2 { .. } | Op::Destroy(_));
            ops.iter().filter(|op| !burns(op)).cloned().collect()
        };
        let codes: Vec<_> = programs.iter().map(|ops| program(&calm(ops))).collect();
        let mut chain = genesis(&codes);
        let everybody = |chain: &Chain| -> U256 {
            let mut people = people();
            people.push(POOL);
            people.extend((0..20).flat_map(|nonce| SENDERS.map(|sender| sender.create(nonce))));
            people.sort();
            people.dedup();
            people.into_iter().map(|person| chain.balance(person)).fold(U256::ZERO, |sum, balance| sum + balance)
        };
        let total = everybody(&chain);
        let mut block = chain.block_with(BlockEnv { fees: POOL_FEES, ..env() });
        let mut nonces = [0; 2];
        for (who, action) in actions {
            let who = usize::from(who);
            let action = match action {
                Action::Create(ops) => Action::Create(calm(&ops)),
                other => other,
            };
            if block.transact(&transaction(&action, nonces[who]), SENDERS[who]).is_ok() {
                nonces[who] += 1;
            }
        }
        let finished = block.finish().unwrap();
        chain.adopt(&finished);
        prop_assert_eq!(everybody(&chain), total);
        prop_assert_eq!(chain.balance(POOL), finished.fees.base);
    }
}
