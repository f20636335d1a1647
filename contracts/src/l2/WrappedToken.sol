// SPDX-License-Identifier: MIT
// An L1 asset on L2: an ERC-20 whose balances only their owners read. What does not live here: deposits and withdrawals
// (L2Bridge), and the visibility of Transfer events, which the enclave decides (protocol 8.4).
pragma solidity 0.8.37;

import {IWrappedToken} from "../interfaces/IWrappedToken.sol";
import {IERC5267} from "@openzeppelin/contracts/interfaces/IERC5267.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

/// @title Wrapped token
/// @notice See {IWrappedToken}. Permit is written out here because OpenZeppelin's limits a name to 31 bytes, and no name
/// that L1 lets through may make a deposit fail.
contract WrappedToken is IWrappedToken, ERC20, Nonces {
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant PERMIT_TYPEHASH =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    /// @inheritdoc IWrappedToken
    address public immutable bridge;
    /// @inheritdoc IWrappedToken
    address public immutable asset;
    uint8 private immutable _decimals;

    /// @dev The deployer is the bridge. Reverts for no argument.
    constructor(address asset_, string memory name_, string memory symbol_, uint8 decimals_) ERC20(name_, symbol_) {
        bridge = msg.sender;
        asset = asset_;
        _decimals = decimals_;
    }

    modifier onlyBridge() {
        if (msg.sender != bridge) revert NotAuthorised();
        _;
    }

    /// @inheritdoc IWrappedToken
    function mint(address to, uint256 amount) external onlyBridge {
        _mint(to, amount);
    }

    /// @inheritdoc IWrappedToken
    function burn(address from, uint256 amount) external onlyBridge {
        _burn(from, amount);
    }

    /// @inheritdoc IERC20Permit
    function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
    {
        // The enclave takes the time from L1 (protocol 6.5).
        // forge-lint: disable-next-line(block-timestamp)
        if (block.timestamp > deadline) revert ERC2612ExpiredSignature(deadline);
        bytes32 request = keccak256(abi.encode(PERMIT_TYPEHASH, owner, spender, value, _useNonce(owner), deadline));
        address signer = ECDSA.recover(MessageHashUtils.toTypedDataHash(DOMAIN_SEPARATOR(), request), v, r, s);
        if (signer != owner) revert ERC2612InvalidSigner(signer, owner);

        _approve(owner, spender, value);
    }

    /// @inheritdoc IERC5267
    function eip712Domain()
        external
        view
        returns (bytes1, string memory, string memory, uint256, address, bytes32, uint256[] memory)
    {
        // 0x0f: name, version, chain id and contract are used; salt and extensions are not.
        return (hex"0f", name(), "1", block.chainid, address(this), 0, new uint256[](0));
    }

    /// @inheritdoc IERC20
    function balanceOf(address account) public view override(ERC20, IERC20) returns (uint256) {
        if (!_speaksFor(account)) revert NotAuthorised();
        return super.balanceOf(account);
    }

    /// @inheritdoc IERC20
    /// @dev ERC20 itself asks this in transferFrom, for its caller as the spender, who may read it.
    function allowance(address owner, address spender) public view override(ERC20, IERC20) returns (uint256) {
        if (!_speaksFor(owner) && !_speaksFor(spender)) revert NotAuthorised();
        return super.allowance(owner, spender);
    }

    /// @inheritdoc IERC20Permit
    function nonces(address owner) public view override(Nonces, IERC20Permit) returns (uint256) {
        if (!_speaksFor(owner)) revert NotAuthorised();
        return super.nonces(owner);
    }

    /// @inheritdoc IERC20Metadata
    function decimals() public view override(ERC20, IERC20Metadata) returns (uint8) {
        return _decimals;
    }

    /// @inheritdoc IERC20Permit
    // forge-lint: disable-next-item(mixed-case-function)
    function DOMAIN_SEPARATOR() public view returns (bytes32) {
        return keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256(bytes(name())), keccak256(bytes("1")), block.chainid, address(this))
        );
    }

    /// @dev A failed transfer must not tell a spender the owner's balance: ERC20's own error contains it.
    function _update(address from, address to, uint256 value) internal override {
        if (from != address(0) && !_speaksFor(from) && super.balanceOf(from) < value) revert NotAuthorised();
        super._update(from, to, value);
    }

    /// @dev Whether the answer goes to this account: it calls, or it asked for the call.
    function _speaksFor(address account) private view returns (bool) {
        return msg.sender == account || tx.origin == account;
    }
}
