// SPDX-License-Identifier: MIT
// Who is in the network: registrations, attestations, seed epochs, stakes. Requirements are stated here, once; the contract
// implements them. What does not live here: quote formats and policy (IAttestationVerifier) and rollups
// (IRollupManagement).
pragma solidity 0.8.37;

/// @title Network management
/// @notice The gatekeeper (protocol sections 2.5 and 3). Large values (quotes, keys, seed shares, host addresses) travel in
/// events only: the L1 log is the ledger, storage keeps what contracts decide by.
///
/// Words. A *member* is a node that registered, has not left, showed a quote that names an L1 block not longer ago than the
/// verifier's attestation lifetime, and whose measurement and machine are admitted now. A member whose attestation lapsed
/// becomes one again with {reattest}. A *responder* is a member that holds the seed of the current epoch. An *aggregator*
/// is a responder with enough stake.
///
/// Seed epochs. Epoch 1 is founded by the first registration. The owner begins another one, a responder opens it with a
/// fresh network key and shares of the new seed for members, and from then on it is current: whoever got no share, or
/// cannot use it, holds no current seed until somebody answers with {shareSeed}. The plaintext of a share is the list of
/// the seeds of all epochs so far, so that old data stays readable to the members.
///
/// Report data. The first 32 bytes of the report data of every quote are
///   keccak256(abi.encode(keccak256("Obscuro registration v1"), uint256 chain id, address of this contract,
///     address enclave, address owner, keccak256(encryptionKey ‖ lotteryKey), networkConfigHash, uint64 l1Block, hash of l1Block,
///     keccak256(networkKey), keccak256(encryptedSeed)))
/// with empty network key and seed for all but the first registration, also when attesting again.
///
/// Signatures are 65 bytes (r, s, v) with low s, over EIP-712 digests with the domain ("Obscuro", "1", chain id, this
/// contract):
///   SeedShare(address enclave,uint32 epoch,bytes32 encryptedSeedHash), by the responder's enclave key;
///   SeedEpoch(uint32 epoch,bytes32 networkKeyHash,SeedShare[] shares)SeedShare(...), by the responder's enclave key;
///   SeedRejection(address enclave,address responder,uint32 epoch), by the newcomer's enclave key;
/// all hashes keccak256. Who sends the transaction does not matter then.
interface INetworkManagement {
    /// @notice What a node hands in to join.
    /// @param quote the attestation, in the verifier's format.
    /// @param enclave the address of the enclave's signing key.
    /// @param encryptionKey X-Wing public key that receives the seed: 1,216 bytes.
    /// @param lotteryKey BLS12-381 public key of the node's lottery (compressed, in G2): 96 bytes. Nodes take part only in
    /// rounds proven by L1 blocks after the one of their registration: nobody shall choose a key knowing the RANDAO.
    /// @param hostAddress where peers reach the host: at most 256 bytes; may be empty.
    /// @param stake OBX pledged, in units of 1e-18 OBX: zero for a verifier, else at least the minimum stake. A whole
    /// number of OBX, at most 16,777,215.
    /// @param l1Block number of a recent L1 block whose hash the report data contains: proof of freshness.
    /// @param networkKey the genesis node only: the network's X-Wing public key, 1,216 bytes. Otherwise empty.
    /// @param encryptedSeed the genesis node only: the seed encrypted to itself, at most 4,096 bytes. Otherwise empty.
    struct Registration {
        bytes quote;
        address enclave;
        bytes encryptionKey;
        bytes lotteryKey;
        string hostAddress;
        uint256 stake;
        uint64 l1Block;
        bytes networkKey;
        bytes encryptedSeed;
    }

    /// @notice The answer of a responder to a member that does not hold the current seed.
    struct SeedAnswer {
        address enclave;
        address responder;
        uint32 epoch;
        bytes encryptedSeed;
        bytes signature;
    }

    /// @notice A share of a new epoch's seed.
    struct EpochShare {
        address enclave;
        bytes encryptedSeed;
    }

