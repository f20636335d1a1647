//! Credentials that are signed by keys the fuzzer holds, or by nobody.

#![no_main]

use alloy_primitives::{Address, B256, Bytes};
use k256::ecdsa::SigningKey;
use libfuzzer_sys::{arbitrary, fuzz_target};
use obscuro_protocol::viewing::{Authorisation, Credentials, ViewingKey, session_digest};

#[derive(arbitrary::Arbitrary, Debug)]
struct Input {
    authorisations: Vec<Signed>,
    expires_at: u64,
    now: u64,
    session: [u8; 32],
    viewing_key: u8,
    /// Instead of the viewing key's.
    signature: Option<Vec<u8>>,
}

#[derive(arbitrary::Arbitrary, Debug)]
struct Signed {
    account: u8,
    names: Option<[u8; 20]>,
    viewing_key: u8,
    expires_at: u64,
    signature: Option<Vec<u8>>,
}

/// All ones are above the order of the curve.
fn key(byte: u8) -> SigningKey {
    SigningKey::from_slice(&[1 + byte % 127; 32]).expect("a scalar")
}

fn address(byte: u8) -> Address {
    let point = key(byte).verifying_key().to_encoded_point(false);
    Address::from_raw_public_key(&point.as_bytes()[1..])
}

fn sign(byte: u8, digest: B256) -> Bytes {
    let (signature, recovery) =
        key(byte).sign_prehash_recoverable(digest.as_slice()).expect("signs");
    [signature.to_bytes().as_slice(), &[27 + recovery.to_byte()]].concat().into()
}

fn authorisation(signed: &Signed) -> Authorisation {
    let account = signed.names.map_or_else(|| address(signed.account), Address::from);
    let viewing_key = address(signed.viewing_key);
    let key = ViewingKey { account, viewingKey: viewing_key, expiresAt: signed.expires_at };
    let signature = match &signed.signature {
        Some(bytes) => bytes.clone().into(),
        None => sign(signed.account, key.signing_hash(1)),
    };
    Authorisation { key, signature }
}

fuzz_target!(|input: Input| {
    if input.authorisations.len() > 70 {
        return;
    }
    let session = B256::from(input.session);
    let signature = match &input.signature {
        Some(bytes) => bytes.clone().into(),
        None => sign(input.viewing_key, session_digest(session, B256::ZERO, input.expires_at)),
    };
    let authorisations: Vec<_> = input.authorisations.iter().map(authorisation).collect();
    let credentials = Credentials { authorisations, expires_at: input.expires_at, signature };
    let Ok(accounts) = credentials.verify(session, B256::ZERO, 1, input.now) else { return };
    if !accounts.is_empty() {
        assert!(input.expires_at > input.now);
    }
    for (account, signed) in accounts.iter().zip(&input.authorisations) {
        let is_own = *account == address(signed.account) && signed.expires_at > input.now;
        assert!(is_own || signed.signature.is_some(), "an account that did not sign");
    }
});
