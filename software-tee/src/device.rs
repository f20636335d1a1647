//! The enclave's device on a machine without a TEE, for development networks. Not here: the quotes
//! themselves (`quote`).

use crate::{
    pki::{Authority, Machine, Profile},
    quote::Enclave,
};
use alloy_primitives::{B256, Bytes, keccak256};
use obscuro_enclave::device::{Device, DeviceError, Task};
use obscuro_enclaved::{cores, entropy};
use obscuro_protocol::{
    attestation::{Stripped, Tee},
    keys::{LABEL_SEALING, derive},
    secret::Secret,
};
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// The software device of one machine.
pub struct SoftwareDevice {
    seed: Secret,
    machine: Machine,
    measurement: B256,
}

impl SoftwareDevice {
    /// The device of the machine that a seed stands for.
    pub fn new(seed: Secret) -> Result<Self, DeviceError> {
        let machine_seed = B256::from(*derive(&seed, b"software machine", &[]).expose());
        let machine = Authority::development().machine(&machine_seed, Profile::CURRENT);
        let measurement = Self::program_measurement();
        Ok(Self { seed, machine, measurement })
    }

    /// A device whose seed lies in a file, which is created if it does not exist.
    pub fn open(path: &Path) -> io::Result<Self> {
        if !path.exists() {
            let mut seed = [0; 32];
            entropy(&mut seed);
            // Written aside first: a crash leaves no half seed behind.
            let aside = path.with_extension("new");
            let mut options = fs::OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
            file.write_all(&seed)?;
            file.sync_all()?;
            fs::rename(aside, path)?;
        }
        let seed = <[u8; 32]>::try_from(fs::read(path)?.as_slice())
            .map_err(|_| io::Error::other("not 32 bytes: delete the file to start anew"))?;
        Self::new(Secret::new(seed)).map_err(io::Error::other)
    }

    /// The same machine, running another program.
    pub fn with_measurement(self, measurement: B256) -> Self {
        Self { measurement, ..self }
    }

    /// The program that it plays, as quotes show it.
    pub fn measurement(&self) -> B256 {
        self.measurement
    }

    /// The machine, which signs quotes and knows its certificates.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Stands in for the hash of the program, unless the device is told another.
    pub fn program_measurement() -> B256 {
        keccak256(concat!("Obscuro software enclave ", env!("CARGO_PKG_VERSION")))
    }
}

impl Device for SoftwareDevice {
    fn entropy(&self, out: &mut [u8]) {
        entropy(out);
    }

    fn quote(&self, report_data: B256) -> Result<Stripped, DeviceError> {
        let mut padded = [0; 64];
        padded[..32].copy_from_slice(report_data.as_slice());
        let report = Enclave::new(self.measurement).report(&self.machine, &padded);
        let quote = self.machine.stripped_quote(Tee::Sgx, &report).into();
        let certificates = self.machine.certificates().map(Bytes::copy_from_slice).to_vec();
        Ok(Stripped { quote, certificates })
    }

    /// By program, as the CPU's: another measurement cannot unseal.
    fn sealing_key(&self) -> Secret {
        derive(&self.seed, LABEL_SEALING, self.measurement.as_slice())
    }

    fn cores(&self) -> usize {
        cores::cores()
    }

    fn run(&self, tasks: Vec<Task<'_>>) {
        cores::run(tasks);
    }
}
