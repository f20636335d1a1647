//! The socket client against a small enclave of its own.

use super::*;
use obscuro_protocol::{
    door::{self, FromEnclave, Retry, ToEnclave},
    limits::DOOR_BYTES_MAX,
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    io::{Read, Write},
    net::TcpListener,
    os::unix::net::UnixListener,
    path::Path,
    thread,
    time::Duration,
};

#[derive(Default)]
struct Memory(Mutex<HashMap<B256, Bytes>>);

impl Records for Memory {
    fn get(&self, keys: &[B256]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let records = self.0.lock();
        Ok(keys.iter().map(|key| records.get(key).cloned()).collect())
    }

    fn put(&self, records: Vec<(B256, Bytes)>) -> Result<(), StoreError> {
        self.0.lock().extend(records);
        Ok(())
    }
}

fn receive(stream: &mut impl Read) -> Option<ToEnclave> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame).ok()?;
    door::decode(&frame).ok()
}

fn send(stream: &mut impl Write, message: &FromEnclave) {
    let frame = door::encode(message);
    stream.write_all(&(frame.len() as u32).to_be_bytes()).unwrap();
    stream.write_all(&frame).unwrap();
}

/// Answers `TakeTransactions` after a round trip through the store, with the bytes that it found;
/// ends the connection after `lives` requests.
fn serve(stream: &mut (impl Read + Write), lives: usize) {
    for _ in 0..lives {
        let Some(ToEnclave::Request(_)) = receive(stream) else {
            return;
        };
        let (key, value) = (B256::repeat_byte(1), Bytes::from_static(b"kept"));
        send(stream, &FromEnclave::Put(vec![(key, value)]));
        assert!(matches!(receive(stream), Some(ToEnclave::Stored)));
        send(stream, &FromEnclave::Get(vec![key, B256::ZERO]));
        let Some(ToEnclave::Records(records)) = receive(stream) else { panic!("no records") };
        assert_eq!(records[1], None);
        let found = records[0].clone().unwrap();
        send(stream, &FromEnclave::Reply(Box::new(Reply::Transactions(found))));
    }
}

fn listen(path: &Path, lives: usize) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || serve(&mut stream.unwrap(), lives));
        }
    });
}

fn take(enclave: &SocketEnclave) -> Result<Bytes, ChannelError> {
    match enclave.call(Request::TakeTransactions, &Memory::default())? {
        Reply::Transactions(bytes) => Ok(bytes),
        other => panic!("{other:?}"),
    }
}

#[test]
fn serves_the_store_until_the_reply() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    listen(&path, 100);
    let enclave = SocketEnclave::new(path.clone());
    for _ in 0..3 {
        assert_eq!(take(&enclave).unwrap(), Bytes::from_static(b"kept"));
    }
    thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| take(&enclave).unwrap());
        }
    });
}

#[test]
fn an_enclave_may_listen_at_an_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || serve(&mut listener.accept().unwrap().0, 2));
    let listening: Listening = address.to_string().parse().unwrap();
    assert_eq!(listening, Listening::Tcp(address));
    let enclave = SocketEnclave::new(listening);
    for _ in 0..2 {
        assert_eq!(take(&enclave).unwrap(), Bytes::from_static(b"kept"));
    }
    server.join().unwrap();
    let path = "/run/enclave.socket";
    assert_eq!(path.parse(), Ok(Listening::Unix(path.into())));
}

#[test]
fn a_lost_connection_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    listen(&path, 1);
    let enclave = SocketEnclave::new(path.clone());
    let mut answered = 0;
    for _ in 0..10 {
        match take(&enclave) {
            Ok(_) => answered += 1,
            Err(error) => assert!(matches!(error, ChannelError::Unavailable(_)), "{error}"),
        }
        // Time for the other end to close, so that the write notices.
        thread::sleep(Duration::from_millis(5));
    }
    assert!(answered >= 5, "{answered}");
}

#[test]
fn no_enclave_is_worth_a_retry_and_garbage_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let enclave = SocketEnclave::new(path.clone());
    assert!(matches!(take(&enclave), Err(ChannelError::Unavailable(_))));

    let answers: [Vec<u8>; 2] =
        [vec![0, 0, 0, 2, 99, 99], (DOOR_BYTES_MAX as u32 + 1).to_be_bytes().to_vec()];
    let listener = UnixListener::bind(&path).unwrap();
    let server = thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            receive(&mut stream);
            stream.write_all(&answer).unwrap();
        }
    });
    for _ in 0..2 {
        assert!(matches!(take(&enclave), Err(ChannelError::Broken(_))));
    }
    server.join().unwrap();
}

#[tokio::test]
async fn refusals_are_errors() {
    struct Refusing;
    impl Enclave for Refusing {
        fn call(&self, _: Request, _: &dyn Records) -> Result<Reply, ChannelError> {
            Ok(Reply::Refused(DoorError::Retry(Retry::Start)))
        }
    }
    let enclave: Arc<dyn Enclave> = Arc::new(Refusing);
    let store: Arc<dyn Records> = Arc::new(Memory::default());
    let answer = ask(&enclave, &store, Request::Seal).await;
    let expected = AskError::Refused(DoorError::Retry(Retry::Start));
    assert_eq!(answer.unwrap_err(), expected);
}

#[tokio::test]
async fn a_missing_program_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    let error = Supervisor::start("/nowhere/enclaved", directory.path()).err().unwrap();
    assert!(error.to_string().contains("/nowhere/enclaved"), "{error}");
}

/// The "enclave" of the next test: it listens once and dies when it is asked anything.
#[test]
fn child_that_dies() {
    let Ok(path) = std::env::var("OBSCURO_TEST_ENCLAVE") else { return };
    let listener = UnixListener::bind(path).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    serve(&mut stream, 1);
    std::process::exit(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_enclave_is_started_again() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    // A shell drops the arguments that the test program does not know.
    let program = directory.path().join("enclaved");
    let test = std::env::current_exe().unwrap();
    let script = format!(
        "#!/bin/sh\nOBSCURO_TEST_ENCLAVE=\"$2\" exec {} --exact enclave::tests::child_that_dies\n",
        test.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let options = SupervisorOptions { program, arguments: Vec::new(), socket };
    let supervisor = Arc::new(Supervisor::run(options).unwrap());
    let enclave: Arc<dyn Enclave> = supervisor;
    let store: Arc<dyn Records> = Arc::new(Memory::default());
    let mut answers = 0;
    for _ in 0..1_000 {
        match ask(&enclave, &store, Request::TakeTransactions).await {
            Ok(_) => answers += 1,
            Err(error) => assert!(!error.is_fatal(), "{error}"),
        }
        if answers == 3 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{answers} answers");
}
