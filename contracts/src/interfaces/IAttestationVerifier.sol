// SPDX-License-Identifier: MIT
// What is demanded of a quote, and everything needed to verify one again off-chain. Requirements are stated here, once.
// What does not live here: what the report data says (INetworkManagement), and the reading of DER and of quotes (the
// libraries in src/attestation).
pragma solidity 0.8.37;

/// @title Attestation verifier
/// @notice Verifies quotes of Intel SGX (version 3) and Intel TDX (version 4) under one root certificate and the policy of
/// the owner. A production deployment accepts no root but Intel's; a development one takes any, with the same code.
///
/// Everything an enclave needs to verify a quote again is in the events of this contract: enclaves read L1 events and
/// nothing else. Large values are in events only.
///
/// Certificates and lists are DER, and of P-256 with SHA-256 throughout. What is registered stays registered; it stops
/// counting when it expires or is revoked. Who registers does not matter: what counts is the signature.
///
/// A quote as it travels on L1 (`quote` below) is
///   1 byte    format: 0x01
///   32 bytes  platform: keccak256 of the 64 bytes x || y of the public key in the machine's PCK certificate
///   n bytes   the quote up to its PCK certificate chain, see below.
/// SGX, version 3, n = 1,046, little-endian, offsets from the start of the quote:
///       0  header, 48 bytes
///      48  report of the enclave, 384 bytes
///     432  u32 length of what follows: 610
///     436  signature of bytes 0..432 by the attestation key, 64 bytes (r || s)
///     500  attestation key, 64 bytes (x || y)
///     564  report of the quoting enclave (QE), 384 bytes
///     948  signature of the QE's report by the PCK, 64 bytes
///    1012  u16 length of the QE's authentication data: 32
///    1014  authentication data, 32 bytes
/// TDX, version 4, n = 1,252:
///       0  header, 48 bytes
///      48  report of the TD (1.0 layout), 584 bytes
///     632  u32 length of what follows: 616
///     636  signature of bytes 0..632 by the attestation key, 64 bytes
///     700  attestation key, 64 bytes
///     764  u16 type of certification data: 6
///     766  u32 length of what follows: 482
///     770  report of the QE, 384 bytes
///    1154  signature of the QE's report by the PCK, 64 bytes
///    1218  u16 length of the QE's authentication data: 32
///    1220  authentication data, 32 bytes
/// The full quote goes on with u16 type 5, u32 length and the chain in PEM. To strip one: cut there and write the lengths
/// above. To restore one for a verifier that takes the chain from the collateral: append type 5 and length 0 (6 bytes)
/// and add 6 to each of the lengths 610, or 616 and 482. The lengths are not signed.
interface IAttestationVerifier {
    /// @notice What the owner demands of every quote.
    /// @param minimumSecurityVersion least ISVSVN of an SGX enclave. No protection: whoever signs the same program again
    /// chooses it. To retire a program, end its measurement. A TD has none.
    /// @param minimumTcbEvaluation least tcbEvaluationDataNumber of TCB info and QE identity; checked by enclaves.
    /// @param allowedTcbStatuses checked by enclaves: bit 0 UpToDate, 1 SWHardeningNeeded, 2 ConfigurationNeeded,
    /// 3 ConfigurationAndSWHardeningNeeded, 4 OutOfDate, 5 OutOfDateConfigurationNeeded, 6 TDRelaunchAdvised,
    /// 7 TDRelaunchAdvisedConfigurationNeeded. Revoked is never allowed.
    /// @param attestationLifetimeBlocks L1 blocks after the one a quote names during which it counts. Not zero.
    struct Policy {
        uint16 minimumSecurityVersion;
        uint32 minimumTcbEvaluation;
        uint16 allowedTcbStatuses;
        uint32 attestationLifetimeBlocks;
    }

