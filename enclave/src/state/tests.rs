//! State roots against known ones and against `alloy-trie`'s own state root; proofs; EIP-161.

use super::*;
use crate::{
    store::MemoryStore,
    trie::reference::{Nibbles, TrieAccount, proof::verify_proof, root},
};
use alloy_primitives::{address, b256, map::HashMap};
use proptest::{collection::vec, prelude::*};
use std::collections::BTreeMap;

struct Fixture {
    store: MemoryStore,
    cache: NodeCache,
    root: B256,
}

impl Fixture {
    fn new() -> Self {
        Self { store: MemoryStore::new(), cache: NodeCache::new(64), root: EMPTY_ROOT }
    }

    fn state(&self) -> State<'_, MemoryStore> {
        State::new(&self.store, &self.cache, self.root)
    }

    fn apply(&mut self, changes: &Changes) {
        let applied = self.state().apply(changes).unwrap();
        self.store.insert_nodes(applied.nodes);
        self.root = applied.root;
    }
}

/// The genesis of Sepolia: its root is in every header chain of that network.
#[test]
fn the_genesis_of_sepolia_has_its_root() {
    const MILLION: u128 = 1_000_000_000_000_000_000_000_000;
    let allocation = [
        (address!("a2A6d93439144FFE4D27c9E088dCD8b783946263"), MILLION),
        (address!("Bc11295936Aa79d594139de1B2e12629414F3BDB"), MILLION),
        (address!("7cF5b79bfe291A67AB02b393E456cCc4c266F753"), MILLION),
        (address!("aaec86394441f915bce3e6ab399977e9906f3b69"), MILLION),
        (address!("F47CaE1CF79ca6758Bfc787dbD21E6bdBe7112B8"), MILLION),
        (address!("d7eDDB78ED295B3C9629240E8924fb8D8874ddD8"), MILLION),
        (address!("8b7F0977Bb4f0fBE7076FA22bC24acA043583F5e"), MILLION),
        (address!("e2e2659028143784d557bcec6ff3a0721048880a"), MILLION),
        (address!("d9a5179f091d85051d3c982785efd1455cec8699"), MILLION),
        (address!("beef32ca5b9a198d27B4e02F4c70439fE60356Cf"), MILLION),
        (address!("0000006916a87b82333f4245046623b23794c65c"), 10 * MILLION),
        (address!("b21c33de1fab3fa15499c62b59fe0cc3250020d1"), 100 * MILLION),
        (address!("10F5d45854e038071485AC9e402308cF80D2d2fE"), 100 * MILLION),
        (address!("d7d76c58b3a519e9fA6Cc4D22dC017259BC49F1E"), 100 * MILLION),
        (address!("799D329e5f583419167cD722962485926E338F4a"), MILLION / 1_000_000),
    ];
    let want = b256!("5eb6e371a698b8d68f665192350ffcecbbbf322916f4b51bd79bb6887da3f494");
    let set = |changes: &mut Changes, (address, balance): (Address, u128)| {
        let balance = U256::from(balance);
        changes.set(address, AccountUpdate { balance, ..Default::default() }, Bytes::new());
    };
    let mut at_once = Fixture::new();
    let mut changes = Changes::default();
    allocation.into_iter().for_each(|entry| set(&mut changes, entry));
    at_once.apply(&changes);
    assert_eq!(at_once.root, want);
    let mut one_by_one = Fixture::new();
    for entry in allocation.into_iter().rev() {
        let mut changes = Changes::default();
        set(&mut changes, entry);
        one_by_one.apply(&changes);
    }
    assert_eq!(one_by_one.root, want);
}

#[derive(Clone, Debug, Default)]
struct Modelled {
    nonce: u64,
    balance: u128,
    slots: BTreeMap<u64, u64>,
    code: Vec<u8>,
}

type Model = BTreeMap<Address, Modelled>;

fn reference_root(model: &Model) -> B256 {
    let exists =
        |account: &Modelled| account.nonce > 0 || account.balance > 0 || !account.code.is_empty();
    root::state_root_unhashed(model.iter().filter(|(_, account)| exists(account)).map(
        |(address, account)| {
            let words = account.slots.iter().filter(|(_, word)| **word != 0);
            let words =
                words.map(|(slot, word)| (B256::from(U256::from(*slot)), U256::from(*word)));
            let account = TrieAccount {
                nonce: account.nonce,
                balance: U256::from(account.balance),
                storage_root: root::storage_root_unhashed(words),
                code_hash: keccak256(&account.code),
            };
            (*address, account)
        },
    ))
}

#[derive(Clone, Debug)]
enum Step {
    Set {
        who: u8,
        nonce: u64,
        balance: u128,
        wipe: bool,
        slots: Vec<(u64, u64)>,
        code: Option<Vec<u8>>,
    },
    Destroy(u8),
}

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let code = proptest::option::weighted(0.2, vec(any::<u8>(), 1..40));
    let set =
        (0u8..6, 0u64..2, 0u128..3, prop::bool::weighted(0.1), vec((0u64..5, 0u64..3), 0..6), code)
            .prop_map(|(who, nonce, balance, wipe, slots, code)| {
                // As in a block, one change per slot.
                let slots: BTreeMap<u64, u64> = slots.into_iter().collect();
                Step::Set { who, nonce, balance, wipe, slots: slots.into_iter().collect(), code }
            });
    let step = prop_oneof![5 => set, 1 => (0u8..6).prop_map(Step::Destroy)];
    vec(vec(step, 1..5), 1..8)
}

