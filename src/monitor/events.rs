//! The stream of what happens to the services of a monitor.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::event::Event;
use super::output::{FeedItem, Subscription};

/// What happens to the services of a monitor. It ends with the monitor.
#[must_use = "a stream does nothing unless it is polled"]
pub struct Events(Subscription<Event>);

/// One item of [`Events`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reported {
    /// Something happened.
    Event(Event),
    /// So many events came and went before they were taken.
    Lagged(u64),
}

impl Events {
    pub(super) const fn new(subscription: Subscription<Event>) -> Self {
        Self(subscription)
    }
}

impl Stream for Events {
    type Item = Reported;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Reported>> {
        let fed = ready!(Pin::new(&mut self.0).poll_next(cx));
        Poll::Ready(fed.map(|fed| match fed {
            FeedItem::Value(event) => Reported::Event(event),
            FeedItem::Lagged(missed) => Reported::Lagged(missed),
        }))
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
