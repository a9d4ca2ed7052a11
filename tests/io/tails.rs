//! A descriptor of which the last bytes are kept: what a tail has, when it can be looked at, and that nobody waits for it.

use crate::common;

use std::io::ErrorKind;

use actix::Arbiter;
use actix_process::testing::TestProcess;
use actix_process::{CloseReason, Command, Fd, FdMap, NoProtocol, ProcessHandle, SpawnStep, Tail};
use common::helper::{helper, pattern};
use common::isolated::isolated;
use common::trace::{Trace, history, spawned};
use common::{amount, eventually, in_time, peak_memory, run};
use nix::sys::signal::{SIGKILL, kill};
use nix::unistd::Pid;

fn tail(process: &ProcessHandle, fd: i32) -> Tail {
    process.tail(fd).expect("it is a tail")
}

/// The tail of `fd`, when so many bytes have come.
async fn tail_after(process: &ProcessHandle, fd: i32, total: u64) -> Tail {
    let come = |tail: &Tail| tail.left_out + tail.bytes.len() as u64;
    let full = || Some(tail(process, fd)).filter(|tail| come(tail) >= total);
    eventually("the bytes of a tail", full, || {
        format!("{} bytes", come(&tail(process, fd)))
    })
    .await
}

#[test]
fn the_failure_of_a_child_shows_its_status_and_its_tail() {
    run(async {
        let fails = |actions: &[&str]| helper(actions).stderr(Fd::tail(100)).spawn(NoProtocol);
        let process = fails(&["tell", "2", "oops", "exit", "3"]).await.unwrap();
        in_time(process.ended()).await;
        let failure = process.failure().unwrap();
        assert!(
            failure.to_string().ends_with("exited with code 3: oops"),
            "{failure}"
        );
        assert_eq!(
            (failure.status.code(), &failure.stderr[..]),
            (Some(3), &b"oops\n"[..])
        );

        let process = fails(&["tell", "2", "fine"]).await.unwrap();
        in_time(process.ended()).await;
        assert_eq!(process.failure(), None, "a success");
        let process = fails(&["pause"]).await.unwrap();
        assert_eq!(process.failure(), None, "alive");
        process.kill();
        in_time(process.ended()).await;
        let failure = process.failure().unwrap();
        assert!(
            failure.to_string().ends_with("was killed by SIGKILL"),
            "{failure}"
        );
    });
}

#[test]
fn a_tail_has_the_last_bytes_and_counts_those_before() {
    run(async {
        for (size, total) in [(1, 1), (1000, 1_000_000), (200_000, 1_000_000), (50, 49)] {
            let child = helper(["flood", "2", &total.to_string()]).stderr(Fd::tail(size));
            let process = child.spawn(NoProtocol).await.unwrap();
            in_time(process.ended()).await;
            let tail = tail(&process, 2);
            let kept = size.min(total);
            assert!(tail.bytes == pattern(total)[total - kept..], "{tail:?}");
            assert_eq!(tail.left_out, (total - kept) as u64);
        }
    });
}

#[test]
fn a_tail_that_is_larger_than_the_output_has_all_of_it() {
    run(async {
        let child = helper(["tell", "2", "all", "spam", "100"]);
        let child = child.stderr(Fd::tail(usize::MAX)).stdout(Fd::tail(64));
        let process = child.spawn(NoProtocol).await.unwrap();
        in_time(process.ended()).await;
        let all = tail(&process, 2);
        assert_eq!((&all.bytes[..], all.left_out), (&b"all\n"[..], 0));
        // Each has its own.
        assert_eq!(tail(&process, 1).left_out, 36);
    });
}

#[test]
fn of_a_tail_the_protocol_gets_only_the_close() {
    run(async {
        let child = helper(["tell", "2", "unseen", "say", "seen"]).stderr(Fd::tail(100));
        let history = history(&child).await;
        history.assert_rules(&[0, 1, 2]);
        assert_eq!(history.text(1), "seen\n");
        assert!(history.data(2).is_empty());
        assert_eq!(history.closes()[&2], CloseReason::ByChild);
    });
}

#[test]
fn a_tail_can_be_looked_at_while_the_child_lives_and_after_its_end() {
    run(async {
        let child = helper(["tell", "2", "early", "cat", "tell", "2", "late", "pause"]);
        let child = child.stderr(Fd::tail(6));
        let process = child.spawn(NoProtocol).await.unwrap();
        let early = tail_after(&process, 2, 6).await;
        assert_eq!((&early.bytes[..], early.left_out), (&b"early\n"[..], 0));
        // To look takes nothing away.
        assert_eq!(tail(&process, 2), early);
        process.close_stdin();
        let late = tail_after(&process, 2, 11).await;
        assert_eq!((&late.bytes[..], late.left_out), (&b"\nlate\n"[..], 5));
        assert!(process.kill());
        in_time(process.ended()).await;
        assert_eq!(tail(&process, 2), late);
    });
}

