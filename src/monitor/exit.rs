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
    /// By itself, with a status that counts as success.
    Ok,
    /// By itself, with another exit code.
    Code,
    /// By a signal that this monitor did not send.
    Signal,
    /// The kernel killed a process of it when the memory of its cgroup was used up. Only where its cgroup says so; without a cgroup
    /// that is [`Signal`](Self::Signal).
    OutOfMemory,
    /// It did not send its watchdog message in time, and was stopped.
    Watchdog,
    /// It was not ready in time, or ended or said so before it was ready.
    Unready,
    /// It missed too many of its liveness probes, and was stopped.
    Unhealthy,
    /// It was stopped because somebody asked for that.
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
    /// Why it ended.
    pub kind: ExitKind,
    /// How long it ran, from its spawn on.
    pub ran: Duration,
    /// The last of what it wrote to its standard error: 4 KiB at most. `Debug` shows how many bytes that are.
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
