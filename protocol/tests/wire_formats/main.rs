//! The formats that others depend on, compared with what is frozen in `vectors/`. A difference is
//! a breaking change: run with `FREEZE=1` only on purpose, and write a migration. Here: how freezing
//! works, and what contracts read; beside it: what passes among nodes and users.

mod door;
mod envelope;
mod keys;
mod messages;
mod payload;
mod queries;
#[path = "../support/mod.rs"]
mod support;

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolStruct;
use obscuro_protocol::{
    attestation::{Challenge, ReportData},
    config::{Contracts, L1BlockId, NetworkConfig},
    l1::{SeedEpoch, SeedRejection, SeedShare},
    rollup::{
        HEADER_VERSION, RollupHeader, Withdrawal, signing_domain, withdrawal_proofs,
        withdrawals_root,
    },
    viewing::{ViewingKey, session_digest},
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

/// What is frozen; with `FREEZE=1`, what is given is frozen first.
fn thaw(name: &str, value: &Value) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../vectors").join(name);
    if std::env::var_os("FREEZE").is_some() {
        // The order of keys depends on features of other crates otherwise.
        let mut value = value.clone();
        value.sort_all_objects();
        fs::write(&path, serde_json::to_string_pretty(&value).unwrap() + "\n").unwrap();
    }
    serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap()
}

/// The same, for what is made anew to the byte. Compared as values.
fn compare(name: &str, value: Value) {
    assert_eq!(thaw(name, &value), value, "{name} differs from what is frozen");
}

fn header() -> RollupHeader {
    RollupHeader {
        version: HEADER_VERSION,
        parent: keccak256("parent"),
        number: 42,
        l1Proof: keccak256("l1 proof"),
        l1ProofNumber: 1_234_567,
        aggregator: Address::repeat_byte(0x11),
        nonce: U256::from_be_bytes(*keccak256("nonce")),
        timestamp: 1_750_000_000,
        stateRoot: keccak256("state"),
        transactionsRoot: keccak256("transactions"),
        receiptsRoot: keccak256("receipts"),
        withdrawalsRoot: keccak256("withdrawals"),
        publicEventsRoot: B256::ZERO,
        depositCursor: 7,
        forcedCursor: 3,
        payloadHash: keccak256("payload"),
        gasUsed: 21_000,
        gasLimit: 300_000_000,
        baseFee: 1_000_000_000,
    }
}

fn config() -> NetworkConfig {
    NetworkConfig {
        version: 1,
        l1ChainId: 1,
        l2ChainId: 2_908,
        checkpoint: L1BlockId { number: 100, hash: keccak256("checkpoint") },
        contracts: Contracts {
            obscuroToken: Address::repeat_byte(1),
            attestationVerifier: Address::repeat_byte(2),
            networkManagement: Address::repeat_byte(3),
            rollupManagement: Address::repeat_byte(4),
            bridgeManagement: Address::repeat_byte(5),
        },
        attestationRoot: keccak256("root certificate"),
        gasLimit: 300_000_000,
        computePrice: 1_000_000_000,
        obxPerEth: 1_000_000_000_000,
        rewardMarginPercent: 50,
        poolReserve: 1_000_000,
        revealDefault: 4,
        revealPeriods: [1, 300, 7_200, 216_000, 2_628_000],
        idleBlocksMax: 10,
        startupHashes: 200_000_000,
        withdrawalBlocks: 50,
        forkTimeoutBlocks: 50,
    }
}

#[test]
fn rollup_header() {
    let (chain_id, contract) = (31_337, Address::repeat_byte(0x22));
    let header = header();
    compare(
        "rollup_header.json",
        json!({
            "chainId": chain_id,
            "contract": contract,
            "header": header,
            "hash": header.hash(),
            "digest": header.signing_hash(&signing_domain(chain_id, contract)),
        }),
    );
}

#[test]
fn withdrawals() {
    let lists: Vec<Value> = [1, 2, 3, 5]
        .into_iter()
        .map(|count| {
            let withdrawals: Vec<Withdrawal> = (0..count)
                .map(|index| Withdrawal {
                    index,
                    asset: Address::repeat_byte(index as u8),
                    to: Address::repeat_byte(0x40 + index as u8),
                    amount: U256::from(10).pow(U256::from(index)),
                })
                .collect();
            let proofs = withdrawal_proofs(&withdrawals);
            json!({ "withdrawals": withdrawals, "root": withdrawals_root(&withdrawals), "proofs": proofs })
        })
        .collect();
    compare("withdrawals.json", json!(lists));
}

#[test]
fn network_config() {
    let config = config();
    compare("network_config.json", json!({ "config": config, "hash": config.hash() }));
}

#[test]
fn signed_messages() {
    let report_data = ReportData {
        l1_chain_id: 1,
        contract: Address::repeat_byte(3),
        enclave: Address::repeat_byte(0x11),
        owner: Address::repeat_byte(0xaa),
        encryption_key: b"encryption key",
        lottery_key: b"lottery key",
        config_hash: keccak256("config"),
        l1_block: 99,
        l1_block_hash: keccak256("block"),
        network_key: b"network key",
        encrypted_seed: b"encrypted seed",
    };
    let challenge = Challenge {
        enclave: Address::repeat_byte(0x11),
        config_hash: keccak256("config"),
        challenge: keccak256("challenge"),
    };
    let viewing = ViewingKey {
        account: Address::repeat_byte(0x77),
        viewingKey: Address::repeat_byte(0x88),
        expiresAt: 2_000_000_000,
    };
    compare(
        "signed_messages.json",
        json!({
            "reportData": report_data.hash(),
            "challenge": {
                "enclave": challenge.enclave,
                "configHash": challenge.config_hash,
                "challenge": challenge.challenge,
                "reportData": challenge.hash(),
            },
            "seed": seed_messages(),
            "viewingKey": viewing,
            "viewingKeyDigest": viewing.signing_hash(2_908),
            "sessionDigest": session_digest(keccak256("session"), keccak256("config"), 2_000_000_000),
        }),
    );
}

/// What enclaves sign for `NetworkManagement`.
fn seed_messages() -> Value {
    let (chain_id, contract) = (1, Address::repeat_byte(3));
    let domain = signing_domain(chain_id, contract);
    let share = |enclave, text| SeedShare {
        enclave: Address::repeat_byte(enclave),
        epoch: 2,
        encryptedSeedHash: keccak256(text),
    };
    let shown = |share: &SeedShare| {
        json!({
            "enclave": share.enclave,
            "epoch": share.epoch,
            "encryptedSeedHash": share.encryptedSeedHash,
        })
    };
    let opening = SeedEpoch {
        epoch: 2,
        networkKeyHash: keccak256("network key"),
        shares: vec![share(0x12, "encrypted seed"), share(0x13, "another")],
    };
    let rejection = SeedRejection {
        enclave: Address::repeat_byte(0x12),
        responder: Address::repeat_byte(0x11),
        epoch: 2,
    };
    json!({
        "chainId": chain_id,
        "contract": contract,
        "share": shown(&opening.shares[0]),
        "shareDigest": opening.shares[0].eip712_signing_hash(&domain),
        "opening": {
            "epoch": opening.epoch,
            "networkKeyHash": opening.networkKeyHash,
            "shares": opening.shares.iter().map(shown).collect::<Vec<_>>(),
        },
        "openingDigest": opening.eip712_signing_hash(&domain),
        "rejection": {
            "enclave": rejection.enclave,
            "responder": rejection.responder,
            "epoch": rejection.epoch,
        },
        "rejectionDigest": rejection.eip712_signing_hash(&domain),
    })
}
