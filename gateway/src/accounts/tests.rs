//! Who may be read, and what is kept.

use super::*;
use std::os::unix::fs::PermissionsExt;

const NOW: u64 = 1_800_000_000;

fn config() -> NetworkConfig {
    NetworkConfig { l2ChainId: 777, ..Default::default() }
}

fn open(dir: Option<&Path>, unlocked: Vec<PrivateKeySigner>) -> Accounts {
    Accounts::open(&config(), dir, unlocked).unwrap()
}

fn signature(accounts: &Accounts, wallet: &PrivateKeySigner, expires_at: u64) -> Bytes {
    let key = accounts.to_sign(wallet.address(), expires_at);
    sign(wallet, &key.signing_hash(777)).unwrap()
}

#[test]
fn an_account_is_readable_from_its_signature_to_its_expiry_or_revocation() {
    let accounts = open(None, Vec::new());
    let wallet = PrivateKeySigner::random();
    let account = wallet.address();
    let expiry = NOW + 1_000;
    assert!(accounts.readable(NOW).is_empty());
    accounts.authorise(account, expiry, signature(&accounts, &wallet, expiry), NOW).unwrap();
    assert_eq!(accounts.readable(NOW), [account]);
    assert_eq!(accounts.authorisations(&[account], NOW).len(), 1);
    assert!(accounts.readable(expiry).is_empty());
    assert!(accounts.authorisations(&[account], expiry).is_empty());
    assert!(accounts.revoke(account).unwrap());
    assert!(!accounts.revoke(account).unwrap());
    assert!(!accounts.is_readable(account, NOW));
}

#[test]
fn forged_and_expired_authorisations_are_refused() {
    let accounts = open(None, Vec::new());
    let (wallet, thief) = (PrivateKeySigner::random(), PrivateKeySigner::random());
    let account = wallet.address();
    let expiry = NOW + 1_000;
    let good = signature(&accounts, &wallet, expiry);
    let mut altered = good.to_vec();
    altered[7] ^= 1;
    let other_gateway = signature(&open(None, Vec::new()), &wallet, expiry);
    let forged = [
        ("of another account", signature(&accounts, &thief, expiry)),
        ("over another expiry", signature(&accounts, &wallet, expiry + 1)),
        ("over another viewing key", other_gateway),
        ("altered", altered.into()),
        ("too short", Bytes::from_static(&[1; 64])),
        ("empty", Bytes::new()),
    ];
    for (what, signature) in forged {
        let result = accounts.authorise(account, expiry, signature, NOW);
        assert!(matches!(result, Err(AccountsError::Signature)), "{what}");
    }
    let late = accounts.authorise(account, expiry, good, expiry);
    assert!(matches!(late, Err(AccountsError::Expired)));
    assert!(accounts.list().is_empty());
}

#[test]
fn unlocked_accounts_authorise_themselves_even_when_time_jumps() {
    let wallet = PrivateKeySigner::random();
    let account = wallet.address();
    let accounts = open(None, vec![wallet]);
    for now in [NOW, NOW + 10 * UNLOCKED_SECONDS, NOW] {
        assert_eq!(accounts.readable(now), [account]);
        let made = accounts.authorisations(&[account], now);
        assert_eq!(made.len(), 1);
        let key = &made[0].key;
        assert!(key.expiresAt > now && key.viewingKey == accounts.viewing_key());
    }
}

#[test]
fn what_is_kept_survives_and_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("gateway");
    let (wallet, held) = (PrivateKeySigner::random(), PrivateKeySigner::random());
    let expiry = NOW + 1_000;
    let key = {
        let accounts = open(Some(&dir), vec![held.clone()]);
        let signature = signature(&accounts, &wallet, expiry);
        accounts.authorise(wallet.address(), expiry, signature, NOW).unwrap();
        accounts.authorisations(&[held.address()], NOW);
        accounts.viewing_key()
    };
    let accounts = open(Some(&dir), Vec::new());
    assert_eq!(accounts.viewing_key(), key);
    assert_eq!(accounts.readable(NOW), [wallet.address()]);
    for entry in std::fs::read_dir(&dir).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let other = NetworkConfig { l1ChainId: 5, ..config() };
    let other = Accounts::open(&other, Some(&dir), Vec::new()).unwrap();
    assert_ne!(other.viewing_key(), key, "each network has its own key");
}

#[test]
fn a_damaged_file_is_explained_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(Some(dir.path()), Vec::new()));
    let path = std::fs::read_dir(dir.path()).unwrap().next().unwrap();
    let path = path.unwrap().path();
    for damage in ["", "{}", "[1", "{\"viewingKey\":\"0x12\",\"authorisations\":[]}"] {
        std::fs::write(&path, damage).unwrap();
        let error = Accounts::open(&config(), Some(dir.path()), Vec::new()).err();
        let error = error.map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains("not a viewing key file"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), damage);
    }
}
