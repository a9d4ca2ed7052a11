//! Low descriptors that stay reserved, so that a spawn costs the same however many others are open.
//!
//! A clone copies the parent's descriptor table, and the child then closes all that it copied: both
//! take time for each open descriptor. With the child's descriptors in low slots the clone shares the
//! table instead (CLONE_FILES), and the child's first act, `close_range(end, .., UNSHARE)`, copies
//! only what is below the slots' end. Until then the child touches no descriptor.
//!
//! The slots hold `/dev/null` while they are not used. They are taken with the first spawn: the
//! earlier that is, the lower they are.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, TryLockError};

use nix::libc;

use super::cvt;
use super::fdplan::FdMapping;
use super::io::{check_open, open_null};
use super::rlimit::own_limits;

/// A child with more descriptors is cloned the other way: 0 to 2, and five more.
const SLOTS: usize = 8;
/// As many spawns as usually run at a time.
const SETS: usize = 2;
/// So many descriptors must be left beside them when the slots are reserved.
const LEFT: usize = 64;
/// Only a child that has a descriptor from here on shares the table. Filling and clearing slots costs two
/// system calls for each: with few open that was more than the copying saved (`spawn_plain`, CPU 1.38
/// of tokio's against 1.34). Where it pays was not sought more closely.
const WORTH_IT: RawFd = if cfg!(actix_process_force_shared_table) {
    0
} else {
    128
};

#[derive(Debug)]
struct Set {
    null: OwnedFd,
    slots: [OwnedFd; SLOTS],
}

/// Empty where there were no descriptors left to reserve.
static RESERVED: OnceLock<Vec<Mutex<Set>>> = OnceLock::new();

/// The kernel, or a sandbox, has no `close_range` that unshares.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// No more clones that share the table: the child could not unshare it.
pub(crate) fn disable() {
    REFUSED.store(true, Ordering::Relaxed);
}

/// A set whose slots hold a child's descriptors until the drop.
#[derive(Debug)]
pub(crate) struct BorrowedSlots {
    set: MutexGuard<'static, Set>,
    used: usize,
    mappings: Vec<FdMapping>,
}

/// Puts what is wished for into slots, if there is a free set of them and it is large enough.
///
/// What is the host's own stays where it is: when a slot let go of a copy, the kernel would drop
/// the record locks that this process has on the file.
pub(crate) fn borrow(
    mappings: &[FdMapping],
    host_owned: impl Fn(RawFd) -> bool,
) -> Option<BorrowedSlots> {
    if cfg!(actix_process_force_no_shared_table)
        || cfg!(actix_process_force_no_close_range)
        || REFUSED.load(Ordering::Relaxed)
        || mappings.len() > SLOTS
    {
        return None;
    }
    let sets = RESERVED.get_or_init(|| reserve().unwrap_or_default());
    if mappings.iter().all(|mapping| mapping.source < WORTH_IT) {
        return None;
    }
    let set = sets.iter().find_map(|set| match set.try_lock() {
        Ok(set) => Some(set),
        Err(TryLockError::Poisoned(set)) => Some(set.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    })?;
    let mut borrowed = BorrowedSlots {
        set,
        used: 0,
        mappings: Vec::with_capacity(mappings.len()),
    };
    for mapping in mappings {
        let source = if host_owned(mapping.source) {
            mapping.source
        } else {
            borrowed.take_in(mapping.source)?
        };
        let target = mapping.target;
        borrowed.mappings.push(FdMapping { target, source });
    }
    Some(borrowed)
}

/// All sets, or none where that would leave the program with few descriptors.
fn reserve() -> io::Result<Vec<Mutex<Set>>> {
    let lowest = open_null()?;
    if !are_free_above(lowest.as_raw_fd(), SETS * (SLOTS + 1) + LEFT)? {
        return Ok(Vec::new());
    }
    drop(lowest);
    (0..SETS).map(|_| Set::reserve().map(Mutex::new)).collect()
}

/// Whether so many numbers above `lowest`, below which all are open, are free. Asks for each number: to open that many
/// would take them from the host's other threads for a moment.
fn are_free_above(lowest: RawFd, count: usize) -> io::Result<bool> {
    let (soft, _) = own_limits(libc::RLIMIT_NOFILE)?;
    let end = RawFd::try_from(soft).unwrap_or(RawFd::MAX);
    let free = (lowest + 1..end).filter(|number| check_open(*number).is_err());
    Ok(free.take(count).count() == count)
}

impl BorrowedSlots {
    /// Copies `source` into the next slot; gives the slot's number.
    fn take_in(&mut self, source: RawFd) -> Option<RawFd> {
        let slot = self.set.slots.get(self.used)?;
        fill(slot.as_fd(), source).ok()?;
        self.used += 1;
        Some(slot.as_raw_fd())
    }

    /// The same mappings, from the slots.
    pub(crate) fn mappings(&self) -> &[FdMapping] {
        &self.mappings
    }

    /// One above the highest slot, and above all that is the host's own.
    pub(crate) fn end(&self) -> RawFd {
        let slots = self.set.slots.iter().map(AsRawFd::as_raw_fd);
        let sources = self.mappings.iter().map(|mapping| mapping.source);
        slots.chain(sources).max().map_or(0, |highest| highest + 1)
    }
}

impl Drop for BorrowedSlots {
    /// The slots let go of the child's descriptors: else their readers would see no end.
    fn drop(&mut self) {
        for slot in self.set.slots.iter().take(self.used) {
            if let Err(error) = fill(slot.as_fd(), self.set.null.as_raw_fd()) {
                // Somebody has closed what is ours, or has lowered the limit below it.
                log::warn!("a reserved descriptor keeps a child's pipe open: {error}");
            }
        }
    }
}

impl Set {
    fn reserve() -> io::Result<Self> {
        let null = open_null()?;
        let mut slots = Vec::with_capacity(SLOTS);
        for _ in 0..SLOTS {
            slots.push(super::io::duplicate(null.as_fd())?);
        }
        let slots = slots
            .try_into()
            .map_err(|_| io::Error::other("another number of slots"))?;
        Ok(Self { null, slots })
    }
}

/// Makes `slot` a close-on-exec copy of `source`, in one step.
fn fill(slot: BorrowedFd<'_>, source: RawFd) -> io::Result<()> {
    // SAFETY: integers; `slot` is ours, and nothing else relies on what it holds.
    cvt(unsafe { libc::dup3(source, slot.as_raw_fd(), libc::O_CLOEXEC) }.into()).map(drop)
}
