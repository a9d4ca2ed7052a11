//! How a child ended, and what it used.

use std::fmt;
use std::time::Duration;

use crate::signal::Signal;

/// How a child ended.
///
/// ```
/// use actix_process::{ExitStatus, Rusage};
///
/// let status = ExitStatus::Exited { code: 3, rusage: Rusage::default() };
/// assert!(!status.success());
/// assert_eq!(status.to_string(), "exit status: 3");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExitStatus {
    /// The child exited by itself.
    Exited {
        /// The exit code, 0 to 255.
        code: i32,
        /// What the child used.
        rusage: Rusage,
    },
    /// A signal killed the child.
    Signaled {
        /// The signal, which may be a real-time one.
        signal: Signal,
        /// Whether the child dumped core.
        core_dumped: bool,
        /// What the child used.
        rusage: Rusage,
    },
    /// The child is alive after a deadline, because this program may not kill it or it cannot die: only in the errors of a helper
    /// that has ended it, such as [`CollectError::TimedOut`](crate::CollectError::TimedOut). The crate reaps it when it dies.
    StillRunning,
    /// The child is gone, but its status is not known, for one of these reasons:
    ///
    /// - Other code reaped it (a `waitpid(-1)` in this program, or SIGCHLD is ignored), and the kernel has no
    ///   status for its pidfd: before Linux 6.15, or without pidfds.
    /// - Its exec hung, and a helper's timeout cancelled the spawn.
    /// - The handle's [`TestProcess`](crate::testing::TestProcess) was dropped.
    /// - This process is a copy, by fork, of the child's parent.
    Unknown,
}

/// The resources that a child and its own reaped children used, as wait4(2) tells them. All of it is
/// zero if other code reaped the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Rusage {
    /// CPU time in user mode.
    pub user_time: Duration,
    /// CPU time in the kernel.
    pub system_time: Duration,
    /// The largest resident set, in bytes. It is at least what this program had at the spawn: the
    /// child shares this program's memory until the exec, and the kernel counts that.
    pub max_rss: u64,
    /// Page faults without I/O.
    pub minor_faults: u64,
    /// Page faults with I/O.
    pub major_faults: u64,
    /// Context switches because it waited.
    pub voluntary_switches: u64,
    /// Context switches because its time was up.
    pub involuntary_switches: u64,
}

impl Rusage {
    /// Whether the usage is known: a child that ran has used something.
    const fn is_known(&self) -> bool {
        let Self {
            user_time,
            system_time,
            max_rss,
            minor_faults,
            major_faults,
            voluntary_switches,
            involuntary_switches,
        } = self;
        let counts =
            *max_rss | *minor_faults | *major_faults | *voluntary_switches | *involuntary_switches;
        counts != 0 || !user_time.is_zero() || !system_time.is_zero()
    }
}

impl ExitStatus {
    /// Whether the child exited with code 0.
    #[must_use]
    pub const fn success(&self) -> bool {
        matches!(self, Self::Exited { code: 0, .. })
    }

    /// The exit code, if the child exited by itself.
    #[must_use]
    pub const fn code(&self) -> Option<i32> {
        match self {
            Self::Exited { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// The signal that killed the child, if one did.
    #[must_use]
    pub const fn signal(&self) -> Option<Signal> {
        match self {
            Self::Signaled { signal, .. } => Some(*signal),
            _ => None,
        }
    }

    /// Whether a signal killed the child and it dumped core.
    #[must_use]
    pub const fn core_dumped(&self) -> bool {
        matches!(
            self,
            Self::Signaled {
                core_dumped: true,
                ..
            }
        )
    }

    /// What the child used. `None` if that is not known: the status is unknown, the child still runs, or other
    /// code reaped it.
    #[must_use]
    pub const fn rusage(&self) -> Option<&Rusage> {
        match self {
            Self::Exited { rusage, .. } | Self::Signaled { rusage, .. } if rusage.is_known() => {
                Some(rusage)
            }
            _ => None,
        }
    }

    /// An exit by code, for tests of protocols.
    #[must_use]
    pub fn from_code(code: u8) -> Self {
        Self::Exited {
            code: code.into(),
            rusage: Rusage::default(),
        }
    }

    /// A death by signal without a core, for tests of protocols.
    #[must_use]
    pub fn from_signal(signal: Signal) -> Self {
        Self::Signaled {
            signal,
            core_dumped: false,
            rusage: Rusage::default(),
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { code, .. } => write!(f, "exit status: {code}"),
            Self::Signaled {
                signal,
                core_dumped,
                ..
            } => {
                write!(f, "signal: {}", signal.number())?;
                if let Some(name) = signal.name() {
                    write!(f, " ({name})")?;
                }
                if *core_dumped {
                    f.write_str(" (core dumped)")?;
                }
                Ok(())
            }
            Self::StillRunning => f.write_str("still running"),
            Self::Unknown => f.write_str("exit status unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displays_as_std_does() {
        use std::os::unix::process::ExitStatusExt;
        let std_status = std::process::ExitStatus::from_raw;
        assert_eq!(
            ExitStatus::from_code(7).to_string(),
            std_status(7 << 8).to_string()
        );
        for number in [1, 9, 15] {
            let signal = Signal::new(number).unwrap();
            assert_eq!(
                ExitStatus::from_signal(signal).to_string(),
                std_status(number).to_string()
            );
        }
        let core = ExitStatus::Signaled {
            signal: Signal::SEGV,
            core_dumped: true,
            rusage: Rusage::default(),
        };
        assert_eq!(core.to_string(), std_status(11 | 0x80).to_string());
    }
}
