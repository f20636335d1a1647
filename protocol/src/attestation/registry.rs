//! What `AttestationVerifier` has said on L1, gathered until any quote can be verified from it alone:
//! enclaves fold its events, tools read them from logs. Not here: verification (`verify`), where
//! events come from.

use super::{
    Admitted, AttestationError, Attested, Collateral, Policy, Quote, Statement, Subject, TcbStatus,
    Tee, platform_id, verify,
};
use crate::l1::IAttestationVerifier::{
    AuthorityRegistered, CollateralPublished, CrlPublished, IAttestationVerifierEvents,
    PlatformRegistered, PolicyChanged,
};
use alloy_primitives::{B256, Bytes, keccak256};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The state of `AttestationVerifier` as far as quotes depend on it. A pure function of its events in
/// the order of L1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    /// The certificate that everything hangs from, DER.
    root: Bytes,
    development: bool,
    /// Certificates that the root signed, by the hash of their key.
    authorities: BTreeMap<B256, Bytes>,
    platforms: BTreeMap<B256, Platform>,
    /// The newest revocation list of each authority; the contract takes no older one.
    crls: BTreeMap<B256, Bytes>,
    /// The newest of each subject, signer and evaluation number.
    statements: BTreeMap<(Subject, B256, u32), Signed>,
    approvals: BTreeMap<B256, Approval>,
    removed: BTreeSet<B256>,
    minimum_security_version: u16,
    minimum_evaluation: u32,
    /// As `Policy.allowedTcbStatuses` of the contract.
    allowed_statuses: u16,
    lifetime_blocks: u64,
}

/// A registered machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Hash of its provisioning id: survives renewed certificates.
    pub machine: B256,
    /// The issuer of its certificate.
    pub authority: B256,
    /// Its kind (FMSPC).
    pub fmspc: [u8; 6],
    /// Its PCK certificate, DER.
    pub certificate: Bytes,
}

/// When quotes of a measurement count, in L1 blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// From this block on.
    pub activation: u64,
    /// Before this block; never ends if zero.
    pub sunset: u64,
}

impl Approval {
    /// Whether it counts at an L1 block.
    pub fn is_active(&self, block: u64) -> bool {
        block >= self.activation && (self.sunset == 0 || block < self.sunset)
    }
}

/// TCB info or a QE identity, byte for byte as signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Signed {
    statement: Statement,
    json: String,
    signature: Bytes,
}

impl Registry {
    /// Takes the next event. `root_hash` is what the network's configuration trusts: another root
    /// is none.
    pub fn apply(&mut self, event: IAttestationVerifierEvents, root_hash: B256) {
        use IAttestationVerifierEvents as Event;
        match event {
            Event::RootCertificate(event) => {
                if self.root.is_empty() && keccak256(&event.der) == root_hash {
                    self.root = event.der;
                    self.development = event.development;
                }
            }
            Event::AuthorityRegistered(AuthorityRegistered { authority, der, .. }) => {
                self.authorities.insert(authority, der);
            }
            Event::PlatformRegistered(PlatformRegistered {
                platform,
                machine,
                authority,
                fmspc,
                der: certificate,
            }) => {
                let fmspc = fmspc.0;
                self.platforms
                    .insert(platform, Platform { machine, authority, fmspc, certificate });
            }
            Event::CrlPublished(CrlPublished { authority, der, .. }) => {
                self.crls.insert(authority, der);
            }
            Event::CollateralPublished(event) => self.statement(event),
            Event::MeasurementApproved(event) => {
                let approval =
                    Approval { activation: event.activationBlock, sunset: event.sunsetBlock };
                self.approvals.insert(event.measurement, approval);
            }
            Event::PolicyChanged(PolicyChanged { policy }) => {
                self.minimum_security_version = policy.minimumSecurityVersion;
                self.minimum_evaluation = policy.minimumTcbEvaluation;
                self.allowed_statuses = policy.allowedTcbStatuses;
                self.lifetime_blocks = policy.attestationLifetimeBlocks.into();
            }
            Event::MachineRemoved(event) => {
                self.removed.insert(event.machine);
            }
            Event::MachineReadmitted(event) => {
                self.removed.remove(&event.machine);
            }
        }
    }

    /// Keeps a statement unless a newer one is there. One that nobody can read is nobody's loss: the
    /// contract takes only what Intel signed.
    fn statement(&mut self, event: CollateralPublished) {
        let Ok(json) = String::from_utf8(event.json.to_vec()) else { return };
        let Ok(statement) = Statement::read(&json) else { return };
        let key = (statement.subject, event.authority, statement.evaluation_number);
        let is_newer = |known: &Signed| statement.precedence(&known.statement).is_ge();
        if self.statements.get(&key).is_none_or(is_newer) {
            self.statements.insert(key, Signed { statement, json, signature: event.signature });
        }
    }

