//! The client and the watch for heads against a scripted node.

use super::{L1Client, L1Error, L1Header, fake::FakeL1, watch_heads};
use crate::stop;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::timeout};

const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn addresses_are_checked() {
    for address in ["", "nonsense", "ftp://l1", "127.0.0.1:8545", "/ipc/path"] {
        let error = L1Client::new(address, None).map(drop).unwrap_err();
        assert!(matches!(error, L1Error::Url(_)), "{address}: {error}");
    }
    assert!(L1Client::new("http://l1", Some("ws://beacon")).is_err());
    assert!(L1Client::new("https://l1", Some("https://beacon")).is_ok());
    assert!(L1Client::new("wss://user:password@l1/key", None).is_ok());
}

#[tokio::test]
async fn errors_name_no_credentials() {
    let client = L1Client::new("http://user:password@127.0.0.1:1/secret?key=secret", None).unwrap();
    let error = client.chain_id().await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, L1Error::Unavailable { .. }));
    assert!(!text.contains("password") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn headers_must_have_their_hashes() {
    let l1 = FakeL1::start().await;
    let head = l1.mine();
    for url in [l1.http(), l1.ws()] {
        let client = L1Client::new(&url, None).unwrap();
        assert_eq!(client.latest().await.unwrap(), head);
        assert_eq!(client.header(head.hash).await.unwrap(), Some(head.clone()));
        assert_eq!(client.header_at(9).await.unwrap(), None);
    }
    // A field that this version does not know changes the hash.
    let mut found = alloy_rpc_types_eth::Header::new(head.fields.clone());
    found.hash.0[0] ^= 1;
    let error = L1Header::checked(found, "eth_getBlockByNumber").unwrap_err();
    assert!(matches!(error, L1Error::Wrong { .. }));
}

/// Waits for a head.
async fn await_head(heads: &mut watch::Receiver<Option<L1Header>>, expected: &L1Header) {
    let reached = heads.wait_for(|head| head.as_ref() == Some(expected));
    timeout(LIMIT, reached).await.expect("the head is seen in time").unwrap();
}

#[tokio::test]
async fn heads_are_seen_across_outages() {
    for is_websocket in [false, true] {
        let l1 = FakeL1::start().await;
        let url = if is_websocket { l1.ws() } else { l1.http() };
        let client = Arc::new(L1Client::new(&url, None).unwrap());
        let (heads_out, mut heads) = watch::channel(None);
        let (stopper, stop) = stop::signal();
        let watching = tokio::spawn(watch_heads(client, heads_out, stop));
        for _ in 0..3 {
            let head = l1.mine();
            await_head(&mut heads, &head).await;
        }
        let l1 = l1.restart(Duration::from_millis(500)).await;
        let head = l1.mine();
        await_head(&mut heads, &head).await;
        let head = l1.mine();
        await_head(&mut heads, &head).await;
        stopper.stop();
        timeout(LIMIT, watching).await.expect("it stops").unwrap();
    }
}
