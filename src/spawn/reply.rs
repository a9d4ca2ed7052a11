//! The answer to a spawn.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::command::spec::Spec;
use crate::error::SpawnError;
use crate::handle::ProcessHandle;
use crate::id::ProcessId;
use crate::sys::clone::Ticket;
use crate::text::Escaped;

/// What is sent to whoever asked.
pub(crate) type Sender = oneshot::Sender<Result<ProcessHandle, SpawnError>>;

/// Where the answer to a spawn goes. Dropped unanswered, it says that the spawn was given up.
#[derive(Debug)]
pub(super) struct Reply {
    id: ProcessId,
    pub(super) program: Arc<str>,
    /// What the command calls the child, if it does.
    pub(super) given_name: Option<Arc<str>>,
    ticket: Arc<Ticket>,
    to: Option<Sender>,
    answered: bool,
}

impl Reply {
    pub(super) fn new(id: ProcessId, spec: &Spec, ticket: Arc<Ticket>, to: Option<Sender>) -> Self {
        Self {
            id,
            program: spec.program_name(),
            given_name: spec.given_name(),
            ticket,
            to,
            answered: false,
        }
    }

    pub(super) fn answer(mut self, result: Result<ProcessHandle, SpawnError>) {
        self.send(result);
    }

    /// What the child is called.
    pub(super) fn name(&self) -> &Arc<str> {
        self.given_name.as_ref().unwrap_or(&self.program)
    }

    pub(super) fn refuse(self, why: &'static str) {
        let error = SpawnError::register(&*self.program, why);
        self.answer(Err(error));
    }

    fn send(&mut self, result: Result<ProcessHandle, SpawnError>) {
        self.answered = true;
        let result = result.map_err(|error| error.of(Some(self.id), self.given_name.clone()));
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
