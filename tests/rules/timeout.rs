//! The delivery rule about `ended_timeout`, 13, by tests named for it.

use crate::common;

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::tools::events::is_lost;
use actix_process::{CloseReason, Fd};
use common::helper::{helper, pattern};
use common::slow_protocol::{SlowProtocol, Withheld};
use common::trace::{data_of, spawned};
use common::{eventually, run};

#[test]
fn rule_13_the_cut_names_the_descriptors_that_were_held_and_drops_queued_writes() {
    run(async {
        // The descendant holds 0 and 2, but not 1.
        let child = helper([
            "leave", "6", "close", "1", "tell", "2", "ready", "pause", "take", "0", "1", "exit",
            "3",
        ])
        .ended_timeout(Duration::from_millis(200));
        let (trace, process) = spawned(child).await;
        let held = trace.output(&process, 1, "\n").await;
        trace.output(&process, 2, "ready").await;
        process.write("x").unwrap();
        process.write(vec![0; 1 << 20]).unwrap();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert_eq!(history.status().code(), Some(3));
        let cut = CloseReason::Cut;
        assert_eq!(
            history.closes(),
            BTreeMap::from([(0, cut), (1, CloseReason::ByChild), (2, cut)])
        );
        kill_descendant(&held);
    });
}

/// Kills the grandchild that said `held PID`.
fn kill_descendant(said: &[u8]) {
    let said = String::from_utf8_lossy(said);
    let pid = said.lines().find_map(|line| line.strip_prefix("held "));
    let pid = nix::unistd::Pid::from_raw(pid.unwrap().parse().unwrap());
    // It may have died of its closed pipes.
    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
}

#[test]
fn rule_13_without_a_timeout_the_end_waits_for_the_descendant() {
    run(async {
        let (trace, process) = spawned(helper(["hold"])).await;
        trace.exited(&process).await;
        let held = trace.output(&process, 1, "\n").await;
        actix_rt::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(trace.of(&process).len(), 3);
        kill_descendant(&held);
        let closes = trace.ended(&process).await.closes();
        assert!(
            closes
                .values()
                .all(|reason| *reason == CloseReason::ByChild)
        );
    });
}

#[test]
fn rule_13_what_the_pipe_holds_at_the_deadline_is_delivered_before_the_cut() {
    run(async {
        const TIMEOUT: Duration = Duration::from_secs(2);
        const SIZE: usize = 60_000;
        let (go, let_go) = std::io::pipe().unwrap();
        let (mut written, tell) = std::io::pipe().unwrap();
        let child = helper([
            "leave", "8", "drain", "5", "spam", "60000", "tell", "6", "!", "pause",
        ])
        .fd(5, Fd::from(OwnedFd::from(go)))
        .fd(6, Fd::from(OwnedFd::from(tell)))
        .ended_timeout(TIMEOUT);
        let (trace, process) = spawned(child).await;
        trace.exited(&process).await;
        let held = trace.output(&process, 1, "\n").await;

        // This arbiter, with the readers on it, does nothing until time is up.
        drop(let_go);
        written.read_exact(&mut [0]).unwrap();
        std::thread::sleep(TIMEOUT + Duration::from_millis(300));

        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert_eq!(history.closes()[&1], CloseReason::Cut);
        let data = history.data(1);
        assert!(data[held.len()..] == pattern(SIZE), "{} bytes", data.len());
        kill_descendant(&held);
    });
}

#[test]
fn rule_13_paused_time_does_not_count() {
    run(async {
        const TIMEOUT: Duration = Duration::from_millis(50);
        let child = helper(["hold", "take", "0", "1"]).ended_timeout(TIMEOUT);
        let (trace, process) = spawned(child).await;
        let held = trace.output(&process, 1, "\n").await;
        process.pause_child_fd(2);
        process.write("x").unwrap();
        trace.exited(&process).await;
        actix_rt::time::sleep(10 * TIMEOUT).await;
        let so_far = trace.of(&process);
        assert!(!so_far.iter().any(is_lost), "{so_far:?}");

        process.resume_child_fd(2);
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert!(history.closes().values().all(|r| *r == CloseReason::Cut));
        kill_descendant(&held);
    });
}

#[test]
fn rule_13_what_waits_for_the_protocol_is_delivered_whatever_the_clock_says() {
    run(async {
        const TIMEOUT: Duration = Duration::from_millis(50);
        let (withheld, protocol) = SlowProtocol::start_new();
        let child = helper(["leave", "3", "spam", "40000", "pause"])
            .window(4096)
            .ended_timeout(TIMEOUT);
        let process = child.spawn(&protocol).await.unwrap();
        process.exited().await;
        // The window is full, or will be: the pipe is not empty.
        actix_rt::time::sleep(10 * TIMEOUT).await;
        assert!(!withheld.lock().unwrap().ended, "cut while data wait");
        let received = eventually(
            "the end",
            || {
                Withheld::let_go(&withheld);
                let withheld = withheld.lock().unwrap();
                withheld.ended.then(|| withheld.received.clone())
            },
            || format!("{} bytes", withheld.lock().unwrap().received.len()),
        )
        .await;
        // And the line that names the descendant.
        assert!(received.len() > 40_000, "{} bytes", received.len());
    });
}

#[test]
fn rule_13_a_descendant_that_chatters_cannot_hold_the_end_for_ever() {
    run(async {
        let child = helper(["leave", "1", "chatter"]).ended_timeout(Duration::from_millis(300));
        let (trace, process) = spawned(child).await;
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert_eq!(history.closes()[&1], CloseReason::Cut);
        assert!(!data_of(&history.events, 1).is_empty());
    });
}