fn advance(model: &mut Model, step: &Step, changes: &mut Changes) {
    match step {
        Step::Destroy(who) => {
            let address = Address::with_last_byte(*who);
            model.remove(&address);
            changes.accounts.insert(address, AccountChange::Destroyed);
        }
        Step::Set { who, nonce, balance, wipe, slots, code } => {
            let address = Address::with_last_byte(*who);
            let account = model.entry(address).or_default();
            account.nonce = *nonce;
            account.balance = *balance;
            if let Some(code) = code {
                account.code = code.clone();
            }
            if *wipe {
                account.slots.clear();
            }
            account.slots.extend(slots.iter().copied());
            let update = AccountUpdate {
                nonce: *nonce,
                balance: U256::from(*balance),
                code_hash: keccak256(&account.code),
                wipe_storage: *wipe,
                storage: slots
                    .iter()
                    .map(|(slot, word)| (U256::from(*slot), U256::from(*word)))
                    .collect(),
            };
            changes.set(address, update, account.code.clone().into());
            if account.nonce == 0 && account.balance == 0 && account.code.is_empty() {
                model.remove(&address);
            }
        }
    }
}

proptest! {
    #[test]
    fn roots_equal_a_state_built_from_scratch(blocks in steps()) {
        let mut fixture = Fixture::new();
        let mut model = Model::new();
        for block in blocks {
            // One change per account and block, as the executor makes them.
            let mut last: HashMap<u8, Step> = HashMap::default();
            for step in block {
                let (Step::Set { who, .. } | Step::Destroy(who)) = &step;
                last.insert(*who, step);
            }
            let mut changes = Changes::default();
            for step in last.values() {
                advance(&mut model, step, &mut changes);
            }
            fixture.apply(&changes);
            prop_assert_eq!(fixture.root, reference_root(&model));
        }
        for (address, account) in &model {
            for (slot, word) in &account.slots {
                prop_assert_eq!(fixture.state().storage(*address, U256::from(*slot)).unwrap(), U256::from(*word));
            }
            let code_hash = fixture.state().account(*address).unwrap().unwrap().code_hash;
            prop_assert_eq!(fixture.state().code(code_hash).unwrap(), account.code.clone());
        }
    }
}

#[test]
fn proofs_verify_for_accounts_slots_and_their_absence() {
    let mut fixture = Fixture::new();
    let mut changes = Changes::default();
    for byte in 0..40 {
        let storage = (1..30u64).map(|slot| (U256::from(slot), U256::from(slot * 7))).collect();
        let update = AccountUpdate { nonce: 1, storage, ..Default::default() };
        changes.set(Address::with_last_byte(byte), update, Bytes::new());
    }
    fixture.apply(&changes);
    for byte in [3, 200] {
        let address = Address::with_last_byte(byte);
        let slots = [U256::from(4), U256::from(1000)];
        let proof = fixture.state().proof(address, &slots).unwrap();
        let key = Nibbles::unpack(keccak256(address));
        let value = proof.account.map(alloy_rlp::encode);
        assert_eq!(value.is_some(), byte == 3);
        assert_eq!(verify_proof(fixture.root, key, value, &proof.nodes), Ok(()));
        let storage_root = proof.account.unwrap_or_default().storage_root;
        for storage in proof.storage {
            let key = Nibbles::unpack(keccak256(B256::from(storage.slot)));
            let value = (!storage.value.is_zero()).then(|| alloy_rlp::encode(storage.value));
            assert_eq!(verify_proof(storage_root, key, value, &storage.nodes), Ok(()));
        }
    }
    let too_many = vec![U256::ZERO; MAX_PROOF_SLOTS + 1];
    assert_eq!(
        fixture.state().proof(Address::ZERO, &too_many),
        Err(StateError::TooManySlots(MAX_PROOF_SLOTS + 1))
    );
}

#[test]
fn values_that_are_no_account_are_malformed() {
    let fixture = Fixture::new();
    let address = Address::with_last_byte(1);
    let mut nodes = Vec::new();
    let malformed = trie::update(
        &fixture.store,
        &fixture.cache,
        EMPTY_ROOT,
        [(keccak256(address), Some(Bytes::from(vec![0x01; 40])))],
        &mut nodes,
    )
    .unwrap();
    let result = fixture.state().at(malformed).account(address);
    assert_eq!(result, Err(StateError::Malformed(keccak256(address))));
}

#[test]
fn the_empty_state_has_the_empty_root() {
    let fixture = Fixture::new();
    let root = b256!("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421");
    assert_eq!(fixture.state().root(), root);
    assert_eq!(fixture.state().account(Address::ZERO), Ok(None));
    assert_eq!(fixture.state().storage(Address::ZERO, U256::ZERO), Ok(U256::ZERO));
}
