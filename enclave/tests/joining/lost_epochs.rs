//! Epochs that no member holds (protocol 2.5): opened by a broken TEE that gave nobody a share, or gone
//! with all who had one. The member that the contract's owner names steps over them.

use crate::*;
use obscuro_enclave::device::Entropy;
use obscuro_protocol::{
    door::Retry,
    keys::MasterSeed,
    l1::{
        self,
        IAttestationVerifier::{MachineReadmitted, MachineRemoved},
    },
};

/// Two honest nodes and one that is broken; the epochs so far have rollups.
struct Broken {
    first: Node,
    second: Node,
    broken: Node,
    l1: L1,
    alice: User,
    /// Rollup of the first epoch that everybody knows.
    head: B256,
}

impl Broken {
    fn new() -> Self {
        let (first, mut l1, alice) = network();
        let second = join(&[&first], &mut l1, TestDevice::new(2, 0), 1_000);
        let broken = join(&[&first, &second], &mut l1, TestDevice::new(3, 0), 1_000);
        let nodes = [&first, &second, &broken];
        let reader = Reader::new(&first, 7, &[&alice]);
        pay(&reader, &first, &alice, 0);
        let head = publish(&first, &nodes, &mut l1).header.hash();
        all_follow(&nodes, &mut l1, vec![epoch_begun(2, Address::ZERO)]);
        Self { first, second, broken, l1, alice, head }
    }

    fn honest(&self) -> [&Node; 2] {
        [&self.first, &self.second]
    }

    /// The broken TEE opens the epoch, gives the honest ones these shares, and publishes alone.
    fn break_epoch(&mut self, shares: impl Fn(&Node, Bytes) -> Option<Bytes>) {
        let mut made = opening(&self.broken).unwrap();
        let given = std::mem::take(&mut made.shares).into_iter().filter_map(|share| {
            let node = self.honest().into_iter().find(|n| n.registration.enclave == share.enclave);
            let encrypted = match node {
                Some(node) => shares(node, share.encryptedSeed)?,
                None => share.encryptedSeed,
            };
            Some(l1::EpochShare { enclave: share.enclave, encryptedSeed: encrypted })
        });
        made.shares = given.collect();
        let nodes = [&self.first, &self.second, &self.broken];
        // A rollup of the former epoch comes too late.
        let late = {
            let reader = Reader::new(&self.first, 9, &[&self.alice]);
            pay(&reader, &self.first, &self.alice, 1);
            self.first.seal().unwrap()
        };
        let heads = all_follow(&nodes, &mut self.l1, opened(&made));
        let held: Vec<bool> = heads.iter().map(|head| head.has_seed).collect();
        assert_eq!(held, [false, false, true]);
        let reader = Reader::to(&made.network_key, 11, &[&self.alice]);
        pay(&reader, &self.broken, &self.alice, 1);
        let block = self.l1.publish(&self.broken.seal().unwrap());
        let heads = nodes.map(|node| node.follow(&block));
        assert_eq!((heads[0].rollup, heads[1].rollup), (self.head, self.head));
        assert_ne!(heads[2].rollup, self.head);
        let block = self.l1.publish(&late);
        nodes.iter().for_each(|node| drop(node.follow(&block)));
    }

    fn machine(&self) -> B256 {
        membership::machine_of(&self.broken)
    }

    /// The owner removes the broken machine and names the first node, which steps over the epoch.
    fn step_over(&mut self) -> EpochOpening {
        let named = self.first.registration.enclave;
        let epoch = self.first.set_head(self.l1.tip.hash).network_key;
        let heads = self.follow(vec![epoch_begun(3, named)]);
        assert!(heads.iter().all(|head| !has(head, Duty::OpenEpoch)), "a member holds the seed");
        assert_eq!(opening(&self.first), Err(DoorError::Retry(Retry::Seed)));
        let removed = MachineRemoved { machine: self.machine() };
        let removed = IAttestationVerifierEvents::MachineRemoved(removed);
        let heads = self.follow(vec![attesting(removed)]);
        assert!(has(&heads[0], Duty::OpenEpoch) && !has(&heads[1], Duty::OpenEpoch));
        let made = opening(&self.first).unwrap();
        assert_ne!(made.network_key, epoch);
        assert_eq!((made.epoch, made.shares.len()), (3, 2));
        self.l1.block(opened(&made), vec![]);
        for node in self.honest() {
            let head = node.catch_up(&self.l1);
            assert_eq!((head.rollup, head.has_seed), (self.head, true));
            assert!(head.is_aggregator && head.duties.is_empty());
        }
        made
    }

