//! Programs on the L2 do not tell strangers about other people's accounts.

use super::fixture::*;
use crate::{
    executor::*,
    state::{AccountUpdate, Changes},
    trie::EMPTY_CODE_HASH,
};
use alloy_consensus::{TxEip1559, TxEip7702};
use alloy_eips::eip7702::Authorization;
use alloy_primitives::{Address, Bytes, Signature, U256, address, keccak256};

const STRANGER: Address = address!("00000000000000000000000000000000005742a6");
const VAULT: Address = address!("000000000000000000000000000000000000fa17");
const NOBODY: Address = address!("0000000000000000000000000000000000deadff");
const VAULT_CODE: [u8; 1] = [0];

/// Returns what the instruction tells about the address in the data.
fn asking(opcode: &str) -> Vec<u8> {
    asm(&format!("PUSH0 CALLDATALOAD {opcode} {RETURN_TOP}"))
}

const RETURN_TOP: &str = "PUSH0 MSTORE 0x20 PUSH0 RETURN";

/// Calls this address with the data of the call, and returns the word it returns.
fn forwarding(to: Address) -> Vec<u8> {
    asm(&format!(
        "PUSH0 CALLDATALOAD PUSH0 MSTORE 0x20 PUSH0 0x20 PUSH0 PUSH0 {to:#x} GAS CALL POP 0x20 PUSH0 RETURN"
    ))
}

fn l2() -> BlockEnv {
    BlockEnv { fees: POOL_FEES, ..env() }
}

fn word(address: Address) -> Bytes {
    address.into_word().0.into()
}

/// Alice and Bob, a contract with this code, a rich vault, a stranger with funds for gas.
fn chain(code: &[u8]) -> Chain {
    let mut chain = Chain::new(code);
    let mut changes = Changes::default();
    let update = |balance| AccountUpdate { balance, ..AccountUpdate::default() };
    changes.set(STRANGER, update(ETHER), Bytes::new());
    let vault = AccountUpdate { nonce: 1, ..update(ETHER * U256::from(7)) };
    changes.set(VAULT, vault, VAULT_CODE.to_vec().into());
    chain.commit(&changes);
    chain
}

/// Answer and gas of a call.
fn ask(chain: &Chain, env: &BlockEnv, from: Option<Address>, about: Address) -> (U256, u64) {
    ask_at(chain, env, from, CONTRACT, about)
}

