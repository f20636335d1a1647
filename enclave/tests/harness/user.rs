//! Users with their wallets, and gateways that read for them.

use super::{GENESIS_TIME, Node, TestDevice, config};
use alloy_consensus::{SignableTransaction, Signed, TxEip1559, TxEnvelope, TxLegacy};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use k256::ecdsa::SigningKey;
use obscuro_protocol::{
    door::{Reply, Request},
    envelope::Session,
    keys,
    query::{Query, Reply as Answer, Request as UserRequest},
    viewing::{Authorisation, Credentials, ViewingKey, session_digest},
    wire,
};

/// A user with a wallet key.
pub struct User(pub SigningKey);

impl User {
    pub fn new(name: &str) -> Self {
        Self(SigningKey::from_slice(keccak256(name).as_slice()).unwrap())
    }

    pub fn address(&self) -> Address {
        Address::from_public_key(self.0.verifying_key())
    }

    pub fn sign(&self, digest: B256) -> Bytes {
        let (signature, recovery) = self.0.sign_prehash_recoverable(digest.as_slice()).unwrap();
        [signature.to_bytes().as_slice(), &[27 + recovery.to_byte()]].concat().into()
    }

    pub fn transaction(
        &self,
        nonce: u64,
        to: TxKind,
        value: u128,
        input: impl Into<Bytes>,
    ) -> Bytes {
        self.sign_transaction(nonce, to, value, (3_000_000, 2_000_000_000), input.into())
    }

    pub fn transaction_with_gas(&self, nonce: u64, to: TxKind, gas: u64, input: Vec<u8>) -> Bytes {
        self.sign_transaction(nonce, to, 0, (gas, 2_000_000_000), input.into())
    }

    /// A plain transfer of nothing that offers this much per gas.
    pub fn transaction_with_fee(&self, nonce: u64, to: TxKind, fee: u64) -> Bytes {
        self.sign_transaction(nonce, to, 0, (21_000, fee), Bytes::new())
    }

    /// A transaction to itself, for another chain.
    pub fn of_chain(&self, nonce: u64, chain_id: u64) -> Bytes {
        self.signed(TxEip1559 {
            chain_id,
            nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 2_000_000_000,
            to: TxKind::Call(self.address()),
            ..Default::default()
        })
    }

    /// A transaction to itself, for any chain: without EIP-155.
    pub fn unprotected(&self, nonce: u64) -> Bytes {
        self.signed(TxLegacy {
            nonce,
            gas_limit: 21_000,
            gas_price: 2_000_000_000,
            to: TxKind::Call(self.address()),
            ..Default::default()
        })
    }

    fn sign_transaction(
        &self,
        nonce: u64,
        to: TxKind,
        value: u128,
        (gas, fee): (u64, u64),
        input: Bytes,
    ) -> Bytes {
        self.signed(TxEip1559 {
            chain_id: config().l2ChainId,
            nonce,
            gas_limit: gas,
            max_fee_per_gas: fee.into(),
            max_priority_fee_per_gas: 1,
            to,
            value: U256::from(value),
            input,
            ..Default::default()
        })
    }

    fn signed<T: SignableTransaction<Signature>>(&self, transaction: T) -> Bytes
    where
        TxEnvelope: From<Signed<T>>,
    {
        let signature = self.sign(transaction.signature_hash());
        let signature = Signature::try_from(signature.as_ref()).unwrap();
        TxEnvelope::from(transaction.into_signed(signature)).encoded_2718().into()
    }
}

/// A gateway that may read for some users.
pub struct Reader {
    session: Session,
    credentials: Credentials,
    device: TestDevice,
}

impl Reader {
    pub fn new(node: &Node, seed: u64, users: &[&User]) -> Self {
        Self::to(&node.registration.network_key, seed, users)
    }

    /// One that encrypts to this network key.
    pub fn to(network_key: &[u8], seed: u64, users: &[&User]) -> Self {
        let device = TestDevice::new(seed, 0);
        let key = keys::kem_public_key(network_key).unwrap();
        let session =
            Session::new(&key, config().hash(), &mut obscuro_enclave::device::Entropy(&device))
                .unwrap();
        let viewing = User::new("viewing key");
        let authorisations = users
            .iter()
            .map(|user| {
                let key = ViewingKey {
                    account: user.address(),
                    viewingKey: viewing.address(),
                    expiresAt: u64::MAX,
                };
                let signature = user.sign(key.signing_hash(config().l2ChainId));
                Authorisation { key, signature }
            })
            .collect();
        let expires_at = u64::MAX;
        let digest = session_digest(session.id(), config().hash(), expires_at);
        let credentials =
            Credentials { authorisations, expires_at, signature: viewing.sign(digest) };
        Self { session, credentials, device }
    }

    pub fn seal(&self, query: Query) -> (B256, Vec<u8>) {
        let request = UserRequest {
            credentials: self.credentials.clone(),
            expires_at: GENESIS_TIME + 3_000,
            query,
        };
        self.session
            .seal(&wire::encode(&request), &mut obscuro_enclave::device::Entropy(&self.device))
            .unwrap()
    }

    pub fn ask(&self, node: &Node, query: Query) -> Answer {
        let (tag, envelope) = self.seal(query);
        match node.ask(Request::Envelope(envelope.into())).unwrap() {
            Reply::Envelope { reply, .. } => {
                wire::decode(&self.session.open_reply(tag, &reply).unwrap(), 1 << 20).unwrap()
            }
            other => panic!("{other:?}"),
        }
    }
}
