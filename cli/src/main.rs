//! `obscuro`: a table of contents; each command lives in its own file.

mod account;
mod bridge;
mod collateral;
mod date;
mod devnet;
mod force;
mod gateway;
mod membership;
mod network;
mod node;
mod rewards;
mod setup;
mod verdict;
mod verify;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A confidential layer 2 for Ethereum.
///
/// Start with `obscuro devnet`: a whole network on this machine, ready for a wallet.
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a whole network on this machine: L1, contracts, nodes, gateway, funded accounts
    Devnet(devnet::Arguments),
    /// Run one node: an untrusted host with its enclave in a process of its own
    Node(node::Arguments),
    /// Run a gateway: ordinary Ethereum JSON-RPC in, sealed envelopes out
    Gateway(gateway::Arguments),
    /// See how a network fares: members, programs, copies of the seed
    #[command(subcommand)]
    Network(network::Command),
    /// Move assets between L1 and L2
    #[command(subcommand)]
    Bridge(bridge::Command),
    /// Post a signed L2 transaction to L1, where no node can withhold it
    ForceTransaction(force::Arguments),
    /// What a node's owner has earned, and its payment
    #[command(subcommand)]
    Rewards(rewards::Command),
    /// Use an account without a wallet, and let a gateway read it
    #[command(subcommand)]
    Account(account::Command),
    /// Verify what others claim
    #[command(subcommand)]
    Verify(verify::Command),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    setup::logging();
    let result = match arguments.command {
        Command::Devnet(arguments) => devnet::run(arguments).await,
        Command::Node(arguments) => node::run(arguments).await,
        Command::Gateway(arguments) => gateway::run(arguments).await,
        Command::Network(command) => network::run(command).await,
        Command::Bridge(command) => bridge::run(command).await,
        Command::ForceTransaction(arguments) => force::run(arguments).await,
        Command::Rewards(command) => rewards::run(command).await,
        Command::Account(command) => account::run(command).await,
        Command::Verify(command) => verify::run(command).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", line(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error in one line, the cause last: it says what to do. Many errors name their cause already.
fn line(error: &eyre::Report) -> String {
    let causes = error.chain().skip(1).map(ToString::to_string);
    causes.fold(error.to_string(), |text, cause| {
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn a_cause_is_named_once() {
        let cause = std::io::Error::other("refused");
        let error = eyre::Report::new(cause).wrap_err("cannot ask: refused").wrap_err("no L1");
        assert_eq!(line(&error), "no L1: cannot ask: refused");
    }

    #[test]
    fn arguments_of_every_command_are_sound() {
        Arguments::command().debug_assert();
    }
}
