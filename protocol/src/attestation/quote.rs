//! The bytes of a DCAP quote: SGX version 3, TDX versions 4 and 5 (Intel SGX and TDX DCAP Quoting
//! Library API, appendix "Quote formats"), and the stripped form that goes to L1. Not here: whether
//! to believe any of it (`verify`).
//!
//! A stripped quote is `1 ‖ platform id (32) ‖ the quote up to its certification data`, of SGX
//! version 3 or TDX version 4: the 3.5 KB of PEM certificates stay away, because L1 knows the
//! machine's certificate already. The platform id names that certificate; it is keccak256 of its
//! 64-byte public key. Lengths cover what is there: 610, or 616 and 482
//! (`contracts/src/interfaces/IAttestationVerifier.sol`).

use super::{AttestationError, dcap};
use crate::limits::QUOTE_BYTES_MAX;
use alloy_primitives::{B256, Bytes, keccak256};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Version of the stripped form. A full quote begins with 3, 4 or 5.
pub const STRIPPED_VERSION: u8 = 1;
/// Newest quote version that has a stripped form.
const STRIPPED_QUOTE_VERSION_MAX: u16 = 4;
/// Version byte and platform id.
const STRIPPED_PREFIX_BYTES: usize = 33;

const HEADER_BYTES: usize = 48;
const SGX_REPORT_BYTES: usize = 384;
const TD_REPORT_10_BYTES: usize = 584;
const TD_REPORT_15_BYTES: usize = 648;
/// Type and size in front of a version 5 body.
const BODY_HEADER_BYTES: usize = 6;
/// Signature and attestation key.
const SIGNATURE_BYTES: usize = 128;
/// Type and size of certification data.
const CERTIFICATION_HEADER_BYTES: usize = 6;
/// Quoting enclave's report, its signature, the length of its authentication data and that data.
const QE_BYTES: usize = SGX_REPORT_BYTES + 64 + 2 + QE_AUTHENTICATION_BYTES;
const QE_AUTHENTICATION_BYTES: usize = 32;

const ECDSA_P256: u16 = 2;
const TEE_SGX: u32 = 0;
const TEE_TDX: u32 = 0x81;
const INTEL_QE_VENDOR: [u8; 16] = [
    0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07,
];
const CERTIFICATION_PCK_CHAIN: u16 = 5;
const CERTIFICATION_QE_REPORT: u16 = 6;

/// The kind of trusted execution environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tee {
    /// An SGX enclave.
    Sgx,
    /// A TDX trust domain.
    Tdx,
}

/// A quote whose layout is known. What it says is not verified.
#[derive(Clone, Debug)]
pub struct Quote<'a> {
    bytes: &'a [u8],
    version: u16,
    tee: Tee,
    body: Range<usize>,
    /// Where the 32-bit length of everything behind the body stands.
    signature_data: usize,
    /// Where the PCK certification data begins; the end of a stripped quote.
    certification: usize,
}

