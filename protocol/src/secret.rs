//! The type of everything that must not be printed. Not here: how secrets are derived (`keys`).

use std::fmt;
use zeroize::Zeroizing;

/// Bytes that are wiped on drop and never printed, compared, serialised or cloned implicitly.
pub struct Secret<const N: usize = 32>(Zeroizing<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// Takes the bytes over.
    pub fn new(bytes: [u8; N]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the one call that needs them.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// A second copy, made where it can be seen.
    pub fn duplicate(&self) -> Self {
        Self::new(*self.0)
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
