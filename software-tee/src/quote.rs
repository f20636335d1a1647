//! Quotes as Intel's quoting enclaves make them, byte for byte: SGX version 3, TDX version 4, with
//! the machine's certificates. Reports can say anything, for tests. Not here: the certificates
//! (`pki`), reading quotes (`obscuro_protocol::attestation`).

use crate::pki::Machine;
use alloy_primitives::{B256, hex};
use obscuro_protocol::attestation::{Tee, restore};
use sha2::{Digest, Sha256};

/// Debug bit of an enclave's attributes.
const SGX_DEBUG: u64 = 0x02;
/// Initialised, 64-bit.
const SGX_ATTRIBUTES: u64 = 0x05;
/// Initialised, 64-bit, may use the provisioning key: a quoting enclave.
const QE_ATTRIBUTES: u64 = 0x15;
/// Extended features of an enclave: x87, SSE, AVX, AVX-512.
const SGX_XFRM: u64 = 0xe7;
/// Debug bit of a trust domain's attributes.
const TD_DEBUG: u64 = 0x01;
/// SEPT_VE_DISABLE.
const TD_ATTRIBUTES: u64 = 1 << 28;
/// Extended features of a trust domain, AMX too.
const TD_XFAM: u64 = 0x6_02e7;
const VENDOR: [u8; 16] = hex!("939a7233f79c4ca9940a0db3957f0607");

/// A program in an SGX enclave.
#[derive(Clone, Debug)]
pub struct Enclave {
    /// MRENCLAVE.
    pub measurement: B256,
    /// ISVSVN.
    pub security_version: u16,
    /// Whether the host may look inside.
    pub debug: bool,
}

impl Enclave {
    /// An enclave as production runs it.
    pub fn new(measurement: B256) -> Self {
        Self { measurement, security_version: 1, debug: false }
    }

    /// Its report: 384 bytes.
    pub fn report(&self, machine: &Machine, report_data: &[u8; 64]) -> Vec<u8> {
        let debug = if self.debug { SGX_DEBUG } else { 0 };
        SgxReport {
            cpu_svn: machine.profile.cpu_svn,
            attributes: SGX_ATTRIBUTES | debug,
            measurement: self.measurement,
            mr_signer: [0; 32],
            product: 0,
            security_version: self.security_version,
        }
        .bytes(report_data)
    }
}

/// A program in a TDX trust domain.
#[derive(Clone, Debug)]
pub struct TrustDomain {
    /// MRTD: the initial image.
    pub mrtd: [u8; 48],
    /// What was measured while it started.
    pub rtmr: [[u8; 48]; 4],
    /// Whether the host may look inside.
    pub debug: bool,
}

impl TrustDomain {
    /// A trust domain as production runs it.
    pub fn new(mrtd: [u8; 48], rtmr: [[u8; 48]; 4]) -> Self {
        Self { mrtd, rtmr, debug: false }
    }

    /// Its report: 584 bytes.
    pub fn report(&self, machine: &Machine, report_data: &[u8; 64]) -> Vec<u8> {
        let debug = if self.debug { TD_DEBUG } else { 0 };
        [
            &machine.profile.tee_tcb_svn[..],
            &[0x5e; 48], // MRSEAM: the TDX module
            &[0; 48],    // MRSIGNERSEAM: Intel
            &[0; 8],     // SEAMATTRIBUTES
            &(TD_ATTRIBUTES | debug).to_le_bytes(),
            &TD_XFAM.to_le_bytes(),
            &self.mrtd,
            &[0; 3 * 48], // MRCONFIGID, MROWNER, MROWNERCONFIG
            self.rtmr.as_flattened(),
            report_data,
        ]
        .concat()
    }
}

/// Intel's quoting enclaves, as their identities describe them.
pub struct QuotingEnclave {
    /// MRSIGNER.
    pub mr_signer: [u8; 32],
    /// ISVPRODID.
    pub product: u16,
    /// ISVSVN.
    pub security_version: u16,
}

impl QuotingEnclave {
    /// The quoting enclave for a TEE.
    pub const fn of(tee: Tee) -> Self {
        match tee {
            Tee::Sgx => Self {
                mr_signer: hex!("8c4f5775d796503e96137f77c68a829a0056ac8ded70140b081b094490c57bff"),
                product: 1,
                security_version: 8,
            },
            Tee::Tdx => Self {
                mr_signer: hex!("dc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5"),
                product: 2,
                security_version: 4,
            },
        }
    }
}