    /// @notice Least security versions of a kind of machine. Each of the 16 bytes of a platform must reach the minimum's.
    /// @param sgxComponents compared with the CPUSVN in the PCK certificate.
    /// @param pceSvn compared with the PCESVN in the PCK certificate.
    /// @param validUntil unix time after which the minimum is out of date, and no quote of such a machine accepted.
    /// @param tdxComponents compared with TEE_TCB_SVN in a TD's report. Its second byte is the version of the TDX module and
    /// must be equal: another module has security versions of its own.
    struct TcbMinimum {
        bytes16 sgxComponents;
        uint16 pceSvn;
        uint40 validUntil;
        bytes16 tdxComponents;
    }

    /// @notice What a quoting enclave must look like. Values and masks are in the byte order of the report.
    /// @param mrSigner its signer.
    /// @param isvProdId its product, as a number.
    /// @param minimumIsvSvn its least security version, as a number.
    /// @param miscSelect must equal the report's where `miscSelectMask` has ones.
    /// @param attributes must equal the report's where `attributesMask` has ones.
    /// @param validUntil unix time after which this is out of date, and no quote by such an enclave accepted.
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

    /// @notice When quotes of a measurement count: from `activationBlock` on, and before `sunsetBlock` unless that is 0.
    struct Approval {
        uint64 activationBlock;
        uint64 sunsetBlock;
    }

    /// @notice The contract was deployed with this root certificate.
    event RootCertificate(bytes der, bool development);
    /// @notice A certificate signed by the root: of a CA that signs PCK certificates and their revocations, or of the
    /// signer of TCB info and QE identities (`tcbSigner`). `authority` is keccak256 of its public key x || y.
    event AuthorityRegistered(bytes32 indexed authority, bool tcbSigner, bytes der);
    /// @notice The PCK certificate of a machine. `machine` is keccak256 of its PPID. `authority` signed it.
    event PlatformRegistered(
        bytes32 indexed platform, bytes32 indexed machine, bytes32 indexed authority, bytes6 fmspc, bytes der
    );
    /// @notice A revocation list by the root or a CA, newer than all before it.
    event CrlPublished(bytes32 indexed authority, uint40 thisUpdate, uint40 nextUpdate, bytes der);
    /// @notice TCB info or a QE identity, as signed by `authority`. Anyone may publish an old one again: the newest counts.
    event CollateralPublished(bytes32 indexed authority, bytes json, bytes signature);

    /// @notice Quotes of this measurement count from `activationBlock` on, and before `sunsetBlock` unless that is 0.
    event MeasurementApproved(bytes32 indexed measurement, uint64 activationBlock, uint64 sunsetBlock);
    /// @notice The policy changed.
    event PolicyChanged(Policy policy);
    /// @notice The least security versions of machines with this FMSPC changed.
    event TcbMinimumChanged(bytes6 indexed fmspc, TcbMinimum minimum);
    /// @notice What the quoting enclave of SGX (`tdx` false) or TDX must look like changed.
    event QeIdentityChanged(bool indexed tdx, QeIdentity identity);
    /// @notice Nothing that runs on this machine is admitted any more.
    event MachineRemoved(bytes32 indexed machine);
    /// @notice A removed machine is admitted again.
    event MachineReadmitted(bytes32 indexed machine);

    /// @notice The bytes are not what they should be: DER that breaks its rules or ends early, a quote of another length.
    error Malformed();
    /// @notice A certificate or a list uses something this contract does not know: another algorithm, or an extension
    /// that is critical.
    error Unsupported();
    /// @notice A production deployment accepts Intel's root only.
    error NotIntelRoot();
    /// @notice The certificate may not do what is asked of it: basic constraints, path length or key usage forbid it.
    error NotPermitted();
    /// @notice No registered authority of that name made the signature, or the root did not sign itself.
    error UnknownIssuer();
    /// @notice The certificate is not valid at this time, or is expired.
    error NotValidNow(uint256 notBefore, uint256 notAfter);
    /// @notice The certificate, or the one that signed it, is revoked.
    error Revoked();
    /// @notice Exactly this key is registered already, at least as long valid.
    error AlreadyRegistered();
    /// @notice There is no room for another authority.
    error TooManyAuthorities();
    /// @notice The list is not newer than the one before it.
    error OldCrl(uint256 thisUpdate, uint256 newest);
    /// @notice The authority's revocation list is missing (`nextUpdate` is 0) or out of date.
    error CrlExpired(bytes32 authority, uint256 nextUpdate);
    /// @notice The revocation list is longer than 131,072 bytes.
    error CrlTooLong(uint256 length);
    /// @notice The collateral is empty or longer than 65,536 bytes.
    error BadCollateralLength(uint256 length);
    /// @notice A value given by the owner makes no sense.
    error BadArgument();

