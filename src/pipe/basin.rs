//! A pipe of our own, through which an arbiter's readers take what busy children have written.
//!
//! The kernel locks a pipe while it copies from it or to it: a child on another CPU cannot write
//! meanwhile. So the pages are moved to the basin, which copies nothing, and are copied from there while
//! the child writes on. They leave the child's pipe a little before they are copied: that is of concern to who
//! puts its own memory there (vmsplice) and waits for room to use it again, as the pipe's growth is.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, Weak};

use nix::errno::Errno;
use nix::fcntl::{SpliceFFlags, splice};

use super::buffers::LARGE;
use crate::sync::lock;
use crate::sys;

/// Two system calls in place of one pay where so much is read at once: a default pipe's capacity.
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
    /// That of this arbiter. `None` if no descriptors are left, the user's share of pipe pages is used
    /// up, or no pipe may be so large: one can read without.
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

    /// Reads as read(2) of `source` does, but goes on while there is much, so that few messages carry it. The source
    /// may hold more than what comes. `None` if nothing was or can be moved this way.
    pub(super) fn read(&self, source: BorrowedFd<'_>, space: &mut [u8]) -> Option<Taken> {
        let mut ends = lock(&self.ends);
        let Ends { input, output } = ends.as_ref()?;
        let mut count = 0;
        while count < space.len() {
            let rest = space.get_mut(count..).unwrap_or_default();
            let flags = SpliceFFlags::SPLICE_F_NONBLOCK;
            let moved = match splice(source, None, input, None, rest.len(), flags) {
                Ok(moved) => moved,
                Err(_) if count > 0 => break,
                Err(Errno::EAGAIN) => {
                    // The source was empty; or the basin is full, which nothing should make it.
                    let result = sys::io::read(source, rest);
                    if result.is_ok() && sys::io::read(output.as_fd(), &mut [0]).is_ok() {
                        *ends = None;
                    }
                    return Some(Taken::of(result));
                }
                Err(error @ Errno::EINTR) => return Some(Taken::of(Err(error.into()))),
                // The source is no pipe, or somebody forbids the system call.
                Err(_) => return None,
            };
            let (drained, result) = drain(output.as_fd(), rest.get_mut(..moved)?);
            count += drained;
            if let Err(error) = result {
                // The rest would be the next reader's.
                *ends = None;
                let failure = Some(error);
                return Some(Taken { count, failure });
            }
            if moved < MUCH {
                break;
            }
        }
        Some(Taken::of(Ok(count)))
    }
}

/// What a read gave: so many bytes, and then an error. Neither: the source has ended.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) count: usize,
    pub(super) failure: Option<io::Error>,
}

impl Taken {
    fn of(result: io::Result<usize>) -> Self {
        match result {
            Ok(count) => Self {
                count,
                failure: None,
            },
            Err(error) => Self {
                count: 0,
                failure: Some(error),
            },
        }
    }
}

/// Fills `space` with what was moved; tells how much of it.
///
/// # Errors
///
/// What a read of the source would have said: a page of a file that the child spliced cannot be read.
fn drain(output: BorrowedFd<'_>, space: &mut [u8]) -> (usize, io::Result<()>) {
    let mut count = 0;
    while let Some(rest @ [_, ..]) = space.get_mut(count..) {
        match sys::io::read(output, rest) {
            // 0: of a buffer without bytes. The end it cannot be, since we have the input.
            Ok(read) => count += read,
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                // It would be taken for an empty source.
                io::ErrorKind::WouldBlock => return (count, Err(Errno::EIO.into())),
                _ => return (count, Err(error)),
            },
        }
    }
    (count, Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe() -> (OwnedFd, OwnedFd) {
        let (output, input) = sys::io::pipe().unwrap();
        sys::io::set_fresh_nonblocking(output.as_fd()).unwrap();
        (output, input)
    }

    fn read(basin: &Basin, source: &OwnedFd, most: usize) -> io::Result<Vec<u8>> {
        let mut space = vec![0; most];
        let taken = basin.read(source.as_fd(), &mut space);
        let Taken { count, failure } = taken.expect("a pipe can be moved");
        space.truncate(count);
        failure.map_or(Ok(space), Err)
    }

    #[test]
    fn gives_what_a_read_gives() {
        let basin = Basin::current().unwrap();
        let (output, input) = pipe();
        let read = || read(&basin, &output, 100);
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
    fn a_source_larger_than_the_basin_is_read_to_its_end() {
        let basin = Basin::current().unwrap();
        let (output, input) = pipe();
        sys::io::set_pipe_size(input.as_fd(), 4 * LARGE).unwrap();
        let all: Vec<u8> = (0..4 * LARGE).map(|n| (n / 251) as u8).collect();
        assert_eq!(nix::unistd::write(&input, &all).unwrap(), all.len());
        drop(input);
        let mut seen = Vec::new();
        loop {
            let data = read(&basin, &output, LARGE + 1000).unwrap();
            if data.is_empty() {
                break;
            }
            seen.extend(data);
        }
        assert!(seen == all, "{} of {} bytes", seen.len(), all.len());
    }

    #[test]
    fn a_writer_that_waits_for_room_gets_it() {
        const ALL: usize = 64 * LARGE;
        let basin = Basin::current().unwrap();
        let (output, input) = pipe();
        let writer = std::thread::spawn(move || {
            let mut left = ALL;
            while left > 0 {
                left -= nix::unistd::write(&input, &[7; 1000][..left.min(1000)]).unwrap();
            }
        });
        let mut seen = 0;
        let begun = std::time::Instant::now();
        while seen < ALL {
            assert!(begun.elapsed().as_secs() < 60, "{seen} bytes came");
            match read(&basin, &output, LARGE) {
                Ok(data) => seen += data.len(),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        writer.join().unwrap();
        assert!(Arc::ptr_eq(&basin, &Basin::current().unwrap()));
    }

    #[test]
    fn what_cannot_be_moved_is_left_alone() {
        let basin = Basin::current().unwrap();
        let directory = std::fs::File::open("/").unwrap();
        assert!(basin.read(directory.as_fd(), &mut [0; 100]).is_none());
        let (output, input) = pipe();
        nix::unistd::write(&input, b"words").unwrap();
        assert_eq!(read(&basin, &output, 100).unwrap(), b"words");
    }

    #[test]
    fn one_that_is_full_hides_nothing_and_is_not_used_again() {
        let basin = Basin::current().unwrap();
        let full = vec![0; LARGE];
        let written = lock(&basin.ends)
            .as_ref()
            .map(|ends| nix::unistd::write(&ends.input, &full));
        assert_eq!(written, Some(Ok(LARGE)));
        let (output, input) = pipe();
        nix::unistd::write(&input, b"words").unwrap();
        assert_eq!(read(&basin, &output, 100).unwrap(), b"words");
        assert!(!Arc::ptr_eq(&basin, &Basin::current().unwrap()));
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
