//! Scripts of rounds: inputs on the left, effects on the right.

use super::*;
use Effect::*;
use alloy_primitives::{Bytes, U256, keccak256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use obscuro_protocol::{
    config::{Contracts, L1BlockId},
    lottery::{self, LotteryKey},
    rollup::signing_domain,
    secret::Secret,
};

type Step = (Input<u32>, Vec<Effect<u32>>);

const OWN: Address = Address::repeat_byte(1);
const PARENT: B256 = B256::repeat_byte(0xaa);
const RANDAO: B256 = B256::repeat_byte(0xdd);

fn proof(number: u64) -> B256 {
    B256::with_last_byte(number as u8)
}

fn round(number: u64) -> RoundId {
    RoundId { parent: PARENT, l1_proof: proof(number) }
}

fn config() -> NetworkConfig {
    let contracts =
        Contracts { rollupManagement: Address::repeat_byte(0xcc), ..Default::default() };
    NetworkConfig { l1ChainId: 1, contracts, ..Default::default() }
}

/// An aggregator, or somebody who would like to be one.
fn key(number: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(number)).unwrap()
}

fn lottery_key(number: u8) -> LotteryKey {
    LotteryKey::new(&Secret::new([number; 32]))
}

/// In a round of rollup 1.
fn lot(number: u8) -> Bytes {
    let draw = Draw { config_hash: config().hash(), number: 1, randao: RANDAO };
    lottery_key(number).prove(&draw)
}

/// The other aggregators, in the order in which they draw: the first three beat this node.
fn peers() -> Vec<u8> {
    let mut peers: Vec<u8> = (2..8).collect();
    peers.sort_by_key(|number| lottery::nonce(&lot(*number)));
    peers
}

fn head_on(parent: B256, number: u64, peers: &[u8]) -> Input<u32> {
    let peer = |number: &u8| Peer {
        enclave: key(*number).address(),
        lottery_key: lottery_key(*number).public_key(),
        host_address: String::new(),
    };
    Input::Head(Box::new(Head {
        l1: L1BlockId { number, hash: proof(number) },
        rollup: parent,
        is_aggregator: true,
        randao: RANDAO,
        peers: peers.iter().map(peer).collect(),
        ..Default::default()
    }))
}

fn head(number: u64) -> Input<u32> {
    head_on(PARENT, number, &peers())
}

fn unsigned(aggregator: Address, number: u64, nonce: U256) -> Box<SignedRollup> {
    let payload = Bytes::from(nonce.to_be_bytes_vec());
    Box::new(SignedRollup {
        header: RollupHeader {
            parent: PARENT,
            number: 1,
            l1Proof: proof(number),
            l1ProofNumber: number,
            nonce,
            aggregator,
            payloadHash: keccak256(&payload),
            ..Default::default()
        },
        signature: Bytes::new(),
        lottery_proof: Bytes::new(),
        payload,
    })
}

fn sign(by: u8, mut rollup: Box<SignedRollup>) -> Box<SignedRollup> {
    let domain = signing_domain(1, Address::repeat_byte(0xcc));
    let signature = key(by).sign_hash_sync(&rollup.header.signing_hash(&domain)).unwrap();
    rollup.signature = signature.as_bytes().to_vec().into();
    rollup
}

fn rollup_by(by: u8, number: u64) -> Box<SignedRollup> {
    let proof = lot(by);
    let mut rollup = unsigned(key(by).address(), number, lottery::nonce(&proof));
    rollup.lottery_proof = proof;
    sign(by, rollup)
}

/// The candidate of this rank among those of others.
fn rollup(rank: usize, number: u64) -> Box<SignedRollup> {
    rollup_by(peers()[rank], number)
}

/// This node's, which the first three beat.
fn own(number: u64) -> Box<SignedRollup> {
    let nonce = lottery::nonce(&lot(peers()[2])) + U256::ONE;
    unsigned(OWN, number, nonce)
}

fn sealed(number: u64) -> Input<u32> {
    Input::Sealed(round(number), Some(own(number)))
}

fn candidate(message: u32, rollup: &SignedRollup) -> Input<u32> {
    Input::Candidate(message, announced(rollup))
}

