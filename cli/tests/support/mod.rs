//! Processes under test: the devnet, single parts of it, anvil, and the clients that use them; and
//! who watches them. Not here: any expectation.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod eavesdropper;
pub mod node;
pub mod recorder;
pub mod traces;

use alloy_eips::Encodable2718;
use alloy_network::{EthereumWallet, NetworkTransactionBuilder, TransactionBuilder};
use alloy_primitives::{Address, B256, U256, hex};
use alloy_provider::{Provider, ProviderBuilder};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_signer_local::PrivateKeySigner;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Once, mpsc},
    thread,
    time::{Duration, Instant},
};

/// Longest wait for a network to be ready.
const READY_TIMEOUT: Duration = Duration::from_secs(240);

/// A process that ends with its owner. Its output is collected.
pub struct Process {
    child: Child,
    name: String,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl Process {
    pub fn spawn(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let (sender, lines) = mpsc::channel();
        for stream in [
            Box::new(child.stdout.take().unwrap()) as Box<dyn Read + Send>,
            Box::new(child.stderr.take().unwrap()),
        ] {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Self { child, name: name.into(), lines, seen: Vec::new() }
    }

    /// The first line for which `find` returns something.
    pub fn await_line<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let found = find(&line);
                    self.seen.push(line);
                    if let Some(found) = found {
                        return found;
                    }
                }
                Err(_) => {
                    panic!("{} did not say what was expected:\n{}", self.name, self.seen.join("\n"))
                }
            }
        }
    }

    /// Everything it has printed so far.
    pub fn output(&mut self) -> String {
        self.seen.extend(self.lines.try_iter());
        self.seen.join("\n")
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGINT, and waits for the end; whether it ended well.
    pub fn interrupt(&mut self) -> bool {
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &id]).status();
        self.child.wait().is_ok_and(|status| status.success())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The `obscuro` command under test.
pub fn obscuro(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_obscuro"));
    command.args(arguments);
    command
}

/// What the command prints, to stdout and to stderr; it must succeed.
pub fn run(arguments: &[&str]) -> (String, String) {
    let output = obscuro(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    (stdout, stderr)
}

/// What it prints with `--json`.
pub fn json_of(arguments: &[&str]) -> Value {
    serde_json::from_str(&run(arguments).0).unwrap()
}

/// The key of a development account.
pub fn key(devnet: &Devnet, account: usize) -> &str {
    devnet.text(&format!("/accounts/{account}/privateKey"))
}

/// A number in decimal digits, or as JSON-RPC writes it.
pub fn amount(value: &Value) -> U256 {
    value.as_str().unwrap().parse().unwrap()
}

/// A transfer of one wei, with data, signed but sent nowhere.
#[tokio::main(flavor = "current_thread")]
pub async fn signed(key: &str, chain_id: u64, nonce: u64, to: Address, data: &[u8]) -> String {
    let signer: PrivateKeySigner = key.parse().unwrap();
    let request = TransactionRequest::default()
        .with_to(to)
        .with_value(U256::ONE)
        .with_input(data.to_vec())
        .with_nonce(nonce)
        .with_chain_id(chain_id)
        .with_gas_limit(21_000 + 100 * data.len() as u64)
        .with_max_fee_per_gas(100_000_000_000)
        .with_max_priority_fee_per_gas(0);
    let envelope = request.build(&EthereumWallet::from(signer)).await.unwrap();
    hex::encode_prefixed(envelope.encoded_2718())
}

/// Builds the enclave's program beside `obscuro`: cargo gives a test only the programs of its own
/// package, and one of a former build would be tested otherwise.
pub fn build_enclaved() {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let obscuro = Path::new(env!("CARGO_BIN_EXE_obscuro"));
        let profile = obscuro.parent().unwrap();
        let name = match profile.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            name => name,
        };
        let mut command = Command::new(env!("CARGO"));
        command
            // Together with `obscuro`, so that dependencies have the features that they have there.
            .args(["build", "--quiet", "--locked", "--offline", "--bin", "enclaved-software"])
            .args([
                "-p",
                "obscuro",
                "-p",
                "obscuro-software-tee",
                "--profile",
                name,
                "--target-dir",
            ])
            .arg(profile.parent().unwrap())
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        // Build scripts that look at these would run again.
        for (name, _) in std::env::vars() {
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                command.env_remove(name);
            }
        }
        assert!(command.status().unwrap().success(), "enclaved-software does not build");
    });
}

/// A running devnet with what it printed.
pub struct Devnet {
    pub process: Process,
    pub summary: Value,
}

impl Devnet {
    /// Starts one on free ports.
    pub fn start(arguments: &[&str]) -> Self {
        Self::spawn(&mut Self::command(arguments))
    }

    /// Starts one that logs what a filter lets through.
    pub fn start_logging(filter: &str) -> Self {
        Self::spawn(Self::command(&[]).env("RUST_LOG", filter))
    }

    fn command(arguments: &[&str]) -> Command {
        let base =
            ["devnet", "--json", "--l1-port", "0", "--gateway-port", "0", "--l1-block-time", "1"];
        obscuro(&[&base, arguments].concat())
    }

    fn spawn(command: &mut Command) -> Self {
        let mut process = Process::spawn("devnet", command);
        let summary = process.await_line(|line| serde_json::from_str::<Value>(line).ok());
        Self { process, summary }
    }

