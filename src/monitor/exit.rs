//! How a run of a service ended, and why.

use std::fmt;
use std::time::Duration;

use crate::Bytes;
use crate::ExitStatus;

/// Why a run of a service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum ExitKind {
    /// The child ended by itself, with a status that [counts as success](super::Restart::success_codes).
    Ok,
    /// The child ended by itself, with another exit code.
    Code,
    /// The child was killed by a signal that is not part of a stop, nor of another decision of the monitor:
    /// [`MonitorHandle::signal`](super::MonitorHandle::signal) may have sent it.
    Signal,
    /// The kernel killed a process of the service when the memory of its cgroup was used up. Only where the cgroup says so; without a
    /// cgroup that is [`Signal`](Self::Signal). Not if the child ended with success nevertheless.
    OutOfMemory,
    /// The service did not send its watchdog message in time, and was stopped.
    Watchdog,
    /// The service was not ready in time, or ended before it was ready, or said that it stops.
    Unready,
    /// Too many liveness probes of the service failed, and it was stopped.
    Unhealthy,
    /// The service was stopped because somebody asked for that.
    Stopped,
    /// As [`Stopped`](Self::Stopped), and it took the SIGKILL of its ladder.
    Escalated,
}

/// How a run of a service ended.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exit {
    /// The status of the child; `None` if there was no child, or if it is alive and cannot be killed.
    pub status: Option<ExitStatus>,
    /// Why the run ended.
    pub kind: ExitKind,
    /// How long the run was, from the spawn on.
    pub ran: Duration,
    /// The last of what the service wrote to its standard error: 4 KiB at most. `Debug` shows how many bytes that are.
    pub tail: Bytes,
}

impl fmt::Display for ExitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Code => "code",
            Self::Signal => "signal",
            Self::OutOfMemory => "out of memory",
            Self::Watchdog => "watchdog",
            Self::Unready => "unready",
            Self::Unhealthy => "unhealthy",
            Self::Stopped => "stopped",
            Self::Escalated => "escalated",
        })
    }
}

/// No content.
impl fmt::Debug for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exit")
            .field("status", &self.status)
            .field("kind", &self.kind)
            .field("ran", &self.ran)
            .field("tail", &format_args!("{} bytes", self.tail.len()))
            .finish()
    }
}

impl Exit {
    /// Of a worker of a pool.
    pub(crate) const fn of(status: ExitStatus, kind: ExitKind, ran: Duration, tail: Bytes) -> Self {
        Self {
            status: Some(status),
            kind,
            ran,
            tail,
        }
    }

    /// ": exit status: 3: the last of its standard error".
    pub(super) fn words(&self) -> String {
        let status = match &self.status {
            Some(status) => format!(": {status}"),
            None => String::new(),
        };
        let text = String::from_utf8_lossy(&self.tail);
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        let last = last.map(|line| format!(": {}", line.trim().escape_debug()));
        format!("{status}{}", last.unwrap_or_default())
    }
}
