//! What data costs on L2 beyond Ethereum's gas: charged up front, predicted by estimates, nothing for a
//! plain transfer.

use super::fixture::*;
use crate::executor::*;
use alloy_consensus::{TxEip1559, TxEip2930, TxEip7702, TxEnvelope};
use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip7623::tokens_in_calldata,
    eip7702::Authorization,
};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};

const PER_TOKEN: u64 = 7;

fn pool(data_gas_per_token: u64) -> BlockEnv {
    BlockEnv { fees: FeeRule::Pool { address: POOL, data_gas_per_token }, ..env() }
}

fn to_bob(input: Bytes) -> TxEip1559 {
    TxEip1559 { gas_limit: 1_000_000, input, ..transfer(0) }
}

fn with_access_list() -> TxEnvelope {
    let item = |slots| AccessListItem {
        address: Address::with_last_byte(slots),
        storage_keys: (0..slots).map(B256::with_last_byte).collect(),
    };
    let tx = TxEip2930 {
        chain_id: CHAIN_ID,
        gas_price: u128::from(GWEI),
        gas_limit: 1_000_000,
        to: TxKind::Call(BOB),
        access_list: AccessList(vec![item(3), item(0)]),
        ..TxEip2930::default()
    };
    signed(tx)
}

fn with_authorizations() -> TxEnvelope {
    let authorization = Authorization { chain_id: U256::from(1), address: BOB, nonce: 0 };
    let tx = TxEip7702 {
        chain_id: CHAIN_ID,
        max_fee_per_gas: u128::from(GWEI),
        gas_limit: 1_000_000,
        to: BOB,
        authorization_list: vec![authorization.into_signed(Signature::test_signature()); 2],
        ..TxEip7702::default()
    };
    signed(tx)
}

/// Name, transaction, tokens of data.
fn cases() -> Vec<(&'static str, TxEnvelope, u64)> {
    vec![
        ("plain transfer", signed(transfer(0)), 0),
        ("bytes", signed(to_bob(vec![1; 100].into())), 400),
        ("zeros", signed(to_bob(vec![0; 100].into())), 100),
        ("so many that Ethereum's floor is paid", signed(to_bob(vec![1; 5_000].into())), 20_000),
        ("creation", signed(create(0, deploying(&[0x5f]))), {
            tokens_in_calldata(&deploying(&[0x5f]))
        }),
        ("access list", with_access_list(), 2 * 80 + 3 * 128),
        ("authorizations", with_authorizations(), 2 * 400),
    ]
}

#[test]
fn data_is_paid_for_by_its_tokens_and_a_plain_transfer_costs_what_it_does_on_ethereum() {
    for (name, tx, tokens) in cases() {
        let chain = Chain::new(&[]);
        let run = |per_token| chain.block_with(pool(per_token)).transact(&tx, ALICE).unwrap();
        let (free, charged) = (run(0), run(PER_TOKEN));
        assert_eq!((free.data_gas, charged.data_gas), (0, tokens * PER_TOKEN), "{name}");
        assert_eq!(charged.gas_used - free.gas_used, charged.data_gas, "{name}");
    }
    let chain = Chain::new(&[]);
    let transfer = chain.block_with(pool(PER_TOKEN)).transact(&signed(transfer(0)), ALICE).unwrap();
    assert_eq!(transfer.gas_used, 21_000);
}

#[test]
fn a_limit_that_does_not_cover_data_is_refused_in_ethereums_words() {
    let chain = Chain::new(&[]);
    let needed = 21_000 + 400 * (4 + PER_TOKEN);
    let tx = |gas_limit| signed(TxEip1559 { gas_limit, ..to_bob(vec![1; 100].into()) });
    let error = |tx: &TxEnvelope| {
        let executed = chain.block_with(pool(PER_TOKEN)).transact(tx, ALICE).unwrap_err();
        let checked = check(chain.state(), &pool(PER_TOKEN), tx, ALICE).unwrap_err();
        assert_eq!(executed.to_string(), checked.to_string());
        executed.to_string()
    };
    assert!(error(&tx(needed - 1)).contains("intrinsic gas"), "{}", error(&tx(needed - 1)));
    // Ethereum's floor of ten per token is raised as well.
    let floor = 21_000 + 400 * (10 + PER_TOKEN);
    assert!(error(&tx(floor - 1)).contains("floor"), "{}", error(&tx(floor - 1)));
    chain.block_with(pool(PER_TOKEN)).transact(&tx(floor), ALICE).unwrap();
}

#[test]
fn estimates_contain_data_gas() {
    let chain = Chain::new(&asm("0x01 PUSH0 SSTORE"));
    for data in [Bytes::new(), vec![0; 68].into(), vec![1; 3_000].into()] {
        let request = CallRequest {
            from: Some(ALICE),
            to: Some(CONTRACT),
            data: data.clone(),
            ..CallRequest::default()
        };
        let gas = estimate_gas(chain.state(), &pool(PER_TOKEN), |_| None, &request);
        let gas_limit = gas.unwrap().unwrap();
        let tx = TxEip1559 { gas_limit, ..invoke(0, &data) };
        let executed = chain.block_with(pool(PER_TOKEN)).transact(&signed(tx), ALICE).unwrap();
        assert!(executed.success && executed.gas_used <= gas_limit);
    }
}
