//! Which peer to dial when: a state machine over the wanted addresses. Not here: dialling itself
//! (`driver`).

use super::{PEERS_MAX, peer_of};
use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};
use std::time::{Duration, Instant};

/// First and longest pause before dialling an address again.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// A link that lasts this long was wanted on the other side too; a host that does not know this one
/// closes it at once.
const LASTING: Duration = Duration::from_secs(5);

/// A wanted address.
struct Target {
    address: Multiaddr,
    /// Who is there: as the address says, or as was found out.
    peer: Option<PeerId>,
    state: State,
    /// The next pause.
    pause: Duration,
}

enum State {
    /// To be dialled then.
    Waiting(Instant),
    /// Its name is looked up.
    Resolving,
    Dialling(ConnectionId),
    /// Since then.
    Connected(Instant),
    /// It is this host's own address.
    Own,
}

/// The wanted addresses.
pub struct Dialer {
    own: PeerId,
    targets: Vec<Target>,
}

impl Dialer {
    /// Nothing wanted yet.
    pub fn new(own: PeerId) -> Self {
        Self { own, targets: Vec::new() }
    }

    /// Replaces the wanted addresses; what is known of those that stay is kept. At most
    /// [`PEERS_MAX`].
    pub fn want(
        &mut self,
        addresses: Vec<Multiaddr>,
        is_connected: impl Fn(&PeerId) -> bool,
        now: Instant,
    ) {
        let mut former = std::mem::take(&mut self.targets);
        for address in addresses.into_iter().take(PEERS_MAX) {
            if self.targets.iter().any(|target| target.address == address) {
                continue;
            }
            let known = former.iter().position(|target| target.address == address);
            let target = match known {
                Some(position) => former.swap_remove(position),
                None => self.target(address, &is_connected, now),
            };
            self.targets.push(target);
        }
    }

    fn target(
        &self,
        address: Multiaddr,
        is_connected: &impl Fn(&PeerId) -> bool,
        now: Instant,
    ) -> Target {
        let peer = peer_of(&address);
        let state = match &peer {
            Some(peer) if *peer == self.own => State::Own,
            Some(peer) if is_connected(peer) => State::Connected(now),
            _ => State::Waiting(now),
        };
        Target { address, peer, state, pause: PAUSE_MIN }
    }

    /// When the next address is due.
    pub fn next_due(&self) -> Option<Instant> {
        let due = |target: &Target| match target.state {
            State::Waiting(due) => Some(due),
            _ => None,
        };
        self.targets.iter().filter_map(due).min()
    }

    /// An address that is due; then [`Self::dialling`] or [`Self::unresolved`] follows.
    pub fn take_due(&mut self, now: Instant) -> Option<Multiaddr> {
        let is_due = |t: &&mut Target| matches!(t.state, State::Waiting(due) if due <= now);
        let target = self.targets.iter_mut().find(is_due)?;
        target.state = State::Resolving;
        Some(target.address.clone())
    }

    /// An address is dialled as this connection.
    pub fn dialling(&mut self, address: &Multiaddr, connection: ConnectionId) {
        if let Some(target) = self.resolving(address) {
            target.state = State::Dialling(connection);
        }
    }

    /// The name in an address is not known.
    pub fn unresolved(&mut self, address: &Multiaddr, now: Instant) {
        if let Some(target) = self.resolving(address) {
            target.postpone(now);
        }
    }

    fn resolving(&mut self, address: &Multiaddr) -> Option<&mut Target> {
        let is_meant =
            |t: &&mut Target| t.address == *address && matches!(t.state, State::Resolving);
        self.targets.iter_mut().find(is_meant)
    }

    /// A connection came about, whoever opened it.
    pub fn connected(&mut self, connection: ConnectionId, peer: PeerId, now: Instant) {
        for target in &mut self.targets {
            let is_dialled = matches!(target.state, State::Dialling(id) if id == connection);
            if is_dialled {
                target.peer = Some(peer);
            }
            if target.peer == Some(peer) && !matches!(target.state, State::Connected(_)) {
                target.state = State::Connected(now);
            }
        }
    }

