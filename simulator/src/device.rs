//! The TEE of a simulated machine: entropy and sealing key come from the run's seed, so that a run
//! repeats bit for bit, and so that an adversary can be handed what a broken TEE would give away. Quotes
//! are the software device's. Not here: what an adversary does with the keys.

use crate::checks;
use alloy_primitives::{B256, keccak256};
use obscuro_enclave::device::{Device, DeviceError};
use obscuro_protocol::{
    attestation::Stripped, checks::Checks, envelope, keys::MasterSeed, secret::Secret, wire,
};
use obscuro_software_tee::SoftwareDevice;
use serde::Deserialize;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Trie nodes that an enclave keeps at hand: more than the accounts in use need, and few enough that
/// now and then one has to be read again from the disk.
const CACHED_NODES: usize = 1 << 12;

/// The device of one machine; it outlives the enclaves on it.
#[derive(Clone)]
pub struct SimulatedDevice(Arc<Inner>);

struct Inner {
    seed: B256,
    draws: AtomicU64,
    software: SoftwareDevice,
}

/// What a broken TEE gives away.
pub struct Secrets {
    /// The enclave's signing key.
    pub signing: [u8; 32],
    /// Its lottery key.
    pub lottery: [u8; 32],
    /// The network's seed, if it holds it.
    pub seed: Option<MasterSeed>,
}

/// The clear form of a sealed identity, as `enclave/src/identity.rs` writes it.
#[derive(Deserialize)]
struct Clear {
    signing: [u8; 32],
    #[expect(dead_code, reason = "only the places of the others matter")]
    encryption: [u8; 32],
    lottery: [u8; 32],
    seeds: Vec<[u8; 32]>,
}

impl SimulatedDevice {
    /// The device of a machine, named by number, in the run with this seed.
    pub fn new(run: u64, machine: usize) -> Result<Self, DeviceError> {
        let name = [b"device".as_slice(), &run.to_be_bytes(), &machine.to_be_bytes()].concat();
        let seed = keccak256(name);
        let sealing = keccak256([seed.as_slice(), b"sealing"].concat());
        let software = SoftwareDevice::new(Secret::new(sealing.0))?;
        Ok(Self(Arc::new(Inner { seed, draws: AtomicU64::new(0), software })))
    }

    /// Opens what an enclave on this machine sealed: a broken TEE.
    pub fn steal(&self, sealed: &[u8], config_hash: B256) -> Option<Secrets> {
        let plain = envelope::open(&self.sealing_key(), sealed, config_hash.as_slice()).ok()?;
        let clear: Clear = wire::decode(&plain, plain.len()).ok()?;
        // The network's seed does not change in the simulation.
        let seed = clear.seeds.first().map(|seed| MasterSeed::new(Secret::new(*seed)));
        Some(Secrets { signing: clear.signing, lottery: clear.lottery, seed })
    }
}

impl Device for SimulatedDevice {
    fn entropy(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let draw = self.0.draws.fetch_add(1, Ordering::Relaxed);
            let block = keccak256([self.0.seed.as_slice(), &draw.to_be_bytes()].concat());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }

    fn quote(&self, report_data: B256) -> Result<Stripped, DeviceError> {
        self.0.software.quote(report_data)
    }

    fn sealing_key(&self) -> Secret {
        self.0.software.sealing_key()
    }

    fn cached_nodes(&self) -> usize {
        CACHED_NODES
    }

    fn checks(&self) -> Checks {
        checks::REMEMBERED
    }
}
