//! Deploying the management contract and funding accounts on both layers. Not here: the contracts
//! (`contracts/`) and the nodes that use them.

use alloy_eips::BlockNumberOrTag;
use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, B256, Bytes, U256, utils::parse_ether};
use alloy_provider::{PendingTransactionBuilder, Provider, network::Ethereum};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_sol_types::{SolCall, SolValue};
use eyre::{OptionExt, Result, ensure};
use obscuro_protocol::{
    config::{Contracts, L1BlockId, NetworkConfig, RevealOption},
    contracts::Contract,
    l1::{IBridgeManagement, IERC20},
};
use std::time::Duration;

/// OBX that an aggregator stakes on a development network.
pub const STAKE_OBX: u64 = 1_000;
/// OBX that each account receives on each layer.
const ACCOUNT_OBX: u64 = 10_000;
/// ETH that each operator receives for publishing.
const OPERATOR_ETH: &str = "100";
const SUPPLY_OBX: u64 = 100_000_000;
/// ETH that a newcomer pays to whoever answers it.
const REGISTRATION_FEE_WEI: u64 = 1_000_000_000_000_000;
const UNBONDING_BLOCKS: u64 = 100;
/// How long to wait for one transaction; an L1 that mines at all is faster.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(60);

/// What differs between development networks.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// EIP-155 id of the L2.
    pub l2_chain_id: u64,
    /// Signer of development attestations.
    pub attestation_root: Address,
    /// The measurement that the contract admits.
    pub measurement: B256,
    /// L1 blocks before a withdrawal is executed.
    pub withdrawal_blocks: u64,
    /// L1 blocks that may pass without a rollup when there is nothing to publish.
    pub idle_blocks_max: u64,
}

/// Deploys the contracts with the funder's provider. The addresses follow from its nonce, so that
/// the config can name them before they exist.
pub async fn deploy<P: Provider>(
    l1: &P,
    funder: Address,
    parameters: &Parameters,
) -> Result<NetworkConfig> {
    let config = plan(l1, funder, parameters).await?;
    let contracts = &config.contracts;
    let obx = U256::from(10).pow(U256::from(18));
    let creations: [(Contract, Vec<u8>, Address); 5] = [
        (
            Contract::ObscuroToken,
            (funder, U256::from(SUPPLY_OBX) * obx).abi_encode_params(),
            contracts.obscuroToken,
        ),
        (
            Contract::DevelopmentAttestation,
            (parameters.attestation_root, parameters.measurement).abi_encode_params(),
            contracts.attestationVerifier,
        ),
        (
            Contract::NetworkManagement,
            (
                contracts.obscuroToken,
                contracts.attestationVerifier,
                config.hash(),
                U256::from(STAKE_OBX) * obx,
                U256::from(REGISTRATION_FEE_WEI),
                U256::from(UNBONDING_BLOCKS),
            )
                .abi_encode_params(),
            contracts.networkManagement,
        ),
        (
            Contract::RollupManagement,
            (contracts.networkManagement, config.hash(), U256::from(config.forkTimeoutBlocks))
                .abi_encode_params(),
            contracts.rollupManagement,
        ),
        (
            Contract::BridgeManagement,
            (
                contracts.obscuroToken,
                contracts.rollupManagement,
                U256::from(config.withdrawalBlocks),
            )
                .abi_encode_params(),
            contracts.bridgeManagement,
        ),
    ];
    let mut pending = Vec::new();
    for (contract, arguments, address) in creations {
        let code = [contract.creation_code().as_ref(), &arguments].concat();
        let transaction = TransactionRequest::default().with_deploy_code(code);
        pending.push((contract, address, l1.send_transaction(transaction).await?));
    }
    for (contract, address, transaction) in pending {
        let created = confirm(transaction).await?.ok_or_eyre("deployment created no contract")?;
        ensure!(
            created == address,
            "{contract:?} was deployed at {created} instead of {address}: is the account in use elsewhere?"
        );
    }
    Ok(config)
}

/// The config of a network whose contracts this account will deploy next.
async fn plan<P: Provider>(
    l1: &P,
    funder: Address,
    parameters: &Parameters,
) -> Result<NetworkConfig> {
    let checkpoint = l1
        .get_block_by_number(BlockNumberOrTag::Latest)
        .await?
        .ok_or_eyre("the L1 has no blocks")?;
    let nonce = l1.get_transaction_count(funder).await?;
    let address = |offset| funder.create(nonce + offset);
    Ok(NetworkConfig {
        version: NetworkConfig::VERSION,
        l1ChainId: l1.get_chain_id().await?,
        l2ChainId: parameters.l2_chain_id,
        checkpoint: L1BlockId { number: checkpoint.header.number, hash: checkpoint.header.hash },
        contracts: Contracts {
            obscuroToken: address(0),
            attestationVerifier: address(1),
            networkManagement: address(2),
            rollupManagement: address(3),
            bridgeManagement: address(4),
        },
        attestationRoot: parameters.attestation_root,
        gasLimit: 300_000_000,
        baseFee: 1_000_000_000,
        revealDefault: RevealOption::XL as u8,
        revealPeriods: [1, 300, 7_200, 216_000, 2_628_000],
        idleBlocksMax: parameters.idle_blocks_max,
        startupHashes: 100_000,
        withdrawalBlocks: parameters.withdrawal_blocks,
        forkTimeoutBlocks: parameters.withdrawal_blocks,
    })
}

/// Gives operators what they need to register and publish, and users OBX on both layers.
pub async fn fund<P: Provider>(
    l1: &P,
    config: &NetworkConfig,
    operators: &[Address],
    users: &[Address],
) -> Result<()> {
    let obx = U256::from(10).pow(U256::from(18));
    let (token, bridge) = (config.contracts.obscuroToken, config.contracts.bridgeManagement);
    let amount = U256::from(ACCOUNT_OBX) * obx;
    let mut calls: Vec<(Address, Bytes, U256)> = Vec::new();
    for operator in operators {
        calls.push((*operator, Bytes::new(), parse_ether(OPERATOR_ETH)?));
        calls.push((token, transfer(*operator, U256::from(STAKE_OBX) * obx), U256::ZERO));
    }
    let approval = IERC20::approveCall { spender: bridge, amount: U256::MAX };
    calls.push((token, approval.abi_encode().into(), U256::ZERO));
    for user in users {
        calls.push((token, transfer(*user, amount), U256::ZERO));
        let deposit = IBridgeManagement::depositCall { asset: token, amount, to: *user };
        calls.push((bridge, deposit.abi_encode().into(), U256::ZERO));
    }
    let mut pending = Vec::new();
    for (to, data, value) in calls {
        // A fixed limit: estimates cannot see the transactions queued before.
        let transaction = TransactionRequest::default()
            .to(to)
            .value(value)
            .input(data.into())
            .with_gas_limit(500_000);
        pending.push(l1.send_transaction(transaction).await?);
    }
    for transaction in pending {
        confirm(transaction).await?;
    }
    Ok(())
}

fn transfer(to: Address, amount: U256) -> Bytes {
    IERC20::transferCall { to, amount }.abi_encode().into()
}

/// Waits for a transaction; the contract it created, if any.
async fn confirm(transaction: PendingTransactionBuilder<Ethereum>) -> Result<Option<Address>> {
    let receipt = transaction.with_timeout(Some(RECEIPT_TIMEOUT)).get_receipt().await?;
    ensure!(receipt.status(), "L1 transaction {} reverted", receipt.transaction_hash);
    Ok(receipt.contract_address)
}
