//! Jobs for pools from NATS JetStream, on real servers.

#[path = "../common/mod.rs"]
mod common;

mod cluster;
mod configuration;
mod credit;
mod failures;
mod long_jobs;
mod network;
mod once;
mod outcomes;
mod poison;
mod secrecy;
mod stalls;
mod stops;
mod submitters;
mod tools;
mod traps;
