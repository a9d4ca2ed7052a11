//! How much of an output `output` and its like keep, and that the child waits for nobody.

use crate::common;

use std::future::{Future, IntoFuture, poll_fn};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::Poll;
use std::time::Instant;

use actix_process::{Collect, CollectError, Command, Fd, Output, Signal};
use common::census::is_gone;
use common::helper::{helper, pattern};
use common::isolated::isolated;
use common::{DEADLINE, amount, block_on_thread, eventually, in_time, peak_memory, run};
use nix::sys::signal::{SIGKILL, kill};
use nix::unistd::Pid;

/// What was kept of a child that wrote too much.
async fn over(collect: Collect<Output>) -> Output {
    match in_time(collect.into_future()).await {
        Err(CollectError::OutputLimit(output)) => *output,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_child_does_not_wait_for_a_future_that_nobody_polls() {
    run(async {
        let (mut told, tell) = std::io::pipe().unwrap();
        let child = helper(["spam", "5000000", "tell", "5", "done"]);
        let child = child.fd(5, Fd::from(OwnedFd::from(tell)));
        let mut collecting = child.output().into_future();
        drop(child);
        let (answer, answered) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            told.read_to_string(&mut text).unwrap();
            let _ = answer.send(text);
        });
        let first = poll_fn(|cx| Poll::Ready(Pin::new(&mut collecting).poll(cx)));
        assert!(first.await.is_pending());
        assert_eq!(in_time(answered).await.unwrap(), "done\n");
        let output = in_time(collecting).await.unwrap();
        assert!(output.stdout == pattern(5_000_000));
    });
}

#[test]
fn keep_ends_keeps_how_it_began_and_how_it_ended_and_counts_what_is_between() {
    run(async {
        let child = helper(["spam", "1000000", "tell", "2", "done", "exit", "3"]);
        let output = child.output().keep_ends(1000).await.unwrap();
        let all = pattern(1_000_000);
        assert!(output.stdout == [&all[..1000], &all[999_000..]].concat());
        assert_eq!((output.stdout_left_out, output.truncated), (998_000, true));
        assert_eq!(
            (&*output.stderr, output.stderr_left_out),
            (&b"done\n"[..], 0)
        );
        assert_eq!(output.status.code(), Some(3));
    });
}

#[test]
fn what_fits_both_ends_is_whole() {
    run(async {
        let child = helper(["spam", "2000", "tell", "2", "12345"]);
        let output = child.output().keep_ends(1000).await.unwrap();
        assert!(output.stdout == pattern(2000));
        assert_eq!((output.stdout_left_out, output.truncated), (0, false));
        let output = child.output().keep_ends(2).await.unwrap();
        assert_eq!(
            (&*output.stderr, output.stderr_left_out),
            (&b"125\n"[..], 2)
        );
        // Merged, they are one.
        let merged = helper(["tell", "2", "abc", "say", "def"]).output();
        let merged = merged.merge_stderr().keep_ends(1).await.unwrap();
        assert_eq!(merged.stdout.len(), 2);
        assert_eq!((merged.stdout_left_out, merged.stderr_left_out), (6, 0));
    });
}

#[test]
fn the_later_of_output_limit_and_keep_ends_counts() {
    run(async {
        let say = || helper(["say", "123456"]).output();
        let limited = say().keep_ends(1).output_limit(3).await.unwrap();
        assert_eq!(
            (&*limited.stdout, limited.stdout_left_out),
            (&b"123"[..], 4)
        );
        let ends = say().output_limit(3).keep_ends(1).await.unwrap();
        assert_eq!((&*ends.stdout, ends.stdout_left_out), (&b"1\n"[..], 5));
    });
}

#[test]
fn what_is_left_out_takes_no_memory() {
    isolated(|| {
        run(async {
            let child = |bytes: &str| helper(["spam", bytes]).output();
            child("1000000").await.unwrap();
            let before = peak_memory();
            let size = amount(100_000_000, 30_000_000);
            let large = child(&size.to_string());
            for collect in [large.clone().output_limit(1000), large.keep_ends(500)] {
                let output = in_time(collect.into_future()).await.unwrap();
                assert_eq!(output.stdout_left_out, size as u64 - 1000);
            }
            let grown = peak_memory().saturating_sub(before);
            assert!(grown < 10_000_000, "{grown} bytes more");
        });
    });
}

