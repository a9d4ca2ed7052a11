//! The peer that an actix user would write by hand: `tokio::process`, with a task for each child that sends every
//! chunk, close and exit to an actor.
//!
//! In its best form that is bounded. Chunks go by `do_send` with a permit in them, [`AHEAD`] of each output at most:
//! `send`, which waits for each to be handled, is slower. One task reads both outputs and waits. Buffers are small until one is filled,
//! and are used again when the actor has dropped what was in them. An answer is written by the actor itself (`Context::wait`), not by a task.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;

use actix::prelude::*;
use actix_process::Bytes;
use bytes::BytesMut;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::crowd::{Totals, count_lines};

/// So many chunks of an output are on their way at most.
const AHEAD: usize = 2;
const SMALL: usize = 4 * 1024;
const LARGE: usize = 64 * 1024;

/// What a child does.
#[derive(Message)]
#[rtype(result = "()")]
struct FromChild {
    child: usize,
    event: Event,
}

enum Event {
    Data {
        data: Bytes,
        /// Given back when the actor has had the data.
        _permit: OwnedSemaphorePermit,
    },
    Closed,
    Exited(ExitStatus),
}

/// Spawns the next child, if one is left.
#[derive(Message)]
#[rtype(result = "()")]
struct Next;

/// One actor for all children.
pub(crate) struct Crowd {
    command: Command,
    work: Work,
    left: usize,
    /// What is still to come of each child: two closes and an exit.
    awaited: Vec<u8>,
    pids: Vec<Pid>,
    ended: usize,
    wanted: usize,
    totals: Totals,
    stdin: Option<ChildStdin>,
    all_alive: Option<oneshot::Sender<Vec<Pid>>>,
    all_ended: Option<oneshot::Sender<Totals>>,
}

/// What the actor does with what it is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Count,
    CountLines,
    /// Spawns all at once, and keeps them until they are killed.
    Hold,
    /// Writes the line again when it is back, so many times.
    Echo(&'static [u8], usize),
}

impl Actor for Crowd {
    type Context = Context<Self>;
}

impl Handler<Next> for Crowd {
    type Result = ();

    fn handle(&mut self, _: Next, ctx: &mut Self::Context) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        let mut process = self.command.spawn().expect("the program can be spawned");
        let child = self.awaited.len();
        self.awaited.push(3);
        let stdin = process.stdin.take();
        let stdout = process.stdout.take().expect("it is piped");
        let stderr = process.stderr.take();
        let to = ctx.address();
        let kept = match self.work {
            Work::Echo(..) => {
                self.stdin = stdin;
                self.write(ctx);
                None
            }
            Work::Hold => {
                let pid = process.id().expect("it lives").cast_signed();
                self.pids.push(Pid::from_raw(pid));
                ctx.notify(Next);
                stdin
            }
            Work::Count | Work::CountLines => stdin,
        };
        actix_rt::spawn(async move {
            let exit = async {
                let status = process.wait().await.expect("it can be waited for");
                drop(kept);
                let event = Event::Exited(status);
                to.do_send(FromChild { child, event });
            };
            let stderr = async {
                match stderr {
                    Some(stderr) => pump(stderr, child, &to).await,
                    None => to.do_send(FromChild {
                        child,
                        event: Event::Closed,
                    }),
                }
            };
            tokio::join!(pump(stdout, child, &to), stderr, exit);
        });
        if self.left == 0
            && let Some(all_alive) = self.all_alive.take()
        {
            let _ = all_alive.send(std::mem::take(&mut self.pids));
        }
    }
}

/// Sends all that comes from an output, and its close.
async fn pump(mut from: impl AsyncRead + Unpin, child: usize, to: &Addr<Crowd>) {
    let permits = Arc::new(Semaphore::new(AHEAD));
    let mut buffer = BytesMut::new();
    let mut size = SMALL;
    loop {
        let permit = Arc::clone(&permits).acquire_owned().await;
        if buffer.capacity() < size / 4 {
            buffer.reserve(size);
        }
        let count = from.read_buf(&mut buffer).await;
        if count.expect("a pipe can be read") == 0 {
            break;
        }
        if buffer.len() == buffer.capacity() {
            size = LARGE;
        }
        let event = Event::Data {
            data: buffer.split().freeze(),
            _permit: permit.expect("it is never closed"),
        };
        to.do_send(FromChild { child, event });
    }
    to.do_send(FromChild {
        child,
        event: Event::Closed,
    });
}

