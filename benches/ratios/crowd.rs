//! Our side of the benches about many children: one protocol actor for all of them.

use actix::prelude::*;
use actix_process::{Bytes, Command, ExitStatus, ProcessHandle, ProcessProtocol, process_protocol};
use tokio::sync::oneshot;

/// Spawns children and counts what they do.
#[derive(Default)]
pub(crate) struct Crowd {
    command: Option<Command>,
    /// Still to be spawned.
    left: usize,
    spawning: usize,
    alive: Vec<ProcessHandle>,
    ended: usize,
    wanted: usize,
    lines: usize,
    bytes: usize,
    all_alive: Option<oneshot::Sender<Vec<ProcessHandle>>>,
    all_ended: Option<oneshot::Sender<Totals>>,
    keep: bool,
    counts_lines: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) lines: usize,
    pub(crate) bytes: usize,
}

/// Spawns `count` children; as soon as one ends the next begins, `at_a_time` of them live.
/// Resolves with the last `ProcessEnded`.
pub(crate) async fn relay(command: Command, count: usize, at_a_time: usize) -> Totals {
    relay_as(Crowd::default(), command, count, at_a_time).await
}

/// The same for `count` children at once, whose lines are counted.
pub(crate) async fn chatter(command: Command, count: usize) -> Totals {
    let counting = Crowd {
        counts_lines: true,
        ..Crowd::default()
    };
    relay_as(counting, command, count, count).await
}

async fn relay_as(crowd: Crowd, command: Command, count: usize, at_a_time: usize) -> Totals {
    let (all_ended, ended) = oneshot::channel();
    let crowd = Crowd {
        command: Some(command),
        left: count,
        wanted: count,
        all_ended: Some(all_ended),
        ..crowd
    };
    let crowd = crowd.start();
    for _ in 0..at_a_time {
        crowd.do_send(Next);
    }
    ended.await.expect("every child ends")
}

/// Children that all live at once.
pub(crate) struct Held {
    pub(crate) handles: Vec<ProcessHandle>,
    ended: oneshot::Receiver<Totals>,
}

/// Spawns `count` children, at most 16 spawns at once. Resolves when all live.
pub(crate) async fn hold(command: Command, count: usize) -> Held {
    let (all_alive, alive) = oneshot::channel();
    let (all_ended, ended) = oneshot::channel();
    let crowd = Crowd {
        command: Some(command),
        left: count,
        wanted: count,
        all_alive: Some(all_alive),
        all_ended: Some(all_ended),
        keep: true,
        ..Crowd::default()
    };
    let crowd = crowd.start();
    for _ in 0..16 {
        crowd.do_send(Next);
    }
    Held {
        handles: alive.await.expect("every child is spawned"),
        ended,
    }
}

impl Held {
    /// Kills those that live, and waits for the last `ProcessEnded`.
    pub(crate) async fn kill(self) {
        for process in &self.handles {
            // Some may have been killed before.
            process.kill();
        }
        self.ended.await.expect("every child ends");
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Next;

impl Actor for Crowd {
    type Context = Context<Self>;
}

impl Handler<Next> for Crowd {
    type Result = ();

    fn handle(&mut self, _: Next, ctx: &mut Self::Context) {
        self.next(ctx);
    }
}

impl Crowd {
    fn next(&mut self, ctx: &mut Context<Self>) {
        let Some(command) = self.command.as_ref().filter(|_| self.left > 0) else {
            return;
        };
        self.left -= 1;
        self.spawning += 1;
        let spawning = command.spawn(ctx.address());
        actix_rt::spawn(async {
            spawning.await.expect("the program can be spawned");
        });
    }
}

impl ProcessProtocol for Crowd {
    fn connection_made(&mut self, process: &ProcessHandle, ctx: &mut Context<Self>) {
        self.spawning -= 1;
        if !self.keep {
            return;
        }
        self.alive.push(process.clone());
        self.next(ctx);
        if self.alive.len() == self.wanted
            && let Some(all_alive) = self.all_alive.take()
        {
            let _ = all_alive.send(std::mem::take(&mut self.alive));
        }
    }

    fn out_received(&mut self, _: &ProcessHandle, data: Bytes, _: &mut Context<Self>) {
        self.bytes += data.len();
        if self.counts_lines {
            self.lines += count_lines(&data);
        }
    }

    fn process_ended(&mut self, _: &ProcessHandle, status: ExitStatus, ctx: &mut Context<Self>) {
        self.ended += 1;
        if !self.keep {
            assert!(status.success(), "{status}");
            self.next(ctx);
        }
        if self.ended == self.wanted
            && let Some(all_ended) = self.all_ended.take()
        {
            let _ = all_ended.send(Totals {
                lines: self.lines,
                bytes: self.bytes,
            });
        }
    }
}
process_protocol!(Crowd);

/// Both sides count so.
pub(crate) fn count_lines(data: &[u8]) -> usize {
    data.iter().filter(|byte| **byte == b'\n').count()
}
