//! Stopping a child by a ladder of steps, whatever state it is in.

use crate::common;

use std::time::{Duration, Instant};

use actix::prelude::*;
use actix_process::testing::{Recorded, TestProcess};
use actix_process::{
    Command, ExitStatus, Fd, Ladder, ProcessHandle, PtySize, Signal, Stopped, StoppedBy, Unkillable,
};
use common::census::{is_gone, state_and_parent};
use common::helper::helper;
use common::isolated::{isolated, skipped};
use common::limits::is_root;
use common::trace::{Trace, spawned};
use common::{block_on_thread, eventually, in_time, run};
use nix::libc;

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(600);

async fn ready(command: Command) -> (Trace, ProcessHandle) {
    let (trace, process) = spawned(command).await;
    trace.output(&process, 1, "ready").await;
    (trace, process)
}

async fn stopped(process: &ProcessHandle, ladder: Ladder) -> Stopped {
    in_time(process.stop(ladder)).await.unwrap()
}

#[test]
fn each_step_is_the_reason_for_a_child_that_minds_it() {
    run(async {
        let ladder = Ladder::eof(SHORT)
            .signal(Signal::USR1, SHORT)
            .term(SHORT)
            .kill();
        let by = StoppedBy::Signal;
        let cases: [(&[&str], StoppedBy); 4] = [
            (&["say", "ready", "drain", "0"], StoppedBy::Eof),
            (&["say", "ready", "pause"], by(Signal::USR1)),
            (&["ignore", "10", "say", "ready", "pause"], by(Signal::TERM)),
            (
                &["ignore", "10", "ignore", "15", "say", "ready", "pause"],
                by(Signal::KILL),
            ),
        ];
        for (actions, by) in cases {
            let (_trace, process) = ready(helper(actions)).await;
            let stopped = stopped(&process, ladder.clone()).await;
            assert_eq!(stopped.by, by, "{stopped:?}");
            assert_eq!(stopped.leftovers, []);
            match by {
                StoppedBy::Signal(signal) => assert_eq!(stopped.status.signal(), Some(signal)),
                _ => assert!(stopped.status.success(), "{stopped:?}"),
            }
        }
    });
}

#[test]
fn what_is_said_reaches_the_child_and_its_input_stays_open() {
    run(async {
        let script = "echo ready; read word; test \"$word\" = quit && exit 3; exit 4";
        let (_trace, process) = ready(Command::new("sh").args(["-c", script])).await;
        let stopped = stopped(&process, Ladder::new().say("quit\n", LONG).kill()).await;
        assert_eq!(stopped.by, StoppedBy::Said);
        assert_eq!(stopped.status.code(), Some(3));
    });
}

#[test]
fn a_step_that_cannot_be_taken_is_left_out() {
    run(async {
        let child = helper(["say", "ready", "pause"]).stdin(Fd::null());
        let (_trace, process) = ready(child).await;
        let ladder = Ladder::new().say("quit", LONG).then_eof(LONG).term(LONG);
        let stopped = stopped(&process, ladder).await;
        assert_eq!(stopped.by, StoppedBy::Signal(Signal::TERM));
    });
}

#[test]
fn the_end_of_a_terminals_input_is_typed() {
    run(async {
        let script = "echo ready; cat; exit 3";
        let child = Command::new("sh").args(["-c", script]);
        let (_trace, process) = ready(child.pty(PtySize::new(24, 80))).await;
        let stopped = stopped(&process, Ladder::eof(LONG).kill()).await;
        assert_eq!(stopped.by, StoppedBy::Eof);
        assert_eq!(stopped.status.code(), Some(3));
    });
}

#[test]
fn the_end_of_a_terminals_input_is_what_its_modes_say() {
    run(async {
        // Another character than Ctrl-D.
        let script = "stty eof ^E; echo ready; cat; exit 3";
        let child = Command::new("sh").args(["-c", script]);
        let (_trace, process) = ready(child.pty(PtySize::new(24, 80))).await;
        let by_key = stopped(&process, Ladder::eof(LONG).kill()).await;
        assert_eq!(by_key.by, StoppedBy::Eof);
        assert_eq!(by_key.status.code(), Some(3));
        // A program that reads key by key would take it for a key.
        let script = "stty raw; echo ready; head -c 1; exit 3";
        let child = Command::new("sh").args(["-c", script]);
        let (_trace, process) = ready(child.pty(PtySize::new(24, 80))).await;
        let left_out = stopped(&process, Ladder::eof(LONG).say("q", LONG).kill()).await;
        assert_eq!(left_out.by, StoppedBy::Said);
        assert_eq!(left_out.status.code(), Some(3));
    });
}

