//! Rollups: judging those of others, building and sealing this enclave's own (protocol 5). Not
//! here: execution (`ledger`), and when a judgement is asked for (`node`).

use crate::{
    blobs,
    chain::Verdict,
    device::{self, Device, Entropy},
    epochs::NetworkKeys,
    executor::Block,
    forced::Due,
    ledger::{Body, Candidate, Ledger, OnReject},
    node::{Node, Surroundings},
    pool::Pooled,
    trie::NodeStore,
    view::{Rollup, View},
};
use alloy_consensus::{Transaction, TxEnvelope};
use alloy_eips::Decodable2718;
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_sol_types::SolStruct;
use obscuro_protocol::{
    checks::Checks,
    contracts::FEE_POOL,
    door::{Carrier, DoorError, ExecutionProof, L1Block, Retry},
    l1::{Executed, IRollupManagement::RollupPublished},
    limits::{PAYLOAD_BYTES_MAX, PROOF_AGE_BLOCKS_MAX, ROLLUP_BLOBS_MAX, TRANSACTION_BYTES_MAX},
    lottery::{self, Draw},
    payload::{self, Item, Payload, PayloadError},
    rollup::{RollupHeader, SignedRollup, Withdrawal, signing_domain},
};
use std::sync::{Arc, atomic::Ordering};

/// How often a rollup is built because its payload came out too long; the last time, with nothing but what is
/// forced.
const BUILD_ATTEMPTS_MAX: usize = 5;
/// Most raw transaction bytes that are tried, however well they compress.
const BUILD_BYTES_MAX: usize = 4 * 1024 * 1024;

impl Node {
    /// Whether a published rollup is valid on this branch of L1 (protocol 5.4).
    pub(crate) fn judge_published(
        &self,
        event: &RollupPublished,
        parent: &View,
        block: &L1Block,
        around: Surroundings<'_>,
    ) -> Result<Option<Arc<Rollup>>, DoorError> {
        let header = &event.header;
        if is_too_old(header, parent) {
            return Ok(None);
        }
        let proof = self.chain.read().ancestor(parent, header.l1ProofNumber, header.l1Proof);
        // What is not known here may be known to others.
        let proof = proof.map_err(|_| DoorError::Retry(Retry::L1Block(header.l1Proof)))?;
        // What is proven by a block of a lost epoch could be read by nobody else.
        let Some(proof) = proof.filter(|proof| !proof.is_blind) else { return Ok(None) };
        let claim = Claim { header, signature: &event.signature, lottery: &event.lotteryProof };
        if self.check_context(claim, &proof).is_err() {
            return Ok(None);
        }
        let hash = header.hash();
        let known = self.chain.read().verdict(hash);
        if let (Some(verdict), true) = (&known, event.blobs.is_empty()) {
            return Ok(verdict.clone().valid());
        }
        // What blobs hold is L1's to say, not the header's: it is looked at on every branch, also
        // for a rollup that gossip brought before.
        let Some(payload) = carried_payload(event, hash, block)? else { return Ok(None) };
        let verdict = match known {
            Some(verdict) => verdict,
            None => self.judge(claim, &payload, &proof, &self.keys_at(&proof)?, around)?,
        };
        self.chain.write().judge(hash, header.number, verdict.clone());
        Ok(verdict.valid())
    }

    /// A peer's candidate: judged ahead of its inclusion, if it is among the first of its aggregator in
    /// the round. What a broken TEE signs beyond that costs nobody more than a signature.
    pub fn candidate(
        &self,
        rollup: &SignedRollup,
        around: Surroundings<'_>,
    ) -> Result<(), DoorError> {
        let header = &rollup.header;
        let proof = self.chain.read().view(header.l1Proof);
        let proof = proof.ok_or(DoorError::Retry(Retry::L1Block(header.l1Proof)))?;
        let keys = self.keys_at(&proof)?;
        let claim = Claim { header, signature: &rollup.signature, lottery: &rollup.lottery_proof };
        self.check_context(claim, &proof).map_err(DoorError::Rejected)?;
        if keccak256(&rollup.payload) != header.payloadHash {
            return Err(DoorError::Rejected("payload does not match the header".into()));
        }
        let hash = header.hash();
        let known = self.chain.read().verdict(hash);
        let verdict = match known {
            Some(verdict) => verdict,
            None => {
                if !self.chain.write().admits(header) {
                    return Err(DoorError::Retry(Retry::Rollup(hash)));
                }
                let verdict = self.judge(claim, &rollup.payload, &proof, &keys, around)?;
                self.chain.write().judge(hash, header.number, verdict.clone());
                verdict
            }
        };
        match verdict {
            Verdict::Valid(_) => Ok(()),
            Verdict::Invalid(reason) => Err(DoorError::Rejected(reason)),
        }
    }

