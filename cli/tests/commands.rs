//! The commands for people without a wallet, through the binary: `account`, `force-transaction`, and
//! `bridge` to the wei. Not here: `rewards` (`economy`), wallets and scripts (`devnet`), nodes (`processes`).

mod support;

use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, U256, hex};
use alloy_provider::{Provider, ProviderBuilder};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolCall, SolValue, sol};
use obscuro_protocol::{
    contracts::{Contract, L2_BRIDGE},
    l1::IL2Bridge,
};
use serde_json::{Value, json};
use std::{fs, time::Duration};
use support::*;

const LIMIT: Duration = Duration::from_secs(60);

sol! {
    function balanceOf(address account) external view returns (uint256);
}

/// A small network whose only verifier is node 1.
fn network() -> Devnet {
    Devnet::start(&["--aggregators", "1", "--verifiers", "1"])
}

/// The line with which the command fails.
fn fail(arguments: &[&str]) -> String {
    let output = obscuro(arguments).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{arguments:?}");
    assert_eq!(text.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{text}");
    text
}

fn send<'a>(
    gateway: &'a str,
    [kind, key]: [&'a str; 2],
    to: &'a str,
    amount: &'a str,
) -> [&'a str; 10] {
    ["account", "send", "--gateway", gateway, kind, key, "--to", to, "--amount", amount]
}

#[test]
fn an_account_without_a_wallet() {
    let devnet = network();
    let gateway = devnet.gateway();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("account.key");
    let file = file.to_str().unwrap();

    let (made, _) = run(&["account", "new", "--out", file]);
    let address = made.split_whitespace().next().unwrap();
    assert!(fail(&["account", "new", "--out", file]).contains("cannot write"), "it is kept");
    let show = ["account", "show", address, "--gateway", gateway, "--json"];
    assert!(fail(&show).contains("obscuro account authorise"));

    run(&["account", "authorise", "--key-file", file, "--gateway", gateway]);
    let listed = json_of(&["account", "list", "--gateway", gateway, "--json"]);
    let own: Address = address.parse().unwrap();
    let listed: Vec<Address> = serde_json::from_value(listed).unwrap();
    assert!(listed.contains(&own));
    assert_eq!(json_of(&show), json!({ "address": address, "balance": "0", "nonce": 0 }));

    let exact = "1.000000000000000001";
    let (from, own_key) = (["--private-key", key(&devnet, 0)], ["--key-file", file]);
    let other = devnet.text("/accounts/1/address");
    run(&send(gateway, from, address, exact));
    assert_eq!(json_of(&show)["balance"], "1000000000000000001");
    // It can spend what it has, but nothing else.
    run(&send(gateway, own_key, other, "0.5"));
    assert_eq!(json_of(&show)["nonce"], 1);
    let error = fail(&send(gateway, own_key, other, "9"));
    assert!(error.contains("insufficient funds"), "{error}");

    // Nobody would hear of a transaction that a verifier takes.
    let at_verifier = Gateway::start(&devnet, devnet.text("/nodes/1/rpc"));
    let error = fail(&send(&at_verifier.url, from, address, "1"));
    assert!(error.contains("an aggregator's node"), "{error}");
}

/// No node is asked: only L1 is.
#[test]
fn a_transaction_forced_through_l1() {
    let devnet = network();
    let network = devnet.network_file();
    let chain_id: U256 = amount(&rpc(devnet.gateway(), "eth_chainId", json!([])).unwrap());
    let to = Address::repeat_byte(0xf0);
    let transfer = |nonce| signed(key(&devnet, 5), chain_id.to(), nonce, to, &[]);
    let command = |transaction: &str, account: usize| {
        let arguments = [
            ["force-transaction", transaction, "--network", network.to_str().unwrap()],
            ["--l1", devnet.l1(), "--private-key", key(&devnet, account)],
        ];
        arguments.as_flattened().iter().map(|text| text.to_string()).collect::<Vec<String>>()
    };
    let force = |transaction: &str, account, extra: &[&str]| {
        let command = command(transaction, account);
        run(&[&command.iter().map(String::as_str).collect::<Vec<_>>(), extra].concat())
    };
    let receipt = |hash: &Value| {
        eventually("a rollup executes it", LIMIT, || {
            let found = rpc(devnet.gateway(), "eth_getTransactionReceipt", json!([hash])).ok()?;
            (!found.is_null()).then_some(found)
        })
    };

    let (made, warned) = force(&transfer(0), 6, &["--json"]);
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!((&made["index"], warned.contains("warning")), (&json!(0), false));
    let executed = receipt(&made["transaction"]);
    assert_eq!(executed["status"], "0x1");
    let rollup = eventually("the verifier reaches the rollup", LIMIT, || {
        let number = json!([executed["blockNumber"]]);
        let found = rpc(&devnet.nodes()[1], "obscuro_rollup", number).ok()?;
        (!found.is_null()).then_some(found)
    });
    assert_eq!(rollup["forcedCursor"].as_u64(), Some(1), "the verifier has it from L1: {rollup}");
    let proof = rollup["l1ProofNumber"].as_u64().unwrap();
    assert!(proof >= made["l1Block"].as_u64().unwrap());

    // A copy of somebody, one that cannot be executed, and the next; from a file, by its own account.
    force(&transfer(0), 7, &[]);
    force(&transfer(9), 7, &[]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("next");
    fs::write(&file, transfer(1) + "\n").unwrap();
    let (said, warned) = force(file.to_str().unwrap(), 5, &[]);
    assert!(said.contains("index 3") && warned.contains("warning"), "{said} {warned}");
    let hash = said.split_whitespace().find(|word| word.len() == 66).unwrap();
    assert_eq!(receipt(&json!(hash))["status"], "0x1");

    for (transaction, reason) in [
        ("0x1234", "not a signed transaction"),
        ("/does/not/exist", "neither a signed transaction"),
        (&signed(key(&devnet, 5), 1, 2, to, &[]), "chain 1"),
    ] {
        let command = command(transaction, 6);
        let said = fail(&command.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(said.contains(reason), "{said}");
    }
}

/// One asset on its way: in by an account, out to an address that has nothing.
struct Journey<'a> {
    summary: &'a Value,
    network: &'a str,
    /// As a user names it.
    asset: &'a str,
    /// Its L1 contract; zero for ETH.
    address: Address,
    account: usize,
    recipient: Address,
}

const DEPOSIT: (&str, u128) = ("2.000000000000000003", 2_000_000_000_000_000_003);
const WITHDRAWAL: (&str, u128) = ("0.700000000000000009", 700_000_000_000_000_009);

impl Journey<'_> {
    fn text(&self, pointer: &str) -> &str {
        self.summary.pointer(pointer).and_then(Value::as_str).unwrap()
    }

    fn of_account(&self, what: &str) -> &str {
        self.text(&format!("/accounts/{}/{what}", self.account))
    }

    fn bridge(&self, command: &str, amount: &str, extra: &[&str]) -> (String, String) {
        let common = ["bridge", command, "--network", self.network, "--l1", self.text("/l1/rpc")];
        let asset = ["--asset", self.asset, "--amount", amount];
        let from = ["--private-key", self.of_account("privateKey")];
        run(&[&common[..], &asset, &from, extra].concat())
    }

    fn go(&self) {
        self.deposit();
        self.withdraw();
    }

    fn deposit(&self) {
        let before = self.on_l2();
        self.bridge("deposit", DEPOSIT.0, &[]);
        eventually("the deposit is credited", LIMIT, || {
            (self.on_l2() == before + U256::from(DEPOSIT.1)).then_some(())
        });
    }

    fn withdraw(&self) {
        let (recipient, node) = (self.recipient.to_string(), self.text("/nodes/0/rpc"));
        let before = self.on_l2();
        let gateway = ["--gateway", self.text("/gateway/rpc"), "--node", node, "--to", &recipient];
        let (_, progress) = self.bridge("withdraw", WITHDRAWAL.0, &gateway);
        assert_eq!(self.on_l1(self.recipient), U256::from(WITHDRAWAL.1), "{}", self.asset);
        let spent = before - self.on_l2();
        let fee = spent - U256::from(WITHDRAWAL.1);
        let pays_fee = self.asset == "OBX";
        assert_eq!(fee.is_zero(), !pays_fee, "{}: the rest is the fee, in OBX", self.asset);

        let rollup = progress.split(['(', ')']).find(|part| part.len() == 66).unwrap();
        let status = json_of(
            &[
                &["bridge", "status", "--network", self.network, "--l1", self.text("/l1/rpc")][..],
                &["--node", node, "--rollup", rollup, "--json"],
            ]
            .concat(),
        );
        let listed = status["withdrawals"].as_array().unwrap();
        let own = listed.iter().find(|listed| listed["to"] == recipient).unwrap();
        assert_eq!(amount(&own["amount"]), U256::from(WITHDRAWAL.1));
        assert_eq!(own["asset"], self.address.to_string());
        assert_eq!(own["executable"], true);
    }

    fn on_l1(&self, account: Address) -> U256 {
        if self.address.is_zero() {
            let balance = rpc(self.text("/l1/rpc"), "eth_getBalance", json!([account, "latest"]));
            return amount(&balance.unwrap());
        }
        balance_of(self.text("/l1/rpc"), self.address, account)
    }

    /// What the account has on L2 of the asset.
    fn on_l2(&self) -> U256 {
        let owner = self.of_account("address");
        let gateway = self.text("/gateway/rpc");
        if self.asset == "OBX" {
            return amount(&rpc(gateway, "eth_getBalance", json!([owner, "latest"])).unwrap());
        }
        let call = IL2Bridge::wrappedCall { asset: self.address };
        let token = call_contract(gateway, L2_BRIDGE, None, call);
        if token.is_zero() {
            return U256::ZERO;
        }
        balance_of(gateway, token, owner.parse().unwrap())
    }
}

fn balance_of(url: &str, token: Address, account: Address) -> U256 {
    call_contract(url, token, Some(account), balanceOfCall { account })
}

fn call_contract<C: SolCall>(url: &str, to: Address, from: Option<Address>, call: C) -> C::Return {
    let message = TransactionRequest { from, ..TransactionRequest::default().with_to(to) };
    let message = message.with_input(call.abi_encode());
    let output = rpc(url, "eth_call", json!([message, "latest"])).unwrap();
    C::abi_decode_returns(&hex::decode(output.as_str().unwrap()).unwrap()).unwrap()
}

/// An ERC-20 that the network knows nothing of; all of it belongs to the owner of the key.
#[tokio::main(flavor = "current_thread")]
async fn deploy_token(l1: &str, key: &str) -> Address {
    let signer: PrivateKeySigner = key.parse().unwrap();
    let supply = U256::from(10).pow(U256::from(24));
    let arguments = (signer.address(), supply, Address::ZERO).abi_encode_params();
    let code = [Contract::ObscuroToken.creation_code().as_ref(), &arguments].concat();
    let provider = ProviderBuilder::new().wallet(signer).connect_http(l1.parse().unwrap());
    let creation = TransactionRequest::default().with_deploy_code(code);
    let pending = provider.send_transaction(creation).await.unwrap();
    pending.get_receipt().await.unwrap().contract_address.unwrap()
}

#[test]
fn addresses_are_printed_with_their_checksums() {
    let devnet = network();
    assert_eq!(
        devnet.text("/accounts/0/address"),
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        "the best known development account"
    );
    let contracts = devnet.summary["contracts"].as_object().unwrap();
    let accounts = devnet.summary["accounts"].as_array().unwrap();
    let listed = json_of(&["account", "list", "--gateway", devnet.gateway(), "--json"]);
    let printed: Vec<&Value> = contracts
        .values()
        .chain(accounts.iter().map(|account| &account["address"]))
        .chain(listed.as_array().unwrap())
        .collect();
    assert!(printed.len() >= 4 + 2 * 10);
    for address in printed {
        assert!(Address::parse_checksummed(address.as_str().unwrap(), None).is_ok(), "{address}");
    }
}

#[test]
fn assets_cross_the_bridge_and_come_back() {
    let devnet = network();
    let network = devnet.network_file();
    let network = network.to_str().unwrap();
    let gold = deploy_token(devnet.l1(), key(&devnet, 4));
    let gold_name = gold.to_string();
    let obx: Address = devnet.text("/contracts/ObscuroToken").parse().unwrap();
    let status = || {
        json_of(
            &[
                &["bridge", "status", "--network", network, "--l1", devnet.l1()][..],
                &["--asset", &gold_name, "--json"],
            ]
            .concat(),
        )
    };
    let before = status();
    assert_eq!(before["suspended"], false);
    let assets = [("ETH", Address::ZERO, 2), ("OBX", obx, 3), (&*gold_name, gold, 4)];
    std::thread::scope(|scope| {
        for (asset, address, account) in assets {
            let recipient = Address::repeat_byte(0xc0 + account as u8);
            let summary = &devnet.summary;
            let journey = Journey { summary, network, asset, address, account, recipient };
            scope.spawn(move || journey.go());
        }
    });
    let after = status();
    for (asset, ..) in assets {
        let locked = |status: &Value| amount(&status["locked"][asset]);
        let difference = U256::from(DEPOSIT.1 - WITHDRAWAL.1);
        assert_eq!(locked(&after) - locked(&before), difference, "{asset}");
    }
}

#[test]
fn anybody_brings_collateral_to_l1() {
    let devnet = network();
    let vector = include_bytes!("../../vectors/attestation/sgx.json");
    let vector: Value = serde_json::from_slice(&vector[..]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let publish = |collateral: &Value| {
        let file = directory.path().join("collateral.json");
        std::fs::write(&file, collateral.to_string()).unwrap();
        let network = devnet.network_file();
        let paths = [network.to_str().unwrap(), file.to_str().unwrap()];
        let mut arguments = vec!["network", "publish", "--network", paths[0], paths[1]];
        arguments.extend(["--l1", devnet.l1(), "--private-key", key(&devnet, 0)]);
        run(&arguments).0
    };
    let told = publish(&vector["collateral"]);
    println!("{told}");
    for what in ["root CRL", "PCK CA", "TCB signer", "PCK CRL"] {
        assert!(told.contains(&format!("{what}: L1 has this or a newer one\n")), "{told}");
    }
    for what in ["TCB info", "QE identity"] {
        assert!(told.contains(&format!("{what}: published in L1 block ")), "{told}");
    }
    let mut spoilt = vector["collateral"].clone();
    spoilt["tcbInfo"] = json!("{}");
    let told = publish(&spoilt);
    assert!(told.contains("TCB info: not taken: "), "{told}");
}
