// SPDX-License-Identifier: MIT
// Both sides of the bridge under random histories, with an adversary who owns broken enclaves: they publish rollups
// with withdrawals that never happened, anywhere in the tree, and are slashed for it. Coins are minted into the pool, earned,
// and burnt. What does not live here: single functions, who is slashed (SlashingInvariants.t.sol).
pragma solidity 0.8.37;

import {BridgeManagement} from "../src/BridgeManagement.sol";
import {ObscuroToken} from "../src/ObscuroToken.sol";
import {IRewardPool} from "../src/interfaces/IRewardPool.sol";
import {IRollupManagement} from "../src/interfaces/IRollupManagement.sol";
import {WrappedToken} from "../src/l2/WrappedToken.sol";
import {L2} from "./support/L2.sol";
import {Merkle, Withdrawal} from "./support/Merkle.sol";
import {Network} from "./support/Network.sol";
import {TaxedToken, Token} from "./support/Tokens.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @dev Plays the depositor, the honest enclaves (deposits are credited and withdrawals listed in the next rollup, and
/// a rollup comes at least every third block), the user on L2, and the thief.
contract BridgeHandler is Network, L2 {
    using Merkle for bytes32[];

    uint256 private constant WITHDRAWAL_BLOCKS = 5;
    uint256 public constant ASSETS = 4;
    uint256 private constant RECENT = 8;

    struct Published {
        uint256 includedAt;
        bytes32 rollup;
        Withdrawal[] withdrawals;
    }

    struct Deposit {
        address asset;
        address to;
        uint256 amount;
    }

    address private immutable depositor = makeAddress("depositor");
    address private immutable user = makeAddress("user on L2");
    address private immutable receiver = makeAddress("receiver on L1");
    address private immutable thief = makeAddress("thief");
    address private immutable accuser = makeAddress("accuser");

    BridgeManagement public bridge;
    address[ASSETS] public assets;

    /// @dev Sums per asset: on L1 but not yet on L2; burned on L2 but not yet paid on L1.
    mapping(address => uint256) public inbound;
    mapping(address => uint256) public outbound;
    mapping(uint256 => uint256) public timesPaid;
    uint256 public paidCount;
    uint256 public paidWhileSuspended;
    /// @dev OBX burnt on L1.
    uint256 public burnt;
    /// @dev Forgers whose stake is gone: the next one has another key.
    uint256 public slashed;

    Deposit[] private _deposits;
    uint256 private _cursor;
    Withdrawal[] private _burned;
    Published[] private _honest;
    Published[] private _forged;
    mapping(bytes32 rollup => IRollupManagement.RollupHeader) private _headers;
    /// @dev By number.
    bytes32[] private _canonical = [CONFIG_HASH];
    bytes32 private _head = CONFIG_HASH;

    constructor() {
        deployNetwork();
        registerGenesis();
        startL2(address(obx));
        bridge = new BridgeManagement(obx, rollups, WITHDRAWAL_BLOCKS);
        vm.prank(operator);
        obx.nameBridge(bridge);
        register(vm.addr(forgerKey()), MINIMUM_STAKE);
        admit(vm.addr(forgerKey()));
        Token token = new Token("Token", "TKN", 6);
        TaxedToken taxed = new TaxedToken();
        assets = [address(0), address(obx), address(token), address(taxed)];
        token.mint(depositor, 1e30);
        taxed.mint(depositor, 1e30);
        vm.deal(depositor, 1e30);
        vm.prank(operator);
        require(obx.transfer(depositor, 500_000e18));
        vm.startPrank(depositor);
        for (uint256 i = 1; i < ASSETS; i++) {
            IERC20(assets[i]).approve(address(bridge), type(uint256).max);
        }
        vm.stopPrank();
        vm.roll(START + 1);
    }

    function deposit(uint256 which, uint256 amount) external {
        address asset = assets[which % ASSETS];
        amount = bound(amount, 10, 1e20);
        uint256 before = bridge.locked(asset);
        vm.prank(depositor);
        bridge.deposit{value: asset == address(0) ? amount : 0}(asset, amount, user);
        uint256 received = bridge.locked(asset) - before;
        _deposits.push(Deposit(asset, user, received));
        inbound[asset] += received;
    }

    function mint(uint256 amount) external {
        uint256 most = obx.mintable();
        if (most == 0) return;
        amount = bound(amount, 1, most);
        vm.prank(operator);
        obx.mintIntoPool(amount);
        _deposits.push(Deposit(address(obx), address(pool), amount));
        inbound[address(obx)] += amount;
    }

    /// @dev The user pays fees, and earns some of them.
    function earn(uint256 fee, uint256 earned) external {
        fee = bound(fee, 0, user.balance);
        vm.deal(user, user.balance - fee);
        vm.deal(address(pool), address(pool).balance + fee);
        IRewardPool.Reward[] memory rewards = new IRewardPool.Reward[](1);
        rewards[0] = IRewardPool.Reward(user, bound(earned, 1, 2 * fee + 1));
        vm.prank(SYSTEM);
        pool.credit(rewards, new IRewardPool.Prize[](0));
        if (address(pool).balance == 0) return;
        vm.prank(user);
        pool.claim(user);
    }

    /// @dev The pool's excess leaves L2, and L1 when it has arrived there.
    function burn() external {
        uint64 index = l2Bridge.withdrawalCount();
        try pool.burnExcess() returns (uint256 amount) {
            _burned.push(Withdrawal(index, address(obx), address(obx), amount));
            outbound[address(obx)] += amount;
        } catch {}
        burnt += obx.balanceOf(address(obx));
        obx.burnExcess();
    }

    /// @dev The newest forged rollup costs a stake once it is dead.
    function prosecute(uint256 random) external {
        if (_forged.length == 0) return;
        uint256 reach = _forged.length < 6 ? _forged.length : 6;
        IRollupManagement.RollupHeader memory h = _headers[_forged[_forged.length - 1 - random % reach].rollup];
        if (h.number >= _canonical.length) return;
        vm.prank(accuser);
        try rollups.accuse(h, _canonical[h.number]) {} catch {}
        vm.prank(accuser);
        try rollups.accuse(h, _head) {} catch {}
        try rollups.slash(h, _canonical[h.number]) {
            slashed++;
            register(vm.addr(forgerKey()), MINIMUM_STAKE);
            admit(vm.addr(forgerKey()));
        } catch {}
    }

    function withdrawOnL2(uint256 which, uint256 amount) external {
        address asset = assets[which % ASSETS];
        uint256 available = asset == address(obx) ? user.balance : onL2(asset);
        if (available == 0) return;
        amount = bound(amount, 1, available);
        _burned.push(Withdrawal(l2Bridge.withdrawalCount(), asset, receiver, amount));
        vm.prank(user, user);
        if (asset == address(obx)) l2Bridge.withdrawNative{value: amount}(receiver);
        else l2Bridge.withdraw(asset, amount, receiver);
        outbound[asset] += amount;
    }

    /// @dev Lets time pass; the honest aggregators publish at least every third block.
    function advance(uint256 blocks) external {
        for (blocks = bound(blocks, 1, 24); blocks > 3; blocks -= 3) {
            vm.roll(vm.getBlockNumber() + 3);
            publishHonestly();
        }
        vm.roll(vm.getBlockNumber() + blocks);
        publishHonestly();
    }

    /// @dev Forges one to three rollups on any rollup there is, honest or forged, that list everything as the thief's.
    function forge(uint256 random, bool nextIndex) external {
        Published[] storage parents = random % 2 == 0 ? _honest : _forged;
        bytes32 parent = parents.length == 0 ? CONFIG_HASH : parents[pick(parents.length, random >> 8)].rollup;
        for (uint256 i = 0; i < 1 + random % 3; i++) {
            parent = forgeOn(parent, nextIndex ? l2Bridge.withdrawalCount() : uint64(random >> 200));
        }
    }

    function forgeOn(bytes32 parent, uint64 index) private returns (bytes32) {
        vm.roll(vm.getBlockNumber() + 1);
        Published storage forged = _forged.push();
        for (uint256 i = 0; i < ASSETS; i++) {
            uint256 all = bridge.locked(assets[i]);
            if (all > 0) forged.withdrawals.push(Withdrawal(index++, assets[i], thief, all));
        }
        forged.includedAt = vm.getBlockNumber();
        forged.rollup = publishList(forgerKey(), parent, forged.withdrawals);
        publishHonestly();
        return forged.rollup;
    }

    /// @dev Tries to take out of every forged rollup whatever it lists.
    function steal() external {
        for (uint256 i = 0; i < _forged.length; i++) {
            attempt(_forged[i]);
        }
    }

    /// @dev Tries to pay every withdrawal of the newest honest rollups and of a random one, paid before or not.
    function pay(uint256 random) external {
        for (uint256 i = 1; i <= RECENT && i <= _honest.length; i++) {
            attempt(_honest[_honest.length - i]);
        }
        if (_honest.length != 0) attempt(_honest[random % _honest.length]);
    }

    function onL2(address asset) public returns (uint256) {
        if (asset == address(obx)) return user.balance + address(pool).balance;
        WrappedToken wrapped = WrappedToken(l2Bridge.wrapped(asset));
        return address(wrapped) == address(0) ? 0 : balance(wrapped, user);
    }

    function stolen(address asset) external view returns (uint256) {
        return asset == address(0) ? thief.balance : IERC20(asset).balanceOf(thief);
    }

    /// @dev Mostly a young one, or nothing would wait to be paid below a fork.
    function pick(uint256 length, uint256 random) private pure returns (uint256) {
        uint256 reach = length < RECENT || random % 4 == 0 ? length : RECENT;
        return length - 1 - (random >> 8) % reach;
    }

    function attempt(Published storage published) private {
        bytes32[] memory leaves = Merkle.leaves(published.withdrawals);
        bool suspended = isDeeplyForked();
        for (uint256 i = 0; i < leaves.length; i++) {
            Withdrawal memory w = published.withdrawals[i];
            try bridge.withdraw(published.rollup, w.index, w.asset, w.to, w.amount, leaves.proof(i)) {
                timesPaid[w.index]++;
                paidCount++;
                if (suspended) paidWhileSuspended++;
                if (w.to != thief) outbound[w.asset] -= w.amount;
            } catch {}
        }
    }

    /// @dev Whether a deep fork is alive for certain, by the words of the rule and not by what the contract remembers: a
    /// forged branch progressed within the timeout, and both it and the canonical chain stand two above where they part.
    function isDeeplyForked() private view returns (bool) {
        for (uint256 i = _forged.length; i > 0; i--) {
            Published storage forged = _forged[i - 1];
            if (forged.includedAt + FORK_TIMEOUT_BLOCKS < vm.getBlockNumber()) return false;
            uint256 number = _headers[forged.rollup].number;
            uint256 meet = number;
            for (bytes32 at = forged.rollup; meet >= _canonical.length || _canonical[meet] != at; meet--) {
                at = _headers[at].parent;
            }
            if (number >= meet + 2 && _canonical.length - 1 >= meet + 2) return true;
        }
        return false;
    }

    /// @dev The next rollup of the canonical chain: withdrawals so far, then deposits so far.
    function publishHonestly() private {
        if (rollups.rollup(_head).includedAt == vm.getBlockNumber()) return;
        Published storage published = _honest.push();
        published.withdrawals = _burned;
        delete _burned;
        for (; _cursor < _deposits.length; _cursor++) {
            Deposit memory d = _deposits[_cursor];
            inbound[d.asset] -= d.amount;
            if (d.asset == address(obx)) vm.deal(d.to, d.to.balance + d.amount);
            else credit(d.asset, d.to, d.amount);
        }
        published.rollup = publishList(GENESIS_KEY, _head, published.withdrawals);
        _head = published.rollup;
        _canonical.push(_head);
    }

    function publishList(uint256 key, bytes32 parent, Withdrawal[] memory withdrawals) private returns (bytes32 hash) {
        IRollupManagement.RollupHeader memory h = header(parent);
        h.withdrawalsRoot = Merkle.leaves(withdrawals).root();
        hash = publishAs(key, h);
        _headers[hash] = h;
    }

    function forgerKey() private view returns (uint256) {
        return 0xf000 + slashed;
    }
}

