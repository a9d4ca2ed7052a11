//! Whether a service is started again after an end, and how an end is judged.

use std::time::Duration;

use nix::errno::Errno;

use super::backoff::Backoff;
use super::exit::ExitKind;
use super::spec_error::SpecProblem;
use crate::ExitStatus;
use crate::Signal;
use crate::SpawnError;
use crate::SpawnStep;

/// Whether a service is started again after it ended, which ends count as success, and how long the next try waits.
///
/// A service is tried again for as long as somebody wants it, unless there is a [`limit`](Self::limit). Each restart waits for
/// the [`Backoff`], those after a success as well, so a program that does nothing is not started a thousand times a second.
///
/// ```
/// use std::time::Duration;
/// use actix_process::monitor::{Backoff, Restart};
///
/// let restart = Restart::on_failure()
///     .success_codes([3])
///     .fatal([78])
///     .backoff(Backoff::new().first(Duration::from_millis(50)))
///     .limit(10, Duration::from_secs(60));
/// # let _ = restart;
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Restart {
    after: After,
    success_codes: Vec<i32>,
    success_signals: Vec<Signal>,
    fatal: Vec<i32>,
    backoff: Backoff,
    limit: Option<RestartLimit>,
    retry_missing: bool,
}

/// After which ends there is a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    All,
    Failures,
    None,
}

/// More restarts than `count` in `window` are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RestartLimit {
    pub(super) count: u32,
    pub(super) window: Duration,
}

/// How an end is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) kind: ExitKind,
    pub(super) next: AfterEnd,
}

/// What comes after an end, if nobody has asked for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterEnd {
    /// A further start, when [`RestartHistory`](super::restart_history::RestartHistory) allows it.
    Restart,
    /// `ServiceState::Exited`.
    Exited,
    /// `ServiceState::Failed`.
    Failed,
    /// It was stopped: the policy has no say.
    Stopped,
}

impl Restart {
    const fn new(after: After) -> Self {
        Self {
            after,
            success_codes: Vec::new(),
            success_signals: Vec::new(),
            fatal: Vec::new(),
            backoff: Backoff::new(),
            limit: None,
            retry_missing: false,
        }
    }

    /// After each end, also after a success.
    pub const fn always() -> Self {
        Self::new(After::All)
    }

    /// After an end that is no success. After a success the service is [`Exited`](super::ServiceState::Exited).
    pub const fn on_failure() -> Self {
        Self::new(After::Failures)
    }

    /// Not at all: after a success the service is [`Exited`](super::ServiceState::Exited), else
    /// [`Failed`](super::ServiceState::Failed).
    pub const fn never() -> Self {
        Self::new(After::None)
    }

    /// Adds exit codes that count as success, as 0 always does. From 0 to 255.
    pub fn success_codes(mut self, codes: impl IntoIterator<Item = i32>) -> Self {
        self.success_codes.extend(codes);
        self
    }

    /// Adds signals a death by which counts as success. There is none unless set.
    pub fn success_signals(mut self, signals: impl IntoIterator<Item = Signal>) -> Self {
        self.success_signals.extend(signals);
        self
    }

    /// Adds exit codes after which there is no restart, whatever else is set: the program says that it is no use. From 0 to 255. A
    /// service that ends so is [`Failed`](super::ServiceState::Failed), or [`Exited`](super::ServiceState::Exited) if the code counts
    /// as success.
    pub fn fatal(mut self, codes: impl IntoIterator<Item = i32>) -> Self {
        self.fatal.extend(codes);
        self
    }

    /// How long each restart waits: [`Backoff::new`] unless set.
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// At most so many restarts in any time of the length `window`. What would be one more makes the service
    /// [`Failed`](super::ServiceState::Failed). 1 or more, in more than no time; without a limit unless set. Readiness does not forget
    /// restarts that are counted here, time does; a start by hand does.
    pub const fn limit(mut self, restarts: u32, window: Duration) -> Self {
        self.limit = Some(RestartLimit {
            count: restarts,
            window,
        });
        self
    }

    /// Also tries a start again that cannot succeed as things are: there is no such program or directory, or it may not be executed.
    /// For a program that somebody will install. Unless set, such a service is [`Failed`](super::ServiceState::Failed) after
    /// the first try.
    pub const fn retry_missing(mut self) -> Self {
        self.retry_missing = true;
        self
    }

