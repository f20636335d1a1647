//! The door itself: what plain HTTP requests get, whatever they contain.

use obscuro_devnet::l1::{Handle, Mining};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::served;

/// Status, head and body of the answer to one request.
async fn request(l1: &Handle, head: &str, body: &[u8]) -> (u16, String, String) {
    let mut stream = TcpStream::connect(l1.addr).await.unwrap();
    let length = body.len();
    let request =
        format!("{head}\r\nhost: l1\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    // The server may answer, and close, before it has read everything.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

async fn post(l1: &Handle, body: &[u8]) -> (u16, Value) {
    let head = "POST / HTTP/1.1\r\ncontent-type: application/json";
    let (status, _, body) = request(l1, head, body).await;
    (status, serde_json::from_str(&body).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_answered_in_order_and_bounded() {
    let l1 = served(Mining::Manual).await;
    let one = |id: usize| json!({ "jsonrpc": "2.0", "id": id, "method": "eth_chainId" });
    let batch: Vec<_> = (0..20).map(one).collect();
    let (_, answers) = post(&l1, json!(batch).to_string().as_bytes()).await;
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 20);
    for (id, answer) in answers.iter().enumerate() {
        assert_eq!((&answer["id"], &answer["result"]), (&json!(id), &json!("0x539")));
    }
    let long: Vec<_> = (0..1_001).map(one).collect();
    let (_, refused) = post(&l1, json!(long).to_string().as_bytes()).await;
    assert_eq!(refused["error"]["code"], -32010);
    l1.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_answered_and_harms_nobody() {
    let l1 = served(Mining::Manual).await;
    let cases: [(&[u8], i64); 6] = [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"[]", -32600),
        (br#"{"jsonrpc":"2.0","id":1}"#, -32600),
        (br#"{"jsonrpc":"2.0","id":1,"method":"eth_call","params":"x"}"#, -32602),
    ];
    for (body, code) in cases {
        let (_, answer) = post(&l1, body).await;
        let text = String::from_utf8_lossy(body);
        assert_eq!(answer["error"]["code"], code, "{text}: {answer}");
    }
    let deep = "[".repeat(100_000);
    let params = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_call","params":{deep}"#);
    assert!(post(&l1, params.as_bytes()).await.1["error"]["code"].is_i64());
    let (status, _) = post(&l1, &vec![b' '; 9 << 20]).await;
    assert_eq!(status, 413);
    let (status, _, _) = request(&l1, "GET / HTTP/1.1", b"").await;
    assert_eq!(status, 405);
    let (status, _, _) = request(&l1, "POST / HTTP/1.1\r\ncontent-type: text/html", b"{}").await;
    assert_eq!(status, 415);
    let request_ok = br#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}"#;
    assert_eq!(post(&l1, request_ok).await.1["result"], "0x0");
    l1.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_let_in() {
    let l1 = served(Mining::Manual).await;
    let (status, head, _) = request(&l1, "OPTIONS / HTTP/1.1", b"").await;
    assert_eq!(status, 204);
    assert!(head.contains("access-control-allow-origin: *"), "{head}");
    assert!(head.contains("access-control-allow-headers: content-type"), "{head}");
    let post = "POST / HTTP/1.1\r\ncontent-type: application/json";
    let (_, head, _) = request(&l1, post, br#"{"jsonrpc":"2.0","id":1,"method":"x"}"#).await;
    assert!(head.contains("access-control-allow-origin: *"), "{head}");
    l1.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_frees_the_port() {
    let l1 = served(Mining::OnDemand).await;
    let addr = l1.addr;
    l1.stop().await;
    assert!(TcpStream::connect(addr).await.is_err());
    let again = tokio::net::TcpListener::bind(addr).await;
    assert!(again.is_ok(), "{again:?}");
}
