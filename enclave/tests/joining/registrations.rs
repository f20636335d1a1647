//! Registrations that a broken contract might have let through: the enclave that could answer
//! verifies each quote again (protocol 3.4).

use crate::*;
use alloy_primitives::{U256, aliases::U40};
use obscuro_protocol::{
    attestation::{ReportData, TcbStatus, Tee, platform_id, td_measurement},
    config::NetworkConfig,
    l1::IAttestationVerifier::{
        CollateralPublished, CrlPublished, MachineRemoved, MeasurementApproved,
    },
};
use obscuro_software_tee::{
    Authority, CollateralOptions, Enclave, Machine, Profile, SoftwareDevice, TrustDomain,
    pki::{VALID_FROM, VALID_UNTIL},
};

/// What is in a report, or what L1 says is.
#[derive(Clone)]
struct Said {
    chain_id: u64,
    contract: Address,
    enclave: Address,
    owner: Address,
    key: Vec<u8>,
    lottery_key: Vec<u8>,
    config_hash: B256,
    l1_block: u64,
    l1_block_hash: B256,
    network_key: Vec<u8>,
    encrypted_seed: Vec<u8>,
}

impl Said {
    fn report_data(&self) -> [u8; 64] {
        let hash = ReportData {
            l1_chain_id: self.chain_id,
            contract: self.contract,
            enclave: self.enclave,
            owner: self.owner,
            encryption_key: &self.key,
            lottery_key: &self.lottery_key,
            config_hash: self.config_hash,
            l1_block: self.l1_block,
            l1_block_hash: self.l1_block_hash,
            network_key: &self.network_key,
            encrypted_seed: &self.encrypted_seed,
        }
        .hash();
        let mut padded = [0; 64];
        padded[..32].copy_from_slice(hash.as_slice());
        padded
    }
}

/// A registration whose quote may be anything.
struct Claim {
    authority: Authority,
    profile: Profile,
    program: Enclave,
    /// In place of the SGX enclave.
    domain: Option<TrustDomain>,
    /// In the report.
    said: Said,
    /// What the report has after the hash.
    rest: u8,
    /// On L1.
    shown: Said,
    /// What `AttestationVerifier` said in between.
    told: Vec<IAttestationVerifierEvents>,
    /// Whether L1 knows the machine.
    is_known: bool,
    /// Changes the quote's bytes.
    garble: fn(&mut Vec<u8>),
}

impl Claim {
    fn machine(&self) -> Machine {
        self.authority.machine(&other(77), self.profile)
    }

    /// Changes both the report and what L1 says of it.
    fn both(&mut self, change: impl Fn(&mut Said)) {
        change(&mut self.said);
        change(&mut self.shown);
    }

    fn collateral(&mut self, options: &CollateralOptions) {
        let issued = VALID_FROM + 1;
        let options = CollateralOptions { issued, ..options.clone() };
        let made = self.authority.collateral(&self.machine(), Tee::Sgx, &options);
        let authority = platform_id(&self.authority.tcb_signer.certificate).unwrap();
        for (json, signature) in [
            (made.tcb_info, made.tcb_info_signature),
            (made.qe_identity, made.qe_identity_signature),
        ] {
            let json = json.into_bytes().into();
            let event = CollateralPublished { authority, json, signature };
            self.told.push(IAttestationVerifierEvents::CollateralPublished(event));
        }
    }

    fn crl(&mut self, issuer: fn(&Authority) -> &[u8], der: Vec<u8>, until: u64) {
        self.told.push(IAttestationVerifierEvents::CrlPublished(CrlPublished {
            authority: platform_id(issuer(&self.authority)).unwrap(),
            thisUpdate: U40::from(VALID_FROM + 1),
            nextUpdate: U40::from(until),
            der: der.into(),
        }));
    }

    fn policy(&mut self, change: impl FnOnce(&mut AttestationPolicy)) {
        let mut policy = policy();
        change(&mut policy);
        self.told.push(IAttestationVerifierEvents::PolicyChanged(PolicyChanged { policy }));
    }

    fn approval(&mut self, activation: u64, sunset: u64) {
        self.told.push(IAttestationVerifierEvents::MeasurementApproved(MeasurementApproved {
            measurement: self.program.measurement,
            activationBlock: activation,
            sunsetBlock: sunset,
        }));
    }

