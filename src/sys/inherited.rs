//! Descriptors that this program was started with.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::libc;

use super::cvt;

/// A duplicate of the descriptor `n`, which the parent of this process has opened for it. `n` stays open, so that nothing else gets
/// the number, but no program that this process executes from now on gets it: a grandchild would keep the parent's pipe open.
///
/// # Errors
///
/// EBADF if `n` is not open.
pub(crate) fn inherited(n: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: duplicates what the number is at the moment, and touches no memory; EBADF if that is nothing.
    let copy = cvt(unsafe { libc::fcntl(n, libc::F_DUPFD_CLOEXEC, 3) }.into())?;
    let copy = RawFd::try_from(copy).map_err(io::Error::other)?;
    // SAFETY: fcntl just made this descriptor for us.
    let copy = unsafe { OwnedFd::from_raw_fd(copy) };
    // SAFETY: sets the one flag of the number, and touches no memory. It closes nothing that somebody in this process uses.
    cvt(unsafe { libc::fcntl(n, libc::F_SETFD, libc::FD_CLOEXEC) }.into())?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;

    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    use super::*;

    #[test]
    fn a_duplicate_is_given_and_no_program_gets_the_number() {
        let (mut reader, writer) = io::pipe().unwrap();
        fcntl(&writer, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        let copy = inherited(writer.as_raw_fd()).unwrap();
        assert_ne!(copy.as_raw_fd(), writer.as_raw_fd());
        for flags in [
            fcntl(&writer, FcntlArg::F_GETFD),
            fcntl(&copy, FcntlArg::F_GETFD),
        ] {
            assert_eq!(flags.unwrap(), FdFlag::FD_CLOEXEC.bits());
        }
        drop(writer);
        std::fs::File::from(copy).write_all(b"here").unwrap();
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, "here");
    }

    #[test]
    fn what_is_not_open_is_refused() {
        for n in [-1, RawFd::MAX] {
            let error = inherited(n).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EBADF), "{n}");
        }
    }
}
