// SPDX-License-Identifier: MIT
// Who is in the network: registrations, seed shares, stakes. Requirements are stated here, once; the contract implements
// them. What does not live here: quote formats (IAttestationVerifier) and rollups (IRollupManagement).
pragma solidity 0.8.37;

/// @title Network management
/// @notice The gatekeeper (protocol section 3). Large values (quotes, keys, seed shares) travel in events only: the L1
/// log is the ledger, storage keeps what contracts decide by.
interface INetworkManagement {
    /// @notice What a node hands in to join.
    /// @param quote the attestation, in the verifier's format.
    /// @param enclave the address of the enclave's signing key.
    /// @param encryptionKey X-Wing public key that receives the seed: 1,216 bytes.
    /// @param hostAddress where peers reach the host: at most 256 bytes; may be empty.
    /// @param stake OBX pledged: zero for a verifier, else at least the minimum stake.
    /// @param l1Block number of a recent L1 block whose hash the report data contains: proof of freshness.
    /// @param networkKey the genesis node only: the network's X-Wing public key, 1,216 bytes. Otherwise empty.
    /// @param encryptedSeed the genesis node only: the seed encrypted to itself, at most 4,096 bytes. Otherwise empty.
    struct Registration {
        bytes quote;
        address enclave;
        bytes encryptionKey;
        string hostAddress;
        uint256 stake;
        uint64 l1Block;
        bytes networkKey;
        bytes encryptedSeed;
    }

    /// @notice What is stored of a node.
    /// @param owner the account that registered it; receives its fees and stake.
    /// @param registeredAt L1 block of the registration.
    /// @param leftAt L1 block at which it left; 0 while it is a member.
    /// @param holdsSeed whether a valid answer to its registration is on L1.
    /// @param stake OBX held for it by the contract.
    /// @param encryptionKeyHash keccak256 of the encryption key.
    /// @param measurement of the attested program.
    /// @param hostAddress where peers reach the host.
    struct Node {
        address owner;
        uint40 registeredAt;
        uint40 leftAt;
        bool holdsSeed;
        uint256 stake;
        bytes32 encryptionKeyHash;
        bytes32 measurement;
        string hostAddress;
    }

    /// @notice A node registered. `l1BlockHash` is the hash the report data contains.
    event NodeRegistered(
        address indexed enclave,
        address indexed owner,
        bytes quote,
        bytes encryptionKey,
        string hostAddress,
        uint256 stake,
        uint64 l1Block,
        bytes32 l1BlockHash
    );

    /// @notice The genesis node published the key to which users encrypt.
    event NetworkKeyPublished(bytes networkKey);

    /// @notice The seed, encrypted to `enclave` by `responder`. They are equal for the genesis node.
    event SeedShared(address indexed enclave, address indexed responder, bytes encryptedSeed);

    /// @notice A node's host moved.
    event HostAddressChanged(address indexed enclave, string hostAddress);

    /// @notice A node left; its stake unbonds.
    event NodeLeft(address indexed enclave);

    /// @notice The stake of a node that left went back to its owner.
    event StakeWithdrawn(address indexed enclave, address indexed owner, uint256 amount);

    /// @notice An account withdrew the fees it had earned or was owed back.
    event FeesWithdrawn(address indexed owner, uint256 amount);

    /// @notice An address given to the constructor, or the enclave's address, is zero.
    error ZeroAddress();
    /// @notice The value sent is not the registration fee.
    error WrongFee(uint256 sent, uint256 required);
    /// @notice The enclave address was registered before; a new enclave key is needed.
    error AlreadyRegistered(address enclave);
    /// @notice No such node.
    error NotRegistered(address enclave);
    /// @notice The node has left.
    error NodeHasLeft(address enclave);
    /// @notice The caller does not own the node.
    error NotOwner(address caller, address owner);
    /// @notice The hash of that L1 block is not available: in the future, or more than 8,191 blocks ago.
    error StaleBlock(uint64 l1Block);
    /// @notice A key has the wrong length.
    error BadKeyLength(uint256 length);
    /// @notice The host address is too long.
    error HostAddressTooLong(uint256 length);
    /// @notice The encrypted seed is empty or too long.
    error BadSeedLength(uint256 length);
    /// @notice The network key and seed are missing from the first registration or present in a later one.
    error GenesisMismatch();
    /// @notice The stake is neither zero nor at least the minimum.
    error StakeTooLow(uint256 stake, uint256 minimum);
    /// @notice The responder holds no seed.
    error ResponderHoldsNoSeed(address responder);
    /// @notice The responder has answered this registration already.
    error AlreadyAnswered(address enclave, address responder);
    /// @notice The seed share is not signed by the responder's enclave key.
    error BadSignature(address signer, address responder);
    /// @notice The node has not left.
    error StillMember(address enclave);
    /// @notice The stake is still bonded, until the given block.
    error StillBonded(uint256 until);
    /// @notice There is nothing to withdraw.
    error NothingToWithdraw();

