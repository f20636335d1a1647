// SPDX-License-Identifier: MIT
// A small network on L1: OBX, attestation, registration and publishing, with keys the tests know. What does not live
// here: assertions.
pragma solidity 0.8.37;

import {NetworkManagement} from "../../src/NetworkManagement.sol";
import {ObscuroToken} from "../../src/ObscuroToken.sol";
import {RollupManagement} from "../../src/RollupManagement.sol";
import {DevelopmentAttestation} from "../../src/attestation/DevelopmentAttestation.sol";
import {INetworkManagement} from "../../src/interfaces/INetworkManagement.sol";
import {IRollupManagement} from "../../src/interfaces/IRollupManagement.sol";
import {Test} from "./Test.sol";

abstract contract Network is Test {
    uint256 internal constant ROOT_KEY = 0xa77e57;
    bytes32 internal constant MEASUREMENT = keccak256("measurement");
    bytes32 internal constant CONFIG_HASH = keccak256("config");
    uint256 internal constant MINIMUM_STAKE = 1000e18;
    uint256 internal constant FEE = 0.1 ether;
    uint256 internal constant UNBONDING_BLOCKS = 50;
    uint256 internal constant FORK_TIMEOUT_BLOCKS = 8;
    uint64 internal constant START = 1000;

    uint256 internal constant GENESIS_KEY = 0x6e51;
    bytes internal constant PAYLOAD = "payload";

    address internal immutable operator = makeAddress("operator");
    address internal immutable founder = vm.addr(GENESIS_KEY);

    ObscuroToken internal obx;
    DevelopmentAttestation internal attestation;
    NetworkManagement internal network;
    RollupManagement internal rollups;

    /// @dev Told apart by the nonce, so that any number of rollups share a parent.
    uint256 internal rollupNonce;

    function deployNetwork() internal {
        vm.roll(START);
        obx = new ObscuroToken(operator, 1_000_000e18);
        attestation = new DevelopmentAttestation(vm.addr(ROOT_KEY), MEASUREMENT);
        network = new NetworkManagement(obx, attestation, CONFIG_HASH, MINIMUM_STAKE, FEE, UNBONDING_BLOCKS);
        rollups = new RollupManagement(network, CONFIG_HASH, FORK_TIMEOUT_BLOCKS);
        vm.deal(operator, 100 ether);
        vm.prank(operator);
        obx.approve(address(network), type(uint256).max);
    }

    /// @dev A registration that is acceptable but for the quote, see {attest}.
    function registration(address enclave, uint256 stake)
        internal
        view
        returns (INetworkManagement.Registration memory)
    {
        return INetworkManagement.Registration({
            quote: "",
            enclave: enclave,
            encryptionKey: filled(1216, 0x11),
            hostAddress: "/dns/node/tcp/1",
            stake: stake,
            l1Block: uint64(vm.getBlockNumber() - 1),
            networkKey: "",
            encryptedSeed: ""
        });
    }

    function genesisRegistration() internal view returns (INetworkManagement.Registration memory r) {
        r = registration(founder, MINIMUM_STAKE);
        r.networkKey = filled(1216, 0x22);
        r.encryptedSeed = filled(1200, 0x33);
    }

    function reportData(INetworkManagement.Registration memory r, address owner) internal view returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("Obscuro registration v1"),
                block.chainid,
                address(network),
                r.enclave,
                owner,
                keccak256(r.encryptionKey),
                CONFIG_HASH,
                r.l1Block,
                blockhash(r.l1Block),
                keccak256(r.networkKey),
                keccak256(r.encryptedSeed)
            )
        );
    }

    function quote(uint256 rootKey, bytes32 measurement, bytes32 data) internal pure returns (bytes memory) {
        bytes32 digest = keccak256(abi.encode(keccak256("Obscuro development quote v1"), measurement, data));
        return abi.encode(measurement, signature(rootKey, digest));
    }

    /// @dev Puts the quote in.
    function attest(INetworkManagement.Registration memory r, address owner) internal view {
        r.quote = quote(ROOT_KEY, MEASUREMENT, reportData(r, owner));
    }

    function registerGenesis() internal {
        INetworkManagement.Registration memory r = genesisRegistration();
        attest(r, operator);
        vm.prank(operator);
        network.register{value: FEE}(r);
    }

    function register(address enclave, uint256 stake) internal {
        INetworkManagement.Registration memory r = registration(enclave, stake);
        attest(r, operator);
        vm.prank(operator);
        network.register{value: FEE}(r);
    }

    function seedShareDigest(address enclave, bytes memory seed) internal view returns (bytes32) {
        bytes32 share = keccak256(
            abi.encode(
                keccak256("SeedShare(address enclave,bytes32 encryptionKeyHash,bytes32 encryptedSeedHash)"),
                enclave,
                network.node(enclave).encryptionKeyHash,
                keccak256(seed)
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domainSeparator(address(network)), share));
    }

    function domainSeparator(address verifyingContract) internal view returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Obscuro"),
                keccak256("1"),
                block.chainid,
                verifyingContract
            )
        );
    }

    /// @dev The founder answers the enclave's registration.
    function admit(address enclave) internal {
        bytes memory seed = filled(1200, 0x44);
        network.shareSeed(enclave, founder, seed, signature(GENESIS_KEY, seedShareDigest(enclave, seed)));
    }

    /// @dev A header by the founder that is acceptable in the current block.
    function header(bytes32 parent) internal returns (IRollupManagement.RollupHeader memory h) {
        h.version = 1;
        h.parent = parent;
        h.number = rollups.rollup(parent).number + 1;
        h.l1ProofNumber = uint64(vm.getBlockNumber() - 1);
        h.l1Proof = blockhash(h.l1ProofNumber);
        h.aggregator = founder;
        h.nonce = ++rollupNonce;
        h.stateRoot = keccak256("state");
        h.payloadHash = keccak256(PAYLOAD);
    }

    function sign(IRollupManagement.RollupHeader memory h) internal view returns (bytes memory) {
        return signature(GENESIS_KEY, rollups.digest(h));
    }

    function publish(IRollupManagement.RollupHeader memory h) internal returns (bytes32) {
        bytes memory signed = sign(h);
        vm.prank(operator);
        rollups.publish(h, signed, PAYLOAD);
        return rollups.hashRollup(h);
    }

    /// @dev Publishes an acceptable child of `parent` in the current block.
    function publish(bytes32 parent) internal returns (bytes32) {
        return publish(header(parent));
    }
}
