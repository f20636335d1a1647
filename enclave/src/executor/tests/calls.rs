//! `eth_call` and `eth_estimateGas`.

use super::fixture::*;
use crate::executor::*;
use alloy_primitives::{Address, Bytes, U256};

fn estimate(chain: &Chain, request: &CallRequest) -> u64 {
    estimate_gas(chain.state(), &env(), |_| None, request).unwrap().unwrap()
}

fn to_contract() -> CallRequest {
    CallRequest { from: Some(ALICE), to: Some(CONTRACT), ..CallRequest::default() }
}

#[test]
fn calls_return_revert_or_halt() {
    let word = |code: &str| Chain::new(&asm(code)).call(&to_contract()).result;
    let one = Bytes::from(U256::from(1).to_be_bytes::<32>());
    let stored = "0x01 PUSH0 MSTORE 0x20 PUSH0";
    assert_eq!(word(&format!("{stored} RETURN")), CallResult::Return(one.clone()));
    assert_eq!(word(&format!("{stored} REVERT")), CallResult::Revert(one));
    assert_eq!(word("JUMPDEST PUSH0 JUMP"), CallResult::Halt("out of gas"));
    assert_eq!(word("INVALID"), CallResult::Halt("invalid opcode"));
    assert_eq!(word("POP"), CallResult::Halt("stack underflow"));
    assert_eq!(word("PUSH0 JUMP"), CallResult::Halt("invalid jump destination"));
}

#[test]
fn a_call_leaves_no_trace_and_needs_no_funds_nonce_or_eoa() {
    let chain =
        Chain::new(&asm("0x01 PUSH0 SSTORE BASEFEE GASPRICE ADD PUSH0 MSTORE 0x20 PUSH0 RETURN"));
    let zero = CallResult::Return(Bytes::from(U256::ZERO.to_be_bytes::<32>()));
    for from in [None, Some(Address::with_last_byte(0x99)), Some(CONTRACT)] {
        let outcome = chain.call(&CallRequest { from, ..to_contract() });
        assert_eq!(outcome.result, zero);
    }
    assert_eq!(chain.slot(CONTRACT, 0), U256::ZERO);
}

#[test]
fn a_priced_call_needs_funds_and_the_base_fee() {
    let chain = Chain::new(&asm("GASPRICE PUSH0 MSTORE 0x20 PUSH0 RETURN"));
    let request = CallRequest { gas_price: Some(u128::from(2 * GWEI)), ..to_contract() };
    let price = Bytes::from(U256::from(2 * GWEI).to_be_bytes::<32>());
    assert_eq!(chain.call(&request).result, CallResult::Return(price));
    let pool = BlockEnv { fees: POOL_FEES, ..env() };
    let price = Bytes::from(U256::from(GWEI).to_be_bytes::<32>());
    let outcome = call(chain.state(), &pool, |_| None, &request).unwrap();
    assert_eq!(outcome.result, CallResult::Return(price));
    let reject = |request: CallRequest| {
        call(chain.state(), &env(), |_| None, &request).unwrap_err().to_string()
    };
    let low = CallRequest { gas_price: Some(1), ..request.clone() };
    assert!(reject(low).starts_with("max fee per gas less than block base fee"));
    let poor = CallRequest { from: Some(Address::with_last_byte(0x99)), ..request.clone() };
    assert!(reject(poor).starts_with("insufficient funds for gas * price + value"));
    let poor = CallRequest { value: U256::MAX, gas_price: None, ..request.clone() };
    assert!(reject(poor).starts_with("insufficient funds"));
    let absurd = CallRequest { gas_price: Some(u128::MAX), ..request };
    assert!(reject(absurd).starts_with("insufficient funds"));
}

