// SPDX-License-Identifier: MIT
// An L1 asset on L2, beyond plain ERC-20: who may read what, and what the bridge may do. What does not live here: the
// standard functions themselves.
pragma solidity 0.8.37;

import {IERC5267} from "@openzeppelin/contracts/interfaces/IERC5267.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";

/// @title Wrapped token
/// @notice An ERC-20 with permit whose balances are confidential (protocol 6.7, 8.1). On L2, `msg.sender` and `tx.origin`
/// are authenticated also in calls that read, so the token itself can decide who reads:
/// - `balanceOf(account)` and `nonces(account)`: the account;
/// - `allowance(owner, spender)`: the owner and the spender;
/// where "X may read" means that X calls, or that X's signed request or transaction is what makes a contract call. So a
/// contract that a user calls can act on that user's balance, and none can on a stranger's. Everybody may read the name,
/// the symbol, the decimals and the total supply, which L1 shows anyway.
///
/// Unmodified contracts that read their own balance (a Uniswap V2 pair) or their caller's work. Those that read a third
/// party's do not, e.g. the router's variants for fee-on-transfer tokens, which these tokens do not need.
interface IWrappedToken is IERC20Metadata, IERC20Permit, IERC5267 {
    /// @notice The reader is not entitled to the answer, or the caller is not the bridge.
    error NotAuthorised();
    /// @notice The permit's deadline has passed.
    error ERC2612ExpiredSignature(uint256 deadline);
    /// @notice The permit is not signed by the owner.
    error ERC2612InvalidSigner(address signer, address owner);

    /// @notice Creates tokens. Requires: the caller is the bridge; `to` is not zero; the supply stays below 2^256.
    function mint(address to, uint256 amount) external;

    /// @notice Destroys tokens of `from`. Requires: the caller is the bridge; `from` has the amount.
    function burn(address from, uint256 amount) external;

    /// @notice The L2 bridge: the only minter.
    function bridge() external view returns (address);

    /// @notice The L1 address of the asset; address(0) is ETH.
    function asset() external view returns (address);
}
