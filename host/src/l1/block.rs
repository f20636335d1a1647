//! An L1 block as the enclave wants it: header, receipts if they may concern the management contract,
//! and the payloads of the rollups published in it, from calldata, blobs, the archive, or the archives
//! of other hosts when L1 has pruned them. Nothing here is trusted: the enclave checks all of it against the header. Not here: which blocks (`follower`).

use super::{L1Client, L1Error, L1Header};
use crate::{gossip::GossipHandle, storage::Storage};
use alloy_eips::{Encodable2718, eip4844::BYTES_PER_BLOB};
use alloy_primitives::{B256, BloomInput, Bytes, U256, keccak256};
use alloy_rpc_types_eth::{Log, TransactionReceipt};
use alloy_sol_types::{SolCall, SolEvent};
use futures::future::join_all;
use obscuro_protocol::{
    config::{Contracts, L1BlockId},
    door::{CarriedPayload, Carrier, L1Block},
    gossip::Wanted,
    l1::IRollupManagement::{RollupPublished, publishCall},
};
use std::{sync::Arc, time::Duration};
use tracing::warn;

/// Time for one host to give content before another is asked too.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of an ABI word.
const WORD: usize = 32;
/// Where the arguments of `publish` say where the payload is: behind the header's fields, each a word, the
/// signature's place and the lottery proof's.
const PAYLOAD_ARGUMENT: usize = (19 + 2) * WORD;

/// A block that can be fed.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Number and hash.
    pub id: L1BlockId,
    /// Hash of the parent.
    pub parent: B256,
    /// The header's fields.
    pub header: L1Header,
    /// What is fed.
    pub block: L1Block,
    /// Blobs in it, to be archived once the enclave has found them right.
    pub blobs: Vec<(B256, Bytes)>,
}

/// Gathers blocks.
#[derive(Clone)]
pub struct Gatherer {
    /// Where blocks come from.
    pub l1: Arc<L1Client>,
    /// Where payloads are archived.
    pub storage: Arc<Storage>,
    /// Who may have what L1 no longer gives.
    pub gossip: GossipHandle,
    /// Whose events matter.
    pub contracts: Contracts,
}

/// How much to trust what this node has itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thoroughness {
    /// Receipts only if the bloom asks for them; payloads from the archive if they are there.
    Usual,
    /// The enclave was not content: everything, and from L1.
    Fresh,
}

impl Gatherer {
    /// The block of a header; `None` if the node does not have it any more.
    pub async fn gather(
        &self,
        header: L1Header,
        thoroughness: Thoroughness,
    ) -> Result<Option<Fetched>, L1Error> {
        let is_fresh = thoroughness == Thoroughness::Fresh;
        let mut fetched = Fetched {
            id: L1BlockId { number: header.number(), hash: header.hash },
            parent: header.parent(),
            block: L1Block {
                header: alloy_rlp::encode(&header.fields).into(),
                receipts: None,
                payloads: Vec::new(),
            },
            header,
            blobs: Vec::new(),
        };
        if !is_fresh && !self.may_concern(&fetched.header) {
            return Ok(Some(fetched));
        }
        let Some(receipts) = self.l1.receipts(fetched.id.hash).await? else {
            return Ok(None);
        };
        for (log, event) in published(&receipts, &self.contracts) {
            let carrier = self.carrier(&mut fetched, &log, &event, is_fresh).await?;
            if let Some(carrier) = carrier {
                let rollup = event.rollup;
                fetched.block.payloads.push(CarriedPayload { rollup, carrier });
            }
        }
        fetched.block.receipts = Some(receipts.into_iter().map(consensus_form).collect());
        Ok(Some(fetched))
    }

    fn may_concern(&self, header: &L1Header) -> bool {
        may_concern(&self.contracts, header)
    }

