//! L1's verifier and the enclave's, given the same quotes: the contract on the embedded L1, and a
//! registry made of nothing but that contract's events. What one takes the other takes. Not here: the
//! names of refusals, which each side tests for itself.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy_signer::SignerSync;
use alloy_sol_types::{SolCall, SolEventInterface, sol};
use obscuro_devnet::{
    accounts,
    l1::{Block, Chain, Config, Incoming},
};
use obscuro_enclave::executor::{self, CallRequest, CallResult};
use obscuro_protocol::{
    attestation::{Registry, Tee, td_measurement},
    contracts::Contract,
    l1::IAttestationVerifier::{IAttestationVerifierEvents, registerPlatformCall},
};
use obscuro_software_tee::{Authority, Enclave, Machine, Profile, TrustDomain, policy};
use std::{collections::BTreeMap, sync::Arc};

sol! {
    function verify(bytes calldata quote, bytes32 reportData) external view returns (bytes32 measurement, bytes32 machine, uint40 admission);
}

/// 1 January 2026: certificates of the software TEE are valid.
const TIME: u64 = 1_767_225_600;
const HEADER_BYTES: usize = 48;
/// Bytes in front of a stripped quote: version and platform.
const PREFIX_BYTES: usize = 33;

fn report_data() -> B256 {
    keccak256("report data")
}

fn padded() -> [u8; 64] {
    let mut padded = [0; 64];
    padded[..32].copy_from_slice(report_data().as_slice());
    padded
}

/// Both verifiers, told the same.
struct Verifiers {
    chain: Chain,
    block: Arc<Block>,
    contract: Address,
    registry: Registry,
    machine: Machine,
}

impl Verifiers {
    fn new() -> Self {
        let (authority, funder) = (Authority::development(), accounts::funder());
        let machine = authority.machine(&B256::repeat_byte(1), Profile::CURRENT);
        let enclave = Enclave::new(keccak256("program"));
        let measurements =
            vec![enclave.measurement, td_measurement(&domain().mrtd, &domain().rtmr)];
        let arguments = authority.verifier_arguments(funder.address(), measurements, policy());
        let code = [&Contract::AttestationVerifier.creation_code()[..], &arguments].concat();
        let contract = funder.address().create(0);
        let mut calls: Vec<(TxKind, Bytes)> = vec![(TxKind::Create, code.into())];
        let der = machine.pck.certificate.clone().into();
        let introductions = authority.verifier_calls().into_iter();
        let platform = [registerPlatformCall { der }.abi_encode().into()];
        calls.extend(introductions.chain(platform).map(|input| (TxKind::Call(contract), input)));

        let config = Config { genesis_timestamp: TIME, ..Config::default() };
        let config = config.fund([funder.address()], U256::from(10).pow(U256::from(24)));
        let mut chain = Chain::new(config).unwrap();
        let (mut registry, mut block) = (Registry::default(), chain.head().clone());
        for (nonce, (to, input)) in (0..).zip(calls) {
            let transaction = TxEip1559 {
                chain_id: chain.config().chain_id,
                nonce,
                gas_limit: 8_000_000,
                max_fee_per_gas: 100_000_000_000,
                max_priority_fee_per_gas: 1_000_000_000,
                to,
                input,
                ..Default::default()
            };
            let signature = funder.sign_hash_sync(&transaction.signature_hash()).unwrap();
            let raw = TxEnvelope::from(transaction.into_signed(signature)).encoded_2718();
            chain.submit(Incoming::decode(&raw).unwrap()).unwrap();
            block = chain.mine(TIME + 12 * (nonce + 1)).unwrap();
            for outcome in &block.outcomes {
                assert!(outcome.receipt.is_success(), "call {nonce}");
                for log in outcome.receipt.logs().iter().filter(|log| log.address == contract) {
                    if let Ok(event) = IAttestationVerifierEvents::decode_log(log) {
                        registry.apply(event.data, authority.root_hash());
                    }
                }
            }
        }
        Self { chain, block, contract, registry, machine }
    }

