//! Services that a monitor keeps running.

#[path = "../common/mod.rs"]
mod common;

mod first;
mod scale;
