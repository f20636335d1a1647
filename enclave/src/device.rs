//! The TEE as the enclave sees it. Not here: any implementation (`enclaved`, `software-tee`).

use crate::trie::DEFAULT_CACHED_NODES;
use alloy_primitives::B256;
use obscuro_protocol::{attestation::Stripped, checks::Checks, secret::Secret};
use rand_core::{Infallible, TryCryptoRng, TryRng};

/// The device cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("TEE device: {0}")]
pub struct DeviceError(pub String);

/// A piece of work that needs no other to be done before.
pub type Task<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Fewer items are not worth a core of their own.
const SHARE_MIN: usize = 64;

/// What the hardware gives the program that runs in it.
pub trait Device: Send + Sync + 'static {
    /// Fills `out` with entropy that the host does not know.
    fn entropy(&self, out: &mut [u8]);
    /// A quote over 32 bytes of report data, in the form that goes to L1, and the certificates that it
    /// hangs from, the machine's first. L1 must know them before it can verify the quote; they can
    /// change while the program runs, when the machine is certified anew.
    fn quote(&self, report_data: B256) -> Result<Stripped, DeviceError>;
    /// A key that only this program on this machine can obtain again.
    fn sealing_key(&self) -> Secret;

    /// How many tasks [`Self::run`] works on at once.
    fn cores(&self) -> usize {
        1
    }

    /// How many nodes of the state's tries it has memory for.
    fn cached_nodes(&self) -> usize {
        DEFAULT_CACHED_NODES
    }

    /// What checks signatures, and draws lots.
    fn checks(&self) -> Checks {
        Checks::default()
    }

    /// Does all tasks and returns when the last is done. The enclave starts no threads: whoever
    /// runs it may do them side by side.
    fn run(&self, tasks: Vec<Task<'_>>) {
        for task in tasks {
            task();
        }
    }
}

/// What `work` makes of every item, in their order; each core has its share, but none of fewer than
/// [`SHARE_MIN`] items. Other tasks are done as well.
pub fn map<T: Sync, R: Send>(
    device: &dyn Device,
    others: Vec<Task<'_>>,
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let share = items.len().div_ceil(device.cores().max(1)).max(SHARE_MIN);
    let work_off = |items: &[T]| items.iter().map(&work).collect::<Vec<R>>();
    let mut shares: Vec<Option<Vec<R>>> = items.chunks(share).map(|_| None).collect();
    let mut tasks: Vec<Task<'_>> = others;
    for (items, done) in items.chunks(share).zip(&mut shares) {
        tasks.push(Box::new(|| *done = Some(work_off(items))));
    }
    device.run(tasks);
    let done = items.chunks(share).zip(shares);
    // A device that leaves work undone only makes it slow.
    done.flat_map(|(items, done)| done.unwrap_or_else(|| work_off(items))).collect()
}

/// The device's entropy as a generator.
pub struct Entropy<'a>(pub &'a dyn Device);

impl Entropy<'_> {
    /// A fresh 256-bit secret.
    pub fn secret(&self) -> Secret {
        let mut bytes = [0; 32];
        self.0.entropy(&mut bytes);
        Secret::new(bytes)
    }
}

impl TryRng for Entropy<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.entropy(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.entropy(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.entropy(out);
        Ok(())
    }
}

impl TryCryptoRng for Entropy<'_> {}
