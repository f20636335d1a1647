// SPDX-License-Identifier: MIT
// Tests of WrappedToken: who reads what, permit, the bridge's rights, and that unmodified contracts work with it. What
// does not live here: deposits and withdrawals (L2Bridge.t.sol).
pragma solidity 0.8.37;

import {IWrappedToken} from "../../src/interfaces/IWrappedToken.sol";
import {WrappedToken} from "../../src/l2/WrappedToken.sol";
import {L2} from "../support/L2.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

interface IUniswapV2Factory {
    function getPair(address a, address b) external view returns (address);
}

interface IUniswapV2Router {
    function addLiquidity(
        address tokenA,
        address tokenB,
        uint256 amountADesired,
        uint256 amountBDesired,
        uint256 amountAMin,
        uint256 amountBMin,
        address to,
        uint256 deadline
    ) external returns (uint256 amountA, uint256 amountB, uint256 liquidity);
    function removeLiquidity(
        address tokenA,
        address tokenB,
        uint256 liquidity,
        uint256 amountAMin,
        uint256 amountBMin,
        address to,
        uint256 deadline
    ) external returns (uint256 amountA, uint256 amountB);
    function swapExactTokensForTokens(
        uint256 amountIn,
        uint256 amountOutMin,
        address[] calldata path,
        address to,
        uint256 deadline
    ) external returns (uint256[] memory amounts);
    function swapExactTokensForTokensSupportingFeeOnTransferTokens(
        uint256 amountIn,
        uint256 amountOutMin,
        address[] calldata path,
        address to,
        uint256 deadline
    ) external;
}

/// @dev A contract that reads for whoever calls it, and one that spends what it may.
contract Reader {
    function balanceOf(IERC20 token, address account) external view returns (uint256) {
        return token.balanceOf(account);
    }

    function allowance(IERC20 token, address owner, address spender) external view returns (uint256) {
        return token.allowance(owner, spender);
    }

    function take(IERC20 token, address from, uint256 amount) external returns (bool) {
        return token.transferFrom(from, address(this), amount);
    }
}

