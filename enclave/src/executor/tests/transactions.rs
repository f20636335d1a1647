//! What transactions do to balances, nonces, storage and receipts.

use super::fixture::*;
use crate::{
    executor::*,
    state::{AccountUpdate, Changes},
    trie,
};
use alloy_consensus::{
    ReceiptEnvelope, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy, TxReceipt,
    proofs::calculate_receipt_root,
};
use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip7702::Authorization,
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, b256};

fn gwei(amount: u64) -> U256 {
    U256::from(amount) * U256::from(GWEI)
}

#[test]
fn a_transfer_moves_value_pays_the_tip_and_burns_the_base_fee() {
    let mut chain = Chain::new(&[]);
    let before = chain.balance(ALICE);
    let executed = chain.run(&signed(transfer(0)), ALICE);
    assert!(executed.success);
    assert_eq!((executed.gas_used, executed.effective_gas_price), (21_000, u128::from(3 * GWEI)));
    assert_eq!(chain.balance(ALICE), before - U256::from(1) - gwei(3 * 21_000));
    assert_eq!(chain.balance(BOB), before + U256::from(1));
    assert_eq!(chain.balance(COINBASE), gwei(2 * 21_000));
    assert_eq!(chain.nonce(ALICE), 1);
}

#[test]
fn under_a_pool_everybody_pays_the_base_fee_and_nothing_is_lost() {
    let mut chain = Chain::new(&asm("GASPRICE PUSH0 SSTORE"));
    let total = chain.balance(ALICE) + chain.balance(BOB);
    let mut block = chain.block_with(BlockEnv { fees: POOL_FEES, ..env() });
    block.transact(&signed(transfer(0)), ALICE).unwrap();
    let greedy = TxEip1559 { max_fee_per_gas: u128::from(90 * GWEI), ..invoke(1, &[]) };
    let executed = block.transact(&signed(greedy), ALICE).unwrap();
    assert_eq!(executed.effective_gas_price, u128::from(GWEI));
    let legacy = TxLegacy {
        chain_id: Some(CHAIN_ID),
        gas_price: u128::from(50 * GWEI),
        gas_limit: 21_000,
        to: TxKind::Call(ALICE),
        ..TxLegacy::default()
    };
    block.transact(&signed(legacy), BOB).unwrap();
    let finished = block.finish().unwrap();
    chain.adopt(&finished);
    assert_eq!(chain.slot(CONTRACT, 0), gwei(1), "what the program saw");
    assert_eq!(chain.balance(COINBASE), U256::ZERO);
    assert_eq!(chain.balance(POOL), gwei(finished.gas_used));
    assert_eq!(finished.fees, Fees { base: gwei(finished.gas_used), ..Fees::default() });
    assert_eq!(chain.balance(ALICE) + chain.balance(BOB) + chain.balance(POOL), total);
}

#[test]
fn under_a_pool_funds_for_the_base_fee_are_enough() {
    let mut chain = Chain::new(&[]);
    let carol = Address::with_last_byte(0xca);
    let mut changes = Changes::default();
    let funds = gwei(21_000) + U256::from(1);
    changes.set(carol, AccountUpdate { balance: funds, ..Default::default() }, Bytes::new());
    chain.commit(&changes);
    let ethereum = chain.block().transact(&signed(transfer(0)), carol).unwrap_err();
    assert!(matches!(ethereum, ExecutionError::Rejected(Reject::InsufficientFunds { .. })));
    let mut block = chain.block_with(BlockEnv { fees: POOL_FEES, ..env() });
    block.transact(&signed(transfer(0)), carol).unwrap();
    let finished = block.finish().unwrap();
    chain.adopt(&finished);
    assert_eq!(chain.state().account(carol).unwrap().unwrap().balance, U256::ZERO);
}

#[test]
fn a_created_contract_has_its_address_code_and_storage() {
    let mut chain = Chain::new(&[]);
    let runtime = asm("0x2a PUSH0 SSTORE 0x07 PUSH0 MSTORE 0x20 PUSH0 RETURN");
    let executed = chain.run(&signed(create(0, deploying(&runtime))), ALICE);
    let address = ALICE.create(0);
    assert_eq!((executed.success, executed.contract_address), (true, Some(address)));
    let account = chain.state().account(address).unwrap().unwrap();
    assert_eq!(account.nonce, 1);
    assert_eq!(chain.state().code(account.code_hash).unwrap(), runtime);
    let executed =
        chain.run(&signed(TxEip1559 { to: TxKind::Call(address), ..invoke(1, &[]) }), ALICE);
    assert_eq!(executed.output, Bytes::from(U256::from(7).to_be_bytes::<32>()));
    assert_eq!(chain.slot(address, 0), U256::from(0x2a));
}

