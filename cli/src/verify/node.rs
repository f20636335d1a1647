//! `obscuro verify node`: what a node runs, against the contract. Nothing that the node says counts
//! but its quote. Not here: the network as L1 shows it (`membership`).

use super::{line, meaning, print_json};
use crate::{
    date,
    membership::{Network, Node, Source, Standing},
    network::{BANNER, obx},
};
use alloy_primitives::{Address, B256};
use alloy_provider::{Provider, ProviderBuilder, RootProvider};
use clap::Args;
use eyre::{Context, Result, ensure, eyre};
use obscuro_host::rpc::NodeProof;
use obscuro_protocol::attestation::{Approval, Attested, Challenge, Tee};
use serde_json::{Value, json};

#[derive(Args)]
pub struct Arguments {
    /// The node to ask for a fresh quote, or the address of an enclave whose quote on L1 is to be
    /// verified again
    #[arg(value_name = "URL|ADDRESS")]
    node: String,
    #[command(flatten)]
    source: Source,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was found out.
struct Finding<'a> {
    network: &'a Network,
    enclave: Address,
    node: &'a Node,
    attested: Attested,
    is_fresh: bool,
}

pub async fn run(arguments: Arguments) -> Result<()> {
    let network = arguments.source.read().await?;
    let verdict = match arguments.node.parse() {
        Ok(enclave) => recorded(&network, enclave),
        Err(_) => fresh(&network, &arguments.node).await,
    };
    match &verdict {
        Ok(finding) if arguments.json => print_json(&finding.json()),
        Ok(finding) => finding.print(),
        Err(error) if arguments.json => {
            print_json(&json!({ "accepted": false, "reason": crate::line(error) }));
        }
        Err(_) => {}
    }
    verdict.map(|_| ())
}

/// Verifies the last quote on L1 of an enclave as of now: with the newest collateral.
fn recorded(network: &Network, enclave: Address) -> Result<Finding<'_>> {
    let node = registration(network, enclave)?;
    let attested = network.registry.verify(&node.quote, network.block, network.time);
    let attested = attested.map_err(refused)?;
    attested.check_report_data(node.report_data).map_err(refused)?;
    Ok(Finding { network, enclave, node, attested, is_fresh: false })
}

/// Asks a node for a quote that nobody can have made before.
async fn fresh<'a>(network: &'a Network, url: &str) -> Result<Finding<'a>> {
    let mut challenge = B256::ZERO;
    getrandom::fill(challenge.as_mut_slice()).map_err(|error| eyre!("no randomness: {error}"))?;
    let NodeProof { enclave, quote, .. } = prove(url, challenge).await?;
    let attested = network.registry.verify(&quote, network.block, network.time);
    let attested = attested.map_err(refused)?;
    let expected = Challenge { enclave, config_hash: network.config_hash, challenge };
    attested.check_report_data(expected.hash()).map_err(|_| {
        eyre!(
            "refused: the quote is not about this challenge, enclave {enclave} and network {}",
            network.config_hash
        )
    })?;
    let node = registration(network, enclave)?;
    if let Ok(known) = &node.proven {
        ensure!(
            (known.measurement, known.machine) == (attested.measurement, attested.machine),
            "refused: L1 lists program {} on machine {}, but program {} runs on machine {}",
            known.measurement,
            known.machine,
            attested.measurement,
            attested.machine
        );
    }
    Ok(Finding { network, enclave, node, attested, is_fresh: true })
}

async fn prove(url: &str, challenge: B256) -> Result<NodeProof> {
    let client = obscuro_host::l1::connect(url).await.wrap_err_with(|| {
        format!("{url} is neither the address of an enclave nor the URL of a node")
    })?;
    let node: RootProvider = ProviderBuilder::default().connect_client(client);
    node.raw_request("obscuro_prove".into(), [challenge])
        .await
        .wrap_err_with(|| format!("the node at {url} does not prove what it runs"))
}

/// The registration of an enclave, which must count.
fn registration(network: &Network, enclave: Address) -> Result<&Node> {
    let node = network.nodes.get(&enclave);
    let node = node.ok_or_else(|| eyre!("refused: enclave {enclave} is not registered on L1"))?;
    match network.standing(node) {
        Standing::Member => Ok(node),
        other => Err(eyre!("refused: {other}")),
    }
}

fn refused(reason: impl std::fmt::Display) -> eyre::Report {
    eyre!("refused: {reason}")
}

impl Finding<'_> {
    fn approval(&self) -> Approval {
        let approval = self.network.registry.approval(self.attested.measurement);
        approval.unwrap_or(Approval { activation: 0, sunset: 0 })
    }

    fn json(&self) -> Value {
        let Self { network, enclave, node, attested, is_fresh } = self;
        json!({
            "accepted": true,
            "isIntelRoot": network.is_production(),
            "isFresh": is_fresh,
            "l1Block": network.block,
            "time": network.time,
            "network": network.config_hash,
            "enclave": enclave,
            "owner": node.owner,
            "approval": self.approval(),
            "attested": attested,
            "attestedAt": node.attested,
            "countsUntil": network.counts_until(node),
            "registeredAt": node.registered,
            "role": network.role(node),
            "stake": node.stake.to_string(),
            "seedEpoch": network.epoch(),
            "holdsSeed": network.holds_seed(node),
        })
    }

    fn print(&self) {
        let Self { network, enclave, node, attested, is_fresh } = self;
        if !network.is_production() {
            println!("{BANNER}\n");
        }
        let (tee, measured) = match attested.tee {
            Tee::Sgx => ("an SGX enclave", "MRENCLAVE"),
            Tee::Tdx => ("a TDX trust domain", "hash of MRTD and RTMR0 to RTMR3"),
        };
        let how = match is_fresh {
            true => "The node proved it now, by a fresh quote",
            false => "Its quote on L1 still holds",
        };
        println!("{how}, at L1 block {} ({}):\n", network.block, date::format(network.time));
        line("enclave", enclave.to_string());
        line("owner", node.owner.to_string());
        line("TEE", tee.to_string());
        line("program", format!("{} ({measured})", attested.measurement));
        line("", format!("approved {}", window(self.approval())));
        line("machine", attested.machine.to_string());
        line("platform", format!("{}: {}", attested.tcb_status, meaning(attested.tcb_status)));
        let age = network.block.saturating_sub(node.attested);
        let until = network.counts_until(node);
        line(
            "attested on L1",
            format!("at block {}, {age} blocks ago; counts until block {until}", node.attested),
        );
        line("role", network.role(node).to_string());
        line("stake", format!("{} OBX", obx(node.stake)));
        line(
            "seed",
            match network.holds_seed(node) {
                true => format!("holds it (epoch {})", network.epoch()),
                false => format!("waits for it since block {}", node.waits_since),
            },
        );
        line("collateral until", date::format(attested.expires));
    }
}

/// When a program counts, in words.
pub fn window(approval: Approval) -> String {
    match approval {
        Approval { activation, sunset: 0 } => format!("from L1 block {activation} on"),
        Approval { activation, sunset } => {
            format!("from L1 block {activation} until before {sunset}")
        }
    }
}
