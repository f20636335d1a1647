// SPDX-License-Identifier: MIT
// The question NetworkManagement asks about an enclave: which program made this report? What does not live here: what
// the report data says (NetworkManagement) and any one format of quote (the implementations).
pragma solidity 0.8.37;

/// @title Attestation verifier
interface IAttestationVerifier {
    /// @notice The quote is well formed, but not signed by the root of trust.
    error QuoteNotTrusted();

    /// @notice The quote is genuine, but of a program that is not admitted.
    error MeasurementNotAdmitted(bytes32 measurement);

    /// @notice Verifies a quote. Reverts, with whatever error fits, when it is not acceptable.
    /// @dev Requires: `quote` is signed by the implementation's root of trust over `reportData` and a measurement, and
    /// the measurement is admitted.
    /// @param quote in the implementation's format.
    /// @param reportData what the enclave must have put in its report: the first 32 bytes; the rest is zero.
    /// @return measurement identifies the program that made the report. Never zero.
    function verify(bytes calldata quote, bytes32 reportData) external view returns (bytes32 measurement);
}
