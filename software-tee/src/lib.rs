//! A TEE without hardware: everything that Intel and a machine would provide, made from public
//! seeds, in Intel's own formats. One verification path serves development and production, and only
//! the trusted root differs.
//!
//! Requires: nothing of the machine but a file for a seed.
//! Provides: the development root with its certificates and collateral, quotes of SGX and TDX, and
//! the enclave's device on top of them.
//! Does not provide: any protection from the operator. The production shell (`enclaved`) does not
//! contain this package.

mod collateral;
mod der;
mod device;
mod l1;
pub mod pki;
pub mod quote;

pub use collateral::CollateralOptions;
pub use device::SoftwareDevice;
pub use l1::policy;
pub use pki::{Authority, Machine, Profile};
pub use quote::{Enclave, TrustDomain};
