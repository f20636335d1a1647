//! The enclave's place in the network (protocol 2.5, 3): its own registration and attestation, the
//! seeds for others, new seed epochs. What is decided here depends on verified L1 blocks only. Not
//! here: what L1 says about nodes (`view`), how quotes are judged (`obscuro_protocol::attestation`).

use crate::{
    device::Entropy,
    epochs::{EPOCHS_MAX, EpochKeys, NetworkKeys},
    identity::Identity,
    node::{Node, Surroundings},
    view::{RegisteredNode, View},
};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_sol_types::SolStruct;
use obscuro_protocol::{
    attestation::{Challenge, INTEL_ROOT},
    config::L1BlockId,
    door::{Attestation, DoorError, Duty, EpochOpening, Registration, SeedRejected, SeedShare},
    keys::{MasterSeed, kem_public_key},
    l1::{self, EpochShare, SeedAnswer, SeedEpoch, SeedRejection},
    rollup::signing_domain,
};
use std::cmp::Reverse;

/// Most members answered at a time, those that wait longest first.
const ANSWERS_MAX: usize = 64;
/// The longest that a node waits for others, in L1 blocks.
const RANK_MAX: usize = 8;
/// Most shares in the transaction that opens an epoch; the contract's limit. Others ask later.
const EPOCH_SHARES_MAX: usize = 64;

impl Node {
    /// For [`obscuro_protocol::door::Reply::Registration`].
    pub fn register(
        &self,
        owner: Address,
        block: &L1BlockId,
        genesis: bool,
        around: Surroundings<'_>,
    ) -> Result<Registration, DoorError> {
        if genesis && self.chain.read().head().epoch() > 0 {
            return Err(DoorError::Rejected("the network is founded".into()));
        }
        let had_seed = !self.ring().is_empty();
        let registration = self
            .identity
            .write()
            .register(around.device, &self.config, owner, block, genesis)
            .map_err(|error| DoorError::Fatal(error.to_string()))?;
        if genesis && !had_seed {
            self.start_at_checkpoint(around)?;
        }
        Ok(registration)
    }

    /// A fresh quote for the registration that L1 holds, over the L1 head.
    pub fn attest(&self, around: Surroundings<'_>) -> Result<Attestation, DoorError> {
        let view = self.chain.read().head();
        let identity = self.identity.read();
        let node = view.nodes.get(&identity.address());
        let node = node.ok_or_else(|| DoorError::Rejected("not registered on L1".into()))?;
        let made = identity
            .attest(around.device, &self.config, node.owner, &view.block)
            .map_err(|error| DoorError::Fatal(error.to_string()))?;
        // As it will be judged once it is on L1.
        let (block, time) = (view.block.number.saturating_add(1), view.timestamp);
        let refused = view.attestation.verify(&made.quote, block, time).err();
        Ok(Attestation { refused: refused.map(|error| error.to_string()), ..made })
    }

    /// A quote for a user who wants to know what runs here.
    pub fn prove(&self, challenge: B256, around: Surroundings<'_>) -> Result<Bytes, DoorError> {
        let enclave = self.identity.read().address();
        let report_data = Challenge { enclave, config_hash: self.config_hash, challenge }.hash();
        let made = around.device.quote(report_data);
        made.map(|made| made.quote).map_err(|error| DoorError::Fatal(error.to_string()))
    }

    /// Refuses what would hand the seed over, or vouch for a rollup, to a host that mines an L1 of its
    /// own: L1 consensus is not verified yet (protocol 4.3), so a network under Intel's root has to
    /// wait. Development networks protect nothing anyway.
    pub(crate) fn require_consensus(&self) -> Result<(), DoorError> {
        if self.config.attestationRoot == keccak256(INTEL_ROOT) {
            let reason = "L1 consensus is not verified yet: only development networks may go on";
            return Err(DoorError::Rejected(reason.into()));
        }
        Ok(())
    }

