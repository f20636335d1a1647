//! The one binary encoding of internal messages: postcard behind a version byte, with a bound on
//! every decode. Not here: consensus formats (`rollup`, `payload`), which are frozen separately.

use serde::{Serialize, de::DeserializeOwned};

/// Version of the internal messages; a node speaks exactly one.
pub const VERSION: u8 = 1;

/// A message that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WireError {
    /// Longer than its bound.
    #[error("message of {length} bytes exceeds the limit of {limit}")]
    TooLong {
        /// Bytes received.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Another version of the protocol.
    #[error("message version {0} is not supported, expected {VERSION}")]
    Version(u8),
    /// Empty, truncated, or with bytes left over.
    #[error("malformed message")]
    Malformed,
}

/// Encodes a message. Infallible for the types of this crate: they contain no maps with
/// non-string keys or unsized sequences.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    postcard::to_extend(message, vec![VERSION]).unwrap_or_default()
}

/// Decodes a message of at most `limit` bytes; every byte must be used.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, WireError> {
    if bytes.len() > limit {
        return Err(WireError::TooLong { length: bytes.len(), limit });
    }
    let (&version, body) = bytes.split_first().ok_or(WireError::Malformed)?;
    if version != VERSION {
        return Err(WireError::Version(version));
    }
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        _ => Err(WireError::Malformed),
    }
}
