//! A device without hardware, for development networks: its quotes are signed by the development
//! root, whose key is public by design, and a production network names another root. It protects
//! nothing from the operator.

use crate::cores;
use alloy_primitives::{Address, B256, Bytes, keccak256};
use k256::ecdsa::SigningKey;
use obscuro_enclave::{
    device::{Device, DeviceError, Task},
    identity::sign_development_quote,
};
use obscuro_protocol::secret::Secret;
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// The software device of one machine.
pub struct SoftwareDevice {
    sealing_key: Secret,
    root: SigningKey,
}

impl SoftwareDevice {
    /// A device whose sealing key stands in for the CPU's.
    pub fn new(sealing_key: Secret) -> Result<Self, DeviceError> {
        let root =
            SigningKey::from_slice(keccak256("Obscuro development attestation root").as_slice())
                .map_err(|error| DeviceError(error.to_string()))?;
        Ok(Self { sealing_key, root })
    }

    /// A device whose sealing key lies in a file, which is created if it does not exist.
    pub fn open(path: &Path) -> io::Result<Self> {
        if !path.exists() {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(io::Error::other)?;
            // Written aside first: a crash leaves no half key behind.
            let aside = path.with_extension("new");
            let mut options = fs::OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
            file.write_all(&key)?;
            file.sync_all()?;
            fs::rename(aside, path)?;
        }
        let key = <[u8; 32]>::try_from(fs::read(path)?.as_slice())
            .map_err(|_| io::Error::other("not 32 bytes: delete the file to start anew"))?;
        Self::new(Secret::new(key)).map_err(io::Error::other)
    }

    /// The signer of every software device's quotes.
    pub fn development_root() -> Address {
        let key = keccak256("Obscuro development attestation root");
        SigningKey::from_slice(key.as_slice())
            .map_or(Address::ZERO, |key| Address::from_public_key(key.verifying_key()))
    }

    /// Stands in for the hash of the program.
    pub fn program_measurement() -> B256 {
        keccak256(concat!("Obscuro software enclave ", env!("CARGO_PKG_VERSION")))
    }
}

impl Device for SoftwareDevice {
    #[expect(clippy::expect_used, reason = "without entropy no secret is safe: stop at once")]
    fn entropy(&self, out: &mut [u8]) {
        getrandom::fill(out).expect("the operating system has no entropy");
    }

    fn quote(&self, report_data: B256) -> Result<Bytes, DeviceError> {
        Ok(sign_development_quote(&self.root, self.measurement(), report_data))
    }

    fn measurement(&self) -> B256 {
        Self::program_measurement()
    }

    fn sealing_key(&self) -> Secret {
        self.sealing_key.duplicate()
    }

    fn cores(&self) -> usize {
        cores::cores()
    }

    fn run(&self, tasks: Vec<Task<'_>>) {
        cores::run(tasks);
    }
}
