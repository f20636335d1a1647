//! An enclave's own keys (protocol 2.3) and the seeds it holds, with their sealed form. Not here:
//! keys derived from seeds (`epochs`), who gets them (`membership`).

use crate::{
    device::{Device, DeviceError, Entropy},
    epochs::EPOCHS_MAX,
};
use alloy_primitives::{Address, B256, Bytes};
use k256::ecdsa::SigningKey;
use obscuro_protocol::{
    attestation::{ReportData, Stripped, keys_hash},
    checks::Checks,
    config::{L1BlockId, NetworkConfig},
    door::{Attestation, Registration},
    envelope,
    keys::{self, KemPrivateKey, LABEL_SNAPSHOT, MasterSeed},
    lottery::{Draw, LotteryKey},
    secret::Secret,
    wire,
};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

/// Most seeds that an enclave holds: reorganisations of L1 can leave it with more than the network has.
const SEEDS_MAX: usize = 2 * EPOCHS_MAX;
const SEALED_BYTES_MAX: usize = 1_024 + SEEDS_MAX * 32;

/// Keys that this enclave made for itself, and the seeds once it has them.
pub struct Identity {
    signing: SigningKey,
    encryption: Secret,
    lottery: Secret,
    seeds: Vec<MasterSeed>,
}

/// The clear form of a sealed identity; exists only while sealing and unsealing.
#[derive(Serialize, Deserialize, Zeroize)]
#[zeroize(drop)]
struct Clear {
    signing: [u8; 32],
    encryption: [u8; 32],
    lottery: [u8; 32],
    seeds: Vec<[u8; 32]>,
}

/// What L1 is told besides the address.
struct PublicKeys {
    encryption: Bytes,
    lottery: Bytes,
}

impl Identity {
    /// Fresh keys.
    pub fn generate(device: &dyn Device) -> Self {
        let entropy = Entropy(device);
        let signing = loop {
            // All but 2^-128 of the draws are valid scalars.
            if let Ok(key) = SigningKey::from_slice(entropy.secret().expose()) {
                break key;
            }
        };
        Self { signing, encryption: entropy.secret(), lottery: entropy.secret(), seeds: Vec::new() }
    }

    /// Encrypts the identity so that only this program on this machine, in this network, reads it.
    pub fn seal(&self, device: &dyn Device, config_hash: B256) -> Bytes {
        let clear = Clear {
            signing: self.signing.to_bytes().into(),
            encryption: *self.encryption.expose(),
            lottery: *self.lottery.expose(),
            seeds: self.seeds.iter().map(|seed| *seed.secret().expose()).collect(),
        };
        let mut plain = wire::encode(&clear);
        let sealed = envelope::seal(
            &device.sealing_key(),
            &plain,
            config_hash.as_slice(),
            &mut Entropy(device),
        );
        plain.zeroize();
        sealed.unwrap_or_default().into()
    }

    /// Reads a sealed identity; `None` if it was sealed elsewhere or altered. Sealed data is a
    /// cache: the answer to `None` is a new identity and a new registration.
    pub fn unseal(device: &dyn Device, config_hash: B256, sealed: &[u8]) -> Option<Self> {
        let mut plain =
            envelope::open(&device.sealing_key(), sealed, config_hash.as_slice()).ok()?;
        let clear = wire::decode::<Clear>(&plain, SEALED_BYTES_MAX);
        plain.zeroize();
        let clear = clear.ok()?;
        Some(Self {
            signing: SigningKey::from_slice(&clear.signing).ok()?,
            encryption: Secret::new(clear.encryption),
            lottery: Secret::new(clear.lottery),
            seeds: clear.seeds.iter().map(|seed| MasterSeed::new(Secret::new(*seed))).collect(),
        })
    }

    /// The signing address.
    pub fn address(&self) -> Address {
        Address::from_public_key(self.signing.verifying_key())
    }

    /// Signs a digest: 65 bytes, s low, v in {27, 28}.
    pub fn sign(&self, digest: B256) -> Bytes {
        match self.signing.sign_prehash_recoverable(digest.as_slice()) {
            Ok((signature, recovery)) => {
                let mut bytes = signature.to_bytes().to_vec();
                bytes.push(27 + recovery.to_byte());
                bytes.into()
            }
            Err(_) => Bytes::new(),
        }
    }

    /// The proof of this enclave's lot in a round. There is one only, so that no restart draws again
    /// (protocol 5.5).
    pub fn lottery_proof(&self, draw: &Draw, checks: &Checks) -> Bytes {
        (checks.prove)(&self.lottery, draw)
    }

    /// Seals snapshots, for this enclave's own next life only: a snapshot is believed, so nobody else,
    /// whatever seed they hold, may be able to make one.
    pub fn snapshot_key(&self) -> Secret {
        keys::derive(&self.encryption, LABEL_SNAPSHOT, &[])
    }

    /// The seeds that this enclave holds; the first epoch's first.
    pub fn seeds(&self) -> &[MasterSeed] {
        &self.seeds
    }

    /// Takes seeds that it does not hold yet. When there is no room for them, what it held goes: those
    /// of other branches come again from L1.
    pub fn adopt(&mut self, seeds: Vec<MasterSeed>) {
        let is_new = |held: &[MasterSeed], seed: &MasterSeed| {
            held.iter().all(|held| held.secret().expose() != seed.secret().expose())
        };
        let fresh = seeds.iter().filter(|seed| is_new(&self.seeds, seed)).count();
        if self.seeds.len() + fresh > SEEDS_MAX {
            self.seeds.clear();
        }
        for seed in seeds {
            if is_new(&self.seeds, &seed) {
                self.seeds.push(seed);
            }
        }
    }

    /// Lets the seeds go: they were not this network's.
    pub fn forget_seeds(&mut self) {
        self.seeds.clear();
    }

