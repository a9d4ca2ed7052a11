//! The spawn of a worker.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Poll;

use bytes::BytesMut;
use tokio::sync::oneshot;

use super::answers::Answers;
use super::commands::CommandReceiver;
use super::desk::WorkerDesk;
use super::json_lines::JsonLines;
use super::output::OutputPump;
use super::pipes::{AnswerPipe, FramePipes, JobPipe};
use super::sending::WorkerInput;
use super::talk::WorkerLink;
use super::{LinkCommand, LinkSetup, Teller};
use crate::Command;
use crate::NoProtocol;
use crate::Spawning;
use crate::host::guard::Guard;
use crate::host::spawn::CancellableSpawn;
use crate::monitor::output::ServiceOutput;
use crate::pool::actor::WorkerTold;
use crate::pool::framing::Framing;
use crate::pool::settings::{ANSWERS, JOBS, PoolSettings};
use crate::pool::shared::PoolShared;
use crate::pool::wire::FrameDecoder;

/// There is no child of a start, and the pool does not know yet.
pub(super) struct NotSpawned {
    teller: Teller,
    problem: String,
    too_long: bool,
}

impl NotSpawned {
    fn by(guard: Option<&Guard>, teller: Teller, problem: String, too_long: bool) -> Self {
        if let Some(guard) = guard {
            guard.remove(teller.worker);
        }
        Self {
            teller,
            problem,
            too_long,
        }
    }

    pub(super) fn tell(self) {
        self.teller.tell(WorkerTold::NotSpawned {
            problem: self.problem.into(),
            too_long: self.too_long,
        });
    }
}

/// A worker whose spawn was asked for, and is submitted by the first poll of its task.
pub(in crate::pool) struct BegunStart {
    teller: Teller,
    settings: Rc<PoolSettings>,
    shared: Arc<PoolShared>,
    guard: Option<Rc<Guard>>,
    output: ServiceOutput,
    commands: CommandReceiver,
    spawn: Result<AskedSpawn, String>,
}

struct AskedSpawn {
    spawning: Spawning,
    /// With the worker's ends of its pipes.
    command: Command,
    /// The pool's ends of them.
    ends: Option<(JobPipe, Rc<AnswerPipe>)>,
}

/// Asks for the spawns of these workers, which are submitted later: the guard is told of all of them by one write, and the state of this thread is read
/// once for all.
pub(in crate::pool) fn begin(setups: Vec<LinkSetup>) -> Vec<BegunStart> {
    let begin_all = || setups.into_iter().map(begin_one).collect();
    let begun: Vec<BegunStart> = Command::spawning_together(begin_all);
    if let Some(guard) = begun.iter().find_map(|begun| begun.guard.as_ref()) {
        guard.tell();
    }
    begun
}

/// The guard has still to be told.
fn begin_one(setup: LinkSetup) -> BegunStart {
    let LinkSetup {
        worker,
        mut command,
        settings,
        shared,
        guard,
        output,
        engine,
        commands,
    } = setup;
    if let Some(guard) = &guard {
        let (name, value) = guard.announce(worker);
        command = command.env(name, value);
    }
    BegunStart {
        spawn: asked(command, &settings),
        teller: Teller { worker, engine },
        settings,
        shared,
        guard,
        output,
        commands,
    }
}

fn asked(mut command: Command, settings: &PoolSettings) -> Result<AskedSpawn, String> {
    let mut ends = None;
    if settings.framing == Framing::Frames {
        let pipes = FramePipes::new().map_err(|error| format!("the pipes of a worker: {error}"))?;
        command = command.fd(JOBS, pipes.childs_jobs);
        command = command.fd(ANSWERS, pipes.childs_answers);
        ends = Some((pipes.jobs, pipes.answers));
    }
    Ok(AskedSpawn {
        spawning: command.spawn(NoProtocol),
        command,
        ends,
    })
}

/// Spawns a worker, and tells the pool of it. A stop that comes meanwhile gives the spawn up.
pub(super) async fn started(begun: BegunStart) -> Result<(WorkerLink, OutputPump), NotSpawned> {
    let BegunStart {
        teller,
        settings,
        shared,
        guard,
        output,
        mut commands,
        spawn,
    } = begun;
    let worker = teller.worker;
    let AskedSpawn {
        spawning,
        command,
        ends,
    } = match spawn {
        Ok(spawn) => spawn,
        Err(problem) => return Err(NotSpawned::by(guard.as_deref(), teller, problem, false)),
    };
    let (give_up, given_up) = oneshot::channel();
    let mut give_up = Some(give_up);
    let mut spawning = pin!(CancellableSpawn::new(spawning, given_up));
    // What was told before the child was there.
    let mut early = Vec::new();
    let spawned = poll_fn(|cx| {
        while let Poll::Ready(Some(command)) = commands.poll_recv(cx) {
            if matches!(command, LinkCommand::Stop(_))
                && let Some(give_up) = give_up.take()
            {
                let _ = give_up.send(());
            }
            early.push(command);
        }
        spawning.as_mut().poll(cx)
    });
    let process = match spawned.await {
        Ok(process) => process,
        Err(error) => {
            let too_long = error.errno() == Some(nix::libc::E2BIG);
            let problem = error.to_string();
            return Err(NotSpawned::by(guard.as_deref(), teller, problem, too_long));
        }
    };
    drop(command);
    shared.kill_all.add(worker, &process);
    if let Some(guard) = &guard {
        guard.add(worker, &process);
    }
    let stream = |fd| process.take_stream(fd).ok();
    let answered = match &ends {
        Some((_, answers)) => Rc::downgrade(answers),
        None => Weak::new(),
    };
    let (input, answers) = match (settings.framing, ends) {
        (Framing::Frames, Some((jobs, answers))) => (
            WorkerInput::Frames(jobs),
            Answers::Frames {
                pipe: Some(answers),
                decoder: FrameDecoder::from_worker(settings.max_frame),
                buffer: BytesMut::new(),
            },
        ),
        (Framing::OneShot, _) => (
            WorkerInput::Whole(process.clone()),
            Answers::Whole { stream: stream(1) },
        ),
        _ => (
            WorkerInput::Lines(process.clone(), process.sink_or_none(0)),
            Answers::Lines {
                stream: stream(1),
                lines: JsonLines::new(settings.max_frame, settings.noise),
            },
        ),
    };
    let desk = Rc::new(WorkerDesk::new(input, answered));
    teller.tell(WorkerTold::Spawned(process.clone(), Rc::clone(&desk)));
    let printed: &[i32] = match settings.framing {
        Framing::Frames => &[1, 2],
        Framing::JsonLines | Framing::OneShot => &[2],
    };
    let pump = OutputPump::start(&process, printed, output);
    if settings.framing != Framing::Frames {
        teller.tell(WorkerTold::Ready {
            name: "".into(),
            ahead: false,
        });
    }
    let link = WorkerLink::new(
        teller,
        (process, desk),
        answers,
        (settings, shared, guard),
        (early, commands),
    );
    Ok((link, pump))
}
