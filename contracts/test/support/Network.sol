// SPDX-License-Identifier: MIT
// A small network on L1: OBX, registration, seed shares and publishing, with keys the tests know. What does not live here:
// quotes (Quotes.sol) and assertions.
pragma solidity 0.8.37;

import {NetworkManagement} from "../../src/NetworkManagement.sol";
import {ObscuroToken} from "../../src/ObscuroToken.sol";
import {RollupManagement} from "../../src/RollupManagement.sol";
import {INetworkManagement} from "../../src/interfaces/INetworkManagement.sol";
import {IRollupManagement} from "../../src/interfaces/IRollupManagement.sol";
import {Quotes} from "./Quotes.sol";

abstract contract Network is Quotes {
    bytes32 internal constant CONFIG_HASH = keccak256("config");
    uint256 internal constant MINIMUM_STAKE = 1000e18;
    uint256 internal constant FEE = 0.1 ether;
    uint256 internal constant UNBONDING_BLOCKS = 400;
    uint256 internal constant FORK_TIMEOUT_BLOCKS = 8;
    uint256 internal constant SLASH_DEPTH = 2;
    uint256 internal constant SLASH_DELAY_BLOCKS = 4;
    uint64 internal constant START = 1000;

    uint256 internal constant GENESIS_KEY = 0x6e51;
    bytes internal constant PAYLOAD = "payload";
    bytes internal constant LOTTERY_PROOF = "48 bytes of which only the number is looked at..";

    address internal immutable operator = makeAddress("operator");
    address internal immutable founder = vm.addr(GENESIS_KEY);

    ObscuroToken internal obx;
    NetworkManagement internal network;
    RollupManagement internal rollups;

    /// @dev Told apart by the nonce, so that any number of rollups share a parent.
    uint256 internal rollupNonce;

    function deployNetwork() internal {
        deployNetwork(SLASH_DEPTH);
    }

    function deployNetwork(uint256 slashDepth) internal {
        vm.roll(START);
        deployAttestation();
        // Each of the three knows another: their addresses follow from the nonce.
        uint256 nonce = vm.getNonce(address(this));
        obx = new ObscuroToken(operator, 1_000_000e18, vm.computeCreateAddress(address(this), nonce + 1));
        address next = vm.computeCreateAddress(address(this), nonce + 2);
        network =
            new NetworkManagement(obx, attestation, CONFIG_HASH, MINIMUM_STAKE, FEE, UNBONDING_BLOCKS, governor, next);
        rollups = new RollupManagement(network, CONFIG_HASH, FORK_TIMEOUT_BLOCKS, slashDepth, SLASH_DELAY_BLOCKS);
        vm.deal(operator, 100 ether);
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
            lotteryKey: filled(96, 0x12),
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

    function keysHash(INetworkManagement.Registration memory r) internal pure returns (bytes32) {
        return keccak256(bytes.concat(r.encryptionKey, r.lotteryKey));
    }

    /// @dev That of every node of {registration}.
    function keysHash() internal pure returns (bytes32) {
        return keccak256(bytes.concat(filled(1216, 0x11), filled(96, 0x12)));
    }

    function reportData(INetworkManagement.Registration memory r, address owner) internal view returns (bytes32) {
        return reportData(r.enclave, owner, keysHash(r), r.l1Block, keccak256(r.networkKey), keccak256(r.encryptedSeed));
    }

    function reportData(
        address enclave,
        address owner,
        bytes32 keysHash_,
        uint64 l1Block,
        bytes32 networkKeyHash,
        bytes32 encryptedSeedHash
    ) internal view returns (bytes32) {
        bytes32 domain = keccak256("Obscuro registration v1");
        bytes memory head = abi.encode(domain, block.chainid, network, enclave, owner, keysHash_);
        bytes memory tail = abi.encode(CONFIG_HASH, l1Block, blockhash(l1Block), networkKeyHash, encryptedSeedHash);
        return keccak256(bytes.concat(head, tail));
    }

    /// @dev Puts the quote in.
    function attest(INetworkManagement.Registration memory r, address owner) internal view {
        r.quote = quote(MEASUREMENT, reportData(r, owner));
    }

    /// @dev A quote with which a node of the operator attests again.
    function requote(address enclave, uint64 l1Block) internal view returns (bytes memory) {
        return quote(MEASUREMENT, reportData(enclave, operator, keysHash(), l1Block, keccak256(""), keccak256("")));
    }

    function reattest(address enclave) internal {
        uint64 l1Block = uint64(vm.getBlockNumber() - 1);
        network.reattest(enclave, requote(enclave, l1Block), keysHash(), l1Block);
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

    function seedShareHash(address enclave, uint32 epoch, bytes memory seed) internal pure returns (bytes32) {
        bytes32 typeHash = keccak256("SeedShare(address enclave,uint32 epoch,bytes32 encryptedSeedHash)");
        return keccak256(abi.encode(typeHash, enclave, epoch, keccak256(seed)));
    }

    function networkDigest(bytes32 content) internal view returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domainSeparator(address(network)), content));
    }

    /// @dev A share in the current epoch, signed.
    function signShare(address enclave, uint256 responderKey, bytes memory seed) internal view returns (bytes memory) {
        return signature(responderKey, networkDigest(seedShareHash(enclave, network.seedEpoch(), seed)));
    }

    function share(address enclave, uint256 responderKey, bytes memory seed) internal {
        bytes memory signed = signShare(enclave, responderKey, seed);
        network.shareSeed(enclave, vm.addr(responderKey), network.seedEpoch(), seed, signed);
    }

    function signRejection(uint256 key, address responder, uint32 epoch) internal view returns (bytes memory) {
        bytes32 typeHash = keccak256("SeedRejection(address enclave,address responder,uint32 epoch)");
        return signature(key, networkDigest(keccak256(abi.encode(typeHash, vm.addr(key), responder, epoch))));
    }

    function signEpoch(uint256 key, uint32 epoch, bytes memory key_, INetworkManagement.EpochShare[] memory shares)
        internal
        view
        returns (bytes memory)
    {
        bytes memory hashes = "";
        for (uint256 i = 0; i < shares.length; i++) {
            hashes = bytes.concat(hashes, seedShareHash(shares[i].enclave, epoch, shares[i].encryptedSeed));
        }
        bytes32 typeHash = keccak256(
            "SeedEpoch(uint32 epoch,bytes32 networkKeyHash,SeedShare[] shares)"
            "SeedShare(address enclave,uint32 epoch,bytes32 encryptedSeedHash)"
        );
        bytes32 content = keccak256(abi.encode(typeHash, epoch, keccak256(key_), keccak256(hashes)));
        return signature(key, networkDigest(content));
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
        share(enclave, GENESIS_KEY, filled(1200, 0x44));
    }

    /// @dev A header by the founder that is acceptable in the current block.
    function header(bytes32 parent) internal returns (IRollupManagement.RollupHeader memory h) {
        h.version = 2;
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
        return publishAs(GENESIS_KEY, h);
    }

    /// @dev Publishes a rollup of the aggregator with this enclave key, one of the operator's.
    function publishAs(uint256 key, IRollupManagement.RollupHeader memory h) internal returns (bytes32) {
        h.aggregator = vm.addr(key);
        bytes memory signed = signature(key, rollups.digest(h));
        vm.prank(operator, operator);
        rollups.publish(h, signed, LOTTERY_PROOF, PAYLOAD, noAnswers());
        return rollups.hashRollup(h);
    }

    function noAnswers() internal pure returns (INetworkManagement.SeedAnswer[] memory) {
        return new INetworkManagement.SeedAnswer[](0);
    }

    /// @dev Publishes an acceptable child of `parent` in the current block.
    function publish(bytes32 parent) internal returns (bytes32) {
        return publish(header(parent));
    }
}
