//! The sealed envelope between a user's gateway and an enclave: HPKE (RFC 9180) with the X-Wing
//! KEM in base mode, whose exporter yields one key for requests and one for replies (the pattern of
//! RFC 9458). A session is one encapsulation; every message repeats it, so no enclave keeps state
//! and any of them can answer. Not here: what is inside (`query`), who may ask (`viewing`).

use crate::{
    keys::{
        KEM_ENCAPSULATION_BYTES, KemPrivateKey, KemPublicKey, LABEL_ENVELOPE, LABEL_ENVELOPE_REPLY,
        LABEL_ENVELOPE_REQUEST, LABEL_SEED_SHARE,
    },
    limits::ENVELOPE_BYTES_MAX,
    padding,
    secret::Secret,
};
use alloy_primitives::{B256, keccak256};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256,
    kem::XWing,
};
use rand_core::CryptoRng;

type Encapsulation = <XWing as Kem>::EncappedKey;

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;
const HEADER_BYTES: usize = 1 + KEM_ENCAPSULATION_BYTES;

/// An envelope that cannot be made or opened. Deliberately coarse: an attacker learns nothing from
/// the reason.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnvelopeError {
    /// Too long, too short, or of another version.
    #[error("malformed envelope")]
    Malformed,
    /// Not encrypted to this key, or altered.
    #[error("envelope does not open: wrong network key, or altered on the way")]
    Unopenable,
}

/// The two keys of a session.
pub struct SessionKeys {
    request: Secret,
    reply: Secret,
}

/// Binds a reply to its request.
pub type RequestTag = B256;

/// The user's end of a session.
pub struct Session {
    encapsulation: Vec<u8>,
    keys: SessionKeys,
}

