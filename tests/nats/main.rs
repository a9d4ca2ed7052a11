//! Jobs for pools from NATS JetStream, on real servers.

#[path = "../common/mod.rs"]
mod common;

mod adoption;
mod anew;
mod away;
mod cluster;
mod configuration;
mod credit;
mod failures;
mod ids;
mod limits;
mod long_jobs;
mod network;
mod once;
mod outcomes;
mod poison;
mod results;
mod secrecy;
mod shared;
mod stalls;
mod stops;
mod submitters;
mod tools;
mod traps;
