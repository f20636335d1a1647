//! The chain as a state machine: hashes and roots, prices, the pool, system contracts.

use alloy_consensus::{
    Header, TxEip1559, constants::EMPTY_WITHDRAWALS, proofs::ordered_trie_root_encoded,
};
use alloy_eips::{Encodable2718, eip7685::EMPTY_REQUESTS_HASH};
use alloy_primitives::{Address, B256, Bloom, BloomInput, U256, keccak256};
use obscuro_devnet::l1::{
    self, Block, Chain, ChainError, Config, GAS_LIMIT, INITIAL_BASE_FEE, Refusal,
};

use crate::support::{
    ETHER, GENESIS_TIME, chain, config, deployment, incoming, signed, signer, store, transfer,
};

/// Everything in the header that follows from the rest of the block.
fn assert_header_is_right(chain: &Chain, block: &Block) {
    let header = &block.header;
    let parent = &chain.tree().get(&header.parent_hash).unwrap().header;
    assert_eq!(block.hash, keccak256(alloy_rlp::encode(header)));
    let transactions: Vec<_> =
        block.transactions.iter().map(|tx| tx.inner().encoded_2718()).collect();
    assert_eq!(header.transactions_root, ordered_trie_root_encoded(&transactions));
    let receipts: Vec<_> =
        block.outcomes.iter().map(|outcome| outcome.receipt.encoded_2718()).collect();
    assert_eq!(header.receipts_root, ordered_trie_root_encoded(&receipts));
    let mut bloom = Bloom::ZERO;
    for log in block.outcomes.iter().flat_map(|outcome| outcome.logs()) {
        bloom.accrue(BloomInput::Raw(log.address.as_slice()));
        log.topics().iter().for_each(|topic| bloom.accrue(BloomInput::Raw(topic.as_slice())));
    }
    assert_eq!(header.logs_bloom, bloom);
    assert_eq!(header.number, parent.number + 1);
    assert!(header.timestamp > parent.timestamp);
    let gas_used: u64 = block.outcomes.iter().map(|outcome| outcome.gas_used).sum();
    assert_eq!(header.gas_used, gas_used);
    assert_eq!(header.base_fee_per_gas, Some(l1::next_base_fee(parent)));
    assert_eq!(header.withdrawals_root, Some(EMPTY_WITHDRAWALS));
    assert_eq!(header.requests_hash, Some(EMPTY_REQUESTS_HASH));
    let seed = chain.config().seed;
    assert_eq!(header.parent_beacon_block_root, Some(l1::beacon_root(seed, header.parent_hash)));
}

#[test]
fn roots_and_hashes_are_those_of_the_contents() {
    let mut chain = chain();
    let (alice, bob) = (signer(0), signer(1));
    chain.submit(incoming(deployment(0), &alice)).unwrap();
    let cell = alice.address().create(0);
    chain.submit(incoming(store(1, cell, 7), &alice)).unwrap();
    chain.submit(incoming(transfer(0, Address::repeat_byte(9), 5), &bob)).unwrap();
    let block = chain.mine(GENESIS_TIME + 12).unwrap();
    assert_eq!(block.transactions.len(), 3);
    assert_header_is_right(&chain, &block);
    let empty = chain.mine(GENESIS_TIME + 24).unwrap();
    assert_header_is_right(&chain, &empty);

    let (header, transactions) = Block::decode(&block.rlp()).unwrap();
    assert_eq!((header, transactions), (block.header.clone(), block.transactions.clone()));
}

#[test]
fn same_inputs_give_same_blocks() {
    let run = |config: Config| {
        let mut chain = Chain::new(config).unwrap();
        for nonce in 0..5 {
            let tx = transfer(nonce, Address::repeat_byte(3), 1);
            chain.submit(incoming(tx, &signer(0))).unwrap();
            chain.submit(incoming(deployment(nonce), &signer(1))).unwrap();
            chain.mine(GENESIS_TIME + 2 * nonce).unwrap();
        }
        chain.head().hash
    };
    assert_eq!(run(config()), run(config()));
    assert_ne!(run(config()), run(Config { seed: B256::ZERO, ..config() }));
}

