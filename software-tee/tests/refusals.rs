//! Development quotes under the development root: what is accepted, and each refusal by its name.
//! Not here: Intel's own quotes (`protocol/tests`).

use alloy_primitives::{B256, Bytes, keccak256};
use obscuro_protocol::attestation::{
    AttestationError, Attested, Collateral, INTEL_ROOT, Policy, Quote, Statement, Stripped,
    Subject, TcbStatus, Tee, strip, td_measurement, verify,
};
use obscuro_software_tee::{
    Authority, CollateralOptions, Enclave, Machine, Profile, SoftwareDevice, TrustDomain,
    pki::FMSPC,
};
use std::cmp::Ordering;

/// 20 June 2025.
const TIME: u64 = 1_750_377_600;

fn authority() -> Authority {
    Authority::development()
}

fn machine() -> Machine {
    authority().machine(&B256::repeat_byte(1), Profile::CURRENT)
}

fn program() -> Enclave {
    Enclave::new(keccak256("program"))
}

fn domain() -> TrustDomain {
    TrustDomain::new([1; 48], [[2; 48], [3; 48], [4; 48], [5; 48]])
}

fn report_data() -> [u8; 64] {
    let mut report_data = [0; 64];
    report_data[..32].copy_from_slice(keccak256("report data").as_slice());
    report_data
}

/// One attempt to be admitted; each test spoils one part of it.
struct Attempt {
    quote: Vec<u8>,
    collateral: Collateral,
    root: Vec<u8>,
    policy: Policy,
    time: u64,
}

impl Attempt {
    fn sgx() -> Self {
        Self::with(Tee::Sgx, machine().sgx_quote(&program(), &report_data()))
    }

    fn tdx() -> Self {
        Self::with(Tee::Tdx, machine().tdx_quote(&domain(), &report_data()))
    }

    fn with(tee: Tee, quote: Vec<u8>) -> Self {
        let measurements =
            vec![program().measurement, td_measurement(&domain().mrtd, &domain().rtmr)];
        Self {
            quote,
            collateral: authority().collateral(&machine(), tee, &CollateralOptions::default()),
            root: authority().root.certificate,
            policy: Policy { security_version_min: 1, ..Policy::admitting(measurements) },
            time: TIME,
        }
    }

    fn with_options(self, tee: Tee, options: &CollateralOptions) -> Self {
        Self { collateral: authority().collateral(&machine(), tee, options), ..self }
    }

    fn verify(&self) -> Result<Attested, AttestationError> {
        verify(&self.quote, &self.collateral, &self.root, &self.policy, self.time)
    }

    fn refusal(&self) -> AttestationError {
        self.verify().expect_err("refused")
    }
}

/// A TDX report with other bytes at an offset of Intel's table.
fn tdx_with(offset: usize, bytes: &[u8]) -> Attempt {
    let mut report = domain().report(&machine(), &report_data());
    report[offset..offset + bytes.len()].copy_from_slice(bytes);
    Attempt::with(Tee::Tdx, machine().quote(Tee::Tdx, &report))
}

