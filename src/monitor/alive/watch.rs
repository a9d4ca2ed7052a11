//! The watch over one start that is ready.

use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::super::check::{Check, instant_in};
use super::super::exit::ExitKind;
use super::super::notify::{NotifyMessage, WatchdogWord};
use super::super::start::Start;
use super::{Alive, AliveKind, TRY};

/// Why a service is to be stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::monitor) struct Unhealthy {
    /// `Unhealthy` or `Watchdog`.
    pub(in crate::monitor) kind: ExitKind,
    /// What its last probe said.
    pub(in crate::monitor) last: Option<String>,
}

impl fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.last, self.kind) {
            (Some(text), _) => write!(f, "missed its probes: {text}"),
            (None, _) => f.write_str("missed its watchdog"),
        }
    }
}

/// What the service says of its watchdog, as the monitor tells it. Clones are one.
#[derive(Debug, Clone)]
pub(in crate::monitor) struct Beats(Rc<BeatsTold>);

#[derive(Debug)]
struct BeatsTold {
    last: Cell<Instant>,
    /// `None`: it is off.
    period: Cell<Option<Duration>>,
    triggered: Cell<bool>,
    /// Not for a beat, which comes often: the watch looks at `last` when its time is over.
    changed: Notify,
}

impl Beats {
    pub(in crate::monitor) fn new(alive: &Alive) -> Self {
        Self(Rc::new(BeatsTold {
            last: Cell::new(Instant::now()),
            period: Cell::new(Some(alive.every)),
            triggered: Cell::new(false),
            changed: Notify::new(),
        }))
    }

    /// A message of the service's, also before it is ready.
    pub(in crate::monitor) fn message(&self, message: &NotifyMessage) {
        match message.watchdog {
            Some(WatchdogWord::Alive) => self.0.last.set(Instant::now()),
            Some(WatchdogWord::Trigger) => {
                self.0.triggered.set(true);
                self.0.changed.notify_one();
            }
            None => {}
        }
        if let Some(period) = message.watchdog_period {
            let period = (!period.is_zero()).then_some(period);
            self.0.period.set(period);
            self.0.last.set(Instant::now());
            self.0.changed.notify_one();
        }
    }

    /// Ends at a miss.
    async fn missed(&self, misses: u32) {
        // What was due before the service was ready is forgiven.
        self.0.last.set(Instant::now());
        while !self.0.triggered.get() {
            let mut changed = pin!(self.0.changed.notified());
            let Some(period) = self.0.period.get() else {
                changed.await;
                continue;
            };
            let silent = self.0.last.get().elapsed();
            let Some(left) = period.saturating_mul(misses).checked_sub(silent) else {
                return;
            };
            if left.is_zero() {
                return;
            }
            let mut due = pin!(sleep_until(instant_in(left)));
            poll_fn(|cx| match changed.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => due.as_mut().poll(cx),
            })
            .await;
        }
    }
}

/// Watches a start from the moment when it is ready, until it is to be stopped; for ever, if it lives. Dropping the future takes a probe
/// that runs with it. `beats`: those of this start, which are only looked at for a watchdog.
pub(in crate::monitor) fn watch(
    alive: &Alive,
    start: &Start,
    beats: &Beats,
) -> impl Future<Output = Unhealthy> + use<> {
    let (alive, start, beats) = (alive.clone(), start.clone(), beats.clone());
    async move {
        match &alive.kind {
            AliveKind::Check(check) => Unhealthy {
                kind: ExitKind::Unhealthy,
                last: Some(failed(&alive, check, &start).await),
            },
            AliveKind::Watchdog => {
                beats.missed(alive.misses).await;
                Unhealthy {
                    kind: ExitKind::Watchdog,
                    last: None,
                }
            }
        }
    }
}

/// Ends when so many tries in a row have failed; with what the last one said.
async fn failed(alive: &Alive, check: &Check, start: &Start) -> String {
    let time = alive.timeout.unwrap_or(TRY).min(alive.every);
    let mut next = instant_in(alive.every);
    let mut misses = 0;
    loop {
        sleep_until(next).await;
        // A try that took longer than the period, since its command was slow to die, puts off the next one.
        next = instant_in(alive.every);
        match check.once(start, time).await {
            Ok(()) => misses = 0,
            Err(text) => {
                misses += 1;
                if misses >= alive.misses {
                    return text;
                }
            }
        }
    }
}