    /// Verifies a stripped quote as of an L1 block, whose time is in seconds. What the report must say
    /// is the caller's to check.
    pub fn verify(
        &self,
        quote: &[u8],
        block: u64,
        time: u64,
    ) -> Result<Attested, AttestationError> {
        let (platform, parsed) = Quote::parse_stripped(quote)?;
        let collateral = self.collateral(platform, parsed.tee())?;
        let active = self.approvals.iter().filter(|(_, approval)| approval.is_active(block));
        let policy = Policy {
            measurements: Admitted::Only(active.map(|(measurement, _)| *measurement).collect()),
            security_version_min: self.minimum_security_version,
            statuses: TcbStatus::of_mask(self.allowed_statuses),
            evaluation_number_min: self.minimum_evaluation,
        };
        let attested = verify(quote, &collateral, &self.root, &policy, time)?;
        match self.removed.contains(&attested.machine) {
            true => Err(AttestationError::Machine(attested.machine)),
            false => Ok(attested),
        }
    }

    /// Whether a program is admitted on a machine at an L1 block.
    pub fn is_admitted(&self, measurement: B256, machine: B256, block: u64) -> bool {
        self.approval(measurement).is_some_and(|approval| approval.is_active(block))
            && !self.removed.contains(&machine)
    }

    /// When quotes of a measurement count, if it ever was approved.
    pub fn approval(&self, measurement: B256) -> Option<Approval> {
        self.approvals.get(&measurement).copied()
    }

    /// All measurements that ever were approved.
    pub fn approvals(&self) -> impl Iterator<Item = (B256, Approval)> {
        self.approvals.iter().map(|(measurement, approval)| (*measurement, *approval))
    }

    /// L1 blocks after the one that a quote names during which it counts.
    pub fn lifetime_blocks(&self) -> u64 {
        self.lifetime_blocks
    }

    /// Whether any root but Intel's may stand at the top.
    pub fn is_development(&self) -> bool {
        self.development
    }

    /// A registered machine, by the hash of its certificate's key.
    pub fn platform(&self, platform: B256) -> Option<&Platform> {
        self.platforms.get(&platform)
    }

    /// Everything that verifying a quote of this machine needs.
    pub fn collateral(&self, platform: B256, tee: Tee) -> Result<Collateral, AttestationError> {
        let missing = |what: &str| AttestationError::Collateral(format!("L1 has no {what}"));
        let machine = self.platforms.get(&platform).ok_or_else(|| missing("such platform"))?;
        let authority = |id: &B256| self.authorities.get(id).cloned();
        let crl = |id: &B256| self.crls.get(id).cloned();
        if self.root.is_empty() {
            return Err(missing("attestation root that this network trusts"));
        }
        let (signer, tcb_info) = self
            .newest(Subject::TcbInfo(tee, machine.fmspc), None)
            .ok_or_else(|| missing("TCB info for this kind of platform"))?;
        let (_, qe_identity) = self
            .newest(Subject::QeIdentity(tee), Some(signer))
            .ok_or_else(|| missing("QE identity by that signer"))?;
        Ok(Collateral {
            root_certificate: self.root.clone(),
            pck_ca_certificate: authority(&machine.authority).ok_or_else(|| missing("PCK CA"))?,
            pck_certificate: machine.certificate.clone(),
            tcb_signer_certificate: authority(&signer).ok_or_else(|| missing("TCB signer"))?,
            root_crl: crl(&platform_id(&self.root)?).ok_or_else(|| missing("root CRL"))?,
            pck_crl: crl(&machine.authority).ok_or_else(|| missing("PCK CRL"))?,
            tcb_info: tcb_info.json.clone(),
            tcb_info_signature: tcb_info.signature.clone(),
            qe_identity: qe_identity.json.clone(),
            qe_identity_signature: qe_identity.signature.clone(),
        })
    }

    /// The newest statement about something, by anyone or by one signer, among those that the policy
    /// admits: Intel issues two evaluation numbers at a time, and whoever publishes the lower one must
    /// not hide the other.
    fn newest(&self, subject: Subject, signer: Option<B256>) -> Option<(B256, &Signed)> {
        let about = self.statements.iter().filter(|((about, by, _), _)| {
            *about == subject && signer.is_none_or(|signer| signer == *by)
        });
        let rank = |signed: &Signed| signed.statement.evaluation_number >= self.minimum_evaluation;
        about
            .max_by(|(_, a), (_, b)| {
                rank(a).cmp(&rank(b)).then_with(|| a.statement.precedence(&b.statement))
            })
            .map(|((_, signer, _), signed)| (*signer, signed))
    }
}
