//! Protocol 5.3: of valid siblings one is canonical, on every enclave the same, whoever executed what
//! before.

use super::*;

/// Valid siblings of two enclaves and several rounds on one parent.
pub(super) struct Siblings {
    pub scene: Scene,
    /// In an earlier round.
    pub early: SignedRollup,
    /// In a later round, with a higher nonce than `early`.
    pub late: SignedRollup,
    /// In the same round as `late`, with a higher nonce.
    pub late_loser: SignedRollup,
    /// As `late`, of the same enclave's next life: the same nonce, another payload.
    late_twin: SignedRollup,
}

impl Siblings {
    fn new() -> Self {
        Self::in_scene(Scene::new())
    }

    pub fn in_scene(mut scene: Scene) -> Self {
        scene.pay(0);
        let lowest = |scene: &Scene| {
            let mut pair = [&scene.first, &scene.second].map(|node| node.seal().unwrap());
            pair.sort_by_key(|rollup| rollup.header.nonce);
            pair
        };
        let [early, _] = lowest(&scene);
        let (late, late_loser) = loop {
            scene.idle();
            let [late, loser] = lowest(&scene);
            if late.header.nonce > early.header.nonce {
                break (late, loser);
            }
        };
        let (machine, sealer) = match late.header.aggregator == scene.first.registration.enclave {
            true => (1, &scene.first),
            false => (2, &scene.second),
        };
        let identity = sealer.kept.lock().unwrap().identity.clone();
        let twin = Node::restart(machine, TestStore::default(), identity);
        twin.catch_up(&scene.l1);
        scene.pay_at(&[&twin], 0);
        let late_twin = twin.seal().unwrap();
        assert_eq!(late_twin.header.nonce, late.header.nonce, "no second draw");
        assert_ne!(late_twin.header.hash(), late.header.hash());
        Self { scene, early, late, late_loser, late_twin }
    }
}

#[test]
fn the_canonical_rule() {
    let siblings = Siblings::new();
    let Siblings { scene, early, late, late_loser, late_twin } = &siblings;
    let mut twins = [late, late_twin];
    twins.sort_by_key(|rollup| rollup.header.hash());
    let mut forged = late.clone();
    forged.header.stateRoot.0[0] ^= 1;
    let (machine, sealer) = match late.header.aggregator == scene.first.registration.enclave {
        true => (1, &scene.first),
        false => (2, &scene.second),
    };
    forged.signature = sign_as(machine, sealer, &forged.header);

    // The rule, what L1's blocks carry, and which rollup is canonical then.
    let cases: Vec<(&str, Vec<Vec<&SignedRollup>>, &SignedRollup)> = vec![
        ("an only child", vec![vec![late_loser]], late_loser),
        ("primogeniture, before the nonce", vec![vec![late_loser], vec![late]], late_loser),
        ("primogeniture, before the proof", vec![vec![early], vec![late]], early),
        ("primogeniture, before the hash", vec![vec![twins[1]], vec![twins[0]]], twins[1]),
        ("primogeniture, however late", vec![vec![late_loser], vec![], vec![late]], late_loser),
        ("most recent proof, before the nonce", vec![vec![early, late]], late),
        ("most recent proof, with any nonce", vec![vec![early, late_loser]], late_loser),
        ("lowest nonce", vec![vec![late, late_loser]], late),
        ("lowest hash", vec![vec![late, late_twin]], twins[0]),
        ("all rules at once", vec![vec![early, late_loser, late, late_twin]], twins[0]),
        ("an invalid sibling does not compete", vec![vec![&forged, late_loser]], late_loser),
        ("an invalid firstborn is no firstborn", vec![vec![&forged], vec![late]], late),
    ];
    // Waits for whatever becomes canonical.
    scene.pay(1);
    for rollup in [early, late, late_loser, late_twin] {
        let candidate = Request::Candidate(Box::new(rollup.clone()));
        assert!(matches!(scene.first.ask(candidate), Ok(Reply::Accepted)));
    }
    for (rule, blocks, winner) in cases {
        for is_reversed in [false, true] {
            let mut branch = scene.l1.clone();
            for mut rollups in blocks.clone() {
                if is_reversed {
                    rollups.reverse();
                }
                publish_all(&mut branch, &rollups);
            }
            // The first has executed all of them ahead of L1, the second its own, the third none.
            let third = follower_of(&scene.first, &branch);
            for (who, node) in [&scene.first, &scene.second, &third].into_iter().enumerate() {
                let head = head_of(node, &branch);
                assert_eq!(head.rollup, winner.header.hash(), "{rule}: enclave {who}");
            }
            for node in [&scene.first, &scene.second] {
                let child = node.seal().expect("a payment waits").header;
                assert_eq!(child.parent, winner.header.hash(), "{rule}: built on another");
                assert_eq!(child.l1Proof, branch.tip.hash, "{rule}");
            }
        }
    }
}
