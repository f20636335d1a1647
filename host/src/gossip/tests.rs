//! Gossip over real sockets.

use super::*;
use alloy_primitives::Bytes;
use obscuro_protocol::rollup::SignedRollup;
use std::time::Duration;
use tokio::time::timeout;

const NETWORK: B256 = B256::repeat_byte(1);
/// Time for anything that must happen.
const SOON: Duration = Duration::from_secs(20);
/// Time in which anything that must not happen would have.
const WHILE: Duration = Duration::from_millis(1_500);

struct Node {
    handle: GossipHandle,
    events: mpsc::Receiver<GossipEvent>,
}

impl Node {
    async fn start(key: u8) -> Self {
        Self::start_on(key, "/ip4/127.0.0.1/tcp/0".parse().unwrap(), NETWORK).await
    }

    async fn start_on(key: u8, listen: Multiaddr, network: B256) -> Self {
        let options = GossipOptions { listen, key: [key; 32], network };
        let (handle, events) = start(options).await.unwrap();
        Self { handle, events }
    }

    fn knows(&self, others: &[&Self]) {
        self.handle.set_peers(others.iter().map(|other| other.handle.local_address()).collect());
    }

    async fn has_peers(&self, count: usize) {
        let connected = async {
            while self.handle.peer_count() != count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(SOON, connected).await.expect("peers in time");
    }

    /// The next message, not judged.
    async fn hear(&mut self) -> (MessageId, Gossip) {
        let event = timeout(SOON, self.events.recv()).await.expect("a message in time");
        let GossipEvent::Message { id, message, .. } = event.expect("gossip runs");
        (id, message)
    }

    async fn expect(&mut self, expected: &Gossip, verdict: Verdict) {
        let (id, message) = self.hear().await;
        assert_eq!(message, *expected);
        self.handle.judge(id, verdict);
    }

    async fn expect_nothing(&mut self) {
        if let Ok(event) = timeout(WHILE, self.events.recv()).await {
            panic!("heard {event:?}");
        }
    }
}

fn transactions(number: u8) -> Gossip {
    Gossip::Transactions(vec![number; 100].into())
}

fn candidate(payload_bytes: usize) -> Gossip {
    Gossip::Candidate(Box::new(SignedRollup {
        header: Default::default(),
        signature: Bytes::from_static(&[1; 65]),
        lottery_proof: Bytes::from_static(&[1; 48]),
        payload: vec![7; payload_bytes].into(),
    }))
}

/// Three nodes in a row: the outer ones hear each other only through the middle one.
async fn row() -> [Node; 3] {
    let [a, b, c] = [Node::start(1).await, Node::start(2).await, Node::start(3).await];
    a.knows(&[&b]);
    c.knows(&[&b]);
    for (node, peers) in [(&a, 1), (&b, 2), (&c, 1)] {
        node.has_peers(peers).await;
    }
    [a, b, c]
}

#[tokio::test]
async fn three_nodes_hear_one_another() {
    let [mut a, mut b, mut c] = [Node::start(1).await, Node::start(2).await, Node::start(3).await];
    a.knows(&[&a, &b, &c]);
    b.knows(&[&a, &b, &c]);
    c.knows(&[&a, &b, &c]);
    for node in [&a, &b, &c] {
        node.has_peers(2).await;
    }
    let large = candidate(GOSSIP_BYTES_MAX - 1_000);
    let messages = [transactions(1), candidate(10), large, transactions(2)];
    for message in &messages {
        a.handle.publish(message.clone()).await.unwrap();
        b.expect(message, Verdict::Forward).await;
        c.expect(message, Verdict::Forward).await;
    }
    c.handle.publish(transactions(9)).await.unwrap();
    a.expect(&transactions(9), Verdict::Forward).await;
    b.expect(&transactions(9), Verdict::Forward).await;
    a.expect_nothing().await;
    assert!(matches!(
        a.handle.publish(candidate(GOSSIP_BYTES_MAX)).await,
        Err(GossipError::TooLarge)
    ));
}

#[tokio::test]
async fn only_what_is_judged_worthy_goes_on() {
    let [a, mut b, mut c] = row().await;
    for (number, verdict) in [(1, Verdict::Ignore), (2, Verdict::Reject)] {
        a.handle.publish(transactions(number)).await.unwrap();
        b.expect(&transactions(number), verdict).await;
    }
    a.handle.publish(transactions(3)).await.unwrap();
    let (_unjudged, _) = b.hear().await;
    c.expect_nothing().await;
    a.handle.publish(transactions(4)).await.unwrap();
    b.expect(&transactions(4), Verdict::Forward).await;
    c.expect(&transactions(4), Verdict::Forward).await;
}

#[tokio::test]
async fn what_is_published_before_anyone_is_there_reaches_the_first() {
    let mut a = Node::start(1).await;
    a.handle.publish(candidate(1)).await.unwrap();
    a.handle.publish(candidate(2)).await.unwrap();
    a.handle.publish(transactions(3)).await.unwrap();
    let mut late = Node::start(2).await;
    late.knows(&[&a]);
    late.expect(&transactions(3), Verdict::Forward).await;
    late.expect(&candidate(2), Verdict::Forward).await;
    late.handle.publish(transactions(4)).await.unwrap();
    a.expect(&transactions(4), Verdict::Forward).await;
    late.expect_nothing().await;
}

#[tokio::test]
async fn a_node_that_restarts_is_found_again() {
    let [mut a, b, mut c] = row().await;
    let address = b.handle.local_address();
    let listen: Multiaddr = address.iter().take(2).collect();
    b.handle.clone().stop().await;
    a.has_peers(0).await;
    c.has_peers(0).await;
    assert!(matches!(b.handle.publish(transactions(1)).await, Err(GossipError::Stopped)));
    let mut b = Node::start_on(2, listen, NETWORK).await;
    b.has_peers(2).await;
    a.handle.publish(transactions(2)).await.unwrap();
    b.expect(&transactions(2), Verdict::Forward).await;
    c.expect(&transactions(2), Verdict::Forward).await;
    b.handle.publish(transactions(3)).await.unwrap();
    a.expect(&transactions(3), Verdict::Forward).await;
}

#[tokio::test]
async fn another_network_is_not_heard() {
    let mut a = Node::start(1).await;
    let listen = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
    let mut other = Node::start_on(2, listen, B256::repeat_byte(2)).await;
    other.knows(&[&a]);
    other.has_peers(1).await;
    other.handle.publish(transactions(1)).await.unwrap();
    a.handle.publish(transactions(2)).await.unwrap();
    a.expect_nothing().await;
    other.expect_nothing().await;
}

#[tokio::test]
async fn garbage_on_the_socket_and_in_the_topic_does_no_harm() {
    let mut a = Node::start(1).await;
    let address = a.handle.local_address();
    let port = address.iter().find_map(|part| match part {
        libp2p::multiaddr::Protocol::Tcp(port) => Some(port),
        _ => None,
    });
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4096], b""] {
        let mut socket =
            tokio::net::TcpStream::connect(("127.0.0.1", port.unwrap())).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut socket, bytes).await.unwrap();
    }
    let garbage = garbler(2, address.clone()).await;
    a.has_peers(1).await;
    garbage.await.unwrap();
    let b = Node::start(3).await;
    b.knows(&[&a]);
    b.has_peers(1).await;
    b.handle.publish(transactions(1)).await.unwrap();
    a.expect(&transactions(1), Verdict::Forward).await;
}

