// SPDX-License-Identifier: MIT
// Tests of AttestationVerifier.verify: every reason to refuse a quote, by name. What does not live here: certificates
// (Authorities.t.sol), random bytes (Fuzz.t.sol), Intel's own quotes (IntelSamples.t.sol).
pragma solidity 0.8.37;

import {AttestationVerifier} from "../../src/attestation/AttestationVerifier.sol";
import {IAttestationVerifier} from "../../src/interfaces/IAttestationVerifier.sol";
import {Quotes} from "../support/Quotes.sol";

contract VerifyTest is Quotes {
    bytes32 private constant DATA = keccak256("report data");

    // Parts of a quote that tests overwrite.
    uint256 private constant HEADER = 0;
    uint256 private constant REPORT = 1;
    uint256 private constant QE = 2;

    /// @dev A quote that is refused because of `bytes_` at `at` of a part, though everything is signed.
    struct Refusal {
        bool tdx;
        uint256 part;
        uint256 at;
        bytes bytes_;
        bytes error;
    }

    Refusal[] private refusals;

    function setUp() public {
        deployAttestation();
    }

    function spec(bool tdx) private pure returns (QuoteSpec memory) {
        return tdx ? tdxSpec(DATA) : sgxSpec(MEASUREMENT, DATA);
    }

    function expectRefusal(bytes memory q, bytes memory error) private {
        vm.expectRevert(error);
        attestation.verify(q, DATA);
    }

    function named(bytes4 error) private pure returns (bytes memory) {
        return abi.encodeWithSelector(error);
    }

    function refuse(bool tdx, uint256 part, uint256 at, bytes memory bytes_, bytes4 error) private {
        refusals.push(Refusal(tdx, part, at, bytes_, abi.encodeWithSelector(error)));
    }

    function checkRefusals() private {
        for (uint256 i = 0; i < refusals.length; i++) {
            Refusal memory r = refusals[i];
            QuoteSpec memory q = spec(r.tdx);
            patch(r.part == HEADER ? q.header : r.part == REPORT ? q.report : q.qe, r.at, r.bytes_);
            expectRefusal(quote(q), r.error);
        }
    }

    function test_verify_acceptsSgx() public view {
        (bytes32 measurement, bytes32 machine, uint40 admission) = attestation.verify(quote(spec(false)), DATA);
        vm.assertEq(measurement, MEASUREMENT);
        vm.assertEq(machine, machineOf(PPID));
        requireAdmission(admission, measurement);
    }

    function test_verify_acceptsTdx() public view {
        (bytes32 measurement, bytes32 machine, uint40 admission) = attestation.verify(quote(spec(true)), DATA);
        vm.assertEq(measurement, tdMeasurement());
        vm.assertEq(machine, machineOf(PPID));
        requireAdmission(admission, measurement);
    }

    function requireAdmission(uint40 admission, bytes32 expected) private view {
        (bytes32 measurement, bytes32 machine) = attestation.admitted(admission);
        vm.assertEq(measurement, expected);
        vm.assertEq(machine, machineOf(PPID));
        vm.assertTrue(attestation.isCurrent(admission, vm.getBlockNumber()));
        vm.assertTrue(attestation.isAdmitted(measurement, machine));
    }

    /// @dev One of the quoting enclave by the machine, one of the quote; certificates were verified when they came.
    function test_verify_checksTwoSignatures() public {
        bytes[2] memory quotes = [quote(spec(false)), quote(spec(true))];
        address p256Verify = address(0x100);
        vm.expectCall(p256Verify, "", 4);
        attestation.verify(quotes[0], DATA);
        attestation.verify(quotes[1], DATA);
    }

    /// @dev Whoever knows a signature can make another one of it.
    function test_verify_acceptsTheOtherSignature() public view {
        uint256 order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551;
        bytes memory q = quote(spec(false));
        for (uint256 i = 0; i < 2; i++) {
            uint256 at = 33 + (i == 0 ? 468 : 980);
            uint256 s;
            assembly {
                s := mload(add(add(q, 32), at))
            }
            patch(q, at, abi.encode(order - s));
        }
        attestation.verify(q, DATA);
    }

    // format

    function test_verify_revertsForLength() public {
        for (uint256 tdx = 0; tdx < 2; tdx++) {
            bytes memory q = quote(spec(tdx == 1));
            expectRefusal(bytes.concat(q, hex"00"), named(IAttestationVerifier.Malformed.selector));
            assembly {
                mstore(q, sub(mload(q), 1))
            }
            expectRefusal(q, named(IAttestationVerifier.Malformed.selector));
        }
        expectRefusal("", named(IAttestationVerifier.Malformed.selector));
        expectRefusal(hex"01", named(IAttestationVerifier.Malformed.selector));
    }

    function test_verify_revertsForLengthsInside() public {
        bytes memory q = quote(spec(false));
        patch(q, 33 + 432, hex"63020000");
        expectRefusal(q, named(IAttestationVerifier.Malformed.selector));
        q = quote(spec(false));
        patch(q, 33 + 1012, hex"2100");
        expectRefusal(q, named(IAttestationVerifier.Malformed.selector));
        q = quote(spec(true));
        patch(q, 33 + 764, hex"0500");
        expectRefusal(q, named(IAttestationVerifier.Malformed.selector));
        q = quote(spec(true));
        patch(q, 33 + 766, hex"e3010000");
        expectRefusal(q, named(IAttestationVerifier.Malformed.selector));
    }

    function test_verify_revertsForHeader() public {
        bytes4 unsupported = IAttestationVerifier.UnsupportedQuote.selector;
        // Versions: SGX 4, TDX 3 and 5. Key type 3. TEE type of the other. Another vendor.
        refuse(false, HEADER, 0, hex"0400", unsupported);
        refuse(true, HEADER, 0, hex"0300", unsupported);
        refuse(true, HEADER, 0, hex"0500", unsupported);
        refuse(false, HEADER, 2, hex"0300", unsupported);
        refuse(false, HEADER, 4, hex"81000000", unsupported);
        refuse(true, HEADER, 4, hex"00000000", unsupported);
        refuse(false, HEADER, 12, hex"94", unsupported);
        checkRefusals();
        bytes memory q = quote(spec(false));
        q[0] = 0x02;
        expectRefusal(q, named(unsupported));
    }

    // who signed

    function test_verify_revertsForOtherRoot() public {
        // The same hierarchy under another root: nothing of it is registered here.
        QuoteSpec memory q = spec(false);
        (q.pckKey, q.platform) = (0xbad, keyId(0xbad));
        expectRefusal(quote(q), abi.encodeWithSelector(IAttestationVerifier.UnknownPlatform.selector, keyId(0xbad)));
        // Nor does it help to name the machine that is.
        q.platform = keyId(PCK_KEY);
        expectRefusal(quote(q), named(IAttestationVerifier.QuoteNotTrusted.selector));
    }

    function test_verify_revertsForAnyChangeAfterSigning() public {
        for (uint256 tdx = 0; tdx < 2; tdx++) {
            bytes memory signed = quote(spec(tdx == 1));
            uint256 qe = signed.length - 482;
            uint256 end = qe - (tdx == 1 ? 138 : 132);
            // The header's user data; report data; both signatures; attestation key; QE report; authentication data.
            uint256[8] memory at = [33 + 40, end - 64, end - 1, end + 4, end + 70, qe + 100, qe + 390, qe + 460];
            for (uint256 i = 0; i < at.length; i++) {
                bytes memory q = bytes.concat(signed);
                q[at[i]] ^= 0x01;
                expectRefusal(q, named(IAttestationVerifier.QuoteNotTrusted.selector));
            }
        }
    }

    function test_verify_revertsForAttestationKeyNobodyVouchesFor() public {
        QuoteSpec memory q = spec(false);
        quote(q);
        q.attestationKey = 0xbad;
        expectRefusal(signQuote(q), named(IAttestationVerifier.QuoteNotTrusted.selector));
    }

    function test_verify_revertsForZeroSignatures() public {
        bytes memory q = quote(spec(false));
        patch(q, 33 + 436, new bytes(64));
        expectRefusal(q, named(IAttestationVerifier.QuoteNotTrusted.selector));
        q = quote(spec(false));
        patch(q, 33 + 948, new bytes(64));
        expectRefusal(q, named(IAttestationVerifier.QuoteNotTrusted.selector));
    }

    // certificates and collateral

    function test_verify_revertsForRevokedPck() public {
        attestation.publishCrl(crl(CA_NAME, CA_KEY, oneSerial(pckSpec().serial), "300302000000Z", NEXT_MONTH));
        expectRefusal(quote(spec(false)), named(IAttestationVerifier.Revoked.selector));
    }

    function test_verify_revertsForExpiredPck() public {
        CertificateSpec memory c = pckSpec();
        (c.key, c.serial, c.notAfter) = (0xabc, 90, "300318000000Z");
        attestation.registerPlatform(certificate(c));
        QuoteSpec memory q = spec(false);
        (q.pckKey, q.platform) = (0xabc, keyId(0xabc));
        bytes memory signed = quote(q);
        vm.warp(1900022400);
        attestation.verify(signed, DATA);
        vm.warp(1900022401);
        expectRefusal(signed, abi.encodeWithSelector(IAttestationVerifier.NotValidNow.selector, 0, 1900022400));
    }

    function test_verify_revertsForExpiredCollateral() public {
        bytes memory q = quote(spec(false));
        vm.warp(NEXT_MONTH_TIME - 1);
        attestation.verify(q, DATA);
        vm.warp(NEXT_MONTH_TIME);
        expectRefusal(
            q, abi.encodeWithSelector(IAttestationVerifier.CrlExpired.selector, keyId(CA_KEY), NEXT_MONTH_TIME)
        );
        attestation.publishCrl(crl(CA_NAME, CA_KEY, noSerials(), NEXT_MONTH, "300501000000Z"));
        expectRefusal(
            q, abi.encodeWithSelector(IAttestationVerifier.CrlExpired.selector, keyId(ROOT_KEY), NEXT_MONTH_TIME)
        );
        attestation.publishCrl(crl(ROOT_NAME, ROOT_KEY, noSerials(), NEXT_MONTH, "300501000000Z"));
        attestation.verify(q, DATA);
        vm.warp(NEXT_MONTH_TIME + 1);
        expectRefusal(q, abi.encodeWithSelector(IAttestationVerifier.QeIdentityExpired.selector, NEXT_MONTH_TIME));
        IAttestationVerifier.QeIdentity memory identity = qeIdentity(false);
        identity.validUntil = uint40(NEXT_MONTH_TIME + 100);
        vm.prank(governor);
        attestation.setQeIdentity(false, identity);
        expectRefusal(
            q, abi.encodeWithSelector(IAttestationVerifier.TcbMinimumExpired.selector, FMSPC, NEXT_MONTH_TIME)
        );
        IAttestationVerifier.TcbMinimum memory minimum = tcbMinimum();
        minimum.validUntil = uint40(NEXT_MONTH_TIME + 100);
        vm.prank(governor);
        attestation.setTcbMinimum(FMSPC, minimum);
        attestation.verify(q, DATA);
    }

    function test_verify_revertsForMissingCollateral() public {
        attestation = new AttestationVerifier(certificate(rootSpec()), true, governor, measurements(), policy());
        attestation.registerAuthority(certificate(caSpec()));
        attestation.registerPlatform(certificate(pckSpec()));
        bytes memory q = quote(spec(false));
        expectRefusal(q, abi.encodeWithSelector(IAttestationVerifier.CrlExpired.selector, keyId(CA_KEY), 0));
        attestation.publishCrl(crl(CA_NAME, CA_KEY, noSerials()));
        expectRefusal(q, abi.encodeWithSelector(IAttestationVerifier.CrlExpired.selector, keyId(ROOT_KEY), 0));
        attestation.publishCrl(crl(ROOT_NAME, ROOT_KEY, noSerials()));
        expectRefusal(q, abi.encodeWithSelector(IAttestationVerifier.QeIdentityExpired.selector, 0));
        vm.prank(governor);
        attestation.setQeIdentity(false, qeIdentity(false));
        expectRefusal(q, abi.encodeWithSelector(IAttestationVerifier.TcbMinimumExpired.selector, FMSPC, 0));
    }

    // what runs

    function test_verify_revertsForDebug() public {
        bytes4 debug = IAttestationVerifier.DebugEnabled.selector;
        refuse(false, REPORT, 48, hex"07", debug);
        refuse(false, QE, 48, hex"17", debug);
        refuse(true, QE, 48, hex"17", debug);
        // The TD: debug, three kinds of profiling.
        refuse(true, REPORT, 120, hex"01", debug);
        refuse(true, REPORT, 120, hex"10", debug);
        refuse(true, REPORT, 120, hex"20", debug);
        refuse(true, REPORT, 120, hex"40", debug);
        checkRefusals();
    }

    function test_verify_revertsForTd() public {
        bytes4 td = IAttestationVerifier.TdNotAdmitted.selector;
        // Attributes: no SEPT_VE_DISABLE; migration; a service TD extension; reserved bits 1, 15, 23, 32 and 61.
        refuse(true, REPORT, 123, hex"00", td);
        refuse(true, REPORT, 123, hex"30", td);
        refuse(true, REPORT, 122, hex"02", td);
        refuse(true, REPORT, 120, hex"02", td);
        refuse(true, REPORT, 121, hex"80", td);
        refuse(true, REPORT, 122, hex"80", td);
        refuse(true, REPORT, 124, hex"01", td);
        refuse(true, REPORT, 127, hex"20", td);
        // XFAM: without x87, without SSE, with something unknown.
        refuse(true, REPORT, 128, hex"e6", td);
        refuse(true, REPORT, 128, hex"e5", td);
        refuse(true, REPORT, 130, hex"0e", td);
        // Another signer of the TDX module, at both ends; attributes of the module.
        refuse(true, REPORT, 64, hex"01", td);
        refuse(true, REPORT, 111, hex"01", td);
        refuse(true, REPORT, 112, hex"01", td);
        refuse(true, REPORT, 119, hex"01", td);
        checkRefusals();
    }

    function test_verify_acceptsTdWithHarmlessAttributes() public view {
        QuoteSpec memory q = spec(true);
        // PKS and LASS; PERFMON.
        patch(q.report, 123, hex"58");
        patch(q.report, 127, hex"80");
        attestation.verify(quote(q), DATA);
    }

    function test_verify_revertsForQuotingEnclave() public {
        bytes4 qe = IAttestationVerifier.QuotingEnclaveNotAdmitted.selector;
        for (uint256 tdx = 0; tdx < 2; tdx++) {
            refuse(tdx == 1, QE, 128, hex"99", qe);
            refuse(tdx == 1, QE, 256, hex"03", qe);
            refuse(tdx == 1, QE, 257, hex"01", qe);
            refuse(tdx == 1, QE, 258, hex"0300", qe);
            refuse(tdx == 1, QE, 16, hex"01", qe);
            refuse(tdx == 1, QE, 48, hex"05", qe);
            refuse(tdx == 1, QE, 55, hex"01", qe);
        }
        checkRefusals();
        // Each TEE has its own.
        QuoteSpec memory q = spec(false);
        q.qe = spec(true).qe;
        expectRefusal(quote(q), named(qe));
    }

    function test_verify_acceptsNewerQuotingEnclaveAndUnmaskedBits() public view {
        QuoteSpec memory q = spec(false);
        patch(q.qe, 258, hex"0001");
        patch(q.qe, 56, hex"ff");
        attestation.verify(quote(q), DATA);
    }

    function test_verify_revertsForLowTcb() public {
        bytes memory low = abi.encodeWithSelector(IAttestationVerifier.TcbTooLow.selector, FMSPC);
        bytes16[3] memory cpuSvns = [
            bytes16(0x06070202040100050000000000000000),
            bytes16(0x07070202040100040000000000000000),
            bytes16(0xff070202040000ff0000000000000000)
        ];
        for (uint256 i = 0; i < cpuSvns.length; i++) {
            expectRefusal(quoteOfMachine(cpuSvns[i], PCE_SVN, 200 + i), low);
        }
        expectRefusal(quoteOfMachine(CPU_SVN, PCE_SVN - 1, 210), low);
        attestation.verify(quoteOfMachine(0xff070202ff0100ff0000000000000001, 255, 211), DATA);
    }

    function quoteOfMachine(bytes16 cpuSvn, uint16 pceSvn, uint256 key) private returns (bytes memory) {
        CertificateSpec memory c = pckSpec(sgxExtension(PPID, cpuSvn, pceSvn, FMSPC));
        (c.key, c.serial) = (key, key);
        attestation.registerPlatform(certificate(c));
        QuoteSpec memory q = spec(false);
        (q.pckKey, q.platform) = (key, keyId(key));
        return quote(q);
    }

    function test_verify_revertsForLowTdxTcb() public {
        QuoteSpec memory q = spec(true);
        patch(q.report, 2, hex"01");
        expectRefusal(quote(q), abi.encodeWithSelector(IAttestationVerifier.TcbTooLow.selector, FMSPC));
    }

    function test_verify_revertsForLowSecurityVersion() public {
        QuoteSpec memory q = spec(false);
        patch(q.report, 258, littleEndian(SECURITY_VERSION - 1));
        expectRefusal(
            quote(q),
            abi.encodeWithSelector(
                IAttestationVerifier.SecurityVersionTooLow.selector, SECURITY_VERSION - 1, SECURITY_VERSION
            )
        );
        patch(q.report, 258, littleEndian(256));
        attestation.verify(quote(q), DATA);
    }

    function test_verify_revertsForReportData(bytes32 other) public {
        vm.assume(other != DATA);
        for (uint256 tdx = 0; tdx < 2; tdx++) {
            bytes memory q = quote(spec(tdx == 1));
            vm.expectRevert(abi.encodeWithSelector(IAttestationVerifier.WrongReportData.selector, DATA, other));
            attestation.verify(q, other);
        }
    }

    function test_verify_revertsForMoreReportData() public {
        for (uint256 tdx = 0; tdx < 2; tdx++) {
            QuoteSpec memory q = spec(tdx == 1);
            q.report[q.report.length - 1] = 0x01;
            expectRefusal(quote(q), abi.encodeWithSelector(IAttestationVerifier.WrongReportData.selector, DATA, DATA));
        }
    }

    function test_verify_revertsForMeasurement() public {
        bytes32 other = keccak256("other");
        bytes memory notAdmitted = abi.encodeWithSelector(IAttestationVerifier.MeasurementNotAdmitted.selector, other);
        expectRefusal(quote(sgxSpec(other, DATA)), notAdmitted);
        vm.startPrank(governor);
        uint64 next = uint64(vm.getBlockNumber() + 10);
        attestation.approveMeasurement(other, next, next + 5);
        vm.stopPrank();
        expectRefusal(quote(sgxSpec(other, DATA)), notAdmitted);
        vm.roll(next);
        attestation.verify(quote(sgxSpec(other, DATA)), DATA);
        vm.roll(next + 4);
        attestation.verify(quote(sgxSpec(other, DATA)), DATA);
        vm.roll(next + 5);
        expectRefusal(quote(sgxSpec(other, DATA)), notAdmitted);
    }

    /// @dev Each register counts, and so does MRTD.
    function test_verify_measuresAllOfATd() public {
        uint256[5] memory registers = [uint256(136), 328, 376, 424, 472];
        for (uint256 i = 0; i < registers.length; i++) {
            for (uint256 end = 0; end < 2; end++) {
                QuoteSpec memory q = spec(true);
                q.report[registers[i] + 47 * end] ^= 0x01;
                bytes memory signed = quote(q);
                vm.expectPartialRevert(IAttestationVerifier.MeasurementNotAdmitted.selector);
                attestation.verify(signed, DATA);
            }
        }
    }

    function test_verify_revertsForRemovedMachine() public {
        vm.prank(governor);
        attestation.removeMachine(machineOf(PPID));
        bytes memory error = abi.encodeWithSelector(IAttestationVerifier.MachineNotAdmitted.selector, machineOf(PPID));
        expectRefusal(quote(spec(false)), error);
        expectRefusal(quote(spec(true)), error);
        // A new certificate does not help.
        expectRefusal(quoteOfMachine(CPU_SVN, PCE_SVN + 1, 220), error);
    }
}
