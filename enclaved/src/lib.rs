//! The shell inside the TEE: it carries door frames between a socket and the enclave, and gives the
//! enclave its device. Not here: anything that decides or knows; that is the enclave's; the device
//! of development networks (`software-tee`).

pub mod channel;
pub mod cores;
pub mod gramine;
pub mod tdx;

pub use channel::{end_with_stdin, run, serve};
pub use gramine::Gramine;
pub use tdx::Tdx;

use alloy_primitives::B256;
use obscuro_enclave::device::DeviceError;
use obscuro_protocol::attestation::{AttestationError, Quote};

/// Fills `out` with entropy of the operating system: inside the TEE that is Gramine's library, or the
/// guest's kernel, and both take it from the CPU.
#[expect(clippy::expect_used, reason = "without entropy no secret is safe: stop at once")]
pub fn entropy(out: &mut [u8]) {
    getrandom::fill(out).expect("the operating system has no entropy");
}

/// Report data as it stands in a report: 32 bytes, then zeros.
fn padded(report_data: B256) -> [u8; 64] {
    let mut padded = [0; 64];
    padded[..32].copy_from_slice(report_data.as_slice());
    padded
}

/// Whether this is a quote over this report data. The quoting service is the host's: it can hand
/// out anything, and this only notices it early.
fn is_about(quote: &[u8], report_data: B256) -> Result<bool, AttestationError> {
    Ok(Quote::parse(quote)?.report_data() == padded(report_data))
}

fn failed(what: &str, error: impl std::fmt::Display) -> DeviceError {
    DeviceError(format!("{what}: {error}"))
}