/// A peer that speaks the protocol and says nonsense.
async fn garbler(key: u8, to: Multiaddr) -> JoinHandle<()> {
    use libp2p::futures::StreamExt;
    let listen = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
    let options = GossipOptions { listen, key: [key; 32], network: NETWORK };
    let mut swarm = behaviour::swarm(&options).unwrap();
    swarm.dial(to).unwrap();
    tokio::spawn(async move {
        let topic = behaviour::topic(NETWORK);
        let mut sent = 0u8;
        let babble = async {
            while sent < 50 {
                let garbage = vec![sent; usize::from(sent) * 100 + 1];
                if swarm.behaviour_mut().gossip.publish(topic.clone(), garbage).is_ok() {
                    sent += 1;
                }
                let _ = timeout(Duration::from_millis(10), swarm.next()).await;
            }
        };
        let _ = timeout(SOON, babble).await;
    })
}

#[tokio::test]
async fn a_peer_that_is_rejected_again_and_again_is_no_longer_heard() {
    let (mut a, b) = (Node::start(1).await, Node::start(2).await);
    b.knows(&[&a]);
    b.has_peers(1).await;
    let mut heard = 0;
    for number in 0..20 {
        b.handle.publish(transactions(number)).await.unwrap();
        if let Ok(Some(GossipEvent::Message { id, .. })) = timeout(WHILE / 3, a.events.recv()).await
        {
            a.handle.judge(id, Verdict::Reject);
            heard += 1;
        }
    }
    assert!((3..10).contains(&heard), "heard {heard}");
}

#[tokio::test]
async fn a_slow_node_does_not_hold_up_its_peers() {
    let [a, b, mut c] = row().await;
    // The middle one takes nothing at all for a while.
    for number in 0..100 {
        a.handle.publish(transactions(number)).await.unwrap();
    }
    c.knows(&[&b, &a]);
    c.has_peers(2).await;
    a.handle.publish(candidate(5)).await.unwrap();
    c.expect(&candidate(5), Verdict::Forward).await;
    assert_eq!(b.events.len(), EVENTS_WAITING_MAX);
}

#[tokio::test]
async fn a_taken_port_is_explained() {
    let a = Node::start(1).await;
    let listen: Multiaddr = a.handle.local_address().iter().take(2).collect();
    let options = GossipOptions { listen: listen.clone(), key: [2; 32], network: NETWORK };
    let error = start(options).await.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains(&listen.to_string()), "{error}");
}

#[tokio::test]
async fn names_are_looked_up() {
    let (mut a, b) = (Node::start(1).await, Node::start(2).await);
    let tail: Multiaddr = a.handle.local_address().iter().skip(1).collect();
    let named = format!("/dns4/localhost{tail}").parse().unwrap();
    let unknown = "/dns4/nowhere.invalid/tcp/1".parse().unwrap();
    b.handle.set_peers(vec![unknown, named]);
    b.has_peers(1).await;
    b.handle.publish(transactions(1)).await.unwrap();
    a.expect(&transactions(1), Verdict::Forward).await;
}
