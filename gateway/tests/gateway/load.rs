//! Many at once: batches of clients, batches to the node.

use crate::support::{CHAIN_ID, World, request};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, Bytes, TxKind, U256, keccak256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use reqwest::Client;
use serde_json::{Value, json};

fn signed(wallet: &PrivateKeySigner, nonce: u64) -> Bytes {
    let transaction = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 0,
        to: TxKind::Call(Address::repeat_byte(1)),
        value: U256::ONE,
        ..Default::default()
    };
    let signature = wallet.sign_hash_sync(&transaction.signature_hash()).unwrap();
    TxEnvelope::from(transaction.into_signed(signature)).encoded_2718().into()
}

async fn post(world: &World, body: &Value) -> Value {
    let url = format!("http://{}", world.gateway.addr);
    Client::new().post(url).json(body).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn a_batch_is_answered_in_order_and_reaches_the_node_in_few_calls() {
    const COUNT: u64 = 200;
    let world = World::new(1).await;
    world.node.inside.lock().instant = false;
    let raws: Vec<_> = (0..COUNT).map(|nonce| signed(&world.wallets[0], nonce)).collect();
    let send =
        |(id, raw): (usize, &Bytes)| request(id as u64, "eth_sendRawTransaction", json!([raw]));
    let mut batch: Vec<_> = raws.iter().enumerate().map(send).collect();
    batch.push(json!({"jsonrpc": "2.0", "method": "eth_chainId"}));
    batch.push(request(900, "eth_nothing", json!([])));
    batch.push(json!(7));
    let replies = post(&world, &json!(batch)).await;
    let replies = replies.as_array().unwrap();
    assert_eq!(replies.len(), raws.len() + 2, "notifications have no reply");
    for (id, raw) in raws.iter().enumerate() {
        assert_eq!(replies[id]["id"], json!(id));
        assert_eq!(replies[id]["result"], json!(keccak256(raw)), "{}", replies[id]);
    }
    assert_eq!(replies[raws.len()]["error"]["code"], json!(-32_601));
    assert_eq!(replies[raws.len() + 1]["error"]["code"], json!(-32_600));
    let batches = world.node.inside.lock().batches.clone();
    assert!(batches.len() < 20, "{batches:?}");
}

#[tokio::test]
async fn many_clients_at_once_are_all_served() {
    let world = World::new(1).await;
    world.node.inside.lock().instant = false;
    let sends = (0..100).map(|nonce| {
        let raw = signed(&world.wallets[0], nonce);
        let world = &world;
        async move {
            let reply = post(world, &request(1, "eth_sendRawTransaction", json!([raw]))).await;
            assert_eq!(reply["result"], json!(keccak256(&raw)), "{reply}");
        }
    });
    let sends: Vec<_> = sends.collect();
    futures::future::join_all(sends).await;
    let sum: usize = world.node.inside.lock().batches.iter().sum();
    assert!(sum >= 100);
}

#[tokio::test]
async fn batches_have_a_limit() {
    let world = World::new(1).await;
    let one = request(1, "eth_chainId", json!([]));
    let reply = post(&world, &json!(vec![one; 1_001])).await;
    assert!(reply["error"]["code"].as_i64().is_some(), "{reply}");
    let only_notifications = json!([{"jsonrpc": "2.0", "method": "eth_chainId"}]);
    let url = format!("http://{}", world.gateway.addr);
    let reply = Client::new().post(url).json(&only_notifications).send().await.unwrap();
    assert!(reply.status().is_success());
}

#[tokio::test]
async fn polling_for_receipts_costs_the_node_little() {
    const COUNT: u64 = 50;
    let world = World::new(1).await;
    world.node.inside.lock().instant = false;
    world.node.seal();
    let raws: Vec<_> = (0..COUNT).map(|nonce| signed(&world.wallets[0], nonce)).collect();
    let batch = |method: &str, what: &dyn Fn(&Bytes) -> Value| {
        json!(raws.iter().map(|raw| request(1, method, json!([what(raw)]))).collect::<Vec<_>>())
    };
    let poll = batch("eth_getTransactionReceipt", &|raw| json!(keccak256(raw)));
    let found = async || {
        let replies = post(&world, &poll).await;
        let replies = replies.as_array().unwrap().clone();
        replies.iter().filter(|reply| reply["result"]["status"] == "0x1").count()
    };
    let queries = || std::mem::take(&mut world.node.inside.lock().asked).len();
    for _ in 0..5 {
        assert_eq!(found().await, 0);
    }
    assert_eq!(queries(), COUNT as usize, "absent until there is another rollup");
    for _ in 0..3 {
        let header = world.node.seal();
        crate::support::eventually("the rollup", async || {
            let number = world.call("eth_blockNumber", json!([])).await;
            number == Ok(json!(format!("{:#x}", header.number)))
        })
        .await;
        assert_eq!(found().await, 0);
    }
    assert!(queries() <= 4, "one question for each rollup");
    post(&world, &batch("eth_sendRawTransaction", &|raw| json!(raw))).await;
    queries();
    let header = world.node.seal();
    crate::support::eventually("the receipts", async || found().await == COUNT as usize).await;
    assert!(queries() <= COUNT as usize + 2);
    assert_eq!(found().await, COUNT as usize);
    assert_eq!(queries(), 0, "what was found is kept");
    // The rollup is taken back: what it had is void.
    world.node.inside.lock().ledger.unwind(header.number - 1);
    world.node.seal_salted(7);
    world.node.seal_salted(7);
    crate::support::eventually("the receipts again", async || found().await == COUNT as usize)
        .await;
    assert!(queries() >= COUNT as usize);
}

#[tokio::test]
async fn large_requests_travel_alone() {
    let world = World::new(1).await;
    world.node.inside.lock().batches.clear();
    let data = format!("0x{}", "ab".repeat(2 * 1024 * 1024));
    let call = json!([{"to": Address::repeat_byte(1), "data": data}]);
    let output = world.call("eth_call", call).await.unwrap();
    assert!(output.as_str().is_some_and(|output| output.ends_with("abab")));
    let code = world.call("eth_call", json!([{"data": "0x00"}])).await;
    assert!(code.is_ok());
    assert_eq!(world.node.inside.lock().batches, [1, 1]);
}
