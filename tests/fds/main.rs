//! Which descriptors a child has.

#[path = "../common/mod.rs"]
mod common;

mod closed_stdio;
mod conversions;
mod extra_fds;
mod fd_maps;
mod files;
mod given_away;
mod many_descriptors;
mod many_descriptors_at_once;
mod merging;
mod pipelines;
mod random_maps;