#[test]
fn base_fee_follows_eip_1559() {
    let next = |gas_used, gas_limit, base_fee| {
        let header =
            Header { gas_used, gas_limit, base_fee_per_gas: Some(base_fee), ..Header::default() };
        l1::next_base_fee(&header)
    };
    // The table of geth's TestCalcBaseFee, and the edges.
    assert_eq!(next(10_000_000, 20_000_000, 1_000_000_000), 1_000_000_000);
    assert_eq!(next(9_000_000, 20_000_000, 1_000_000_000), 987_500_000);
    assert_eq!(next(11_000_000, 20_000_000, 1_000_000_000), 1_012_500_000);
    assert_eq!(next(0, 20_000_000, 1_000_000_000), 875_000_000);
    assert_eq!(next(20_000_000, 20_000_000, 1_000_000_000), 1_125_000_000);
    assert_eq!(next(20_000_000, 20_000_000, 7), 8);
    assert_eq!(next(0, 20_000_000, 7), 7);
}

#[test]
fn blob_price_follows_eip_4844_and_7918() {
    const BLOB: u64 = 131_072;
    let header = |blobs: u64, excess, base_fee| Header {
        blob_gas_used: Some(blobs * BLOB),
        excess_blob_gas: Some(excess),
        base_fee_per_gas: Some(base_fee),
        ..Header::default()
    };
    let next = |blobs, excess, base_fee| l1::next_excess_blob_gas(&header(blobs, excess, base_fee));
    // Below and at the target of six nothing accumulates.
    assert_eq!(next(0, 0, 1), 0);
    assert_eq!(next(6, 0, 1), 0);
    assert_eq!(next(9, 0, 1), 3 * BLOB);
    assert_eq!(next(0, 10 * BLOB, 1), 4 * BLOB);
    // Where blobs cost less than the execution around them, the excess does not fall (EIP-7918).
    assert_eq!(next(0, 10 * BLOB, 1_000_000_000), 10 * BLOB);
    assert_eq!(next(6, 10 * BLOB, 1_000_000_000), 12 * BLOB);
    assert_eq!(l1::blob_fee(&header(0, 0, 1)), 1);
    assert_eq!(l1::blob_fee(&header(0, 10_000_000, 1)), 7);
}

#[test]
fn value_and_fees_move() {
    let mut chain = chain();
    let (alice, to) = (signer(0), Address::repeat_byte(0x77));
    chain.submit(incoming(transfer(0, to, 3 * ETHER), &alice)).unwrap();
    let block = chain.mine(GENESIS_TIME + 1).unwrap();
    let root = block.header.state_root;
    let balance = |address| chain.world().account(root, address).unwrap().balance;
    let price = u128::from(block.header.base_fee_per_gas.unwrap()) + 1_000_000_000;
    assert_eq!(balance(to), U256::from(3 * ETHER));
    assert_eq!(balance(alice.address()), U256::from(9_997 * ETHER - 21_000 * price));
    let tips = U256::from(21_000u64 * 1_000_000_000);
    assert_eq!(balance(chain.config().beneficiary), tips);
}

#[test]
fn genesis_is_reproducible_and_funded() {
    let chain = chain();
    let genesis = chain.head();
    assert_eq!(genesis.header.gas_limit, GAS_LIMIT);
    assert_eq!(genesis.header.base_fee_per_gas, Some(INITIAL_BASE_FEE));
    assert_ne!(genesis.header.state_root, alloy_consensus::EMPTY_ROOT_HASH);
    let account = chain.world().account(genesis.header.state_root, signer(3).address()).unwrap();
    assert_eq!(account.balance, U256::from(10_000 * ETHER));
    assert_eq!(genesis.hash, crate::support::chain().head().hash);
}

