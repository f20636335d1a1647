//! The prosecutor against a scripted L1 and a scripted enclave.

use super::*;
use crate::{
    enclave::{ChannelError, StoreError},
    l1::{
        L1Header,
        fake::{self, CHAIN_ID, FakeL1},
    },
    publisher::{CarrierPolicy, PublisherOptions},
    stop,
    storage::Storage,
};
use alloy_consensus::Transaction;
use alloy_primitives::{Address, Bytes};
use alloy_signer_local::PrivateKeySigner;
use obscuro_protocol::{config::Contracts, rollup::RollupHeader};

const OWN: Address = Address::repeat_byte(1);
const OTHER: Address = Address::repeat_byte(2);
const OPERATOR: Address = Address::repeat_byte(3);
/// L1 blocks: more than are asked for at once, and the rollups' are not remembered.
const L1_BLOCKS: u64 = 2_100;

/// An enclave for which these rollups are canonical.
struct Canonical(Vec<RollupHeader>);

impl Enclave for Canonical {
    fn call(&self, request: Request, _: &dyn Records) -> Result<Reply, ChannelError> {
        let Request::Rollup(RollupId::Number(number)) = request else { unreachable!() };
        let found = self.0.iter().find(|header| header.number == number);
        Ok(Reply::Rollup(found.cloned().map(Box::new)))
    }
}

struct NoRecords;

impl Records for NoRecords {
    fn get(&self, _: &[B256]) -> Result<Vec<Option<Bytes>>, StoreError> {
        unreachable!()
    }

    fn put(&self, _: Vec<(B256, Bytes)>) -> Result<(), StoreError> {
        unreachable!()
    }
}

struct Court {
    l1: FakeL1,
    chain: Vec<RollupHeader>,
    followed: watch::Sender<Option<Followed>>,
    prosecutor: Prosecutor,
    _heads: watch::Sender<Option<L1Header>>,
    _stopper: stop::Stopper,
    _directory: tempfile::TempDir,
}

impl Court {
    /// A chain of five rollups, published in L1's blocks 11 to 15, all but the last by this node.
    async fn open() -> Self {
        let l1 = FakeL1::start().await;
        for _ in 0..L1_BLOCKS {
            l1.mine();
        }
        let config = NetworkConfig {
            l1ChainId: CHAIN_ID,
            forkTimeoutBlocks: 50,
            contracts: Contracts {
                rollupManagement: fake::address(7),
                networkManagement: fake::address(8),
                ..Default::default()
            },
            ..Default::default()
        };
        let mut parent = config.hash();
        let chain = (1..=5).map(|number| {
            let aggregator = if number == 5 { OTHER } else { OWN };
            let l1_proof = number + 9;
            let header = RollupHeader {
                parent,
                number,
                aggregator,
                l1ProofNumber: l1_proof,
                ..Default::default()
            };
            parent = header.hash();
            header
        });
        let chain: Vec<RollupHeader> = chain.collect();
        let directory = tempfile::tempdir().unwrap();
        let (heads, heads_in) = watch::channel(None);
        let (followed, followed_in) = watch::channel(None);
        let (stopper, stop) = stop::signal();
        let client = Arc::new(L1Client::new(&l1.http(), None).unwrap());
        let (publisher, work) = Publisher::new(PublisherOptions {
            l1: client.clone(),
            storage: Arc::new(Storage::open(directory.path(), B256::ZERO).unwrap()),
            operator: PrivateKeySigner::random(),
            config: config.clone(),
            carrier: CarrierPolicy::Cheapest,
            max_fee_per_gas: u128::MAX,
            heads: heads_in,
            followed: followed_in.clone(),
            stop: stop.clone(),
        });
        tokio::spawn(work);
        let prosecutor = Prosecutor {
            enclave: Arc::new(Canonical(chain.clone())),
            records: Arc::new(NoRecords),
            l1: client,
            publisher,
            operator: OPERATOR,
            config,
            followed: followed_in,
            stop,
        };
        let court = Self {
            l1,
            chain,
            followed,
            prosecutor,
            _heads: heads,
            _stopper: stopper,
            _directory: directory,
        };
        for header in &court.chain {
            court.publish(header.number + 10, header);
        }
        court
    }