contract BridgeInvariants is Network {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    BridgeHandler private handler;

    function setUp() public {
        handler = new BridgeHandler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev What forge may call of it.
    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0].addr = address(handler);
        targets[0].selectors = new bytes4[](10);
        targets[0].selectors[0] = BridgeHandler.deposit.selector;
        targets[0].selectors[1] = BridgeHandler.withdrawOnL2.selector;
        targets[0].selectors[2] = BridgeHandler.advance.selector;
        targets[0].selectors[3] = BridgeHandler.forge.selector;
        targets[0].selectors[4] = BridgeHandler.steal.selector;
        targets[0].selectors[5] = BridgeHandler.pay.selector;
        targets[0].selectors[6] = BridgeHandler.mint.selector;
        targets[0].selectors[7] = BridgeHandler.earn.selector;
        targets[0].selectors[8] = BridgeHandler.burn.selector;
        targets[0].selectors[9] = BridgeHandler.prosecute.selector;
    }

    /// @dev Protocol 9.5: what the vault holds covers what L2 holds and what is on its way, for every asset, exactly.
    function invariant_conservation() public {
        BridgeManagement bridge = handler.bridge();
        for (uint256 i = 0; i < handler.ASSETS(); i++) {
            address asset = handler.assets(i);
            uint256 held = asset == address(0) ? address(bridge).balance : IERC20(asset).balanceOf(address(bridge));
            uint256 locked = bridge.locked(asset);
            vm.assertGe(held, locked);
            vm.assertEq(locked, handler.onL2(asset) + handler.inbound(asset) + handler.outbound(asset));
        }
    }

    /// @dev OBX comes into being by minting alone, within its bound, and slashing only moves it.
    function invariant_supply() public view {
        ObscuroToken obx = handler.bridge().obx();
        vm.assertLe(obx.minted(), obx.mintableMax());
        vm.assertEq(obx.totalSupply(), 1_000_000e18 + obx.minted() - handler.burnt());
    }

    function invariant_nothingIsPaidWhileADeepForkIsAlive() public view {
        vm.assertEq(handler.paidWhileSuspended(), 0);
    }

    function invariant_nothingIsStolen() public view {
        for (uint256 i = 0; i < handler.ASSETS(); i++) {
            vm.assertEq(handler.stolen(handler.assets(i)), 0);
        }
    }

    function invariant_noWithdrawalIsPaidTwice() public view {
        uint256 sum = 0;
        for (uint256 i = 0; sum < handler.paidCount(); i++) {
            uint256 times = handler.timesPaid(i);
            vm.assertLe(times, 1);
            sum += times;
        }
    }
}