    /// What carried the payload of a rollup; `None`, and a word in the log, if it is not to be had.
    async fn carrier(
        &self,
        fetched: &mut Fetched,
        log: &Log,
        event: &RollupPublished,
        is_fresh: bool,
    ) -> Result<Option<Carrier>, L1Error> {
        let carrier = if event.blobs.is_empty() {
            let payload = self.payload_of(log, event, is_fresh).await?;
            payload.map(Carrier::Calldata)
        } else {
            let blobs = self.blobs_of(&fetched.header, &event.blobs, is_fresh).await?;
            if let Some(blobs) = &blobs {
                let hashes = event.blobs.iter().copied();
                fetched.blobs.extend(hashes.zip(blobs.iter().cloned()));
            }
            blobs.map(Carrier::Blobs)
        };
        if carrier.is_none() {
            let (rollup, block) = (event.rollup, fetched.id.number);
            warn!(%rollup, block, "neither L1 nor other hosts give the rollup's payload");
        }
        Ok(carrier)
    }

    async fn payload_of(
        &self,
        log: &Log,
        event: &RollupPublished,
        is_fresh: bool,
    ) -> Result<Option<Bytes>, L1Error> {
        let hash = event.header.payloadHash;
        if !is_fresh && let Ok(Some(payload)) = self.storage.payload(hash) {
            return Ok(Some(payload));
        }
        let calldata = match log.transaction_hash {
            Some(transaction) => self.l1.calldata(transaction).await?,
            None => None,
        };
        let payload = match calldata.and_then(|calldata| find_payload(&calldata, event)) {
            Some(payload) => Some(payload),
            // Nodes need not keep old bodies (EIP-4444).
            None => self.gossip.pull(Wanted::Payload(hash), Vec::new(), PATIENCE).await,
        };
        if let Some(payload) = &payload
            && let Err(error) = self.storage.archive_payload(hash, payload)
        {
            warn!(%error, "the payload is not archived");
        }
        Ok(payload)
    }

    async fn blobs_of(
        &self,
        block: &L1Header,
        hashes: &[B256],
        is_fresh: bool,
    ) -> Result<Option<Vec<Bytes>>, L1Error> {
        let archived = || -> Option<Vec<Bytes>> {
            let blob = |hash: &B256| self.storage.blob(*hash).ok().flatten();
            hashes.iter().map(blob).collect()
        };
        if !is_fresh && let Some(blobs) = archived() {
            return Ok(Some(blobs));
        }
        let missing = match self.l1.beacon.blobs(block, hashes).await {
            Ok(Some(found)) => return Ok(Some(found)),
            // Pruned there, or the API is not where it is expected, or fails.
            missing => missing,
        };
        match archived() {
            Some(blobs) => Ok(Some(blobs)),
            None => match self.blobs_of_peers(hashes).await {
                Some(blobs) => Ok(Some(blobs)),
                None => missing,
            },
        }
    }

    /// Other hosts' copies, whose versioned hashes are right.
    async fn blobs_of_peers(&self, hashes: &[B256]) -> Option<Vec<Bytes>> {
        let pull = |hash: &B256| self.gossip.pull(Wanted::Blob(*hash), Vec::new(), PATIENCE);
        let blobs = join_all(hashes.iter().map(pull)).await;
        let whole = |bytes: Bytes| {
            let mut blob = bytes.to_vec();
            blob.resize(BYTES_PER_BLOB, 0);
            Bytes::from(blob)
        };
        blobs.into_iter().map(|found| found.map(whole)).collect()
    }
}

/// Whether a block may hold an event of the management contract; if not, its receipts are not needed.
pub fn may_concern(contracts: &Contracts, header: &L1Header) -> bool {
    [contracts.networkManagement, contracts.rollupManagement, contracts.bridgeManagement]
        .iter()
        .any(|contract| {
            let input = BloomInput::Raw(contract.as_slice());
            header.fields.logs_bloom.contains_input(input)
        })
}

