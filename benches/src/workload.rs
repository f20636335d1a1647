//! What is executed: transfers of a token, and swaps on Uniswap V2, with all that must be there
//! before. Not here: who executes it, and how long that takes (`build`).

use crate::harness::User;
use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
use alloy_sol_types::{SolCall, SolValue, sol};
use eyre::{OptionExt, Result};
use obscuro_protocol::l1::IERC20;
use std::path::{Path, PathBuf};

/// Accounts that send.
pub const ACCOUNTS: usize = 1_000;
/// Transactions like the measured ones in the rollup before: a node that builds has built before.
const WARM: usize = 1_000;
const DEPLOYMENT_GAS: u64 = 8_000_000;

sol! {
    function approve(address spender, uint256 amount);
    function createPair(address a, address b);
    function addLiquidity(address a, address b, uint256 amountA, uint256 amountB, uint256 minA, uint256 minB, address to, uint256 deadline);
    function swapExactTokensForTokens(uint256 amountIn, uint256 amountOutMin, address[] path, address to, uint256 deadline);
}

/// Signed transactions.
pub struct Workload {
    /// For the table.
    pub name: String,
    /// Before anything is measured; one rollup.
    pub setup: Vec<Bytes>,
    /// Like the measured ones; one rollup.
    pub warm: Vec<Bytes>,
    /// Measured; one rollup.
    pub measured: Vec<Bytes>,
}

/// Users with their next nonces.
struct Senders<'a> {
    users: &'a [User],
    nonces: Vec<u64>,
}

impl Senders<'_> {
    fn sign(&mut self, user: usize, to: TxKind, gas: u64, input: Vec<u8>) -> Bytes {
        let nonce = self.nonces[user];
        self.nonces[user] += 1;
        self.users[user].transaction_with_gas(nonce, to, gas, input)
    }

    /// A contract's creation, and its address.
    fn create(&mut self, user: usize, code: Vec<u8>) -> (Bytes, Address) {
        let address = self.users[user].address().create(self.nonces[user]);
        (self.sign(user, TxKind::Create, DEPLOYMENT_GAS, code), address)
    }
}

/// Transfers of a token that everybody holds, to somebody else who holds it.
pub fn transfers(users: &[User], token: Address, count: usize) -> Workload {
    let mut senders = Senders { users, nonces: vec![0; users.len()] };
    let mut transfer = |index: usize| {
        let to = users[index.wrapping_mul(7_919) % ACCOUNTS].address();
        let amount = U256::from(1 + index) * U256::from(1_234_567_890_123u64);
        let data = IERC20::transferCall { to, amount }.abi_encode();
        senders.sign(index % ACCOUNTS, TxKind::Call(token), 100_000, data)
    };
    Workload {
        name: format!("{count} ERC-20 transfers"),
        setup: Vec::new(),
        warm: (0..WARM).map(&mut transfer).collect(),
        measured: (WARM..WARM + count).map(&mut transfer).collect(),
    }
}

/// Swaps of two tokens through Uniswap's router: every other account sells the one, the rest the
/// other. `None` without the published contracts.
pub fn swaps(users: &[User], tokens: [Address; 2], count: usize) -> Result<Option<Workload>> {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../cli/tests/clients/node_modules/@uniswap");
    if !package.exists() {
        return Ok(None);
    }
    let mut senders = Senders { users, nonces: vec![0; users.len()] };
    let owner = users[0].address();
    let mut code = published(&package.join("v2-core/build/UniswapV2Factory.json"))?;
    code.extend((owner,).abi_encode_params());
    let (create_factory, factory) = senders.create(0, code);
    let mut code = published(&package.join("v2-periphery/build/UniswapV2Router02.json"))?;
    code.extend((factory, Address::repeat_byte(0xee)).abi_encode_params());
    let (create_router, router) = senders.create(0, code);
    let mut setup = vec![create_factory, create_router];
    let approval = approveCall { spender: router, amount: U256::MAX }.abi_encode();
    for user in 0..users.len() {
        setup.push(senders.sign(user, TxKind::Call(tokens[user % 2]), 100_000, approval.clone()));
    }
    setup.push(senders.sign(0, TxKind::Call(tokens[1]), 100_000, approval));
    let liquidity = U256::from(500) * U256::from(10).pow(U256::from(18));
    let [a, b] = tokens;
    let (amount_a, amount_b, nothing) = (liquidity, liquidity, U256::ZERO);
    let add = addLiquidityCall {
        a,
        b,
        amountA: amount_a,
        amountB: amount_b,
        minA: nothing,
        minB: nothing,
        to: owner,
        deadline: U256::MAX,
    };
    let create = createPairCall { a, b }.abi_encode();
    setup.push(senders.sign(0, TxKind::Call(factory), DEPLOYMENT_GAS, create));
    setup.push(senders.sign(0, TxKind::Call(router), DEPLOYMENT_GAS, add.abi_encode()));
    let mut swap = |index: usize| {
        let user = index % ACCOUNTS;
        let swap = swapExactTokensForTokensCall {
            amountIn: U256::from(1 + index) * U256::from(1_234_567_890_123u64),
            amountOutMin: U256::ONE,
            path: if user.is_multiple_of(2) { vec![a, b] } else { vec![b, a] },
            to: users[user].address(),
            deadline: U256::MAX,
        };
        senders.sign(user, TxKind::Call(router), 200_000, swap.abi_encode())
    };
    Ok(Some(Workload {
        name: format!("{count} Uniswap V2 swaps"),
        setup,
        warm: (0..WARM).map(&mut swap).collect(),
        measured: (WARM..WARM + count).map(&mut swap).collect(),
    }))
}

/// The creation code of a published artifact.
fn published(path: &Path) -> Result<Vec<u8>> {
    let artifact: serde_json::Value = serde_json::from_slice(&std::fs::read(path)?)?;
    Ok(hex::decode(artifact["bytecode"].as_str().ok_or_eyre("no bytecode")?)?)
}