    /// The last connection to a peer ended.
    pub fn disconnected(&mut self, peer: PeerId, now: Instant) {
        for target in &mut self.targets {
            if target.peer != Some(peer) {
                continue;
            }
            if let State::Connected(since) = target.state {
                if now.duration_since(since) >= LASTING {
                    target.pause = PAUSE_MIN;
                }
                target.postpone(now);
            }
        }
    }

    /// A connection did not come about.
    pub fn failed(&mut self, connection: ConnectionId, is_own: bool, now: Instant) {
        for target in &mut self.targets {
            if matches!(target.state, State::Dialling(id) if id == connection) {
                match is_own {
                    true => target.state = State::Own,
                    false => target.postpone(now),
                }
            }
        }
    }
}

impl Target {
    fn postpone(&mut self, now: Instant) {
        self.state = State::Waiting(now + self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::multiaddr::Protocol;

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()
    }

    fn connection(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    fn dial(dialer: &mut Dialer, number: usize, now: Instant) -> Option<Multiaddr> {
        let address = dialer.take_due(now)?;
        dialer.dialling(&address, connection(number));
        Some(address)
    }

    #[test]
    fn dials_until_connected_and_again_when_disconnected() {
        let now = Instant::now();
        let peer = PeerId::random();
        let mut dialer = Dialer::new(PeerId::random());
        assert_eq!(dialer.next_due(), None);
        dialer.want(vec![address(1), address(1)], |_| false, now);
        let (mut at, mut pauses) = (now, Vec::new());
        for attempt in 0..8 {
            assert_eq!(dial(&mut dialer, attempt, at), Some(address(1)));
            assert_eq!(dialer.take_due(at), None, "only once at a time");
            dialer.failed(connection(attempt), false, at);
            let due = dialer.next_due().unwrap();
            pauses.push(due - at);
            assert_eq!(dialer.take_due(at), None, "not before it is due");
            at = due;
        }
        assert_eq!((pauses[0], pauses[1], pauses[7]), (PAUSE_MIN, PAUSE_MIN * 2, PAUSE_MAX));
        dial(&mut dialer, 8, at);
        dialer.connected(connection(8), peer, at);
        assert_eq!(dialer.next_due(), None);
        dialer.disconnected(peer, at);
        assert_eq!(dialer.next_due(), Some(at + PAUSE_MAX), "it was not let in");
        dialer.connected(connection(49), peer, at);
        at += LASTING;
        dialer.disconnected(peer, at);
        assert_eq!(dialer.next_due(), Some(at + PAUSE_MIN), "patience starts anew");
        dialer.connected(connection(50), peer, at);
        assert_eq!(dialer.next_due(), None, "the peer came by itself");
    }

    #[test]
    fn leaves_itself_and_connected_peers_alone() {
        let now = Instant::now();
        let (own, peer) = (PeerId::random(), PeerId::random());
        let mut dialer = Dialer::new(own);
        let with = |port, peer| address(port).with(Protocol::P2p(peer));
        dialer.want(vec![with(1, own), with(2, peer), address(3)], |id| *id == peer, now);
        assert_eq!(dial(&mut dialer, 1, now), Some(address(3)));
        dialer.failed(connection(1), true, now);
        assert_eq!(dialer.next_due(), None);
    }

    #[test]
    fn keeps_what_it_knows_and_a_bound() {
        let now = Instant::now();
        let mut dialer = Dialer::new(PeerId::random());
        dialer.want(vec![address(1)], |_| false, now);
        dial(&mut dialer, 1, now);
        dialer.connected(connection(1), PeerId::random(), now);
        dialer.want(vec![address(1), address(2)], |_| false, now);
        assert_eq!(dialer.take_due(now), Some(address(2)));
        assert_eq!(dialer.take_due(now), None);
        dialer.unresolved(&address(2), now);
        assert_eq!(dialer.next_due(), Some(now + PAUSE_MIN));
        dialer.want((0..1_000).map(address).collect(), |_| false, now);
        assert_eq!(dialer.targets.len(), PEERS_MAX);
    }
}
