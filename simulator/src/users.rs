//! Users with keys: they send transactions in sealed envelopes to any node, ask for receipts, send again
//! what is not there, force through L1 what nobody takes, deposit and withdraw. The envelope, the session and the requests are the real ones.
//! Not here: what becomes of a transaction (`checkers` looks).

use crate::{
    events::Event,
    l1::{Called, whole},
    leaks::MARK,
    node::Node,
    random::Random,
    reference::short,
    world::{Seen, World},
};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolCall;
use obscuro_devnet::accounts;
use obscuro_enclave::{device::Entropy, executor::CallRequest};
use obscuro_protocol::{
    contracts::{FEE_POOL, L2_BRIDGE},
    envelope::Session,
    forced, keys,
    l1::{
        IBridgeManagement::{depositCall, withdrawCall},
        IL2Bridge, IRewardPool,
        IRollupManagement::forceTransactionCall,
    },
    limits::REQUEST_LIFETIME_SECONDS_MAX,
    query::{Query, Reply, Request},
    rollup::{Withdrawal, withdrawal_proofs},
    viewing::{Authorisation, Credentials, ViewingKey, session_digest},
};
use std::{collections::BTreeMap, time::Duration};

/// Transactions of one user that wait for a receipt.
const OPEN_MAX: usize = 12;
/// After so long a transaction that is not there is sent again.
const AGAIN_AFTER: Duration = Duration::from_secs(40);
/// A transaction that no node has accepted after so many times is sent to L1 instead.
const SENT_IN_VAIN: u32 = 3;
/// L1 blocks after which a receipt is looked at again: L1 may have reorganised.
const SETTLED_BLOCKS: u64 = 70;
/// L1 blocks between two looks at a receipt that was there.
const LOOK_AGAIN_BLOCKS: u64 = 20;
/// What an L2 transaction offers, wei of OBX per gas.
const L2_FEE: u128 = 1_000_000_000_000;

/// A user.
pub struct User {
    id: usize,
    key: PrivateKeySigner,
    device: crate::device::SimulatedDevice,
    session: Option<(Session, Credentials)>,
    random: Random,
    nonce: u64,
    open: BTreeMap<u64, Open>,
    deposits: u64,
    claims: Vec<Claim>,
    /// The node whose operator this is: such a user claims rewards, and leaves L1 to its node.
    operates: Option<usize>,
}

/// A transaction that is not settled.
struct Open {
    hash: B256,
    raw: Bytes,
    sent: Option<Duration>,
    /// Whether a node has answered since.
    is_answered: bool,
    sent_count: u32,
    /// Whether a node has said that it took it.
    is_accepted: bool,
    /// L1 block of the last look at which the receipt was there.
    there: Option<u64>,
    first_there: Option<u64>,
}

struct Claim {
    rollup: B256,
    withdrawal: Withdrawal,
    proof: Vec<B256>,
    tried: u64,
}

impl User {
    /// The user of this number.
    pub fn new(run: u64, id: usize) -> Option<Self> {
        let secret = keccak256([b"user".as_slice(), &id.to_be_bytes()].concat());
        Self::with_key(run, id, PrivateKeySigner::from_bytes(&secret).ok()?)
    }

    /// The operator of a node.
    pub fn operator(run: u64, id: usize, node: usize) -> Option<Self> {
        let user = Self::with_key(run, id, accounts::operator(node as u32))?;
        Some(Self { operates: Some(node), ..user })
    }

    fn with_key(run: u64, id: usize, key: PrivateKeySigner) -> Option<Self> {
        Some(Self {
            id,
            key,
            device: crate::device::SimulatedDevice::new(run, 10_000 + id).ok()?,
            session: None,
            random: Random::new(run, &format!("user {id}")),
            nonce: 0,
            open: BTreeMap::new(),
            deposits: 0,
            claims: Vec::new(),
            operates: None,
        })
    }

    /// Its account on both layers.
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// Hashes of transactions that it still waits for.
    pub fn waits_for(&self) -> impl Iterator<Item = B256> {
        self.open.values().filter(|open| open.there.is_none()).map(|open| open.hash)
    }

