//! What a wallet or tool does all day, over HTTP.

use crate::{
    ledger::{CODE, EVENT, REVERTING},
    support::{BASE_FEE, CHAIN_ID, World},
};
use alloy_consensus::Transaction;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_network::{ReceiptResponse, TransactionResponse};
use alloy_primitives::{Address, Bloom, U256, address};
use alloy_provider::Provider;
use alloy_rpc_types_eth::{Filter, TransactionRequest};
use alloy_sol_types::{Revert, SolError};
use serde_json::{Value, json};

const FRIEND: Address = address!("00000000000000000000000000000000000000f1");

fn payment(value: u64) -> TransactionRequest {
    TransactionRequest::default().to(FRIEND).value(U256::from(value)).input(vec![1, 2].into())
}

#[tokio::test]
async fn sends_a_transaction_and_finds_it_everywhere() {
    let world = World::new(2).await;
    let provider = world.signing(0);
    let from = world.account(0);
    let before = provider.get_balance(from).await.unwrap();
    let pending = provider.send_transaction(payment(5)).await.unwrap();
    let receipt = pending.get_receipt().await.unwrap();

    assert!(receipt.status());
    assert_eq!((receipt.from, receipt.to()), (from, Some(FRIEND)));
    assert_eq!(receipt.effective_gas_price(), u128::from(BASE_FEE));
    assert_eq!((receipt.gas_used, receipt.cumulative_gas_used()), (21_000, 21_000));
    let log = &receipt.logs()[0];
    assert_eq!((log.topics()[0], log.block_number, log.removed), (EVENT, Some(1), false));
    assert_ne!(*receipt.inner.logs_bloom(), Bloom::ZERO);

    let hash = receipt.transaction_hash;
    let found = provider.get_transaction_by_hash(hash).await.unwrap().unwrap();
    assert_eq!((found.from(), found.nonce(), found.block_number), (from, 0, Some(1)));
    let raw = provider.get_raw_transaction_by_hash(hash).await.unwrap().unwrap();
    assert_eq!(alloy_primitives::keccak256(raw), hash);
    let paid = U256::from(5 + 21_000 * BASE_FEE);
    assert_eq!(provider.get_balance(from).await.unwrap(), before - paid);
    assert_eq!(provider.get_transaction_count(from).await.unwrap(), 1);

    let block = provider.get_block_by_number(1.into()).full().await.unwrap().unwrap();
    assert_eq!(block.transactions.hashes().collect::<Vec<_>>(), [hash]);
    assert_eq!(Some(block.header.hash), receipt.block_hash);
    let by_hash = provider.get_block_by_hash(block.header.hash).await.unwrap().unwrap();
    assert_eq!(by_hash.header, block.header);
    let count = provider.get_block_transaction_count_by_number(1.into()).await.unwrap();
    assert_eq!(count, Some(1));
    let receipts = provider.get_block_receipts(BlockId::number(1)).await.unwrap().unwrap();
    assert_eq!(receipts, [receipt]);
    let placed = provider.get_transaction_by_block_hash_and_index(block.header.hash, 0).await;
    assert_eq!(placed.unwrap().unwrap().tx_hash(), hash);
    let logs = provider.get_logs(&Filter::new().select(1).event_signature(EVENT)).await.unwrap();
    assert_eq!(logs.len(), 1);
    let logs = provider.get_logs(&Filter::new().at_block_hash(block.header.hash)).await.unwrap();
    assert_eq!(logs.len(), 1);
}

#[tokio::test]
async fn a_waiting_transaction_is_seen_as_pending() {
    let world = World::new(1).await;
    world.node.inside.lock().instant = false;
    let provider = world.signing(0);
    let from = world.account(0);
    let pending = provider.send_transaction(payment(5)).await.unwrap();
    let found = provider.get_transaction_by_hash(*pending.tx_hash()).await.unwrap().unwrap();
    assert_eq!((found.block_number, found.block_hash, found.transaction_index), (None, None, None));
    assert_eq!(provider.get_transaction_receipt(*pending.tx_hash()).await.unwrap(), None);
    assert_eq!(provider.get_transaction_count(from).await.unwrap(), 0);
    assert_eq!(provider.get_transaction_count(from).pending().await.unwrap(), 1);
    world.node.seal();
    assert_eq!(pending.get_receipt().await.unwrap().block_number, Some(1));
}

