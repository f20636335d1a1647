//! What joining takes: the time in which an enclave verifies a quote with what it read from L1, and
//! the L1 blocks from a registration until the newcomer serves. Not here: gas (`contracts/snapshots`).

use alloy_primitives::{B256, keccak256};
use alloy_provider::{Provider, ProviderBuilder};
use alloy_rpc_types_eth::Filter;
use alloy_sol_types::SolEvent;
use eyre::{OptionExt, Result};
use obscuro_devnet::{Devnet, DevnetOptions};
use obscuro_protocol::{
    attestation::{Registry, Tee, td_measurement},
    l1::INetworkManagement::{NodeRegistered, SeedShared},
};
use obscuro_software_tee::{Authority, Enclave, Profile, TrustDomain, policy};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

const ROUNDS: u32 = 200;
const NEWCOMERS: usize = 5;
const BLOCK_TIME: Duration = Duration::from_secs(1);
/// While the certificates of the software TEE are valid.
const TIME: u64 = 1_750_000_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// Prints the table.
pub fn run() -> Result<()> {
    verification()?;
    tokio::runtime::Runtime::new()?.block_on(serving())
}

fn verification() -> Result<()> {
    let authority = Authority::development();
    let machine = authority.machine(&B256::ZERO, Profile::CURRENT);
    let enclave = Enclave::new(keccak256("a program"));
    let domain = TrustDomain::new([1; 48], [[2; 48]; 4]);
    let programs = [enclave.measurement, td_measurement(&domain.mrtd, &domain.rtmr)];
    let mut registry = Registry::default();
    let mut events = authority.verifier_events(&programs, policy());
    events.push(authority.platform_event(&machine));
    events.into_iter().for_each(|event| registry.apply(event, authority.root_hash()));
    let quotes = [
        ("SGX", Tee::Sgx, enclave.report(&machine, &[3; 64])),
        ("TDX", Tee::Tdx, domain.report(&machine, &[3; 64])),
    ];
    println!("\nverifying a quote with what L1 said, best and mean of {ROUNDS}\n");
    for (name, tee, report) in quotes {
        let quote = machine.stripped_quote(tee, &report);
        let (mut best, begun) = (Duration::MAX, Instant::now());
        for _ in 0..ROUNDS {
            let one = Instant::now();
            black_box(registry.verify(black_box(&quote), 1, TIME)?);
            best = best.min(one.elapsed());
        }
        println!("{name:<8} {best:>10.2?} {:>10.2?}", begun.elapsed() / ROUNDS);
    }
    Ok(())
}

async fn serving() -> Result<()> {
    let options = DevnetOptions {
        aggregators: 1,
        verifiers: 0,
        l1_block_time: BLOCK_TIME,
        ..Default::default()
    };
    let mut devnet = Devnet::start(options, |_| {}).await?;
    println!("\nL1 blocks from the registration of a node to its seed and to its first answer\n");
    for _ in 0..NEWCOMERS {
        devnet.add_verifier().await?;
        let node = devnet.nodes.last().ok_or_eyre("no node")?;
        node.await_seed(PATIENCE).await.ok_or_eyre("a newcomer got no seed")?;
        let serves = node.status().l1.number;
        let l1 = ProviderBuilder::new().connect_http(devnet.summary.l1.rpc.parse()?);
        let contract = devnet.config.contracts.networkManagement;
        let enclave = node.enclave().into_word();
        let mut blocks = Vec::new();
        for event in [NodeRegistered::SIGNATURE_HASH, SeedShared::SIGNATURE_HASH] {
            let filter = Filter::new().address(contract).event_signature(event).topic1(enclave);
            let logs = l1.get_logs(&filter.from_block(0)).await?;
            blocks.push(logs.first().and_then(|log| log.block_number).ok_or_eyre("no event")?);
        }
        println!("seed {:>3}   serving {:>3}", blocks[1] - blocks[0], serves - blocks[0]);
    }
    devnet.stop().await;
    Ok(())
}
