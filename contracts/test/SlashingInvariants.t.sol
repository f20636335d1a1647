// SPDX-License-Identifier: MIT
// Stakes under random histories with forgers who publish anywhere in the tree, leave, and accuse at random. What does not
// live here: single functions (Slashing.t.sol).
pragma solidity 0.8.37;

import {INetworkManagement} from "../src/interfaces/INetworkManagement.sol";
import {IRollupManagement} from "../src/interfaces/IRollupManagement.sol";
import {Network} from "./support/Network.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @dev Nodes 0 and 1 are honest: one of them extends the canonical chain at least every third block, the other may lose
/// the round. Nodes 2 and 3 are forgers. Anybody accuses, slashes and acquits.
contract SlashingHandler is Network {
    uint256 public constant NODES = 4;
    uint256 private constant HONEST = 2;

    struct Published {
        bytes32 hash;
        IRollupManagement.RollupHeader header;
    }

    address private immutable accuser = makeAddress("accuser");

    Published[] private published;
    /// @dev The canonical rollups, by number.
    bytes32[] private canonical = [CONFIG_HASH];
    uint256 public slashed;
    mapping(address enclave => bool) public isSlashed;
    /// @dev Stakes that forgers took home.
    uint256 public rescued;

    constructor(uint256 slashDepth) {
        deployNetwork(slashDepth);
        registerGenesis();
        for (uint256 i = 1; i < NODES; i++) {
            register(vm.addr(key(i)), MINIMUM_STAKE);
            admit(vm.addr(key(i)));
        }
        vm.roll(START + 1);
    }

    function key(uint256 index) public pure returns (uint256) {
        return index == 0 ? GENESIS_KEY : 0xe000 + index;
    }

    function node(uint256 index) public view returns (INetworkManagement.Node memory) {
        return network.node(vm.addr(key(index)));
    }

    function balances() external view returns (uint256 held, uint256 rewarded, uint256 confiscated) {
        IERC20 token = network.token();
        return (token.balanceOf(address(network)), token.balanceOf(accuser), token.balanceOf(governor));
    }

    function count() external view returns (uint256) {
        return published.length;
    }

    /// @dev Time passes; the honest chain goes on.
    function advance(uint256 blocks, uint256 random) public {
        for (blocks = bound(blocks, 1, 12); blocks > 0; random = uint256(keccak256(abi.encode(random)))) {
            uint256 step = blocks < 3 ? blocks : 1 + random % 3;
            vm.roll(vm.getBlockNumber() + step);
            blocks -= step;
            bytes32 head = canonical[canonical.length - 1];
            canonical.push(put((random >> 8) % HONEST, head));
            if ((random >> 16) % 4 == 0) put((random >> 8) % HONEST == 0 ? 1 : 0, head);
        }
    }

    /// @dev A forger publishes on anything: a canonical rollup, a loser, its own branch.
    function forge(uint256 random) external {
        advance(1, random);
        uint256 forger = HONEST + random % (NODES - HONEST);
        if (!network.isAggregator(vm.addr(key(forger)))) return;
        // Mostly on a young one, or there would be no long branches.
        uint256 reach = published.length < 8 || (random >> 8) % 4 == 0 ? published.length : 8;
        bytes32 parent = published[published.length - 1 - (random >> 16) % reach].hash;
        if (rollups.rollup(parent).includedAt == vm.getBlockNumber()) parent = rollups.rollup(parent).parent;
        put(forger, parent);
    }

    function leave(uint256 random) external {
        uint256 forger = HONEST + random % (NODES - HONEST);
        if (node(forger).leftAt != 0) return;
        vm.prank(operator);
        network.leave(vm.addr(key(forger)));
    }

    function withdrawStake(uint256 random) external {
        address forger = vm.addr(key(HONEST + random % (NODES - HONEST)));
        vm.roll(vm.getBlockNumber() + (network.node(forger).leftAt == 0 ? 1 : UNBONDING_BLOCKS));
        advance(1, random);
        bool accused = network.node(forger).accusations != 0;
        vm.prank(operator);
        try network.withdrawStake(forger) {
            vm.assertFalse(accused);
            rescued++;
        } catch {}
    }

    function accuse(uint256 random) external {
        if (published.length == 0) return;
        uint256 index = pick(random);
        accuse(index, published[pick(random >> 128)].hash);
        // Every other time the rollup itself is beside it.
        if (random % 2 == 0) accuse(index, canonical[published[index].header.number]);
    }

    function judge(uint256 random) external {
        if (published.length == 0) return;
        judge(pick(random), published[pick(random >> 128)].hash);
    }

    /// @dev The forgers give up; afterwards everybody is judged by what is canonical then.
    function settle() external {
        for (uint256 i = 0; i < 14; i++) {
            advance(1, i);
        }
        // Older than the losers of the last rounds, which are alive.
        bytes32 survivor = canonical[canonical.length - 11];
        require(rollups.isConfirmed(survivor, 0) && !rollups.isSuspended(), "the forks live on");
        for (uint256 i = 0; i < published.length; i++) {
            accuse(i, survivor);
            accuse(i, canonical[published[i].header.number]);
        }
        for (uint256 i = 0; i < SLASH_DELAY_BLOCKS; i++) {
            advance(1, i);
        }
        for (uint256 i = 0; i < published.length; i++) {
            judge(i, survivor);
            judge(i, canonical[published[i].header.number]);
        }
    }

    /// @dev Whether a node published at least the slashing depth above the canonical chain, or beside a canonical rollup that
    /// contradicts.
    function isGuilty(uint256 index) external view returns (bool) {
        for (uint256 i = 0; i < published.length; i++) {
            if (published[i].header.aggregator != vm.addr(key(index))) continue;
            uint256 meet = published[i].header.number - 1;
            for (bytes32 at = published[i].header.parent; canonical[meet] != at; meet--) {
                at = rollups.rollup(at).parent;
            }
            uint256 depth = published[i].header.number - meet;
            if (depth >= rollups.slashDepth()) return true;
            if (depth == 1 && contradicts(published[i], canonical[meet + 1])) return true;
        }
        return false;
    }

    function contradicts(Published storage one, bytes32 sibling) private view returns (bool) {
        if (one.hash == sibling) return false;
        for (uint256 i = 0; i < published.length; i++) {
            if (published[i].hash != sibling) continue;
            return one.header.l1ProofNumber >= rollups.rollup(sibling).includedAt
                || published[i].header.l1ProofNumber >= rollups.rollup(one.hash).includedAt;
        }
        return false;
    }

    function pick(uint256 random) private view returns (uint256) {
        uint256 reach = published.length < 10 || random % 4 == 0 ? published.length : 10;
        return published.length - 1 - (random >> 8) % reach;
    }

    function put(uint256 index, bytes32 parent) private returns (bytes32 hash) {
        IRollupManagement.RollupHeader memory h = header(parent);
        hash = publishAs(key(index), h);
        published.push(Published(hash, h));
    }

    function accuse(uint256 index, bytes32 rival) private {
        vm.prank(accuser);
        try rollups.accuse(published[index].header, rival) {} catch {}
    }

    function judge(uint256 index, bytes32 survivor) private {
        try rollups.slash(published[index].header, survivor) {
            slashed++;
            isSlashed[published[index].header.aggregator] = true;
        } catch {}
        try rollups.acquit(published[index].header, survivor) {} catch {}
    }
}

