//! L1 as an enclave is shown it: blocks, and the logs of the contracts in them.

use super::{GENESIS_TIME, REGISTRANT, TestDevice, config};
use alloy_consensus::{Eip658Value, Header, Receipt, ReceiptEnvelope};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, IntoLogData, Log, U256, keccak256};
use alloy_sol_types::SolEvent;
use obscuro_enclave::trie;
use obscuro_protocol::{
    attestation::platform_id,
    config::L1BlockId,
    door::{CarriedPayload, Carrier, L1Block, Registration, SeedShare},
    forced as protocol_forced, keys,
    l1::{
        IAttestationVerifier::{self, IAttestationVerifierEvents},
        IBridgeManagement, INetworkManagement, IRollupManagement, SeedAnswer,
    },
    rollup::SignedRollup,
};
use obscuro_software_tee::{Authority, SoftwareDevice, pki::FMSPC, policy};

/// An L1 branch of headers.
#[derive(Clone)]
pub struct L1 {
    pub tip: L1BlockId,
    pub salt: u64,
    /// What gas costs from now on, wei.
    pub base_fee: u64,
    /// What makes blob gas dear (EIP-4844).
    pub excess_blob_gas: u64,
    /// Seconds by which the next blocks come later.
    pub delay: u64,
    /// All blocks so far.
    pub blocks: Vec<L1Block>,
}

impl L1 {
    pub fn new() -> Self {
        Self {
            tip: config().checkpoint,
            salt: 0,
            delay: 0,
            base_fee: 0,
            excess_blob_gas: 0,
            blocks: Vec::new(),
        }
    }

    /// The next block, with these logs and payloads.
    pub fn block(&mut self, logs: Vec<Log>, payloads: Vec<CarriedPayload>) -> L1Block {
        let receipt: Receipt<Log> =
            Receipt { status: Eip658Value::success(), cumulative_gas_used: 100_000, logs };
        let receipt = ReceiptEnvelope::Eip1559(receipt.with_bloom());
        let raw: Bytes = receipt.encoded_2718().into();
        let header = Header {
            parent_hash: self.tip.hash,
            number: self.tip.number + 1,
            timestamp: GENESIS_TIME + 12 * self.tip.number + self.delay,
            mix_hash: keccak256([self.tip.hash.as_slice(), &self.salt.to_be_bytes()].concat()),
            receipts_root: trie::ordered_root([&raw].into_iter()),
            logs_bloom: *receipt.logs_bloom(),
            base_fee_per_gas: Some(self.base_fee),
            withdrawals_root: Some(trie::EMPTY_ROOT),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(self.excess_blob_gas),
            ..Default::default()
        };
        let header: Bytes = alloy_rlp::encode(&header).into();
        self.tip = L1BlockId { number: self.tip.number + 1, hash: keccak256(&header) };
        let block = L1Block { header, receipts: Some(vec![raw]), payloads };
        self.blocks.push(block.clone());
        block
    }

    /// The next block, publishing a rollup by calldata.
    pub fn publish(&mut self, rollup: &SignedRollup) -> L1Block {
        self.publish_before(rollup, vec![])
    }

    /// The same, with more logs behind it.
    pub fn publish_before(&mut self, rollup: &SignedRollup, logs: Vec<Log>) -> L1Block {
        let payload = CarriedPayload {
            rollup: rollup.header.hash(),
            carrier: Carrier::Calldata(rollup.payload.clone()),
        };
        self.block([vec![published(rollup)], logs].concat(), vec![payload])
    }
}

pub fn log(address: Address, event: impl SolEvent) -> Log {
    Log { address, data: event.encode_log_data() }
}

pub fn published(rollup: &SignedRollup) -> Log {
    published_in_blobs(rollup, Vec::new())
}

/// The log of a rollup whose payload travels in blobs with these hashes.
pub fn published_in_blobs(rollup: &SignedRollup, blobs: Vec<B256>) -> Log {
    let event = IRollupManagement::RollupPublished {
        rollup: rollup.header.hash(),
        aggregator: rollup.header.aggregator,
        header: rollup.header.clone(),
        signature: rollup.signature.clone(),
        lotteryProof: rollup.lottery_proof.clone(),
        blobs,
    };
    log(config().contracts.rollupManagement, event)
}

