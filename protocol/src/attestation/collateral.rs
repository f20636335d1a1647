//! What a verifier needs beside a quote: Intel's certificates, revocation lists and statements about
//! security versions, in the pieces in which L1 events carry them. Not here: verification
//! (`verify`), fetching.

use super::{
    AttestationError,
    quote::{self, Quote, pem_chain},
};
use crate::{
    limits::{COLLATERAL_BYTES_MAX, QUOTE_BYTES_MAX},
    wire::{self, WireError},
};
use alloy_primitives::{Bytes, hex};
use dcap_qvl::QuoteCollateralV3;
use serde::{Deserialize, Serialize};

/// Largest certificate, bytes. Intel's are below 1.3 KB.
const CERTIFICATE_BYTES_MAX: usize = 4 * 1024;
/// Largest revocation list, bytes.
const CRL_BYTES_MAX: usize = 128 * 1024;
/// Largest TCB info or QE identity, bytes. Intel's are below 16 KB.
pub(super) const STATEMENT_BYTES_MAX: usize = 64 * 1024;
/// A raw P-256 signature, r ‖ s.
const SIGNATURE_BYTES: usize = 64;

/// Collateral for one machine and one TEE. Certificates and lists are DER. One signer vouches for
/// both statements, as at Intel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Collateral {
    /// The root that everything hangs from; accepted only if it is the root that the verifier
    /// trusts.
    pub root_certificate: Bytes,
    /// Issuer of machines' certificates.
    pub pck_ca_certificate: Bytes,
    /// The machine's certificate.
    pub pck_certificate: Bytes,
    /// Signer of the two statements.
    pub tcb_signer_certificate: Bytes,
    /// Revocations by the root.
    pub root_crl: Bytes,
    /// Revocations of machines.
    pub pck_crl: Bytes,
    /// Security versions of this kind of platform: Intel's JSON, exactly as signed.
    pub tcb_info: String,
    /// Signature over `tcb_info`, r ‖ s.
    pub tcb_info_signature: Bytes,
    /// What the quoting enclave must be: Intel's JSON, exactly as signed.
    pub qe_identity: String,
    /// Signature over `qe_identity`, r ‖ s.
    pub qe_identity_signature: Bytes,
}

