//! Terminals that outlive their child: grandchildren on them, owners that are gone, and groups.

use crate::common;

use std::future::IntoFuture;
use std::io::Read;
use std::time::Duration;

use actix_process::{
    CloseReason, CollectError, Command, OnLeftovers, OnOrphaned, ProcessHandle, PtySize, Signal,
};
use common::census::{is_gone, state_and_parent};
use common::helper::helper;
use common::trace::{Die, Trace, spawned};
use common::{DEADLINE, eventually, run};
use futures::channel::oneshot;
use futures::future::Either;
use nix::unistd::Pid;

const SIZE: PtySize = PtySize::new(24, 80);
const SOON: Duration = Duration::from_millis(50);

/// The pid in a line `held PID`.
fn descendant(said: &[u8]) -> i32 {
    let said = String::from_utf8_lossy(said);
    let (_, pid) = said.split_once("held ").unwrap();
    pid.lines().next().unwrap().parse().unwrap()
}

/// Waits until the child has told of its descendant.
async fn descendant_of(trace: &Trace, process: &ProcessHandle) -> i32 {
    let told = |events: &[_]| {
        let said = common::trace::data_of(events, 1);
        let said = String::from_utf8_lossy(&said).into_owned();
        let (_, rest) = said.split_once("held ")?;
        rest.contains('\n').then_some(said)
    };
    descendant(
        trace
            .until(process, "its descendant", told)
            .await
            .as_bytes(),
    )
}

fn kill(pid: i32) {
    nix::sys::signal::kill(Pid::from_raw(pid), nix::sys::signal::SIGKILL).unwrap();
}

async fn gone(pid: i32) {
    eventually(
        &format!("{pid} to be gone"),
        || is_gone(pid).then_some(()),
        || format!("{:?}", state_and_parent(pid)),
    )
    .await;
}

/// A child that exits and leaves a grandchild which runs `actions` and holds the terminal.
fn leaves(actions: &[&str]) -> Command {
    let count = actions.len().to_string();
    let actions = [&["ignore", "1", "leave", &count][..], actions].concat();
    helper(actions).pty(SIZE)
}

#[test]
fn ordinary_grandchildren_are_hung_up_when_the_child_exits() {
    run(async {
        let child = helper(["leave", "1", "pause"]).pty(SIZE);
        let (trace, process) = spawned(child).await;
        let held = descendant_of(&trace, &process).await;
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1]);
        assert_eq!(history.closes()[&1], CloseReason::ByChild);
        assert_eq!(history.status().code(), Some(0));
        gone(held).await;
    });
}

#[test]
fn a_descendant_that_ignores_the_hang_up_is_waited_for() {
    run(async {
        let child = leaves(&["take", "0", "1", "say", "heard", "pause"]);
        let (trace, process) = spawned(child).await;
        let held = descendant_of(&trace, &process).await;
        trace.exited(&process).await;
        // Both directions work: it is the descendant's now.
        process.write("x\n").unwrap();
        trace.output(&process, 1, "heard").await;
        kill(held);
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1]);
        assert_eq!(history.closes()[&0], CloseReason::ByChild);
        assert_eq!(history.closes()[&1], CloseReason::ByChild);
    });
}

#[test]
fn a_descendant_in_a_session_of_its_own_is_waited_for() {
    run(async {
        let actions = [
            "leave", "4", "setsid", "say", "away", "pause", "take", "0", "1",
        ];
        let child = helper(actions).pty(SIZE);
        let (trace, process) = spawned(child).await;
        let held = descendant_of(&trace, &process).await;
        trace.output(&process, 1, "away").await;
        process.write("\n").unwrap();
        let status = trace.exited(&process).await;
        assert_eq!(status.code(), Some(0));
        // A terminal that nobody has any more would have told by now, mostly.
        actix_rt::time::sleep(SOON).await;
        assert_eq!(process.write("\n"), Ok(()));
        kill(held);
        trace.ended(&process).await.assert_rules(&[0, 1]);
    });
}

#[test]
fn a_silent_descendant_is_cut_at_the_ended_timeout() {
    run(async {
        let child = leaves(&["pause"]).ended_timeout(SOON);
        let (trace, process) = spawned(child).await;
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1]);
        assert_eq!(history.closes()[&0], CloseReason::Cut);
        assert_eq!(history.closes()[&1], CloseReason::Cut);
        assert_eq!(history.status().code(), Some(0));
        kill(descendant(&history.data(1)));
    });
}

#[test]
fn a_descendant_that_chatters_is_cut_too() {
    run(async {
        let child = leaves(&["chatter"]).ended_timeout(SOON);
        let (trace, process) = spawned(child).await;
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1]);
        assert_eq!(history.closes()[&1], CloseReason::Cut);
        // Nobody has the other end, so it comes to its end.
        gone(descendant(&history.data(1))).await;
    });
}

