//! The protocol that collects, and the future around it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use actix::{Actor, ActorContext, ArbiterHandle, AsyncContext, Context, Handler, Message};
use bytes::Bytes;
use tokio::sync::oneshot;

use super::group::grouped;
use super::{CollectError, Output, Recipe};
use crate::command::Command;
use crate::command::fd_map::{Fd, FdMap};
use crate::handle::ProcessHandle;
use crate::ladder::Ladder;
use crate::port::Port;
use crate::protocol::ProcessProtocol;
use crate::protocol::process_protocol;
use crate::spawn::home::{self, Home};
use crate::status::ExitStatus;
use crate::sync::lock;
use crate::sys;

/// What a child that ran to its end leaves.
pub(super) struct Collected {
    pub(super) output: Output,
    /// It wrote to its standard error, apart from its standard output; whether or not it was kept.
    pub(super) complained: bool,
}

pub(super) async fn collect(command: Command, recipe: Recipe) -> Result<Collected, CollectError> {
    let arbiter = match Home::asked_here(command.spec()) {
        Home::Here(here) => here.arbiter,
        // One that has stopped is refused by the spawn.
        Home::Named(arbiter) => arbiter,
        Home::Nowhere => {
            home::own()
                .map_err(|error| {
                    // As by any spawn that fails.
                    drop(command.spec().take_fds());
                    error.of(None, command.spec().given_name())
                })?
                .arbiter
        }
    };
    let fds = fds_for(command.fd_map(), &recipe);
    let (stdout, stderr) = (fds.original(1), fds.original(2));
    let command = grouped(command.fds(fds).without_terminal_stream(), recipe.group);
    let (done, output) = oneshot::channel();
    let timeout = recipe.timeout;
    let running = Running::default();
    let kill_on_drop = KillOnDrop(running.clone());
    let collector = Collector::start_in_arbiter(&arbiter, move |_| Collector {
        recipe,
        stdout,
        stderr,
        running,
        output: Output::empty(),
        complained: false,
        timed_out: false,
        time_is_up: false,
        ended: None,
        done: Some(done),
    });
    let begun = Instant::now();
    let spawning = command.spawn(&collector);
    let process = match timeout {
        None => spawning.await?,
        Some(timeout) => match before(timeout, &arbiter, spawning).await {
            Some(spawned) => spawned?,
            // An exec that hangs. Dropping the spawn cancelled it.
            None => return Err(CollectError::TimedOut(Box::new(Output::empty()))),
        },
    };
    if let Some(timeout) = timeout {
        collector.do_send(StartTimer {
            process: process.clone(),
            left: timeout.saturating_sub(begun.elapsed()),
        });
    }
    // The child's events keep it alive; whatever ends it otherwise ends the wait.
    drop(collector);
    let result = output.await.unwrap_or(Err(CollectError::Gone));
    drop(kill_on_drop);
    result
}

/// What `future` gives before `timeout`. The clock is that of `arbiter`: whoever awaits it may have no runtime.
async fn before<T>(
    timeout: Duration,
    arbiter: &ArbiterHandle,
    future: impl Future<Output = T>,
) -> Option<T> {
    let (mut up, time_is_up) = oneshot::channel();
    arbiter.spawn(async move {
        // Closed when nobody waits any more.
        if tokio::time::timeout(timeout, up.closed()).await.is_err() {
            let _ = up.send(());
        }
    });
    let mut future = pin!(future);
    let mut time_is_up = Some(time_is_up);
    poll_fn(|cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        let Some(waiting) = &mut time_is_up else {
            return Poll::Pending;
        };
        match ready!(Pin::new(waiting).poll(cx)) {
            Ok(()) => Poll::Ready(None),
            // The arbiter is gone, and `future` will know.
            Err(_) => {
                time_is_up = None;
                Poll::Pending
            }
        }
    })
    .await
}

/// The child's descriptors. Nobody has a handle: there is one input at most, what would be a stream or
/// lines is collected, or thrown away, and every other input is at its end.
fn fds_for(map: &FdMap, recipe: &Recipe) -> FdMap {
    let has_input = recipe.input.is_some();
    // Entry by entry, so that a number that is named twice is refused as ever.
    let served = |(n, fd): (i32, &Fd)| match fd {
        _ if n == 0 && has_input => (n, Fd::write()),
        fd if fd.is_write() => (n, Fd::null()),
        fd if fd.is_stream() || fd.is_lines() => (n, Fd::read()),
        fd => (n, fd.clone()),
    };
    let mut served: FdMap = map.iter().map(served).collect();
    if has_input && map.get(0).is_none() {
        served.put(0, Fd::write());
    }
    if recipe.merge && served.original(1).is_some_and(|n| n != 2) {
        served.put(2, Fd::same_as(1));
    }
    served
}

/// What the future and the protocol know of the child in common: the future may be dropped before
/// it has a handle, when the protocol has one already.
type Running = Arc<Mutex<State>>;

