//! A forger with a stolen enclave key in a whole network: its fork suspends withdrawals and costs its stake,
//! and whoever is accused without guilt is acquitted; by the nodes themselves, and by command. Not here:
//! long histories (`simulator`), the contract's edges (`contracts/test/Slashing.t.sol`).

mod support;

use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_provider::{Provider, ProviderBuilder};
use alloy_rpc_types_eth::{Filter, TransactionRequest};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolCall, SolEvent};
use futures::StreamExt;
use obscuro_devnet::{Devnet, DevnetOptions, accounts};
use obscuro_enclave::device::Device;
use obscuro_host::storage::Storage;
use obscuro_protocol::{
    envelope,
    l1::{
        IBridgeManagement::withdrawCall,
        INetworkManagement::{NodeSlashed, isAggregatorCall},
        IRollupManagement::{Accused, Acquitted, RollupPublished, isSuspendedCall, publishCall},
    },
    rollup::{RollupHeader, Withdrawal, signing_domain, withdrawals_root},
    wire,
};
use obscuro_software_tee::SoftwareDevice;
use serde::Deserialize;
use serde_json::Value;
use std::{path::PathBuf, process::Output, time::Duration};
use support::obscuro;

const LIMIT: Duration = Duration::from_secs(240);
/// The aggregator that is broken open.
const FORGER: usize = 2;

/// The clear form of a sealed identity, as `enclave/src/identity.rs` writes it, as far as it is needed.
#[derive(Deserialize)]
struct Identity {
    signing: [u8; 32],
    _encryption: [u8; 32],
    _lottery: [u8; 32],
    _seeds: Vec<[u8; 32]>,
}

struct Forger<P> {
    devnet: Devnet,
    l1: P,
    key: PrivateKeySigner,
}

async fn start(prosecutes: bool) -> Forger<impl Provider + Clone> {
    let options = DevnetOptions {
        verifiers: 0,
        l1_block_time: Duration::from_secs(1),
        prosecutes,
        ..Default::default()
    };
    let mut devnet = Devnet::start(options, |_| {}).await.unwrap();
    let node = devnet.nodes.remove(FORGER);
    let enclave = node.enclave();
    node.stop().await;
    let key = steal(&devnet);
    assert_eq!(key.address(), enclave);
    let client = obscuro_host::l1::connect(&devnet.summary.l1.ws).await.unwrap();
    let l1 =
        ProviderBuilder::new().wallet(accounts::operator(FORGER as u32)).connect_client(client);
    Forger { devnet, l1, key }
}

/// What a broken TEE gives away.
fn steal(devnet: &Devnet) -> PrivateKeySigner {
    let directory = devnet.summary.data_dir.join(format!("node-{FORGER}"));
    let config_hash = devnet.config.hash();
    let storage = Storage::open(&directory.join("database"), config_hash).unwrap();
    let sealed = storage.identity().unwrap().expect("an identity was sealed");
    let device = SoftwareDevice::open(&directory.join("sealing-key")).unwrap();
    let clear = envelope::open(&device.sealing_key(), &sealed, config_hash.as_slice()).unwrap();
    let identity: Identity = wire::decode(&clear, clear.len()).unwrap();
    PrivateKeySigner::from_slice(&identity.signing).unwrap()
}

impl<P: Provider + Clone> Forger<P> {
    /// Publishes a rollup that pays the thief.
    async fn publish(&self, parent: B256, number: u64) -> B256 {
        let config = &self.devnet.config;
        let proof = self.l1.get_block_by_number(Default::default()).await.unwrap().unwrap().header;
        let payload = Bytes::from_static(b"no payload");
        let header = RollupHeader {
            version: 2,
            parent,
            number,
            l1Proof: proof.hash,
            l1ProofNumber: proof.number,
            aggregator: self.key.address(),
            timestamp: proof.timestamp,
            withdrawalsRoot: withdrawals_root(&[self.loot()]),
            payloadHash: keccak256(&payload),
            ..Default::default()
        };
        let domain = signing_domain(config.l1ChainId, config.contracts.rollupManagement);
        let signature = self.key.sign_hash_sync(&header.signing_hash(&domain)).unwrap();
        let rollup = header.hash();
        let call = publishCall {
            header,
            signature: signature.as_bytes().into(),
            lotteryProof: vec![0; 48].into(),
            payload,
            answers: Vec::new(),
        };
        let request = TransactionRequest::default()
            .with_to(config.contracts.rollupManagement)
            .with_input(call.abi_encode());
        let receipt = self.l1.send_transaction(request).await.unwrap().get_receipt().await.unwrap();
        assert!(receipt.status());
        rollup
    }

    fn loot(&self) -> Withdrawal {
        let asset = self.devnet.config.contracts.obscuroToken;
        Withdrawal { index: 1_000_000, asset, to: Address::repeat_byte(0xba), amount: U256::ONE }
    }

    /// A branch of two forged rollups on the newest canonical one: idle nodes publish the next in some blocks.
    async fn fork(&self) -> (u64, [B256; 2]) {
        let head = self.devnet.nodes[0].subscribe().recv().await.unwrap();
        let (parent, number) = (head.hash(), head.number);
        let first = self.publish(parent, number + 1).await;
        (number + 2, [first, self.publish(first, number + 2).await])
    }

    async fn call<C: SolCall>(&self, to: Address, call: C) -> Result<C::Return, String> {
        let request = TransactionRequest::default().with_to(to).with_input(call.abi_encode());
        let answer = self.l1.call(request).await.map_err(|error| error.to_string())?;
        Ok(C::abi_decode_returns(&answer).unwrap())
    }

