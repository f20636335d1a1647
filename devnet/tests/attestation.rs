//! L1's verifier and the enclave's, told the same and given the same quotes: the contract on the embedded
//! L1, and a registry made of nothing but that contract's events. What one takes the other takes. Not
//! here: the names of refusals, which each side tests for itself.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy_signer::SignerSync;
use alloy_sol_types::{SolCall, SolEventInterface, sol};
use obscuro_devnet::{
    accounts,
    l1::{Chain, Config, Incoming},
};
use obscuro_enclave::executor::{self, CallRequest, CallResult};
use obscuro_protocol::{
    attestation::{Registry, Tee, td_measurement},
    contracts::Contract,
    l1::{
        AttestationPolicy,
        IAttestationVerifier::{
            IAttestationVerifierEvents, approveMeasurementCall, publishCrlCall, readmitMachineCall,
            registerPlatformCall, removeMachineCall, setPolicyCall,
        },
    },
};
use obscuro_software_tee::{
    Authority, Enclave, Machine, Profile, TrustDomain, pki::VALID_UNTIL, policy,
};
use std::{collections::BTreeMap, ops::Range};

sol! {
    function verify(bytes calldata quote, bytes32 reportData) external view returns (bytes32 measurement, bytes32 machine, uint40 admission);
}

/// 1 January 2026: certificates of the software TEE are valid.
const TIME: u64 = 1_767_225_600;
const BLOCK_SECONDS: u64 = 12;
/// Bytes in front of a stripped quote: version and platform.
const PREFIX_BYTES: usize = 33;
const HEADER_BYTES: usize = 48;
/// The quoting enclave's report, its signature and authentication data, at the end of a stripped quote.
const QE_BYTES: usize = 482;
const QE_REPORT_BYTES: usize = 384;
const TEES: [Tee; 2] = [Tee::Sgx, Tee::Tdx];

fn report_data() -> B256 {
    keccak256("report data")
}

fn padded() -> [u8; 64] {
    let mut padded = [0; 64];
    padded[..32].copy_from_slice(report_data().as_slice());
    padded
}

fn program() -> Enclave {
    Enclave::new(keccak256("program"))
}

fn domain() -> TrustDomain {
    TrustDomain::new([1; 48], [[2; 48], [3; 48], [4; 48], [5; 48]])
}

fn machine(seed: u8, profile: Profile) -> Machine {
    Authority::development().machine(&B256::repeat_byte(seed), profile)
}

/// Both verifiers, told the same.
struct Verifiers {
    chain: Chain,
    nonce: u64,
    contract: Address,
    registry: Registry,
}

impl Verifiers {
    /// Those of a development network that knows one machine.
    fn new() -> Self {
        let (authority, funder) = (Authority::development(), accounts::funder());
        let measurements =
            vec![program().measurement, td_measurement(&domain().mrtd, &domain().rtmr)];
        let arguments = authority.verifier_arguments(funder.address(), measurements, policy());
        let code = [&Contract::AttestationVerifier.creation_code()[..], &arguments].concat();
        let config = Config { genesis_timestamp: TIME, ..Config::default() };
        let config = config.fund([funder.address()], U256::from(10).pow(U256::from(24)));
        let chain = Chain::new(config).unwrap();
        let contract = funder.address().create(0);
        let mut verifiers = Self { chain, nonce: 0, contract, registry: Registry::default() };
        verifiers.send(TxKind::Create, code.into());
        authority.verifier_calls().into_iter().for_each(|call| verifiers.tell(call));
        verifiers.introduce(&machine(1, Profile::CURRENT));
        verifiers
    }

    fn introduce(&mut self, machine: &Machine) {
        let der = machine.pck.certificate.clone().into();
        self.tell(registerPlatformCall { der }.abi_encode());
    }

    /// Calls the contract, and lets the registry know what it said.
    fn tell(&mut self, call: impl Into<Bytes>) {
        self.send(TxKind::Call(self.contract), call.into());
    }

