//! The management contract as Rust sees it: functions that hosts call and events that enclaves
//! fold. Not here: contract bytecode (`contracts`) and what the events mean (the enclave's fold).

#![expect(clippy::too_many_arguments, reason = "generated from the contracts' events")]

use alloy_sol_types::sol;
use serde::{Deserialize, Serialize};

sol! {
    /// The public part of a rollup. Its EIP-712 struct hash is the rollup's hash.
    #[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    struct RollupHeader {
        uint16 version;
        bytes32 parent;
        uint64 number;
        bytes32 l1Proof;
        uint64 l1ProofNumber;
        address aggregator;
        uint256 nonce;
        uint64 timestamp;
        bytes32 stateRoot;
        bytes32 transactionsRoot;
        bytes32 receiptsRoot;
        bytes32 withdrawalsRoot;
        bytes32 publicEventsRoot;
        uint64 depositCursor;
        uint64 forcedCursor;
        bytes32 payloadHash;
        uint64 gasUsed;
        uint64 gasLimit;
        uint64 baseFee;
    }

    /// What a newcomer presents.
    #[derive(Debug, Default)]
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

    /// What an enclave signs when it hands the seeds up to an epoch over (EIP-712).
    #[derive(Debug)]
    struct SeedShare {
        address enclave;
        uint32 epoch;
        bytes32 encryptedSeedHash;
    }

    /// What an enclave signs when it opens an epoch with a fresh seed (EIP-712).
    #[derive(Debug)]
    struct SeedEpoch {
        uint32 epoch;
        bytes32 networkKeyHash;
        SeedShare[] shares;
    }

    /// What an enclave signs when it was given a seed that is not the network's (EIP-712).
    #[derive(Debug)]
    struct SeedRejection {
        address enclave;
        address responder;
        uint32 epoch;
    }

    /// What an enclave signs when it has executed a canonical rollup (EIP-712); checked on L2.
    #[derive(Debug)]
    struct Executed {
        bytes32 rollup;
    }

    /// The seeds up to an epoch for one node, as handed in.
    #[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    struct SeedAnswer {
        address enclave;
        address responder;
        uint32 epoch;
        bytes encryptedSeed;
        bytes signature;
    }

    /// A share of a new epoch's seed.
    #[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    struct EpochShare {
        address enclave;
        bytes encryptedSeed;
    }

    /// What the owner of `AttestationVerifier` demands of every quote.
    #[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    struct AttestationPolicy {
        uint16 minimumSecurityVersion;
        uint32 minimumTcbEvaluation;
        uint16 allowedTcbStatuses;
        uint32 attestationLifetimeBlocks;
    }

    /// Least security versions of a kind of machine.
    #[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    struct TcbMinimum {
        bytes16 sgxComponents;
        uint16 pceSvn;
        uint40 validUntil;
        bytes16 tdxComponents;
    }

    /// What a quoting enclave must look like.
    #[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    struct QeIdentity {
        bytes32 mrSigner;
        uint16 isvProdId;
        uint16 minimumIsvSvn;
        bytes4 miscSelect;
        bytes4 miscSelectMask;
        bytes16 attributes;
        bytes16 attributesMask;
        uint40 validUntil;
    }

    /// `AttestationVerifier`: what is demanded of quotes, and everything needed to verify one again.
    #[derive(Debug)]
    interface IAttestationVerifier {
        event RootCertificate(bytes der, bool development);
        event AuthorityRegistered(bytes32 indexed authority, bool tcbSigner, bytes der);
        event PlatformRegistered(bytes32 indexed platform, bytes32 indexed machine, bytes32 indexed authority, bytes6 fmspc, bytes der);
        event CrlPublished(bytes32 indexed authority, uint40 thisUpdate, uint40 nextUpdate, bytes der);
        event CollateralPublished(bytes32 indexed authority, bytes json, bytes signature);
        event MeasurementApproved(bytes32 indexed measurement, uint64 activationBlock, uint64 sunsetBlock);
        event PolicyChanged(AttestationPolicy policy);
        event MachineRemoved(bytes32 indexed machine);
        event MachineReadmitted(bytes32 indexed machine);

        function registerAuthority(bytes calldata der) external;
        function registerPlatform(bytes calldata der) external;
        function publishCrl(bytes calldata der) external;
        function publishCollateral(bytes calldata json, bytes calldata signature) external;
        function approveMeasurement(bytes32 measurement, uint64 activationBlock, uint64 sunsetBlock) external;
        function setPolicy(AttestationPolicy calldata policy) external;
        function setTcbMinimum(bytes6 fmspc, TcbMinimum calldata minimum) external;
        function setQeIdentity(bool tdx, QeIdentity calldata identity) external;
        function removeMachine(bytes32 machine) external;
        function readmitMachine(bytes32 machine) external;
    }

    /// `NetworkManagement`: membership, stakes, the shared seeds.
    #[derive(Debug)]
    interface INetworkManagement {
        event NodeRegistered(address indexed enclave, address indexed owner, bytes quote, bytes encryptionKey, bytes lotteryKey, string hostAddress, uint256 stake, uint64 l1Block, bytes32 l1BlockHash);
        event NodeReattested(address indexed enclave, bytes quote, bytes32 keysHash, uint64 l1Block, bytes32 l1BlockHash);
        event SeedEpochBegun(uint32 indexed epoch, address opener);
        event NetworkKeyPublished(uint32 indexed epoch, address indexed responder, bytes networkKey);
        event SeedShared(address indexed enclave, address indexed responder, uint32 indexed epoch, bytes encryptedSeed);
        event SeedRejected(address indexed enclave, address indexed responder, uint32 indexed epoch);
        event HostAddressChanged(address indexed enclave, string hostAddress);
        event NodeLeft(address indexed enclave);
        event NodeSlashed(address indexed enclave, address indexed accuser, uint256 amount, uint256 reward);

        function register(Registration calldata registration) external payable;
        function reattest(address enclave, bytes calldata quote, bytes32 keysHash, uint64 l1Block) external;
        function shareSeed(address enclave, address responder, uint32 epoch, bytes calldata encryptedSeed, bytes calldata signature) external;
        function rejectSeed(address enclave, address responder, uint32 epoch, bytes calldata signature) external;
        function beginSeedEpoch(address opener) external;
        function openSeedEpoch(uint32 epoch, address responder, bytes calldata networkKey, EpochShare[] calldata shares, bytes calldata signature) external;
        function setHostAddress(address enclave, string calldata hostAddress) external;
        function leave(address enclave) external;
        function withdrawStake(address enclave) external;
        function withdrawFees() external;
        function fees(address owner) external view returns (uint256);
        function ownerOf(address enclave) external view returns (address);
        function isMember(address enclave) external view returns (bool);
        function isAggregator(address enclave) external view returns (bool);
        function minimumStake() external view returns (uint256);
        function registrationFee() external view returns (uint256);
        function networkConfigHash() external view returns (bytes32);
    }

    /// `RollupManagement`: the tree of rollups, and transactions that they must apply.
    #[derive(Debug)]
    interface IRollupManagement {
        event RollupPublished(bytes32 indexed rollup, address indexed aggregator, RollupHeader header, bytes signature, bytes lotteryProof, bytes32[] blobs);
        event TransactionForced(uint64 indexed index, address indexed sender, bytes envelope);
        event ForkBegan(bytes32 indexed rollup, bytes32 indexed parent, uint256 branch);
        event DeepForkSeen(bytes32 indexed rollup);
        event Accused(bytes32 indexed rollup, address indexed aggregator, bytes32 rival, address accuser);
        event Acquitted(bytes32 indexed rollup, address indexed aggregator);

        function publish(RollupHeader calldata header, bytes calldata signature, bytes calldata lotteryProof, bytes calldata payload, SeedAnswer[] calldata answers) external;
        function forceTransaction(bytes calldata envelope) external returns (uint64 index);
        function accuse(RollupHeader calldata header, bytes32 rival) external;
        function slash(RollupHeader calldata header, bytes32 survivor) external;
        function acquit(RollupHeader calldata header, bytes32 survivor) external;
        function isSuspended() external view returns (bool);
        function isConfirmed(bytes32 rollup, uint256 blocks) external view returns (bool);
    }

    /// `BridgeManagement`: deposits and withdrawals.
    #[derive(Debug)]
    interface IBridgeManagement {
        event Deposited(uint64 indexed index, address indexed asset, address indexed to, address from, uint256 amount, string name, string symbol, uint8 decimals);
        event Withdrawn(uint64 indexed index, address indexed asset, address indexed to, uint256 amount);

        function deposit(address asset, uint256 amount, address to) external payable;
        function withdraw(bytes32 rollup, uint64 index, address asset, address to, uint256 amount, bytes32[] calldata proof) external;
        function locked(address asset) external view returns (uint256);
    }

    /// What the protocol uses of an ERC-20.
    #[derive(Debug)]
    interface IERC20 {
        function approve(address spender, uint256 amount) external returns (bool);
        function transfer(address to, uint256 amount) external returns (bool);
        function balanceOf(address account) external view returns (uint256);
    }

    /// What the protocol uses of OBX beyond that: coming into being and ending (protocol 10.1).
    #[derive(Debug)]
    interface IObscuroToken {
        function nameBridge(address bridge) external;
        function mintIntoPool(uint256 amount) external;
        function burnExcess() external;
        function mintable() external view returns (uint256);
    }

    /// The L2's end of the bridge, in its genesis state.
    #[derive(Debug)]
    interface IL2Bridge {
        event Withdrawal(uint64 indexed index, address indexed asset, address indexed to, uint256 amount);

        function credit(address asset, address to, uint256 amount, string calldata name, string calldata symbol, uint8 decimals) external;
        function withdraw(address asset, uint256 amount, address to) external;
        function withdrawNative(address to) external payable;
        function wrapped(address asset) external view returns (address);
    }

    /// What publishing earned.
    #[derive(Debug, PartialEq, Eq)]
    struct Reward {
        address owner;
        uint256 amount;
    }

    /// A prize for whoever shows that an enclave of `owner` executed a rollup.
    #[derive(Debug, PartialEq, Eq)]
    struct Prize {
        bytes32 rollup;
        address enclave;
        address owner;
        uint256 amount;
    }

    /// The pool of fees on L2, in its genesis state.
    #[derive(Debug, PartialEq, Eq)]
    interface IRewardPool {
        event Claimed(address indexed owner, uint256 amount);

        function credit(Reward[] calldata rewards, Prize[] calldata prizes) external;
        function claim(address recipient) external returns (uint256 paid);
        function claimPrize(bytes32 rollup, address enclave, bytes calldata signature) external returns (uint256 amount);
        function burnExcess() external returns (uint256 burnt);
        function owed(address owner) external view returns (uint256);
        function prizeOf(bytes32 rollup, address enclave) external view returns (uint256 amount);
        function PRIZE_ROLLUPS() external view returns (uint256);
        function totalOwed() external view returns (uint256);
    }
}
