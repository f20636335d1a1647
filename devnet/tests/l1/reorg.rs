//! Competing branches, and what leaves and enters the chain when the head moves.

use std::sync::Arc;

use alloy_primitives::{Address, Bytes, U256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::Filter;
use futures::StreamExt;
use obscuro_devnet::l1::{Block, Chain, ChainError, Config, Event, Mining, TreeError};

use crate::support::{
    GENESIS_TIME, chain, config, deployment, incoming, raw, served, set_topic, signed, signer,
    store, transfer, ws,
};

fn balance(chain: &Chain, address: Address) -> U256 {
    chain.world().account(chain.head().header.state_root, address).unwrap().balance
}

fn heads(chain: &mut Chain) -> Vec<(Vec<u64>, Vec<u64>)> {
    let numbers = |blocks: &[Arc<Block>]| blocks.iter().map(|block| block.number()).collect();
    let events = chain.take_events();
    let changes = events.iter().filter_map(|event| match &**event {
        Event::Head(change) => Some((numbers(&change.removed), numbers(&change.added))),
        Event::Pending(_) => None,
    });
    changes.collect()
}

#[test]
fn branches_compete_and_transactions_return() {
    let mut chain = chain();
    let (alice, bob) = (signer(0), signer(1));
    let (left, right) = (Address::repeat_byte(1), Address::repeat_byte(2));
    let genesis = chain.head().hash;
    let common = chain.mine(GENESIS_TIME + 1).unwrap();

    chain.submit(incoming(transfer(0, left, 5), &alice)).unwrap();
    let a1 = chain.mine(GENESIS_TIME + 2).unwrap();
    let a2 = chain.mine(GENESIS_TIME + 3).unwrap();
    assert_eq!(balance(&chain, left), U256::from(5));
    heads(&mut chain);

    // A branch from the common block, longer by one, with another transaction.
    let paid = signed(transfer(0, right, 7), &bob);
    let b1 = chain.mine_on(common.hash, vec![paid], GENESIS_TIME + 2).unwrap();
    let b2 = chain.mine_on(b1.hash, Vec::new(), GENESIS_TIME + 3).unwrap();
    let b3 = chain.mine_on(b2.hash, Vec::new(), GENESIS_TIME + 4).unwrap();
    assert_eq!(chain.head().hash, a2.hash, "building does not move the head");
    assert_ne!(a1.hash, b1.hash);

    chain.set_head(b3.hash).unwrap();
    assert_eq!(heads(&mut chain), [(vec![3, 2], vec![2, 3, 4])]);
    assert_eq!((balance(&chain, left), balance(&chain, right)), (U256::ZERO, U256::from(7)));
    assert_eq!(chain.pool().len(), 1, "alice's transaction is back");
    assert!(chain.tree().transaction(a1.transactions[0].inner().tx_hash()).is_none());

    let b4 = chain.mine(GENESIS_TIME + 5).unwrap();
    assert_eq!(b4.transactions, a1.transactions);
    assert_eq!(balance(&chain, left), U256::from(5));

    // And back: the first branch is still there, and bob's payment returns to the pool.
    chain.set_head(a2.hash).unwrap();
    assert_eq!((balance(&chain, left), balance(&chain, right)), (U256::from(5), U256::ZERO));
    assert_eq!(chain.pool().len(), 1);
    assert_eq!(chain.tree().at(0).unwrap().hash, genesis);
    assert_eq!(chain.tree().at(2).unwrap().hash, a1.hash);
    assert!(chain.tree().at(4).is_none());
}

#[test]
fn siblings_differ_by_salt_only() {
    let mut chain = chain();
    let parent = chain.head().hash;
    let salted = |chain: &mut Chain, salt: &'static [u8]| {
        let salt = Bytes::from_static(salt);
        chain.mine_salted(parent, Vec::new(), GENESIS_TIME + 1, salt).unwrap().hash
    };
    let (one, other, again) =
        (salted(&mut chain, b"1"), salted(&mut chain, b"2"), salted(&mut chain, b"1"));
    assert_ne!(one, other);
    assert_eq!(one, again);
    assert_eq!(chain.tree().len(), 3);
}

#[test]
fn finalized_blocks_stay() {
    let mut chain = Chain::new(Config { finalized_depth: 3, ..config() }).unwrap();
    let genesis = chain.head().hash;
    let fork = chain.mine_on(genesis, Vec::new(), GENESIS_TIME + 50).unwrap();
    for step in 1..=3 {
        chain.mine(GENESIS_TIME + step).unwrap();
    }
    chain.set_head(fork.hash).unwrap();
    let long = chain.tree().at(1).unwrap().hash;
    assert_eq!(long, fork.hash);
    for step in 1..=6 {
        chain.mine(GENESIS_TIME + 60 + step).unwrap();
    }
    let too_deep = chain.reorg(5, Default::default()).unwrap_err();
    assert!(matches!(too_deep, ChainError::Tree(TreeError::Finalized { .. })), "{too_deep}");
    chain.reorg(3, Default::default()).unwrap();
    assert!(chain.reorg(0, Default::default()).is_err());
    assert!(chain.reorg(100, Default::default()).is_err());
}

