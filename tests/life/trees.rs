//! A child that leads a group is its group, to the last member, whatever ends it.

use crate::common;

use std::future::IntoFuture;
use std::time::Duration;

use crate::tools::isolated_host::in_a_host_of_its_own;
use actix::prelude::*;
use actix_process::supervisor::Shutdown;
use actix_process::{
    CollectError, Command, Ladder, NoProtocol, OnLeftovers, OnOrphaned, ProcessHandle,
    ProcessProtocol, ProcessSupervisor, Signal, SignalError, Spawn, process_protocol,
};
use common::census::{children, is_gone, open_fds, state_and_parent};
use common::helper::helper;
use common::trace::{Trace, spawned};
use common::{DEADLINE, eventually, in_time, run};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(600);

/// A leader that dies of SIGTERM, and leaves a member that ignores it.
const STUBBORN: [&str; 8] = [
    "leave", "5", "ignore", "15", "say", "stubborn", "pause", "pause",
];

/// Such a child, and its member.
async fn stubborn(command: Command) -> (Trace, ProcessHandle, i32) {
    let (trace, process) = spawned(command).await;
    let member = member(&trace, &process).await;
    (trace, process, member)
}

async fn member(trace: &Trace, process: &ProcessHandle) -> i32 {
    trace.output(process, 1, "stubborn").await;
    let text = trace.output(process, 1, "held").await;
    held(&text)
}

/// The pid that `leave` said.
fn held(text: &[u8]) -> i32 {
    let text = String::from_utf8_lossy(text);
    let line = text.lines().find_map(|line| line.strip_prefix("held "));
    line.unwrap_or_else(|| panic!("{text:?}")).parse().unwrap()
}

async fn gone(pid: i32) {
    let seen = || format!("{pid} {:?}", state_and_parent(pid));
    eventually("a death", || is_gone(pid).then_some(()), seen).await;
}

#[test]
fn terminate_group_kills_a_member_that_its_leader_has_left() {
    run(async {
        let (trace, process, member) = stubborn(helper(STUBBORN).process_group(0)).await;
        assert!(process.terminate_group(SHORT));
        let status = trace.exited(&process).await;
        assert_eq!(status.signal(), Some(Signal::TERM));
        gone(member).await;
        assert!(trace.ended(&process).await.status().signal().is_some());
    });
}

#[test]
fn a_child_that_has_left_its_group_is_killed_with_it() {
    run(async {
        // It ignores SIGTERM, and so does whom it leaves in its group.
        let actions = [
            "ignore", "15", "leave", "1", "pause", "rejoin", "say", "ready", "pause",
        ];
        let child = helper(actions).process_group(0);
        let (trace, process) = spawned(&child).await;
        let text = trace.output(&process, 1, "ready").await;
        assert!(process.terminate_group(SHORT));
        assert_eq!(trace.exited(&process).await.signal(), Some(Signal::KILL));
        gone(held(&text)).await;
        // And by a timeout.
        let timed = child.output().timeout(Duration::from_secs(1)).grace(SHORT);
        let result = in_time(timed.into_future()).await;
        let Err(CollectError::TimedOut(output)) = result else {
            panic!("{result:?}");
        };
        assert_eq!(output.status.signal(), Some(Signal::KILL));
    });
}

#[test]
fn a_timeout_leaves_no_member_alive() {
    run(async {
        let child = helper(STUBBORN).output().own_group().grace(SHORT);
        let mut time = Duration::from_millis(500);
        loop {
            let result = child.clone().timeout(time).await;
            let Err(CollectError::TimedOut(output)) = result else {
                panic!("{result:?}");
            };
            let text = String::from_utf8_lossy(&output.stdout);
            if text.contains("stubborn") && text.contains("held") {
                // At once: the answer waits for it.
                assert!(is_gone(held(&output.stdout)), "{text}");
                return;
            }
            time *= 2;
            assert!(time < DEADLINE, "{text}");
        }
    });
}

