//! Blocks, calls and estimates, against hand-assembled contracts.

mod calls;
mod fixture;
mod rules;
mod transactions;
