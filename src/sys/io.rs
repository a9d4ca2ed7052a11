//! Descriptors: making pipes, reading, writing, and readiness.

use std::io;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
#[cfg(feature = "pool")]
use bytes::BytesMut;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::stat::Mode;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;

use super::{copy, cvt};

/// A pipe, both ends close-on-exec from birth: (read, write).
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    Ok((above_stdio(read), above_stdio(write)))
}

/// `/dev/null`, open for both directions.
pub(crate) fn open_null() -> io::Result<OwnedFd> {
    let null = nix::fcntl::open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    Ok(above_stdio(null))
}

/// Moves a descriptor that landed on 0, 1 or 2 (the parent has one of them closed) out of the way,
/// if there is room: the parent's own `println!` must not write into a child's pipe.
pub(crate) fn above_stdio(fd: OwnedFd) -> OwnedFd {
    if fd.as_raw_fd() > 2 {
        return fd;
    }
    duplicate(fd.as_fd()).unwrap_or(fd)
}

/// Another descriptor of the same, above 2.
pub(super) fn duplicate(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(3))?;
    // SAFETY: fcntl just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Whether `fd` is an open descriptor of this process.
pub(crate) fn check_open(fd: RawFd) -> io::Result<()> {
    // SAFETY: reads the flags of a number; EBADF if it is not open.
    cvt(unsafe { libc::fcntl(fd, libc::F_GETFD) }.into()).map(drop)
}

/// For one end of a fresh pipe, which has no other flag that could be lost.
pub(crate) fn set_fresh_nonblocking(end: BorrowedFd<'_>) -> io::Result<()> {
    fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(())
}

pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// Takes off what only this program wanted of an open file: that it does not block, and that SIGIO
/// comes.
pub(crate) fn set_blocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    let wanted = flags - (OFlag::O_NONBLOCK | OFlag::O_ASYNC);
    if wanted != flags {
        fcntl(fd, FcntlArg::F_SETFL(wanted))?;
    }
    Ok(())
}

/// Makes the file that is open as `fd` this user's; its group stays.
pub(crate) fn set_owner(fd: BorrowedFd<'_>, uid: u32) -> io::Result<()> {
    nix::unistd::fchown(fd, Some(uid.into()), None)?;
    Ok(())
}

/// Asks for a pipe of `size` bytes.
///
/// # Errors
///
/// EPERM when the user's share of pipe pages is used up: the pipe works on as it is.
pub(crate) fn grow_pipe(fd: BorrowedFd<'_>, size: usize) -> io::Result<()> {
    let size = i32::try_from(size).unwrap_or(i32::MAX);
    if fcntl(fd, FcntlArg::F_GETPIPE_SZ)? < size {
        fcntl(fd, FcntlArg::F_SETPIPE_SZ(size))?;
    }
    Ok(())
}

/// How many bytes can be read at once; 0 where nobody can tell.
pub(crate) fn bytes_waiting(fd: BorrowedFd<'_>) -> usize {
    ask_for_bytes(fd).unwrap_or(0)
}

/// Whether a pipe, by either of its ends, is surely empty.
#[cfg(feature = "pool")]
pub(crate) fn is_empty(fd: BorrowedFd<'_>) -> bool {
    ask_for_bytes(fd) == Some(0)
}

fn ask_for_bytes(fd: BorrowedFd<'_>) -> Option<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int into the live local.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    (result != -1).then(|| usize::try_from(count).unwrap_or(0))
}

/// read(2). Not by libc's function, which is a point where a thread may be cancelled: with more than
/// one thread that costs two atomic operations a call.
pub(crate) fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let (address, length) = (buffer.as_mut_ptr(), buffer.len());
    // SAFETY: the kernel writes at most the given length into the live buffer.
    let count = unsafe { libc::syscall(libc::SYS_read, fd.as_raw_fd(), address, length) };
    Ok(cvt(count)?.unsigned_abs() as usize)
}

/// read(2) into the room behind what is in `buffer`, for the same reason.
#[cfg(feature = "pool")]
pub(crate) fn read_behind(fd: BorrowedFd<'_>, buffer: &mut BytesMut) -> io::Result<usize> {
    let space = buffer.spare_capacity_mut();
    let (address, length) = (space.as_mut_ptr(), space.len());
    // SAFETY: the kernel writes at most the given length into the room of the live buffer.
    let count = unsafe { libc::syscall(libc::SYS_read, fd.as_raw_fd(), address, length) };
    let count = cvt(count)?.unsigned_abs() as usize;
    // SAFETY: the kernel has written so many bytes behind those that were there, and no more than there was room for.
    unsafe { buffer.set_len(buffer.len() + count) };
    Ok(count)
}