contract SlashingInvariants is Network {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    SlashingHandler internal handler;

    function setUp() public virtual {
        handler = new SlashingHandler(SLASH_DEPTH);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev What forge may call of it: forging more often than the rest.
    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        bytes4[6] memory selectors = [
            SlashingHandler.advance.selector,
            SlashingHandler.forge.selector,
            SlashingHandler.leave.selector,
            SlashingHandler.withdrawStake.selector,
            bytes4(keccak256("accuse(uint256)")),
            bytes4(keccak256("judge(uint256)"))
        ];
        targets = new FuzzSelector[](1);
        targets[0].addr = address(handler);
        targets[0].selectors = new bytes4[](selectors.length);
        for (uint256 i = 0; i < selectors.length; i++) {
            targets[0].selectors[i] = selectors[i];
        }
    }

    function invariant_honestNodesKeepTheirStakes() public view {
        for (uint256 i = 0; i < 2; i++) {
            INetworkManagement.Node memory n = handler.node(i);
            vm.assertEq(uint256(n.stake) * 1e18, MINIMUM_STAKE);
            vm.assertEq(uint256(n.leftAt), 0);
        }
    }

    function invariant_everyStakeIsAccountedFor() public view {
        (uint256 held, uint256 rewarded, uint256 confiscated) = handler.balances();
        uint256 slashed = handler.slashed() * MINIMUM_STAKE;
        vm.assertEq(held, (handler.NODES() - handler.rescued()) * MINIMUM_STAKE - slashed);
        vm.assertEq(rewarded, slashed / 10);
        vm.assertEq(confiscated, slashed - slashed / 10);
    }

    /// @dev In the end whoever published on a disputed branch has lost its stake, unless it took it home before anybody
    /// said a word; everybody else is free.
    function afterInvariant() external {
        handler.settle();
        for (uint256 i = 0; i < handler.NODES(); i++) {
            INetworkManagement.Node memory n = handler.node(i);
            bool guilty = handler.isGuilty(i);
            if (guilty) vm.assertEq(uint256(n.stake), 0);
            else vm.assertFalse(n.accusations != 0 || handler.isSlashed(vm.addr(handler.key(i))));
        }
        invariant_honestNodesKeepTheirStakes();
        invariant_everyStakeIsAccountedFor();
    }
}

/// @dev Where more is forgiven: whoever builds one above what lost is free in the end.
contract SlashingInvariantsDeeper is SlashingInvariants {
    function setUp() public override {
        handler = new SlashingHandler(SLASH_DEPTH + 1);
    }
}
