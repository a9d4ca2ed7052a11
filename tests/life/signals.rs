//! Signals to a child and to its group, and that none is sent after the reap.

use crate::common;

use std::time::{Duration, Instant};

use actix::prelude::*;
use actix_process::{
    CloseReason, ExitStatus, Fd, ProcessHandle, ProcessProtocol, ProcessSupervisor, Signal,
    SignalError, process_protocol,
};
use common::census::{is_gone, state_and_parent};
use common::helper::helper;
use common::isolated::{isolated, skipped};
use common::limits::{is_root, set_soft_limit};
use common::trace::{Trace, spawned, spawned_by};
use common::{DEADLINE, eventually, run};
use nix::libc;
use tokio::sync::mpsc;

/// Nothing here waits for the end of it.
const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(50);

async fn ready(actions: &[&str], group: Option<i32>) -> (Trace, ProcessHandle) {
    let mut child = helper(actions);
    if let Some(group) = group {
        child = child.process_group(group);
    }
    let (trace, process) = spawned(child).await;
    trace.output(&process, 1, "ready").await;
    (trace, process)
}

/// The pid that `hold` said.
async fn descendant(trace: &Trace, process: &ProcessHandle) -> i32 {
    let text = trace.output(process, 1, "held").await;
    let text = String::from_utf8(text).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("held "));
    line.unwrap().parse().unwrap()
}

async fn gone(pid: i32) {
    eventually("a death", || is_gone(pid).then_some(()), || pid.to_string()).await;
}

fn assert_exited(result: Result<(), SignalError>) {
    assert!(matches!(result, Err(SignalError::Exited)), "{result:?}");
}

#[test]
fn a_child_that_dies_of_sigterm_is_not_killed() {
    run(async {
        let (trace, process) = ready(&["say", "ready", "pause"], None).await;
        assert!(process.terminate(LONG));
        let status = trace.ended(&process).await.status();
        assert_eq!(status.signal(), Some(Signal::TERM));
    });
}

#[test]
fn a_child_that_ignores_sigterm_is_killed_after_the_grace() {
    run(async {
        let actions = ["ignore", "15", "say", "ready", "pause"];
        let (trace, process) = ready(&actions, None).await;
        let begun = Instant::now();
        assert!(process.terminate(SHORT));
        let status = trace.ended(&process).await.status();
        assert_eq!(status.signal(), Some(Signal::KILL));
        assert!(begun.elapsed() >= SHORT, "{:?}", begun.elapsed());
    });
}

#[test]
fn a_stopped_child_is_continued_to_act_on_sigterm() {
    run(async {
        let (trace, process) = ready(&["say", "ready", "pause"], None).await;
        process.signal(Signal::STOP).unwrap();
        until_state(process.pid().unwrap(), "T").await;
        assert!(process.terminate(LONG));
        let status = trace.ended(&process).await.status();
        assert_eq!(status.signal(), Some(Signal::TERM));
    });
}

#[test]
fn a_child_is_killed_after_the_grace_even_if_descriptors_ran_out_meanwhile() {
    isolated(|| {
        run(async {
            let actions = ["ignore", "15", "say", "ready", "pause"];
            let (trace, process) = ready(&actions, None).await;
            let (soft, _) = set_soft_limit(libc::RLIMIT_NOFILE, 3);
            let terminated = process.terminate(SHORT);
            set_soft_limit(libc::RLIMIT_NOFILE, soft);
            assert!(terminated);
            let status = trace.ended(&process).await.status();
            assert_eq!(status.signal(), Some(Signal::KILL));
        });
    });
}

#[test]
fn a_signal_to_the_group_reaches_all_of_it() {
    run(async {
        let actions = ["hold", "say", "ready", "pause"];
        let (trace, process) = ready(&actions, Some(0)).await;
        let descendant = descendant(&trace, &process).await;
        process.signal_group(Signal::USR1).unwrap();
        let status = trace.ended(&process).await.status();
        assert_eq!(status.signal(), Some(Signal::USR1));
        gone(descendant).await;
    });
}

#[test]
fn a_child_that_made_its_own_group_is_its_leader() {
    run(async {
        let actions = ["setpgid", "hold", "say", "ready", "pause"];
        let (trace, process) = ready(&actions, None).await;
        let descendant = descendant(&trace, &process).await;
        process.signal_group(Signal::KILL).unwrap();
        trace.ended(&process).await;
        gone(descendant).await;
    });
}

