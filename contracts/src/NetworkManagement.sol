// SPDX-License-Identifier: MIT
// Admission to the network: attested registrations, seed epochs and shares, stakes and fees (protocol section 3). What does
// not live here: how a quote is verified and which programs and machines are admitted (an IAttestationVerifier), rollups and
// who is to be slashed (an IRollupManagement), and changes of parameters.
pragma solidity 0.8.37;

import {IAttestationVerifier} from "./interfaces/IAttestationVerifier.sol";
import {INetworkManagement} from "./interfaces/INetworkManagement.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title Network management
/// @notice See {INetworkManagement}.
contract NetworkManagement is INetworkManagement, EIP712, Ownable {
    using SafeERC20 for IERC20;

    /// @dev The epochs, in one word: registering reads it too.
    /// @param current 0 before the genesis registration.
    /// @param begun the one that the owner asked for; 0 if none.
    /// @param opener who alone may open it; zero if any responder may.
    struct Epochs {
        uint32 current;
        uint32 begun;
        address opener;
    }

    /// @dev Domain of the report data of every quote.
    bytes32 private constant REGISTRATION_DOMAIN = keccak256("Obscuro registration v1");

    bytes32 private constant SEED_SHARE_TYPEHASH =
        keccak256("SeedShare(address enclave,uint32 epoch,bytes32 encryptedSeedHash)");
    bytes32 private constant SEED_EPOCH_TYPEHASH = keccak256(
        "SeedEpoch(uint32 epoch,bytes32 networkKeyHash,SeedShare[] shares)"
        "SeedShare(address enclave,uint32 epoch,bytes32 encryptedSeedHash)"
    );
    bytes32 private constant SEED_REJECTION_TYPEHASH =
        keccak256("SeedRejection(address enclave,address responder,uint32 epoch)");

    bytes32 private constant EMPTY_HASH = keccak256("");

    /// @dev Bytes of an X-Wing public key: ML-KEM-768 (1,184) and X25519 (32).
    uint256 private constant KEY_LENGTH = 1216;

    /// @dev Bytes of a compressed BLS12-381 public key in G2. Whether it is one is for enclaves to judge.
    uint256 private constant LOTTERY_KEY_LENGTH = 96;

    /// @dev An X-Wing share of one seed is about 1,200 bytes, and 32 more for each epoch: room for ninety.
    uint256 private constant SEED_LENGTH_MAX = 4096;

    uint256 private constant HOST_ADDRESS_LENGTH_MAX = 256;

    /// @dev One OBX in the token's units.
    uint256 private constant OBX = 1e18;

    /// @dev A transaction may carry 128 KiB.
    uint256 private constant SHARES_MAX = 64;

    uint256 private constant REJECTIONS_MAX = 16;

    /// @dev The accuser's part of a slashed stake. Small: a forger may well accuse itself.
    uint256 private constant ACCUSER_PERCENT = 10;

    IERC20 public immutable token;
    IAttestationVerifier public immutable attestation;
    /// @inheritdoc INetworkManagement
    address public immutable rollups;
    /// @inheritdoc INetworkManagement
    bytes32 public immutable networkConfigHash;
    /// @inheritdoc INetworkManagement
    uint256 public immutable minimumStake;
    /// @inheritdoc INetworkManagement
    uint256 public immutable registrationFee;
    /// @inheritdoc INetworkManagement
    uint256 public immutable unbondingBlocks;

    /// @inheritdoc INetworkManagement
    mapping(uint32 epoch => bytes32) public networkKeyHash;
    /// @inheritdoc INetworkManagement
    mapping(address owner => uint256) public fees;
    /// @inheritdoc INetworkManagement
    mapping(address enclave => mapping(address responder => uint32 epoch)) public rejectedIn;

    Epochs private _epochs;
    mapping(address enclave => Node) private _nodes;

    constructor(
        IERC20 token_,
        IAttestationVerifier attestation_,
        bytes32 networkConfigHash_,
        uint256 minimumStake_,
        uint256 registrationFee_,
        uint256 unbondingBlocks_,
        address owner_,
        address rollups_
    ) EIP712("Obscuro", "1") Ownable(owner_) {
        if (address(token_) == address(0) || address(attestation_) == address(0) || rollups_ == address(0)) {
            revert ZeroAddress();
        }
        rollups = rollups_;
        token = token_;
        attestation = attestation_;
        networkConfigHash = networkConfigHash_;
        minimumStake = minimumStake_;
        registrationFee = registrationFee_;
        unbondingBlocks = unbondingBlocks_;
    }

    modifier onlyRollups() {
        if (msg.sender != rollups) revert NotRollups(msg.sender);
        _;
    }

    /// @inheritdoc INetworkManagement
    function register(Registration calldata r) external payable {
        if (msg.value != registrationFee) revert WrongFee(msg.value, registrationFee);
        if (r.enclave == address(0)) revert ZeroAddress();
        Node storage n = _nodes[r.enclave];
        if (n.owner != address(0)) revert AlreadyRegistered(r.enclave);
        bool genesis = _epochs.current == 0;
        _checkFields(r, genesis);
        uint24 stake = _wholeStake(r.stake);
        bytes32 l1BlockHash = _recentBlockHash(r.l1Block);
        (,, uint40 admission) = attestation.verify(r.quote, _registrationReportData(r, genesis, l1BlockHash));

        n.owner = msg.sender;
        n.attestedAt = uint32(r.l1Block);
        n.admission = admission;
        n.stake = stake;
        _announce(r, l1BlockHash);
        if (genesis) {
            _openEpoch(1, r.enclave, r.networkKey);
            _give(n, r.enclave, r.enclave, 1, r.encryptedSeed);
        }

        if (r.stake != 0) token.safeTransferFrom(msg.sender, address(this), r.stake);
    }

    /// @inheritdoc INetworkManagement
    function reattest(address enclave, bytes calldata quote, bytes32 keysHash, uint64 l1Block) external {
        Node storage n = _present(enclave);
        bytes32 l1BlockHash = _recentBlockHash(l1Block);
        if (l1Block <= n.attestedAt) revert NotNewer(l1Block, n.attestedAt);
        bytes32 reportData = _reportData(enclave, n.owner, keysHash, l1Block, l1BlockHash, EMPTY_HASH, EMPTY_HASH);
        (,, uint40 admission) = attestation.verify(quote, reportData);

        // A block in the past.
        // forge-lint: disable-next-line(unsafe-typecast)
        n.attestedAt = uint32(l1Block);
        n.admission = admission;
        emit NodeReattested(enclave, quote, keysHash, l1Block, l1BlockHash);
    }

    /// @inheritdoc INetworkManagement
    function shareSeed(
        address enclave,
        address responder,
        uint32 epoch,
        bytes calldata encryptedSeed,
        bytes calldata signature
    ) external {
        uint32 current = _epochs.current;
        if (epoch != current) revert WrongEpoch(epoch, current);
        Node storage n = _member(enclave);
        if (_holdsSeed(n)) revert AlreadyAnswered(enclave);
        if (!_holdsSeed(_member(responder))) revert ResponderHoldsNoSeed(responder);
        if (rejectedIn[enclave][responder] == current) revert RejectedResponder(enclave, responder);
        _checkSeedLength(encryptedSeed);
        _checkSignature(responder, _hashShare(enclave, epoch, encryptedSeed), signature);

        _give(n, enclave, responder, current, encryptedSeed);
    }

    /// @inheritdoc INetworkManagement
    function shareSeeds(SeedAnswer[] calldata answers) external returns (uint256 accepted) {
        for (uint256 i = 0; i < answers.length; i++) {
            SeedAnswer calldata a = answers[i];
            try this.shareSeed(a.enclave, a.responder, a.epoch, a.encryptedSeed, a.signature) {
                accepted++;
            } catch {}
        }
    }

    /// @inheritdoc INetworkManagement
    function rejectSeed(address enclave, address responder, uint32 epoch, bytes calldata signature) external {
        uint32 current = _epochs.current;
        if (epoch != current) revert WrongEpoch(epoch, current);
        Node storage n = _present(enclave);
        if (responder == enclave || responder == address(0) || answeredBy(enclave) != responder) {
            revert NothingToReject(enclave, responder);
        }
        if (n.rejections == REJECTIONS_MAX) revert TooManyRejections(enclave);
        _checkSignature(enclave, keccak256(abi.encode(SEED_REJECTION_TYPEHASH, enclave, responder, epoch)), signature);

        (n.responder, n.rejections) = (address(0), n.rejections + 1);
        rejectedIn[enclave][responder] = current;
        emit SeedRejected(enclave, responder, current);
    }

    /// @inheritdoc INetworkManagement
    function beginSeedEpoch(address opener) external onlyOwner {
        uint32 current = _epochs.current;
        if (current == 0) revert GenesisMismatch();

        _epochs.begun = current + 1;
        _epochs.opener = opener;
        emit SeedEpochBegun(current + 1, opener);
    }

    /// @inheritdoc INetworkManagement
    function openSeedEpoch(
        uint32 epoch,
        address responder,
        bytes calldata networkKey,
        EpochShare[] calldata shares,
        bytes calldata signature
    ) external {
        Epochs memory epochs = _epochs;
        if (epochs.begun == 0) revert NoEpochBegun();
        if (epoch != epochs.begun) revert WrongEpoch(epoch, epochs.begun);
        Node storage n = _member(responder);
        if (epochs.opener != address(0)) {
            if (responder != epochs.opener) revert NotOpener(responder, epochs.opener);
        } else if (!_holdsSeed(n)) {
            revert ResponderHoldsNoSeed(responder);
        }
        if (networkKey.length != KEY_LENGTH) revert BadKeyLength(networkKey.length);
        if (shares.length > SHARES_MAX) revert TooManyShares(shares.length);
        bytes32 content =
            keccak256(abi.encode(SEED_EPOCH_TYPEHASH, epoch, keccak256(networkKey), _hashShares(epoch, shares)));
        _checkSignature(responder, content, signature);

        _hold(n, responder, epoch);
        _openEpoch(epoch, responder, networkKey);
        for (uint256 i = 0; i < shares.length; i++) {
            _giveEpoch(shares[i], responder, epoch);
        }
    }

    /// @inheritdoc INetworkManagement
    function setHostAddress(address enclave, string calldata hostAddress) external {
        Node storage n = _present(enclave);
        if (msg.sender != n.owner) revert NotOwner(msg.sender, n.owner);
        _checkHostAddress(hostAddress);

        emit HostAddressChanged(enclave, hostAddress);
    }

    /// @inheritdoc INetworkManagement
    function leave(address enclave) external {
        Node storage n = _present(enclave);
        if (msg.sender != n.owner) revert NotOwner(msg.sender, n.owner);

        if (_owesFee(n)) fees[msg.sender] += registrationFee;
        n.leftAt = uint32(block.number);
        emit NodeLeft(enclave);
    }

    /// @inheritdoc INetworkManagement
    function withdrawStake(address enclave) external {
        Node storage n = _nodes[enclave];
        if (n.owner == address(0)) revert NotRegistered(enclave);
        if (msg.sender != n.owner) revert NotOwner(msg.sender, n.owner);
        if (n.leftAt == 0) revert StillMember(enclave);
        if (n.accusations != 0) revert StakeFrozen(enclave);
        // Compared as a difference: an unbonding time near 2^256 must mean "never", not an overflow.
        if (block.number - n.leftAt < unbondingBlocks) {
            revert StillBonded(Math.saturatingAdd(n.leftAt, unbondingBlocks));
        }
        uint256 amount = n.stake * OBX;
        if (amount == 0) revert NothingToWithdraw();

        n.stake = 0;
        emit StakeWithdrawn(enclave, msg.sender, amount);
        token.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc INetworkManagement
    function freezeStake(address enclave) external onlyRollups {
        Node storage n = _nodes[enclave];
        if (n.stake == 0) revert NothingToSlash(enclave);

        n.accusations++;
    }

    /// @inheritdoc INetworkManagement
    function releaseStake(address enclave) external onlyRollups {
        _nodes[enclave].accusations--;
    }

    /// @inheritdoc INetworkManagement
    function slash(address enclave, address accuser) external onlyRollups {
        Node storage n = _nodes[enclave];
        uint256 amount = n.stake * OBX;
        if (amount == 0) revert NothingToSlash(enclave);

        (n.stake, n.admission) = (0, 0);
        if (n.leftAt == 0) n.leftAt = uint32(block.number);
        uint256 reward = amount * ACCUSER_PERCENT / 100;
        emit NodeSlashed(enclave, accuser, amount, reward);
        token.safeTransfer(accuser, reward);
        // Without an owner, nobody ever gets the rest.
        if (owner() != address(0)) token.safeTransfer(owner(), amount - reward);
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
    function isMember(address enclave) external view returns (bool) {
        return _isMember(_nodes[enclave]);
    }

    /// @inheritdoc INetworkManagement
    function isResponder(address enclave) external view returns (bool) {
        Node storage n = _nodes[enclave];
        return _holdsSeed(n) && _isMember(n);
    }

    /// @inheritdoc INetworkManagement
    function isAggregator(address enclave) external view returns (bool) {
        return aggregatorOwner(enclave) != address(0);
    }

    /// @inheritdoc INetworkManagement
    function aggregatorOwner(address enclave) public view returns (address) {
        Node storage n = _nodes[enclave];
        // A verifier has no stake; a minimum of zero must not make it an aggregator.
        uint256 stake = n.stake * OBX;
        bool staked = stake != 0 && stake >= minimumStake;
        return staked && _holdsSeed(n) && _isMember(n) ? n.owner : address(0);
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
    function seedEpoch() external view returns (uint32) {
        return _epochs.current;
    }

    /// @inheritdoc INetworkManagement
    function begunSeedEpoch() external view returns (uint32 epoch, address opener) {
        return (_epochs.begun, _epochs.opener);
    }

    /// @inheritdoc INetworkManagement
    function answeredBy(address enclave) public view returns (address) {
        Node storage n = _nodes[enclave];
        return n.seedEpoch == _epochs.current ? n.responder : address(0);
    }

    function _announce(Registration calldata r, bytes32 l1BlockHash) private {
        emit NodeRegistered(
            r.enclave,
            msg.sender,
            r.quote,
            r.encryptionKey,
            r.lotteryKey,
            r.hostAddress,
            r.stake,
            r.l1Block,
            l1BlockHash
        );
    }

    function _openEpoch(uint32 epoch, address responder, bytes calldata networkKey) private {
        _epochs = Epochs(epoch, 0, address(0));
        networkKeyHash[epoch] = keccak256(networkKey);
        emit NetworkKeyPublished(epoch, responder, networkKey);
    }

    function _give(Node storage n, address enclave, address responder, uint32 epoch, bytes calldata encryptedSeed)
        private
    {
        _hold(n, responder, epoch);
        emit SeedShared(enclave, responder, epoch, encryptedSeed);
    }

    /// @dev The first share that a node holds earns the fee of its registration.
    function _hold(Node storage n, address responder, uint32 epoch) private {
        if (_owesFee(n)) fees[_nodes[responder].owner] += registrationFee;
        if (n.seedEpoch != epoch) n.rejections = 0;
        (n.responder, n.seedEpoch) = (responder, epoch);
    }

    /// @dev Passes over who left, or whose attestation lapsed, since the shares were made: else anybody could hold up an
    /// opening by leaving. But not over who is not admitted any more: the share is public, and would be read.
    function _giveEpoch(EpochShare calldata share, address responder, uint32 epoch) private {
        _checkSeedLength(share.encryptedSeed);
        Node storage n = _nodes[share.enclave];
        if (_isMember(n)) _give(n, share.enclave, responder, epoch, share.encryptedSeed);
        else if (!attestation.isCurrent(n.admission, block.number)) revert NotMember(share.enclave);
    }

    /// @dev Requires: registered and not left. Its attestation may have lapsed.
    function _present(address enclave) private view returns (Node storage n) {
        n = _nodes[enclave];
        if (n.owner == address(0)) revert NotRegistered(enclave);
        if (n.leftAt != 0) revert NodeHasLeft(enclave);
    }

    function _member(address enclave) private view returns (Node storage n) {
        n = _present(enclave);
        if (!attestation.isCurrent(n.admission, n.attestedAt)) revert NotMember(enclave);
    }

    function _isMember(Node storage n) private view returns (bool) {
        return n.owner != address(0) && n.leftAt == 0 && attestation.isCurrent(n.admission, n.attestedAt);
    }

    /// @dev Nobody holds a seed before there is one.
    function _holdsSeed(Node storage n) private view returns (bool) {
        return n.responder != address(0) && n.seedEpoch == _epochs.current;
    }

    /// @dev Whether nobody has earned the fee of the registration yet. A rejected share has earned it.
    function _owesFee(Node storage n) private view returns (bool) {
        return n.seedEpoch == 0;
    }

    function _recentBlockHash(uint64 l1Block) private view returns (bytes32 hash) {
        hash = Blockhash.blockHash(l1Block);
        if (hash == 0) revert StaleBlock(l1Block);
    }

    function _registrationReportData(Registration calldata r, bool genesis, bytes32 l1BlockHash)
        private
        view
        returns (bytes32)
    {
        return _reportData(
            r.enclave,
            msg.sender,
            keccak256(bytes.concat(r.encryptionKey, r.lotteryKey)),
            r.l1Block,
            l1BlockHash,
            genesis ? keccak256(r.networkKey) : EMPTY_HASH,
            genesis ? keccak256(r.encryptedSeed) : EMPTY_HASH
        );
    }

    function _reportData(
        address enclave,
        address owner_,
        bytes32 keysHash,
        uint64 l1Block,
        bytes32 l1BlockHash,
        bytes32 networkKeyHash_,
        bytes32 encryptedSeedHash
    ) private view returns (bytes32) {
        return keccak256(
            abi.encode(
                REGISTRATION_DOMAIN,
                block.chainid,
                address(this),
                enclave,
                owner_,
                keysHash,
                networkConfigHash,
                l1Block,
                l1BlockHash,
                networkKeyHash_,
                encryptedSeedHash
            )
        );
    }

    function _hashShare(address enclave, uint32 epoch, bytes calldata encryptedSeed) private pure returns (bytes32) {
        return keccak256(abi.encode(SEED_SHARE_TYPEHASH, enclave, epoch, keccak256(encryptedSeed)));
    }

    /// @dev An array in EIP-712: the hash of its members' hashes.
    function _hashShares(uint32 epoch, EpochShare[] calldata shares) private pure returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](shares.length);
        for (uint256 i = 0; i < shares.length; i++) {
            hashes[i] = _hashShare(shares[i].enclave, epoch, shares[i].encryptedSeed);
        }
        return keccak256(abi.encodePacked(hashes));
    }

    /// @dev In whole OBX.
    function _wholeStake(uint256 stake) private view returns (uint24) {
        if (stake != 0 && stake < minimumStake) revert StakeTooLow(stake, minimumStake);
        if (stake % OBX != 0 || stake / OBX > type(uint24).max) revert BadStake(stake);
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint24(stake / OBX);
    }

    function _checkSignature(address expected, bytes32 content, bytes calldata signature) private view {
        address signer = ECDSA.recoverCalldata(_hashTypedDataV4(content), signature);
        if (signer != expected) revert BadSignature(signer, expected);
    }

    function _checkFields(Registration calldata r, bool genesis) private pure {
        if (r.encryptionKey.length != KEY_LENGTH) revert BadKeyLength(r.encryptionKey.length);
        if (r.lotteryKey.length != LOTTERY_KEY_LENGTH) revert BadKeyLength(r.lotteryKey.length);
        _checkHostAddress(r.hostAddress);
        if (genesis != (r.networkKey.length != 0) || genesis != (r.encryptedSeed.length != 0)) {
            revert GenesisMismatch();
        }
        if (!genesis) return;
        if (r.networkKey.length != KEY_LENGTH) revert BadKeyLength(r.networkKey.length);
        _checkSeedLength(r.encryptedSeed);
    }

    function _checkSeedLength(bytes calldata encryptedSeed) private pure {
        uint256 length = encryptedSeed.length;
        if (length == 0 || length > SEED_LENGTH_MAX) revert BadSeedLength(length);
    }

    function _checkHostAddress(string calldata hostAddress) private pure {
        uint256 length = bytes(hostAddress).length;
        if (length > HOST_ADDRESS_LENGTH_MAX) revert HostAddressTooLong(length);
    }
}
