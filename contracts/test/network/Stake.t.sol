// SPDX-License-Identifier: MIT
// Tests of what a node's owner does after registering: moving the host, leaving, stake and fees. What does not live here:
// seeds (Seeds.t.sol) and attesting again (Attestation.t.sol).
pragma solidity 0.8.37;

import {NetworkManagement} from "../../src/NetworkManagement.sol";
import {INetworkManagement} from "../../src/interfaces/INetworkManagement.sol";
import {Network} from "../support/Network.sol";
import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";

contract StakeTest is Network {
    address private immutable enclave = vm.addr(0xe1);
    address private immutable stranger = makeAddress("stranger");

    function setUp() public {
        deployNetwork();
    }

    // setHostAddress

    function test_setHostAddress_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.NotRegistered.selector, founder));
        network.setHostAddress(founder, "new");
        registerGenesis();
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.NotOwner.selector, stranger, operator));
        vm.prank(stranger);
        network.setHostAddress(founder, "new");
        vm.startPrank(operator);
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.HostAddressTooLong.selector, 257));
        network.setHostAddress(founder, string(filled(257, "a")));
        network.leave(founder);
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.NodeHasLeft.selector, founder));
        network.setHostAddress(founder, "new");
        vm.stopPrank();
    }

    function test_setHostAddress_announces() public {
        registerGenesis();
        string memory longest = string(filled(256, "a"));
        vm.expectEmit(address(network));
        emit INetworkManagement.HostAddressChanged(founder, longest);
        vm.prank(operator);
        network.setHostAddress(founder, longest);
    }

    // leave

    function test_leave_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.NotRegistered.selector, founder));
        network.leave(founder);
        registerGenesis();
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.NotOwner.selector, stranger, operator));
        vm.prank(stranger);
        network.leave(founder);
        vm.startPrank(operator);
        network.leave(founder);
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.NodeHasLeft.selector, founder));
        network.leave(founder);
        vm.stopPrank();
    }

    function test_leave_endsMembershipAtOnce() public {
        registerGenesis();
        vm.expectEmit(address(network));
        emit INetworkManagement.NodeLeft(founder);
        vm.prank(operator);
        network.leave(founder);
        vm.assertFalse(network.isAggregator(founder));
        vm.assertEq(uint256(network.node(founder).leftAt), START);
        vm.assertEq(network.fees(operator), FEE);
    }

    function test_leave_returnsTheFeeNobodyEarned() public {
        registerGenesis();
        register(enclave, 0);
        vm.prank(operator);
        network.leave(enclave);
        vm.assertEq(network.fees(operator), 2 * FEE);
    }

    // withdrawStake

    function test_withdrawStake_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.NotRegistered.selector, founder));
        network.withdrawStake(founder);
        registerGenesis();
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.NotOwner.selector, stranger, operator));
        vm.prank(stranger);
        network.withdrawStake(founder);
        vm.startPrank(operator);
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.StillMember.selector, founder));
        network.withdrawStake(founder);
        network.leave(founder);
        vm.roll(START + UNBONDING_BLOCKS - 1);
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.StillBonded.selector, START + UNBONDING_BLOCKS));
        network.withdrawStake(founder);
        vm.stopPrank();
    }

    function test_withdrawStake_revertsForEverWithTheLargestUnbonding() public {
        network = new NetworkManagement(
            obx, attestation, CONFIG_HASH, MINIMUM_STAKE, FEE, type(uint256).max, governor, address(rollups)
        );
        // The token knows another.
        vm.prank(operator);
        obx.approve(address(network), MINIMUM_STAKE);
        registerGenesis();
        vm.startPrank(operator);
        network.leave(founder);
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.StillBonded.selector, type(uint256).max));
        network.withdrawStake(founder);
        vm.stopPrank();
    }

    function test_withdrawStake_paysOnce() public {
        registerGenesis();
        uint256 before = obx.balanceOf(operator);
        vm.startPrank(operator);
        network.leave(founder);
        vm.roll(START + UNBONDING_BLOCKS);
        vm.expectEmit(address(network));
        emit INetworkManagement.StakeWithdrawn(founder, operator, MINIMUM_STAKE);
        network.withdrawStake(founder);
        vm.assertEq(obx.balanceOf(operator), before + MINIMUM_STAKE);
        vm.expectRevert(INetworkManagement.NothingToWithdraw.selector);
        network.withdrawStake(founder);
        vm.stopPrank();
    }

    // withdrawFees

    function test_withdrawFees_revertsForNothing() public {
        vm.expectRevert(INetworkManagement.NothingToWithdraw.selector);
        network.withdrawFees();
    }

    function test_withdrawFees_revertsIfRefused() public {
        registerGenesis();
        // The contract's own code refuses plain ETH.
        vm.etch(operator, address(network).code);
        vm.expectRevert(Errors.FailedCall.selector);
        vm.prank(operator);
        network.withdrawFees();
    }

    function test_withdrawFees_paysOnce() public {
        registerGenesis();
        uint256 before = operator.balance;
        vm.expectEmit(address(network));
        emit INetworkManagement.FeesWithdrawn(operator, FEE);
        vm.startPrank(operator);
        network.withdrawFees();
        vm.assertEq(operator.balance, before + FEE);
        vm.expectRevert(INetworkManagement.NothingToWithdraw.selector);
        network.withdrawFees();
        vm.stopPrank();
    }

    // views

    function test_node_revertsForUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.NotRegistered.selector, founder));
        network.node(founder);
        vm.assertEq(network.ownerOf(founder), address(0));
        vm.assertFalse(network.isMember(founder));
        vm.assertFalse(network.isResponder(founder));
        vm.assertFalse(network.isAggregator(founder));
        vm.assertEq(network.answeredBy(founder), address(0));
    }
}