    /// Looks at what it waits for, and sends.
    pub fn act(&mut self, nodes: &[Node], users: &[Address], is_calm: bool, world: &mut World) {
        let step = world.scenario.block_time;
        world.after(step, Event::User(self.id));
        let Some(node) = self.choose(nodes) else { return };
        if self.session.is_none() {
            self.session = self.open_session(&nodes[node], world);
        }
        if let Some(operated) = self.operates {
            if !is_calm && self.waits_for().count() == 0 && self.random.per_mille(100) {
                let call = IRewardPool::claimCall { recipient: World::payee(operated) };
                self.sign(FEE_POOL, U256::ZERO, call.abi_encode(), world);
            }
            return self.look(node, world);
        }
        let per_block = world.scenario.transactions_per_block / users.len().max(1) as f64;
        let mut count = per_block as u64;
        count += u64::from(self.random.unit() < per_block.fract());
        for _ in 0..count {
            if !is_calm && self.waits_for().count() < OPEN_MAX {
                self.make(users, world);
            }
        }
        self.look(node, world);
        if !is_calm {
            self.deposit(world);
        }
        self.claim(nodes, world);
    }

    fn choose(&mut self, nodes: &[Node]) -> Option<usize> {
        let ready: Vec<usize> =
            nodes.iter().filter(|node| node.is_ready()).map(|node| node.id).collect();
        (!ready.is_empty()).then(|| ready[self.random.index(ready.len())])
    }

    fn open_session(&self, node: &Node, world: &World) -> Option<(Session, Credentials)> {
        let key = keys::kem_public_key(&node.head()?.network_key)?;
        let config_hash = world.config.hash();
        let session = Session::new(&key, config_hash, &mut Entropy(&self.device)).ok()?;
        let secret = keccak256([b"viewing".as_slice(), self.address().as_slice()].concat());
        let viewing = PrivateKeySigner::from_bytes(&secret).ok()?;
        let key = ViewingKey {
            account: self.address(),
            viewingKey: viewing.address(),
            expiresAt: u64::MAX,
        };
        let digest = key.signing_hash(world.config.l2ChainId);
        let signature = self.key.sign_hash_sync(&digest).ok()?.as_bytes().to_vec().into();
        let digest = session_digest(session.id(), config_hash, u64::MAX);
        let signed = viewing.sign_hash_sync(&digest).ok()?;
        let credentials = Credentials {
            authorisations: vec![Authorisation { key, signature }],
            expires_at: u64::MAX,
            signature: signed.as_bytes().to_vec().into(),
        };
        Some((session, credentials))
    }

    /// One more transaction. It is sent when it is looked at.
    fn make(&mut self, users: &[Address], world: &mut World) {
        let (to, value, input) = match self.random.below(20) {
            0 => {
                let call = IL2Bridge::withdrawNativeCall { to: self.address() };
                (L2_BRIDGE, U256::from(self.random.below(1_000_000) + 1), call.abi_encode())
            }
            1 if self.deposits > 0 => {
                let amount = U256::from(self.random.below(1_000) + 1);
                let call =
                    IL2Bridge::withdrawCall { asset: Address::ZERO, amount, to: self.address() };
                (L2_BRIDGE, U256::ZERO, call.abi_encode())
            }
            _ => {
                let other = users[self.random.index(users.len())];
                let mut data = MARK.to_vec();
                data.extend_from_slice(&self.random.word().to_be_bytes());
                (other, U256::from(self.random.below(1 << 40)), data)
            }
        };
        self.sign(to, value, input, world);
    }

