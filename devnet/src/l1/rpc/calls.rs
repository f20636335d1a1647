//! Calls and estimates, also on a state or in a block that the client imagines.
//!
//! Overrides, and the delegations that a request carries (EIP-7702), become trie nodes beside the
//! real ones for as long as the call takes.

use alloy_eips::eip7702::{
    SignedAuthorization,
    constants::{EIP7702_DELEGATION_DESIGNATOR, PER_EMPTY_ACCOUNT_COST},
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U256, map::B256Map};
use alloy_rpc_types_eth::{
    BlockOverrides, TransactionRequest,
    state::{AccountOverride, StateOverride},
};
use obscuro_enclave::{
    executor::{self, BlockEnv, CallRequest},
    state::{AccountUpdate, Changes, State},
    store::StoreError,
    trie::{EMPTY_CODE_HASH, NodeStore},
};

use super::{
    Args, Registered, Table,
    accounts::View,
    errors::{self, Reply},
};
use crate::l1::{build, server::Shared, world::World};

/// Accounts that one call may override, and delegations that it may carry.
const OVERRIDES_MAX: usize = 1_000;

/// Bytes of code that a call may give to an account.
const CODE_BYTES_MAX: usize = 64 * 1024;

pub(super) fn register(table: &mut Table) -> Registered {
    table.heavy("eth_call", call)?;
    table.heavy("eth_estimateGas", estimate_gas)
}

fn call(shared: &Shared, args: &mut Args<'_>) -> Reply<Bytes> {
    let asked = Asked::read(shared, args)?;
    let overlay = asked.overlay()?;
    let hash = |number| build::hash_of(&asked.view.hashes, number);
    let outcome = executor::call(overlay.state(), &asked.view.env, hash, &asked.request);
    errors::returned(outcome.map_err(errors::execution)?)
}

fn estimate_gas(shared: &Shared, args: &mut Args<'_>) -> Reply<U64> {
    let asked = Asked::read(shared, args)?;
    let overlay = asked.overlay()?;
    let hash = |number| build::hash_of(&asked.view.hashes, number);
    let tried = executor::estimate_gas(overlay.state(), &asked.view.env, hash, &asked.request);
    match tried.map_err(errors::execution)? {
        // The delegations were in force, but not paid for.
        Ok(gas) => Ok(U64::from(gas + asked.delegations.len() as u64 * PER_EMPTY_ACCOUNT_COST)),
        Err(failed) => errors::returned(failed).map(|_| U64::ZERO),
    }
}

/// A call as the client wants it.
struct Asked {
    view: View,
    request: CallRequest,
    delegations: Vec<SignedAuthorization>,
    overrides: StateOverride,
}

impl Asked {
    fn read(shared: &Shared, args: &mut Args<'_>) -> Reply<Self> {
        let mut request: TransactionRequest = args.next()?;
        let mut view = View::read(shared, args)?;
        let overrides: StateOverride = args.optional()?.unwrap_or_default();
        imagine_block(&mut view, args.optional()?.unwrap_or_default())?;
        let delegations = request.authorization_list.take().unwrap_or_default();
        if overrides.len().max(delegations.len()) > OVERRIDES_MAX {
            return Err(errors::limit(format!("more than {OVERRIDES_MAX} overrides")));
        }
        let request = call_request(request, &view.env)?;
        Ok(Self { view, request, delegations, overrides })
    }

    fn overlay(&self) -> Reply<Overlay<'_>> {
        let nodes = B256Map::default();
        let mut overlay = Overlay { world: &self.view.world, root: self.view.root, nodes };
        overlay.imagine_accounts(&self.overrides)?;
        overlay.delegate(&self.delegations)?;
        Ok(overlay)
    }
}

/// A state that exists only for a call: some nodes of its own over all others.
struct Overlay<'a> {
    world: &'a World,
    root: B256,
    nodes: B256Map<Bytes>,
}

impl NodeStore for Overlay<'_> {
    fn get(&self, hash: B256) -> Result<Option<Bytes>, StoreError> {
        match self.nodes.get(&hash) {
            Some(node) => Ok(Some(node.clone())),
            None => NodeStore::get(self.world.nodes(), hash),
        }
    }
}

