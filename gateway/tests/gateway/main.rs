//! The gateway through its own door, with the clients that people use, against a node that the test
//! plays: it holds a network key, opens envelopes and may lie about everything else.

mod fake;
mod hostile;
mod ledger;
mod load;
mod streams;
mod support;
mod viewing;
mod wallet;