#[tokio::test]
async fn the_block_object_has_what_tools_expect() {
    let world = World::new(1).await;
    world.node.seal();
    let block = world.call("eth_getBlockByNumber", json!(["latest", false])).await.unwrap();
    for field in [
        "number",
        "hash",
        "parentHash",
        "sha3Uncles",
        "miner",
        "stateRoot",
        "transactionsRoot",
        "receiptsRoot",
        "logsBloom",
        "difficulty",
        "totalDifficulty",
        "gasLimit",
        "gasUsed",
        "timestamp",
        "extraData",
        "mixHash",
        "nonce",
        "baseFeePerGas",
        "size",
        "uncles",
        "transactions",
        "withdrawals",
        "withdrawalsRoot",
        "blobGasUsed",
        "excessBlobGas",
        "parentBeaconBlockRoot",
    ] {
        assert!(block.get(field).is_some(), "{field} is missing");
    }
    assert_eq!(block["baseFeePerGas"], json!(format!("{BASE_FEE:#x}")));
    assert_eq!(block["logsBloom"], json!(Bloom::repeat_byte(0xff)));
    let genesis = world.call("eth_getBlockByNumber", json!(["earliest", true])).await.unwrap();
    assert_eq!((&genesis["number"], &genesis["hash"]), (&json!("0x0"), &block["parentHash"]));
    for tag in ["pending", "safe", "finalized", "0x1"] {
        let same = world.call("eth_getBlockByNumber", json!([tag, false])).await.unwrap();
        assert_eq!(same["hash"], block["hash"], "{tag}");
    }
    for absent in [json!("0x2"), json!("0xffffffffffffffff")] {
        let none = world.call("eth_getBlockByNumber", json!([absent, false])).await;
        assert_eq!(none, Ok(Value::Null));
    }
}

#[tokio::test]
async fn calls_run_as_whom_they_concern() {
    let world = World::new(2).await;
    world.node.seal();
    let provider = world.http();
    let (me, other) = (world.account(0), world.account(1));
    let call = |data: Vec<u8>| TransactionRequest::default().to(FRIEND).input(data.into());
    // An explicit sender.
    let output = provider.call(call(vec![1, 2, 3, 4]).from(other)).await.unwrap();
    assert_eq!(output[..32], other.into_word()[..]);
    // The account among the arguments, as in balanceOf.
    let balance_of = [&[1, 2, 3, 4][..], me.into_word().as_slice()].concat();
    let output = provider.call(call(balance_of.clone())).await.unwrap();
    assert_eq!(output[..32], me.into_word()[..]);
    let output = provider.call(call(balance_of).from(Address::ZERO)).await.unwrap();
    assert_eq!(output[..32], me.into_word()[..]);
    // Nobody.
    let output = provider.call(call(vec![1, 2, 3, 4])).await.unwrap();
    assert_eq!(output[..32], [0; 32]);
    assert_eq!(provider.estimate_gas(call(vec![]).from(me)).await.unwrap(), 21_000);
    // Someone who did not authorise this gateway.
    let error = provider.call(call(vec![]).from(FRIEND)).await.unwrap_err();
    let error = error.as_error_resp().unwrap();
    assert!(error.message.contains("obscuro_viewingKey"), "{error}");
}

#[tokio::test]
async fn reverts_carry_reason_and_data() {
    let world = World::new(1).await;
    world.node.seal();
    let data = [&REVERTING[..], b"not enough"].concat();
    let request = TransactionRequest::default().to(FRIEND).input(data.into());
    let provider = world.http();
    for error in [
        provider.call(request.clone()).await.unwrap_err(),
        provider.estimate_gas(request).await.map(|_| ()).unwrap_err(),
    ] {
        let error = error.as_error_resp().unwrap().clone();
        assert_eq!((error.code, &*error.message), (3, "execution reverted: not enough"));
        let reason = Revert::abi_decode(&error.as_revert_data().unwrap()).unwrap();
        assert_eq!(reason.reason, "not enough");
    }
}

