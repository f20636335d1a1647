//! The file of the viewing key: one per network, mode 0600, replaced as a whole. Not here: what an
//! authorisation means.

use super::AccountsError;
use alloy_primitives::{Address, B256, hex};
use obscuro_protocol::{secret::Secret, viewing::Authorisation};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Largest file read: [`super::ACCOUNTS_MAX`] authorisations take less than half of it.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Where a gateway keeps what it must not forget.
pub struct AccountsFile {
    dir: PathBuf,
    path: PathBuf,
}

/// What it keeps.
pub struct Kept {
    /// The viewing key.
    pub viewing_key: Secret,
    /// Who authorised it.
    pub authorisations: Vec<Authorisation>,
}

/// The form in the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    viewing_key: Zeroizing<String>,
    authorisations: Vec<Authorisation>,
}

impl Kept {
    /// The authorisations by account.
    pub fn by_account(self) -> BTreeMap<Address, Authorisation> {
        let pairs = self.authorisations.into_iter();
        pairs.map(|a| (a.key.account, a)).collect()
    }
}

impl AccountsFile {
    /// The file of one network.
    pub fn new(dir: &Path, config_hash: B256) -> Self {
        let network = hex::encode(&config_hash[..8]);
        Self { dir: dir.to_owned(), path: dir.join(format!("viewing-key-{network}.json")) }
    }

    /// What was kept; `None` the first time.
    pub fn read(&self) -> Result<Option<Kept>, AccountsError> {
        let file = match fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.error(error)),
        };
        let mut json = Zeroizing::new(String::new());
        file.take(FILE_BYTES_MAX).read_to_string(&mut json).map_err(|error| self.error(error))?;
        parse(&json)
            .map(Some)
            .ok_or_else(|| self.error("not a viewing key file; move it away to make a new key"))
    }

    /// Replaces what was kept.
    pub fn write(&self, kept: &Kept) -> Result<(), AccountsError> {
        let written = Written {
            viewing_key: Zeroizing::new(hex::encode_prefixed(kept.viewing_key.expose())),
            authorisations: kept.authorisations.clone(),
        };
        let json = serde_json::to_string(&written).map(Zeroizing::new);
        let json = json.map_err(|error| self.error(error))?;
        self.replace(json.as_bytes()).map_err(|error| self.error(error))
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let temporary = self.path.with_extension("new");
        // One left by a crash may have other permissions.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        fs::File::open(&self.dir)?.sync_all()
    }

    fn error(&self, reason: impl ToString) -> AccountsError {
        AccountsError::File { path: self.path.display().to_string(), reason: reason.to_string() }
    }
}

fn parse(json: &str) -> Option<Kept> {
    let written: Written = serde_json::from_str(json).ok()?;
    let mut key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(written.viewing_key.as_str(), key.as_mut()).ok()?;
    Some(Kept { viewing_key: Secret::new(*key), authorisations: written.authorisations })
}
