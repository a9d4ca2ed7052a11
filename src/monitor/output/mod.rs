//! The output of services: what is kept of it, who follows it, and where it goes. And the feed of the monitor's events, which is followed
//! in the same way.

mod broadcast;
mod file_queue;
mod file_sink;
mod follow;
mod follow_raw;
mod line_cutter;
mod line_ring;
mod log_sink;
mod raw_ring;
mod service_output;
mod since;
mod sinks;
mod spec;
mod tail_bytes;
mod watched;

#[cfg(test)]
mod tests;

pub(crate) use broadcast::{Broadcast, BroadcastItem, Subscription};
pub(crate) use file_sink::{FileNews, OnFileNews};
pub use follow::{Follow, Followed};
pub use follow_raw::{FollowRaw, FollowedRaw};
pub(crate) use service_output::{OutputSource, ServiceOutput};
pub use since::Since;
pub(crate) use sinks::SeenLine;
pub(crate) use spec::OutputSpec;
pub use spec::ServiceLine;
pub(super) use tail_bytes::last;
