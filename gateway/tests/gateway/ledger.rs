//! The ledger of the node that the test plays: answers queries as an enclave would, without an EVM.

use alloy_consensus::{Transaction, TxEnvelope, transaction::SignerRecoverable};
use alloy_eips::{Decodable2718, Typed2718};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{Revert, SolError};
use obscuro_protocol::{
    config::NetworkConfig,
    query::{
        At, CallRequest, LogInfo, Position, Query, ReceiptInfo, Refusal, Reply, TransactionInfo,
    },
    rollup::RollupHeader,
};
use std::collections::HashMap;

/// A call that begins with this reverts with the rest of it as reason.
pub const REVERTING: [u8; 4] = [0xde, 0xad, 0xbe, 0xef];
/// What every contract has as code.
pub const CODE: [u8; 3] = [0x60, 0x01, 0x00];
/// First topic of every event.
pub const EVENT: B256 = B256::repeat_byte(0xee);

/// Balances, transactions, rollups.
pub struct Ledger {
    pub config: NetworkConfig,
    pub balances: HashMap<Address, U256>,
    pub rollups: Vec<RollupHeader>,
    pub waiting: Vec<(Address, TxEnvelope)>,
    pub settled: HashMap<B256, (TransactionInfo, ReceiptInfo)>,
    /// L1 time.
    pub now: u64,
}

impl Ledger {
    pub fn new(config: NetworkConfig, now: u64) -> Self {
        Self {
            config,
            balances: HashMap::new(),
            rollups: Vec::new(),
            waiting: Vec::new(),
            settled: HashMap::new(),
            now,
        }
    }

    pub fn head(&self) -> Option<&RollupHeader> {
        self.rollups.last()
    }

    pub fn by_hash(&self, hash: B256) -> Option<&RollupHeader> {
        self.rollups.iter().find(|header| header.hash() == hash)
    }

    pub fn by_number(&self, number: u64) -> Option<&RollupHeader> {
        self.rollups.iter().find(|header| header.number == number)
    }

    /// Publishes a rollup with everything that waits.
    pub fn seal(&mut self, salt: u64) -> RollupHeader {
        let parent = self.head().map_or(self.config.hash(), RollupHeader::hash);
        let header = RollupHeader {
            version: 1,
            parent,
            number: self.head().map_or(0, |head| head.number) + 1,
            nonce: U256::from(salt),
            timestamp: self.now,
            gasUsed: 21_000 * self.waiting.len() as u64,
            gasLimit: self.config.gasLimit,
            baseFee: self.config.computePrice,
            ..Default::default()
        };
        self.rollups.push(header.clone());
        for (index, (from, transaction)) in
            std::mem::take(&mut self.waiting).into_iter().enumerate()
        {
            self.settle(&header, index as u64, from, &transaction);
        }
        header
    }

    /// Takes rollups back, down to a number; their transactions wait again.
    pub fn unwind(&mut self, number: u64) {
        self.rollups.retain(|header| header.number <= number);
        let gone: Vec<_> =
            self.settled.values().filter(|s| s.1.position.number > number).cloned().collect();
        for (info, receipt) in gone {
            self.settled.remove(&receipt.transaction);
            let transaction = TxEnvelope::decode_2718_exact(&info.raw).unwrap();
            self.waiting.push((info.from, transaction));
        }
    }

    fn settle(&mut self, header: &RollupHeader, index: u64, from: Address, tx: &TxEnvelope) {
        let position = Position {
            rollup: header.hash(),
            number: header.number,
            timestamp: header.timestamp,
            index,
            base_fee: header.baseFee,
        };
        let to = tx.to();
        let log = LogInfo {
            address: to.unwrap_or_default(),
            topics: vec![EVENT, from.into_word()],
            data: tx.input().clone(),
            transaction: *tx.hash(),
            position,
            log_index: index,
        };
        let receipt = ReceiptInfo {
            transaction: *tx.hash(),
            transaction_type: tx.ty(),
            from,
            to,
            contract: to.is_none().then(|| from.create(tx.nonce())),
            success: true,
            gas_used: 21_000,
            logs: vec![log],
            position,
        };
        let raw = alloy_eips::Encodable2718::encoded_2718(tx).into();
        let info = TransactionInfo { raw, from, position: Some(position) };
        let paid = tx.value() + U256::from(21_000 * header.baseFee);
        let balance = self.balances.entry(from).or_default();
        *balance = balance.saturating_sub(paid);
        *self.balances.entry(to.unwrap_or_default()).or_default() += tx.value();
        self.settled.insert(receipt.transaction, (info, receipt));
    }

    fn nonce(&self, account: Address, pooled: bool) -> u64 {
        let settled = self.settled.values().filter(|(info, _)| info.from == account).count();
        let waiting = self.waiting.iter().filter(|(from, _)| *from == account).count();
        (settled + if pooled { waiting } else { 0 }) as u64
    }

