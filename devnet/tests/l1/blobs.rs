//! Blob transactions from the sender to the reader.

use alloy_consensus::{
    SidecarBuilder, SignableTransaction, SimpleCoder, TxEip4844, TxEip4844WithSidecar, TxEnvelope,
};
use alloy_eips::{
    Encodable2718,
    eip4844::{BYTES_PER_BLOB, kzg_to_versioned_hash},
    eip7594::BlobTransactionSidecarVariant,
};
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use alloy_provider::Provider;
use alloy_signer::SignerSync;
use obscuro_devnet::l1::{Chain, Config, Handle, Incoming, Mining, Refusal};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{GENESIS_TIME, config, http, served, signer};

/// As in the chain: no precomputation, which takes seconds.
fn settings() -> &'static c_kzg::KzgSettings {
    c_kzg::ethereum_kzg_settings(0)
}

fn builder(data: &[u8]) -> SidecarBuilder<SimpleCoder> {
    SidecarBuilder::from_slice(data)
}

fn cells(data: &[u8]) -> BlobTransactionSidecarVariant {
    builder(data).build_7594_with_settings(settings()).unwrap().into()
}

fn blob_tx(nonce: u64, sidecar: &BlobTransactionSidecarVariant) -> TxEip4844 {
    TxEip4844 {
        chain_id: config().chain_id,
        nonce,
        gas_limit: 100_000,
        max_fee_per_gas: 20_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        max_fee_per_blob_gas: 1_000_000_000,
        to: Address::repeat_byte(0xb1),
        value: U256::from(5),
        blob_versioned_hashes: sidecar.versioned_hashes().collect(),
        ..TxEip4844::default()
    }
}

fn raw(tx: TxEip4844, sidecar: BlobTransactionSidecarVariant) -> Bytes {
    let tx = TxEip4844WithSidecar::from_tx_and_sidecar(tx, sidecar);
    let signature = signer(0).sign_hash_sync(&tx.signature_hash()).unwrap();
    let signed: TxEnvelope = tx.into_signed(signature).into();
    signed.encoded_2718().into()
}

