//! Which transactions enter the pool. Judged by published state only: a refusal tells nothing about
//! an unpublished rollup. Not here: the pool itself (`pool`).

use crate::{
    answer::{CODE_REFUSED, Failure, refused},
    executor::{ExecutionError, Reject},
    ledger::{Ledger, LedgerError},
    node::{Node, SealedTransactions, Surroundings, Unopened},
    pool::{NONCE_GAP_MAX, PoolError, Pooled},
    rollups::decode_transaction,
    view::View,
};
use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use obscuro_protocol::{
    door::{DoorError, Retry},
    limits::TRANSACTION_BYTES_MAX,
};
use std::sync::Arc;

/// A verifier tells nobody of what it takes: its users must know.
const NO_AGGREGATOR: &str = "this node is not an aggregator and cannot pass transactions on: \
     use a gateway that asks an aggregator's node";

/// L1 blocks for which what an aggregator passes on is taken. Hosts recognise what they have seen for a
/// part of that time.
const GOSSIP_AGE_BLOCKS_MAX: u64 = 64;
/// The newest seeds that are tried for what a peer says to have encrypted after this head: nobody is blamed
/// if none fits. A peer is ahead by an epoch or two.
const SEEDS_AHEAD_MAX: usize = 4;

/// Where a transaction comes from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// A session that may read these accounts.
    User(&'a [Address]),
    /// Another aggregator.
    Peer,
}

impl Source<'_> {
    /// The reason of a refusal. Whoever may not read the sender gets geth's words without numbers:
    /// a signed transaction in other hands must not tell its sender's nonce or balance.
    fn words(self, reject: &Reject, sender: Address) -> String {
        let full = reject.to_string();
        match self {
            Self::User(accounts) if accounts.contains(&sender) => full,
            _ => full.split(':').next().unwrap_or_default().to_string(),
        }
    }
}

impl Node {
    /// Takes a transaction into the pool if it could be executed on the published state: a refusal
    /// tells nothing about an unpublished rollup. `epoch` is the newest that it has seen.
    pub(crate) fn admit(
        &self,
        raw: &Bytes,
        epoch: u32,
        ledger: &Ledger<'_>,
        source: Source<'_>,
    ) -> Result<B256, Failure> {
        let view = self.chain.read().head();
        let is_user = matches!(source, Source::User(_));
        if is_user && !view.is_aggregator(self.identity.read().address()) {
            return Err(refused(CODE_REFUSED, NO_AGGREGATOR));
        }
        if raw.len() > TRANSACTION_BYTES_MAX {
            return Err(refused(CODE_REFUSED, "oversized data"));
        }
        let pooled = decode_transaction(raw.clone(), epoch, &self.checks)
            .map_err(|error| refused(CODE_REFUSED, error))?;
        if pooled.transaction.chain_id().is_none() {
            return Err(refused(
                CODE_REFUSED,
                "only replay-protected (EIP-155) transactions allowed over RPC",
            ));
        }
        let head = &view.head.header;
        match ledger.check(&view, &pooled.transaction, pooled.sender) {
            Ok(()) => {}
            Err(ExecutionError::Rejected(Reject::NonceTooHigh { state, .. })) => {
                self.admit_early(&pooled, state, &view, ledger)?;
            }
            Err(ExecutionError::Rejected(reject)) => {
                return Err(refused(CODE_REFUSED, source.words(&reject, pooled.sender)));
            }
            Err(ExecutionError::Fatal(fatal)) => return Err(LedgerError::from(fatal).into()),
        }
        let hash = pooled.hash;
        let inserted = self.pool.lock().insert(Arc::new(pooled), is_user);
        let replaced = inserted.map_err(|error| refused(CODE_REFUSED, error.to_string()))?;
        self.index.settle(replaced.into_iter().collect(), head.l1ProofNumber);
        Ok(hash)
    }

    /// A transaction that others must precede: it has to follow closely what waits already, and its
    /// sender must be able to pay it now, or the pool could be filled for nothing.
    fn admit_early(
        &self,
        pooled: &Pooled,
        nonce: u64,
        view: &View,
        ledger: &Ledger<'_>,
    ) -> Result<(), Failure> {
        let next = self.pool.lock().furthest_nonce(pooled.sender, nonce);
        if pooled.nonce > next.saturating_add(NONCE_GAP_MAX) {
            return Err(refused(CODE_REFUSED, "nonce too high"));
        }
        let account = ledger.state(view.head.header.stateRoot).account(pooled.sender)?;
        let base_fee = U256::from(ledger.next_base_fee(view));
        let gas = U256::from(pooled.transaction.gas_limit()) * base_fee;
        let cost = gas.saturating_add(pooled.transaction.value());
        if account.is_none_or(|account| account.balance < cost) {
            return Err(refused(CODE_REFUSED, "insufficient funds for gas * price + value"));
        }
        Ok(())
    }

    /// Takes a peer's transactions, each on its own merits. Old ones are somebody's recording: without
    /// a bound, it could be played again and again, and every aggregator would pass it on.
    pub fn peer_transactions(
        &self,
        sealed: &[u8],
        around: Surroundings<'_>,
    ) -> Result<(), DoorError> {
        let keys = self.keys()?;
        let opened = self.open_transactions(sealed, &keys, SEEDS_AHEAD_MAX)?;
        let head = self.chain.read().head().block.number;
        if opened.l1_number.saturating_add(GOSSIP_AGE_BLOCKS_MAX) < head {
            // Who passes it on may be honest, and one L1 block behind.
            return Err(DoorError::Retry(Retry::Sender));
        }
        let ledger = self.ledger(&keys, around.store);
        for raw in opened.raws {
            match self.admit(&raw, opened.epoch, &ledger, Source::Peer) {
                // The peer judged by another head, or the pool has it already.
                Ok(_) | Err(Failure::Refused(_) | Failure::Untimely) => {}
                Err(Failure::Door(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes back what an enclave of this network accepted in a former life: the pool becomes what it
    /// was. Nothing expires and nothing is judged again but the nonce, so that whatever was
    /// acknowledged survives, and so that the host learns nothing that it is not told anyway.
    pub fn readmit(&self, sealed: &[u8], around: Surroundings<'_>) -> Result<(), DoorError> {
        let keys = self.keys()?;
        let SealedTransactions { epoch, raws, .. } = self
            .open_transactions(sealed, &keys, usize::MAX)
            // The host is not to wait for what may never come.
            .map_err(|_| DoorError::from(Unopened::Never))?;
        let kept = keccak256(sealed);
        let head = self.chain.read().head().head.clone();
        let ledger = self.ledger(&keys, around.store);
        let state = ledger.state(head.header.stateRoot);
        for raw in raws {
            let pooled = Arc::new(
                decode_transaction(raw, epoch, &self.checks).map_err(DoorError::Rejected)?,
            );
            let account = state.account(pooled.sender).map_err(LedgerError::from)?;
            let is_past = account.is_some_and(|account| account.nonce > pooled.nonce);
            let inserted = if is_past {
                Ok(Some(pooled.clone()))
            } else {
                self.pool.lock().insert(pooled.clone(), true)
            };
            let settled = match inserted {
                Ok(settled) => settled,
                Err(PoolError::Known) => None,
                Err(PoolError::Underpriced) => Some(pooled.clone()),
                // The host brings it again in the next life.
                Err(PoolError::Full | PoolError::SenderFull) => continue,
            };
            self.index.accept(pooled.hash, kept);
            self.index.settle(settled.into_iter().collect(), head.header.l1ProofNumber);
        }
        Ok(())
    }
}
