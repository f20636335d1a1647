//! How long a lot takes to draw and to verify. Asserts nothing about time.

use alloy_primitives::keccak256;
use obscuro_protocol::{
    lottery::{Draw, LotteryKey, verify},
    secret::Secret,
};
use std::{hint::black_box, time::Instant};

const LOTS: u32 = 200;

fn main() {
    let (config_hash, randao) = (keccak256("config"), keccak256("randao"));
    let numbers = 0..u64::from(LOTS);
    let draws: Vec<_> = numbers.map(|number| Draw { config_hash, number, randao }).collect();
    let key = LotteryKey::new(&Secret::new([7; 32]));
    let began = Instant::now();
    let proofs: Vec<_> = draws.iter().map(|draw| key.prove(draw)).collect();
    println!("draw a lot: {:?}", began.elapsed() / LOTS);
    let public_key = key.public_key();
    let began = Instant::now();
    for (draw, proof) in draws.iter().zip(&proofs) {
        assert!(black_box(verify(&public_key, draw, proof)).is_some());
    }
    println!("verify a lot: {:?}", began.elapsed() / LOTS);
}