#[test]
fn a_silent_descendant_is_cut_by_cut_connection() {
    run(async {
        let (trace, process) = spawned(leaves(&["pause"])).await;
        let held = descendant_of(&trace, &process).await;
        trace.exited(&process).await;
        process.cut_connection();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1]);
        assert_eq!(history.closes()[&0], CloseReason::Cut);
        assert_eq!(history.closes()[&1], CloseReason::Cut);
        kill(held);
    });
}

#[test]
fn a_silent_descendant_does_not_hold_up_a_helper_that_has_timed_out() {
    run(async {
        // Until the child had the time to leave one.
        for timeout in (0..).map(|n| SOON * (1 << n)) {
            let left = leaves(&["pause"]).on_leftovers(OnLeftovers::Leave);
            let collected = left.output().timeout(timeout);
            let collected = actix_rt::time::timeout(DEADLINE, collected.into_future()).await;
            let output = match collected.expect("it hangs") {
                Err(CollectError::TimedOut(output)) => output,
                other => panic!("{other:?}"),
            };
            if output.stdout.ends_with(b"\n") {
                // A timeout reaches the child's group, also when the child went first.
                let descendant = descendant(&output.stdout);
                assert!(is_gone(descendant), "{descendant} lives");
                return;
            }
        }
    });
}

#[test]
fn signals_reach_the_child_or_its_whole_group() {
    run(async {
        let start = async || {
            let child = helper(["ignore", "1", "leave", "1", "pause", "pause"]).pty(SIZE);
            let (trace, process) = spawned(child).await;
            let held = descendant_of(&trace, &process).await;
            (trace, process, held)
        };
        let (trace, process, held) = start().await;
        process.signal(Signal::TERM).unwrap();
        assert_eq!(trace.exited(&process).await.signal(), Some(Signal::TERM));
        assert!(!is_gone(held));
        kill(held);
        trace.ended(&process).await.assert_rules(&[0, 1]);

        let (trace, process, held) = start().await;
        process.signal_group(Signal::TERM).unwrap();
        trace.ended(&process).await.assert_rules(&[0, 1]);
        gone(held).await;

        let (trace, process, held) = start().await;
        assert!(process.terminate_group(DEADLINE));
        let status = trace.ended(&process).await.status();
        assert_eq!(status.signal(), Some(Signal::TERM));
        gone(held).await;
    });
}

#[test]
fn a_lost_protocol_hangs_up_whatever_the_policy() {
    run(async {
        for (policy, signal) in [
            (OnOrphaned::Kill, Signal::KILL),
            (OnOrphaned::Leave, Signal::HUP),
        ] {
            let (trace, protocol) = Trace::start();
            let child = helper(["say", "ready", "pause"]).pty(SIZE);
            let child = child.on_orphaned(policy);
            let process = child.spawn(&protocol).await.unwrap();
            trace.output(&process, 1, "ready").await;
            protocol.do_send(Die::Stop);
            let ended = actix_rt::time::timeout(DEADLINE, process.ended()).await;
            let status = ended.expect("it does not end");
            assert_eq!(status.signal(), Some(signal), "{policy:?}");
        }
        // Who ignores that is told once more.
        let (trace, protocol) = Trace::start();
        let child = helper(["ignore", "1", "say", "ready", "pause"]).pty(SIZE);
        let child = child.on_orphaned(OnOrphaned::Terminate(DEADLINE));
        let process = child.spawn(&protocol).await.unwrap();
        trace.output(&process, 1, "ready").await;
        protocol.do_send(Die::Stop);
        let ended = actix_rt::time::timeout(DEADLINE, process.ended()).await;
        let status = ended.expect("it does not end");
        assert_eq!(status.signal(), Some(Signal::TERM));
    });
}

#[test]
fn a_dropped_helper_kills_the_whole_foreground() {
    run(async {
        let actions = [
            "ignore", "1", "leave", "1", "pause", "tell", "3", "x", "pause",
        ];
        let (mut alive, theirs) = std::io::pipe().unwrap();
        let child = helper(actions).pty(SIZE).fd(3, theirs);
        let collecting = child.output().into_future();
        let (tell, told) = oneshot::channel();
        let (tell_end, end) = oneshot::channel();
        std::thread::spawn(move || {
            let _ = tell.send(alive.read_exact(&mut [0; 2]));
            // Child and grandchild have it open.
            let _ = tell_end.send(alive.read_to_end(&mut Vec::new()));
        });
        let first = futures::future::select(told, collecting);
        match actix_rt::time::timeout(DEADLINE, first).await {
            Ok(Either::Left((told, collecting))) => {
                told.unwrap().unwrap();
                drop(collecting);
            }
            other => panic!("{other:?}"),
        }
        let end = actix_rt::time::timeout(DEADLINE, end).await;
        assert_eq!(end.expect("somebody lives").unwrap().unwrap(), 0);
    });
}
