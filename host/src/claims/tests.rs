//! Claims against a scripted node on L2, and a scripted L1.

use super::*;
use crate::{
    l1::fake::{CHAIN_ID, FakeL1},
    publisher::{CarrierPolicy, PublisherOptions},
    rpc::{NetworkInfo, NodeProof, NodeRole, NodeStatus, RollupRef},
    stop::{self, Stopper},
    storage::Storage,
};
use alloy_consensus::{Transaction, TxEnvelope};
use alloy_eips::Decodable2718;
use alloy_primitives::B256;
use futures::{FutureExt, future::BoxFuture};
use getrandom::SysRng;
use obscuro_protocol::{
    config::{L1BlockId, NetworkConfig},
    door::ExecutionProof,
    envelope::{Received, SessionKeys},
    keys::{KemPrivateKey, MasterSeed, kem_public_key_bytes},
    query::{Query, Refusal, Reply, Request},
    rollup::Withdrawal,
    secret::Secret,
    wire,
};
use parking_lot::Mutex;
use rand_core::UnwrapErr;
use std::collections::BTreeMap;
use tokio::sync::{broadcast, watch};

const GWEI: u128 = 1_000_000_000;

/// A node whose pool owes the operator a lot, and whose mempool is like geth's.
struct FakeNode {
    key: KemPrivateKey,
    public: Bytes,
    rollups: broadcast::Sender<RollupHeader>,
    pending: Mutex<BTreeMap<u64, TxEnvelope>>,
}

impl FakeNode {
    fn new() -> Self {
        let (key, public) = MasterSeed::new(Secret::new([7; 32])).network_key();
        Self {
            key,
            public: kem_public_key_bytes(&public).into(),
            rollups: broadcast::Sender::new(4),
            pending: Mutex::default(),
        }
    }

    fn answer(&self, query: Query) -> Reply {
        let mut pending = self.pending.lock();
        match query {
            Query::Nonce { pooled: true, .. } => Reply::Count(pending.len() as u64),
            Query::Nonce { .. } => Reply::Count(0),
            Query::Balance(..) => Reply::Value(U256::from(GWEI * GWEI)),
            Query::Call(..) => Reply::Bytes(U256::from(GWEI * GWEI).abi_encode().into()),
            Query::EstimateGas(..) => Reply::Count(100_000),
            Query::SendTransaction(raw) => {
                let new = TxEnvelope::decode_2718(&mut raw.as_ref()).unwrap();
                let former = pending.get(&new.nonce()).map_or(0, TxEnvelope::max_fee_per_gas);
                if new.max_fee_per_gas() * 10 < former * 11 {
                    let message = "replacement transaction underpriced".to_owned();
                    return Reply::Refused(Refusal { code: -32_000, message, data: None });
                }
                let hash = *new.tx_hash();
                pending.insert(new.nonce(), new);
                Reply::Accepted(hash)
            }
            other => panic!("{other:?}"),
        }
    }
}

impl RpcBackend for FakeNode {
    fn network(&self) -> NetworkInfo {
        let config = NetworkConfig::default();
        let config_hash = config.hash();
        NetworkInfo { config, config_hash, network_key: self.public.clone() }
    }

    fn status(&self) -> NodeStatus {
        NodeStatus {
            role: NodeRole::Aggregator,
            enclave: Address::repeat_byte(1),
            l1: L1BlockId::default(),
            rollup: RollupRef::default(),
            peers: 0,
            has_seed: true,
            is_aggregator: true,
            claims_every: 64,
        }
    }

    fn subscribe(&self) -> broadcast::Receiver<RollupHeader> {
        self.rollups.subscribe()
    }

