//! Claims what the node's owner has earned from the pool on L2 (protocol 10.3; S2 "Reward Claiming"): prizes
//! while they are open, what is owed now and then; and on L1 the fees of newcomers that it answered (3.4). On L2 the host is a user like any other: it seals what it
//! asks and sends to the network key, with its operator's key. Not here: what is worth a claim, and when to
//! look (`plan`), and who earned what (the enclaves, L1).

mod account;
pub mod plan;
#[cfg(test)]
mod tests;

use crate::{
    l1::{L1Client, L1Error, connect},
    publisher::{self, Content, PublishError, Publisher, Purpose},
    rpc::{RpcBackend, RpcFailure},
    stop::Stop,
};
use account::Account;
use alloy_primitives::{Address, Bytes, U256};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolCall, SolValue};
use obscuro_protocol::{
    door::RollupId,
    envelope::EnvelopeError,
    l1::{
        INetworkManagement::{feesCall, withdrawFeesCall},
        IRewardPool,
    },
    rollup::RollupHeader,
};
use plan::{Due, Offer, Pace};
use std::{num::NonZeroU64, sync::Arc};
use tokio::sync::broadcast::error::RecvError;
use tracing::{info, warn};

/// Gas of `withdrawFees` on L1, a little above what it takes.
const WITHDRAWAL_GAS: u64 = 50_000;

/// How a node claims by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimOptions {
    /// What is owed is claimed at rollups whose number this divides.
    pub every: NonZeroU64,
    /// Who is paid on L2; the operator if absent.
    pub recipient: Option<Address>,
    /// Another node that passes the claims on: an aggregator's, at its JSON-RPC. A verifier has to have one.
    pub through: Option<String>,
}

impl Default for ClaimOptions {
    fn default() -> Self {
        Self { every: plan::EVERY, recipient: None, through: None }
    }
}

