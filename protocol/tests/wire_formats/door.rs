//! What passes the enclave's door, and what hosts tell each other.

use super::{compare, config, header, keys::seed, messages::messages, support::Counter};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use obscuro_protocol::{
    attestation::keys_hash,
    config::L1BlockId,
    door::{
        Attestation, CarriedPayload, Carrier, DoorError, Duty, EpochOpening, ExecutionProof,
        Folded, FromEnclave, Head, L1Block, Peer, Registration, Reply, Request, Retry, RollupId,
        SeedRejected, SeedShare, Started, ToEnclave,
    },
    envelope::{open, seal},
    gossip::{Announcement, Found, Gossip, Wanted},
    keys::Label,
    l1::{EpochShare, SeedAnswer},
    padding::pad,
    rollup::{SignedRollup, Withdrawal},
    wire,
};
use serde_json::json;

fn enclave() -> Address {
    Address::repeat_byte(0x11)
}

fn newcomer() -> Address {
    Address::repeat_byte(0x12)
}

fn signature() -> Bytes {
    Bytes::from(vec![0x1b; 65])
}

fn certificates() -> Vec<Bytes> {
    vec![opaque("PCK"), opaque("PCK CA"), opaque("root")]
}

fn opaque(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn rollup() -> SignedRollup {
    SignedRollup {
        header: header(),
        signature: signature(),
        lottery_proof: opaque("lottery proof"),
        payload: opaque("payload"),
    }
}

fn block() -> L1BlockId {
    L1BlockId { number: 1_234_567, hash: keccak256("l1 block") }
}

#[test]
fn door() {
    compare(
        "door.json",
        json!({
            "requests": messages(&requests()),
            "rollupIds": messages(&[
                RollupId::Latest,
                RollupId::Number(42),
                RollupId::Hash(keccak256("rollup")),
            ]),
            "carriers": messages(&[
                Carrier::Calldata(opaque("payload")),
                Carrier::Blobs(vec![opaque("blob 0"), opaque("blob 1")]),
            ]),
            "replies": messages(&replies()),
            "duties": messages(&DUTIES),
            "errors": messages(&[
                DoorError::Retry(Retry::Start),
                DoorError::Rejected("malformed L1 header".into()),
                DoorError::Fatal("the store was altered".into()),
            ]),
            "retries": messages(&[
                Retry::Start,
                Retry::L1Block(keccak256("l1 block")),
                Retry::Receipts,
                Retry::Payload(keccak256("rollup")),
                Retry::Rollup(keccak256("rollup")),
                Retry::Seed,
                Retry::Store("disk full".into()),
                Retry::Sender,
            ]),
            "toEnclave": messages(&[
                ToEnclave::Request(Box::new(Request::Seal)),
                ToEnclave::Records(vec![Some(opaque("record")), None]),
                ToEnclave::Stored,
                ToEnclave::StoreFailed("disk full".into()),
            ]),
            "fromEnclave": messages(&[
                FromEnclave::Reply(Box::new(Reply::Accepted)),
                FromEnclave::Get(vec![keccak256("record")]),
                FromEnclave::Put(vec![(keccak256("record"), opaque("record"))]),
            ]),
        }),
    );
}

const DUTIES: [Duty; 4] = [Duty::Attest, Duty::ShareSeed, Duty::OpenEpoch, Duty::RejectSeed];

fn requests() -> Vec<Request> {
    let l1_block = L1Block {
        header: opaque("header"),
        receipts: Some(vec![opaque("receipt")]),
        payloads: vec![CarriedPayload {
            rollup: keccak256("rollup"),
            carrier: Carrier::Calldata(opaque("payload")),
        }],
    };
    let bare = L1Block { header: opaque("header"), receipts: None, payloads: vec![] };
    vec![
        Request::Start {
            config: Box::new(config()),
            identity: Some(opaque("identity")),
            snapshot: None,
        },
        Request::Register { owner: Address::repeat_byte(0xaa), l1_block: block(), genesis: true },
        Request::L1Block(Box::new(l1_block)),
        Request::L1Block(Box::new(bare)),
        Request::SetHead(keccak256("l1 block")),
        Request::Envelope(opaque("envelope")),
        Request::PeerTransactions(opaque("transactions")),
        Request::TakeTransactions,
        Request::Candidate(Box::new(rollup())),
        Request::Seal,
        Request::Attest,
        Request::SeedShares,
        Request::OpenEpoch,
        Request::RejectSeed,
        Request::Prove(keccak256("challenge")),
        Request::ProveExecution(keccak256("rollup")),
        Request::Rollup(RollupId::Number(42)),
        Request::Withdrawals(keccak256("rollup")),
        Request::Readmit(opaque("transaction")),
    ]
}

fn replies() -> Vec<Reply> {
    let started = Started {
        enclave: enclave(),
        identity: opaque("identity"),
        position: block(),
        has_seed: true,
    };
    let registration = Registration {
        quote: opaque("quote"),
        certificates: certificates(),
        enclave: enclave(),
        encryption_key: opaque("encryption key"),
        lottery_key: opaque("lottery key"),
        network_key: opaque("network key"),
        encrypted_seed: opaque("encrypted seed"),
        identity: opaque("identity"),
    };
    let folded = Folded {
        block: block(),
        identity: Some(opaque("identity")),
        is_start_over: true,
        snapshot: Some(opaque("snapshot")),
    };
    let attestation = Attestation {
        refused: Some("expired".into()),
        quote: opaque("quote"),
        certificates: certificates(),
        enclave: enclave(),
        keys_hash: keys_hash(b"encryption key", b"lottery key"),
        l1_block: 1_234_560,
    };
    let share = SeedShare {
        answer: SeedAnswer {
            enclave: newcomer(),
            responder: enclave(),
            epoch: 2,
            encryptedSeed: opaque("encrypted seed"),
            signature: signature(),
        },
        rank: 2,
        waits_since: 1_234_000,
    };
    let opening = EpochOpening {
        epoch: 2,
        responder: enclave(),
        network_key: opaque("network key"),
        shares: vec![EpochShare { enclave: newcomer(), encryptedSeed: opaque("encrypted seed") }],
        signature: signature(),
        rank: 1,
        since: 1_234_000,
    };
    let rejected = SeedRejected {
        enclave: newcomer(),
        responder: enclave(),
        epoch: 2,
        signature: signature(),
    };
    let withdrawal = Withdrawal {
        index: 5,
        asset: Address::repeat_byte(0x31),
        to: Address::repeat_byte(0x32),
        amount: U256::from(1_000_005),
    };
    vec![
        Reply::Started(started),
        Reply::Registration(Box::new(registration)),
        Reply::Folded(Box::new(folded)),
        Reply::Head(Box::new(head())),
        Reply::Envelope { reply: opaque("sealed"), accepted: Some(opaque("transaction")) },
        Reply::Accepted,
        Reply::Transactions(opaque("transactions")),
        Reply::Sealed(Some(Box::new(rollup()))),
        Reply::Sealed(None),
        Reply::Attestation(Box::new(attestation)),
        Reply::SeedShares(vec![share]),
        Reply::EpochOpening(Box::new(opening)),
        Reply::SeedRejected(rejected),
        Reply::Proof(opaque("quote")),
        Reply::Executed(ExecutionProof {
            enclave: Address::repeat_byte(0x11),
            signature: opaque("signature"),
        }),
        Reply::Rollup(Some(Box::new(header()))),
        Reply::Rollup(None),
        Reply::Withdrawals(vec![withdrawal]),
        Reply::Refused(DoorError::Retry(Retry::Payload(keccak256("rollup")))),
    ]
}

fn head() -> Head {
    Head {
        l1: block(),
        rollup: keccak256("rollup"),
        number: 42,
        included: 1_234_560,
        round: (keccak256("parent"), keccak256("l1 proof")),
        nonce: U256::from(7),
        is_aggregator: true,
        is_registered: true,
        host_address: "/ip4/192.0.2.2/tcp/9000".into(),
        duties: DUTIES.to_vec(),
        has_seed: true,
        network_key: opaque("network key"),
        peers: vec![Peer {
            enclave: enclave(),
            lottery_key: opaque("lottery key"),
            host_address: "/ip4/192.0.2.1/tcp/9000".into(),
        }],
        readers: vec!["/p2p/1".into()],
        randao: keccak256("randao"),
        forget: vec![keccak256("transaction")],
    }
}

/// The messages among hosts, and what enclaves put into the one that hosts cannot read.
#[test]
fn gossip() {
    let config_hash = config().hash();
    let transactions = vec![opaque("transaction"), opaque("another")];
    let plain = pad(&wire::encode(&transactions));
    let key = seed().derive(Label::Gossip);
    let sealed = seal(&key, &plain, config_hash.as_slice(), &mut Counter(600)).unwrap();
    assert_eq!(open(&key, &sealed, config_hash.as_slice()).unwrap(), plain);
    compare(
        "gossip.json",
        json!({
            "seed": B256::repeat_byte(7),
            "configHash": config_hash,
            "entropy": 600,
            "transactions": transactions,
            "messages": messages(&[
                Gossip::Transactions(sealed.into()),
                Gossip::Candidate(Box::new(Announcement::of(&rollup()))),
            ]),
            "wanted": messages(&[
                Wanted::Payload(keccak256("payload")),
                Wanted::Blob(keccak256("versioned hash")),
            ]),
            "found": messages(&[Found::Content(opaque("content")), Found::Nothing]),
        }),
    );
}