/// The logs of `AttestationVerifier` that the first registration needs.
pub fn introduced(registration: &Registration) -> Vec<Log> {
    let (authority, program) = (Authority::development(), SoftwareDevice::program_measurement());
    let events = authority.verifier_events(&[program], policy()).into_iter();
    events.map(attesting).chain([platform(&registration.certificates)]).collect()
}

/// A log of `AttestationVerifier`.
pub fn attesting(event: IAttestationVerifierEvents) -> Log {
    Log { address: config().contracts.attestationVerifier, data: event.into_log_data() }
}

/// The log of a machine with these certificates.
pub fn platform(certificates: &[Bytes]) -> Log {
    let [machine, issuer, _] = certificates else { panic!("certificates") };
    attesting(IAttestationVerifierEvents::PlatformRegistered(
        IAttestationVerifier::PlatformRegistered {
            platform: platform_id(machine).unwrap(),
            machine: B256::ZERO,
            authority: platform_id(issuer).unwrap(),
            fmspc: FMSPC.into(),
            der: machine.clone(),
        },
    ))
}

/// The log of a registration that names an L1 block.
pub fn registering(registration: &Registration, stake: u64, l1_block: &L1BlockId) -> Log {
    log(
        config().contracts.networkManagement,
        INetworkManagement::NodeRegistered {
            enclave: registration.enclave,
            owner: REGISTRANT.get(),
            quote: registration.quote.clone(),
            encryptionKey: registration.encryption_key.clone(),
            lotteryKey: registration.lottery_key.clone(),
            hostAddress: "/ip4/127.0.0.1/tcp/1".into(),
            stake: U256::from(stake),
            l1Block: l1_block.number,
            l1BlockHash: l1_block.hash,
        },
    )
}

/// The logs of a registration; at genesis with the network key and the seed.
pub fn registered(registration: &Registration, stake: u64) -> Vec<Log> {
    let network = config().contracts.networkManagement;
    let mut logs = introduced(registration);
    logs.push(registering(registration, stake, &config().checkpoint));
    if !registration.network_key.is_empty() {
        logs.push(log(
            network,
            INetworkManagement::NetworkKeyPublished {
                epoch: 1,
                responder: registration.enclave,
                networkKey: registration.network_key.clone(),
            },
        ));
        logs.push(shared(
            registration.enclave,
            registration.enclave,
            1,
            registration.encrypted_seed.clone(),
        ));
    }
    logs
}

pub fn shared(enclave: Address, responder: Address, epoch: u32, encrypted_seed: Bytes) -> Log {
    let network = config().contracts.networkManagement;
    let event =
        INetworkManagement::SeedShared { enclave, responder, epoch, encryptedSeed: encrypted_seed };
    log(network, event)
}

/// The log of an answer that L1 took.
pub fn answered(share: &SeedShare) -> Log {
    let SeedAnswer { enclave, responder, epoch, encryptedSeed, .. } = share.answer.clone();
    shared(enclave, responder, epoch, encryptedSeed)
}

pub fn deposited(index: u64, asset: Address, to: Address, amount: u128) -> Log {
    log(
        config().contracts.bridgeManagement,
        IBridgeManagement::Deposited {
            index,
            asset,
            to,
            from: to,
            amount: U256::from(amount),
            name: "Test Token".into(),
            symbol: "TT".into(),
            decimals: 18,
        },
    )
}

/// The log of a forced transaction.
pub fn forced(index: u64, envelope: impl Into<Bytes>) -> Log {
    let event = IRollupManagement::TransactionForced {
        index,
        sender: Address::repeat_byte(0xee),
        envelope: envelope.into(),
    };
    log(config().contracts.rollupManagement, event)
}

/// A transaction sealed to an epoch's network key, to be forced.
pub fn sealed_to(network_key: &[u8], epoch: u32, raw: &[u8]) -> Vec<u8> {
    let device = TestDevice::new(u64::from_be_bytes(keccak256(raw)[..8].try_into().unwrap()), 0);
    let key = keys::kem_public_key(network_key).unwrap();
    let mut entropy = obscuro_enclave::device::Entropy(&device);
    protocol_forced::seal(&key, epoch, config().hash(), raw, &mut entropy).unwrap()
}
