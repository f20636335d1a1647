//! The chain on disk: one append-only file of sealed blocks, their blobs and moves of the head.
//!
//! Read from the start when a chain is opened; blocks are executed again, so nothing of the state
//! is stored. A record that was torn by a crash ends the file and is cut off. Not here: what a
//! record means for the chain (`chain`).
//!
//! Layout: magic, genesis timestamp (8 bytes, big-endian), genesis hash; then records of
//! length (4 bytes, big-endian, of kind and payload), kind (1 byte), payload, and the first
//! [`CHECKSUM_BYTES`] bytes of keccak256 over kind and payload.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use alloy_primitives::{B256, keccak256};

use super::blobs::StoredBlob;

/// Name of the file in the chain's directory.
pub const FILE_NAME: &str = "l1.chain";

/// Bytes of one record's payload.
pub const RECORD_BYTES_MAX: usize = 16 << 20;

const MAGIC: &[u8; 8] = b"obxl1\0\0\x01";
const PREAMBLE_BYTES: u64 = 8 + 8 + 32;
const CHECKSUM_BYTES: usize = 4;

const KIND_BLOCK: u8 = 1;
const KIND_HEAD: u8 = 2;
const KIND_BLOB: u8 = 3;

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// It is not a chain, or of another version.
    #[error("{0} is not a chain file of this version; choose another directory")]
    Foreign(PathBuf),
    /// A record is larger than can be read back.
    #[error("record of {0} bytes exceeds {RECORD_BYTES_MAX}")]
    TooLarge(usize),
}

/// What identifies the chain of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preamble {
    /// Timestamp of the genesis block.
    pub genesis_timestamp: u64,
    /// Hash of the genesis block.
    pub genesis_hash: B256,
}

/// One thing that happened to the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// RLP of a block.
    Block(Vec<u8>),
    /// The head moved to this block.
    Head(B256),
    /// A blob of a block that follows.
    Blob(B256, StoredBlob),
}

/// Where the significant bytes of a blob are in the file.
#[derive(Clone, Copy, Debug)]
struct Place {
    offset: u64,
    bytes: usize,
}

impl Place {
    /// Of the blob in the record that starts at `record`: after length, kind and hash.
    fn of(blob: &StoredBlob, record: u64) -> Self {
        Self { offset: record + 4 + 1 + 32, bytes: blob.significant().len() }
    }
}

/// An open chain file, positioned at its end.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    /// End of the last whole record.
    end: u64,
    blobs: HashMap<B256, Place>,
}

/// A chain file that is about to be replayed.
#[derive(Debug)]
pub struct Reader {
    reader: BufReader<File>,
    path: PathBuf,
    /// End of the last whole record.
    end: u64,
    blobs: HashMap<B256, Place>,
    /// What the file says it is.
    pub preamble: Preamble,
}

/// Opens the chain file of a directory, if there is one with a preamble.
pub fn open(directory: &Path) -> Result<Option<Reader>, JournalError> {
    let path = directory.join(FILE_NAME);
    let file = match OpenOptions::new().read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(JournalError::Io { path, source }),
    };
    lock(&file, &path)?;
    let mut reader = BufReader::new(file);
    let mut bytes = [0u8; PREAMBLE_BYTES as usize];
    match reader.read_exact(&mut bytes) {
        Ok(()) => {}
        // The process died while creating the file.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(source) => return Err(JournalError::Io { path, source }),
    }
    let Some(preamble) = parse_preamble(&bytes) else { return Err(JournalError::Foreign(path)) };
    Ok(Some(Reader { reader, path, end: PREAMBLE_BYTES, blobs: HashMap::new(), preamble }))
}

/// Starts the chain file of a directory, which is created when missing.
pub fn create(directory: &Path, preamble: Preamble) -> Result<Journal, JournalError> {
    let path = directory.join(FILE_NAME);
    let io = |source| JournalError::Io { path: path.clone(), source };
    std::fs::create_dir_all(directory).map_err(io)?;
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = file.map_err(io)?;
    lock(&file, &path)?;
    file.set_len(0).map_err(io)?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(preamble.genesis_timestamp.to_be_bytes());
    bytes.extend(preamble.genesis_hash);
    file.write_all(&bytes).map_err(io)?;
    Ok(Journal { file, path, end: PREAMBLE_BYTES, blobs: HashMap::new() })
}

impl Reader {
    /// The next whole record; `None` at the end or at a torn one.
    pub fn next(&mut self) -> Result<Option<Record>, JournalError> {
        match read_record(&mut self.reader) {
            Ok(Some((record, bytes))) => {
                if let Record::Blob(hash, blob) = &record {
                    self.blobs.insert(*hash, Place::of(blob, self.end));
                }
                self.end += bytes;
                Ok(Some(record))
            }
            Ok(None) => Ok(None),
            Err(source) => Err(JournalError::Io { path: self.path.clone(), source }),
        }
    }

