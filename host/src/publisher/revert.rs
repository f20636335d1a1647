//! Why the management contract would revert a transaction, in words. Not here: what to do about it.

use alloy_primitives::Bytes;
use alloy_sol_types::{SolInterface, sol};

sol! {
    /// The errors that an operator may meet.
    #[derive(Debug, PartialEq, Eq)]
    interface IManagementErrors {
        error UnsupportedVersion(uint16 version);
        error AlreadyPublished(bytes32 rollup);
        error UnknownRollup(bytes32 rollup);
        error WrongNumber(uint64 number, uint64 expected);
        error L1ProofOutOfRange(uint64 l1ProofNumber, uint256 parentIncludedAt);
        error WrongL1Proof(bytes32 l1Proof, bytes32 actual);
        error WrongPayload(bytes32 actual, bytes32 expected);
        error PayloadMissingOrDouble();
        error BadSignature(address signer, address expected);
        error NotAggregator(address enclave);
        error NotOwner(address caller, address owner);
        error WrongFee(uint256 sent, uint256 required);
        error AlreadyRegistered(address enclave);
        error NotRegistered(address enclave);
        error NodeHasLeft(address enclave);
        error StaleBlock(uint64 l1Block);
        error BadKeyLength(uint256 length);
        error HostAddressTooLong(uint256 length);
        error BadSeedLength(uint256 length);
        error GenesisMismatch();
        error StakeTooLow(uint256 stake, uint256 minimum);
        error ResponderHoldsNoSeed(address responder);
        error AlreadyAnswered(address enclave);
        error NotMember(address enclave);
        error NotNewer(uint64 l1Block, uint256 attestedAt);
        error WrongEpoch(uint32 epoch, uint32 expected);
        error NoEpochBegun();
        error NotOpener(address responder, address opener);
        error RejectedResponder(address enclave, address responder);
        error NothingToReject(address enclave, address responder);
        error TooManyRejections(address enclave);
        error TooManyAnswers(uint256 count);
        error ForkTooShallow(bytes32 rollup, bytes32 rival, uint256 depth, uint256 rivalDepth);
        error AlreadyAccused(bytes32 rollup);
        error NotAccused(bytes32 rollup);
        error Disputed(bytes32 rollup);
        error TooEarlyToSlash(uint256 dueBlock);
        error TooDeepToAcquit(bytes32 rollup, bytes32 survivor, uint256 depth);
        error NotInnocent(bytes32 rollup, bytes32 survivor);
        error NothingToSlash(address enclave);
        error PayloadNotInTransaction(address caller);
        error AlreadyRegistered();
        error UnknownPlatform(bytes32 platform);
        error UnknownIssuer();
        error Revoked();
        error NotValidNow(uint256 notBefore, uint256 notAfter);
        error OldCrl(uint256 thisUpdate, uint256 newest);
        error CrlExpired(bytes32 authority, uint256 nextUpdate);
        error TcbMinimumExpired(bytes6 fmspc, uint256 validUntil);
        error QeIdentityExpired(uint256 validUntil);
        error QuotingEnclaveNotAdmitted();
        error TcbTooLow(bytes6 fmspc);
        error DebugEnabled();
        error TdNotAdmitted();
        error SecurityVersionTooLow(uint256 version, uint256 minimum);
        error WrongReportData(bytes32 actual, bytes32 expected);
        error QuoteNotTrusted();
        error MeasurementNotAdmitted(bytes32 measurement);
        error MachineNotAdmitted(bytes32 machine);
        error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed);
        error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed);
    }
}

pub use IManagementErrors::IManagementErrorsErrors as Revert;

/// What a reverted call returned, if it is one of the known errors.
pub fn decode(data: &[u8]) -> Option<Revert> {
    Revert::abi_decode(data).ok()
}

/// Whether `AttestationVerifier` refuses a certificate because it has it.
pub fn is_registered_already(data: &[u8]) -> bool {
    matches!(decode(data), Some(Revert::AlreadyRegistered_1(_)))
}

/// Whether `AttestationVerifier` refuses a revocation list because it has this or a newer one.
pub fn is_old_list(data: &[u8]) -> bool {
    matches!(decode(data), Some(Revert::OldCrl(_)))
}

/// The reason of a revert in one line.
pub fn describe(message: &str, data: &Bytes) -> String {
    match decode(data) {
        Some(Revert::ERC20InsufficientBalance(error)) => format!(
            "the operator's account {} holds {} units of OBX and needs {} for the stake",
            error.sender, error.balance, error.needed
        ),
        Some(Revert::ERC20InsufficientAllowance(error)) => format!(
            "OBX was made for another network: approve {} to take {} units for the stake",
            error.spender, error.needed
        ),
        Some(Revert::QuoteNotTrusted(_)) => {
            "L1 does not accept the enclave's attestation".to_owned()
        }
        Some(Revert::UnknownPlatform(_) | Revert::UnknownIssuer(_)) => {
            "L1 does not know this machine's certificates: publish those of its maker first".to_owned()
        }
        Some(
            Revert::CrlExpired(_) | Revert::TcbMinimumExpired(_) | Revert::QeIdentityExpired(_),
        ) => "what L1 holds to judge attestations is out of date: somebody must publish newer collateral"
            .to_owned(),
        Some(Revert::MachineNotAdmitted(_)) => {
            "this machine was removed from the network".to_owned()
        }
        Some(Revert::MeasurementNotAdmitted(error)) => {
            format!("L1 does not admit this version of the enclave ({})", error.measurement)
        }
        Some(Revert::Disputed(error)) => {
            format!("a branch that does not build on rollup {} is alive", error.rollup)
        }
        Some(Revert::TooEarlyToSlash(error)) => {
            format!("the accusation must stand until L1 block {}", error.dueBlock)
        }
        Some(Revert::ForkTooShallow(_) | Revert::NotInnocent(_) | Revert::TooDeepToAcquit(_)) => {
            "the two rollups do not show that".to_owned()
        }
        Some(error) => format!("{error:?}"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_sol_types::SolError;

    #[test]
    fn known_errors_are_named() {
        let data = IManagementErrors::AlreadyPublished { rollup: Default::default() }.abi_encode();
        assert!(describe("execution reverted", &data.into()).contains("AlreadyPublished"));
        let unknown = Bytes::from_static(&[1, 2, 3, 4]);
        assert_eq!(describe("execution reverted", &unknown), "execution reverted");
    }
}
