//! The node's RPC through real sockets, over a backend that echoes envelopes.

use super::{methods::bounded, *};
use alloy_primitives::U256;
use alloy_provider::{Provider, ProviderBuilder, RootProvider, WsConnect};
use serde_json::{Value, json};

struct Echo {
    headers: broadcast::Sender<RollupHeader>,
}

fn header(number: u64) -> RollupHeader {
    RollupHeader { number, nonce: U256::MAX, timestamp: 1_700_000_000, ..Default::default() }
}

fn withdrawal(index: u64) -> Withdrawal {
    Withdrawal {
        index,
        asset: Address::ZERO,
        to: Address::repeat_byte(3),
        amount: U256::from(10).pow(U256::from(18)),
    }
}

impl RpcBackend for Echo {
    fn network(&self) -> NetworkInfo {
        let config = NetworkConfig::default();
        NetworkInfo { config_hash: config.hash(), config, network_key: Bytes::from_static(b"key") }
    }

    fn status(&self) -> NodeStatus {
        NodeStatus {
            role: NodeRole::Verifier,
            enclave: Address::repeat_byte(1),
            l1: L1BlockId::default(),
            rollup: RollupRef::default(),
            peers: 2,
            has_seed: true,
            is_aggregator: false,
            claims_every: 0,
        }
    }

    fn subscribe(&self) -> broadcast::Receiver<RollupHeader> {
        self.headers.subscribe()
    }

    fn envelope(&self, envelope: Bytes) -> BoxFuture<'_, Result<Bytes, RpcFailure>> {
        let reply = match envelope.first() {
            Some(0) => Err(RpcFailure::Unavailable("catching up".to_owned())),
            _ => Ok(envelope),
        };
        async { reply }.boxed()
    }

    fn rollup(&self, id: RollupId) -> BoxFuture<'_, Result<Option<RollupHeader>, RpcFailure>> {
        let found = match id {
            RollupId::Number(number @ ..10) => Some(header(number)),
            RollupId::Latest => Some(header(9)),
            RollupId::Number(_) | RollupId::Hash(_) => None,
        };
        async { Ok(found) }.boxed()
    }

    fn prove(&self, challenge: B256) -> BoxFuture<'_, Result<NodeProof, RpcFailure>> {
        let (enclave, config_hash) = (Address::repeat_byte(1), NetworkConfig::default().hash());
        async move { Ok(NodeProof { enclave, config_hash, quote: challenge.into() }) }.boxed()
    }

    fn executed(&self, rollup: B256) -> BoxFuture<'_, Result<ExecutionProof, RpcFailure>> {
        let enclave = Address::repeat_byte(1);
        async move { Ok(ExecutionProof { enclave, signature: rollup.into() }) }.boxed()
    }

    fn withdrawals(&self, _: B256) -> BoxFuture<'_, Result<Vec<Withdrawal>, RpcFailure>> {
        async { Ok((0..5).map(withdrawal).collect()) }.boxed()
    }
}

async fn start() -> (RpcHandle, broadcast::Sender<RollupHeader>) {
    let (headers, _) = broadcast::channel(16);
    let backend = Arc::new(Echo { headers: headers.clone() });
    let handle = serve(([127, 0, 0, 1], 0).into(), backend).await.unwrap();
    (handle, headers)
}

fn http(handle: &RpcHandle) -> RootProvider {
    let url = format!("http://{}", handle.addr);
    ProviderBuilder::default().connect_http(url.parse().unwrap())
}

async fn call(provider: &impl Provider, method: &'static str, params: Value) -> Result<Value, i64> {
    provider
        .raw_request(method.into(), params)
        .await
        .map_err(|error| error.as_error_resp().map_or(0, |payload| payload.code))
}