fn ask_at(
    chain: &Chain,
    env: &BlockEnv,
    from: Option<Address>,
    to: Address,
    about: Address,
) -> (U256, u64) {
    let request = CallRequest { from, to: Some(to), data: word(about), ..CallRequest::default() };
    let outcome = call(chain.state(), env, |_| None, &request).unwrap();
    match outcome.result {
        CallResult::Return(output) => (U256::from_be_slice(&output), outcome.gas_used),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_reads_the_balance_of_oneself_and_of_contracts_only() {
    let chain = chain(&asking("BALANCE"));
    let cases = [
        (Some(STRANGER), ALICE, U256::ZERO),
        (None, ALICE, U256::ZERO),
        (Some(STRANGER), NOBODY, U256::ZERO),
        (Some(ALICE), ALICE, chain.balance(ALICE)),
        (Some(STRANGER), STRANGER, chain.balance(STRANGER)),
        (Some(ALICE), STRANGER, U256::ZERO),
        (Some(STRANGER), VAULT, chain.balance(VAULT)),
        (None, VAULT, chain.balance(VAULT)),
    ];
    for (from, about, want) in cases {
        let (hidden, gas) = ask(&chain, &l2(), from, about);
        assert_eq!(hidden, want, "{from:?} about {about}");
        let (open, open_gas) = ask(&chain, &env(), from, about);
        assert_eq!(open, chain.balance(about), "L1: {from:?} about {about}");
        assert_eq!(gas, open_gas, "{from:?} about {about}");
    }
}

/// Dirty upper bytes of the word name the same account.
#[test]
fn the_upper_bytes_of_the_word_do_not_matter() {
    let code = format!("NOT PUSH0 CALLDATALOAD OR BALANCE {RETURN_TOP}");
    let chain = chain(&asm(&format!("0x{} {code}", "ff".repeat(20))));
    assert_eq!(ask(&chain, &l2(), Some(STRANGER), ALICE).0, U256::ZERO);
    assert_eq!(ask(&chain, &l2(), Some(ALICE), ALICE).0, chain.balance(ALICE));
    assert_eq!(ask(&chain, &l2(), Some(STRANGER), VAULT).0, chain.balance(VAULT));
}

#[test]
fn a_transaction_reads_no_more_than_a_call() {
    let chain = chain(&asking("BALANCE"));
    let run = |env: BlockEnv, about| {
        let mut block = chain.block_with(env);
        // Free, so that the sender's balance stays what it was.
        let tx = TxEip1559 {
            max_fee_per_gas: 0,
            max_priority_fee_per_gas: 0,
            ..invoke(0, &word(about))
        };
        let executed = block.transact(&signed(tx), STRANGER).unwrap();
        assert!(executed.success);
        (U256::from_be_slice(&executed.output), executed.gas_used)
    };
    for (about, shown) in [(BOB, false), (NOBODY, false), (VAULT, true), (STRANGER, true)] {
        let (hidden, gas) = run(BlockEnv { base_fee: 0, ..l2() }, about);
        let (open, open_gas) = run(BlockEnv { base_fee: 0, ..env() }, about);
        assert_eq!(hidden, if shown { chain.balance(about) } else { U256::ZERO }, "{about}");
        assert_eq!((open, gas), (chain.balance(about), open_gas), "{about}");
    }
}

/// The estimate of a program that takes another path if it sees a balance.
#[test]
fn an_estimate_reads_no_more_than_a_call() {
    let chain = chain(&asm("PUSH0 CALLDATALOAD BALANCE 0x0a JUMPI STOP STOP STOP STOP JUMPDEST \
         0x01 PUSH0 SSTORE"));
    let estimate = |env: &BlockEnv, from, about| {
        let to = Some(CONTRACT);
        let request = CallRequest { from: Some(from), to, data: word(about), ..Default::default() };
        estimate_gas(chain.state(), env, |_| None, &request).unwrap().unwrap()
    };
    assert_eq!(estimate(&l2(), STRANGER, ALICE), estimate(&l2(), STRANGER, NOBODY));
    assert!(estimate(&l2(), ALICE, ALICE) > estimate(&l2(), STRANGER, ALICE) + 15_000);
    assert!(estimate(&env(), STRANGER, ALICE) > estimate(&l2(), STRANGER, ALICE) + 15_000);
}

/// The origin is known at any depth, the caller one level down only.
#[test]
fn origin_caller_and_self_are_known_and_nobody_else() {
    let mut chain = chain(&asking("BALANCE"));
    let mut changes = Changes::default();
    let contract = AccountUpdate { nonce: 1, ..AccountUpdate::default() };
    changes.set(POOL, contract, forwarding(CONTRACT).into());
    chain.commit(&changes);
    let through = |from, about| ask_at(&chain, &l2(), Some(from), POOL, about).0;
    assert_eq!(through(ALICE, ALICE), chain.balance(ALICE), "origin");
    assert_eq!(through(STRANGER, ALICE), U256::ZERO);
    assert_eq!(through(STRANGER, VAULT), chain.balance(VAULT));

    // An account without code that executes or calls: a contract being created, which has none yet. It is paid one
    // ether, asks for its own balance, and asks another contract, too.
    let me = ALICE.create(0);
    let asked_by_me = |init: String| {
        let request = CallRequest { from: Some(ALICE), value: ETHER, ..CallRequest::default() };
        let request = CallRequest { data: asm(&init).into(), ..request };
        match call(chain.state(), &l2(), |_| None, &request).unwrap().result {
            CallResult::Return(output) => U256::from_be_slice(&output),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(asked_by_me(format!("ADDRESS BALANCE {RETURN_TOP}")), ETHER, "self");
    let calling = |to: Address, about: Address| {
        format!(
            "{about:#x} PUSH0 MSTORE 0x20 PUSH0 0x20 PUSH0 PUSH0 {to:#x} GAS CALL POP 0x20 PUSH0 RETURN"
        )
    };
    assert_eq!(asked_by_me(calling(CONTRACT, me)), ETHER, "caller");
    assert_eq!(asked_by_me(calling(POOL, me)), U256::ZERO, "the caller's caller");
    assert_eq!(asked_by_me(calling(CONTRACT, BOB)), U256::ZERO);
}

#[test]
fn code_hashes_do_not_tell_whether_an_account_exists() {
    let chain = chain(&asking("EXTCODEHASH"));
    let empty = U256::from_be_bytes(EMPTY_CODE_HASH.0);
    let vault = U256::from_be_bytes(keccak256(VAULT_CODE).0);
    for (from, about, hidden, open) in [
        (STRANGER, ALICE, U256::ZERO, empty),
        (STRANGER, NOBODY, U256::ZERO, U256::ZERO),
        (ALICE, ALICE, empty, empty),
        (STRANGER, VAULT, vault, vault),
    ] {
        assert_eq!(ask(&chain, &l2(), Some(from), about).0, hidden, "{from} about {about}");
        assert_eq!(ask(&chain, &env(), Some(from), about).0, open, "{from} about {about}");
    }
}

#[test]
fn delegation_makes_nobody_a_contract() {
    for (opcode, is_balance) in [("BALANCE", true), ("EXTCODEHASH", false)] {
        let mut chain = chain(&asking(opcode));
        let authorization = Authorization { chain_id: U256::ZERO, address: VAULT, nonce: 0 };
        let authorization = authorization.into_signed(Signature::test_signature());
        let authority = authorization.recover_authority().unwrap();
        let tx = TxEip7702 {
            chain_id: CHAIN_ID,
            gas_limit: 200_000,
            max_fee_per_gas: u128::from(3 * GWEI),
            to: authority,
            value: ETHER,
            authorization_list: vec![authorization],
            ..TxEip7702::default()
        };
        assert!(chain.run(&signed(tx), ALICE).success);
        let code_hash = chain.state().account(authority).unwrap().unwrap().code_hash;
        assert_ne!(code_hash, EMPTY_CODE_HASH);
        let real = if is_balance { ETHER } else { U256::from_be_bytes(code_hash.0) };
        assert_eq!(ask(&chain, &l2(), Some(STRANGER), authority).0, U256::ZERO, "{opcode}");
        assert_eq!(ask(&chain, &l2(), Some(authority), authority).0, real, "{opcode}");
        assert_eq!(ask(&chain, &env(), Some(STRANGER), authority).0, real, "{opcode}");
    }
}

/// Cold, warm, or with too little left: gas is Ethereum's, and the same whoever is asked about.
#[test]
fn gas_tells_nothing() {
    for opcode in ["BALANCE", "EXTCODEHASH"] {
        // Asks twice, returns the gas of the first and of the second time.
        let timed = format!("GAS PUSH0 CALLDATALOAD {opcode} POP GAS SWAP1 SUB");
        let chain = chain(&asm(&format!("{timed} {timed} 0x80 SHL OR {RETURN_TOP}")));
        // GAS 2, PUSH0 2, CALLDATALOAD 3, POP 2: nine besides the instruction, which is 2600 cold and 100 warm.
        let want = (U256::from(109) << 128) | U256::from(2_609);
        for about in [ALICE, NOBODY, VAULT] {
            let (seen, gas) = ask(&chain, &l2(), Some(STRANGER), about);
            assert_eq!(seen, want, "{opcode} {about}");
            assert_eq!((seen, gas), ask(&chain, &env(), Some(STRANGER), about));
        }
        let (seen, gas) = ask(&chain, &l2(), Some(ALICE), ALICE);
        assert_eq!((seen, gas), ask(&chain, &env(), Some(ALICE), ALICE));

        for about in [ALICE, NOBODY, VAULT] {
            for gas in (23_000..25_000).step_by(97) {
                let run = |env: &BlockEnv| {
                    let (from, to) = (Some(STRANGER), Some(CONTRACT));
                    let request = CallRequest { from, to, gas: Some(gas), ..Default::default() };
                    let request = CallRequest { data: word(about), ..request };
                    let outcome = call(chain.state(), env, |_| None, &request).unwrap();
                    (outcome.result, outcome.gas_used)
                };
                assert_eq!(run(&l2()), run(&env()), "{opcode} {about} {gas}");
            }
        }
    }
}

/// Ethereum charges for making an account; here, that would tell whether there is one.
#[test]
fn paying_an_account_does_not_tell_whether_it_exists() {
    // As long as Bob's in tokens of call data.
    let nobody = Address::from(BOB.0.map(|byte| if byte == 0 { 0 } else { 0xd7 }));
    let paying = "PUSH0 PUSH0 PUSH0 PUSH0 0x01 PUSH0 CALLDATALOAD GAS CALL POP";
    let dying = "PUSH0 CALLDATALOAD SELFDESTRUCT";
    for (code, is_destroyed) in [(asm(paying), false), (asm(dying), true)] {
        let mut chain = chain(&code);
        let mut changes = Changes::default();
        let rich = AccountUpdate { nonce: 1, balance: ETHER, ..AccountUpdate::default() };
        changes.set(CONTRACT, rich, code.into());
        chain.commit(&changes);
        let gas = |env: &BlockEnv, about: Address| {
            let data = word(about);
            let request = CallRequest { to: Some(CONTRACT), data, ..CallRequest::default() };
            let called = call(chain.state(), env, |_| None, &request).unwrap();
            assert!(matches!(called.result, CallResult::Return(_)), "{called:?}");
            let estimated = estimate_gas(chain.state(), env, |_| None, &request).unwrap().unwrap();
            (called.gas_used, estimated)
        };
        assert_eq!(gas(&l2(), BOB), gas(&l2(), nobody), "destroyed: {is_destroyed}");
        assert_eq!(gas(&l2(), BOB), gas(&env(), BOB), "what exists costs what it does on Ethereum");
        assert!(gas(&env(), BOB).0 + 25_000 <= gas(&env(), nobody).0);
    }
}

#[test]
fn an_empty_stack_underflows_as_ever() {
    for opcode in ["BALANCE", "EXTCODEHASH"] {
        let chain = chain(&asm(opcode));
        let request = CallRequest { to: Some(CONTRACT), ..CallRequest::default() };
        let run = |env: &BlockEnv| call(chain.state(), env, |_| None, &request).unwrap();
        assert_eq!(run(&l2()).result, CallResult::Halt("stack underflow"));
        assert_eq!(run(&l2()), run(&env()));
    }
}
