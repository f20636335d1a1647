//! Threads for what the enclave can do side by side: it starts none itself. Not here: what they do.

use obscuro_enclave::device::Task;
use std::thread;

/// How many threads are worth starting.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Does the last task here and every other on a thread of its own.
pub fn run(mut tasks: Vec<Task<'_>>) {
    let here = tasks.pop();
    thread::scope(|scope| {
        for task in tasks {
            scope.spawn(task);
        }
        if let Some(task) = here {
            task();
        }
    });
}
