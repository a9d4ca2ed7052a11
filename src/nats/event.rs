//! What happens to a feed.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;

use super::result::JobId;
use super::verdict::LostHow;
use crate::monitor::output::{BroadcastItem, Subscription};

/// Something that happened to a feed. It holds no content of jobs or results.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(tag = "kind", rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum FeedEvent {
    /// An attempt was lost. Another one follows.
    #[non_exhaustive]
    Retried {
        /// Of the job.
        job: JobId,
        /// Which attempt it was, from 1 on.
        attempt: u32,
        /// How it was lost.
        how: LostHow,
        /// When the job is delivered again, from now on.
        #[cfg_attr(
            feature = "serde",
            serde(serialize_with = "crate::monitor::seconds::seconds")
        )]
        delay: Duration,
    },
    /// A job has had all of its attempts, and went to the subject of dead jobs.
    #[non_exhaustive]
    Dead {
        /// Of the job.
        job: JobId,
        /// How many attempts it had.
        attempts: u32,
        /// How the last one was lost.
        how: LostHow,
    },
    /// The server has not heard something of a job: its result, its death, an attempt, or its acknowledgement. The server is asked again.
    #[non_exhaustive]
    NotStored {
        /// Of the job.
        job: JobId,
        /// Why.
        problem: String,
    },
    /// The server is silent. The feed asks until it answers.
    Silent,
    /// The server answers again.
    Heard,
    /// Jobs wait in the stream, and none came. The feed asks anew.
    #[non_exhaustive]
    Stalled {
        /// How many wait.
        pending: u64,
    },
    /// The consumer, or the stream of jobs, was gone, and was made anew.
    MadeAnew,
    /// What the feed needs is gone, and cannot be made anew. It is tried again.
    #[non_exhaustive]
    NotMadeAnew {
        /// Why.
        problem: String,
    },
    /// Jobs that were done had come back in the stream when the server was killed, and nobody would ever get them: they were removed.
    #[non_exhaustive]
    Swept {
        /// How many.
        messages: u64,
    },
    /// The pool cannot start workers. Jobs go back, and few are fetched.
    PoolDown,
    /// The feed fetches no more.
    StopBegan,
}

/// What happens to a feed, as a stream that ends with the feed; made by [`FeedHandle::events`](super::FeedHandle::events). 1,024 events wait for a reader
/// that is slow; how many more it has missed is told.
#[must_use = "a stream does nothing unless it is polled"]
pub struct FeedEvents(Subscription<FeedEvent>);

/// One item of [`FeedEvents`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeedReported {
    /// Something happened.
    Event(FeedEvent),
    /// So many events came and went before they were taken.
    Lagged(u64),
}

impl FeedEvents {
    pub(super) const fn new(subscription: Subscription<FeedEvent>) -> Self {
        Self(subscription)
    }
}

impl Stream for FeedEvents {
    type Item = FeedReported;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<FeedReported>> {
        let fed = ready!(Pin::new(&mut self.0).poll_next(cx));
        Poll::Ready(fed.map(|fed| match fed {
            BroadcastItem::Value(event) => FeedReported::Event(event),
            BroadcastItem::Lagged(missed) => FeedReported::Lagged(missed),
        }))
    }
}

impl fmt::Debug for FeedEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedEvents").finish_non_exhaustive()
    }
}
