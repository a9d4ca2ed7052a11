//! A spawn that was asked for: from the asking to a spawner thread, and the answer.

use std::sync::Arc;

use super::in_flight::{InFlight, Sender};
use super::job::SpawnJob;
use super::table::{KeepAlive, Table};
use crate::command::Command;
use crate::command::spec::Spec;
use crate::error::SpawnError;
use crate::handle::ProcessHandle;
use crate::id::ProcessId;
use crate::protocol::into::{IntoProtocol, Protocol};
use crate::spawn::environment::EnvGeneration;
use crate::spawn::home::Home;
use crate::sys;
use crate::sys::clone::Ticket;
use crate::threads::arbiter_ref::{ArbiterRef, run_on};
use crate::threads::spawners::{self, Place};
use actix::Message;

/// Spawns a child; answers with its handle when `ConnectionMade` was queued.
///
/// The child's actors run on the arbiter that the command names ([`Command::on`]), else on the arbiter of the
/// thread that made this message, else on the supervisor's. Dropping the `send` future cancels the spawn only
/// before the supervisor has handled the message; drop a [`Spawning`](crate::Spawning) to cancel at any time.
/// After a `do_send` a failure is logged.
#[derive(Debug, Message)]
#[rtype(result = "Result<ProcessHandle, SpawnError>")]
pub struct Spawn {
    pub(crate) id: ProcessId,
    spec: Arc<Spec>,
    protocol: Protocol,
    home: Home,
    /// As the asking thread is.
    place: Place,
    pub(crate) ticket: Arc<Ticket>,
}

impl Spawn {
    /// A spawn of `command` whose events go to `protocol`. A reference to a command will do.
    #[must_use]
    pub fn new(command: impl Into<Command>, protocol: impl IntoProtocol) -> Self {
        Self::of(&command.into(), protocol, Place::for_this_thread())
    }

    pub(crate) fn of(command: &Command, protocol: impl IntoProtocol, place: Place) -> Self {
        Self {
            id: ProcessId::next(),
            spec: Arc::clone(command.spec()),
            protocol: protocol.into_protocol(),
            home: Home::asked_here(command.spec()),
            place,
            ticket: Arc::default(),
        }
    }

    /// The number that the child will have: [`ProcessHandle::id`].
    #[must_use]
    pub const fn id(&self) -> ProcessId {
        self.id
    }

    /// Whether the child is killed if no handle of it is taken.
    pub(crate) fn kills_untaken(&self) -> bool {
        self.spec.kill_untaken
    }

    /// Answers that there is no child.
    pub(crate) fn fail(self, error: SpawnError, to: Sender) {
        // By this spawn, as by any other that fails.
        drop(self.spec.take_fds());
        let _ = to.send(Err(error.of(Some(self.id), self.spec.given_name())));
    }

    /// Enters the spawn into `table` and queues it for a spawner thread, or refuses it. The answer
    /// goes to `to` in any case. The table keeps `supervisor`, unless somebody else does. `instead` gives the arbiter for an
    /// asking thread that had none.
    pub(crate) fn submit(
        self,
        table: &Arc<Table>,
        supervisor: Option<KeepAlive>,
        to: Option<Sender>,
        instead: impl FnOnce() -> Result<ArbiterRef, SpawnError>,
    ) {
        let Self {
            id,
            spec,
            protocol,
            home,
            place,
            ticket,
        } = self;
        // By this spawn, whatever becomes of it.
        let taken = spec.take_fds();
        let mut in_flight = InFlight::new(id, &spec, table, ticket, to);
        if sys::copy::is_copy() {
            return in_flight.refuse(spawners::COPY);
        }
        let home = match home {
            Home::Nowhere => match instead() {
                Ok(arbiter_ref) => Home::Here(arbiter_ref),
                Err(error) => return in_flight.fail(error),
            },
            Home::Named(arbiter) if !arbiter.alive() => return in_flight.refuse(STOPPED),
            Home::Here(here) if !here.arbiter.alive() => return in_flight.refuse(STOPPED),
            home => home,
        };
        if !protocol.is_alive() {
            return in_flight.refuse("the protocol actor is gone");
        }
        if let Err(why) = in_flight.enter(supervisor) {
            return in_flight.refuse(why);
        }
        let job = SpawnJob {
            spec,
            taken,
            asked: EnvGeneration::now(),
            protocol,
            in_flight,
        };
        let submit = move |job: SpawnJob, arbiter_ref: ArbiterRef, place: Place| {
            place.submit(Box::new(move |desk| job.run(&arbiter_ref, desk)));
        };
        match home {
            Home::Here(arbiter_ref) => submit(job, arbiter_ref, place),
            Home::Named(arbiter) => {
                let unsent = run_on(&arbiter, (job, place.settled()), move |(job, place)| {
                    match ArbiterRef::current() {
                        Some(arbiter_ref) => submit(job, arbiter_ref, place),
                        None => job.in_flight.refuse(STOPPED),
                    }
                });
                if let Some((job, _)) = unsent {
                    job.in_flight.refuse(STOPPED);
                }
            }
            Home::Nowhere => {}
        }
    }
}

/// Why a child has no place to live.
const STOPPED: &str = "the arbiter for its actors has stopped";
