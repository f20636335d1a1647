//! Deploying the management contract and funding accounts on both layers. Not here: the contracts
//! (`contracts/`) and the nodes that use them.

use alloy_eips::BlockNumberOrTag;
use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_provider::{PendingTransactionBuilder, Provider, network::Ethereum};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_sol_types::{SolCall, SolValue};
use eyre::{OptionExt, Result, ensure};
use obscuro_protocol::{
    config::{Contracts, L1BlockId, NetworkConfig, RevealOption},
    contracts::Contract,
    l1::{IBridgeManagement, IERC20, IObscuroToken},
};
use obscuro_software_tee::{Authority, policy};
use std::time::Duration;

/// OBX that an aggregator stakes on a development network.
pub const STAKE_OBX: u64 = 1_000;
/// OBX that each account receives on each layer.
const ACCOUNT_OBX: u64 = 10_000;
/// ETH that each operator receives for publishing.
const OPERATOR_ETH: u64 = 100;
/// OBX that each operator receives on L2, for claiming what it earns.
const OPERATOR_OBX: u64 = 10;
const SUPPLY_OBX: u64 = 100_000_000;
/// OBX that is minted into the pool, so that rewards are paid before there are enough fees (protocol 10.1).
const POOL_OBX: u64 = 10_000;
/// ETH that a newcomer pays to whoever answers it.
const REGISTRATION_FEE_WEI: u64 = 1_000_000_000_000_000;
/// More than any fork timeout of a development network, so that accusations come in time.
const UNBONDING_BLOCKS: u64 = 100;
/// How far above a fork point a rollup must stand for its publisher to be slashed.
const SLASH_DEPTH: u64 = 2;
/// L1 blocks between an accusation and slashing.
const SLASH_DELAY_BLOCKS: u64 = 5;
/// Enough for every contract, whose code EIP-170 bounds. Fixed: an estimate cannot see the contracts queued before,
/// and `RollupManagement` asks `NetworkManagement` when it is created.
const CREATION_GAS: u64 = 8_000_000;
/// Enough for every call that the funder makes.
pub const GIFT_GAS: u64 = 1_000_000;
/// How long to wait for one transaction; an L1 that mines at all is faster.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(60);

/// What differs between development networks.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// EIP-155 id of the L2.
    pub l2_chain_id: u64,
    /// The programs that the contract admits.
    pub measurements: Vec<B256>,
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
    let checkpoint = l1
        .get_block_by_number(BlockNumberOrTag::Latest)
        .await?
        .ok_or_eyre("the L1 has no blocks")?;
    let checkpoint = L1BlockId { number: checkpoint.header.number, hash: checkpoint.header.hash };
    let nonce = l1.get_transaction_count(funder).await?;
    let config = plan(checkpoint, l1.get_chain_id().await?, funder, nonce, parameters);
    let mut pending = Vec::new();
    for creation in creations(&config, funder, parameters) {
        let transaction = TransactionRequest::default()
            .with_deploy_code(creation.code.clone())
            .with_gas_limit(CREATION_GAS);
        pending.push((creation, l1.send_transaction(transaction).await?));
    }
    for (Creation { contract, address, .. }, transaction) in pending {
        let created = confirm(transaction).await?.ok_or_eyre("deployment created no contract")?;
        ensure!(
            created == address,
            "{contract:?} was deployed at {created} instead of {address}: is the account in use elsewhere?"
        );
    }
    send(l1, settings(&config)).await?;
    Ok(config)
}

/// What the contracts' owner tells them once, after their creation: whose quotes count, by which bridge the
/// token reaches the pool on L2, and what to begin with there.
fn settings(config: &NetworkConfig) -> Vec<Gift> {
    let contracts = &config.contracts;
    let call = |to, input| Gift { to, input, value: U256::ZERO };
    let bridge = IObscuroToken::nameBridgeCall { bridge: contracts.bridgeManagement };
    let amount = U256::from(POOL_OBX) * U256::from(10).pow(U256::from(18));
    let mint = IObscuroToken::mintIntoPoolCall { amount };
    let token = [bridge.abi_encode(), mint.abi_encode()].map(Bytes::from);
    let introductions = Authority::development().verifier_calls().into_iter();
    introductions
        .map(|input| call(contracts.attestationVerifier, input))
        .chain(token.map(|input| call(contracts.obscuroToken, input)))
        .collect()
}

/// A contract to create.
#[derive(Clone, Debug)]
pub struct Creation {
    /// Which one.
    pub contract: Contract,
    /// Its creation code with arguments.
    pub code: Bytes,
    /// Where it comes to lie.
    pub address: Address,
}

