//! The operator's L1 transactions: rollups, registration, seed shares. One task owns the account's
//! nonces. Every transaction is simulated first, so that what would revert is not paid for; offers
//! enough for the next block; and is replaced at a higher fee when it is overdue. Nothing is kept
//! across restarts or promised about inclusion: whoever wants something looks at L1 and asks again.
//! Not here: when to publish (`round`, `membership`).

pub mod carrier;
pub mod fees;
pub mod outbox;
pub mod revert;
#[cfg(test)]
mod tests;
pub mod transaction;
pub mod turn;

pub use carrier::{CarrierPolicy, load_setup};
pub use outbox::{Content, Purpose};

use crate::{
    l1::{L1Client, L1Error, L1Header, feed::Followed},
    stop::Stop,
    storage::Storage,
};
use alloy_eips::{eip1559::BaseFeeParams, eip7594::BlobTransactionSidecarEip7594};
use alloy_primitives::{Address, B256, Bytes, U128, U256};
use alloy_signer_local::PrivateKeySigner;
use carrier::Carrying;
use fees::{Fees, Prices};
use futures::future::join3;
use obscuro_protocol::{config::NetworkConfig, door::Head, l1::SeedAnswer, rollup::SignedRollup};
use outbox::{Outbox, Slot};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::timeout,
};
use tracing::{debug, info, warn};
use transaction::{Prepared, Refusal};

/// Most answers to registrations in one publication; the contract's limit.
pub const ANSWERS_MAX: usize = 16;
/// Orders that wait.
const ORDERS_MAX: usize = 64;
/// Longest wait for the enclave before something is sent.
const CATCH_UP_MAX: Duration = Duration::from_secs(1);
/// Used when the L1 node suggests no priority fee, wei.
const PRIORITY_FEE_DEFAULT: u128 = 1_000_000_000;
/// Blocks on which a transaction is simulated: what waits in the operator's queue may come before it, or L1
/// nodes count it there already.
const PENDING: &str = "pending";
const LATEST: &str = "latest";

/// A transaction that was not sent. Sorted by what the caller does next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// It would revert: see whether it is still wanted.
    #[error("it would revert: {0}")]
    Reverts(String),
    /// Its round is over: another rollup has taken its place.
    #[error("its parent is not the canonical rollup any more")]
    Late,
    /// A rollup of an earlier round on the same parent was sent a moment ago and may still make it.
    #[error("one of an earlier round is on its way")]
    Underway,
    /// There is no rollup under way that could be taken back.
    #[error("no rollup is under way that could be taken back")]
    Settled,
    /// A newer one was wanted before this one's turn came.
    #[error("a newer one takes its place")]
    Superseded,
    /// The operator's account is empty.
    #[error("the operator's L1 account {0} cannot pay: fund it with ETH")]
    Funds(Address),
    /// It would cost more than the operator allows: wait.
    #[error("L1 fees are above the limit of {0} wei per gas")]
    TooDear(u128),
    /// L1 does not take it now: ask again.
    #[error(transparent)]
    L1(#[from] L1Error),
    /// The blobs cannot be made.
    #[error("cannot make blobs: {0}")]
    Blobs(String),
    /// The publisher has stopped.
    #[error("the publisher has stopped")]
    Stopped,
}

/// What a publisher works with.
pub struct PublisherOptions {
    /// The L1.
    pub l1: Arc<L1Client>,
    /// Where blobs are archived.
    pub storage: Arc<Storage>,
    /// The operator's key.
    pub operator: PrivateKeySigner,
    /// The network.
    pub config: NetworkConfig,
    /// How payloads travel.
    pub carrier: CarrierPolicy,
    /// Most that is paid, wei per gas.
    pub max_fee_per_gas: u128,
    /// News of L1.
    pub heads: watch::Receiver<Option<L1Header>>,
    /// Where the enclave stands.
    pub followed: watch::Receiver<Option<Followed>>,
    /// The end.
    pub stop: Stop,
}

/// Where orders go. Cheap to clone.
#[derive(Clone)]
pub struct Publisher(mpsc::Sender<Order>);

struct Order {
    purpose: Purpose,
    content: Content,
    done: oneshot::Sender<Result<B256, PublishError>>,
}

impl Publisher {
    /// A publisher, and the task that does its work.
    pub fn new(options: PublisherOptions) -> (Self, impl Future<Output = ()>) {
        let (orders, taken) = mpsc::channel(ORDERS_MAX);
        let stop = options.stop.clone();
        let (outbox, reports) = (Outbox::default(), JoinSet::new());
        let desk = Desk { outbox, at: 0, reports, options };
        let work = async move {
            tokio::select! {
                () = desk.run(taken) => {}
                () = stop.requested() => {}
            }
        };
        (Self(orders), work)
    }

