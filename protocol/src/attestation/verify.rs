//! Judges a quote: genuine, of an admitted program, on a platform that is good enough. Pure: the
//! root, the policy and the time are arguments. Not here: layout (`quote`), signatures (`dcap`),
//! what the report data must say (`ReportData`).

use super::{
    AttestationError, Collateral, dcap,
    quote::{Quote, STRIPPED_VERSION, Tee, platform_id, restore},
};
use alloy_primitives::{B256, hex, keccak256};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt, str::FromStr};

/// SEPT_VE_DISABLE: the host cannot make pages vanish under the guest.
const TD_SEPT_VE_DISABLE: u64 = 1 << 28;
/// MIGRATABLE: another trust domain may copy this one.
const TD_MIGRATABLE: u64 = 1 << 29;
/// Extended features that every trust domain has: x87 and SSE.
const XFAM_ALWAYS: u64 = 0x3;
/// Extended features that are understood: AVX, AVX-512, PT, PKRU, CET, UINTR, LBR and AMX too.
const XFAM_KNOWN: u64 = 0x6_dbe7;

/// What a network demands of a quote. Debug mode is never admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Which programs.
    pub measurements: Admitted,
    /// Smallest security version of SGX enclaves; trust domains have none.
    pub security_version_min: u16,
    /// Admitted TCB statuses. `Revoked` is refused even if it is listed.
    pub statuses: Vec<TcbStatus>,
    /// Smallest TCB evaluation number of the collateral.
    pub evaluation_number_min: u32,
}

impl Policy {
    /// The strictest policy that admits these programs: platforms without any reservation.
    pub fn admitting(measurements: Vec<B256>) -> Self {
        Self {
            measurements: Admitted::Only(measurements),
            security_version_min: 0,
            statuses: vec![TcbStatus::UpToDate],
            evaluation_number_min: 0,
        }
    }
}

/// Which programs a policy admits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// Any. For tools that show what a quote proves: a network never says this.
    Any,
    /// Those with one of these measurements.
    Only(Vec<B256>),
}

/// What a verified quote proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attested {
    /// SGX or TDX.
    pub tee: Tee,
    /// The program.
    pub measurement: B256,
    /// Its security version, if it is an SGX enclave.
    pub security_version: Option<u16>,
    /// The machine: keccak256 of its provisioning id, which survives renewed certificates.
    pub machine: B256,
    /// The machine's certificate: see [`platform_id`].
    pub platform: B256,
    /// Kind of platform (FMSPC), as TCB info names it.
    #[serde(with = "hex::serde")]
    pub fmspc: [u8; 6],
    /// What the program says.
    #[serde(with = "hex::serde")]
    pub report_data: [u8; 64],
    /// State of the platform's firmware and configuration.
    pub tcb_status: TcbStatus,
    /// Intel's advisories that apply.
    pub advisories: Vec<String>,
    /// Smaller TCB evaluation number of TCB info and QE identity.
    pub evaluation_number: u32,
    /// When the first piece of the collateral expires, seconds since 1970.
    pub expires: u64,
}

impl Attested {
    /// Checks that the program says exactly this: 32 bytes, then zeros.
    pub fn check_report_data(&self, expected: B256) -> Result<(), AttestationError> {
        let (hash, rest) = self.report_data.split_at(32);
        if hash != expected.as_slice() || rest.iter().any(|byte| *byte != 0) {
            return Err(AttestationError::ReportData);
        }
        Ok(())
    }
}

/// State of a platform's firmware and configuration, in Intel's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TcbStatus {
    /// Nothing known against it.
    UpToDate,
    /// Software must work around a flaw of the CPU.
    SWHardeningNeeded,
    /// The BIOS allows what it should not.
    ConfigurationNeeded,
    /// Both of the above.
    ConfigurationAndSWHardeningNeeded,
    /// Firmware with known holes.
    OutOfDate,
    /// Firmware with known holes, and wrongly configured.
    OutOfDateConfigurationNeeded,
    /// The TDX module was updated below the running trust domain.
    TDRelaunchAdvised,
    /// The same, and wrongly configured.
    TDRelaunchAdvisedConfigurationNeeded,
    /// Keys of such platforms are known to be out.
    Revoked,
}

impl TcbStatus {
    /// All of them, best first.
    pub const ALL: [Self; 9] = [
        Self::UpToDate,
        Self::SWHardeningNeeded,
        Self::ConfigurationNeeded,
        Self::ConfigurationAndSWHardeningNeeded,
        Self::OutOfDate,
        Self::OutOfDateConfigurationNeeded,
        Self::TDRelaunchAdvised,
        Self::TDRelaunchAdvisedConfigurationNeeded,
        Self::Revoked,
    ];

