//! A whole network under virtual time, from one seed: the real enclave, the host's real cores and the
//! embedded L1 with its real contracts; only sockets, disks and clocks are replaced.
//!
//! Requires: nothing.
//! Provides: [`run::play`], a run of a [`scenario::Scenario`] with every invariant checked after every
//! event; the same seed and commit give the same run, bit for bit.
//! Does not provide: threads, a clock, entropy.

pub mod adversaries;
pub mod checkers;
pub mod checks;
pub mod chi_square;
pub mod device;
pub mod disk;
pub mod events;
pub mod faults;
pub mod journal;
pub mod l1;
pub mod leaks;
pub mod node;
pub mod page;
pub mod prosecutor;
pub mod random;
pub mod reference;
pub mod report;
pub mod rewards;
pub mod run;
pub mod scenario;
pub mod users;
pub mod world;
