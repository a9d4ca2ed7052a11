//! Services that a monitor keeps running.

#[path = "../common/mod.rs"]
mod common;

mod containment;
mod first;
mod host_death;
mod hosts;
mod nothing_left;
mod pid_reuse;
mod shutdown;
mod shutdown_from_inside;
mod signals_to_the_host;
mod sudden_ends;
