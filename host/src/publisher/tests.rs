//! The publisher against a scripted L1.

use super::*;
use crate::{
    l1::fake::{self, CHAIN_ID, FakeL1},
    stop::{self, Stopper},
};
use alloy_consensus::{Transaction, TxEnvelope, transaction::SignerRecoverable};
use alloy_sol_types::{SolCall, SolError};
use obscuro_protocol::{
    config::{Contracts, L1BlockId},
    door::Head,
    l1::IRollupManagement::publishCall,
    rollup::RollupHeader,
};
use revert::IManagementErrors;
use std::time::Duration;

const GWEI: u128 = 1_000_000_000;

struct Desk {
    l1: FakeL1,
    publisher: Publisher,
    operator: Address,
    storage: Arc<Storage>,
    heads: watch::Sender<Option<L1Header>>,
    followed: watch::Sender<Option<Followed>>,
    _stopper: Stopper,
    _directory: tempfile::TempDir,
}

impl Desk {
    async fn open(change: impl FnOnce(&mut PublisherOptions)) -> Self {
        let l1 = FakeL1::start().await;
        let directory = tempfile::tempdir().unwrap();
        let storage = Arc::new(Storage::open(directory.path(), B256::ZERO).unwrap());
        let (heads, heads_in) = watch::channel(Some(l1.mine()));
        let (followed, followed_in) = watch::channel(None);
        let (stopper, stop) = stop::signal();
        let operator = PrivateKeySigner::random();
        let config = NetworkConfig {
            l1ChainId: CHAIN_ID,
            contracts: Contracts { rollupManagement: fake::address(7), ..Default::default() },
            ..Default::default()
        };
        let mut options = PublisherOptions {
            l1: Arc::new(L1Client::new(&l1.http(), None).unwrap()),
            storage: storage.clone(),
            operator: operator.clone(),
            config,
            carrier: CarrierPolicy::Cheapest,
            max_fee_per_gas: 100 * GWEI,
            heads: heads_in,
            followed: followed_in,
            stop,
        };
        change(&mut options);
        let (publisher, work) = Publisher::new(options);
        tokio::spawn(work);
        let operator = operator.address();
        let _directory = directory;
        Self { l1, publisher, operator, storage, heads, followed, _stopper: stopper, _directory }
    }

    async fn call(&self, purpose: Purpose) -> Result<B256, PublishError> {
        let content =
            Content::Call { to: fake::address(5), input: [1, 2, 3].into(), value: U256::from(9) };
        self.publisher.send(purpose, content).await
    }

    fn sent(&self) -> Vec<TxEnvelope> {
        self.l1.state.lock().sent.clone()
    }

