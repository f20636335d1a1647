// SPDX-License-Identifier: MIT
// The contracts against the frozen wire formats in ../vectors, which Rust writes and reads as well. What does not live
// here: formats that no contract reads.
pragma solidity 0.8.37;

import {RollupManagement} from "../src/RollupManagement.sol";
import {INetworkManagement} from "../src/interfaces/INetworkManagement.sol";
import {IRollupManagement} from "../src/interfaces/IRollupManagement.sol";
import {Merkle, Withdrawal} from "./support/Merkle.sol";
import {Test} from "./support/Test.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

contract VectorsTest is Test {
    using Merkle for Withdrawal;
    using Merkle for bytes32[];

    string private json;

    function load(string memory name) private {
        json = vm.readFile(string.concat("../vectors/", name));
    }

    function number(string memory key) private view returns (uint256) {
        return vm.parseJsonUint(json, key);
    }

    function word(string memory key) private view returns (bytes32) {
        return vm.parseJsonBytes32(json, key);
    }

    function test_rollupHeader() public {
        load("rollup_header.json");
        IRollupManagement.RollupHeader memory h = IRollupManagement.RollupHeader({
            version: uint16(number(".header.version")),
            parent: word(".header.parent"),
            number: uint64(number(".header.number")),
            l1Proof: word(".header.l1Proof"),
            l1ProofNumber: uint64(number(".header.l1ProofNumber")),
            aggregator: vm.parseJsonAddress(json, ".header.aggregator"),
            nonce: number(".header.nonce"),
            timestamp: uint64(number(".header.timestamp")),
            stateRoot: word(".header.stateRoot"),
            transactionsRoot: word(".header.transactionsRoot"),
            receiptsRoot: word(".header.receiptsRoot"),
            withdrawalsRoot: word(".header.withdrawalsRoot"),
            publicEventsRoot: word(".header.publicEventsRoot"),
            depositCursor: uint64(number(".header.depositCursor")),
            forcedCursor: uint64(number(".header.forcedCursor")),
            payloadHash: word(".header.payloadHash"),
            gasUsed: uint64(number(".header.gasUsed")),
            gasLimit: uint64(number(".header.gasLimit")),
            baseFee: uint64(number(".header.baseFee"))
        });
        vm.chainId(number(".chainId"));
        RollupManagement rollups = RollupManagement(vm.parseJsonAddress(json, ".contract"));
        vm.etch(
            address(rollups),
            address(new RollupManagement(INetworkManagement(address(this)), bytes32(uint256(1)), 1, 2, 0)).code
        );
        vm.assertEq(rollups.hashRollup(h), word(".hash"));
        vm.assertEq(rollups.digest(h), word(".digest"));
    }

    /// @dev What a RollupManagement asks of its network when it is deployed.
    function unbondingBlocks() external pure returns (uint256) {
        return type(uint256).max;
    }

    function test_withdrawals() public {
        load("withdrawals.json");
        uint256 count = 0;
        for (; vm.keyExistsJson(json, at("", count)); count++) {
            requireList(at("", count));
        }
        vm.assertTrue(count != 0);
    }

    function requireList(string memory list) private view {
        bytes32 root = word(string.concat(list, ".root"));
        uint256 count = 0;
        while (vm.keyExistsJson(json, at(string.concat(list, ".withdrawals"), count))) count++;
        bytes32[] memory leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; i++) {
            string memory key = at(string.concat(list, ".withdrawals"), i);
            leaves[i] = Withdrawal({
                index: uint64(number(string.concat(key, ".index"))),
                asset: vm.parseJsonAddress(json, string.concat(key, ".asset")),
                to: vm.parseJsonAddress(json, string.concat(key, ".to")),
                amount: number(string.concat(key, ".amount"))
            }).leaf();
            bytes32[] memory proof = vm.parseJsonBytes32Array(json, at(string.concat(list, ".proofs"), i));
            vm.assertTrue(MerkleProof.verify(proof, root, leaves[i]));
        }
        vm.assertEq(leaves.root(), root);
        for (uint256 i = 0; i < count; i++) {
            vm.assertEq(leaves.proof(i), vm.parseJsonBytes32Array(json, at(string.concat(list, ".proofs"), i)));
        }
    }

    /// @dev The inputs are those of the Rust test that wrote the file; the fixture Network checks the same encoding against
    /// the contract.
    function test_reportData() public {
        load("signed_messages.json");
        bytes32 data = keccak256(
            abi.encode(
                keccak256("Obscuro registration v1"),
                uint256(1),
                filledAddress(0x03),
                filledAddress(0x11),
                filledAddress(0xaa),
                keccak256("encryption keylottery key"),
                keccak256("config"),
                uint64(99),
                keccak256("block"),
                keccak256("network key"),
                keccak256("encrypted seed")
            )
        );
        vm.assertEq(data, word(".reportData"));
    }

    /// @dev Lengths are what the contracts check.
    function test_lottery() public {
        load("lottery.json");
        bytes memory proof = vm.parseJsonBytes(json, ".proof");
        vm.assertEq(proof.length, uint256(48));
        vm.assertEq(vm.parseJsonBytes(json, ".publicKey").length, uint256(96));
        vm.assertEq(keccak256(proof), word(".nonce"));
    }

    /// @dev What the contract accepts is tested with the same type strings in network/Seeds.t.sol.
    function test_seedMessages() public {
        load("signed_messages.json");
        vm.assertEq(seedDigest(shareHash(".seed.share")), word(".seed.shareDigest"));
        bytes memory shares = "";
        for (uint256 i = 0; vm.keyExistsJson(json, at(".seed.opening.shares", i)); i++) {
            shares = bytes.concat(shares, shareHash(at(".seed.opening.shares", i)));
        }
        bytes32 openingType = keccak256(
            "SeedEpoch(uint32 epoch,bytes32 networkKeyHash,SeedShare[] shares)"
            "SeedShare(address enclave,uint32 epoch,bytes32 encryptedSeedHash)"
        );
        bytes32 opening = keccak256(
            abi.encode(
                openingType, number(".seed.opening.epoch"), word(".seed.opening.networkKeyHash"), keccak256(shares)
            )
        );
        vm.assertEq(seedDigest(opening), word(".seed.openingDigest"));
        bytes32 rejection = keccak256(
            abi.encode(
                keccak256("SeedRejection(address enclave,address responder,uint32 epoch)"),
                vm.parseJsonAddress(json, ".seed.rejection.enclave"),
                vm.parseJsonAddress(json, ".seed.rejection.responder"),
                number(".seed.rejection.epoch")
            )
        );
        vm.assertEq(seedDigest(rejection), word(".seed.rejectionDigest"));
    }

    function shareHash(string memory key) private view returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("SeedShare(address enclave,uint32 epoch,bytes32 encryptedSeedHash)"),
                vm.parseJsonAddress(json, string.concat(key, ".enclave")),
                number(string.concat(key, ".epoch")),
                word(string.concat(key, ".encryptedSeedHash"))
            )
        );
    }

    function seedDigest(bytes32 content) private view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Obscuro"),
                keccak256("1"),
                number(".seed.chainId"),
                vm.parseJsonAddress(json, ".seed.contract")
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, content));
    }

    function at(string memory key, uint256 index) private pure returns (string memory) {
        return string.concat(key, "[", Strings.toString(index), "]");
    }

    function filledAddress(uint8 value) private pure returns (address) {
        return address(bytes20(filled(20, bytes1(value))));
    }
}