#[test]
fn reverting_keeps_the_fee_and_undoes_the_rest() {
    // Stores, logs, then reverts with 32 bytes.
    let mut chain = Chain::new(&asm("0x01 PUSH0 SSTORE PUSH0 PUSH0 LOG0 0x20 PUSH0 REVERT"));
    let mut block = chain.block();
    let executed = block.transact(&signed(invoke(0, &[])), ALICE).unwrap();
    assert_eq!(executed.failure, Some(Failure::Revert));
    assert_eq!((executed.output.len(), block.logs().len()), (32, 0));
    let finished = block.finish().unwrap();
    chain.adopt(&finished);
    assert!(executed.gas_used > 21_000 && executed.gas_used < 60_000);
    assert_eq!((chain.slot(CONTRACT, 0), chain.nonce(ALICE)), (U256::ZERO, 1));
}

#[test]
fn running_out_of_gas_takes_all_of_it() {
    let mut chain = Chain::new(&asm("JUMPDEST PUSH0 JUMP"));
    let executed = chain.run(&signed(invoke(0, &[])), ALICE);
    assert_eq!(executed.failure, Some(Failure::Halt("out of gas")));
    assert_eq!(executed.gas_used, 1_000_000);
}

#[test]
fn receipts_have_the_ethereum_root_and_bloom() {
    let mut chain = Chain::new(&asm("0x0a PUSH0 PUSH0 LOG1"));
    let mut block = chain.block();
    block.transact(&signed(transfer(0)), ALICE).unwrap();
    block.transact(&signed(invoke(1, &[])), ALICE).unwrap();
    assert_eq!(block.logs().len(), 1);
    assert_eq!(block.logs()[0].topics(), [B256::with_last_byte(10)]);
    let legacy = TxLegacy { gas_price: u128::from(GWEI), gas_limit: 21_000, ..TxLegacy::default() };
    block.transact(&signed(TxLegacy { to: TxKind::Call(ALICE), ..legacy }), BOB).unwrap();
    let finished = block.finish().unwrap();
    assert_eq!(finished.receipts_root, calculate_receipt_root(&finished.receipts));
    assert_eq!(finished.logs_bloom, finished.receipts[1].bloom());
    assert!(matches!(finished.receipts[2], ReceiptEnvelope::Legacy(_)));
    assert_eq!(finished.receipts[2].cumulative_gas_used(), finished.gas_used);
    assert!(!finished.logs_bloom.is_zero());
    chain.adopt(&finished);
}

#[test]
fn an_access_list_transaction_runs() {
    let mut chain = Chain::new(&asm("PUSH0 SLOAD 0x01 SSTORE"));
    let tx = TxEip2930 {
        chain_id: CHAIN_ID,
        gas_price: u128::from(GWEI),
        gas_limit: 100_000,
        to: TxKind::Call(CONTRACT),
        access_list: AccessList(vec![AccessListItem {
            address: CONTRACT,
            storage_keys: vec![B256::ZERO],
        }]),
        ..TxEip2930::default()
    };
    let executed = chain.run(&signed(tx), ALICE);
    // 21000 + list 2400 + 1900 + pushes 2+3, warm SLOAD 100, cold SSTORE of zero over zero 2200.
    assert_eq!((executed.success, executed.gas_used), (true, 27_605));
}

