//! Children on terminals.

#[path = "../common/mod.rs"]
mod common;

mod children;
mod descendants;
mod ends;
mod flow;
mod given;
mod keys;
mod leaks;
mod modes;
mod opening;
mod passwords;
mod streams;
