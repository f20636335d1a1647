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
        string hostAddress;
        uint256 stake;
        uint64 l1Block;
        bytes networkKey;
        bytes encryptedSeed;
    }

    /// What an enclave signs when it hands the seed over (EIP-712).
    struct SeedShare {
        address enclave;
        bytes32 encryptionKeyHash;
        bytes32 encryptedSeedHash;
    }

    /// `NetworkManagement`: membership, stakes, the shared seed.
    #[derive(Debug)]
    interface INetworkManagement {
        event NodeRegistered(address indexed enclave, address indexed owner, bytes quote, bytes encryptionKey, string hostAddress, uint256 stake, uint64 l1Block, bytes32 l1BlockHash);
        event NetworkKeyPublished(bytes networkKey);
        event SeedShared(address indexed enclave, address indexed responder, bytes encryptedSeed);
        event HostAddressChanged(address indexed enclave, string hostAddress);
        event NodeLeft(address indexed enclave);

        function register(Registration calldata registration) external payable;
        function shareSeed(address enclave, address responder, bytes calldata encryptedSeed, bytes calldata signature) external;
        function setHostAddress(address enclave, string calldata hostAddress) external;
        function leave(address enclave) external;
        function withdrawStake(address enclave) external;
        function isAggregator(address enclave) external view returns (bool);
        function minimumStake() external view returns (uint256);
        function registrationFee() external view returns (uint256);
        function networkConfigHash() external view returns (bytes32);
    }

    /// `RollupManagement`: the tree of rollups.
    #[derive(Debug)]
    interface IRollupManagement {
        event RollupPublished(bytes32 indexed rollup, address indexed aggregator, RollupHeader header, bytes signature, bytes32[] blobs);

        function publish(RollupHeader calldata header, bytes calldata signature, bytes calldata payload) external;
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
        function allowance(address owner, address spender) external view returns (uint256);
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
}