fn announced(rollup: &SignedRollup) -> Box<Announcement> {
    Box::new(Announcement::of(rollup))
}

fn gathered(number: u64) -> Input<u32> {
    Input::Gathered(round(number))
}

fn closed(number: u64) -> Input<u32> {
    Input::WindowClosed(round(number))
}

fn pulled(rollup: &SignedRollup) -> Input<u32> {
    Input::Pulled(rollup.header.hash(), Some(rollup.payload.clone()))
}

fn withheld(rollup: &SignedRollup) -> Input<u32> {
    Input::Pulled(rollup.header.hash(), None)
}

fn checked(rollup: &SignedRollup, judgement: Judgement) -> Input<u32> {
    Input::Checked(rollup.header.hash(), judgement)
}

fn passed_on(message: u32, rollup: &SignedRollup) -> Vec<Effect<u32>> {
    vec![Forward(message), Expect(rollup.header.payloadHash)]
}

fn passed_on_first(message: u32, rollup: &SignedRollup) -> Vec<Effect<u32>> {
    let number = rollup.header.l1ProofNumber;
    [passed_on(message, rollup), vec![OpenWindow(round(number))]].concat()
}

fn pull(message: u32, rollup: &SignedRollup) -> Vec<Effect<u32>> {
    vec![Pull(announced(rollup), message)]
}

/// A host that has been listening for a while.
fn listening() -> Rounds<u32> {
    let mut rounds = Rounds::new(OWN, config());
    rounds.handle(head_on(B256::repeat_byte(0xbb), 0, &peers()));
    rounds
}

fn play(script: &str, steps: Vec<Step>) {
    let mut rounds = listening();
    for (index, (input, expected)) in steps.into_iter().enumerate() {
        let described = format!("{input:?}");
        assert_eq!(rounds.handle(input), expected, "{script}, step {index}: {described}");
    }
}

/// The beginning of most scripts.
fn begun(number: u64) -> Vec<Step> {
    vec![
        (head(number), vec![Seal(round(number))]),
        (sealed(number), vec![Gossip(own(number)), OpenWindow(round(number))]),
    ]
}

fn play_on(script: &str, steps: Vec<Step>) {
    play(script, begun(5).into_iter().chain(steps).collect());
}

#[test]
fn a_lone_aggregator_does_not_wait() {
    play(
        "alone",
        vec![
            (head_on(PARENT, 5, &[]), vec![Seal(round(5))]),
            (sealed(5), vec![Publish(own(5))]),
            (Input::Work, vec![]),
            (head_on(PARENT, 5, &[]), vec![]),
            (head_on(PARENT, 6, &[]), vec![Seal(round(6))]),
        ],
    );
}

/// Rule: only what an aggregator on L1's list has signed is passed on; anybody can put a header under
/// another signature, and that hides nothing. Found by `simulator --scenario flooder`.
#[test]
fn who_may_announce() {
    let better = rollup(0, 5);
    let with = |change: fn(&mut SignedRollup)| {
        let mut changed = better.clone();
        change(&mut changed);
        changed
    };
    let author = peers()[0];
    let junk = with(|rollup| rollup.signature = Bytes::from_static(b"junk"));
    let borrowed = sign(author + 1, better.clone());
    let no_lot = with(|rollup| rollup.lottery_proof = vec![1; 48].into());
    let forged_lot = sign(
        author,
        with(|rollup| {
            rollup.lottery_proof = lot(9);
            rollup.header.nonce = lottery::nonce(&rollup.lottery_proof);
        }),
    );
    play_on(
        "forged announcements",
        vec![
            (candidate(1, &junk), vec![Reject(1)]),
            (candidate(2, &borrowed), vec![Reject(2)]),
            (candidate(3, &no_lot), vec![Reject(3)]),
            (candidate(4, &forged_lot), vec![Reject(4)]),
            (candidate(5, &rollup_by(9, 5)), vec![Reject(5)]),
            (candidate(6, &better), passed_on(6, &better)),
            (candidate(7, &junk), vec![Ignore(7)]),
            (closed(5), vec![OpenWindow(round(5))]),
        ],
    );
}

