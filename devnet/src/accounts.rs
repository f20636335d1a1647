//! The keys of a development network, all from the mnemonic that every Ethereum tool knows: they
//! protect nothing. Not here: what they own (`deploy`).

use alloy_signer_local::{MnemonicBuilder, PrivateKeySigner};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// The usual development mnemonic.
pub const MNEMONIC: &str = "test test test test test test test test test test test junk";
/// Accounts printed to the user, funded on both layers.
pub const ACCOUNTS: u32 = 10;
/// Operators' accounts begin here, far from those that tools show.
const FIRST_OPERATOR: u32 = 100;

/// Deriving one takes more than a millisecond, and simulations ask for them all the time.
static DERIVED: Mutex<BTreeMap<u32, PrivateKeySigner>> = Mutex::new(BTreeMap::new());

/// The account of this number, below [`ACCOUNTS`].
pub fn account(index: u32) -> PrivateKeySigner {
    let mut derived = DERIVED.lock().unwrap_or_else(PoisonError::into_inner);
    let derive = || MnemonicBuilder::from_phrase_nth(MNEMONIC, index);
    derived.entry(index).or_insert_with(derive).clone()
}

/// All accounts for users.
pub fn accounts() -> Vec<PrivateKeySigner> {
    (0..ACCOUNTS).map(account).collect()
}

/// Pays for the deployment and for everybody's funds: the last of the accounts, because an external
/// L1 funds no others.
pub fn funder() -> PrivateKeySigner {
    account(ACCOUNTS - 1)
}

/// The L1 account of a node's operator.
pub fn operator(node: u32) -> PrivateKeySigner {
    account(FIRST_OPERATOR + node)
}