    fn sign(&mut self, to: Address, value: U256, input: Vec<u8>, world: &mut World) {
        let transaction = TxEip1559 {
            chain_id: world.config.l2ChainId,
            nonce: self.nonce,
            gas_limit: 300_000,
            max_fee_per_gas: L2_FEE,
            max_priority_fee_per_gas: 1,
            to: TxKind::Call(to),
            value,
            input: input.into(),
            ..Default::default()
        };
        let Ok(signature) = self.key.sign_hash_sync(&transaction.signature_hash()) else { return };
        let signed = transaction.into_signed(signature);
        let hash = *signed.hash();
        let raw: Bytes = TxEnvelope::from(signed).encoded_2718().into();
        let open = Open {
            hash,
            raw,
            sent: None,
            sent_count: 0,
            is_answered: false,
            is_accepted: false,
            there: None,
            first_there: None,
        };
        self.open.insert(self.nonce, open);
        self.nonce += 1;
        world.counts.transactions += 1;
        world.seen.push(Seen::Made(hash));
    }

    /// Sends what is new or was not there for long, and asks for receipts.
    fn look(&mut self, node: usize, world: &mut World) {
        let now = world.now;
        let number = world.l1.highest().number();
        let (mut queries, mut forced) = (Vec::new(), Vec::new());
        for open in self.open.values_mut() {
            let is_due = match open.sent {
                None => true,
                // Another node, if this one does not answer.
                Some(sent) => {
                    open.there.is_none() && (!open.is_answered || now > sent + AGAIN_AFTER)
                }
            };
            if is_due {
                world.counts.sent.entry(open.hash).or_insert(now);
                (open.sent, open.is_answered) = (Some(now), false);
                open.sent_count += 1;
                let may_force = self.operates.is_none();
                if open.is_accepted || open.sent_count <= SENT_IN_VAIN || !may_force {
                    queries.push((open.hash, Query::SendTransaction(open.raw.clone())));
                } else {
                    open.is_answered = true;
                    forced.push(open.raw.clone());
                }
            }
            let is_asked = match open.there {
                None => open.sent.is_some_and(|sent| sent < now),
                Some(there) => number > there + LOOK_AGAIN_BLOCKS,
            };
            if is_asked {
                queries.push((open.hash, Query::Receipt(open.hash)));
            }
        }
        self.open.retain(|_, open| {
            open.first_there.is_none_or(|there| number < there + SETTLED_BLOCKS)
                || open.there.is_none()
        });
        for (about, query) in queries {
            self.ask(node, about, query, world);
        }
        for raw in forced {
            self.force(&raw, world);
        }
    }

    fn ask(&mut self, node: usize, about: B256, query: Query, world: &mut World) {
        let Some((session, credentials)) = &self.session else { return };
        let now = world.l1.highest().header.timestamp;
        let request = Request {
            credentials: credentials.clone(),
            expires_at: now + REQUEST_LIFETIME_SECONDS_MAX / 2,
            query,
        };
        let sealed = session.seal(&request.encode(), &mut Entropy(&self.device));
        if let Ok((tag, envelope)) = sealed {
            world.send_envelope(self.id, node, envelope.into(), tag, about);
        }
    }

    /// A node has answered.
    pub fn take_reply(&mut self, tag: B256, reply: &[u8], about: B256, world: &mut World) {
        let Some((session, _)) = &self.session else { return };
        let opened = session.open_reply(tag, reply).ok();
        let Some(answer) = opened.and_then(|bytes| Reply::decode(&bytes).ok()) else {
            world.wrong("replies", format!("a reply to user {} does not open", self.id));
            return;
        };
        let number = world.l1.highest().number();
        let Some(open) = self.open.values_mut().find(|open| open.hash == about) else { return };
        open.is_answered |= !matches!(answer, Reply::Receipt(None));
        match answer {
            Reply::Receipt(Some(_)) => {
                open.there = Some(number);
                open.first_there.get_or_insert(number);
            }
            Reply::Accepted(_) => open.is_accepted = true,
            Reply::Receipt(None) => {
                if open.there.take().is_some() {
                    world.say(None, format!("user {} misses {} again", self.id, short(about)));
                }
                open.first_there = None;
            }
            _ => {}
        }
    }

    // ---- L1