#[test]
fn calls_are_bounded() {
    let chain = Chain::new(&asm("0x01ffff PUSH0 RETURN"));
    let CallResult::Return(output) = chain.call(&to_contract()).result else { panic!() };
    assert_eq!(output.len(), 0x1ffff);
    let long = CallRequest { data: vec![0; MAX_CALL_DATA_BYTES + 1].into(), ..to_contract() };
    let error = call(chain.state(), &env(), |_| None, &long).unwrap_err();
    assert!(error.to_string().starts_with("call data of 1048577 bytes"));
    let chain = Chain::new(&asm("0x110000 PUSH0 RETURN"));
    assert_eq!(chain.call(&to_contract()).result, CallResult::Halt("return data too long"));
    let endless = Chain::new(&asm("JUMPDEST PUSH0 JUMP"));
    let request = CallRequest { gas: Some(u64::MAX), ..to_contract() };
    assert_eq!(endless.call(&request).gas_used, CALL_GAS_CAP);
}

#[test]
fn a_creating_call_returns_the_code() {
    let chain = Chain::new(&[]);
    let request = CallRequest { data: deploying(&[0x5f]).into(), ..CallRequest::default() };
    assert_eq!(chain.call(&request).result, CallResult::Return(Bytes::from_static(&[0x5f])));
}

#[test]
fn a_transfer_is_estimated_exactly() {
    let chain = Chain::new(&[]);
    let request = CallRequest {
        from: Some(ALICE),
        to: Some(BOB),
        value: U256::from(1),
        ..CallRequest::default()
    };
    assert_eq!(estimate(&chain, &request), 21_000);
}

/// The estimate suffices and is within 1.5 % of the least that does.
#[test]
fn estimates_suffice_and_are_tight() {
    for code in [
        "0x01 PUSH0 SSTORE",
        // Needs much more than it uses: requires 200,000 gas left.
        "0x030d40 GAS LT 0x0a JUMPI STOP JUMPDEST PUSH0 PUSH0 REVERT",
        // Earns a refund at the end.
        "0x01 PUSH0 SSTORE PUSH0 PUSH0 SSTORE",
    ] {
        let chain = Chain::new(&asm(code));
        let estimated = estimate(&chain, &to_contract());
        let succeeds = |gas| {
            let request = CallRequest { gas: Some(gas), ..to_contract() };
            call(chain.state(), &env(), |_| None, &request)
                .is_ok_and(|outcome| matches!(outcome.result, CallResult::Return(_)))
        };
        assert!(succeeds(estimated), "{code}");
        assert!(!succeeds(estimated - estimated * 16 / 1000 - 1), "{code}: {estimated}");
    }
}

#[test]
fn an_estimate_of_a_failing_call_says_how_it_fails() {
    let fails = |code: &str, request: CallRequest| {
        let chain = Chain::new(&asm(code));
        estimate_gas(chain.state(), &env(), |_| None, &request).unwrap().unwrap_err().result
    };
    assert_eq!(fails("PUSH0 PUSH0 REVERT", to_contract()), CallResult::Revert(Bytes::new()));
    let endless = "JUMPDEST PUSH0 JUMP";
    assert_eq!(fails(endless, to_contract()), CallResult::Halt("out of gas"));
    let little = CallRequest { gas: Some(22_000), ..to_contract() };
    assert_eq!(fails("0x01 PUSH0 SSTORE", little), CallResult::Halt("out of gas"));
}

#[test]
fn funds_limit_an_estimate() {
    let chain = Chain::new(&asm("0x01 PUSH0 SSTORE"));
    let request = CallRequest {
        gas_price: Some(u128::from(GWEI)),
        value: chain.balance(ALICE) - U256::from(30_000 * GWEI),
        ..to_contract()
    };
    let error = estimate_gas(chain.state(), &env(), |_| None, &request).unwrap().unwrap_err();
    assert_eq!((error.result, error.gas_used), (CallResult::Halt("out of gas"), 30_000));
}

#[test]
fn revert_reasons_are_read() {
    let data = alloy_primitives::hex!(
        "08c379a0"
        "0000000000000000000000000000000000000000000000000000000000000020"
        "0000000000000000000000000000000000000000000000000000000000000002"
        "6e6f000000000000000000000000000000000000000000000000000000000000"
    );
    assert_eq!(revert_reason(&data).as_deref(), Some("no"));
    assert_eq!(revert_reason(&[1, 2, 3]), None);
}