#[test]
fn a_tail_holds_up_nobody_whoever_waits_for_what() {
    run(async {
        // A stream that nobody takes, and a protocol that does not come to its first event.
        let child = helper([
            "flood", "2", "5000000", "tell", "2", "end", "spam", "5000000",
        ]);
        let child = child.stdout(Fd::stream()).stderr(Fd::tail(4));
        let arbiter = Arbiter::new();
        let (release, released) = std::sync::mpsc::channel();
        arbiter.spawn_fn(move || {
            let _ = released.recv();
        });
        let (trace, protocol) = Trace::start_in(&arbiter.handle());
        let process = child.spawn(&protocol).await.unwrap();
        let tail = tail_after(&process, 2, 5_000_004).await;
        assert_eq!(tail.bytes, "end\n");
        assert_eq!(trace.of(&process), []);
        assert!(process.try_status().is_none());
        release.send(()).unwrap();
        drop(process.stdout());
        trace.ended(&process).await;
        arbiter.stop();
    });
}

#[test]
fn a_tail_takes_no_more_memory_than_it_keeps() {
    isolated(|| {
        run(async {
            let child = |bytes: &str| helper(["flood", "2", bytes]).stderr(Fd::tail(100_000));
            let ended = async |bytes| {
                let process = child(bytes).spawn(NoProtocol).await.unwrap();
                in_time(process.ended()).await;
                tail(&process, 2).left_out
            };
            ended("1000000").await;
            let before = peak_memory();
            let flood = amount(200_000_000, 50_000_000);
            let left_out = ended(&flood.to_string()).await;
            assert_eq!(left_out, flood as u64 - 100_000);
            let grown = peak_memory().saturating_sub(before);
            assert!(grown < 10_000_000, "{grown} bytes more");
        });
    });
}

#[test]
fn a_paused_tail_is_not_read_until_it_is_resumed() {
    run(async {
        let child = helper(["copy", "0", "2"]).stderr(Fd::tail(100));
        let process = child.spawn(NoProtocol).await.unwrap();
        process.pause_child_fd(2);
        process.write("held").unwrap();
        process.close_stdin();
        in_time(process.exited()).await;
        assert_eq!(tail(&process, 2), Tail::default());
        process.resume_child_fd(2);
        in_time(process.ended()).await;
        assert_eq!(tail(&process, 2).bytes, "held");
    });
}

#[test]
fn a_cut_puts_what_the_pipe_held_into_the_tail() {
    run(async {
        let child = helper(["hold", "take", "0", "1", "tell", "2", "last words"]);
        let (trace, process) = spawned(child.process_group(0).stderr(Fd::tail(100))).await;
        let said = trace.output(&process, 1, "held ").await;
        process.pause_child_fd(2);
        process.write("x").unwrap();
        in_time(process.exited()).await;
        assert_eq!(tail(&process, 2), Tail::default());
        process.cut_connection();
        process.resume_child_fd(2);
        let history = trace.ended(&process).await;
        assert_eq!(history.closes()[&2], CloseReason::Cut);
        assert_eq!(tail(&process, 2).bytes, "last words\n");
        // By its number: without pidfds a group cannot be signalled after the end.
        let said = String::from_utf8_lossy(&said).into_owned();
        let member = said.trim().trim_start_matches("held ").parse().unwrap();
        kill(Pid::from_raw(member), SIGKILL).unwrap();
    });
}

#[test]
fn only_a_tail_has_a_tail() {
    run(async {
        let child = helper(["say", "x"]).stderr(Fd::tail(1));
        let process = child.fd(3, Fd::stream()).spawn(NoProtocol).await.unwrap();
        assert!(process.tail(2).is_some());
        for fd in [0, 1, 3, 9, -1] {
            assert_eq!(process.tail(fd), None, "{fd}");
        }
        drop(process.take_stream(3));
        assert!(process.take_stream(2).is_err());
        in_time(process.ended()).await;
        assert!(Fd::tail(1).is_tail() && Fd::tail(1).is_read() && !Fd::read().is_tail());
    });
}

#[test]
fn a_tail_of_nothing_or_with_a_window_is_refused_before_the_spawn() {
    run(async {
        for fd in [Fd::tail(0), Fd::tail(10).window(4096)] {
            let child = Command::new("/no/such/program").stderr(fd);
            let error = child.spawn(NoProtocol).await.unwrap_err();
            let refused = (error.step(), error.subject());
            assert_eq!(refused, (SpawnStep::Invalid, "fd 2"), "{error}");
        }
    });
}

#[test]
fn a_helper_collects_a_tail_as_every_other_output() {
    run(async {
        let child = helper(["tell", "2", "all of it"]).stderr(Fd::tail(2));
        let output = child.output().await.unwrap();
        assert_eq!(output.stderr, b"all of it\n");
        let status = helper(["link", "2", "1"]).stderr(Fd::tail(2)).status();
        assert!(status.await.unwrap().success());
    });
}

#[test]
fn a_tests_tail_keeps_what_it_is_fed() {
    run(async {
        let test = TestProcess::with_map(&FdMap::from([(2, Fd::tail(4))]));
        let process = test.handle();
        for piece in ["one", "two"] {
            test.feed(2, piece).await.unwrap();
        }
        let kept = tail(&process, 2);
        assert_eq!((&kept.bytes[..], kept.left_out), (&b"etwo"[..], 2));
        test.close_fd(2);
        let refused = test.feed(2, "more").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::BrokenPipe);
        assert_eq!(tail(&process, 2), kept);
    });
}