/// Moves all that is in one pipe into another one, which is empty, in one step: nobody who reads the first one meanwhile gets some of it. The other one is
/// made as large, where it is not. How many bytes that were.
///
/// # Errors
///
/// EAGAIN when it is empty, and does not block. EINVAL or EPERM when the other one has less room, and nothing was moved then.
#[cfg(feature = "pool")]
pub(crate) fn move_all(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<usize> {
    let length = fcntl(from, FcntlArg::F_GETPIPE_SZ)?;
    let mut room = fcntl(to, FcntlArg::F_GETPIPE_SZ)?;
    if room < length {
        room = fcntl(to, FcntlArg::F_SETPIPE_SZ(length))?;
    }
    let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
    let (none, length) = (std::ptr::null_mut(), usize::try_from(room).unwrap_or(0));
    // SAFETY: the null pointers say that pipes have no offsets.
    let moved = unsafe { libc::splice(from, none, to, none, length, libc::SPLICE_F_NONBLOCK) };
    Ok(cvt(moved as libc::c_long)?.unsigned_abs() as usize)
}

/// write(2), for the same reason.
pub(crate) fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let (address, length) = (bytes.as_ptr(), bytes.len());
    // SAFETY: the kernel reads at most the given length of the live bytes.
    let count = unsafe { libc::syscall(libc::SYS_write, fd.as_raw_fd(), address, length) };
    Ok(cvt(count)?.unsigned_abs() as usize)
}

/// Writes the front of `queue` with one system call; at most 64 pieces, which is more than fits
/// into a pipe in all but contrived cases.
pub(crate) fn write_front<'a>(
    fd: BorrowedFd<'_>,
    mut queue: impl ExactSizeIterator<Item = &'a Bytes>,
) -> io::Result<usize> {
    const PIECES: usize = 64;
    if queue.len() == 1
        && let Some(piece) = queue.next()
    {
        return write(fd, piece);
    }
    let mut slices = [io::IoSlice::new(&[]); PIECES];
    let mut count = 0;
    for (slot, piece) in slices.iter_mut().zip(queue) {
        *slot = io::IoSlice::new(piece);
        count += 1;
    }
    let slices = slices.get(..count).unwrap_or_default();
    Ok(nix::sys::uio::writev(fd, slices)?)
}

/// Registers `fd` with the I/O driver of `runtime`, from any thread.
///
/// # Errors
///
/// The driver's, or "no I/O driver" for a runtime that was built without one or is gone.
pub(crate) fn register<T: AsFd + Registrable>(
    fd: T,
    interest: Interest,
    runtime: &Handle,
) -> io::Result<Registered<T>> {
    let _inside = runtime.enter();
    // tokio panics where the runtime has no I/O driver; a spawner thread must not die of it.
    catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `T: AsFd` owns or borrows an open descriptor for as long as it lives, and the
        // `AsyncFd` keeps the value, which is reached only through a shared reference.
        unsafe { AsyncFd::register_with_interest(fd, interest) }
            .map(|fd| Registered(ManuallyDrop::new(fd)))
            .map_err(io::Error::from)
    }))
    .unwrap_or_else(|_| Err(io::Error::other("the runtime has no I/O driver")))
}

/// A descriptor that is registered with a runtime's I/O driver until it drops.
///
/// In a copy of the process, by fork, the drop leaves the registration: the epoll instance is the
/// parent's as well.
#[derive(Debug)]
pub(crate) struct Registered<T: Registrable>(ManuallyDrop<AsyncFd<T>>);

/// What can be registered.
pub(crate) trait Registrable: AsRawFd {
    /// Closes the copy's own number of it, unless others have it.
    fn close_in_copy(&self) {}
}

impl Registrable for Arc<OwnedFd> {}

impl Registrable for OwnedFd {
    fn close_in_copy(&self) {
        // SAFETY: called once, by the drop of its only owner, which never drops it otherwise.
        unsafe { libc::close(self.as_raw_fd()) };
    }
}

impl<T: Registrable> Registered<T> {
    /// Takes it from the driver.
    pub(crate) fn into_inner(self) -> T {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped nor used again.
        unsafe { ManuallyDrop::take(&mut this.0) }.into_inner()
    }
}

impl<T: Registrable> Deref for Registered<T> {
    type Target = AsyncFd<T>;

    fn deref(&self) -> &AsyncFd<T> {
        &self.0
    }
}

impl<T: Registrable> Drop for Registered<T> {
    fn drop(&mut self) {
        if copy::is_copy() {
            return self.get_ref().close_in_copy();
        }
        // SAFETY: once, and nothing uses it afterwards.
        unsafe { ManuallyDrop::drop(&mut self.0) };
    }
}