    fn send(&mut self, to: TxKind, input: Bytes) {
        let funder = accounts::funder();
        let transaction = TxEip1559 {
            chain_id: self.chain.config().chain_id,
            nonce: self.nonce,
            gas_limit: 8_000_000,
            max_fee_per_gas: 100_000_000_000,
            max_priority_fee_per_gas: 1_000_000_000,
            to,
            input,
            ..Default::default()
        };
        self.nonce += 1;
        let signature = funder.sign_hash_sync(&transaction.signature_hash()).unwrap();
        let raw = TxEnvelope::from(transaction.into_signed(signature)).encoded_2718();
        self.chain.submit(Incoming::decode(&raw).unwrap()).unwrap();
        let block = self.chain.mine(self.next_time()).unwrap();
        let root = Authority::development().root_hash();
        assert_eq!(block.outcomes.len(), 1);
        for outcome in &block.outcomes {
            assert!(outcome.receipt.is_success(), "call {}", self.nonce);
            for log in outcome.receipt.logs().iter().filter(|log| log.address == self.contract) {
                if let Ok(event) = IAttestationVerifierEvents::decode_log(log) {
                    self.registry.apply(event.data, root);
                }
            }
        }
    }

    fn next_time(&self) -> u64 {
        self.chain.head().header.timestamp + BLOCK_SECONDS
    }

    fn next_number(&self) -> u64 {
        self.chain.head().header.number + 1
    }

    fn on_l1(&self, quote: &[u8], time: u64) -> bool {
        let head = self.chain.head();
        let (env, hashes) = self.chain.environment_after(head.clone(), time);
        let hash = |number| hashes.iter().find(|(known, _)| *known == number).map(|(_, h)| *h);
        let state = self.chain.world().state(head.header.state_root);
        let call = verifyCall { quote: quote.to_vec().into(), reportData: report_data() };
        let request = CallRequest {
            to: Some(self.contract),
            data: call.abi_encode().into(),
            gas: Some(30_000_000),
            ..Default::default()
        };
        matches!(executor::call(state, &env, hash, &request).unwrap().result, CallResult::Return(_))
    }

    fn in_enclave(&self, quote: &[u8], time: u64) -> bool {
        let attested = self.registry.verify(quote, self.next_number(), time);
        attested.is_ok_and(|attested| attested.check_report_data(report_data()).is_ok())
    }

    /// What both say of a quote in the next L1 block.
    fn agree(&self, quote: &[u8], what: &str) -> bool {
        self.agree_at(quote, self.next_time(), what)
    }

    fn agree_at(&self, quote: &[u8], time: u64, what: &str) -> bool {
        let (on_l1, in_enclave) = (self.on_l1(quote, time), self.in_enclave(quote, time));
        assert_eq!(on_l1, in_enclave, "{what}: on L1 {on_l1}, in the enclave {in_enclave}");
        on_l1
    }
}

/// A quote with which nothing is wrong.
fn genuine(machine: &Machine, tee: Tee) -> Vec<u8> {
    let report = match tee {
        Tee::Sgx => program().report(machine, &padded()),
        Tee::Tdx => domain().report(machine, &padded()),
    };
    machine.stripped_quote(tee, &report)
}

/// What the attestation key signs of a stripped quote, and what the machine signs.
fn signed_parts(quote: &[u8], tee: Tee) -> [Range<usize>; 2] {
    let report = match tee {
        Tee::Sgx => 384,
        Tee::Tdx => 584,
    };
    let qe = quote.len() - QE_BYTES;
    [PREFIX_BYTES..PREFIX_BYTES + HEADER_BYTES + report, qe..qe + QE_REPORT_BYTES]
}