    /// L1 goes on, and the publisher has seen it.
    async fn mine(&self) {
        self.heads.send_replace(Some(self.l1.mine()));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn rollup(payload_bytes: usize) -> Box<SignedRollup> {
    rollup_on(1, payload_bytes)
}

fn rollup_on(l1_proof: u64, payload_bytes: usize) -> Box<SignedRollup> {
    let payload: Bytes = (0..payload_bytes).map(|i| (i % 251) as u8 + 1).collect();
    let header = RollupHeader {
        number: 1,
        l1ProofNumber: l1_proof,
        nonce: U256::from(7),
        payloadHash: alloy_primitives::keccak256(&payload),
        ..Default::default()
    };
    let (signature, lottery_proof) = (vec![1; 65].into(), vec![1; 48].into());
    Box::new(SignedRollup { header, signature, lottery_proof, payload })
}

#[tokio::test]
async fn sends_what_the_next_block_takes() {
    let desk = Desk::open(|_| {}).await;
    desk.l1.state.lock().nonce = 4;
    let hash = desk.call(Purpose::Register).await.unwrap();
    let [sent] = &desk.sent()[..] else { panic!() };
    assert_eq!(*sent.tx_hash(), hash);
    assert_eq!(sent.recover_signer().unwrap(), desk.operator);
    assert_eq!((sent.nonce(), sent.chain_id()), (4, Some(CHAIN_ID)));
    assert_eq!((sent.to(), sent.value()), (Some(fake::address(5)), U256::from(9)));
    assert_eq!(sent.gas_limit(), turn::gas_limit(100_000));
    assert_eq!(sent.max_fee_per_gas(), 3 * GWEI);
    assert_eq!(sent.max_priority_fee_per_gas(), Some(GWEI));
}

#[tokio::test]
async fn one_purpose_has_one_nonce() {
    let desk = Desk::open(|_| {}).await;
    desk.call(Purpose::Move).await.unwrap();
    desk.call(Purpose::Register).await.unwrap();
    desk.call(Purpose::Move).await.unwrap();
    let sent = desk.sent();
    let nonces: Vec<u64> = sent.iter().map(Transaction::nonce).collect();
    assert_eq!(nonces, [0, 1, 0]);
    assert!(sent[2].max_fee_per_gas() * 8 >= sent[0].max_fee_per_gas() * 9);
    // The first is included: the next one takes a new nonce, at the ordinary price.
    desk.l1.state.lock().nonce = 1;
    desk.call(Purpose::Move).await.unwrap();
    let last = desk.sent().pop().unwrap();
    assert_eq!((last.nonce(), last.max_fee_per_gas()), (2, 3 * GWEI));
}

#[tokio::test]
async fn what_would_revert_is_not_sent() {
    let desk = Desk::open(|_| {}).await;
    let data = IManagementErrors::AlreadyPublished { rollup: B256::ZERO }.abi_encode();
    desk.l1.state.lock().estimate = Err(("execution reverted".to_owned(), data.into()));
    let error = desk.publisher.publish(rollup(10), Vec::new()).await.unwrap_err();
    assert!(error.to_string().contains("AlreadyPublished"), "{error}");
    assert!(desk.sent().is_empty());
}

#[tokio::test]
async fn a_node_that_cannot_simulate_the_next_block_is_no_obstacle() {
    let desk = Desk::open(|_| {}).await;
    let data =
        IManagementErrors::L1ProofOutOfRange { l1ProofNumber: 1, parentIncludedAt: U256::ZERO };
    let refusal = |data: Vec<u8>| Err(("execution reverted".to_owned(), data.into()));
    desk.l1.state.lock().estimate = refusal(data.abi_encode());
    desk.publisher.publish(rollup(10), Vec::new()).await.unwrap();
    assert!(desk.sent()[0].gas_limit() >= 600_000);
    // Older than the parent's inclusion: that is a real reason.
    let data =
        IManagementErrors::L1ProofOutOfRange { l1ProofNumber: 1, parentIncludedAt: U256::from(2) };
    desk.l1.state.lock().estimate = refusal(data.abi_encode());
    assert!(desk.publisher.publish(rollup(10), Vec::new()).await.is_err());
}

#[tokio::test]
async fn unknown_transactions_in_the_way_are_outbid() {
    let desk = Desk::open(|_| {}).await;
    let underpriced = "replacement transaction underpriced";
    desk.l1.state.lock().send_errors.extend([underpriced, underpriced]);
    desk.call(Purpose::Register).await.unwrap();
    let sent = desk.sent();
    assert!(sent[0].max_fee_per_gas() >= 3 * GWEI * 81 / 64);

    desk.l1.state.lock().send_errors.extend([underpriced; 20]);
    let error = desk.call(Purpose::Move).await.unwrap_err();
    assert!(matches!(error, PublishError::TooDear(_)), "{error}");
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let desk = Desk::open(|_| {}).await;
    desk.l1.state.lock().send_errors.push_back("insufficient funds for gas * price + value");
    let error = desk.call(Purpose::Register).await.unwrap_err();
    assert_eq!(error, PublishError::Funds(desk.operator));

    desk.l1.state.lock().send_errors.push_back("already known");
    desk.call(Purpose::Register).await.unwrap();

    // Another program uses the account, or the node that counts lags behind.
    desk.l1.state.lock().send_errors.push_back("nonce too low: next nonce 2, tx nonce 1");
    desk.call(Purpose::Move).await.unwrap();
    assert_eq!(desk.sent().last().unwrap().nonce(), 2);

    let dear = Desk::open(|options| options.max_fee_per_gas = GWEI).await;
    let error = dear.call(Purpose::Register).await.unwrap_err();
    assert_eq!(error, PublishError::TooDear(GWEI));
}

#[tokio::test]
async fn overdue_transactions_are_raised() {
    let desk = Desk::open(|_| {}).await;
    desk.call(Purpose::Register).await.unwrap();
    desk.mine().await;
    assert_eq!(desk.sent().len(), 1);
    desk.mine().await;
    let sent = desk.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[1].nonce(), sent[0].nonce());
    assert!(sent[1].max_fee_per_gas() > sent[0].max_fee_per_gas());
    // Included: nothing more to do.
    desk.l1.state.lock().nonce = 1;
    for _ in 0..3 {
        desk.mine().await;
    }
    assert_eq!(desk.sent().len(), 2);
}

#[tokio::test]
async fn whatever_holds_up_others_is_raised() {
    let own = rollup(10).header;
    let l1 = L1BlockId { number: 1_000, ..Default::default() };
    let on = |rollup| Head { rollup, l1: l1.clone(), ..Default::default() };
    for (what, head) in
        [("a rollup", on(own.parent)), ("what took the place of one", on(B256::repeat_byte(3)))]
    {
        let desk = Desk::open(|_| {}).await;
        desk.publisher.publish(rollup(10), Vec::new()).await.unwrap();
        desk.call(Purpose::Prosecute).await.unwrap();
        let followed = Followed { enclave: Address::ZERO, head, is_synced: true, life: 1 };
        desk.followed.send_replace(Some(followed));
        for _ in 0..6 {
            desk.mine().await;
        }
        let sent = desk.sent();
        let fees_of = |nonce: u64| {
            let of = sent.iter().filter(|tx| TxEnvelope::nonce(tx) == nonce);
            of.map(TxEnvelope::max_fee_per_gas).collect::<Vec<_>>()
        };
        assert!(fees_of(0).len() >= 3 && fees_of(0).is_sorted(), "{what}: {:?}", fees_of(0));
        assert_eq!(fees_of(1).len(), 1, "{what}: behind it, an offer counts for nothing");
    }
}

#[tokio::test]
async fn what_others_did_first_makes_way() {
    let desk = Desk::open(|_| {}).await;
    desk.call(Purpose::Prosecute).await.unwrap();
    desk.call(Purpose::WithdrawFees).await.unwrap();
    let accused = IManagementErrors::AlreadyAccused { rollup: B256::ZERO }.abi_encode();
    desk.l1.state.lock().estimate = Err(("execution reverted".to_owned(), accused.into()));
    for _ in 0..4 {
        desk.mine().await;
    }
    let sent = desk.sent();
    let nonces: Vec<u64> = sent.iter().map(Transaction::nonce).collect();
    assert_eq!(nonces, [0, 1, 0, 0], "it makes way, and is raised like others");
    for (former, later) in [(&sent[0], &sent[2]), (&sent[2], &sent[3])] {
        assert_eq!((later.to(), later.input().len()), (Some(desk.operator), 0));
        assert_eq!(later.value(), U256::ZERO);
        assert!(later.max_fee_per_gas() > former.max_fee_per_gas());
    }
}

#[tokio::test]
async fn what_l1_has_not_included_does_not_count_against_itself() {
    let desk = Desk::open(|_| {}).await;
    desk.call(Purpose::Prosecute).await.unwrap();
    let accused = IManagementErrors::AlreadyAccused { rollup: B256::ZERO }.abi_encode();
    desk.l1.state.lock().estimate_pending =
        Some(Err(("execution reverted".to_owned(), accused.into())));
    desk.mine().await;
    desk.mine().await;
    let sent = desk.sent();
    assert_eq!(sent.len(), 2, "raised");
    assert_eq!(sent[0].input(), sent[1].input());
    // Nor does a node that answers nobody.
    desk.l1.state.lock().estimate = Err(("too many requests".to_owned(), Bytes::new()));
    desk.mine().await;
    desk.mine().await;
    assert_eq!(desk.sent().len(), 2);
}

#[tokio::test]
async fn lost_blobs_that_are_stuck_make_way_for_others() {
    let desk = Desk::open(|_| {}).await;
    desk.publisher.publish(rollup(130_000), Vec::new()).await.unwrap();
    let l1 = L1BlockId { number: desk.l1.mine().number(), ..Default::default() };
    let head = Head { rollup: B256::repeat_byte(3), l1: l1.clone(), ..Default::default() };
    let followed = |number| {
        let head = Head { l1: L1BlockId { number, ..l1.clone() }, ..head.clone() };
        Some(Followed { enclave: Address::ZERO, head, is_synced: true, life: 1 })
    };
    desk.followed.send_replace(followed(l1.number));
    desk.mine().await;
    assert_eq!(desk.sent().len(), 1, "it may still be included, as it is");
    // Long enough that whatever took its place is raised as well.
    desk.followed.send_replace(followed(1_000));
    let mining = async {
        while desk.sent().len() < 3 {
            desk.mine().await;
        }
    };
    timeout(Duration::from_secs(60), mining).await.expect("it makes way in time");
    let sent = desk.sent();
    for pair in sent.windows(2) {
        let [former, later] = pair else { unreachable!() };
        assert_eq!((later.nonce(), later.to()), (0, Some(desk.operator)));
        assert_eq!(later.blob_versioned_hashes().unwrap().len(), 1, "blobs replace blobs");
        assert!(later.max_fee_per_gas() >= 2 * former.max_fee_per_gas());
        assert!(later.max_fee_per_blob_gas() >= Some(2 * former.max_fee_per_blob_gas().unwrap()));
    }
}

#[tokio::test]
async fn what_a_reorganisation_strands_is_sent_again() {
    let desk = Desk::open(|_| {}).await;
    desk.l1.state.lock().nonce = 5;
    desk.call(Purpose::Register).await.unwrap();
    desk.l1.state.lock().nonce = 3;
    desk.mine().await;
    let nonces: Vec<u64> = desk.sent().iter().map(Transaction::nonce).collect();
    assert_eq!(nonces, [5, 3]);
}

#[tokio::test]
async fn small_payloads_travel_in_calldata() {
    let desk = Desk::open(|_| {}).await;
    let rollup = rollup(300);
    desk.publisher.publish(rollup.clone(), Vec::new()).await.unwrap();
    let [TxEnvelope::Eip1559(sent)] = &desk.sent()[..] else { panic!() };
    assert_eq!(sent.tx().to.to(), Some(&fake::address(7)));
    let call = publishCall::abi_decode(&sent.tx().input).unwrap();
    assert_eq!((call.header, call.payload), (rollup.header.clone(), rollup.payload.clone()));
    let archived = desk.storage.payload(rollup.header.payloadHash).unwrap();
    assert_eq!(archived, Some(rollup.payload));
}

#[tokio::test]
async fn large_payloads_travel_in_blobs() {
    use alloy_consensus::{SidecarCoder, SimpleCoder};
    let desk = Desk::open(|_| {}).await;
    let rollup = rollup(130_000);
    desk.publisher.publish(rollup.clone(), Vec::new()).await.unwrap();
    let [TxEnvelope::Eip4844(sent)] = &desk.sent()[..] else { panic!() };
    let sent = sent.tx().clone().try_into_4844_with_sidecar().unwrap();
    assert!(publishCall::abi_decode(&sent.tx.input).unwrap().payload.is_empty());
    let blobs = sent.sidecar.blobs().to_vec();
    assert_eq!(blobs.len(), 2);
    assert!(sent.sidecar.is_eip7594());
    let decoded = SimpleCoder::default().decode_all(&blobs).unwrap().concat();
    assert_eq!(decoded, rollup.payload);
    for (hash, blob) in sent.tx.blob_versioned_hashes.iter().zip(&blobs) {
        let archived = desk.storage.blob(*hash).unwrap().unwrap();
        assert_eq!(archived[..], blob[..]);
    }
    // A replacement keeps its kind and pays double.
    let next = self::rollup_on(desk.l1.mine().number(), 300);
    desk.publisher.publish(next, Vec::new()).await.unwrap();
    let last = desk.sent().pop().unwrap();
    assert!(last.is_eip4844());
    assert!(last.max_fee_per_gas() >= 2 * sent.tx.max_fee_per_gas);
    assert!(last.max_fee_per_blob_gas() >= Some(2 * sent.tx.max_fee_per_blob_gas));
}

#[tokio::test]
async fn a_late_sibling_is_not_paid_for() {
    let desk = Desk::open(|_| {}).await;
    let head = |rollup| {
        let l1 = L1BlockId { number: 9, ..Default::default() };
        let head = Head { rollup, l1, ..Default::default() };
        Some(Followed { enclave: Address::ZERO, head, is_synced: true, life: 1 })
    };
    desk.followed.send_replace(head(B256::repeat_byte(3)));
    assert_eq!(desk.publisher.publish(rollup(10), Vec::new()).await, Err(PublishError::Late));
    desk.followed.send_replace(head(B256::ZERO));
    desk.publisher.publish(rollup(10), Vec::new()).await.unwrap();
}

#[tokio::test]
async fn a_rollup_on_its_way_is_given_one_block() {
    let desk = Desk::open(|_| {}).await;
    desk.l1.mine();
    // Sent on top of block 2, though it was sealed on block 1.
    desk.publisher.publish(rollup_on(1, 10), Vec::new()).await.unwrap();
    assert_eq!(
        desk.publisher.publish(rollup_on(2, 10), Vec::new()).await,
        Err(PublishError::Underway)
    );
    desk.l1.mine();
    desk.publisher.publish(rollup_on(3, 10), Vec::new()).await.unwrap();
    let nonces: Vec<u64> = desk.sent().iter().map(Transaction::nonce).collect();
    assert_eq!(nonces, [0, 0]);
}

#[tokio::test]
async fn a_rollup_that_has_lost_is_taken_back() {
    let own = rollup(10).header;
    // Far enough ahead that nobody waits for it.
    let l1 = L1BlockId { number: 1_000, ..Default::default() };
    let on = |rollup| Head { rollup, l1: l1.clone(), ..Default::default() };
    let (same, other) = (on(B256::ZERO), on(B256::repeat_byte(3)));
    let ahead = |nonce, included| Head { round: own.round(), nonce, included, ..other.clone() };
    let (lower, higher) = (own.nonce - U256::ONE, own.nonce + U256::ONE);
    // What L1 goes on from, and how many transactions there are then.
    let cases = [
        ("the round is replayed", same, 1),
        ("L1 goes on from it", on(own.hash()), 1),
        ("L1 goes on from another", other.clone(), 2),
        ("L1 goes on from the winner", ahead(lower, 999), 2),
        ("L1 goes on from one that ran ahead of it, the winner", ahead(higher, 999), 1),
        ("too late to show that one ran ahead", ahead(higher, 998), 2),
    ];
    for (what, head, count) in cases {
        let desk = Desk::open(|_| {}).await;
        desk.publisher.publish(rollup(10), Vec::new()).await.unwrap();
        let followed = Followed { enclave: Address::ZERO, head, is_synced: true, life: 1 };
        desk.followed.send_replace(Some(followed));
        desk.mine().await;
        desk.mine().await;
        let sent = desk.sent();
        assert_eq!(sent.len(), count, "{what}");
        let nonces: Vec<u64> = sent.iter().map(Transaction::nonce).collect();
        assert!(nonces.iter().all(|nonce| *nonce == 0), "{what}");
        if let [first, second] = &sent[..] {
            assert_eq!((second.to(), second.input().len()), (Some(desk.operator), 0));
            assert!(second.max_fee_per_gas() > first.max_fee_per_gas(), "a replacement");
        }
    }
}

#[tokio::test]
async fn of_several_waiting_rollups_the_newest_is_published() {
    let desk = Desk::open(|_| {}).await;
    let orders = (1..=4).map(|number| desk.publisher.publish(rollup_on(1, number), Vec::new()));
    let results = futures::future::join_all(orders).await;
    let superseded = results.iter().filter(|result| **result == Err(PublishError::Superseded));
    assert_eq!(superseded.count(), 3);
    assert!(results[3].is_ok());
    assert_eq!(desk.sent().len(), 1);
}