    /// Sends a transaction, or replaces the one under way for the same purpose; its hash.
    pub async fn send(&self, purpose: Purpose, content: Content) -> Result<B256, PublishError> {
        let (done, outcome) = oneshot::channel();
        let order = Order { purpose, content, done };
        self.0.send(order).await.map_err(|_| PublishError::Stopped)?;
        outcome.await.map_err(|_| PublishError::Stopped)?
    }

    /// Publishes a rollup, with answers to members that wait for the seed (protocol 3.5).
    pub async fn publish(
        &self,
        rollup: Box<SignedRollup>,
        answers: Vec<SeedAnswer>,
    ) -> Result<B256, PublishError> {
        self.send(Purpose::Publish, Content::Rollup(rollup, answers)).await
    }
}

struct Desk {
    options: PublisherOptions,
    outbox: Outbox,
    /// L1's head as of now.
    at: u64,
    /// What is being said in the log.
    reports: JoinSet<()>,
}

impl Desk {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut heads = self.options.heads.clone();
        heads.mark_changed();
        loop {
            tokio::select! {
                order = orders.recv() => {
                    let Some(order) = order else { return };
                    for order in waiting(order, &mut orders) {
                        let result = self.serve(order.purpose, order.content, PENDING).await;
                        // Whoever asked may have gone.
                        let _ = order.done.send(result);
                    }
                }
                changed = heads.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.at = heads.borrow_and_update().as_ref().map_or(self.at, L1Header::number);
                    if let Err(error) = self.tend().await {
                        debug!(%error, "cannot look after L1 transactions");
                    }
                }
            }
        }
    }

    fn operator(&self) -> Address {
        self.options.operator.address()
    }

    /// After each L1 block: forgets what is included, and raises what is overdue.
    async fn tend(&mut self) -> Result<(), L1Error> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        let count = self.options.l1.nonce(self.operator()).await?;
        self.settle(count);
        for slot in self.outbox.take_stranded(count) {
            if let Err(error) = self.serve(slot.purpose, slot.content, PENDING).await {
                debug!(purpose = ?slot.purpose, %error, "a stranded L1 transaction is not sent again");
            }
        }
        if let Some(slot) = self.outbox.overdue(self.at, turn::PATIENCE_BLOCKS).cloned() {
            self.raise(slot).await;
        }
        if self.outbox.find(Purpose::Publish).is_some() {
            self.take_back().await;
        }
        Ok(())
    }

    /// Offers more for the first transaction of the queue. If it would revert, others were faster, and an empty
    /// one takes its place: whatever is behind it has waited long enough.
    async fn raise(&mut self, slot: Slot) {
        let purpose = slot.purpose;
        let outcome = match self.serve(purpose, slot.content, LATEST).await {
            Err(PublishError::Reverts(reason)) => {
                info!(?purpose, reason, "taking back an overdue L1 transaction");
                self.serve(purpose, Content::Nothing(None), LATEST).await
            }
            outcome => outcome,
        };
        if let Err(error) = outcome {
            debug!(?purpose, %error, "an overdue L1 transaction is not raised");
        }
    }

    /// A rollup that has lost is taken back as long as L1 has not included it: an empty transaction takes
    /// its place, at a fraction of the price.
    async fn take_back(&mut self) {
        self.catch_up().await;
        let Some(lost) = turn::lost(&self.outbox, self.head().as_ref()) else { return };
        match self.serve(Purpose::Publish, Content::Nothing(Some(lost)), LATEST).await {
            Ok(transaction) => info!(%transaction, "taking back a rollup that has lost"),
            Err(error) => debug!(%error, "a rollup that has lost is not taken back"),
        }
    }

    fn settle(&mut self, count: u64) {
        for slot in self.outbox.settle(count) {
            let l1 = self.options.l1.clone();
            self.reports.spawn(async move { report(&l1, &slot).await });
        }
        while self.reports.try_join_next().is_some() {}
    }

    /// Sends what would not revert on top of a block, in place of what is under way for the purpose.
    async fn serve(
        &mut self,
        purpose: Purpose,
        content: Content,
        block: &'static str,
    ) -> Result<B256, PublishError> {
        let (count, prices) =
            futures::join!(self.options.l1.nonce(self.operator()), prices(&self.options.l1));
        let (count, (prices, head)) = (count?, prices?);
        self.at = head.number();
        self.settle(count);
        self.check_turn(purpose, &content)?;
        let (policy, block_gas) = (self.options.carrier, head.fields.gas_limit);
        let carrying = turn::carrying(&self.outbox, purpose, &content, &prices, policy, block_gas);
        let prepared = self.prepare(&content, carrying).await?;
        let gas = self.simulate(&prepared, block).await?;
        // Blobs take a while to make, and L1 may have moved on.
        self.catch_up().await;
        self.check_turn(purpose, &content)?;
        let offer = prices.offer(prepared.sidecar.is_some());
        let fees = match self.outbox.find(purpose) {
            Some((_, former)) => former.fees.bumped().max(offer),
            None => offer,
        };
        self.send(purpose, content, prepared, gas, fees, count).await
    }

    /// Waits a little for the enclave to have seen the newest L1 block.
    async fn catch_up(&self) {
        let newest = self.options.heads.borrow().as_ref().map_or(0, L1Header::number);
        let mut followed = self.options.followed.clone();
        let caught_up = followed.wait_for(|followed| {
            followed.as_ref().is_none_or(|followed| followed.head.l1.number >= newest)
        });
        // Whether it has or not is seen in what follows.
        let _ = timeout(CATCH_UP_MAX, caught_up).await;
    }

    /// Whether it is still worth its price.
    fn check_turn(&self, purpose: Purpose, content: &Content) -> Result<(), PublishError> {
        turn::check(&self.outbox, self.head().as_ref(), purpose, content)
    }

    /// Where the enclave stands.
    fn head(&self) -> Option<Head> {
        self.options.followed.borrow().as_ref().map(|followed| followed.head.clone())
    }

    async fn prepare(
        &self,
        content: &Content,
        carrying: Carrying,
    ) -> Result<Prepared, PublishError> {
        let (rollup, answers) = match content {
            Content::Call { to, input, value } => {
                return Ok(Prepared {
                    to: *to,
                    input: input.clone(),
                    value: *value,
                    sidecar: None,
                });
            }
            Content::Nothing(_) => {
                let sidecar = match carrying {
                    Carrying::Calldata => None,
                    Carrying::Blobs => Some(prove(Bytes::new()).await?),
                };
                return Ok(Prepared::nothing(self.operator(), sidecar));
            }
            Content::Rollup(rollup, answers) => (rollup, answers),
        };
        let sidecar = match carrying {
            Carrying::Calldata => {
                let archived = self
                    .options
                    .storage
                    .archive_payload(rollup.header.payloadHash, &rollup.payload);
                if let Err(error) = archived {
                    warn!(%error, "the payload is not archived");
                }
                None
            }
            Carrying::Blobs => Some(self.blobs(rollup.payload.clone()).await?),
        };
        Ok(Prepared {
            to: self.options.config.contracts.rollupManagement,
            input: carrier::publish_input(rollup, answers, carrying),
            value: U256::ZERO,
            sidecar,
        })
    }

    async fn blobs(&self, payload: Bytes) -> Result<BlobTransactionSidecarEip7594, PublishError> {
        let sidecar = prove(payload).await?;
        let hashes = sidecar.versioned_hashes();
        let blobs = sidecar.blobs.iter().map(|blob| Bytes::copy_from_slice(blob.as_slice()));
        let archived: Vec<(B256, Bytes)> = hashes.zip(blobs).collect();
        if let Err(error) = self.options.storage.archive_blobs(&archived) {
            warn!(%error, "the blobs are not archived");
        }
        Ok(sidecar)
    }

    /// The gas limit; an error if the transaction would revert.
    async fn simulate(
        &self,
        prepared: &Prepared,
        block: &'static str,
    ) -> Result<u64, PublishError> {
        let mut transaction = json!({
            "from": self.operator(),
            "to": prepared.to,
            "input": prepared.input,
            "value": prepared.value,
        });
        if let Some(sidecar) = &prepared.sidecar {
            let hashes: Vec<B256> = sidecar.versioned_hashes().collect();
            transaction["blobVersionedHashes"] = json!(hashes);
            transaction["maxFeePerBlobGas"] = json!(U128::from(u64::MAX));
        }
        match self.options.l1.estimate_gas(transaction, block).await {
            Ok(gas) => Ok(turn::gas_limit(gas)),
            Err(L1Error::Refused { message, data, .. })
                if !data.is_empty() || message.to_lowercase().contains("revert") =>
            {
                if turn::is_blind(&data, self.at, prepared.sidecar.is_some()) {
                    debug!(message, "the L1 node cannot simulate the next block");
                    return Ok(prepared.gas_unsimulated());
                }
                Err(PublishError::Reverts(revert::describe(&message, &data)))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn send(
        &mut self,
        purpose: Purpose,
        content: Content,
        prepared: Prepared,
        gas: u64,
        mut fees: Fees,
        mut count: u64,
    ) -> Result<B256, PublishError> {
        for _ in 0..turn::RAISES_MAX {
            if fees.max_fee > self.options.max_fee_per_gas {
                return Err(PublishError::TooDear(self.options.max_fee_per_gas));
            }
            let nonce = self.outbox.nonce(purpose, count);
            let (hash, raw) = self.sign(&prepared, nonce, gas, fees)?;
            let refusal = match self.options.l1.send(raw).await {
                Ok(_) => None,
                Err(L1Error::Refused { method, message, data }) => {
                    let error = L1Error::Refused { method, message: message.clone(), data };
                    Some((Refusal::of(&message), error))
                }
                Err(error) => return Err(error.into()),
            };
            match refusal {
                None | Some((Refusal::Known, _)) => {}
                Some((Refusal::Underpriced, _)) => {
                    // A transaction of a former life, or one that this node does not remember.
                    fees = fees.bumped();
                    continue;
                }
                // L1 was faster: there is nothing to take back.
                Some((Refusal::Past, _)) if matches!(content, Content::Nothing(_)) => {
                    return Err(PublishError::Settled);
                }
                Some((Refusal::Past, _)) => {
                    count = self.options.l1.nonce(self.operator()).await?.max(count);
                    self.settle(count);
                    if self.outbox.nonce(purpose, count) == nonce {
                        // The node that counts lags behind the one that takes transactions.
                        count = nonce + 1;
                    }
                    continue;
                }
                Some((Refusal::Funds, _)) => return Err(PublishError::Funds(self.operator())),
                Some((Refusal::Other, error)) => return Err(error.into()),
            }
            // L1 may have gone on while the transaction was being made.
            let head = self.options.heads.borrow().as_ref().map_or(0, L1Header::number);
            let sent_at = head.max(self.at);
            info!(?purpose, nonce, %hash, "sent to L1");
            self.outbox.sent(nonce, Slot { purpose, content, fees, hashes: vec![hash], sent_at });
            return Ok(hash);
        }
        Err(PublishError::TooDear(fees.max_fee))
    }

    fn sign(
        &self,
        prepared: &Prepared,
        nonce: u64,
        gas: u64,
        fees: Fees,
    ) -> Result<(B256, Bytes), PublishError> {
        let chain_id = self.options.config.l1ChainId;
        let signed = prepared.sign(&self.options.operator, chain_id, nonce, gas, fees);
        // A key in memory always signs.
        signed.map_err(|_| PublishError::Stopped)
    }
}

/// A payload in blobs.
async fn prove(payload: Bytes) -> Result<BlobTransactionSidecarEip7594, PublishError> {
    let failed = |error: &dyn std::fmt::Display| PublishError::Blobs(error.to_string());
    let made = tokio::task::spawn_blocking(move || carrier::sidecar(&payload)).await;
    made.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
}

/// Prices of the next block, and the head that it follows.
pub async fn prices(l1: &L1Client) -> Result<(Prices, L1Header), L1Error> {
    let (head, priority_fee, blob_base_fee) =
        join3(l1.latest(), l1.priority_fee(), l1.blob_base_fee()).await;
    let head = head?;
    let base_fee = head.fields.next_block_base_fee(BaseFeeParams::ethereum());
    let prices = Prices {
        base_fee: base_fee.unwrap_or_default().into(),
        priority_fee: priority_fee.unwrap_or(PRIORITY_FEE_DEFAULT),
        // An L1 that does not say has no blobs.
        blob_base_fee: blob_base_fee.unwrap_or(u128::MAX / 2),
    };
    Ok((prices, head))
}

/// An order and those behind it. Of several rollups only the newest is worth publishing.
fn waiting(first: Order, orders: &mut mpsc::Receiver<Order>) -> Vec<Order> {
    let mut waiting = vec![first];
    while let Ok(order) = orders.try_recv() {
        waiting.push(order);
    }
    let purposes: Vec<Purpose> = waiting.iter().map(|order| order.purpose).collect();
    let mut kept = Vec::with_capacity(waiting.len());
    for (order, is_superseded) in waiting.into_iter().zip(turn::superseded(&purposes)) {
        if is_superseded {
            // Whoever asked may have gone.
            let _ = order.done.send(Err(PublishError::Superseded));
        } else {
            kept.push(order);
        }
    }
    kept
}

/// Says in the log what became of a transaction.
async fn report(l1: &L1Client, slot: &Slot) {
    for hash in slot.hashes.iter().rev() {
        if let Ok(Some(receipt)) = l1.receipt(*hash).await {
            let (purpose, gas) = (slot.purpose, receipt.gas_used);
            match receipt.status() {
                true => info!(?purpose, %hash, gas, "included in L1"),
                false => warn!(?purpose, %hash, gas, "reverted on L1"),
            }
            return;
        }
    }
    debug!(purpose = ?slot.purpose, "another transaction took its nonce");
}
