//! What comes by itself: subscriptions over WebSocket and filters that are polled, through L1
//! reorganisations and a node that restarts.

use crate::{
    ledger::EVENT,
    support::{SOON, World, eventually},
};
use alloy_primitives::{Address, B256, U256, address};
use alloy_provider::{DynProvider, Provider};
use alloy_rpc_types_eth::{Filter, Log, TransactionRequest};
use futures::StreamExt;
use serde_json::{Value, json};

const FRIEND: Address = address!("00000000000000000000000000000000000000f1");

async fn pay(world: &World, index: usize) {
    let payment = TransactionRequest::default().to(FRIEND).value(U256::from(1));
    let nonce = world.http().get_transaction_count(world.account(index)).pending().await.unwrap();
    let _pending = world.signing(index).send_transaction(payment.nonce(nonce)).await.unwrap();
}

async fn head_is(provider: &DynProvider, number: u64) {
    eventually("the head", async || provider.get_block_number().await.unwrap() == number).await;
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.expect("in time")
}

#[tokio::test]
async fn heads_and_logs_arrive_over_web_socket() {
    let world = World::new(2).await;
    world.node.seal();
    let provider = world.ws().await;
    assert_eq!(provider.get_chain_id().await.unwrap(), crate::support::CHAIN_ID);
    let mut heads = provider.subscribe_blocks().await.unwrap().into_stream();
    let from_first = Filter::new().event_signature(EVENT).topic1(world.account(0));
    let mut logs = provider.subscribe_logs(&from_first).await.unwrap().into_stream();
    pay(&world, 1).await;
    pay(&world, 0).await;
    let header = world.node.seal();
    for number in 2..=4 {
        assert_eq!(soon(heads.next()).await.unwrap().number, number);
    }
    let log: Log = soon(logs.next()).await.unwrap();
    assert_eq!((log.block_number, log.topics()[1]), (Some(3), world.account(0).into_word()));
    assert_eq!(provider.get_block_number().await.unwrap(), header.number);
}

#[tokio::test]
async fn a_subscriber_sees_what_a_reorganisation_takes_back() {
    let world = World::new(1).await;
    world.node.seal();
    let provider = world.ws().await;
    let mut heads = provider.subscribe_blocks().await.unwrap().into_stream();
    let mut logs = provider.subscribe_logs(&Filter::new()).await.unwrap().into_stream();
    pay(&world, 0).await;
    assert_eq!(soon(heads.next()).await.unwrap().number, 2);
    let first = soon(logs.next()).await.unwrap();
    world.node.inside.lock().ledger.unwind(1);
    world.node.seal_salted(7);
    let second = world.node.seal_salted(7);
    assert_eq!(soon(heads.next()).await.unwrap().number, 2);
    assert_eq!(soon(heads.next()).await.unwrap().hash, second.hash());
    let removed = soon(logs.next()).await.unwrap();
    assert!(removed.removed && removed.block_hash == first.block_hash);
    let again = soon(logs.next()).await.unwrap();
    assert!(!again.removed && again.block_hash != first.block_hash);
    assert_eq!(again.transaction_hash, first.transaction_hash);
}

#[tokio::test]
async fn the_head_is_followed_through_restarts_and_silence() {
    let mut world = World::new(1).await;
    world.node.seal();
    let provider = world.http();
    head_is(&provider, 1).await;
    world.node.stop().await;
    world.node.inside.lock().ledger.seal(0);
    let (code, message) = world.call("eth_getBalance", json!([FRIEND])).await.unwrap_err();
    assert_eq!(code, -32_002, "{message}");
    assert!(message.contains("cannot be reached"), "{message}");
    world.node.restart().await;
    head_is(&provider, 2).await;
    // Nothing is announced: the gateway asks.
    world.node.inside.lock().ledger.seal(0);
    head_is(&provider, 3).await;
    world.node.seal();
    head_is(&provider, 4).await;
    // L1 lost two rollups.
    world.node.inside.lock().ledger.unwind(2);
    head_is(&provider, 2).await;
}