    fn logs(&self) -> Vec<Log> {
        let machine = self.machine();
        let report_data = {
            let mut bytes = self.said.report_data();
            bytes[32] = self.rest;
            bytes
        };
        let mut quote = match &self.domain {
            None => machine.stripped_quote(Tee::Sgx, &self.program.report(&machine, &report_data)),
            Some(domain) => {
                machine.stripped_quote(Tee::Tdx, &domain.report(&machine, &report_data))
            }
        };
        (self.garble)(&mut quote);
        let mut events = self.told.clone();
        if self.is_known {
            events.insert(0, self.authority.platform_event(&machine));
        }
        let mut logs: Vec<Log> = events.into_iter().map(attesting).collect();
        logs.push(network_log(INetworkManagement::NodeRegistered {
            enclave: self.shown.enclave,
            owner: self.shown.owner,
            quote: quote.into(),
            encryptionKey: self.shown.key.clone().into(),
            lotteryKey: self.shown.lottery_key.clone().into(),
            hostAddress: "/ip4/127.0.0.1/tcp/2".into(),
            stake: U256::from(1_000),
            l1Block: self.shown.l1_block,
            l1BlockHash: self.shown.l1_block_hash,
        }));
        logs
    }
}

/// A claim with which nothing is wrong, next in an L1.
fn honest(l1: &L1) -> Claim {
    let newcomer = Node::start(2, false).registration;
    let said = Said {
        chain_id: config().l1ChainId,
        contract: config().contracts.networkManagement,
        enclave: newcomer.enclave,
        owner: OWNER,
        key: newcomer.encryption_key.to_vec(),
        lottery_key: newcomer.lottery_key.to_vec(),
        config_hash: config().hash(),
        l1_block: l1.tip.number,
        l1_block_hash: l1.tip.hash,
        network_key: Vec::new(),
        encrypted_seed: Vec::new(),
    };
    Claim {
        authority: Authority::development(),
        profile: Profile::CURRENT,
        program: Enclave::new(SoftwareDevice::program_measurement()),
        domain: None,
        shown: said.clone(),
        said,
        rest: 0,
        told: Vec::new(),
        is_known: true,
        garble: |_| {},
    }
}

type Change = fn(&mut Claim);

const ADMITTED: &[(&str, Change)] = &[
    ("nothing is wrong", |_| {}),
    ("an L1 block as old as may be", |claim| {
        // Once more for the block of the answer.
        claim.policy(|policy| policy.attestationLifetimeBlocks = 5);
        claim.both(|said| said.l1_block -= 3);
    }),
    ("a measurement that sets later", |claim| {
        claim.program.measurement = other(9);
        claim.approval(0, claim.shown.l1_block + 3);
    }),
    ("a trust domain", |claim| {
        let domain = TrustDomain::new([1; 48], [[2; 48]; 4]);
        claim.program.measurement = td_measurement(&[1; 48], &[[2; 48]; 4]);
        claim.approval(0, 0);
        claim.domain = Some(domain);
    }),
    ("a platform with a status that the policy admits", |claim| {
        claim.collateral(&CollateralOptions {
            status: TcbStatus::SWHardeningNeeded,
            ..Default::default()
        });
        claim.policy(|policy| policy.allowedTcbStatuses = 0b11);
    }),
    ("newer collateral, as the policy demands", |claim| {
        claim.collateral(&CollateralOptions { evaluation_number: 18, ..Default::default() });
        claim.policy(|policy| policy.minimumTcbEvaluation = 18);
    }),
    ("newer revocation lists, and another machine revoked", |claim| {
        let (until, serial) = (VALID_UNTIL, [9; 20]);
        let der = claim.authority.root_crl(&[], VALID_FROM + 1, until);
        claim.crl(|authority| &authority.root.certificate, der, until);
        let der = claim.authority.pck_crl(&[serial], VALID_FROM + 1, until);
        claim.crl(|authority| &authority.pck_ca.certificate, der, until);
    }),
    ("another machine removed", |claim| {
        let event = MachineRemoved { machine: other(9) };
        claim.told.push(IAttestationVerifierEvents::MachineRemoved(event));
    }),
];

