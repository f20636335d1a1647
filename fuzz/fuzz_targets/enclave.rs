//! A whole enclave behind its door, started, with a seed of its own, and a host that says anything.

#![no_main]

use alloy_primitives::{Address, B256, keccak256};
use libfuzzer_sys::fuzz_target;
use obscuro_enclave::{
    Enclave,
    device::{Device, DeviceError},
    store::{Store, StoreError},
};
use obscuro_protocol::{
    attestation::Stripped,
    config::{L1BlockId, NetworkConfig},
    door::{self, Reply, Request},
    secret::Secret,
};
use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex},
};

struct FixedDevice;

impl Device for FixedDevice {
    fn entropy(&self, out: &mut [u8]) {
        out.fill(9);
    }

    /// Nobody here verifies it.
    fn quote(&self, report_data: B256) -> Result<Stripped, DeviceError> {
        Ok(Stripped { quote: report_data.0.into(), certificates: Vec::new() })
    }

    fn sealing_key(&self) -> Secret {
        Secret::new([8; 32])
    }
}

#[derive(Default)]
struct Memory(Mutex<HashMap<B256, Vec<u8>>>);

impl Store for Memory {
    fn get(&self, key: B256) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.lock().expect("a lock").get(&key).cloned())
    }

    fn put(&self, batch: Vec<(B256, Vec<u8>)>) -> Result<(), StoreError> {
        self.0.lock().expect("a lock").extend(batch);
        Ok(())
    }
}

fn config() -> NetworkConfig {
    NetworkConfig {
        version: NetworkConfig::VERSION,
        l1ChainId: 1,
        l2ChainId: 2,
        checkpoint: L1BlockId { number: 10, hash: keccak256("checkpoint") },
        gasLimit: 100_000_000,
        computePrice: 1,
        obxPerEth: 1_000_000_000_000,
        rewardMarginPercent: 50,
        poolReserve: 1_000_000,
        revealPeriods: [1; 5],
        idleBlocksMax: 5,
        startupHashes: 1,
        withdrawalBlocks: 8,
        forkTimeoutBlocks: 8,
        ..Default::default()
    }
}

fn ask(enclave: &Enclave<FixedDevice>, store: &Memory, request: &Request) -> Reply {
    door::decode(&enclave.handle(&door::encode(request), store)).expect("a reply")
}

static STARTED: LazyLock<(Enclave<FixedDevice>, Memory)> = LazyLock::new(|| {
    let (enclave, store) = (Enclave::new(FixedDevice), Memory::default());
    let start = Request::Start { config: Box::new(config()), identity: None, snapshot: None };
    assert!(matches!(ask(&enclave, &store, &start), Reply::Started(_)));
    let l1_block = config().checkpoint;
    let register = Request::Register { owner: Address::ZERO, l1_block, genesis: true };
    assert!(matches!(ask(&enclave, &store, &register), Reply::Registration(_)));
    (enclave, store)
});

fuzz_target!(|bytes: &[u8]| {
    let (enclave, store) = &*STARTED;
    let reply = enclave.handle(bytes, store);
    door::decode::<Reply>(&reply).expect("every request gets a reply");
});
