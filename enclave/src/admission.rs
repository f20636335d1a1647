//! Which transactions enter the pool. Judged by published state only: a refusal tells nothing about
//! an unpublished rollup. Not here: the pool itself (`pool`).

use crate::{
    answer::{CODE_REFUSED, Failure, refused},
    executor::{ExecutionError, Reject},
    ledger::{Ledger, LedgerError},
    node::{Node, Surroundings},
    pool::NONCE_GAP_MAX,
    rollups::decode_transaction,
};
use alloy_consensus::Transaction;
use alloy_primitives::{B256, Bytes};
use obscuro_protocol::{
    door::DoorError, envelope, keys::Label, limits::TRANSACTION_BYTES_MAX, padding,
    rollup::RollupHeader, wire,
};
use std::sync::Arc;

impl Node {
    /// Takes a transaction into the pool if it could be executed on the published state: a refusal
    /// tells nothing about an unpublished rollup.
    pub(crate) fn admit(
        &self,
        raw: &Bytes,
        head: &RollupHeader,
        ledger: &Ledger<'_>,
        fresh: bool,
    ) -> Result<B256, Failure> {
        if raw.len() > TRANSACTION_BYTES_MAX {
            return Err(refused(CODE_REFUSED, "oversized data"));
        }
        let pooled =
            decode_transaction(raw.clone()).map_err(|error| refused(CODE_REFUSED, error))?;
        if pooled.transaction.chain_id().is_none() {
            return Err(refused(
                CODE_REFUSED,
                "only replay-protected (EIP-155) transactions allowed over RPC",
            ));
        }
        match ledger.check(head, &pooled.transaction, pooled.sender) {
            Ok(()) => {}
            Err(ExecutionError::Rejected(Reject::NonceTooHigh { tx, state, .. }))
                if tx - state <= NONCE_GAP_MAX => {}
            Err(ExecutionError::Rejected(reject)) => {
                return Err(refused(CODE_REFUSED, reject.to_string()));
            }
            Err(ExecutionError::Fatal(fatal)) => return Err(LedgerError::from(fatal).into()),
        }
        let hash = pooled.hash;
        let inserted = self.pool.lock().insert(Arc::new(pooled), fresh);
        inserted.map_err(|error| refused(CODE_REFUSED, error.to_string()))?;
        Ok(hash)
    }

    /// Takes a peer's transactions, each on its own merits.
    pub fn peer_transactions(
        &self,
        sealed: &[u8],
        around: Surroundings<'_>,
    ) -> Result<(), DoorError> {
        let keys = self.keys()?;
        let rejected = |_| DoorError::Rejected("peer transactions do not decrypt".into());
        let key = keys.seed.derive(Label::Gossip);
        let padded = envelope::open(&key, sealed, self.config_hash.as_slice()).map_err(rejected)?;
        let malformed = || DoorError::Rejected("peer transactions are malformed".into());
        let plain = padding::unpad(&padded).ok_or_else(malformed)?;
        let raws: Vec<Bytes> = wire::decode(plain, plain.len()).map_err(|_| malformed())?;
        let head = self.chain.read().head().head.clone();
        let ledger = self.ledger(&keys, around.store);
        for raw in raws {
            match self.admit(&raw, &head.header, &ledger, false) {
                // The peer judged by another head, or the pool has it already.
                Ok(_) | Err(Failure::Refused(_) | Failure::Untimely) => {}
                Err(Failure::Door(error)) => return Err(error),
            }
        }
        Ok(())
    }
}