#[test]
fn pool_orders_by_nonce_and_price() {
    let mut chain = chain();
    let priced = |nonce, tip| TxEip1559 {
        max_priority_fee_per_gas: tip,
        ..transfer(nonce, Address::repeat_byte(1), 1)
    };
    // Alice's cheap first transaction holds back her dear second one.
    chain.submit(incoming(priced(1, 9_000_000_000), &signer(0))).unwrap();
    chain.submit(incoming(priced(0, 1_000_000_000), &signer(0))).unwrap();
    chain.submit(incoming(priced(0, 5_000_000_000), &signer(1))).unwrap();
    chain.submit(incoming(priced(5, 9_000_000_000), &signer(2))).unwrap();
    assert_eq!(chain.pending_nonce(signer(0).address()).unwrap(), 2);
    assert_eq!(chain.pending_nonce(signer(2).address()).unwrap(), 0);
    let block = chain.mine(GENESIS_TIME + 1).unwrap();
    let senders: Vec<_> = block.transactions.iter().map(|tx| tx.signer()).collect();
    let (alice, bob) = (signer(0).address(), signer(1).address());
    assert_eq!(senders, [bob, alice, alice]);
    assert_eq!(chain.pool().len(), 1);
}

#[test]
fn replacement_needs_ten_percent() {
    let mut chain = chain();
    let bumped = |percent: u128| {
        let tx = transfer(0, Address::repeat_byte(percent as u8), 1);
        TxEip1559 {
            max_fee_per_gas: tx.max_fee_per_gas * (100 + percent) / 100,
            max_priority_fee_per_gas: tx.max_priority_fee_per_gas * (100 + percent) / 100,
            ..tx
        }
    };
    let first = incoming(bumped(0), &signer(0));
    chain.submit(first.clone()).unwrap();
    assert_eq!(chain.submit(first).unwrap_err(), Refusal::AlreadyKnown);
    let refused = chain.submit(incoming(bumped(9), &signer(0))).unwrap_err();
    assert_eq!(refused.to_string(), "replacement transaction underpriced");
    let replacement = chain.submit(incoming(bumped(10), &signer(0))).unwrap();
    let block = chain.mine(GENESIS_TIME + 1).unwrap();
    assert_eq!(block.transactions.len(), 1);
    assert_eq!(*block.transactions[0].inner().tx_hash(), replacement);
    let included = chain.submit(incoming(bumped(10), &signer(0))).unwrap_err();
    assert!(included.to_string().starts_with("nonce too low"), "{included}");
}

#[test]
fn refusals_have_geths_wording() {
    let mut chain = chain();
    chain.submit(incoming(transfer(0, Address::ZERO, 1), &signer(0))).unwrap();
    chain.mine(GENESIS_TIME + 1).unwrap();
    let base = transfer(1, Address::ZERO, 1);
    let cases = [
        (transfer(0, Address::ZERO, 2), "nonce too low"),
        (transfer(1, Address::ZERO, 20_000 * ETHER), "insufficient funds for gas * price + value"),
        (TxEip1559 { gas_limit: 20_999, ..base.clone() }, "intrinsic gas too low"),
        (TxEip1559 { gas_limit: 1 << 25, ..base.clone() }, "transaction gas limit too high"),
        (TxEip1559 { chain_id: 1, ..base.clone() }, "invalid chain id for signer"),
        (
            TxEip1559 { max_priority_fee_per_gas: u128::MAX, ..base.clone() },
            "max priority fee per gas higher than max fee per gas",
        ),
        (TxEip1559 { nonce: 1 << 40, ..base.clone() }, "nonce too high"),
        (TxEip1559 { nonce: u64::MAX, ..base.clone() }, "nonce"),
        (TxEip1559 { input: vec![1; 200_000].into(), ..base.clone() }, "oversized data"),
    ];
    for (tx, message) in cases {
        let raw = crate::support::raw(tx, &signer(0));
        let refused = l1::Incoming::decode(&raw).and_then(|tx| chain.submit(tx)).unwrap_err();
        assert!(refused.to_string().starts_with(message), "{refused}, not {message}");
    }
    assert!(chain.pool().is_empty());
    for garbage in [&[][..], &[0xc0], &[2, 0xc0], &[3, 0xc1, 0x80], &[0x7f; 40]] {
        assert!(matches!(l1::Incoming::decode(garbage), Err(Refusal::Malformed(_))));
    }
}

