//! The enclave as a child process: started, and started again when it dies. A new life begins
//! empty: whoever feeds the enclave sees it ask to be started and replays [`Request::Start`]. Not
//! here: frames (`socket`).
//!
//! [`Request::Start`]: obscuro_protocol::door::Request::Start

use super::{ChannelError, Enclave, Records, SocketEnclave};
use crate::stop::{self, Stop, Stopper};
use obscuro_protocol::door::{Reply, Request};
use std::{
    ffi::OsString,
    io,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::{
    process::{Child, Command},
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};

/// Longest wait for a new process to listen.
const LISTEN_WAIT_MAX: Duration = Duration::from_secs(30);
const LISTEN_POLL: Duration = Duration::from_millis(20);
/// Wait before the first restart; it doubles while the process keeps dying.
const BACK_OFF_MIN: Duration = Duration::from_millis(100);
const BACK_OFF_MAX: Duration = Duration::from_secs(10);
/// A process that lived this long was healthy.
const HEALTHY_LIFE: Duration = Duration::from_secs(60);

/// How to run the enclave.
#[derive(Clone, Debug)]
pub struct SupervisorOptions {
    /// The program, which takes `--socket PATH`.
    pub program: PathBuf,
    /// Its further arguments.
    pub arguments: Vec<OsString>,
    /// Where it is to listen.
    pub socket: PathBuf,
}

/// The enclave cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// The program does not start.
    #[error("cannot start the enclave {0}: {1}; install it next to this program, or name its path")]
    Program(PathBuf, io::Error),
    /// It runs, but does not listen.
    #[error("the enclave {0} does not listen on {1}; see its messages above")]
    Silent(PathBuf, PathBuf),
}

/// A running enclave process. Dropping it kills the process.
pub struct Supervisor {
    enclave: Arc<SupervisedEnclave>,
    stop: Stopper,
    task: JoinHandle<()>,
}

/// The enclave of a supervised process.
struct SupervisedEnclave {
    socket: SocketEnclave,
    kill: Notify,
}

impl Enclave for SupervisedEnclave {
    fn call(&self, request: Request, store: &dyn Records) -> Result<Reply, ChannelError> {
        self.socket.call(request, store)
    }

    fn restart(&self) -> Result<(), ChannelError> {
        self.kill.notify_one();
        Ok(())
    }
}

impl Supervisor {
    /// Starts the process and waits until it listens.
    pub async fn start(options: SupervisorOptions) -> Result<Self, SupervisorError> {
        let enclave = Arc::new(SupervisedEnclave {
            socket: SocketEnclave::new(&options.socket),
            kill: Notify::new(),
        });
        let mut child = spawn(&options)?;
        if !wait_until_listening(&enclave.socket, &mut child).await {
            return Err(SupervisorError::Silent(options.program, options.socket));
        }
        let (stop, stopped) = stop::signal();
        let task = tokio::spawn(supervise(options, enclave.clone(), child, stopped));
        Ok(Self { enclave, stop, task })
    }

    /// The enclave.
    pub fn enclave(&self) -> Arc<dyn Enclave> {
        self.enclave.clone()
    }

    /// Ends the process.
    pub async fn stop(self) {
        self.stop.stop();
        // It fails only if the task panicked; the child is killed with it.
        let _ = self.task.await;
    }
}

fn spawn(options: &SupervisorOptions) -> Result<Child, SupervisorError> {
    // A stale socket would look like a process that does not answer.
    let _ = std::fs::remove_file(&options.socket);
    Command::new(&options.program)
        .arg("--socket")
        .arg(&options.socket)
        .args(&options.arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| SupervisorError::Program(options.program.clone(), error))
}

async fn wait_until_listening(enclave: &SocketEnclave, child: &mut Child) -> bool {
    let listening = async {
        while !enclave.is_listening() {
            if !matches!(child.try_wait(), Ok(None)) {
                return false;
            }
            sleep(LISTEN_POLL).await;
        }
        true
    };
    timeout(LISTEN_WAIT_MAX, listening).await.unwrap_or(false)
}

/// Restarts the process whenever it ends, until told to stop.
async fn supervise(
    options: SupervisorOptions,
    enclave: Arc<SupervisedEnclave>,
    mut child: Child,
    stop: Stop,
) {
    let mut back_off = BACK_OFF_MIN;
    loop {
        let born = Instant::now();
        tokio::select! {
            ended = child.wait() => warn!(status = %describe(ended), "the enclave ended"),
            () = enclave.kill.notified() => {
                info!("restarting the enclave");
                let _ = child.kill().await;
            }
            () = stop.requested() => {
                let _ = child.kill().await;
                return;
            }
        }
        if born.elapsed() > HEALTHY_LIFE {
            back_off = BACK_OFF_MIN;
        }
        child = loop {
            if stop.sleep(back_off).await {
                return;
            }
            back_off = (back_off * 2).min(BACK_OFF_MAX);
            match spawn(&options) {
                Ok(child) => break child,
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