impl Collateral {
    /// The wire form.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads the wire form.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        wire::decode(bytes, COLLATERAL_BYTES_MAX)
    }

    /// Reads a JSON file: this type's own form, or the answer of a provisioning certificate caching
    /// service (PEM chains, hexadecimal lists), which leaves the machine's certificate to the quote.
    pub fn from_json(json: &str, quote: &[u8]) -> Result<Self, AttestationError> {
        const JSON_BYTES_MAX: usize = 2 * COLLATERAL_BYTES_MAX + QUOTE_BYTES_MAX;
        if json.len() > JSON_BYTES_MAX {
            return Err(AttestationError::TooLong { what: "collateral", limit: JSON_BYTES_MAX });
        }
        if let Ok(collateral) = serde_json::from_str(json) {
            return Ok(collateral);
        }
        let answer: CachingService = serde_json::from_str(json)
            .map_err(|error| AttestationError::Collateral(error.to_string()))?;
        answer.collateral(quote)
    }

    /// The certificates that belong into a quote, leaf first.
    pub fn pck_chain(&self) -> [&[u8]; 3] {
        [&self.pck_certificate, &self.pck_ca_certificate, &self.root_certificate]
    }

    /// Refuses pieces that are longer than any honest one.
    pub(super) fn check_sizes(&self) -> Result<(), AttestationError> {
        let pieces = [
            ("root certificate", self.root_certificate.len(), CERTIFICATE_BYTES_MAX),
            ("PCK CA certificate", self.pck_ca_certificate.len(), CERTIFICATE_BYTES_MAX),
            ("PCK certificate", self.pck_certificate.len(), CERTIFICATE_BYTES_MAX),
            ("TCB signer certificate", self.tcb_signer_certificate.len(), CERTIFICATE_BYTES_MAX),
            ("root CRL", self.root_crl.len(), CRL_BYTES_MAX),
            ("PCK CRL", self.pck_crl.len(), CRL_BYTES_MAX),
            ("TCB info", self.tcb_info.len(), STATEMENT_BYTES_MAX),
            ("TCB info signature", self.tcb_info_signature.len(), SIGNATURE_BYTES),
            ("QE identity", self.qe_identity.len(), STATEMENT_BYTES_MAX),
            ("QE identity signature", self.qe_identity_signature.len(), SIGNATURE_BYTES),
        ];
        match pieces.into_iter().find(|(_, length, limit)| length > limit) {
            Some((what, _, limit)) => Err(AttestationError::TooLong { what, limit }),
            None => Ok(()),
        }
    }

    /// The form that `dcap-qvl` reads.
    pub(super) fn to_dcap(&self) -> QuoteCollateralV3 {
        let signer = pem_chain(&[&self.tcb_signer_certificate, &self.root_certificate]);
        QuoteCollateralV3 {
            pck_crl_issuer_chain: pem_chain(&[&self.pck_ca_certificate, &self.root_certificate]),
            root_ca_crl: self.root_crl.to_vec(),
            pck_crl: self.pck_crl.to_vec(),
            tcb_info_issuer_chain: signer.clone(),
            tcb_info: self.tcb_info.clone(),
            tcb_info_signature: self.tcb_info_signature.to_vec(),
            qe_identity_issuer_chain: signer,
            qe_identity: self.qe_identity.clone(),
            qe_identity_signature: self.qe_identity_signature.to_vec(),
            pck_certificate_chain: Some(pem_chain(&self.pck_chain())),
        }
    }
}

/// The answer of a caching service, as `dcap-qvl` and its peers keep it in files.
#[derive(Deserialize)]
struct CachingService {
    root_ca_crl: String,
    pck_crl: String,
    tcb_info_issuer_chain: String,
    tcb_info: String,
    tcb_info_signature: String,
    qe_identity_issuer_chain: String,
    qe_identity: String,
    qe_identity_signature: String,
    pck_certificate_chain: Option<String>,
}

impl CachingService {
    fn collateral(self, quote: &[u8]) -> Result<Collateral, AttestationError> {
        let pck_chain = match &self.pck_certificate_chain {
            Some(chain) => quote::certificates(chain.as_bytes())?,
            None => Quote::parse(quote)?.certificates()?,
        };
        let [pck, pck_ca, root] = <[Bytes; 3]>::try_from(pck_chain)
            .map_err(|_| malformed("the PCK chain has not three certificates"))?;
        let tcb_chain = quote::certificates(self.tcb_info_issuer_chain.as_bytes())?;
        let qe_chain = quote::certificates(self.qe_identity_issuer_chain.as_bytes())?;
        let signer = tcb_chain.into_iter().next().ok_or(AttestationError::Malformed)?;
        if qe_chain.first() != Some(&signer) {
            return Err(malformed("TCB info and QE identity have different signers"));
        }
        Ok(Collateral {
            root_certificate: root,
            pck_ca_certificate: pck_ca,
            pck_certificate: pck,
            tcb_signer_certificate: signer,
            root_crl: bytes(&self.root_ca_crl)?,
            pck_crl: bytes(&self.pck_crl)?,
            tcb_info: self.tcb_info,
            tcb_info_signature: bytes(&self.tcb_info_signature)?,
            qe_identity: self.qe_identity,
            qe_identity_signature: bytes(&self.qe_identity_signature)?,
        })
    }
}

fn bytes(text: &str) -> Result<Bytes, AttestationError> {
    hex::decode(text).map(Bytes::from).map_err(|_| malformed("a field is not hexadecimal"))
}

fn malformed(reason: &str) -> AttestationError {
    AttestationError::Collateral(reason.into())
}