#[test]
fn queued_input_that_nobody_reads_does_not_hold_up_the_next_step() {
    run(async {
        let (_trace, process) = ready(helper(["say", "ready", "pause"])).await;
        process.write(vec![0; 1 << 20]).unwrap();
        let stopped = stopped(&process, Ladder::eof(SHORT).kill()).await;
        assert_eq!(stopped.by, StoppedBy::Signal(Signal::KILL));
        assert!(stopped.took >= SHORT, "{stopped:?}");
    });
}

#[test]
fn a_child_that_was_gone_before_needs_no_step() {
    run(async {
        let (trace, process) = ready(helper(["say", "ready", "exit", "7"])).await;
        trace.ended(&process).await;
        let stopped = stopped(&process, Ladder::eof(LONG).term(LONG).kill()).await;
        assert_eq!(stopped.by, StoppedBy::Itself);
        assert_eq!(stopped.status.code(), Some(7));
    });
}

#[test]
fn it_goes_on_when_the_future_is_dropped_and_is_awaited_without_a_runtime() {
    let _system = System::new();
    let arbiter = Arbiter::new();
    let (tell, told) = std::sync::mpsc::channel();
    arbiter.spawn(async move {
        for _ in 0..2 {
            let actions = ["ignore", "15", "say", "ready", "pause"];
            tell.send(ready(helper(actions)).await).unwrap();
        }
    });
    let (_trace, dropped) = told.recv_timeout(common::DEADLINE).unwrap();
    let (_other, process) = told.recv_timeout(common::DEADLINE).unwrap();
    drop(dropped.stop(Ladder::new().term(SHORT).kill()));
    let stopped = block_on_thread(process.stop(Ladder::new().term(SHORT).kill())).unwrap();
    assert_eq!(stopped.status.signal(), Some(Signal::KILL));
    let status = block_on_thread(dropped.exited());
    assert_eq!(status.signal(), Some(Signal::KILL));
}

#[test]
fn a_child_is_stopped_whatever_state_it_is_in() {
    run(async {
        // Stopped, and so is a member of its group.
        let script = "sh -c 'kill -STOP $$; sleep 600' & echo $!; echo ready; kill -STOP $$; wait";
        let child = Command::new("sh").args(["-c", script]).process_group(0);
        let (trace, process) = ready(child).await;
        let pid = process.pid().unwrap();
        let text = trace.output(&process, 1, "ready").await;
        let member = String::from_utf8(text).unwrap();
        let member: i32 = member.lines().next().unwrap().parse().unwrap();
        for pid in [pid, member] {
            let state = || state_and_parent(pid).map(|(state, _)| state);
            let halted = || (state() == Some('T')).then_some(());
            eventually("the stop", halted, || format!("{:?}", state())).await;
        }
        let result = stopped(&process, Ladder::new().term(LONG).kill()).await;
        assert_eq!(result.by, StoppedBy::Signal(Signal::TERM));
        assert!(is_gone(member), "{member}");

        // Its first thread has exited, and another one works on.
        let child = Command::new("python3").args(["-c", LEADERLESS]);
        if std::process::Command::new("python3")
            .arg("-V")
            .output()
            .is_err()
        {
            return skipped("there is no python3 to make a process without its first thread");
        }
        let (trace, process) = ready(child.clone().process_group(0)).await;
        let pid = process.pid().unwrap();
        let zombie = || matches!(state_and_parent(pid), Some(('Z', _))).then_some(());
        eventually("its first thread's exit", zombie, || pid.to_string()).await;
        assert_eq!(process.try_status(), None);
        let result = stopped(&process, Ladder::new().term(SHORT).kill()).await;
        assert_eq!(result.status.signal(), Some(Signal::KILL));
        drop(trace);

        // The same of a member: it counts as alive.
        let script = format!("python3 -c '{LEADERLESS}' & echo $!; wait");
        let child = Command::new("sh").args(["-c", &script]).process_group(0);
        let (trace, process) = ready(child).await;
        let text = trace.output(&process, 1, "ready").await;
        let text = String::from_utf8(text).unwrap();
        let member: i32 = text.lines().find_map(|line| line.parse().ok()).unwrap();
        let zombie = || matches!(state_and_parent(member), Some(('Z', _))).then_some(());
        eventually("its first thread's exit", zombie, || member.to_string()).await;
        let result = stopped(&process, Ladder::new().term(SHORT).kill()).await;
        assert_eq!(result.by, StoppedBy::Signal(Signal::KILL), "{result:?}");
        let gone = || {
            (!std::path::Path::new(&format!("/proc/{member}/task")).exists()
                || std::fs::read_dir(format!("/proc/{member}/task"))
                    .is_ok_and(|dir| dir.count() <= 1))
            .then_some(())
        };
        eventually("the other thread's end", gone, || member.to_string()).await;
    });
}

