//! What users ask and are answered inside the envelope, and the keys with which they may.

use super::{compare, config, messages::messages};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use k256::ecdsa::SigningKey;
use obscuro_protocol::{
    query::{
        At, CallRequest, LogFilter, LogInfo, Position, Query, ReceiptInfo, Refusal, Reply, Request,
        TransactionInfo,
    },
    viewing::{Authorisation, Credentials, ViewingKey, session_digest},
};
use serde_json::json;

const EXPIRES_AT: u64 = 2_000_000_000;
const L2_CHAIN: u64 = 2_908;

fn account() -> Address {
    Address::repeat_byte(0x77)
}

/// A key whose 32 bytes are all the same, and its address.
fn key(byte: u8) -> (SigningKey, Address) {
    let key = SigningKey::from_slice(&[byte; 32]).unwrap();
    let point = key.verifying_key().to_encoded_point(false);
    let address = Address::from_raw_public_key(&point.as_bytes()[1..]);
    (key, address)
}

/// Deterministic (RFC 6979).
fn sign(key: &SigningKey, digest: B256) -> Bytes {
    let (signature, recovery) = key.sign_prehash_recoverable(digest.as_slice()).unwrap();
    [signature.to_bytes().as_slice(), &[27 + recovery.to_byte()]].concat().into()
}

fn credentials() -> Credentials {
    let (owner, account) = key(0x0a);
    let (viewer, viewing_key) = key(0x0b);
    let key = ViewingKey { account, viewingKey: viewing_key, expiresAt: EXPIRES_AT };
    let signature = sign(&owner, key.signing_hash(L2_CHAIN));
    let digest = session_digest(keccak256("session"), config().hash(), EXPIRES_AT - 1);
    Credentials {
        authorisations: vec![Authorisation { key, signature }],
        expires_at: EXPIRES_AT - 1,
        signature: sign(&viewer, digest),
    }
}

#[test]
fn viewing_keys() {
    let credentials = credentials();
    let verified = credentials.verify(keccak256("session"), config().hash(), L2_CHAIN, 1);
    assert_eq!(verified.unwrap(), [key(0x0a).1]);
    compare(
        "viewing_keys.json",
        json!({
            "accountKey": B256::repeat_byte(0x0a),
            "viewingKey": B256::repeat_byte(0x0b),
            "l2ChainId": L2_CHAIN,
            "session": keccak256("session"),
            "configHash": config().hash(),
            "credentials": messages(&[credentials, Credentials::default()]),
        }),
    );
}

#[test]
fn queries() {
    compare(
        "queries.json",
        json!({
            "requests": messages(&[
                Request { credentials: credentials(), expires_at: 1_750_000_060, query: balance() },
                Request { credentials: Credentials::default(), expires_at: 0, query: balance() },
            ]),
            "queries": messages(&all_queries()),
            "at": messages(&[At::Latest, At::Number(300), At::Hash(keccak256("rollup"))]),
            "replies": messages(&all_replies()),
        }),
    );
}

fn balance() -> Query {
    Query::Balance(account(), At::Latest)
}

fn call() -> CallRequest {
    CallRequest {
        from: Some(account()),
        to: Some(Address::repeat_byte(0x78)),
        gas: Some(100_000),
        value: U256::from(1_000_000_007),
        data: Bytes::from_static(b"input"),
        access_list: AccessList(vec![AccessListItem {
            address: Address::repeat_byte(0x79),
            storage_keys: vec![keccak256("slot")],
        }]),
    }
}

fn all_queries() -> Vec<Query> {
    let filter = LogFilter {
        from: 1,
        to: 200,
        addresses: vec![Address::repeat_byte(0x78)],
        topics: [vec![], vec![keccak256("topic")], vec![], vec![]],
    };
    vec![
        Query::SendTransaction(Bytes::from_static(b"transaction")),
        balance(),
        Query::Nonce { account: account(), at: At::Number(3), pooled: true },
        Query::Code(account(), At::Hash(keccak256("rollup"))),
        Query::Storage(account(), U256::MAX, At::Latest),
        Query::Call(call(), At::Latest),
        Query::EstimateGas(CallRequest::default(), At::Latest),
        Query::Transaction(keccak256("transaction")),
        Query::Receipt(keccak256("transaction")),
        Query::Logs(filter),
        Query::Logs(LogFilter::default()),
        Query::RollupTransactions(At::Number(u64::MAX)),
    ]
}

fn position() -> Position {
    Position {
        rollup: keccak256("rollup"),
        number: 42,
        timestamp: 1_750_000_000,
        index: 3,
        base_fee: 1_000_000_000,
    }
}

fn log() -> LogInfo {
    LogInfo {
        address: Address::repeat_byte(0x78),
        topics: vec![keccak256("topic")],
        data: Bytes::from_static(b"data"),
        transaction: keccak256("transaction"),
        position: position(),
        log_index: 5,
    }
}

fn all_replies() -> Vec<Reply> {
    let transaction = TransactionInfo {
        raw: Bytes::from_static(b"transaction"),
        from: account(),
        position: Some(position()),
    };
    let waiting = TransactionInfo { position: None, ..transaction.clone() };
    let receipt = ReceiptInfo {
        transaction: keccak256("transaction"),
        transaction_type: 2,
        from: account(),
        to: None,
        contract: Some(Address::repeat_byte(0x78)),
        success: true,
        gas_used: 53_000,
        logs: vec![log()],
        position: position(),
    };
    let refusal = Refusal {
        code: 3,
        message: "execution reverted".into(),
        data: Some(Bytes::from_static(b"reason")),
    };
    vec![
        Reply::Accepted(keccak256("transaction")),
        Reply::Value(U256::MAX),
        Reply::Count(21_000),
        Reply::Bytes(Bytes::from_static(b"code")),
        Reply::Transaction(Some(Box::new(transaction))),
        Reply::Transaction(Some(Box::new(waiting))),
        Reply::Transaction(None),
        Reply::Receipt(Some(Box::new(receipt))),
        Reply::Receipt(None),
        Reply::Logs(vec![log()]),
        Reply::Hashes(vec![keccak256("transaction")]),
        Reply::Refused(refusal),
        Reply::Refused(Refusal { code: -32_000, message: "nonce too low".into(), data: None }),
        Reply::Untimely { now: 1_750_000_000 },
    ]
}
