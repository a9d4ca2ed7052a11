//! What the supervisor answers a spawn with: nothing itself.

use std::sync::Arc;

use actix::dev::{MessageResponse, OneshotSender};
use actix::{Addr, Context};

use super::{ProcessSupervisor, Spawn};
use crate::error::SpawnError;
use crate::handle::ProcessHandle;
use crate::spawn::home;
use crate::spawn::table::Table;

/// A [`Spawn`] that is handled: the job that does the spawn sends the answer.
#[derive(Debug)]
pub struct Submission {
    pub(super) spawn: Spawn,
    pub(super) table: Arc<Table>,
    pub(super) supervisor: Addr<ProcessSupervisor>,
}

impl MessageResponse<ProcessSupervisor, Spawn> for Submission {
    fn handle(
        self,
        _: &mut Context<ProcessSupervisor>,
        to: Option<OneshotSender<Result<ProcessHandle, SpawnError>>>,
    ) {
        let keep_alive = Box::new(self.supervisor);
        let instead = home::of_this_supervisor;
        self.spawn
            .submit(&self.table, Some(keep_alive), to, instead);
    }
}