    /// What the network expects of this enclave at an L1 block.
    pub(crate) fn duties(&self, view: &View, enclave: Address, has_seed: bool) -> Vec<Duty> {
        let Some(node) = view.nodes.get(&enclave) else { return Vec::new() };
        let mut duties = Vec::new();
        // In time: half of the lifetime is left for L1 to take the next quote.
        let half = view.attestation.lifetime_blocks() / 2;
        let is_fresh = node
            .attestation
            .is_some_and(|seen| view.block.number <= seen.block.saturating_add(half));
        if !is_fresh {
            duties.push(Duty::Attest);
        }
        if !has_seed && rejectable(view, enclave).is_some() {
            duties.push(Duty::RejectSeed);
        }
        if has_seed && view.is_responder(enclave) && answerable(view, enclave).next().is_some() {
            duties.push(Duty::ShareSeed);
        }
        if self.opening_keys(view, enclave).is_some() {
            duties.push(Duty::OpenEpoch);
        }
        duties
    }

    /// The keys to which a new epoch is to be added, if that is for this enclave to do. Without those
    /// of lost epochs, if it is named: nobody could open it otherwise.
    fn opening_keys(&self, view: &View, enclave: Address) -> Option<NetworkKeys> {
        let is_asked = match view.epoch_begun?.opener {
            Address::ZERO => view.is_responder(enclave),
            opener => opener == enclave && view.member(enclave).is_some(),
        };
        let is_possible = is_asked && (view.epoch() as usize) < EPOCHS_MAX;
        is_possible.then(|| self.ring().of(&view.lasting_keys())).flatten()
    }

    /// The seeds for every member on the head that waits for them.
    pub fn seed_shares(&self, around: Surroundings<'_>) -> Result<Vec<SeedShare>, DoorError> {
        self.require_consensus()?;
        let view = self.chain.read().head();
        let keys = self.keys_at(&view)?;
        let identity = self.identity.read();
        let responder = identity.address();
        if !view.is_responder(responder) {
            return Err(DoorError::Rejected("this enclave may not answer registrations".into()));
        }
        let seeds = keys.seeds();
        let mut waiting: Vec<_> = answerable(&view, responder).collect();
        waiting.sort_by_key(|(_, node)| node.waits_since);
        let shares = waiting.into_iter().take(ANSWERS_MAX).filter_map(|(enclave, node)| {
            let encrypted = identity.share_seeds(
                around.device,
                &self.config,
                enclave,
                &node.encryption_key,
                view.epoch(),
                seeds.iter().copied(),
            )?;
            Some(self.seed_share(&view, &identity, enclave, node, encrypted))
        });
        Ok(shares.collect())
    }

    fn seed_share(
        &self,
        view: &View,
        identity: &Identity,
        enclave: Address,
        node: &RegisteredNode,
        encrypted_seed: Bytes,
    ) -> SeedShare {
        let (responder, epoch) = (identity.address(), view.epoch());
        let encrypted_seed_hash = keccak256(&encrypted_seed);
        let signed = l1::SeedShare { enclave, epoch, encryptedSeedHash: encrypted_seed_hash };
        let signature = self.sign_for_network(identity, &signed);
        SeedShare {
            answer: SeedAnswer {
                enclave,
                responder,
                epoch,
                encryptedSeed: encrypted_seed,
                signature,
            },
            rank: rank(view, responder, enclave.as_slice()),
            waits_since: node.waits_since,
        }
    }

