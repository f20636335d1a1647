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
