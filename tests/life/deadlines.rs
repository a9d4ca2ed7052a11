//! A deadline is a bound: it is answered whatever the child does and is.

use crate::common;

use std::future::IntoFuture;
use std::pin::pin;
use std::time::{Duration, Instant};

use actix::prelude::*;
use actix_process::supervisor::{List, Shutdown};
use actix_process::{
    CollectError, Command, ExitStatus, NoProtocol, ProcessSupervisor, Spawn, SpawnStep,
};
use common::census::{Census, children};
use common::helper::helper;
use common::isolated::{isolated, skipped};
use common::limits::{is_root, set_soft_limit};
use common::trace::{spawned, spawned_by};
use common::{DEADLINE, eventually, in_time, run, start_all_threads};
use futures::future::{Either, select};
use nix::libc;

const SHORT: Duration = Duration::from_millis(100);
/// What an escalation of [`SHORT`] grace may take, and room.
const BOUND: Duration = Duration::from_secs(8);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// From now on this process may not signal its children, which stay root.
fn lose_the_right_to_signal() {
    // SAFETY: integers.
    assert_eq!(unsafe { libc::setresuid(65534, 65534, 65534) }, 0);
}

async fn no_children() {
    let none = || children().is_empty().then_some(());
    eventually("no child", none, || format!("{:?}", children())).await;
}

#[test]
fn a_timeout_is_answered_of_a_child_that_may_not_be_killed() {
    isolated(|| {
        if !is_root() {
            return skipped("only root can make such a child");
        }
        run(async {
            let before = start_all_threads().await;
            let (end, let_go) = std::io::pipe().unwrap();
            let child = helper(["say", "ready", "drain", "5"]).fd(5, end);
            let mut running = pin!(
                child
                    .output()
                    .timeout(Duration::from_secs(2))
                    .grace(SHORT)
                    .into_future()
            );
            let born = eventually(
                "the child",
                || (!children().is_empty()).then_some(()),
                String::new,
            );
            match select(&mut running, pin!(born)).await {
                Either::Left((result, _)) => panic!("{result:?}"),
                Either::Right(_) => lose_the_right_to_signal(),
            }
            let begun = Instant::now();
            let result = running.await;
            assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
            let Err(CollectError::TimedOut(output)) = result else {
                panic!("{result:?}");
            };
            assert_eq!(output.stdout, b"ready\n");
            assert_eq!(output.status, ExitStatus::StillRunning);
            assert_eq!(output.status.to_string(), "still running");
            assert_eq!(children().len(), 1);
            // It is reaped when it dies, and nothing is left of it.
            drop(let_go);
            no_children().await;
            before.assert_restored_but_spawners().await;
        });
    });
}

#[test]
fn a_shutdown_is_answered_of_a_child_that_may_not_be_killed() {
    isolated(|| {
        if !is_root() {
            return skipped("only root can make such a child");
        }
        run(async {
            let supervisor = ProcessSupervisor::new().start();
            let actions = ["leave", "2", "drain", "0", "say", "ready", "drain", "0"];
            let (trace, process) = spawned_by(&supervisor, helper(actions).process_group(0)).await;
            trace.output(&process, 1, "ready").await;
            lose_the_right_to_signal();
            let begun = Instant::now();
            let report = supervisor.send(Shutdown { grace: SHORT }).await.unwrap();
            assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
            assert_eq!(report.unreaped.len(), 1, "{report:?}");
            assert_eq!(report.leftovers.len(), 1, "{report:?}");
            process.close_stdin();
            trace.ended(&process).await;
        });
    });
}

#[test]
fn a_shutdown_does_not_wait_for_the_grace_of_another() {
    isolated(|| {
        if !is_root() {
            return skipped("only root can make a child that it may not kill");
        }
        run(async {
            let supervisor = ProcessSupervisor::new().start();
            let (trace, process) =
                spawned_by(&supervisor, helper(["say", "ready", "drain", "0"])).await;
            trace.output(&process, 1, "ready").await;
            lose_the_right_to_signal();
            let patient = actix_rt::spawn(supervisor.send(Shutdown { grace: DAY }));
            let at_once = Shutdown {
                grace: Duration::ZERO,
            };
            let report = in_time(supervisor.send(at_once)).await.unwrap();
            assert_eq!(report.unreaped.len(), 1, "{report:?}");
            assert!(!patient.is_finished());
            process.close_stdin();
            let report = in_time(patient).await.unwrap().unwrap();
            assert!(report.unreaped.is_empty(), "{report:?}");
        });
    });
}