    /// A fresh seed for the epoch that the contract's owner asks for, with a share for every member:
    /// also for this enclave, which learns from L1, like all others, whether its seed was taken.
    pub fn open_epoch(&self, around: Surroundings<'_>) -> Result<EpochOpening, DoorError> {
        self.require_consensus()?;
        let view = self.chain.read().head();
        let identity = self.identity.read();
        let responder = identity.address();
        let keys = self.opening_keys(&view, responder);
        let (Some(begun), Some(keys)) = (view.epoch_begun, keys) else {
            // Whoever has no seed is told what it lacks.
            self.keys_at(&view)?;
            return Err(DoorError::Rejected("this enclave may not open a seed epoch".into()));
        };
        let fresh = EpochKeys::new(MasterSeed::new(Entropy(around.device).secret()));
        let (epoch, mut seeds) = (begun.epoch, keys.seeds());
        seeds.push(&fresh.seed);
        // Its own share first: it must not be among those that are left out.
        let mut members: Vec<_> = view.members().collect();
        // Then whoever has most to lose: members without a stake are cheap to make.
        members.sort_by_key(|(enclave, node)| (*enclave != responder, Reverse(node.stake)));
        let shares: Vec<EpochShare> = members
            .into_iter()
            .take(EPOCH_SHARES_MAX)
            .filter_map(|(enclave, node)| {
                let key = &node.encryption_key;
                let encrypted = identity.share_seeds(
                    around.device,
                    &self.config,
                    enclave,
                    key,
                    epoch,
                    seeds.iter().copied(),
                )?;
                Some(EpochShare { enclave, encryptedSeed: encrypted })
            })
            .collect();
        let signed = SeedEpoch {
            epoch,
            networkKeyHash: keccak256(&fresh.network_public),
            shares: shares
                .iter()
                .map(|share| l1::SeedShare {
                    enclave: share.enclave,
                    epoch,
                    encryptedSeedHash: keccak256(&share.encryptedSeed),
                })
                .collect(),
        };
        Ok(EpochOpening {
            epoch,
            responder,
            network_key: fresh.network_public.clone(),
            signature: self.sign_for_network(&identity, &signed),
            shares,
            rank: rank(&view, responder, &epoch.to_be_bytes()),
            since: begun.since,
        })
    }

    /// Refuses the seed that L1 says this enclave was given: it is not the network's.
    pub fn reject_seed(&self) -> Result<SeedRejected, DoorError> {
        let view = self.chain.read().head();
        let identity = self.identity.read();
        let enclave = identity.address();
        let responder = rejectable(&view, enclave)
            .ok_or_else(|| DoorError::Rejected("there is no share to reject".into()))?;
        if self.keys_at(&view).is_ok() {
            return Err(DoorError::Rejected("the seed is the network's".into()));
        }
        let epoch = view.epoch();
        let signature =
            self.sign_for_network(&identity, &SeedRejection { enclave, responder, epoch });
        Ok(SeedRejected { enclave, responder, epoch, signature })
    }

    fn sign_for_network(&self, identity: &Identity, message: &impl SolStruct) -> Bytes {
        let domain = signing_domain(self.config.l1ChainId, self.config.contracts.networkManagement);
        identity.sign(message.eip712_signing_hash(&domain))
    }
}

/// Members that wait for the seed and can take it from this responder: their key is one, and they have
/// not rejected a share of its before, after which L1 takes no other.
fn answerable(view: &View, responder: Address) -> impl Iterator<Item = (Address, &RegisteredNode)> {
    view.awaiting_seed().filter(move |(_, node)| {
        !node.rejected.contains(&responder) && kem_public_key(&node.encryption_key).is_some()
    })
}

/// Who gave an enclave its share of the current epoch, if it may reject it: not its own.
fn rejectable(view: &View, enclave: Address) -> Option<Address> {
    let node = view.nodes.get(&enclave)?;
    let is_given = node.epoch != 0 && node.epoch == view.epoch();
    node.answered_by.filter(|responder| is_given && *responder != enclave)
}

/// How many responders should act before this one, so that nodes do not burn gas racing (protocol
/// 3.5): the order is another one for each task. Bounded, so that silent ones cannot delay for long.
fn rank(view: &View, own: Address, task: &[u8]) -> u64 {
    let distance = |responder: Address| keccak256([responder.as_slice(), task].concat());
    let nearer = |(enclave, _): &(Address, &RegisteredNode)| {
        view.is_responder(*enclave) && distance(*enclave) < distance(own)
    };
    view.members().filter(nearer).take(RANK_MAX).count() as u64
}