#[tokio::test]
async fn refusals_come_at_once_and_in_geths_words() {
    let world = World::new(1).await;
    let provider = world.signing(0);
    provider.send_transaction(payment(1)).await.unwrap().get_receipt().await.unwrap();
    let error = provider.send_transaction(payment(1).nonce(0)).await.unwrap_err();
    assert_eq!(error.as_error_resp().unwrap().message, "nonce too low");
    let garbage = world.call("eth_sendRawTransaction", json!(["0x1234"])).await;
    assert_eq!(garbage.unwrap_err().0, -32_000);
    let large = format!("0x{}", "00".repeat(128 * 1024 + 1));
    let (code, message) = world.call("eth_sendRawTransaction", json!([large])).await.unwrap_err();
    assert_eq!(code, -32_000);
    assert!(message.starts_with("oversized data"), "{message}");
}

#[tokio::test]
async fn prices_are_what_they_are() {
    let world = World::new(1).await;
    for _ in 0..3 {
        world.node.seal();
    }
    let provider = world.http();
    crate::support::eventually("three rollups", async || {
        provider.get_block_number().await.unwrap() == 3
    })
    .await;
    assert_eq!(provider.get_gas_price().await.unwrap(), u128::from(BASE_FEE / 4 * 5));
    assert_eq!(provider.get_max_priority_fee_per_gas().await.unwrap(), 0);
    let history = provider.get_fee_history(10, BlockNumberOrTag::Latest, &[25.0, 75.0]).await;
    let history = history.unwrap();
    assert_eq!((history.oldest_block, history.base_fee_per_gas.len()), (0, 5));
    let (next, past) = history.base_fee_per_gas.split_last().unwrap();
    assert!(past.iter().all(|fee| *fee == u128::from(BASE_FEE)));
    assert_eq!(*next, u128::from(BASE_FEE + BASE_FEE / 64), "the most that it can be");
    assert_eq!(history.reward, Some(vec![vec![0, 0]; 4]));
    let fees = provider.estimate_eip1559_fees().await.unwrap();
    assert!(fees.max_fee_per_gas >= u128::from(BASE_FEE));
}

#[tokio::test]
async fn the_rest_answers_too() {
    let world = World::new(2).await;
    world.node.seal();
    let provider = world.http();
    assert_eq!(provider.get_chain_id().await.unwrap(), CHAIN_ID);
    assert_eq!(provider.get_net_version().await.unwrap(), CHAIN_ID);
    assert!(provider.get_client_version().await.unwrap().starts_with("obscuro-gateway/"));
    let mut accounts = [world.account(0), world.account(1)];
    accounts.sort();
    assert_eq!(provider.get_accounts().await.unwrap(), accounts);
    assert_eq!(provider.get_code_at(FRIEND).await.unwrap()[..], CODE);
    let slot = provider.get_storage_at(accounts[0], U256::from(6)).await.unwrap();
    assert_eq!(slot, U256::from(7));
    let sha3 = world.call("web3_sha3", json!(["0x68656c6c6f20776f726c64"])).await;
    assert_eq!(sha3, Ok(json!(alloy_primitives::keccak256("hello world"))));
    assert_eq!(world.call("eth_syncing", json!([])).await, Ok(json!(false)));
    assert_eq!(world.call("net_listening", json!([])).await, Ok(json!(true)));
    assert_eq!(
        world.call("eth_getUncleCountByBlockNumber", json!(["0x1"])).await,
        Ok(json!("0x0"))
    );
    let uncle = world.call("eth_getUncleByBlockNumberAndIndex", json!(["0x1", "0x0"])).await;
    assert_eq!(uncle, Ok(Value::Null));
}
