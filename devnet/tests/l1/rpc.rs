//! The served chain with the alloy provider.

use alloy_network::TransactionBuilder;
use alloy_primitives::{B256, U256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::{Filter, TransactionRequest};
use obscuro_devnet::l1::Mining;

use crate::support::{cell_code, http, served, set_topic, signer};

#[tokio::test(flavor = "multi_thread")]
async fn contract_is_deployed_called_and_logged() {
    let l1 = served(Mining::OnDemand).await;
    let provider = http(&l1, 0);
    let deploy = TransactionRequest::default().with_deploy_code(cell_code());
    let receipt = provider.send_transaction(deploy).await.unwrap().get_receipt().await.unwrap();
    assert!(receipt.status());
    let cell = receipt.contract_address.unwrap();
    assert_eq!(cell, signer(0).address().create(0));

    let word = B256::from(U256::from(42));
    let call = TransactionRequest::default().with_to(cell).with_input(word);
    let receipt = provider.send_transaction(call).await.unwrap().get_receipt().await.unwrap();
    assert_eq!(receipt.inner.logs().len(), 1);
    assert_eq!(receipt.inner.logs()[0].topic0(), Some(&set_topic()));

    let read = TransactionRequest::default().with_to(cell);
    assert_eq!(B256::from_slice(&provider.call(read).await.unwrap()), word);
    let logs = provider.get_logs(&Filter::new().address(cell).from_block(0)).await.unwrap();
    assert_eq!(logs, receipt.inner.logs());
    l1.stop().await;
}