#[test]
fn side_branches_below_the_finalized_block_are_forgotten() {
    let mut chain = Chain::new(Config { finalized_depth: 2, ..config() }).unwrap();
    let genesis = chain.head().hash;
    let side = chain.mine_on(genesis, Vec::new(), GENESIS_TIME + 9).unwrap();
    let child = chain.mine_on(side.hash, Vec::new(), GENESIS_TIME + 10).unwrap();
    for step in 1..=3 {
        chain.mine(GENESIS_TIME + step).unwrap();
    }
    assert!(chain.tree().get(&side.hash).is_none());
    assert!(chain.set_head(child.hash).is_err(), "its branch is not complete any more");
    chain.mine(GENESIS_TIME + 4).unwrap();
    assert!(chain.tree().get(&child.hash).is_none());
}

#[test]
fn reorg_replaces_blocks_and_keeps_transactions() {
    let mut chain = chain();
    for nonce in 0..4 {
        chain.submit(incoming(transfer(nonce, Address::repeat_byte(4), 1), &signer(0))).unwrap();
        chain.mine(GENESIS_TIME + nonce).unwrap();
    }
    let old = chain.head().clone();
    let kept = chain.tree().at(1).unwrap().hash;
    chain.reorg(3, Default::default()).unwrap();
    assert_eq!(chain.head().number(), 4);
    assert_ne!(chain.head().hash, old.hash);
    assert_eq!(chain.tree().at(1).unwrap().hash, kept);
    assert_eq!(balance(&chain, Address::repeat_byte(4)), U256::from(1));
    assert_eq!(chain.pool().len(), 3);
    chain.mine(GENESIS_TIME + 60).unwrap();
    assert_eq!(balance(&chain, Address::repeat_byte(4)), U256::from(4));
    assert!(chain.pool().is_empty());
}

#[test]
fn funds_that_return_later_do_not_lose_the_transaction() {
    let mut chain = chain();
    let poor = signer(10);
    let funding = transfer(0, poor.address(), 1_000_000_000_000_000_000);
    chain.submit(incoming(funding, &signer(0))).unwrap();
    chain.mine(GENESIS_TIME + 1).unwrap();
    chain.submit(incoming(transfer(0, Address::repeat_byte(6), 9), &poor)).unwrap();
    chain.mine(GENESIS_TIME + 2).unwrap();
    chain.reorg(2, Default::default()).unwrap();
    assert_eq!(chain.pool().len(), 2);
    chain.mine(GENESIS_TIME + 9).unwrap();
    chain.mine(GENESIS_TIME + 10).unwrap();
    assert_eq!(balance(&chain, Address::repeat_byte(6)), U256::from(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_see_removed_logs() {
    let l1 = served(Mining::Manual).await;
    let provider = ws(&l1).await;
    let cell = signer(0).address().create(0);
    let filter = Filter::new().address(cell).event_signature(set_topic());
    let mut logs = provider.subscribe_logs(&filter).await.unwrap().into_stream();
    let mut blocks = provider.subscribe_blocks().await.unwrap().into_stream();
    let polled = provider.new_filter(&filter).await.unwrap();

    let deploy = raw(deployment(0), &signer(0));
    let _ = provider.send_raw_transaction(&deploy).await.unwrap();
    l1.mine().unwrap();
    let call = raw(store(1, cell, 5), &signer(0));
    let _ = provider.send_raw_transaction(&call).await.unwrap();
    let first = l1.mine().unwrap();
    let log = logs.next().await.unwrap();
    assert_eq!((log.removed, log.block_hash), (false, Some(first.hash)));

    l1.reorg(1).unwrap();
    let gone = logs.next().await.unwrap();
    assert_eq!((gone.removed, gone.block_hash), (true, Some(first.hash)));
    let second = l1.mine().unwrap();
    let again = logs.next().await.unwrap();
    assert_eq!((again.removed, again.block_hash), (false, Some(second.hash)));
    assert_eq!(again.transaction_hash, log.transaction_hash);

    let mut heights = Vec::new();
    for _ in 0..4 {
        heights.push(blocks.next().await.unwrap().number);
    }
    assert_eq!(heights, [1, 2, 2, 3]);
    let changes: Vec<alloy_rpc_types_eth::Log> = provider.get_filter_changes(polled).await.unwrap();
    assert_eq!(changes.iter().map(|log| log.removed).collect::<Vec<_>>(), [false, true, false]);
    l1.stop().await;
}
