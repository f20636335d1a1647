//! The payload archive: a node that joins after L1 has pruned its blobs gets them from other hosts. Not
//! here: hosts that lie (`obscuro-host`'s tests of `pull` and `gossip`).

use alloy_primitives::B256;
use obscuro_devnet::{Devnet, DevnetOptions};
use obscuro_host::{l1, node::NodeHandle, publisher::CarrierPolicy};
use serde_json::Value;
use std::time::Duration;

/// Proofs for blobs take seconds without optimisation.
const LIMIT: Duration = Duration::from_secs(240);
/// Rollups to travel in blobs before they are pruned.
const ROLLUPS: u64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_new_verifier_syncs_from_peers_after_l1_has_pruned_its_blobs() {
    let options = DevnetOptions {
        aggregators: 1,
        verifiers: 0,
        l1_block_time: Duration::from_secs(1),
        carrier: CarrierPolicy::Blobs,
        ..Default::default()
    };
    let mut devnet = Devnet::start(options, |_| {}).await.unwrap();
    devnet.nodes[0].await_rollup(ROLLUPS, LIMIT).await.expect("rollups keep coming");
    let hashes = blobs(&devnet);
    assert!(!hashes.is_empty(), "rollups travel in blobs");
    let l1 = devnet.l1.as_ref().unwrap();
    l1.with_chain(|chain| {
        let head = chain.head().number();
        chain.prune_blobs(head);
    });
    assert!(l1.with_chain(|chain| hashes.iter().all(|hash| chain.blob(hash).is_none())));

    devnet.add_verifier().await.unwrap();
    let [first, late] = &devnet.nodes[..] else { panic!("two nodes") };
    late.await_seed(LIMIT).await.expect("the newcomer is given the seed");
    let number = first.status().rollup.number;
    late.await_rollup(number, LIMIT).await.expect("the newcomer catches up");
    assert_eq!(rollup(late, number).await, rollup(first, number).await);
    devnet.stop().await;
}

/// The versioned hashes of all blobs on L1.
fn blobs(devnet: &Devnet) -> Vec<B256> {
    let l1 = devnet.l1.as_ref().unwrap();
    l1.with_chain(|chain| {
        let blocks = (0..=chain.head().number()).filter_map(|number| chain.tree().at(number));
        blocks.flat_map(|block| block.blob_hashes()).collect()
    })
}

/// A rollup as a node shows it, with its state root.
async fn rollup(node: &NodeHandle, number: u64) -> Value {
    let client = l1::connect(&format!("http://{}", node.rpc_addr())).await.unwrap();
    let rollup: Value = client.request("obscuro_rollup", (format!("{number:#x}"),)).await.unwrap();
    assert!(rollup["stateRoot"].is_string(), "{rollup}");
    rollup
}