    fn follow(&mut self, logs: Vec<Log>) -> [Head; 2] {
        let block = self.l1.block(logs, vec![]);
        self.honest().map(|node| node.follow(&block))
    }
}

#[test]
fn what_was_forced_meanwhile_is_due_for_all() {
    let mut set = Broken::new();
    set.break_epoch(|_, _| None);
    let raw = |nonce| {
        set.alice.transaction(nonce, TxKind::Call(Address::repeat_byte(8)), OBX, Bytes::new())
    };
    let lost = set.first.set_head(set.l1.tip.hash).network_key;
    let founding = &set.first.registration.network_key;
    let readable = forced(0, sealed_to(founding, 1, &raw(1)));
    let lost = forced(1, sealed_to(&lost, 2, &raw(2)));
    set.follow(vec![readable, lost]);
    set.step_over();
    let rollup = publish(&set.second, &[&set.first, &set.second], &mut set.l1);
    // Nobody opens what was sealed to the key of the lost epoch.
    assert_eq!((rollup.header.gasUsed, rollup.header.forcedCursor), (21_000, 2));
}

#[test]
fn a_named_member_steps_over_an_epoch_that_nobody_was_given() {
    let mut set = Broken::new();
    set.break_epoch(|_, _| None);
    let made = set.step_over();
    let reader = Reader::to(&made.network_key, 12, &[&set.alice]);
    pay(&reader, &set.second, &set.alice, 1);
    let rollup = publish(&set.second, &[&set.first, &set.second], &mut set.l1);
    assert_eq!(rollup.header.parent, set.head);
    // A newcomer verifies its share against the epochs that count, and replays them.
    let (first, second) = (&set.first, &set.second);
    let fourth = join(&[first, second], &mut set.l1, TestDevice::new(4, 0), 1_000);
    assert_eq!(fourth.set_head(set.l1.tip.hash).rollup, rollup.header.hash());
    assert_eq!(paid(&reader, &fourth), Answer::Count(2));
    // The next epoch is an ordinary one, and so is the next life.
    all_follow(&[first, second, &fourth], &mut set.l1, vec![epoch_begun(4, Address::ZERO)]);
    let made = opening(second).unwrap();
    let heads = all_follow(&[first, second, &fourth], &mut set.l1, opened(&made));
    assert!(heads.iter().all(|head| head.has_seed));
    pay(&reader, first, &set.alice, 2);
    let rollup = publish(first, &[first, second, &fourth], &mut set.l1);
    let again = next_life(1, first, first.store.clone());
    assert_eq!(again.catch_up(&set.l1).rollup, rollup.header.hash());
}

#[test]
fn shares_that_do_not_open_are_rejected_before_the_epoch_is_stepped_over() {
    let mut set = Broken::new();
    let from = set.broken.registration.enclave;
    set.break_epoch(|node, _| {
        let device = TestDevice::new(666, 0);
        let seeds = [(); 2].map(|()| MasterSeed::new(Entropy(&device).secret()));
        Some(seed_theft::share_of(&seeds, node, from))
    });
    let heads = set.follow(vec![]);
    assert!(heads.iter().all(|head| head.duties == [Duty::RejectSeed]));
    let removed = MachineRemoved { machine: set.machine() };
    let removed = attesting(IAttestationVerifierEvents::MachineRemoved(removed));
    let named = epoch_begun(3, set.first.registration.enclave);
    let heads = set.follow(vec![named, removed]);
    assert!(!has(&heads[0], Duty::OpenEpoch), "for L1, members hold the seed");
    let readmitted = MachineReadmitted { machine: set.machine() };
    let mut logs = vec![attesting(IAttestationVerifierEvents::MachineReadmitted(readmitted))];
    for node in set.honest() {
        let Ok(Reply::SeedRejected(made)) = node.ask(Request::RejectSeed) else { panic!() };
        logs.push(network_log(INetworkManagement::SeedRejected {
            enclave: made.enclave,
            responder: made.responder,
            epoch: made.epoch,
        }));
    }
    set.follow(logs);
    set.step_over();
}

