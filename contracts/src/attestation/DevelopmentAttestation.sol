// SPDX-License-Identifier: MIT
// Attestation for development networks: one ordinary key stands where the processor's manufacturer will stand. What
// does not live here: any verification of Intel quotes, which replaces this contract behind the same interface.
pragma solidity 0.8.37;

import {IAttestationVerifier} from "../interfaces/IAttestationVerifier.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title Development attestation
/// @notice Proves nothing about hardware: whoever knows the root key, which development networks make public, can admit
/// any program. A network that guards real value must not be deployed with it.
contract DevelopmentAttestation is IAttestationVerifier {
    /// @dev Domain of the signed digest.
    bytes32 private constant QUOTE_DOMAIN = keccak256("Obscuro development quote v1");

    /// @notice The signer of acceptable quotes.
    address public immutable root;

    /// @notice The only admitted program.
    bytes32 public immutable measurement;

    /// @notice A constructor argument is zero.
    error ZeroArgument();

    constructor(address root_, bytes32 measurement_) {
        if (root_ == address(0) || measurement_ == 0) revert ZeroArgument();
        root = root_;
        measurement = measurement_;
    }

    /// @inheritdoc IAttestationVerifier
    /// @param quote abi.encode(bytes32 measurement, bytes signature); the signature (65 bytes, low s) is the root's over
    /// keccak256(abi.encode(keccak256("Obscuro development quote v1"), measurement, reportData)), without a prefix.
    function verify(bytes calldata quote, bytes32 reportData) external view returns (bytes32) {
        (bytes32 quoted, bytes memory signature) = abi.decode(quote, (bytes32, bytes));
        bytes32 digest = keccak256(abi.encode(QUOTE_DOMAIN, quoted, reportData));
        (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecover(digest, signature);
        if (failure != ECDSA.RecoverError.NoError || signer != root) revert QuoteNotTrusted();
        if (quoted != measurement) revert MeasurementNotAdmitted(quoted);
        return quoted;
    }
}
