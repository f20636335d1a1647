//! Gossip over real sockets.

use super::*;
use crate::pull;
use alloy_eips::eip4844::{BYTES_PER_BLOB, kzg_to_versioned_hash};
use alloy_primitives::{Bytes, keccak256};
use obscuro_protocol::{
    gossip::Announcement,
    limits::{ANNOUNCEMENT_BYTES_MAX, CONTENT_BYTES_MAX, PAYLOAD_BYTES_MAX},
    rollup::RollupHeader,
};
use std::collections::HashMap;
use tokio::time::timeout;

const NETWORK: B256 = B256::repeat_byte(1);
/// Time for anything that must happen.
const SOON: Duration = Duration::from_secs(20);
/// Time in which anything that must not happen would have.
const WHILE: Duration = Duration::from_millis(1_500);

struct Node {
    handle: GossipHandle,
    events: GossipEvents,
}

impl Node {
    async fn start(key: u8) -> Self {
        Self::start_on(key, "/ip4/127.0.0.1/tcp/0".parse().unwrap(), NETWORK).await
    }

    async fn start_on(key: u8, listen: Multiaddr, network: B256) -> Self {
        Self::start_as(options(key, Some(listen), network)).await
    }

    async fn start_as(options: GossipOptions) -> Self {
        let (handle, events) = start(options).await.unwrap();
        Self { handle, events }
    }

    fn knows(&self, others: &[&Self]) {
        let wanted = others.iter().map(|other| other.handle.local_address()).collect();
        self.handle.set_peers(Peers { wanted, gossiping: ids(others), ..Peers::default() });
    }

    fn admits(&self, others: &[&Self]) {
        let (admitted, gossiping) = (ids(others), ids(others));
        self.handle.set_peers(Peers { admitted, gossiping, ..Peers::default() });
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
        let event = timeout(SOON, self.events.next()).await.expect("a message in time");
        event.expect("gossip runs")
    }

    async fn expect(&mut self, expected: &Gossip, verdict: Verdict) {
        let (id, message) = self.hear().await;
        assert_eq!(message, *expected);
        self.handle.judge(id, verdict);
    }

    async fn expect_nothing(&mut self) {
        if let Ok(event) = timeout(WHILE, self.events.next()).await {
            panic!("heard {event:?}");
        }
    }
}

fn ids(nodes: &[&Node]) -> Vec<PeerId> {
    nodes.iter().map(|node| node.handle.peer_id()).collect()
}

fn transactions(number: u8) -> Gossip {
    Gossip::Transactions(vec![number; 100].into())
}

fn candidate(number: u64) -> Gossip {
    Gossip::Candidate(Box::new(Announcement {
        header: RollupHeader { number, ..Default::default() },
        signature: Bytes::from_static(&[1; 65]),
        lottery_proof: Bytes::from_static(&[1; 48]),
    }))
}

/// Content that was put there, right or wrong.
#[derive(Default)]
struct Shelf(HashMap<Wanted, Bytes>);

impl Archive for Shelf {
    fn find(&self, wanted: Wanted) -> Option<Bytes> {
        self.0.get(&wanted).cloned()
    }
}

fn options(key: u8, listen: Option<Multiaddr>, network: B256) -> GossipOptions {
    let archive = Arc::new(Shelf::default());
    GossipOptions { listen, key: [key; 32], network, is_aggregator: true, archive }
}

fn loopback() -> Multiaddr {
    "/ip4/127.0.0.1/tcp/0".parse().unwrap()
}

/// A host that keeps this content and takes no part in gossip.
async fn keeper(key: u8, content: &[(Wanted, Bytes)]) -> Node {
    let archive = Arc::new(Shelf(content.iter().cloned().collect()));
    let options = options(key, Some(loopback()), NETWORK);
    Node::start_as(GossipOptions { archive, is_aggregator: false, ..options }).await
}

/// Three nodes in a row: the outer ones hear each other only through the middle one.
async fn row() -> [Node; 3] {
    let [a, b, c] = [Node::start(1).await, Node::start(2).await, Node::start(3).await];
    a.knows(&[&b]);
    c.knows(&[&b]);
    b.admits(&[&a, &c]);
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
    let large = Gossip::Transactions(vec![3; GOSSIP_BYTES_MAX - 1_000].into());
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
        a.handle.publish(Gossip::Transactions(vec![3; GOSSIP_BYTES_MAX].into())).await,
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
    a.admits(&[&late]);
    let heard = [late.hear().await.1, late.hear().await.1];
    assert!(heard.contains(&transactions(3)) && heard.contains(&candidate(2)), "{heard:?}");
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
    b.admits(&[&a, &c]);
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
    let listen = loopback();
    let mut other = Node::start_on(2, listen, B256::repeat_byte(2)).await;
    other.knows(&[&a]);
    a.admits(&[&other]);
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
    let b = Node::start(3).await;
    let garbler_id = identity(2);
    let admitted = vec![garbler_id, b.handle.peer_id()];
    a.handle.set_peers(Peers { gossiping: admitted.clone(), admitted, ..Peers::default() });
    let garbage = garbler(2, address.clone()).await;
    a.has_peers(1).await;
    garbage.await.unwrap();
    b.knows(&[&a]);
    b.has_peers(1).await;
    b.handle.publish(transactions(1)).await.unwrap();
    a.expect(&transactions(1), Verdict::Forward).await;
}