    /// Cuts off what was not read and continues writing there.
    pub fn into_journal(self) -> Result<Journal, JournalError> {
        let Self { reader, path, end, blobs, .. } = self;
        let mut file = reader.into_inner();
        let cut = file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end)));
        match cut {
            Ok(_) => Ok(Journal { file, path, end, blobs }),
            Err(source) => Err(JournalError::Io { path, source }),
        }
    }
}

impl Journal {
    /// Whether a blob is in the file already.
    pub fn has_blob(&self, versioned_hash: &B256) -> bool {
        self.blobs.contains_key(versioned_hash)
    }

    /// Reads a blob back; `None` when it is not in the file or cannot be read any more. Whoever
    /// needs it checks it against its versioned hash.
    pub fn blob(&self, versioned_hash: &B256) -> Option<StoredBlob> {
        let place = self.blobs.get(versioned_hash)?;
        let mut bytes = vec![0; place.bytes];
        self.file.read_exact_at(&mut bytes, place.offset).ok()?;
        StoredBlob::from_significant(&bytes)
    }

    /// Forgets where a blob is; a later reader of the file finds it again.
    pub fn forget_blob(&mut self, versioned_hash: &B256) {
        self.blobs.remove(versioned_hash);
    }

    /// Appends a record. When that fails, nothing of it stays.
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        let bytes = encode(record)?;
        if let Err(source) = self.file.write_all(&bytes) {
            // If this fails, too, the next start cuts the torn record off.
            let _ = self
                .file
                .set_len(self.end)
                .and_then(|()| self.file.seek(SeekFrom::Start(self.end)));
            return Err(JournalError::Io { path: self.path.clone(), source });
        }
        if let Record::Blob(hash, blob) = record {
            self.blobs.insert(*hash, Place::of(blob, self.end));
        }
        self.end += bytes.len() as u64;
        Ok(())
    }
}

fn lock(file: &File, path: &Path) -> Result<(), JournalError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(std::fs::TryLockError::WouldBlock) => Err(JournalError::InUse(path.into())),
        Err(std::fs::TryLockError::Error(source)) => {
            Err(JournalError::Io { path: path.into(), source })
        }
    }
}

fn parse_preamble(bytes: &[u8; PREAMBLE_BYTES as usize]) -> Option<Preamble> {
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (timestamp, hash) = rest.split_first_chunk::<8>()?;
    (magic == MAGIC).then(|| Preamble {
        genesis_timestamp: u64::from_be_bytes(*timestamp),
        genesis_hash: B256::from_slice(hash),
    })
}

fn encode(record: &Record) -> Result<Vec<u8>, JournalError> {
    let mut body = Vec::new();
    match record {
        Record::Block(rlp) => {
            body.push(KIND_BLOCK);
            body.extend(rlp);
        }
        Record::Head(hash) => {
            body.push(KIND_HEAD);
            body.extend(hash);
        }
        Record::Blob(hash, blob) => {
            body.push(KIND_BLOB);
            body.extend(hash);
            body.extend(blob.significant());
        }
    }
    if body.len() > RECORD_BYTES_MAX {
        return Err(JournalError::TooLarge(body.len()));
    }
    let mut out = (body.len() as u32).to_be_bytes().to_vec();
    out.extend(&body);
    out.extend(&keccak256(&body)[..CHECKSUM_BYTES]);
    Ok(out)
}

/// Reads a record and its size in the file; `None` when there is no further whole one.
fn read_record(reader: &mut impl Read) -> io::Result<Option<(Record, u64)>> {
    let mut length = [0u8; 4];
    if !read_whole(reader, &mut length)? {
        return Ok(None);
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > RECORD_BYTES_MAX {
        return Ok(None);
    }
    let mut bytes = vec![0u8; length + CHECKSUM_BYTES];
    if !read_whole(reader, &mut bytes)? {
        return Ok(None);
    }
    let (body, checksum) = bytes.split_at(length);
    if keccak256(body)[..CHECKSUM_BYTES] != *checksum {
        return Ok(None);
    }
    Ok(decode(body).map(|record| (record, (4 + length + CHECKSUM_BYTES) as u64)))
}

fn read_whole(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn decode(body: &[u8]) -> Option<Record> {
    let (kind, payload) = body.split_first()?;
    match *kind {
        KIND_BLOCK => Some(Record::Block(payload.to_vec())),
        KIND_HEAD => Some(Record::Head(B256::try_from(payload).ok()?)),
        KIND_BLOB => {
            let (hash, significant) = payload.split_first_chunk::<32>()?;
            Some(Record::Blob(B256::from(*hash), StoredBlob::from_significant(significant)?))
        }
        _ => None,
    }
}
