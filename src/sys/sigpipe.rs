//! Writes to a pipe whose reader may be gone: an error, and never the death of this process by SIGPIPE.

use std::io;
use std::mem;

use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};

use super::signal::handler_of;

/// How a write is done: Rust ignores SIGPIPE, but a program may have undone that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PipeWrites {
    feels_sigpipe: bool,
}

impl PipeWrites {
    /// As the process is now.
    pub(crate) fn new() -> Self {
        Self {
            feels_sigpipe: handler_of(libc::SIGPIPE) != Some(libc::SIG_IGN),
        }
    }

    /// Runs `write`, of which a broken pipe is an error.
    pub(crate) fn write(self, write: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        if self.feels_sigpipe {
            without_sigpipe(write)
        } else {
            write()
        }
    }
}

/// Runs `write` so that a broken pipe is an error and no signal: the SIGPIPE, which comes to the
/// writing thread, is blocked and taken away.
fn without_sigpipe(write: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
    let mut only = SigSet::empty();
    only.add(Signal::SIGPIPE);
    let pending = is_sigpipe_pending();
    let Ok(mask) = only.thread_swap_mask(SigmaskHow::SIG_BLOCK) else {
        return write();
    };
    let result = write();
    if !pending && is_sigpipe_pending() {
        // It is there: does not wait.
        let _ = only.wait();
    }
    let _ = mask.thread_set_mask();
    result
}

fn is_sigpipe_pending() -> bool {
    // SAFETY: all zero is a valid sigset_t; the call fills it.
    let mut pending: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: the pointers are to a live local.
    unsafe {
        libc::sigpending(&raw mut pending) == 0
            && libc::sigismember(&raw const pending, libc::SIGPIPE) == 1
    }
}