#[test]
fn a_dropped_helper_leaves_no_member_alive() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("member");
        let script = format!(
            "sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait",
            path.display()
        );
        let child = Command::new("sh").args(["-c", &script]);
        let collecting = actix_rt::spawn(async move { child.status().own_group().await });
        let written = || std::fs::read_to_string(&path).ok();
        let member = eventually("the member", written, || "nothing".to_owned()).await;
        collecting.abort();
        gone(member.trim().parse().unwrap()).await;
    });
}

/// Stops when its child says that it is ready.
struct Quitter(Option<tokio::sync::oneshot::Sender<Vec<u8>>>, Vec<u8>);

impl Actor for Quitter {
    type Context = Context<Self>;
}

impl ProcessProtocol for Quitter {
    fn out_received(
        &mut self,
        _: &ProcessHandle,
        data: actix_process::Bytes,
        ctx: &mut Context<Self>,
    ) {
        self.1.extend_from_slice(&data);
        let text = String::from_utf8_lossy(&self.1);
        if text.contains("stubborn") && text.contains("held") && text.ends_with('\n') {
            if let Some(tell) = self.0.take() {
                let _ = tell.send(std::mem::take(&mut self.1));
            }
            ctx.stop();
        }
    }
}
process_protocol!(Quitter);

#[test]
fn an_orphan_is_ended_with_its_group_by_either_policy() {
    run(async {
        for policy in [OnOrphaned::Kill, OnOrphaned::Terminate(SHORT)] {
            let (tell, told) = tokio::sync::oneshot::channel();
            let child = helper(STUBBORN).process_group(0).on_orphaned(policy);
            let process = child.spawn(Quitter(Some(tell), Vec::new()).start());
            let process = process.await.unwrap();
            let member = held(&in_time(told).await.unwrap());
            gone(member).await;
            in_time(process.ended()).await;
        }
    });
}

#[test]
fn a_shutdown_ends_groups_too_also_when_their_leaders_went_first() {
    run(async {
        let supervisor = ProcessSupervisor::new().start();
        let (trace, protocol) = Trace::start();
        let mut members = Vec::new();
        for last in ["pause", "exit"] {
            let mut actions = STUBBORN;
            actions[7] = last;
            let spawn = Spawn::new(helper(actions).process_group(0), &protocol);
            let process = supervisor.send(spawn).await.unwrap().unwrap();
            members.push(member(&trace, &process).await);
            if last == "exit" {
                trace.exited(&process).await;
            }
        }
        let report = supervisor.send(Shutdown { grace: SHORT }).await.unwrap();
        assert!(report.unreaped.is_empty(), "{report:?}");
        assert!(report.leftovers.is_empty(), "{report:?}");
        for member in members {
            assert!(is_gone(member), "{member} lives");
        }
    });
}

#[test]
fn what_a_child_leaves_follows_on_leftovers() {
    run(async {
        let actions = [
            "leave", "5", "ignore", "15", "say", "stubborn", "pause", "drain", "0",
        ];
        let child = helper(actions).process_group(0);
        for policy in [OnLeftovers::Kill, OnLeftovers::Terminate(SHORT)] {
            let (_trace, process, member) = stubborn(child.clone().on_leftovers(policy)).await;
            process.close_stdin();
            gone(member).await;
            in_time(process.ended()).await;
        }
        // Left.
        let (trace, process, member) = stubborn(child.clone()).await;
        process.close_stdin();
        trace.exited(&process).await;
        // Whatever came of it would have come by then.
        process.signal_group(Signal::USR1).unwrap();
        gone(member).await;
        // A helper kills what would hold its output for ever.
        let helped = helper(["hold", "exit"]).output().own_group();
        let output = in_time(helped.into_future()).await.unwrap();
        assert!(output.status.success(), "{output:?}");
        gone(held(&output.stdout)).await;
        // A group that an escalation reaches has its grace.
        let patient = child.on_leftovers(OnLeftovers::Kill);
        let (trace, process, member) = stubborn(patient).await;
        assert!(process.terminate_group(LONG));
        trace.exited(&process).await;
        assert!(!is_gone(member));
        process.signal_group(Signal::KILL).unwrap();
        gone(member).await;
    });
}

