//! The served chain with the alloy provider and with hand-written requests.

use alloy_consensus::{Header, constants::EMPTY_OMMER_ROOT_HASH};
use alloy_eips::{BlockId, BlockNumberOrTag, Decodable2718, Encodable2718};
use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, B256, Bytes, U64, U256, keccak256};
use alloy_provider::Provider;
use alloy_rlp::Decodable;
use alloy_rpc_types_eth::{Filter, TransactionRequest};
use futures::StreamExt;
use obscuro_devnet::l1::{Mining, Tx};
use serde_json::{Value, json};

use crate::support::{
    cell_code, deployment, http, raw, served, set_topic, signer, store, transfer, ws,
};

/// A request as a script would write it; the whole answer.
async fn ask(provider: &impl Provider, method: &'static str, params: Value) -> Value {
    match provider.raw_request::<Value, Value>(method.into(), params).await {
        Ok(result) => result,
        Err(error) => {
            let error = error.as_error_resp().expect("an answer").clone();
            json!({ "code": error.code, "message": error.message })
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_is_deployed_called_and_logged() {
    let l1 = served(Mining::OnDemand).await;
    let provider = http(&l1, 0);
    let deploy = TransactionRequest::default().with_deploy_code(cell_code());
    let receipt = provider.send_transaction(deploy).await.unwrap().get_receipt().await.unwrap();
    assert!(receipt.status());
    let cell = receipt.contract_address.unwrap();
    assert_eq!(cell, signer(0).address().create(0));

    let word = B256::from(U256::from(42));
    let call = TransactionRequest::default().with_to(cell).with_input(word);
    let receipt = provider.send_transaction(call).await.unwrap().get_receipt().await.unwrap();
    assert_eq!(receipt.inner.logs().len(), 1);
    assert_eq!(receipt.inner.logs()[0].topic0(), Some(&set_topic()));

    let read = TransactionRequest::default().with_to(cell);
    assert_eq!(B256::from_slice(&provider.call(read).await.unwrap()), word);
    let logs = provider.get_logs(&Filter::new().address(cell).from_block(0)).await.unwrap();
    assert_eq!(logs, receipt.inner.logs());
    l1.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interval_mining_makes_blocks_by_itself() {
    let l1 = served(Mining::Interval(std::time::Duration::from_millis(30))).await;
    let provider = ws(&l1).await;
    let mut blocks = provider.subscribe_blocks().await.unwrap().into_stream();
    let first = blocks.next().await.unwrap();
    let sent = raw(transfer(0, Address::repeat_byte(1), 1), &signer(0));
    let receipt = provider.send_raw_transaction(&sent).await.unwrap().get_receipt().await.unwrap();
    assert!(receipt.block_number.unwrap() > first.number);
    l1.set_mining(Mining::Manual);
    l1.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_read_the_same_in_every_form() {
    let l1 = served(Mining::Manual).await;
    let provider = http(&l1, 0);
    let cell = signer(0).address().create(0);
    for tx in [deployment(0), store(1, cell, 1)] {
        let _ = provider.send_raw_transaction(&raw(tx, &signer(0))).await.unwrap();
    }
    let block = l1.mine().unwrap();
    let full = provider.get_block_by_number(1.into()).full().await.unwrap().unwrap();
    let hashes = provider.get_block_by_hash(block.hash).await.unwrap().unwrap();
    assert_eq!(full.header, hashes.header);
    assert_eq!(full.header.hash_slow(), block.hash);
    assert_eq!(full.header.ommers_hash, EMPTY_OMMER_ROOT_HASH);
    assert_eq!(
        full.transactions.hashes().collect::<Vec<_>>(),
        hashes.transactions.into_hashes_vec()
    );
    let tags = [BlockNumberOrTag::Latest, BlockNumberOrTag::Number(1)];
    for tag in tags {
        assert_eq!(
            provider.get_block_by_number(tag).await.unwrap().unwrap().header.hash,
            block.hash
        );
    }
    for tag in [BlockNumberOrTag::Earliest, BlockNumberOrTag::Safe, BlockNumberOrTag::Finalized] {
        assert_eq!(provider.get_block_by_number(tag).await.unwrap().unwrap().header.number, 0);
    }
    assert!(provider.get_block_by_number(99.into()).await.unwrap().is_none());

    let by_block = provider.get_block_receipts(BlockId::latest()).await.unwrap().unwrap();
    assert_eq!(by_block.len(), 2);
    for (index, receipt) in by_block.iter().enumerate() {
        let hash = receipt.transaction_hash;
        assert_eq!(provider.get_transaction_receipt(hash).await.unwrap().as_ref(), Some(receipt));
        let tx = provider.get_transaction_by_hash(hash).await.unwrap().unwrap();
        assert_eq!(keccak256(tx.inner.inner().encoded_2718()), hash);
        assert_eq!((tx.block_number, tx.transaction_index), (Some(1), Some(index as u64)));
        let place = json!([block.hash, U64::from(index)]);
        let same = ask(&provider, "eth_getTransactionByBlockHashAndIndex", place).await;
        assert_eq!(same["hash"], json!(hash));
    }
    assert_eq!(by_block[1].inner.logs()[0].log_index, Some(0));
    l1.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_encodings_hash_to_what_they_claim() {
    let l1 = served(Mining::OnDemand).await;
    let provider = http(&l1, 0);
    let sent = raw(deployment(0), &signer(0));
    let hash = *provider.send_raw_transaction(&sent).await.unwrap().tx_hash();
    let head = l1.with_chain(|chain| chain.head().clone());
    let bytes = |value: Value| serde_json::from_value::<Bytes>(value).unwrap();

    let header = bytes(ask(&provider, "debug_getRawHeader", json!(["latest"])).await);
    assert_eq!(keccak256(&header), head.hash);
    assert_eq!(Header::decode(&mut header.as_ref()).unwrap(), head.header);
    let block = bytes(ask(&provider, "debug_getRawBlock", json!(["0x1"])).await);
    assert_eq!(block, head.rlp());
    let receipts = ask(&provider, "debug_getRawReceipts", json!([head.hash])).await;
    let receipts: Vec<Bytes> = serde_json::from_value(receipts).unwrap();
    let root = alloy_consensus::proofs::ordered_trie_root_encoded(&receipts);
    assert_eq!(root, head.header.receipts_root);
    for method in ["eth_getRawTransactionByHash", "debug_getRawTransaction"] {
        let tx = bytes(ask(&provider, method, json!([hash])).await);
        assert_eq!(tx, sent);
        assert_eq!(*Tx::decode_2718_exact(&tx).unwrap().tx_hash(), hash);
    }
    l1.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_state_counts_the_pool() {
    let l1 = served(Mining::Manual).await;
    let provider = http(&l1, 0);
    let alice = signer(0).address();
    for nonce in [0, 1, 5] {
        let tx = raw(transfer(nonce, Address::repeat_byte(1), 1), &signer(0));
        let _ = provider.send_raw_transaction(&tx).await.unwrap();
    }
    assert_eq!(provider.get_transaction_count(alice).await.unwrap(), 0);
    assert_eq!(provider.get_transaction_count(alice).pending().await.unwrap(), 2);
    let pending = provider.get_block_by_number(BlockNumberOrTag::Pending).await.unwrap().unwrap();
    assert_eq!((pending.header.number, pending.transactions.len()), (1, 2));
    let status = ask(&provider, "txpool_status", json!([])).await;
    assert_eq!(status, json!({ "pending": "0x2", "queued": "0x1" }));
    let waiting = pending.transactions.hashes().next().unwrap();
    let tx = provider.get_transaction_by_hash(waiting).await.unwrap().unwrap();
    assert_eq!((tx.block_number, tx.inner.signer()), (None, alice));
    assert!(provider.get_transaction_receipt(waiting).await.unwrap().is_none());
    l1.mine().unwrap();
    assert_eq!(provider.get_transaction_count(alice).await.unwrap(), 2);
    l1.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_report_changes_once() {
    let l1 = served(Mining::OnDemand).await;
    let provider = http(&l1, 0);
    let cell = signer(0).address().create(0);
    let blocks = provider.new_block_filter().await.unwrap();
    let pending = provider.new_pending_transactions_filter(false).await.unwrap();
    let logs = provider.new_filter(&Filter::new().address(cell)).await.unwrap();
    let other = provider.new_filter(&Filter::new().address(Address::ZERO)).await.unwrap();
    for tx in [deployment(0), store(1, cell, 1), store(2, cell, 2)] {
        let _ = provider.send_raw_transaction(&raw(tx, &signer(0))).await.unwrap();
    }
    assert_eq!(provider.get_filter_changes::<B256>(blocks).await.unwrap().len(), 3);
    assert_eq!(provider.get_filter_changes::<B256>(pending).await.unwrap().len(), 3);
    assert_eq!(provider.get_filter_changes::<Value>(logs).await.unwrap().len(), 2);
    assert!(provider.get_filter_changes::<Value>(logs).await.unwrap().is_empty());
    assert!(provider.get_filter_changes::<Value>(other).await.unwrap().is_empty());
    assert_eq!(provider.get_filter_logs(logs).await.unwrap().len(), 1, "of the latest block");
    assert!(provider.uninstall_filter(logs).await.unwrap());
    let gone = provider.get_filter_changes::<Value>(logs).await.unwrap_err();
    assert_eq!(gone.as_error_resp().unwrap().message, "filter not found");

    let all = Filter::new().from_block(0).topic1(B256::ZERO);
    assert!(provider.get_logs(&all).await.unwrap().is_empty());
    let either = Filter::new().from_block(0).event_signature(vec![B256::ZERO, set_topic()]);
    assert_eq!(provider.get_logs(&either).await.unwrap().len(), 2);
    let head = l1.with_chain(|chain| chain.head().hash);
    let one = Filter::new().at_block_hash(head);
    assert_eq!(provider.get_logs(&one).await.unwrap().len(), 1);
    l1.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_transactions_are_pushed() {
    let l1 = served(Mining::Manual).await;
    let provider = ws(&l1).await;
    let hashes = provider.subscribe_pending_transactions().await.unwrap();
    let full = provider.subscribe_full_pending_transactions().await.unwrap();
    let (mut hashes, mut full) = (hashes.into_stream(), full.into_stream());
    let sent = raw(transfer(0, Address::repeat_byte(1), 1), &signer(0));
    let hash = *provider.send_raw_transaction(&sent).await.unwrap().tx_hash();
    assert_eq!(hashes.next().await, Some(hash));
    assert_eq!(*full.next().await.unwrap().inner.tx_hash(), hash);
    let unknown = ask(&provider, "eth_subscribe", json!(["weather"])).await;
    assert_eq!(unknown["code"], -32602);
    l1.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fees_are_advised() {
    let l1 = served(Mining::OnDemand).await;
    let provider = http(&l1, 0);
    for nonce in 0..3 {
        let tx = raw(transfer(nonce, Address::repeat_byte(1), 1), &signer(0));
        let _ = provider.send_raw_transaction(&tx).await.unwrap();
    }
    let history =
        provider.get_fee_history(2, BlockNumberOrTag::Latest, &[10.0, 90.0]).await.unwrap();
    assert_eq!((history.oldest_block, history.base_fee_per_gas.len()), (2, 3));
    assert_eq!(history.reward, Some(vec![vec![1_000_000_000; 2]; 2]));
    let next = history.base_fee_per_gas[2];
    assert_eq!(provider.get_gas_price().await.unwrap(), next + 1_000_000_000);
    assert_eq!(provider.get_max_priority_fee_per_gas().await.unwrap(), 1_000_000_000);
    assert_eq!(provider.get_blob_base_fee().await.unwrap(), 1);
    for percentiles in [json!([50, 10]), json!([-1]), json!([101])] {
        let refused = ask(&provider, "eth_feeHistory", json!(["0x1", "latest", percentiles])).await;
        assert_eq!(refused["code"], -32602);
    }
    let beyond = ask(&provider, "eth_feeHistory", json!(["0x1", "0x99", []])).await;
    assert_eq!(beyond["message"], "request beyond head block");
    let most = ask(&provider, "eth_feeHistory", json!(["0xffffffffffffffff", "latest", []])).await;
    assert_eq!(most["gasUsedRatio"].as_array().unwrap().len(), 4);
    l1.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn development_methods_steer_the_chain() {
    let l1 = served(Mining::Manual).await;
    let provider = http(&l1, 0);
    let number = async || provider.get_block_number().await.unwrap();
    assert_eq!(ask(&provider, "evm_mine", json!([])).await, json!("0x0"));
    assert_eq!(ask(&provider, "anvil_mine", json!(["0x5"])).await, Value::Null);
    assert_eq!(ask(&provider, "anvil_mine", json!([3, 60])).await, Value::Null);
    assert_eq!(number().await, 9);
    let times: Vec<_> =
        (7..=9).map(|n| l1.with_chain(|c| c.tree().at(n).unwrap().header.timestamp)).collect();
    assert_eq!((times[1] - times[0], times[2] - times[1]), (60, 60));
    let old = l1.with_chain(|chain| chain.head().hash);
    let tx = raw(transfer(0, Address::repeat_byte(1), 1), &signer(0));
    assert_eq!(ask(&provider, "anvil_reorg", json!([3, [[tx, 1]]])).await, Value::Null);
    assert_eq!(number().await, 9);
    assert_ne!(l1.with_chain(|chain| chain.head().hash), old);
    let count = |n| l1.with_chain(|chain| chain.tree().at(n).unwrap().transactions.len());
    assert_eq!([7, 8, 9].map(count), [0, 1, 0]);
    assert_eq!(ask(&provider, "anvil_rollback", json!([2])).await, Value::Null);
    assert_eq!(number().await, 7);
    assert_eq!(ask(&provider, "evm_setAutomine", json!([true])).await, json!(true));
    let tx = raw(transfer(1, Address::repeat_byte(1), 1), &signer(0));
    let _ = provider.send_raw_transaction(&tx).await.unwrap();
    assert_eq!(number().await, 8);
    assert_eq!(ask(&provider, "evm_mine", json!(["0xffffffffffffffff"])).await, json!("0x0"));
    assert_eq!(ask(&provider, "evm_mine", json!([])).await, json!("0x0"), "time goes on");
    assert_eq!(ask(&provider, "anvil_rollback", json!([2])).await, Value::Null);
    let later = l1.with_chain(|chain| chain.head().header.timestamp) + 1_000;
    assert_eq!(ask(&provider, "evm_setNextBlockTimestamp", json!([later])).await, Value::Null);
    ask(&provider, "evm_mine", json!([])).await;
    assert_eq!(l1.with_chain(|chain| chain.head().header.timestamp), later);
    for (method, params) in [
        ("anvil_mine", json!(["0xffffffff"])),
        ("anvil_reorg", json!([0, []])),
        ("anvil_reorg", json!([1000, []])),
        ("anvil_reorg", json!([1, [["0x02", 0]]])),
        ("anvil_rollback", json!([1000])),
        ("evm_setNextBlockTimestamp", json!([1])),
    ] {
        assert!(ask(&provider, method, params.clone()).await["code"].is_i64(), "{method} {params}");
    }
    l1.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_get_standard_errors() {
    let l1 = served(Mining::Manual).await;
    let provider = http(&l1, 0);
    let cases = [
        ("eth_nothing", json!([]), -32601),
        ("eth_getBalance", json!([]), -32602),
        ("eth_getBalance", json!(["0x12"]), -32602),
        ("eth_getBalance", json!([Address::ZERO, "soon"]), -32602),
        ("eth_getBalance", json!([Address::ZERO, "0x999"]), -32000),
        ("eth_getBalance", json!([Address::ZERO, { "blockHash": B256::ZERO }]), -32000),
        ("eth_getBlockByNumber", json!({ "number": 1 }), -32602),
        ("eth_getBlockByHash", json!(["0x1234", false]), -32602),
        ("eth_getStorageAt", json!([Address::ZERO, "0xzz", "latest"]), -32602),
        ("eth_sendRawTransaction", json!(["0x"]), -32000),
        ("eth_sendRawTransaction", json!(["02c0"]), -32000),
        ("eth_sendRawTransaction", json!([7]), -32602),
        ("eth_call", json!([{ "to": "nobody" }, "latest"]), -32602),
        (
            "eth_call",
            json!([{}, "latest", { (Address::ZERO.to_string()): { "weight": "0x1" } }]),
            -32602,
        ),
        ("eth_getLogs", json!([{ "fromBlock": "0x5", "toBlock": "0x1" }]), -32602),
        ("eth_getLogs", json!([{ "blockHash": B256::repeat_byte(1) }]), -32000),
        ("eth_getLogs", json!([{ "topics": [null, null, null, null, null] }]), -32602),
        ("eth_getFilterChanges", json!(["0xffffffffffffffffffff"]), -32000),
        ("eth_newFilter", json!(["0x1"]), -32602),
        ("debug_getRawHeader", json!(["0x77"]), -32000),
        ("eth_sendTransaction", json!([{}]), -32601),
    ];
    for (method, params, code) in cases {
        let answer = ask(&provider, method, params.clone()).await;
        assert_eq!(answer["code"], code, "{method} {params}: {answer}");
    }
    assert_eq!(ask(&provider, "eth_getTransactionByHash", json!([B256::ZERO])).await, Value::Null);
    assert_eq!(ask(&provider, "net_version", json!([])).await, json!("1337"));
    assert_eq!(ask(&provider, "eth_syncing", json!([])).await, json!(false));
    assert_eq!(ask(&provider, "eth_accounts", json!([])).await, json!([]));
    l1.stop().await;
}
