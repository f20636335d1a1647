//! The enclave as a child process: started, and started again when it dies. A new life begins
//! empty: whoever feeds the enclave sees it ask to be started and replays [`Request::Start`]. Not
//! here: frames (`socket`).
//!
//! [`Request::Start`]: obscuro_protocol::door::Request::Start

use super::{ChannelError, Enclave, Records, SocketEnclave};
use crate::stop::{self, Stop, Stopper};
use alloy_primitives::keccak256;
use obscuro_protocol::door::{Reply, Request};
use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::{
    process::{Child, ChildStdin, Command},
    sync::Notify,
    time::Instant,
};
use tracing::{info, warn};

/// Wait before the first restart; it doubles while the process keeps dying.
const BACK_OFF_MIN: Duration = Duration::from_millis(100);
const BACK_OFF_MAX: Duration = Duration::from_secs(10);
/// A process that lived this long was healthy.
const HEALTHY_LIFE: Duration = Duration::from_secs(60);
/// Longest path of a Unix socket that every system takes, bytes.
const SOCKET_PATH_BYTES_MAX: usize = 100;
const SOCKET_FILE: &str = "enclave.sock";
const SEALING_KEY_FILE: &str = "sealing-key";

/// How to run the enclave.
#[derive(Clone, Debug)]
pub struct SupervisorOptions {
    /// The program, which takes `--socket PATH` and `--until-stdin-ends`.
    pub program: PathBuf,
    /// Its further arguments.
    pub arguments: Vec<OsString>,
    /// Where it is to listen.
    pub socket: PathBuf,
}

/// The program does not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the enclave {0}: {1}; install it next to this program, or name its path")]
pub struct SupervisorError(PathBuf, io::Error);

/// An enclave in a process of its own. Dropping it kills the process, and so does the end of this
/// one, however it comes.
pub struct Supervisor {
    socket: SocketEnclave,
    kill: Arc<Notify>,
    _stopper: Stopper,
}

impl Supervisor {
    /// Runs the program with the software device, with socket and sealing key in `data_dir`.
    pub fn start(program: impl Into<PathBuf>, data_dir: &Path) -> Result<Self, SupervisorError> {
        Self::run(SupervisorOptions {
            program: program.into(),
            arguments: vec!["--sealing-key".into(), data_dir.join(SEALING_KEY_FILE).into()],
            socket: socket_path(data_dir),
        })
    }

    /// Runs the program. Must be called where tokio runs.
    pub fn run(options: SupervisorOptions) -> Result<Self, SupervisorError> {
        let life = spawn(&options)?;
        let kill = Arc::new(Notify::new());
        let (stopper, stop) = stop::signal();
        let socket = SocketEnclave::new(options.socket.clone());
        tokio::spawn(supervise(options, kill.clone(), life, stop));
        Ok(Self { socket, kill, _stopper: stopper })
    }
}

impl Enclave for Supervisor {
    fn call(&self, request: Request, store: &dyn Records) -> Result<Reply, ChannelError> {
        self.socket.call(request, store)
    }

    fn restart(&self) -> Result<(), ChannelError> {
        self.kill.notify_one();
        Ok(())
    }
}

/// The socket in the data directory; in the system's temporary one if its path would be too long.
fn socket_path(data_dir: &Path) -> PathBuf {
    let path = data_dir.join(SOCKET_FILE);
    if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return path;
    }
    let name = keccak256(path.as_os_str().as_encoded_bytes());
    std::env::temp_dir().join(format!("obscuro-{name:x}.sock"))
}

/// One life of the process.
struct Life {
    child: Child,
    /// The system closes it when this process ends, even by SIGKILL, and the child ends then. Kept
    /// apart, because waiting for a child closes the pipe that it holds.
    _stdin: Option<ChildStdin>,
}

fn spawn(options: &SupervisorOptions) -> Result<Life, SupervisorError> {
    // A stale socket would look like a process that does not answer.
    let _ = std::fs::remove_file(&options.socket);
    let mut child = Command::new(&options.program)
        .arg("--socket")
        .arg(&options.socket)
        .arg("--until-stdin-ends")
        .args(&options.arguments)
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| SupervisorError(options.program.clone(), error))?;
    Ok(Life { _stdin: child.stdin.take(), child })
}

/// Restarts the process whenever it ends, until told to stop.
async fn supervise(options: SupervisorOptions, kill: Arc<Notify>, mut life: Life, stop: Stop) {
    let mut back_off = BACK_OFF_MIN;
    loop {
        let born = Instant::now();
        tokio::select! {
            ended = life.child.wait() => warn!(status = %describe(ended), "the enclave ended"),
            () = kill.notified() => {
                info!("restarting the enclave");
                let _ = life.child.kill().await;
            }
            () = stop.requested() => {
                let _ = life.child.kill().await;
                return;
            }
        }
        if born.elapsed() > HEALTHY_LIFE {
            back_off = BACK_OFF_MIN;
        }
        life = loop {
            if stop.sleep(back_off).await {
                return;
            }
            back_off = (back_off * 2).min(BACK_OFF_MAX);
            match spawn(&options) {
                Ok(life) => break life,
                Err(error) => warn!(%error, "the enclave does not start"),
            }
        };
    }
}

fn describe(ended: io::Result<ExitStatus>) -> String {
    match ended {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_have_short_paths() {
        let short = Path::new("/data/node");
        assert_eq!(socket_path(short), short.join(SOCKET_FILE));
        let (a, b) = (PathBuf::from("/a".repeat(80)), PathBuf::from("/b".repeat(80)));
        assert!(socket_path(&a).as_os_str().len() <= SOCKET_PATH_BYTES_MAX);
        assert_ne!(socket_path(&a), socket_path(&b));
    }
}
