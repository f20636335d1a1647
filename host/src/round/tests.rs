//! Scripts of rounds: inputs on the left, effects on the right.

use super::*;
use Effect::*;
use alloy_primitives::{Bytes, U256};
use obscuro_protocol::{config::L1BlockId, door::Peer};

type Step = (Input<u32>, Vec<Effect<u32>>);

const OWN: Address = Address::repeat_byte(1);
const PARENT: B256 = B256::repeat_byte(0xaa);

fn proof(number: u64) -> B256 {
    B256::with_last_byte(number as u8)
}

fn round(number: u64) -> RoundId {
    RoundId { parent: PARENT, l1_proof: proof(number) }
}

fn peer(byte: u8) -> Address {
    Address::repeat_byte(byte)
}

fn head_on(parent: B256, number: u64, peers: usize) -> Input<u32> {
    let peer = |index| Peer { enclave: peer(index as u8 + 2), host_address: String::new() };
    Input::Head(Head {
        l1: L1BlockId { number, hash: proof(number) },
        rollup: parent,
        is_aggregator: true,
        peers: (0..peers).map(peer).collect(),
        ..Default::default()
    })
}

fn head(number: u64) -> Input<u32> {
    head_on(PARENT, number, 2)
}

fn rollup(aggregator: Address, number: u64, nonce: u64) -> Box<SignedRollup> {
    Box::new(SignedRollup {
        header: RollupHeader {
            parent: PARENT,
            number: 1,
            l1Proof: proof(number),
            l1ProofNumber: number,
            nonce: U256::from(nonce),
            aggregator,
            ..Default::default()
        },
        signature: Bytes::new(),
        lottery_proof: Bytes::new(),
        payload: Bytes::new(),
    })
}

fn own(number: u64, nonce: u64) -> Box<SignedRollup> {
    rollup(OWN, number, nonce)
}

fn sealed(number: u64, nonce: u64) -> Input<u32> {
    Input::Sealed(round(number), Some(own(number, nonce)))
}

fn candidate(message: u32, rollup: &SignedRollup) -> Input<u32> {
    Input::Candidate(message, Box::new(rollup.clone()))
}

fn checked(rollup: &SignedRollup, judgement: Judgement) -> Input<u32> {
    Input::Checked(content(rollup), judgement)
}

fn play(script: &str, steps: Vec<Step>) {
    let mut rounds = Rounds::new(OWN);
    // It has been listening for a while.
    rounds.handle(head_on(B256::repeat_byte(0xbb), 0, 2));
    for (index, (input, expected)) in steps.into_iter().enumerate() {
        let described = format!("{input:?}");
        assert_eq!(rounds.handle(input), expected, "{script}, step {index}: {described}");
    }
}

#[test]
fn a_lone_aggregator_does_not_wait() {
    play(
        "alone",
        vec![
            (head_on(PARENT, 5, 0), vec![Seal(round(5))]),
            (sealed(5, 9), vec![Publish(own(5, 9))]),
            (Input::Work, vec![]),
            (head_on(PARENT, 5, 0), vec![]),
            (head_on(PARENT, 6, 0), vec![Seal(round(6))]),
        ],
    );
}

/// Found by `simulator --scenario flooder`: peers that met the junk first published losing rollups.
#[test]
fn a_copy_with_a_bad_signature_does_not_hide_the_candidate() {
    let better = rollup(peer(2), 5, 3);
    let junk = Box::new(SignedRollup { signature: Bytes::from_static(b"junk"), ..*better.clone() });
    play(
        "the junk comes first",
        vec![
            (head(5), vec![Seal(round(5))]),
            (sealed(5, 9), vec![Gossip(own(5, 9)), OpenWindow(round(5))]),
            (candidate(1, &junk), vec![Check(junk.clone())]),
            (candidate(2, &better), vec![Check(better.clone())]),
            (checked(&junk, Judgement::Invalid), vec![Reject(1)]),
            (candidate(3, &junk), vec![Ignore(3)]),
            (checked(&better, Judgement::Valid), vec![Forward(2)]),
            (Input::WindowClosed(round(5)), vec![]),
        ],
    );
}

