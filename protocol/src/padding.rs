//! Padding, so that sizes say little: Padmé (PURBs, Nikitin et al. 2019) over a minimum, at most
//! 12 % overhead. Not here: what is padded.

/// Smallest padded size, bytes.
pub const PADDED_BYTES_MIN: usize = 256;

/// The Padmé size of `length`: only the top log2(log2) bits of it survive.
pub fn padded_len(length: usize) -> usize {
    let length = length.max(PADDED_BYTES_MIN);
    let exponent = usize::BITS - 1 - length.leading_zeros();
    let significant = u32::BITS - exponent.leading_zeros();
    let mask = (1usize << exponent.saturating_sub(significant)) - 1;
    length.saturating_add(mask) & !mask
}

/// `data` with its length in front and zeros behind.
pub fn pad(data: &[u8]) -> Vec<u8> {
    let mut padded = Vec::with_capacity(padded_len(data.len() + 4));
    padded.extend_from_slice(&(data.len() as u32).to_be_bytes());
    padded.extend_from_slice(data);
    padded.resize(padded_len(padded.len()), 0);
    padded
}

/// What [`pad`] was given; `None` if the padding is not of that form.
pub fn unpad(padded: &[u8]) -> Option<&[u8]> {
    let (length, rest) = padded.split_first_chunk::<4>()?;
    rest.get(..u32::from_be_bytes(*length) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overhead_is_small_and_sizes_are_few() {
        let sizes: std::collections::BTreeSet<_> = (0..1_000_000).map(padded_len).collect();
        assert!(sizes.len() < 300, "{} sizes", sizes.len());
        for length in PADDED_BYTES_MIN..1_000_000 {
            let padded = padded_len(length);
            assert!(padded >= length && padded * 100 <= length * 112, "{length} -> {padded}");
        }
    }

    #[test]
    fn unpad_inverts_pad() {
        for data in [&b""[..], b"x", &[7; 1000]] {
            assert_eq!(unpad(&pad(data)), Some(data));
        }
        for bad in [&b""[..], b"abc", &[0, 0, 0, 9, 1]] {
            assert_eq!(unpad(bad), None);
        }
    }
}
