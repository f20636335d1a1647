// SPDX-License-Identifier: MIT
// Admission to the network: attested registrations, seed shares, stakes and fees (protocol section 3). What does not
// live here: how a quote is verified (an IAttestationVerifier), rollups, slashing, and changes of parameters.
pragma solidity 0.8.37;

import {IAttestationVerifier} from "./interfaces/IAttestationVerifier.sol";
import {INetworkManagement} from "./interfaces/INetworkManagement.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title Network management
/// @notice See {INetworkManagement}.
contract NetworkManagement is INetworkManagement, EIP712 {
    using SafeERC20 for IERC20;

    /// @dev Domain of the report data of a registration.
    bytes32 private constant REGISTRATION_DOMAIN = keccak256("Obscuro registration v1");

    bytes32 private constant SEED_SHARE_TYPEHASH =
        keccak256("SeedShare(address enclave,bytes32 encryptionKeyHash,bytes32 encryptedSeedHash)");

    /// @dev Bytes of an X-Wing public key: ML-KEM-768 (1,184) and X25519 (32).
    uint256 private constant KEY_LENGTH = 1216;

    /// @dev An X-Wing share of a 32-byte seed is about 1,200 bytes; the rest is room for another scheme.
    uint256 private constant SEED_LENGTH_MAX = 4096;

    uint256 private constant HOST_ADDRESS_LENGTH_MAX = 256;

    IERC20 public immutable token;
    IAttestationVerifier public immutable attestation;
    /// @inheritdoc INetworkManagement
    bytes32 public immutable networkConfigHash;
    /// @inheritdoc INetworkManagement
    uint256 public immutable minimumStake;
    /// @inheritdoc INetworkManagement
    uint256 public immutable registrationFee;
    /// @inheritdoc INetworkManagement
    uint256 public immutable unbondingBlocks;

    /// @inheritdoc INetworkManagement
    bytes32 public networkKeyHash;
    /// @inheritdoc INetworkManagement
    mapping(address owner => uint256) public fees;
    /// @inheritdoc INetworkManagement
    mapping(address enclave => mapping(address responder => bool)) public hasAnswered;

    mapping(address enclave => Node) private _nodes;
    address[] private _enclaves;

    constructor(
        IERC20 token_,
        IAttestationVerifier attestation_,
        bytes32 networkConfigHash_,
        uint256 minimumStake_,
        uint256 registrationFee_,
        uint256 unbondingBlocks_
    ) EIP712("Obscuro", "1") {
        if (address(token_) == address(0) || address(attestation_) == address(0)) {
            revert ZeroAddress();
        }
        token = token_;
        attestation = attestation_;
        networkConfigHash = networkConfigHash_;
        minimumStake = minimumStake_;
        registrationFee = registrationFee_;
        unbondingBlocks = unbondingBlocks_;
    }

    /// @inheritdoc INetworkManagement
    function register(Registration calldata r) external payable {
        if (msg.value != registrationFee) revert WrongFee(msg.value, registrationFee);
        if (r.enclave == address(0)) revert ZeroAddress();
        if (_nodes[r.enclave].owner != address(0)) revert AlreadyRegistered(r.enclave);
        if (r.encryptionKey.length != KEY_LENGTH) revert BadKeyLength(r.encryptionKey.length);
        _checkHostAddress(r.hostAddress);
        if (r.stake != 0 && r.stake < minimumStake) revert StakeTooLow(r.stake, minimumStake);
        bool genesis = networkKeyHash == 0;
        _checkGenesisFields(r, genesis);
        bytes32 l1BlockHash = Blockhash.blockHash(r.l1Block);
        if (l1BlockHash == 0) revert StaleBlock(r.l1Block);
        bytes32 measurement = attestation.verify(r.quote, _reportData(r, l1BlockHash));

        Node storage n = _nodes[r.enclave];
        n.owner = msg.sender;
        n.registeredAt = uint40(block.number);
        n.stake = r.stake;
        n.encryptionKeyHash = keccak256(r.encryptionKey);
        n.measurement = measurement;
        n.hostAddress = r.hostAddress;
        _enclaves.push(r.enclave);

        emit NodeRegistered(
            r.enclave, msg.sender, r.quote, r.encryptionKey, r.hostAddress, r.stake, r.l1Block, l1BlockHash
        );
        if (genesis) {
            networkKeyHash = keccak256(r.networkKey);
            emit NetworkKeyPublished(r.networkKey);
            _acceptSeed(r.enclave, r.enclave, r.encryptedSeed);
        }

        if (r.stake != 0) token.safeTransferFrom(msg.sender, address(this), r.stake);
    }

    /// @inheritdoc INetworkManagement
    function shareSeed(address enclave, address responder, bytes calldata encryptedSeed, bytes calldata signature)
        external
    {
        bytes32 encryptionKeyHash = _member(enclave).encryptionKeyHash;
        if (!_member(responder).holdsSeed) revert ResponderHoldsNoSeed(responder);
        if (hasAnswered[enclave][responder]) revert AlreadyAnswered(enclave, responder);
        if (encryptedSeed.length == 0 || encryptedSeed.length > SEED_LENGTH_MAX) {
            revert BadSeedLength(encryptedSeed.length);
        }
        bytes32 share = keccak256(abi.encode(SEED_SHARE_TYPEHASH, enclave, encryptionKeyHash, keccak256(encryptedSeed)));
        address signer = ECDSA.recoverCalldata(_hashTypedDataV4(share), signature);
        if (signer != responder) revert BadSignature(signer, responder);

        _acceptSeed(enclave, responder, encryptedSeed);
    }

    /// @inheritdoc INetworkManagement
    function setHostAddress(address enclave, string calldata hostAddress) external {
        Node storage n = _member(enclave);
        if (msg.sender != n.owner) revert NotOwner(msg.sender, n.owner);
        _checkHostAddress(hostAddress);

        n.hostAddress = hostAddress;
        emit HostAddressChanged(enclave, hostAddress);
    }

    /// @inheritdoc INetworkManagement
    function leave(address enclave) external {
        Node storage n = _member(enclave);
        if (msg.sender != n.owner) revert NotOwner(msg.sender, n.owner);

        n.leftAt = uint40(block.number);
        if (!n.holdsSeed) fees[msg.sender] += registrationFee;
        emit NodeLeft(enclave);
    }

    /// @inheritdoc INetworkManagement
    function withdrawStake(address enclave) external {
        Node storage n = _nodes[enclave];
        if (n.owner == address(0)) revert NotRegistered(enclave);
        if (msg.sender != n.owner) revert NotOwner(msg.sender, n.owner);
        if (n.leftAt == 0) revert StillMember(enclave);
        // Compared as a difference: an unbonding time near 2^256 must mean "never", not an overflow.
        if (block.number - n.leftAt < unbondingBlocks) {
            revert StillBonded(Math.saturatingAdd(n.leftAt, unbondingBlocks));
        }
        uint256 amount = n.stake;
        if (amount == 0) revert NothingToWithdraw();

        n.stake = 0;
        emit StakeWithdrawn(enclave, msg.sender, amount);
        token.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc INetworkManagement
    function withdrawFees() external {
        uint256 amount = fees[msg.sender];
        if (amount == 0) revert NothingToWithdraw();

        fees[msg.sender] = 0;
        emit FeesWithdrawn(msg.sender, amount);
        Address.sendValue(payable(msg.sender), amount);
    }

    /// @inheritdoc INetworkManagement
    function isAggregator(address enclave) external view returns (bool) {
        Node storage n = _nodes[enclave];
        // A verifier has no stake; a minimum of zero must not make it an aggregator.
        return n.holdsSeed && n.leftAt == 0 && n.stake != 0 && n.stake >= minimumStake;
    }

    /// @inheritdoc INetworkManagement
    function ownerOf(address enclave) external view returns (address) {
        return _nodes[enclave].owner;
    }

    /// @inheritdoc INetworkManagement
    function node(address enclave) external view returns (Node memory) {
        if (_nodes[enclave].owner == address(0)) revert NotRegistered(enclave);
        return _nodes[enclave];
    }

    /// @inheritdoc INetworkManagement
    function nodeCount() external view returns (uint256) {
        return _enclaves.length;
    }

    /// @inheritdoc INetworkManagement
    function nodeAt(uint256 index) external view returns (address) {
        return _enclaves[index];
    }

    /// @dev The first seed to arrive earns the fee, and from then on the node counts as holding the seed.
    function _acceptSeed(address enclave, address responder, bytes calldata encryptedSeed) private {
        hasAnswered[enclave][responder] = true;
        if (!_nodes[enclave].holdsSeed) {
            _nodes[enclave].holdsSeed = true;
            fees[_nodes[responder].owner] += registrationFee;
        }
        emit SeedShared(enclave, responder, encryptedSeed);
    }

    function _member(address enclave) private view returns (Node storage n) {
        n = _nodes[enclave];
        if (n.owner == address(0)) revert NotRegistered(enclave);
        if (n.leftAt != 0) revert NodeHasLeft(enclave);
    }

    function _reportData(Registration calldata r, bytes32 l1BlockHash) private view returns (bytes32) {
        return keccak256(
            abi.encode(
                REGISTRATION_DOMAIN,
                block.chainid,
                address(this),
                r.enclave,
                msg.sender,
                keccak256(r.encryptionKey),
                networkConfigHash,
                r.l1Block,
                l1BlockHash,
                keccak256(r.networkKey),
                keccak256(r.encryptedSeed)
            )
        );
    }

    function _checkGenesisFields(Registration calldata r, bool genesis) private pure {
        if (!genesis) {
            if (r.networkKey.length != 0 || r.encryptedSeed.length != 0) revert GenesisMismatch();
            return;
        }
        if (r.networkKey.length == 0 || r.encryptedSeed.length == 0) revert GenesisMismatch();
        if (r.networkKey.length != KEY_LENGTH) revert BadKeyLength(r.networkKey.length);
        if (r.encryptedSeed.length > SEED_LENGTH_MAX) revert BadSeedLength(r.encryptedSeed.length);
    }

    function _checkHostAddress(string calldata hostAddress) private pure {
        uint256 length = bytes(hostAddress).length;
        if (length > HOST_ADDRESS_LENGTH_MAX) revert HostAddressTooLong(length);
    }
}