/// Signs a changed quote anew, so that what it says is all that can be wrong.
fn sign(quote: &mut [u8], machine: &Machine, tee: Tee) {
    let [report, qe_report] = signed_parts(quote, tee);
    let signature = machine.attestation_key.sign(&quote[report.clone()]);
    quote[report.end + 4..][..64].copy_from_slice(&signature);
    let signature = machine.pck.key.sign(&quote[qe_report.clone()]);
    quote[qe_report.end..][..64].copy_from_slice(&signature);
}

#[test]
fn both_verifiers_judge_mutated_quotes_alike() {
    let verifiers = Verifiers::new();
    let machine = machine(1, Profile::CURRENT);
    let mut accepted = BTreeMap::new();
    for tee in TEES {
        let quote = genuine(&machine, tee);
        assert!(verifiers.agree(&quote, "genuine"));
        // Any byte of the quote, signatures and lengths included. All of the first, which say what it
        // is, and every third of the others.
        for at in (0..quote.len()).filter(|at| *at < PREFIX_BYTES + HEADER_BYTES || at % 3 == 0) {
            let mut mutated = quote.clone();
            mutated[at] ^= 1 << (at % 8);
            if verifiers.agree(&mutated, &format!("{tee:?}, byte {at} flipped")) {
                *accepted.entry(format!("{tee:?} unsigned")).or_insert(0) += 1;
            }
        }
        // Any bit of header and reports, properly signed: what decides is what it says.
        for part in signed_parts(&quote, tee) {
            let mut count = 0;
            for bit in 0..8 * part.len() {
                let byte = part.start + bit / 8;
                // Measurements and report data: one bit of a byte is as good as all.
                if bit % 8 != 0 && !decides(tee, &quote, byte) {
                    continue;
                }
                let mut mutated = quote.clone();
                mutated[byte] ^= 1 << (bit % 8);
                sign(&mut mutated, &machine, tee);
                let what = format!("{tee:?}, bit {} of byte {byte} flipped, signed", bit % 8);
                count += u32::from(verifiers.agree(&mutated, &what));
            }
            accepted.insert(format!("{tee:?} signed from {}", part.start), count);
        }
        for length in [0, 1, PREFIX_BYTES, quote.len() / 2, quote.len() - 1] {
            assert!(!verifiers.agree(&quote[..length], &format!("{tee:?}, {length} bytes")));
        }
        assert!(!verifiers.agree(&[&quote[..], &[0]].concat(), "a byte too many"));
    }
    // Fields that nobody judges exist; that nearly all is judged, too.
    println!("accepted: {accepted:?}");
    assert!(accepted.values().all(|count| *count < 900), "{accepted:?}");
}

/// Bytes whose single bits mean something: versions, kinds, security versions, attributes, features.
fn decides(tee: Tee, quote: &[u8], byte: usize) -> bool {
    let of_enclave = |at| at < 20 || (48..64).contains(&at) || (256..260).contains(&at);
    let [_, qe_report] = signed_parts(quote, tee);
    if qe_report.contains(&byte) {
        return of_enclave(byte - qe_report.start);
    }
    match byte.checked_sub(PREFIX_BYTES + HEADER_BYTES) {
        None => byte < PREFIX_BYTES + 12,
        // CPUSVN, MISCSELECT, attributes; product and security version.
        Some(at) if tee == Tee::Sgx => of_enclave(at),
        // TEE_TCB_SVN; MRSIGNERSEAM's beginning, SEAM attributes, TD attributes, XFAM.
        Some(at) => at < 16 || (64..66).contains(&at) || (112..136).contains(&at),
    }
}

