//! The guard of one spawn in flight: its place in the table, and its answer.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::table::{KeepAlive, Table};
use crate::child::Child;
use crate::command::spec::Spec;
use crate::error::SpawnError;
use crate::handle::ProcessHandle;
use crate::id::ProcessId;
use crate::sys;
use crate::sys::clone::Ticket;
use crate::text::Escaped;

/// The answer to the asker.
pub(crate) type Sender = oneshot::Sender<Result<ProcessHandle, SpawnError>>;

/// A spawn that is not answered. It gives up its place in the table before it answers, so the receiver of the
/// answer finds the table without the spawn. Dropped unanswered, it answers that the spawn was given up.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) id: ProcessId,
    pub(super) program: Arc<str>,
    /// What the command calls the child, if it does.
    given_name: Option<Arc<str>>,
    pub(super) table: Arc<Table>,
    pub(super) ticket: Arc<Ticket>,
    to: Option<Sender>,
    /// It is in the table, and not committed.
    has_place: bool,
    answered: bool,
    /// The child is killed if nobody waits for its handle any more.
    kill_untaken: bool,
}

impl InFlight {
    /// A spawn of `spec` that is not in `table` yet.
    pub(super) fn new(
        id: ProcessId,
        spec: &Spec,
        table: &Arc<Table>,
        ticket: Arc<Ticket>,
        to: Option<Sender>,
    ) -> Self {
        Self {
            id,
            program: spec.program_name(),
            given_name: spec.given_name(),
            table: Arc::clone(table),
            ticket,
            to,
            has_place: false,
            answered: false,
            kill_untaken: spec.kill_untaken,
        }
    }

    /// Enters it into the table, or says why not.
    pub(super) fn enter(&mut self, supervisor: Option<KeepAlive>) -> Result<(), &'static str> {
        self.table.begin(self.id, &self.ticket, supervisor)?;
        self.has_place = true;
        Ok(())
    }

    /// What the child is called.
    pub(super) fn name(&self) -> &Arc<str> {
        self.given_name.as_ref().unwrap_or(&self.program)
    }

    /// Commits the spawn: `child` takes its place in the table, until [`Table::remove`]. False if it is
    /// cancelled or the table closed; the spawn keeps its place then.
    pub(super) fn commit(&mut self, child: &Arc<Child>) -> bool {
        let committed = self.table.commit(self.id, &self.ticket, child);
        self.has_place &= !committed;
        committed
    }

    pub(super) fn answer(mut self, handle: ProcessHandle) {
        self.finish(Ok(handle));
    }

    pub(super) fn fail(mut self, error: SpawnError) {
        self.finish(Err(error));
    }

    /// Before anything is done for it.
    pub(super) fn refuse(self, why: &'static str) {
        let error = SpawnError::register(&*self.program, why);
        self.fail(error);
    }

    fn finish(&mut self, result: Result<ProcessHandle, SpawnError>) {
        self.answered = true;
        if self.has_place && !sys::copy::is_copy() {
            self.table.give_up(self.id);
        }
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

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.answered {
            let error = SpawnError::register(&*self.program, "its spawn was given up");
            self.finish(Err(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::{Mutex, mpsc};
    use std::task::{Context, Poll, Wake, Waker};

    use super::*;
    use crate::child::Origin;
    use crate::child::live_process::{LiveProcess, ProcessCommand};
    use crate::command::Command;
    use crate::command::containment::Containment;
    use crate::command::spec::{OnLeftovers, OnOrphaned};
    use crate::signal::Signal;
    use crate::sync::lock;

    /// Looks at the table when the answer comes.
    struct Asker {
        table: Arc<Table>,
        saw: Mutex<String>,
    }

    impl Wake for Asker {
        fn wake(self: Arc<Self>) {
            *lock(&self.saw) = format!("{:?}", self.table);
        }
    }

    #[test]
    fn whoever_gets_the_answer_finds_the_table_without_the_spawn() {
        let fail = |in_flight: InFlight| in_flight.fail(SpawnError::register("it", "no"));
        let ways: [fn(InFlight); 3] = [drop, fail, |in_flight| in_flight.refuse("no")];
        for way in ways {
            let table = Arc::<Table>::default();
            let (to, mut answer) = oneshot::channel();
            let (id, command) = (ProcessId::next(), Command::new("it"));
            let ticket = Arc::default();
            let mut in_flight = InFlight::new(id, command.spec(), &table, ticket, Some(to));
            in_flight.enter(None).unwrap();
            assert!(format!("{table:?}").contains("in_flight: 1"));
            let asker = Arc::new(Asker {
                table,
                saw: Mutex::default(),
            });
            let waker = Waker::from(Arc::clone(&asker));
            let cx = &mut Context::from_waker(&waker);
            assert!(Pin::new(&mut answer).poll(cx).is_pending());
            way(in_flight);
            let saw = lock(&asker.saw).clone();
            assert!(saw.contains("in_flight: 0"), "{saw:?}");
            let Poll::Ready(Ok(Err(error))) = Pin::new(&mut answer).poll(cx) else {
                panic!("no error");
            };
            assert_eq!(error.id(), Some(id));
        }
    }

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
            is_quiet_orphan: false,
            on_leftovers: OnLeftovers::default(),
            ended_timeout: None,
            time_limit: None,
            readers: 0,
            live: LiveProcess::recorded_by(move |command| tell.send(command).unwrap()),
            containment: Containment::Process,
        };
        let process = ProcessHandle::new(Child::new(origin, []));
        let mut spec = Spec::new("child".as_ref());
        spec.kill_untaken = kill_untaken;
        let (to, answer) = oneshot::channel();
        drop(answer);
        InFlight::new(id, &spec, &Arc::default(), Arc::default(), Some(to)).answer(process);
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
