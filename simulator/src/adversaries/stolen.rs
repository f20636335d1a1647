//! What the owner of a broken TEE can make with its keys: rollups of any content, well signed, with
//! the one nonce that its lottery key draws. Not here: what they are for.

use crate::{device::Secrets, node::Node, world::World};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use k256::ecdsa::SigningKey;
use obscuro_enclave::device::Entropy;
use obscuro_protocol::{
    lottery::{self, Draw, LotteryKey},
    payload::{self, Payload},
    rollup::{RollupHeader, SignedRollup, Withdrawal, signing_domain, withdrawals_root},
    secret::Secret,
};

/// OBX that forged withdrawals order.
const LOOT: u64 = 1_000;

/// Signs a header with a stolen key.
pub fn sign(secrets: &Secrets, header: &RollupHeader, world: &World) -> Option<Bytes> {
    let config = &world.config;
    let domain = signing_domain(config.l1ChainId, config.contracts.rollupManagement);
    let key = SigningKey::from_slice(&secrets.signing).ok()?;
    let digest = header.signing_hash(&domain);
    let (signature, recovery) = key.sign_prehash_recoverable(digest.as_slice()).ok()?;
    Some([signature.to_bytes().as_slice(), &[27 + recovery.to_byte()]].concat().into())
}

/// What the round of a header is drawn by.
pub fn draw(header: &RollupHeader, world: &World) -> Option<Draw> {
    let randao = world.l1.block(header.l1Proof)?.header.mix_hash;
    Some(Draw { config_hash: world.config.hash(), number: header.number, randao })
}

/// A rollup like a genuine one that also pays the thief.
pub fn forge(
    node: &Node,
    like: &RollupHeader,
    thief: Address,
    world: &World,
) -> Option<SignedRollup> {
    let secrets = node.steal(world)?;
    let seed = secrets.seed.as_ref()?;
    let index = 1_000_000 + like.number;
    let asset = world.config.contracts.obscuroToken;
    let amount = U256::from(LOOT) * U256::from(10).pow(U256::from(18));
    let withdrawals = vec![Withdrawal { index, asset, to: thief, amount }];
    let payload = Payload { items: Vec::new(), withdrawals };
    let interval = |option| world.config.reveal_interval(option, like.l1ProofNumber);
    let bytes = payload::seal(&payload, seed, interval, &mut Entropy(&node.device)).ok()?;
    let lottery_proof = LotteryKey::new(&Secret::new(secrets.lottery)).prove(&draw(like, world)?);
    let header = RollupHeader {
        nonce: lottery::nonce(&lottery_proof),
        payloadHash: keccak256(&bytes),
        withdrawalsRoot: withdrawals_root(&payload.withdrawals),
        ..like.clone()
    };
    let signature = sign(&secrets, &header, world)?;
    Some(SignedRollup { header, signature, lottery_proof, payload: bytes })
}

/// The header of a child, as far as L1 checks it.
pub fn child(parent: &RollupHeader, proof: (u64, B256), aggregator: Address) -> RollupHeader {
    RollupHeader {
        parent: parent.hash(),
        number: parent.number + 1,
        l1ProofNumber: proof.0,
        l1Proof: proof.1,
        aggregator,
        ..parent.clone()
    }
}
