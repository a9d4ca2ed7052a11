//! Terminals that end, from either side: who is hung up, what is reported, and when.

mod common;

use std::time::Duration;

use actix_process::{
    CloseReason, Fd, OnOrphaned, ProcessEvent, ProcessHandle, Pty, PtySize, ResizeError, Signal,
    WriteError,
};
use common::census::{is_gone, state_and_parent};
use common::helper::{helper, pattern};
use common::trace::{Die, Trace};
use common::{eventually, run};
use nix::unistd::Pid;

const SIZE: PtySize = PtySize::new(24, 80);

/// The pid in a line `held PID`.
fn heir(said: &[u8]) -> i32 {
    let said = String::from_utf8_lossy(said);
    let (_, pid) = said.split_once("held ").unwrap();
    pid.lines().next().unwrap().parse().unwrap()
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

#[test]
fn a_silent_heir_that_ignores_the_hang_up_is_cut() {
    run(async {
        let (trace, protocol) = Trace::start();
        let child = helper(["ignore", "1", "leave", "1", "pause"])
            .pty(SIZE)
            .ended_timeout(Duration::from_millis(50));
        let process = child.spawn(&protocol).await.unwrap();
        let held = heir(&trace.output(&process, 1, "\n").await);
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1]);
        assert_eq!(history.closes()[&0], CloseReason::Cut);
        assert_eq!(history.closes()[&1], CloseReason::Cut);
        assert_eq!(history.status().code(), Some(0));
        kill(held);
    });
}
