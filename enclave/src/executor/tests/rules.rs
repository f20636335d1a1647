//! Rejections, system calls, credits, and the store failing underneath.

use super::fixture::*;
use crate::{
    executor::*,
    state::{State, StateError},
    store::{EncryptedStore, MemoryStore, Store, StoreError},
    trie::{NodeCache, NodeStore, TrieError},
};
use alloy_consensus::{TxEip1559, TxLegacy};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address};

const SYSTEM: Address = address!("fffffffffffffffffffffffffffffffffffffffe");

#[test]
fn rejections_speak_like_geth_and_leave_no_trace() {
    let chain = Chain::new(&asm("STOP"));
    let mut block = chain.block();
    block.transact(&signed(transfer(0)), ALICE).unwrap();
    let cases = [
        (
            transfer(0),
            "nonce too low: address 0x00000000000000000000000000000000000A11cE, tx: 0 state: 1",
        ),
        (
            transfer(5),
            "nonce too high: address 0x00000000000000000000000000000000000A11cE, tx: 5 state: 1",
        ),
        (
            TxEip1559 { value: ETHER * U256::from(1000), ..transfer(1) },
            "insufficient funds for gas * price + value: address ",
        ),
        (
            TxEip1559 { value: U256::MAX, ..transfer(1) },
            "insufficient funds for gas * price + value: address ",
        ),
        (
            TxEip1559 { max_fee_per_gas: u128::MAX, ..transfer(1) },
            "insufficient funds for gas * price + value: address ",
        ),
        (
            TxEip1559 { gas_limit: 20_999, ..transfer(1) },
            "intrinsic gas too low: have 20999, want 21000",
        ),
        (
            TxEip1559 { input: vec![1; 100].into(), gas_limit: 24_999, ..transfer(1) },
            "insufficient gas for floor data gas cost: have 24999, want 25000",
        ),
        (
            TxEip1559 { max_fee_per_gas: 5, max_priority_fee_per_gas: 0, ..transfer(1) },
            "max fee per gas less than block base fee: address 0x00000000000000000000000000000000000A11cE, maxFeePerGas: 5, baseFee: 1000000000",
        ),
        (
            TxEip1559 { max_priority_fee_per_gas: u128::from(4 * GWEI), ..transfer(1) },
            "max priority fee per gas higher than max fee per gas: address ",
        ),
        (TxEip1559 { gas_limit: 30_000_001, ..transfer(1) }, "exceeds block gas limit: 30000000"),
        (
            TxEip1559 { gas_limit: 29_990_000, ..transfer(1) },
            "gas limit reached: 29979000 gas left",
        ),
        (
            TxEip1559 { gas_limit: 16_777_217, ..transfer(1) },
            "transaction gas limit too high (cap: 16777216, tx: 16777217)",
        ),
        (TxEip1559 { chain_id: 1, ..transfer(1) }, "invalid chain id for signer: have 1 want 777"),
        (
            TxEip1559 { gas_limit: 9_000_000, ..create(1, vec![0; 49_153]) },
            "max initcode size exceeded: code size 49153",
        ),
    ];
    for (tx, text) in cases {
        match block.transact(&signed(tx), ALICE) {
            Err(ExecutionError::Rejected(reject)) => {
                assert!(reject.to_string().starts_with(text), "{reject}\n{text}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    let from_contract = block.transact(&signed(transfer(1)), CONTRACT).unwrap_err();
    assert!(from_contract.to_string().starts_with("sender not an eoa"), "{from_contract}");
    let finished = block.finish().unwrap();
    let mut only = chain.block();
    only.transact(&signed(transfer(0)), ALICE).unwrap();
    assert_eq!(finished.applied.root, only.finish().unwrap().applied.root);
    assert_eq!(finished.receipts.len(), 1);
}

#[test]
fn a_reject_says_whether_waiting_helps() {
    let chain = Chain::new(&[]);
    let reject = |tx: TxEip1559| match chain.block().transact(&signed(tx), ALICE) {
        Err(ExecutionError::Rejected(reject)) => reject.may_become_valid(),
        other => panic!("{other:?}"),
    };
    assert!(reject(transfer(1)));
    assert!(!reject(TxEip1559 { gas_limit: 1, ..transfer(0) }));
}

#[test]
fn the_block_gas_limit_holds() {
    let chain = Chain::new(&asm("JUMPDEST PUSH0 JUMP"));
    let mut block = chain.block_with(BlockEnv { gas_limit: 2_500_000, ..env() });
    assert!(!block.transact(&signed(invoke(0, &[])), ALICE).unwrap().success);
    assert!(!block.transact(&signed(invoke(1, &[])), ALICE).unwrap().success);
    let full = block.transact(&signed(invoke(2, &[])), ALICE).unwrap_err();
    assert!(full.to_string().starts_with("gas limit reached"));
    assert_eq!(block.gas_used(), 2_000_000);
}

#[test]
fn a_legacy_transaction_without_chain_id_is_accepted() {
    let mut chain = Chain::new(&[]);
    let tx = TxLegacy {
        gas_price: u128::from(GWEI),
        gas_limit: 21_000,
        to: TxKind::Call(BOB),
        ..TxLegacy::default()
    };
    assert!(chain.run(&signed(tx), ALICE).success);
}

#[test]
fn system_calls_cost_nobody_anything() {
    // Stores the caller and the first word of the data, logs once.
    let mut chain =
        Chain::new(&asm("CALLER PUSH0 SSTORE PUSH0 CALLDATALOAD 0x01 SSTORE PUSH0 PUSH0 LOG0"));
    let mut block = chain.block();
    let data = Bytes::from(B256::with_last_byte(9).0);
    let outcome = block.system_call(SYSTEM, CONTRACT, data).unwrap();
    assert_eq!((outcome.failure, outcome.logs.len()), (None, 1));
    assert_eq!(block.gas_used(), 0);
    let finished = block.finish().unwrap();
    assert_eq!((finished.receipts.len(), finished.fees), (0, Fees::default()));
    chain.adopt(&finished);
    assert_eq!(chain.slot(CONTRACT, 0), U256::from_be_slice(SYSTEM.as_slice()));
    assert_eq!(chain.slot(CONTRACT, 1), U256::from(9));
    assert_eq!(chain.state().account(SYSTEM).unwrap(), None);
}

#[test]
fn a_failed_system_call_changes_nothing() {
    for end in ["PUSH0 PUSH0 REVERT", "INVALID"] {
        let chain = Chain::new(&asm(&format!("0x01 PUSH0 SSTORE PUSH0 PUSH0 LOG0 {end}")));
        let mut block = chain.block();
        let outcome = block.system_call(SYSTEM, CONTRACT, Bytes::new()).unwrap();
        assert!(outcome.failure.is_some() && outcome.logs.is_empty());
        assert_eq!(block.finish().unwrap().applied.root, chain.root);
    }
}

#[test]
fn block_hashes_and_parameters_reach_the_program() {
    let code = asm(
        "0x09 BLOCKHASH PUSH0 SSTORE NUMBER 0x01 SSTORE TIMESTAMP 0x02 SSTORE DIFFICULTY 0x03 SSTORE
         CHAINID 0x04 SSTORE BASEFEE 0x05 SSTORE GASLIMIT 0x06 SSTORE COINBASE 0x07 SSTORE",
    );
    let code: Vec<u8> = code;
    let mut chain = Chain::new(&code);
    assert!(chain.run(&signed(invoke(0, &[])), ALICE).success);
    let env = env();
    let want = [
        U256::from(9),
        U256::from(env.number),
        U256::from(env.timestamp),
        U256::from_be_bytes(env.prevrandao.0),
        U256::from(env.chain_id),
        U256::from(env.base_fee),
        U256::from(env.gas_limit),
        U256::from_be_slice(env.beneficiary.as_slice()),
    ];
    for (slot, word) in (0u64..).zip(want) {
        assert_eq!(chain.slot(CONTRACT, slot), word, "slot {slot}");
    }
}

#[test]
fn credits_create_accounts_and_survive_later_rejections() {
    let mut chain = Chain::new(&[]);
    let carol = Address::with_last_byte(0xca);
    let mut block = chain.block();
    block.credit(carol, ETHER).unwrap();
    block.credit(Address::with_last_byte(0xcb), U256::ZERO).unwrap();
    assert!(block.transact(&signed(transfer(7)), carol).is_err());
    block.transact(&signed(transfer(0)), carol).unwrap();
    let finished = block.finish().unwrap();
    chain.adopt(&finished);
    assert_eq!(chain.balance(carol), ETHER - U256::from(1) - U256::from(63_000 * GWEI));
    assert_eq!(chain.state().account(Address::with_last_byte(0xcb)).unwrap(), None);
    let mut block = chain.block();
    let overflow = block.credit(carol, U256::MAX).unwrap_err();
    assert_eq!(overflow, ExecutionError::Fatal(Fatal::Overflow(carol)));
    assert_eq!(block.finish().unwrap_err(), Fatal::Poisoned);
}

#[test]
fn a_block_hash_that_cannot_be_read_is_fatal() {
    let chain = Chain::new(&asm("0x09 BLOCKHASH PUSH0 SSTORE"));
    let unreadable = |_| Err::<Option<B256>, _>(TrieError::Missing(B256::ZERO));
    let missing = Fatal::State(StateError::Trie(TrieError::Missing(B256::ZERO)));
    let mut block = Block::new(chain.state(), env(), unreadable);
    let result = block.transact(&signed(invoke(0, &[])), ALICE);
    assert_eq!(result, Err(ExecutionError::Fatal(missing.clone())));
    assert_eq!(block.finish().unwrap_err(), Fatal::Poisoned);
    let request = CallRequest { to: Some(CONTRACT), ..CallRequest::default() };
    let result = call(chain.state(), &env(), unreadable, &request);
    assert_eq!(result, Err(ExecutionError::Fatal(missing)));
}

/// A node that the host withholds makes the block fail; it is never a failed or rejected transaction.
#[test]
fn a_store_failure_is_fatal_whatever_reads() {
    let chain = Chain::new(&asm("PUSH0 SLOAD"));
    for withheld in chain.store.keys() {
        let node = chain.store.remove(withheld).unwrap();
        let cold = NodeCache::new(1);
        let state = State::new(&chain.store, &cold, chain.root);
        let missing = Fatal::State(StateError::Trie(TrieError::Missing(withheld)));
        let mut block = Block::new(state, env(), |_| None);
        let results = [
            block.transact(&signed(transfer(0)), ALICE).map(drop),
            block.transact(&signed(invoke(0, &[])), BOB).map(drop),
        ];
        let first = results.iter().find_map(|result| result.as_ref().err());
        assert_eq!(first, Some(&ExecutionError::Fatal(missing.clone())));
        assert!(block.transact(&signed(transfer(1)), ALICE).is_err(), "poisoned");
        assert_eq!(block.finish().unwrap_err(), Fatal::Poisoned);
        let request =
            CallRequest { from: Some(ALICE), to: Some(CONTRACT), ..CallRequest::default() };
        let cold = NodeCache::new(1);
        let state = State::new(&chain.store, &cold, chain.root);
        match call(state, &env(), |_| None, &request) {
            Ok(_) => {}
            Err(error) => assert_eq!(error, ExecutionError::Fatal(missing)),
        }
        chain.store.insert_nodes([(withheld, node)]);
    }
}

/// The same through the encrypted store: altered values are fatal, and told apart from missing ones.
#[test]
fn a_tampered_value_is_fatal_whatever_reads() {
    let (chain, host) = (Chain::new(&asm("PUSH0 SLOAD")), MemoryStore::new());
    let store = EncryptedStore::new(&host, &[3; 32]);
    let nodes = chain.store.keys().into_iter();
    let nodes = nodes.map(|hash| (hash, NodeStore::get(&chain.store, hash).unwrap().unwrap()));
    store.put_nodes(&nodes.collect::<Vec<_>>()).unwrap();
    for key in host.keys() {
        let good = Store::get(&host, key).unwrap().unwrap();
        let mut bad = good.clone();
        bad[0] ^= 1;
        host.put(vec![(key, bad)]).unwrap();
        let cold = NodeCache::new(1);
        let state = State::new(&store, &cold, chain.root);
        let mut block = Block::new(state, env(), |_| None);
        let results = [
            block.transact(&signed(transfer(0)), ALICE).map(drop),
            block.transact(&signed(invoke(0, &[])), BOB).map(drop),
        ];
        let first = results.into_iter().find_map(Result::err);
        let tampered = TrieError::Store(StoreError::Tampered { key });
        assert_eq!(first, Some(Fatal::State(StateError::Trie(tampered)).into()));
        host.put(vec![(key, good)]).unwrap();
    }
}

#[test]
fn blob_prices_saturate_instead_of_overflowing() {
    assert_eq!(blob_base_fee(0), 1);
    assert_eq!(blob_base_fee(u64::MAX), blob_base_fee(u64::MAX / 2));
    assert!(blob_base_fee(u64::MAX) > 1_000_000_000_000_000_000_000);
    assert_eq!(next_excess_blob_gas(0, 6 * 131_072, 1), 0);
    let _ = next_excess_blob_gas(u64::MAX, u64::MAX, u64::MAX);
}
