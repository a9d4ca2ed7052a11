//! The pipe to which the contents of others are moved.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::{Rc, Weak};

use crate::sys::io::{move_all, pipe, read, set_fresh_nonblocking};

/// More than a pipe holds that was not made larger.
const ROOM: usize = 128 * 1024;

/// It is there before it is needed: where a user has many pipes, later ones are smaller.
#[derive(Debug)]
pub(super) struct PipeAside {
    there: OwnedFd,
    aside: OwnedFd,
}

impl PipeAside {
    /// One for all workers of this thread.
    pub(super) fn of_this_thread() -> io::Result<Rc<Self>> {
        thread_local! {
            static ASIDE: RefCell<Weak<PipeAside>> = const { RefCell::new(Weak::new()) };
        }
        ASIDE.with_borrow_mut(|known| match known.upgrade() {
            Some(aside) => Ok(aside),
            None => {
                let (there, aside) = pipe()?;
                set_fresh_nonblocking(there.as_fd())?;
                let aside = Rc::new(Self { there, aside });
                *known = Rc::downgrade(&aside);
                Ok(aside)
            }
        })
    }

    /// Empties the pipe, in one step: nobody who reads it meanwhile gets some of it.
    pub(super) fn empty(&self, pipe: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
        match move_all(pipe, self.aside.as_fd()) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        let mut all = Vec::new();
        let mut piece = vec![0; ROOM];
        loop {
            match read(self.there.as_fd(), &mut piece) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return Ok(all),
                Ok(count) => all.extend_from_slice(piece.get(..count).unwrap_or_default()),
            }
        }
    }
}
