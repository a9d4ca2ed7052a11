//! `output` with a timeout.

use crate::common;

use std::time::{Duration, Instant};

use actix_process::{Collect, CollectError, Command, ExitStatus, Output, Signal};
use common::census::is_gone;
use common::helper::helper;
use common::{DEADLINE, amount, eventually, run};
use nix::sys::signal::{SIGKILL, kill};
use nix::unistd::Pid;

const SOON: Duration = Duration::from_millis(50);

/// What `collect` had when its time was up, with `text` said by then: it gets more time until the
/// child was fast enough to say it.
async fn timed_out(collect: Collect<Output>, text: &str) -> Output {
    let mut time = Duration::from_millis(250);
    loop {
        match collect.clone().timeout(time).await {
            Err(CollectError::TimedOut(output)) if said(&output).contains(text) => return *output,
            Err(CollectError::TimedOut(_)) => {}
            other => panic!("{other:?}"),
        }
        time *= 2;
        assert!(time < DEADLINE, "it never said {text}");
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The descendant that the helper's `hold` told of.
fn descendant(output: &Output) -> i32 {
    let text = said(output);
    let line = text.lines().find_map(|line| line.strip_prefix("held "));
    line.and_then(|pid| pid.parse().ok())
        .unwrap_or_else(|| panic!("no descendant in {text:?}"))
}

async fn assert_gone(pid: i32) {
    let gone = || is_gone(pid).then_some(());
    eventually("a process to be gone", gone, || format!("{pid} lives")).await;
}

#[test]
fn a_timeout_terminates_and_tells_what_was_collected() {
    run(async {
        let child = helper(["tell", "2", "err", "say", "ready", "pause"]);
        let output = timed_out(child.output(), "ready").await;
        assert_eq!(output.stdout, b"ready\n");
        assert_eq!(output.stderr, b"err\n");
        assert_eq!(output.status.signal(), Some(Signal::TERM));
        assert!(!output.truncated);
    });
}

#[test]
fn what_the_child_says_on_its_way_out_is_collected() {
    run(async {
        // It answers SIGTERM with some last words. Many times over: the words and the death race.
        let script = "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done";
        for _ in 0..amount(10, 4) {
            let child = Command::new("sh").args(["-c", script]);
            let output = timed_out(child.output().grace(DEADLINE), "ready").await;
            assert_eq!(output.stdout, b"ready\nbye\n");
            assert_eq!(output.status.code(), Some(7));
        }
    });
}

#[test]
fn a_child_that_ignores_sigterm_is_killed_after_the_grace() {
    run(async {
        let child = helper(["ignore", "15", "say", "ready", "pause"]);
        let begun = Instant::now();
        let output = timed_out(child.output().grace(SOON), "ready").await;
        assert!(begun.elapsed() >= SOON);
        assert_eq!(output.status.signal(), Some(Signal::KILL));
    });
}

#[test]
fn the_grace_lets_a_child_clean_up() {
    run(async {
        let script = "trap 'sleep 0.5; echo clean; exit 4' TERM; echo ready; \
                      while :; do sleep 0.01; done";
        let child = Command::new("sh").args(["-c", script]);
        let output = timed_out(child.output().grace(DEADLINE), "ready").await;
        assert_eq!(output.stdout, b"ready\nclean\n");
        assert_eq!(output.status.code(), Some(4));
    });
}

#[test]
fn a_timeout_that_is_not_reached_changes_nothing() {
    run(async {
        let begun = Instant::now();
        let child = helper(["say", "quick", "exit", "2"]);
        let output = child.output().timeout(10 * DEADLINE).await.unwrap();
        assert_eq!(output.stdout, b"quick\n");
        assert_eq!(output.status.code(), Some(2));
        // Twice the deadline would fail the test's run: only to say what this is about.
        assert!(begun.elapsed() < DEADLINE);
    });
}

#[test]
fn read_and_status_time_out_as_well() {
    run(async {
        let child = helper(["pause"]);
        let talker = helper(["tell", "2", "err", "pause"]);
        let short = Duration::from_secs(2);
        let (result, read) = futures::join!(
            child.status().timeout(short).into_future(),
            talker.read().timeout(short).into_future(),
        );
        let Err(CollectError::TimedOut(output)) = result else {
            panic!("{result:?}");
        };
        assert_eq!(output.status.signal(), Some(Signal::TERM));
        // The timeout is told rather than the standard error.
        assert!(matches!(read, Err(CollectError::TimedOut(_))), "{read:?}");
    });
}

#[test]
fn a_timeout_reports_what_the_limit_cut() {
    run(async {
        let child = helper(["spam", "100000", "pause"]);
        let text = String::from_utf8_lossy(&common::helper::pattern(100)).into_owned();
        let output = timed_out(child.output().output_limit(100), &text).await;
        assert_eq!(output.stdout.len(), 100);
        assert!(output.truncated);
    });
}

#[test]
fn a_timeout_drops_input_that_nobody_reads() {
    run(async {
        let child = helper(["say", "ready", "pause"]);
        let stuck = child.output().input(vec![0; 1_000_000]);
        let output = timed_out(stuck, "ready").await;
        assert_eq!(output.status.signal(), Some(Signal::TERM));
    });
}

#[test]
fn a_grandchild_that_holds_unread_input_does_not_hold_up_a_timeout() {
    run(async {
        // More than a pipe holds: the rest is queued when the child is dead.
        let stuck = helper(["hold", "pause"]).output().foreground();
        let stuck = stuck.input(vec![0; 1_000_000]);
        let output = timed_out(stuck, "held ").await;
        kill(Pid::from_raw(descendant(&output)), SIGKILL).unwrap();
    });
}

#[test]
fn a_grandchild_that_holds_the_pipes_does_not_hold_up_a_timeout() {
    run(async {
        let child = helper(["hold", "pause"]);
        let begun = Instant::now();
        // Not in a group of their own.
        let output = timed_out(child.output().foreground(), "held ").await;
        assert_eq!(output.status.signal(), Some(Signal::TERM));
        assert!(begun.elapsed() < DEADLINE);
        // Alone, the child was signalled; of those that were tried only this one is known.
        let descendant = descendant(&output);
        assert!(!is_gone(descendant), "{descendant} was not to be signalled");
        kill(Pid::from_raw(descendant), SIGKILL).unwrap();
    });
}

#[test]
fn a_timeout_ends_the_wait_for_the_descendants_of_a_dead_child() {
    run(async {
        let child = helper(["hold", "exit", "3"]);
        let output = timed_out(child.output().foreground(), "held ").await;
        assert_eq!(output.status.code(), Some(3));
        kill(Pid::from_raw(descendant(&output)), SIGKILL).unwrap();
    });
}

#[test]
fn a_timeout_reaches_the_group_of_a_child_that_leads_one() {
    run(async {
        let child = helper(["hold", "pause"]).process_group(0);
        let output = timed_out(child.output(), "held ").await;
        assert_eq!(output.status.signal(), Some(Signal::TERM));
        assert_gone(descendant(&output)).await;
    });
}

#[test]
fn a_timeout_covers_an_exec_that_hangs() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("program");
        std::fs::copy("/bin/true", &program).unwrap();
        // An exec waits for the lease, which its holder keeps.
        let leased = helper(["lease", program.to_str().unwrap(), "say", "ready", "pause"]);
        let (trace, holder) = common::trace::spawned(leased).await;
        trace.output(&holder, 1, "ready").await;

        let result = Command::new(&program).output().timeout(SOON).await;
        let Err(CollectError::TimedOut(output)) = result else {
            panic!("{result:?}");
        };
        assert_eq!(output.status, ExitStatus::Unknown);
        assert!(holder.kill());
        trace.ended(&holder).await;
    });
}