/// Rule: a host publishes only in rounds that it has listened to from their beginning. Found by `simulator
/// --scenario blackout`: whoever restarted within a round published in it, whatever its nonce.
#[test]
fn the_round_of_the_start_is_only_listened_to() {
    let mut rounds: Rounds<u32> = Rounds::new(OWN);
    assert_eq!(rounds.handle(head(5)), []);
    assert_eq!(rounds.handle(Input::Work), []);
    let other = rollup(peer(2), 5, 3);
    assert_eq!(rounds.handle(candidate(1, &other)), [Check(other.clone())]);
    assert_eq!(
        rounds.handle(checked(&other, Judgement::Valid)),
        [Forward(1), OpenWindow(round(5))]
    );
    assert_eq!(rounds.handle(Input::WindowClosed(round(5))), []);
    assert_eq!(rounds.handle(head(6)), [Seal(round(6))]);
}

#[test]
fn the_lowest_nonce_publishes() {
    let better = rollup(peer(2), 5, 3);
    let worse = rollup(peer(3), 5, 20);
    play(
        "won against a worse one",
        vec![
            (head(5), vec![Seal(round(5))]),
            (sealed(5, 9), vec![Gossip(own(5, 9)), OpenWindow(round(5))]),
            (candidate(1, &worse), vec![Ignore(1)]),
            (Input::WindowClosed(round(5)), vec![Publish(own(5, 9))]),
            (candidate(2, &better), vec![Check(better.clone())]),
            (checked(&better, Judgement::Valid), vec![Forward(2)]),
        ],
    );
    play(
        "lost to a better one",
        vec![
            (head(5), vec![Seal(round(5))]),
            (sealed(5, 9), vec![Gossip(own(5, 9)), OpenWindow(round(5))]),
            (candidate(1, &better), vec![Check(better.clone())]),
            (checked(&better, Judgement::Valid), vec![Forward(1)]),
            (candidate(2, &better), vec![Ignore(2)]),
            (Input::WindowClosed(round(5)), vec![]),
        ],
    );
    play(
        "lost before sealing: not gossiped",
        vec![
            (head(5), vec![Seal(round(5))]),
            (candidate(1, &better), vec![Check(better.clone())]),
            (checked(&better, Judgement::Valid), vec![Forward(1), OpenWindow(round(5))]),
            (sealed(5, 9), vec![]),
            (Input::WindowClosed(round(5)), vec![]),
        ],
    );
}

#[test]
fn only_valid_candidates_win() {
    let forged = rollup(peer(2), 5, 0);
    for (judgement, verdict) in [(Judgement::Invalid, Reject(1)), (Judgement::Unknown, Ignore(1))] {
        play(
            "forged",
            vec![
                (head(5), vec![Seal(round(5))]),
                (sealed(5, 9), vec![Gossip(own(5, 9)), OpenWindow(round(5))]),
                (candidate(1, &forged), vec![Check(forged.clone())]),
                (Input::WindowClosed(round(5)), vec![]),
                (checked(&forged, judgement), vec![verdict, Publish(own(5, 9))]),
            ],
        );
    }
    play(
        "a better one is judged when time is up",
        vec![
            (head(5), vec![Seal(round(5))]),
            (sealed(5, 9), vec![Gossip(own(5, 9)), OpenWindow(round(5))]),
            (candidate(1, &forged), vec![Check(forged.clone())]),
            (Input::WindowClosed(round(5)), vec![]),
            (checked(&forged, Judgement::Valid), vec![Forward(1)]),
        ],
    );
}

#[test]
fn a_slow_seal_still_counts() {
    let other = rollup(peer(2), 5, 30);
    play(
        "slow seal",
        vec![
            (head(5), vec![Seal(round(5))]),
            (candidate(1, &other), vec![Check(other.clone())]),
            (checked(&other, Judgement::Valid), vec![Forward(1), OpenWindow(round(5))]),
            (Input::WindowClosed(round(5)), vec![]),
            (sealed(5, 9), vec![Gossip(own(5, 9)), Publish(own(5, 9))]),
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
            (sealed(5, 9), vec![Gossip(own(5, 9)), OpenWindow(round(5))]),
            (Input::Work, vec![]),
        ],
    );
    let other = rollup(peer(2), 5, 30);
    play(
        "idle while another publishes",
        vec![
            (head(5), vec![Seal(round(5))]),
            (Input::Sealed(round(5), None), vec![]),
            (candidate(1, &other), vec![Check(other.clone())]),
            (checked(&other, Judgement::Valid), vec![Forward(1), OpenWindow(round(5))]),
            (Input::WindowClosed(round(5)), vec![]),
            (Input::Work, vec![]),
        ],
    );
}

