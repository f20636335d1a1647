//! A node that lies, clients that send nonsense, web pages that should not be here.

use crate::{
    fake::Conduct,
    ledger::REVERTING,
    support::{World, http, options, request},
};
use alloy_primitives::{Address, B256, keccak256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::TransactionRequest;
use obscuro_gateway::{GatewayError, GatewayOptions, start};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

#[tokio::test]
async fn only_the_enclaves_reply_to_this_very_request_is_believed() {
    let world = World::new(1).await;
    let account = world.account(0);
    let provider = world.http();
    provider.get_balance(account).await.unwrap();
    let lies = [
        Conduct::Swaps,
        Conduct::Alters,
        Conduct::Returns(Vec::new()),
        Conduct::Returns(vec![1; 10]),
        Conduct::Returns(vec![7; 4096]),
        Conduct::Answers(json!([])),
        Conduct::Answers(json!(["0x01", "0x02"])),
        Conduct::Answers(json!({"a": 1})),
        Conduct::Answers(json!([null])),
        Conduct::Answers(json!("0x")),
        Conduct::Answers(Value::Null),
        Conduct::Refuses(-32_603, "no".to_owned()),
    ];
    for lie in lies {
        world.node.inside.lock().conduct = lie.clone();
        for (method, params) in [
            ("eth_getBalance", json!([account])),
            ("eth_getCode", json!([account])),
            ("eth_call", json!([{"to": account}])),
        ] {
            let answer = world.call(method, params).await;
            assert_eq!(answer.map_err(|(code, _)| code), Err(-32_603), "{method} with {lie:?}");
        }
    }
    world.node.inside.lock().conduct = Conduct::Refuses(-32_002, "catching up".to_owned());
    let (code, message) = world.call("eth_getBalance", json!([account])).await.unwrap_err();
    assert_eq!(code, -32_002);
    assert!(message.contains("catching up"), "{message}");
    world.node.inside.lock().conduct = Conduct::Honest;
    provider.get_balance(account).await.unwrap();
}

#[tokio::test]
async fn replies_too_large_together_are_asked_for_again_one_by_one() {
    let world = World::new(1).await;
    world.node.inside.lock().conduct = Conduct::RefusesLists;
    let account = world.account(0);
    let batch = vec![request(1, "eth_getBalance", json!([account])); 100];
    let url = format!("http://{}", world.gateway.addr);
    let replies = Client::new().post(url).json(&batch).send().await.unwrap();
    let replies: Vec<Value> = replies.json().await.unwrap();
    let answered = replies.iter().filter(|reply| reply["result"].is_string()).count();
    // The few that happened to travel alone in their list are refused for good.
    assert!(answered > 80, "{answered}");
}

#[tokio::test]
async fn the_node_never_sees_what_is_asked_or_answered() {
    let world = World::new(1).await;
    let marker = keccak256("a secret");
    let provider = world.signing(0);
    let to = Address::from_word(keccak256("a friend"));
    let data = [&[1, 2, 3, 4], marker.as_slice()].concat();
    let payment = TransactionRequest::default().to(to).input(data.clone().into());
    let sent = provider.send_transaction(payment.clone()).await.unwrap();
    let receipt = sent.get_receipt().await.unwrap();
    assert_eq!(receipt.logs()[0].data().data[..], data);
    provider.get_transaction_by_hash(receipt.transaction_hash).await.unwrap().unwrap();
    assert!(provider.call(payment).await.unwrap().ends_with(&data));
    let reverting = [&REVERTING[..], marker.to_string().as_bytes()].concat();
    let reverting = TransactionRequest::default().to(to).input(reverting.into());
    let error = provider.call(reverting).await.unwrap_err().to_string();
    assert!(error.contains(&marker.to_string()));
    provider.get_balance(to).await.unwrap();
    let slot = marker.into();
    provider.get_storage_at(world.account(0), slot).await.unwrap();
    provider.get_logs(&alloy_rpc_types_eth::Filter::new().topic2(marker)).await.unwrap();

    let inside = world.node.inside.lock();
    assert!(inside.seen.len() > 10_000);
    for secret in [
        marker.as_slice(),
        to.as_slice(),
        world.account(0).as_slice(),
        receipt.transaction_hash.as_slice(),
        marker.to_string().as_bytes(),
    ] {
        assert!(!inside.saw(secret));
    }
}

#[tokio::test]
async fn nonsense_gets_standard_codes() {
    let world = World::new(1).await;
    world.node.seal();
    let account = world.account(0);
    let hash = B256::repeat_byte(1);
    let nested = json!([[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]);
    let cases = [
        ("eth_nothing", json!([]), -32_601),
        ("debug_traceTransaction", json!([hash]), -32_601),
        ("trace_block", json!(["latest"]), -32_601),
        ("obscuro_envelope", json!(["0x"]), -32_601),
        ("eth_getBalance", json!([]), -32_602),
        ("eth_getBalance", json!({}), -32_602),
        ("eth_getBalance", json!(["0x12"]), -32_602),
        ("eth_getBalance", json!([account, "newest"]), -32_602),
        ("eth_getBalance", json!([account, -1]), -32_602),
        ("eth_getBalance", json!([account, "0x10000000000000000"]), -32_602),
        ("eth_getBalance", nested.clone(), -32_602),
        ("eth_getTransactionCount", json!([null]), -32_602),
        ("eth_getStorageAt", json!([account]), -32_602),
        ("eth_getStorageAt", json!([account, "slot"]), -32_602),
        ("eth_call", json!([]), -32_602),
        ("eth_call", json!([7]), -32_602),
        ("eth_call", json!([{"to": "0x12"}]), -32_602),
        ("eth_call", json!([{"data": "0x01", "input": "0x02"}]), -32_602),
        ("eth_call", json!([{}, "latest", {account.to_string(): {"balance": "0x1"}}]), -32_602),
        ("eth_call", json!([{}, "latest", {}, {"number": "0x1"}]), -32_602),
        ("eth_call", json!([{}, "0xffff"]), -32_000),
        ("eth_estimateGas", json!([{"gas": "much"}]), -32_602),
        ("eth_sendRawTransaction", json!(["0x0"]), -32_602),
        ("eth_sendRawTransaction", json!([{}]), -32_602),
        ("eth_getTransactionReceipt", json!(["0x1234"]), -32_602),
        ("eth_getBlockByNumber", json!([hash, false]), -32_602),
        ("eth_getBlockByHash", json!(["latest", false]), -32_602),
        ("eth_getLogs", json!([]), -32_602),
        ("eth_getLogs", json!([{"fromBlock": "0x9", "toBlock": "0x1"}]), -32_602),
        ("eth_getLogs", json!([{"blockHash": hash, "fromBlock": "0x1"}]), -32_602),
        ("eth_getLogs", json!([{"blockHash": hash}]), -32_000),
        ("eth_getLogs", json!([{"topics": [[], [], [], [], []]}]), -32_602),
        ("eth_getFilterChanges", json!(["0x1"]), -32_000),
        ("eth_getFilterChanges", json!(["0x111111111111111111111111111111111"]), -32_602),
        ("eth_feeHistory", json!([4, "0xffff", []]), -32_000),
        ("eth_feeHistory", json!([4, "latest", [50, 10]]), -32_000),
        ("eth_feeHistory", json!(["many", "latest"]), -32_602),
        ("eth_sendTransaction", json!([{"from": account}]), -32_000),
        ("eth_sign", json!([account, "0x"]), -32_000),
        ("eth_getProof", json!([account, [], "latest"]), -32_004),
        ("obscuro_viewingKey", json!([]), -32_602),
        ("obscuro_revoke", json!(["me"]), -32_602),
    ];
    for (method, params, code) in cases {
        let answer = world.call(method, params.clone()).await;
        assert_eq!(answer.map_err(|(code, _)| code), Err(code), "{method} {params}");
    }
    let (_, message) = world.call("eth_getProof", json!([])).await.unwrap_err();
    assert_eq!(message, "not supported: account proofs are confidential");
    assert_eq!(world.http().get_block_number().await.unwrap(), 1);
}

#[tokio::test]
async fn broken_json_is_answered_and_does_no_harm() {
    let world = World::new(1).await;
    let url = format!("http://{}", world.gateway.addr);
    let client = Client::new();
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let bodies = [
        "".to_owned(),
        "{".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "[1, 2]".to_owned(),
        "\u{0}".to_owned(),
        "{\"jsonrpc\":\"2.0\"}".to_owned(),
        "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"eth_chainId\"}".to_owned(),
        format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_call\",\"params\":{deep}}}"),
        deep,
    ];
    for body in bodies {
        let start: String = body.chars().take(40).collect();
        let sent = client.post(&url).header("content-type", "application/json").body(body);
        let reply = sent.send().await.unwrap().text().await.unwrap();
        assert!(reply.contains("\"error\""), "{start}: {reply}");
    }
    let huge = vec![b' '; 6 * 1024 * 1024];
    let sent = client.post(&url).header("content-type", "application/json").body(huge);
    assert_eq!(sent.send().await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(world.http().get_block_number().await.unwrap(), 0);
}

#[tokio::test]
async fn web_pages_are_let_in_by_origin() {
    let world = World::new(1).await;
    let listed =
        GatewayOptions { origins: vec!["https://app.example".to_owned()], ..options(&world.node) };
    let gateway = start(listed).await.unwrap();
    let url = format!("http://{}", gateway.addr);
    let client = Client::new();
    let ask = |method: Method, origin: &'static str| {
        let asked = client.request(method, &url).header("origin", origin);
        asked.json(&request(1, "eth_chainId", json!([]))).send()
    };
    for origin in ["https://app.example", "http://localhost:5173"] {
        let preflight = ask(Method::OPTIONS, origin).await.unwrap();
        assert_eq!(preflight.status(), StatusCode::NO_CONTENT);
        assert_eq!(preflight.headers()["access-control-allow-headers"], "content-type");
        let answer = ask(Method::POST, origin).await.unwrap();
        assert_eq!(answer.headers()["access-control-allow-origin"], origin);
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["result"], "0x1bb");
    }
    for method in [Method::OPTIONS, Method::POST, Method::GET] {
        let answer = ask(method, "https://evil.example").await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert!(answer.headers().get("access-control-allow-origin").is_none());
    }
    assert!(http(&gateway).get_chain_id().await.is_ok());
}

#[tokio::test]
async fn wrong_options_are_explained() {
    let world = World::new(0).await;
    let taken = GatewayOptions { listen: world.gateway.addr, ..options(&world.node) };
    let cases = [
        (taken, "choose another gateway address"),
        (GatewayOptions { network_key: vec![1; 32], ..options(&world.node) }, "network key"),
        (GatewayOptions { node_url: "localhost".to_owned(), ..options(&world.node) }, "http://"),
        (GatewayOptions { node_url: "ftp://host".to_owned(), ..options(&world.node) }, "http://"),
        (GatewayOptions { node_url: String::new(), ..options(&world.node) }, "http://"),
        (
            GatewayOptions { data_dir: Some("/dev/null/x".into()), ..options(&world.node) },
            "cannot keep the viewing key",
        ),
    ];
    for (options, hint) in cases {
        let error: Option<GatewayError> = start(options).await.err();
        let error = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(hint), "{error:?} says nothing of {hint:?}");
    }
}
