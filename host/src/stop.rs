//! One signal that ends all tasks of a node. Not here: waiting for them (`node`).

use std::time::Duration;
use tokio::sync::watch;

/// Gives the signal; dropping it gives it too.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// Receives the signal.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

/// A signal and its receiver.
pub fn signal() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Ends all tasks.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Waits for the signal.
    pub async fn requested(&self) {
        // It fails only when the sender is gone, which is the signal too.
        let _ = self.0.clone().wait_for(|stop| *stop).await;
    }

    /// Sleeps; returns whether the signal came in the meantime.
    pub async fn sleep(&self, duration: Duration) -> bool {
        tokio::time::timeout(duration, self.requested()).await.is_ok()
    }
}
