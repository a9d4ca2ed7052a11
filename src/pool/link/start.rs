//! The spawn of a worker.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::Poll;

use bytes::BytesMut;
use tokio::sync::oneshot;

use super::answers::Answers;
use super::desk::WorkerDesk;
use super::json_lines::JsonLines;
use super::output::OutputPump;
use super::pipes::FramePipes;
use super::sending::WorkerInput;
use super::talk::WorkerLink;
use super::{DRAIN, LinkCommand, LinkSetup, Teller};
use crate::Command;
use crate::Fd;
use crate::NoProtocol;
use crate::OnLeftovers;
use crate::OnOrphaned;
use crate::Signal;
use crate::host::spawn::CancellableSpawn;
use crate::pool::actor::WorkerTold;
use crate::pool::framing::Framing;
use crate::pool::settings::{ANSWERS, JOBS};
use crate::pool::wire::FrameDecoder;

/// There is no child of a start, and the pool does not know yet.
pub(super) struct NotSpawned {
    teller: Teller,
    problem: String,
    too_long: bool,
}

impl NotSpawned {
    fn by(setup: &LinkSetup, teller: Teller, problem: String, too_long: bool) -> Self {
        if let Some(guard) = &setup.guard {
            guard.remove(setup.worker);
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

/// Spawns a worker, and tells the pool of it. A stop that comes meanwhile gives the spawn up.
pub(super) async fn started(mut setup: LinkSetup) -> Result<(WorkerLink, OutputPump), NotSpawned> {
    let worker = setup.worker;
    let teller = Teller {
        worker,
        engine: setup.engine.clone(),
    };
    let mark = setup.guard.as_ref().map(|guard| {
        let mark = guard.announce(worker);
        guard.tell();
        mark
    });
    let settings = Rc::clone(&setup.settings);
    let mut command = prepared(&setup, mark);
    let pipes = match settings.framing {
        Framing::Frames => match FramePipes::new() {
            Ok(pipes) => Some(pipes),
            Err(error) => {
                let problem = format!("the pipes of a worker: {error}");
                return Err(NotSpawned::by(&setup, teller, problem, false));
            }
        },
        _ => None,
    };
    let ends = pipes.map(|pipes| {
        let mapped = std::mem::replace(&mut command, Command::new("")).fd(JOBS, pipes.childs_jobs);
        command = mapped.fd(ANSWERS, pipes.childs_answers);
        (pipes.jobs, pipes.answers)
    });
    let (give_up, given_up) = oneshot::channel();
    let mut give_up = Some(give_up);
    let mut spawning = pin!(CancellableSpawn::new(command.spawn(NoProtocol), given_up));
    // What was told before the child was there.
    let mut early = Vec::new();
    let spawned = poll_fn(|cx| {
        while let Poll::Ready(Some(command)) = setup.commands.poll_recv(cx) {
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
            return Err(NotSpawned::by(&setup, teller, error.to_string(), too_long));
        }
    };
    // With the worker's ends of its pipes.
    drop(command);
    setup.shared.kill_all.add(worker, &process);
    if let Some(guard) = &setup.guard {
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
    let pump = OutputPump::start(&process, printed, setup.output);
    if settings.framing != Framing::Frames {
        teller.tell(WorkerTold::Ready("".into()));
    }
    let link = WorkerLink::new(
        teller,
        (process, desk),
        answers,
        (settings, setup.shared, setup.guard),
        (early, setup.commands),
    );
    Ok((link, pump))
}

/// The command as the pool needs it.
fn prepared(setup: &LinkSetup, mark: Option<(&'static str, String)>) -> Command {
    let mut command = setup.settings.framed(setup.command.clone());
    for fd in [1, 2] {
        let is_read = |fd: &Fd| fd.is_read() || fd.is_lines();
        if command.fd_map().get(fd).is_some_and(is_read) {
            command = command.fd(fd, Fd::stream());
        }
    }
    if command.get_process_group().is_none() {
        command = command.process_group(0);
    }
    command = command
        .ended_timeout(DRAIN)
        .parent_death_signal(Signal::KILL)
        // The stop at its exit deals with them.
        .on_leftovers(OnLeftovers::Hold)
        .on_orphaned(OnOrphaned::Kill)
        .orphaned_quietly();
    match mark {
        Some((name, value)) => command.env(name, value),
        None => command,
    }
}
