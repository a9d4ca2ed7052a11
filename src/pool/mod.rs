//! Jobs to worker processes: one right outcome each.

mod access;
mod actor;
mod admission;
mod answer;
mod core;
mod error;
mod event;
mod framing;
mod handle;
mod histogram;
mod job;
mod link;
pub mod messages;
#[expect(clippy::module_inception, reason = "the file of `Pool`")]
mod pool;
mod recycling;
mod report;
#[cfg(feature = "serde")]
mod serialize;
mod session;
mod session_frame;
mod settings;
mod shared;
mod stats;
#[cfg(feature = "json")]
mod typed;
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
pub use session::Session;
pub use session_frame::SessionFrame;
pub use stats::{Outcomes, PoolStats, Recycled};