impl Machine {
    /// The quote of an SGX enclave: version 3.
    pub fn sgx_quote(&self, enclave: &Enclave, report_data: &[u8; 64]) -> Vec<u8> {
        self.quote(Tee::Sgx, &enclave.report(self, report_data))
    }

    /// The quote of a trust domain: version 4.
    pub fn tdx_quote(&self, domain: &TrustDomain, report_data: &[u8; 64]) -> Vec<u8> {
        self.quote(Tee::Tdx, &domain.report(self, report_data))
    }

    /// The quote of any report, in full.
    pub fn quote(&self, tee: Tee, report: &[u8]) -> Vec<u8> {
        let stripped = self.stripped_quote(tee, report);
        restore(&stripped, &self.certificates()).unwrap_or_default()
    }

    /// The quote of any report, in the form that L1 carries.
    pub fn stripped_quote(&self, tee: Tee, report: &[u8]) -> Vec<u8> {
        let signed = [&self.header(tee), report].concat();
        let key = self.attestation_key.public();
        let qe = self.qe_part(tee, &key);
        let certified = match tee {
            Tee::Sgx => qe,
            // Certification data of type 6: report of the quoting enclave.
            Tee::Tdx => [&6_u16.to_le_bytes()[..], &(qe.len() as u32).to_le_bytes(), &qe].concat(),
        };
        let signature = self.attestation_key.sign(&signed);
        let length = (signature.len() + key.len() + certified.len()) as u32;
        let platform = alloy_primitives::keccak256(self.pck.key.public());
        [&[1], platform.as_slice(), &signed, &length.to_le_bytes(), &signature, &key, &certified]
            .concat()
    }

    fn header(&self, tee: Tee) -> Vec<u8> {
        let (version, kind): (u16, u32) = match tee {
            Tee::Sgx => (3, 0),
            Tee::Tdx => (4, 0x81),
        };
        // Version 4 has no security versions here.
        let (qe_svn, pce_svn) = match tee {
            Tee::Sgx => (QuotingEnclave::of(tee).security_version, self.profile.pce_svn),
            Tee::Tdx => (0, 0),
        };
        [
            &version.to_le_bytes()[..],
            &2_u16.to_le_bytes(), // ECDSA P-256
            &kind.to_le_bytes(),
            &qe_svn.to_le_bytes(),
            &pce_svn.to_le_bytes(),
            &VENDOR,
            &self.ppid, // user data: an id of the platform
            &[0; 4],
        ]
        .concat()
    }

    /// Report of the quoting enclave, which vouches for the attestation key, and its signature.
    fn qe_part(&self, tee: Tee, attestation_key: &[u8; 64]) -> Vec<u8> {
        let authentication: [u8; 32] = std::array::from_fn(|index| index as u8);
        let mut report_data = [0; 64];
        let digest = Sha256::digest([&attestation_key[..], &authentication].concat());
        report_data[..32].copy_from_slice(&digest);
        let QuotingEnclave { mr_signer, product, security_version } = QuotingEnclave::of(tee);
        let report = SgxReport {
            cpu_svn: self.profile.cpu_svn,
            attributes: QE_ATTRIBUTES,
            measurement: B256::repeat_byte(0x9e),
            mr_signer,
            product,
            security_version,
        }
        .bytes(&report_data);
        let signature = self.pck.key.sign(&report);
        [&report, &signature[..], &32_u16.to_le_bytes(), &authentication].concat()
    }
}

/// The report of an SGX enclave, the fields that differ.
struct SgxReport {
    cpu_svn: [u8; 16],
    attributes: u64,
    measurement: B256,
    mr_signer: [u8; 32],
    product: u16,
    security_version: u16,
}

impl SgxReport {
    fn bytes(&self, report_data: &[u8; 64]) -> Vec<u8> {
        [
            &self.cpu_svn[..],
            &[0; 4],  // MISCSELECT
            &[0; 28], // reserved
            &self.attributes.to_le_bytes(),
            &SGX_XFRM.to_le_bytes(),
            self.measurement.as_slice(),
            &[0; 32], // reserved
            &self.mr_signer,
            &[0; 96], // reserved
            &self.product.to_le_bytes(),
            &self.security_version.to_le_bytes(),
            &[0; 60], // reserved
            report_data,
        ]
        .concat()
    }
}
