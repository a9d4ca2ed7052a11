//! What the children of services tell the monitor, which is their protocol: their output, and their end.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use super::told::StartTold;
use super::{Engine, GuardSlot, Told};
use crate::Bytes;
use crate::CloseReason;
use crate::ExitStatus;
use crate::Ladder;
use crate::Line;
use crate::LineEnd;
use crate::ProcessHandle;
use crate::ProcessProtocol;
use crate::Signal;
use crate::Stopped;
use crate::StoppedBy;
use crate::Unkillable;
use crate::monitor::Monitor;
use crate::monitor::core::{Fact, How, RunEnd, Slot};
use crate::monitor::output::last;
use crate::process_protocol;

/// The time that a service has to write its core when its watchdog has bitten.
const CORE: Duration = Duration::from_secs(5);

/// How long the death of a process is awaited that did not die of SIGKILL, before it is sent once more.
const PATIENCE: Duration = Duration::from_secs(3600);

impl ProcessProtocol for Monitor {
    fn connection_made(&mut self, process: &ProcessHandle, ctx: &mut Self::Context) {
        self.with(ctx, |engine| {
            // A child that somebody else has spawned for this actor is none of its services.
            if let Some((slot, generation)) = engine.of(process) {
                engine.tick();
                engine.spawned(slot, generation, process);
            }
        });
    }

    fn child_data_received(
        &mut self,
        process: &ProcessHandle,
        fd: i32,
        data: Bytes,
        _: &mut Self::Context,
    ) {
        if let Some(engine) = &mut self.engine {
            engine.data(process, fd, &data);
        }
    }

    fn line_received(
        &mut self,
        process: &ProcessHandle,
        fd: i32,
        line: Line,
        _: &mut Self::Context,
    ) {
        if let Some(engine) = &mut self.engine {
            engine.data(process, fd, &line.text);
            if line.end == LineEnd::Newline {
                engine.data(process, fd, b"\n");
            }
        }
    }

    fn child_connection_lost(
        &mut self,
        process: &ProcessHandle,
        fd: i32,
        _: CloseReason,
        _: &mut Self::Context,
    ) {
        let Some(engine) = &mut self.engine else {
            return;
        };
        if let Some((slot, _)) = engine.of(process)
            && let Some(place) = engine.place(slot)
        {
            place.output.closed(fd);
            if let Some(run) = &mut place.run {
                run.pipes = run.pipes.saturating_sub(1);
                if let Some(feed) = &run.ready {
                    feed.closed(fd);
                }
            }
        }
    }

    fn process_exited(
        &mut self,
        process: &ProcessHandle,
        status: ExitStatus,
        ctx: &mut Self::Context,
    ) {
        self.with(ctx, |engine| {
            if let Some((slot, generation)) = engine.of(process) {
                engine.tick();
                engine.exited(slot, generation, status);
            }
        });
    }

    fn process_ended(&mut self, process: &ProcessHandle, _: ExitStatus, ctx: &mut Self::Context) {
        self.with(ctx, |engine| {
            if let Some((slot, generation)) = engine.of(process) {
                engine.tick();
                engine.drained(slot, generation);
            }
        });
    }
}
process_protocol!(Monitor);

impl Engine {
    fn of(&self, process: &ProcessHandle) -> Option<(Slot, u64)> {
        self.by_process.get(&process.id()).copied()
    }

    fn data(&mut self, process: &ProcessHandle, fd: i32, data: &[u8]) {
        let Some((slot, _)) = self.of(process) else {
            return;
        };
        let Some(place) = self.place(slot) else {
            return;
        };
        let run = place.run.as_ref();
        if let Some(feed) = run.and_then(|run| run.ready.as_ref()) {
            feed.data(fd, data);
        }
        // What says that it is ready is no output.
        if place.spec.ready.notification_fd() != Some(fd) {
            place.output.data(fd, data);
        }
    }

    /// The child was reaped. What it has left of its group is stopped as well.
    pub(super) fn exited(&mut self, slot: Slot, generation: u64, status: ExitStatus) {
        let Some(place) = self.place(slot) else {
            return;
        };
        let ladder = place.spec.ladder.clone();
        let Some(run) = &mut place.run else {
            return;
        };
        run.exited = Some(status);
        run.task.end();
        let is_stopped = run.stops > 0 || run.swept.is_some();
        let process = run.process.clone();
        self.core.fact(slot, generation, Fact::Exited);
        match process {
            Some(process) if !is_stopped => self.climb(slot, generation, &process, ladder),
            _ => self.finish(slot, generation),
        }
    }

    pub(super) fn drained(&mut self, slot: Slot, generation: u64) {
        let Some(place) = self.place(slot) else {
            return;
        };
        place.output.ended();
        if let Some(run) = &mut place.run {
            run.drained = true;
        }
        self.finish(slot, generation);
    }

