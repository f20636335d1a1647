//! Compiled contracts, from the committed artifacts: building the node needs no Solidity compiler.
//! Not here: their interfaces (`l1`).

use alloy_primitives::{Address, Bytes, address, hex};
use serde::Deserialize;

/// The L2's end of the bridge.
pub const L2_BRIDGE: Address = address!("0b5c000000000000000000000000000000000001");
/// Receives the fees of L2 transactions and pays what nodes earn (protocol 10.1).
pub const FEE_POOL: Address = address!("0b5c000000000000000000000000000000000002");
/// Sender of the calls that the protocol itself makes, as in EIP-4788.
pub const SYSTEM_ADDRESS: Address = address!("fffffffffffffffffffffffffffffffffffffffe");
/// Arachnid's deterministic deployment proxy, which tools expect on every chain.
pub const CREATE2_DEPLOYER: Address = address!("4e59b44847b379578588920ca78fbf26c0b4956c");
/// Its runtime code.
pub const CREATE2_DEPLOYER_CODE: [u8; 69] = hex!(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3"
);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    bytecode: Bytes,
    deployed_bytecode: Bytes,
}

/// Contracts that Rust deploys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contract {
    /// OBX.
    ObscuroToken,
    /// Verifier of quotes.
    AttestationVerifier,
    /// Membership and the seed.
    NetworkManagement,
    /// The tree of rollups.
    RollupManagement,
    /// Deposits and withdrawals.
    BridgeManagement,
    /// The L2's end of the bridge.
    L2Bridge,
    /// The pool of fees on L2.
    RewardPool,
}

impl Contract {
    fn artifact(self) -> Artifact {
        let json = match self {
            Self::ObscuroToken => include_str!("../../contracts/artifacts/ObscuroToken.json"),
            Self::AttestationVerifier => {
                include_str!("../../contracts/artifacts/AttestationVerifier.json")
            }
            Self::NetworkManagement => {
                include_str!("../../contracts/artifacts/NetworkManagement.json")
            }
            Self::RollupManagement => {
                include_str!("../../contracts/artifacts/RollupManagement.json")
            }
            Self::BridgeManagement => {
                include_str!("../../contracts/artifacts/BridgeManagement.json")
            }
            Self::L2Bridge => include_str!("../../contracts/artifacts/L2Bridge.json"),
            Self::RewardPool => include_str!("../../contracts/artifacts/RewardPool.json"),
        };
        // The artifacts are compiled in and a test parses each of them.
        serde_json::from_str(json).unwrap_or_else(|_| Artifact {
            bytecode: Bytes::new(),
            deployed_bytecode: Bytes::new(),
        })
    }

    /// Creation code, without constructor arguments.
    pub fn creation_code(self) -> Bytes {
        self.artifact().bytecode
    }

    /// Runtime code of a contract without immutables.
    pub fn runtime_code(self) -> Bytes {
        self.artifact().deployed_bytecode
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_artifact_parses() {
        for contract in [
            Contract::ObscuroToken,
            Contract::AttestationVerifier,
            Contract::NetworkManagement,
            Contract::RollupManagement,
            Contract::BridgeManagement,
            Contract::L2Bridge,
            Contract::RewardPool,
        ] {
            assert!(contract.creation_code().len() > 100, "{contract:?}");
            assert!(contract.runtime_code().len() > 100, "{contract:?}");
        }
    }
}