/// Rule: a candidate that loses to one already seen is not forwarded, and its payload not asked for.
#[test]
fn only_the_best_travels() {
    let [best, middle, worst] = [0, 1, 2].map(|rank| rollup(rank, 5));
    play_on(
        "ever better ones, before the announcements are gathered",
        vec![
            (candidate(1, &worst), passed_on(1, &worst)),
            (candidate(2, &middle), passed_on(2, &middle)),
            (candidate(3, &best), passed_on(3, &best)),
            (gathered(5), pull(3, &best)),
            (pulled(&best), vec![Check(best.clone())]),
            (checked(&best, Judgement::Valid), vec![]),
            (closed(5), vec![]),
        ],
    );
    play_on(
        "ever worse ones",
        vec![
            (candidate(1, &best), passed_on(1, &best)),
            (candidate(2, &middle), vec![]),
            (candidate(3, &worst), vec![]),
            (candidate(4, &worst), vec![Ignore(4)]),
            (gathered(5), pull(1, &best)),
        ],
    );
    play_on(
        "a better one comes late",
        vec![
            (candidate(1, &middle), passed_on(1, &middle)),
            (gathered(5), pull(1, &middle)),
            (candidate(2, &best), [passed_on(2, &best), pull(2, &best)].concat()),
            (pulled(&middle), vec![Check(middle.clone())]),
            (pulled(&best), vec![Check(best.clone())]),
            (checked(&middle, Judgement::Invalid), vec![]),
            (checked(&best, Judgement::Valid), vec![]),
            (closed(5), vec![]),
        ],
    );
}

/// Rule: a host publishes only in rounds that it has listened to from their beginning. Found by `simulator
/// --scenario blackout`: whoever restarted within a round published in it, whatever its nonce.
#[test]
fn the_round_of_the_start_is_only_listened_to() {
    let mut rounds: Rounds<u32> = Rounds::new(OWN, config());
    assert_eq!(rounds.handle(head(5)), []);
    assert_eq!(rounds.handle(Input::Work), []);
    let other = rollup(0, 5);
    assert_eq!(rounds.handle(candidate(1, &other)), passed_on_first(1, &other));
    assert_eq!(rounds.handle(closed(5)), []);
    assert_eq!(rounds.handle(head(6)), [Seal(round(6))]);
}

#[test]
fn the_lowest_nonce_publishes() {
    let better = rollup(0, 5);
    let worse = rollup(4, 5);
    play_on(
        "won against a worse one",
        vec![
            (candidate(1, &worse), vec![]),
            (gathered(5), vec![]),
            (closed(5), vec![Publish(own(5))]),
            (candidate(2, &better), [passed_on(2, &better), pull(2, &better)].concat()),
            (pulled(&better), vec![Check(better.clone())]),
            (checked(&better, Judgement::Valid), vec![TakeBack(own(5).header.hash())]),
        ],
    );
    for (judgement, what) in [
        (Judgement::Unknown, "the better one may not be valid: what was published stays"),
        (Judgement::Invalid, "the better one is none"),
    ] {
        play_on(
            what,
            vec![
                (gathered(5), vec![]),
                (closed(5), vec![Publish(own(5))]),
                (candidate(2, &better), [passed_on(2, &better), pull(2, &better)].concat()),
                (pulled(&better), vec![Check(better.clone())]),
                (checked(&better, judgement), vec![]),
            ],
        );
    }
    play_on(
        "lost to a better one",
        vec![
            (candidate(1, &better), passed_on(1, &better)),
            (candidate(2, &better), vec![Ignore(2)]),
            (gathered(5), pull(1, &better)),
            (pulled(&better), vec![Check(better.clone())]),
            (checked(&better, Judgement::Valid), vec![]),
            (closed(5), vec![]),
        ],
    );
    play(
        "lost before sealing: not announced",
        vec![
            (head(5), vec![Seal(round(5))]),
            (candidate(1, &better), passed_on_first(1, &better)),
            (sealed(5), vec![]),
            (gathered(5), pull(1, &better)),
            (pulled(&better), vec![Check(better.clone())]),
            (closed(5), vec![]),
            (checked(&better, Judgement::Valid), vec![]),
        ],
    );
}

