//! An enclave has one nonce in a round, however often it restarts (protocol 5.5). That others can verify it
//! is not checked: the lottery is not verifiable yet.

use super::{Verdict, Violation};
use crate::world::World;
use alloy_primitives::{Address, B256, U256};
use obscuro_protocol::rollup::RollupHeader;
use std::collections::HashMap;

/// See above.
#[derive(Default)]
pub struct Lottery {
    nonces: HashMap<(Address, B256, B256), U256>,
}

impl Lottery {
    /// An enclave sealed a rollup.
    pub fn sealed(&mut self, node: usize, header: &RollupHeader, _world: &World) -> Verdict {
        let round = (header.aggregator, header.parent, header.l1Proof);
        let first = *self.nonces.entry(round).or_insert(header.nonce);
        if first == header.nonce {
            return Ok(());
        }
        let text = format!("the enclave of node {node} draws a second nonce in one round");
        Err(Violation::new("lottery", text, [node]))
    }
}
