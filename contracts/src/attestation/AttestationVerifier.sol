// SPDX-License-Identifier: MIT
// Whom to believe about an enclave: certificates and revocations under one root, and the owner's policy. What does not live
// here: the reading of certificates (X509.sol) and quotes (Quote.sol), and what the report data says (NetworkManagement).
pragma solidity 0.8.37;

import {IAttestationVerifier} from "../interfaces/IAttestationVerifier.sol";
import {Ecdsa} from "./Ecdsa.sol";
import {Quote} from "./Quote.sol";
import {X509} from "./X509.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";

/// @title Attestation verifier
/// @notice See {IAttestationVerifier}.
contract AttestationVerifier is IAttestationVerifier, Ownable2Step {
    using BitMaps for BitMaps.BitMap;
    using Ecdsa for Ecdsa.Key;
    using Quote for Quote.Evidence;

    /// @dev A key that signs certificates, or collateral. Times are unix times; one word after key and name, so that
    /// verifying a quote reads one word of each.
    /// @param name keccak256 of its DER name.
    /// @param notAfter its last valid second; 0 if it is revoked.
    /// @param crlThisUpdate of its newest revocation list.
    /// @param crlNextUpdate of its newest revocation list; 0 if there is none.
    /// @param tcbSigner whether it signs collateral, and no certificates.
    struct Authority {
        Ecdsa.Key key;
        bytes32 name;
        uint40 notAfter;
        uint40 crlThisUpdate;
        uint40 crlNextUpdate;
        bool tcbSigner;
    }

    /// @dev A machine at one security version: its PCK. One word after key and machine.
    /// @param notAfter its last valid second, at most 2^32 - 1; 0 if it is revoked.
    /// @param machineNumber index into {_machines}.
    /// @param authority index into {_authorities}.
    struct Platform {
        Ecdsa.Key key;
        bytes32 machine;
        bytes16 cpuSvn;
        bytes6 fmspc;
        uint16 pceSvn;
        uint32 notAfter;
        uint24 machineNumber;
        uint8 authority;
    }

    /// @dev A {QeIdentity} in two words.
    /// @param digest of what must be equal, see {Quote-hashQe}.
    struct QeRule {
        bytes32 digest;
        bytes16 attributesMask;
        bytes4 miscSelectMask;
        uint16 minimumIsvSvn;
        uint40 validUntil;
    }

    /// @dev See {Approval}. `number` is an index into {_measurements}.
    struct Measurement {
        uint16 number;
        uint64 activationBlock;
        uint64 sunsetBlock;
    }

    /// @dev Public key in "Intel SGX Root CA", valid from 2018 to 2049.
    bytes32 private constant INTEL_X = 0x0ba9c4c0c0c86193a3fe23d6b02cda10a8bbd4e88e48b4458561a36e705525f5;
    bytes32 private constant INTEL_Y = 0x67918e2edc88e40d860bd0cc4ee26aacc988e505a953558c453f6b0904ae7394;

    uint256 private constant ROOT = 0;
    /// @dev Everybody who issues or publishes reads them all. The root signs a handful in its life.
    uint256 private constant AUTHORITIES_MAX = 32;
    /// @dev These two equal STATEMENT_BYTES_MAX and CRL_BYTES_MAX of protocol/src/attestation/collateral.rs: whoever is
    /// admitted here must be so for enclaves.
    uint256 private constant COLLATERAL_LENGTH_MAX = 65_536;
    uint256 private constant CRL_LENGTH_MAX = 131_072;
    /// @dev Holder of a serial number that is revoked. Not a hash.
    bytes32 private constant REVOKED = bytes32(uint256(1));

    /// @inheritdoc IAttestationVerifier
    bool public immutable development;
    /// @inheritdoc IAttestationVerifier
    bytes32 public immutable rootHash;

    Authority[] private _authorities;
    mapping(bytes32 platform => Platform) private _platforms;
    /// @dev By {_serialId}: the authority or platform whose certificate it is, or {REVOKED}.
    mapping(bytes32 serial => bytes32 holder) private _holders;

    /// @dev The first entry of both lists is empty: number 0 means none.
    bytes32[] private _machines;
    bytes32[] private _measurements;
    mapping(bytes32 machine => uint256 number) private _machineNumbers;
    BitMaps.BitMap private _removedMachines;
    /// @dev Kept twice: verifying finds an approval by measurement, membership by number.
    mapping(bytes32 measurement => Measurement) private _approvals;
    mapping(uint256 number => Approval) private _approvalsByNumber;

    Policy private _policy;
    mapping(bytes6 fmspc => TcbMinimum) private _tcbMinima;
    mapping(bool tdx => QeRule) private _qeRules;

    /// @param rootCertificate DER; Intel's unless this is a development network.
    /// @param development_ whether another root than Intel's may be used.
    /// @param owner_ sets the policy.
    /// @param measurements approved from now on, without an end.
    constructor(
        bytes memory rootCertificate,
        bool development_,
        address owner_,
        bytes32[] memory measurements,
        Policy memory policy_
    ) Ownable(owner_) {
        X509.Certificate memory root = X509.certificate(rootCertificate);
        bool intel = root.key.x == INTEL_X && root.key.y == INTEL_Y;
        if (!intel && !development_) revert NotIntelRoot();
        if (root.issuer != root.subject || !root.key.isValid(root.digest, root.signature)) revert UnknownIssuer();
        // Between root and PCK there is one CA.
        if (root.pathLength == 0) revert NotPermitted();
        _checkUsage(root, true);
        development = development_;
        rootHash = keccak256(rootCertificate);
        emit RootCertificate(rootCertificate, development_);
        _addAuthority(root, ROOT);

        _machines.push();
        _measurements.push();
        for (uint256 i = 0; i < measurements.length; i++) {
            _approve(measurements[i], uint64(block.number), 0);
        }
        _setPolicy(policy_);
    }

    /// @inheritdoc IAttestationVerifier
    function verify(bytes calldata quote, bytes32 reportData)
        external
        view
        returns (bytes32 measurement, bytes32 machine, uint40 admission)
    {
        Quote.Evidence memory evidence = Quote.parse(quote);
        bytes32 id = evidence.platform();
        Platform memory platform = _platforms[id];
        if (platform.machineNumber == 0) revert UnknownPlatform(id);
        _checkValidity(0, platform.notAfter);
        _checkIssuer(platform.authority);
        _checkIssuer(ROOT);
        evidence.requireSigned(platform.key);

        _checkQe(evidence);
        evidence.requireClosed();
        _checkTcb(evidence, platform);
        _checkSecurityVersion(evidence);

        measurement = evidence.measurement();
        machine = platform.machine;
        Measurement storage approved = _approvals[measurement];
        if (!_isActive(approved.activationBlock, approved.sunsetBlock)) revert MeasurementNotAdmitted(measurement);
        if (_removedMachines.get(platform.machineNumber)) revert MachineNotAdmitted(machine);
        evidence.requireReportData(reportData);
        admission = uint40(approved.number) << 24 | platform.machineNumber;
    }

    /// @inheritdoc IAttestationVerifier
    function isCurrent(uint40 admission, uint256 attestedAt) external view returns (bool) {
        Approval storage approved = _approvalsByNumber[admission >> 24];
        return attestedAt <= block.number && block.number - attestedAt <= _policy.attestationLifetimeBlocks
            && _isActive(approved.activationBlock, approved.sunsetBlock)
            && !_removedMachines.get(admission & type(uint24).max);
    }

    /// @inheritdoc IAttestationVerifier
    function isAdmitted(bytes32 measurement, bytes32 machine) external view returns (bool) {
        Measurement storage approved = _approvals[measurement];
        return _isActive(approved.activationBlock, approved.sunsetBlock) && !isRemoved(machine);
    }

    /// @inheritdoc IAttestationVerifier
    function admitted(uint40 admission) external view returns (bytes32 measurement, bytes32 machine) {
        uint256 measurementNumber = admission >> 24;
        uint256 machineNumber = admission & type(uint24).max;
        if (measurementNumber < _measurements.length) measurement = _measurements[measurementNumber];
        if (machineNumber < _machines.length) machine = _machines[machineNumber];
    }

    /// @inheritdoc IAttestationVerifier
    function registerAuthority(bytes calldata der) external {
        X509.Certificate memory c = X509.certificate(der);
        if (c.issuer != _authorities[ROOT].name || !_authorities[ROOT].key.isValid(c.digest, c.signature)) {
            revert UnknownIssuer();
        }
        _checkValidity(0, _authorities[ROOT].notAfter);
        _checkUsage(c, c.isAuthority);
        uint256 index = _authorityOf(c);
        if (index == _authorities.length) {
            _addAuthority(c, ROOT);
        } else {
            Authority storage a = _authorities[index];
            if (a.notAfter == 0) revert Revoked();
            if (a.notAfter >= c.notAfter) revert AlreadyRegistered();
            _hold(ROOT, c.serial, c.key.id());
            a.notAfter = uint40(c.notAfter);
        }
        emit AuthorityRegistered(c.key.id(), !c.isAuthority, der);
    }

    /// @inheritdoc IAttestationVerifier
    function registerPlatform(bytes calldata der) external {
        bytes memory raw = der;
        X509.Certificate memory c = X509.certificate(raw);
        uint256 authority = _signerOf(c.issuer, false, c.digest, c.signature);
        if (authority == ROOT) revert NotPermitted();
        _checkValidity(0, _authorities[authority].notAfter);
        if (c.isAuthority) revert NotPermitted();
        _checkUsage(c, false);
        X509.Pck memory pck = X509.pck(raw, c);

        bytes32 id = c.key.id();
        Platform storage p = _platforms[id];
        uint32 notAfter = c.notAfter > type(uint32).max ? type(uint32).max : uint32(c.notAfter);
        if (p.machineNumber != 0 && p.notAfter == 0) revert Revoked();
        if (p.notAfter >= notAfter) revert AlreadyRegistered();
        _hold(authority, c.serial, id);
        p.key = c.key;
        p.machine = pck.machine;
        p.cpuSvn = pck.cpuSvn;
        p.fmspc = pck.fmspc;
        p.pceSvn = pck.pceSvn;
        p.notAfter = notAfter;
        p.machineNumber = SafeCast.toUint24(_numberOf(pck.machine));
        p.authority = SafeCast.toUint8(authority);
        emit PlatformRegistered(id, pck.machine, _authorities[authority].key.id(), pck.fmspc, der);
    }

    /// @inheritdoc IAttestationVerifier
    function publishCrl(bytes calldata der) external {
        if (der.length > CRL_LENGTH_MAX) revert CrlTooLong(der.length);
        bytes memory raw = der;
        X509.Crl memory crl = X509.crl(raw);
        uint256 index = _signerOf(crl.issuer, false, crl.digest, crl.signature);
        Authority storage a = _authorities[index];
        bytes32 id = a.key.id();
        if (crl.thisUpdate > block.timestamp) revert NotValidNow(crl.thisUpdate, crl.nextUpdate);
        if (crl.nextUpdate <= block.timestamp) revert CrlExpired(id, crl.nextUpdate);
        if (crl.thisUpdate <= a.crlThisUpdate) revert OldCrl(crl.thisUpdate, a.crlThisUpdate);
        _checkValidity(0, a.notAfter);

        a.crlThisUpdate = uint40(crl.thisUpdate);
        a.crlNextUpdate = uint40(crl.nextUpdate);
        emit CrlPublished(id, a.crlThisUpdate, a.crlNextUpdate, der);
        uint256 at = crl.entriesStart;
        while (at < crl.entriesEnd) {
            uint256 serial;
            (serial, at) = X509.revoked(raw, at, crl.entriesEnd);
            _revoke(index, serial);
        }
    }

    /// @inheritdoc IAttestationVerifier
    function publishCollateral(bytes calldata json, bytes calldata signature) external {
        if (json.length == 0 || json.length > COLLATERAL_LENGTH_MAX) revert BadCollateralLength(json.length);
        if (signature.length != 64) revert Malformed();
        Ecdsa.Signature memory s = Ecdsa.Signature(bytes32(signature[:32]), bytes32(signature[32:]));
        uint256 index = _signerOf(0, true, sha256(json), s);
        _checkValidity(0, _authorities[index].notAfter);
        emit CollateralPublished(_authorities[index].key.id(), json, signature);
    }

    /// @inheritdoc IAttestationVerifier
    function approveMeasurement(bytes32 measurement, uint64 activationBlock, uint64 sunsetBlock) external onlyOwner {
        _approve(measurement, activationBlock, sunsetBlock);
    }

    /// @inheritdoc IAttestationVerifier
    function setPolicy(Policy calldata policy_) external onlyOwner {
        _setPolicy(policy_);
    }

    /// @inheritdoc IAttestationVerifier
    function setTcbMinimum(bytes6 fmspc, TcbMinimum calldata minimum) external onlyOwner {
        _tcbMinima[fmspc] = minimum;
        emit TcbMinimumChanged(fmspc, minimum);
    }

    /// @inheritdoc IAttestationVerifier
    function setQeIdentity(bool tdx, QeIdentity calldata identity) external onlyOwner {
        if (identity.mrSigner == 0) revert BadArgument();
        _qeRules[tdx] = QeRule({
            digest: Quote.hashQe(
                identity.mrSigner,
                identity.isvProdId,
                identity.attributes & identity.attributesMask,
                identity.miscSelect & identity.miscSelectMask
            ),
            attributesMask: identity.attributesMask,
            miscSelectMask: identity.miscSelectMask,
            minimumIsvSvn: identity.minimumIsvSvn,
            validUntil: identity.validUntil
        });
        emit QeIdentityChanged(tdx, identity);
    }

    /// @inheritdoc IAttestationVerifier
    function removeMachine(bytes32 machine) external onlyOwner {
        _remove(machine);
    }

    /// @inheritdoc IAttestationVerifier
    function readmitMachine(bytes32 machine) external onlyOwner {
        _removedMachines.unset(_numberOf(machine));
        emit MachineReadmitted(machine);
    }

    /// @inheritdoc IAttestationVerifier
    function policy() external view returns (Policy memory) {
        return _policy;
    }

    /// @inheritdoc IAttestationVerifier
    function approval(bytes32 measurement) external view returns (Approval memory) {
        Measurement storage approved = _approvals[measurement];
        return Approval(approved.activationBlock, approved.sunsetBlock);
    }

    /// @inheritdoc IAttestationVerifier
    function isRemoved(bytes32 machine) public view returns (bool) {
        // Number 0 is nobody's and never removed.
        return _removedMachines.get(_machineNumbers[machine]);
    }

    /// @dev Whoever signed the certificates of a platform must be in force, and say which of them are revoked.
    function _checkIssuer(uint256 index) private view {
        Authority storage a = _authorities[index];
        _checkValidity(0, a.notAfter);
        if (a.crlNextUpdate <= block.timestamp) revert CrlExpired(a.key.id(), a.crlNextUpdate);
    }

    function _checkQe(Quote.Evidence memory evidence) private view {
        QeRule memory rule = _qeRules[evidence.tdx];
        if (rule.validUntil < block.timestamp) revert QeIdentityExpired(rule.validUntil);
        (bytes32 digest, uint256 isvSvn) = evidence.quotingEnclave(rule.attributesMask, rule.miscSelectMask);
        if (digest != rule.digest || isvSvn < rule.minimumIsvSvn) revert QuotingEnclaveNotAdmitted();
    }

    function _checkTcb(Quote.Evidence memory evidence, Platform memory platform) private view {
        bytes6 fmspc = platform.fmspc;
        TcbMinimum storage minimum = _tcbMinima[fmspc];
        if (minimum.validUntil < block.timestamp) revert TcbMinimumExpired(fmspc, minimum.validUntil);
        bool enough = platform.pceSvn >= minimum.pceSvn && Quote.reaches(platform.cpuSvn, minimum.sgxComponents);
        if (evidence.tdx) {
            (bytes16 components, bytes16 least) = (evidence.tdxComponents(), minimum.tdxComponents);
            enough = enough && components[1] == least[1] && Quote.reaches(components, least);
        }
        if (!enough) revert TcbTooLow(fmspc);
    }

    function _checkSecurityVersion(Quote.Evidence memory evidence) private view {
        if (evidence.tdx) return;
        uint256 version = evidence.securityVersion();
        uint256 minimum = _policy.minimumSecurityVersion;
        if (version < minimum) revert SecurityVersionTooLow(version, minimum);
    }

    function _isActive(uint64 activationBlock, uint64 sunsetBlock) private view returns (bool) {
        // Nothing is approved from block 0 on: both are zero where nothing was ever approved.
        return
            activationBlock != 0 && activationBlock <= block.number && (sunsetBlock == 0 || block.number < sunsetBlock);
    }

    /// @dev A last valid second of 0 stands for a revocation.
    function _checkValidity(uint256 notBefore, uint256 notAfter) private view {
        if (notAfter == 0) revert Revoked();
        if (block.timestamp < notBefore || block.timestamp > notAfter) revert NotValidNow(notBefore, notAfter);
    }

    /// @dev Requires: valid now, and allowed to sign certificates and revocation lists, or else quotes or collateral.
    function _checkUsage(X509.Certificate memory c, bool signsCertificates) private view {
        if (c.notAfter > type(uint40).max || c.notAfter == 0) revert Malformed();
        _checkValidity(c.notBefore, c.notAfter);
        uint256 usage = signsCertificates ? X509.USAGE_SIGN_CERTIFICATES_AND_CRLS : X509.USAGE_DIGITAL_SIGNATURE;
        if (c.isAuthority != signsCertificates || c.usage & usage != usage) revert NotPermitted();
    }

    /// @dev Who of that name signed, among those who sign collateral or those who sign certificates.
    function _signerOf(bytes32 name, bool tcbSigner, bytes32 digest, Ecdsa.Signature memory signature)
        private
        view
        returns (uint256 index)
    {
        uint256 count = _authorities.length;
        for (; index < count; index++) {
            Authority storage a = _authorities[index];
            if ((tcbSigner || a.name == name) && a.tcbSigner == tcbSigner && a.key.isValid(digest, signature)) {
                return index;
            }
        }
        revert UnknownIssuer();
    }

    /// @dev Index of the authority with the key and name of the certificate; the number of authorities if there is none.
    function _authorityOf(X509.Certificate memory c) private view returns (uint256 index) {
        uint256 count = _authorities.length;
        for (; index < count; index++) {
            Authority storage a = _authorities[index];
            if (a.name == c.subject && a.key.x == c.key.x && a.key.y == c.key.y) {
                // A key signs either certificates or collateral.
                if (a.tcbSigner == c.isAuthority) revert NotPermitted();
                return index;
            }
        }
    }

    function _addAuthority(X509.Certificate memory c, uint256 issuer) private {
        if (_authorities.length == AUTHORITIES_MAX) revert TooManyAuthorities();
        _hold(issuer, c.serial, c.key.id());
        _authorities.push(Authority(c.key, c.subject, uint40(c.notAfter), 0, 0, !c.isAuthority));
    }

    /// @dev Remembers whose certificate it is, so that a revocation finds it. Requires: the certificate is not revoked.
    function _hold(uint256 issuer, uint256 serial, bytes32 holder) private {
        bytes32 id = _serialId(issuer, serial);
        if (_holders[id] == REVOKED) revert Revoked();
        _holders[id] = holder;
    }

    function _revoke(uint256 issuer, uint256 serial) private {
        bytes32 id = _serialId(issuer, serial);
        bytes32 holder = _holders[id];
        if (holder == REVOKED) return;
        _holders[id] = REVOKED;
        if (holder == 0) return;
        if (issuer != ROOT) {
            Platform storage p = _platforms[holder];
            p.notAfter = 0;
            _remove(p.machine);
            return;
        }
        for (uint256 i = 0; i < _authorities.length; i++) {
            if (_authorities[i].key.id() == holder) _authorities[i].notAfter = 0;
        }
    }

    function _serialId(uint256 issuer, uint256 serial) private pure returns (bytes32) {
        return keccak256(abi.encode(issuer, serial));
    }

    function _remove(bytes32 machine) private {
        _removedMachines.set(_numberOf(machine));
        emit MachineRemoved(machine);
    }

    /// @dev The machine's number; a new one if it has none.
    function _numberOf(bytes32 machine) private returns (uint256 number) {
        number = _machineNumbers[machine];
        if (number != 0) return number;
        number = _machines.length;
        _machines.push(machine);
        _machineNumbers[machine] = number;
    }

    function _approve(bytes32 measurement, uint64 activationBlock, uint64 sunsetBlock) private {
        bool ends = sunsetBlock != 0;
        if (measurement == 0 || activationBlock == 0 || (ends && sunsetBlock <= activationBlock)) revert BadArgument();
        Measurement storage approved = _approvals[measurement];
        if (approved.number == 0) {
            approved.number = SafeCast.toUint16(_measurements.length);
            _measurements.push(measurement);
        }
        approved.activationBlock = activationBlock;
        approved.sunsetBlock = sunsetBlock;
        _approvalsByNumber[approved.number] = Approval(activationBlock, sunsetBlock);
        emit MeasurementApproved(measurement, activationBlock, sunsetBlock);
    }

    function _setPolicy(Policy memory policy_) private {
        if (policy_.attestationLifetimeBlocks == 0) revert BadArgument();
        _policy = policy_;
        emit PolicyChanged(policy_);
    }
}
