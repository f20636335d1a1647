//! State over JSON-RPC: proofs, system contracts, precompiles, calls that fail.

use alloy_eips::{
    eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS, eip7702::Authorization,
};
use alloy_network::{TransactionBuilder, TransactionBuilder7702};
use alloy_primitives::{Address, B256, Bytes, U256, address, hex, keccak256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::{
    BlockId, BlockOverrides, EIP1186AccountProofResponse, TransactionRequest,
    state::{AccountOverride, StateOverride},
};
use alloy_signer::SignerSync;
use alloy_trie::{Nibbles, TrieAccount, proof::verify_proof};
use obscuro_devnet::l1::{CREATE2_DEPLOYER, Mining};

use crate::support::{deployment, http, raw, served, signer, store, transfer};

fn to(address: Address, input: impl Into<Bytes>) -> TransactionRequest {
    TransactionRequest::default().with_to(address).with_input(input)
}

fn assert_proves(root: B256, proof: &EIP1186AccountProofResponse) {
    let account = TrieAccount {
        nonce: proof.nonce,
        balance: proof.balance,
        storage_root: proof.storage_hash,
        code_hash: proof.code_hash,
    };
    let expected = (!proof.is_empty()).then(|| alloy_rlp::encode(account));
    let key = Nibbles::unpack(keccak256(proof.address));
    verify_proof(root, key, expected, &proof.account_proof).unwrap();
    for slot in &proof.storage_proof {
        let key = Nibbles::unpack(keccak256(slot.key.as_b256()));
        let expected = (!slot.value.is_zero()).then(|| alloy_rlp::encode(slot.value));
        verify_proof(proof.storage_hash, key, expected, &slot.proof).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proofs_verify_against_the_state_root() {
    let l1 = served(Mining::OnDemand).await;
    let provider = http(&l1, 0);
    let alice = signer(0);
    let cell = alice.address().create(0);
    for tx in [deployment(0), store(1, cell, 77), transfer(2, Address::repeat_byte(2), 9)] {
        let _ = provider.send_raw_transaction(&raw(tx, &alice)).await.unwrap();
    }
    let root = l1.with_chain(|chain| chain.head().header.state_root);
    let before = l1.with_chain(|chain| chain.tree().at(1).unwrap().header.state_root);
    let slots = vec![B256::ZERO, B256::repeat_byte(1)];
    let proof = provider.get_proof(cell, slots.clone()).await.unwrap();
    assert_eq!(proof.storage_proof[0].value, U256::from(77));
    assert_eq!(proof.storage_proof[1].value, U256::ZERO);
    assert_proves(root, &proof);
    let old = provider.get_proof(cell, slots).block_id(BlockId::number(1)).await.unwrap();
    assert_eq!(old.storage_proof[0].value, U256::ZERO);
    assert_proves(before, &old);
    let absent = provider.get_proof(Address::repeat_byte(0xab), vec![]).await.unwrap();
    assert!(absent.is_empty());
    assert_proves(root, &absent);
    assert_proves(root, &provider.get_proof(alice.address(), vec![]).await.unwrap());
    let many = provider.get_proof(cell, vec![B256::ZERO; 2_000]).await.unwrap_err();
    assert_eq!(many.as_error_resp().unwrap().code, -32602);
    l1.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn system_contracts_keep_history_and_beacon_roots() {
    let l1 = served(Mining::Manual).await;
    let provider = http(&l1, 0);
    for _ in 0..5 {
        l1.mine().unwrap();
    }
    let head = l1.with_chain(|chain| chain.head().clone());
    for number in 0..5u64 {
        let number_word = B256::from(U256::from(number));
        let kept = provider.call(to(HISTORY_STORAGE_ADDRESS, number_word)).await.unwrap();
        let hash = l1.with_chain(|chain| chain.tree().at(number).unwrap().hash);
        assert_eq!(B256::from_slice(&kept), hash);
    }
    let time = B256::from(U256::from(head.header.timestamp));
    let root = provider.call(to(BEACON_ROOTS_ADDRESS, time)).await.unwrap();
    assert_eq!(Some(B256::from_slice(&root)), head.header.parent_beacon_block_root);
    let code = provider.get_code_at(CREATE2_DEPLOYER).await.unwrap();
    // The hash under which the proxy is known on every chain.
    assert_eq!(
        keccak256(code).to_string(),
        "0x2fa86add0aed31f33a762c9d88e807c475bd51d0f52bd0955754b2608f7e4989"
    );
    l1.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blockhash_follows_the_branch() {
    let l1 = served(Mining::Manual).await;
    let provider = http(&l1, 0);
    for _ in 0..3 {
        l1.mine().unwrap();
    }
    // Returns BLOCKHASH(NUMBER - 1) when created.
    let code = Bytes::from_static(&hex!("6001430340" "5f5260205ff3"));
    let call = TransactionRequest::default().with_deploy_code(code);
    let hash = |number| l1.with_chain(|chain| chain.tree().at(number).unwrap().hash);
    let seen =
        async |block| B256::from_slice(&provider.call(call.clone()).block(block).await.unwrap());
    let (before, after) = (hash(2), hash(3));
    assert_eq!(seen(BlockId::latest()).await, before);
    assert_eq!(seen(BlockId::pending()).await, after);
    l1.reorg(2).unwrap();
    assert_ne!(hash(2), before);
    assert_eq!(seen(BlockId::latest()).await, hash(2));
    assert_eq!(seen(BlockId::number(2)).await, hash(1));
    l1.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p256_signatures_are_verified() {
    let l1 = served(Mining::Manual).await;
    let provider = http(&l1, 0);
    let precompile = address!("0x0000000000000000000000000000000000000100");
    // Message hash, r, s, x, y: the first vector of RIP-7212.
    let mut input = hex!(
        "4cee90eb86eaa050036147a12d49004b6b9c72bd725d39d4785011fe190f0b4d"
        "a73bd4903f0ce3b639bbbf6e8e80d16931ff4bcf5993d58468e8fb19086e8cac"
        "36dbcd03009df8c59286b162af3bd7fcc0450c9aa81be5d10d312af6c66b1d60"
        "4aebd3099c618202fcfe16ae7770b0c49ab5eadf74b754204a3bb6060e44eff3"
        "7618b065f9832de4ca6ca971a7a1adc826d0f7c00181a5fb2ddf79ae00b4e10e"
    );
    let valid = provider.call(to(precompile, input.to_vec())).await.unwrap();
    assert_eq!(U256::from_be_slice(&valid), U256::ONE);
    input[0] ^= 1;
    assert!(provider.call(to(precompile, input.to_vec())).await.unwrap().is_empty());
    l1.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reverts_carry_reason_and_data() {
    let l1 = served(Mining::Manual).await;
    let provider = http(&l1, 0);
    // Error("no") as revert data, appended to code that copies and reverts with it.
    let data = hex!(
        "08c379a0"
        "0000000000000000000000000000000000000000000000000000000000000020"
        "0000000000000000000000000000000000000000000000000000000000000002"
        "6e6f000000000000000000000000000000000000000000000000000000000000"
    );
    let mut code = hex!("6064600b5f3960645ffd00").to_vec();
    code.extend(data);
    let call = TransactionRequest::default().with_deploy_code(code);
    for error in [
        provider.call(call.clone()).await.unwrap_err(),
        provider.estimate_gas(call.clone()).await.unwrap_err(),
    ] {
        let response = error.as_error_resp().unwrap();
        assert_eq!(response.code, 3);
        assert_eq!(response.message, "execution reverted: no");
        assert_eq!(response.as_revert_data().unwrap()[..], data);
    }
    let invalid = TransactionRequest::default().with_deploy_code(vec![0xfe]);
    let error = provider.call(invalid).await.unwrap_err();
    assert_eq!(error.as_error_resp().unwrap().code, -32000);
    let poor =
        to(Address::ZERO, Bytes::new()).with_from(Address::repeat_byte(0xcc)).with_value(U256::ONE);
    let error = provider.estimate_gas(poor).await.unwrap_err();
    assert!(error.as_error_resp().unwrap().message.contains("insufficient funds"), "{error}");
    l1.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_can_imagine_state_and_block() {
    let l1 = served(Mining::OnDemand).await;
    let provider = http(&l1, 0);
    let cell = signer(0).address().create(0);
    for tx in [deployment(0), store(1, cell, 5)] {
        let _ = provider.send_raw_transaction(&raw(tx, &signer(0))).await.unwrap();
    }
    let read = TransactionRequest::default().with_to(cell);
    let word = |bytes: Bytes| U256::from_be_slice(&bytes);
    let with = |wanted| StateOverride::from_iter([(cell, wanted)]);
    let slot = |value: u64| [(B256::ZERO, B256::from(U256::from(value)))];

    let changed = AccountOverride::default().with_state_diff(slot(9));
    let seen = provider.call(read.clone()).overrides(with(changed)).await.unwrap();
    assert_eq!(word(seen), U256::from(9));
    let replaced = AccountOverride::default().with_state([]);
    let seen = provider.call(read.clone()).overrides(with(replaced)).await.unwrap();
    assert_eq!(word(seen), U256::ZERO);
    // Code that returns its balance: SELFBALANCE, MSTORE at 0, RETURN 32 bytes.
    let rich = AccountOverride::default()
        .with_code(hex!("475f5260205ff3"))
        .with_balance(U256::from(1_234));
    let seen = provider.call(read.clone()).overrides(with(rich)).await.unwrap();
    assert_eq!(word(seen), U256::from(1_234));
    assert_eq!(word(provider.call(read.clone()).await.unwrap()), U256::from(5), "nothing stays");

    let timestamp = TransactionRequest::default().with_deploy_code(hex!("425f5260205ff3"));
    let later = BlockOverrides { time: Some(77), ..BlockOverrides::default() };
    let seen = provider.call(timestamp).with_block_overrides(later).await.unwrap();
    assert_eq!(word(seen), U256::from(77));

    let both = AccountOverride::default().with_state(slot(1)).with_state_diff(slot(2));
    let refused = provider.call(read).overrides(with(both)).await.unwrap_err();
    assert_eq!(refused.as_error_resp().unwrap().code, -32602);
    l1.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delegations_are_estimated_and_executed() {
    let l1 = served(Mining::OnDemand).await;
    let provider = http(&l1, 0);
    let (alice, bob) = (signer(0), signer(1));
    let cell = alice.address().create(0);
    let _ = provider.send_raw_transaction(&raw(deployment(0), &alice)).await.unwrap();
    let authorization = Authorization { chain_id: U256::from(1337), address: cell, nonce: 0 };
    let signature = bob.sign_hash_sync(&authorization.signature_hash()).unwrap();
    let request = to(bob.address(), B256::from(U256::from(3)))
        .with_from(alice.address())
        .with_authorization_list(vec![authorization.into_signed(signature)]);
    let receipt = provider.send_transaction(request).await.unwrap().get_receipt().await.unwrap();
    assert!(receipt.status());
    assert_eq!(receipt.inner.logs()[0].address(), bob.address());
    let code = provider.get_code_at(bob.address()).await.unwrap();
    assert_eq!(code, [hex!("ef0100").as_slice(), cell.as_slice()].concat());
    let kept = provider.get_storage_at(bob.address(), U256::ZERO).await.unwrap();
    assert_eq!(kept, U256::from(3));
    // An account with a delegation still sends transactions.
    let sent = raw(transfer(1, Address::ZERO, 1), &bob);
    let receipt = provider.send_raw_transaction(&sent).await.unwrap().get_receipt().await.unwrap();
    assert!(receipt.status());
    l1.stop().await;
}
