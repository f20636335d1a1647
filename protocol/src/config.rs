//! Everything that affects trust, as one hashed value (protocol 1.4). Not here: what an operator
//! may choose freely (ports, directories, L1 endpoints, fees paid on L1).

use alloy_primitives::{B256, keccak256};
use alloy_sol_types::{SolValue, sol};
use serde::{Deserialize, Serialize};

sol! {
    /// An L1 block by number and hash.
    #[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    struct L1BlockId {
        uint64 number;
        bytes32 hash;
    }

    /// The management contract: the L1 contracts of one network together.
    #[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Contracts {
        address obscuroToken;
        address attestationVerifier;
        address networkManagement;
        address rollupManagement;
        address bridgeManagement;
    }

    /// Everything that affects trust. Its hash is in every attestation and is the identity of the
    /// network: the parent of rollup 1.
    #[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct NetworkConfig {
        /// Version of this structure.
        uint16 version;
        /// EIP-155 id of the L1.
        uint64 l1ChainId;
        /// EIP-155 id of the L2.
        uint64 l2ChainId;
        /// A block before the contracts were deployed, from which the L1 is verified.
        L1BlockId checkpoint;
        /// Where the management contract lives.
        Contracts contracts;
        /// keccak256 of the root certificate of attestation (DER).
        bytes32 attestationRoot;
        /// Gas limit of a rollup.
        uint64 gasLimit;
        /// What computing costs on L2, in the smallest unit of OBX per gas: the base fee without the
        /// share of what L1 costs (protocol 10.2).
        uint64 computePrice;
        /// What an ETH is worth, in billionths of an OBX.
        uint64 obxPerEth;
        /// What a publisher earns beyond the standard cost of publishing, percent; 100 at most.
        uint8 rewardMarginPercent;
        /// What the pool of fees may hold beyond what it owes, in whole OBX: the rest can be burnt.
        uint64 poolReserve;
        /// Reveal option of contracts that did not choose one, as a `RevealOption`.
        uint8 revealDefault;
        /// Length of a reveal interval in L1 blocks, for XS, S, M, L, XL.
        uint64[5] revealPeriods;
        /// L1 blocks that may pass without a rollup when there is nothing to publish.
        uint64 idleBlocksMax;
        /// Length of the start-up SHA-256 chain (S2 "Preventing repeated random number
        /// generation").
        uint64 startupHashes;
        /// L1 blocks before a withdrawal is executed.
        uint64 withdrawalBlocks;
        /// L1 blocks after which a branch without progress is dead.
        uint64 forkTimeoutBlocks;
    }
}

impl NetworkConfig {
    /// The only version there is.
    pub const VERSION: u16 = 1;

    /// keccak256 of the ABI encoding: what attestations and the contracts carry.
    pub fn hash(&self) -> B256 {
        keccak256(self.abi_encode())
    }

    /// Whether an idle network still answers a forged rollup on L1 before a withdrawal from it is
    /// executed, or its own head counts as dead.
    pub fn outlives_idleness(&self) -> bool {
        self.idleBlocksMax < self.withdrawalBlocks && self.idleBlocksMax < self.forkTimeoutBlocks
    }

    /// The reveal option of contracts that did not choose one.
    pub fn default_reveal(&self) -> RevealOption {
        RevealOption::from_u8(self.revealDefault).unwrap_or(RevealOption::XL)
    }

    /// The interval in which an L1 block lies, for one option. A period of zero counts as one.
    pub fn reveal_interval(&self, option: RevealOption, l1_number: u64) -> u64 {
        l1_number / self.revealPeriods[option as usize].max(1)
    }
}

/// How long transactions stay encrypted before anyone may learn the key (S2 "Symmetric key
/// revealing").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum RevealOption {
    /// One rollup.
    XS = 0,
    /// One hour.
    S = 1,
    /// One day.
    M = 2,
    /// One month.
    L = 3,
    /// One year.
    XL = 4,
}

impl RevealOption {
    /// All options, shortest first.
    pub const ALL: [Self; 5] = [Self::XS, Self::S, Self::M, Self::L, Self::XL];

    /// The option of a number.
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.get(number as usize).copied()
    }
}