    /// @notice What is stored of a node: one word when it registers, another when it is answered.
    /// @param owner the account that registered it; receives its fees and stake.
    /// @param attestedAt L1 block that its last quote names.
    /// @param admission the verifier's number for its measurement and machine, see {IAttestationVerifier-admitted}.
    /// @param stake held for it by the contract, in whole OBX.
    /// @param responder who made the last share for it; zero if there is none, or it was rejected.
    /// @param seedEpoch the epoch of that share, rejected or not; 0 if it was never given one.
    /// @param leftAt L1 block at which it left or was slashed; 0 while it has not.
    /// @param rejections how many shares it rejected in that epoch.
    /// @param accusations how many of its rollups are accused; the stake is frozen meanwhile.
    struct Node {
        address owner;
        uint32 attestedAt;
        uint40 admission;
        uint24 stake;
        address responder;
        uint32 seedEpoch;
        uint32 leftAt;
        uint8 rejections;
        uint16 accusations;
    }

    /// @notice A node registered. `l1BlockHash` is the hash the report data contains.
    event NodeRegistered(
        address indexed enclave,
        address indexed owner,
        bytes quote,
        bytes encryptionKey,
        bytes lotteryKey,
        string hostAddress,
        uint256 stake,
        uint64 l1Block,
        bytes32 l1BlockHash
    );

    /// @notice A node attested again. Whether its keys are still those it registered with is for enclaves to compare: shares
    /// are encrypted to that encryption key alone, lots drawn with that lottery key alone.
    event NodeReattested(address indexed enclave, bytes quote, bytes32 keysHash, uint64 l1Block, bytes32 l1BlockHash);

    /// @notice The owner asks for a new seed epoch, to be opened by any responder, or by `opener` alone if not zero.
    event SeedEpochBegun(uint32 indexed epoch, address opener);

    /// @notice The epoch is current, and this the key to which users encrypt. `responder` made it.
    event NetworkKeyPublished(uint32 indexed epoch, address indexed responder, bytes networkKey);

    /// @notice The seeds up to `epoch`, encrypted to `enclave` by `responder`. They may be equal for one who made a seed.
    event SeedShared(address indexed enclave, address indexed responder, uint32 indexed epoch, bytes encryptedSeed);

    /// @notice The share of `responder` does not yield the network key; `enclave` waits for another answer.
    event SeedRejected(address indexed enclave, address indexed responder, uint32 indexed epoch);

    /// @notice A node's host moved.
    event HostAddressChanged(address indexed enclave, string hostAddress);

    /// @notice A node left; its stake unbonds.
    event NodeLeft(address indexed enclave);

    /// @notice The stake of a node that left went back to its owner.
    event StakeWithdrawn(address indexed enclave, address indexed owner, uint256 amount);

    /// @notice A node's stake was slashed and its membership has ended. `reward` of `amount` went to the accuser, the rest
    /// to the owner of this contract.
    event NodeSlashed(address indexed enclave, address indexed accuser, uint256 amount, uint256 reward);

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
    /// @notice The node's attestation lapsed, or its measurement or machine is not admitted any more.
    error NotMember(address enclave);
    /// @notice The caller does not own the node.
    error NotOwner(address caller, address owner);
    /// @notice The hash of that L1 block is not available: in the future, or more than 8,191 blocks ago.
    error StaleBlock(uint64 l1Block);
    /// @notice The node showed a quote that names this L1 block or a later one before.
    error NotNewer(uint64 l1Block, uint256 attestedAt);
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
    /// @notice The stake is not a whole number of OBX, or above 16,777,215 OBX.
    error BadStake(uint256 stake);
    /// @notice The responder does not hold the current seed.
    error ResponderHoldsNoSeed(address responder);
    /// @notice The node holds the current seed already.
    error AlreadyAnswered(address enclave);
    /// @notice The epoch is not the one that is current, or to be opened.
    error WrongEpoch(uint32 epoch, uint32 expected);
    /// @notice No new epoch was begun.
    error NoEpochBegun();
    /// @notice The owner named another node to open the epoch.
    error NotOpener(address responder, address opener);
    /// @notice More than 64 shares.
    error TooManyShares(uint256 count);
    /// @notice The enclave rejected a share of this responder in this epoch.
    error RejectedResponder(address enclave, address responder);
    /// @notice The enclave holds no share of that responder in the current epoch that it could reject.
    error NothingToReject(address enclave, address responder);
    /// @notice The node has rejected 16 shares in this epoch.
    error TooManyRejections(address enclave);
    /// @notice The signature is not by the enclave key it should be by.
    error BadSignature(address signer, address expected);
    /// @notice The node has not left.
    error StillMember(address enclave);
    /// @notice The stake is still bonded, until the given block.
    error StillBonded(uint256 until);
    /// @notice The stake is frozen: the node is accused, see {IRollupManagement-accuse}.
    error StakeFrozen(address enclave);
    /// @notice There is nothing to withdraw.
    error NothingToWithdraw();
    /// @notice The node has nothing at stake.
    error NothingToSlash(address enclave);
    /// @notice The caller is not RollupManagement.
    error NotRollups(address caller);

