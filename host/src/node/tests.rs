//! The whole node around a scripted enclave and a scripted L1.

use super::*;
use crate::{
    enclave::ChannelError,
    l1::fake::{CHAIN_ID, FakeL1},
    rpc::{RpcBackend, RpcFailure},
};
use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes};
use alloy_rlp::Decodable;
use obscuro_protocol::{
    config::L1BlockId,
    door::{self, DoorError, Folded, Head, Reply, Request, Retry},
};
use parking_lot::Mutex;
use std::collections::HashMap;
use tokio::time::{sleep, timeout};

const LIMIT: Duration = Duration::from_secs(20);

/// An enclave that keeps a tree of L1 blocks and accepts envelopes that begin with a 1, which it seals
/// as they are.
#[derive(Default)]
struct FakeEnclave(Mutex<Life>);

#[derive(Default)]
struct Life {
    is_started: bool,
    views: HashMap<B256, u64>,
    head: Option<L1BlockId>,
    pool: Vec<Bytes>,
    forget: Vec<B256>,
    /// Refusals to come, of L1 blocks.
    refusals: Vec<DoorError>,
    /// Calls of the present life.
    calls: usize,
}

impl FakeEnclave {
    /// Loses everything, as a process does that is killed.
    fn die(&self) {
        *self.0.lock() = Life::default();
    }

    fn head(&self) -> Option<L1BlockId> {
        self.0.lock().head.clone()
    }
}

impl Enclave for FakeEnclave {
    fn call(&self, request: Request, store: &dyn Records) -> Result<Reply, ChannelError> {
        let mut life = self.0.lock();
        life.calls += 1;
        // Everything passes the wire form, as with a real enclave.
        let request = door::decode(&door::encode(&request)).unwrap();
        let reply = life.answer(request, store).unwrap_or_else(Reply::Refused);
        Ok(door::decode(&door::encode(&reply)).unwrap())
    }

    fn restart(&self) -> Result<(), ChannelError> {
        self.die();
        Ok(())
    }
}

impl Life {
    fn answer(&mut self, request: Request, store: &dyn Records) -> Result<Reply, DoorError> {
        if let Request::Start { config, .. } = &request {
            if self.is_started {
                return Err(DoorError::Rejected("already started".into()));
            }
            self.is_started = true;
            let position = config.checkpoint.clone();
            self.views.insert(position.hash, position.number);
            return Ok(Reply::Started(Started {
                enclave: Address::repeat_byte(1),
                identity: Bytes::from_static(b"identity"),
                position,
                has_seed: true,
            }));
        }
        if !self.is_started {
            return Err(DoorError::Retry(Retry::Start));
        }
        match request {
            Request::L1Block(block) => self.fold(&block, store),
            Request::SetHead(hash) => {
                let number =
                    *self.views.get(&hash).ok_or(DoorError::Retry(Retry::L1Block(hash)))?;
                let l1 = L1BlockId { number, hash };
                self.head = Some(l1.clone());
                Ok(Reply::Head(Box::new(Head {
                    l1,
                    rollup: hash,
                    number,
                    has_seed: true,
                    is_registered: true,
                    forget: std::mem::take(&mut self.forget),
                    ..Default::default()
                })))
            }
            Request::Envelope(envelope) => {
                let accepted = (envelope.first() == Some(&1)).then(|| envelope.clone());
                self.pool.extend(accepted.clone());
                Ok(Reply::Envelope { reply: envelope, accepted })
            }
            Request::Readmit(sealed) => {
                self.pool.push(sealed);
                Ok(Reply::Accepted)
            }
            Request::Rollup(_) => Ok(Reply::Rollup(None)),
            Request::TakeTransactions => Ok(Reply::Transactions(Bytes::new())),
            other => Err(DoorError::Rejected(format!("{other:?}"))),
        }
    }

    fn fold(&mut self, block: &door::L1Block, store: &dyn Records) -> Result<Reply, DoorError> {
        let header = Header::decode(&mut block.header.as_ref()).unwrap();
        if !self.views.contains_key(&header.parent_hash) {
            return Err(DoorError::Retry(Retry::L1Block(header.parent_hash)));
        }
        if let Some(refusal) = self.refusals.pop() {
            return Err(refusal);
        }
        let id = L1BlockId { number: header.number, hash: header.hash_slow() };
        store.put(vec![(id.hash, block.header.clone())]).unwrap();
        self.views.insert(id.hash, id.number);
        Ok(Reply::Folded(Box::new(Folded {
            block: id,
            identity: None,
            is_start_over: false,
            snapshot: None,
        })))
    }
}

fn options(l1: &FakeL1, url: String, directory: &std::path::Path) -> NodeOptions {
    let checkpoint = &l1.state.lock().chain[0];
    let config = NetworkConfig {
        l1ChainId: CHAIN_ID,
        checkpoint: L1BlockId { number: checkpoint.number(), hash: checkpoint.hash },
        ..Default::default()
    };
    let operator = PrivateKeySigner::random();
    NodeOptions::new(config, url, directory.to_owned(), operator, Role::Verifier)
}

async fn eventually(what: &str, reached: impl Fn() -> bool) {
    let wait = async {
        while !reached() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LIMIT, wait).await.unwrap_or_else(|_| panic!("{what}: not in time"));
}

