// SPDX-License-Identifier: MIT
// What the operations of AttestationVerifier cost, each a transaction of its own. What does not live here: registrations of
// enclaves (network/Gas.t.sol).
pragma solidity 0.8.37;

import {AttestationVerifier} from "../../src/attestation/AttestationVerifier.sol";
import {Quotes} from "../support/Quotes.sol";

contract AttestationGasTest is Quotes {
    function setUp() public {
        deployAttestation();
    }

    /// @dev As long as Intel's, whose names have five attributes and whose extensions name places.
    function realistic(CertificateSpec memory c, uint256 length) private pure returns (bytes memory der) {
        bytes memory extensions = c.extensions;
        uint256 have = certificate(c).length;
        bytes memory fill = new bytes(length - have - 16);
        for (uint256 i = 0; i < fill.length; i++) {
            fill[i] = bytes1(uint8(1 + i % 251));
        }
        c.extensions = bytes.concat(extension(hex"551d1f", false, fill), extensions);
        return certificate(c);
    }

    /// forge-config: default.isolate = true
    function test_gas() public {
        attestation = new AttestationVerifier(certificate(rootSpec()), true, governor, measurements(), policy());
        attestation.registerAuthority(realistic(caSpec(), 668));
        vm.snapshotGasLastCall("registerAuthority");
        attestation.registerAuthority(realistic(tcbSignerSpec(), 660));
        attestation.publishCrl(crl(CA_NAME, CA_KEY, noSerials()));
        vm.snapshotGasLastCall("publishCrl of none");
        attestation.registerPlatform(realistic(pckSpec(), 1269));
        vm.snapshotGasLastCall("registerPlatform");
        CertificateSpec memory c = pckSpec();
        (c.key, c.serial) = (0xabc, 0xabc);
        attestation.registerPlatform(realistic(c, 1269));
        vm.snapshotGasLastCall("registerPlatform of a known machine");
        attestation.publishCrl(crl(CA_NAME, CA_KEY, oneSerial(c.serial), "300302000000Z", NEXT_MONTH));
        vm.snapshotGasLastCall("publishCrl of one, new");
        bytes memory json = filled(3000, "j");
        attestation.publishCollateral(json, rawSignature(TCB_SIGNER_KEY, sha256(json)));
        vm.snapshotGasLastCall("publishCollateral of 3,000 bytes");
    }
}
