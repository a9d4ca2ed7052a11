//! Jobs to worker processes.

#[path = "../common/mod.rs"]
mod common;

mod ahead;
mod back_pressure;
mod bounds;
mod broken_lines;
mod broken_one_shots;
mod broken_workers;
mod cancels;
mod chaos;
mod checkout;
mod conformance;
mod ends;
mod examples;
mod faults;
mod framings;
mod insight;
mod losses;
mod messages;
mod one_shots;
mod out_of_memory;
mod outcomes;
mod packets;
mod progress;
mod prompt_ends;
mod recycling;
mod reloads;
mod retries;
mod scheduling;
mod secrecy;
mod specs;
mod starts;
mod streams;
mod sudden_ends;
mod timeouts;
mod told_worker;
#[cfg(feature = "json")]
mod typed;
mod unkillable;
mod worker_py;
mod workers;

/// The worker of the examples, in Python.
pub(crate) fn worker_py() -> actix_process::Command {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/workers/worker.py");
    actix_process::Command::new("python3").arg(path)
}
