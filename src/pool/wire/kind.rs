//! The types of frames.

use std::fmt;

/// The type of a frame: its fifth byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(in crate::pool) enum FrameKind {
    /// To the worker: a job.
    Job = 1,
    /// From the worker: a part of an answer, and more follows.
    Chunk = 2,
    /// From the worker: the last part of an answer.
    End = 3,
    /// From the worker: what it says instead of (the rest of) an answer.
    Error = 4,
    /// To the worker: nobody wants the answer any more.
    Cancel = 5,
    /// From the worker, first: it takes jobs.
    Ready = 6,
    /// From the worker: it is loading still, or a job goes on.
    Progress = 7,
    /// Both ways: answer this.
    Ping = 8,
    /// Both ways: the answer.
    Pong = 9,
    /// From the worker: it has not begun with this job, which it was sent ahead, and will not.
    Back = 10,
}

impl FrameKind {
    pub(in crate::pool) const ALL: [Self; 10] = [
        Self::Job,
        Self::Chunk,
        Self::End,
        Self::Error,
        Self::Cancel,
        Self::Ready,
        Self::Progress,
        Self::Ping,
        Self::Pong,
        Self::Back,
    ];

    pub(in crate::pool) fn of(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Whether a pool sends it to a worker.
    pub(super) const fn is_to_worker(self) -> bool {
        matches!(self, Self::Job | Self::Cancel | Self::Ping | Self::Pong)
    }

    /// Whether a worker sends it to its pool.
    pub(super) const fn is_from_worker(self) -> bool {
        !matches!(self, Self::Job | Self::Cancel)
    }

    /// What `docs/wire.md` calls it.
    pub(in crate::pool) const fn name(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Chunk => "chunk",
            Self::End => "end",
            Self::Error => "error",
            Self::Cancel => "cancel",
            Self::Ready => "ready",
            Self::Progress => "progress",
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Back => "back",
        }
    }
}

impl fmt::Display for FrameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
