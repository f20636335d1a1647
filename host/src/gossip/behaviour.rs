//! The protocol stack among hosts: links, who may have one, limits, gossipsub and its parameters,
//! requests for content. Not here: what happens on it (`driver`).

use super::{
    GossipError, GossipOptions, PEERS_MAX,
    codec::{ContentCodec, PROTOCOL},
};
use alloy_primitives::{B256, keccak256};
use libp2p::{
    Multiaddr, Swarm, SwarmBuilder,
    allow_block_list::{self, AllowedPeers},
    connection_limits::{self, ConnectionLimits},
    gossipsub::{self, IdentTopic, MessageAuthenticity, MessageId, ValidationMode},
    identity::Keypair,
    noise,
    request_response::{self, ProtocolSupport},
    swarm::NetworkBehaviour,
    tcp, yamux,
};
use obscuro_protocol::limits::GOSSIP_BYTES_MAX;
use std::{collections::HashMap, error::Error, time::Duration};

/// How often meshes are mended. Short: a network of few nodes forms while its first messages travel.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Heartbeats that the node may take to judge a message.
const JUDGE_HEARTBEATS_MAX: usize = 20;
/// Heartbeats during which peers outside the mesh are told what there is.
const ANNOUNCE_HEARTBEATS: usize = 4;
/// How long a message is recognised as already seen.
const SEEN_FOR: Duration = Duration::from_secs(120);
/// Peers to which a message goes directly: everyone, in a network of the usual size.
const MESH: (usize, usize, usize) = (4, 6, 10);
/// Messages that wait for one slow peer.
const LINK_QUEUE_MAX: usize = 64;
/// Links that others opened, handshakes under way, links of one peer.
const INCOMING_MAX: u32 = 256;
const HANDSHAKES_MAX: u32 = 64;
const LINKS_PER_PEER_MAX: u32 = 4;
/// A link on which nothing happens stays.
const IDLE_MAX: Duration = Duration::from_secs(u32::MAX as u64);

/// Longest time for an answer, the time included that it waits for the peer to get it.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Requests under way on one link, in both directions.
const REQUESTS_PER_LINK_MAX: usize = 64;

/// The weight of a message that the node rejected, and how long it is remembered. The count is
/// squared: four such messages within minutes and a peer is no longer heard.
const REJECTED_WEIGHT: f64 = -10.0;
const REJECTED_MEMORY: Duration = Duration::from_secs(600);
const DEAF_BELOW: f64 = -150.0;
/// The score of peers whose gossip is not heard. What they send does not even count as seen: copies that
/// others send are heard.
pub const UNHEARD: f64 = 2.0 * DEAF_BELOW;

/// Everything that runs on a link.
#[derive(NetworkBehaviour)]
pub struct Behaviour {
    limits: connection_limits::Behaviour,
    /// Who may have a link. Noise proves who a peer is.
    pub admitted: allow_block_list::Behaviour<AllowedPeers>,
    /// The gossip itself.
    pub gossip: gossipsub::Behaviour,
    /// Content by its hash.
    pub content: request_response::Behaviour<ContentCodec>,
}

/// The topic of one network.
pub fn topic(network: B256) -> IdentTopic {
    IdentTopic::new(format!("obscuro/1/{network:x}"))
}

/// A swarm that does not listen yet.
pub fn swarm(options: &GossipOptions) -> Result<Swarm<Behaviour>, GossipError> {
    build(options).map_err(|error| GossipError::Start {
        address: options.listen.clone().unwrap_or_else(Multiaddr::empty),
        reason: error.to_string(),
    })
}

