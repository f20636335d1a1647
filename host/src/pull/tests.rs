//! Scripts of content that moves: inputs on the left, effects on the right.

use super::*;
use Effect::*;
use alloy_primitives::B256;

type Step = (Input<u8, u32>, Vec<Effect<u8, u32>>);

const PATIENCE: Duration = Duration::from_secs(1);

fn payload() -> Bytes {
    Bytes::from_static(b"payload")
}

fn wanted() -> Wanted {
    Wanted::Payload(keccak256(payload()))
}

fn want(sources: &[u8]) -> Input<u8, u32> {
    Input::Want(wanted(), sources.to_vec(), PATIENCE)
}

fn ask(peer: u8) -> Vec<Effect<u8, u32>> {
    vec![Ask(peer, wanted()), Effect::Patience(wanted(), PATIENCE)]
}

fn answered(peer: u8, bytes: &Bytes) -> Input<u8, u32> {
    Input::Answered(peer, wanted(), super::Answer::of(wanted(), bytes.clone()))
}

fn nothing(peer: u8) -> Input<u8, u32> {
    Input::Answered(peer, wanted(), super::Answer::Nothing)
}

fn asked(peer: u8, request: u32) -> Input<u8, u32> {
    Input::Asked(peer, request, wanted())
}

fn play(script: &str, steps: Vec<Step>) {
    let mut pulls = Pulls::default();
    for (index, (input, expected)) in steps.into_iter().enumerate() {
        let described = format!("{input:?}");
        assert_eq!(pulls.handle(input), expected, "{script}, step {index}: {described}");
    }
}

#[test]
fn whoever_brought_word_of_it_is_asked_first_and_others_when_it_fails() {
    let arrived = || vec![Arrived(wanted(), payload())];
    play("it has it", vec![(want(&[7]), ask(7)), (answered(7, &payload()), arrived())]);
    play(
        "nobody has it",
        vec![
            (Input::Neighbours(vec![1]), vec![]),
            (want(&[7]), ask(7)),
            (nothing(7), ask(1)),
            (nothing(1), vec![Missing(wanted())]),
            (want(&[]), ask(1)),
        ],
    );
    play(
        "the first is slow: the second is asked too, and the first answer counts",
        vec![
            (want(&[7, 8]), ask(7)),
            (Input::Impatient(wanted()), ask(8)),
            (Input::Impatient(wanted()), vec![]),
            (answered(7, &payload()), arrived()),
            (answered(8, &payload()), vec![]),
            (want(&[9]), arrived()),
        ],
    );
    let ages = vec![(Input::Period, vec![]), (Input::Period, vec![])];
    let given_up = vec![(Input::Period, vec![Missing(wanted())])];
    let never = [vec![(want(&[7]), ask(7))], ages, given_up].concat();
    play("nobody ever answers", never);
}

/// Many peers that give nothing do not keep content from this node: each is asked in its turn.
#[test]
fn everybody_is_asked_in_the_end() {
    const SILENT: u8 = 100;
    for answers in [true, false] {
        let mut pulls = Pulls::<u8, u32>::default();
        pulls.handle(Input::Neighbours((0..=SILENT).collect()));
        let mut waiting: VecDeque<Effect<u8, u32>> = pulls.handle(want(&[])).into();
        let (mut attempts, mut found) = (0, false);
        while attempts < 100 && !found {
            match waiting.pop_front() {
                Some(Ask(SILENT, _)) => found = true,
                Some(Ask(peer, _)) if answers => waiting.extend(pulls.handle(nothing(peer))),
                Some(Effect::Patience(..)) if !answers => {
                    waiting.extend(pulls.handle(Input::Impatient(wanted())));
                }
                Some(Missing(_)) => {
                    attempts += 1;
                    waiting.extend(pulls.handle(want(&[])));
                }
                Some(_) => {}
                None => waiting.extend(pulls.handle(Input::Period)),
            }
        }
        assert!(found, "answers: {answers}");
    }
}

/// Rule: content of another hash is refused, whoever sent it is blamed, and another is asked.
#[test]
fn a_liar_is_blamed_and_another_is_asked() {
    let lies = [
        (Bytes::from_static(b"other"), Mismatch::Payload),
        (Bytes::new(), Mismatch::Payload),
        (vec![0; PAYLOAD_BYTES_MAX + 1].into(), Mismatch::TooLong),
    ];
    for (lie, mismatch) in lies {
        play(
            "a liar",
            vec![
                (want(&[7, 8]), ask(7)),
                (answered(7, &lie), [vec![Blame(7, mismatch)], ask(8)].concat()),
                (answered(8, &payload()), vec![Arrived(wanted(), payload())]),
            ],
        );
    }
}

