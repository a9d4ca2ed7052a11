//! tokio's side of the benches about many children, in its best form that does the same: both
//! outputs are read to their ends, and the child is waited for.

use std::cell::RefCell;
use std::process::Stdio;
use std::rc::Rc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::task::{JoinHandle, LocalSet};

use crate::crowd::{Totals, count_lines};

/// A command with three pipes.
pub(crate) fn piped(program: &str, args: &[String]) -> Command {
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Spawns `count` children, `at_a_time` of them live, reads both outputs to their ends, and waits.
pub(crate) async fn relay(command: &mut Command, count: usize, at_a_time: usize) {
    let mut running = FuturesUnordered::new();
    for _ in 0..count {
        if running.len() == at_a_time {
            running.next().await;
        }
        let child = command.spawn().expect("the program can be spawned");
        running.push(finish(child));
    }
    while running.next().await.is_some() {}
}

pub(crate) async fn finish(child: Child) {
    let output = child
        .wait_with_output()
        .await
        .expect("the child can be waited for");
    assert!(output.status.success());
}

/// Spawns `count` children that all live at once, each with a task that reads both outputs and
/// counts lines, then waits.
pub(crate) async fn chatter(command: &mut Command, count: usize) -> Totals {
    let local = LocalSet::new();
    local
        .run_until(async {
            let totals = Rc::new(RefCell::new(Totals::default()));
            let mut tasks = Vec::with_capacity(count);
            for _ in 0..count {
                let mut child = command.spawn().expect("the program can be spawned");
                let totals = Rc::clone(&totals);
                tasks.push(tokio::task::spawn_local(async move {
                    let (stdout, stderr) = outputs(&mut child);
                    tokio::join!(count_in(stdout, &totals), count_in(stderr, &totals));
                    child.wait().await.expect("the child can be waited for");
                }));
            }
            for task in tasks {
                task.await.expect("no task panics");
            }
            totals.take()
        })
        .await
}

fn outputs(child: &mut Child) -> (impl AsyncRead + Unpin, impl AsyncRead + Unpin) {
    drop(child.stdin.take());
    let stdout = child.stdout.take().expect("it is piped");
    (stdout, child.stderr.take().expect("it is piped"))
}

async fn count_in(mut from: impl AsyncRead + Unpin, totals: &RefCell<Totals>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer).await.expect("a pipe can be read") {
            0 => return,
            n => {
                let mut totals = totals.borrow_mut();
                totals.bytes += n;
                totals.lines += count_lines(&buffer[..n]);
            }
        }
    }
}

/// Children that all live at once, each with a task that reads both outputs, then waits.
pub(crate) struct Held {
    pub(crate) pids: Vec<i32>,
    pub(crate) tasks: Vec<JoinHandle<()>>,
}

/// Spawns `count` children. tokio's spawn blocks, so they come one after the other.
pub(crate) async fn hold(command: &mut Command, count: usize) -> Held {
    let mut held = Held {
        pids: Vec::with_capacity(count),
        tasks: Vec::with_capacity(count),
    };
    for _ in 0..count {
        let child = command.spawn().expect("the program can be spawned");
        held.pids.push(child.id().expect("it lives").cast_signed());
        held.tasks.push(tokio::spawn(watch(child)));
        // Tasks must get to run, as they do beside a spawn of ours.
        tokio::task::yield_now().await;
    }
    held
}

async fn watch(mut child: Child) {
    // Kept, as ours is: the children shall not see an end of input.
    let stdin = child.stdin.take();
    let stdout = child.stdout.take().expect("it is piped");
    let stderr = child.stderr.take().expect("it is piped");
    tokio::join!(drain(stdout), drain(stderr));
    child.wait().await.expect("the child can be waited for");
    drop(stdin);
}

/// Reads to the end, 4 KiB at a time.
pub(crate) async fn drain(mut from: impl AsyncRead + Unpin) {
    let mut buffer = [0; 4096];
    while from.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
}

impl Held {
    /// Kills all, and waits for the last task.
    pub(crate) async fn kill(self) {
        for pid in self.pids {
            let pid = nix::unistd::Pid::from_raw(pid);
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL)
                .expect("it is not reaped yet");
        }
        for task in self.tasks {
            task.await.expect("no task panics");
        }
    }
}
