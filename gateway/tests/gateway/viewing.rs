//! How an account lets the gateway read for it, and that nobody else is let.

use crate::support::{CHAIN_ID, World, call, http, options, wall_seconds};
use alloy_primitives::{Address, Bytes, U256, keccak256};
use alloy_provider::Provider;
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use obscuro_gateway::start;
use obscuro_protocol::{limits::AUTHORISATIONS_MAX, query::Query, viewing::ViewingKey};
use serde_json::{Value, json};

/// What a wallet signs when it is shown the typed data of `obscuro_viewingKey`.
fn sign(wallet: &PrivateKeySigner, typed: &Value) -> Bytes {
    let key: ViewingKey = serde_json::from_value(typed["message"].clone()).unwrap();
    let hash = key.signing_hash(typed["domain"]["chainId"].as_u64().unwrap());
    wallet.sign_hash_sync(&hash).unwrap().as_bytes().into()
}

fn authorisation(wallet: &PrivateKeySigner, typed: &Value) -> Value {
    json!([wallet.address(), typed["message"]["expiresAt"], sign(wallet, typed)])
}

async fn authorise(world: &World, wallet: &PrivateKeySigner) {
    let typed = world.call("obscuro_viewingKey", json!([wallet.address()])).await.unwrap();
    let params = authorisation(wallet, &typed);
    assert_eq!(world.call("obscuro_authorise", params).await, Ok(json!(true)));
}

#[tokio::test]
async fn an_account_looks_empty_until_it_authorises_and_after_it_revokes() {
    let world = World::new(0).await;
    let wallet = PrivateKeySigner::random();
    let account = wallet.address();
    world.node.fund(account);
    let provider = world.http();
    assert_eq!(provider.get_accounts().await.unwrap(), [Address::ZERO; 0]);
    assert_eq!(provider.get_balance(account).await.unwrap(), U256::ZERO);
    authorise(&world, &wallet).await;
    assert_eq!(provider.get_accounts().await.unwrap(), [account]);
    assert_ne!(provider.get_balance(account).await.unwrap(), U256::ZERO);
    let listed = world.call("obscuro_accounts", json!([])).await.unwrap();
    assert_eq!(listed[0]["account"], json!(account));
    assert!(listed[0]["expiresAt"].as_u64().unwrap() > wall_seconds());
    assert_eq!(world.call("obscuro_revoke", json!([account])).await, Ok(json!(true)));
    assert_eq!(world.call("obscuro_revoke", json!([account])).await, Ok(json!(false)));
    assert_eq!(provider.get_balance(account).await.unwrap(), U256::ZERO);
}

#[tokio::test]
async fn wallets_are_shown_the_viewing_key_as_typed_data() {
    let world = World::new(0).await;
    let account = Address::repeat_byte(5);
    let typed = world.call("obscuro_viewingKey", json!([account, 2_000_000_000])).await.unwrap();
    assert_eq!(typed["primaryType"], "ViewingKey");
    assert_eq!(typed["domain"], json!({"name": "Obscuro", "version": "1", "chainId": CHAIN_ID}));
    let message = &typed["message"];
    assert_eq!(
        (&message["account"], &message["expiresAt"]),
        (&json!(account), &json!(2_000_000_000))
    );
    // The type string that the wallet hashes is the protocol's.
    let fields = typed["types"]["ViewingKey"].as_array().unwrap().iter();
    let fields: Vec<_> = fields
        .map(|f| format!("{} {}", f["type"].as_str().unwrap(), f["name"].as_str().unwrap()))
        .collect();
    let encoded = format!("ViewingKey({})", fields.join(","));
    let key: ViewingKey = serde_json::from_value(message.clone()).unwrap();
    assert_eq!(alloy_sol_types::SolStruct::eip712_type_hash(&key), keccak256(encoded));
}