    /// The cheap checks, and those that the header alone does not decide: parent canonical at the proof,
    /// aggregator attested and staked at the proof, signature, and that the nonce is of this proof of
    /// the lottery.
    fn check_context(&self, claim: Claim<'_>, proof: &View) -> Result<(), String> {
        let Claim { header, signature, lottery } = claim;
        if proof.head.hash != header.parent || proof.block.number != header.l1ProofNumber {
            return Err("the parent is not canonical at the L1 proof".into());
        }
        if header.number != proof.head.header.number + 1 {
            return Err("wrong number".into());
        }
        if !proof.is_aggregator(header.aggregator) {
            return Err("the aggregator is not attested and staked at the L1 proof".into());
        }
        let domain = signing_domain(self.config.l1ChainId, self.config.contracts.rollupManagement);
        let signer = (self.checks.signer)(&header.signing_hash(&domain), signature);
        if signer != Some(header.aggregator) {
            return Err("the signature is not the aggregator's".into());
        }
        if lottery::nonce(lottery) != header.nonce {
            return Err("the nonce is not that of the lottery proof".into());
        }
        Ok(())
    }

    /// Verifies the lot, executes the rollup and compares every field that execution determines. All
    /// of it follows from the header, whose nonce names the lottery proof: so does the verdict.
    fn judge(
        &self,
        claim: Claim<'_>,
        bytes: &[u8],
        proof: &View,
        keys: &NetworkKeys,
        around: Surroundings<'_>,
    ) -> Result<Verdict, DoorError> {
        let header = claim.header;
        let key = proof.aggregator(header.aggregator).map(|node| &node.lottery_key[..]);
        let drawn = (self.checks.lot)(key.unwrap_or_default(), &self.draw(proof), claim.lottery);
        if drawn != Some(header.nonce) {
            return Ok(Verdict::Invalid("the aggregator did not draw this nonce".into()));
        }
        let parsed = match self.parse_payload(bytes, proof, keys, around.device) {
            Ok(parsed) => parsed,
            Err(reason) => return Ok(Verdict::Invalid(reason)),
        };
        let candidates: Vec<Candidate<'_>> =
            parsed.transactions.iter().map(|pooled| (&**pooled).into()).collect();
        let ledger = self.ledger(keys, around.store);
        let (nonce, due) = (header.nonce, self.due(proof, keys, around.device));
        let block = ledger.block(proof);
        let executed = ledger.execute(block, proof, nonce, &due, &candidates, OnReject::Fail)?;
        let draft = match executed {
            Ok(draft) => draft,
            Err(reason) => return Ok(Verdict::Invalid(reason)),
        };
        let outcome = Ledger::conclude(draft, around.device, |_| ())?;
        let expected = RollupHeader {
            aggregator: header.aggregator,
            nonce: header.nonce,
            payloadHash: header.payloadHash,
            ..outcome.body.header.clone()
        };
        if expected != *header || outcome.body.withdrawals != parsed.withdrawals {
            return Ok(Verdict::Invalid(difference(&expected, header)));
        }
        let (rollup, body) =
            ledger.commit(&proof.head, outcome, header.clone(), bytes.len(), around.device)?;
        self.index.keep(rollup.hash, Arc::new(body));
        Ok(Verdict::Valid(Arc::new(rollup)))
    }

    /// The forced transactions that rollups proven by a block have to try.
    fn due(&self, proof: &View, keys: &NetworkKeys, device: &dyn Device) -> Due {
        self.forced.due(proof, keys, self.config_hash, device)
    }

    /// What the rounds proven by a block are drawn by.
    fn draw(&self, view: &View) -> Draw {
        let (number, randao) = (view.head.header.number.saturating_add(1), view.randao);
        Draw { config_hash: self.config_hash, number, randao }
    }

    fn parse_payload(
        &self,
        bytes: &[u8],
        proof: &View,
        keys: &NetworkKeys,
        device: &dyn Device,
    ) -> Result<Parsed, String> {
        let interval = |option| self.config.reveal_interval(option, proof.block.number);
        let payload = payload::open_in(bytes, &keys.current().seed, interval)
            .map_err(|error| error.to_string())?;
        let expected = self.config.default_reveal();
        if payload.items.iter().any(|item| item.option != expected) {
            return Err("a transaction has the wrong reveal option".into());
        }
        let raws: Vec<Bytes> = payload.items.into_iter().map(|item| item.transaction).collect();
        let transactions = self.with_senders(&raws, keys.epoch(), device)?;
        Ok(Parsed { transactions, withdrawals: payload.withdrawals })
    }

