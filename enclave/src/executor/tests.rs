//! Blocks, calls and estimates, against hand-assembled contracts.

mod calls;
mod data;
mod differential;
mod fixture;
mod privacy;
mod rules;
mod transactions;
