//! Nodes as processes of their own, and what they agree on. Not here: any expectation of a test.

use super::*;
use std::os::unix::net::UnixStream;

const LIMIT: Duration = Duration::from_secs(90);

pub struct NodeProcess {
    pub process: Process,
    pub rpc: String,
    pub data_dir: PathBuf,
}

impl NodeProcess {
    /// SIGKILL for the host; its enclave, a process of its own, must not outlive it.
    pub fn kill(&mut self) {
        let mut enclave = UnixStream::connect(self.data_dir.join("enclave.sock")).unwrap();
        enclave.set_read_timeout(Some(LIMIT)).unwrap();
        self.process.kill();
        assert_eq!(enclave.read(&mut [0]).unwrap(), 0, "the enclave ends with its host");
    }
}

/// Starts a node whose operator is the devnet account of this number.
pub fn start_node(
    devnet: &Devnet,
    directory: &Path,
    operator: usize,
    extra: &[&str],
) -> NodeProcess {
    let key_file = directory.join(format!("operator-{operator}.key"));
    let key = devnet.text(&format!("/accounts/{operator}/privateKey"));
    std::fs::write(&key_file, key.trim_start_matches("0x")).unwrap();
    build_enclaved();
    let data_dir = directory.join(format!("node-{operator}"));
    let mut command = obscuro(&["node", "--rpc", "127.0.0.1:0", "--l1", devnet.l1()]);
    command
        .arg("--network")
        .arg(devnet.network_file())
        .arg("--data-dir")
        .arg(&data_dir)
        .arg("--operator-key")
        .arg(&key_file)
        .args(extra);
    let mut process = Process::spawn("node", &mut command);
    let rpc = process.await_line(|line| {
        line.split_whitespace().find(|word| word.starts_with("http://")).map(String::from)
    });
    NodeProcess { process, rpc, data_dir }
}

pub fn latest(node: &str) -> Value {
    rpc(node, "obscuro_rollup", json!(["latest"])).unwrap_or(Value::Null)
}

/// Waits until two nodes report the same newest rollup, beyond `above`.
pub fn agree(a: &str, b: &str, above: u64) -> u64 {
    eventually("two nodes agree", LIMIT, || {
        let (a, b) = (latest(a), latest(b));
        let number = number_of(&a)?;
        (a["hash"] == b["hash"] && a["stateRoot"] == b["stateRoot"] && number > above)
            .then_some(number)
    })
}

pub fn number_of(rollup: &Value) -> Option<u64> {
    match &rollup["number"] {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => u64::from_str_radix(text.trim_start_matches("0x"), 16).ok(),
        _ => None,
    }
}

/// Makes the network publish a rollup: sends OBX on L2 and waits for it.
pub fn transact(devnet: &Devnet) {
    let key = devnet.text("/accounts/0/privateKey");
    let to = devnet.text("/accounts/1/address");
    let output = obscuro(&[
        "account",
        "send",
        "--gateway",
        devnet.gateway(),
        "--private-key",
        key,
        "--to",
        to,
        "--amount",
        "1",
    ])
    .output()
    .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until a node holds the seed of the current epoch.
pub fn await_seed(node: &str) {
    eventually("a node holds the seed", LIMIT, || {
        let status = rpc(node, "obscuro_status", json!([])).ok()?;
        (status["hasSeed"] == true).then_some(())
    });
}
