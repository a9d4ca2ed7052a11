//! Services that a monitor keeps running.

#[path = "../common/mod.rs"]
mod common;
mod tools;

mod containment;
mod first;
mod follows;
mod host_death;
mod hosts;
#[cfg(feature = "serde")]
mod json;
mod nothing_left;
mod pid_reuse;
mod requests;
mod runtimes;
mod secrecy;
mod shutdown;
mod shutdown_from_inside;
mod signals_to_the_host;
mod sinks;
mod status;
mod sudden_ends;
mod terminals;