    /// The transactions with their senders. Recovering these costs more than all else that is done
    /// about a rollup, so every core has its share.
    fn with_senders(
        &self,
        raws: &[Bytes],
        epoch: u32,
        device: &dyn Device,
    ) -> Result<Vec<Arc<Pooled>>, String> {
        let transactions =
            device::map(device, Vec::new(), raws, |raw| self.known_or_decoded(raw, epoch));
        transactions.into_iter().collect()
    }

    /// A transaction, whose sender need not be recovered again if it waits in the pool.
    fn known_or_decoded(&self, raw: &Bytes, epoch: u32) -> Result<Arc<Pooled>, String> {
        let known = self.pool.lock().get(keccak256(raw));
        match known {
            Some(pooled) if pooled.raw == *raw => Ok(pooled),
            _ => decode_transaction(raw.clone(), epoch, &self.checks).map(Arc::new),
        }
    }

    /// Confirms that this enclave executed a canonical rollup, for the pool to pay a prize: says nothing
    /// of one that L1 has not included.
    pub fn prove_execution(
        &self,
        rollup: B256,
        around: Surroundings<'_>,
    ) -> Result<ExecutionProof, DoorError> {
        let (view, executed) = {
            let chain = self.chain.read();
            (chain.head(), chain.rollup(rollup))
        };
        let ledger = self.ledger(&self.keys_at(&view)?, around.store);
        let canonical = match &executed {
            Some(executed) => ledger.rollup_hash(view.head.history_root, executed.header.number)?,
            None => None,
        };
        if canonical != Some(rollup) {
            return Err(DoorError::Rejected(
                "not a canonical rollup that was executed here".into(),
            ));
        }
        let domain = signing_domain(self.config.l2ChainId, FEE_POOL);
        let identity = self.identity.read();
        let signature = identity.sign(Executed { rollup }.eip712_signing_hash(&domain));
        Ok(ExecutionProof { enclave: identity.address(), signature })
    }

    /// This enclave's candidate on the head; the same in every call of a round.
    pub fn seal(&self, around: Surroundings<'_>) -> Result<Option<SignedRollup>, DoorError> {
        self.require_consensus()?;
        let _one = self.sealing.lock();
        let view = self.chain.read().head();
        let keys = self.keys_at(&view)?;
        let enclave = self.identity.read().address();
        if !view.is_aggregator(enclave) {
            return Ok(None);
        }
        let round = (view.head.hash, view.block.hash);
        if let Some(sealed) = self.chain.read().sealed(view.block.number, round) {
            return Ok(Some((*sealed).clone()));
        }
        if self.pool.lock().is_empty() && !self.is_due(&view) {
            return Ok(None);
        }
        let Some(rollup) = self.build(&view, enclave, &keys, around)?.map(Arc::new) else {
            return Ok(None);
        };
        self.chain.write().remember_sealed(rollup.clone());
        Ok(Some((*rollup).clone()))
    }

    /// Whether a rollup is needed even without transactions: deposits or forced transactions wait,
    /// another head is alive, or nothing was published for too long. Junk waits like the rest, so that
    /// whether a rollup comes tells nothing of what was forced.
    fn is_due(&self, view: &View) -> bool {
        let idle_blocks = view.block.number.saturating_sub(view.included);
        !view.deposits.is_empty()
            || !view.forced.is_empty()
            || view.contested > view.included
            || idle_blocks >= self.config.idleBlocksMax
    }

