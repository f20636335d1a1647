// SPDX-License-Identifier: MIT
// Tests of NetworkManagement's external functions, reverts first. What does not live here: quotes
// (DevelopmentAttestation.t.sol).
pragma solidity 0.8.37;

import {NetworkManagement} from "../src/NetworkManagement.sol";
import {IAttestationVerifier} from "../src/interfaces/IAttestationVerifier.sol";
import {INetworkManagement} from "../src/interfaces/INetworkManagement.sol";
import {Network} from "./support/Network.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";

contract NetworkManagementTest is Network {
    uint256 private constant KEY = 0xe1;
    address private immutable enclave = vm.addr(KEY);
    address private immutable stranger = makeAddress("stranger");

    function setUp() public {
        deployNetwork();
    }

    function expectRegisterRevert(INetworkManagement.Registration memory r, bytes memory error) private {
        attest(r, operator);
        vm.expectRevert(error);
        vm.prank(operator);
        network.register{value: FEE}(r);
    }

    // constructor

    function test_constructor_revertsForZeroAddresses() public {
        vm.expectRevert(INetworkManagement.ZeroAddress.selector);
        new NetworkManagement(IERC20(address(0)), attestation, CONFIG_HASH, 1, 1, 1);
        vm.expectRevert(INetworkManagement.ZeroAddress.selector);
        new NetworkManagement(obx, IAttestationVerifier(address(0)), CONFIG_HASH, 1, 1, 1);
    }

    // register

    function test_register_revertsForFee() public {
        INetworkManagement.Registration memory r = genesisRegistration();
        attest(r, operator);
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.WrongFee.selector, FEE - 1, FEE));
        vm.prank(operator);
        network.register{value: FEE - 1}(r);
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.WrongFee.selector, FEE + 1, FEE));
        vm.prank(operator);
        network.register{value: FEE + 1}(r);
    }

    function test_register_revertsForZeroEnclave() public {
        INetworkManagement.Registration memory r = genesisRegistration();
        r.enclave = address(0);
        expectRegisterRevert(r, abi.encodeWithSelector(INetworkManagement.ZeroAddress.selector));
    }

    function test_register_revertsForSecondTime() public {
        registerGenesis();
        expectRegisterRevert(
            registration(founder, 0), abi.encodeWithSelector(INetworkManagement.AlreadyRegistered.selector, founder)
        );
        vm.prank(operator);
        network.leave(founder);
        expectRegisterRevert(
            registration(founder, 0), abi.encodeWithSelector(INetworkManagement.AlreadyRegistered.selector, founder)
        );
    }

    function test_register_revertsForEncryptionKeyLength() public {
        INetworkManagement.Registration memory r = genesisRegistration();
        r.encryptionKey = filled(1215, 0x11);
        expectRegisterRevert(r, abi.encodeWithSelector(INetworkManagement.BadKeyLength.selector, 1215));
        r.encryptionKey = filled(1217, 0x11);
        expectRegisterRevert(r, abi.encodeWithSelector(INetworkManagement.BadKeyLength.selector, 1217));
    }

    function test_register_revertsForHostAddressLength() public {
        INetworkManagement.Registration memory r = genesisRegistration();
        r.hostAddress = string(filled(257, "a"));
        expectRegisterRevert(r, abi.encodeWithSelector(INetworkManagement.HostAddressTooLong.selector, 257));
    }

    function test_register_revertsForStakeBelowMinimum(uint256 stake) public {
        stake = bound(stake, 1, MINIMUM_STAKE - 1);
        INetworkManagement.Registration memory r = genesisRegistration();
        r.stake = stake;
        expectRegisterRevert(r, abi.encodeWithSelector(INetworkManagement.StakeTooLow.selector, stake, MINIMUM_STAKE));
    }

    function test_register_revertsForGenesisWithoutKeyOrSeed() public {
        INetworkManagement.Registration memory r = genesisRegistration();
        r.networkKey = "";
        expectRegisterRevert(r, abi.encodeWithSelector(INetworkManagement.GenesisMismatch.selector));
        r = genesisRegistration();
        r.encryptedSeed = "";
        expectRegisterRevert(r, abi.encodeWithSelector(INetworkManagement.GenesisMismatch.selector));
    }

    function test_register_revertsForGenesisBounds() public {
        INetworkManagement.Registration memory r = genesisRegistration();
        r.networkKey = filled(32, 0x22);
        expectRegisterRevert(r, abi.encodeWithSelector(INetworkManagement.BadKeyLength.selector, 32));
        r = genesisRegistration();
        r.encryptedSeed = filled(4097, 0x33);
        expectRegisterRevert(r, abi.encodeWithSelector(INetworkManagement.BadSeedLength.selector, 4097));
    }

    function test_register_revertsForSecondGenesis() public {
        registerGenesis();
        INetworkManagement.Registration memory r = registration(enclave, 0);
        r.networkKey = filled(1216, 0x22);
        expectRegisterRevert(r, abi.encodeWithSelector(INetworkManagement.GenesisMismatch.selector));
        r = registration(enclave, 0);
        r.encryptedSeed = filled(1200, 0x33);
        expectRegisterRevert(r, abi.encodeWithSelector(INetworkManagement.GenesisMismatch.selector));
    }

    function test_register_revertsForBlockWithoutHash() public {
        INetworkManagement.Registration memory r = genesisRegistration();
        r.l1Block = START;
        expectRegisterRevert(r, abi.encodeWithSelector(INetworkManagement.StaleBlock.selector, START));
        r.l1Block = START + 1;
        expectRegisterRevert(r, abi.encodeWithSelector(INetworkManagement.StaleBlock.selector, START + 1));
        r.l1Block = START - 257;
        expectRegisterRevert(r, abi.encodeWithSelector(INetworkManagement.StaleBlock.selector, START - 257));
    }

    function test_register_revertsForMeasurement() public {
        INetworkManagement.Registration memory r = genesisRegistration();
        bytes32 other = keccak256("other");
        r.quote = quote(ROOT_KEY, other, reportData(r, operator));
        vm.expectRevert(abi.encodeWithSelector(IAttestationVerifier.MeasurementNotAdmitted.selector, other));
        vm.prank(operator);
        network.register{value: FEE}(r);
    }

    /// @dev Every field the report data binds: a quote made for one value is refused for another.
    function test_register_revertsForAnyChangeAfterAttestation(uint256 field) public {
        INetworkManagement.Registration memory r = genesisRegistration();
        attest(r, operator);
        address caller = operator;
        field = bound(field, 0, 5);
        if (field == 0) r.enclave = enclave;
        else if (field == 1) r.encryptionKey[7] = 0xff;
        else if (field == 2) r.networkKey[7] = 0xff;
        else if (field == 3) r.encryptedSeed[7] = 0xff;
        else if (field == 4) r.l1Block -= 1;
        else caller = stranger;
        vm.deal(stranger, FEE);
        vm.expectRevert(IAttestationVerifier.QuoteNotTrusted.selector);
        vm.prank(caller);
        network.register{value: FEE}(r);
    }

    function test_register_revertsForQuoteOfOtherContract() public {
        INetworkManagement.Registration memory r = genesisRegistration();
        attest(r, operator);
        NetworkManagement twin =
            new NetworkManagement(obx, attestation, CONFIG_HASH, MINIMUM_STAKE, FEE, UNBONDING_BLOCKS);
        vm.expectRevert(IAttestationVerifier.QuoteNotTrusted.selector);
        vm.prank(operator);
        twin.register{value: FEE}(r);
    }

    function test_register_revertsForQuoteOfOtherChain() public {
        INetworkManagement.Registration memory r = genesisRegistration();
        attest(r, operator);
        vm.chainId(1);
        vm.expectRevert(IAttestationVerifier.QuoteNotTrusted.selector);
        vm.prank(operator);
        network.register{value: FEE}(r);
    }

    function test_register_revertsWithoutAllowance() public {
        vm.prank(operator);
        obx.approve(address(network), MINIMUM_STAKE - 1);
        INetworkManagement.Registration memory r = genesisRegistration();
        attest(r, operator);
        vm.expectRevert();
        vm.prank(operator);
        network.register{value: FEE}(r);
    }

    function test_register_foundsTheNetwork() public {
        INetworkManagement.Registration memory r = genesisRegistration();
        attest(r, operator);
        vm.expectEmit(address(network));
        emit INetworkManagement.NodeRegistered(
            founder, operator, r.quote, r.encryptionKey, r.hostAddress, r.stake, r.l1Block, blockhash(r.l1Block)
        );
        vm.expectEmit(address(network));
        emit INetworkManagement.NetworkKeyPublished(r.networkKey);
        vm.expectEmit(address(network));
        emit INetworkManagement.SeedShared(founder, founder, r.encryptedSeed);
        vm.prank(operator);
        network.register{value: FEE}(r);

        vm.assertEq(network.networkKeyHash(), keccak256(r.networkKey));
        vm.assertTrue(network.isAggregator(founder));
        vm.assertEq(network.ownerOf(founder), operator);
        vm.assertEq(network.fees(operator), FEE);
        vm.assertEq(obx.balanceOf(address(network)), MINIMUM_STAKE);
        vm.assertEq(network.nodeCount(), 1);
        vm.assertEq(network.nodeAt(0), founder);
        INetworkManagement.Node memory n = network.node(founder);
        vm.assertEq(n.owner, operator);
        vm.assertEq(uint256(n.registeredAt), START);
        vm.assertEq(uint256(n.leftAt), 0);
        vm.assertTrue(n.holdsSeed);
        vm.assertEq(n.stake, MINIMUM_STAKE);
        vm.assertEq(n.encryptionKeyHash, keccak256(r.encryptionKey));
        vm.assertEq(n.measurement, MEASUREMENT);
        vm.assertEq(n.hostAddress, r.hostAddress);
    }

    function test_register_waitsForTheSeed() public {
        registerGenesis();
        register(enclave, MINIMUM_STAKE);
        vm.assertFalse(network.isAggregator(enclave));
        vm.assertFalse(network.node(enclave).holdsSeed);
        admit(enclave);
        vm.assertTrue(network.isAggregator(enclave));
    }

    function test_register_acceptsVerifierWithoutStake() public {
        registerGenesis();
        register(enclave, 0);
        admit(enclave);
        vm.assertFalse(network.isAggregator(enclave));
        vm.assertTrue(network.node(enclave).holdsSeed);
    }

    function test_register_verifierIsNoAggregatorWithZeroMinimum() public {
        network = new NetworkManagement(obx, attestation, CONFIG_HASH, 0, FEE, UNBONDING_BLOCKS);
        INetworkManagement.Registration memory r = genesisRegistration();
        r.stake = 0;
        attest(r, operator);
        vm.prank(operator);
        network.register{value: FEE}(r);
        vm.assertFalse(network.isAggregator(founder));
    }

    function test_register_acceptsOneQuoteOfAnOlderBlock(uint64 age) public {
        age = uint64(bound(age, 1, 256));
        INetworkManagement.Registration memory r = genesisRegistration();
        r.l1Block = START - age;
        attest(r, operator);
        vm.prank(operator);
        network.register{value: FEE}(r);
        vm.assertTrue(network.isAggregator(founder));
    }

    // shareSeed

    function share(address to, uint256 responderKey, bytes memory seed) private {
        bytes memory signed = signature(responderKey, seedShareDigest(to, seed));
        network.shareSeed(to, vm.addr(responderKey), seed, signed);
    }

    function test_shareSeed_revertsForUnknownNodes() public {
        registerGenesis();
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.NotRegistered.selector, enclave));
        network.shareSeed(enclave, founder, "seed", "");
        register(enclave, 0);
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.NotRegistered.selector, stranger));
        network.shareSeed(enclave, stranger, "seed", "");
    }

    function test_shareSeed_revertsForResponderWithoutSeed() public {
        registerGenesis();
        register(enclave, 0);
        register(vm.addr(0xe2), 0);
        bytes memory signed = signature(0xe2, seedShareDigest(enclave, "seed"));
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.ResponderHoldsNoSeed.selector, vm.addr(0xe2)));
        network.shareSeed(enclave, vm.addr(0xe2), "seed", signed);
        // Nor can a newcomer answer itself.
        signed = signature(KEY, seedShareDigest(enclave, "seed"));
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.ResponderHoldsNoSeed.selector, enclave));
        network.shareSeed(enclave, enclave, "seed", signed);
    }

    function test_shareSeed_revertsForNodesThatLeft() public {
        registerGenesis();
        register(enclave, 0);
        register(vm.addr(0xe2), 0);
        vm.startPrank(operator);
        network.leave(enclave);
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.NodeHasLeft.selector, enclave));
        network.shareSeed(enclave, founder, "seed", "");
        network.leave(founder);
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.NodeHasLeft.selector, founder));
        network.shareSeed(vm.addr(0xe2), founder, "seed", "");
        vm.stopPrank();
    }

    function test_shareSeed_revertsForSecondAnswer() public {
        registerGenesis();
        register(enclave, 0);
        share(enclave, GENESIS_KEY, "one");
        bytes memory signed = signature(GENESIS_KEY, seedShareDigest(enclave, "two"));
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.AlreadyAnswered.selector, enclave, founder));
        network.shareSeed(enclave, founder, "two", signed);
    }

    function test_shareSeed_revertsForSeedLength() public {
        registerGenesis();
        register(enclave, 0);
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.BadSeedLength.selector, 0));
        network.shareSeed(enclave, founder, "", "");
        vm.expectRevert(abi.encodeWithSelector(INetworkManagement.BadSeedLength.selector, 4097));
        network.shareSeed(enclave, founder, filled(4097, 0x01), "");
    }

    function test_shareSeed_revertsForSignature() public {
        registerGenesis();
        register(enclave, 0);
        bytes memory signed = signature(GENESIS_KEY, seedShareDigest(enclave, "other"));
        vm.expectPartialRevert(INetworkManagement.BadSignature.selector);
        network.shareSeed(enclave, founder, "seed", signed);
    }

    function test_shareSeed_paysTheFirstAnswerOnly() public {
        registerGenesis();
        register(vm.addr(0xe2), 0);
        admit(vm.addr(0xe2));
        uint256 before = network.fees(operator);
        register(enclave, 0);
        bytes memory signed = signature(0xe2, seedShareDigest(enclave, "one"));
        vm.expectEmit(address(network));
        emit INetworkManagement.SeedShared(enclave, vm.addr(0xe2), "one");
        vm.prank(stranger);
        network.shareSeed(enclave, vm.addr(0xe2), "one", signed);
        vm.assertEq(network.fees(operator), before + FEE);
        vm.assertTrue(network.hasAnswered(enclave, vm.addr(0xe2)));

        vm.expectEmit(address(network));
        emit INetworkManagement.SeedShared(enclave, founder, "two");
        share(enclave, GENESIS_KEY, "two");
        vm.assertEq(network.fees(operator), before + FEE);
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

    function test_setHostAddress_replaces() public {
        registerGenesis();
        string memory longest = string(filled(256, "a"));
        vm.expectEmit(address(network));
        emit INetworkManagement.HostAddressChanged(founder, longest);
        vm.prank(operator);
        network.setHostAddress(founder, longest);
        vm.assertEq(network.node(founder).hostAddress, longest);
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
        network = new NetworkManagement(obx, attestation, CONFIG_HASH, MINIMUM_STAKE, FEE, type(uint256).max);
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
        vm.expectRevert();
        network.nodeAt(0);
        vm.assertEq(network.ownerOf(founder), address(0));
        vm.assertFalse(network.isAggregator(founder));
    }

    /// forge-config: default.isolate = true
    function test_gas() public {
        INetworkManagement.Registration memory r = genesisRegistration();
        attest(r, operator);
        vm.prank(operator);
        network.register{value: FEE}(r);
        vm.snapshotGasLastCall("register genesis");
        r = registration(enclave, MINIMUM_STAKE);
        attest(r, operator);
        vm.prank(operator);
        network.register{value: FEE}(r);
        vm.snapshotGasLastCall("register aggregator");
        admit(enclave);
        vm.snapshotGasLastCall("shareSeed first answer");
    }
}

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
        if (network.nodeCount() == 0) {
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
        if (!member(enclave) || !member(by) || !network.node(by).holdsSeed || network.hasAnswered(enclave, by)) return;
        if (!network.node(enclave).holdsSeed) pendingFees -= FEE;
        bytes memory signed = signature(key(responder % NODES), seedShareDigest(enclave, "seed"));
        network.shareSeed(enclave, by, "seed", signed);
    }

    function leave(uint256 random) external {
        address enclave = nodeOf(random);
        if (!member(enclave)) return;
        if (!network.node(enclave).holdsSeed) pendingFees -= FEE;
        vm.prank(operator);
        network.leave(enclave);
    }

    function withdrawStake(uint256 random) external {
        address enclave = nodeOf(random);
        if (network.ownerOf(enclave) == address(0)) return;
        INetworkManagement.Node memory n = network.node(enclave);
        if (n.leftAt == 0 || n.stake == 0 || vm.getBlockNumber() < n.leftAt + UNBONDING_BLOCKS) return;
        staked -= n.stake;
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

    function member(address enclave) private view returns (bool) {
        return network.ownerOf(enclave) != address(0) && network.node(enclave).leftAt == 0;
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
        vm.assertEq(n.nodeCount(), handler.joined());
    }

    function invariant_onlyStakedMembersWithTheSeedAreAggregators() public view {
        (NetworkManagement n,) = handler.contracts();
        for (uint256 i = 0; i < n.nodeCount(); i++) {
            address enclave = n.nodeAt(i);
            INetworkManagement.Node memory node = n.node(enclave);
            bool eligible = node.holdsSeed && node.leftAt == 0 && node.stake >= MINIMUM_STAKE;
            vm.assertEq(n.isAggregator(enclave), eligible);
        }
    }
}