impl Handler<FromChild> for Crowd {
    type Result = ();

    fn handle(&mut self, FromChild { child, event }: FromChild, ctx: &mut Self::Context) {
        match event {
            Event::Data { data, .. } => return self.data(&data, ctx),
            Event::Closed => {}
            Event::Exited(status) => {
                let expected = self.work == Work::Hold && status.signal().is_some();
                assert!(expected || status.success(), "{status}");
            }
        }
        self.awaited[child] -= 1;
        if self.awaited[child] > 0 {
            return;
        }
        self.ended += 1;
        if self.ended == self.wanted
            && let Some(all_ended) = self.all_ended.take()
        {
            let _ = all_ended.send(self.totals);
        }
        if self.work != Work::Hold {
            ctx.notify(Next);
        }
    }
}

impl Crowd {
    fn data(&mut self, data: &[u8], ctx: &mut Context<Self>) {
        self.totals.bytes += data.len();
        match self.work {
            Work::CountLines => self.totals.lines += count_lines(data),
            Work::Echo(line, _) if self.totals.bytes.is_multiple_of(line.len()) => self.write(ctx),
            _ => {}
        }
    }

    /// Writes the line, or closes the input after the last.
    fn write(&mut self, ctx: &mut Context<Self>) {
        let Work::Echo(line, times) = self.work else {
            return;
        };
        let Some(mut stdin) = self.stdin.take() else {
            return;
        };
        if self.totals.bytes == line.len() * times {
            return;
        }
        let written = async move {
            stdin.write_all(line).await.expect("cat reads");
            stdin
        };
        let back = |stdin, crowd: &mut Self, _: &mut _| crowd.stdin = Some(stdin);
        ctx.wait(written.into_actor(self).map(back));
    }

    fn new(command: Command, work: Work, count: usize) -> (Self, oneshot::Receiver<Totals>) {
        let (all_ended, ended) = oneshot::channel();
        let crowd = Self {
            command,
            work,
            left: count,
            awaited: Vec::with_capacity(count),
            pids: Vec::new(),
            ended: 0,
            wanted: count,
            totals: Totals::default(),
            stdin: None,
            all_alive: None,
            all_ended: Some(all_ended),
        };
        (crowd, ended)
    }
}

async fn run(command: Command, work: Work, count: usize, at_a_time: usize) -> Totals {
    let (crowd, ended) = Crowd::new(command, work, count);
    let crowd = crowd.start();
    for _ in 0..at_a_time {
        crowd.do_send(Next);
    }
    ended.await.expect("every child ends")
}

/// Spawns `count` children, `at_a_time` of them live, to the last end.
pub(crate) async fn relay(command: Command, count: usize, at_a_time: usize) -> Totals {
    run(command, Work::Count, count, at_a_time).await
}

/// The same for `count` children at once, whose lines are counted.
pub(crate) async fn chatter(command: Command, count: usize) -> Totals {
    run(command, Work::CountLines, count, count).await
}

/// So many round trips of a line.
pub(crate) async fn echo(command: Command, line: &'static [u8], trips: usize) {
    let totals = run(command, Work::Echo(line, trips), 1, 1).await;
    assert_eq!(totals.bytes, line.len() * trips);
}

/// Children that all live at once.
pub(crate) struct Held {
    pids: Vec<Pid>,
    ended: oneshot::Receiver<Totals>,
}

pub(crate) async fn hold(command: Command, count: usize) -> Held {
    let (mut crowd, ended) = Crowd::new(command, Work::Hold, count);
    let (all_alive, alive) = oneshot::channel();
    crowd.all_alive = Some(all_alive);
    crowd.start().do_send(Next);
    Held {
        pids: alive.await.expect("every child is spawned"),
        ended,
    }
}

impl Held {
    /// Kills all, and waits for the last end.
    pub(crate) async fn kill(self) {
        for pid in self.pids {
            kill(pid, Signal::SIGKILL).expect("it is not reaped yet");
        }
        self.ended.await.expect("every child ends");
    }
}