    pub fn text(&self, pointer: &str) -> &str {
        self.summary
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("no {pointer}"))
    }

    pub fn gateway(&self) -> &str {
        self.text("/gateway/rpc")
    }

    pub fn l1(&self) -> &str {
        self.text("/l1/rpc")
    }

    /// Where the nodes answer.
    pub fn nodes(&self) -> Vec<String> {
        let nodes = self.summary["nodes"].as_array().expect("nodes").iter();
        nodes.map(|node| node["rpc"].as_str().expect("a node's URL").to_string()).collect()
    }

    /// The hash of the network's configuration, which names it.
    pub fn network(&self) -> B256 {
        let info = rpc(self.text("/nodes/0/rpc"), "obscuro_network", json!([])).unwrap();
        serde_json::from_value(info["configHash"].clone()).unwrap()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.text("/dataDir").into()
    }

    pub fn network_file(&self) -> PathBuf {
        self.data_dir().join("network.json")
    }
}

/// The enclave of a node.
pub fn enclave(node: &str) -> Address {
    let status = rpc(node, "obscuro_status", json!([])).unwrap();
    serde_json::from_value(status["enclave"].clone()).unwrap()
}

/// Sends a call on L1 and waits until it has succeeded; the block.
pub fn send_l1(devnet: &Devnet, signer: PrivateKeySigner, to: &str, input: Vec<u8>) -> u64 {
    let (url, to) = (devnet.l1().parse().unwrap(), to.parse().unwrap());
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let l1 = ProviderBuilder::new().wallet(signer).connect_http(url);
            l1.client().set_poll_interval(Duration::from_millis(100));
            let call = TransactionRequest::default().with_to(to).with_input(input);
            let sent = l1.send_transaction(call).await.unwrap();
            let receipt = sent.get_receipt().await.unwrap();
            assert!(receipt.status(), "L1 transaction reverted");
            receipt.block_number.unwrap()
        })
    })
    .join()
    .unwrap()
}

/// A gateway of its own that holds no keys.
pub struct Gateway {
    pub process: Process,
    pub url: String,
}

impl Gateway {
    /// Starts one that asks the node at this URL.
    pub fn start(devnet: &Devnet, node: &str) -> Self {
        let network = devnet.network_file();
        let mut process = Process::spawn(
            "gateway",
            obscuro(&["gateway", "--listen", "127.0.0.1:0", "--l1", devnet.l1(), "--node", node])
                .arg("--network")
                .arg(network),
        );
        let url = process.await_line(|line| {
            line.split_whitespace().find(|word| word.starts_with("http://")).map(String::from)
        });
        Self { process, url }
    }
}

/// The folder of the client scripts; `None` if their packages are not installed.
pub fn clients() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    folder.join("node_modules").is_dir().then_some(folder)
}

/// Runs a client script and returns what it printed; panics if it fails.
pub fn run_client(script: &str, summary: &Value, environment: &[(&str, &str)]) -> String {
    let folder = clients().expect(
        "client packages are not installed: run scripts/test, or `npm ci` in cli/tests/clients",
    );
    let output = Command::new("node")
        .arg(folder.join(script))
        .current_dir(&folder)
        .env("DEVNET", summary.to_string())
        .envs(environment.iter().copied())
        .output()
        .expect("node runs");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{script} failed:\n{text}");
    text
}

/// A minimal JSON-RPC call over HTTP, for tests that need no client.
pub fn rpc(url: &str, method: &str, params: Value) -> Result<Value, Value> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let response = post(url, &body);
    match serde_json::from_str::<Value>(&response) {
        Ok(value) if value.get("error").is_some() => Err(value["error"].clone()),
        Ok(value) => Ok(value["result"].clone()),
        Err(_) => panic!("{url} answered {response:?}"),
    }
}

/// Posts JSON; what comes back, whatever it is.
pub fn post(url: &str, body: &str) -> String {
    let request = reqwest::Client::new().post(url).header("content-type", "application/json");
    answer(request.body(body.to_string()))
}

/// Gets what is at a URL, whatever it is.
pub fn get(url: &str) -> String {
    answer(reqwest::Client::new().get(url))
}

fn answer(request: reqwest::RequestBuilder) -> String {
    // A runtime of its own: tests are ordinary threads.
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { request.send().await.unwrap().text().await.unwrap() })
    })
    .join()
    .unwrap()
}

/// Asks again until `ready` holds; panics after a while.
pub fn eventually<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// Anvil from the client packages, on a free port.
pub struct Anvil {
    pub process: Process,
    pub url: String,
}

impl Anvil {
    pub fn start() -> Self {
        let folder = clients().expect("client packages are not installed: run scripts/test");
        let mut process = Process::spawn(
            "anvil",
            // The program itself: npm's launcher would outlive a SIGKILL as its parent.
            Command::new(native(&folder, "anvil")).args([
                "--hardfork",
                "osaka",
                "--block-time",
                "2",
                "--port",
                "0",
            ]),
        );
        let address =
            process.await_line(|line| line.trim().strip_prefix("Listening on ").map(String::from));
        assert!(TcpStream::connect(&address).is_ok());
        Self { process, url: format!("http://{address}") }
    }
}

/// A program of Foundry for this machine, from its npm package.
fn native(folder: &Path, tool: &str) -> PathBuf {
    let machine = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    };
    let system = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    folder.join(format!("node_modules/@foundry-rs/{tool}-{system}-{machine}/bin/{tool}"))
}

/// All files below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}