impl Overlay<'_> {
    fn state(&self) -> State<'_, Self> {
        self.world.state_over(self, self.root)
    }

    fn apply(&mut self, changes: &Changes) -> Reply<()> {
        if !changes.is_empty() {
            let applied = self.state().apply(changes).map_err(errors::state)?;
            self.root = applied.root;
            self.nodes.extend(applied.nodes);
        }
        Ok(())
    }

    fn imagine_accounts(&mut self, overrides: &StateOverride) -> Reply<()> {
        let mut changes = Changes::default();
        for (address, wanted) in overrides {
            let (update, code) = self.imagine_account(*address, wanted)?;
            changes.set(*address, update, code);
        }
        self.apply(&changes)
    }

    fn imagine_account(
        &self,
        address: Address,
        wanted: &AccountOverride,
    ) -> Reply<(AccountUpdate, Bytes)> {
        if wanted.move_precompile_to.is_some() {
            return Err(errors::invalid("movePrecompileToAddress is not supported"));
        }
        if wanted.state.is_some() && wanted.state_diff.is_some() {
            return Err(errors::invalid(format!("account {address} has both state and stateDiff")));
        }
        let code = wanted.code.clone().unwrap_or_default();
        if code.len() > CODE_BYTES_MAX {
            return Err(errors::limit(format!("code override exceeds {CODE_BYTES_MAX} bytes")));
        }
        let account = self.state().account(address).map_err(errors::state)?.unwrap_or_default();
        let slots = wanted.state.iter().chain(&wanted.state_diff).flatten();
        let update = AccountUpdate {
            nonce: wanted.nonce.unwrap_or(account.nonce),
            balance: wanted.balance.unwrap_or(account.balance),
            code_hash: wanted.code.as_ref().map_or(account.code_hash, |_| EMPTY_CODE_HASH),
            wipe_storage: wanted.state.is_some(),
            storage: slots.map(|(slot, word)| ((*slot).into(), (*word).into())).collect(),
        };
        Ok((update, code))
    }

    /// Puts delegations in force. Invalid ones have no effect, as in a transaction.
    fn delegate(&mut self, delegations: &[SignedAuthorization]) -> Reply<()> {
        for delegation in delegations {
            let Ok(authority) = delegation.recover_authority() else { continue };
            let delegate = delegation.inner().address;
            let code = match delegate.is_zero() {
                true => Bytes::new(),
                false => [&EIP7702_DELEGATION_DESIGNATOR, delegate.as_slice()].concat().into(),
            };
            let wanted = AccountOverride::default().with_code(code);
            let (update, code) = self.imagine_account(authority, &wanted)?;
            let mut changes = Changes::default();
            changes.set(authority, update, code);
            self.apply(&changes)?;
        }
        Ok(())
    }
}

fn imagine_block(view: &mut View, wanted: BlockOverrides) -> Reply<()> {
    let env = &mut view.env;
    let small = |word: U256| u64::try_from(word).map_err(|_| errors::invalid("value too large"));
    env.number = wanted.number.map_or(Ok(env.number), small)?;
    env.base_fee = wanted.base_fee.map_or(Ok(env.base_fee), small)?;
    env.timestamp = wanted.time.unwrap_or(env.timestamp);
    env.gas_limit = wanted.gas_limit.unwrap_or(env.gas_limit);
    env.beneficiary = wanted.coinbase.unwrap_or(env.beneficiary);
    env.prevrandao = wanted.random.unwrap_or(env.prevrandao);
    // The first entry of a height counts.
    let imagined = wanted.block_hash.unwrap_or_default();
    view.hashes.splice(0..0, imagined);
    Ok(())
}

fn call_request(request: TransactionRequest, env: &BlockEnv) -> Reply<CallRequest> {
    let tip = request.max_priority_fee_per_gas.unwrap_or_default();
    if request.gas_price.is_some() && request.max_fee_per_gas.is_some() {
        return Err(errors::invalid(
            "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified",
        ));
    }
    let dynamic = request.max_fee_per_gas.filter(|max| *max > 0).map(|max| {
        let wanted = u128::from(env.base_fee).saturating_add(tip);
        max.min(wanted)
    });
    Ok(CallRequest {
        from: request.from,
        to: request.to.and_then(|to| match to {
            TxKind::Call(to) => Some(to),
            TxKind::Create => None,
        }),
        gas: request.gas,
        gas_price: request.gas_price.or(dynamic),
        value: request.value.unwrap_or_default(),
        data: request.input.into_input().unwrap_or_default(),
        access_list: request.access_list.unwrap_or_default(),
    })
}
