// SPDX-License-Identifier: MIT
// Tests of NetworkManagement.register and of the constructor, reverts first. What does not live here: reasons to refuse a
// quote that registrations do not know of (attestation/Verify.t.sol).
pragma solidity 0.8.37;

import {NetworkManagement} from "../../src/NetworkManagement.sol";
import {IAttestationVerifier} from "../../src/interfaces/IAttestationVerifier.sol";
import {INetworkManagement} from "../../src/interfaces/INetworkManagement.sol";
import {Network} from "../support/Network.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

contract RegisterTest is Network {
    address private immutable enclave = vm.addr(0xe1);
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
        new NetworkManagement(IERC20(address(0)), attestation, CONFIG_HASH, 1, 1, 1, governor, address(1));
        vm.expectRevert(INetworkManagement.ZeroAddress.selector);
        new NetworkManagement(obx, IAttestationVerifier(address(0)), CONFIG_HASH, 1, 1, 1, governor, address(1));
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

    function test_register_revertsForLotteryKeyLength() public {
        INetworkManagement.Registration memory r = genesisRegistration();
        r.lotteryKey = filled(95, 0x12);
        expectRegisterRevert(r, abi.encodeWithSelector(INetworkManagement.BadKeyLength.selector, 95));
        r.lotteryKey = filled(97, 0x12);
        expectRegisterRevert(r, abi.encodeWithSelector(INetworkManagement.BadKeyLength.selector, 97));
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

    function expectQuoteRefused(INetworkManagement.Registration memory r, bytes4 error) private {
        vm.expectPartialRevert(error);
        vm.prank(operator);
        network.register{value: FEE}(r);
    }

    function test_register_revertsForMeasurement() public {
        INetworkManagement.Registration memory r = genesisRegistration();
        r.quote = quote(keccak256("other"), reportData(r, operator));
        expectQuoteRefused(r, IAttestationVerifier.MeasurementNotAdmitted.selector);
    }

    function test_register_revertsForRemovedMachine() public {
        INetworkManagement.Registration memory r = genesisRegistration();
        attest(r, operator);
        vm.prank(governor);
        attestation.removeMachine(machineOf(PPID));
        expectQuoteRefused(r, IAttestationVerifier.MachineNotAdmitted.selector);
    }

    /// @dev Every field the report data binds: a quote made for one value is refused for another.
    function test_register_revertsForAnyChangeAfterAttestation(uint256 field) public {
        INetworkManagement.Registration memory r = genesisRegistration();
        attest(r, operator);
        address caller = operator;
        field = bound(field, 0, 6);
        if (field == 0) r.enclave = enclave;
        else if (field == 1) r.encryptionKey[7] = 0xff;
        else if (field == 2) r.networkKey[7] = 0xff;
        else if (field == 3) r.encryptedSeed[7] = 0xff;
        else if (field == 4) r.l1Block -= 1;
        else if (field == 5) r.lotteryKey[7] = 0xff;
        else caller = stranger;
        vm.deal(stranger, FEE);
        vm.expectPartialRevert(IAttestationVerifier.WrongReportData.selector);
        vm.prank(caller);
        network.register{value: FEE}(r);
    }

    function test_register_revertsForQuoteOfAnotherNode() public {
        registerGenesis();
        INetworkManagement.Registration memory first = registration(enclave, 0);
        attest(first, operator);
        INetworkManagement.Registration memory second = registration(vm.addr(0xe2), 0);
        second.quote = first.quote;
        expectQuoteRefused(second, IAttestationVerifier.WrongReportData.selector);
    }

    /// @dev Old enough that L1 has forgotten the block, whose hash cannot be given instead.
    function test_register_revertsForReplayedQuote() public {
        INetworkManagement.Registration memory r = genesisRegistration();
        attest(r, operator);
        vm.roll(START + 300);
        expectQuoteRefused(r, INetworkManagement.StaleBlock.selector);
        r.l1Block = START + 299;
        expectQuoteRefused(r, IAttestationVerifier.WrongReportData.selector);
    }

    function test_register_revertsForQuoteOfOtherContractOrConfig() public {
        INetworkManagement.Registration memory r = genesisRegistration();
        attest(r, operator);
        NetworkManagement genuine = network;
        network = new NetworkManagement(
            obx, attestation, CONFIG_HASH, MINIMUM_STAKE, FEE, UNBONDING_BLOCKS, governor, address(rollups)
        );
        expectQuoteRefused(r, IAttestationVerifier.WrongReportData.selector);
        // At the same address, but with another NetworkConfig.
        vm.etch(
            address(genuine),
            address(
                new NetworkManagement(
                    obx, attestation, "other", MINIMUM_STAKE, FEE, UNBONDING_BLOCKS, governor, address(rollups)
                )
            )
            .code
        );
        network = genuine;
        expectQuoteRefused(r, IAttestationVerifier.WrongReportData.selector);
    }

    function test_register_revertsForQuoteOfOtherChain() public {
        INetworkManagement.Registration memory r = genesisRegistration();
        attest(r, operator);
        vm.chainId(1);
        expectQuoteRefused(r, IAttestationVerifier.WrongReportData.selector);
    }

    function test_register_revertsForStakeThatDoesNotFit() public {
        INetworkManagement.Registration memory r = genesisRegistration();
        r.stake = MINIMUM_STAKE + 1;
        expectRegisterRevert(r, abi.encodeWithSelector(INetworkManagement.BadStake.selector, r.stake));
        r.stake = 16_777_216e18;
        expectRegisterRevert(r, abi.encodeWithSelector(INetworkManagement.BadStake.selector, r.stake));
    }

    function test_register_revertsWithoutTheStake() public {
        uint256 balance = obx.balanceOf(operator);
        vm.prank(operator);
        assert(obx.transfer(governor, balance - MINIMUM_STAKE + 1));
        INetworkManagement.Registration memory r = genesisRegistration();
        attest(r, operator);
        bytes4 poor = IERC20Errors.ERC20InsufficientBalance.selector;
        vm.expectRevert(abi.encodeWithSelector(poor, operator, MINIMUM_STAKE - 1, MINIMUM_STAKE));
        vm.prank(operator);
        network.register{value: FEE}(r);
    }

    function test_register_foundsTheNetwork() public {
        INetworkManagement.Registration memory r = genesisRegistration();
        attest(r, operator);
        vm.expectEmit(address(network));
        emit INetworkManagement.NodeRegistered(
            founder,
            operator,
            r.quote,
            r.encryptionKey,
            r.lotteryKey,
            r.hostAddress,
            r.stake,
            r.l1Block,
            blockhash(r.l1Block)
        );
        vm.expectEmit(address(network));
        emit INetworkManagement.NetworkKeyPublished(1, founder, r.networkKey);
        vm.expectEmit(address(network));
        emit INetworkManagement.SeedShared(founder, founder, 1, r.encryptedSeed);
        vm.prank(operator);
        network.register{value: FEE}(r);

        vm.assertEq(network.networkKeyHash(1), keccak256(r.networkKey));
        vm.assertEq(uint256(network.seedEpoch()), 1);
        vm.assertTrue(network.isAggregator(founder));
        vm.assertEq(network.aggregatorOwner(founder), operator);
        vm.assertEq(network.ownerOf(founder), operator);
        vm.assertEq(network.fees(operator), FEE);
        vm.assertEq(obx.balanceOf(address(network)), MINIMUM_STAKE);
        INetworkManagement.Node memory n = network.node(founder);
        vm.assertEq(n.owner, operator);
        vm.assertEq(uint256(n.attestedAt), START - 1);
        vm.assertEq(uint256(n.leftAt), 0);
        vm.assertEq(uint256(n.seedEpoch), 1);
        vm.assertEq(n.responder, founder);
        vm.assertEq(uint256(n.stake), MINIMUM_STAKE / 1e18);
        (bytes32 measurement, bytes32 machine) = attestation.admitted(n.admission);
        vm.assertEq(measurement, MEASUREMENT);
        vm.assertEq(machine, machineOf(PPID));
    }

    function test_register_waitsForTheSeed() public {
        registerGenesis();
        register(enclave, MINIMUM_STAKE);
        vm.assertTrue(network.isMember(enclave));
        vm.assertFalse(network.isResponder(enclave));
        vm.assertFalse(network.isAggregator(enclave));
        admit(enclave);
        vm.assertTrue(network.isAggregator(enclave));
    }

    function test_register_acceptsVerifierWithoutStake() public {
        registerGenesis();
        register(enclave, 0);
        admit(enclave);
        vm.assertFalse(network.isAggregator(enclave));
        vm.assertTrue(network.isResponder(enclave));
    }

    function test_register_verifierIsNoAggregatorWithZeroMinimum() public {
        network =
            new NetworkManagement(obx, attestation, CONFIG_HASH, 0, FEE, UNBONDING_BLOCKS, governor, address(rollups));
        INetworkManagement.Registration memory r = genesisRegistration();
        r.stake = 0;
        attest(r, operator);
        vm.prank(operator);
        network.register{value: FEE}(r);
        vm.assertFalse(network.isAggregator(founder));
    }

    function test_register_acceptsATd() public {
        registerGenesis();
        INetworkManagement.Registration memory r = registration(enclave, 0);
        r.quote = quote(tdxSpec(reportData(r, operator)));
        vm.prank(operator);
        network.register{value: FEE}(r);
        (bytes32 measurement,) = attestation.admitted(network.node(enclave).admission);
        vm.assertEq(measurement, tdMeasurement());
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
}