#[test]
fn both_verifiers_judge_machines_alike() {
    let mut verifiers = Verifiers::new();
    let changes = (0..17_usize).flat_map(|part| [(part, -1), (part, 1)]);
    let mut accepted = BTreeMap::new();
    for (seed, (part, by)) in (2..).zip(changes) {
        let mut profile = Profile::CURRENT;
        let changed = match profile.cpu_svn.get_mut(part) {
            Some(component) => component.checked_add_signed(by).map(|new| *component = new),
            None => profile.pce_svn.checked_add_signed(by.into()).map(|new| profile.pce_svn = new),
        };
        if changed.is_none() {
            continue;
        }
        let machine = machine(seed, profile);
        verifiers.introduce(&machine);
        for tee in TEES {
            let what = format!("{tee:?}, security version {part} {by:+}");
            *accepted.entry(by).or_insert(0) +=
                u32::from(verifiers.agree(&genuine(&machine, tee), &what));
        }
    }
    // One more is as good, one less is not.
    assert_eq!(accepted, BTreeMap::from([(-1, 0), (1, 32)]));
}

#[test]
fn both_verifiers_follow_what_l1_says_alike() {
    let (of, other) = (machine(1, Profile::CURRENT), machine(2, Profile::CURRENT));
    let mut verifiers = Verifiers::new();
    verifiers.introduce(&other);
    let quotes = [genuine(&of, Tee::Sgx), genuine(&of, Tee::Tdx), genuine(&other, Tee::Sgx)];
    let judged = |verifiers: &Verifiers, what: &str| {
        [0, 1, 2].map(|quote: usize| verifiers.agree(&quotes[quote], what))
    };
    assert_eq!(judged(&verifiers, "at first"), [true; 3]);

    verifiers.tell(removeMachineCall { machine: of.id() }.abi_encode());
    assert_eq!(judged(&verifiers, "a removed machine"), [false, false, true]);
    verifiers.tell(readmitMachineCall { machine: of.id() }.abi_encode());
    assert_eq!(judged(&verifiers, "a readmitted machine"), [true; 3]);

    let version = |least| {
        let policy = AttestationPolicy { minimumSecurityVersion: least, ..policy() };
        setPolicyCall { policy }.abi_encode()
    };
    verifiers.tell(version(2));
    assert_eq!(judged(&verifiers, "a higher security version"), [false, true, false]);
    verifiers.tell(version(1));

    // In the block after the next, and for one block.
    let (measurement, activation) = (program().measurement, verifiers.next_number() + 2);
    let (activation_block, sunset_block) = (activation, activation + 1);
    let approval = approveMeasurementCall {
        measurement,
        activationBlock: activation_block,
        sunsetBlock: sunset_block,
    };
    verifiers.tell(approval.abi_encode());
    for (next, is_active) in [(activation - 1, false), (activation, true), (sunset_block, false)] {
        assert_eq!(verifiers.next_number(), next);
        let what = format!("block {next} of an approval from {activation}");
        assert_eq!(judged(&verifiers, &what), [is_active, true, is_active]);
        // Any call: an L1 block goes by.
        verifiers.tell(version(1));
    }
    let always =
        approveMeasurementCall { measurement, activationBlock: 1, sunsetBlock: 0 }.abi_encode();
    verifiers.tell(always);
    assert_eq!(judged(&verifiers, "approved again"), [true; 3]);

    for time in [VALID_UNTIL - 1, VALID_UNTIL, VALID_UNTIL + 1] {
        let is_valid = verifiers.agree_at(&quotes[0], time, &format!("at {time}"));
        assert_eq!(is_valid, time < VALID_UNTIL, "at {time}");
    }
    let authority = Authority::development();
    let (from, until) = (TIME, TIME + 30 * 86_400);
    let der = authority.pck_crl(&[of.pck.serial], from, until).into();
    verifiers.tell(publishCrlCall { der }.abi_encode());
    assert_eq!(judged(&verifiers, "a revoked machine"), [false, false, true]);
    for time in [until - 1, until, until + 1] {
        let is_valid = verifiers.agree_at(&quotes[2], time, &format!("at {time}"));
        assert_eq!(is_valid, time < until, "at {time}");
    }
    let der = authority.root_crl(&[authority.pck_ca.serial], from, until).into();
    verifiers.tell(publishCrlCall { der }.abi_encode());
    assert_eq!(judged(&verifiers, "a revoked CA"), [false; 3]);
}
