// SPDX-License-Identifier: MIT
// Tests of the certificates, revocation lists and collateral that an AttestationVerifier takes, reverts first. What does not
// live here: quotes (Verify.t.sol), the owner's policy (Policy.t.sol), and random bytes (Fuzz.t.sol).
pragma solidity 0.8.37;

import {AttestationVerifier} from "../../src/attestation/AttestationVerifier.sol";
import {IAttestationVerifier} from "../../src/interfaces/IAttestationVerifier.sol";
import {Asn1} from "../support/Asn1.sol";
import {Quotes} from "../support/Quotes.sol";

contract AuthoritiesTest is Quotes {
    bytes32 private constant DATA = keccak256("report data");
    uint256 private constant OTHER_KEY = 0xbad1;

    function setUp() public {
        deployAttestation();
    }

    function deploy(CertificateSpec memory root, bool development) private returns (AttestationVerifier) {
        return new AttestationVerifier(certificate(root), development, governor, measurements(), policy());
    }

    function expectAuthorityRevert(CertificateSpec memory c, bytes memory error) private {
        bytes memory der = certificate(c);
        vm.expectRevert(error);
        attestation.registerAuthority(der);
    }

    function expectPlatformRevert(CertificateSpec memory c, bytes memory error) private {
        bytes memory der = certificate(c);
        vm.expectRevert(error);
        attestation.registerPlatform(der);
    }

    function expectCrlRevert(bytes memory der, bytes memory error) private {
        vm.expectRevert(error);
        attestation.publishCrl(der);
    }

    function named(bytes4 error) private pure returns (bytes memory) {
        return abi.encodeWithSelector(error);
    }

    /// @dev Another CA, with a PCK and quote of its own, that is not registered.
    function otherCa() private pure returns (CertificateSpec memory c) {
        c = caSpec();
        (c.subject, c.serial, c.key) = ("Development SGX PCK Processor CA", 22, OTHER_KEY);
    }

    // constructor

    function test_constructor_revertsForOtherRootInProduction() public {
        bytes memory root = certificate(rootSpec());
        vm.expectRevert(IAttestationVerifier.NotIntelRoot.selector);
        new AttestationVerifier(root, false, governor, measurements(), policy());
    }

    function test_constructor_revertsForRootThatDidNotSignItself() public {
        CertificateSpec memory root = rootSpec();
        root.issuerKey = OTHER_KEY;
        bytes memory der = certificate(root);
        vm.expectRevert(IAttestationVerifier.UnknownIssuer.selector);
        new AttestationVerifier(der, true, governor, measurements(), policy());
        root = rootSpec();
        root.issuer = "Somebody else";
        der = certificate(root);
        vm.expectRevert(IAttestationVerifier.UnknownIssuer.selector);
        new AttestationVerifier(der, true, governor, measurements(), policy());
    }

    function test_constructor_revertsForRootThatMayNotSign() public {
        CertificateSpec memory root = rootSpec();
        root.extensions = bytes.concat(keyUsage(SIGN_CERTIFICATES), basicConstraints(true, 0));
        expectRootRevert(root, named(IAttestationVerifier.NotPermitted.selector));
        root.extensions = bytes.concat(keyUsage(DIGITAL_SIGNATURE), basicConstraints(true, 1));
        expectRootRevert(root, named(IAttestationVerifier.NotPermitted.selector));
        root.extensions = bytes.concat(keyUsage(SIGN_CERTIFICATES), basicConstraints(false, 0));
        expectRootRevert(root, named(IAttestationVerifier.NotPermitted.selector));
        root = rootSpec();
        root.notAfter = "300101000000Z";
        expectRootRevert(
            root, abi.encodeWithSelector(IAttestationVerifier.NotValidNow.selector, 1735689600, 1893456000)
        );
    }

    function expectRootRevert(CertificateSpec memory root, bytes memory error) private {
        bytes memory der = certificate(root);
        vm.expectRevert(error);
        new AttestationVerifier(der, true, governor, measurements(), policy());
    }

    function test_constructor_revertsForArguments() public {
        bytes memory root = certificate(rootSpec());
        IAttestationVerifier.Policy memory p = policy();
        p.attestationLifetimeBlocks = 0;
        vm.expectRevert(IAttestationVerifier.BadArgument.selector);
        new AttestationVerifier(root, true, governor, measurements(), p);
        vm.expectRevert(IAttestationVerifier.BadArgument.selector);
        new AttestationVerifier(root, true, governor, new bytes32[](1), policy());
    }

    function test_constructor_announcesEverything() public {
        bytes memory root = certificate(rootSpec());
        vm.expectEmit();
        emit IAttestationVerifier.RootCertificate(root, true);
        vm.expectEmit();
        emit IAttestationVerifier.MeasurementApproved(MEASUREMENT, uint64(vm.getBlockNumber()), 0);
        vm.expectEmit();
        emit IAttestationVerifier.MeasurementApproved(tdMeasurement(), uint64(vm.getBlockNumber()), 0);
        vm.expectEmit();
        emit IAttestationVerifier.PolicyChanged(policy());
        attestation = new AttestationVerifier(root, true, governor, measurements(), policy());
        vm.assertTrue(attestation.development());
        vm.assertEq(attestation.rootHash(), keccak256(root));
        vm.assertEq(attestation.owner(), governor);
    }

    // registerAuthority

    function test_registerAuthority_revertsForOtherIssuer() public {
        CertificateSpec memory c = otherCa();
        c.issuerKey = OTHER_KEY;
        expectAuthorityRevert(c, named(IAttestationVerifier.UnknownIssuer.selector));
        c = otherCa();
        c.issuer = CA_NAME;
        expectAuthorityRevert(c, named(IAttestationVerifier.UnknownIssuer.selector));
        // A CA must not make others.
        c.issuerKey = CA_KEY;
        expectAuthorityRevert(c, named(IAttestationVerifier.UnknownIssuer.selector));
    }

    function test_registerAuthority_revertsForUsage() public {
        CertificateSpec memory c = otherCa();
        c.extensions = bytes.concat(keyUsage(0x04), basicConstraints(true, 0));
        expectAuthorityRevert(c, named(IAttestationVerifier.NotPermitted.selector));
        c.extensions = basicConstraints(true, 0);
        expectAuthorityRevert(c, named(IAttestationVerifier.NotPermitted.selector));
        // Neither CA nor signer of collateral.
        c.extensions = bytes.concat(keyUsage(SIGN_CERTIFICATES), basicConstraints(false, 0));
        expectAuthorityRevert(c, named(IAttestationVerifier.NotPermitted.selector));
    }

    function test_registerAuthority_revertsForUnknownCriticalExtension() public {
        CertificateSpec memory c = otherCa();
        c.extensions = bytes.concat(c.extensions, extension(hex"551d1e", true, hex"3000"));
        expectAuthorityRevert(c, named(IAttestationVerifier.Unsupported.selector));
    }

    function test_registerAuthority_revertsForRepeatedExtension() public {
        CertificateSpec memory c = otherCa();
        c.extensions = bytes.concat(c.extensions, basicConstraints(true, 0));
        expectAuthorityRevert(c, named(IAttestationVerifier.Malformed.selector));
    }

    function test_registerAuthority_revertsOutsideValidity() public {
        CertificateSpec memory c = otherCa();
        c.notBefore = "300401000000Z";
        expectAuthorityRevert(
            c, abi.encodeWithSelector(IAttestationVerifier.NotValidNow.selector, NEXT_MONTH_TIME, 2524607999)
        );
        c = otherCa();
        c.notAfter = "300301000000Z";
        expectAuthorityRevert(
            c, abi.encodeWithSelector(IAttestationVerifier.NotValidNow.selector, 1735689600, 1898553600)
        );
    }

    function test_registerAuthority_revertsForSecondTime() public {
        expectAuthorityRevert(caSpec(), named(IAttestationVerifier.AlreadyRegistered.selector));
        expectAuthorityRevert(rootSpec(), named(IAttestationVerifier.AlreadyRegistered.selector));
    }

    function test_registerAuthority_revertsForKeyOfAnotherRole() public {
        CertificateSpec memory c = tcbSignerSpec();
        (c.subject, c.key, c.serial) = (CA_NAME, CA_KEY, 23);
        expectAuthorityRevert(c, named(IAttestationVerifier.NotPermitted.selector));
    }

    function test_registerAuthority_revertsWhenRevoked() public {
        attestation.publishCrl(crl(ROOT_NAME, ROOT_KEY, oneSerial(22), "300302000000Z", NEXT_MONTH));
        expectAuthorityRevert(otherCa(), named(IAttestationVerifier.Revoked.selector));
        // A key that was revoked does not come back under another number.
        attestation.publishCrl(crl(ROOT_NAME, ROOT_KEY, oneSerial(2), "300303000000Z", NEXT_MONTH));
        CertificateSpec memory c = caSpec();
        c.serial = 24;
        expectAuthorityRevert(c, named(IAttestationVerifier.Revoked.selector));
    }

    function test_registerAuthority_revertsForTooMany() public {
        for (uint256 i = 3; i < 32; i++) {
            CertificateSpec memory c = otherCa();
            (c.key, c.serial) = (OTHER_KEY + i, 100 + i);
            attestation.registerAuthority(certificate(c));
        }
        expectAuthorityRevert(otherCa(), named(IAttestationVerifier.TooManyAuthorities.selector));
    }

    function test_registerAuthority_announces() public {
        bytes memory der = certificate(otherCa());
        vm.expectEmit(address(attestation));
        emit IAttestationVerifier.AuthorityRegistered(keyId(OTHER_KEY), false, der);
        attestation.registerAuthority(der);
    }

    function test_registerAuthority_prolongs() public {
        CertificateSpec memory c = otherCa();
        c.notAfter = NEXT_MONTH;
        attestation.registerAuthority(certificate(c));
        c = otherCa();
        c.serial = 25;
        attestation.registerAuthority(certificate(c));
        attestation.publishCrl(crl(c.subject, OTHER_KEY, noSerials()));
        vm.warp(NEXT_MONTH_TIME + 1);
        CertificateSpec memory p = pckSpec();
        (p.issuer, p.issuerKey, p.key) = (c.subject, OTHER_KEY, OTHER_KEY + 1);
        attestation.registerPlatform(certificate(p));
    }

    // registerPlatform

    function test_registerPlatform_revertsForOtherIssuer() public {
        CertificateSpec memory c = pckSpec();
        (c.key, c.issuerKey) = (OTHER_KEY, OTHER_KEY);
        expectPlatformRevert(c, named(IAttestationVerifier.UnknownIssuer.selector));
        // The CA's name with another's key, and the CA's key with another's name.
        c = pckSpec();
        (c.key, c.issuer) = (OTHER_KEY, PCK_NAME);
        expectPlatformRevert(c, named(IAttestationVerifier.UnknownIssuer.selector));
        // The root signs no machines, and the signer of collateral signs no certificates.
        c = pckSpec();
        (c.key, c.issuer, c.issuerKey) = (OTHER_KEY, ROOT_NAME, ROOT_KEY);
        expectPlatformRevert(c, named(IAttestationVerifier.NotPermitted.selector));
        c = pckSpec();
        (c.key, c.issuer, c.issuerKey) = (OTHER_KEY, TCB_SIGNER_NAME, TCB_SIGNER_KEY);
        expectPlatformRevert(c, named(IAttestationVerifier.UnknownIssuer.selector));
    }

    function test_registerPlatform_revertsForUsage() public {
        bytes memory sgx = sgxExtension(PPID, CPU_SVN, PCE_SVN, FMSPC);
        CertificateSpec memory c = pckSpec();
        c.key = OTHER_KEY;
        c.extensions = bytes.concat(keyUsage(SIGN_CERTIFICATES), basicConstraints(true, 0), sgx);
        expectPlatformRevert(c, named(IAttestationVerifier.NotPermitted.selector));
        c.extensions = bytes.concat(keyUsage(SIGN_CERTIFICATES), basicConstraints(false, 0), sgx);
        expectPlatformRevert(c, named(IAttestationVerifier.NotPermitted.selector));
    }

    function test_registerPlatform_revertsForSgxExtension() public {
        CertificateSpec memory c = pckSpec("");
        c.key = OTHER_KEY;
        expectPlatformRevert(c, named(IAttestationVerifier.NotPermitted.selector));
        c.extensions = bytes.concat(c.extensions, extension(hex"2a864886f84d010d01", false, hex"3000"));
        expectPlatformRevert(c, named(IAttestationVerifier.Malformed.selector));
        bytes memory ppid = Asn1.seq(sgxOid("", 1), Asn1.octets(new bytes(15)));
        c = pckSpec(extension(hex"2a864886f84d010d01", false, Asn1.seq(ppid)));
        expectPlatformRevert(c, named(IAttestationVerifier.Malformed.selector));
    }

    function test_registerPlatform_revertsForExpiredIssuer() public {
        CertificateSpec memory ca = otherCa();
        ca.notAfter = NEXT_MONTH;
        attestation.registerAuthority(certificate(ca));
        vm.warp(NEXT_MONTH_TIME + 1);
        CertificateSpec memory c = pckSpec();
        (c.issuer, c.issuerKey, c.key) = (ca.subject, OTHER_KEY, OTHER_KEY + 1);
        expectPlatformRevert(c, abi.encodeWithSelector(IAttestationVerifier.NotValidNow.selector, 0, NEXT_MONTH_TIME));
    }

    function test_registerPlatform_revertsWhenRevoked() public {
        CertificateSpec memory c = pckSpec();
        (c.key, c.serial) = (OTHER_KEY, 77);
        attestation.publishCrl(crl(CA_NAME, CA_KEY, oneSerial(77), "300302000000Z", NEXT_MONTH));
        expectPlatformRevert(c, named(IAttestationVerifier.Revoked.selector));
        // Nor does a revoked key under another number.
        attestation.publishCrl(crl(CA_NAME, CA_KEY, oneSerial(pckSpec().serial), "300303000000Z", NEXT_MONTH));
        c = pckSpec();
        c.serial = 78;
        expectPlatformRevert(c, named(IAttestationVerifier.Revoked.selector));
    }

    function test_registerPlatform_revertsForSecondTime() public {
        expectPlatformRevert(pckSpec(), named(IAttestationVerifier.AlreadyRegistered.selector));
        CertificateSpec memory c = pckSpec();
        c.notAfter = NEXT_MONTH;
        expectPlatformRevert(c, named(IAttestationVerifier.AlreadyRegistered.selector));
    }

    function test_registerPlatform_announces() public {
        CertificateSpec memory c = pckSpec(sgxExtension(bytes16(uint128(9)), CPU_SVN, 255, FMSPC));
        (c.key, c.serial) = (OTHER_KEY, 79);
        bytes memory der = certificate(c);
        vm.expectEmit(address(attestation));
        emit IAttestationVerifier.PlatformRegistered(
            keyId(OTHER_KEY), machineOf(bytes16(uint128(9))), keyId(CA_KEY), FMSPC, der
        );
        attestation.registerPlatform(der);
    }

    // publishCrl

    function test_publishCrl_revertsForOtherIssuer() public {
        bytes memory unknown = named(IAttestationVerifier.UnknownIssuer.selector);
        expectCrlRevert(crl(CA_NAME, OTHER_KEY, noSerials(), "300302000000Z", NEXT_MONTH), unknown);
        expectCrlRevert(crl(ROOT_NAME, CA_KEY, noSerials(), "300302000000Z", NEXT_MONTH), unknown);
        expectCrlRevert(crl(TCB_SIGNER_NAME, TCB_SIGNER_KEY, noSerials(), "300302000000Z", NEXT_MONTH), unknown);
    }

    function test_publishCrl_revertsForOlderList() public {
        expectCrlRevert(
            crl(CA_NAME, CA_KEY, noSerials()),
            abi.encodeWithSelector(IAttestationVerifier.OldCrl.selector, 1898553600, 1898553600)
        );
        expectCrlRevert(
            crl(CA_NAME, CA_KEY, noSerials(), "300228000000Z", NEXT_MONTH),
            abi.encodeWithSelector(IAttestationVerifier.OldCrl.selector, 1898467200, 1898553600)
        );
    }

    function test_publishCrl_revertsOutsideItsTime() public {
        expectCrlRevert(
            crl(CA_NAME, CA_KEY, noSerials(), "300401000000Z", "300501000000Z"),
            abi.encodeWithSelector(IAttestationVerifier.NotValidNow.selector, NEXT_MONTH_TIME, 1903824000)
        );
        expectCrlRevert(
            crl(CA_NAME, CA_KEY, noSerials(), "300302000000Z", "300303000000Z"),
            abi.encodeWithSelector(IAttestationVerifier.CrlExpired.selector, keyId(CA_KEY), 1898726400)
        );
    }

    function test_publishCrl_announces() public {
        uint256[] memory serials = new uint256[](3);
        (serials[0], serials[1], serials[2]) = (5, 5, type(uint256).max);
        bytes memory der = crl(CA_NAME, CA_KEY, serials, "300302000000Z", NEXT_MONTH);
        vm.expectEmit(address(attestation));
        emit IAttestationVerifier.CrlPublished(keyId(CA_KEY), 1898640000, uint40(NEXT_MONTH_TIME), der);
        attestation.publishCrl(der);
    }

    /// @dev Enclaves read no longer one.
    function test_publishCrl_revertsForLength() public {
        expectCrlRevert(new bytes(131_073), abi.encodeWithSelector(IAttestationVerifier.CrlTooLong.selector, 131_073));
        expectCrlRevert(new bytes(131_072), named(IAttestationVerifier.Malformed.selector));
    }

    function test_publishCrl_removesTheMachine() public {
        bytes32 machine = machineOf(PPID);
        (,, uint40 admission) = attestation.verify(quote(MEASUREMENT, DATA), DATA);
        vm.assertTrue(attestation.isCurrent(admission, vm.getBlockNumber()));
        bytes memory der = crl(CA_NAME, CA_KEY, oneSerial(pckSpec().serial), "300302000000Z", NEXT_MONTH);
        vm.expectEmit(address(attestation));
        emit IAttestationVerifier.MachineRemoved(machine);
        attestation.publishCrl(der);
        vm.assertTrue(attestation.isRemoved(machine));
        vm.assertFalse(attestation.isCurrent(admission, vm.getBlockNumber()));
    }

    function test_publishCrl_keepsWhatWasRevoked() public {
        attestation.publishCrl(crl(CA_NAME, CA_KEY, oneSerial(pckSpec().serial), "300302000000Z", NEXT_MONTH));
        attestation.publishCrl(crl(CA_NAME, CA_KEY, noSerials(), "300303000000Z", NEXT_MONTH));
        bytes memory q = quote(MEASUREMENT, DATA);
        vm.expectRevert(IAttestationVerifier.Revoked.selector);
        attestation.verify(q, DATA);
    }

    function test_publishCrl_ofTheRootRevokesACa() public {
        attestation.publishCrl(crl(ROOT_NAME, ROOT_KEY, oneSerial(2), "300302000000Z", NEXT_MONTH));
        bytes memory q = quote(MEASUREMENT, DATA);
        vm.expectRevert(IAttestationVerifier.Revoked.selector);
        attestation.verify(q, DATA);
        expectCrlRevert(
            crl(CA_NAME, CA_KEY, noSerials(), "300302000000Z", NEXT_MONTH), named(IAttestationVerifier.Revoked.selector)
        );
    }

    function test_publishCrl_numbersAreTheIssuersOwn() public {
        // The root's number 2 is the CA; the CA's number 2 is nobody.
        attestation.publishCrl(crl(CA_NAME, CA_KEY, oneSerial(2), "300302000000Z", NEXT_MONTH));
        attestation.verify(quote(MEASUREMENT, DATA), DATA);
    }

    // publishCollateral

    function test_publishCollateral_revertsForLength() public {
        vm.expectRevert(abi.encodeWithSelector(IAttestationVerifier.BadCollateralLength.selector, 0));
        attestation.publishCollateral("", new bytes(64));
        vm.expectRevert(abi.encodeWithSelector(IAttestationVerifier.BadCollateralLength.selector, 65_537));
        attestation.publishCollateral(new bytes(65_537), new bytes(64));
        vm.expectRevert(IAttestationVerifier.Malformed.selector);
        attestation.publishCollateral("{}", new bytes(65));
    }

    function test_publishCollateral_revertsForSigner() public {
        bytes memory signed = rawSignature(CA_KEY, sha256("{}"));
        vm.expectRevert(IAttestationVerifier.UnknownIssuer.selector);
        attestation.publishCollateral("{}", signed);
        signed = rawSignature(TCB_SIGNER_KEY, sha256("{ }"));
        vm.expectRevert(IAttestationVerifier.UnknownIssuer.selector);
        attestation.publishCollateral("{}", signed);
    }

    function test_publishCollateral_revertsForRevokedSigner() public {
        attestation.publishCrl(crl(ROOT_NAME, ROOT_KEY, oneSerial(3), "300302000000Z", NEXT_MONTH));
        bytes memory signed = rawSignature(TCB_SIGNER_KEY, sha256("{}"));
        vm.expectRevert(IAttestationVerifier.Revoked.selector);
        attestation.publishCollateral("{}", signed);
    }

    function test_publishCollateral_announces() public {
        bytes memory json = filled(65_536, "j");
        bytes memory signed = rawSignature(TCB_SIGNER_KEY, sha256(json));
        vm.expectEmit(address(attestation));
        emit IAttestationVerifier.CollateralPublished(keyId(TCB_SIGNER_KEY), json, signed);
        attestation.publishCollateral(json, signed);
    }
}