    /// @notice Registers a node; the caller becomes its owner. The first ever registration founds the network and epoch 1.
    /// @dev Requires:
    /// - the value sent equals the registration fee;
    /// - the enclave's address is not zero and was never registered;
    /// - every field is within its bounds, see {Registration}; the network key and the encrypted seed are present in the
    ///   first registration and absent from all others;
    /// - the hash of block `l1Block` is available (EIP-2935: the last 8,191 blocks);
    /// - the attestation verifier accepts the quote over the report data above, with the caller as owner;
    /// - the stake is zero or at least the minimum, which the caller has.
    /// The genesis node holds the seed at once and its fee is credited back to its owner.
    function register(Registration calldata registration) external payable;

    /// @notice Shows that a node still runs an admitted program on an admitted machine. Also after its attestation lapsed.
    /// Anyone may call.
    /// @dev Requires:
    /// - the node is registered and has not left;
    /// - the hash of block `l1Block` is available, and the block is after the one of the node's last quote;
    /// - the attestation verifier accepts the quote over the report data above, with the node's enclave and owner, and
    ///   `keysHash`, keccak256 of its encryption key and lottery key. Measurement and machine may be others than before: what counts is that the
    ///   enclave key is in a program and on a machine that are admitted now.
    function reattest(address enclave, bytes calldata quote, bytes32 keysHash, uint64 l1Block) external;

    /// @notice Answers a member that does not hold the current seed. Anyone may submit the responder's signed answer.
    /// @dev Requires:
    /// - `enclave` is a member that does not hold the current seed; `responder` is a member that does; `epoch` is current;
    /// - the enclave has not rejected a share of this responder in this epoch;
    /// - `encryptedSeed` is not empty and at most 4,096 bytes;
    /// - `signature` is the responder's enclave key's over SeedShare.
    /// The first share for a registration earns its fee for the responder's owner. One after a rejection, or in a later
    /// epoch, earns nothing.
    function shareSeed(
        address enclave,
        address responder,
        uint32 epoch,
        bytes calldata encryptedSeed,
        bytes calldata signature
    ) external;

    /// @notice Gives the answers to {shareSeed}, one by one, and passes over those that it refuses: another answer may have
    /// come first, and what carries the answers must not fail for that.
    /// @return accepted how many were not refused.
    function shareSeeds(SeedAnswer[] calldata answers) external returns (uint256 accepted);

    /// @notice Rejects a share that does not yield the network key, so that others may answer. Only a broken TEE makes such
    /// a share; it keeps the fee, and what it signed is on L1 as evidence for the owner to remove it. It cannot answer this
    /// enclave again in this epoch.
    /// @dev Requires:
    /// - `enclave` is registered, has not left, and holds the current seed by a share of `responder`, not its own; `epoch` is
    ///   current;
    /// - it has rejected fewer than 16 shares in this epoch, so that a broken newcomer cannot have itself answered for ever;
    /// - `signature` is the enclave's over SeedRejection.
    function rejectSeed(address enclave, address responder, uint32 epoch, bytes calldata signature) external;

    /// @notice Asks for a new seed epoch. Replaces an earlier request that nobody has answered.
    /// @dev Requires: the owner; the network is founded.
    /// @param opener zero: any responder may open it. Otherwise this member alone, whatever it holds: the way out if the
    /// current epoch was opened by a broken TEE that gave nobody a usable share.
    function beginSeedEpoch(address opener) external;

