//! The viewing key and the accounts that authorised it (protocol 8.1), kept in a file that only this
//! user can read. Not here: the sessions that the viewing key signs (`sealed`) and what an
//! authorisation allows (the enclave's).

mod file;

use alloy_primitives::{Address, B256, Bytes};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use file::{AccountsFile, Kept};
use obscuro_protocol::{
    config::NetworkConfig,
    rollup::recover,
    secret::Secret,
    viewing::{Authorisation, ViewingKey, session_digest},
};
use parking_lot::RwLock;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

/// Most accounts of one gateway.
pub const ACCOUNTS_MAX: usize = 1_024;
/// An authorisation that ends within so many seconds is not sent: the enclave's clock decides, and
/// one that has run out spoils the whole request.
const EXPIRY_MARGIN_SECONDS: u64 = 30;
/// How long the gateway authorises itself for accounts that it holds.
const UNLOCKED_SECONDS: u64 = 30 * 86_400;

/// An account that cannot be added, or a key that cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// Sign again with a later expiry.
    #[error("the authorisation has expired")]
    Expired,
    /// Sign what `obscuro_viewingKey` returns.
    #[error("the signature is not the account's over this gateway's viewing key and this expiry")]
    Signature,
    /// Revoke one first.
    #[error("a gateway serves at most {ACCOUNTS_MAX} accounts")]
    Full,
    /// Look at the directory.
    #[error("cannot keep the viewing key in {path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// The system has no randomness or the signer fails.
    #[error("cannot make a viewing key: {0}")]
    Key(String),
}

/// The viewing key and who authorised it.
pub struct Accounts {
    l2_chain_id: u64,
    config_hash: B256,
    viewing_key: PrivateKeySigner,
    unlocked: Vec<PrivateKeySigner>,
    authorised: RwLock<BTreeMap<Address, Authorisation>>,
    changes: AtomicU64,
    file: Option<AccountsFile>,
}

impl Accounts {
    /// Reads what was kept in `dir` for this network, or makes a new viewing key.
    pub fn open(
        config: &NetworkConfig,
        dir: Option<&Path>,
        unlocked: Vec<PrivateKeySigner>,
    ) -> Result<Self, AccountsError> {
        let config_hash = config.hash();
        let file = dir.map(|dir| AccountsFile::new(dir, config_hash));
        let kept = match &file {
            Some(file) => file.read()?,
            None => None,
        };
        let is_new = kept.is_none();
        let kept = kept.map_or_else(new_key, Ok)?;
        let accounts = Self {
            l2_chain_id: config.l2ChainId,
            config_hash,
            viewing_key: signer(&kept.viewing_key)?,
            unlocked,
            authorised: RwLock::new(kept.by_account()),
            changes: AtomicU64::new(0),
            file,
        };
        if is_new {
            accounts.keep(&accounts.authorised.read())?;
        }
        Ok(accounts)
    }

    /// The address of the viewing key.
    pub fn viewing_key(&self) -> Address {
        self.viewing_key.address()
    }

