// SPDX-License-Identifier: MIT
// Tests of DevelopmentAttestation. What does not live here: what the report data says (NetworkManagement.t.sol).
pragma solidity 0.8.37;

import {DevelopmentAttestation} from "../src/attestation/DevelopmentAttestation.sol";
import {IAttestationVerifier} from "../src/interfaces/IAttestationVerifier.sol";
import {Test} from "./support/Test.sol";

contract DevelopmentAttestationTest is Test {
    uint256 private constant KEY = 0xa77e57;
    uint256 private constant ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
    bytes32 private constant MEASUREMENT = keccak256("measurement");
    bytes32 private constant DATA = keccak256("report data");
    DevelopmentAttestation private attestation;

    function setUp() public {
        attestation = new DevelopmentAttestation(vm.addr(KEY), MEASUREMENT);
    }

    function digest(bytes32 measurement, bytes32 data) private pure returns (bytes32) {
        return keccak256(abi.encode(keccak256("Obscuro development quote v1"), measurement, data));
    }

    function test_constructor_revertsForZeroArguments() public {
        address root = vm.addr(KEY);
        vm.expectRevert(DevelopmentAttestation.ZeroArgument.selector);
        new DevelopmentAttestation(address(0), MEASUREMENT);
        vm.expectRevert(DevelopmentAttestation.ZeroArgument.selector);
        new DevelopmentAttestation(root, 0);
    }

    function test_verify_revertsForMalformedQuote() public {
        vm.expectRevert();
        attestation.verify("", DATA);
        vm.expectRevert();
        attestation.verify(abi.encode(MEASUREMENT), DATA);
    }

    function test_verify_revertsForOtherSigner() public {
        bytes memory quote = abi.encode(MEASUREMENT, signature(KEY + 1, digest(MEASUREMENT, DATA)));
        vm.expectRevert(IAttestationVerifier.QuoteNotTrusted.selector);
        attestation.verify(quote, DATA);
    }

    function test_verify_revertsForEmptySignature() public {
        vm.expectRevert(IAttestationVerifier.QuoteNotTrusted.selector);
        attestation.verify(abi.encode(MEASUREMENT, bytes("")), DATA);
    }

    function test_verify_revertsForHighS() public {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, digest(MEASUREMENT, DATA));
        bytes memory high = abi.encodePacked(r, bytes32(ORDER - uint256(s)), v == 27 ? uint8(28) : uint8(27));
        vm.expectRevert(IAttestationVerifier.QuoteNotTrusted.selector);
        attestation.verify(abi.encode(MEASUREMENT, high), DATA);
    }

    function test_verify_revertsForOtherReportData(bytes32 data) public {
        vm.assume(data != DATA);
        bytes memory quote = abi.encode(MEASUREMENT, signature(KEY, digest(MEASUREMENT, DATA)));
        vm.expectRevert(IAttestationVerifier.QuoteNotTrusted.selector);
        attestation.verify(quote, data);
    }

    function test_verify_revertsForOtherMeasurement() public {
        bytes32 other = keccak256("other");
        bytes memory quote = abi.encode(other, signature(KEY, digest(other, DATA)));
        vm.expectRevert(abi.encodeWithSelector(IAttestationVerifier.MeasurementNotAdmitted.selector, other));
        attestation.verify(quote, DATA);
    }

    function test_verify_returnsMeasurement(bytes32 data) public view {
        bytes memory quote = abi.encode(MEASUREMENT, signature(KEY, digest(MEASUREMENT, data)));
        vm.assertEq(attestation.verify(quote, data), MEASUREMENT);
    }
}
