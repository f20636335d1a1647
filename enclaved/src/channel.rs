//! Door frames over a Unix or TCP socket: a 32-bit big-endian length, then the message. While it serves a
//! request, the enclave reads and writes the host's store through the same connection. One thread
//! per connection, so that a host can ask several things at once.

use alloy_primitives::{B256, Bytes};
use obscuro_enclave::{
    Enclave,
    device::Device,
    store::{Store, StoreError},
};
use obscuro_protocol::{
    door::{self, FromEnclave, ToEnclave},
    limits::DOOR_BYTES_MAX,
};
use std::{
    fs,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Connections served at once; a host needs a handful.
const CONNECTIONS_MAX: usize = 64;
/// Largest batch of records in one frame, bytes; larger batches are split.
const BATCH_BYTES_MAX: usize = DOOR_BYTES_MAX / 4;

/// Where hosts come in. Neither kind is encrypted: the host is on the other side.
pub trait Listener {
    /// A connection.
    type Stream: Read + Write + Send + 'static;

    /// Waits for a connection.
    fn accept(&self) -> io::Result<Self::Stream>;
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    fn accept(&self) -> io::Result<UnixStream> {
        Ok(Self::accept(self)?.0)
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = Self::accept(self)?;
        // Frames are questions that somebody waits for.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Listens on a Unix socket, replacing that of a former run, and serves an enclave with this
/// device. Returns when the socket fails.
pub fn run<D: Device>(device: D, socket: &Path) -> io::Result<()> {
    if socket.exists() {
        fs::remove_file(socket)?;
    }
    serve(Arc::new(Enclave::new(device)), &UnixListener::bind(socket)?)
}

/// Ends this process when its standard input ends: whoever holds the other end of the pipe takes
/// this process along, however it dies.
pub fn end_with_stdin() {
    thread::spawn(|| {
        // What comes is ignored; an error ends the pipe as well.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        // Nothing is lost: whatever must survive is with the host already.
        std::process::exit(0);
    });
}

/// Serves connections until the listener fails.
pub fn serve<D: Device>(enclave: Arc<Enclave<D>>, listener: &impl Listener) -> io::Result<()> {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let stream = listener.accept()?;
        if open.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS_MAX {
            open.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let (enclave, open) = (enclave.clone(), open.clone());
        thread::spawn(move || {
            // A broken connection is the host's business: it opens another.
            let _ = serve_connection(&enclave, stream);
            open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

fn serve_connection<D: Device>(
    enclave: &Enclave<D>,
    stream: impl Read + Write + Send,
) -> io::Result<()> {
    let channel = Channel(Mutex::new(stream));
    loop {
        let frame = channel.receive()?;
        let ToEnclave::Request(request) = decode(&frame)? else {
            return Err(out_of_turn());
        };
        let reply = enclave.handle(&door::encode(&*request), &channel);
        let reply: door::Reply = decode(&reply)?;
        channel.send(&FromEnclave::Reply(Box::new(reply)))?;
    }
}

/// One connection, which is also the host's store while a request is served.
struct Channel<S>(Mutex<S>);

impl<S: Read + Write> Channel<S> {
    fn receive(&self) -> io::Result<Vec<u8>> {
        read_frame(&mut *self.lock())
    }

    fn send(&self, message: &FromEnclave) -> io::Result<()> {
        write_frame(&mut *self.lock(), &door::encode(message))
    }

    /// Sends a question and awaits its answer, with nothing in between.
    fn ask(&self, question: &FromEnclave) -> io::Result<ToEnclave> {
        let mut stream = self.lock();
        write_frame(&mut *stream, &door::encode(question))?;
        decode(&read_frame(&mut *stream)?)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, S> {
        // A thread that died while writing leaves a broken frame, which the next read notices.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn put_batch(&self, batch: Vec<(B256, Bytes)>) -> Result<(), StoreError> {
        match self.ask(&FromEnclave::Put(batch)) {
            Ok(ToEnclave::Stored) => Ok(()),
            other => Err(unavailable(other)),
        }
    }
}

impl<S: Read + Write + Send> Store for Channel<S> {
    fn get(&self, key: B256) -> Result<Option<Vec<u8>>, StoreError> {
        match self.ask(&FromEnclave::Get(vec![key])) {
            Ok(ToEnclave::Records(records)) if records.len() == 1 => {
                Ok(records.into_iter().next().flatten().map(|bytes| bytes.to_vec()))
            }
            other => Err(unavailable(other)),
        }
    }

    fn put(&self, batch: Vec<(B256, Vec<u8>)>) -> Result<(), StoreError> {
        let (mut part, mut bytes) = (Vec::new(), 0);
        for (key, value) in batch {
            bytes += value.len();
            part.push((key, value.into()));
            if bytes > BATCH_BYTES_MAX {
                self.put_batch(std::mem::take(&mut part))?;
                bytes = 0;
            }
        }
        if part.is_empty() { Ok(()) } else { self.put_batch(part) }
    }
}

fn unavailable(answer: io::Result<ToEnclave>) -> StoreError {
    StoreError::Unavailable(match answer {
        Ok(ToEnclave::StoreFailed(reason)) => reason,
        Ok(_) => "the host answered out of turn".into(),
        Err(error) => error.to_string(),
    })
}

fn decode<T: serde::de::DeserializeOwned>(frame: &[u8]) -> io::Result<T> {
    door::decode(frame).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn out_of_turn() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "frame out of turn")
}

fn read_frame(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > DOOR_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "frame too long"));
    }
    // Grows as bytes arrive: a length alone reserves nothing.
    let mut frame = Vec::new();
    stream.take(length as u64).read_to_end(&mut frame)?;
    if frame.len() < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(frame) }
}

fn write_frame(stream: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).map_err(|_| out_of_turn())?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(frame)?;
    stream.flush()
}
