// SPDX-License-Identifier: MIT
// L2 as its genesis sets it up: the bridge and the pool at their addresses, without a constructor. What does not live here: assertions.
pragma solidity 0.8.37;

import {L2Bridge} from "../../src/l2/L2Bridge.sol";
import {RewardPool} from "../../src/l2/RewardPool.sol";
import {WrappedToken} from "../../src/l2/WrappedToken.sol";
import {Test} from "./Test.sol";

abstract contract L2 is Test {
    address internal constant SYSTEM = 0xffffFFFfFFffffffffffffffFfFFFfffFFFfFFfE;
    address internal constant OBX = address(0x0b5c);
    L2Bridge internal constant l2Bridge = L2Bridge(0x0b5c000000000000000000000000000000000001);
    RewardPool internal constant pool = RewardPool(payable(0x0b5c000000000000000000000000000000000002));
    uint256 internal constant RESERVE = 1000;

    function startL2(address obx) internal {
        vm.etch(address(l2Bridge), type(L2Bridge).runtimeCode);
        vm.store(address(l2Bridge), 0, bytes32(uint256(uint160(obx))));
        vm.etch(address(pool), type(RewardPool).runtimeCode);
        vm.store(address(pool), 0, bytes32(RESERVE));
    }

    function credit(address asset, address to, uint256 amount) internal returns (WrappedToken) {
        vm.prank(SYSTEM);
        l2Bridge.credit(asset, to, amount, "Token", "TKN", 6);
        return WrappedToken(l2Bridge.wrapped(asset));
    }

    /// @dev Reads as the account itself, as the gateway does for its user.
    function balance(WrappedToken token, address account) internal returns (uint256) {
        vm.prank(account);
        return token.balanceOf(account);
    }
}