    async fn is_suspended(&self) -> bool {
        let to = self.devnet.config.contracts.rollupManagement;
        self.call(to, isSuspendedCall {}).await.unwrap()
    }

    async fn is_paid(&self, rollup: B256) -> bool {
        let Withdrawal { index, asset, to, amount } = self.loot();
        let call = withdrawCall { rollup, index, asset, to, amount, proof: Vec::new() };
        self.call(self.devnet.config.contracts.bridgeManagement, call).await.is_ok()
    }

    async fn is_aggregator(&self) -> bool {
        let call = isAggregatorCall { enclave: self.key.address() };
        self.call(self.devnet.config.contracts.networkManagement, call).await.unwrap()
    }

    /// The events of a kind so far.
    async fn events<E: SolEvent>(&self) -> Vec<E> {
        let filter = Filter::new().event_signature(E::SIGNATURE_HASH).from_block(0);
        let logs = self.l1.get_logs(&filter).await.unwrap();
        logs.iter().map(|log| E::decode_log(&log.inner).unwrap().data).collect()
    }

    /// Waits, L1 block by L1 block, until there is what is looked for.
    async fn until<T>(&self, what: &str, find: impl AsyncFn() -> Option<T>) -> T {
        let mut blocks = self.l1.subscribe_blocks().await.unwrap().into_stream();
        let wait = async {
            loop {
                if let Some(found) = find().await {
                    return found;
                }
                blocks.next().await.expect("L1 goes on");
            }
        };
        tokio::time::timeout(LIMIT, wait).await.unwrap_or_else(|_| panic!("waited for {what}"))
    }

    /// The first honest rollup that stands as far above the fork as the forged one of this number.
    async fn honest_at(&self, number: u64) -> RollupHeader {
        self.until("the honest answer", async || {
            let published = self.events::<RollupPublished>().await;
            let honest = |event: &RollupPublished| {
                event.header.number == number && event.aggregator != self.key.address()
            };
            published.into_iter().find(honest).map(|event| event.header)
        })
        .await
    }

    /// `obscuro network …` about a rollup and a rival.
    fn command(&self, verb: &str, rollup: B256, rival: B256) -> Output {
        let network: PathBuf = self.devnet.summary.data_dir.join("network.json");
        let key = alloy_primitives::hex::encode(accounts::accounts()[0].to_bytes());
        let mut command = obscuro(&["network", verb, &rollup.to_string(), &rival.to_string()]);
        command.args(["--l1", &self.devnet.summary.l1.rpc, "--private-key", &key, "--json"]);
        command.arg("--network").arg(network).output().unwrap()
    }

    fn says(&self, verb: &str, rollup: B256, rival: B256) -> Value {
        let output = self.command(verb, rollup, rival);
        assert!(output.status.success(), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn refuses(&self, verb: &str, rollup: B256, rival: B256) -> String {
        let output = self.command(verb, rollup, rival);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_have_a_forger_slashed_and_acquit_themselves() {
    let forger = start(true).await;
    let (height, [first, second]) = forger.fork().await;
    let honest = forger.honest_at(height).await;
    forger.until("suspension", async || forger.is_suspended().await.then_some(())).await;
    assert!(!forger.is_paid(first).await);
    // Somebody accuses an honest publisher while it is not clear who survives.
    let accused = forger.says("accuse", honest.hash(), second);
    assert_eq!(accused["enclave"], serde_json::json!(honest.aggregator));

    let slashed = forger
        .until("the verdict", async || forger.events::<NodeSlashed>().await.into_iter().next())
        .await;
    assert_eq!(slashed.enclave, forger.key.address());
    let operators: Vec<Address> = (0..2).map(|node| accounts::operator(node).address()).collect();
    assert!(operators.contains(&slashed.accuser), "an honest node accused it");
    assert!(!forger.is_aggregator().await);
    let acquitted = forger
        .until("the acquittal", async || forger.events::<Acquitted>().await.into_iter().next())
        .await;
    assert_eq!(acquitted.rollup, honest.hash());
    let accusations = forger.events::<Accused>().await;
    assert_eq!(accusations.len(), 2, "one of the forger, one of the honest node");
    assert!(!forger.is_suspended().await);
    assert!(!forger.is_paid(first).await && !forger.is_paid(second).await);
    forger.devnet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_accuse_slash_and_acquit() {
    let forger = start(false).await;
    let (height, [first, second]) = forger.fork().await;
    let honest = forger.honest_at(height).await;
    let sibling = honest.parent;
    let unknown = B256::repeat_byte(1);
    assert!(forger.refuses("accuse", unknown, sibling).contains("was never published"));
    assert!(forger.refuses("accuse", second, first).contains("do not show that"));

    // By the contradiction with its sibling: the honest answer passed it over.
    assert_eq!(forger.says("accuse", first, sibling)["outcome"], "accused");
    assert_eq!(forger.says("accuse", honest.hash(), second)["outcome"], "accused");
    assert!(forger.refuses("slash", first, sibling).contains("must stand until L1 block"));
    assert!(forger.refuses("acquit", honest.hash(), honest.hash()).contains("is alive"));
    forger
        .until("the end of the fork", async || (!forger.is_suspended().await).then_some(()))
        .await;
    let died = async || forger.command("slash", first, sibling).status.success().then_some(());
    forger.until("the verdict", died).await;
    assert!(!forger.is_aggregator().await);
    assert_eq!(forger.says("acquit", honest.hash(), honest.hash())["outcome"], "acquitted");
    assert_eq!(forger.events::<Accused>().await.len(), 2, "nodes leave it to people");
    forger.devnet.stop().await;
}