/// The rollups published in a block, with the logs that say so.
fn published(
    receipts: &[TransactionReceipt],
    contracts: &Contracts,
) -> Vec<(Log, RollupPublished)> {
    let logs = receipts.iter().flat_map(|receipt| receipt.inner.logs());
    let ours = logs.filter(|log| log.address() == contracts.rollupManagement);
    let event = |log: &Log| Some((log.clone(), RollupPublished::decode_log(&log.inner).ok()?.data));
    ours.filter_map(event).collect()
}

fn consensus_form(receipt: TransactionReceipt) -> Bytes {
    let receipt = receipt.inner.map_logs(|log| log.inner);
    receipt.encoded_2718().into()
}

/// The payload in a transaction that published a rollup. The contract takes it from the transaction's own
/// input alone, so it is read like the contract reads it: whatever else the publisher wrote, what the
/// contract found is found here.
pub fn find_payload(calldata: &[u8], event: &RollupPublished) -> Option<Bytes> {
    let arguments = calldata.strip_prefix(&publishCall::SELECTOR)?;
    let word = |at: usize| -> Option<usize> {
        let (word, _) = arguments.get(at..)?.split_first_chunk::<WORD>()?;
        U256::from_be_bytes(*word).try_into().ok()
    };
    let start = word(PAYLOAD_ARGUMENT)?;
    let payload = arguments.get(start.checked_add(WORD)?..)?.get(..word(start)?)?;
    (keccak256(payload) == event.header.payloadHash).then(|| Bytes::copy_from_slice(payload))
}

#[cfg(test)]
mod tests {
    use super::*;
    use obscuro_protocol::rollup::RollupHeader;

    #[test]
    fn payloads_are_found_as_the_contract_finds_them() {
        let payload = Bytes::from_static(b"payload");
        let header =
            RollupHeader { payloadHash: keccak256(&payload), number: 3, ..Default::default() };
        let event = RollupPublished {
            rollup: header.hash(),
            aggregator: header.aggregator,
            header: header.clone(),
            signature: Bytes::new(),
            lotteryProof: Bytes::new(),
            blobs: Vec::new(),
        };
        let call = |payload: &Bytes| {
            let call = publishCall {
                header: header.clone(),
                signature: vec![1; 65].into(),
                lotteryProof: vec![1; 48].into(),
                payload: payload.clone(),
                answers: Vec::new(),
            };
            call.abi_encode()
        };
        let plain = call(&payload);
        // As in `test_publish_takesArgumentsInAnyLayout`: an answer, and a list that points back to it.
        let mut backward = plain.clone();
        let word = |value: U256| value.to_be_bytes::<WORD>();
        let list = plain.len() - 4 + 7 * WORD;
        let argument = 4 + PAYLOAD_ARGUMENT + WORD;
        backward[argument..][..WORD].copy_from_slice(&word(U256::from(list)));
        let answer = [0, 0, 0, 5 * WORD, 6 * WORD, 0, 0].map(U256::from);
        let list = [U256::ONE, U256::ZERO.wrapping_sub(U256::from(8 * WORD))];
        backward.extend(answer.into_iter().chain(list).flat_map(word));
        assert!(publishCall::abi_decode(&backward).is_err());
        let mut elsewhere = plain.clone();
        elsewhere[4 + PAYLOAD_ARGUMENT..][..WORD].fill(0xff);
        let cases = [
            ("plain", plain.clone(), true),
            ("more behind it", [&plain[..], &[0; 28]].concat(), true),
            ("an answer that lies before the list", backward, true),
            ("elsewhere", elsewhere, false),
            ("wrong payload", call(&Bytes::from_static(b"other")), false),
            ("not a call", plain[4..].to_vec(), false),
            ("truncated", plain[..4 + PAYLOAD_ARGUMENT + WORD].to_vec(), false),
            ("empty", Vec::new(), false),
        ];
        for (name, calldata, is_found) in cases {
            let found = find_payload(&calldata, &event);
            assert_eq!(found, is_found.then(|| payload.clone()), "{name}");
        }
    }
}
