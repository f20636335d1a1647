//! Accuses whoever publishes on a fork, has it slashed when that is dead, and acquits this node (protocol
//! 10.4): drives the docket with L1's events and the enclave's verdict. At most one transaction at a time, and
//! only what L1 would take. Not here: whom (`docket`), fees (`publisher`).

#[cfg(test)]
mod tests;

use crate::{
    docket::{Docket, Event, Motion},
    enclave::{AskError, Enclave, Records, ask},
    l1::{L1Client, L1Error, feed::Followed},
    publisher::{Content, PublishError, Publisher, Purpose},
    stop::Stop,
};
use alloy_primitives::{Address, B256, U256};
use alloy_rpc_types_eth::{Filter, Log};
use alloy_sol_types::{SolCall, SolEvent};
use obscuro_protocol::{
    config::{L1BlockId, NetworkConfig},
    door::{Head, Reply, Request, RollupId},
    l1::{
        INetworkManagement::{NodeSlashed, ownerOfCall},
        IRollupManagement::{Accused, Acquitted, RollupPublished},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::sync::watch;
use tracing::{debug, info, warn};

/// L1 blocks whose events are asked for at once: public L1 nodes refuse more.
const BLOCKS_AT_ONCE: u64 = 1_000;
/// Accused rollups that are looked for at once: L1 nodes refuse more.
const ROLLUPS_AT_ONCE: usize = 500;
/// Fork timeouts for which rollups are remembered: one to answer, one to die, and as much again.
const TIMEOUTS_KEPT: u64 = 4;
/// Events about accusations.
const VERDICTS: [B256; 3] =
    [Accused::SIGNATURE_HASH, Acquitted::SIGNATURE_HASH, NodeSlashed::SIGNATURE_HASH];

/// Something could not be done at this L1 block. It is tried again at the next one.
#[derive(Debug, thiserror::Error)]
enum ProsecutorError {
    #[error(transparent)]
    Enclave(#[from] AskError),
    #[error(transparent)]
    L1(#[from] L1Error),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// What it works with.
pub struct Prosecutor {
    /// Who says what is canonical.
    pub enclave: Arc<dyn Enclave>,
    /// Its store.
    pub records: Arc<dyn Records>,
    /// The L1.
    pub l1: Arc<L1Client>,
    /// Who sends.
    pub publisher: Publisher,
    /// Who owns this node, and perhaps others of before.
    pub operator: Address,
    /// The network.
    pub config: NetworkConfig,
    /// Where the enclave stands.
    pub followed: watch::Receiver<Option<Followed>>,
    /// The end.
    pub stop: Stop,
}

/// What was read of L1.
struct Reading {
    docket: Docket,
    /// The first block that was not.
    next: u64,
    /// The block before it, if nothing went wrong.
    last: Option<L1BlockId>,
    /// Open accusations that were looked into.
    known: BTreeSet<B256>,
    /// Accused enclaves, and whether they are the operator's.
    owned: BTreeMap<Address, bool>,
    /// Canonical rollups that the enclave was asked for, on this branch of L1.
    told: BTreeMap<u64, B256>,
}

impl Prosecutor {
    /// Looks after forks until told to stop.
    pub async fn run(mut self) {
        let mut reading = Reading {
            docket: Docket::default(),
            next: self.config.checkpoint.number + 1,
            last: None,
            known: BTreeSet::new(),
            owned: BTreeMap::new(),
            told: BTreeMap::new(),
        };
        let stop = self.stop.clone();
        let work = async {
            while self.followed.changed().await.is_ok() {
                let followed = self.followed.borrow_and_update().clone();
                let Some(followed) = followed.filter(|followed| followed.is_synced) else {
                    continue;
                };
                if let Err(error) = self.look(&followed, &mut reading).await {
                    debug!(%error, "cannot look after forks");
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.requested() => {}
        }
    }

    async fn look(
        &self,
        followed: &Followed,
        reading: &mut Reading,
    ) -> Result<(), ProsecutorError> {
        let head = &followed.head;
        self.read(&head.l1, reading).await?;
        self.look_into_accusations(followed, reading).await?;
        self.ask_what_is_canonical(head, reading).await?;
        let former: BTreeSet<Address> =
            reading.owned.iter().filter(|(_, is_own)| **is_own).map(|(own, _)| *own).collect();
        let motions = reading.docket.motions(followed.enclave, &former, head, &reading.told);
        for motion in motions {
            if self.file(motion).await? {
                reading.docket.moved(head.l1.number);
                break;
            }
        }
        Ok(())
    }

    /// Reads L1 up to a block: accusations since the checkpoint, everything else of late.
    async fn read(&self, head: &L1BlockId, reading: &mut Reading) -> Result<(), ProsecutorError> {
        let Reading { docket, next, last, told, .. } = reading;
        let oldest = self.oldest(head);
        let is_unchanged = match last.take() {
            Some(read) => {
                let now = self.l1.header_at(read.number).await?;
                now.is_some_and(|now| now.hash == read.hash)
            }
            None => false,
        };
        if !is_unchanged {
            *next = oldest.min(*next);
            told.clear();
        }
        docket.strike(*next - 1);
        while *next <= head.number {
            let end = if *next < oldest { oldest - 1 } else { head.number };
            let to = end.min(next.saturating_add(BLOCKS_AT_ONCE - 1));
            let mut events = VERDICTS.to_vec();
            if *next >= oldest {
                events.push(RollupPublished::SIGNATURE_HASH);
            }
            let filter = self.filter(*next, to).event_signature(events);
            let logs = match self.l1.logs(&filter).await {
                Err(error @ L1Error::Refused { .. }) if *next < oldest => {
                    warn!(%error, before = oldest, "the L1 node does not tell who was accused before");
                    *next = oldest;
                    continue;
                }
                logs => logs?,
            };
            for (block, event) in logs.iter().filter_map(event) {
                docket.enter(block, event);
            }
            *next = to + 1;
        }
        (*next, *last) = (head.number + 1, Some(head.clone()));
        docket.forget(oldest);
        Ok(())
    }

    /// The first block whose rollups are remembered.
    fn oldest(&self, head: &L1BlockId) -> u64 {
        let kept = TIMEOUTS_KEPT.saturating_mul(self.config.forkTimeoutBlocks);
        head.number.saturating_sub(kept).max(self.config.checkpoint.number + 1)
    }

    /// Finds what new accusations are about, and tells the operator whose nodes they concern.
    async fn look_into_accusations(
        &self,
        followed: &Followed,
        reading: &mut Reading,
    ) -> Result<(), ProsecutorError> {
        let mut accused = reading.docket.accused();
        reading.known.retain(|rollup| accused.contains_key(rollup));
        let mut missing = reading.docket.missing();
        missing.retain(|rollup| !reading.known.contains(rollup));
        // The others when these are known.
        if let Some(first) = missing.iter().nth(ROLLUPS_AT_ONCE).copied() {
            missing.split_off(&first).iter().for_each(|later| {
                accused.remove(later);
            });
        }
        // Down from the newest that are not remembered.
        let (mut to, first) =
            (self.oldest(&followed.head.l1) - 1, self.config.checkpoint.number + 1);
        while !missing.is_empty() && to >= first {
            let from = to.saturating_sub(BLOCKS_AT_ONCE - 1).max(first);
            let wanted: Vec<B256> = missing.iter().copied().collect();
            let filter = self.filter(from, to).event_signature(RollupPublished::SIGNATURE_HASH);
            let logs = match self.l1.logs(&filter.topic1(wanted)).await {
                Err(error @ L1Error::Refused { .. }) => {
                    warn!(%error, up_to = to, "the L1 node does not tell what old accusations are about");
                    break;
                }
                logs => logs?,
            };
            for log in logs {
                if let Some((block, Event::Published(header))) = event(&log)
                    && missing.remove(&header.hash())
                {
                    reading.docket.enter(block, Event::Published(header));
                }
            }
            to = from - 1;
        }
        for (rollup, enclave) in accused {
            if !reading.known.contains(&rollup) && self.is_own(enclave, followed, reading).await? {
                warn!(%rollup, %enclave, "your node is accused: its stake is frozen until its branch has survived");
            }
            reading.known.insert(rollup);
        }
        Ok(())
    }

    /// Whether an enclave is the operator's: this node's, or one that it was before.
    async fn is_own(
        &self,
        enclave: Address,
        followed: &Followed,
        reading: &mut Reading,
    ) -> Result<bool, ProsecutorError> {
        if let Some(is_own) = reading.owned.get(&enclave) {
            return Ok(*is_own);
        }
        let is_own = enclave == followed.enclave || {
            let to = self.config.contracts.networkManagement;
            let owner = self.l1.call(to, ownerOfCall { enclave }.abi_encode().into()).await?;
            ownerOfCall::abi_decode_returns(&owner).is_ok_and(|owner| owner == self.operator)
        };
        reading.owned.insert(enclave, is_own);
        Ok(is_own)
    }

    fn filter(&self, from: u64, to: u64) -> Filter {
        let contracts = &self.config.contracts;
        Filter::new()
            .address(vec![contracts.rollupManagement, contracts.networkManagement])
            .from_block(from)
            .to_block(to)
    }

    /// What the enclave holds for canonical, a few at a time.
    async fn ask_what_is_canonical(
        &self,
        head: &Head,
        reading: &mut Reading,
    ) -> Result<(), ProsecutorError> {
        reading.told.insert(0, self.config.hash());
        for number in reading.docket.questions(head, &reading.told) {
            let question = Request::Rollup(RollupId::Number(number));
            if let Reply::Rollup(Some(header)) = ask(&self.enclave, &self.records, question).await?
            {
                reading.told.insert(number, header.hash());
            }
        }
        Ok(())
    }

    /// Sends a motion that L1 would take; whether it would.
    async fn file(&self, motion: Motion) -> Result<bool, ProsecutorError> {
        let to = self.config.contracts.rollupManagement;
        match self.l1.call(to, motion.input()).await {
            Ok(_) => {}
            Err(L1Error::Refused { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let content = Content::Call { to, input: motion.input(), value: U256::ZERO };
        self.publisher.send(Purpose::Prosecute, content).await?;
        match motion {
            Motion::Accuse(header, _) => {
                warn!(enclave = %header.aggregator, rollup = %header.hash(), "accusing a forger");
            }
            Motion::Slash(header, _) => {
                info!(enclave = %header.aggregator, "having a forger slashed: its branch is dead");
            }
            Motion::Acquit(header, _) => {
                info!(enclave = %header.aggregator, "your node was accused: its branch has survived");
            }
        }
        Ok(true)
    }
}

fn event(log: &Log) -> Option<(u64, Event)> {
    let block = log.block_number?;
    let event = match *log.topic0()? {
        RollupPublished::SIGNATURE_HASH => {
            let published = RollupPublished::decode_log(&log.inner).ok()?.data;
            Event::Published(Box::new(published.header))
        }
        Accused::SIGNATURE_HASH => {
            let Accused { rollup, aggregator, .. } = Accused::decode_log(&log.inner).ok()?.data;
            Event::Accused { rollup, aggregator }
        }
        Acquitted::SIGNATURE_HASH => {
            Event::Acquitted(Acquitted::decode_log(&log.inner).ok()?.rollup)
        }
        NodeSlashed::SIGNATURE_HASH => {
            Event::Slashed(NodeSlashed::decode_log(&log.inner).ok()?.enclave)
        }
        _ => return None,
    };
    Some((block, event))
}