    /// Opens a share of the seeds of all epochs that are not lost and compares them with the network
    /// keys on L1, so that nobody can feed this enclave seeds of their own making.
    pub fn open_share(
        &self,
        config: &NetworkConfig,
        responder: Address,
        encrypted: &[u8],
        network_keys: &[Bytes],
    ) -> Option<Vec<MasterSeed>> {
        let context = share_context(config, responder, self.address(), network_keys.len());
        let bytes = envelope::open_from(&self.kem_private_key(), &context, encrypted).ok()?;
        let bytes = Zeroizing::new(bytes);
        let (seeds, rest) = bytes.as_chunks::<32>();
        let network_keys: Vec<&Bytes> = network_keys.iter().filter(|key| !key.is_empty()).collect();
        if !rest.is_empty() || seeds.len() != network_keys.len() {
            return None;
        }
        let seeds = seeds.iter().map(|seed| MasterSeed::new(Secret::new(*seed)));
        let matching = seeds
            .zip(network_keys)
            .map(|(seed, key)| (network_key_bytes(&seed) == *key).then_some(seed));
        matching.collect()
    }

    /// Seals the seeds of all epochs up to one, oldest first, to another enclave's key.
    pub fn share_seeds<'a>(
        &self,
        device: &dyn Device,
        config: &NetworkConfig,
        requester: Address,
        encryption_key: &[u8],
        epoch: u32,
        seeds: impl IntoIterator<Item = &'a MasterSeed>,
    ) -> Option<Bytes> {
        let seeds: Vec<&[u8; 32]> = seeds.into_iter().map(|seed| seed.secret().expose()).collect();
        let context = share_context(config, self.address(), requester, epoch as usize);
        let key = keys::kem_public_key(encryption_key)?;
        let mut plain = Zeroizing::new(Vec::with_capacity(seeds.len() * 32));
        seeds.into_iter().for_each(|seed| plain.extend_from_slice(seed));
        envelope::seal_to(&key, &context, &plain, &mut Entropy(device)).ok().map(Bytes::from)
    }

    /// What `NetworkManagement.register` needs; at genesis this makes the seed.
    pub fn register(
        &mut self,
        device: &dyn Device,
        config: &NetworkConfig,
        owner: Address,
        l1_block: &L1BlockId,
        genesis: bool,
    ) -> Result<Registration, DeviceError> {
        if genesis && self.seeds.is_empty() {
            self.seeds.push(MasterSeed::new(Entropy(device).secret()));
        }
        let keys = &self.public_keys();
        let (network_key, encrypted_seed) = match (self.seeds.first(), genesis) {
            (Some(seed), true) => {
                let to = self.address();
                let share = self.share_seeds(device, config, to, &keys.encryption, 1, [seed]);
                (network_key_bytes(seed), share.unwrap_or_default())
            }
            _ => (Vec::new(), Bytes::new()),
        };
        let report_data = ReportData {
            network_key: &network_key,
            encrypted_seed: &encrypted_seed,
            ..self.report_data(config, owner, keys, l1_block)
        };
        let Stripped { quote, certificates } = device.quote(report_data.hash())?;
        Ok(Registration {
            quote,
            certificates,
            enclave: self.address(),
            identity: self.seal(device, config.hash()),
            encryption_key: keys.encryption.clone(),
            lottery_key: keys.lottery.clone(),
            network_key: network_key.into(),
            encrypted_seed,
        })
    }

    /// What `NetworkManagement.reattest` needs.
    pub fn attest(
        &self,
        device: &dyn Device,
        config: &NetworkConfig,
        owner: Address,
        l1_block: &L1BlockId,
    ) -> Result<Attestation, DeviceError> {
        let keys = self.public_keys();
        let report_data = self.report_data(config, owner, &keys, l1_block);
        let Stripped { quote, certificates } = device.quote(report_data.hash())?;
        Ok(Attestation {
            quote,
            certificates,
            enclave: self.address(),
            keys_hash: keys_hash(&keys.encryption, &keys.lottery),
            l1_block: l1_block.number,
            refused: None,
        })
    }

    fn report_data<'a>(
        &self,
        config: &NetworkConfig,
        owner: Address,
        keys: &'a PublicKeys,
        l1_block: &L1BlockId,
    ) -> ReportData<'a> {
        ReportData {
            l1_chain_id: config.l1ChainId,
            contract: config.contracts.networkManagement,
            enclave: self.address(),
            owner,
            encryption_key: &keys.encryption,
            lottery_key: &keys.lottery,
            config_hash: config.hash(),
            l1_block: l1_block.number,
            l1_block_hash: l1_block.hash,
            network_key: &[],
            encrypted_seed: &[],
        }
    }

    fn kem_private_key(&self) -> KemPrivateKey {
        keys::kem_key_pair(&self.encryption).0
    }

    fn public_keys(&self) -> PublicKeys {
        PublicKeys {
            encryption: keys::kem_public_key_bytes(&keys::kem_key_pair(&self.encryption).1).into(),
            lottery: LotteryKey::new(&self.lottery).public_key(),
        }
    }
}

/// The wire form of the network key that a seed yields.
pub fn network_key_bytes(seed: &MasterSeed) -> Vec<u8> {
    keys::kem_public_key_bytes(&seed.network_key().1)
}

/// Who gives the seeds up to which epoch to whom, where.
fn share_context(
    config: &NetworkConfig,
    responder: Address,
    requester: Address,
    epoch: usize,
) -> Vec<u8> {
    [
        &config.l1ChainId.to_be_bytes()[..],
        config.contracts.networkManagement.as_slice(),
        responder.as_slice(),
        requester.as_slice(),
        &(epoch as u64).to_be_bytes(),
    ]
    .concat()
}
