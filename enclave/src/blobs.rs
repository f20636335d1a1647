//! Payloads that travelled in blobs (EIP-4844): checked against the versioned hashes that L1
//! recorded. Not here: making blobs (the host's).

use alloy_consensus::{SidecarCoder, SimpleCoder};
use alloy_eips::eip4844::{Blob, kzg_to_versioned_hash};
use alloy_primitives::{B256, Bytes};
use obscuro_protocol::limits::ROLLUP_BLOBS_MAX;

/// Why there is no payload.
#[derive(Debug, PartialEq, Eq)]
pub enum BlobError {
    /// These are not the blobs of the versioned hashes: the host's fault.
    NotTheseBlobs,
    /// The trusted set-up does not load.
    Setup(String),
}

/// The payload in the blobs; `None` if the right blobs hold none: the publisher's fault.
pub fn payload(blobs: &[Bytes], hashes: &[B256]) -> Result<Option<Vec<u8>>, BlobError> {
    if blobs.len() != hashes.len() || blobs.len() > ROLLUP_BLOBS_MAX {
        return Err(BlobError::NotTheseBlobs);
    }
    // Commitments need no precomputation.
    let settings = c_kzg::ethereum_kzg_settings(0);
    let mut checked = Vec::with_capacity(blobs.len());
    for (bytes, hash) in blobs.iter().zip(hashes) {
        let blob = Blob::try_from(bytes.as_ref()).map_err(|_| BlobError::NotTheseBlobs)?;
        let kzg_blob = c_kzg::Blob::from_bytes(bytes).map_err(|_| BlobError::NotTheseBlobs)?;
        let commitment =
            settings.blob_to_kzg_commitment(&kzg_blob).map_err(|_| BlobError::NotTheseBlobs)?;
        if kzg_to_versioned_hash(commitment.to_bytes().as_slice()) != *hash {
            return Err(BlobError::NotTheseBlobs);
        }
        checked.push(blob);
    }
    Ok(SimpleCoder::default().decode_all(&checked).map(|parts| parts.concat()))
}
