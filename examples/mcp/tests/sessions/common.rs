//! What of `tests/common` of actix-process the tests of this example use.

#![allow(dead_code, reason = "a part of each file is used")]

#[path = "../../../../tests/common/census.rs"]
pub mod census;
#[path = "../../../../tests/common/example.rs"]
pub mod example;
#[path = "../../../../tests/common/executables.rs"]
mod executables;
#[path = "../../../../tests/common/isolated.rs"]
pub mod isolated;
#[path = "../../../../tests/common/servers.rs"]
pub mod servers;
#[path = "../../../../tests/common/waiting.rs"]
mod waiting;

pub use executables::write_executable;
pub use waiting::{DEADLINE, eventually, run};
