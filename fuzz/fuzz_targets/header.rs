//! Rollup headers as they come from L1 (ABI) and from nodes (JSON), signatures and withdrawal trees.

#![no_main]

use alloy_primitives::B256;
use alloy_sol_types::SolValue;
use libfuzzer_sys::fuzz_target;
use obscuro_protocol::rollup::{
    RollupHeader, Withdrawal, recover, signing_domain, withdrawal_proofs, withdrawals_root,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = RollupHeader::abi_decode(bytes) {
        assert_eq!(RollupHeader::abi_decode(&header.abi_encode()).as_ref(), Ok(&header));
        let json = serde_json::to_vec(&header).expect("encodes");
        assert_eq!(serde_json::from_slice::<RollupHeader>(&json).expect("decodes"), header);
        let _ = header.signing_hash(&signing_domain(1, header.aggregator));
    }
    if let Ok(header) = serde_json::from_slice::<RollupHeader>(bytes) {
        let _ = header.hash();
    }
    let _ = recover(&B256::repeat_byte(1), bytes);
    if let Ok(withdrawals) = serde_json::from_slice::<Vec<Withdrawal>>(bytes) {
        let _ = withdrawals_root(&withdrawals);
        assert_eq!(withdrawal_proofs(&withdrawals).len(), withdrawals.len());
    }
});
