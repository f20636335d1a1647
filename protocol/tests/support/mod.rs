//! Repeatable entropy for tests. Not here: anything that is fit to keep a secret.

use alloy_primitives::keccak256;
use rand_core::{Infallible, TryCryptoRng, TryRng};

/// The concatenation of the first eight bytes of keccak256(n), n as eight big-endian bytes, for n =
/// start + 1, start + 2, ... Each draw begins with a new n.
pub struct Counter(pub u64);

impl TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|word| word as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 += 1;
        Ok(u64::from_be_bytes(keccak256(self.0.to_be_bytes())[..8].try_into().unwrap()))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(8) {
            let word = self.try_next_u64()?.to_be_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Counter {}