    fn force(&self, raw: &[u8], world: &mut World) {
        let Some((_, key)) = world.reference.seed.as_ref().map(|seed| seed.network_key()) else {
            return;
        };
        let (epoch, config_hash) = (1, world.config.hash());
        let sealed = forced::seal(&key, epoch, config_hash, raw, &mut Entropy(&self.device));
        let Ok(envelope) = sealed else { return };
        let call = forceTransactionCall { envelope: envelope.into() };
        let to = world.config.contracts.rollupManagement;
        if self.send_l1(to, call.abi_encode(), U256::ZERO, world) {
            world.counts.forced += 1;
        }
    }

    fn deposit(&mut self, world: &mut World) {
        if !self.random.per_mille(20) {
            return;
        }
        let amount = whole(1);
        let call = depositCall { asset: Address::ZERO, amount, to: self.address() };
        let to = world.config.contracts.bridgeManagement;
        if self.send_l1(to, call.abi_encode(), amount, world) {
            self.deposits += 1;
        }
    }

    /// Claims what canonical rollups order, once the contract would pay.
    fn claim(&mut self, nodes: &[Node], world: &mut World) {
        let number = world.l1.highest().number();
        let own = self.address();
        self.claims.retain(|claim| {
            let view = world.reference.view(world.l1.highest().hash);
            view.is_none_or(|view| !view.withdrawn.contains_key(&claim.withdrawal.index))
        });
        if self.random.per_mille(200)
            && let Some(head) = nodes.iter().find_map(Node::head)
        {
            let deep = world.reference.chain(head.rollup).skip(4).take(40);
            let mut found = Vec::new();
            for (rollup, genuine) in deep {
                let withdrawals = &world.reference.contents(genuine).withdrawals;
                if !withdrawals.iter().any(|withdrawal| withdrawal.to == own) {
                    continue;
                }
                for (withdrawal, proof) in withdrawals.iter().zip(withdrawal_proofs(withdrawals)) {
                    if withdrawal.to == own {
                        found.push((rollup, withdrawal.clone(), proof));
                    }
                }
            }
            for (rollup, withdrawal, proof) in found {
                if !self.claims.iter().any(|claim| claim.withdrawal.index == withdrawal.index) {
                    self.claims.push(Claim { rollup, withdrawal, proof, tried: 0 });
                }
            }
        }
        let mut due = None;
        for claim in &mut self.claims {
            if number >= claim.tried + 10 {
                claim.tried = number;
                let withdrawal = claim.withdrawal.clone();
                due = Some(withdrawCall {
                    rollup: claim.rollup,
                    index: withdrawal.index,
                    asset: withdrawal.asset,
                    to: withdrawal.to,
                    amount: withdrawal.amount,
                    proof: claim.proof.clone(),
                });
                break;
            }
        }
        let Some(call) = due else { return };
        let to = world.config.contracts.bridgeManagement;
        let block = world.l1.head(self.id % world.l1.len());
        let input: Bytes = call.abi_encode().into();
        if let Called::Returned(_) = world.l1.call(block, to, input.clone()) {
            self.send_l1(to, input.to_vec(), U256::ZERO, world);
        }
    }

    fn send_l1(&self, to: Address, input: Vec<u8>, value: U256, world: &mut World) -> bool {
        let l1 = self.id % world.l1.len();
        let from = self.address();
        let prices = world.l1.prices(l1);
        let request = CallRequest {
            from: Some(from),
            to: Some(to),
            value,
            data: input.clone().into(),
            ..Default::default()
        };
        let Ok(gas) = world.l1.estimate(l1, &request, world.now) else { return false };
        let transaction = TxEip1559 {
            chain_id: world.config.l1ChainId,
            nonce: world.l1.pending_nonce(l1, from),
            gas_limit: gas * 2,
            max_fee_per_gas: prices.base_fee * 3 + prices.priority_fee,
            max_priority_fee_per_gas: prices.priority_fee,
            to: TxKind::Call(to),
            value,
            input: input.into(),
            ..Default::default()
        };
        let Ok(signature) = self.key.sign_hash_sync(&transaction.signature_hash()) else {
            return false;
        };
        let raw = TxEnvelope::from(transaction.into_signed(signature)).encoded_2718();
        world.send_raw(l1, &raw).is_ok()
    }
}
