//! The answer to a spawn.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::error::SpawnError;
use crate::handle::ProcessHandle;
use crate::sys::clone::Ticket;
use crate::text::Escaped;

/// What is sent to whoever asked.
pub(crate) type Sender = oneshot::Sender<Result<ProcessHandle, SpawnError>>;

/// Where the answer to a spawn goes. Dropped unanswered, it says that the spawn was given up.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) program: Arc<str>,
    ticket: Arc<Ticket>,
    to: Option<Sender>,
    answered: bool,
}

impl Reply {
    pub(super) const fn new(program: Arc<str>, ticket: Arc<Ticket>, to: Option<Sender>) -> Self {
        Self {
            program,
            ticket,
            to,
            answered: false,
        }
    }

    pub(super) fn answer(mut self, result: Result<ProcessHandle, SpawnError>) {
        self.send(result);
    }

    pub(super) fn refuse(self, why: &'static str) {
        let error = SpawnError::register(&*self.program, why);
        self.answer(Err(error));
    }

    fn send(&mut self, result: Result<ProcessHandle, SpawnError>) {
        self.answered = true;
        let unsent = match self.to.take() {
            Some(to) => to.send(result).err().and_then(Result::err),
            None => result.err(),
        };
        if let Some(error) = unsent
            && !self.ticket.is_cancelled()
        {
            let program = Escaped(&self.program);
            log::warn!("{program} was not spawned, and nobody waits to hear: {error}");
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.answered {
            let error = SpawnError::register(&*self.program, "its spawn was given up");
            self.send(Err(error));
        }
    }
}