    /// @notice Registers a node; the caller becomes its owner. The first ever registration founds the network.
    /// @dev Requires:
    /// - the value sent equals the registration fee;
    /// - the enclave's address is not zero and was never registered;
    /// - every field is within its bounds, see {Registration}; the network key and the encrypted seed are present in the
    ///   first registration and absent from all others;
    /// - the hash of block `l1Block` is available (EIP-2935: the last 8,191 blocks);
    /// - the attestation verifier accepts the quote over the report data
    ///   keccak256(abi.encode(keccak256("Obscuro registration v1"), chain id, this contract, enclave, owner,
    ///   keccak256(encryptionKey), networkConfigHash, l1Block, hash of l1Block, keccak256(networkKey),
    ///   keccak256(encryptedSeed)));
    /// - the stake is zero or at least the minimum, and the caller has approved it.
    /// The genesis node holds the seed at once and its fee is credited back to its owner.
    function register(Registration calldata registration) external payable;

    /// @notice Answers a registration with the seed. Anyone may submit the responder's signed answer.
    /// @dev Requires:
    /// - `enclave` and `responder` are registered and have not left; the responder holds the seed and has not answered
    ///   this enclave before;
    /// - `encryptedSeed` is not empty and at most 4,096 bytes;
    /// - `signature` (65 bytes, low s) is the responder's enclave key's over the EIP-712 digest, domain ("Obscuro", "1",
    ///   chain id, this contract), of SeedShare(address enclave,bytes32 encryptionKeyHash,bytes32 encryptedSeedHash).
    /// The first answer earns the registration fee for the responder's owner. Later ones earn nothing, but are accepted:
    /// a newcomer refuses a seed that does not yield the network key and waits for another answer.
    function shareSeed(address enclave, address responder, bytes calldata encryptedSeed, bytes calldata signature)
        external;

    /// @notice Changes where peers reach the host.
    /// @dev Requires: the caller owns the node, the node has not left, at most 256 bytes.
    function setHostAddress(address enclave, string calldata hostAddress) external;

    /// @notice Leaves the network: no longer an aggregator or a responder at once; the stake starts to unbond. The fee of
    /// a registration nobody answered is credited back.
    /// @dev Requires: the caller owns the node and it has not left.
    function leave(address enclave) external;

    /// @notice Returns the stake of a node that left.
    /// @dev Requires: the caller owns the node, it left at least `unbondingBlocks` ago, and the stake is not zero.
    function withdrawStake(address enclave) external;

    /// @notice Sends the caller the fees credited to it.
    /// @dev Requires: the credit is not zero and the caller accepts ETH.
    function withdrawFees() external;

    /// @notice Whether the enclave may publish rollups: registered, not left, holds the seed, staked enough.
    function isAggregator(address enclave) external view returns (bool);

    /// @notice The node's owner; zero if there is no such node.
    function ownerOf(address enclave) external view returns (address);

    /// @notice What is stored of a node.
    /// @dev Requires: the node is registered.
    function node(address enclave) external view returns (Node memory);

    /// @notice How many nodes ever registered, those that left included.
    function nodeCount() external view returns (uint256);

    /// @notice The enclave of the node that registered at position `index`, from 0.
    /// @dev Requires: `index` is below {nodeCount}.
    function nodeAt(uint256 index) external view returns (address);

    /// @notice Whether `responder` has answered the registration of `enclave`.
    function hasAnswered(address enclave, address responder) external view returns (bool);

    /// @notice ETH credited to an account.
    function fees(address owner) external view returns (uint256);

    /// @notice keccak256 of the network key; zero before the genesis registration.
    function networkKeyHash() external view returns (bytes32);

    /// @notice Hash of the NetworkConfig every enclave of this network runs with.
    function networkConfigHash() external view returns (bytes32);

    /// @notice Least stake of an aggregator, in units of 1e-18 OBX.
    function minimumStake() external view returns (uint256);

    /// @notice Fee of a registration, in wei.
    function registrationFee() external view returns (uint256);

    /// @notice L1 blocks between leaving and the return of the stake.
    function unbondingBlocks() external view returns (uint256);
}
