//! Many children at once: each has its own status, and nothing is left of any.

use crate::common;

use std::time::Duration;

use actix::prelude::*;
use actix_process::{
    ExitStatus, Fd, NoProtocol, ProcessHandle, ProcessProtocol, ProcessSupervisor, Signal, Spawn,
    process_protocol,
};
use common::census::{Census, has_watch, is_gone};
use common::helper::helper;
use common::isolated::{isolated, skipped};
use common::limits::set_soft_limit;
use common::trace::{Trace, spawned};
use common::{DEADLINE, eventually, in_time, run};
use futures::future::join_all;
use nix::libc;
use tokio::sync::mpsc;

/// Starts what stays with the process, then counts. Spawner threads come as they are needed.
async fn census_after_a_first_child() -> Census {
    let first = helper(["ignore", "15", "say", "ready", "pause"]);
    let (trace, first) = spawned(first).await;
    trace.output(&first, 1, "ready").await;
    assert!(first.terminate(Duration::from_millis(1)));
    trace.ended(&first).await;
    // Its pidfd closes just after.
    let closed = || (!has_watch()).then_some(());
    eventually("the close of its pidfd", closed, || {
        format!("{:?}", census())
    })
    .await;
    census()
}

fn census() -> Census {
    let mut census = Census::take();
    census
        .threads
        .retain(|name| !name.starts_with("actix-process-s"));
    census
}

async fn assert_restored(before: &Census) {
    let same = || (census() == *before).then_some(());
    let seen = || format!("{:#?}, before {before:#?}", census());
    eventually("the census to be as before", same, seen).await;
}

/// The codes of xorshift32, 0 to 255.
fn codes() -> impl Iterator<Item = i32> {
    let mut state = 0x2545_F491_u32;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 24) as i32
    })
}

#[test]
fn a_thousand_children_at_once_each_end_with_their_own_status() {
    isolated(|| {
        const COUNT: usize = 1000;
        let needed = 3 * COUNT as u64 + 200;
        let (_, hard) = set_soft_limit(libc::RLIMIT_NOFILE, needed);
        if hard < needed {
            return skipped(&format!("at most {hard} descriptors"));
        }
        run(async {
            let before = census_after_a_first_child().await;
            let (trace, protocol) = Trace::start();
            let codes: Vec<i32> = codes().take(COUNT).collect();
            // All of them live until their input ends.
            let spawns = codes.iter().map(|code| {
                helper(["drain", "0", "exit", &code.to_string()])
                    .stderr(Fd::null())
                    .spawn(&protocol)
            });
            let processes: Vec<ProcessHandle> = join_all(spawns)
                .await
                .into_iter()
                .map(|spawned| spawned.unwrap())
                .collect();
            assert!(processes.iter().all(|process| process.pid().is_some()));
            for process in &processes {
                process.close_stdin();
            }
            for (process, code) in processes.iter().zip(&codes) {
                let status = in_time(process.ended()).await;
                assert_eq!(status.code(), Some(*code), "{process:?}");
            }
            for process in &processes {
                trace.ended(process).await.assert_rules(&[0, 1]);
            }
            assert_restored(&before).await;
        });
    });
}

#[test]
fn a_hundred_deaths_while_the_thread_is_blocked_are_all_told() {
    isolated(|| {
        run(async {
            let before = census_after_a_first_child().await;
            // This thread's own supervisor, so that the reaping waits with everything else.
            let supervisor = ProcessSupervisor::new().start();
            let (trace, protocol) = Trace::start();
            let mut processes = Vec::new();
            for _ in 0..100 {
                let spawn = Spawn::new(helper(["say", "ready", "pause"]), &protocol);
                let process = supervisor.send(spawn).await.unwrap().unwrap();
                trace.output(&process, 1, "ready").await;
                processes.push(process);
            }
            let pids: Vec<i32> = processes.iter().map(|p| p.pid().unwrap()).collect();
            for process in &processes {
                assert!(process.kill());
            }
            let begun = std::time::Instant::now();
            let dead = |pid: &i32| is_gone(*pid);
            while !pids.iter().all(dead) {
                assert!(begun.elapsed() < DEADLINE, "they do not die");
            }
            std::thread::sleep(Duration::from_millis(200).saturating_sub(begun.elapsed()));
            let told = processes
                .iter()
                .any(|process| process.try_status().is_some());
            // Without pidfds a thread for each child has reaped it meanwhile.
            assert!(!told || cfg!(actix_process_force_no_pidfd));

            for process in &processes {
                let history = trace.ended(process).await;
                history.assert_rules(&[0, 1, 2]);
                assert_eq!(history.status().signal(), Some(Signal::KILL));
            }
            drop((supervisor, processes));
            assert_restored(&before).await;
        });
    });
}

#[test]
fn children_that_come_and_go_leave_nothing() {
    isolated(|| {
        run(async {
            let before = census_after_a_first_child().await;
            for codes in codes().take(200).collect::<Vec<_>>().chunks(20) {
                let lives = codes.iter().map(|code| async move {
                    let child = helper(["say", "hello", "exit", &code.to_string()]);
                    let process = child.spawn(NoProtocol).await.unwrap();
                    assert_eq!(process.ended().await.code(), Some(*code));
                });
                in_time(join_all(lives)).await;
            }
            assert_restored(&before).await;
        });
    });
}

/// Spawns its next child when one has ended; stops when there were enough.
struct Chain {
    left: u32,
    statuses: mpsc::UnboundedSender<ExitStatus>,
}

impl Chain {
    fn spawn(&self, ctx: &mut Context<Self>) {
        let child = helper(["say", "hello", "exit", &self.left.to_string()]);
        let spawning = child.spawn(ctx.address()).into_actor(self);
        ctx.spawn(spawning.map(|spawned, _, _| drop(spawned.unwrap())));
    }
}

impl Actor for Chain {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.spawn(ctx);
    }
}

impl ProcessProtocol for Chain {
    fn process_ended(&mut self, _: &ProcessHandle, status: ExitStatus, ctx: &mut Context<Self>) {
        self.statuses.send(status).unwrap();
        self.left -= 1;
        if self.left > 0 {
            self.spawn(ctx);
        }
    }
}
process_protocol!(Chain);

#[test]
fn a_protocol_may_spawn_the_next_child_when_one_has_ended() {
    run(async {
        let (statuses, mut told) = mpsc::unbounded_channel();
        let chain = Chain { left: 20, statuses }.start();
        for left in (1..=20).rev() {
            let status = in_time(told.recv()).await.unwrap();
            assert_eq!(status.code(), Some(left));
        }
        // Its children were all that kept it, but for this address.
        drop(chain);
        assert!(in_time(told.recv()).await.is_none());
    });
}
