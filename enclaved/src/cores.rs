//! Threads for what the enclave can do side by side: it starts none itself. Not here: what they do.

use obscuro_enclave::device::Task;
use std::{
    sync::{Mutex, PoisonError},
    thread,
};

/// How many threads are worth starting.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Does all tasks, here and on a thread for each other core: whoever has done one takes the next.
pub fn run(tasks: Vec<Task<'_>>) {
    let helpers = tasks.len().min(cores()).saturating_sub(1);
    let queue = Mutex::new(tasks.into_iter());
    let work = || {
        while let Some(task) = next(&queue) {
            task();
        }
    };
    thread::scope(|scope| {
        for _ in 0..helpers {
            scope.spawn(work);
        }
        work();
    });
}

/// In a function of its own, so that nobody holds the lock while a task is done.
fn next<T>(queue: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).next()
}
