// SPDX-License-Identifier: MIT
// Mutated and random bytes for everything that AttestationVerifier reads: refused by name, and never accepted. What does not
// live here: tests of single rules.
pragma solidity 0.8.37;

import {IAttestationVerifier} from "../../src/interfaces/IAttestationVerifier.sol";
import {Quotes} from "../support/Quotes.sol";

contract FuzzTest is Quotes {
    bytes32 private constant DATA = keccak256("report data");

    bytes private sgx;
    bytes private tdx;
    bytes private pck;
    bytes private ca;
    bytes private list;

    function setUp() public {
        deployAttestation();
        sgx = quote(sgxSpec(MEASUREMENT, DATA));
        tdx = quote(tdxSpec(DATA));
        CertificateSpec memory c = pckSpec();
        (c.key, c.serial) = (0xf1, 0xf1);
        pck = certificate(c);
        c = caSpec();
        (c.subject, c.key, c.serial) = ("Development SGX PCK Processor CA", 0xf2, 0xf2);
        ca = certificate(c);
        list = crl(CA_NAME, CA_KEY, oneSerial(7), "300302000000Z", NEXT_MONTH);
    }

    /// @dev Anything but an error of the interface would be a panic, or an error of a library.
    function requireNamed(bytes memory error) private pure {
        bytes4[22] memory names = [
            IAttestationVerifier.Malformed.selector,
            IAttestationVerifier.Unsupported.selector,
            IAttestationVerifier.NotPermitted.selector,
            IAttestationVerifier.UnknownIssuer.selector,
            IAttestationVerifier.NotValidNow.selector,
            IAttestationVerifier.Revoked.selector,
            IAttestationVerifier.AlreadyRegistered.selector,
            IAttestationVerifier.OldCrl.selector,
            IAttestationVerifier.CrlExpired.selector,
            IAttestationVerifier.UnsupportedQuote.selector,
            IAttestationVerifier.UnknownPlatform.selector,
            IAttestationVerifier.QuoteNotTrusted.selector,
            IAttestationVerifier.QuotingEnclaveNotAdmitted.selector,
            IAttestationVerifier.QeIdentityExpired.selector,
            IAttestationVerifier.TcbMinimumExpired.selector,
            IAttestationVerifier.TcbTooLow.selector,
            IAttestationVerifier.DebugEnabled.selector,
            IAttestationVerifier.TdNotAdmitted.selector,
            IAttestationVerifier.SecurityVersionTooLow.selector,
            IAttestationVerifier.WrongReportData.selector,
            IAttestationVerifier.MeasurementNotAdmitted.selector,
            IAttestationVerifier.MachineNotAdmitted.selector
        ];
        for (uint256 i = 0; i < names.length; i++) {
            if (error.length >= 4 && bytes4(error) == names[i]) return;
        }
        revert("not a named error");
    }

    /// @dev Refused, by name.
    function requireRefusal(bytes memory input) private {
        (bool accepted, bytes memory error) = address(attestation).call(input);
        vm.assertFalse(accepted);
        requireNamed(error);
    }

    /// @dev One to four bytes changed, and perhaps the end cut off or something added.
    function mutate(bytes memory original, uint256 seed) private pure returns (bytes memory mutated) {
        mutated = bytes.concat(original);
        uint256 changes = 1 + seed % 4;
        for (uint256 i = 0; i < changes; i++) {
            seed = uint256(keccak256(abi.encode(seed)));
            uint256 at = (seed >> 8) % mutated.length;
            // Never the byte that was there.
            mutated[at] = bytes1(uint8(original[at]) ^ uint8(1 + seed % 255));
        }
        if (seed >> 240 & 7 == 0) {
            uint256 length = (seed >> 200) % mutated.length;
            assembly {
                mstore(mutated, length)
            }
        } else if (seed >> 240 & 7 == 1) {
            mutated = bytes.concat(mutated, bytes32(seed));
        }
    }

    function test_theOriginalsAreAccepted() public {
        attestation.verify(sgx, DATA);
        attestation.verify(tdx, DATA);
        attestation.registerPlatform(pck);
        attestation.registerAuthority(ca);
        attestation.publishCrl(list);
    }

    function test_verify_refusesMutations(uint256 seed, bool td) public {
        bytes memory q = mutate(td ? tdx : sgx, seed);
        requireRefusal(abi.encodeCall(attestation.verify, (q, DATA)));
    }

    /// @dev The header is believed before a signature is looked at, so all of it that is readable is tried.
    function test_verify_refusesMutationsThatAreSigned(uint256 seed, bool td) public view {
        QuoteSpec memory q = td ? tdxSpec(DATA) : sgxSpec(MEASUREMENT, DATA);
        bytes memory part = seed % 3 == 0 ? q.header : seed % 3 == 1 ? q.report : q.qe;
        part[(seed >> 8) % part.length] ^= bytes1(uint8(1 + (seed >> 128) % 255));
        (bool accepted, bytes memory error) =
            address(attestation).staticcall(abi.encodeCall(attestation.verify, (quote(q), DATA)));
        // Much of header and reports is free: versions, user data, configuration. Never the program or what it says.
        if (accepted) requireSameClaims(q, td);
        else requireNamed(error);
    }

    function requireSameClaims(QuoteSpec memory q, bool td) private pure {
        QuoteSpec memory original = td ? tdxSpec(DATA) : sgxSpec(MEASUREMENT, DATA);
        uint256[2] memory claims = td ? [uint256(136), 184] : [uint256(64), 96];
        for (uint256 i = claims[0]; i < claims[1]; i++) {
            vm.assertTrue(q.report[i] == original.report[i]);
        }
        for (uint256 i = q.report.length - 64; i < q.report.length; i++) {
            vm.assertTrue(q.report[i] == original.report[i]);
        }
    }

    function test_verify_refusesRandomBytes(bytes memory random) public {
        requireRefusal(abi.encodeCall(attestation.verify, (random, DATA)));
    }

    function test_registerPlatform_refusesMutations(uint256 seed) public {
        requireRefusal(abi.encodeCall(attestation.registerPlatform, (mutate(pck, seed))));
    }

    function test_registerAuthority_refusesMutations(uint256 seed) public {
        requireRefusal(abi.encodeCall(attestation.registerAuthority, (mutate(ca, seed))));
    }

    function test_publishCrl_refusesMutations(uint256 seed) public {
        requireRefusal(abi.encodeCall(attestation.publishCrl, (mutate(list, seed))));
    }

    /// @dev Signed by whom it should be, so that nothing but the parser stands in the way: no panic, whatever comes of it.
    function test_registerPlatform_readsSignedMutations(uint256 seed) public {
        CertificateSpec memory c = pckSpec();
        (c.key, c.serial) = (0xf1, 0xf1);
        c.extensions = mutate(c.extensions, seed);
        bytes memory der = certificate(c);
        (bool accepted, bytes memory error) =
            address(attestation).call(abi.encodeCall(attestation.registerPlatform, (der)));
        if (!accepted) requireNamed(error);
    }

    function test_publishCrl_readsSignedMutations(uint256 seed, uint256 which) public {
        bytes memory content = mutate(crlContent(), seed);
        bytes memory der = signed(which % 2 == 0 ? content : crlContent(), CA_KEY);
        if (which % 2 == 1) der = mutate(der, seed);
        (bool accepted, bytes memory error) = address(attestation).call(abi.encodeCall(attestation.publishCrl, (der)));
        if (!accepted) requireNamed(error);
    }

    /// @dev What is signed of {list}: after the outer head of four bytes, up to algorithm and signature.
    function crlContent() private view returns (bytes memory content) {
        bytes memory der = list;
        uint256 head = uint8(der[1]) == 0x82 ? 4 : 3;
        uint256 inner = uint8(der[head + 1]) == 0x82 ? 4 : uint8(der[head + 1]) == 0x81 ? 3 : 2;
        uint256 length =
            inner == 4 ? uint256(uint8(der[head + 2])) << 8 | uint8(der[head + 3]) : uint8(der[head + inner - 1]);
        content = new bytes(inner + length);
        for (uint256 i = 0; i < content.length; i++) {
            content[i] = der[head + i];
        }
    }

    function test_everything_refusesRandomBytes(bytes memory random) public {
        requireRefusal(abi.encodeCall(attestation.registerPlatform, (random)));
        requireRefusal(abi.encodeCall(attestation.registerAuthority, (random)));
        requireRefusal(abi.encodeCall(attestation.publishCrl, (random)));
    }
}
