//! An enclave in this process, behind the same serialised door as one in a process of its own. Not
//! here: the enclave itself, the software device (`software-tee`).

use alloy_primitives::B256;
use obscuro_enclave::{
    Enclave,
    device::{Device, DeviceError, Task},
    store::{Store, StoreError},
};
use obscuro_host::enclave::{self as host, ChannelError, Records};
use obscuro_protocol::{
    attestation::Stripped,
    door::{self, Reply, Request},
    secret::Secret,
};
use obscuro_software_tee::SoftwareDevice;
use parking_lot::RwLock;
use std::{io, path::Path, sync::Arc};

const SEALING_KEY_FILE: &str = "sealing-key";

/// An enclave with its software device.
pub struct InProcessEnclave {
    device: Arc<SoftwareDevice>,
    enclave: RwLock<Arc<Enclave<SharedDevice>>>,
}

impl InProcessEnclave {
    /// An enclave whose sealing key is kept in `directory`: another life there can unseal.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let device = Arc::new(SoftwareDevice::open(&directory.join(SEALING_KEY_FILE))?);
        let enclave = Arc::new(Enclave::new(SharedDevice(device.clone())));
        Ok(Self { device, enclave: RwLock::new(enclave) })
    }
}

impl host::Enclave for InProcessEnclave {
    fn call(&self, request: Request, store: &dyn Records) -> Result<Reply, ChannelError> {
        let enclave = self.enclave.read().clone();
        let reply = enclave.handle(&door::encode(&request), &HostStore(store));
        door::decode(&reply).map_err(|error| ChannelError::Broken(error.to_string()))
    }

    fn restart(&self) -> Result<(), ChannelError> {
        *self.enclave.write() = Arc::new(Enclave::new(SharedDevice(self.device.clone())));
        Ok(())
    }
}

/// The device of one machine, which outlives the enclaves on it.
struct SharedDevice(Arc<SoftwareDevice>);

impl Device for SharedDevice {
    fn entropy(&self, out: &mut [u8]) {
        self.0.entropy(out);
    }

    fn quote(&self, report_data: B256) -> Result<Stripped, DeviceError> {
        self.0.quote(report_data)
    }

    fn sealing_key(&self) -> Secret {
        self.0.sealing_key()
    }

    fn cores(&self) -> usize {
        self.0.cores()
    }

    fn run(&self, tasks: Vec<Task<'_>>) {
        self.0.run(tasks);
    }
}

/// The host's records as the enclave's store.
struct HostStore<'a>(&'a dyn Records);

impl Store for HostStore<'_> {
    fn get(&self, key: B256) -> Result<Option<Vec<u8>>, StoreError> {
        let records = self.0.get(&[key]).map_err(|error| StoreError::Unavailable(error.0))?;
        Ok(records.into_iter().next().flatten().map(|bytes| bytes.to_vec()))
    }

    fn put(&self, batch: Vec<(B256, Vec<u8>)>) -> Result<(), StoreError> {
        let records = batch.into_iter().map(|(key, value)| (key, value.into())).collect();
        self.0.put(records).map_err(|error| StoreError::Unavailable(error.0))
    }
}