#[test]
fn whoever_held_a_lost_epoch_follows_the_others() {
    let mut set = Broken::new();
    set.break_epoch(|_, _| None);
    let before = next_life(3, &set.broken, TestStore::default());
    assert_ne!(before.catch_up(&set.l1).rollup, set.head, "it reads what it published");
    let made = set.step_over();
    let reader = Reader::to(&made.network_key, 12, &[&set.alice]);
    // Mended and readmitted, it is answered.
    let readmitted = MachineReadmitted { machine: set.machine() };
    let readmitted = IAttestationVerifierEvents::MachineReadmitted(readmitted);
    set.follow(vec![attesting(readmitted)]);
    let head = set.broken.catch_up(&set.l1);
    assert_eq!((head.rollup, head.has_seed), (set.head, false));
    be_answered(&[&set.first, &set.second], &mut set.l1, &set.broken);
    pay(&reader, &set.broken, &set.alice, 1);
    let nodes = [&set.first, &set.second, &set.broken];
    let rollup = publish(&set.broken, &nodes, &mut set.l1);
    assert_eq!(rollup.header.parent, set.head);
    for life in [before, next_life(3, &set.broken, set.broken.store.clone())] {
        assert_eq!(life.catch_up(&set.l1).rollup, rollup.header.hash());
    }
}

/// L1 leaves the branch on which the epoch was lost: there is none but the one who held it to read on.
#[test]
fn an_epoch_that_was_not_lost_after_all_is_read_again() {
    let mut set = Broken::new();
    set.break_epoch(|_, _| None);
    let head = set.broken.catch_up(&set.l1);
    let mut fork = L1 { salt: 7, ..set.l1.clone() };
    set.step_over();
    let lost = set.broken.catch_up(&set.l1);
    assert_eq!((lost.rollup, lost.has_seed), (set.head, false));
    // As long as the other branch may win, nothing is done twice.
    while fork.tip.number < set.l1.tip.number {
        fork.block(vec![], vec![]);
    }
    assert!(!set.broken.catch_up(&fork).has_seed);
    fork.block(vec![], vec![]);
    let again = set.broken.catch_up(&fork);
    assert_eq!((again.rollup, again.has_seed, again.is_aggregator), (head.rollup, true, true));
    let reader = Reader::to(&head.network_key, 13, &[&set.alice]);
    pay(&reader, &set.broken, &set.alice, 2);
    let rollup = publish(&set.broken, &[&set.broken], &mut fork);
    assert_eq!(rollup.header.parent, head.rollup);
    // And back, if the first branch grows again.
    while set.l1.tip.number <= fork.tip.number {
        set.follow(vec![]);
    }
    let back = set.broken.catch_up(&set.l1);
    assert_eq!((back.rollup, back.has_seed), (set.head, false));
}

#[test]
fn an_epoch_that_a_member_holds_is_never_lost() {
    let mut set = Broken::new();
    let second = set.second.registration.enclave;
    // The first is left out of an epoch that all others hold.
    let mut made = opening(&set.second).unwrap();
    made.shares.retain(|share| share.enclave != set.first.registration.enclave);
    let nodes = [&set.first, &set.second, &set.broken];
    all_follow(&nodes, &mut set.l1, opened(&made));
    let named = epoch_begun(3, set.first.registration.enclave);
    let heads = all_follow(&nodes, &mut set.l1, vec![named]);
    assert!(heads.iter().all(|head| !has(head, Duty::OpenEpoch)));
    assert!(opening(&set.first).is_err());
    // A broken TEE opens one all the same, with the seeds of the first epoch and its own: nobody
    // takes them, and the second brings the network back to what it holds.
    let device = TestDevice::new(666, 0);
    let seeds = [
        epochs::founding_seed(&set.first.registration.network_key),
        MasterSeed::new(Entropy(&device).secret()),
    ];
    let from = set.broken.registration.enclave;
    let fake = EpochOpening {
        epoch: 3,
        responder: from,
        network_key: obscuro_enclave::epochs::EpochKeys::new(seeds[1].duplicate()).network_public,
        shares: Vec::new(),
        signature: Bytes::new(),
        rank: 0,
        since: 0,
    };
    let heads = all_follow(&nodes, &mut set.l1, opened(&fake));
    assert!(heads.iter().all(|head| !head.has_seed));
    let removed = MachineRemoved { machine: set.machine() };
    let removed = attesting(IAttestationVerifierEvents::MachineRemoved(removed));
    for (opener, may) in [(set.first.registration.enclave, false), (second, true)] {
        let heads = set.follow(vec![removed.clone(), epoch_begun(4, opener)]);
        assert_eq!(heads.iter().any(|head| has(head, Duty::OpenEpoch)), may);
    }
    let made = opening(&set.second).unwrap();
    set.l1.block(opened(&made), vec![]);
    for node in set.honest() {
        let head = node.catch_up(&set.l1);
        assert_eq!((head.rollup, head.has_seed), (set.head, true));
    }
}
