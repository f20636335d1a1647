// SPDX-License-Identifier: MIT
// The hierarchy behind a quote, with keys the tests know: root, CA of PCK certificates, PCK, signer of collateral, revocation
// lists. What does not live here: quotes (Quotes.sol) and assertions.
pragma solidity 0.8.37;

import {Asn1} from "./Asn1.sol";
import {Test} from "./Test.sol";

abstract contract Pki is Test {
    uint256 internal constant ROOT_KEY = 0xa001;
    uint256 internal constant CA_KEY = 0xa002;
    uint256 internal constant PCK_KEY = 0xa003;
    uint256 internal constant TCB_SIGNER_KEY = 0xa004;

    string internal constant ROOT_NAME = "Development SGX Root CA";
    string internal constant CA_NAME = "Development SGX PCK Platform CA";
    string internal constant PCK_NAME = "Development SGX PCK Certificate";
    string internal constant TCB_SIGNER_NAME = "Development SGX TCB Signing";

    /// @dev 2030-03-17.
    uint256 internal constant NOW = 1_900_000_000;
    string internal constant LONG_AGO = "250101000000Z";
    string internal constant FAR_AHEAD = "491231235959Z";
    string internal constant THIS_MONTH = "300301000000Z";
    string internal constant NEXT_MONTH = "300401000000Z";
    uint256 internal constant NEXT_MONTH_TIME = 1_901_232_000;

    bytes16 internal constant PPID = 0x00112233445566778899aabbccddeeff;
    bytes16 internal constant CPU_SVN = 0x07070202040100050000000000000000;
    uint16 internal constant PCE_SVN = 13;
    bytes6 internal constant FMSPC = 0x00906ed50000;

    uint8 internal constant DIGITAL_SIGNATURE = 0xc0;
    uint8 internal constant SIGN_CERTIFICATES = 0x06;

    /// @dev All that varies in a certificate. Every field can be spoiled before it is signed.
    struct CertificateSpec {
        string issuer;
        string subject;
        uint256 serial;
        string notBefore;
        string notAfter;
        uint256 key;
        uint256 issuerKey;
        bytes extensions;
    }

    function rootSpec() internal pure returns (CertificateSpec memory) {
        bytes memory extensions = bytes.concat(keyUsage(SIGN_CERTIFICATES), basicConstraints(true, 1));
        return CertificateSpec(ROOT_NAME, ROOT_NAME, 1, LONG_AGO, FAR_AHEAD, ROOT_KEY, ROOT_KEY, extensions);
    }

    function caSpec() internal pure returns (CertificateSpec memory) {
        bytes memory extensions = bytes.concat(keyUsage(SIGN_CERTIFICATES), basicConstraints(true, 0));
        return CertificateSpec(ROOT_NAME, CA_NAME, 2, LONG_AGO, FAR_AHEAD, CA_KEY, ROOT_KEY, extensions);
    }

    function tcbSignerSpec() internal pure returns (CertificateSpec memory) {
        bytes memory extensions = bytes.concat(keyUsage(DIGITAL_SIGNATURE), basicConstraints(false, 0));
        return CertificateSpec(ROOT_NAME, TCB_SIGNER_NAME, 3, LONG_AGO, FAR_AHEAD, TCB_SIGNER_KEY, ROOT_KEY, extensions);
    }

    function pckSpec() internal pure returns (CertificateSpec memory) {
        return pckSpec(sgxExtension(PPID, CPU_SVN, PCE_SVN, FMSPC));
    }

    function pckSpec(bytes memory sgx) internal pure returns (CertificateSpec memory) {
        bytes memory extensions = bytes.concat(
            extension(hex"551d1f", false, Asn1.octets("where the revocation list is")),
            keyUsage(DIGITAL_SIGNATURE),
            basicConstraints(false, 0),
            sgx
        );
        // Twenty bytes, as Intel's.
        uint256 serial = 0x8f << 152 | 1;
        return CertificateSpec(CA_NAME, PCK_NAME, serial, LONG_AGO, FAR_AHEAD, PCK_KEY, CA_KEY, extensions);
    }

    function certificate(CertificateSpec memory c) internal pure returns (bytes memory) {
        (uint256 x, uint256 y) = vm.publicKeyP256(c.key);
        bytes memory key =
            bytes.concat(hex"3059301306072a8648ce3d020106082a8648ce3d03010703420004", bytes32(x), bytes32(y));
        bytes memory head = bytes.concat(hex"a003020102", Asn1.integer(c.serial), algorithm(), Asn1.name(c.issuer));
        bytes memory validity = Asn1.seq(Asn1.utc(c.notBefore), Asn1.utc(c.notAfter));
        bytes memory extensions = Asn1.tlv(0xa3, Asn1.seq(c.extensions));
        bytes memory content = bytes.concat(head, validity, Asn1.name(c.subject), key, extensions);
        return signed(Asn1.seq(content), c.issuerKey);
    }

    function crl(string memory issuer, uint256 issuerKey, uint256[] memory serials)
        internal
        pure
        returns (bytes memory)
    {
        return crl(issuer, issuerKey, serials, THIS_MONTH, NEXT_MONTH);
    }

    function crl(
        string memory issuer,
        uint256 issuerKey,
        uint256[] memory serials,
        string memory thisUpdate,
        string memory nextUpdate
    ) internal pure returns (bytes memory) {
        bytes memory entries = "";
        for (uint256 i = 0; i < serials.length; i++) {
            bytes memory reason = Asn1.seq(extension(hex"551d15", false, hex"0a0101"));
            entries = bytes.concat(entries, Asn1.seq(Asn1.integer(serials[i]), Asn1.utc(thisUpdate), reason));
        }
        bytes memory content =
            bytes.concat(Asn1.integer(1), algorithm(), Asn1.name(issuer), Asn1.utc(thisUpdate), Asn1.utc(nextUpdate));
        if (serials.length != 0) content = bytes.concat(content, Asn1.seq(entries));
        bytes memory number = extension(hex"551d14", false, Asn1.integer(1));
        return signed(Asn1.seq(bytes.concat(content, Asn1.tlv(0xa0, Asn1.seq(number)))), issuerKey);
    }

    function noSerials() internal pure returns (uint256[] memory) {
        return new uint256[](0);
    }

    function oneSerial(uint256 serial) internal pure returns (uint256[] memory serials) {
        serials = new uint256[](1);
        serials[0] = serial;
    }

    /// @dev Puts algorithm and signature after what is signed.
    function signed(bytes memory content, uint256 key) internal pure returns (bytes memory) {
        (bytes32 r, bytes32 s) = vm.signP256(key, sha256(content));
        bytes memory signature = Asn1.seq(Asn1.integer(uint256(r)), Asn1.integer(uint256(s)));
        return Asn1.seq(content, algorithm(), Asn1.bits(signature));
    }

    function rawSignature(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (bytes32 r, bytes32 s) = vm.signP256(key, digest);
        return bytes.concat(r, s);
    }

    function keyId(uint256 key) internal pure returns (bytes32) {
        (uint256 x, uint256 y) = vm.publicKeyP256(key);
        return keccak256(abi.encode(x, y));
    }

    function machineOf(bytes16 ppid) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(ppid));
    }

    function algorithm() internal pure returns (bytes memory) {
        return hex"300a06082a8648ce3d040302";
    }

    function extension(bytes memory id, bool critical, bytes memory value) internal pure returns (bytes memory) {
        return Asn1.seq(Asn1.oid(id), critical ? bytes(hex"0101ff") : bytes(""), Asn1.octets(value));
    }

    function keyUsage(uint8 usage) internal pure returns (bytes memory) {
        return extension(hex"551d0f", true, abi.encodePacked(hex"030201", usage));
    }

    function basicConstraints(bool authority, uint256 pathLength) internal pure returns (bytes memory) {
        bytes memory content = authority ? bytes.concat(hex"0101ff", Asn1.integer(pathLength)) : bytes("");
        return extension(hex"551d13", true, Asn1.seq(content));
    }

    /// @dev With all sixteen components, as Intel's; only CPUSVN counts.
    function sgxExtension(bytes16 ppid, bytes16 cpuSvn, uint16 pceSvn, bytes6 fmspc)
        internal
        pure
        returns (bytes memory)
    {
        bytes memory tcb = "";
        for (uint8 i = 0; i < 16; i++) {
            tcb = bytes.concat(tcb, Asn1.seq(sgxOid(hex"02", i + 1), Asn1.integer(uint8(cpuSvn[i]))));
        }
        tcb = bytes.concat(
            tcb,
            Asn1.seq(sgxOid(hex"02", 17), Asn1.integer(pceSvn)),
            Asn1.seq(sgxOid(hex"02", 18), Asn1.octets(abi.encodePacked(cpuSvn)))
        );
        bytes memory content = bytes.concat(
            Asn1.seq(sgxOid("", 1), Asn1.octets(abi.encodePacked(ppid))),
            Asn1.seq(sgxOid("", 2), Asn1.seq(tcb)),
            Asn1.seq(sgxOid("", 3), Asn1.octets(hex"0000")),
            Asn1.seq(sgxOid("", 4), Asn1.octets(abi.encodePacked(fmspc))),
            Asn1.seq(sgxOid("", 5), Asn1.tlv(0x0a, hex"01"))
        );
        return extension(hex"2a864886f84d010d01", false, Asn1.seq(content));
    }

    function sgxOid(bytes memory infix, uint8 last) internal pure returns (bytes memory) {
        return Asn1.oid(abi.encodePacked(hex"2a864886f84d010d01", infix, last));
    }
}