    fn envelope(&self, envelope: Bytes) -> BoxFuture<'_, Result<Bytes, RpcFailure>> {
        let received = Received::parse(&envelope).unwrap();
        let config_hash = self.network().config_hash;
        let keys = SessionKeys::recover(&self.key, config_hash, received.encapsulation()).unwrap();
        let plain = keys.open(&received).unwrap();
        let request: Request = wire::decode(&plain, plain.len()).unwrap();
        let reply = self.answer(request.query).encode();
        let sealed = keys.seal_reply(received.tag, &reply, &mut UnwrapErr(SysRng)).unwrap();
        std::future::ready(Ok(sealed.into())).boxed()
    }

    fn rollup(&self, _: RollupId) -> BoxFuture<'_, Result<Option<RollupHeader>, RpcFailure>> {
        std::future::ready(Ok(None)).boxed()
    }

    fn prove(&self, _: B256) -> BoxFuture<'_, Result<NodeProof, RpcFailure>> {
        unreachable!()
    }

    fn executed(&self, _: B256) -> BoxFuture<'_, Result<ExecutionProof, RpcFailure>> {
        unreachable!()
    }

    fn withdrawals(&self, _: B256) -> BoxFuture<'_, Result<Vec<Withdrawal>, RpcFailure>> {
        unreachable!()
    }
}

async fn claims(node: Arc<FakeNode>) -> (Claims, FakeL1, Stopper, tempfile::TempDir) {
    let fake = FakeL1::start().await;
    let l1 = Arc::new(L1Client::new(&fake.http(), None).unwrap());
    let (operator, directory) = (PrivateKeySigner::random(), tempfile::tempdir().unwrap());
    let (stopper, stop) = stop::signal();
    let ((_, heads), (_, followed)) = (watch::channel(None), watch::channel(None));
    let (publisher, _) = Publisher::new(PublisherOptions {
        l1: l1.clone(),
        storage: Arc::new(Storage::open(directory.path(), B256::ZERO).unwrap()),
        operator: operator.clone(),
        config: NetworkConfig { l1ChainId: CHAIN_ID, ..Default::default() },
        carrier: CarrierPolicy::Cheapest,
        max_fee_per_gas: u128::MAX,
        heads,
        followed,
        stop: stop.clone(),
    });
    let options = ClaimOptions::default();
    (Claims { node, l1, publisher, operator, options, stop }, fake, stopper, directory)
}

/// Rule: what gas costs more than a claim offers does not end claims.
#[tokio::test]
async fn a_claim_that_the_base_fee_outran_is_replaced() {
    let node = Arc::new(FakeNode::new());
    let (claims, ..) = claims(node.clone()).await;
    let mut waiting = None;
    let mut look = async |number, base_fee: u64| {
        let newest = RollupHeader { number, baseFee: base_fee, ..Default::default() };
        let result = claims.look(&newest, Due { payment: true }, &mut waiting).await;
        let pending = node.pending.lock();
        let fees: Vec<u128> = pending.values().map(TxEnvelope::max_fee_per_gas).collect();
        (fees, result.err().map_or_else(String::new, |error| error.to_string()))
    };
    assert_eq!(look(64, 1_000).await, (vec![1_250], String::new()));
    assert_eq!(look(128, 2_000).await, (vec![1_250], String::new()), "it is on its way");
    // It can still be paid: the operator is told that nobody takes it.
    let (fees, complaint) = look(192, 1_000).await;
    assert_eq!(fees, [1_250]);
    assert!(complaint.contains("no rollup includes"), "{complaint}");
    assert_eq!(look(256, 2_000).await, (vec![2_500], String::new()));
}

#[tokio::test]
async fn fees_are_withdrawn_if_they_are_worth_the_gas_with_its_priority_fee() {
    let fake = FakeL1::start().await;
    let l1 = L1Client::new(&fake.http(), None).unwrap();
    // At a base fee of one gwei; four times the price is worth it.
    for (priority_fee, least) in [(0, 200_000), (GWEI, 400_000), (20 * GWEI, 4_200_000)] {
        fake.state.lock().priority_fee = priority_fee;
        let least = U256::from(least * GWEI);
        assert!(is_worth_withdrawing(&l1, least).await.unwrap(), "{priority_fee}");
        let less = least - U256::ONE;
        assert!(!is_worth_withdrawing(&l1, less).await.unwrap(), "{priority_fee}");
    }
    assert!(!is_worth_withdrawing(&l1, U256::ZERO).await.unwrap());
}
