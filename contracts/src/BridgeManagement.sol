// SPDX-License-Identifier: MIT
// The vault of the bridge on L1 (protocol section 9). What does not live here: which rollup is confirmed
// (RollupManagement), crediting on L2 (the enclave and L2Bridge), breach mode, and non-fungible assets.
pragma solidity 0.8.37;

import {ObscuroToken} from "./ObscuroToken.sol";
import {TokenMetadata} from "./TokenMetadata.sol";
import {IBridgeManagement} from "./interfaces/IBridgeManagement.sol";
import {IRollupManagement} from "./interfaces/IRollupManagement.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";

/// @title Bridge management
/// @notice See {IBridgeManagement}.
contract BridgeManagement is IBridgeManagement, ReentrancyGuardTransient {
    using BitMaps for BitMaps.BitMap;
    using SafeERC20 for IERC20;

    /// @dev ETH, as an asset.
    address private constant ETHER = address(0);

    /// @dev Most that is ever locked of an asset. Supply on L2 never exceeds what is locked, so sums of it are safe.
    uint256 private constant LOCKED_MAX = type(uint208).max;

    ObscuroToken public immutable obx;
    IRollupManagement public immutable rollups;
    /// @inheritdoc IBridgeManagement
    uint256 public immutable withdrawalBlocks;

    /// @inheritdoc IBridgeManagement
    uint64 public depositCount;
    /// @inheritdoc IBridgeManagement
    mapping(address asset => uint256) public locked;
    /// @inheritdoc IBridgeManagement
    mapping(address asset => bool) public isKnown;
    BitMaps.BitMap private _withdrawn;

    constructor(ObscuroToken obx_, IRollupManagement rollups_, uint256 withdrawalBlocks_) {
        if (address(obx_) == address(0) || address(rollups_) == address(0)) revert ZeroAddress();
        obx = obx_;
        rollups = rollups_;
        withdrawalBlocks = withdrawalBlocks_;
    }

    /// @inheritdoc IBridgeManagement
    /// @dev The one place where an interaction comes first: what a token credits is known only after the transfer. The
    /// guard keeps every state-changing function of the bridge shut meanwhile.
    function deposit(address asset, uint256 amount, address to) external payable nonReentrant {
        if (to == address(0)) revert ZeroAddress();
        if (amount == 0) revert ZeroAmount();
        uint256 expected = asset == ETHER ? amount : 0;
        if (msg.value != expected) revert WrongValue(msg.value, expected);

        uint256 received = asset == ETHER ? amount : _pull(IERC20(asset), amount);
        if (received == 0) revert ZeroAmount();
        uint256 total = locked[asset];
        if (received > LOCKED_MAX - total) revert TooMuchLocked(asset, total, LOCKED_MAX);

        locked[asset] = total + received;
        uint64 index = depositCount++;
        (string memory name, string memory symbol, uint8 decimals) = _introduce(asset);
        emit Deposited(index, asset, to, msg.sender, received, name, symbol, decimals);
    }

    /// @inheritdoc IBridgeManagement
    function withdraw(bytes32 rollup, uint64 index, address asset, address to, uint256 amount, bytes32[] calldata proof)
        external
        nonReentrant
    {
        if (_withdrawn.get(index)) revert AlreadyWithdrawn(index);
        if (!rollups.isConfirmed(rollup, withdrawalBlocks)) {
            if (rollups.isSuspended()) revert WithdrawalsSuspended();
            revert NotConfirmed(rollup);
        }
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(index, asset, to, amount))));
        bytes32 root = rollups.withdrawalsRoot(rollup);
        if (!MerkleProof.verifyCalldata(proof, root, leaf)) revert NotInRollup(rollup, leaf);
        uint256 total = locked[asset];
        if (amount > total) revert NotEnoughLocked(asset, total, amount);

        _withdrawn.set(index);
        locked[asset] = total - amount;
        emit Withdrawn(index, asset, to, amount);
        if (asset == ETHER) Address.sendValue(payable(to), amount);
        else IERC20(asset).safeTransfer(to, amount);
    }

    /// @inheritdoc IBridgeManagement
    function isWithdrawn(uint64 index) external view returns (bool) {
        return _withdrawn.get(index);
    }

    /// @dev Takes tokens from the caller; returns how many arrived.
    function _pull(IERC20 token, uint256 amount) private returns (uint256) {
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 afterwards = token.balanceOf(address(this));
        return afterwards > before ? afterwards - before : 0;
    }

    /// @dev What L2 must be told of an asset: everything at first sight, nothing later, and never anything of OBX.
    function _introduce(address asset) private returns (string memory name, string memory symbol, uint8 decimals) {
        if (isKnown[asset]) return ("", "", 0);
        isKnown[asset] = true;
        if (asset == address(obx)) return ("", "", 0);
        if (asset == ETHER) return ("Ether", "ETH", 18);
        return (TokenMetadata.name(asset), TokenMetadata.symbol(asset), TokenMetadata.decimals(asset));
    }
}