    pub(super) const fn get_backoff(&self) -> &Backoff {
        &self.backoff
    }

    /// Whether no end of a run is the last one.
    pub(super) fn is_endless(&self) -> bool {
        matches!(self.after, After::All) && self.limit.is_none() && self.fatal.is_empty()
    }

    pub(super) const fn get_limit(&self) -> Option<RestartLimit> {
        self.limit
    }

    /// Judges the end of a child. `known` is the reason that the monitor knows, if any; without one the status tells the kind. No
    /// status and no reason is a start that failed.
    pub(super) fn judge(&self, status: Option<ExitStatus>, known: Option<ExitKind>) -> Verdict {
        let kind = match known {
            Some(ExitKind::Ok | ExitKind::Code | ExitKind::Signal) | None => self.kind_of(status),
            Some(known) => known,
        };
        let fatal = status
            .and_then(|status| status.code())
            .is_some_and(|code| self.fatal.contains(&code));
        let next = match (kind, self.after) {
            (ExitKind::Stopped | ExitKind::Escalated, _) => AfterEnd::Stopped,
            (ExitKind::Ok, After::All) if !fatal => AfterEnd::Restart,
            (ExitKind::Ok, _) => AfterEnd::Exited,
            (_, After::All | After::Failures) if !fatal => AfterEnd::Restart,
            _ => AfterEnd::Failed,
        };
        Verdict { kind, next }
    }

    /// What comes after a start that gave no child. `hopeless` is a failure that another try cannot mend.
    pub(super) const fn judge_failed_start(&self, hopeless: bool) -> AfterEnd {
        match self.after {
            After::None => AfterEnd::Failed,
            _ if hopeless && !self.retry_missing => AfterEnd::Failed,
            After::All | After::Failures => AfterEnd::Restart,
        }
    }

    fn kind_of(&self, status: Option<ExitStatus>) -> ExitKind {
        let Some(status) = status else {
            return ExitKind::Unready;
        };
        if let Some(signal) = status.signal() {
            return if self.success_signals.contains(&signal) {
                ExitKind::Ok
            } else {
                ExitKind::Signal
            };
        }
        match status.code() {
            Some(code) if code == 0 || self.success_codes.contains(&code) => ExitKind::Ok,
            // An unknown status is no success.
            _ => ExitKind::Code,
        }
    }

    /// What is wrong with the settings.
    pub(super) fn check(&self) -> Result<(), SpecProblem> {
        let problem = |field, text: String| Err(SpecProblem::new(field, text));
        for (field, codes) in [
            ("restart.success_codes", &self.success_codes),
            ("restart.fatal", &self.fatal),
        ] {
            if let Some(code) = codes.iter().find(|code| !(0..=255).contains(*code)) {
                return problem(field, format!("no program exits with {code}"));
            }
        }
        if let Err(text) = self.backoff.check() {
            return problem("restart.backoff", text);
        }
        match self.limit {
            Some(RestartLimit { count: 0, .. }) => problem(
                "restart.limit",
                "is 0 restarts; `never` has none".to_owned(),
            ),
            Some(RestartLimit { window, .. }) if window.is_zero() => {
                problem("restart.limit", "its window is zero".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// [`on_failure`](Self::on_failure).
impl Default for Restart {
    fn default() -> Self {
        Self::on_failure()
    }
}

/// Whether a spawn failed in a way that another try cannot mend: the command is invalid, what it names is not there, or this
/// program may not do what it asks for.
pub(super) fn is_hopeless(error: &SpawnError) -> bool {
    let of_the_command = match error.step() {
        SpawnStep::Invalid => return true,
        SpawnStep::Exec | SpawnStep::Cwd | SpawnStep::Identity | SpawnStep::Limits => true,
        _ => false,
    };
    let lasting = [
        Errno::ENOENT,
        Errno::EACCES,
        Errno::EPERM,
        Errno::ENOEXEC,
        Errno::ENOTDIR,
        Errno::EISDIR,
        Errno::ELOOP,
        Errno::ENAMETOOLONG,
        Errno::E2BIG,
        Errno::EINVAL,
        Errno::ELIBBAD,
    ];
    let errno = error.errno().map(Errno::from_raw);
    of_the_command && errno.is_some_and(|errno| lasting.contains(&errno))
}

#[cfg(test)]
mod tests;
