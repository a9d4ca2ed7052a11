//! The actors of piped descriptors, one each.

mod buffers;
mod reader;
mod writer;

pub(crate) use reader::PipeReader;
pub(crate) use writer::PipeWriter;

use std::sync::Arc;

use crate::child::Child;
use crate::event::CloseReason;
use crate::lifecycle::Input;

/// Tells the child's record, when it drops, that a descriptor is closed. Its actor owns it beside
/// the descriptor and drops it after it, however the actor ends.
#[derive(Debug)]
pub(crate) struct Closing {
    pub(crate) child: Arc<Child>,
    pub(crate) fd: i32,
    pub(crate) reason: CloseReason,
}

impl Closing {
    pub(crate) const fn new(child: Arc<Child>, fd: i32) -> Self {
        Self {
            child,
            fd,
            reason: CloseReason::Gone,
        }
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.child.apply(Input::Closed(self.fd, self.reason));
    }
}

fn failed(error: &std::io::Error) -> CloseReason {
    CloseReason::Failed {
        errno: error.raw_os_error().unwrap_or(0),
    }
}
