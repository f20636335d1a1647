// SPDX-License-Identifier: MIT
// What the operations of NetworkManagement cost, each a transaction of its own: calldata and the 21,000 included. What does
// not live here: publications (RollupManagement.t.sol) and the verifier's own operations (attestation/Gas.t.sol).
pragma solidity 0.8.37;

import {INetworkManagement} from "../../src/interfaces/INetworkManagement.sol";
import {Network} from "../support/Network.sol";

contract NetworkGasTest is Network {
    function setUp() public {
        deployNetwork();
    }

    /// @dev Keys and shares are random bytes in truth: zeros would be cheaper.
    function random(uint256 length, string memory seed) private pure returns (bytes memory data) {
        bytes32 state = keccak256(bytes(seed));
        while (data.length < length) {
            data = bytes.concat(data, state);
            state = keccak256(bytes.concat(state));
        }
        assembly {
            mstore(data, length)
        }
    }

    function realistic(uint256 key, uint256 stake) private view returns (INetworkManagement.Registration memory r) {
        r = registration(vm.addr(key), stake);
        r.encryptionKey = random(1216, "encryption key");
        r.lotteryKey = random(96, "lottery key");
        r.hostAddress = "/dns4/node-17.example.org/udp/30303/quic-v1";
    }

    function join(INetworkManagement.Registration memory r) private {
        vm.prank(operator);
        network.register{value: FEE}(r);
    }

    /// forge-config: default.isolate = true
    function test_gas() public {
        INetworkManagement.Registration memory r = realistic(GENESIS_KEY, MINIMUM_STAKE);
        r.networkKey = random(1216, "network key");
        r.encryptedSeed = random(1200, "seed");
        attest(r, operator);
        join(r);
        vm.snapshotGasLastCall("register genesis");
        r = realistic(0xe1, MINIMUM_STAKE);
        attest(r, operator);
        join(r);
        vm.snapshotGasLastCall("register aggregator, SGX");
        r = realistic(0xe2, MINIMUM_STAKE);
        r.quote = quote(tdxSpec(reportData(r, operator)));
        join(r);
        vm.snapshotGasLastCall("register aggregator, TDX");
        r = realistic(0xe3, 0);
        attest(r, operator);
        join(r);
        vm.snapshotGasLastCall("register verifier, SGX");
        r = realistic(0xe4, 0);
        r.quote = quote(tdxSpec(reportData(r, operator)));
        join(r);
        vm.snapshotGasLastCall("register verifier, TDX");
    }

    /// forge-config: default.isolate = true
    function test_gas_seeds() public {
        registerGenesis();
        address[3] memory enclaves = [vm.addr(0xe1), vm.addr(0xe2), vm.addr(0xe3)];
        for (uint256 i = 0; i < enclaves.length; i++) {
            register(enclaves[i], MINIMUM_STAKE);
        }
        bytes memory seed = random(1200, "seed");
        share(enclaves[0], GENESIS_KEY, seed);
        vm.snapshotGasLastCall("shareSeed");
        INetworkManagement.SeedAnswer[] memory answers = new INetworkManagement.SeedAnswer[](2);
        for (uint256 i = 0; i < answers.length; i++) {
            bytes memory signed = signShare(enclaves[i + 1], GENESIS_KEY, seed);
            answers[i] = INetworkManagement.SeedAnswer(enclaves[i + 1], founder, 1, seed, signed);
        }
        network.shareSeeds(answers);
        vm.snapshotGasLastCall("shareSeeds of two");
        vm.roll(START + 100);
        reattest(founder);
        vm.snapshotGasLastCall("reattest, SGX");
        network.rejectSeed(enclaves[0], founder, 1, signRejection(0xe1, founder, 1));
        vm.snapshotGasLastCall("rejectSeed");
        rotate(enclaves, seed);
        vm.snapshotGasLastCall("openSeedEpoch with three shares");
    }

    function rotate(address[3] memory enclaves, bytes memory seed) private {
        vm.prank(governor);
        network.beginSeedEpoch(address(0));
        INetworkManagement.EpochShare[] memory shares = new INetworkManagement.EpochShare[](3);
        for (uint256 i = 0; i < shares.length; i++) {
            shares[i] = INetworkManagement.EpochShare(enclaves[i], seed);
        }
        bytes memory networkKey = random(1216, "network key");
        bytes memory signed = signEpoch(GENESIS_KEY, 2, networkKey, shares);
        network.openSeedEpoch(2, founder, networkKey, shares, signed);
    }
}
