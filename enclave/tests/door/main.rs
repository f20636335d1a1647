//! The enclave through its door: the life of a rollup, what users see, and what the enclave
//! refuses (protocol 12). Here: steps that several files take. Not here: joining (`joining`), real
//! contracts and sockets (`devnet`, `cli`).

#[path = "../harness/mod.rs"]
#[allow(dead_code, reason = "made for several test files")]
mod harness;
mod newcomers;
mod privacy;
mod randomness;
mod readmission;
mod refusals;
mod rollups;

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex, keccak256};
use harness::*;
use obscuro_protocol::{
    door::{CarriedPayload, Carrier, DoorError, Duty, L1Block, Reply, Request, Retry, RollupId},
    query::{At, CallRequest, LogFilter, Query, Reply as Answer},
    rollup::SignedRollup,
};

fn send(reader: &Reader, node: &Node, raw: Bytes) -> B256 {
    match reader.ask(node, Query::SendTransaction(raw)) {
        Answer::Accepted(hash) => hash,
        other => panic!("{other:?}"),
    }
}