#[test]
fn a_blob_transaction_pays_for_its_blobs() {
    let excess = 60_000_000;
    let mut chain = Chain::new(&asm("PUSH0 BLOBHASH PUSH0 SSTORE BLOBBASEFEE 0x01 SSTORE"));
    let hash = b256!("0100000000000000000000000000000000000000000000000000000000000007");
    let tx = TxEip4844 {
        chain_id: CHAIN_ID,
        gas_limit: 200_000,
        max_fee_per_gas: u128::from(3 * GWEI),
        max_priority_fee_per_gas: 0,
        to: CONTRACT,
        blob_versioned_hashes: vec![hash; 2],
        max_fee_per_blob_gas: blob_base_fee(excess),
        ..TxEip4844::default()
    };
    assert!(blob_base_fee(excess) > 1);
    let before = chain.balance(ALICE);
    let blobs = BlockEnv { excess_blob_gas: Some(excess), ..env() };
    let mut block = chain.block_with(blobs.clone());
    let executed = block.transact(&signed(tx.clone()), ALICE).unwrap();
    let finished = block.finish().unwrap();
    let blob_fee = U256::from(2 * 131_072) * U256::from(blob_base_fee(excess));
    assert_eq!((executed.success, finished.blob_gas_used), (true, 2 * 131_072));
    assert_eq!(finished.fees.blob, blob_fee);
    chain.adopt(&finished);
    assert_eq!(before - chain.balance(ALICE), blob_fee + gwei(executed.gas_used));
    assert_eq!(chain.slot(CONTRACT, 0), U256::from_be_bytes(hash.0));
    assert_eq!(chain.slot(CONTRACT, 1), U256::from(blob_base_fee(excess)));

    let reject = |env: BlockEnv, tx: TxEip4844| {
        chain.block_with(env).transact(&signed(tx), ALICE).unwrap_err()
    };
    let next = TxEip4844 { nonce: 1, ..tx };
    let cheap = TxEip4844 { max_fee_per_blob_gas: 1, ..next.clone() };
    let many = TxEip4844 { blob_versioned_hashes: vec![hash; 7], ..next.clone() };
    let more = TxEip4844 { blob_versioned_hashes: vec![hash; 10], ..next.clone() };
    let none = TxEip4844 { blob_versioned_hashes: vec![], ..next.clone() };
    let blobless = BlockEnv { excess_blob_gas: None, ..env() };
    for (error, text) in [
        (reject(blobs.clone(), cheap), "max fee per blob gas less than block blob gas fee"),
        (reject(blobs.clone(), many), "blob transaction has 7 blobs, at most 6"),
        (reject(blobs.clone(), more), "blob gas limit reached"),
        (reject(blobs, none), "blob transaction missing blob hashes"),
        (reject(blobless, next), "transaction type not supported: 3"),
    ] {
        assert!(error.to_string().starts_with(text), "{error}");
    }
}

/// EIP-7702 with an authorization that anybody can make: the signature recovers to some account.
#[test]
fn a_delegation_lets_an_account_run_code() {
    let mut chain = Chain::new(&asm("0x2a PUSH0 SSTORE"));
    let authorization =
        Authorization { chain_id: U256::from(CHAIN_ID), address: CONTRACT, nonce: 0 };
    let authorization = authorization.into_signed(alloy_primitives::Signature::test_signature());
    let authority = authorization.recover_authority().unwrap();
    let tx = TxEip7702 {
        chain_id: CHAIN_ID,
        gas_limit: 200_000,
        max_fee_per_gas: u128::from(3 * GWEI),
        to: authority,
        authorization_list: vec![authorization],
        ..TxEip7702::default()
    };
    let executed = chain.run(&signed(tx.clone()), ALICE);
    assert!(executed.success);
    let account = chain.state().account(authority).unwrap().unwrap();
    let code = chain.state().code(account.code_hash).unwrap();
    assert_eq!(code, [&[0xef, 0x01, 0x00], CONTRACT.as_slice()].concat());
    assert_eq!((account.nonce, chain.slot(authority, 0)), (1, U256::from(0x2a)));
    // The delegation is found again when read from the store.
    let clear = TxEip1559 { to: TxKind::Call(authority), ..invoke(1, &[]) };
    assert!(chain.run(&signed(clear), ALICE).gas_used > 21_000 + 2_100);

    let reject =
        |tx: TxEip7702| chain.block().transact(&signed(tx), ALICE).unwrap_err().to_string();
    let none = TxEip7702 { nonce: 2, authorization_list: vec![], ..tx.clone() };
    assert_eq!(reject(none), "EIP-7702 transaction with empty auth list");
    let flood = TxEip7702 {
        nonce: 2,
        authorization_list: vec![tx.authorization_list[0].clone(); 100],
        ..tx
    };
    assert!(reject(flood).starts_with("intrinsic gas too low"));
}

/// EIP-7702 refunds 12,500 gas for an authority that exists. One emptied earlier in the block does not.
#[test]
fn emptied_accounts_do_not_exist_for_delegations_later_in_the_block() {
    let authorization = Authorization { chain_id: U256::ZERO, address: CONTRACT, nonce: 0 };
    let authorization = authorization.into_signed(alloy_primitives::Signature::test_signature());
    let authority = authorization.recover_authority().unwrap();
    let delegate = |nonce| {
        signed(TxEip7702 {
            chain_id: CHAIN_ID,
            nonce,
            gas_limit: 200_000,
            max_fee_per_gas: u128::from(3 * GWEI),
            to: BOB,
            authorization_list: vec![authorization.clone()],
            ..TxEip7702::default()
        })
    };
    let chain = Chain::new(&[]);
    let fresh = chain.block().transact(&delegate(0), ALICE).unwrap();
    let mut block = chain.block();
    let touch = TxEip1559 { to: TxKind::Call(authority), value: U256::ZERO, ..transfer(0) };
    block.transact(&signed(touch), ALICE).unwrap();
    let touched = block.transact(&delegate(1), ALICE).unwrap();
    assert_eq!(touched.gas_used, fresh.gas_used);
    let mut block = chain.block();
    block.credit(authority, U256::from(1)).unwrap();
    let funded = block.transact(&delegate(0), ALICE).unwrap();
    assert!(funded.gas_used < fresh.gas_used);
}

