//! host

pub mod rpc;
