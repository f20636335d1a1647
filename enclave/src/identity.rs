//! An enclave's own keys (protocol 2.3) and the seed it holds, with their sealed form. Not here:
//! keys derived from the seed (`obscuro_protocol::keys`).

use crate::device::{Device, Entropy};
use alloy_primitives::{Address, B256, Bytes, U256};
use k256::ecdsa::SigningKey;
use obscuro_protocol::{
    attestation::{ReportData, development_quote},
    config::{L1BlockId, NetworkConfig},
    door::Registration,
    envelope,
    keys::{self, KemPrivateKey, LABEL_LOTTERY, MasterSeed},
    secret::Secret,
    wire,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

const SEALED_BYTES_MAX: usize = 1_024;

/// Keys that this enclave made for itself, and the seed once it has it.
pub struct Identity {
    signing: SigningKey,
    encryption: Secret,
    lottery: Secret,
    seed: Option<MasterSeed>,
}

/// The clear form of a sealed identity; exists only while sealing and unsealing.
#[derive(Serialize, Deserialize, Zeroize)]
#[zeroize(drop)]
struct Clear {
    signing: [u8; 32],
    encryption: [u8; 32],
    lottery: [u8; 32],
    seed: Option<[u8; 32]>,
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
        Self { signing, encryption: entropy.secret(), lottery: entropy.secret(), seed: None }
    }

    /// Encrypts the identity so that only this program on this machine, in this network, reads it.
    pub fn seal(&self, device: &dyn Device, config_hash: B256) -> Bytes {
        let clear = Clear {
            signing: self.signing.to_bytes().into(),
            encryption: *self.encryption.expose(),
            lottery: *self.lottery.expose(),
            seed: self.seed.as_ref().map(|seed| *seed.secret().expose()),
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
            seed: clear.seed.map(|seed| MasterSeed::new(Secret::new(seed))),
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

    /// The lottery nonce of a round: fixed by this enclave's secret, the parent and the proof
    /// block's RANDAO, so that no restart draws again (protocol 5.5).
    pub fn lottery_nonce(&self, parent: B256, randao: B256) -> U256 {
        let context = [parent.as_slice(), randao.as_slice()].concat();
        U256::from_be_bytes(*keys::derive(&self.lottery, LABEL_LOTTERY, &context).expose())
    }

    /// The seed, if this enclave holds it.
    pub fn seed(&self) -> Option<&MasterSeed> {
        self.seed.as_ref()
    }

    /// Takes the seed.
    pub fn adopt(&mut self, seed: MasterSeed) {
        self.seed = Some(seed);
    }

    /// Lets the seed go: it was not this network's.
    pub fn forget_seed(&mut self) {
        self.seed = None;
    }

    /// Opens a seed share and compares it with the network key published on L1, so that a host
    /// cannot feed a seed of its own making.
    pub fn open_share(
        &self,
        config: &NetworkConfig,
        responder: Address,
        encrypted: &[u8],
        network_key: &[u8],
    ) -> Option<MasterSeed> {
        let context = share_context(config, responder, self.address());
        let mut bytes = envelope::open_from(&self.kem_private_key(), &context, encrypted).ok()?;
        let seed =
            <[u8; 32]>::try_from(bytes.as_slice()).ok().map(Secret::new).map(MasterSeed::new);
        bytes.zeroize();
        seed.filter(|seed| network_key_bytes(seed) == network_key)
    }

    /// Seals the seed to another enclave's key.
    pub fn share_seed(
        &self,
        device: &dyn Device,
        config: &NetworkConfig,
        requester: Address,
        encryption_key: &[u8],
    ) -> Option<Bytes> {
        let context = share_context(config, self.address(), requester);
        let key = keys::kem_public_key(encryption_key)?;
        let seed = self.seed.as_ref()?.secret();
        envelope::seal_to(&key, &context, seed.expose(), &mut Entropy(device)).ok().map(Bytes::from)
    }

    /// What `NetworkManagement.register` needs; at genesis this makes the seed.
    pub fn register(
        &mut self,
        device: &dyn Device,
        config: &NetworkConfig,
        owner: Address,
        l1_block: &L1BlockId,
        genesis: bool,
    ) -> Result<Registration, crate::device::DeviceError> {
        if genesis && self.seed.is_none() {
            self.seed = Some(MasterSeed::new(Entropy(device).secret()));
        }
        let encryption_key = self.encryption_key();
        let (network_key, encrypted_seed) = match (&self.seed, genesis) {
            (Some(seed), true) => (
                network_key_bytes(seed),
                self.share_seed(device, config, self.address(), &encryption_key)
                    .unwrap_or_default(),
            ),
            _ => (Vec::new(), Bytes::new()),
        };
        let report_data = ReportData {
            l1_chain_id: config.l1ChainId,
            contract: config.contracts.networkManagement,
            enclave: self.address(),
            owner,
            encryption_key: &encryption_key,
            config_hash: config.hash(),
            l1_block: l1_block.number,
            l1_block_hash: l1_block.hash,
            network_key: &network_key,
            encrypted_seed: &encrypted_seed,
        };
        Ok(Registration {
            quote: device.quote(report_data.hash())?,
            enclave: self.address(),
            identity: self.seal(device, config.hash()),
            encryption_key: encryption_key.into(),
            network_key: network_key.into(),
            encrypted_seed,
        })
    }

    fn kem_private_key(&self) -> KemPrivateKey {
        keys::kem_key_pair(&self.encryption).0
    }

    fn encryption_key(&self) -> Vec<u8> {
        keys::kem_public_key_bytes(&keys::kem_key_pair(&self.encryption).1)
    }
}

/// The wire form of the network key that a seed yields.
pub fn network_key_bytes(seed: &MasterSeed) -> Vec<u8> {
    keys::kem_public_key_bytes(&seed.network_key().1)
}

/// Who gives the seed to whom, where. The epoch stays 0 until seeds rotate.
fn share_context(config: &NetworkConfig, responder: Address, requester: Address) -> Vec<u8> {
    const EPOCH: u64 = 0;
    [
        &config.l1ChainId.to_be_bytes()[..],
        config.contracts.networkManagement.as_slice(),
        responder.as_slice(),
        requester.as_slice(),
        &EPOCH.to_be_bytes(),
    ]
    .concat()
}

/// Signs report data as a development root: the quote of the software device.
pub fn sign_development_quote(root: &SigningKey, measurement: B256, report_data: B256) -> Bytes {
    let digest = obscuro_protocol::attestation::development_digest(measurement, report_data);
    let identity = Identity {
        signing: root.clone(),
        encryption: Secret::new([0; 32]),
        lottery: Secret::new([0; 32]),
        seed: None,
    };
    development_quote(measurement, &identity.sign(digest))
}
