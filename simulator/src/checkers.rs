//! What must hold after every event. Each checker is fed what was seen and says what it finds wrong; a test
//! plants the fault that it must find. Not here: what to do then (`run`).

pub mod agreement;
pub mod building;
pub mod conservation;
pub mod forced;
pub mod liveness;
pub mod lottery;
pub mod once;
pub mod rewards;
#[cfg(test)]
mod tests;
pub mod withdrawals;

use crate::{
    node::Node,
    world::{Seen, World},
};

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub checker: &'static str,
    /// What was found.
    pub text: String,
    /// Nodes concerned.
    pub nodes: Vec<usize>,
}

impl Violation {
    /// A violation that concerns these nodes.
    pub fn new(checker: &'static str, text: String, nodes: impl Into<Vec<usize>>) -> Self {
        Self { checker, text, nodes: nodes.into() }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.checker, self.text)
    }
}

/// What a checker says.
pub type Verdict = Result<(), Violation>;

/// All of them.
#[derive(Default)]
pub struct Checkers {
    agreement: agreement::Agreement,
    building: building::Building,
    once: once::Once,
    forced: forced::Forced,
    conservation: conservation::Conservation,
    rewards: rewards::Rewards,
    withdrawals: withdrawals::Withdrawals,
    lottery: lottery::Lottery,
    /// Also asked for its counts.
    pub liveness: liveness::Liveness,
}

impl Checkers {
    /// After an event.
    pub fn check(&mut self, nodes: &[Node], world: &mut World) -> Verdict {
        if let Some(leak) = world.leaks.take().into_iter().next() {
            return Err(Violation::new("secrecy", leak, []));
        }
        for seen in std::mem::take(&mut world.seen) {
            self.look(&seen, nodes, world)?;
        }
        Ok(())
    }

    fn look(&mut self, seen: &Seen, nodes: &[Node], world: &mut World) -> Verdict {
        match seen {
            Seen::Head { node, head } => {
                self.agreement.head(*node, head, world)?;
                self.once.head(*node, head, world)?;
                self.forced.head(*node, head, world)?;
                self.conservation.head(&nodes[*node], head, world)?;
                self.rewards.head(&nodes[*node], head, world)?;
                self.liveness.head(*node, head, world);
            }
            Seen::Sealed { node, rollup } => {
                self.building.sealed(*node, &rollup.header, world)?;
                self.lottery.sealed(*node, rollup, world)?;
            }
            Seen::Block(block) => {
                self.withdrawals.block(*block, world)?;
                self.liveness.block(*block, nodes, world)?;
            }
            Seen::Disturbed => self.liveness.disturbed(world),
            Seen::Fatal { node, reason, is_excused } => {
                self.liveness.disturbed(world);
                if nodes[*node].is_honest() && !is_excused {
                    return Err(Violation::new("nodes go on", reason.clone(), [*node]));
                }
            }
            Seen::Made(transaction) => self.once.made(*transaction),
            Seen::Wrong(checker, text) => {
                return Err(Violation::new(checker, text.clone(), []));
            }
        }
        Ok(())
    }

    /// When all is calm and time is up.
    pub fn finish(&mut self, nodes: &[Node], world: &mut World) -> Verdict {
        self.check(nodes, world)?;
        self.agreement.finish(nodes, world)?;
        self.once.finish(nodes, world)
    }
}