#[test]
fn a_signal_to_the_group_of_a_child_that_leads_none_is_refused() {
    run(async {
        let (leaders, leader) = ready(&["say", "ready", "pause"], Some(0)).await;
        let group = leader.pid().unwrap();
        // In our own group, and in another child's.
        for group in [None, Some(group)] {
            let (trace, process) = ready(&["say", "ready", "pause"], group).await;
            let result = process.signal_group(Signal::KILL);
            assert!(
                matches!(result, Err(SignalError::NotGroupLeader)),
                "{result:?}"
            );
            assert!(!process.terminate_group(SHORT));
            process.signal(Signal::USR2).unwrap();
            let status = trace.ended(&process).await.status();
            assert_eq!(status.signal(), Some(Signal::USR2));
        }
        leader.signal(Signal::USR1).unwrap();
        let status = leaders.ended(&leader).await.status();
        assert_eq!(status.signal(), Some(Signal::USR1));
    });
}

#[test]
fn a_signal_to_a_child_spares_its_group() {
    run(async {
        let actions = ["hold-until", "0", "say", "ready", "pause"];
        let (trace, process) = ready(&actions, Some(0)).await;
        process.signal(Signal::USR1).unwrap();
        assert_eq!(trace.exited(&process).await.signal(), Some(Signal::USR1));
        // Had the signal reached the descendant, it would not speak.
        process.close_stdin();
        let history = trace.ended(&process).await;
        assert!(history.text(1).ends_with("descendant done\n"));
    });
}

/// Waits until the child is in one of these states.
async fn until_state(pid: i32, states: &str) {
    let state = || state_and_parent(pid).map(|(state, _)| state);
    let reached = || state().filter(|state| states.contains(*state));
    eventually(states, || reached().map(drop), || format!("{:?}", state())).await;
}

#[test]
fn a_stop_and_a_continue_are_no_events() {
    run(async {
        let (trace, process) = ready(&["say", "ready", "cat"], None).await;
        let before = trace.of(&process);
        let pid = process.pid().unwrap();
        for _ in 0..3 {
            process.signal(Signal::STOP).unwrap();
            until_state(pid, "T").await;
            process.signal(Signal::CONT).unwrap();
            until_state(pid, "SR").await;
        }
        assert_eq!(process.try_status(), None);
        // Whoever would have told of it has been awake since.
        process.write("on").unwrap();
        trace.output(&process, 1, "on").await;
        assert_eq!(trace.of(&process).len(), before.len() + 1);
        process.close_stdin();
        assert!(trace.ended(&process).await.status().success());
    });
}

#[test]
fn a_kill_drops_what_is_queued_and_is_told_at_once() {
    run(async {
        let (trace, process) = ready(&["say", "ready", "pause"], None).await;
        process.write(vec![0; 10 << 20]).unwrap();
        assert!(process.kill());
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert_eq!(history.status().signal(), Some(Signal::KILL));
        assert_eq!(history.closes()[&0], CloseReason::ByChild);
    });
}

#[test]
fn a_signal_to_a_dead_child_that_nobody_has_reaped_yet_changes_nothing() {
    if cfg!(actix_process_force_no_pidfd) {
        return skipped("the thread that waits for it reaps it at once");
    }
    run(async {
        // Its arbiter is this thread, which does nothing else while it blocks.
        let supervisor = ProcessSupervisor::new().start();
        let (end, let_go) = std::io::pipe().unwrap();
        let child = helper(["say", "ready", "drain", "5", "exit", "7"]);
        let child = child.fd(5, Fd::from(end));
        let (trace, process) = spawned_by(&supervisor, child).await;
        trace.output(&process, 1, "ready").await;
        let pid = process.pid().unwrap();
        drop(let_go);
        let begun = Instant::now();
        while !matches!(state_and_parent(pid), Some(('Z', _))) {
            assert!(begun.elapsed() < DEADLINE, "{:?}", state_and_parent(pid));
            std::thread::yield_now();
        }
        process.signal(Signal::TERM).unwrap();
        assert!(process.kill());
        assert_eq!(trace.ended(&process).await.status().code(), Some(7));
    });
}

