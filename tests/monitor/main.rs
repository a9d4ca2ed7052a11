//! Services that a monitor keeps running.

#[path = "../common/mod.rs"]
mod common;

mod companions;
mod containment;
mod first;
mod host_death;
mod hosts;
mod nothing_left;
mod order;
mod pid_reuse;
mod random_requests;
mod requests;
mod resource_errors;
mod restarts;
mod shutdown;
mod shutdown_from_inside;
mod signals_to_the_host;
mod specs;
mod stops;
mod stops_of_starts;
mod sudden_ends;
mod unkillable;
mod watched;
