//! A chain in memory for the tests: a genesis, blocks on top of it, and a tiny assembler.

use crate::{
    executor::*,
    state::{AccountUpdate, Changes, State},
    store::MemoryStore,
    trie::{EMPTY_ROOT, NodeCache},
};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, address};

pub const CHAIN_ID: u64 = 777;
pub const GWEI: u64 = 1_000_000_000;
pub const ETHER: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);
pub const ALICE: Address = address!("00000000000000000000000000000000000a11ce");
pub const BOB: Address = address!("0000000000000000000000000000000000000b0b");
pub const COINBASE: Address = address!("00000000000000000000000000000000c01bba5e");
pub const POOL: Address = address!("0000000000000000000000000000000000000900");
pub const CONTRACT: Address = address!("00000000000000000000000000000000c0417ac7");
pub const POOL_FEES: FeeRule = FeeRule::Pool { address: POOL, data_gas_per_token: 0 };

/// A store, a cache and the current root.
pub struct Chain {
    pub store: MemoryStore,
    pub cache: NodeCache,
    pub root: B256,
}

impl Chain {
    /// Alice and Bob are rich, `CONTRACT` has this code.
    pub fn new(code: &[u8]) -> Self {
        let mut chain =
            Self { store: MemoryStore::new(), cache: NodeCache::new(1 << 12), root: EMPTY_ROOT };
        let mut genesis = Changes::default();
        let rich = AccountUpdate { balance: ETHER * U256::from(100), ..AccountUpdate::default() };
        genesis.set(ALICE, rich.clone(), Bytes::new());
        genesis.set(BOB, rich, Bytes::new());
        if !code.is_empty() {
            let contract = AccountUpdate { nonce: 1, ..AccountUpdate::default() };
            genesis.set(CONTRACT, contract, code.to_vec().into());
        }
        chain.commit(&genesis);
        chain
    }

    pub fn commit(&mut self, changes: &Changes) {
        let applied = self.state().apply(changes).unwrap();
        self.store.insert_nodes(applied.nodes);
        self.root = applied.root;
    }

    pub fn state(&self) -> State<'_, MemoryStore> {
        State::new(&self.store, &self.cache, self.root)
    }

    pub fn block(&self) -> Block<'_, MemoryStore> {
        self.block_with(env())
    }

    pub fn block_with(&self, env: BlockEnv) -> Block<'_, MemoryStore> {
        Block::new(self.state(), env, |number| Some(B256::with_last_byte(number as u8)))
    }

    /// Stores what a block yields and moves to its root.
    pub fn adopt(&mut self, finished: &Finished) {
        self.store.insert_nodes(finished.applied.nodes.iter().cloned());
        self.root = finished.applied.root;
    }

    /// Executes and adopts a block of one transaction.
    pub fn run(&mut self, tx: &TxEnvelope, from: Address) -> Executed {
        let mut block = self.block();
        let executed = block.transact(tx, from).unwrap();
        let finished = block.finish().unwrap();
        self.adopt(&finished);
        executed
    }

    pub fn balance(&self, address: Address) -> U256 {
        self.state().account(address).unwrap().unwrap_or_default().balance
    }

    pub fn nonce(&self, address: Address) -> u64 {
        self.state().account(address).unwrap().unwrap_or_default().nonce
    }

    pub fn slot(&self, address: Address, slot: u64) -> U256 {
        self.state().storage(address, U256::from(slot)).unwrap()
    }

    pub fn call(&self, request: &CallRequest) -> CallOutcome {
        call(self.state(), &env(), |_| None, request).unwrap()
    }
}

/// Block 10 with a base fee of 1 gwei.
pub fn env() -> BlockEnv {
    BlockEnv {
        chain_id: CHAIN_ID,
        number: 10,
        timestamp: 1_800_000_000,
        beneficiary: COINBASE,
        gas_limit: 30_000_000,
        base_fee: GWEI,
        prevrandao: B256::repeat_byte(0x42),
        excess_blob_gas: Some(0),
        fees: FeeRule::Ethereum,
    }
}

/// A transfer of 1 wei to Bob that offers 3 gwei with a priority fee of 2.
pub fn transfer(nonce: u64) -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: u128::from(3 * GWEI),
        max_priority_fee_per_gas: u128::from(2 * GWEI),
        to: TxKind::Call(BOB),
        value: U256::from(1),
        ..TxEip1559::default()
    }
}

/// A call of `CONTRACT`.
pub fn invoke(nonce: u64, data: &[u8]) -> TxEip1559 {
    TxEip1559 {
        gas_limit: 1_000_000,
        to: TxKind::Call(CONTRACT),
        value: U256::ZERO,
        input: data.to_vec().into(),
        ..transfer(nonce)
    }
}

/// Creation of a contract by this init code.
pub fn create(nonce: u64, init: Vec<u8>) -> TxEip1559 {
    TxEip1559 { to: TxKind::Create, input: init.into(), ..invoke(nonce, &[]) }
}

/// An envelope; its signature is not looked at here.
pub fn signed<T>(tx: T) -> TxEnvelope
where
    T: SignableTransaction<Signature>,
    alloy_consensus::Signed<T>: Into<TxEnvelope>,
{
    tx.into_signed(Signature::test_signature()).into()
}

/// Init code that deploys `runtime`.
pub fn deploying(runtime: &[u8]) -> Vec<u8> {
    let length = u8::try_from(runtime.len()).unwrap();
    // PUSH1 length DUP1 PUSH1 11 PUSH0 CODECOPY PUSH0 RETURN
    let mut init = vec![0x60, length, 0x80, 0x60, 0x0a, 0x5f, 0x39, 0x5f, 0xf3, 0x00];
    init.extend_from_slice(runtime);
    init
}

/// Assembles opcodes by name; `0x…` is a push of that constant.
pub fn asm(source: &str) -> Vec<u8> {
    let mut code = Vec::new();
    for word in source.split_whitespace() {
        if let Some(digits) = word.strip_prefix("0x") {
            let bytes = alloy_primitives::hex::decode(digits).unwrap();
            code.push(0x5f + u8::try_from(bytes.len()).unwrap());
            code.extend(bytes);
        } else {
            code.push(opcode(word));
        }
    }
    code
}

fn opcode(name: &str) -> u8 {
    use revm::bytecode::opcode::OpCode;
    let named = |code: &u8| OpCode::new(*code).is_some_and(|known| known.as_str() == name);
    (0..=u8::MAX).find(named).unwrap_or_else(|| panic!("no opcode {name}"))
}