    /// Accounts that this gateway may read at this time.
    pub fn readable(&self, now: u64) -> Vec<Address> {
        let authorised = self.authorised.read();
        let held = self.unlocked.iter().map(PrivateKeySigner::address);
        let valid = authorised.values().filter(|a| is_valid(a, now));
        let mut all: Vec<_> = held.chain(valid.map(|a| a.key.account)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether this gateway may read an account at this time.
    pub fn is_readable(&self, account: Address, now: u64) -> bool {
        let authorised = self.authorised.read();
        authorised.get(&account).is_some_and(|a| is_valid(a, now)) || self.holds(account)
    }

    /// Changes whenever an account is added or revoked, so that what was seen before is void.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Everything authorised, with its expiry; expired ones too.
    pub fn list(&self) -> Vec<(Address, u64)> {
        let authorised = self.authorised.read();
        authorised.values().map(|a| (a.key.account, a.key.expiresAt)).collect()
    }

    /// The authorisations of these accounts that hold at this time; those of unlocked accounts are
    /// made and renewed here.
    pub fn authorisations(&self, accounts: &[Address], now: u64) -> Vec<Authorisation> {
        self.renew_unlocked(accounts, now);
        let authorised = self.authorised.read();
        accounts
            .iter()
            .filter_map(|account| authorised.get(account))
            .filter(|a| is_valid(a, now))
            .cloned()
            .collect()
    }

    /// What an account is to sign.
    pub fn to_sign(&self, account: Address, expires_at: u64) -> ViewingKey {
        ViewingKey { account, viewingKey: self.viewing_key(), expiresAt: expires_at }
    }

    /// Adds an account by its signature over [`Self::to_sign`].
    pub fn authorise(
        &self,
        account: Address,
        expires_at: u64,
        signature: Bytes,
        now: u64,
    ) -> Result<(), AccountsError> {
        let key = self.to_sign(account, expires_at);
        if expires_at <= now.saturating_add(EXPIRY_MARGIN_SECONDS) {
            return Err(AccountsError::Expired);
        }
        if recover(&key.signing_hash(self.l2_chain_id), &signature) != Some(account) {
            return Err(AccountsError::Signature);
        }
        self.insert(Authorisation { key, signature })
    }

    /// Forgets an account; whether it was there.
    pub fn revoke(&self, account: Address) -> Result<bool, AccountsError> {
        let mut authorised = self.authorised.write();
        let was_there = authorised.remove(&account).is_some();
        if was_there {
            self.changes.fetch_add(1, Ordering::Relaxed);
            self.keep(&authorised)?;
        }
        Ok(was_there)
    }

    /// Binds a session to the viewing key.
    pub fn sign_session(&self, session: B256, expires_at: u64) -> Result<Bytes, AccountsError> {
        let digest = session_digest(session, self.config_hash, expires_at);
        sign(&self.viewing_key, &digest)
    }

    fn holds(&self, account: Address) -> bool {
        self.unlocked.iter().any(|key| key.address() == account)
    }

    fn renew_unlocked(&self, accounts: &[Address], now: u64) {
        let in_good_time = now.saturating_add(UNLOCKED_SECONDS / 2);
        for key in &self.unlocked {
            let account = key.address();
            let is_due = |a: &Authorisation| a.key.expiresAt < in_good_time;
            if accounts.contains(&account)
                && self.authorised.read().get(&account).is_none_or(is_due)
            {
                self.authorise_unlocked(key, now.saturating_add(UNLOCKED_SECONDS));
            }
        }
    }

    fn authorise_unlocked(&self, signer: &PrivateKeySigner, expires_at: u64) {
        let key = self.to_sign(signer.address(), expires_at);
        match sign(signer, &key.signing_hash(self.l2_chain_id)) {
            Ok(signature) => {
                // Not kept in the file: it is made again whenever it is needed.
                let authorisation = Authorisation { key, signature };
                self.authorised.write().insert(signer.address(), authorisation);
            }
            Err(error) => tracing::warn!(%error, "cannot authorise an unlocked account"),
        }
    }

    fn insert(&self, authorisation: Authorisation) -> Result<(), AccountsError> {
        let mut authorised = self.authorised.write();
        let account = authorisation.key.account;
        if authorised.len() >= ACCOUNTS_MAX && !authorised.contains_key(&account) {
            return Err(AccountsError::Full);
        }
        authorised.insert(account, authorisation);
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.keep(&authorised)
    }

    fn keep(&self, authorised: &BTreeMap<Address, Authorisation>) -> Result<(), AccountsError> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let kept = authorised.values().filter(|a| !self.holds(a.key.account)).cloned();
        file.write(&Kept {
            viewing_key: Secret::new(self.viewing_key.to_bytes().0),
            authorisations: kept.collect(),
        })
    }
}

fn is_valid(authorisation: &Authorisation, now: u64) -> bool {
    authorisation.key.expiresAt > now.saturating_add(EXPIRY_MARGIN_SECONDS)
}

fn new_key() -> Result<Kept, AccountsError> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| AccountsError::Key(error.to_string()))?;
    Ok(Kept { viewing_key: Secret::new(key), authorisations: Vec::new() })
}

fn signer(key: &Secret) -> Result<PrivateKeySigner, AccountsError> {
    PrivateKeySigner::from_slice(key.expose()).map_err(|e| AccountsError::Key(e.to_string()))
}

fn sign(signer: &PrivateKeySigner, digest: &B256) -> Result<Bytes, AccountsError> {
    signer
        .sign_hash_sync(digest)
        .map(|signature| signature.as_bytes().into())
        .map_err(|error| AccountsError::Key(error.to_string()))
}

#[cfg(test)]
mod tests;