    /// Answers as an enclave would.
    pub fn answer(&mut self, query: Query, accounts: &[Address]) -> Reply {
        let may = |account: &Address| accounts.contains(account);
        match query {
            Query::SendTransaction(raw) => self.accept(&raw),
            Query::Balance(account, _) => {
                let balance = self.balances.get(&account).filter(|_| may(&account));
                Reply::Value(balance.copied().unwrap_or_default())
            }
            Query::Nonce { account, pooled, .. } => {
                Reply::Count(if may(&account) { self.nonce(account, pooled) } else { 0 })
            }
            Query::Code(address, _) => {
                let code: &[u8] = if address.is_zero() { &[] } else { &CODE };
                Reply::Bytes(Bytes::copy_from_slice(code))
            }
            Query::Storage(account, slot, _) => {
                Reply::Value(if may(&account) { slot + U256::ONE } else { U256::ZERO })
            }
            Query::Call(call, at) => self.call(&call, at, accounts),
            Query::EstimateGas(call, at) => match self.call(&call, at, accounts) {
                Reply::Bytes(_) => Reply::Count(21_000),
                refused => refused,
            },
            Query::Transaction(hash) => {
                let settled = self.settled.get(&hash).map(|(info, _)| info.clone());
                let waiting = self.waiting.iter().find(|(_, tx)| *tx.hash() == hash);
                let waiting = waiting.map(|(from, tx)| TransactionInfo {
                    raw: alloy_eips::Encodable2718::encoded_2718(tx).into(),
                    from: *from,
                    position: None,
                });
                let found = settled.or(waiting).filter(|info| may(&info.from));
                Reply::Transaction(found.map(Box::new))
            }
            Query::Receipt(hash) => {
                let receipt = self.settled.get(&hash).map(|(_, receipt)| receipt.clone());
                Reply::Receipt(receipt.filter(|r| may(&r.from)).map(Box::new))
            }
            Query::Logs(filter) => {
                let receipts = self.settled.values().map(|(_, receipt)| receipt);
                let logs = receipts.filter(|r| may(&r.from)).flat_map(|r| &r.logs);
                let range = filter.from..=filter.to;
                let fits = |log: &&LogInfo| {
                    let addresses = &filter.addresses;
                    let topics = filter.topics.iter().zip(&log.topics);
                    range.contains(&log.position.number)
                        && (addresses.is_empty() || addresses.contains(&log.address))
                        && topics.clone().all(|(any, topic)| any.is_empty() || any.contains(topic))
                };
                Reply::Logs(logs.filter(fits).cloned().collect())
            }
            Query::RollupTransactions(at) => {
                let number = match at {
                    At::Latest => self.head().map(|head| head.number),
                    At::Number(number) => Some(number),
                    At::Hash(hash) => self.by_hash(hash).map(|header| header.number),
                };
                let of_it = self.settled.values().filter(|(info, receipt)| {
                    Some(receipt.position.number) == number && may(&info.from)
                });
                let mut of_it: Vec<_> =
                    of_it.map(|(_, r)| (r.position.index, r.transaction)).collect();
                of_it.sort_unstable();
                Reply::Hashes(of_it.into_iter().map(|(_, hash)| hash).collect())
            }
        }
    }

    fn call(&self, call: &CallRequest, at: At, accounts: &[Address]) -> Reply {
        if call.from.is_some_and(|from| !accounts.contains(&from)) {
            return refused(-32_000, "not authorised");
        }
        if matches!(at, At::Number(number) if self.head().is_none_or(|head| number > head.number)) {
            return refused(-32_000, "header not found");
        }
        if let Some(reason) = call.data.strip_prefix(&REVERTING) {
            let reason = Revert::from(String::from_utf8_lossy(reason).into_owned());
            return Reply::Refused(Refusal {
                code: 3,
                message: "execution reverted".to_owned(),
                data: Some(reason.abi_encode().into()),
            });
        }
        let from = call.from.unwrap_or_default().into_word();
        Reply::Bytes([from.as_slice(), &call.data].concat().into())
    }

    fn accept(&mut self, raw: &Bytes) -> Reply {
        let Ok(transaction) = TxEnvelope::decode_2718_exact(raw) else {
            return refused(-32_000, "rlp: malformed transaction");
        };
        let Ok(from) = transaction.recover_signer() else {
            return refused(-32_000, "invalid sender");
        };
        let hash = keccak256(raw);
        let is_known = self.waiting.iter().any(|(_, waiting)| *waiting.hash() == hash);
        if is_known {
            return refused(-32_000, "already known");
        }
        if transaction.nonce() < self.nonce(from, false) {
            return refused(-32_000, "nonce too low");
        }
        self.waiting.push((from, transaction));
        Reply::Accepted(hash)
    }
}

fn refused(code: i32, message: &str) -> Reply {
    Reply::Refused(Refusal { code, message: message.to_owned(), data: None })
}