fn build(options: &GossipOptions) -> Result<Swarm<Behaviour>, Box<dyn Error + Send + Sync>> {
    let keypair = Keypair::ed25519_from_bytes(options.key)?;
    let mut gossip =
        gossipsub::Behaviour::new(MessageAuthenticity::Signed(keypair.clone()), gossip_config()?)?;
    let topic = topic(options.network);
    gossip.with_peer_score(scores(&topic), thresholds())?;
    if options.is_aggregator {
        gossip.subscribe(&topic)?;
    }
    let content = request_response::Behaviour::new(
        [(PROTOCOL, ProtocolSupport::Full)],
        request_response::Config::default()
            .with_request_timeout(ANSWER_MAX)
            .with_max_concurrent_streams(REQUESTS_PER_LINK_MAX),
    );
    let behaviour = Behaviour {
        limits: connection_limits::Behaviour::new(limits()),
        admitted: allow_block_list::Behaviour::default(),
        gossip,
        content,
    };
    let tcp = tcp::Config::default().nodelay(true);
    let swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp, noise::Config::new, yamux::Config::default)?
        .with_behaviour(|_| behaviour)?
        .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE_MAX))
        .build();
    Ok(swarm)
}

fn gossip_config() -> Result<gossipsub::Config, gossipsub::ConfigBuilderError> {
    let (low, wanted, high) = MESH;
    gossipsub::ConfigBuilder::default()
        .heartbeat_interval(HEARTBEAT)
        .heartbeat_initial_delay(HEARTBEAT / 5)
        .mesh_n_low(low)
        .mesh_n(wanted)
        .mesh_n_high(high)
        .mesh_outbound_min(0)
        .flood_publish(true)
        .validate_messages()
        .validation_mode(ValidationMode::Strict)
        .message_id_fn(content_id)
        .max_transmit_size(GOSSIP_BYTES_MAX)
        .duplicate_cache_time(SEEN_FOR)
        .history_length(JUDGE_HEARTBEATS_MAX)
        .history_gossip(ANNOUNCE_HEARTBEATS)
        .prune_backoff(Duration::from_secs(5))
        .unsubscribe_backoff(Duration::from_secs(1))
        .connection_handler_queue_len(LINK_QUEUE_MAX)
        .build()
}

/// A message is its content, whoever sends it.
fn content_id(message: &gossipsub::Message) -> MessageId {
    MessageId::new(keccak256(&message.data).as_slice())
}

/// Only what the node rejects, and who is heard at all, counts: the other scores punish what small networks do naturally.
fn scores(topic: &IdentTopic) -> gossipsub::PeerScoreParams {
    let decay_interval = Duration::from_secs(1);
    let topic_scores = gossipsub::TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.0,
        first_message_deliveries_weight: 0.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: REJECTED_WEIGHT,
        invalid_message_deliveries_decay: gossipsub::score_parameter_decay_with_base(
            REJECTED_MEMORY,
            decay_interval,
            0.1,
        ),
        ..Default::default()
    };
    gossipsub::PeerScoreParams {
        topics: HashMap::from([(topic.hash(), topic_scores)]),
        topic_score_cap: 0.0,
        app_specific_weight: 1.0,
        ip_colocation_factor_weight: 0.0,
        behaviour_penalty_weight: 0.0,
        slow_peer_weight: 0.0,
        decay_interval,
        retain_score: REJECTED_MEMORY,
        ..Default::default()
    }
}

fn thresholds() -> gossipsub::PeerScoreThresholds {
    gossipsub::PeerScoreThresholds {
        gossip_threshold: DEAF_BELOW / 2.0,
        publish_threshold: DEAF_BELOW / 2.0,
        graylist_threshold: DEAF_BELOW,
        accept_px_threshold: 0.0,
        opportunistic_graft_threshold: 0.0,
    }
}

fn limits() -> ConnectionLimits {
    ConnectionLimits::default()
        .with_max_pending_incoming(Some(HANDSHAKES_MAX))
        .with_max_established_incoming(Some(INCOMING_MAX))
        .with_max_established_outgoing(Some(PEERS_MAX as u32))
        .with_max_established_per_peer(Some(LINKS_PER_PEER_MAX))
}
