//! The operator as a user of L2: what it asks of the enclave and signs, in one session. Not here: what it
//! asks for (`claims`).

use super::ClaimError;
use crate::rpc::{NetworkInfo, RpcBackend};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, Bytes, TxKind, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolCall;
use getrandom::SysRng;
use obscuro_protocol::{
    contracts::FEE_POOL,
    envelope::{EnvelopeError, RequestTag, Session},
    fees::suggested_price,
    keys::kem_public_key,
    limits::REQUEST_LIFETIME_SECONDS_MAX,
    query::{At, CallRequest, Query, Reply, Request},
    viewing::{Authorisation, Credentials, ViewingKey, session_digest},
};
use rand_core::UnwrapErr;

/// An account in a session with this node's enclave.
pub struct Account<'a> {
    node: &'a dyn RpcBackend,
    operator: &'a PrivateKeySigner,
    chain_id: u64,
    session: Session,
    credentials: Credentials,
}

impl<'a> Account<'a> {
    /// Opens a session at a time of L1, seconds since 1970. The account's own key is its viewing key.
    pub fn open(
        node: &'a dyn RpcBackend,
        operator: &'a PrivateKeySigner,
        now: u64,
    ) -> Result<Self, ClaimError> {
        let NetworkInfo { config, config_hash, network_key } = node.network();
        let network_key = kem_public_key(&network_key).ok_or(EnvelopeError::Unopenable)?;
        let session = Session::new(&network_key, config_hash, &mut UnwrapErr(SysRng))?;
        let expires_at = now.saturating_add(REQUEST_LIFETIME_SECONDS_MAX / 2);
        let (account, chain_id) = (operator.address(), config.l2ChainId);
        let key = ViewingKey { account, viewingKey: account, expiresAt: expires_at };
        let sign = |digest| -> Result<Bytes, ClaimError> {
            Ok(operator.sign_hash_sync(&digest)?.as_bytes().to_vec().into())
        };
        let signature = sign(key.signing_hash(chain_id))?;
        let credentials = Credentials {
            authorisations: vec![Authorisation { key, signature }],
            expires_at,
            signature: sign(session_digest(session.id(), config_hash, expires_at))?,
        };
        Ok(Self { node, operator, chain_id, session, credentials })
    }

    /// Its address on both layers.
    pub fn address(&self) -> Address {
        self.operator.address()
    }

    /// Its next nonce; `pooled` counts what waits.
    pub async fn nonce(&self, pooled: bool) -> Result<u64, ClaimError> {
        let query = Query::Nonce { account: self.address(), at: At::Latest, pooled };
        match self.ask(query).await? {
            Reply::Count(nonce) => Ok(nonce),
            _ => Err(ClaimError::Answer),
        }
    }

    /// Its OBX.
    pub async fn balance(&self) -> Result<U256, ClaimError> {
        match self.ask(Query::Balance(self.address(), At::Latest)).await? {
            Reply::Value(balance) => Ok(balance),
            _ => Err(ClaimError::Answer),
        }
    }

    /// Asks the pool.
    pub async fn pool<C: SolCall>(&self, call: C) -> Result<C::Return, ClaimError> {
        match self.ask(Query::Call(self.message(call.abi_encode().into()), At::Latest)).await? {
            Reply::Bytes(output) => C::abi_decode_returns(&output).map_err(|_| ClaimError::Answer),
            _ => Err(ClaimError::Answer),
        }
    }

    /// The gas limit of a call of the pool.
    pub async fn estimate(&self, input: Bytes) -> Result<u64, ClaimError> {
        match self.ask(Query::EstimateGas(self.message(input), At::Latest)).await? {
            Reply::Count(gas) => Ok(gas),
            _ => Err(ClaimError::Answer),
        }
    }

    fn message(&self, data: Bytes) -> CallRequest {
        CallRequest { from: Some(self.address()), to: Some(FEE_POOL), data, ..Default::default() }
    }

    /// A call of the pool as a signed transaction, EIP-2718 encoded.
    pub fn sign(
        &self,
        nonce: u64,
        input: Bytes,
        gas_limit: u64,
        base_fee: u64,
    ) -> Result<Bytes, ClaimError> {
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas: suggested_price(base_fee).into(),
            to: TxKind::Call(FEE_POOL),
            input,
            ..Default::default()
        };
        let signature = self.operator.sign_hash_sync(&transaction.signature_hash())?;
        Ok(TxEnvelope::from(transaction.into_signed(signature)).encoded_2718().into())
    }

    /// Sends a transaction through this node.
    pub async fn send(&self, raw: Bytes) -> Result<(), ClaimError> {
        let (tag, envelope) = self.seal_transaction(raw)?;
        let reply = self.node.envelope(envelope).await?;
        self.accepted(tag, &reply)
    }

    /// A transaction for any aggregator's enclave. It needs no credentials.
    pub fn seal_transaction(&self, raw: Bytes) -> Result<(RequestTag, Bytes), ClaimError> {
        self.seal(Query::SendTransaction(raw), Credentials::default())
    }

    /// Whether an enclave took it, by its reply.
    pub fn accepted(&self, tag: RequestTag, reply: &[u8]) -> Result<(), ClaimError> {
        match self.open_reply(tag, reply)? {
            Reply::Accepted(_) => Ok(()),
            _ => Err(ClaimError::Answer),
        }
    }

    async fn ask(&self, query: Query) -> Result<Reply, ClaimError> {
        let (tag, envelope) = self.seal(query, self.credentials.clone())?;
        let reply = self.node.envelope(envelope).await?;
        self.open_reply(tag, &reply)
    }

    fn seal(
        &self,
        query: Query,
        credentials: Credentials,
    ) -> Result<(RequestTag, Bytes), ClaimError> {
        let request = Request { credentials, expires_at: self.credentials.expires_at, query };
        let (tag, envelope) = self.session.seal(&request.encode(), &mut UnwrapErr(SysRng))?;
        Ok((tag, envelope.into()))
    }

    fn open_reply(&self, tag: RequestTag, reply: &[u8]) -> Result<Reply, ClaimError> {
        let opened = self.session.open_reply(tag, reply)?;
        match Reply::decode(&opened).map_err(|_| ClaimError::Answer)? {
            Reply::Refused(refusal) => Err(ClaimError::Refused(refusal.message)),
            reply => Ok(reply),
        }
    }
}