    fn build(
        &self,
        view: &View,
        enclave: Address,
        keys: &NetworkKeys,
        around: Surroundings<'_>,
    ) -> Result<Option<SignedRollup>, DoorError> {
        let ledger = self.ledger(keys, around.store);
        let lottery_proof = self.identity.read().lottery_proof(&self.draw(view), &self.checks);
        let nonce = lottery::nonce(&lottery_proof);
        let due = self.due(view, keys, around.device);
        for attempt in 1..=BUILD_ATTEMPTS_MAX {
            let mut block = ledger.block(view);
            // What is forced has to fit, however much waits and however badly it compresses.
            let selected = match attempt < BUILD_ATTEMPTS_MAX {
                true => self.select(view, &ledger, &mut block, due.bytes()),
                false => Vec::new(),
            };
            let candidates: Vec<Candidate<'_>> =
                selected.iter().map(|pooled| (&**pooled).into()).collect();
            let draft = ledger
                .execute(block, view, nonce, &due, &candidates, OnReject::Skip)?
                .map_err(DoorError::Rejected)?;
            self.drop_rejected(&selected, &draft.rejected);
            if draft.body.transactions.is_empty() && !self.is_due(view) {
                return Ok(None);
            }
            let raw_bytes: usize = draft.body.transactions.iter().map(|t| t.raw.len()).sum();
            let mut payload = Err(PayloadError::Malformed("not sealed"));
            let outcome = Ledger::conclude(draft, around.device, |body| {
                let sealed = self.seal_payload(body, view, keys, around);
                payload = sealed.map(|payload| (keccak256(&payload), payload));
            })?;
            let (payload_hash, payload) = match payload {
                Ok(payload) => payload,
                Err(PayloadError::TooLong(bytes)) => {
                    self.learn_compression(raw_bytes, bytes);
                    continue;
                }
                Err(error) => return Err(DoorError::Fatal(error.to_string())),
            };
            self.learn_compression(raw_bytes, payload.len());
            let header = RollupHeader {
                aggregator: enclave,
                nonce,
                payloadHash: payload_hash,
                ..outcome.body.header.clone()
            };
            let domain =
                signing_domain(self.config.l1ChainId, self.config.contracts.rollupManagement);
            let signature = self.identity.read().sign(header.signing_hash(&domain));
            let (rollup, body) =
                ledger.commit(&view.head, outcome, header.clone(), payload.len(), around.device)?;
            self.index.keep(rollup.hash, Arc::new(body));
            self.chain.write().judge(rollup.hash, header.number, Verdict::Valid(Arc::new(rollup)));
            return Ok(Some(SignedRollup { header, signature, lottery_proof, payload }));
        }
        Err(DoorError::Rejected("no payload fits the limit".into()))
    }

    /// Transactions that will never be valid make room.
    fn drop_rejected(&self, selected: &[Arc<Pooled>], rejected: &[usize]) {
        let rejected = rejected.iter().filter_map(|index| selected.get(*index)).cloned();
        let rejected: Vec<Arc<Pooled>> = rejected.collect();
        let mut pool = self.pool.lock();
        for pooled in &rejected {
            pool.remove(pooled);
        }
        drop(pool);
        self.index.settle(rejected, self.chain.read().head().block.number);
    }

    /// What goes into a rollup behind this many bytes of forced transactions.
    fn select<S: NodeStore>(
        &self,
        view: &View,
        ledger: &Ledger<'_>,
        block: &mut Block<'_, S>,
        forced_bytes: usize,
    ) -> Vec<Arc<Pooled>> {
        let order = ledger.order(view.head.hash, view.block.hash);
        let bytes_max = self.build_bytes.load(Ordering::Relaxed).saturating_sub(forced_bytes);
        let (epoch, env) = (view.epoch(), block.env());
        let (base_fee, intrinsic) = (u128::from(env.base_fee), env.intrinsic_gas());
        // Prices move both ways: what they exclude now waits, and takes nobody's room.
        let may_go = |next: &Pooled| {
            next.epoch <= epoch
                && next.fee_max >= base_fee
                && next.transaction.gas_limit() >= intrinsic.of(&next.transaction)
        };
        let nonce_of = |sender| block.nonce_before(sender).ok();
        self.pool.lock().select(&order, bytes_max, may_go, nonce_of)
    }

    fn seal_payload(
        &self,
        body: &Body,
        view: &View,
        keys: &NetworkKeys,
        around: Surroundings<'_>,
    ) -> Result<Bytes, PayloadError> {
        let option = self.config.default_reveal();
        let items =
            body.transactions.iter().map(|t| Item { option, transaction: t.raw.clone() }).collect();
        let payload = Payload { items, withdrawals: body.withdrawals.clone() };
        let interval = |option| self.config.reveal_interval(option, view.block.number);
        payload::seal(&payload, &keys.current().seed, interval, &mut Entropy(around.device))
    }