#[test]
fn what_a_child_leaves_stays_in_reach_of_a_late_stop_if_it_is_held() {
    run(async {
        // They hold none of its pipes, so the child ends before them.
        let script = "for i in 1 2; do sleep 600 <&- >&- 2>&- & done; echo held $!";
        let command = Command::new("sh").args(["-c", script]).process_group(0);
        let (trace, process) = spawned(command.on_leftovers(OnLeftovers::Hold)).await;
        let member = held(&trace.output(&process, 1, "held").await);
        let pid = process.spawned_pid();
        trace.ended(&process).await;
        let stopped = in_time(process.stop(Ladder::new().term(LONG).kill()))
            .await
            .unwrap();
        assert_eq!((stopped.outlived, &stopped.leftovers[..]), (2, &[][..]));
        gone(member).await;
        // Nor is its zombie left.
        let seen = || format!("{:?}", state_and_parent(pid));
        eventually(
            "its reap",
            || state_and_parent(pid).is_none().then_some(()),
            seen,
        )
        .await;
    });
}

#[test]
fn a_child_that_was_held_for_its_group_is_reaped_in_the_end() {
    in_a_host_of_its_own(|| {
        run(async {
            // The record ends.
            let (trace, process, member) = stubborn(helper(STUBBORN).process_group(0)).await;
            process.signal(Signal::TERM).unwrap();
            trace.exited(&process).await;
            process.cut_connection();
            trace.ended(&process).await;
            eventually(
                "the reap",
                || children().is_empty().then_some(()),
                || format!("{:?}", children()),
            )
            .await;
            if let Err(error) = process.signal_group(Signal::KILL) {
                // Only a pidfd reaches the group of a leader that was reaped.
                assert!(matches!(error, SignalError::Exited), "{error:?}");
                let pid = nix::unistd::Pid::from_raw(member);
                nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL).unwrap();
            }
            gone(member).await;
        });
    });
}

#[test]
fn groups_that_end_leave_no_descriptor() {
    in_a_host_of_its_own(|| {
        run(async {
            common::start_all_threads().await;
            let pidfds = || {
                open_fds()
                    .values()
                    .filter(|name| name.contains("pidfd"))
                    .count()
            };
            let child = helper(STUBBORN).process_group(0);
            let mut handles = Vec::new();
            for _ in 0..3 {
                let (_trace, process, _) = stubborn(child.clone()).await;
                let stopped = process.stop(Ladder::new().term(SHORT).kill());
                in_time(stopped).await.unwrap();
                in_time(process.ended()).await;
                handles.push(process);
            }
            // Their handles are kept.
            let none = || (pidfds() == 0).then_some(());
            eventually("no pidfd", none, || format!("{:?}", open_fds())).await;
            drop(handles);
        });
    });
}

#[test]
fn a_child_without_a_group_is_signalled_alone() {
    run(async {
        let child = helper(["hold", "say", "ready", "pause"]);
        let (trace, process) = spawned(child).await;
        let text = trace.output(&process, 1, "ready").await;
        let stopped = in_time(process.stop(Ladder::new().term(LONG))).await;
        assert_eq!(stopped.unwrap().status.signal(), Some(Signal::TERM));
        let descendant = nix::unistd::Pid::from_raw(held(&text));
        nix::sys::signal::kill(descendant, nix::sys::signal::SIGKILL).unwrap();
        let quick = Command::new("true").spawn(NoProtocol).await.unwrap();
        quick.exited().await;
        let refused = quick.signal_group(Signal::TERM);
        assert!(matches!(refused, Err(SignalError::Exited)), "{refused:?}");
    });
}
