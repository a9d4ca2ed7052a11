//! A spawn that was asked for: from the asking to a spawner thread, and the answer.

use std::sync::Arc;

use super::job::SpawnJob;
use super::reply::{Reply, Sender};
use super::table::{KeepAlive, Table};
use crate::command::Command;
use crate::command::spec::Spec;
use crate::error::SpawnError;
use crate::handle::ProcessHandle;
use crate::id::ProcessId;
use crate::protocol::into::{IntoProtocol, Protocol};
use crate::spawn::arbiter_ref::ArbiterRef;
use crate::spawn::environment::EnvGeneration;
use crate::sys;
use crate::sys::clone::Ticket;
use crate::threads::spawners::{self, Place};
use actix::Message;

/// Spawns a child; answers with its handle when `ConnectionMade` was queued.
///
/// The child's actors run on the arbiter where this message was made; without one, on the
/// supervisor's. Dropping the `send` future cancels the spawn only before it is handled; drop a
/// [`Spawning`](crate::Spawning) to cancel at any time. After a `do_send` a failure is logged.
#[derive(Debug, Message)]
#[rtype(result = "Result<ProcessHandle, SpawnError>")]
pub struct Spawn {
    spec: Arc<Spec>,
    protocol: Protocol,
    arbiter_ref: Option<ArbiterRef>,
    /// As the asking thread is.
    place: Place,
    pub(crate) ticket: Arc<Ticket>,
}

impl Spawn {
    /// A spawn of `command` whose events go to `protocol`.
    #[must_use]
    pub fn new(command: Command, protocol: impl IntoProtocol) -> Self {
        Self::of(&command, protocol, Place::for_this_thread())
    }

    pub(crate) fn of(command: &Command, protocol: impl IntoProtocol, place: Place) -> Self {
        Self {
            spec: Arc::clone(command.spec()),
            protocol: protocol.into_protocol(),
            arbiter_ref: ArbiterRef::current(),
            place,
            ticket: Arc::default(),
        }
    }

    /// Enters the spawn into `table` and queues it for a spawner thread, or refuses it. The answer
    /// goes to `to` in any case. The table keeps `supervisor`, unless somebody else does.
    pub(crate) fn submit(
        self,
        table: &Arc<Table>,
        supervisor: Option<KeepAlive>,
        to: Option<Sender>,
    ) {
        let Self {
            spec,
            protocol,
            arbiter_ref,
            place,
            ticket,
        } = self;
        // By this spawn, whatever becomes of it.
        let taken = spec.take_fds();
        let program = spec.program_name();
        let reply = Reply::new(program, Arc::clone(&ticket), to);
        if sys::copy::is_copy() {
            return reply.refuse(spawners::COPY);
        }
        let Some(arbiter_ref) = arbiter_ref.or_else(ArbiterRef::current) else {
            return reply.refuse("there is no arbiter");
        };
        if !protocol.is_alive() {
            return reply.refuse("the protocol actor is gone");
        }
        let id = ProcessId::next();
        let entry = match table.begin(id, &ticket, supervisor) {
            Ok(entry) => entry,
            Err(why) => return reply.refuse(why),
        };
        let job = SpawnJob {
            id,
            spec,
            taken,
            asked: EnvGeneration::now(),
            protocol,
            arbiter_ref,
            ticket,
            entry,
            reply,
        };
        place.submit(Box::new(move |desk| job.run(desk)));
    }
}
