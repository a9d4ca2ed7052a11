//! Services that a monitor keeps running.

#[path = "../common/mod.rs"]
mod common;

mod changes;
mod companions;
mod containment;
mod daemons;
mod each_message;
mod exits;
mod first;
mod follows;
mod gate;
mod guard_missing;
mod host_death;
#[cfg(feature = "serde")]
mod json;
mod lease_starts;
mod leases;
mod liveness;
mod nothing_left;
mod notify;
mod order;
mod own_protocol;
mod pid_reuse;
mod random_requests;
mod readiness;
mod requests;
mod resource_errors;
mod restarts;
mod runtimes;
mod scale;
mod secrecy;
mod shutdown;
mod shutdown_from_inside;
mod signals_to_the_host;
mod sinks;
mod specs;
mod start_closures;
mod status;
mod stops;
mod stops_of_starts;
mod sudden_ends;
mod terminals;
mod tools;
mod unkillable;
mod watched;
