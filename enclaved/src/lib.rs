//! The shell inside the TEE: it carries door frames between a Unix socket and the enclave, and
//! gives the enclave its device. Not here: anything that decides or knows; that is the enclave's.

pub mod channel;
pub mod cores;
pub mod software;

pub use channel::serve;
pub use software::SoftwareDevice;