    /// @notice Opens the epoch that was begun. The first one that is valid wins.
    /// @dev Requires:
    /// - an epoch was begun, and `epoch` is its number: the current one plus one;
    /// - `responder` is the named opener and a member, or, if none was named, a responder;
    /// - `networkKey` is 1,216 bytes; at most 64 shares; each of 1 to 4,096 bytes and for a node whose program and
    ///   machine are admitted. If somebody was removed since the shares were made, they must be made again: shares are
    ///   public. Who is not a member for another reason, having left or lapsed, is passed over;
    /// - `signature` is the responder's enclave key's over SeedEpoch.
    /// The responder holds the new seed; so does everybody with a share. The first share for a registration earns its fee.
    function openSeedEpoch(
        uint32 epoch,
        address responder,
        bytes calldata networkKey,
        EpochShare[] calldata shares,
        bytes calldata signature
    ) external;

    /// @notice Changes where peers reach the host.
    /// @dev Requires: the caller owns the node, the node has not left, at most 256 bytes.
    function setHostAddress(address enclave, string calldata hostAddress) external;

    /// @notice Leaves the network: no longer an aggregator or a responder at once; the stake starts to unbond. The fee of
    /// a registration nobody answered is credited back.
    /// @dev Requires: the caller owns the node and it has not left.
    function leave(address enclave) external;

    /// @notice Returns the stake of a node that left.
    /// @dev Requires: the caller owns the node, it left at least `unbondingBlocks` ago, it is not accused, and the stake is
    /// not zero.
    function withdrawStake(address enclave) external;

    /// @notice Counts an accusation of a node: its stake stays until as many are released.
    /// @dev Requires: RollupManagement calls; the node has something at stake.
    function freezeStake(address enclave) external;

    /// @notice Takes back one accusation.
    /// @dev Requires: RollupManagement calls; the node is accused.
    function releaseStake(address enclave) external;

    /// @notice Takes a node's whole stake and ends its membership, as if it had left and its machine were removed. A tenth
    /// goes to the accuser, the rest to the owner of this contract, who can make good a wrong.
    /// @dev Requires: RollupManagement calls; the node has something at stake.
    function slash(address enclave, address accuser) external;

    /// @notice Sends the caller the fees credited to it.
    /// @dev Requires: the credit is not zero and the caller accepts ETH.
    function withdrawFees() external;

    /// @notice Whether the node is a member now.
    function isMember(address enclave) external view returns (bool);

    /// @notice Whether the node is a member that holds the current seed.
    function isResponder(address enclave) external view returns (bool);

    /// @notice Whether the enclave may publish rollups: a responder, staked enough.
    function isAggregator(address enclave) external view returns (bool);

    /// @notice The owner of an aggregator; zero if the enclave is none.
    function aggregatorOwner(address enclave) external view returns (address);

    /// @notice The node's owner; zero if there is no such node.
    function ownerOf(address enclave) external view returns (address);

    /// @notice What is stored of a node.
    /// @dev Requires: the node is registered.
    function node(address enclave) external view returns (Node memory);

    /// @notice Whose share the enclave holds in the current epoch; zero if it holds none.
    function answeredBy(address enclave) external view returns (address responder);

    /// @notice The last epoch in which `enclave` rejected a share of `responder`; zero if it never did.
    function rejectedIn(address enclave, address responder) external view returns (uint32 epoch);

    /// @notice ETH credited to an account.
    function fees(address owner) external view returns (uint256);

    /// @notice The current seed epoch; 0 before the genesis registration.
    function seedEpoch() external view returns (uint32);

    /// @notice The epoch that the owner asked for, 0 if none, and the node that may open it, zero if any responder may.
    function begunSeedEpoch() external view returns (uint32 epoch, address opener);

    /// @notice keccak256 of the network key of an epoch; zero if it was not opened.
    function networkKeyHash(uint32 epoch) external view returns (bytes32);

    /// @notice Hash of the NetworkConfig every enclave of this network runs with.
    function networkConfigHash() external view returns (bytes32);

    /// @notice Least stake of an aggregator, in units of 1e-18 OBX.
    function minimumStake() external view returns (uint256);

    /// @notice Fee of a registration, in wei.
    function registrationFee() external view returns (uint256);

    /// @notice The RollupManagement of this network: it alone freezes and slashes.
    function rollups() external view returns (address);

    /// @notice L1 blocks between leaving and the return of the stake.
    function unbondingBlocks() external view returns (uint256);
}