/// Rule: a candidate that is none does not count, and what it suppressed competes again.
#[test]
fn only_candidates_that_stand_win() {
    let forged = rollup(0, 5);
    let compete_again = || [vec![OpenWindow(round(5))]].concat();
    play_on(
        "invalid: this node's was announced before",
        vec![
            (candidate(1, &forged), passed_on(1, &forged)),
            (gathered(5), pull(1, &forged)),
            (pulled(&forged), vec![Check(forged.clone())]),
            (closed(5), vec![]),
            (checked(&forged, Judgement::Invalid), compete_again()),
            (closed(5), vec![Publish(own(5))]),
        ],
    );
    play_on(
        "the enclave cannot tell: an enclave signed it",
        vec![
            (candidate(1, &forged), passed_on(1, &forged)),
            (gathered(5), pull(1, &forged)),
            (pulled(&forged), vec![Check(forged.clone())]),
            (checked(&forged, Judgement::Unknown), vec![]),
            (closed(5), vec![]),
        ],
    );
    let second = rollup(1, 5);
    play_on(
        "the second best is passed on then",
        vec![
            (candidate(1, &forged), passed_on(1, &forged)),
            (candidate(2, &second), vec![]),
            (gathered(5), pull(1, &forged)),
            (
                withheld(&forged),
                [passed_on(2, &second), pull(2, &second), compete_again()].concat(),
            ),
            (pulled(&second), vec![Check(second.clone())]),
            (checked(&second, Judgement::Valid), vec![]),
            (closed(5), vec![]),
            (closed(5), vec![]),
        ],
    );
    play(
        "this node's was not announced before",
        vec![
            (head(5), vec![Seal(round(5))]),
            (candidate(1, &forged), passed_on_first(1, &forged)),
            (sealed(5), vec![]),
            (gathered(5), pull(1, &forged)),
            (withheld(&forged), vec![Gossip(own(5)), OpenWindow(round(5))]),
            (closed(5), vec![]),
            (closed(5), vec![Publish(own(5))]),
        ],
    );
}

/// Rule: whoever announces what nobody can have delays a round, by a bounded time.
#[test]
fn a_withheld_payload_does_not_stop_a_round() {
    let hidden = [rollup(0, 5), rollup(1, 5)];
    play_on(
        "nobody answers",
        vec![
            (candidate(1, &hidden[0]), passed_on(1, &hidden[0])),
            (candidate(2, &hidden[1]), vec![]),
            (gathered(5), pull(1, &hidden[0])),
            // As much time again.
            (closed(5), vec![OpenWindow(round(5))]),
            (gathered(5), vec![]),
            (
                closed(5),
                [passed_on(2, &hidden[1]), pull(2, &hidden[1]), vec![OpenWindow(round(5))]]
                    .concat(),
            ),
            (closed(5), vec![OpenWindow(round(5))]),
            (closed(5), vec![Publish(own(5))]),
            (pulled(&hidden[1]), vec![]),
        ],
    );
}

#[test]
fn a_slow_seal_still_counts() {
    let other = rollup(4, 5);
    play(
        "slow seal",
        vec![
            (head(5), vec![Seal(round(5))]),
            (candidate(1, &other), passed_on_first(1, &other)),
            (closed(5), vec![]),
            (sealed(5), vec![Gossip(own(5)), Publish(own(5))]),
        ],
    );
}

#[test]
fn idle_rounds_are_taken_up_when_work_arrives() {
    play(
        "idle",
        vec![
            (head(5), vec![Seal(round(5))]),
            (Input::Sealed(round(5), None), vec![]),
            (Input::Work, vec![Seal(round(5))]),
            (Input::Work, vec![]),
            // Work that arrived meanwhile.
            (Input::Sealed(round(5), None), vec![Seal(round(5))]),
            (sealed(5), vec![Gossip(own(5)), OpenWindow(round(5))]),
            (Input::Work, vec![]),
        ],
    );
    let other = rollup(0, 5);
    play(
        "another publishes",
        vec![
            (head(5), vec![Seal(round(5))]),
            (Input::Sealed(round(5), None), vec![]),
            (candidate(1, &other), passed_on_first(1, &other)),
            (closed(5), vec![]),
            (Input::Work, vec![]),
        ],
    );
}

