//! An enclave has one nonce in a round, however often it restarts, and it is the one that the key which it
//! registered on L1 draws (protocol 5.5).

use super::{Verdict, Violation};
use crate::{checks::REMEMBERED, world::World};
use alloy_primitives::{Address, B256, U256};
use obscuro_protocol::{lottery::Draw, rollup::SignedRollup};
use std::collections::HashMap;

/// See above.
#[derive(Default)]
pub struct Lottery {
    nonces: HashMap<(Address, B256, B256), U256>,
}

impl Lottery {
    /// An enclave sealed a rollup.
    pub fn sealed(&mut self, node: usize, rollup: &SignedRollup, world: &World) -> Verdict {
        let header = &rollup.header;
        let round = (header.aggregator, header.parent, header.l1Proof);
        let first = *self.nonces.entry(round).or_insert(header.nonce);
        let text = match first == header.nonce {
            true if is_drawn(rollup, world) => return Ok(()),
            true => format!("the enclave of node {node} seals with a nonce that it did not draw"),
            false => format!("the enclave of node {node} draws a second nonce in one round"),
        };
        Err(Violation::new("lottery", text, [node]))
    }
}

fn is_drawn(rollup: &SignedRollup, world: &World) -> bool {
    let header = &rollup.header;
    // A block that its host made up: nobody else will take what is sealed on it.
    let Some(block) = world.l1.block(header.l1Proof) else { return true };
    let Some(key) = world.reference.lottery_key(header.aggregator) else { return false };
    let (config_hash, randao) = (world.config.hash(), block.header.mix_hash);
    let draw = Draw { config_hash, number: header.number, randao };
    (REMEMBERED.lot)(key, &draw, &rollup.lottery_proof) == Some(header.nonce)
}