#[test]
fn sgx_and_tdx_quotes_are_accepted_full_and_stripped() {
    for (attempt, length) in [(Attempt::sgx(), 1_046), (Attempt::tdx(), 1_252)] {
        let attested = attempt.verify().unwrap();
        assert_eq!(attested.machine, machine().id());
        assert_eq!(attested.tcb_status, TcbStatus::UpToDate);
        assert_eq!(attested.check_report_data(keccak256("report data")), Ok(()));
        let stripped = strip(&attempt.quote).unwrap();
        assert_eq!(stripped.certificates, machine().certificates().map(Bytes::copy_from_slice));
        assert_eq!(stripped.quote.len(), 33 + length);
        let attempt = Attempt { quote: stripped.quote.to_vec(), ..attempt };
        assert_eq!(attempt.verify(), Ok(attested));
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let (first, second) = (Attempt::sgx(), Attempt::sgx());
    assert_eq!((first.quote, first.collateral), (second.quote, second.collateral));
}

#[test]
fn debug_mode() {
    let enclave = Enclave { debug: true, ..program() };
    let attempt = Attempt::with(Tee::Sgx, machine().sgx_quote(&enclave, &report_data()));
    assert_eq!(attempt.refusal(), AttestationError::Debug);
    let domain = TrustDomain { debug: true, ..domain() };
    let attempt = Attempt::with(Tee::Tdx, machine().tdx_quote(&domain, &report_data()));
    assert_eq!(attempt.refusal(), AttestationError::Debug);
}

#[test]
fn another_measurement() {
    let other = keccak256("another program");
    let quote = machine().sgx_quote(&Enclave::new(other), &report_data());
    let attempt = Attempt::with(Tee::Sgx, quote);
    assert_eq!(attempt.refusal(), AttestationError::Measurement(other));
    let rtmr3 = tdx_with(472, &[9; 48]);
    let measurement = Quote::parse(&rtmr3.quote).unwrap().measurement();
    assert_eq!(rtmr3.refusal(), AttestationError::Measurement(measurement));
}

#[test]
fn another_root() {
    let attempt = Attempt { root: INTEL_ROOT.to_vec(), ..Attempt::sgx() };
    assert_eq!(attempt.refusal(), AttestationError::Root);
    let foreign = Authority::from_seed(keccak256("nobody's root"));
    let machine = foreign.machine(&B256::repeat_byte(1), Profile::CURRENT);
    let collateral = foreign.collateral(&machine, Tee::Sgx, &CollateralOptions::default());
    let quote = machine.sgx_quote(&program(), &report_data());
    let attempt = Attempt { quote, collateral, ..Attempt::sgx() };
    assert_eq!(attempt.refusal(), AttestationError::Root);
    // The trusted root's certificate in front of a foreign chain.
    let root_certificate = authority().root.certificate.into();
    let collateral = Collateral { root_certificate, ..attempt.collateral.clone() };
    let attempt = Attempt { collateral, ..attempt };
    assert_eq!(attempt.refusal(), AttestationError::Chain);
    // The trusted collateral, but a foreign machine.
    let pck_certificate = machine.pck.certificate.clone().into();
    let collateral = Collateral { pck_certificate, ..Attempt::sgx().collateral };
    let attempt = Attempt { collateral, ..attempt };
    assert_eq!(attempt.refusal(), AttestationError::Chain);
}

#[test]
fn altered_report_data() {
    let mut attempt = Attempt::sgx();
    attempt.quote[48 + 320] ^= 1;
    assert_eq!(attempt.refusal(), AttestationError::Signature);
    let attested = Attempt::sgx().verify().unwrap();
    let refusal = attested.check_report_data(keccak256("other report data"));
    assert_eq!(refusal, Err(AttestationError::ReportData));
    let mut longer = report_data();
    longer[63] = 1;
    let attempt = Attempt::with(Tee::Sgx, machine().sgx_quote(&program(), &longer));
    let refusal = attempt.verify().unwrap().check_report_data(keccak256("report data"));
    assert_eq!(refusal, Err(AttestationError::ReportData));
}

#[test]
fn another_machine() {
    let other = authority().machine(&B256::repeat_byte(2), Profile::CURRENT);
    let quote = other.sgx_quote(&program(), &report_data());
    // The certificate is taken from the collateral: it did not certify this quoting enclave.
    let attempt = Attempt::with(Tee::Sgx, quote.clone());
    assert_eq!(attempt.refusal(), AttestationError::QuotingEnclave);
    let attempt = Attempt::with(Tee::Sgx, strip(&quote).unwrap().quote.to_vec());
    assert_eq!(attempt.refusal(), AttestationError::Platform);
}

#[test]
fn revoked() {
    let revoked_machines = vec![machine().pck.serial];
    let options = CollateralOptions { revoked_machines, ..CollateralOptions::default() };
    assert_eq!(
        Attempt::sgx().with_options(Tee::Sgx, &options).refusal(),
        AttestationError::Revoked
    );
    for serial in [authority().pck_ca.serial, authority().tcb_signer.serial] {
        let options =
            CollateralOptions { revoked_by_root: vec![serial], ..CollateralOptions::default() };
        let attempt = Attempt::tdx().with_options(Tee::Tdx, &options);
        assert_eq!(attempt.refusal(), AttestationError::Revoked);
    }
    let options = CollateralOptions { status: TcbStatus::Revoked, ..CollateralOptions::default() };
    let attempt = Attempt::sgx().with_options(Tee::Sgx, &options);
    assert_eq!(attempt.refusal(), AttestationError::Revoked);
}

#[test]
fn expired_or_not_yet_valid() {
    let options = CollateralOptions {
        issued: TIME - 1_000,
        expires: TIME + 1_000,
        ..CollateralOptions::default()
    };
    let valid = Attempt::sgx().with_options(Tee::Sgx, &options);
    assert!(valid.verify().is_ok());
    for time in [0, TIME - 1_001, TIME + 1_001, 3_000_000_000, u64::MAX] {
        let attempt = Attempt { time, ..Attempt::sgx().with_options(Tee::Sgx, &options) };
        assert_eq!(attempt.refusal(), AttestationError::Expired, "at {time}");
    }
    // Only one piece is old.
    let old = CollateralOptions { issued: 1_710_000_000, expires: TIME - 1, ..options };
    let old = Attempt::sgx().with_options(Tee::Sgx, &old).collateral;
    let fresh = valid.collateral.clone();
    for collateral in [
        Collateral { root_crl: old.root_crl.clone(), ..fresh.clone() },
        Collateral { pck_crl: old.pck_crl.clone(), ..fresh.clone() },
        Collateral {
            tcb_info: old.tcb_info.clone(),
            tcb_info_signature: old.tcb_info_signature.clone(),
            ..fresh.clone()
        },
        Collateral {
            qe_identity: old.qe_identity.clone(),
            qe_identity_signature: old.qe_identity_signature.clone(),
            ..fresh
        },
    ] {
        let attempt = Attempt { collateral, ..Attempt::sgx() };
        assert_eq!(attempt.refusal(), AttestationError::Expired);
    }
}

#[test]
fn low_security_version() {
    let enclave = Enclave { security_version: 0, ..program() };
    let attempt = Attempt::with(Tee::Sgx, machine().sgx_quote(&enclave, &report_data()));
    assert_eq!(attempt.refusal(), AttestationError::SecurityVersion { found: 0, minimum: 1 });
}

#[test]
fn tcb_status_that_is_not_admitted() {
    for status in TcbStatus::ALL.into_iter().filter(|status| {
        use TcbStatus::*;
        // Intel uses these for whole platforms; the others follow from two levels, or end it all.
        !matches!(
            status,
            UpToDate | Revoked | TDRelaunchAdvised | TDRelaunchAdvisedConfigurationNeeded
        )
    }) {
        let options = CollateralOptions { status, ..CollateralOptions::default() };
        let mut attempt = Attempt::sgx().with_options(Tee::Sgx, &options);
        assert_eq!(attempt.refusal(), AttestationError::TcbStatus(status));
        attempt.policy.statuses.push(status);
        assert_eq!(attempt.verify().unwrap().tcb_status, status);
    }
}

#[test]
fn old_firmware() {
    let machine = authority().machine(&B256::repeat_byte(3), Profile::OUTDATED);
    let collateral = authority().collateral(&machine, Tee::Sgx, &CollateralOptions::default());
    let quote = machine.sgx_quote(&program(), &report_data());
    let attempt = Attempt { collateral, ..Attempt::with(Tee::Sgx, quote) };
    assert_eq!(attempt.refusal(), AttestationError::TcbStatus(TcbStatus::OutOfDate));
    // TDX module below every level of its identity.
    assert_eq!(tdx_with(0, &[5]).refusal(), AttestationError::UnknownTcbLevel);
}

#[test]
fn collateral_of_another_kind() {
    let sgx = authority().collateral(&machine(), Tee::Sgx, &CollateralOptions::default());
    let tdx = authority().collateral(&machine(), Tee::Tdx, &CollateralOptions::default());
    let attempt = Attempt { collateral: sgx.clone(), ..Attempt::tdx() };
    assert_eq!(attempt.refusal(), AttestationError::OtherCollateral);
    let attempt = Attempt { collateral: tdx.clone(), ..Attempt::sgx() };
    assert_eq!(attempt.refusal(), AttestationError::OtherCollateral);
    // SGX's TCB info with TDX's QE identity.
    let mixed = Collateral {
        qe_identity: tdx.qe_identity,
        qe_identity_signature: tdx.qe_identity_signature,
        ..sgx
    };
    let attempt = Attempt { collateral: mixed, ..Attempt::tdx() };
    assert_eq!(attempt.refusal(), AttestationError::OtherCollateral);
    let options = CollateralOptions { fmspc: [1; 6], ..CollateralOptions::default() };
    let attempt = Attempt::sgx().with_options(Tee::Sgx, &options);
    assert_eq!(attempt.refusal(), AttestationError::OtherCollateral);
}

#[test]
fn low_evaluation_number() {
    let mut attempt = Attempt::sgx();
    attempt.policy.evaluation_number_min = 18;
    assert_eq!(attempt.refusal(), AttestationError::EvaluationNumber { found: 17, minimum: 18 });
}

#[test]
fn forged_statements() {
    let Collateral { tcb_info, .. } = Attempt::sgx().collateral;
    let tcb_info = tcb_info.replace("OutOfDate", "UpToDate");
    let collateral = Collateral { tcb_info, ..Attempt::sgx().collateral };
    assert_eq!(Attempt { collateral, ..Attempt::sgx() }.refusal(), AttestationError::Chain);
    // Signed by a machine, whose certificate hangs from the same root.
    let tcb_info_signature = machine().pck.key.sign(Attempt::sgx().collateral.tcb_info.as_bytes());
    let collateral = Collateral {
        tcb_signer_certificate: machine().pck.certificate.into(),
        tcb_info_signature: tcb_info_signature.into(),
        ..Attempt::sgx().collateral
    };
    assert_eq!(Attempt { collateral, ..Attempt::sgx() }.refusal(), AttestationError::Chain);
}

#[test]
fn open_trust_domains() {
    const ATTRIBUTES: usize = 120;
    let bits = |value: u64| tdx_with(ATTRIBUTES, &value.to_le_bytes()).refusal();
    for debugging in [1, 1 << 4, 1 << 5, 1 << 6] {
        assert_eq!(bits(1 << 28 | debugging), AttestationError::Debug);
    }
    // Without SEPT_VE_DISABLE; migratable; with a service domain; with a reserved bit.
    for open in [0, 1 << 28 | 1 << 29, 1 << 28 | 1 << 17, 1 << 28 | 1 << 40] {
        assert!(matches!(bits(open), AttestationError::TrustDomain(_)), "{open:x}");
    }
    for (offset, what) in [(64, "MRSIGNERSEAM"), (112, "SEAMATTRIBUTES"), (134, "XFAM")] {
        let refusal = tdx_with(offset, &[1]).refusal();
        assert!(matches!(refusal, AttestationError::TrustDomain(_)), "{what}: {refusal}");
    }
    let refusal = tdx_with(128, &[1]).refusal();
    assert!(matches!(refusal, AttestationError::TrustDomain(_)), "XFAM without SSE: {refusal}");
}

#[test]
fn other_formats() {
    for (offset, bytes) in [(0, [2, 0]), (0, [6, 0]), (2, [3, 0]), (4, [0x81, 0]), (12, [0, 0])] {
        let mut attempt = Attempt::sgx();
        attempt.quote[offset..offset + 2].copy_from_slice(&bytes);
        assert_eq!(attempt.refusal(), AttestationError::Unsupported);
    }
    for quote in [Vec::new(), vec![1; 20], Attempt::sgx().quote[..1_000].to_vec()] {
        let attempt = Attempt { quote, ..Attempt::sgx() };
        assert_eq!(attempt.refusal(), AttestationError::Malformed);
    }
    let attempt = Attempt { quote: vec![3; 20_000], ..Attempt::sgx() };
    assert!(matches!(attempt.refusal(), AttestationError::TooLong { .. }));
    let collateral = Collateral { root_crl: vec![0; 200_000].into(), ..Attempt::sgx().collateral };
    let attempt = Attempt { collateral, ..Attempt::sgx() };
    assert!(matches!(attempt.refusal(), AttestationError::TooLong { what: "root CRL", .. }));
}

#[test]
fn statements_say_what_they_are_about() {
    let options = CollateralOptions {
        issued: TIME,
        expires: TIME + 5,
        evaluation_number: 3,
        ..CollateralOptions::default()
    };
    for tee in [Tee::Sgx, Tee::Tdx] {
        let collateral = authority().collateral(&machine(), tee, &options);
        let statement = Statement {
            subject: Subject::TcbInfo(tee, FMSPC),
            evaluation_number: 3,
            issued: TIME,
            expires: TIME + 5,
        };
        assert_eq!(Statement::read(&collateral.tcb_info), Ok(statement.clone()));
        let subject = Subject::QeIdentity(tee);
        let identity = Statement { subject, ..statement.clone() };
        assert_eq!(Statement::read(&collateral.qe_identity), Ok(identity));
        let higher = Statement { evaluation_number: 4, ..statement.clone() };
        assert_eq!(higher.precedence(&statement), Ordering::Greater);
        // Of Intel's two numbers at a time, neither stays in the other's way when it expires.
        let younger = Statement { evaluation_number: 2, issued: TIME + 1, ..statement.clone() };
        assert_eq!(younger.precedence(&statement), Ordering::Greater);
    }
    for text in ["", "{}", "[]", &"[".repeat(10_000), &" ".repeat(100_000)] {
        assert!(Statement::read(text).is_err());
    }
}

#[test]
fn statuses_of_a_mask() {
    assert_eq!(TcbStatus::of_mask(0b1_0001), [TcbStatus::UpToDate, TcbStatus::OutOfDate]);
    assert_eq!(TcbStatus::of_mask(u16::MAX), TcbStatus::ALL[..8]);
}

#[test]
fn the_device_proves_its_program_and_machine() {
    use obscuro_enclave::device::Device;
    let directory = tempfile::tempdir().unwrap();
    let open = || SoftwareDevice::open(&directory.path().join("seed")).unwrap();
    let device = open();
    let Stripped { quote, certificates } = device.quote(keccak256("report data")).unwrap();
    let attempt = Attempt {
        quote: quote.to_vec(),
        collateral: authority().collateral(
            device.machine(),
            Tee::Sgx,
            &CollateralOptions::default(),
        ),
        policy: Policy::admitting(vec![device.measurement()]),
        ..Attempt::sgx()
    };
    let attested = attempt.verify().unwrap();
    assert_eq!(attested.check_report_data(keccak256("report data")), Ok(()));
    assert_eq!(attested.machine, device.machine().id());
    assert_eq!(certificates[0], attempt.collateral.pck_certificate);
    // Another life of the same machine has the same keys; another program has another sealing key.
    assert_eq!(open().sealing_key().expose(), device.sealing_key().expose());
    assert_eq!(open().machine().id(), device.machine().id());
    let upgraded = open().with_measurement(keccak256("upgraded"));
    assert_ne!(upgraded.sealing_key().expose(), device.sealing_key().expose());
    let attempt = Attempt { quote: upgraded.quote(B256::ZERO).unwrap().quote.to_vec(), ..attempt };
    assert_eq!(attempt.refusal(), AttestationError::Measurement(keccak256("upgraded")));
}
