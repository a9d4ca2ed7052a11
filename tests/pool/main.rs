//! Jobs to worker processes.

#[path = "../common/mod.rs"]
mod common;

mod cancels;
mod conformance;
mod framings;
mod insight;
mod one_shots;
mod recycling;
mod reloads;
mod retries;
mod scheduling;
mod specs;
mod starts;
mod streams;
mod timeouts;
mod told_worker;

/// The worker of the examples, in Python.
pub(crate) fn worker_py() -> actix_process::Command {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/workers/worker.py");
    actix_process::Command::new("python3").arg(path)
}