const REFUSED: &[(&str, Change)] = &[
    ("debug enclave", |claim| claim.program.debug = true),
    ("debug trust domain", |claim| {
        let domain = TrustDomain { debug: true, ..TrustDomain::new([1; 48], [[2; 48]; 4]) };
        claim.program.measurement = td_measurement(&[1; 48], &[[2; 48]; 4]);
        claim.approval(0, 0);
        claim.domain = Some(domain);
    }),
    ("wrong measurement", |claim| claim.program.measurement = other(9)),
    ("a measurement not active yet", |claim| {
        claim.program.measurement = other(9);
        claim.approval(1_000, 0);
    }),
    ("a measurement that has set", |claim| {
        claim.program.measurement = other(9);
        claim.approval(0, claim.shown.l1_block);
    }),
    ("other root, machine alone", |claim| claim.authority = Authority::from_seed(other(9))),
    ("other root, all of it", |claim| {
        claim.authority = Authority::from_seed(other(9));
        let program = claim.program.measurement;
        claim.told = claim.authority.verifier_events(&[program], policy());
    }),
    ("unknown machine", |claim| claim.is_known = false),
    ("other owner", |claim| claim.said.owner = Address::repeat_byte(9)),
    ("other enclave", |claim| claim.said.enclave = Address::repeat_byte(9)),
    ("other encryption key", |claim| claim.said.key[0] ^= 1),
    ("other lottery key", |claim| claim.said.lottery_key[0] ^= 1),
    ("other configuration", |claim| {
        claim.said.config_hash = NetworkConfig { gasLimit: 1, ..config() }.hash();
    }),
    ("other chain", |claim| claim.said.chain_id = 1),
    ("other contract", |claim| claim.said.contract = Address::repeat_byte(9)),
    ("other L1 block", |claim| claim.said.l1_block -= 1),
    ("other L1 block hash", |claim| claim.said.l1_block_hash = other(9)),
    ("a network key", |claim| claim.said.network_key = vec![9]),
    ("a seed", |claim| claim.said.encrypted_seed = vec![9]),
    ("more report data", |claim| claim.rest = 1),
    ("another node's quote", |claim| {
        let third = Node::start(3, false).registration;
        claim.said.enclave = third.enclave;
        claim.said.key = third.encryption_key.to_vec();
    }),
    ("an L1 block too long ago", |claim| {
        claim.policy(|policy| policy.attestationLifetimeBlocks = 4);
        claim.both(|said| said.l1_block -= 4);
    }),
    ("the L1 block that it is in", |claim| claim.both(|said| said.l1_block += 1)),
    ("an L1 block of the future", |claim| claim.both(|said| said.l1_block = u64::MAX)),
    ("revoked PCK", |claim| {
        let (serial, until) = (claim.machine().pck.serial, VALID_UNTIL);
        let der = claim.authority.pck_crl(&[serial], VALID_FROM + 1, until);
        claim.crl(|authority| &authority.pck_ca.certificate, der, until);
    }),
    ("revoked CA", |claim| {
        let (serial, until) = (claim.authority.pck_ca.serial, VALID_UNTIL);
        let der = claim.authority.root_crl(&[serial], VALID_FROM + 1, until);
        claim.crl(|authority| &authority.root.certificate, der, until);
    }),
    ("revoked TCB signer", |claim| {
        let (serial, until) = (claim.authority.tcb_signer.serial, VALID_UNTIL);
        let der = claim.authority.root_crl(&[serial], VALID_FROM + 1, until);
        claim.crl(|authority| &authority.root.certificate, der, until);
    }),
    ("removed machine", |claim| {
        let machine = claim.machine().id();
        claim.told.push(IAttestationVerifierEvents::MachineRemoved(MachineRemoved { machine }));
    }),
    ("expired TCB info", |claim| {
        claim.collateral(&CollateralOptions { expires: GENESIS_TIME, ..Default::default() });
    }),
    ("expired PCK revocation list", |claim| {
        let der = claim.authority.pck_crl(&[], VALID_FROM + 1, GENESIS_TIME);
        claim.crl(|authority| &authority.pck_ca.certificate, der, GENESIS_TIME);
    }),
    ("expired root revocation list", |claim| {
        let der = claim.authority.root_crl(&[], VALID_FROM + 1, GENESIS_TIME);
        claim.crl(|authority| &authority.root.certificate, der, GENESIS_TIME);
    }),
    ("low security version", |claim| claim.program.security_version = 0),
    ("out of date", |claim| claim.profile = Profile::OUTDATED),
    ("a TCB status that is not admitted", |claim| {
        claim.collateral(&CollateralOptions {
            status: TcbStatus::ConfigurationNeeded,
            ..Default::default()
        });
    }),
    ("a revoked TCB level, whatever the policy says", |claim| {
        let status = TcbStatus::Revoked;
        claim.collateral(&CollateralOptions { status, ..Default::default() });
        claim.policy(|policy| policy.allowedTcbStatuses = u16::MAX);
    }),
    ("low evaluation number", |claim| claim.policy(|policy| policy.minimumTcbEvaluation = 18)),
    ("no quote", |claim| claim.garble = Vec::clear),
    ("a garbled signature", |claim| claim.garble = |quote| quote[33 + 48 + 384 + 4] ^= 1),
    ("a garbled report", |claim| claim.garble = |quote| quote[33 + 48] ^= 1),
    ("half a quote", |claim| claim.garble = |quote| quote.truncate(500)),
    ("a quote with more behind", |claim| claim.garble = |quote| quote.push(0)),
];