#[test]
fn output_limit_kills_ends_a_child_that_writes_more() {
    run(async {
        let output = over(Command::new("yes").output().output_limit_kills(1000)).await;
        assert_eq!(output.stdout, b"y\n".repeat(500));
        assert!(output.truncated && output.stdout_left_out > 0);
        assert_eq!(output.status.signal(), Some(Signal::KILL));
        // Each output has a limit of its own; the first that is over it counts.
        let child = helper(["say", "123", "flood", "2", "100000", "pause"]);
        let output = over(child.output().output_limit_kills(4)).await;
        assert_eq!(
            (&*output.stdout, output.stdout_left_out),
            (&b"123\n"[..], 0)
        );
        assert!(output.stderr == pattern(4));
        // Also where a byte there is an error by itself.
        over(child.read().output_limit_kills(4)).await;
    });
}

/// No runtime polls this thread's future for another reason.
#[test]
fn too_much_output_wakes_who_collects() {
    // So much input takes longer than the first poll.
    let child = helper(["take", "0", "1000000", "spam", "2000", "pause"]);
    let collect = child.output().input(vec![0; 1_000_000]);
    let begun = Instant::now();
    let result = block_on_thread(collect.output_limit_kills(1000).into_future());
    assert!(begun.elapsed() < DEADLINE, "it was not woken: {result:?}");
    assert!(
        matches!(result, Err(CollectError::OutputLimit(_))),
        "{result:?}"
    );
}

#[test]
fn output_limit_kills_all_that_the_child_has_started() {
    run(async {
        let child = helper(["hold", "spam", "100000", "pause"]);
        let output = over(child.output().output_limit_kills(1000)).await;
        let descendant = descendant(&output);
        let gone = || is_gone(descendant).then_some(());
        eventually("a process to be gone", gone, || {
            format!("{descendant} lives")
        })
        .await;
    });
}

#[test]
fn a_descendant_elsewhere_does_not_hold_up_the_result_of_output_limit_kills() {
    run(async {
        let child = helper(["hold", "spam", "100000", "pause"])
            .output()
            .foreground();
        let output = over(child.output_limit_kills(1000)).await;
        assert_eq!(output.status.signal(), Some(Signal::KILL));
        kill(Pid::from_raw(descendant(&output)), SIGKILL).unwrap();
    });
}

/// The descendant that the helper's `hold` told of.
fn descendant(output: &Output) -> i32 {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("held "));
    line.and_then(|pid| pid.parse().ok()).expect("a descendant")
}

#[test]
fn whether_a_child_is_over_its_limit_does_not_depend_on_when_it_ends() {
    run(async {
        for _ in 0..20 {
            let output = over(helper(["spam", "1001"]).output().output_limit_kills(1000)).await;
            assert!(output.stdout == pattern(1000));
            assert_eq!(output.stdout_left_out, 1);
            let within = helper(["spam", "1000"]).output().output_limit_kills(1000);
            let output = in_time(within.into_future()).await.unwrap();
            assert!(output.status.success() && output.stdout == pattern(1000));
        }
    });
}

#[test]
fn what_is_kept_of_a_killed_child_is_as_the_other_limits_say() {
    run(async {
        let yes = || Command::new("yes").output().output_limit_kills(1000);
        assert_eq!(over(yes().output_limit(3)).await.stdout, b"y\ny");
        assert_eq!(over(yes().output_limit(2000)).await.stdout.len(), 1000);
        assert_eq!(over(yes().keep_ends(4)).await.stdout.len(), 8);
    });
}

#[test]
fn the_error_of_a_killed_child_says_why_and_shows_only_sizes() {
    run(async {
        let result = Command::new("yes").output().output_limit_kills(9).await;
        let error = result.unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("wrote more than its output limit ("),
            "{text}"
        );
        let shown = format!("{error:?}");
        assert!(
            shown.contains("OutputLimit") && shown.contains("9 bytes"),
            "{shown}"
        );
        assert!(!shown.contains("y\\n"), "{shown}");
    });
}