/// Status and body of an HTTP GET.
async fn get(l1: &Handle, path: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(l1.addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: l1\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

fn blobs(body: &Value) -> Vec<Vec<u8>> {
    let data = body["data"].as_array().unwrap();
    data.iter().map(|blob| hex::decode(blob.as_str().unwrap()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_travel_from_sender_to_reader() {
    let l1 = served(Mining::OnDemand).await;
    let provider = http(&l1, 0);
    let data: Vec<u8> = (0..150_000u32).map(|i| (i * 7) as u8).collect();
    let sidecar = cells(&data);
    assert_eq!(sidecar.blobs().len(), 2);
    let sent = raw(blob_tx(0, &sidecar), sidecar.clone());
    let pending = provider.send_raw_transaction(&sent).await.unwrap();
    let receipt = pending.get_receipt().await.unwrap();
    assert!(receipt.status());
    assert_eq!(receipt.blob_gas_used, Some(2 * 131_072));
    assert_eq!(receipt.blob_gas_price, Some(1));
    let block = provider.get_block_by_number(1.into()).full().await.unwrap().unwrap();
    assert_eq!(block.header.blob_gas_used, Some(2 * 131_072));
    let root = alloy_consensus::proofs::calculate_transaction_root(
        &block.transactions.txns().map(|tx| tx.inner.inner().clone()).collect::<Vec<_>>(),
    );
    assert_eq!(block.header.transactions_root, root, "without the sidecar");

    let child = l1.mine().unwrap();
    let beacon_root = child.header.parent_beacon_block_root.unwrap();
    let ids = ["1".to_owned(), beacon_root.to_string(), block.header.hash.to_string()];
    for id in ids {
        let (status, body) = get(&l1, &format!("/eth/v1/beacon/blobs/{id}")).await;
        assert_eq!(status, 200, "{id}");
        let fetched = blobs(&body);
        assert_eq!(fetched.len(), 2);
        for (blob, hash) in fetched.iter().zip(sidecar.versioned_hashes()) {
            assert_eq!(blob.len(), BYTES_PER_BLOB);
            let blob = c_kzg::Blob::from_bytes(blob).unwrap();
            let commitment = settings().blob_to_kzg_commitment(&blob).unwrap();
            assert_eq!(kzg_to_versioned_hash(commitment.as_slice()), hash);
        }
    }
    let second = sidecar.versioned_hashes().nth(1).unwrap();
    let path = format!("/eth/v1/beacon/blobs/1?versioned_hashes={second}");
    let (_, body) = get(&l1, &path).await;
    assert_eq!(blobs(&body), [sidecar.blobs()[1].to_vec()]);
    let (status, body) = get(&l1, "/eth/v1/beacon/blobs/head").await;
    assert_eq!((status, blobs(&body).len()), (200, 0));
    let errors = [
        ("/eth/v1/beacon/blobs/77", 404),
        ("/eth/v1/beacon/blobs/soon", 400),
        ("/eth/v1/beacon/blobs/1?versioned_hashes=0x12", 400),
        ("/eth/v1/beacon/other", 404),
    ];
    for (path, want) in errors {
        let (status, body) = get(&l1, path).await;
        assert_eq!((status, &body["code"]), (want, &want.into()), "{path}");
    }
    assert_eq!(get(&l1, "/eth/v1/beacon/genesis").await.0, 200);
    l1.stop().await;
}

#[test]
fn bad_sidecars_are_refused() {
    let sidecar = cells(b"some data");
    let tx = blob_tx(0, &sidecar);
    let decode = |tx: &TxEip4844, sidecar| Incoming::decode(&raw(tx.clone(), sidecar));
    assert!(decode(&tx, sidecar.clone()).is_ok());

    // The form before Osaka is taken, too.
    let old: BlobTransactionSidecarVariant =
        builder(b"some data").build_4844_with_settings(settings()).unwrap().into();
    assert!(decode(&tx, old).is_ok());

    let other = TxEip4844 { blob_versioned_hashes: vec![B256::repeat_byte(1)], ..tx.clone() };
    assert!(matches!(decode(&other, sidecar.clone()), Err(Refusal::BadSidecar(_))));
    let mut wrong = sidecar.clone().into_eip7594().unwrap();
    wrong.cell_proofs.swap(0, 1);
    assert!(matches!(decode(&tx, wrong.into()), Err(Refusal::BadSidecar(_))));
    let mut short = sidecar.clone().into_eip7594().unwrap();
    short.blobs.clear();
    short.cell_proofs.clear();
    assert!(matches!(decode(&tx, short.into()), Err(Refusal::BadSidecar(_))));
    let mut changed = sidecar.clone().into_eip7594().unwrap();
    changed.blobs[0][40] ^= 1;
    assert!(matches!(decode(&tx, changed.into()), Err(Refusal::BadSidecar(_))));
    let many = TxEip4844 { blob_versioned_hashes: vec![B256::repeat_byte(1); 7], ..tx.clone() };
    assert!(matches!(decode(&many, sidecar), Err(Refusal::TooManyBlobs { .. })));

    let signature = signer(0).sign_hash_sync(&tx.signature_hash()).unwrap();
    let bare: TxEnvelope = tx.into_signed(signature).into();
    assert_eq!(Incoming::decode(&bare.encoded_2718()).unwrap_err(), Refusal::NoSidecar);
}

#[test]
fn blob_transactions_survive_reorganisation_and_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut chain = Chain::open(config(), directory.path()).unwrap();
    let sidecar = cells(b"kept");
    let hash = sidecar.versioned_hashes().next().unwrap();
    let incoming = Incoming::decode(&raw(blob_tx(0, &sidecar), sidecar.clone())).unwrap();
    chain.submit(incoming).unwrap();
    let block = chain.mine(GENESIS_TIME + 1).unwrap();
    chain.reorg(1, Default::default()).unwrap();
    assert_eq!(chain.pool().len(), 1);
    let again = chain.mine(GENESIS_TIME + 2).unwrap();
    assert_eq!(again.transactions, block.transactions);
    drop(chain);
    // Nothing fits into memory: the file has it.
    let chain = Chain::open(Config { blob_bytes_max: 0, ..config() }, directory.path()).unwrap();
    assert_eq!(chain.blob(&hash).unwrap().to_vec(), sidecar.blobs()[0].as_slice());
    assert_eq!(chain.head().hash, again.hash);
}

#[test]
fn blobs_per_block_and_memory_are_bounded() {
    let mut chain = Chain::new(Config { blob_bytes_max: 4_000, ..config() }).unwrap();
    let mut hashes = Vec::new();
    for nonce in 0..4 {
        // Three blobs each: nine fit into a block.
        let data = vec![nonce as u8 + 1; 2 * 127_000 + 1_000];
        let sidecar = cells(&data);
        assert_eq!(sidecar.blobs().len(), 3);
        hashes.extend(sidecar.versioned_hashes());
        let tx = blob_tx(nonce, &sidecar);
        chain.submit(Incoming::decode(&raw(tx, sidecar)).unwrap()).unwrap();
    }
    let block = chain.mine(GENESIS_TIME + 1).unwrap();
    assert_eq!(block.transactions.len(), 3);
    assert_eq!(block.blob_hashes().count(), 9);
    let next = chain.mine(GENESIS_TIME + 2).unwrap();
    assert_eq!(next.blob_hashes().count(), 3);
    assert!(next.header.excess_blob_gas.unwrap() > 0);
    assert!(chain.blob(&hashes[0]).is_none(), "the oldest blob gave way");
    assert!(chain.blob(&hashes[11]).is_some());
}
