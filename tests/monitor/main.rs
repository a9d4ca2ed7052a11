//! Services that a monitor keeps running.

#[path = "../common/mod.rs"]
mod common;

mod changes;
mod containment;
mod exits;
mod first;
mod host_death;
mod hosts;
mod lease_starts;
mod leases;
mod liveness;
mod nothing_left;
mod notify;
mod own_protocol;
mod pid_reuse;
mod readiness;
mod shutdown;
mod shutdown_from_inside;
mod signals_to_the_host;
mod start_closures;
mod sudden_ends;
mod unkillable;