#[test]
fn the_round_is_replayed_on_the_next_block() {
    play(
        "not included",
        vec![
            (head(5), vec![Seal(round(5))]),
            (sealed(5, 9), vec![Gossip(own(5, 9)), OpenWindow(round(5))]),
            (head(6), vec![Seal(round(6))]),
            // Left over from the former round.
            (Input::WindowClosed(round(5)), vec![]),
            (sealed(5, 9), vec![]),
            (sealed(6, 4), vec![Gossip(own(6, 4)), OpenWindow(round(6))]),
            (Input::WindowClosed(round(6)), vec![Publish(own(6, 4))]),
        ],
    );
    let sealed_ahead = Input::Sealed(round(5), Some(own(6, 4)));
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
    let absent = |number| rollup(peer(2), number, 1);
    let mut steps = Vec::new();
    for number in [5, 6] {
        steps.extend([
            (head(number), vec![Seal(round(number))]),
            (sealed(number, 9), vec![Gossip(own(number, 9)), OpenWindow(round(number))]),
            (candidate(1, &absent(number)), vec![Check(absent(number))]),
            (checked(&absent(number), Judgement::Valid), vec![Forward(1)]),
            (Input::WindowClosed(round(number)), vec![]),
        ]);
    }
    steps.extend([
        (head(7), vec![Seal(round(7))]),
        (sealed(7, 9), vec![Gossip(own(7, 9)), OpenWindow(round(7))]),
        (candidate(3, &absent(7)), vec![Ignore(3)]),
        (Input::WindowClosed(round(7)), vec![Publish(own(7, 9))]),
    ]);
    // A new parent: everybody counts again.
    let parent = B256::repeat_byte(0xbb);
    let id = RoundId { parent, l1_proof: proof(8) };
    let mut back = absent(8);
    back.header.parent = parent;
    steps.extend([
        (head_on(parent, 8, 2), vec![Seal(id)]),
        (candidate(4, &back), vec![Check(back.clone())]),
    ]);
    play("absent winner", steps);
}

#[test]
fn early_stale_and_foreign_candidates() {
    let early = rollup(peer(2), 6, 1);
    let mut foreign = rollup(peer(2), 5, 1);
    foreign.header.parent = B256::repeat_byte(0xcc);
    play(
        "early",
        vec![
            (candidate(1, &early), vec![]),
            (head(5), vec![Seal(round(5))]),
            (candidate(2, &foreign), vec![Ignore(2)]),
            (candidate(3, &rollup(peer(2), 4, 1)), vec![Ignore(3)]),
            (candidate(4, &rollup(OWN, 5, 1)), vec![Ignore(4)]),
            (head(6), vec![Seal(round(6)), Check(early.clone())]),
            // The next round begins before the judgement.
            (head(7), vec![Ignore(1), Seal(round(7))]),
            (checked(&early, Judgement::Valid), vec![]),
        ],
    );
}

#[test]
fn floods_are_bounded() {
    let mut rounds = Rounds::new(OWN);
    rounds.handle(head(5));
    let mut checks = 0;
    for index in 0..200_u64 {
        // Ever lower nonces.
        let rollup = rollup(peer(2), 5, 1_000 - index);
        let effects = rounds.handle(candidate(index as u32, &rollup));
        checks += usize::from(matches!(effects[..], [Check(_)]));
    }
    assert_eq!(checks, WAITING_MAX);
    let kept = (0..200).filter(|index| {
        let future = rollup(peer(2), 9, *index);
        rounds.handle(candidate(*index as u32, &future)).is_empty()
    });
    assert_eq!(kept.count(), EARLY_MAX);

    let mut rounds = Rounds::new(OWN);
    rounds.handle(head(5));
    let mut checks = 0;
    for nonce in (0..10).rev() {
        let rollup = rollup(peer(2), 5, nonce);
        let effects = rounds.handle(candidate(0, &rollup));
        checks += usize::from(matches!(effects[..], [Check(_)]));
        rounds.handle(checked(&rollup, Judgement::Valid));
    }
    assert_eq!(checks, PER_AGGREGATOR_MAX, "one aggregator that equivocates");
}

#[test]
fn whoever_is_no_aggregator_does_not_seal() {
    let mut rounds = Rounds::<u32>::new(OWN);
    let Input::Head(mut head) = head(5) else { unreachable!() };
    head.is_aggregator = false;
    assert_eq!(rounds.handle(Input::Head(head)), []);
    assert_eq!(rounds.handle(Input::Work), []);
}
