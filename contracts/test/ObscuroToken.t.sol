// SPDX-License-Identifier: MIT
// Tests of what ObscuroToken adds to OpenZeppelin's parts: their combination, minting and burning. What does not live
// here: tests of those parts.
pragma solidity 0.8.37;

import {BridgeManagement} from "../src/BridgeManagement.sol";
import {ObscuroToken} from "../src/ObscuroToken.sol";
import {IBridgeManagement} from "../src/interfaces/IBridgeManagement.sol";
import {IRollupManagement} from "../src/interfaces/IRollupManagement.sol";
import {Test} from "./support/Test.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

contract ObscuroTokenTest is Test {
    uint256 private constant KEY = 0xbeef;
    uint256 private constant SUPPLY = 1_000_000e18;
    address private constant POOL = 0x0b5c000000000000000000000000000000000002;
    address private immutable holder = vm.addr(KEY);
    address private immutable other = makeAddress("other");
    address private immutable network = makeAddress("network");
    ObscuroToken private token;

    function setUp() public {
        token = new ObscuroToken(holder, 1000, network);
    }

    function test_constructor_revertsForZeroHolder() public {
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableInvalidOwner.selector, address(0)));
        new ObscuroToken(address(0), 1, network);
    }

    function test_constructor_revertsAboveVotesBound() public {
        vm.expectRevert();
        new ObscuroToken(holder, 1 << 208, network);
    }

    function test_constructor_givesWholeSupplyToHolder() public view {
        vm.assertEq(token.balanceOf(holder), 1000);
        vm.assertEq(token.totalSupply(), 1000);
        vm.assertEq(token.name(), "Obscuro");
        vm.assertEq(token.symbol(), "OBX");
        vm.assertEq(uint256(token.decimals()), 18);
    }

    function test_allowance_isTheNetworksWithoutApproval() public {
        vm.assertEq(token.allowance(holder, network), type(uint256).max);
        vm.assertEq(token.allowance(holder, other), 0);
        vm.prank(network);
        assert(token.transferFrom(holder, network, 7));
        vm.assertEq(token.balanceOf(network), 7);
        vm.assertEq(token.allowance(holder, network), type(uint256).max);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, other, 0, 7));
        vm.prank(other);
        bool taken = token.transferFrom(holder, network, 7);
        assert(!taken);
    }

    function test_permit_approvesBySignature() public {
        bytes32 request = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                holder,
                other,
                uint256(7),
                token.nonces(holder),
                block.timestamp
            )
        );
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), request));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, digest);
        token.permit(holder, other, 7, block.timestamp, v, r, s);
        vm.assertEq(token.allowance(holder, other), 7);
        vm.assertEq(token.nonces(holder), 1);
    }

    function test_transfer_movesVotesOfDelegators() public {
        vm.prank(holder);
        token.delegate(holder);
        vm.assertEq(token.getVotes(holder), 1000);
        vm.prank(holder);
        vm.assertTrue(token.transfer(other, 400));
        vm.assertEq(token.getVotes(holder), 600);
        vm.assertEq(token.getVotes(other), 0);
        vm.roll(vm.getBlockNumber() + 1);
        vm.assertEq(token.getPastVotes(holder, vm.getBlockNumber() - 1), 600);
    }

    // nameBridge

    function test_nameBridge_revertsForOthersAndTheSecondTime() public {
        BridgeManagement bridge = newBridge();
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, other));
        vm.prank(other);
        token.nameBridge(bridge);
        vm.startPrank(holder);
        vm.expectRevert(ObscuroToken.BridgeAlreadyNamed.selector);
        token.nameBridge(IBridgeManagement(address(0)));
        token.nameBridge(bridge);
        vm.expectRevert(ObscuroToken.BridgeAlreadyNamed.selector);
        token.nameBridge(bridge);
    }

    // mintIntoPool

    function test_mintIntoPool_revertsForOthers() public {
        start();
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, other));
        vm.prank(other);
        token.mintIntoPool(1);
    }

    function test_mintIntoPool_revertsWithoutBridge() public {
        token = new ObscuroToken(holder, SUPPLY, network);
        vm.expectRevert();
        vm.prank(holder);
        token.mintIntoPool(1);
    }

    function test_mintIntoPool_depositsForThePool() public {
        BridgeManagement bridge = start();
        vm.expectEmit(address(bridge));
        emit IBridgeManagement.Deposited(0, address(token), POOL, address(token), 7, "", "", 0);
        vm.prank(holder);
        token.mintIntoPool(7);
        vm.assertEq(bridge.locked(address(token)), 7);
        vm.assertEq(token.totalSupply(), SUPPLY + 7);
        vm.assertEq(token.minted(), 7);
    }

    function test_mintIntoPool_keepsToTheSchedule() public {
        start();
        uint256 most = token.mintablePerPeriod();
        vm.assertEq(token.mintableMax(), SUPPLY / 5);
        vm.startPrank(holder);
        token.mintIntoPool(most - 1);
        token.mintIntoPool(1);
        vm.expectRevert(abi.encodeWithSelector(ObscuroToken.AboveSchedule.selector, 1, 0));
        token.mintIntoPool(1);
        // What a period leaves is not added to the next.
        vm.warp(block.timestamp + 3 * token.MINTING_PERIOD());
        vm.expectRevert(abi.encodeWithSelector(ObscuroToken.AboveSchedule.selector, most + 1, most));
        token.mintIntoPool(most + 1);
        token.mintIntoPool(most);
    }

    function test_mintIntoPool_endsAtTheBound() public {
        start();
        uint256 time = block.timestamp;
        vm.startPrank(holder);
        for (uint256 i = 0; token.minted() < token.mintableMax(); ++i) {
            vm.assertLt(i, 50);
            token.mintIntoPool(token.mintable());
            time += token.MINTING_PERIOD();
            vm.warp(time);
        }
        vm.assertEq(token.mintable(), 0);
        vm.assertEq(token.totalSupply(), SUPPLY + SUPPLY / 5);
    }

    // burnExcess

    function test_burnExcess_burnsWhatTheContractHolds() public {
        vm.prank(holder);
        token.transfer(address(token), 5);
        vm.expectEmit(address(token));
        emit ObscuroToken.ExcessBurnt(5);
        vm.prank(other);
        token.burnExcess();
        vm.assertEq(token.totalSupply(), 995);
        vm.assertEq(token.balanceOf(address(token)), 0);
    }

    /// @dev A larger token with a bridge.
    function start() private returns (BridgeManagement bridge) {
        token = new ObscuroToken(holder, SUPPLY, network);
        bridge = newBridge();
        vm.prank(holder);
        token.nameBridge(bridge);
    }

    function newBridge() private returns (BridgeManagement) {
        return new BridgeManagement(token, IRollupManagement(makeAddress("rollups")), 5);
    }
}
