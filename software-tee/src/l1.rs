//! What L1 has to be told before it can verify quotes of the software TEE: calls of
//! `AttestationVerifier`, and the events that it emits then. Not here: deploying the contract.

use crate::{
    collateral::CollateralOptions,
    pki::{Authority, FMSPC, Machine, Profile, VALID_FROM, VALID_UNTIL},
    quote::QuotingEnclave,
};
use alloy_primitives::{B256, Bytes, FixedBytes, aliases::U40, keccak256};
use alloy_sol_types::{SolCall, SolValue};
use obscuro_protocol::{
    attestation::{Tee, platform_id},
    l1::{
        AttestationPolicy,
        IAttestationVerifier::{
            AuthorityRegistered, CollateralPublished, CrlPublished, IAttestationVerifierEvents,
            MeasurementApproved, PlatformRegistered, PolicyChanged, RootCertificate,
            publishCollateralCall, publishCrlCall, registerAuthorityCall, setQeIdentityCall,
            setTcbMinimumCall,
        },
        QeIdentity, TcbMinimum,
    },
};

const TEES: [Tee; 2] = [Tee::Sgx, Tee::Tdx];

/// The policy of development networks: quotes count for a day of L1 blocks, and only those of
/// machines without any reservation.
pub fn policy() -> AttestationPolicy {
    AttestationPolicy {
        minimumSecurityVersion: 1,
        minimumTcbEvaluation: 17,
        allowedTcbStatuses: 1,
        attestationLifetimeBlocks: 7_200,
    }
}

impl Authority {
    /// Arguments of `AttestationVerifier`'s constructor.
    pub fn verifier_arguments(
        &self,
        owner: alloy_primitives::Address,
        measurements: Vec<B256>,
        policy: AttestationPolicy,
    ) -> Vec<u8> {
        let root = Bytes::copy_from_slice(&self.root.certificate);
        (root, true, owner, measurements, policy).abi_encode_params()
    }

    /// keccak256 of the root certificate: what a network's configuration trusts.
    pub fn root_hash(&self) -> B256 {
        keccak256(&self.root.certificate)
    }

    /// What the owner of `AttestationVerifier` calls once: authorities, revocation lists, collateral,
    /// and what is demanded of machines and quoting enclaves.
    pub fn verifier_calls(&self) -> Vec<Bytes> {
        let mut calls = Vec::new();
        for certified in [&self.pck_ca, &self.tcb_signer] {
            let der = Bytes::copy_from_slice(&certified.certificate);
            calls.push(registerAuthorityCall { der }.abi_encode());
        }
        for (_, der) in self.crls() {
            calls.push(publishCrlCall { der }.abi_encode());
        }
        for (json, signature) in self.statements() {
            calls.push(publishCollateralCall { json, signature }.abi_encode());
        }
        let Profile { cpu_svn, pce_svn, tee_tcb_svn } = Profile::CURRENT;
        let minimum = TcbMinimum {
            sgxComponents: cpu_svn.into(),
            pceSvn: pce_svn,
            tdxComponents: tee_tcb_svn.into(),
            validUntil: U40::from(VALID_UNTIL),
        };
        calls.push(setTcbMinimumCall { fmspc: FixedBytes(FMSPC), minimum }.abi_encode());
        for tee in TEES {
            let QuotingEnclave { mr_signer, product, security_version } = QuotingEnclave::of(tee);
            let mut attributes = [0; 16];
            attributes[0] = 0x11;
            let mut attributes_mask = [0; 16];
            attributes_mask[0] = 0xfb;
            attributes_mask[1..8].fill(0xff);
            let identity = QeIdentity {
                mrSigner: mr_signer.into(),
                isvProdId: product,
                minimumIsvSvn: security_version,
                miscSelect: FixedBytes::ZERO,
                miscSelectMask: FixedBytes([0xff; 4]),
                attributes: attributes.into(),
                attributesMask: attributes_mask.into(),
                validUntil: U40::from(VALID_UNTIL),
            };
            calls.push(setQeIdentityCall { tdx: tee == Tee::Tdx, identity }.abi_encode());
        }
        calls.into_iter().map(Bytes::from).collect()
    }

    /// The events of a verifier deployed with [`Self::verifier_arguments`], once
    /// [`Self::verifier_calls`] were made.
    pub fn verifier_events(
        &self,
        measurements: &[B256],
        policy: AttestationPolicy,
    ) -> Vec<IAttestationVerifierEvents> {
        use IAttestationVerifierEvents as Event;
        let root = Bytes::copy_from_slice(&self.root.certificate);
        let mut events = vec![
            Event::RootCertificate(RootCertificate { der: root, development: true }),
            Event::PolicyChanged(PolicyChanged { policy }),
        ];
        for measurement in measurements {
            events.push(Event::MeasurementApproved(MeasurementApproved {
                measurement: *measurement,
                activationBlock: 0,
                sunsetBlock: 0,
            }));
        }
        for (certified, is_signer) in [(&self.pck_ca, false), (&self.tcb_signer, true)] {
            events.push(Event::AuthorityRegistered(AuthorityRegistered {
                authority: id(&certified.certificate),
                tcbSigner: is_signer,
                der: Bytes::copy_from_slice(&certified.certificate),
            }));
        }
        for (authority, der) in self.crls() {
            events.push(Event::CrlPublished(CrlPublished {
                authority,
                thisUpdate: U40::from(VALID_FROM),
                nextUpdate: U40::from(VALID_UNTIL),
                der,
            }));
        }
        for (json, signature) in self.statements() {
            let authority = id(&self.tcb_signer.certificate);
            events.push(Event::CollateralPublished(CollateralPublished {
                authority,
                json,
                signature,
            }));
        }
        events
    }

    /// The event that tells of a machine.
    pub fn platform_event(&self, machine: &Machine) -> IAttestationVerifierEvents {
        IAttestationVerifierEvents::PlatformRegistered(PlatformRegistered {
            platform: id(&machine.pck.certificate),
            machine: machine.id(),
            authority: id(&self.pck_ca.certificate),
            fmspc: FixedBytes(FMSPC),
            der: Bytes::copy_from_slice(&machine.pck.certificate),
        })
    }

    /// Empty revocation lists, with their issuers.
    fn crls(&self) -> [(B256, Bytes); 2] {
        let root_crl = self.root_crl(&[], VALID_FROM, VALID_UNTIL);
        let pck_crl = self.pck_crl(&[], VALID_FROM, VALID_UNTIL);
        [
            (id(&self.root.certificate), root_crl.into()),
            (id(&self.pck_ca.certificate), pck_crl.into()),
        ]
    }

    /// TCB info and QE identity of both TEEs, with their signatures.
    fn statements(&self) -> Vec<(Bytes, Bytes)> {
        let machine = self.machine(&B256::ZERO, Profile::CURRENT);
        let of = |tee| {
            let made = self.collateral(&machine, tee, &CollateralOptions::default());
            [
                (made.tcb_info.into_bytes().into(), made.tcb_info_signature),
                (made.qe_identity.into_bytes().into(), made.qe_identity_signature),
            ]
        };
        TEES.into_iter().flat_map(of).collect()
    }
}

/// The hash of a certificate's key.
fn id(certificate: &[u8]) -> B256 {
    // Certificates of this package are well formed.
    platform_id(certificate).unwrap_or_default()
}
