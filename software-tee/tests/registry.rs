//! The events with which a development network begins, and what newer collateral does to it. Not here:
//! the registry's other rules (`protocol/tests/registry`).

use alloy_primitives::{B256, Bytes, aliases::U40, keccak256};
use obscuro_protocol::{
    attestation::{
        AttestationError, Attested, Registry, TcbStatus, Tee, platform_id, td_measurement,
    },
    l1::IAttestationVerifier::{
        CollateralPublished, CrlPublished, IAttestationVerifierEvents as Event, MachineRemoved,
    },
};
use obscuro_software_tee::{
    Authority, CollateralOptions, Enclave, Machine, Profile, TrustDomain, policy,
};

/// 20 June 2025.
const TIME: u64 = 1_750_377_600;
const YEAR: u64 = 365 * 86_400;

struct Network {
    authority: Authority,
    machine: Machine,
    registry: Registry,
}

impl Network {
    fn new() -> Self {
        let authority = Authority::development();
        let machine = authority.machine(&B256::repeat_byte(1), Profile::CURRENT);
        let [sgx, tdx] = [Tee::Sgx, Tee::Tdx].map(measurement);
        let mut events = authority.verifier_events(&[sgx, tdx], policy());
        events.push(authority.platform_event(&machine));
        let mut network = Self { authority, machine, registry: Registry::default() };
        events.into_iter().for_each(|event| network.apply(event));
        network
    }

    fn apply(&mut self, event: Event) {
        self.registry.apply(event, self.authority.root_hash());
    }

    /// Publishes TCB info and QE identity.
    fn publish(&mut self, tee: Tee, options: &CollateralOptions) {
        let made = self.authority.collateral(&self.machine, tee, options);
        let authority = platform_id(&made.tcb_signer_certificate).unwrap();
        for (json, signature) in [
            (made.tcb_info, made.tcb_info_signature),
            (made.qe_identity, made.qe_identity_signature),
        ] {
            let json = json.into_bytes().into();
            let event = CollateralPublished { authority, json, signature };
            self.apply(Event::CollateralPublished(event));
        }
    }

    fn verify(&self, tee: Tee) -> Result<Attested, AttestationError> {
        self.verify_of(&self.machine, tee)
    }

    fn verify_of(&self, machine: &Machine, tee: Tee) -> Result<Attested, AttestationError> {
        let report = match tee {
            Tee::Sgx => program().report(machine, &[7; 64]),
            Tee::Tdx => domain().report(machine, &[7; 64]),
        };
        self.registry.verify(&machine.stripped_quote(tee, &report), 1, TIME)
    }
}

fn program() -> Enclave {
    Enclave::new(keccak256("program"))
}

fn domain() -> TrustDomain {
    TrustDomain::new([1; 48], [[2; 48]; 4])
}

fn measurement(tee: Tee) -> B256 {
    match tee {
        Tee::Sgx => program().measurement,
        Tee::Tdx => td_measurement(&domain().mrtd, &domain().rtmr),
    }
}

#[test]
fn a_development_network_admits_its_machines() {
    let network = Network::new();
    for tee in [Tee::Sgx, Tee::Tdx] {
        let attested = network.verify(tee).unwrap();
        assert_eq!((attested.tee, attested.measurement), (tee, measurement(tee)));
        assert_eq!(attested.machine, network.machine.id());
        let platform = network.registry.platform(attested.platform).unwrap();
        assert_eq!(platform.machine, attested.machine);
    }
    assert!(network.registry.is_development());
}

#[test]
fn a_removed_machine_is_refused_alone() {
    let mut network = Network::new();
    let other = network.authority.machine(&B256::repeat_byte(2), Profile::CURRENT);
    network.apply(network.authority.platform_event(&other));
    let machine = network.machine.id();
    network.apply(Event::MachineRemoved(MachineRemoved { machine }));
    assert_eq!(network.verify(Tee::Sgx), Err(AttestationError::Machine(machine)));
    assert_eq!(network.verify_of(&other, Tee::Sgx).unwrap().machine, other.id());
}

#[test]
fn a_revoked_machine_is_refused_alone() {
    let mut network = Network::new();
    let other = network.authority.machine(&B256::repeat_byte(2), Profile::CURRENT);
    network.apply(network.authority.platform_event(&other));
    let list = network.authority.pck_crl(&[network.machine.pck.serial], TIME, TIME + YEAR);
    network.apply(Event::CrlPublished(CrlPublished {
        authority: platform_id(&network.authority.pck_ca.certificate).unwrap(),
        thisUpdate: U40::from(TIME),
        nextUpdate: U40::from(TIME + YEAR),
        der: Bytes::from(list),
    }));
    assert_eq!(network.verify(Tee::Sgx), Err(AttestationError::Revoked));
    assert_eq!(network.verify_of(&other, Tee::Sgx).unwrap().machine, other.id());
}

#[test]
fn younger_collateral_decides() {
    let mut network = Network::new();
    let status = TcbStatus::OutOfDate;
    let issued = TIME - 86_400;
    network.publish(Tee::Sgx, &CollateralOptions { issued, status, ..Default::default() });
    let refusal = AttestationError::TcbStatus(status);
    assert_eq!(network.verify(Tee::Sgx), Err(refusal));
    assert!(network.verify(Tee::Tdx).is_ok());
    // Older collateral does not come back, whatever its number.
    network.publish(Tee::Sgx, &CollateralOptions { evaluation_number: 99, ..Default::default() });
    let refusal = AttestationError::TcbStatus(status);
    assert_eq!(network.verify(Tee::Sgx), Err(refusal));
    // Of the same day, the higher number counts.
    let higher = CollateralOptions { issued, evaluation_number: 18, ..Default::default() };
    network.publish(Tee::Sgx, &higher);
    assert_eq!(network.verify(Tee::Sgx).unwrap().evaluation_number, 18);
}

#[test]
fn expired_collateral_waits_for_its_renewal() {
    let mut network = Network::new();
    let issued = TIME - 40 * 86_400;
    let stale = CollateralOptions { issued, expires: TIME - 86_400, ..Default::default() };
    network.publish(Tee::Tdx, &stale);
    assert_eq!(network.verify(Tee::Tdx), Err(AttestationError::Expired));
    let renewed = CollateralOptions { issued: TIME - 3_600, ..Default::default() };
    network.publish(Tee::Tdx, &renewed);
    assert!(network.verify(Tee::Tdx).is_ok());
}
