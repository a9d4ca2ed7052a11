//! A pipe of our own, through which an arbiter's readers take what busy children have written.
//!
//! The kernel locks a pipe while it copies from it or to it: a child on another CPU cannot write
//! meanwhile. So the pages are moved to the basin, which copies nothing, and are copied from there while
//! the child writes on.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, Weak};

use nix::errno::Errno;
use nix::fcntl::{SpliceFFlags, splice};

use super::buffers::LARGE;
use crate::sync::lock;
use crate::sys;

/// So much at once pays for two system calls in place of one.
pub(super) const MUCH: usize = 64 * 1024;

thread_local! {
    static CURRENT: RefCell<Weak<Basin>> = RefCell::default();
}

/// Empty but during a read. It lives as long as a reader has it.
#[derive(Debug)]
pub(super) struct Basin {
    /// `None` once something was left in it.
    ends: Mutex<Option<Ends>>,
}

#[derive(Debug)]
struct Ends {
    input: OwnedFd,
    output: OwnedFd,
}

impl Basin {
    /// That of this arbiter. `None` if no descriptors are left, or the user's share of pipe pages is
    /// used up: one can read without.
    pub(super) fn current() -> Option<Arc<Self>> {
        CURRENT.with_borrow_mut(|current| {
            let found = current.upgrade();
            if let Some(basin) = found.filter(|basin| lock(&basin.ends).is_some()) {
                return Some(basin);
            }
            let basin = Arc::new(Self::new().ok()?);
            *current = Arc::downgrade(&basin);
            Some(basin)
        })
    }

    fn new() -> io::Result<Self> {
        let (output, input) = sys::io::pipe()?;
        sys::io::set_pipe_size(input.as_fd(), LARGE)?;
        sys::io::set_fresh_nonblocking(output.as_fd())?;
        let ends = Mutex::new(Some(Ends { input, output }));
        Ok(Self { ends })
    }

    /// As read(2) of `source`, but goes on while there is much, so that few messages carry it. The source may
    /// hold more than what comes. `None` if it cannot be moved, and nothing was.
    pub(super) fn read(
        &self,
        source: BorrowedFd<'_>,
        space: &mut [u8],
    ) -> Option<io::Result<usize>> {
        let mut ends = lock(&self.ends);
        let Ends { input, output } = ends.as_ref()?;
        let mut count = 0;
        loop {
            let rest = space.get_mut(count..).unwrap_or_default();
            let flags = SpliceFFlags::SPLICE_F_NONBLOCK;
            let moved = match splice(source, None, input, None, rest.len(), flags) {
                Ok(moved) => moved,
                Err(_) if count > 0 => return Some(Ok(count)),
                Err(error @ (Errno::EAGAIN | Errno::EINTR)) => return Some(Err(error.into())),
                // The source is no pipe, or somebody forbids the system call.
                Err(_) => return None,
            };
            if let Err(error) = drain(output.as_fd(), rest.get_mut(..moved)?) {
                // The rest would be the next reader's.
                *ends = None;
                return Some(Err(error));
            }
            count += moved;
            if moved < MUCH || count == space.len() {
                return Some(Ok(count));
            }
        }
    }
}

/// Fills `space` with what was moved.
///
/// # Errors
///
/// What a read of the source would have said: a page of a file that the child spliced cannot be read. What
/// came by the same read goes with it.
fn drain(output: BorrowedFd<'_>, mut space: &mut [u8]) -> io::Result<()> {
    while !space.is_empty() {
        match sys::io::read(output, space) {
            Ok(count) => space = space.get_mut(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn gives_what_a_read_gives() {
        let basin = Basin::current().unwrap();
        let (output, input) = sys::io::pipe().unwrap();
        sys::io::set_fresh_nonblocking(output.as_fd()).unwrap();
        let mut space = [0; 100];
        let mut read = || {
            let result = basin.read(output.as_fd(), &mut space);
            let result = result.expect("a pipe can be moved");
            result.map(|count| space[..count].to_vec())
        };
        assert_eq!(read().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let long: Vec<u8> = (0..150).collect();
        nix::unistd::write(&input, &long).unwrap();
        assert_eq!(read().unwrap(), long[..100]);
        assert_eq!(read().unwrap(), long[100..]);
        assert_eq!(read().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(input);
        assert_eq!(read().unwrap(), []);
    }

    #[test]
    fn what_is_no_pipe_is_left_alone() {
        let basin = Basin::current().unwrap();
        let (source, peer) = UnixStream::pair().unwrap();
        nix::unistd::write(&peer, b"words").unwrap();
        let mut space = [0; 100];
        // A socket can be spliced, a directory cannot.
        let directory = std::fs::File::open("/").unwrap();
        assert!(basin.read(directory.as_fd(), &mut space).is_none());
        assert_eq!(basin.read(source.as_fd(), &mut space).unwrap().unwrap(), 5);
        assert_eq!(space[..5], *b"words");
    }

    #[test]
    fn readers_of_an_arbiter_share_one_that_goes_with_the_last() {
        let basin = Basin::current().unwrap();
        assert!(Arc::ptr_eq(&basin, &Basin::current().unwrap()));
        let elsewhere = std::thread::spawn(|| Basin::current().unwrap());
        assert!(!Arc::ptr_eq(&basin, &elsewhere.join().unwrap()));
        let gone = Arc::downgrade(&basin);
        drop(basin);
        assert!(gone.upgrade().is_none());
        assert!(Basin::current().is_some());
    }

    /// As after a page of a file that cannot be read.
    #[test]
    fn one_that_was_not_drained_is_not_used_again() {
        let basin = Basin::current().unwrap();
        *lock(&basin.ends) = None;
        let (output, _input) = sys::io::pipe().unwrap();
        assert!(basin.read(output.as_fd(), &mut [0; 10]).is_none());
        assert!(!Arc::ptr_eq(&basin, &Basin::current().unwrap()));
    }
}
