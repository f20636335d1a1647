//! Accuses whoever publishes on a fork, has it slashed when that is dead, and acquits this node (protocol
//! 10.4): drives the docket with L1's events and the enclave's verdict. At most one transaction at a time, and
//! only what L1 would take. Not here: whom (`docket`), fees (`publisher`).

use crate::{
    docket::{Docket, Event, Motion},
    enclave::{AskError, Enclave, Records, ask},
    l1::{L1Client, L1Error, feed::Followed},
    publisher::{Content, PublishError, Publisher, Purpose},
    stop::Stop,
};
use alloy_primitives::{B256, U256};
use alloy_rpc_types_eth::{Filter, Log};
use alloy_sol_types::SolEvent;
use obscuro_protocol::{
    config::{L1BlockId, NetworkConfig},
    door::{Head, Reply, Request, RollupId},
    l1::{
        INetworkManagement::NodeSlashed,
        IRollupManagement::{Accused, Acquitted, RollupPublished},
    },
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::watch;
use tracing::{debug, info, warn};

/// L1 blocks whose events are asked for at once: public L1 nodes refuse more.
const BLOCKS_AT_ONCE: u64 = 1_000;
/// Fork timeouts for which rollups are remembered: one to answer, one to die, and as much again.
const TIMEOUTS_KEPT: u64 = 4;

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
    /// The last block read.
    last: Option<L1BlockId>,
}

impl Prosecutor {
    /// Looks after forks until told to stop.
    pub async fn run(mut self) {
        let mut reading = Reading { docket: Docket::default(), last: None };
        let stop = self.stop.clone();
        let work = async {
            while self.followed.changed().await.is_ok() {
                let followed = self.followed.borrow_and_update().clone();
                let acts = |f: &Followed| f.is_synced && f.head.is_registered;
                let Some(followed) = followed.filter(acts) else { continue };
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
        let answers = self.canonical(head, &reading.docket).await?;
        for motion in reading.docket.motions(followed.enclave, head, &answers) {
            if self.file(motion).await? {
                reading.docket.moved(head.l1.number);
                break;
            }
        }
        Ok(())
    }

    /// Reads L1 up to a block.
    async fn read(&self, head: &L1BlockId, reading: &mut Reading) -> Result<(), ProsecutorError> {
        let Reading { docket, last } = reading;
        let kept = TIMEOUTS_KEPT.saturating_mul(self.config.forkTimeoutBlocks);
        let oldest = head.number.saturating_sub(kept).max(self.config.checkpoint.number + 1);
        if let Some(read) = last.as_ref()
            && self.l1.header_at(read.number).await?.is_none_or(|now| now.hash != read.hash)
        {
            *last = None;
        }
        let mut from = last.as_ref().map_or(oldest, |read| read.number + 1);
        docket.strike(from - 1);
        while from <= head.number {
            let to = head.number.min(from.saturating_add(BLOCKS_AT_ONCE - 1));
            for log in self.l1.logs(&self.filter(from, to)).await? {
                if let Some((block, event)) = event(&log) {
                    docket.enter(block, event);
                }
            }
            from = to + 1;
        }
        *last = Some(head.clone());
        docket.forget(oldest);
        Ok(())
    }

    fn filter(&self, from: u64, to: u64) -> Filter {
        let contracts = &self.config.contracts;
        let events = [
            RollupPublished::SIGNATURE_HASH,
            Accused::SIGNATURE_HASH,
            Acquitted::SIGNATURE_HASH,
            NodeSlashed::SIGNATURE_HASH,
        ];
        Filter::new()
            .address(vec![contracts.rollupManagement, contracts.networkManagement])
            .event_signature(events.to_vec())
            .from_block(from)
            .to_block(to)
    }

    /// What the enclave holds for canonical, as far as it is asked.
    async fn canonical(
        &self,
        head: &Head,
        docket: &Docket,
    ) -> Result<BTreeMap<u64, B256>, ProsecutorError> {
        let mut answers = BTreeMap::new();
        for number in docket.questions(head) {
            if number == 0 {
                answers.insert(0, self.config.hash());
                continue;
            }
            let question = Request::Rollup(RollupId::Number(number));
            if let Reply::Rollup(Some(header)) = ask(&self.enclave, &self.records, question).await?
            {
                answers.insert(number, header.hash());
            }
        }
        Ok(answers)
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
            Motion::Acquit(..) => info!("this node was accused: its branch has survived"),
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
        Accused::SIGNATURE_HASH => Event::Accused(Accused::decode_log(&log.inner).ok()?.rollup),
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