#[tokio::test]
async fn forged_and_expired_authorisations_are_refused() {
    let world = World::new(0).await;
    let (wallet, thief) = (PrivateKeySigner::random(), PrivateKeySigner::random());
    let account = wallet.address();
    let typed = world.call("obscuro_viewingKey", json!([account])).await.unwrap();
    let expires_at = &typed["message"]["expiresAt"];
    let old = world.call("obscuro_viewingKey", json!([account, 1_000])).await.unwrap();
    let cases = [
        ("another's signature", json!([account, expires_at, sign(&thief, &typed)])),
        ("another's account", json!([thief.address(), expires_at, sign(&wallet, &typed)])),
        ("another expiry", json!([account, 4_000_000_000u64, sign(&wallet, &typed)])),
        ("expired", authorisation(&wallet, &old)),
        ("no signature", json!([account, expires_at, "0x"])),
        ("not hex", json!([account, expires_at, "signature"])),
        ("nothing", json!([])),
    ];
    for (what, params) in cases {
        let result = world.call("obscuro_authorise", params).await;
        assert_eq!(result.map_err(|(code, _)| code), Err(-32_602), "{what}");
    }
    assert_eq!(world.http().get_accounts().await.unwrap(), [Address::ZERO; 0]);
}

#[tokio::test]
async fn a_query_carries_only_the_authorisations_that_it_needs() {
    let world = World::new(3).await;
    let provider = world.http();
    let first = world.account(0);
    provider.get_balance(first).await.unwrap();
    provider.get_balance(Address::repeat_byte(9)).await.unwrap();
    provider.get_code_at(first).await.unwrap();
    provider.get_transaction_receipt(keccak256("none")).await.unwrap();
    let asked = std::mem::take(&mut world.node.inside.lock().asked);
    let carried: Vec<_> = asked.iter().map(|(_, accounts)| accounts.len()).collect();
    assert_eq!(carried, [1, 0, 0, 3]);
    assert_eq!(asked[0].1, [first]);
}

#[tokio::test]
async fn more_accounts_than_fit_in_one_request_are_asked_about_in_several() {
    let count = AUTHORISATIONS_MAX * 2 + 5;
    let world = World::new(count).await;
    let mut receipts = Vec::new();
    for index in [0, AUTHORISATIONS_MAX, count - 1] {
        let payment =
            alloy_rpc_types_eth::TransactionRequest::default().to(Address::repeat_byte(1));
        let sent = world.signing(index).send_transaction(payment).await.unwrap();
        receipts.push(sent.get_receipt().await.unwrap());
    }
    let all = alloy_rpc_types_eth::Filter::new().from_block(0);
    let logs = world.http().get_logs(&all).await.unwrap();
    let numbers: Vec<_> = logs.iter().map(|log| log.block_number).collect();
    assert_eq!(numbers, [Some(1), Some(2), Some(3)]);
    let inside = world.node.inside.lock();
    let most = inside.asked.iter().map(|(_, accounts)| accounts.len()).max();
    assert_eq!(most, Some(AUTHORISATIONS_MAX));
    let log_queries = inside.asked.iter().filter(|(query, _)| matches!(query, Query::Logs(_)));
    assert_eq!(log_queries.count(), 3);
}

#[tokio::test]
async fn what_was_authorised_survives_a_restart_of_the_gateway() {
    let world = World::new(0).await;
    let wallet = PrivateKeySigner::random();
    world.node.fund(wallet.address());
    let dir = tempfile::tempdir().unwrap();
    let options = || obscuro_gateway::GatewayOptions {
        data_dir: Some(dir.path().join("gateway")),
        ..options(&world.node)
    };
    let gateway = start(options()).await.unwrap();
    let provider = http(&gateway);
    let typed = call(&provider, "obscuro_viewingKey", json!([wallet.address()])).await.unwrap();
    call(&provider, "obscuro_authorise", authorisation(&wallet, &typed)).await.unwrap();
    gateway.stop().await;
    let gateway = start(options()).await.unwrap();
    let provider = http(&gateway);
    assert_ne!(provider.get_balance(wallet.address()).await.unwrap(), U256::ZERO);
    let other = world.http();
    assert_eq!(other.get_balance(wallet.address()).await.unwrap(), U256::ZERO);
}

#[tokio::test]
async fn l1_clocks_that_differ_are_met() {
    const YEAR: u64 = 31_536_000;
    for now in [wall_seconds() + YEAR, wall_seconds() - YEAR, 1_000_000] {
        let world = World::at(1, now).await;
        let account = world.account(0);
        let provider = world.http();
        assert_ne!(provider.get_balance(account).await.unwrap(), U256::ZERO, "at {now}");
        world.node.seal();
        // The clock jumps while the gateway runs.
        world.node.inside.lock().ledger.now = now + 2 * YEAR;
        assert_ne!(provider.get_balance(account).await.unwrap(), U256::ZERO, "after {now}");
    }
}
