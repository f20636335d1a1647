//! XChaCha20-Poly1305, assembled from HChaCha20 and ring's ChaCha20-Poly1305: a box of the store is
//! a few hundred bytes, for which `chacha20poly1305` needs five times as long. Not here: keys and
//! nonces (see `encrypted`).

use chacha20::{R20, hchacha};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

pub(super) const KEY_BYTES: usize = 32;
pub(super) const NONCE_BYTES: usize = 24;
pub(super) const TAG_BYTES: usize = 16;

/// A box that does not open, or content that is too long for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CipherError;

impl From<ring::error::Unspecified> for CipherError {
    fn from(_: ring::error::Unspecified) -> Self {
        Self
    }
}

/// The cipher under one key.
pub(super) struct Cipher {
    key: Zeroizing<[u8; KEY_BYTES]>,
}

impl Cipher {
    pub fn new(key: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self { key }
    }

    /// Encrypts `buffer` from `start` on and appends the tag.
    pub fn seal(
        &self,
        nonce: &[u8; NONCE_BYTES],
        aad: &[u8],
        buffer: &mut Vec<u8>,
        start: usize,
    ) -> Result<(), CipherError> {
        let (key, nonce) = self.subkey(nonce)?;
        let content = buffer.get_mut(start..).ok_or(CipherError)?;
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), content)?;
        buffer.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// Decrypts where it lies and returns what the box held.
    pub fn open<'a>(
        &self,
        nonce: &[u8; NONCE_BYTES],
        aad: &[u8],
        sealed: &'a mut [u8],
    ) -> Result<&'a [u8], CipherError> {
        let (key, nonce) = self.subkey(nonce)?;
        Ok(key.open_in_place(nonce, Aad::from(aad), sealed)?)
    }

    /// The key that XChaCha derives from the first 16 bytes of the nonce, and the rest of it.
    fn subkey(&self, nonce: &[u8; NONCE_BYTES]) -> Result<(LessSafeKey, Nonce), CipherError> {
        let (input, rest) = nonce.split_first_chunk::<16>().ok_or(CipherError)?;
        let subkey = hchacha::<R20>((&*self.key).into(), input.into());
        let mut short = [0; 12];
        short[4..].copy_from_slice(rest);
        let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &subkey)?);
        Ok((key, Nonce::assume_unique_for_key(short)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce, aead::AeadInOut};
    use proptest::{collection::vec, prelude::*};

    proptest! {
        #[test]
        fn is_what_everybody_calls_xchacha20_poly1305(
            key: [u8; KEY_BYTES],
            nonce: [u8; NONCE_BYTES],
            aad in vec(any::<u8>(), 0..70),
            content in vec(any::<u8>(), 0..2_000),
        ) {
            let mut expected = content.clone();
            XChaCha20Poly1305::new(&Key::from(key))
                .encrypt_in_place(&XNonce::from(nonce), &aad, &mut expected)
                .unwrap();
            let cipher = Cipher::new(key.into());
            let mut sealed = [&[9; 5], &content[..]].concat();
            cipher.seal(&nonce, &aad, &mut sealed, 5).unwrap();
            prop_assert_eq!(&sealed[..5], &[9; 5]);
            prop_assert_eq!(&sealed[5..], &expected[..]);
            prop_assert_eq!(cipher.open(&nonce, &aad, &mut sealed[5..]).unwrap(), &content[..]);
        }
    }
}