/// A network at an L1 block with some before it, after a claim.
fn after(change: Change) -> (Node, L1, Claim, Head) {
    let (node, mut l1, _) = network();
    for _ in 0..3 {
        node.follow(&l1.block(vec![], vec![]));
    }
    let fresh = reattested(&node, &l1);
    node.follow(&l1.block(vec![fresh], vec![]));
    let mut claim = honest(&l1);
    change(&mut claim);
    let head = node.follow(&l1.block(claim.logs(), vec![]));
    // Whoever folds these blocks at any other time comes to the same.
    assert_eq!(follower_of(&node, &l1).set_head(l1.tip.hash), head);
    (node, l1, claim, head)
}

#[test]
fn sound_registrations_are_answered() {
    for (case, change) in ADMITTED {
        let (node, mut l1, claim, head) = after(*change);
        assert_eq!(head.duties, [Duty::ShareSeed], "{case}");
        assert!(head.peers.is_empty(), "{case}: not before it has the seed");
        let shares = shares(&node).unwrap();
        assert_eq!(shares.len(), 1, "{case}");
        assert_eq!(shares[0].answer.enclave, claim.shown.enclave, "{case}");
        let head = node.follow(&l1.block(vec![answered(&shares[0])], vec![]));
        assert!(!has(&head, Duty::ShareSeed), "{case}");
    }
}

#[test]
fn responders_take_turns_and_others_with_each_newcomer() {
    let (first, mut l1, _) = network();
    let second = join(&[&first], &mut l1, TestDevice::new(2, 0), 1_000);
    // A verifier answers as well.
    let third = join(&[&first, &second], &mut l1, TestDevice::new(3, 0), 0);
    let responders = [&first, &second, &third];
    let waiting: Vec<Node> = (4..10)
        .map(|seed| Node::start_on(TestDevice::new(seed, 0), config(), &l1.tip, false))
        .collect();
    let introduced = |node: &Node| {
        let registration = &node.registration;
        [platform(&registration.certificates), registering(registration, 0, &l1.tip)]
    };
    let logs = waiting.iter().flat_map(introduced).collect();
    all_follow(&responders, &mut l1, logs);
    let answers = responders.map(|responder| shares(responder).unwrap());
    let rank = |responder: usize, newcomer: &Node| {
        let is_for = |share: &&SeedShare| share.answer.enclave == newcomer.registration.enclave;
        let share = answers[responder].iter().find(is_for).expect("all are answered");
        assert_eq!(share.waits_since, l1.tip.number);
        share.rank
    };
    let mut firsts = Vec::new();
    for newcomer in &waiting {
        let ranks = [0, 1, 2].map(|responder| rank(responder, newcomer));
        let mut sorted = ranks;
        sorted.sort();
        assert_eq!(sorted, [0, 1, 2], "one block for each");
        firsts.extend(ranks.iter().position(|rank| *rank == 0));
    }
    assert!(firsts.iter().any(|first| *first != firsts[0]), "nobody is always the first");
}

#[test]
fn what_a_broken_contract_lets_through_gets_nothing() {
    for (case, change) in REFUSED {
        let (node, mut l1, claim, head) = after(*change);
        assert!(head.duties.is_empty() && head.peers.is_empty(), "{case}");
        assert_eq!(shares(&node), Ok(vec![]), "{case}");
        // Even if L1 says that somebody gave it the seed.
        let share = shared(claim.shown.enclave, node.registration.enclave, 1, vec![1].into());
        let head = node.follow(&l1.block(vec![share, epoch_begun(2, Address::ZERO)], vec![]));
        assert!(head.peers.is_empty(), "{case}");
        // It is passed over when an epoch is opened.
        let shares = opening(&node).unwrap().shares;
        let enclaves: Vec<Address> = shares.iter().map(|share| share.enclave).collect();
        assert_eq!(enclaves, [node.registration.enclave], "{case}");
        // And the network goes on.
        node.follow(&l1.block(vec![deposited(1, Address::ZERO, OWNER, 1)], vec![]));
        round(&node, &mut l1);
    }
}

#[test]
fn a_registration_whose_key_is_none_burdens_nobody() {
    let (node, _, _, head) = after(|claim| claim.both(|said| said.key = vec![9; 1_215]));
    assert_eq!(shares(&node), Ok(vec![]));
    assert!(head.duties.is_empty(), "there is nothing that the host could send");
}

#[test]
fn the_first_registration_of_an_enclave_counts() {
    let (node, mut l1, mut claim, _) = after(|_| {});
    // The same enclave, and now the owner is another.
    claim.both(|said| (said.owner, said.key) = (Address::repeat_byte(9), vec![1; 1_216]));
    node.follow(&l1.block(claim.logs(), vec![]));
    let [share] = &shares(&node).unwrap()[..] else { panic!() };
    assert_eq!(share.answer.enclave, claim.shown.enclave);
    let second = Node::start(2, false);
    node.follow(&l1.block(vec![answered(share)], vec![]));
    assert!(second.catch_up(&l1).has_seed, "sealed to the key that came first");
}
