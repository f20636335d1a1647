//! `enclaved-software` as a process: how it ends. Not here: what the enclave answers (`enclave`), and a host
//! that is killed (`cli`).

use std::{
    io::Read,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(20);

/// The process with a connection to it.
struct Running {
    child: Child,
    connection: UnixStream,
    _directory: TempDir,
}

impl Running {
    fn start(arguments: &[&str], stdin: Stdio) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket: PathBuf = directory.path().join("socket");
        let child = Command::new(env!("CARGO_BIN_EXE_enclaved-software"))
            .arg("--socket")
            .arg(&socket)
            .arg("--sealing-key")
            .arg(directory.path().join("sealing-key"))
            .args(arguments)
            .stdin(stdin)
            .spawn()
            .unwrap();
        let connection = connect(&socket);
        Self { child, connection, _directory: directory }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(socket: &Path) -> UnixStream {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Ok(connection) = UnixStream::connect(socket) {
            connection.set_read_timeout(Some(LIMIT)).unwrap();
            return connection;
        }
        assert!(Instant::now() < deadline, "it never listens");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn ends_with_its_standard_input_when_asked() {
    let mut running = Running::start(&["--until-stdin-ends"], Stdio::piped());
    drop(running.child.stdin.take());
    assert_eq!(running.connection.read(&mut [0]).unwrap(), 0, "the connection ends");
    assert!(running.child.wait().unwrap().success());
}

#[test]
fn outlives_its_standard_input_otherwise() {
    let mut running = Running::start(&[], Stdio::null());
    running.connection.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(running.connection.read(&mut [0]).is_err(), "the connection stays");
    assert!(running.child.try_wait().unwrap().is_none());
}
