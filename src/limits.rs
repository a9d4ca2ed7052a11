//! The resource limits of a child.

use nix::libc;

/// What a limit is for; see getrlimit(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// The address space, in bytes.
    AddressSpace,
    /// A core file, in bytes.
    Core,
    /// CPU time, in seconds.
    Cpu,
    /// Data segment, in bytes.
    Data,
    /// A file that is written, in bytes.
    FileSize,
    /// Locks on files (unused since Linux 2.4.25).
    Locks,
    /// Memory that may be locked, in bytes.
    LockedMemory,
    /// Bytes in POSIX message queues.
    MessageQueues,
    /// How far the child may lower its nice value: 20 less the lowest one.
    Nice,
    /// One more than the highest descriptor.
    OpenFiles,
    /// Processes of its user.
    Processes,
    /// Resident memory, in bytes (without effect since Linux 2.4.30).
    ResidentSet,
    /// Real-time priority.
    RealTimePriority,
    /// CPU time at real-time priority between two blocking calls, in microseconds.
    RealTimeCpu,
    /// Signals queued for its user.
    PendingSignals,
    /// The stack of its main thread, in bytes.
    Stack,
}

/// No limit.
pub const UNLIMITED: u64 = libc::RLIM64_INFINITY;

/// A soft limit, which the child may raise up to the hard limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

/// Whether this process, and so its child, has this value already. Then it need not be written, which
/// the child of a host that gave up root may not: the file is root's.
pub(crate) fn oom_score_adj_is(adjustment: i32) -> bool {
    std::fs::read_to_string("/proc/self/oom_score_adj")
        .is_ok_and(|text| text.trim().parse() == Ok(adjustment))
}

impl Resource {
    pub(crate) const fn number(self) -> u32 {
        match self {
            Self::AddressSpace => libc::RLIMIT_AS,
            Self::Core => libc::RLIMIT_CORE,
            Self::Cpu => libc::RLIMIT_CPU,
            Self::Data => libc::RLIMIT_DATA,
            Self::FileSize => libc::RLIMIT_FSIZE,
            Self::Locks => libc::RLIMIT_LOCKS,
            Self::LockedMemory => libc::RLIMIT_MEMLOCK,
            Self::MessageQueues => libc::RLIMIT_MSGQUEUE,
            Self::Nice => libc::RLIMIT_NICE,
            Self::OpenFiles => libc::RLIMIT_NOFILE,
            Self::Processes => libc::RLIMIT_NPROC,
            Self::ResidentSet => libc::RLIMIT_RSS,
            Self::RealTimePriority => libc::RLIMIT_RTPRIO,
            Self::RealTimeCpu => libc::RLIMIT_RTTIME,
            Self::PendingSignals => libc::RLIMIT_SIGPENDING,
            Self::Stack => libc::RLIMIT_STACK,
        }
    }
}
