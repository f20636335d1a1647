//! The enclave's device on a machine without a TEE, for development networks. Not here: the quotes
//! themselves (`quote`).
//!
//! Networks of today take a signature of the development root in place of a quote: that is what
//! `quote` gives unless the device is told otherwise.

use crate::{
    pki::{Authority, Machine, Profile},
    quote::Enclave,
};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use k256::ecdsa::SigningKey;
use obscuro_enclave::{
    device::{Device, DeviceError, Task},
    identity::sign_development_quote,
};
use obscuro_enclaved::{cores, entropy};
use obscuro_protocol::{
    attestation::Tee,
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
    root: SigningKey,
    has_dcap_quotes: bool,
}

impl SoftwareDevice {
    /// The device of the machine that a seed stands for.
    pub fn new(seed: Secret) -> Result<Self, DeviceError> {
        let root =
            SigningKey::from_slice(keccak256("Obscuro development attestation root").as_slice())
                .map_err(|error| DeviceError(error.to_string()))?;
        let machine_seed = B256::from(*derive(&seed, b"software machine", &[]).expose());
        let machine = Authority::development().machine(&machine_seed, Profile::CURRENT);
        let measurement = Self::program_measurement();
        Ok(Self { seed, machine, measurement, root, has_dcap_quotes: false })
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

    /// The same machine, for networks that verify quotes.
    pub fn with_dcap_quotes(self) -> Self {
        Self { has_dcap_quotes: true, ..self }
    }

    /// The machine, which signs quotes and knows its certificates.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The signer of every software device's development signatures.
    pub fn development_root() -> Address {
        let key = keccak256("Obscuro development attestation root");
        SigningKey::from_slice(key.as_slice())
            .map_or(Address::ZERO, |key| Address::from_public_key(key.verifying_key()))
    }

    /// Stands in for the hash of the program, unless the device is told another.
    pub fn program_measurement() -> B256 {
        keccak256(concat!("Obscuro software enclave ", env!("CARGO_PKG_VERSION")))
    }

    /// The quote of an SGX enclave, stripped.
    pub fn dcap_quote(&self, report_data: B256) -> Bytes {
        let mut padded = [0; 64];
        padded[..32].copy_from_slice(report_data.as_slice());
        let report = Enclave::new(self.measurement).report(&self.machine, &padded);
        self.machine.stripped_quote(Tee::Sgx, &report).into()
    }
}

impl Device for SoftwareDevice {
    fn entropy(&self, out: &mut [u8]) {
        entropy(out);
    }

    fn quote(&self, report_data: B256) -> Result<Bytes, DeviceError> {
        if self.has_dcap_quotes {
            return Ok(self.dcap_quote(report_data));
        }
        Ok(sign_development_quote(&self.root, self.measurement, report_data))
    }

    fn certificates(&self) -> Result<Vec<Bytes>, DeviceError> {
        Ok(self.machine.certificates().map(Bytes::copy_from_slice).to_vec())
    }

    fn measurement(&self) -> B256 {
        self.measurement
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