#[tokio::test]
async fn a_gateway_that_starts_first_waits_for_its_node() {
    let mut world = World::new(1).await;
    world.node.stop().await;
    let options = crate::support::options(&world.node);
    let early = obscuro_gateway::start(options).await.unwrap();
    let provider = crate::support::http(&early);
    assert_eq!(provider.get_chain_id().await.unwrap(), crate::support::CHAIN_ID);
    assert!(provider.get_block_number().await.is_err());
    world.node.restart().await;
    eventually("the first rollup", async || provider.get_block_number().await.is_ok()).await;
    assert_eq!(provider.get_block_number().await.unwrap(), 0);
    world.node.seal();
    head_is(&provider, 1).await;
    early.stop().await;
}

#[tokio::test]
async fn filters_give_what_is_new() {
    let world = World::new(1).await;
    world.node.seal();
    let provider = world.http();
    head_is(&provider, 1).await;
    let blocks = provider.new_block_filter().await.unwrap();
    let logs = provider.new_filter(&Filter::new().address(FRIEND)).await.unwrap();
    let others = provider.new_filter(&Filter::new().address(Address::ZERO)).await.unwrap();
    let pending = provider.new_pending_transactions_filter(false).await.unwrap();
    pay(&world, 0).await;
    let header = world.node.seal();
    head_is(&provider, 3).await;
    let hashes: Vec<B256> = provider.get_filter_changes(blocks).await.unwrap();
    assert_eq!((hashes.len(), hashes[1]), (2, header.hash()));
    assert!(provider.get_filter_changes::<B256>(blocks).await.unwrap().is_empty());
    assert!(provider.get_filter_changes::<B256>(pending).await.unwrap().is_empty());
    assert!(provider.get_filter_changes::<Log>(others).await.unwrap().is_empty());
    let new: Vec<Log> = provider.get_filter_changes(logs).await.unwrap();
    assert_eq!(new.len(), 1);
    assert_eq!(
        provider.get_filter_logs(logs).await.unwrap().len(),
        0,
        "the newest rollup has none"
    );

    world.node.inside.lock().ledger.unwind(1);
    world.node.seal_salted(7);
    let head = world.node.seal_salted(7);
    eventually("the other branch", async || {
        provider.get_block_by_number(3.into()).await.unwrap().unwrap().header.hash == head.hash()
    })
    .await;
    let changes: Vec<Log> = provider.get_filter_changes(logs).await.unwrap();
    assert_eq!(changes.iter().map(|log| log.removed).collect::<Vec<_>>(), [true, false]);
    let hashes: Vec<B256> = provider.get_filter_changes(blocks).await.unwrap();
    assert_eq!(hashes.len(), 2);

    for id in [blocks, logs, others, pending] {
        assert!(provider.uninstall_filter(id).await.unwrap());
        assert!(!provider.uninstall_filter(id).await.unwrap());
    }
    let (code, message) = world.call("eth_getFilterChanges", json!([logs])).await.unwrap_err();
    assert_eq!((code, message.as_str()), (-32_000, "filter not found"));
}

#[tokio::test]
async fn unknown_subscriptions_are_refused_and_names_are_hex() {
    let world = World::new(1).await;
    world.node.seal();
    let provider = world.ws().await;
    for params in [json!(["nothing"]), json!([]), json!([7]), json!(["logs", {"topics": 7}])] {
        let refused =
            provider.raw_request::<_, Value>("eth_subscribe".into(), params.clone()).await;
        let code = refused.unwrap_err().as_error_resp().map(|error| error.code);
        assert_eq!(code, Some(-32_602), "{params}");
    }
    let id = provider.raw_request::<_, String>("eth_subscribe".into(), json!(["newHeads"])).await;
    let id = id.unwrap();
    assert!(id.starts_with("0x") && id.len() > 10, "{id}");
    let over_http = world.call("eth_subscribe", json!(["newHeads"])).await;
    assert!(over_http.is_err());
}
