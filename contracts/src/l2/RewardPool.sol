// SPDX-License-Identifier: MIT
// The pool's predeploy on L2: its runtime code and storage slot 0 are part of the L2 genesis state, so it has neither a
// constructor nor immutables. What does not live here: the rules of rewards, and the crediting of fees, which arrive as
// balance without a call; both are the enclave's.
pragma solidity 0.8.37;

import {IL2Bridge} from "../interfaces/IL2Bridge.sol";
import {IRewardPool} from "../interfaces/IRewardPool.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

/// @title Reward pool
/// @notice See {IRewardPool}.
contract RewardPool is IRewardPool {
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant EXECUTED_TYPEHASH = keccak256("Executed(bytes32 rollup)");

    /// @dev The sender of calls the protocol itself makes (as in EIP-4788).
    address private constant SYSTEM = 0xffffFFFfFFffffffffffffffFfFFFfffFFFfFFfE;
    IL2Bridge private constant BRIDGE = IL2Bridge(0x0b5c000000000000000000000000000000000001);

    /// @inheritdoc IRewardPool
    uint256 public constant PRIZE_ROLLUPS = 16;

    struct OpenPrize {
        address owner;
        uint64 until;
        uint256 amount;
    }

    /// @inheritdoc IRewardPool
    /// @dev Slot 0, written at genesis. Must stay the first variable.
    uint256 public reserve;
    /// @inheritdoc IRewardPool
    uint256 public totalOwed;
    mapping(address owner => uint256) private _owed;
    mapping(bytes32 rollup => mapping(address enclave => OpenPrize)) private _prizes;

    /// @inheritdoc IRewardPool
    function credit(Reward[] calldata rewards, Prize[] calldata prizes) external {
        if (msg.sender != SYSTEM) revert NotSystem();
        for (uint256 i = 0; i < rewards.length; ++i) {
            _owe(rewards[i].owner, rewards[i].amount);
        }
        for (uint256 i = 0; i < prizes.length; ++i) {
            OpenPrize storage prize = _prizes[prizes[i].rollup][prizes[i].enclave];
            prize.owner = prizes[i].owner;
            // Block numbers stay far below 2^64.
            // forge-lint: disable-next-line(unsafe-typecast)
            prize.until = uint64(block.number + PRIZE_ROLLUPS);
            prize.amount += prizes[i].amount;
        }
    }

    /// @inheritdoc IRewardPool
    function claim(address recipient) external returns (uint256 paid) {
        uint256 due = _owed[msg.sender];
        uint256 held = address(this).balance;
        paid = due < held ? due : held;
        if (paid == 0) revert NothingToClaim();
        _owed[msg.sender] = due - paid;
        totalOwed -= paid;
        emit Claimed(msg.sender, paid);
        (bool accepted,) = recipient.call{value: paid}("");
        if (!accepted) revert NotPaid();
    }

    /// @inheritdoc IRewardPool
    function claimPrize(bytes32 rollup, address enclave, bytes calldata signature) external returns (uint256 amount) {
        amount = prizeOf(rollup, enclave);
        if (amount == 0) revert NoPrize();
        bytes32 domain = keccak256(
            abi.encode(
                DOMAIN_TYPEHASH, keccak256(bytes("Obscuro")), keccak256(bytes("1")), block.chainid, address(this)
            )
        );
        bytes32 message = keccak256(abi.encode(EXECUTED_TYPEHASH, rollup));
        (address signer,,) = ECDSA.tryRecoverCalldata(MessageHashUtils.toTypedDataHash(domain, message), signature);
        if (signer != enclave || signer == address(0)) revert NotExecuted();
        address owner = _prizes[rollup][enclave].owner;
        delete _prizes[rollup][enclave];
        _owe(owner, amount);
    }

    /// @inheritdoc IRewardPool
    function burnExcess() external returns (uint256 burnt) {
        uint256 kept = totalOwed + reserve;
        uint256 held = address(this).balance;
        if (held <= kept) revert NoExcess();
        burnt = held - kept;
        BRIDGE.withdrawNative{value: burnt}(BRIDGE.obx());
    }

    /// @inheritdoc IRewardPool
    function owed(address owner) external view returns (uint256) {
        if (msg.sender != owner && tx.origin != owner) revert NotAuthorised();
        return _owed[owner];
    }

    /// @inheritdoc IRewardPool
    function prizeOf(bytes32 rollup, address enclave) public view returns (uint256 amount) {
        OpenPrize storage prize = _prizes[rollup][enclave];
        return block.number > prize.until ? 0 : prize.amount;
    }

    function _owe(address owner, uint256 amount) private {
        _owed[owner] += amount;
        totalOwed += amount;
    }
}
