//! SGX under Gramine: the files of `/dev/attestation`, which Gramine makes up inside the enclave.
//! Not here: Gramine's manifest (`enclaved/gramine`).
//!
//! What the host can do: refuse or delay a quote, or have the quoting service answer with another,
//! which nobody accepts. What it cannot: reach these files. Gramine serves them from inside, mounts
//! and arguments stand in the manifest, and the manifest is part of MRENCLAVE. A host that runs this
//! program without SGX on files of its own gets quotes that Intel did not sign.

use crate::{cores, entropy, failed, is_about, padded};
use alloy_primitives::B256;
use obscuro_enclave::device::{Device, DeviceError, Task};
use obscuro_protocol::{
    attestation::{Stripped, strip},
    keys::{LABEL_SEALING, derive},
    limits::QUOTE_BYTES_MAX,
    secret::Secret,
};
use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};
use zeroize::Zeroizing;

/// Where Gramine shows its files.
pub const DIRECTORY: &str = "/dev/attestation";

const REPORT_DATA: &str = "user_report_data";
const QUOTE: &str = "quote";
const ATTESTATION_TYPE: &str = "attestation_type";
/// The key of this program on this CPU. Never `_sgx_mrsigner`, which any program of the same signer
/// obtains: a back door.
const SEALING_KEY: &str = "keys/_sgx_mrenclave";
/// Gramine's keys are AES-128 keys.
const SEALING_KEY_BYTES: usize = 16;

/// The device of an enclave under Gramine.
pub struct Gramine {
    directory: PathBuf,
    sealing_key: Secret,
    /// Report data and quote are two files: one quote at a time.
    turn: Mutex<()>,
}

impl Gramine {
    /// Opens the device. `directory` is [`DIRECTORY`] but in tests.
    pub fn open(directory: &Path) -> Result<Self, DeviceError> {
        let kind = fs::read_to_string(directory.join(ATTESTATION_TYPE))
            .map_err(|error| failed("Gramine's attestation type", error))?;
        if kind.trim() != "dcap" {
            return Err(DeviceError(format!("Gramine's attestation is {}, not dcap", kind.trim())));
        }
        let sealing_key = sealing_key(directory)?;
        let device = Self { directory: directory.into(), sealing_key, turn: Mutex::new(()) };
        // What cannot attest says so at once.
        device.quote(B256::ZERO)?;
        Ok(device)
    }
}

impl Device for Gramine {
    fn entropy(&self, out: &mut [u8]) {
        entropy(out);
    }

    fn quote(&self, report_data: B256) -> Result<Stripped, DeviceError> {
        // A turn that ended in a panic left nothing behind: the next writes its own report data.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let quote = quote(&self.directory, report_data)?;
        strip(&quote).map_err(|error| failed("the quote", error))
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

/// A full quote over report data.
fn quote(directory: &Path, report_data: B256) -> Result<Vec<u8>, DeviceError> {
    OpenOptions::new()
        .write(true)
        .open(directory.join(REPORT_DATA))
        .and_then(|mut file| file.write_all(&padded(report_data)))
        .map_err(|error| failed("report data", error))?;
    let mut quote = Vec::new();
    File::open(directory.join(QUOTE))
        .and_then(|file| file.take(QUOTE_BYTES_MAX as u64 + 1).read_to_end(&mut quote))
        .map_err(|error| failed("the quote", error))?;
    match is_about(&quote, report_data) {
        Ok(true) => Ok(quote),
        Ok(false) => Err(DeviceError("the quote is about other report data".into())),
        Err(error) => Err(failed("the quote", error)),
    }
}

fn sealing_key(directory: &Path) -> Result<Secret, DeviceError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(SEALING_KEY_BYTES + 1));
    File::open(directory.join(SEALING_KEY))
        .and_then(|file| file.take(SEALING_KEY_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| failed("the sealing key", error))?;
    // Gramine shows zeros for a key that was not set.
    if bytes.len() != SEALING_KEY_BYTES || bytes.iter().all(|byte| *byte == 0) {
        return Err(DeviceError("the sealing key is missing".into()));
    }
    let mut secret = [0; 32];
    secret[..SEALING_KEY_BYTES].copy_from_slice(&bytes);
    Ok(derive(&Secret::new(secret), LABEL_SEALING, &[]))
}