#[test]
fn lose_connection_sends_no_signal() {
    run(async {
        let (trace, process) = ready(&["say", "ready", "pause"], None).await;
        process.lose_connection();
        for fd in [0, 1, 2] {
            assert_eq!(trace.lost(&process, fd).await, CloseReason::ByParent);
        }
        assert_eq!(process.try_status(), None);
        // One that came before would decide.
        process.signal(Signal::USR1).unwrap();
        let status = trace.ended(&process).await.status();
        assert_eq!(status.signal(), Some(Signal::USR1));
    });
}

#[test]
fn a_group_whose_leader_ignores_sigterm_is_killed_after_the_grace() {
    run(async {
        let actions = ["ignore", "15", "hold", "say", "ready", "pause"];
        let (trace, process) = ready(&actions, Some(0)).await;
        let descendant = descendant(&trace, &process).await;
        assert!(process.terminate_group(SHORT));
        let status = trace.ended(&process).await.status();
        assert_eq!(status.signal(), Some(Signal::KILL));
        gone(descendant).await;
    });
}

#[test]
fn a_group_that_dies_of_sigterm_is_not_killed() {
    run(async {
        let actions = ["hold", "say", "ready", "pause"];
        let (trace, process) = ready(&actions, Some(0)).await;
        let descendant = descendant(&trace, &process).await;
        assert!(process.terminate_group(LONG));
        let status = trace.ended(&process).await.status();
        assert_eq!(status.signal(), Some(Signal::TERM));
        gone(descendant).await;
    });
}

#[test]
fn the_group_is_within_reach_until_its_last_member_is_gone_though_its_leader_was_reaped() {
    run(async {
        let child = helper(["hold", "exit"]).process_group(0);
        let (trace, process) = spawned(child).await;
        let descendant = descendant(&trace, &process).await;
        trace.exited(&process).await;
        assert_eq!(process.pid(), None);
        assert_exited(process.signal(Signal::KILL));
        assert!(!process.kill());
        assert!(!process.terminate(SHORT));
        assert!(!is_gone(descendant));
        process.signal_group(Signal::USR1).unwrap();
        gone(descendant).await;
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
        // A zombie that its reaper has not got to is in the group as well.
        let refused = || matches!(process.signal_group(Signal::KILL), Err(SignalError::Exited));
        let told = || refused().then_some(());
        eventually("the end of the group", told, || descendant.to_string()).await;
    });
}

/// Signals its child out of `process_exited` and passes on what came of it.
struct Late(mpsc::UnboundedSender<([Result<(), SignalError>; 2], bool)>);

impl Actor for Late {
    type Context = Context<Self>;
}

impl ProcessProtocol for Late {
    fn process_exited(&mut self, process: &ProcessHandle, _: ExitStatus, _: &mut Context<Self>) {
        let results = [
            process.signal(Signal::KILL),
            process.signal_group(Signal::KILL),
        ];
        let _ = self.0.send((results, process.terminate(SHORT)));
    }
}
process_protocol!(Late);

#[test]
fn within_process_exited_the_child_is_out_of_reach() {
    run(async {
        let (give, mut given) = mpsc::unbounded_channel();
        let late = Late(give).start();
        let process = helper(["exit"]).process_group(0).spawn(&late).await;
        let results = actix_rt::time::timeout(DEADLINE, given.recv()).await;
        let ([child, group], escalates) = results.unwrap().unwrap();
        assert_exited(child);
        assert!(!escalates);
        // A zombie that is held for its group is a member that may be signalled.
        let held = cfg!(actix_process_force_no_pidfd) || cfg!(actix_process_force_no_group_pidfd);
        if !held || group.is_err() {
            assert_exited(group);
        }
        process.unwrap().ended().await;
    });
}

#[test]
fn a_child_that_we_may_not_signal_says_so() {
    isolated(|| {
        if !is_root() {
            return skipped("only root can make such a child");
        }
        run(async {
            let (trace, process) = ready(&["say", "ready", "drain", "0"], Some(0)).await;
            // The child stays root, and this process becomes nobody, with all its threads.
            // SAFETY: integers.
            assert_eq!(unsafe { libc::setresuid(65534, 65534, 65534) }, 0);
            for result in [
                process.signal(Signal::TERM),
                process.signal_group(Signal::TERM),
            ] {
                assert!(
                    matches!(result, Err(SignalError::NotPermitted)),
                    "{result:?}"
                );
            }
            assert!(!process.kill());
            assert!(!process.terminate(SHORT));
            assert!(!process.terminate_group(SHORT));
            process.close_stdin();
            assert!(trace.ended(&process).await.status().success());
        });
    });
}
