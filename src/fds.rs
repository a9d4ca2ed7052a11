//! What a child's descriptors shall be.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// What one descriptor of a child shall be.
#[derive(Debug, Clone)]
pub struct Fd(pub(crate) Kind);

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Read,
    Write,
    Inherit(i32),
    Moved(Arc<Mutex<Option<OwnedFd>>>),
    Shared(Arc<OwnedFd>),
    Null,
}

impl Fd {
    /// A pipe that the child writes and the parent reads: its data goes to the protocol.
    #[must_use]
    pub const fn read() -> Self {
        Self(Kind::Read)
    }

    /// A pipe that the parent writes and the child reads.
    #[must_use]
    pub const fn write() -> Self {
        Self(Kind::Write)
    }

    /// The parent's descriptor `n`, whatever it is, as it is at the spawn. The parent's own stays
    /// open and unaltered; whether it is close-on-exec does not matter.
    #[must_use]
    pub const fn inherit(n: i32) -> Self {
        Self(Kind::Inherit(n))
    }

    /// A descriptor that many spawns may use. It stays open in the parent as long as somebody
    /// holds the `Arc`, this `Fd` included: a pipe's reader sees no end before.
    #[must_use]
    pub const fn share(fd: Arc<OwnedFd>) -> Self {
        Self(Kind::Shared(fd))
    }

    /// `/dev/null`, for reading and writing.
    #[must_use]
    pub const fn null() -> Self {
        Self(Kind::Null)
    }

    /// Whether it is a pipe that the parent reads.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        matches!(self.0, Kind::Read)
    }

    /// Whether it is a pipe that the parent writes.
    #[must_use]
    pub const fn is_write(&self) -> bool {
        matches!(self.0, Kind::Write)
    }
}

impl From<OwnedFd> for Fd {
    /// A descriptor that becomes the child's alone. The first spawn takes it, failed or not, and
    /// closes it in the parent; a second one is [`SpawnStep::Invalid`](crate::SpawnStep::Invalid).
    fn from(fd: OwnedFd) -> Self {
        Self(Kind::Moved(Arc::new(Mutex::new(Some(fd)))))
    }
}

impl Fd {
    /// Takes a moved descriptor out; `None` for another kind, or if an earlier spawn took it.
    fn take(&self) -> Option<OwnedFd> {
        match &self.0 {
            Kind::Moved(slot) => lock(slot).take(),
            _ => None,
        }
    }
}

/// All descriptors of a child. What the map does not name is closed in the child, 0, 1 and 2 too.
///
/// ```
/// use actix_process::{Command, Fd, FdMap};
///
/// let mut map = FdMap::stdio();
/// map.set(3, Fd::write()).set(4, Fd::read());
/// let gpg = Command::new("gpg").args(["--passphrase-fd", "3", "--status-fd", "4"]).fds(map);
/// let quiet = Command::new("make").fds(FdMap::from([(1, Fd::read()), (2, Fd::inherit(2))]));
/// # drop((gpg, quiet));
/// ```
#[derive(Debug, Clone, Default)]
pub struct FdMap {
    entries: Vec<(i32, Fd)>,
}

impl FdMap {
    /// An empty map: the child gets no descriptor at all.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// Three pipes: the parent writes 0 and reads 1 and 2.
    #[must_use]
    pub fn stdio() -> Self {
        Self::from([(0, Fd::write()), (1, Fd::read()), (2, Fd::read())])
    }

    /// Sets the child's descriptor `n`, in place of what it was.
    pub fn set(&mut self, n: i32, fd: Fd) -> &mut Self {
        self.entries.retain(|(number, _)| *number != n);
        self.entries.push((n, fd));
        self
    }

    /// What the child's descriptor `n` shall be; `None`: closed.
    #[must_use]
    pub fn get(&self, n: i32) -> Option<&Fd> {
        self.entries
            .iter()
            .find(|(number, _)| *number == n)
            .map(|(_, fd)| fd)
    }

    /// Takes all moved descriptors out, each for the number it is meant for.
    pub(crate) fn take_moved(&self) -> Moved {
        let moved = self.entries.iter();
        Moved(moved.filter_map(|(n, fd)| Some((*n, fd.take()?))).collect())
    }

    /// What the map names, in the order in which it was given.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(i32, Fd)> {
        self.entries.iter()
    }
}

/// The descriptors that one spawn has taken. Closed with it, whatever becomes of it.
#[derive(Debug)]
pub(crate) struct Moved(Vec<(i32, OwnedFd)>);

impl Moved {
    pub(crate) fn has(&self, n: i32) -> bool {
        self.0.iter().any(|(number, _)| *number == n)
    }

    /// The descriptor meant for `n`.
    pub(crate) fn take(&mut self, n: i32) -> Option<OwnedFd> {
        let at = self.0.iter().position(|(number, _)| *number == n)?;
        Some(self.0.swap_remove(at).1)
    }
}

impl<const N: usize> From<[(i32, Fd); N]> for FdMap {
    /// A number that comes twice is refused at the spawn.
    fn from(entries: [(i32, Fd); N]) -> Self {
        Self {
            entries: entries.into(),
        }
    }
}

impl FromIterator<(i32, Fd)> for FdMap {
    /// A number that comes twice is refused at the spawn.
    fn from_iter<I: IntoIterator<Item = (i32, Fd)>>(entries: I) -> Self {
        Self {
            entries: entries.into_iter().collect(),
        }
    }
}