    /// @notice The quote's format, version, TEE, key type, or vendor of its quoting enclave is not one of those supported.
    error UnsupportedQuote();
    /// @notice No such platform is registered.
    error UnknownPlatform(bytes32 platform);
    /// @notice The PCK did not sign the QE's report, the attestation key is not the one the QE vouches for, or it did not
    /// sign the quote.
    error QuoteNotTrusted();
    /// @notice The quoting enclave is not the one the owner named, or too old.
    error QuotingEnclaveNotAdmitted();
    /// @notice What the owner said about quoting enclaves is missing (0) or out of date.
    error QeIdentityExpired(uint256 validUntil);
    /// @notice What the owner said about machines of this kind is missing (0) or out of date.
    error TcbMinimumExpired(bytes6 fmspc, uint256 validUntil);
    /// @notice The machine's security versions are below the minimum.
    error TcbTooLow(bytes6 fmspc);
    /// @notice The enclave, the TD or the quoting enclave can be looked into: debugging or profiling.
    error DebugEnabled();
    /// @notice The TD's attributes or extended features, or the TDX module's signer or attributes, are not acceptable.
    error TdNotAdmitted();
    /// @notice The enclave's security version is below the minimum.
    error SecurityVersionTooLow(uint256 version, uint256 minimum);
    /// @notice The report says something else, or more, than was asked for.
    error WrongReportData(bytes32 actual, bytes32 expected);
    /// @notice The quote is genuine, but the program is not approved, not yet, or no longer.
    error MeasurementNotAdmitted(bytes32 measurement);
    /// @notice The quote is genuine, but of a machine that was removed.
    error MachineNotAdmitted(bytes32 machine);

    /// @notice Verifies a quote. Reverts, with the error that fits, when it is not acceptable now.
    /// @dev Requires:
    /// - `quote` has the format above; QE vendor 939a7233f79c4ca9940a0db3957f0607, attestation key type 2;
    /// - its platform is registered, and neither its PCK certificate nor the one of its issuer is expired or revoked; the
    ///   revocation lists of root and issuer are up to date;
    /// - the PCK signed the QE's report; the QE's report data begins with sha256(attestation key || authentication data);
    ///   the attestation key signed header and report;
    /// - the QE is as {setQeIdentity} says, and not a debug enclave;
    /// - the machine's SVNs reach the minimum of its FMSPC, see {setTcbMinimum}, and the machine is not removed;
    /// - SGX: no debug enclave, ISVSVN at least the minimum;
    /// - TDX: no debugging, profiling, migration or service TD extension, no reserved attribute, SEPT_VE_DISABLE set; XFAM
    ///   contains 0x3 and nothing outside 0x6dbe7; MRSIGNERSEAM and SEAMATTRIBUTES zero;
    /// - the first 32 bytes of the report data are `reportData` and the others zero;
    /// - the measurement is approved and active at the current block.
    /// Signatures are malleable: neither the quote nor its hash is a name for it.
    /// @param quote see above.
    /// @param reportData what the enclave must have put in its report.
    /// @return measurement SGX: MRENCLAVE. TDX: keccak256(MRTD || RTMR0 || RTMR1 || RTMR2 || RTMR3), 48 bytes each.
    /// @return machine keccak256 of the machine's PPID.
    /// @return admission a number that stands for the pair, for {isCurrent}. Never zero.
    function verify(bytes calldata quote, bytes32 reportData)
        external
        view
        returns (bytes32 measurement, bytes32 machine, uint40 admission);

