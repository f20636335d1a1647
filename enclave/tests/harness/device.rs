//! The TEE and the disk of a test's enclave.

use alloy_primitives::{B256, keccak256};
use alloy_sol_types::SolValue;
use obscuro_enclave::{
    device::{Device, DeviceError, Task},
    store::{Store, StoreError},
};
use obscuro_protocol::{attestation::Stripped, secret::Secret};
use obscuro_software_tee::SoftwareDevice;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

/// What the enclaves of a process work with.
pub static CORES: AtomicUsize = AtomicUsize::new(2);

/// How they do tasks.
pub static RUN: Mutex<fn(Vec<Task<'_>>)> = Mutex::new(side_by_side);

/// Entropy from a counter: tests are repeatable.
pub struct TestDevice {
    seed: u64,
    counter: AtomicU64,
    tee: SoftwareDevice,
    /// When the enclave first made or sealed a secret.
    pub first_use: Arc<OnceLock<Instant>>,
}

impl TestDevice {
    pub fn new(seed: u64, counter: u64) -> Self {
        let machine = Secret::new(keccak256(seed.to_be_bytes()).into());
        let tee = SoftwareDevice::new(machine).unwrap();
        Self { seed, counter: AtomicU64::new(counter), tee, first_use: Arc::default() }
    }

    /// How L1 names the machine.
    pub fn machine(&self) -> B256 {
        self.tee.machine().id()
    }

    /// The same machine, running another program.
    pub fn with_measurement(self, measurement: B256) -> Self {
        Self { tee: self.tee.with_measurement(measurement), ..self }
    }
}

impl Device for TestDevice {
    fn entropy(&self, out: &mut [u8]) {
        self.first_use.get_or_init(Instant::now);
        for chunk in out.chunks_mut(32) {
            let count = self.counter.fetch_add(1, Ordering::Relaxed);
            let block = keccak256([self.seed.to_be_bytes(), count.to_be_bytes()].concat());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }

    fn quote(&self, report_data: B256) -> Result<Stripped, DeviceError> {
        self.tee.quote(report_data)
    }

    fn sealing_key(&self) -> Secret {
        self.first_use.get_or_init(Instant::now);
        Secret::new(keccak256((self.seed, self.tee.measurement()).abi_encode()).into())
    }

    fn cores(&self) -> usize {
        CORES.load(Ordering::Relaxed)
    }

    fn run(&self, tasks: Vec<Task<'_>>) {
        let run = *RUN.lock().unwrap();
        run(tasks);
    }
}

fn side_by_side(tasks: Vec<Task<'_>>) {
    std::thread::scope(|scope| tasks.into_iter().for_each(|task| drop(scope.spawn(task))));
}

/// A store that a test can tamper with.
#[derive(Default, Clone)]
pub struct TestStore(pub Arc<Mutex<HashMap<B256, Vec<u8>>>>);

impl Store for TestStore {
    fn get(&self, key: B256) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.lock().unwrap().get(&key).cloned())
    }

    fn put(&self, batch: Vec<(B256, Vec<u8>)>) -> Result<(), StoreError> {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}
