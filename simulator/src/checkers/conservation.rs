//! Bridge assets >= L2 supply + pending withdrawals, for every asset, at every L1 block that a node follows.
//! Checked as an equality with the deposits that no rollup has credited yet, so that a loss is found as
//! well as a gain. The supply is read with the network's seed from the node's own disk.

use super::{Verdict, Violation};
use crate::{l1::Called, node::Node, world::World};
use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::{SolCall, SolValue, sol};
use obscuro_enclave::{
    epochs::KeyRing,
    executor::{self, BlockEnv, CallRequest, CallResult, FeeRule},
    ledger::Ledger,
    trie::NodeCache,
};
use obscuro_protocol::{
    contracts::{FEE_POOL, L2_BRIDGE},
    door::Head,
    l1::{IBridgeManagement::lockedCall, IL2Bridge::wrappedCall},
};
use std::collections::{BTreeMap, HashSet};

sol! {
    function totalSupply() external view returns (uint256);
}

/// Nodes of the state kept decoded.
const CACHED_NODES: usize = 1 << 12;

/// See above.
#[derive(Default)]
pub struct Conservation {
    seen: HashSet<B256>,
    keeper: Keeper,
}

/// Whoever holds the network's seed, and so can read a node's disk.
pub struct Keeper {
    cache: NodeCache,
}

impl Default for Keeper {
    fn default() -> Self {
        Self { cache: NodeCache::new(CACHED_NODES) }
    }
}

impl Keeper {
    /// The L2 on a node's disk.
    pub fn ledger<'a>(&'a self, node: &'a Node, world: &'a World) -> Option<Ledger<'a>> {
        let seed = world.reference.seed.as_ref()?;
        let keys = KeyRing::new(std::slice::from_ref(seed)).founding()?;
        Some(Ledger::new(&world.config, &keys, &node.disk, &self.cache))
    }

    /// What a contract returns to somebody.
    pub fn call(
        ledger: &Ledger<'_>,
        root: B256,
        from: Option<Address>,
        to: Address,
        data: Vec<u8>,
    ) -> Option<Vec<u8>> {
        let env = BlockEnv {
            chain_id: 1,
            number: 1,
            timestamp: 1,
            beneficiary: Address::ZERO,
            gas_limit: 100_000_000,
            base_fee: 0,
            prevrandao: B256::ZERO,
            excess_blob_gas: None,
            fees: FeeRule::Ethereum,
        };
        let request = CallRequest { from, to: Some(to), data: data.into(), ..Default::default() };
        let outcome = executor::call(ledger.state(root), &env, |_| None::<B256>, &request).ok()?;
        match outcome.result {
            CallResult::Return(bytes) => Some(bytes.to_vec()),
            _ => None,
        }
    }
}

impl Conservation {
    /// A node has this head.
    pub fn head(&mut self, node: &Node, head: &Head, world: &World) -> Verdict {
        let Some(view) = world.reference.view(head.l1.hash) else { return Ok(()) };
        if head.number == 0 || view.rollup != head.rollup || !self.seen.insert(head.rollup) {
            return Ok(());
        }
        let (Some(ledger), Some(rollup)) =
            (self.keeper.ledger(node, world), world.reference.rollup(head.rollup))
        else {
            return Ok(());
        };
        let root = rollup.header.stateRoot;
        let obx = world.config.contracts.obscuroToken;
        let Some(block) = world.l1.block(head.l1.hash) else { return Ok(()) };
        for asset in [obx, Address::ZERO] {
            let supply = match asset == obx {
                true => native(&ledger, root, world),
                false => wrapped(&ledger, root, asset),
            };
            // A disk that does not answer is not the bridge's fault.
            let Some(supply) = supply else { return Ok(()) };
            let to = world.config.contracts.bridgeManagement;
            let call = lockedCall { asset }.abi_encode();
            let Called::Returned(locked) = world.l1.call(block, to, call.into()) else {
                return Ok(());
            };
            let locked = U256::abi_decode(&locked).unwrap_or_default();
            let cursor = rollup.header.depositCursor as usize;
            let coming = view.deposits.iter().skip(cursor).filter(|(of, _)| *of == asset);
            let coming: U256 = coming.map(|(_, amount)| *amount).sum();
            let of = |sums: &BTreeMap<Address, U256>| sums.get(&asset).copied().unwrap_or_default();
            let pending =
                of(&world.reference.contents(rollup).ordered).saturating_sub(of(&view.paid_out));
            if locked != supply + pending + coming {
                let text = format!(
                    "asset {asset} at L1 block {}, rollup {}: {locked} locked, {supply} on L2, {pending} pending, {coming} not credited yet",
                    view.number, view.rollup_number
                );
                return Err(Violation::new("conservation", text, [node.id]));
            }
        }
        Ok(())
    }
}

fn native(ledger: &Ledger<'_>, root: B256, world: &World) -> Option<U256> {
    let state = ledger.state(root);
    let mut sum = U256::ZERO;
    let nodes = 0..world.network.l1_of.len();
    let operators = nodes.flat_map(|node| [World::operator(node), World::payee(node)]);
    for account in world.accounts.iter().copied().chain([FEE_POOL]).chain(operators) {
        sum += state.account(account).ok()?.unwrap_or_default().balance;
    }
    Some(sum)
}

fn wrapped(ledger: &Ledger<'_>, root: B256, asset: Address) -> Option<U256> {
    let bytes = Keeper::call(ledger, root, None, L2_BRIDGE, wrappedCall { asset }.abi_encode())?;
    let token = Address::abi_decode(&bytes).ok()?;
    if token.is_zero() {
        return Some(U256::ZERO);
    }
    U256::abi_decode(&Keeper::call(ledger, root, None, token, totalSupplyCall {}.abi_encode())?)
        .ok()
}