/// Nothing was claimed, or not all. It is tried again at the next look.
#[derive(Debug, thiserror::Error)]
enum ClaimError {
    #[error(transparent)]
    Node(#[from] RpcFailure),
    #[error("the enclave refuses: {0}")]
    Refused(String),
    #[error("the node answers what was not asked")]
    Answer,
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error("the operator's key does not sign: {0}")]
    Key(#[from] alloy_signer::Error),
    #[error(transparent)]
    L1(#[from] L1Error),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("L1 answers what was not asked")]
    L1Answer,
    #[error("the node that passes claims on: {0}")]
    Through(L1Error),
    #[error("the node that passes claims on does not take them: {0}")]
    NotPassed(String),
    #[error("{0} has too little OBX on L2 for the fees of its claims: send it some")]
    Funds(Address),
    #[error("{0} sent transactions that no rollup includes, though they can still be paid")]
    Waiting(Address),
}

/// What claims are made with.
pub struct Claims {
    /// This node.
    pub node: Arc<dyn RpcBackend>,
    /// The L1.
    pub l1: Arc<L1Client>,
    /// Who sends on L1.
    pub publisher: Publisher,
    /// Owns the node on L1, and what it earned on L2.
    pub operator: PrivateKeySigner,
    /// How.
    pub options: ClaimOptions,
    /// The end.
    pub stop: Stop,
}

impl Claims {
    /// Claims until told to stop.
    pub async fn run(self) {
        tokio::select! {
            () = self.claim() => {}
            () = self.stop.requested() => {}
        }
    }

    async fn claim(&self) {
        let mut rollups = self.node.subscribe();
        let mut pace = Pace::new(self.options.every);
        // Said once, not at every look.
        let mut said = String::new();
        let mut waiting = None;
        loop {
            let newest = match rollups.recv().await {
                Ok(header) if rollups.is_empty() => header,
                Ok(_) | Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            };
            let Some(due) = pace.at(newest.number) else { continue };
            let mut result = self.look(&newest, due, &mut waiting).await;
            if due.payment {
                result = result.and(self.withdraw_fees().await);
            }
            let complaint = result.err().map_or_else(String::new, |error| error.to_string());
            if !complaint.is_empty() && complaint != said {
                warn!("rewards are not claimed: {complaint}");
            }
            said = complaint;
        }
    }

    /// `waiting` is the nonce with which something waited at the last look.
    async fn look(
        &self,
        newest: &RollupHeader,
        due: Due,
        waiting: &mut Option<u64>,
    ) -> Result<(), ClaimError> {
        let l2 = Account::open(&*self.node, &self.operator, newest.timestamp)?;
        let nonce = l2.nonce(false).await?;
        let is_waiting = l2.nonce(true).await? != nonce;
        // What has waited since the last look may offer less than gas costs now: then what is sent takes its
        // place. What is newer is on its way.
        let former = std::mem::replace(waiting, is_waiting.then_some(nonce));
        if is_waiting && former != Some(nonce) {
            return Ok(());
        }
        let mut offers = self.prizes(&l2, newest.number).await?;
        if due.payment {
            let recipient = self.options.recipient.unwrap_or(l2.address());
            let claim = IRewardPool::claimCall { recipient };
            // What the pool would pay: less than it owes, if it does not have it.
            let paid = match l2.pool(claim.clone()).await {
                Err(ClaimError::Refused(_)) => U256::ZERO,
                paid => paid?,
            };
            offers.extend(self.offer(&l2, paid, claim).await?);
        }
        let (chosen, is_short) = plan::choose(offers, newest.baseFee, l2.balance().await?);
        for (Offer { input, amount, gas }, nonce) in chosen.into_iter().zip(nonce..) {
            let raw = l2.sign(nonce, input, gas, newest.baseFee)?;
            match self.send(&l2, raw).await {
                Err(ClaimError::Refused(_)) if is_waiting => {
                    return Err(ClaimError::Waiting(l2.address()));
                }
                sent => sent?,
            }
            info!(%amount, nonce, replaces = is_waiting, "claiming a reward on L2");
        }
        if is_short { Err(ClaimError::Funds(l2.address())) } else { Ok(()) }
    }

    /// Open prizes of this node's enclave. One is offered some rollups after the one that it is for.
    async fn prizes(&self, l2: &Account<'_>, newest: u64) -> Result<Vec<Offer>, ClaimError> {
        let open_for: u64 = l2.pool(IRewardPool::PRIZE_ROLLUPSCall {}).await?.saturating_to();
        let enclave = self.node.status().enclave;
        let mut offers = Vec::new();
        for number in newest.saturating_sub(open_for.saturating_mul(2)).max(1)..newest {
            let Some(header) = self.node.rollup(RollupId::Number(number)).await? else { continue };
            let rollup = header.hash();
            let amount = l2.pool(IRewardPool::prizeOfCall { rollup, enclave }).await?;
            if amount.is_zero() {
                continue;
            }
            // A rollup that the enclave did not execute yields none.
            let Ok(proof) = self.node.executed(rollup).await else { continue };
            let claim = IRewardPool::claimPrizeCall { rollup, enclave, signature: proof.signature };
            offers.extend(self.offer(l2, amount, claim).await?);
        }
        Ok(offers)
    }

    /// What a claim would bring, unless it is nothing or the pool would refuse it.
    async fn offer(
        &self,
        l2: &Account<'_>,
        amount: U256,
        claim: impl SolCall,
    ) -> Result<Option<Offer>, ClaimError> {
        if amount.is_zero() {
            return Ok(None);
        }
        let input: Bytes = claim.abi_encode().into();
        match l2.estimate(input.clone()).await {
            Ok(gas) => Ok(Some(Offer { input, amount, gas })),
            Err(ClaimError::Refused(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn withdraw_fees(&self) -> Result<(), ClaimError> {
        let contract = self.node.network().config.contracts.networkManagement;
        let call = feesCall { owner: self.operator.address() }.abi_encode();
        let answer = self.l1.call(contract, call.into()).await?;
        let fees = U256::abi_decode(&answer).map_err(|_| ClaimError::L1Answer)?;
        if is_worth_withdrawing(&self.l1, fees).await? {
            let input = withdrawFeesCall {}.abi_encode().into();
            let content = Content::Call { to: contract, input, value: U256::ZERO };
            self.publisher.send(Purpose::WithdrawFees, content).await?;
            info!(%fees, "withdrawing what newcomers paid for answers");
        }
        Ok(())
    }

    async fn send(&self, l2: &Account<'_>, raw: Bytes) -> Result<(), ClaimError> {
        let Some(url) = &self.options.through else { return l2.send(raw).await };
        let (tag, envelope) = l2.seal_transaction(raw)?;
        let node = connect(url).await.map_err(ClaimError::Through)?;
        let passed = node.request::<_, Bytes>("obscuro_envelope", (envelope,)).await;
        let reply = passed.map_err(|error| ClaimError::NotPassed(error.to_string()))?;
        l2.accepted(tag, &reply)
    }
}

/// Whether the fees of newcomers are worth a transaction on L1 now.
async fn is_worth_withdrawing(l1: &L1Client, fees: U256) -> Result<bool, L1Error> {
    let (prices, _) = publisher::prices(l1).await?;
    Ok(plan::is_worth(fees, WITHDRAWAL_GAS, prices.gas_price()))
}
