//! A TDX trust domain: quotes through the kernel's report interface (configfs-tsm, Linux 6.7,
//! `Documentation/ABI/testing/configfs-tsm`). Not here: the image (`docs/operating.md`).
//!
//! What the host can do: refuse, delay or replace a quote, which then nobody accepts, and choose
//! when the machine restarts. What it cannot: reach these files, arguments or environment. They
//! belong to the guest, whose image, kernel command line and initial file system are measured.
//!
//! TDX 1.5 gives a program no key of its own: there is nothing to seal with that would survive a
//! restart. The sealing key is therefore fresh each time. What was sealed before does not open, and
//! the enclave makes a new identity and registers anew.

use crate::{cores, entropy, failed, is_about, padded};
use alloy_primitives::B256;
use obscuro_enclave::device::{Device, DeviceError, Task};
use obscuro_protocol::{
    attestation::{Stripped, strip},
    limits::QUOTE_BYTES_MAX,
    secret::Secret,
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Where the kernel shows its reports.
pub const DIRECTORY: &str = "/sys/kernel/config/tsm/report";
/// The quoting service of a busy host answers within seconds.
pub const TIMEOUT: Duration = Duration::from_secs(30);

const PROVIDER: &str = "tdx_guest";
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// The device of a trust domain.
pub struct Tdx {
    report: Report,
    sealing_key: Secret,
}

impl Tdx {
    /// Opens the device. `directory` is [`DIRECTORY`] and `timeout` [`TIMEOUT`] but in tests.
    pub fn open(directory: &Path, timeout: Duration) -> Result<Self, DeviceError> {
        let report = Report::create(directory, timeout)?;
        let mut key = [0; 32];
        entropy(&mut key);
        let device = Self { report, sealing_key: Secret::new(key) };
        // What cannot attest says so at once.
        device.quote(B256::ZERO)?;
        Ok(device)
    }
}

impl Device for Tdx {
    fn entropy(&self, out: &mut [u8]) {
        entropy(out);
    }

    fn quote(&self, report_data: B256) -> Result<Stripped, DeviceError> {
        let quote = self.report.quote(report_data)?;
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

/// This process's directory at the report interface.
struct Report {
    path: PathBuf,
    timeout: Duration,
    /// Data in and quote out are two files: one quote at a time.
    turn: Mutex<()>,
}

impl Report {
    fn create(directory: &Path, timeout: Duration) -> Result<Self, DeviceError> {
        let path = directory.join(format!("obscuro-{}", std::process::id()));
        match fs::create_dir(&path) {
            // Of a process of this boot that had the same number and is gone.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            other => other.map_err(|error| failed("no report interface", error))?,
        }
        let report = Self { path, timeout, turn: Mutex::new(()) };
        let provider = fs::read_to_string(report.path.join("provider"))
            .map_err(|error| failed("no provider of reports", error))?;
        if provider.trim() != PROVIDER {
            return Err(DeviceError(format!("reports come from {}", provider.trim())));
        }
        Ok(report)
    }

    /// A full quote over report data.
    fn quote(&self, report_data: B256) -> Result<Vec<u8>, DeviceError> {
        // A turn that ended in a panic left nothing behind: the next writes its own report data.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = Instant::now() + self.timeout;
        let mut last = "no answer".to_string();
        while Instant::now() < deadline {
            match self.attempt(report_data) {
                Ok(Some(quote)) => match is_about(&quote, report_data) {
                    Ok(true) => return Ok(quote),
                    Ok(false) => last = "a quote about other report data".into(),
                    Err(error) => last = error.to_string(),
                },
                Ok(None) => last = "an empty or contested quote".into(),
                Err(error) => last = error.to_string(),
            }
            thread::sleep(PAUSE);
        }
        Err(DeviceError(format!("no quote within {:?}: {last}", self.timeout)))
    }

    /// One round through the interface. `None` if the quote is empty, which the kernel does not
    /// report as an error, or if somebody else wrote in between.
    fn attempt(&self, report_data: B256) -> io::Result<Option<Vec<u8>>> {
        let before = self.generation()?;
        let mut file = OpenOptions::new().write(true).open(self.path.join("inblob"))?;
        // The kernel takes one write for one request.
        if file.write(&padded(report_data))? != 64 {
            return Err(ErrorKind::WriteZero.into());
        }
        drop(file);
        let mut quote = Vec::new();
        File::open(self.path.join("outblob"))?
            .take(QUOTE_BYTES_MAX as u64 + 1)
            .read_to_end(&mut quote)?;
        let is_ours = self.generation()? == before.wrapping_add(1);
        Ok((is_ours && !quote.is_empty()).then_some(quote))
    }

    /// Counts the writes to this directory.
    fn generation(&self) -> io::Result<u64> {
        let text = fs::read_to_string(self.path.join("generation"))?;
        text.trim().parse().map_err(|_| ErrorKind::InvalidData.into())
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        // The kernel forgets it with the guest anyway.
        let _ = fs::remove_dir(&self.path);
    }
}