fn identity(key: u8) -> PeerId {
    let pair = libp2p::identity::Keypair::ed25519_from_bytes([key; 32]).unwrap();
    pair.public().to_peer_id()
}

/// A peer that speaks the protocol and says nonsense.
async fn garbler(key: u8, to: Multiaddr) -> JoinHandle<()> {
    use libp2p::futures::StreamExt;
    let mut swarm = behaviour::swarm(&options(key, None, NETWORK)).unwrap();
    swarm.behaviour_mut().admitted.allow_peer(peer_of(&to).unwrap());
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
    a.admits(&[&b]);
    b.has_peers(1).await;
    let mut heard = 0;
    for number in 0..20 {
        b.handle.publish(transactions(number)).await.unwrap();
        if let Ok(Some((id, _))) = timeout(WHILE / 3, a.events.next()).await {
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
    a.knows(&[&b, &c]);
    c.has_peers(2).await;
    // Once the link knows of the topic, what is published comes at once.
    let heard = async {
        for number in 0.. {
            a.handle.publish(candidate(number)).await.unwrap();
            let coming = timeout(WHILE / 10, c.events.candidates.recv());
            if coming.await.is_ok() {
                break;
            }
        }
    };
    timeout(SOON, heard).await.expect("a candidate in time");
    assert_eq!(b.events.transactions.len(), EVENTS_WAITING_MAX);
}

#[tokio::test]
async fn a_taken_port_is_explained() {
    let a = Node::start(1).await;
    let listen: Multiaddr = a.handle.local_address().iter().take(2).collect();
    let error = start(options(2, Some(listen.clone()), NETWORK))
        .await
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert!(error.contains(&listen.to_string()), "{error}");
}

#[tokio::test]
async fn names_are_looked_up() {
    let (mut a, b) = (Node::start(1).await, Node::start(2).await);
    let tail: Multiaddr = a.handle.local_address().iter().skip(1).collect();
    let named = format!("/dns4/localhost{tail}").parse().unwrap();
    let unknown: Multiaddr = "/dns4/nowhere.invalid/tcp/1".parse().unwrap();
    let unknown = Multiaddr::with_p2p(unknown, identity(9)).unwrap();
    let (wanted, gossiping) = (vec![unknown, named], ids(&[&a]));
    b.handle.set_peers(Peers { wanted, gossiping, ..Peers::default() });
    a.admits(&[&b]);
    b.has_peers(1).await;
    b.handle.publish(transactions(1)).await.unwrap();
    a.expect(&transactions(1), Verdict::Forward).await;
}

/// Rule: only hosts that L1 lists have a link.
#[tokio::test]
async fn strangers_are_refused() {
    let [a, mut stranger, b] = [Node::start(1).await, Node::start(2).await, Node::start(3).await];
    a.admits(&[&b]);
    stranger.knows(&[&a]);
    b.knows(&[&a]);
    b.has_peers(1).await;
    b.handle.publish(transactions(1)).await.unwrap();
    stranger.expect_nothing().await;
    assert_eq!((a.handle.peer_count(), stranger.handle.peer_count()), (1, 0));
    // Whoever is taken off the list loses its link, and who is put on it may come.
    a.admits(&[&stranger]);
    stranger.has_peers(1).await;
    b.has_peers(0).await;
}

/// Rule: gossip is among aggregators' hosts. Others may ask for content, and are not heard.
#[tokio::test]
async fn a_reader_is_not_heard() {
    let [mut a, mut b, reader] = [Node::start(1).await, Node::start(2).await, Node::start(3).await];
    let admitted = ids(&[&b, &reader]);
    a.handle.set_peers(Peers { admitted, gossiping: ids(&[&b]), ..Peers::default() });
    b.knows(&[&a]);
    reader.knows(&[&a]);
    a.has_peers(2).await;
    for number in 0..10 {
        reader.handle.publish(transactions(number)).await.unwrap();
    }
    b.handle.publish(transactions(100)).await.unwrap();
    a.expect(&transactions(100), Verdict::Forward).await;
    a.expect_nothing().await;
    b.expect_nothing().await;
}

/// Rule: whoever is not heard cannot be first to say what others say.
#[tokio::test]
async fn a_reader_does_not_keep_others_from_being_heard() {
    let [mut a, b, reader] = [Node::start(1).await, Node::start(2).await, Node::start(3).await];
    let admitted = ids(&[&b, &reader]);
    a.handle.set_peers(Peers { admitted, gossiping: ids(&[&b]), ..Peers::default() });
    b.knows(&[&a]);
    reader.knows(&[&a]);
    a.has_peers(2).await;
    // Peers may tell each other not to send what is larger than a kilobyte.
    let messages = [candidate(1), transactions(1), Gossip::Transactions(vec![1; 100_000].into())];
    for message in &messages {
        reader.handle.publish(message.clone()).await.unwrap();
    }
    a.expect_nothing().await;
    for message in &messages {
        b.handle.publish(message.clone()).await.unwrap();
        a.expect(message, Verdict::Forward).await;
    }
    // It becomes an aggregator, and b ceases to be one.
    let admitted = ids(&[&b, &reader]);
    a.handle.set_peers(Peers { admitted, gossiping: ids(&[&reader]), ..Peers::default() });
    let heard = async {
        for number in 2.. {
            reader.handle.publish(candidate(number)).await.unwrap();
            if timeout(WHILE / 10, a.events.candidates.recv()).await.is_ok() {
                break;
            }
        }
    };
    timeout(SOON, heard).await.expect("a candidate in time");
    b.handle.publish(transactions(2)).await.unwrap();
    a.expect_nothing().await;
}

#[tokio::test]
async fn announcements_are_small() {
    let fat = Announcement {
        signature: vec![1; ANNOUNCEMENT_BYTES_MAX].into(),
        ..Announcement::default()
    };
    assert!(Gossip::decode(&Gossip::Candidate(Box::new(fat)).encode()).is_err());
}

fn content(byte: u8, length: usize) -> (Wanted, Bytes) {
    let bytes = Bytes::from(vec![byte; length]);
    (Wanted::Payload(keccak256(&bytes)), bytes)
}

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn content_is_pulled_by_its_hash() {
    let (kept, bytes) = content(7, PAYLOAD_BYTES_MAX);
    let (offered, other) = content(8, 10);
    let [a, b] = [keeper(1, &[(kept, bytes.clone())]).await, keeper(2, &[]).await];
    // Who only dials may ask too.
    let reader = Node::start_as(options(3, None, NETWORK)).await;
    reader.knows(&[&a, &b]);
    a.admits(&[&reader]);
    b.admits(&[&reader]);
    reader.has_peers(2).await;
    let [from_a, from_b] = [&a, &b].map(|node| vec![node.handle.peer_id()]);
    let pull = |wanted, sources| reader.handle.pull(wanted, sources, PATIENCE);
    assert_eq!(pull(kept, from_a.clone()).await, Some(bytes.clone()));
    b.handle.offer(offered, other.clone()).await;
    assert_eq!(pull(offered, Vec::new()).await, Some(other));
    assert_eq!(pull(content(9, 10).0, from_b).await, None);
    let stranger = vec![identity(9)];
    assert_eq!(pull(content(9, 11).0, stranger).await, None);
}

/// What is on its way is waited for: a payload spreads from host to host as its announcement did.
#[tokio::test]
async fn content_passes_from_host_to_host() {
    let [a, b, c] = row().await;
    let (wanted, bytes) = content(7, 100_000);
    let [from_a, from_b] = [&a, &b].map(|node| vec![node.handle.peer_id()]);
    b.handle.expect(wanted);
    let last = tokio::spawn({
        let c = c.handle.clone();
        async move { c.pull(wanted, from_b, PATIENCE).await }
    });
    tokio::task::yield_now().await;
    a.handle.offer(wanted, bytes.clone()).await;
    assert_eq!(b.handle.pull(wanted, from_a, PATIENCE).await, Some(bytes.clone()));
    assert_eq!(timeout(SOON, last).await.unwrap().unwrap(), Some(bytes));
}

/// A blob that holds little, without the zeros at its end, by its versioned hash.
fn blob(byte: u8) -> (Wanted, Bytes) {
    let mut blob = vec![0; BYTES_PER_BLOB];
    blob[1] = byte;
    let settings = c_kzg::ethereum_kzg_settings(0);
    let commitment = settings.blob_to_kzg_commitment(&c_kzg::Blob::from_bytes(&blob).unwrap());
    let hash = kzg_to_versioned_hash(commitment.unwrap().to_bytes().as_slice());
    (Wanted::Blob(hash), Bytes::from(vec![0, byte]))
}

/// Rule: what does not have the hash that was asked for is refused, whoever sent it loses its links, and
/// another is asked.
#[tokio::test]
async fn a_liar_loses_its_links_and_another_is_asked() {
    let endless = content(8, CONTENT_BYTES_MAX + 1);
    for ((wanted, bytes), (_, lie)) in [
        (content(7, 1_000), content(8, 1_000)),
        (content(7, 1_000), endless),
        (blob(7), blob(8)),
        (blob(7), content(0xff, 32)),
    ] {
        let liar = keeper(1, &[(wanted, lie.clone())]).await;
        let honest = keeper(2, &[(wanted, bytes.clone())]).await;
        let reader = Node::start(3).await;
        reader.knows(&[&liar, &honest]);
        liar.admits(&[&reader]);
        honest.admits(&[&reader]);
        reader.has_peers(2).await;
        let sources = vec![liar.handle.peer_id(), honest.handle.peer_id()];
        assert_eq!(reader.handle.pull(wanted, sources, SOON).await, Some(bytes));
        reader.has_peers(1).await;
        liar.has_peers(0).await;
        honest.has_peers(1).await;
        assert!(pull::verify(wanted, &lie).is_err());
    }
}
