//! The spawn of a worker.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::oneshot;

use super::answers::Answers;
use super::output::OutputPump;
use super::talk::WorkerLink;
use super::{LinkCommand, LinkSetup, Teller};
use crate::Command;
use crate::Fd;
use crate::NoProtocol;
use crate::OnLeftovers;
use crate::OnOrphaned;
use crate::Signal;
use crate::SpawnError;
use crate::host::spawn::CancellableSpawn;
use crate::pool::actor::WorkerTold;
use crate::pool::framing::Framing;
use crate::pool::settings::{ANSWERS, JOBS};

/// After the worker's death a process that has left its group may hold its output open for so long.
const DRAIN: Duration = Duration::from_millis(500);

/// There is no child of a start, and the pool does not know yet.
pub(super) struct NotSpawned {
    teller: Teller,
    error: SpawnError,
}

impl NotSpawned {
    pub(super) fn tell(self) {
        self.teller
            .tell(WorkerTold::NotSpawned(Box::new(self.error)));
    }
}

/// Spawns a worker, and tells the pool of it. A stop that comes meanwhile gives the spawn up.
pub(super) async fn started(mut setup: LinkSetup) -> Result<(WorkerLink, OutputPump), NotSpawned> {
    let worker = setup.worker;
    let teller = Teller {
        worker,
        engine: setup.engine.clone(),
    };
    let mark = setup.guard.as_ref().map(|guard| guard.announce(worker));
    let command = prepared(&setup, mark);
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
            if let Some(guard) = &setup.guard {
                guard.remove(worker);
            }
            return Err(NotSpawned { teller, error });
        }
    };
    setup.shared.kill_all.add(worker, &process);
    if let Some(guard) = &setup.guard {
        guard.add(worker, &process);
    }
    teller.tell(WorkerTold::Spawned(process.clone()));
    let framing = setup.settings.framing;
    let (input, answers) = match framing {
        Framing::Frames => (JOBS, ANSWERS),
        Framing::JsonLines | Framing::OneShot => (0, 1),
    };
    // It is there: the map has it.
    let answers = process.take_stream(answers).ok();
    let printed: &[i32] = if framing == Framing::Frames {
        &[1, 2]
    } else {
        &[2]
    };
    let pump = OutputPump::start(&process, printed, setup.output);
    if framing != Framing::Frames {
        teller.tell(WorkerTold::Ready("".into()));
    }
    let link = WorkerLink::new(
        teller,
        (process, input),
        Answers::new(answers, &setup.settings),
        (setup.settings, setup.shared, setup.guard),
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
