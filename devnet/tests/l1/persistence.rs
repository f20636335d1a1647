//! A chain in a directory: continued after a stop, a crash in the middle of a write, or refused.

use std::fs::OpenOptions;

use alloy_primitives::Address;
use obscuro_devnet::l1::{Chain, ChainError, Config, JournalError};

use crate::support::{GENESIS_TIME, config, deployment, incoming, signed, signer, store, transfer};

fn file(directory: &tempfile::TempDir) -> std::path::PathBuf {
    directory.path().join("l1.chain")
}

/// Five blocks on the chain and two beside it.
fn grown(directory: &tempfile::TempDir) -> Chain {
    let mut chain = Chain::open(config(), directory.path()).unwrap();
    chain.submit(incoming(deployment(0), &signer(0))).unwrap();
    let first = chain.mine(GENESIS_TIME + 1).unwrap();
    let paid = signed(transfer(0, Address::repeat_byte(8), 3), &signer(1));
    let side = chain.mine_on(first.hash, vec![paid], GENESIS_TIME + 2).unwrap();
    chain.mine_on(side.hash, Vec::new(), GENESIS_TIME + 3).unwrap();
    chain.submit(incoming(store(1, signer(0).address().create(0), 9), &signer(0))).unwrap();
    for step in 2..=5 {
        chain.mine(GENESIS_TIME + step).unwrap();
    }
    chain.reorg(1, Default::default()).unwrap();
    chain
}

#[test]
fn chain_continues_after_restart() {
    let directory = tempfile::tempdir().unwrap();
    let chain = grown(&directory);
    let (head, blocks) = (chain.head().hash, chain.tree().len());
    let next = chain.preview(GENESIS_TIME + 9).unwrap();
    drop(chain);

    // Another genesis time does not matter: the file has the one that counts.
    let other = Config { genesis_timestamp: GENESIS_TIME + 500, ..config() };
    let mut chain = Chain::open(other, directory.path()).unwrap();
    assert_eq!((chain.head().hash, chain.tree().len()), (head, blocks));
    assert!(chain.take_events().is_empty());
    assert_eq!(chain.mine(GENESIS_TIME + 9).unwrap().hash, next.hash);
    let grown_head = chain.head().hash;
    drop(chain);
    assert_eq!(Chain::open(config(), directory.path()).unwrap().head().hash, grown_head);
}

#[test]
fn torn_tail_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let chain = grown(&directory);
    let parent = chain.head().hash;
    drop(chain);
    let whole = std::fs::metadata(file(&directory)).unwrap().len();
    let mut chain = Chain::open(config(), directory.path()).unwrap();
    chain.mine(GENESIS_TIME + 50).unwrap();
    drop(chain);
    let longer = std::fs::metadata(file(&directory)).unwrap().len();
    for length in [whole + 1, whole + 40, longer - 37 - 4 - 2] {
        OpenOptions::new().write(true).open(file(&directory)).unwrap().set_len(length).unwrap();
        let mut chain = Chain::open(config(), directory.path()).unwrap();
        assert_eq!(chain.head().hash, parent);
        assert_eq!(std::fs::metadata(file(&directory)).unwrap().len(), whole);
        chain.mine(GENESIS_TIME + 50).unwrap();
    }
}

#[test]
fn foreign_files_and_second_users_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let chain = grown(&directory);
    let second = Chain::open(config(), directory.path()).unwrap_err();
    assert!(matches!(second, ChainError::Journal(JournalError::InUse(_))), "{second}");
    drop(chain);
    let other = Config { chain_id: 99, gas_limit: 30_000_000, ..config() };
    let refused = Chain::open(other, directory.path()).unwrap_err();
    assert!(matches!(refused, ChainError::Genesis { .. }), "{refused}");
    std::fs::write(file(&directory), [7; 100]).unwrap();
    let refused = Chain::open(config(), directory.path()).unwrap_err();
    assert!(matches!(refused, ChainError::Journal(JournalError::Foreign(_))), "{refused}");
    // A process that died before the preamble was written leaves nothing to keep.
    std::fs::write(file(&directory), [7; 10]).unwrap();
    assert_eq!(Chain::open(config(), directory.path()).unwrap().head().number(), 0);
}
