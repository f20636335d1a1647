// SPDX-License-Identifier: MIT
// Random sequences of every operation of NetworkManagement, and what must hold after each. What does not live here: tests of
// single functions.
pragma solidity 0.8.37;

import {NetworkManagement} from "../../src/NetworkManagement.sol";
import {INetworkManagement} from "../../src/interfaces/INetworkManagement.sol";
import {Network} from "../support/Network.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @dev Random sequences of every operation, over a few nodes.
contract NetworkHandler is Network {
    uint256 public constant NODES = 5;

    /// @dev Sum of the stakes that have not gone back; fees that nobody can withdraw yet; nodes that joined.
    uint256 public staked;
    uint256 public pendingFees;
    uint256 public joined;

    constructor() {
        deployNetwork();
    }

    function key(uint256 index) public pure returns (uint256) {
        return index == 0 ? GENESIS_KEY : 0xe000 + index;
    }

    function nodeOf(uint256 random) public pure returns (address) {
        return vm.addr(key(random % NODES));
    }

    function contracts() external view returns (NetworkManagement, IERC20) {
        return (network, obx);
    }

    function join(uint256 random, bool stake) external {
        address enclave = nodeOf(random);
        if (network.ownerOf(enclave) != address(0)) return;
        if (joined == 0) {
            registerGenesis();
            staked += MINIMUM_STAKE;
        } else {
            register(enclave, stake ? MINIMUM_STAKE : 0);
            staked += stake ? MINIMUM_STAKE : 0;
            pendingFees += FEE;
        }
        joined++;
    }

    function answer(uint256 random, uint256 responder) external {
        address enclave = nodeOf(random);
        address by = nodeOf(responder);
        if (!network.isMember(enclave) || network.isResponder(enclave) || !network.isResponder(by)) return;
        if (network.rejectedIn(enclave, by) == network.seedEpoch()) return;
        if (waits(enclave)) pendingFees -= FEE;
        share(enclave, key(responder % NODES), "seed");
    }

    function reject(uint256 random) external {
        address enclave = nodeOf(random);
        address by = network.answeredBy(enclave);
        // Somebody must be left who holds the seed.
        if (by == address(0) || by == enclave || enclave == founder || !present(enclave)) return;
        if (network.node(enclave).rejections == 16) return;
        uint32 epoch = network.seedEpoch();
        network.rejectSeed(enclave, by, epoch, signRejection(key(random % NODES), by, epoch));
    }

    function rotate(uint256 random, uint256 to) external {
        address opener = nodeOf(random);
        address enclave = nodeOf(to);
        if (!network.isResponder(opener) || !network.isMember(enclave)) return;
        vm.prank(governor);
        network.beginSeedEpoch(address(0));
        uint32 epoch = network.seedEpoch() + 1;
        INetworkManagement.EpochShare[] memory shares = new INetworkManagement.EpochShare[](1);
        shares[0] = INetworkManagement.EpochShare(enclave, "share");
        if (waits(enclave)) pendingFees -= FEE;
        bytes memory networkKey = filled(1216, 0x55);
        bytes memory signed = signEpoch(key(random % NODES), epoch, networkKey, shares);
        network.openSeedEpoch(epoch, opener, networkKey, shares, signed);
    }

    function attestAgain(uint256 random) external {
        address enclave = nodeOf(random);
        if (!present(enclave) || network.node(enclave).attestedAt >= vm.getBlockNumber() - 1) return;
        reattest(enclave);
    }

    function leave(uint256 random) external {
        address enclave = nodeOf(random);
        if (!present(enclave) || enclave == founder) return;
        if (waits(enclave)) pendingFees -= FEE;
        vm.prank(operator);
        network.leave(enclave);
    }

    function withdrawStake(uint256 random) external {
        address enclave = nodeOf(random);
        if (network.ownerOf(enclave) == address(0)) return;
        INetworkManagement.Node memory n = network.node(enclave);
        if (n.leftAt == 0 || n.stake == 0 || vm.getBlockNumber() < n.leftAt + UNBONDING_BLOCKS) return;
        staked -= uint256(n.stake) * 1e18;
        vm.prank(operator);
        network.withdrawStake(enclave);
    }

    function withdrawFees() external {
        if (network.fees(operator) == 0) return;
        vm.prank(operator);
        network.withdrawFees();
    }

    function advance(uint256 blocks) external {
        vm.roll(vm.getBlockNumber() + 1 + blocks % UNBONDING_BLOCKS);
    }

    function creditedFees() external view returns (uint256) {
        return network.fees(operator);
    }

    function present(address enclave) private view returns (bool) {
        return network.ownerOf(enclave) != address(0) && network.node(enclave).leftAt == 0;
    }

    /// @dev Whether the fee of its registration is still to be earned.
    function waits(address enclave) private view returns (bool) {
        return network.node(enclave).seedEpoch == 0;
    }
}

contract NetworkInvariants is Network {
    NetworkHandler private handler;

    function setUp() public {
        handler = new NetworkHandler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_everyCoinIsAccountedFor() public view {
        (NetworkManagement n, IERC20 token) = handler.contracts();
        vm.assertEq(token.balanceOf(address(n)), handler.staked());
        vm.assertEq(address(n).balance, handler.pendingFees() + handler.creditedFees());
    }

    function invariant_onlyStakedMembersWithTheSeedAreAggregators() public view {
        (NetworkManagement n,) = handler.contracts();
        for (uint256 i = 0; i < handler.NODES(); i++) {
            address enclave = handler.nodeOf(i);
            if (n.ownerOf(enclave) == address(0)) continue;
            INetworkManagement.Node memory node = n.node(enclave);
            bool current = vm.getBlockNumber() <= node.attestedAt + LIFETIME_BLOCKS && node.leftAt == 0;
            bool eligible =
                current && n.answeredBy(enclave) != address(0) && uint256(node.stake) * 1e18 >= MINIMUM_STAKE;
            vm.assertEq(n.isAggregator(enclave), eligible);
            vm.assertEq(n.isMember(enclave), current);
        }
    }

    function invariant_everyShareIsOfThisEpochOrAnEarlierOne() public view {
        (NetworkManagement n,) = handler.contracts();
        uint32 epoch = n.seedEpoch();
        for (uint256 i = 0; i < handler.NODES(); i++) {
            address enclave = handler.nodeOf(i);
            if (n.ownerOf(enclave) == address(0)) continue;
            INetworkManagement.Node memory node = n.node(enclave);
            vm.assertTrue(node.seedEpoch <= epoch && (node.seedEpoch != 0 || node.responder == address(0)));
        }
        for (uint32 i = 1; i <= epoch; i++) {
            vm.assertTrue(n.networkKeyHash(i) != 0);
        }
    }
}
