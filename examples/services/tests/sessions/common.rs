//! What of `tests/common` of actix-process the tests of this example use.

#![allow(dead_code, reason = "a part of each file is used")]

#[path = "../../../../tests/common/example.rs"]
pub mod example;
#[path = "../../../../tests/common/waiting.rs"]
mod waiting;

pub use waiting::{DEADLINE, eventually, run};