#[test]
fn blobs_are_compared_with_their_versioned_hash() {
    let mut blob = vec![0; BYTES_PER_BLOB];
    blob[1] = 7;
    let settings = c_kzg::ethereum_kzg_settings(0);
    let commitment = settings.blob_to_kzg_commitment(&c_kzg::Blob::from_bytes(&blob).unwrap());
    let hash = kzg_to_versioned_hash(commitment.unwrap().to_bytes().as_slice());
    let wanted = Wanted::Blob(hash);
    let overflow = vec![0xff; 32];
    let cases = [
        ("without the zeros at its end", blob[..2].to_vec(), Ok(())),
        ("whole", blob.clone(), Ok(())),
        ("altered", vec![0, 8], Err(Mismatch::Blob)),
        ("no field element", overflow, Err(Mismatch::Blob)),
        ("too long", vec![0; BYTES_PER_BLOB + 1], Err(Mismatch::TooLong)),
        ("nothing", vec![], Err(Mismatch::Blob)),
    ];
    for (name, bytes, expected) in cases {
        assert_eq!(verify(wanted, &bytes), expected, "{name}");
    }
    assert_eq!(verify(Wanted::Blob(B256::ZERO), &blob), Err(Mismatch::Blob));
}

#[test]
fn peers_are_served_and_wait_for_what_is_on_its_way() {
    let given = |request| Effect::Answer(request, Some(payload()));
    play(
        "offered",
        vec![(Input::Offer(wanted(), payload()), vec![]), (asked(1, 10), vec![given(10)])],
    );
    play(
        "on its way: asked for before this node asks, and by whom it asks",
        vec![
            (Input::Expect(wanted()), vec![]),
            (asked(1, 10), vec![]),
            (want(&[7]), ask(7)),
            (asked(2, 11), vec![]),
            (asked(7, 12), vec![LookUp(7, 12, wanted())]),
            (answered(7, &payload()), vec![Arrived(wanted(), payload()), given(10), given(11)]),
        ],
    );
    play(
        "it never comes",
        vec![
            (Input::Expect(wanted()), vec![]),
            (asked(1, 10), vec![]),
            (Input::Period, vec![]),
            (Input::Period, vec![]),
            (Input::Period, vec![Effect::Answer(10, None)]),
        ],
    );
    play(
        "in the archive, or not",
        vec![
            (asked(1, 10), vec![LookUp(1, 10, wanted())]),
            (Input::LookedUp(1, 10, Some(payload())), vec![given(10)]),
            (asked(1, 11), vec![LookUp(1, 11, wanted())]),
            (Input::LookedUp(1, 11, None), vec![Effect::Answer(11, None)]),
        ],
    );
}

#[test]
fn what_peers_take_is_bounded() {
    let mut pulls = Pulls::<u8, u32>::default();
    let large = Bytes::from(vec![1; PAYLOAD_BYTES_MAX]);
    let wanted = Wanted::Payload(keccak256(&large));
    pulls.handle(Input::Offer(wanted, large));
    let mut count = |peer| {
        let given = |effects: Vec<Effect<u8, u32>>| matches!(effects[..], [Answer(_, Some(_))]);
        (0..1_000).filter(|r| given(pulls.handle(Input::Asked(peer, *r, wanted)))).count()
    };
    let enough = (SERVED_BYTES_MAX / SHARES_MIN).div_ceil(PAYLOAD_BYTES_MAX);
    assert_eq!((count(1), count(1), count(2)), (enough, 0, enough));
    pulls.handle(Input::Neighbours((0..100).collect()));
    pulls.handle(Input::Period);
    let mut count = |peer| {
        let given = |effects: Vec<Effect<u8, u32>>| matches!(effects[..], [Answer(_, Some(_))]);
        (0..1_000).filter(|r| given(pulls.handle(Input::Asked(peer, *r, wanted)))).count()
    };
    let all: usize = (0..100).map(&mut count).sum();
    assert!(all >= 100 && all * PAYLOAD_BYTES_MAX <= SERVED_BYTES_MAX + 100 * PAYLOAD_BYTES_MAX);
    pulls.handle(Input::Period);
    assert_eq!(pulls.handle(Input::Asked(1, 0, wanted)).len(), 1);

    let expected = self::wanted();
    pulls.handle(Input::Expect(expected));
    let waits = (0..1_000).filter(|r| pulls.handle(Input::Asked(1, *r, expected)).is_empty());
    assert_eq!(waits.count(), WAITING_PER_PEER_MAX);
    // Nothing more is expected than there is room for; what is wanted then is not to be had.
    for number in 0..2 * CONTENTS_MAX as u64 {
        pulls.handle(Input::Expect(Wanted::Payload(B256::from(alloy_primitives::U256::from(
            number,
        )))));
    }
    let other = Wanted::Payload(B256::repeat_byte(9));
    assert_eq!(pulls.handle(Input::Want(other, vec![1], PATIENCE)), [Missing(other)]);
}

#[test]
fn memory_holds_the_newest() {
    let mut pulls = Pulls::<u8, u32>::default();
    let content = |number: u8| Bytes::from(vec![number; PAYLOAD_BYTES_MAX]);
    let wanted = |number| Wanted::Payload(keccak256(content(number)));
    for number in 0..100 {
        pulls.handle(Input::Offer(wanted(number), content(number)));
    }
    let is_offered = |number: &u8| pulls.offered(wanted(*number)).is_some();
    let offered: Vec<u8> = (0..100).filter(is_offered).collect();
    let room = (OFFERED_BYTES_MAX / PAYLOAD_BYTES_MAX) as u8;
    assert_eq!(offered, (100 - room..100).collect::<Vec<_>>());
}