/// The management contract of a config, in the order in which the funder creates it.
pub fn creations(
    config: &NetworkConfig,
    funder: Address,
    parameters: &Parameters,
) -> Vec<Creation> {
    let contracts = &config.contracts;
    let obx = U256::from(10).pow(U256::from(18));
    let creations: [(Contract, Vec<u8>, Address); 5] = [
        (
            Contract::ObscuroToken,
            (funder, U256::from(SUPPLY_OBX) * obx, contracts.networkManagement).abi_encode_params(),
            contracts.obscuroToken,
        ),
        (
            Contract::AttestationVerifier,
            Authority::development().verifier_arguments(
                funder,
                parameters.measurements.clone(),
                policy(),
            ),
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
                funder,
                contracts.rollupManagement,
            )
                .abi_encode_params(),
            contracts.networkManagement,
        ),
        (
            Contract::RollupManagement,
            (
                contracts.networkManagement,
                config.hash(),
                U256::from(config.forkTimeoutBlocks),
                U256::from(SLASH_DEPTH),
                U256::from(SLASH_DELAY_BLOCKS),
            )
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
    let whole = |(contract, arguments, address): (Contract, Vec<u8>, Address)| Creation {
        code: [contract.creation_code().as_ref(), &arguments].concat().into(),
        contract,
        address,
    };
    creations.into_iter().map(whole).collect()
}

/// The config of a network whose contracts this account will deploy next, from this nonce on.
pub fn plan(
    checkpoint: L1BlockId,
    l1_chain_id: u64,
    funder: Address,
    nonce: u64,
    parameters: &Parameters,
) -> NetworkConfig {
    let address = |offset| funder.create(nonce + offset);
    NetworkConfig {
        version: NetworkConfig::VERSION,
        l1ChainId: l1_chain_id,
        l2ChainId: parameters.l2_chain_id,
        checkpoint,
        contracts: Contracts {
            obscuroToken: address(0),
            attestationVerifier: address(1),
            networkManagement: address(2),
            rollupManagement: address(3),
            bridgeManagement: address(4),
        },
        attestationRoot: Authority::development().root_hash(),
        gasLimit: 300_000_000,
        computePrice: 1_000_000_000,
        obxPerEth: 1_000_000_000_000,
        rewardMarginPercent: 50,
        poolReserve: 1_000_000,
        revealDefault: RevealOption::XL as u8,
        revealPeriods: [1, 300, 7_200, 216_000, 2_628_000],
        idleBlocksMax: parameters.idle_blocks_max,
        startupHashes: 100_000,
        withdrawalBlocks: parameters.withdrawal_blocks,
        forkTimeoutBlocks: parameters.withdrawal_blocks,
    }
}

/// Gives operators what they need to register and publish, and users OBX on both layers.
pub async fn fund<P: Provider>(
    l1: &P,
    config: &NetworkConfig,
    operators: &[Address],
    users: &[Address],
) -> Result<()> {
    send(l1, gifts(config, operators, users)).await
}

async fn send<P: Provider>(l1: &P, gifts: Vec<Gift>) -> Result<()> {
    let mut pending = Vec::new();
    for gift in gifts {
        // A fixed limit: estimates cannot see the transactions queued before.
        let transaction = TransactionRequest::default()
            .to(gift.to)
            .value(gift.value)
            .input(gift.input.into())
            .with_gas_limit(GIFT_GAS);
        pending.push(l1.send_transaction(transaction).await?);
    }
    for transaction in pending {
        confirm(transaction).await?;
    }
    Ok(())
}

/// A call that the funder makes.
#[derive(Clone, Debug)]
pub struct Gift {
    /// Whom it calls.
    pub to: Address,
    /// With what.
    pub input: Bytes,
    /// And how many wei.
    pub value: U256,
}

/// What [`fund`] sends, in order.
pub fn gifts(config: &NetworkConfig, operators: &[Address], users: &[Address]) -> Vec<Gift> {
    let obx = U256::from(10).pow(U256::from(18));
    let (token, bridge) = (config.contracts.obscuroToken, config.contracts.bridgeManagement);
    let amount = U256::from(ACCOUNT_OBX) * obx;
    let call = |to, input| Gift { to, input, value: U256::ZERO };
    let deposit = |to, amount| {
        let call = IBridgeManagement::depositCall { asset: token, amount, to };
        call.abi_encode().into()
    };
    let approval = IERC20::approveCall { spender: bridge, amount: U256::MAX };
    let mut gifts = vec![call(token, approval.abi_encode().into())];
    for operator in operators {
        let value = U256::from(OPERATOR_ETH) * obx;
        gifts.push(Gift { to: *operator, input: Bytes::new(), value });
        gifts.push(call(token, transfer(*operator, U256::from(STAKE_OBX) * obx)));
        gifts.push(call(bridge, deposit(*operator, U256::from(OPERATOR_OBX) * obx)));
    }
    for user in users {
        gifts.push(call(token, transfer(*user, amount)));
        gifts.push(call(bridge, deposit(*user, amount)));
    }
    gifts
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
