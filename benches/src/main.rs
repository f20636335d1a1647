//! `cargo run --release -p obscuro-benches [build|rpc|joining|consensus]`: measures beside a peer in the same run and
//! prints tables with ratios. Machines differ: only the ratios mean something. Not here: limits in
//! tests; nothing asserts a time.

mod build;
mod consensus;
mod joining;
mod rpc;
mod workload;

#[path = "../../enclave/tests/harness/mod.rs"]
#[allow(dead_code, clippy::unwrap_used, missing_docs, reason = "made for tests")]
mod harness;

fn main() -> eyre::Result<()> {
    let part = std::env::args().nth(1).unwrap_or_default();
    if matches!(part.as_str(), "" | "build") {
        build::run()?;
    }
    if matches!(part.as_str(), "" | "rpc") {
        rpc::run()?;
    }
    if matches!(part.as_str(), "" | "joining") {
        joining::run()?;
    }
    if matches!(part.as_str(), "" | "consensus") {
        consensus::run()?;
    }
    Ok(())
}