#[test]
fn block_gas_is_bounded_and_the_rest_waits() {
    let mut chain = chain();
    for nonce in 0..5 {
        // Each wants 16 of the 60 million and uses little.
        let tx = TxEip1559 { gas_limit: 16_000_000, ..deployment(nonce) };
        chain.submit(incoming(tx, &signer(0))).unwrap();
    }
    // Uses nearly all it may: an endless loop.
    for nonce in 0..6 {
        let looping = TxEip1559 {
            gas_limit: 16_000_000,
            input: vec![0x5b, 0x5f, 0x56].into(),
            max_priority_fee_per_gas: 2_000_000_000,
            ..deployment(nonce)
        };
        chain.submit(incoming(looping, &signer(1))).unwrap();
    }
    let block = chain.mine(GENESIS_TIME + 1).unwrap();
    assert!(block.header.gas_used <= GAS_LIMIT);
    assert!(block.header.gas_used >= 48_000_000);
    assert!(!chain.pool().is_empty());
    let second = chain.mine(GENESIS_TIME + 2).unwrap();
    assert!(second.header.base_fee_per_gas > block.header.base_fee_per_gas);
    chain.mine(GENESIS_TIME + 3).unwrap();
    assert!(chain.pool().is_empty());
}

#[test]
fn exact_blocks_refuse_what_cannot_be_included() {
    let mut chain = chain();
    let genesis = chain.head().hash;
    let gap = signed(transfer(1, Address::ZERO, 1), &signer(0));
    let error = chain.mine_on(genesis, vec![gap], GENESIS_TIME + 1).unwrap_err();
    assert!(error.to_string().contains("nonce too high"), "{error}");
    let unknown = chain.mine_on(B256::ZERO, Vec::new(), GENESIS_TIME + 1).unwrap_err();
    assert!(matches!(unknown, ChainError::Tree(_)));
    assert_eq!(chain.head().hash, genesis);
}

#[test]
fn tags_are_depths() {
    let mut chain = Chain::new(Config { safe_depth: 2, finalized_depth: 4, ..config() }).unwrap();
    for step in 1..=10 {
        chain.mine(GENESIS_TIME + step).unwrap();
    }
    use alloy_eips::BlockNumberOrTag::{Earliest, Finalized, Latest, Safe};
    let heights = [Latest, Safe, Finalized, Earliest].map(|tag| chain.number(tag));
    assert_eq!(heights, [10, 8, 6, 0]);
}

#[test]
fn timestamps_always_rise() {
    let mut chain = chain();
    let first = chain.mine(0).unwrap();
    let second = chain.mine(0).unwrap();
    assert_eq!(first.header.timestamp, GENESIS_TIME + 1);
    assert_eq!(second.header.timestamp, GENESIS_TIME + 2);
}

#[test]
fn old_states_are_forgotten_and_recent_ones_stay() {
    let depths = Config { state_depth: 8, finalized_depth: 4, ..config() };
    let mut chain = Chain::new(depths).unwrap();
    let alice = signer(0);
    let cell = alice.address().create(0);
    chain.submit(incoming(deployment(0), &alice)).unwrap();
    let mut sizes = Vec::new();
    for nonce in 1..120 {
        chain.submit(incoming(store(nonce, cell, nonce), &alice)).unwrap();
        chain.mine(GENESIS_TIME + nonce).unwrap();
        sizes.push(chain.world().len());
    }
    assert!(sizes[60..].iter().max() < sizes[..40].iter().max().map(|size| size * 2).as_ref());
    let head = chain.head().number();
    for number in 0..=head {
        let block = chain.tree().at(number).unwrap();
        let state = chain.world().state(block.header.state_root);
        let kept = state.storage(cell, U256::ZERO);
        if number + 8 >= head {
            assert!(chain.has_state(block));
            assert_eq!(kept, Ok(U256::from(number)));
            let code = chain.world().code(block.header.state_root, cell);
            assert_eq!(code.unwrap().len(), crate::support::cell_code().len() - 9);
        }
    }
    assert!(!chain.has_state(chain.tree().at(50).unwrap()));
}