impl<'a> Quote<'a> {
    /// Reads the layout of a full quote up to its certification data, which may be missing.
    /// Refuses what no platform of this network makes: other versions, key types, vendors.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, AttestationError> {
        if bytes.len() > QUOTE_BYTES_MAX {
            return Err(AttestationError::TooLong { what: "quote", limit: QUOTE_BYTES_MAX });
        }
        let version = u16_at(bytes, 0)?;
        let (tee, body) = match (version, u32_at(bytes, 4)?) {
            (3, TEE_SGX) => (Tee::Sgx, HEADER_BYTES..HEADER_BYTES + SGX_REPORT_BYTES),
            (4, TEE_TDX) => (Tee::Tdx, HEADER_BYTES..HEADER_BYTES + TD_REPORT_10_BYTES),
            (5, TEE_TDX) => {
                let length = match (u16_at(bytes, HEADER_BYTES)?, u32_at(bytes, HEADER_BYTES + 2)?)
                {
                    (2, size) if size as usize == TD_REPORT_10_BYTES => TD_REPORT_10_BYTES,
                    (3, size) if size as usize == TD_REPORT_15_BYTES => TD_REPORT_15_BYTES,
                    _ => return Err(AttestationError::Unsupported),
                };
                let start = HEADER_BYTES + BODY_HEADER_BYTES;
                (Tee::Tdx, start..start + length)
            }
            _ => return Err(AttestationError::Unsupported),
        };
        if u16_at(bytes, 2)? != ECDSA_P256 || slice(bytes, 12, 16)? != INTEL_QE_VENDOR {
            return Err(AttestationError::Unsupported);
        }
        let signature_data = body.end;
        let mut qe = signature_data + 4 + SIGNATURE_BYTES;
        if version > 3 {
            if u16_at(bytes, qe)? != CERTIFICATION_QE_REPORT {
                return Err(AttestationError::Unsupported);
            }
            qe += CERTIFICATION_HEADER_BYTES;
        }
        let authentication = u16_at(bytes, qe + SGX_REPORT_BYTES + 64)?;
        if usize::from(authentication) != QE_AUTHENTICATION_BYTES {
            return Err(AttestationError::Malformed);
        }
        let certification = qe + QE_BYTES;
        slice(bytes, 0, certification)?;
        Ok(Self { bytes, version, tee, body, signature_data, certification })
    }

    /// Reads a stripped quote: its platform id, and the quote.
    pub fn parse_stripped(bytes: &'a [u8]) -> Result<(B256, Self), AttestationError> {
        if bytes.len() > QUOTE_BYTES_MAX {
            return Err(AttestationError::TooLong { what: "quote", limit: QUOTE_BYTES_MAX });
        }
        if bytes.first() != Some(&STRIPPED_VERSION) {
            return Err(AttestationError::Unsupported);
        }
        let platform = B256::from_slice(slice(bytes, 1, 32)?);
        let quote = Self::parse(&bytes[STRIPPED_PREFIX_BYTES..])?;
        if quote.version > STRIPPED_QUOTE_VERSION_MAX {
            return Err(AttestationError::Unsupported);
        }
        // One form only: the lengths, which nobody signs, are those of what is there.
        if quote.certification != quote.bytes.len() || quote.without_chain() != quote.bytes {
            return Err(AttestationError::Malformed);
        }
        Ok((platform, quote))
    }

    /// SGX or TDX.
    pub fn tee(&self) -> Tee {
        self.tee
    }

    /// What runs: MRENCLAVE, or keccak256(MRTD ‖ RTMR0 ‖ RTMR1 ‖ RTMR2 ‖ RTMR3).
    pub fn measurement(&self) -> B256 {
        match self.tee {
            Tee::Sgx => B256::from(self.field(64)),
            Tee::Tdx => td_measurement(
                &self.field(136),
                &[self.field(328), self.field(376), self.field(424), self.field(472)],
            ),
        }
    }

    /// The 64 bytes that the program put into its report.
    pub fn report_data(&self) -> [u8; 64] {
        self.field(match self.tee {
            Tee::Sgx => 320,
            Tee::Tdx => 520,
        })
    }

    /// ISVSVN, from the signature structure of an SGX enclave. A trust domain has none: its
    /// measurement says everything.
    pub fn security_version(&self) -> Option<u16> {
        (self.tee == Tee::Sgx).then(|| u16::from_le_bytes(self.field(258)))
    }

    /// Whether the host may look inside.
    pub fn is_debug(&self) -> bool {
        match self.tee {
            Tee::Sgx => self.field::<1>(48)[0] & 0x02 != 0,
            // All of the byte "TD under debug": debugging, profiling and what may be added.
            Tee::Tdx => self.field::<1>(120)[0] != 0,
        }
    }

    /// A field of the report body, at an offset of Intel's tables.
    pub(super) fn field<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut out = [0; N];
        let start = self.body.start + offset;
        if let Some(bytes) = self.bytes.get(start..start + N) {
            out.copy_from_slice(bytes);
        }
        out
    }

    /// The machine's certificate, its issuer and the root (DER), from a full quote.
    pub fn certificates(&self) -> Result<Vec<Bytes>, AttestationError> {
        if u16_at(self.bytes, self.certification)? != CERTIFICATION_PCK_CHAIN {
            return Err(AttestationError::Unsupported);
        }
        let length = u32_at(self.bytes, self.certification + 2)? as usize;
        let chain = slice(self.bytes, self.certification + CERTIFICATION_HEADER_BYTES, length)?;
        certificates(chain)
    }

    /// The quote up to its certification data.
    fn without_chain(&self) -> Vec<u8> {
        let mut quote = self.bytes[..self.certification].to_vec();
        self.set_lengths(&mut quote);
        quote
    }

    /// The quote with certification data of this chain.
    fn with_chain(&self, chain: &str) -> Vec<u8> {
        let data = [chain.as_bytes(), &[0]].concat();
        let mut quote = self.bytes[..self.certification].to_vec();
        quote.extend(CERTIFICATION_PCK_CHAIN.to_le_bytes());
        quote.extend((data.len() as u32).to_le_bytes());
        quote.extend(data);
        self.set_lengths(&mut quote);
        quote
    }

    /// Writes the lengths that cover everything up to the end.
    fn set_lengths(&self, quote: &mut [u8]) {
        let end = quote.len();
        let mut set = |at: usize| {
            let length = (end - at - 4) as u32;
            quote[at..at + 4].copy_from_slice(&length.to_le_bytes());
        };
        set(self.signature_data);
        if self.tee == Tee::Tdx {
            set(self.signature_data + 4 + SIGNATURE_BYTES + 2);
        }
    }
}