    fn on_l1(&self, quote: &[u8]) -> bool {
        let time = self.block.header.timestamp + 12;
        let (env, hashes) = self.chain.environment_after(self.block.clone(), time);
        let hash = |number| hashes.iter().find(|(known, _)| *known == number).map(|(_, h)| *h);
        let state = self.chain.world().state(self.block.header.state_root);
        let call = verifyCall { quote: quote.to_vec().into(), reportData: report_data() };
        let request = CallRequest {
            to: Some(self.contract),
            data: call.abi_encode().into(),
            gas: Some(30_000_000),
            ..Default::default()
        };
        matches!(executor::call(state, &env, hash, &request).unwrap().result, CallResult::Return(_))
    }

    fn in_enclave(&self, quote: &[u8]) -> bool {
        let time = self.block.header.timestamp + 12;
        let attested = self.registry.verify(quote, self.block.header.number + 1, time);
        attested.is_ok_and(|attested| attested.check_report_data(report_data()).is_ok())
    }

    /// What both say of a quote.
    fn agree(&self, quote: &[u8], what: &str) -> bool {
        let (on_l1, in_enclave) = (self.on_l1(quote), self.in_enclave(quote));
        assert_eq!(on_l1, in_enclave, "{what}: on L1 {on_l1}, in the enclave {in_enclave}");
        on_l1
    }

    fn genuine(&self, tee: Tee) -> (Vec<u8>, Vec<u8>) {
        let report = match tee {
            Tee::Sgx => Enclave::new(keccak256("program")).report(&self.machine, &padded()),
            Tee::Tdx => domain().report(&self.machine, &padded()),
        };
        (self.machine.stripped_quote(tee, &report), report)
    }
}

fn domain() -> TrustDomain {
    TrustDomain::new([1; 48], [[2; 48], [3; 48], [4; 48], [5; 48]])
}

#[test]
fn both_verifiers_judge_mutated_quotes_alike() {
    let verifiers = Verifiers::new();
    let mut accepted = BTreeMap::new();
    for tee in [Tee::Sgx, Tee::Tdx] {
        let (quote, report) = verifiers.genuine(tee);
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
        // Any bit of the report, properly signed: what decides is what it says.
        for bit in 0..8 * report.len() {
            // Measurements and report data: one bit each is as good as all.
            if bit % 8 != 0 && !decides(tee, bit / 8) {
                continue;
            }
            let mut mutated = report.clone();
            mutated[bit / 8] ^= 1 << (bit % 8);
            let quote = verifiers.machine.stripped_quote(tee, &mutated);
            let what = format!("{tee:?}, bit {} of report byte {} flipped", bit % 8, bit / 8);
            if verifiers.agree(&quote, &what) {
                *accepted.entry(format!("{tee:?} signed")).or_insert(0) += 1;
            }
        }
        for length in [0, 1, PREFIX_BYTES, quote.len() / 2, quote.len() - 1] {
            assert!(!verifiers.agree(&quote[..length], &format!("{tee:?}, {length} bytes")));
        }
        assert!(!verifiers.agree(&[&quote[..], &[0]].concat(), "a byte too many"));
    }
    // Fields that nobody judges exist; that nearly all is judged, too.
    assert!(accepted.values().all(|count| *count < 900), "{accepted:?}");
}

/// Fields whose single bits mean something: security versions, attributes, features.
fn decides(tee: Tee, byte: usize) -> bool {
    match tee {
        // CPUSVN, MISCSELECT, attributes; product and security version.
        Tee::Sgx => byte < 20 || (48..64).contains(&byte) || (256..260).contains(&byte),
        // TEE_TCB_SVN; MRSIGNERSEAM's beginning, SEAM attributes, TD attributes, XFAM.
        Tee::Tdx => byte < 16 || (64..66).contains(&byte) || (112..136).contains(&byte),
    }
}
