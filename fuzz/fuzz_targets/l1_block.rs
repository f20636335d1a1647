//! L1 blocks as a host presents them: any bytes, and blocks whose receipts are those of the header, with
//! logs of the contracts that hold anything.

#![no_main]

use alloy_consensus::{Eip658Value, Header, Receipt, ReceiptEnvelope};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Bloom, Bytes, Log, LogData};
use alloy_sol_types::SolEvent;
use libfuzzer_sys::{arbitrary, fuzz_target};
use obscuro_enclave::{l1, trie};
use obscuro_protocol::{
    config::Contracts,
    door::L1Block,
    l1::{
        IAttestationVerifier::IAttestationVerifierEvents, IBridgeManagement::Deposited,
        INetworkManagement::INetworkManagementEvents, IRollupManagement::RollupPublished,
    },
};

#[derive(arbitrary::Arbitrary, Debug)]
enum Input {
    Bytes { header: Vec<u8>, receipts: Option<Vec<Vec<u8>>>, parent: u64 },
    Agreeing { receipts: Vec<AnyReceipt>, number: u64 },
}

#[derive(arbitrary::Arbitrary, Debug)]
enum AnyReceipt {
    Bytes(Vec<u8>),
    Logs(u8, Vec<AnyLog>),
}

#[derive(arbitrary::Arbitrary, Debug)]
struct AnyLog {
    contract: u8,
    event: u8,
    topics: Vec<[u8; 32]>,
    data: Vec<u8>,
}

fn contracts() -> Contracts {
    Contracts {
        networkManagement: Address::repeat_byte(0),
        rollupManagement: Address::repeat_byte(1),
        bridgeManagement: Address::repeat_byte(2),
        attestationVerifier: Address::repeat_byte(3),
        ..Default::default()
    }
}

fn log(log: &AnyLog) -> Log {
    let known = INetworkManagementEvents::SELECTORS
        .iter()
        .chain(IAttestationVerifierEvents::SELECTORS)
        .copied()
        .map(B256::from)
        .chain([RollupPublished::SIGNATURE_HASH, Deposited::SIGNATURE_HASH]);
    let events: Vec<B256> = known.collect();
    let first = events.get(usize::from(log.event) % (events.len() + 1)).copied();
    let topics = first.into_iter().chain(log.topics.iter().copied().map(B256::from)).take(4);
    Log {
        address: Address::repeat_byte(log.contract % 5),
        data: LogData::new_unchecked(topics.collect(), log.data.clone().into()),
    }
}

fn receipt(receipt: &AnyReceipt) -> Bytes {
    let (kind, logs) = match receipt {
        AnyReceipt::Bytes(bytes) => return bytes.clone().into(),
        AnyReceipt::Logs(kind, logs) => (kind, logs),
    };
    let receipt: Receipt<Log> = Receipt {
        status: Eip658Value::success(),
        cumulative_gas_used: 1,
        logs: logs.iter().map(log).collect(),
    };
    let receipt = receipt.with_bloom();
    let envelope: ReceiptEnvelope = match kind % 5 {
        0 => ReceiptEnvelope::Legacy(receipt),
        1 => ReceiptEnvelope::Eip2930(receipt),
        2 => ReceiptEnvelope::Eip1559(receipt),
        3 => ReceiptEnvelope::Eip4844(receipt),
        _ => ReceiptEnvelope::Eip7702(receipt),
    };
    envelope.encoded_2718().into()
}

fuzz_target!(|input: Input| {
    match input {
        Input::Bytes { header, receipts, parent } => {
            let _ = l1::parent_of(&header);
            let receipts = receipts.map(|all| all.into_iter().map(Bytes::from).collect());
            let block = L1Block { header: header.into(), receipts, payloads: Vec::new() };
            let _ = l1::verify(&block, parent, &contracts());
        }
        Input::Agreeing { receipts, number } => {
            let receipts: Vec<Bytes> = receipts.iter().map(receipt).collect();
            let header = Header {
                number: number.saturating_add(1),
                receipts_root: trie::ordered_root(receipts.iter()),
                logs_bloom: Bloom::repeat_byte(0xff),
                ..Default::default()
            };
            let header: Bytes = alloy_rlp::encode(&header).into();
            assert_eq!(l1::parent_of(&header), Ok(B256::ZERO));
            let block = L1Block { header, receipts: Some(receipts), payloads: Vec::new() };
            let verified = l1::verify(&block, number, &contracts());
            assert!(!matches!(verified, Err(l1::L1Error::ReceiptsRoot | l1::L1Error::Header)));
            let withheld = L1Block { receipts: None, ..block };
            assert!(l1::verify(&withheld, number, &contracts()).is_err());
        }
    }
});