    /// The statuses of a bit mask, as `AttestationVerifier` keeps it: bit n stands for number n of
    /// [`Self::ALL`]. `Revoked` has no bit.
    pub fn of_mask(mask: u16) -> Vec<Self> {
        let bits = (0..8).filter(|bit| mask >> bit & 1 == 1);
        bits.map(|bit| Self::ALL[bit]).collect()
    }
}

impl fmt::Display for TcbStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl FromStr for TcbStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let status = Self::ALL.into_iter().find(|status| status.to_string() == text);
        status.ok_or_else(|| format!("{text} is not a TCB status"))
    }
}

/// Verifies a quote, full or stripped, under a root certificate (DER) at a time in seconds since
/// 1970, which the caller takes from a verified L1 header. The report data is returned, not judged:
/// see [`Attested::check_report_data`].
pub fn verify(
    quote: &[u8],
    collateral: &Collateral,
    root: &[u8],
    policy: &Policy,
    time: u64,
) -> Result<Attested, AttestationError> {
    collateral.check_sizes()?;
    if *collateral.root_certificate != *root {
        return Err(AttestationError::Root);
    }
    let full = match quote.first() {
        Some(&STRIPPED_VERSION) => Cow::Owned(restore(quote, &collateral.pck_chain())?),
        _ => Cow::Borrowed(quote),
    };
    let quote = Quote::parse(&full)?;
    check_closed(&quote)?;
    let verdict = dcap::verify(&full, collateral, root, time)?;
    let attested = Attested {
        tee: quote.tee(),
        measurement: quote.measurement(),
        security_version: quote.security_version(),
        machine: keccak256(verdict.ppid),
        platform: platform_id(&collateral.pck_certificate)?,
        fmspc: verdict.fmspc,
        report_data: quote.report_data(),
        tcb_status: verdict.status,
        advisories: verdict.advisories,
        evaluation_number: verdict.evaluation_number,
        expires: verdict.expires,
    };
    policy.check(&attested)?;
    Ok(attested)
}

impl Policy {
    fn check(&self, attested: &Attested) -> Result<(), AttestationError> {
        let Attested { measurement, security_version, tcb_status, evaluation_number, .. } =
            attested;
        match &self.measurements {
            Admitted::Only(list) if !list.contains(measurement) => {
                return Err(AttestationError::Measurement(*measurement));
            }
            _ => {}
        }
        match *security_version {
            Some(found) if found < self.security_version_min => {
                let minimum = self.security_version_min;
                return Err(AttestationError::SecurityVersion { found, minimum });
            }
            _ => {}
        }
        if *tcb_status == TcbStatus::Revoked {
            return Err(AttestationError::Revoked);
        }
        if !self.statuses.contains(tcb_status) {
            return Err(AttestationError::TcbStatus(*tcb_status));
        }
        if *evaluation_number < self.evaluation_number_min {
            return Err(AttestationError::EvaluationNumber {
                found: *evaluation_number,
                minimum: self.evaluation_number_min,
            });
        }
        Ok(())
    }
}

/// Refuses enclaves and trust domains into which the host can look or reach. `dcap-qvl` refuses
/// most of them too, but by rules of its own.
fn check_closed(quote: &Quote<'_>) -> Result<(), AttestationError> {
    if quote.is_debug() {
        return Err(AttestationError::Debug);
    }
    if quote.tee() == Tee::Sgx {
        return Ok(());
    }
    let attributes = u64::from_le_bytes(quote.field(120));
    if attributes & TD_SEPT_VE_DISABLE == 0 {
        return Err(AttestationError::TrustDomain("SEPT_VE_DISABLE is not set"));
    }
    if attributes & TD_MIGRATABLE != 0 {
        return Err(AttestationError::TrustDomain("it can be migrated"));
    }
    let features = u64::from_le_bytes(quote.field(128));
    if features & XFAM_ALWAYS != XFAM_ALWAYS || features & !XFAM_KNOWN != 0 {
        return Err(AttestationError::TrustDomain("it has unknown extended features"));
    }
    // Intel's own module is signed by nobody else: its MRSIGNERSEAM is zero.
    if quote.field::<48>(64) != [0; 48] {
        return Err(AttestationError::TrustDomain("the TDX module is not Intel's"));
    }
    if quote.field::<8>(112) != [0; 8] {
        return Err(AttestationError::TrustDomain("the TDX module has attributes"));
    }
    Ok(())
}
