// SPDX-License-Identifier: MIT
// What tokens and markets do not show: the sender of a call, every way to fail, and a secret that is kept. What does
// not live here: any use that a real contract would have.
pragma solidity ^0.8.28;

contract Probe {
    event Kept(address indexed who, bytes32 mark);

    error Refused(address who, bytes32 mark);

    mapping(address who => bytes32) private _marks;

    /// Keeps a mark of the sender's, where only the sender reads it.
    function keep(bytes32 mark) external {
        _marks[msg.sender] = mark;
        emit Kept(msg.sender, mark);
    }

    function kept() external view returns (bytes32) {
        return _marks[msg.sender];
    }

    /// The argument is for gateways that look for a sender among arguments.
    function sender(address) external view returns (address caller, address origin) {
        return (msg.sender, tx.origin);
    }

    function refuseWithReason(string calldata reason) external pure {
        revert(reason);
    }

    function refuseWithError(bytes32 mark) external view {
        revert Refused(msg.sender, mark);
    }

    function panic(uint256 divisor) external pure returns (uint256) {
        return 1 / divisor;
    }
}
