//! One worker: a task on the pool's arbiter that spawns the process, talks with it, and ends it. It tells the pool what happens, and
//! does what the pool says.

mod answers;
mod aside;
mod commands;
mod current;
mod desk;
mod ending;
mod json_lines;
mod one_shot;
mod output;
mod pipes;
mod said;
mod sending;
mod session;
mod start;
mod take_back;
mod talk;

pub(super) use commands::commands;
pub(super) use desk::{WorkerDesk, WorkerLine};
pub(super) use json_lines::is_json;
pub(super) use one_shot::empty_input;
pub(super) use start::{BegunStart, begin};
pub(super) use take_back::fits_a_packet;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::actor::{EngineRef, WorkerTold};
use super::core::{JobNumber, StopWorker, WorkerId};
use super::session_frame::WorkerSide;
use super::settings::PoolSettings;
use super::shared::PoolShared;
use crate::Bytes;
use crate::Command;
use crate::host::guard::Guard;
use crate::monitor::output::ServiceOutput;
use commands::CommandReceiver;

/// The status of a worker that has closed its channel is awaited so long, for the outcome of its job, and so is the end of its standard error. A process that dies closes it a moment
/// before.
const STATUS: Duration = Duration::from_millis(500);

/// What a worker needs to be started.
pub(super) struct LinkSetup {
    pub(super) worker: WorkerId,
    /// A [worker's](PoolSettings::worker_command), with the arguments of a job.
    pub(super) command: Command,
    pub(super) settings: Rc<PoolSettings>,
    pub(super) shared: Arc<PoolShared>,
    pub(super) guard: Option<Rc<Guard>>,
    pub(super) output: ServiceOutput,
    pub(super) engine: EngineRef,
    pub(super) commands: CommandReceiver,
}

/// What a worker is told. There are few of them at a time: one job, its cancel, two stops.
pub(super) enum LinkCommand {
    Job(LinkJob),
    /// A part of a job waits for room in the worker's pipe, or an answer was read.
    GoOn,
    /// Nobody wants the answer to this job.
    Cancel(JobNumber),
    /// Somebody has the worker for himself.
    CheckOut(JobNumber, WorkerSide),
    Stop(StopWorker),
}

/// A job, as the worker needs it.
pub(super) struct LinkJob {
    pub(super) id: JobNumber,
    pub(super) body: Bytes,
    /// Where the parts of the answer go, if it is streamed.
    pub(super) chunks: Option<mpsc::Sender<Bytes>>,
}

/// Tells the pool of one worker.
#[derive(Clone)]
struct Teller {
    worker: WorkerId,
    engine: EngineRef,
}

impl Teller {
    fn tell(&self, told: WorkerTold) {
        self.engine
            .with(|engine| engine.worker_told(self.worker, told));
    }
}

/// Runs a worker from its spawn until nobody is left of it.
pub(super) async fn run(begun: BegunStart) {
    let (mut link, mut pump) = match start::started(begun).await {
        Ok(started) => started,
        Err(not_spawned) => return not_spawned.tell(),
    };
    let end = link.talk(&mut pump).await;
    link.end(end, pump).await;
}
