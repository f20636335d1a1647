//! Who earned what by publishing, computed a second time from L1 blocks: S2 "Incentives for publishing" and
//! protocol 5.7 in words of their own, against which the pool on L2 is compared. Not here: the comparison
//! (`checkers::rewards`), and which rollups are valid (`reference`).

use crate::{reference::Genuine, world::World};
use alloy_primitives::{Address, B256, U256};
use obscuro_devnet::l1::{Block, blob_fee};
use obscuro_protocol::{config::NetworkConfig, rollup::RollupHeader};
use std::{collections::BTreeMap, sync::Arc};

/// As of one L1 block.
#[derive(Clone, Debug, Default)]
pub struct Rewards {
    /// Nobody can contest these any more; by the owner of the node.
    pub earned: Arc<BTreeMap<Address, U256>>,
    contestable: Vec<Publication>,
    /// Owners of rollups that ran ahead of the winner and earned nothing, one for each.
    pub overtaken: Arc<Vec<Address>>,
}

#[derive(Clone, Debug)]
struct Publication {
    parent: B256,
    proof: B256,
    block: u64,
    nonce: U256,
    shares: Vec<(Address, U256)>,
}

impl Rewards {
    /// A block with its valid rollups, the canonical one first, and with valid rollups that cannot be
    /// canonical any more.
    pub fn block(
        &mut self,
        block: &Block,
        valid: &[RollupHeader],
        late: &[RollupHeader],
        config: &NetworkConfig,
        known: impl Fn(&RollupHeader) -> Option<Arc<Genuine>>,
    ) {
        let number = block.number();
        let price = |header: &RollupHeader| {
            let rollup = known(header)?;
            Some((World::operator(rollup.node), cost(block, rollup.payload.len(), config)))
        };
        for header in late {
            let Some(share) = price(header) else { continue };
            for publication in &mut self.contestable {
                let same_round =
                    publication.parent == header.parent && publication.proof == header.l1Proof;
                if same_round && publication.block < number && header.nonce < publication.nonce {
                    publication.nonce = header.nonce;
                    let ahead = std::mem::replace(&mut publication.shares, vec![share]);
                    Arc::make_mut(&mut self.overtaken)
                        .extend(ahead.first().map(|(owner, _)| *owner));
                }
            }
        }
        if let Some(first) = valid.first()
            && let Some((owner, cost)) = price(first)
        {
            let margin = U256::from(config.rewardMarginPercent.min(100));
            let late_by = number - first.l1ProofNumber - 1;
            let whole = match late_by {
                1 => cost,
                _ => cost * (U256::from(100) + margin) / U256::from(100),
            };
            let of_round = |header: &&RollupHeader| header.l1Proof == first.l1Proof;
            let second = valid[1..].iter().filter(of_round).min_by_key(|header| header.nonce);
            let shares = match second.and_then(price) {
                None => vec![(owner, whole)],
                Some((other, _)) => {
                    let most = whole / U256::from(100) * U256::from(75);
                    vec![(owner, most), (other, whole - most)]
                }
            };
            self.contestable.push(Publication {
                parent: first.parent,
                proof: first.l1Proof,
                block: number,
                nonce: first.nonce,
                shares,
            });
        }
        let earned = Arc::make_mut(&mut self.earned);
        self.contestable.retain(|publication| {
            let is_settled = publication.block + 2 <= number;
            if is_settled {
                for (owner, amount) in &publication.shares {
                    *earned.entry(*owner).or_default() += *amount;
                }
            }
            !is_settled
        });
    }
}

/// What it costs anybody to publish so many bytes in a block, in OBX.
fn cost(block: &Block, bytes: usize, config: &NetworkConfig) -> U256 {
    let bytes = bytes as u64;
    let gas_price = U256::from(block.header.base_fee_per_gas.unwrap_or_default());
    let blob_price = U256::from(blob_fee(&block.header));
    let calldata = gas_price * U256::from((150_000 + 16 * bytes).max(21_000 + 40 * bytes));
    let elements = bytes.div_ceil(31) + 1;
    let blobs = U256::from(elements.div_ceil(4_096) * 131_072);
    let in_blobs = gas_price * U256::from(150_000) + blob_price * blobs;
    // Blobs must be worth the trouble; the trouble is not paid for.
    let is_worth_it = calldata > in_blobs + gas_price * U256::from(50_000);
    let cost = if is_worth_it { in_blobs } else { calldata };
    cost * U256::from(config.obxPerEth) / U256::from(1_000_000_000)
}