#[test]
fn precompiles_of_the_current_fork_are_there() {
    // A valid P-256 signature (EIP-7951's first vector).
    let p256 = "4cee90eb86eaa050036147a12d49004b6b9c72bd725d39d4785011fe190f0b4da73bd4903f0ce3b639bbbf6e8e80d16931ff4bcf5993d58468e8fb19086e8cac36dbcd03009df8c59286b162af3bd7fcc0450c9aa81be5d10d312af6c66b1d604aebd3099c618202fcfe16ae7770b0c49ab5eadf74b754204a3bb6060e44eff37618b065f9832de4ca6ca971a7a1adc826d0f7c00181a5fb2ddf79ae00b4e10e";
    let chain = Chain::new(&[]);
    let request = |address: u64, data: &str| CallRequest {
        to: Some(Address::left_padding_from(&address.to_be_bytes())),
        data: alloy_primitives::hex::decode(data).unwrap().into(),
        ..CallRequest::default()
    };
    let outcome = chain.call(&request(0x100, p256));
    let one = Bytes::from(B256::with_last_byte(1).0);
    assert_eq!(outcome.result, CallResult::Return(one));
    // The point at infinity commits to the zero polynomial: proof of value 0 at 0 (EIP-4844).
    let infinity = format!("c0{}", "00".repeat(47));
    let hash = "010657f37554c781402a22917dee2f75def7ab966d7b770905398eba3c444014";
    let input = [hash, &"00".repeat(64), &infinity, &infinity].concat();
    let outcome = chain.call(&request(0x0a, &input));
    let CallResult::Return(output) = outcome.result else { panic!("{outcome:?}") };
    assert_eq!(output.len(), 64);
    assert_eq!(U256::from_be_slice(&output[..32]), U256::from(4096));
}

#[test]
fn a_contract_destroyed_where_it_was_created_is_gone() {
    let heir = address!("00000000000000000000000000000000000004e1");
    let suicide = [&[0x73][..], heir.as_slice(), &[0xff]].concat();
    let mut chain = Chain::new(&suicide);
    let mut block = chain.block();
    let tx = TxEip1559 {
        value: U256::from(5),
        ..create(0, [asm("0x01 PUSH0 SSTORE"), suicide].concat())
    };
    let executed = block.transact(&signed(tx), ALICE).unwrap();
    assert!(executed.success);
    // A later transaction of the same block finds an account without anything, and may fund it.
    let created = ALICE.create(0);
    let fund = TxEip1559 { to: TxKind::Call(created), value: U256::from(3), ..transfer(1) };
    block.transact(&signed(fund), ALICE).unwrap();
    // One that existed before only loses its balance (EIP-6780).
    let old = TxEip1559 { value: U256::from(7), ..invoke(2, &[]) };
    block.transact(&signed(old), ALICE).unwrap();
    let finished = block.finish().unwrap();
    chain.adopt(&finished);
    assert_eq!(chain.balance(heir), U256::from(12));
    let account = chain.state().account(created).unwrap().unwrap();
    assert_eq!(account.balance, U256::from(3));
    assert_eq!(
        (account.code_hash, account.storage_root),
        (trie::EMPTY_CODE_HASH, trie::EMPTY_ROOT)
    );
    let account = chain.state().account(CONTRACT).unwrap().unwrap();
    assert_eq!((account.nonce, account.balance), (1, U256::ZERO));
}

#[test]
fn empty_accounts_are_not_written() {
    let mut chain = Chain::new(&[]);
    let nobody = Address::with_last_byte(0xee);
    let touch = TxEip1559 { to: TxKind::Call(nobody), value: U256::ZERO, ..transfer(0) };
    chain.run(&signed(touch), ALICE);
    assert_eq!(chain.state().account(nobody).unwrap(), None);
}

#[test]
fn a_block_that_only_reads_changes_no_more_than_the_sender() {
    let chain = Chain::new(&asm("PUSH0 SLOAD BALANCE"));
    let mut block = chain.block_with(BlockEnv { base_fee: 0, ..env() });
    let free = TxEip1559 { max_fee_per_gas: 0, max_priority_fee_per_gas: 0, ..invoke(0, &[]) };
    block.transact(&signed(free), ALICE).unwrap();
    let finished = block.finish().unwrap();
    assert_eq!(finished.changes.accounts.keys().collect::<Vec<_>>(), [&ALICE]);
}
