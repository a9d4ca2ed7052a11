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
    /// The child is killed if nobody waits for its handle any more.
    kill_untaken: bool,
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
            kill_untaken: spec.kill_untaken,
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
            Some(to) => to.send(result).err(),
            None => Some(result),
        };
        match unsent {
            Some(Err(error)) if !self.ticket.is_cancelled() => {
                let program = Escaped(&self.program);
                log::warn!("{program} was not spawned, and nobody waits to hear: {error}");
            }
            Some(Ok(process)) if self.kill_untaken => drop(process.kill_and_cut_on_drop()),
            _ => {}
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::child::live_process::{LiveProcess, ProcessCommand};
    use crate::child::{Child, Origin};
    use crate::command::containment::Containment;
    use crate::command::spec::{OnLeftovers, OnOrphaned};
    use crate::signal::Signal;

    /// What is done to a child that is answered when nobody waits any more.
    fn untaken(kill_untaken: bool) -> Option<ProcessCommand> {
        let (tell, told) = mpsc::channel();
        let id = ProcessId::next();
        let origin = Origin {
            id,
            program: "child".into(),
            name: "child".into(),
            spawned_pid: 0,
            event_sink: None,
            mailbox_turns: Arc::default(),
            on_orphaned: OnOrphaned::default(),
            on_leftovers: OnLeftovers::default(),
            ended_timeout: None,
            readers: 0,
            live: LiveProcess::recorded_by(move |command| tell.send(command).unwrap()),
            containment: Containment::Process,
        };
        let process = ProcessHandle::new(Child::new(origin, []));
        let mut spec = Spec::new("child".as_ref());
        spec.kill_untaken = kill_untaken;
        let (to, answer) = oneshot::channel();
        drop(answer);
        Reply::new(id, &spec, Arc::default(), Some(to)).answer(Ok(process));
        told.try_recv().ok()
    }

    #[test]
    fn a_helpers_child_whose_handle_nobody_takes_is_killed() {
        let done = untaken(true);
        let killed = matches!(done, Some(ProcessCommand::SignalTree(Signal::KILL)));
        assert!(killed, "{done:?}");
        let done = untaken(false);
        assert!(done.is_none(), "{done:?}");
    }
}
