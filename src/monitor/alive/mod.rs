//! Whether a service that is ready still lives.

#[cfg(test)]
mod tests;
mod watch;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::Command;

use super::check::Check;
use super::start::{Start, StartError};
pub(super) use watch::{Beats, Unhealthy, watch};

const PERIOD: Duration = Duration::from_secs(10);
const MISSES: u32 = 3;
const TRY: Duration = Duration::from_secs(1);

/// Whether a service that is ready still lives: it is asked again and again, or it tells by itself.
///
/// The service is asked one [period](Self::every) after it became ready, and then once a period; never twice at the same time. When it has
/// [missed](Self::misses) so many in a row, it is stopped, and follows its [`Restart`](super::Restart).
///
/// ```
/// use std::time::Duration;
///
/// use actix_process::monitor::Alive;
///
/// let answers = Alive::tcp("127.0.0.1:7001").every(Duration::from_secs(5));
/// let tells = Alive::watchdog().every(Duration::from_secs(30));
/// ```
#[derive(Clone)]
#[must_use = "a service has it by `Service::alive`"]
pub struct Alive {
    kind: AliveKind,
    every: Duration,
    misses: u32,
    timeout: Option<Duration>,
}

#[derive(Debug, Clone)]
enum AliveKind {
    Check(Check),
    Watchdog,
}

impl Alive {
    const fn new(kind: AliveKind, misses: u32) -> Self {
        Self {
            kind,
            every: PERIOD,
            misses,
            timeout: None,
        }
    }

    /// A connection to this address can be made; see [`Ready::tcp`](super::Ready::tcp).
    pub fn tcp(address: impl fmt::Display) -> Self {
        Self::new(AliveKind::Check(Check::tcp(address)), MISSES)
    }

    /// A connection can be made to 127.0.0.1 and the port that [`Start::free_port`] gave to this start.
    pub const fn port() -> Self {
        Self::new(AliveKind::Check(Check::Port), MISSES)
    }

    /// This command ends with exit code 0; see [`Ready::exec`](super::Ready::exec).
    pub fn exec(command: Command) -> Self {
        Self::new(AliveKind::Check(Check::exec(command)), MISSES)
    }

    /// A future that this closure makes gives `Ok`; see [`Ready::probe`](super::Ready::probe).
    pub fn probe<F, A>(probe: F) -> Self
    where
        F: Fn(Start) -> A + Send + Sync + 'static,
        A: Future<Output = Result<(), StartError>> + 'static,
    {
        Self::new(AliveKind::Check(Check::probe(probe)), MISSES)
    }

    /// The service sends `WATCHDOG=1` by sd_notify, at least once in each [period](Self::every). It finds the period in `WATCHDOG_USEC`;
    /// programs send twice as often. One miss is enough, unless [`misses`](Self::misses) says otherwise. The service is then stopped by
    /// SIGABRT first, so that it may leave a core, and by its ladder.
    ///
    /// `WATCHDOG=trigger` is a miss at once. `WATCHDOG_USEC=` in a message is the period from then on; zero turns the watchdog off.
    /// `WATCHDOG_PID` is not set: nobody knows the child's number before the child runs. Programs take the watchdog as meant for them then.
    pub const fn watchdog() -> Self {
        Self::new(AliveKind::Watchdog, 1)
    }

    /// The period: 10 seconds unless set. Not zero.
    pub const fn every(mut self, period: Duration) -> Self {
        self.every = period;
        self
    }

    /// How many tries in a row have to fail: 3 unless set. A watchdog has so many periods: 1 unless set. Not zero.
    pub const fn misses(mut self, misses: u32) -> Self {
        self.misses = misses;
        self
    }

    /// How long one try may take: 1 second unless set, and no longer than the [period](Self::every). Not zero. A watchdog has none.
    pub const fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }

    /// Whether it looks at the port that the start chose.
    pub(in crate::monitor) const fn needs_port(&self) -> bool {
        matches!(self.kind, AliveKind::Check(Check::Port))
    }

    /// What is wrong with it, for the check of a service's spec.
    pub(in crate::monitor) fn problem(&self) -> Option<String> {
        let text = |text: &str| Some(text.to_owned());
        if self.every.is_zero() {
            return text("`every` is zero");
        }
        if self.misses == 0 {
            return text("`misses` is zero");
        }
        if self.timeout.is_some_and(|time| time.is_zero()) {
            return text("`timeout` is zero");
        }
        if self.timeout.is_some_and(|time| time > self.every) {
            return text("`timeout` is longer than `every`");
        }
        match &self.kind {
            AliveKind::Check(check) => check.problem(),
            // The service is told of it in whole microseconds, and 0 would mean that there is none.
            AliveKind::Watchdog if self.every < Duration::from_micros(1) => {
                text("`every` is shorter than a microsecond")
            }
            AliveKind::Watchdog => None,
        }
    }

    /// The period that the service is told of.
    pub(in crate::monitor) const fn watchdog_period(&self) -> Option<Duration> {
        match self.kind {
            AliveKind::Watchdog => Some(self.every),
            AliveKind::Check(_) => None,
        }
    }
}

/// No argument of a command.
impl fmt::Debug for Alive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alive")
            .field("kind", &self.kind)
            .field("every", &self.every)
            .field("misses", &self.misses)
            .field("timeout", &self.timeout)
            .finish()
    }
}