impl Session {
    /// Encapsulates to the network key of the network with this config hash.
    pub fn new(
        network: &KemPublicKey,
        config_hash: B256,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, EnvelopeError> {
        let info = [LABEL_ENVELOPE, config_hash.as_slice()].concat();
        let (encapsulation, context) = hpke::setup_sender_with_rng::<
            ChaCha20Poly1305,
            HkdfSha256,
            XWing,
        >(&OpModeS::Base, network, &info, rng)
        .map_err(|_| EnvelopeError::Unopenable)?;
        let keys = SessionKeys::export(|label, out| context.export(label, out))?;
        Ok(Self { encapsulation: encapsulation.to_bytes().to_vec(), keys })
    }

    /// What a viewing key signs to bind itself to this session.
    pub fn id(&self) -> B256 {
        keccak256(&self.encapsulation)
    }

    /// Seals one request.
    pub fn seal(
        &self,
        request: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<(RequestTag, Vec<u8>), EnvelopeError> {
        let header = [&[VERSION], self.encapsulation.as_slice()].concat();
        let body = seal(&self.keys.request, &padding::pad(request), &header, rng)?;
        let envelope = [header, body].concat();
        Ok((keccak256(&envelope), envelope))
    }

    /// Opens the reply to the request with this tag.
    pub fn open_reply(&self, tag: RequestTag, reply: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
        open_padded(&self.keys.reply, reply, tag.as_slice())
    }
}

impl SessionKeys {
    fn export(
        export: impl Fn(&[u8], &mut [u8]) -> Result<(), hpke::HpkeError>,
    ) -> Result<Self, EnvelopeError> {
        let key = |label| {
            let mut key = [0; 32];
            export(label, &mut key).map_err(|_| EnvelopeError::Unopenable)?;
            Ok(Secret::new(key))
        };
        Ok(Self { request: key(LABEL_ENVELOPE_REQUEST)?, reply: key(LABEL_ENVELOPE_REPLY)? })
    }

    /// The enclave's end: recovers the keys from an encapsulation. The costly step: cache it by
    /// [`Received::session`].
    pub fn recover(
        network: &KemPrivateKey,
        config_hash: B256,
        encapsulation: &[u8],
    ) -> Result<Self, EnvelopeError> {
        let info = [LABEL_ENVELOPE, config_hash.as_slice()].concat();
        let encapsulation =
            Encapsulation::from_bytes(encapsulation).map_err(|_| EnvelopeError::Malformed)?;
        let context = hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, XWing>(
            &OpModeR::Base,
            network,
            &encapsulation,
            &info,
        )
        .map_err(|_| EnvelopeError::Unopenable)?;
        Self::export(|label, out| context.export(label, out))
    }

    /// Opens a request.
    pub fn open(&self, received: &Received<'_>) -> Result<Vec<u8>, EnvelopeError> {
        open_padded(&self.request, received.body, received.header)
    }

    /// Seals the reply to a request.
    pub fn seal_reply(
        &self,
        tag: RequestTag,
        reply: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, EnvelopeError> {
        seal(&self.reply, &padding::pad(reply), tag.as_slice(), rng)
    }
}

/// An envelope as it arrived, split but not opened.
pub struct Received<'a> {
    header: &'a [u8],
    body: &'a [u8],
    /// Binds the reply.
    pub tag: RequestTag,
}

impl<'a> Received<'a> {
    /// Splits an envelope.
    pub fn parse(envelope: &'a [u8]) -> Result<Self, EnvelopeError> {
        if envelope.len() > ENVELOPE_BYTES_MAX || envelope.first() != Some(&VERSION) {
            return Err(EnvelopeError::Malformed);
        }
        let (header, body) =
            envelope.split_at_checked(HEADER_BYTES).ok_or(EnvelopeError::Malformed)?;
        Ok(Self { header, body, tag: keccak256(envelope) })
    }

    /// The encapsulation, for [`SessionKeys::recover`].
    pub fn encapsulation(&self) -> &'a [u8] {
        &self.header[1..]
    }

    /// The session's identity, as [`Session::id`].
    pub fn session(&self) -> B256 {
        keccak256(self.encapsulation())
    }
}

/// Seals bytes to a KEM key, once: a seed share. `context` binds who gives what to whom.
pub fn seal_to(
    recipient: &KemPublicKey,
    context: &[u8],
    plaintext: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, EnvelopeError> {
    seal_once(recipient, &[LABEL_SEED_SHARE, context].concat(), plaintext, rng)
}

/// Opens what [`seal_to`] sealed.
pub fn open_from(
    key: &KemPrivateKey,
    context: &[u8],
    sealed: &[u8],
) -> Result<Vec<u8>, EnvelopeError> {
    open_once(key, &[LABEL_SEED_SHARE, context].concat(), sealed)
}

/// One HPKE message: the encapsulation, then the ciphertext. `info` says what it is for.
pub(crate) fn seal_once(
    recipient: &KemPublicKey,
    info: &[u8],
    plaintext: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, EnvelopeError> {
    let (encapsulation, mut sender) = hpke::setup_sender_with_rng::<
        ChaCha20Poly1305,
        HkdfSha256,
        XWing,
    >(&OpModeS::Base, recipient, info, rng)
    .map_err(|_| EnvelopeError::Unopenable)?;
    let ciphertext = sender.seal(plaintext, &[]).map_err(|_| EnvelopeError::Unopenable)?;
    Ok([encapsulation.to_bytes().to_vec(), ciphertext].concat())
}

/// Opens what [`seal_once`] sealed.
pub(crate) fn open_once(
    key: &KemPrivateKey,
    info: &[u8],
    sealed: &[u8],
) -> Result<Vec<u8>, EnvelopeError> {
    let (encapsulation, ciphertext) =
        sealed.split_at_checked(KEM_ENCAPSULATION_BYTES).ok_or(EnvelopeError::Malformed)?;
    let encapsulation =
        Encapsulation::from_bytes(encapsulation).map_err(|_| EnvelopeError::Malformed)?;
    hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, XWing>(
        &OpModeR::Base,
        key,
        &encapsulation,
        info,
    )
    .and_then(|mut receiver| receiver.open(ciphertext, &[]))
    .map_err(|_| EnvelopeError::Unopenable)
}

/// XChaCha20-Poly1305 with a random nonce in front.
pub fn seal(
    key: &Secret,
    plaintext: &[u8],
    aad: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, EnvelopeError> {
    let mut nonce = [0; NONCE_BYTES];
    rng.fill_bytes(&mut nonce);
    let ciphertext = XChaCha20Poly1305::new(key.expose().into())
        .encrypt(&nonce.into(), Payload { msg: plaintext, aad })
        .map_err(|_| EnvelopeError::Unopenable)?;
    Ok([nonce.as_slice(), &ciphertext].concat())
}

/// Opens what [`seal`] sealed.
pub fn open(key: &Secret, sealed: &[u8], aad: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    let (nonce, ciphertext) =
        sealed.split_first_chunk::<NONCE_BYTES>().ok_or(EnvelopeError::Malformed)?;
    XChaCha20Poly1305::new(key.expose().into())
        .decrypt(&(*nonce).into(), Payload { msg: ciphertext, aad })
        .map_err(|_| EnvelopeError::Unopenable)
}

fn open_padded(key: &Secret, sealed: &[u8], aad: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    let padded = open(key, sealed, aad)?;
    padding::unpad(&padded).map(<[u8]>::to_vec).ok_or(EnvelopeError::Malformed)
}
