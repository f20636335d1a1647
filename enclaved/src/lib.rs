//! The shell inside the TEE: it carries door frames between a Unix socket and the enclave, and
//! gives the enclave its device. Not here: anything that decides or knows; that is the enclave's;
//! the device of development networks (`software-tee`).

pub mod channel;

pub use channel::{run, serve};