contract WrappedTokenTest is L2 {
    uint256 private constant KEY = 0xa11ce;
    address private immutable alice = vm.addr(KEY);
    address private immutable bob = makeAddress("bob");
    address private immutable eve = makeAddress("eve");
    Reader private reader;
    WrappedToken private token;

    function setUp() public {
        startL2(OBX);
        token = credit(address(0xa), alice, 1000);
        reader = new Reader();
    }

    // mint, burn

    function test_mint_revertsForOthers(address caller) public {
        vm.assume(caller != address(l2Bridge));
        vm.expectRevert(IWrappedToken.NotAuthorised.selector);
        vm.prank(caller);
        token.mint(caller, 1);
    }

    function test_burn_revertsForOthers(address caller) public {
        vm.assume(caller != address(l2Bridge));
        vm.expectRevert(IWrappedToken.NotAuthorised.selector);
        vm.prank(caller);
        token.burn(alice, 1);
    }

    // balanceOf

    function test_balanceOf_revertsForStrangers(address caller) public {
        vm.assume(caller != alice);
        vm.expectRevert(IWrappedToken.NotAuthorised.selector);
        vm.prank(caller, caller);
        token.balanceOf(alice);
    }

    function test_balanceOf_revertsForStrangersThroughAContract() public {
        vm.expectRevert(IWrappedToken.NotAuthorised.selector);
        vm.prank(eve, eve);
        reader.balanceOf(token, alice);
    }

    function test_balanceOf_hidesTheEmptyAccountAsWell() public {
        vm.expectRevert(IWrappedToken.NotAuthorised.selector);
        vm.prank(eve, eve);
        token.balanceOf(bob);
    }

    function test_balanceOf_answersTheAccount() public {
        vm.prank(alice);
        vm.assertEq(token.balanceOf(alice), 1000);
        // Through a contract that alice calls.
        vm.prank(alice, alice);
        vm.assertEq(reader.balanceOf(token, alice), 1000);
        // A contract of its own balance, whoever calls it.
        vm.prank(eve, eve);
        vm.assertEq(reader.balanceOf(token, address(reader)), 0);
    }

    // allowance

    function test_allowance_answersOwnerAndSpenderOnly() public {
        vm.prank(alice);
        token.approve(bob, 7);
        vm.prank(alice, alice);
        vm.assertEq(token.allowance(alice, bob), 7);
        vm.prank(bob, bob);
        vm.assertEq(token.allowance(alice, bob), 7);
        vm.prank(alice, alice);
        vm.assertEq(reader.allowance(token, alice, bob), 7);
        vm.prank(bob, bob);
        vm.assertEq(reader.allowance(token, alice, bob), 7);
        vm.expectRevert(IWrappedToken.NotAuthorised.selector);
        vm.prank(eve, eve);
        token.allowance(alice, bob);
        vm.expectRevert(IWrappedToken.NotAuthorised.selector);
        vm.prank(eve, eve);
        reader.allowance(token, alice, bob);
    }

    // nonces

    function test_nonces_answersTheOwnerOnly() public {
        vm.prank(alice, alice);
        vm.assertEq(token.nonces(alice), 0);
        vm.expectRevert(IWrappedToken.NotAuthorised.selector);
        vm.prank(eve, eve);
        token.nonces(alice);
    }

    // transfer, transferFrom

    function test_transfer_moves(uint256 amount) public {
        amount = bound(amount, 0, 1000);
        vm.prank(alice);
        vm.assertTrue(token.transfer(bob, amount));
        vm.assertEq(balance(token, alice), 1000 - amount);
        vm.assertEq(balance(token, bob), amount);
    }

    function test_transfer_tellsTheOwnerWhatIsMissing() public {
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientBalance.selector, alice, 1000, 1001));
        vm.prank(alice);
        token.transfer(bob, 1001);
    }

    function test_transferFrom_spendsForAStranger() public {
        vm.prank(alice);
        token.approve(address(reader), 10);
        vm.prank(eve, eve);
        reader.take(token, alice, 4);
        vm.assertEq(balance(token, address(reader)), 4);
        vm.prank(alice);
        vm.assertEq(token.allowance(alice, address(reader)), 6);
    }

    function test_transferFrom_doesNotTellTheSpenderTheBalance() public {
        vm.prank(alice);
        token.approve(address(reader), type(uint256).max);
        vm.expectRevert(IWrappedToken.NotAuthorised.selector);
        vm.prank(eve, eve);
        reader.take(token, alice, 1001);
    }

    // permit

    function permitDigest(address owner, uint256 value, uint256 nonce, uint256 deadline)
        private
        view
        returns (bytes32)
    {
        bytes32 request = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                owner,
                bob,
                value,
                nonce,
                deadline
            )
        );
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Token"),
                keccak256("1"),
                block.chainid,
                address(token)
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, request));
    }

    function test_permit_revertsAfterDeadline() public {
        vm.warp(100);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, permitDigest(alice, 5, 0, 99));
        vm.expectRevert(abi.encodeWithSelector(IWrappedToken.ERC2612ExpiredSignature.selector, 99));
        token.permit(alice, bob, 5, 99, v, r, s);
    }

    function test_permit_revertsForOtherSigner() public {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY + 1, permitDigest(alice, 5, 0, 1000));
        vm.expectRevert(abi.encodeWithSelector(IWrappedToken.ERC2612InvalidSigner.selector, vm.addr(KEY + 1), alice));
        token.permit(alice, bob, 5, 1000, v, r, s);
    }

    function test_permit_approvesOnce() public {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, permitDigest(alice, 5, 0, 1000));
        token.permit(alice, bob, 5, 1000, v, r, s);
        vm.prank(bob, bob);
        vm.assertEq(token.allowance(alice, bob), 5);
        vm.expectPartialRevert(IWrappedToken.ERC2612InvalidSigner.selector);
        token.permit(alice, bob, 5, 1000, v, r, s);
    }

    function test_eip712Domain_namesTheToken() public view {
        (bytes1 fields, string memory name, string memory version, uint256 chainId, address verifier,,) =
            token.eip712Domain();
        vm.assertEq(uint256(uint8(fields)), 0x0f);
        vm.assertEq(name, "Token");
        vm.assertEq(version, "1");
        vm.assertEq(chainId, block.chainid);
        vm.assertEq(verifier, address(token));
    }

    // unmodified contracts

    function deploy(string memory path, bytes memory arguments) private returns (address deployed) {
        string memory json = vm.readFile(string.concat("node_modules/@uniswap/", path, ".json"));
        bytes memory code = vm.parseBytes(string.concat("0x", vm.parseJsonString(json, ".bytecode")));
        bytes memory creation = bytes.concat(code, arguments);
        assembly {
            deployed := create(0, add(creation, 32), mload(creation))
        }
        vm.assertTrue(deployed != address(0));
    }

    /// @dev Liquidity in, a swap, liquidity out, with the published bytecode of Uniswap V2.
    function test_uniswapV2_works() public {
        address factory = deploy("v2-core/build/UniswapV2Factory", abi.encode(address(0)));
        IUniswapV2Router router =
            IUniswapV2Router(deploy("v2-periphery/build/UniswapV2Router02", abi.encode(factory, address(1))));
        WrappedToken other = credit(address(0xb), alice, 1_000_000);
        vm.prank(SYSTEM);
        l2Bridge.credit(address(0xa), alice, 999_000, "", "", 0);
        vm.prank(SYSTEM);
        l2Bridge.credit(address(0xa), bob, 1000, "", "", 0);

        vm.startPrank(alice, alice);
        token.approve(address(router), type(uint256).max);
        other.approve(address(router), type(uint256).max);
        router.addLiquidity(address(token), address(other), 500_000, 500_000, 0, 0, alice, block.timestamp);
        vm.stopPrank();

        address[] memory path = new address[](2);
        (path[0], path[1]) = (address(token), address(other));
        vm.startPrank(bob, bob);
        token.approve(address(router), 1000);
        uint256[] memory amounts = router.swapExactTokensForTokens(900, 890, path, bob, block.timestamp);
        vm.assertEq(other.balanceOf(bob), amounts[1]);
        vm.assertEq(token.balanceOf(bob), 100);
        // The variant for taxed tokens reads the pair's balance from the router. These tokens do not need it.
        vm.expectRevert(IWrappedToken.NotAuthorised.selector);
        router.swapExactTokensForTokensSupportingFeeOnTransferTokens(100, 0, path, bob, block.timestamp);
        vm.stopPrank();

        address pair = IUniswapV2Factory(factory).getPair(address(token), address(other));
        vm.startPrank(alice, alice);
        uint256 liquidity = IERC20(pair).balanceOf(alice);
        IERC20(pair).approve(address(router), liquidity);
        router.removeLiquidity(address(token), address(other), liquidity, 1, 1, alice, block.timestamp);
        vm.stopPrank();
        vm.assertTrue(balance(token, alice) > 999_000);
    }
}