#[test]
fn the_error_of_a_spawn_that_was_given_up_does_not_wait_for_a_child_that_may_not_be_killed() {
    isolated(|| {
        if !is_root() {
            return skipped("only root can make such a child");
        }
        run(async {
            start_all_threads().await;
            let (end, let_go) = std::io::pipe().unwrap();
            // The arbiter that asked stops while the child is born, and does not adopt it.
            let arbiter = Arbiter::new();
            let (answer, answered) = tokio::sync::oneshot::channel();
            let dir = tempfile::tempdir().unwrap();
            let script = format!("touch {}/up; cat <&5", dir.path().display());
            let child = Command::new("sh").args(["-c", &script]).fd(5, end);
            let supervisor = ProcessSupervisor::new().start();
            let up = dir.path().join("up");
            arbiter.spawn_fn(move || {
                let spawn = Spawn::new(child, NoProtocol);
                let _ = answer.send(supervisor.send(spawn));
                // The arbiter is held up until the child runs, so it cannot adopt it.
                let begun = Instant::now();
                while !up.exists() {
                    assert!(begun.elapsed() < DEADLINE);
                    std::thread::sleep(Duration::from_millis(1));
                }
                lose_the_right_to_signal();
                Arbiter::current().stop();
            });
            let asked = answered.await.unwrap();
            let answer = actix_rt::spawn(asked);
            let begun = Instant::now();
            let result = in_time(answer).await.unwrap().unwrap();
            let error = result.unwrap_err();
            assert_eq!(error.step(), SpawnStep::Register, "{error}");
            assert!(error.detail().contains("lives on"), "{error}");
            assert!(begun.elapsed() < BOUND + DEADLINE, "{:?}", begun.elapsed());
            assert_eq!(children().len(), 1);
            drop(let_go);
            no_children().await;
        });
    });
}

/// How much memory this process uses, in bytes.
fn memory() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
fn deadlines_that_a_child_did_not_need_cost_nothing_when_it_has_ended() {
    isolated(|| {
        run(async {
            let round = async |children: usize| {
                let child = Command::new("sh").args(["-c", "read x"]);
                let child = child.ended_timeout(DAY).process_group(0);
                for _ in 0..children {
                    let process = child.spawn(NoProtocol).await.unwrap();
                    assert!(process.terminate(DAY));
                    process.terminate_group(DAY);
                    drop(process.stop(actix_process::Ladder::eof(DAY).kill()));
                    process.close_stdin();
                    in_time(process.ended()).await;
                }
            };
            // As large: threads and the allocator take their share once.
            round(800).await;
            let before = memory();
            round(800).await;
            let grown = memory().saturating_sub(before);
            // They were kept until the day was over, some 800 bytes a child.
            assert!(grown < 384 * 1024, "{grown} bytes more");
        });
    });
}

#[test]
fn what_is_asked_for_at_the_limits_is_done() {
    isolated(|| {
        run(async {
            let child = helper(["ignore", "15", "say", "ready", "pause"]);
            let (trace, process) = spawned(child).await;
            trace.output(&process, 1, "ready").await;
            // Neither a thread nor a descriptor can be had.
            common::refuse::refuse(common::refuse::Call::Any(libc::SYS_clone3), libc::EAGAIN);
            set_soft_limit(libc::RLIMIT_NOFILE, 3);
            std::thread::Builder::new().spawn(|| {}).unwrap_err();
            assert!(process.terminate(SHORT));
            let status = trace.ended(&process).await.status();
            assert_eq!(status.signal(), Some(actix_process::Signal::KILL));
        });
    });
}

#[test]
fn a_first_spawn_that_cannot_have_a_janitor_fails() {
    isolated(|| {
        run(async {
            // Everything but the janitor's own descriptors is there.
            let supervisor = ProcessSupervisor::current().unwrap();
            common::refuse::refuse(common::refuse::Call::Any(libc::SYS_eventfd2), libc::EMFILE);
            let before = Census::take();
            let error = Command::new("true").spawn(NoProtocol).await.unwrap_err();
            assert_eq!(error.step(), SpawnStep::Register, "{error}");
            assert_eq!(error.errno(), Some(libc::EMFILE), "{error}");
            before.assert_restored_but_spawners().await;
            assert!(supervisor.send(List).await.unwrap().is_empty());
        });
    });
}
