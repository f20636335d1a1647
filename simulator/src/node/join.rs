//! Looks after membership and relays transactions, as `host::membership`, `host::relay` and the host's
//! resubmission do. Not here: what is due (`host::membership::steps`).

use super::Node;
use crate::{events::NodeEvent, l1::Called, world::World};
use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolCall, SolValue};
use obscuro_host::{
    membership::steps::Join,
    publisher::{
        ANSWERS_MAX,
        outbox::{Content, Purpose},
    },
};
use obscuro_protocol::{
    door::{DoorError, Duty, Head, Reply, Request, SeedShare},
    gossip::Gossip,
    l1::{
        IAttestationVerifier::registerPlatformCall,
        INetworkManagement::{
            reattestCall, registerCall, registrationFeeCall, setHostAddressCall, shareSeedCall,
        },
        Registration, SeedAnswer,
    },
};
use std::time::Duration;

/// How often transactions are taken from the enclave for the peers.
const RELAY_EVERY: Duration = Duration::from_millis(25);

impl Node {
    fn host_address(&self) -> String {
        format!("/ip4/10.0.0.{}/tcp/9000", self.id + 1)
    }

    /// At every new head.
    pub(super) fn look_after_membership(&mut self, head: &Head, world: &mut World) {
        if !head.is_registered {
            return self.join(head, world);
        }
        self.move_house(head, world);
        let due = self.life.as_ref().map(|life| life.sent.due(head));
        for duty in due.unwrap_or_default() {
            match duty {
                Duty::Attest => self.attest(world),
                Duty::ShareSeed => self.share_seed(head, world),
                // The owner begins no epoch here, and nobody shares another seed.
                Duty::OpenEpoch | Duty::RejectSeed => {}
            }
            if let Some(life) = &mut self.life {
                life.sent.duty(duty, head.l1.number);
            }
        }
    }

    fn join(&mut self, head: &Head, world: &mut World) {
        let Some(life) = &self.life else { return };
        if let Join::Register { genesis } = life.sent.join(head, self.is_genesis)
            && self.register(head, genesis, world)
            && let Some(life) = &mut self.life
        {
            life.sent.registration(head.l1.number);
        }
    }

    fn number(&self, to: Address, input: Vec<u8>, world: &World) -> U256 {
        let head = world.l1.head(world.network.l1_of[self.id]);
        match world.l1.call(head, to, input.into()) {
            Called::Returned(bytes) => U256::abi_decode(&bytes).unwrap_or_default(),
            Called::Reverted(_) => U256::ZERO,
        }
    }

    /// Whether the enclave is on its way; otherwise its machine is.
    fn register(&mut self, head: &Head, genesis: bool, world: &mut World) -> bool {
        let contract = world.config.contracts.networkManagement;
        let fee = self.number(contract, registrationFeeCall {}.abi_encode(), world);
        let owner = self.operator.address();
        let request = Request::Register { owner, l1_block: head.l1.clone(), genesis };
        let made = match self.ask(world, request) {
            Ok(Reply::Registration(made)) => made,
            Ok(_) => return false,
            Err(error) => {
                self.check_alive(error, world);
                return false;
            }
        };
        self.disk.keep_identity(&made.identity);
        if self.introduce(&made.certificates, world) {
            return false;
        }
        let registration = Registration {
            quote: made.quote,
            enclave: made.enclave,
            encryptionKey: made.encryption_key,
            lotteryKey: made.lottery_key,
            hostAddress: self.host_address(),
            stake: self.stake,
            l1Block: head.l1.number,
            networkKey: made.network_key,
            encryptedSeed: made.encrypted_seed,
        };
        world.say(Some(self.id), format!("registers {}", registration.enclave));
        let input = registerCall { registration }.abi_encode();
        self.call(Purpose::Register, contract, input, fee, world);
        true
    }

    /// Registers the machine, unless L1 knows it.
    fn introduce(&mut self, certificates: &[Bytes], world: &mut World) -> bool {
        let Some(der) = certificates.first().cloned() else { return false };
        let verifier = world.config.contracts.attestationVerifier;
        let input = registerPlatformCall { der }.abi_encode();
        let head = world.l1.head(world.network.l1_of[self.id]);
        let is_new =
            matches!(world.l1.call(head, verifier, input.clone().into()), Called::Returned(_));
        if is_new {
            self.call(Purpose::RegisterPlatform, verifier, input, U256::ZERO, world);
        }
        is_new
    }

    fn attest(&mut self, world: &mut World) {
        let made = match self.ask(world, Request::Attest) {
            Ok(Reply::Attestation(made)) => made,
            Ok(_) => return,
            Err(error) => return self.check_alive(error, world),
        };
        if made.refused.is_some() {
            return;
        }
        let call = reattestCall {
            enclave: made.enclave,
            quote: made.quote,
            keysHash: made.keys_hash,
            l1Block: made.l1_block,
        };
        let contract = world.config.contracts.networkManagement;
        self.call(Purpose::Attest, contract, call.abi_encode(), U256::ZERO, world);
    }