/// The enclave stands where L1 stands.
async fn agree(l1: &FakeL1, enclave: &FakeEnclave) {
    eventually("the enclave follows L1", || {
        let head = l1.state.lock().chain.last().unwrap().hash;
        enclave.head().is_some_and(|found| found.hash == head)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn follows_l1_through_reorganisations_and_deaths() {
    for is_websocket in [false, true] {
        let l1 = FakeL1::start().await;
        let url = if is_websocket { l1.ws() } else { l1.http() };
        let directory = tempfile::tempdir().unwrap();
        let enclave = Arc::new(FakeEnclave::default());
        for _ in 0..50 {
            l1.mine();
        }
        let node = Node::start(options(&l1, url, directory.path()), enclave.clone()).await.unwrap();
        agree(&l1, &enclave).await;
        let calls = enclave.0.lock().calls;
        assert!(calls < 60, "{calls} calls for 50 blocks");

        l1.state.lock().chain.truncate(40);
        for _ in 0..15 {
            l1.mine();
        }
        agree(&l1, &enclave).await;

        enclave.die();
        l1.mine();
        agree(&l1, &enclave).await;

        let refusals = [
            DoorError::Retry(Retry::Receipts),
            DoorError::Rejected("for no reason".into()),
            DoorError::Retry(Retry::Store("full".into())),
        ];
        enclave.0.lock().refusals.extend(refusals);
        l1.mine();
        agree(&l1, &enclave).await;

        let l1 = l1.restart(Duration::from_millis(300)).await;
        l1.mine();
        agree(&l1, &enclave).await;
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_transactions_survive_until_they_are_forgotten() {
    let l1 = FakeL1::start().await;
    let directory = tempfile::tempdir().unwrap();
    let options = options(&l1, l1.http(), directory.path());
    let enclave = Arc::new(FakeEnclave::default());
    let start = || Node::start(options.clone(), enclave.clone());
    let envelope = |byte: u8, accepted: u8| Bytes::from(vec![accepted, byte]);

    let node = start().await.unwrap();
    agree(&l1, &enclave).await;
    for byte in 0..10 {
        for accepted in [0, 1] {
            let sent = envelope(byte, accepted);
            assert_eq!(node.backend.envelope(sent.clone()).await.unwrap(), sent);
        }
    }
    node.stop().await;

    // The same directory, at once: nothing of the former node is left.
    enclave.die();
    let node = start().await.unwrap();
    eventually("the pool is filled again", || enclave.0.lock().pool.len() == 10).await;
    assert!(enclave.0.lock().pool.contains(&envelope(3, 1)));
    // The enclave alone dies, of whatever: the node goes on.
    enclave.die();
    l1.mine();
    eventually("a new life gets them too", || enclave.0.lock().pool.len() == 10).await;
    enclave.0.lock().forget = (1..10).map(|byte| keccak256(envelope(byte, 1))).collect();
    l1.mine();
    agree(&l1, &enclave).await;
    node.stop().await;

    enclave.die();
    let node = start().await.unwrap();
    eventually("what is left comes again", || !enclave.0.lock().pool.is_empty()).await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(enclave.0.lock().pool, [envelope(0, 1)]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_told_to_wait_for_a_dead_enclave() {
    let l1 = FakeL1::start().await;
    let directory = tempfile::tempdir().unwrap();
    let enclave = Arc::new(FakeEnclave::default());
    let node =
        Node::start(options(&l1, l1.http(), directory.path()), enclave.clone()).await.unwrap();
    agree(&l1, &enclave).await;
    enclave.die();
    let answer = node.backend.envelope(Bytes::from_static(&[1])).await;
    assert!(matches!(answer, Err(RpcFailure::Unavailable(_))), "{answer:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_is_explained() {
    let l1 = FakeL1::start().await;
    let directory = tempfile::tempdir().unwrap();
    let good = options(&l1, l1.http(), directory.path());
    let start = async |options: NodeOptions| {
        let enclave = Arc::new(FakeEnclave::default());
        Node::start(options, enclave).await.err().unwrap().to_string()
    };

    let mut other_chain = good.clone();
    other_chain.config.l1ChainId = 1;
    other_chain.data_dir = directory.path().join("other");
    let nowhere = NodeOptions { l1_url: "http://127.0.0.1:1".into(), ..good.clone() };
    let no_url = NodeOptions { l1_url: "l1".into(), ..good.clone() };
    let cases = [
        (other_chain, "the network lives on chain 1"),
        (nowhere, "check the L1 address"),
        (no_url, "is not an L1 address"),
    ];
    for (options, expected) in cases {
        let error = start(options).await;
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    }

    // A chain that has another block in the checkpoint's place.
    let mut elsewhere = good.clone();
    elsewhere.config.checkpoint.hash = B256::repeat_byte(9);
    elsewhere.data_dir = directory.path().join("elsewhere");
    l1.mine();
    let node = Node::start(elsewhere, Arc::new(FakeEnclave::default())).await.unwrap();
    let reason = timeout(LIMIT, node.failed()).await.unwrap();
    assert!(reason.contains("checkpoint"), "{reason}");
    node.stop().await;

    let node = Node::start(good.clone(), Arc::new(FakeEnclave::default())).await.unwrap();
    let taken = NodeOptions { rpc_listen: node.rpc_addr(), ..good.clone() };
    let error = start(taken.clone()).await;
    assert!(error.contains("in use by another process"), "{error}");
    let taken = NodeOptions { data_dir: directory.path().join("third"), ..taken };
    let error = start(taken).await;
    assert!(error.contains("cannot listen"), "{error}");
    node.stop().await;
}
