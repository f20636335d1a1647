//! The client of an enclave behind a Unix socket or a TCP address: door frames, each a 32-bit big-endian length and
//! then the message. One connection serves one request at a time; a small pool of them gives
//! concurrency. Not here: the process at the other end (`supervisor`).

use super::{ChannelError, Enclave, Records};
use obscuro_protocol::{
    door::{self, FromEnclave, Reply, Request, ToEnclave},
    limits::DOOR_BYTES_MAX,
};
use parking_lot::{Condvar, Mutex};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

/// Most requests at the enclave's door at once.
const CONNECTIONS_MAX: usize = 16;
/// Longest silence of the enclave within a request. The start-up chain and the replay of a full
/// rollup stay far below.
const SILENCE_MAX: Duration = Duration::from_secs(300);
/// Idle connections are reserved in pieces of this size, so that a length alone reserves nothing.
const READ_BYTES: usize = 64 * 1024;

/// A connection.
trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// Where an enclave listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listening {
    /// On a Unix socket.
    Unix(PathBuf),
    /// At a TCP address: inside a TEE that shows no sockets, or has a kernel of its own.
    Tcp(SocketAddr),
}

impl From<PathBuf> for Listening {
    fn from(path: PathBuf) -> Self {
        Self::Unix(path)
    }
}

impl std::str::FromStr for Listening {
    type Err = std::convert::Infallible;

    /// An address with a port, or else a path.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.parse().map_or_else(|_| Self::Unix(text.into()), Self::Tcp))
    }
}

/// An enclave behind a socket.
pub struct SocketEnclave {
    listening: Listening,
    pool: Mutex<Pool>,
    returned: Condvar,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Box<dyn Stream>>,
    open: usize,
}

impl SocketEnclave {
    /// A client of the enclave that listens there. Connects when first asked.
    pub fn new(listening: impl Into<Listening>) -> Self {
        Self { listening: listening.into(), pool: Mutex::default(), returned: Condvar::new() }
    }

    /// An idle connection, or a new one; waits while all are in use. Says whether it is an old one.
    fn acquire(&self) -> Result<(Box<dyn Stream>, bool), ChannelError> {
        let mut pool = self.pool.lock();
        loop {
            if let Some(stream) = pool.idle.pop() {
                return Ok((stream, true));
            }
            if pool.open < CONNECTIONS_MAX {
                pool.open += 1;
                break;
            }
            self.returned.wait(&mut pool);
        }
        drop(pool);
        match self.connect() {
            Ok(stream) => Ok((stream, false)),
            Err(error) => {
                self.give_up();
                Err(unavailable(&error))
            }
        }
    }

    fn connect(&self) -> io::Result<Box<dyn Stream>> {
        match &self.listening {
            Listening::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(SILENCE_MAX))?;
                stream.set_write_timeout(Some(SILENCE_MAX))?;
                Ok(Box::new(stream))
            }
            Listening::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(SILENCE_MAX))?;
                stream.set_write_timeout(Some(SILENCE_MAX))?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
        }
    }

    fn release(&self, stream: Box<dyn Stream>) {
        self.pool.lock().idle.push(stream);
        self.returned.notify_one();
    }

    /// A connection is lost, and with it, most likely, all the idle ones.
    fn give_up(&self) {
        let mut pool = self.pool.lock();
        pool.open = pool.open.saturating_sub(1 + pool.idle.len());
        pool.idle.clear();
        drop(pool);
        self.returned.notify_all();
    }
}

impl Enclave for SocketEnclave {
    fn call(&self, request: Request, store: &dyn Records) -> Result<Reply, ChannelError> {
        let frame = door::encode(&ToEnclave::Request(Box::new(request)));
        if frame.len() > DOOR_BYTES_MAX {
            return Err(ChannelError::Broken("the request is too long".to_owned()));
        }
        loop {
            let (mut stream, is_old) = self.acquire()?;
            // An old connection may belong to an enclave that has died since: that is noticed
            // before the request could have been read, so it is sent again.
            match write_frame(&mut *stream, &frame) {
                Err(_) if is_old => {
                    self.give_up();
                    continue;
                }
                sent => sent.map_err(|error| self.lost(&error))?,
            }
            let reply = converse(&mut *stream, store).map_err(|error| self.lost(&error))?;
            self.release(stream);
            return Ok(reply);
        }
    }
}

impl SocketEnclave {
    fn lost(&self, error: &io::Error) -> ChannelError {
        self.give_up();
        if error.kind() == io::ErrorKind::InvalidData {
            return ChannelError::Broken(error.to_string());
        }
        unavailable(error)
    }
}

/// Serves the store until the reply comes.
fn converse(stream: &mut dyn Stream, store: &dyn Records) -> io::Result<Reply> {
    loop {
        let frame = read_frame(stream)?;
        let message = door::decode(&frame).map_err(invalid)?;
        let answer = match message {
            FromEnclave::Reply(reply) => return Ok(*reply),
            FromEnclave::Get(keys) => match store.get(&keys) {
                Ok(records) => ToEnclave::Records(records),
                Err(error) => ToEnclave::StoreFailed(error.to_string()),
            },
            FromEnclave::Put(records) => match store.put(records) {
                Ok(()) => ToEnclave::Stored,
                Err(error) => ToEnclave::StoreFailed(error.to_string()),
            },
        };
        let mut frame = door::encode(&answer);
        if frame.len() > DOOR_BYTES_MAX {
            frame = door::encode(&ToEnclave::StoreFailed("too many records at once".into()));
        }
        write_frame(stream, &frame)?;
    }
}

fn read_frame(stream: &mut dyn Stream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > DOOR_BYTES_MAX {
        return Err(invalid(format!("it sent a frame of {length} bytes")));
    }
    let mut frame = Vec::with_capacity(length.min(READ_BYTES));
    stream.take(length as u64).read_to_end(&mut frame)?;
    if frame.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(frame)
}

fn write_frame(stream: &mut dyn Stream, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).map_err(invalid)?;
    // One write: two would cost a wake-up at the other end each.
    let mut bytes = Vec::with_capacity(4 + frame.len());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(frame);
    stream.write_all(&bytes)
}

fn invalid(reason: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_string())
}

fn unavailable(error: &io::Error) -> ChannelError {
    ChannelError::Unavailable(error.to_string())
}
