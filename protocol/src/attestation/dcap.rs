//! The one place that names `dcap-qvl` as a verifier. It checks signatures, chains, revocation and
//! expiry, and finds the TCB level; it accepts every level that is not revoked. Not here: the
//! policy (`verify`).

use super::{AttestationError, Collateral, Statement, Subject, TcbStatus, Tee};
use alloy_primitives::hex;
use chrono::DateTime;
use dcap_qvl::{QeIdentity, QuotePolicy, TcbInfo, verify::QuoteVerifier};
use x509_cert::{Certificate, der::Decode};

/// What the chain of signatures proves beside the report.
pub(super) struct Verdict {
    pub status: TcbStatus,
    pub advisories: Vec<String>,
    pub evaluation_number: u32,
    pub ppid: Vec<u8>,
    pub fmspc: [u8; 6],
    pub expires: u64,
}

/// Verifies a full quote at a time in seconds.
pub(super) fn verify(
    quote: &[u8],
    collateral: &Collateral,
    root: &[u8],
    time: u64,
) -> Result<Verdict, AttestationError> {
    let claims = QuoteVerifier::new(root.to_vec())
        .verify_with_policy(quote, collateral.to_dcap(), time, &QuotePolicy::claims_only(time))
        .map_err(|error| named(&format!("{error:#}")))?;
    Ok(Verdict {
        status: claims.tcb.status.into(),
        advisories: claims.tcb.advisory_ids,
        evaluation_number: claims.tcb.eval_data_number,
        ppid: claims.platform.pck.ppid,
        fmspc: claims.platform.pck.fmspc,
        expires: claims.earliest_expiration_date,
    })
}

/// The 64-byte public key of a certificate, x ‖ y.
pub(super) fn public_key(certificate: &[u8]) -> Result<[u8; 64], AttestationError> {
    let certificate = Certificate::from_der(certificate)
        .map_err(|_| AttestationError::Collateral("not a certificate".into()))?;
    let key =
        certificate.tbs_certificate().subject_public_key_info().subject_public_key.raw_bytes();
    match key.split_first() {
        Some((4, point)) => point.try_into().ok(),
        _ => None,
    }
    .ok_or_else(|| AttestationError::Collateral("not a P-256 certificate".into()))
}

/// The subject and the age of a statement. Nothing is verified.
pub(super) fn statement(json: &str) -> Result<Statement, AttestationError> {
    let malformed = |reason: &str| AttestationError::Collateral(reason.into());
    if let Ok(info) = serde_json::from_str::<TcbInfo>(json) {
        let tee = match info.id.as_str() {
            "SGX" => Tee::Sgx,
            "TDX" => Tee::Tdx,
            _ => return Err(malformed("TCB info of an unknown TEE")),
        };
        let mut fmspc = [0; 6];
        hex::decode_to_slice(&info.fmspc, &mut fmspc).map_err(|_| malformed("FMSPC"))?;
        return Ok(Statement {
            subject: Subject::TcbInfo(tee, fmspc),
            evaluation_number: info.tcb_evaluation_data_number,
            issued: seconds(&info.issue_date)?,
            expires: seconds(&info.next_update)?,
        });
    }
    let identity: QeIdentity =
        serde_json::from_str(json).map_err(|_| malformed("neither TCB info nor a QE identity"))?;
    let tee = match identity.id.as_str() {
        "QE" => Tee::Sgx,
        "TD_QE" => Tee::Tdx,
        _ => return Err(malformed("identity of an unknown quoting enclave")),
    };
    Ok(Statement {
        subject: Subject::QeIdentity(tee),
        evaluation_number: identity.tcb_evaluation_data_number,
        issued: seconds(&identity.issue_date)?,
        expires: seconds(&identity.next_update)?,
    })
}

fn seconds(date: &str) -> Result<u64, AttestationError> {
    let date = DateTime::parse_from_rfc3339(date).ok().map(|date| date.timestamp());
    date.and_then(|seconds| seconds.try_into().ok())
        .ok_or_else(|| AttestationError::Collateral("a date is malformed".into()))
}

/// Gives a refusal its name. `dcap-qvl` has no error type, so its words decide; they are pinned
/// with its version, and a test goes through them. The verdict does not depend on the name.
fn named(reason: &str) -> AttestationError {
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if says(&["CertRevoked", "status is invalid: Revoked"]) {
        AttestationError::Revoked
    } else if says(&["CertExpired", "CertNotValidYet", "CrlExpired", " expired", "in the future"]) {
        AttestationError::Expired
    } else if says(&["Fmspc mismatch", "non-SGX", "non-TDX", "Unsupported QE Identity"]) {
        AttestationError::OtherCollateral
    } else if says(&["ISV enclave report signature"]) {
        AttestationError::Signature
    } else if says(&["for qe_report", "QE report", "QE MRSIGNER", "QE ISV", "QE MISC", "QE ATTR"]) {
        AttestationError::QuotingEnclave
    } else if says(&["TD attributes", "SERVTD_EXT", "MR service TD"]) {
        AttestationError::TrustDomain("it is open to service domains or future features")
    } else if says(&["No matching TCB level", "below minimum"]) {
        AttestationError::UnknownTcbLevel
    } else if says(&[
        "for tcb_info",
        "for qe_identity",
        "UnknownIssuer",
        "InvalidSignature",
        "InvalidCrlSignature",
    ]) {
        AttestationError::Chain
    } else {
        AttestationError::Collateral(reason.into())
    }
}

impl From<dcap_qvl::TcbStatus> for TcbStatus {
    fn from(status: dcap_qvl::TcbStatus) -> Self {
        use dcap_qvl::TcbStatus as Theirs;
        match status {
            Theirs::UpToDate => Self::UpToDate,
            Theirs::SWHardeningNeeded => Self::SWHardeningNeeded,
            Theirs::ConfigurationNeeded => Self::ConfigurationNeeded,
            Theirs::ConfigurationAndSWHardeningNeeded => Self::ConfigurationAndSWHardeningNeeded,
            Theirs::OutOfDate => Self::OutOfDate,
            Theirs::OutOfDateConfigurationNeeded => Self::OutOfDateConfigurationNeeded,
            Theirs::TDRelaunchAdvised => Self::TDRelaunchAdvised,
            Theirs::TDRelaunchAdvisedConfigurationNeeded => {
                Self::TDRelaunchAdvisedConfigurationNeeded
            }
            Theirs::Revoked => Self::Revoked,
        }
    }
}
