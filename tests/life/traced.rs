//! A child that a debugger holds: dead for its tracer, and not yet for its parent.

use crate::common;

use std::fs;
use std::time::Duration;

use actix::prelude::*;
use actix_process::{OnOrphaned, ProcessHandle};
use common::census::{is_gone, state_and_parent};
use common::helper::helper;
use common::isolated::{isolated, skipped};
use common::trace::Trace;
use common::{eventually, run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[test]
fn is_waited_for_without_spinning_and_reaped_when_it_is_let_go() {
    isolated(|| {
        // Its System is gone, so the janitor waits for it.
        let child = run(spawn_and_leave());
        let pid = child.pid().unwrap();
        run(async {
            let (trace, protocol) = Trace::start();
            let tracer = helper(["trace", &pid.to_string(), "say", "ready", "pause"]);
            let tracer = tracer.spawn(&protocol).await.unwrap();
            let said = trace.output(&tracer, 1, "ready").await;
            if said.starts_with(b"refused") {
                skipped("this user may not trace a process of its own");
                kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
                return;
            }
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            eventually(
                "the child's death",
                || is_gone(pid).then_some(()),
                || format!("{:?}", state_and_parent(pid)),
            )
            .await;

            let before = janitor_ticks();
            actix_rt::time::sleep(Duration::from_millis(300)).await;
            let ticks = janitor_ticks() - before;
            // A thread that spins gets most of the 30 ticks.
            assert!(ticks < 10, "the janitor ran for {ticks} of 30 ticks");
            assert_eq!(child.try_status(), None);

            assert!(tracer.kill());
            trace.ended(&tracer).await;
            let ended = actix_rt::time::timeout(common::DEADLINE, child.exited()).await;
            let status = ended.expect("it is reaped when its tracer is gone");
            assert_eq!(status.signal(), Some(actix_process::Signal::KILL));
        });
    });
}

async fn spawn_and_leave() -> ProcessHandle {
    let (trace, protocol) = Trace::start();
    let child = helper(["say", "ready", "pause"]).on_orphaned(OnOrphaned::Leave);
    let child = child.spawn(&protocol).await.unwrap();
    trace.output(&child, 1, "ready").await;
    drop(protocol);
    System::current().stop();
    child
}

/// The CPU time of the janitor thread, in ticks of 10 ms.
fn janitor_ticks() -> u64 {
    let mut ticks = 0;
    for task in fs::read_dir("/proc/self/task").unwrap().flatten() {
        let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        if stat.contains("(actix-process-j)") {
            let (_, fields) = stat.rsplit_once(')').unwrap();
            let fields: Vec<&str> = fields.split_whitespace().collect();
            ticks += fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        }
    }
    ticks
}
