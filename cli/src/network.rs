//! `obscuro network`: how a network fares, from L1 alone. Not here: what can be
//! done about it (`collateral`, `verdict`), the events (`membership`), one
//! node in detail (`verify node`).

use crate::{
    collateral::{self, Publish},
    date,
    membership::{Network, Node, Source, Standing},
    verdict::{self, Verdict},
    verify::window,
};
use alloy_primitives::{Address, U256, utils::format_ether};
use clap::{Args, Subcommand};
use eyre::Result;
use serde_json::{Value, json};
use std::fmt;

/// Precedes everything that is said about a network without hardware.
pub const BANNER: &str =
    "DEVELOPMENT NETWORK: the attestation root is not Intel's: this network protects nothing.";

#[derive(Subcommand)]
pub enum Command {
    /// Members, programs, copies of the seed, pending joins, and what expires when
    Status(Status),
    /// Bring newer revocation lists and statements about TEEs to L1; anybody may
    Publish(Publish),
    /// Accuse the publisher of a rollup on a fork: its stake is frozen
    Accuse(verdict::Arguments),
    /// Have an accused publisher slashed, once no head but those on the rival's branch is alive
    Slash(verdict::Arguments),
    /// Withdraw an accusation of a rollup whose branch has survived, or that only lost a round
    Acquit(verdict::Arguments),
}

#[derive(Args)]
pub struct Status {
    #[command(flatten)]
    source: Source,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(command: Command) -> Result<()> {
    let arguments = match command {
        Command::Publish(arguments) => return collateral::publish(arguments).await,
        Command::Accuse(arguments) => return verdict::run(Verdict::Accuse, arguments).await,
        Command::Slash(arguments) => return verdict::run(Verdict::Slash, arguments).await,
        Command::Acquit(arguments) => return verdict::run(Verdict::Acquit, arguments).await,
        Command::Status(arguments) => arguments,
    };
    let network = arguments.source.read().await?;
    match arguments.json {
        true => println!("{:#}", json(&network)),
        false => print(&network),
    }
    Ok(())
}

/// How many nodes hold the seed. Who ever got it may keep it, and loses only later epochs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Copies {
    /// Members that hold the current seed.
    current: usize,
    /// Nodes that ever got one and have not left.
    live: usize,
    /// Nodes that got one and left.
    left: usize,
}

impl Copies {
    fn of(network: &Network) -> Self {
        let mut copies = Self::default();
        for node in network.nodes.values().filter(|node| node.had_seed) {
            let is_member = network.standing(node) == Standing::Member;
            copies.current += usize::from(is_member && network.holds_seed(node));
            copies.live += usize::from(node.left.is_none());
            copies.left += usize::from(node.left.is_some());
        }
        copies
    }
}

fn members(network: &Network) -> impl Iterator<Item = (&Address, &Node)> {
    network.nodes.iter().filter(|(_, node)| network.standing(node) == Standing::Member)
}

fn others(network: &Network) -> impl Iterator<Item = (&Address, &Node, Standing)> {
    let all = network.nodes.iter().map(|(enclave, node)| (enclave, node, network.standing(node)));
    all.filter(|(_, _, standing)| *standing != Standing::Member)
}

fn json(network: &Network) -> Value {
    let Copies { current, live, left } = Copies::of(network);
    let node = |enclave: &Address, node: &Node| {
        let proven = node.proven.as_ref().ok();
        json!({
            "enclave": enclave,
            "owner": node.owner,
            "role": network.role(node),
            "stake": node.stake.to_string(),
            "hostAddress": node.host_address,
            "measurement": proven.map(|proven| proven.measurement),
            "machine": proven.map(|proven| proven.machine),
            "tcbStatus": proven.map(|proven| proven.tcb_status),
            "registeredAt": node.registered,
            "attestedAt": node.attested,
            "countsUntil": network.counts_until(node),
            "seedEpoch": node.epoch,
            "holdsSeed": network.holds_seed(node),
            "leftAt": node.left,
            "slashedAt": node.slashed,
        })
    };
    let pending = members(network).filter(|(_, node)| !network.holds_seed(node));
    let others = others(network).map(|(enclave, other, standing)| {
        let mut shown = node(enclave, other);
        shown["reason"] = standing.to_string().into();
        shown
    });
    json!({
        "network": network.config_hash,
        "isIntelRoot": network.is_production(),
        "l1Block": network.block,
        "time": network.time,
        "withdrawalsSuspended": network.is_suspended,
        "members": members(network).map(|(enclave, member)| node(enclave, member)).collect::<Vec<_>>(),
        "others": others.collect::<Vec<_>>(),
        "measurements": network.registry.approvals().map(|(measurement, approval)| json!({
            "measurement": measurement,
            "approval": approval,
            "isActive": approval.is_active(network.block),
        })).collect::<Vec<_>>(),
        "seed": {
            "epoch": network.epoch(),
            "since": network.epochs.last(),
            "asked": network.asked.map(|(since, opener)| json!({ "since": since, "opener": opener })),
            "copies": { "current": current, "live": live, "left": left },
        },
        "pendingJoins": pending.map(|(enclave, node)| json!({
            "enclave": enclave,
            "waitsSince": node.waits_since,
        })).collect::<Vec<_>>(),
        "collateral": network.collateral.iter().map(|(what, expires)| json!({
            "what": what,
            "expires": expires,
        })).collect::<Vec<_>>(),
    })
}