    /// Answers that a rollup carries.
    pub(super) fn answers(&mut self, world: &mut World) -> Vec<SeedAnswer> {
        let head = self.life.as_ref().and_then(|life| life.head.clone());
        if head.is_none_or(|head| !head.duties.contains(&Duty::ShareSeed)) {
            return Vec::new();
        }
        match self.ask(world, Request::SeedShares) {
            Ok(Reply::SeedShares(shares)) => {
                shares.into_iter().take(ANSWERS_MAX).map(|share| share.answer).collect()
            }
            _ => Vec::new(),
        }
    }

    fn move_house(&mut self, head: &Head, world: &mut World) {
        let (address, now) = (self.host_address(), head.l1.number);
        let contract = world.config.contracts.networkManagement;
        let Some(life) = &mut self.life else { return };
        if !life.sent.address_is_due(&address, head) {
            return;
        }
        let enclave = life.address;
        life.sent.address(now);
        let input = setHostAddressCall { enclave, hostAddress: address }.abi_encode();
        self.call(Purpose::Move, contract, input, U256::ZERO, world);
    }

    fn share_seed(&mut self, head: &Head, world: &mut World) {
        let shares = match self.ask(world, Request::SeedShares) {
            Ok(Reply::SeedShares(shares)) => shares,
            Ok(_) => return,
            Err(error) => return self.check_alive(error, world),
        };
        let now = head.l1.number;
        let Some(life) = &mut self.life else { return };
        let due = life.sent.shares_due(shares, now);
        for SeedShare { answer, .. } in due {
            let enclave = answer.enclave;
            let call = shareSeedCall {
                enclave,
                responder: answer.responder,
                epoch: answer.epoch,
                encryptedSeed: answer.encryptedSeed,
                signature: answer.signature,
            };
            let contract = world.config.contracts.networkManagement;
            self.call(Purpose::ShareSeed(enclave), contract, call.abi_encode(), U256::ZERO, world);
            if let Some(life) = &mut self.life {
                life.sent.share(enclave, now);
            }
            world.say(Some(self.id), format!("hands the seed to {enclave}"));
        }
    }

    fn call(
        &mut self,
        purpose: Purpose,
        to: Address,
        input: Vec<u8>,
        value: U256,
        world: &mut World,
    ) {
        let content = Content::Call { to, input: Bytes::from(input), value };
        self.order(purpose, content, world);
    }

    /// A user's transaction was accepted.
    pub(super) fn arrived(&mut self, world: &mut World) {
        self.plan_work(world);
        self.plan_relay(world);
    }

    fn plan_relay(&mut self, world: &mut World) {
        if !self.is_aggregator() {
            // A verifier's users: its host passes envelopes on to nobody; see `host::node`.
            return;
        }
        let Some(life) = &mut self.life else { return };
        if !life.is_relay_planned {
            life.is_relay_planned = true;
            let delay = life.relay_from.saturating_sub(world.now);
            self.plan(world, delay, NodeEvent::Relay);
        }
    }

    pub(super) fn relay(&mut self, world: &mut World) {
        let Some(life) = &mut self.life else { return };
        life.is_relay_planned = false;
        life.relay_from = world.now + RELAY_EVERY;
        life.is_relay_waiting = life.head.as_ref().is_none_or(|head| head.peers.is_empty());
        if life.is_relay_waiting {
            return;
        }
        match self.ask(world, Request::TakeTransactions) {
            Ok(Reply::Transactions(sealed)) if !sealed.is_empty() => {
                self.spread(&Gossip::Transactions(sealed), world);
            }
            Ok(_) => {}
            Err(error) => self.check_alive(error, world),
        }
    }

    /// What was accepted while there were no peers.
    pub(super) fn relay_when_peers_are_there(&mut self, world: &mut World) {
        if self.life.as_ref().is_some_and(|life| life.is_relay_waiting) {
            self.plan_relay(world);
        }
    }

    /// After a start the pool is empty: acknowledged transactions are brought back, once.
    pub(super) fn resubmit(&mut self, world: &mut World) {
        let Some(life) = &mut self.life else { return };
        let has_seed = life.head.as_ref().is_some_and(|head| head.has_seed);
        if life.is_resubmitted || !has_seed {
            return;
        }
        life.is_resubmitted = true;
        let kept: Vec<_> = self.disk.transactions.clone().into_iter().collect();
        for (hash, sealed) in kept {
            match self.ask(world, Request::Readmit(sealed)) {
                Ok(_) => self.arrived(world),
                Err(DoorError::Rejected(_)) => drop(self.disk.transactions.remove(&hash)),
                Err(DoorError::Retry(_)) => {}
                Err(error) => return self.check_alive(error, world),
            }
        }
    }
}
