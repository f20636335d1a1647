//! The development counterpart of Intel's public key infrastructure: a root, the CA of machines'
//! certificates, the signer of TCB statements, and machines with their certificates (Intel SGX PCK
//! Certificate and CRL Profile Specification). All keys and serial numbers follow from a seed, and
//! signatures are deterministic (RFC 6979), so the same seed gives the same bytes. Not here: TCB
//! statements (`collateral`), quotes (`quote`).

use crate::der;
use alloy_primitives::{B256, keccak256};
use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use sha2::{Digest, Sha256};

/// 1 January 2024: everything here is valid from then on, unless options say otherwise.
pub const VALID_FROM: u64 = 1_704_067_200;
/// 31 December 2049: the last day that certificates write with two digits of the year.
pub const VALID_UNTIL: u64 = 2_524_607_999;

/// Kind of machine that the software TEE plays.
pub const FMSPC: [u8; 6] = [0x00, 0xde, 0x7e, 0x10, 0x00, 0x00];

const ECDSA_WITH_SHA256: &[u64] = &[1, 2, 840, 10045, 4, 3, 2];
const EC_PUBLIC_KEY: &[u64] = &[1, 2, 840, 10045, 2, 1];
const PRIME256V1: &[u64] = &[1, 2, 840, 10045, 3, 1, 7];
const SGX_EXTENSION: &[u64] = &[1, 2, 840, 113741, 1, 13, 1];
const KEY_IDENTIFIER: &[u64] = &[2, 5, 29, 14];
const KEY_USAGE: &[u64] = &[2, 5, 29, 15];
const BASIC_CONSTRAINTS: &[u64] = &[2, 5, 29, 19];
const CRL_NUMBER: &[u64] = &[2, 5, 29, 20];
const CRL_REASON: &[u64] = &[2, 5, 29, 21];
const CRL_POINTS: &[u64] = &[2, 5, 29, 31];
const AUTHORITY_KEY: &[u64] = &[2, 5, 29, 35];

/// Serial number of a certificate: 20 bytes, positive.
pub type Serial = [u8; 20];

/// A P-256 key of the development infrastructure. Not a secret: anybody can derive it.
pub struct Key(SigningKey);

impl Key {
    /// The key that a seed has for a purpose.
    pub fn derive(seed: &B256, purpose: &str) -> Self {
        let mut candidate =
            keccak256([b"Obscuro software TEE v1", seed.as_slice(), purpose.as_bytes()].concat());
        loop {
            // All but 2^-32 of the draws are valid scalars.
            match SigningKey::from_slice(candidate.as_slice()) {
                Ok(key) => return Self(key),
                Err(_) => candidate = keccak256(candidate),
            }
        }
    }

    /// The public key, x ‖ y.
    pub fn public(&self) -> [u8; 64] {
        let point = self.0.verifying_key().to_sec1_point(false);
        let mut out = [0; 64];
        out.copy_from_slice(&point.as_bytes()[1..]);
        out
    }

    /// The private key.
    pub fn private(&self) -> B256 {
        B256::from_slice(&self.0.to_bytes())
    }

    /// Signs SHA-256 of a message: r ‖ s.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signature: Signature = self.0.sign(message);
        signature.to_bytes().into()
    }

    fn sign_der(&self, message: &[u8]) -> Vec<u8> {
        let signature = self.sign(message);
        der::sequence(&[&der::integer(&signature[..32]), &der::integer(&signature[32..])])
    }

    /// Names the key in certificates (RFC 7093, method 1).
    fn identifier(&self) -> Vec<u8> {
        Sha256::digest([&[4], &self.public()[..]].concat())[..20].to_vec()
    }
}

/// A key with its certificate.
pub struct Certified {
    /// The key.
    pub key: Key,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// Its serial number, for revocation lists.
    pub serial: Serial,
    name: Vec<u8>,
}

/// A root with what it certifies for all machines.
pub struct Authority {
    /// Signs itself, the two below, and the list of their revocations.
    pub root: Certified,
    /// Signs machines' certificates and the list of their revocations.
    pub pck_ca: Certified,
    /// Signs TCB info and QE identity.
    pub tcb_signer: Certified,
}

impl Authority {
    /// The authority of every development network. Its keys are public by design: it protects
    /// nothing, and a production network refuses it.
    pub fn development() -> Self {
        Self::from_seed(keccak256("Obscuro development attestation root"))
    }

    /// The authority of another seed: a root that nobody trusts.
    pub fn from_seed(seed: B256) -> Self {
        let root = Request {
            name: name("Obscuro Development SGX Root CA"),
            key: Key::derive(&seed, "root"),
            authority: Some(1),
            extension: None,
        };
        let root = root.issue(None);
        let pck_ca = Request {
            name: name("Obscuro Development SGX PCK Platform CA"),
            key: Key::derive(&seed, "PCK CA"),
            authority: Some(0),
            extension: None,
        };
        let pck_ca = pck_ca.issue(Some(&root));
        let tcb_signer = Request {
            name: name("Obscuro Development SGX TCB Signing"),
            key: Key::derive(&seed, "TCB signer"),
            authority: None,
            extension: None,
        };
        let tcb_signer = tcb_signer.issue(Some(&root));
        Self { root, pck_ca, tcb_signer }
    }