fn print(network: &Network) {
    if !network.is_production() {
        println!("{BANNER}\n");
    }
    println!("Network {}", network.config_hash);
    println!("at L1 block {} ({})\n", network.block, date::format(network.time));
    if network.is_suspended {
        println!("ALARM: {SUSPENDED}");
    }
    print_seed(network);
    println!("\nMembers");
    for (enclave, node) in members(network) {
        let seed = match network.holds_seed(node) {
            true => "holds the seed".to_string(),
            false => format!("waits for the seed since block {}", node.waits_since),
        };
        println!("  {enclave}  {}, {seed}, stake {} OBX", network.role(node), obx(node.stake));
        print_proof(network, node);
    }
    for (number, (enclave, _, standing)) in others(network).enumerate() {
        if number == 0 {
            println!("\nNot members");
        }
        println!("  {enclave}  {standing}");
    }
    println!("\nPrograms");
    for (measurement, approval) in network.registry.approvals() {
        let state = if approval.is_active(network.block) { "" } else { ", not now" };
        println!("  {measurement}  {}{state}", window(approval));
    }
    println!("\nCollateral");
    for (what, expires) in &network.collateral {
        let state = if *expires < network.time { ", EXPIRED: publish newer" } else { "" };
        println!("  {what}  until {}{state}", date::format(*expires));
    }
}

/// Why withdrawals wait, in words.
pub const SUSPENDED: &str = "withdrawals are suspended: two branches of the rollup chain, each two rollups deep, are alive on L1; none is paid until one dies";

fn print_seed(network: &Network) {
    let Copies { current, live, left } = Copies::of(network);
    match network.epochs.last() {
        Some(since) => println!("Seed epoch {} since block {since}", network.epoch()),
        None => println!("No seed yet: the first node must register with `obscuro node --genesis`"),
    }
    match network.asked {
        Some((since, Address::ZERO)) => println!("  a new epoch is asked for since block {since}"),
        Some((since, opener)) => println!("  a new epoch is asked of {opener} since block {since}"),
        None => {}
    }
    println!(
        "  {current} members hold it; {live} nodes that ever got a seed have not left, {left} have"
    );
    let pending = members(network).filter(|(_, node)| !network.holds_seed(node)).count();
    println!("  {pending} pending joins");
}

fn print_proof(network: &Network, node: &Node) {
    if let Ok(proven) = &node.proven {
        println!("      program  {}", proven.measurement);
        println!("      machine  {}  {}", proven.machine, proven.tcb_status);
    }
    let age = network.block.saturating_sub(node.attested);
    let until = network.counts_until(node);
    println!(
        "      attested at block {}, {age} blocks ago; counts until block {until}",
        node.attested
    );
}

/// An amount of OBX in whole units.
pub fn obx(amount: U256) -> String {
    let text = format_ether(amount);
    let short = text.trim_end_matches('0').trim_end_matches('.');
    short.to_string()
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member => write!(f, "is a member"),
            Self::Left(block) => write!(f, "the node left in L1 block {block}"),
            Self::Slashed(block) => {
                write!(f, "the node was slashed in L1 block {block}: it published on a dead fork")
            }
            Self::Refused(error) => write!(f, "its quote on L1 is not acceptable: {error}"),
            Self::Lapsed(block) => {
                write!(f, "its attestation counted until L1 block {block}: it must attest again")
            }
            Self::Program(measurement) => write!(f, "program {measurement} is not approved now"),
            Self::Machine(machine) => write!(f, "machine {machine} was removed from the network"),
        }
    }
}