    /// Ends the run, as the core wants it.
    pub(super) fn stop(&mut self, slot: Slot, generation: u64, how: How) {
        let Some(place) = self.place(slot) else {
            return;
        };
        let ladder = place.spec.ladder.clone();
        let Some(run) = &mut place.run else {
            return;
        };
        run.killed |= how == How::Kill;
        // The wait for readiness, or the watch.
        run.task.end();
        let Some(process) = run.process.clone() else {
            return;
        };
        let ladder = match how {
            How::Ladder => ladder,
            How::Kill => Ladder::new().kill(),
            How::Watchdog => Ladder::new().signal(Signal::ABRT, CORE).followed_by(ladder),
        };
        self.climb(slot, generation, &process, ladder);
    }

    /// Takes the first step now. Where that ends it there is no task.
    pub(super) fn climb(
        &mut self,
        slot: Slot,
        generation: u64,
        process: &ProcessHandle,
        ladder: Ladder,
    ) {
        let mut stopping = Box::pin(process.stop(ladder));
        if let Some(Some(run)) = self.place(slot).map(|place| &mut place.run) {
            run.stops += 1;
        }
        if let Poll::Ready(result) = poll_once(stopping.as_mut()) {
            return self.stopped(slot, generation, &result);
        }
        let address = self.address.clone();
        actix_rt::spawn(async move {
            let told = StartTold::Stopped(stopping.await);
            address.do_send(Told::Start(slot, generation, told));
        });
    }

    pub(super) fn stopped(
        &mut self,
        slot: Slot,
        generation: u64,
        result: &Result<Stopped, Unkillable>,
    ) {
        let Some(Some(run)) = self.place(slot).map(|place| &mut place.run) else {
            return;
        };
        run.stops = run.stops.saturating_sub(1);
        match result {
            Ok(stopped) => {
                run.outlived = run.outlived.max(stopped.outlived);
                // Reaped a moment before it is told.
                run.exited.get_or_insert(stopped.status);
                if stopped.leftovers.is_empty() {
                    run.swept = Some(stopped.by);
                    return self.finish(slot, generation);
                }
                let process = run.process.clone();
                self.core.fact(slot, generation, Fact::Unkillable);
                if let Some(process) = process {
                    self.climb(slot, generation, &process, patient());
                }
            }
            Err(_) => {
                // It may have died while that was told: nobody else looks after what it has left.
                let died = run.exited.is_some() && run.stops == 0 && run.swept.is_none();
                let process = run.process.clone().filter(|_| died);
                self.core.fact(slot, generation, Fact::Unkillable);
                if let Some(process) = process {
                    self.climb(slot, generation, &process, patient());
                }
            }
        }
    }

    /// Tells the core that the run is over, if it is.
    fn finish(&mut self, slot: Slot, generation: u64) {
        let all_killed = self.shared.kill_all.has_killed();
        let Some(place) = self.place(slot) else {
            return;
        };
        let Some(run) = &place.run else {
            return;
        };
        let (Some(status), Some(by), true) = (run.exited, run.swept, run.drained) else {
            return;
        };
        let leftovers = run.outlived;
        // The stop that was told first may be another one.
        let by = match run.killed || all_killed {
            true => StoppedBy::Signal(Signal::KILL),
            false => by,
        };
        let leaf = run.leaf.as_ref();
        let process = run.process.as_ref();
        let kept = process.and_then(|process| Some(last(&process.tail(2)?.bytes)));
        let end = RunEnd {
            status,
            by,
            leftovers,
            out_of_memory: leaf.is_some_and(|leaf| leaf.oom_kills() > 0),
            tail: kept.unwrap_or_else(|| place.output.tail()),
        };
        self.clear_run(slot, generation);
        self.core.fact(slot, generation, Fact::Over(end));
    }

    /// Forgets all that belongs to a run.
    pub(super) fn clear_run(&mut self, slot: Slot, generation: u64) {
        let Some(place) = self.place(slot) else {
            return;
        };
        let Some(run) = place.run.take_if(|run| run.generation == generation) else {
            return;
        };
        if let Some(id) = run.id {
            self.by_process.remove(&id);
        }
        self.shared.kill_all.remove(generation);
        if let (true, GuardSlot::There(guard)) = (run.guarded, &self.guard) {
            guard.remove(generation);
        }
    }
}

/// For what did not die of SIGKILL: the stop is over when it has died.
fn patient() -> Ladder {
    Ladder::new().signal(Signal::KILL, PATIENCE)
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    let mut future = pin!(future);
    future
        .as_mut()
        .poll(&mut TaskContext::from_waker(Waker::noop()))
}