    /// The machine of a seed, with its certificate.
    pub fn machine(&self, seed: &B256, profile: Profile) -> Machine {
        let id = keccak256([b"Obscuro software machine", seed.as_slice()].concat());
        let mut ppid = [0; 16];
        ppid.copy_from_slice(&id[..16]);
        let request = Request {
            name: name("Obscuro Development SGX PCK Certificate"),
            key: Key::derive(seed, "PCK"),
            authority: None,
            extension: Some(sgx_extension(&ppid, &profile)),
        };
        Machine {
            ppid,
            pck: request.issue(Some(&self.pck_ca)),
            attestation_key: Key::derive(seed, "attestation"),
            certificates: [self.pck_ca.certificate.clone(), self.root.certificate.clone()],
            profile,
        }
    }

    /// The list of the root's revocations, DER.
    pub fn root_crl(&self, revoked: &[Serial], this_update: u64, next_update: u64) -> Vec<u8> {
        crl(&self.root, revoked, this_update, next_update)
    }

    /// The list of revoked machines, DER.
    pub fn pck_crl(&self, revoked: &[Serial], this_update: u64, next_update: u64) -> Vec<u8> {
        crl(&self.pck_ca, revoked, this_update, next_update)
    }
}

/// Security versions of a machine.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// Security versions of the CPU's parts.
    pub cpu_svn: [u8; 16],
    /// Security version of the provisioning enclave.
    pub pce_svn: u16,
    /// Security versions of the TDX module and its loader.
    pub tee_tcb_svn: [u8; 16],
}

