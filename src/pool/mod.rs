//! Jobs to worker processes: one right outcome each.

mod access;
mod actor;
mod answer;
mod core;
mod error;
mod event;
mod framing;
mod handle;
mod histogram;
mod job;
mod link;
#[expect(clippy::module_inception, reason = "the file of `Pool`")]
mod pool;
mod recycling;
mod report;
mod settings;
mod shared;
mod stats;
mod wire;
pub mod worker;

pub use answer::{Answer, AnswerStream};
pub use error::{JobError, PoolError};
pub use event::{PoolEvent, PoolEventKind, PoolEvents, PoolReported};
pub use framing::{Framing, Noise};
pub use handle::PoolHandle;
pub use histogram::Histogram;
pub use job::Job;
pub use pool::Pool;
pub use recycling::Recycling;
pub use report::PoolReport;
pub use stats::{Outcomes, PoolStats, Recycled};
