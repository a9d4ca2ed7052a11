//! What of `tests/common` of actix-process the tests of these examples use.

#![allow(dead_code, unused_imports, reason = "a part of each file is used")]

#[path = "../../../../tests/common/amount.rs"]
mod amount;
#[path = "../../../../tests/common/census.rs"]
pub mod census;
#[path = "../../../../tests/common/example.rs"]
pub mod example;
#[path = "../../../../tests/common/isolated.rs"]
pub mod isolated;
#[path = "../../../../tests/common/mounts.rs"]
pub mod mounts;
#[path = "../../../../tests/common/patterns.rs"]
pub mod patterns;
#[path = "../../../../tests/common/waiting.rs"]
mod waiting;

pub use amount::amount;
pub use waiting::{DEADLINE, eventually};