impl Profile {
    /// What the development TCB info calls up to date.
    pub const CURRENT: Self = Self {
        cpu_svn: [11, 11, 2, 2, 255, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        pce_svn: 13,
        tee_tcb_svn: [6, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    };
    /// What it calls out of date.
    pub const OUTDATED: Self =
        Self { cpu_svn: [9, 9, 2, 2, 255, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], ..Self::CURRENT };
}

/// A machine: what Intel's factory and provisioning service would have given it.
pub struct Machine {
    /// Provisioning id.
    pub ppid: [u8; 16],
    /// Provisioning certification key and certificate.
    pub pck: Certified,
    /// The quoting enclave's key.
    pub attestation_key: Key,
    /// Security versions.
    pub profile: Profile,
    /// Issuer and root.
    certificates: [Vec<u8>; 2],
}

impl Machine {
    /// The certificates that its quotes carry, leaf first, DER.
    pub fn certificates(&self) -> [&[u8]; 3] {
        let [pck_ca, root] = &self.certificates;
        [&self.pck.certificate, pck_ca, root]
    }

    /// How L1 and enclaves name it: keccak256 of its provisioning id.
    pub fn id(&self) -> B256 {
        keccak256(self.ppid)
    }
}

/// A certificate to be issued.
struct Request {
    name: Vec<u8>,
    key: Key,
    /// The longest chain of CAs below it, if it is a CA.
    authority: Option<u64>,
    extension: Option<Vec<u8>>,
}

impl Request {
    /// Issues the certificate; without an issuer it signs itself.
    fn issue(self, issuer: Option<&Certified>) -> Certified {
        let (issuer_key, issuer_name) =
            issuer.map_or((&self.key, &self.name), |issuer| (&issuer.key, &issuer.name));
        let mut serial: Serial = [0; 20];
        serial.copy_from_slice(&keccak256([&self.name[..], &self.key.public()].concat())[..20]);
        // Positive and without leading zeros.
        serial[0] = serial[0] & 0x7f | 0x40;
        let validity = der::sequence(&[&der::time(VALID_FROM), &der::time(VALID_UNTIL)]);
        let algorithm = der::sequence(&[&der::oid(ECDSA_WITH_SHA256)]);
        let body = der::sequence(&[
            &der::explicit(0, &der::number(2)),
            &der::integer(&serial),
            &algorithm,
            issuer_name,
            &validity,
            &self.name,
            &public_key_info(&self.key),
            &der::explicit(3, &self.extensions(issuer_key)),
        ]);
        let certificate = signed(&body, &algorithm, issuer_key);
        Certified { key: self.key, certificate, serial, name: self.name }
    }

    fn extensions(&self, issuer: &Key) -> Vec<u8> {
        // Digital signature and non-repudiation, or certificate and list signing.
        let (usage, constraints) = match self.authority {
            Some(0) => {
                (der::bits(1, &[0x06]), der::sequence(&[&der::boolean(true), &der::number(0)]))
            }
            Some(depth) => {
                (der::bits(1, &[0x06]), der::sequence(&[&der::boolean(true), &der::number(depth)]))
            }
            None => (der::bits(6, &[0xc0]), der::sequence(&[])),
        };
        let mut extensions = vec![
            extension(AUTHORITY_KEY, false, &authority_key(issuer)),
            extension(CRL_POINTS, false, &crl_point()),
            extension(KEY_IDENTIFIER, false, &der::octets(&self.key.identifier())),
            extension(KEY_USAGE, true, &usage),
            extension(BASIC_CONSTRAINTS, true, &constraints),
        ];
        if let Some(sgx) = &self.extension {
            extensions.push(extension(SGX_EXTENSION, false, sgx));
        }
        der::sequence(&[&extensions.concat()])
    }
}

fn signed(body: &[u8], algorithm: &[u8], key: &Key) -> Vec<u8> {
    der::sequence(&[body, algorithm, &der::bits(0, &key.sign_der(body))])
}

fn public_key_info(key: &Key) -> Vec<u8> {
    let algorithm = der::sequence(&[&der::oid(EC_PUBLIC_KEY), &der::oid(PRIME256V1)]);
    der::sequence(&[&algorithm, &der::bits(0, &[&[4], &key.public()[..]].concat())])
}

fn extension(oid: &[u64], critical: bool, contents: &[u8]) -> Vec<u8> {
    let critical = if critical { der::boolean(true) } else { Vec::new() };
    der::sequence(&[&der::oid(oid), &critical, &der::octets(contents)])
}

fn authority_key(issuer: &Key) -> Vec<u8> {
    der::sequence(&[&der::value(0x80, &issuer.identifier())])
}

/// Where Intel's certificates name the address of a revocation list, these name none that exists.
fn crl_point() -> Vec<u8> {
    let uri = der::value(0x86, b"https://development.invalid/crl.der");
    let name = der::explicit(0, &der::explicit(0, &uri));
    der::sequence(&[&der::sequence(&[&name])])
}

/// A distinguished name in the shape of Intel's.
fn name(common: &str) -> Vec<u8> {
    let part =
        |oid: u64, text: Vec<u8>| der::set(&der::sequence(&[&der::oid(&[2, 5, 4, oid]), &text]));
    der::sequence(&[
        &part(3, der::utf8(common)),
        &part(10, der::utf8("Obscuro development")),
        &part(7, der::utf8("Nowhere")),
        &part(8, der::utf8("XX")),
        &part(6, der::printable("XX")),
    ])
}

/// The extension of machines' certificates that says which machine it is.
fn sgx_extension(ppid: &[u8; 16], profile: &Profile) -> Vec<u8> {
    let entry = |arcs: &[u64], value: &[u8]| {
        der::sequence(&[&der::oid(&[SGX_EXTENSION, arcs].concat()), value])
    };
    let mut tcb: Vec<u8> = (1..)
        .zip(profile.cpu_svn)
        .flat_map(|(index, svn)| entry(&[2, index], &der::number(svn.into())))
        .collect();
    tcb.extend(entry(&[2, 17], &der::number(profile.pce_svn.into())));
    tcb.extend(entry(&[2, 18], &der::octets(&profile.cpu_svn)));
    let configuration = [
        entry(&[7, 1], &der::boolean(false)),
        entry(&[7, 2], &der::boolean(false)),
        entry(&[7, 3], &der::boolean(false)),
    ];
    der::sequence(&[
        &entry(&[1], &der::octets(ppid)),
        &entry(&[2], &der::sequence(&[&tcb])),
        &entry(&[3], &der::octets(&[0, 0])),
        &entry(&[4], &der::octets(&FMSPC)),
        &entry(&[5], &der::enumerated(1)),
        &entry(&[6], &der::octets(&keccak256(ppid)[..16])),
        &entry(&[7], &der::sequence(&[&configuration.concat()])),
    ])
}

/// A revocation list: of nobody, if `revoked` is empty.
fn crl(issuer: &Certified, revoked: &[Serial], this_update: u64, next_update: u64) -> Vec<u8> {
    const KEY_COMPROMISE: u8 = 1;
    let algorithm = der::sequence(&[&der::oid(ECDSA_WITH_SHA256)]);
    let reason = extension(CRL_REASON, false, &der::enumerated(KEY_COMPROMISE));
    let entries: Vec<u8> = revoked
        .iter()
        .flat_map(|serial| {
            let date = der::time(this_update);
            der::sequence(&[&der::integer(serial), &date, &der::sequence(&[&reason])])
        })
        .collect();
    // An empty list of revocations must be absent (RFC 5280 5.1.2.6).
    let entries = if entries.is_empty() { entries } else { der::sequence(&[&entries]) };
    let extensions = [
        // Grows with every list.
        extension(CRL_NUMBER, false, &der::number(this_update)),
        extension(AUTHORITY_KEY, false, &authority_key(&issuer.key)),
    ];
    let body = der::sequence(&[
        &der::number(1),
        &algorithm,
        &issuer.name,
        &der::time(this_update),
        &der::time(next_update),
        &entries,
        &der::explicit(0, &der::sequence(&[&extensions.concat()])),
    ]);
    signed(&body, &algorithm, &issuer.key)
}