    fn publish(&self, block: u64, header: &RollupHeader) {
        let event = RollupPublished {
            rollup: header.hash(),
            aggregator: header.aggregator,
            header: header.clone(),
            signature: Bytes::new(),
            lotteryProof: Bytes::new(),
            blobs: Vec::new(),
        };
        self.log(block, &event);
    }

    fn accuse(&self, block: u64, header: &RollupHeader) {
        self.log(
            block,
            &Accused {
                rollup: header.hash(),
                aggregator: header.aggregator,
                rival: B256::ZERO,
                accuser: OTHER,
            },
        );
    }

    fn acquit(&self, block: u64, header: &RollupHeader) {
        self.log(block, &Acquitted { rollup: header.hash(), aggregator: header.aggregator });
    }

    /// L1 says so in a block.
    fn log(&self, block: u64, event: &impl SolEvent) {
        let mut l1 = self.l1.state.lock();
        let address = self.prosecutor.config.contracts.rollupManagement;
        let inner = alloy_primitives::Log { address, data: event.encode_log_data() };
        let block_hash = l1.chain.get(block as usize).map(|header| header.hash);
        l1.logs.push(Log { inner, block_number: Some(block), block_hash, ..Default::default() });
    }

    /// L1's newest block, and the last rollup.
    fn stand(&self) -> Followed {
        let newest = self.l1.state.lock().chain.last().unwrap().clone();
        let last = self.chain.last().unwrap();
        let head = Head {
            l1: L1BlockId { number: newest.number(), hash: newest.hash },
            rollup: last.hash(),
            number: last.number,
            ..Default::default()
        };
        Followed { enclave: OWN, head, is_synced: true, life: 1 }
    }

    /// What the prosecutor sends when it has seen L1's newest block, and then its end.
    async fn sends(self) -> Vec<Bytes> {
        self.sends_as(OWN).await
    }

    /// The same with this enclave.
    async fn sends_as(self, enclave: Address) -> Vec<Bytes> {
        self.followed.send_replace(Some(Followed { enclave, ..self.stand() }));
        drop(self.followed);
        self.prosecutor.run().await;
        let l1 = self.l1.state.lock();
        l1.sent.iter().map(|transaction| transaction.input().clone()).collect()
    }
}

fn acquittal(header: &RollupHeader, survivor: &RollupHeader) -> Bytes {
    Motion::Acquit(Box::new(header.clone()), survivor.hash()).input()
}

#[tokio::test]
async fn a_node_that_starts_acquits_itself_of_whatever_it_was_accused_long_ago() {
    let court = Court::open().await;
    let [first, second, third, _, last] = &court.chain.clone()[..] else { panic!() };
    for header in [first, second, third, last] {
        court.accuse(20, header);
    }
    court.acquit(1_500, first);
    court.acquit(L1_BLOCKS, second);
    assert_eq!(court.sends().await, [acquittal(third, third)]);
}

#[tokio::test]
async fn a_node_is_acquitted_of_an_old_rollup_that_lost() {
    let court = Court::open().await;
    let winner = court.chain[2].clone();
    let loser = RollupHeader { nonce: U256::from(9), ..winner.clone() };
    court.publish(winner.number + 10, &loser);
    court.accuse(L1_BLOCKS, &loser);
    assert_eq!(court.sends().await, [acquittal(&loser, &winner)]);
}

/// A node whose enclave comes back as another leaves the former one's stake on L1.
#[tokio::test]
async fn what_a_node_was_before_is_acquitted_by_its_operator() {
    for (owner, is_acquitted) in [(OPERATOR, true), (OTHER, false)] {
        let court = Court::open().await;
        let third = court.chain[2].clone();
        court.accuse(L1_BLOCKS, &third);
        court.l1.state.lock().called = owner.into_word();
        let acquittals = if is_acquitted { vec![acquittal(&third, &third)] } else { vec![] };
        assert_eq!(court.sends_as(Address::repeat_byte(4)).await, acquittals);
    }
}