#[tokio::test]
async fn every_method_answers() {
    let (handle, _headers) = start().await;
    let node = http(&handle);
    let network = call(&node, "obscuro_network", json!([])).await.unwrap();
    let config = NetworkConfig::default();
    assert_eq!(network["configHash"], json!(config.hash()));
    assert_eq!(network["networkKey"], json!("0x6b6579"));
    let parsed: NetworkInfo = serde_json::from_value(network).unwrap();
    assert_eq!(parsed.config, config);

    let status = call(&node, "obscuro_status", json!([])).await.unwrap();
    assert_eq!(status["role"], json!("verifier"));
    assert_eq!(status["hasSeed"], json!(true));

    let reply = call(&node, "obscuro_envelope", json!(["0x0102"])).await;
    assert_eq!(reply, Ok(json!("0x0102")));

    let replies = call(&node, "obscuro_envelopes", json!([["0x01", "0x00", "0x02"]])).await;
    let failed = json!({"code": CODE_UNAVAILABLE, "message": "node not ready: catching up"});
    assert_eq!(replies, Ok(json!(["0x01", failed, "0x02"])));
    let typed: Vec<EnvelopeReply> = serde_json::from_value(replies.unwrap()).unwrap();
    assert_eq!(typed[2], EnvelopeReply::Sealed(Bytes::from_static(&[2])));

    let view = call(&node, "obscuro_rollup", json!(["0x3"])).await.unwrap();
    let view: RollupView = serde_json::from_value(view).unwrap();
    assert_eq!((view.hash, view.header), (header(3).hash(), header(3)));
    let challenge = B256::repeat_byte(7);
    let proof = call(&node, "obscuro_prove", json!([challenge])).await.unwrap();
    let proof: NodeProof = serde_json::from_value(proof).unwrap();
    assert_eq!(proof.quote, Bytes::from(challenge));
    let proof = call(&node, "obscuro_executed", json!([challenge])).await.unwrap();
    let proof: ExecutionProof = serde_json::from_value(proof).unwrap();
    assert_eq!(proof.signature, Bytes::from(challenge));
    let absent = call(&node, "obscuro_rollup", json!([B256::ZERO])).await;
    assert_eq!(absent, Ok(Value::Null));
    handle.stop().await;
}

#[tokio::test]
async fn withdrawals_carry_proofs_that_hold() {
    let (handle, _headers) = start().await;
    let answer = call(&http(&handle), "obscuro_withdrawals", json!([B256::ZERO])).await;
    let proven: Vec<ProvenWithdrawal> = serde_json::from_value(answer.unwrap()).unwrap();
    let all: Vec<_> = (0..5).map(withdrawal).collect();
    let root = obscuro_protocol::rollup::withdrawals_root(&all);
    for entry in &proven {
        let climb = |node: B256, sibling: &B256| {
            let (low, high) = (node.min(*sibling), node.max(*sibling));
            alloy_primitives::keccak256([low, high].concat())
        };
        assert_eq!(entry.proof.iter().fold(entry.withdrawal.leaf(), climb), root);
    }
    assert_eq!(proven.len(), 5);
}

#[tokio::test]
async fn bad_input_gets_standard_codes() {
    let (handle, _headers) = start().await;
    let node = http(&handle);
    let too_many = vec!["0x01"; ENVELOPES_MAX + 1];
    let cases = [
        ("obscuro_nothing", json!([]), -32_601),
        ("eth_chainId", json!([]), -32_601),
        ("obscuro_envelope", json!([]), -32_602),
        ("obscuro_envelope", json!(["zz"]), -32_602),
        ("obscuro_envelope", json!(["0x1"]), -32_602),
        ("obscuro_prove", json!(["0x01"]), -32_602),
        ("obscuro_executed", json!(["0x01"]), -32_602),
        ("obscuro_envelope", json!([{"a": 1}]), -32_602),
        ("obscuro_envelope", json!(["0x00"]), CODE_UNAVAILABLE.into()),
        ("obscuro_envelopes", json!(["0x01"]), -32_602),
        ("obscuro_envelopes", json!([too_many]), CODE_LIMIT.into()),
        ("obscuro_rollup", json!(["newest"]), -32_602),
        ("obscuro_rollup", json!([-1]), -32_602),
        ("obscuro_withdrawals", json!(["0x12"]), -32_602),
    ];
    for (method, params, code) in cases {
        assert_eq!(call(&node, method, params.clone()).await, Err(code), "{method} {params}");
    }
}

#[tokio::test]
async fn subscribers_get_headers_as_they_come() {
    let (handle, headers) = start().await;
    let url = format!("ws://{}", handle.addr);
    let node: RootProvider =
        ProviderBuilder::default().connect_ws(WsConnect::new(url)).await.unwrap();
    let mut call = node.client().request("obscuro_subscribe", ("rollups",));
    call.set_is_subscription();
    let id: B256 = {
        let id: alloy_primitives::U256 = call.await.unwrap();
        id.into()
    };
    let mut stream = node.get_subscription::<RollupView>(id).await.unwrap();
    for number in 1..4 {
        headers.send(header(number)).unwrap();
        assert_eq!(stream.recv().await.unwrap().header.number, number);
    }
}

#[test]
fn replies_beyond_the_limit_are_to_be_asked_for_again() {
    let half = Bytes::from(vec![0; ENVELOPE_REPLIES_BYTES_MAX / 2 + 1]);
    let small = Bytes::from_static(&[1]);
    let replies = bounded(vec![Ok(half.clone()), Ok(half), Ok(small)]);
    let sealed: Vec<_> =
        replies.iter().map(|reply| matches!(reply, EnvelopeReply::Sealed(_))).collect();
    assert_eq!(sealed, [true, false, true]);
}