#[derive(Default)]
enum State {
    #[default]
    Spawning,
    Running(ProcessHandle),
    Ended,
    /// The future was dropped.
    Dropped,
}

struct KillOnDrop(Running);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if sys::copy::is_copy() {
            return;
        }
        let state = std::mem::replace(&mut *lock(&self.0), State::Dropped);
        if let State::Running(process) = state {
            kill(&process);
        }
    }
}

fn kill(process: &ProcessHandle) {
    let _ = process.child().kill_by_policy();
    // Whatever a descendant of the child does with the other ends.
    process.cut_connection();
}

/// The protocol of a child whose output is collected.
struct Collector {
    recipe: Recipe,
    /// The descriptor of which the data of standard output come, and of standard error.
    stdout: Option<i32>,
    stderr: Option<i32>,
    running: Running,
    output: Output,
    complained: bool,
    timed_out: bool,
    /// After a timeout: nothing is left, or was given up.
    time_is_up: bool,
    /// How the child ended, if that was told before.
    ended: Option<ExitStatus>,
    done: Option<oneshot::Sender<Result<Collected, CollectError>>>,
}

impl Collector {
    fn keep(&mut self, from_stdout: bool, data: &[u8]) {
        let stream = if from_stdout || self.recipe.merge {
            &mut self.output.stdout
        } else {
            self.complained = true;
            &mut self.output.stderr
        };
        let kept = data
            .len()
            .min(self.recipe.limit.saturating_sub(stream.len()));
        stream.extend_from_slice(data.get(..kept).unwrap_or_default());
        self.output.truncated |= kept < data.len();
    }
}

impl Actor for Collector {
    type Context = Context<Self>;
}

impl ProcessProtocol for Collector {
    fn connection_made(&mut self, process: &ProcessHandle, _: &mut Self::Context) {
        let mut running = lock(&self.running);
        if matches!(*running, State::Dropped) {
            return kill(process);
        }
        *running = State::Running(process.clone());
        drop(running);
        if let Some(byte) = process.child().port(0).and_then(Port::end_of_input) {
            let _ = process.write(byte);
        }
        if let Some(input) = self.recipe.input.take() {
            // Refused only if the child closed it already, which is no error.
            let _ = process.write(input);
            process.close_stdin();
        }
    }

    fn child_data_received(
        &mut self,
        _: &ProcessHandle,
        fd: i32,
        data: Bytes,
        _: &mut Self::Context,
    ) {
        if self.stdout == Some(fd) {
            self.keep(true, &data);
        } else if self.stderr == Some(fd) {
            self.keep(false, &data);
        }
    }

    fn process_ended(&mut self, _: &ProcessHandle, status: ExitStatus, ctx: &mut Self::Context) {
        if self.timed_out && !self.time_is_up {
            // Others of its group may be dying yet.
            self.ended = Some(status);
        } else {
            self.finish(status, ctx);
        }
    }
}
process_protocol!(Collector);

impl Collector {
    /// Answers, and stops: its timer would keep it.
    fn finish(&mut self, status: ExitStatus, ctx: &mut Context<Self>) {
        *lock(&self.running) = State::Ended;
        self.output.status = status;
        let output = std::mem::replace(&mut self.output, Output::empty());
        let result = if self.timed_out {
            Err(CollectError::TimedOut(Box::new(output)))
        } else {
            Ok(Collected {
                output,
                complained: self.complained,
            })
        };
        if let Some(done) = self.done.take() {
            let _ = done.send(result);
        }
        ctx.stop();
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct StartTimer {
    process: ProcessHandle,
    left: Duration,
}

impl Handler<StartTimer> for Collector {
    type Result = ();

    fn handle(&mut self, timer: StartTimer, ctx: &mut Self::Context) {
        let StartTimer { process, left } = timer;
        // One child and one timer for each of these actors.
        ctx.run_later(left, move |collector, ctx| {
            if collector.done.is_none() {
                return;
            }
            collector.timed_out = true;
            let ladder = Ladder::terminate(collector.recipe.grace);
            let collector = ctx.address();
            process.child().escalate(ladder, {
                let process = process.clone();
                move |report| {
                    let exited = report.exited;
                    collector.do_send(TimeIsUp { process, exited });
                }
            });
        });
    }
}

/// After a timeout: nothing is left, or it was given up.
#[derive(Message)]
#[rtype(result = "()")]
struct TimeIsUp {
    process: ProcessHandle,
    exited: bool,
}

impl Handler<TimeIsUp> for Collector {
    type Result = ();

    fn handle(&mut self, up: TimeIsUp, ctx: &mut Self::Context) {
        let TimeIsUp { process, exited } = up;
        if self.done.is_none() {
            return;
        }
        self.time_is_up = true;
        // Only descendants that hold its pipes hold up the end now.
        process.cut_connection();
        let status = (!exited).then_some(ExitStatus::StillRunning);
        if let Some(status) = self.ended.or(status) {
            self.finish(status, ctx);
        }
    }
}