    /// Raw bytes to try next time, with a twentieth to spare: more after a payload that fits, at
    /// most twice as many at once; fewer after one that does not.
    fn learn_compression(&self, raw_bytes: usize, payload_bytes: usize) {
        let fitting = raw_bytes.saturating_mul(PAYLOAD_BYTES_MAX) / payload_bytes.max(1) / 20 * 19;
        let current = self.build_bytes.load(Ordering::Relaxed);
        let next = match payload_bytes <= PAYLOAD_BYTES_MAX {
            true => fitting.clamp(current, BUILD_BYTES_MAX.min(current * 2).max(current)),
            false => fitting.max(TRANSACTION_BYTES_MAX),
        };
        self.build_bytes.store(next, Ordering::Relaxed);
    }
}

/// Whether the proof of a rollup in the child of an L1 block is too old for it to be valid.
pub(crate) fn is_too_old(header: &RollupHeader, parent: &View) -> bool {
    let block = parent.block.number.saturating_add(1);
    block.saturating_sub(header.l1ProofNumber) > PROOF_AGE_BLOCKS_MAX
}

/// A header with what its aggregator adds to it, from L1 or from a peer.
#[derive(Clone, Copy)]
struct Claim<'a> {
    header: &'a RollupHeader,
    signature: &'a [u8],
    lottery: &'a [u8],
}

/// The payload that L1 carried for a published rollup; `None` if its blobs hold another one, which
/// is the publisher's fault. Other bytes than L1 recorded are the host's: asked for again.
fn carried_payload(
    event: &RollupPublished,
    rollup: B256,
    block: &L1Block,
) -> Result<Option<Bytes>, DoorError> {
    let ask_again = || DoorError::Retry(Retry::Payload(rollup));
    if event.blobs.len() > ROLLUP_BLOBS_MAX {
        return Ok(None);
    }
    let carried = block.payloads.iter().find(|carried| carried.rollup == rollup);
    let expected = event.header.payloadHash;
    match (&carried.ok_or_else(ask_again)?.carrier, event.blobs.is_empty()) {
        (Carrier::Calldata(bytes), true) if keccak256(bytes) == expected => Ok(Some(bytes.clone())),
        (Carrier::Blobs(blobs), false) => {
            let payload = blobs::payload(blobs, &event.blobs).map_err(|_| ask_again())?;
            Ok(payload.map(Bytes::from).filter(|bytes| keccak256(bytes) == expected))
        }
        _ => Err(ask_again()),
    }
}

impl Verdict {
    fn valid(self) -> Option<Arc<Rollup>> {
        match self {
            Self::Valid(rollup) => Some(rollup),
            Self::Invalid(_) => None,
        }
    }
}

struct Parsed {
    transactions: Vec<Arc<Pooled>>,
    withdrawals: Vec<Withdrawal>,
}

/// Decodes a signed transaction that came in a seed epoch, and recovers its sender.
pub fn decode_transaction(raw: Bytes, epoch: u32, checks: &Checks) -> Result<Pooled, String> {
    let mut rest = raw.as_ref();
    let transaction = TxEnvelope::decode_2718(&mut rest)
        .map_err(|error| format!("invalid transaction: {error}"))?;
    if !rest.is_empty() {
        return Err("invalid transaction: bytes left over".into());
    }
    let signature = transaction.signature().as_bytes();
    let sender = (checks.signer)(&transaction.signature_hash(), &signature)
        .ok_or_else(|| "invalid sender".to_string())?;
    Ok(Pooled {
        hash: *transaction.tx_hash(),
        nonce: transaction.nonce(),
        fee_max: transaction.max_fee_per_gas(),
        epoch,
        sender,
        transaction,
        raw,
    })
}

/// The first field in which two headers differ.
fn difference(expected: &RollupHeader, found: &RollupHeader) -> String {
    let fields = [
        ("version", expected.version == found.version),
        ("timestamp", expected.timestamp == found.timestamp),
        ("state root", expected.stateRoot == found.stateRoot),
        ("transactions root", expected.transactionsRoot == found.transactionsRoot),
        ("receipts root", expected.receiptsRoot == found.receiptsRoot),
        ("withdrawals root", expected.withdrawalsRoot == found.withdrawalsRoot),
        ("deposit cursor", expected.depositCursor == found.depositCursor),
        ("forced cursor", expected.forcedCursor == found.forcedCursor),
        ("gas used", expected.gasUsed == found.gasUsed),
        ("gas limit", expected.gasLimit == found.gasLimit),
        ("base fee", expected.baseFee == found.baseFee),
        ("number", expected.number == found.number),
        ("public events root", expected.publicEventsRoot == found.publicEventsRoot),
    ];
    let field = fields.iter().find(|(_, same)| !same).map_or("withdrawal list", |(name, _)| name);
    format!("wrong {field}")
}