#[test]
fn the_round_is_replayed_on_the_next_block() {
    play_on(
        "not included",
        vec![
            (head(6), vec![Seal(round(6))]),
            // Left over from the former round.
            (closed(5), vec![]),
            (sealed(5), vec![]),
            (sealed(6), vec![Gossip(own(6)), OpenWindow(round(6))]),
            (closed(6), vec![Publish(own(6))]),
        ],
    );
    let sealed_ahead = Input::Sealed(round(5), Some(own(6)));
    play(
        "the enclave is ahead of this machine",
        vec![
            (head(5), vec![Seal(round(5))]),
            (sealed_ahead, vec![]),
            (head(6), vec![Seal(round(6))]),
        ],
    );
}

#[test]
fn a_winner_that_does_not_publish_loses_its_precedence() {
    let absent = |number| rollup(0, number);
    let mut steps = Vec::new();
    for number in [5, 6] {
        steps.extend(begun(number));
        let absent = absent(number);
        steps.extend([
            (candidate(1, &absent), passed_on(1, &absent)),
            (gathered(number), pull(1, &absent)),
            (pulled(&absent), vec![Check(absent.clone())]),
            (checked(&absent, Judgement::Valid), vec![]),
            (closed(number), vec![]),
        ]);
    }
    steps.extend(begun(7));
    steps.extend([(candidate(3, &absent(7)), vec![Ignore(3)]), (closed(7), vec![Publish(own(7))])]);
    // A new parent: everybody counts again.
    let parent = B256::repeat_byte(0xbb);
    let id = RoundId { parent, l1_proof: proof(8) };
    let author = peers()[0];
    let mut back = absent(8);
    back.header.parent = parent;
    let back = sign(author, back);
    steps.extend([
        (head_on(parent, 8, &peers()), vec![Seal(id)]),
        (candidate(4, &back), [passed_on(4, &back), vec![OpenWindow(id)]].concat()),
    ]);
    play("absent winner", steps);
}

#[test]
fn early_stale_and_foreign_candidates() {
    let early = rollup(0, 6);
    let unsigned_early = unsigned(key(peers()[1]).address(), 6, U256::ZERO);
    let mut foreign = rollup(0, 5);
    foreign.header.parent = B256::repeat_byte(0xcc);
    play(
        "early",
        vec![
            (candidate(1, &early), vec![]),
            (head(5), vec![Seal(round(5))]),
            (candidate(2, &foreign), vec![Ignore(2)]),
            (candidate(3, &rollup(0, 4)), vec![Ignore(3)]),
            (candidate(4, &own(5)), vec![Ignore(4)]),
            (candidate(5, &unsigned_early), vec![Reject(5)]),
            (candidate(6, &rollup_by(9, 6)), vec![Ignore(6)]),
            (head(6), [vec![Seal(round(6))], passed_on_first(1, &early)].concat()),
            (gathered(6), pull(1, &early)),
            // The next round begins before the payload is here.
            (head(7), vec![Seal(round(7))]),
            (pulled(&early), vec![]),
        ],
    );
}

#[test]
fn floods_are_bounded() {
    let mut rounds = listening();
    rounds.handle(head(5));
    // Many candidates of one aggregator, with its one nonce.
    let variant = |number, gas| {
        let mut rollup = rollup(0, number);
        rollup.header.gasUsed = gas;
        sign(peers()[0], rollup)
    };
    let is_taken = |effects: Vec<Effect<u32>>| !matches!(effects[..], [Ignore(_)]);
    let taken = (0..20).filter(|gas| is_taken(rounds.handle(candidate(0, &variant(5, *gas)))));
    assert_eq!(taken.count(), PER_AGGREGATOR_MAX);
    let kept = (0..20).filter(|gas| is_taken(rounds.handle(candidate(0, &variant(9, *gas)))));
    assert_eq!(kept.count(), PER_AGGREGATOR_MAX);
}

#[test]
fn whoever_is_no_aggregator_does_not_seal() {
    let mut rounds = Rounds::<u32>::new(OWN, config());
    let Input::Head(mut head) = head(5) else { unreachable!() };
    head.is_aggregator = false;
    assert_eq!(rounds.handle(Input::Head(head)), []);
    assert_eq!(rounds.handle(Input::Work), []);
}