/// A quote on its way to L1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stripped {
    /// The stripped form.
    pub quote: Bytes,
    /// What was taken out: the machine's certificate (PCK leaf), its issuer, the root, as DER.
    pub certificates: Vec<Bytes>,
}

/// Takes the certificates out of a full quote, as a device makes it.
pub fn strip(full: &[u8]) -> Result<Stripped, AttestationError> {
    let quote = Quote::parse(full)?;
    if quote.version > STRIPPED_QUOTE_VERSION_MAX {
        return Err(AttestationError::Unsupported);
    }
    let certificates = quote.certificates()?;
    let leaf = certificates.first().ok_or(AttestationError::Malformed)?;
    let platform = platform_id(leaf)?;
    let stripped = [&[STRIPPED_VERSION], platform.as_slice(), &quote.without_chain()].concat();
    Ok(Stripped { quote: stripped.into(), certificates })
}

/// Puts certificates (DER, leaf first) back into a stripped quote. The result is what the device
/// made, byte for byte, if it writes chains as Intel's library does.
pub fn restore(stripped: &[u8], certificates: &[&[u8]]) -> Result<Vec<u8>, AttestationError> {
    let (platform, quote) = Quote::parse_stripped(stripped)?;
    let leaf = certificates.first().ok_or(AttestationError::Malformed)?;
    if platform_id(leaf)? != platform {
        return Err(AttestationError::Platform);
    }
    Ok(quote.with_chain(&pem_chain(certificates)))
}

/// Names a machine's certificate: keccak256 of its 64-byte public key.
pub fn platform_id(pck_leaf: &[u8]) -> Result<B256, AttestationError> {
    Ok(keccak256(dcap::public_key(pck_leaf)?))
}

/// The measurement of a trust domain: the initial image (MRTD) and the four runtime registers.
pub fn td_measurement(mrtd: &[u8; 48], rtmr: &[[u8; 48]; 4]) -> B256 {
    keccak256([&mrtd[..], rtmr.as_flattened()].concat())
}

/// DER certificates as Intel's library writes chains: 64 columns, line feeds.
pub(super) fn pem_chain(certificates: &[&[u8]]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    certificates
        .iter()
        .map(|der| pem::encode_config(&pem::Pem::new("CERTIFICATE", *der), config))
        .collect()
}

/// The DER certificates of a PEM chain.
pub(super) fn certificates(chain: &[u8]) -> Result<Vec<Bytes>, AttestationError> {
    const CERTIFICATES_MAX: usize = 4;
    let chain = pem::parse_many(chain).map_err(|_| AttestationError::Malformed)?;
    if chain.is_empty() || chain.len() > CERTIFICATES_MAX {
        return Err(AttestationError::Malformed);
    }
    Ok(chain.into_iter().map(|pem| pem.into_contents().into()).collect())
}

fn slice(bytes: &[u8], start: usize, length: usize) -> Result<&[u8], AttestationError> {
    let end = start.checked_add(length).ok_or(AttestationError::Malformed)?;
    bytes.get(start..end).ok_or(AttestationError::Malformed)
}

fn u16_at(bytes: &[u8], offset: usize) -> Result<u16, AttestationError> {
    let bytes = slice(bytes, offset, 2)?;
    Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
}

fn u32_at(bytes: &[u8], offset: usize) -> Result<u32, AttestationError> {
    let bytes = slice(bytes, offset, 4)?;
    Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}
