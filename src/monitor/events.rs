//! The stream of what happens to the services of a monitor.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::event::Event;
use super::output::{BroadcastItem, Subscription};

/// What happens to the services of a monitor, as a stream that ends with the monitor; made by
/// [`MonitorHandle::events`](super::MonitorHandle::events). 1,024 events wait for a reader that is slow; how many more it has missed is told.
///
/// ```
/// # use std::time::Duration;
/// use actix_process::Command;
/// use actix_process::monitor::{EventKind, ExitKind, Monitor, Reported, Service, ServiceState};
/// use futures::StreamExt;
///
/// # actix::System::new().block_on(async {
/// let monitor = Monitor::new().start()?;
/// let mut events = monitor.events();
/// monitor.add(Service::new("task", Command::new("true"))).await?;
/// while let Some(Reported::Event(event)) = events.next().await {
///     if let EventKind::State { to: ServiceState::Exited, exit: Some(exit), .. } = event.what {
///         assert_eq!(exit.kind, ExitKind::Ok);
///         break;
///     }
/// }
/// # monitor.shutdown(Duration::from_secs(20)).await;
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[must_use = "a stream does nothing unless it is polled"]
pub struct Events(Subscription<Event>);

/// One item of [`Events`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are events")]
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
            BroadcastItem::Value(event) => Reported::Event(event),
            BroadcastItem::Lagged(missed) => Reported::Lagged(missed),
        }))
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