/// Ignores SIGTERM; says that it is ready from its second thread, when the first has exited.
const LEADERLESS: &str = "\
import ctypes, os, signal, threading, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def work():
    while open(\"/proc/self/stat\").read().rsplit(\")\")[1].split()[0] != \"Z\":
        time.sleep(0.01)
    os.write(1, b\"ready\\n\")
    time.sleep(600)
threading.Thread(target=work).start()
ctypes.CDLL(None).syscall(60, 0)
";

#[test]
fn who_may_not_be_killed_is_told_in_a_bounded_time_and_reaped_later() {
    isolated(|| {
        if !is_root() {
            return skipped("only root can make such a child");
        }
        run(async {
            let actions = ["leave", "2", "drain", "0", "say", "ready", "drain", "0"];
            let (trace, process) = ready(helper(actions).process_group(0)).await;
            // The child stays root, and this process becomes nobody, with all its threads.
            // SAFETY: integers.
            assert_eq!(unsafe { libc::setresuid(65534, 65534, 65534) }, 0);
            let begun = Instant::now();
            let stopped = process.stop(Ladder::new().term(SHORT).kill()).await;
            assert!(begun.elapsed() < Duration::from_secs(5), "{stopped:?}");
            let Err(Unkillable { by, leftovers, .. }) = stopped else {
                panic!("{stopped:?}");
            };
            assert_eq!(by, StoppedBy::Signal(Signal::KILL));
            assert_eq!(leftovers.len(), 1, "{leftovers:?}");
            assert!(leftovers[0].pid.is_some() && !leftovers[0].name.is_empty());
            process.close_stdin();
            let status: ExitStatus = trace.ended(&process).await.status();
            assert!(status.success());
        });
    });
}

#[test]
fn a_members_survival_is_told() {
    run(async {
        let actions = [
            "leave", "3", "ignore", "15", "pause", "say", "ready", "pause",
        ];
        let (trace, process) = ready(helper(actions).process_group(0)).await;
        let text = trace.output(&process, 1, "ready").await;
        let text = String::from_utf8(text).unwrap();
        let held = text.lines().find_map(|line| line.strip_prefix("held "));
        let member: i32 = held.unwrap().parse().unwrap();
        // It must have come to ignore it.
        let ignores = || {
            let status = std::fs::read_to_string(format!("/proc/{member}/status")).unwrap();
            let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
            let mask = u64::from_str_radix(mask.unwrap().trim(), 16).unwrap();
            (mask & (1 << 14) != 0).then_some(())
        };
        eventually("SIGTERM to be ignored", ignores, || text.clone()).await;
        let result = stopped(&process, Ladder::new().term(SHORT)).await;
        assert_eq!(result.status.signal(), Some(Signal::TERM));
        let pids: Vec<_> = result.leftovers.iter().map(|left| left.pid).collect();
        assert_eq!(pids, [Some(member)], "{result:?}");
        // And it can be finished.
        let result = stopped(&process, Ladder::new().kill()).await;
        assert_eq!(result.leftovers, []);
        assert!(is_gone(member));
    });
}

#[test]
fn a_test_process_records_its_ladder() {
    run(async {
        let test = TestProcess::new();
        let ladder = Ladder::eof(SHORT).kill();
        let stopping = test.handle().stop(ladder.clone());
        assert_eq!(test.commands(), [Recorded::Stop(ladder)]);
        test.exit(ExitStatus::from_code(3));
        assert_eq!(in_time(stopping).await.unwrap().status.code(), Some(3));
    });
}

#[test]
fn a_stop_tells_how_many_of_the_group_outlived_the_child() {
    run(async {
        for left in [0, 2] {
            // They hold its pipes: without pidfds for groups a group is let go when its child has ended.
            let script = format!("for i in $(seq {left}); do sleep 600 & done");
            let command = Command::new("sh").args(["-c", &script]).process_group(0);
            let (_trace, process) = spawned(command).await;
            in_time(process.exited()).await;
            let stopped = stopped(&process, Ladder::new().term(LONG).kill()).await;
            assert_eq!(stopped.outlived, left, "{stopped:?}");
            assert_eq!(stopped.leftovers, []);
        }
    });
}