    /// @notice Whether a quote that named L1 block `attestedAt` still counts: not longer ago than
    /// `attestationLifetimeBlocks`, and measurement and machine are admitted at the current block.
    /// @param admission as returned by {verify}.
    function isCurrent(uint40 admission, uint256 attestedAt) external view returns (bool);

    /// @notice Whether programs of this measurement are admitted on this machine, at the current block.
    function isAdmitted(bytes32 measurement, bytes32 machine) external view returns (bool);

    /// @notice Measurement and machine that `admission` stands for; zero if there are none.
    function admitted(uint40 admission) external view returns (bytes32 measurement, bytes32 machine);

    /// @notice Registers a CA of PCK certificates, or the signer of TCB info and QE identities. Anyone may call.
    /// @dev Requires: a certificate signed by the root, valid now, not revoked. With basic constraint CA: key usage certificate
    /// and CRL signing, and the root's path length allows it. Otherwise: key usage digital signature. A certificate
    /// for a registered key and name replaces it if it is longer valid. At most 32 authorities, the root included.
    function registerAuthority(bytes calldata der) external;

    /// @notice Registers the PCK certificate of a machine. Anyone may call.
    /// @dev Requires: signed by a registered CA that is valid and not revoked; valid now, not revoked; not a CA, key usage digital
    /// signature; Intel's SGX extension (OID 1.2.840.113741.1.13.1) with PPID, CPUSVN, PCESVN and FMSPC. A certificate for a
    /// registered key replaces it if it is longer valid.
    function registerPlatform(bytes calldata der) external;

    /// @notice Publishes a revocation list of the root or of a registered CA. Anyone may call. What it lists stays revoked
    /// for ever, and with a registered certificate its key. The machine of such a certificate is removed: its nodes count
    /// for nothing from now on, until the owner readmits it.
    /// @dev Requires: at most 131,072 bytes; signed by that authority; already valid, not out of date; newer than the newest before it.
    function publishCrl(bytes calldata der) external;

    /// @notice Publishes TCB info or a QE identity for enclaves to verify quotes with. This contract does not read it.
    /// Anyone may call.
    /// @dev Requires: 1 to 65,536 bytes; `signature` (64 bytes r || s) of sha256(json) by a registered TCB signer that is
    /// neither expired nor revoked.
    /// @param json the value of `tcbInfo` or `enclaveIdentity`, byte for byte as it was signed.
    function publishCollateral(bytes calldata json, bytes calldata signature) external;

    /// @notice Sets when quotes of a measurement count. A sunset block that is not in the future ends it at once.
    /// @dev Requires: the owner; the measurement is not zero; the activation block is not zero; a sunset block is after it.
    function approveMeasurement(bytes32 measurement, uint64 activationBlock, uint64 sunsetBlock) external;

    /// @notice Sets the policy.
    /// @dev Requires: the owner; a lifetime that is not zero.
    function setPolicy(Policy calldata policy) external;

    /// @notice Sets the least security versions of machines with this FMSPC.
    /// @dev Requires: the owner.
    function setTcbMinimum(bytes6 fmspc, TcbMinimum calldata minimum) external;

    /// @notice Sets what the quoting enclave of SGX or TDX must look like.
    /// @dev Requires: the owner; a signer that is not zero.
    function setQeIdentity(bool tdx, QeIdentity calldata identity) external;

    /// @notice Removes a machine, whether or not it is registered.
    /// @dev Requires: the owner.
    function removeMachine(bytes32 machine) external;

    /// @notice Admits a removed machine again.
    /// @dev Requires: the owner.
    function readmitMachine(bytes32 machine) external;

    /// @notice Whether this deployment accepts another root than Intel's. Shown to every user.
    function development() external view returns (bool);

    /// @notice keccak256 of the root certificate.
    function rootHash() external view returns (bytes32);

    /// @notice The policy in force.
    function policy() external view returns (Policy memory);

    /// @notice When quotes of the measurement count. Never, if both are zero.
    function approval(bytes32 measurement) external view returns (Approval memory);

    /// @notice Whether the machine was removed.
    function isRemoved(bytes32 machine) external view returns (bool);
}
