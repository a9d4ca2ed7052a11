//! A filter's end comes in time and once, whoever holds its pipes, and no child takes a broken input for a whole one.

use crate::common;

use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use actix_process::{Bytes, Command, OnLeftovers, Signal, StreamFailure};
use common::census::is_gone;
use common::helper::helper;
use common::streams::{next, rest};
use common::{DEADLINE, eventually, in_time, on_tokio, run};
use futures::channel::oneshot;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use nix::sys::signal::kill;
use nix::unistd::Pid;

type Piece = Result<Bytes, std::io::Error>;

/// Nothing, until the sender drops; then `last`.
fn held_back(last: Option<Piece>) -> (oneshot::Sender<()>, impl futures::Stream<Item = Piece>) {
    let (go, told) = oneshot::channel();
    let wait = stream::once(told).filter_map(|_| std::future::ready(None));
    (go, wait.chain(stream::iter(last)))
}

fn cut() -> Piece {
    Err(std::io::Error::other("cut"))
}

#[test]
fn a_timeout_terminates_the_child_also_when_nobody_polls() {
    run(async {
        let limit = Duration::from_millis(200);
        // It always has output.
        let stream = Command::new("yes").stream().timeout(limit).grace(DEADLINE);
        let mut output = stream.start().await.unwrap();
        assert!(next(&mut output).await.unwrap().is_ok());
        let status = in_time(output.process().exited()).await;
        assert_eq!(status.signal(), Some(Signal::TERM));
        let failure = next(&mut output).await.unwrap().unwrap_err();
        let told = matches!(failure, StreamFailure::TimedOut { after, .. } if after == limit);
        assert!(told, "{failure:?}");
    });
}

#[test]
fn a_stream_that_is_dropped_after_its_timeout_leaves_the_child_its_grace() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let script = "trap 'sleep 0.3; echo saved > \"$0\"; exit 0' TERM; echo trapped; while :; do sleep 0.01; done";
        let command = Command::new("sh").args(["-c", script]).arg(&state);
        let stream = command.stream().timeout(Duration::from_millis(500));
        let mut output = stream.grace(DEADLINE).start().await.unwrap();
        let process = output.process().clone();
        assert_eq!(next(&mut output).await.unwrap().unwrap(), "trapped\n");
        // Nobody polls when the time is over.
        actix_rt::time::sleep(Duration::from_millis(600)).await;
        drop(output);
        let status = in_time(process.ended()).await;
        assert!(status.success(), "{status}");
        assert_eq!(std::fs::read(&state).unwrap(), b"saved\n");
    });
}

/// A server sends what it was given when it has to wait, and sends nothing more when it was given an error.
#[test]
fn a_failure_has_a_turn_of_its_own_after_bytes() {
    run(async {
        let command = helper(["say", "half", "exit", "3"]);
        let mut output = command.stream().start().await.unwrap();
        in_time(output.process().ended()).await;
        let half = output.next().now_or_never().unwrap().unwrap().unwrap();
        assert_eq!(half, "half\n");
        assert!(output.next().now_or_never().is_none());
        // Woken: it waits for nothing else.
        assert!(next(&mut output).await.unwrap().is_err());
        assert!(next(&mut output).await.is_none());
    });
}

#[test]
fn nothing_follows_a_failure() {
    run(async {
        let (go, input) = held_back(Some(cut()));
        let pause = helper(["pause"]).stream().input(input);
        let timed = pause.timeout(Duration::from_millis(50));
        let mut output = timed.start().await.unwrap();
        let failure = next(&mut output).await.unwrap().unwrap_err();
        assert!(
            matches!(failure, StreamFailure::TimedOut { .. }),
            "{failure:?}"
        );
        drop(go);
        for _ in 0..3 {
            assert!(next(&mut output).await.is_none());
        }
    });
}

#[test]
fn a_descendant_that_has_left_and_holds_other_pipes_holds_up_no_end() {
    run(async {
        for (code, is_told) in [("0", false), ("3", false), ("0", true)] {
            // Its descendant keeps 0 and 2.
            let free = ["setsid", "say", "free", "close", "1", "pause"];
            let mut actions = vec!["leave", "6"];
            actions.extend(free);
            actions.extend(["take", "0", "1", "tell", "2", "last words", "exit", code]);
            let (go, input) = held_back(Some(Ok(Bytes::from("."))));
            let mut stream = helper(actions).stream().input(input);
            let told = Arc::new(Mutex::new(Vec::<u8>::new()));
            if is_told {
                let told = Arc::clone(&told);
                stream = stream.on_stderr(move |said| told.lock().unwrap().extend(said));
            }
            let mut output = stream.start().await.unwrap();
            let mut said = String::new();
            while said.lines().count() < 2 || !said.ends_with('\n') {
                let piece = next(&mut output).await.unwrap().unwrap();
                said.push_str(str::from_utf8(&piece).unwrap());
            }
            let held = said.lines().find_map(|line| line.strip_prefix("held "));
            let heir: i32 = held.unwrap().parse().unwrap();
            drop(go);
            let end = rest(&mut output).await;
            match code {
                "0" => assert!(end.is_empty(), "{end:?}"),
                _ => {
                    let failure = end[0].as_ref().unwrap_err().to_string();
                    assert!(failure.ends_with("code 3: last words"), "{failure}");
                }
            }
            if is_told {
                assert_eq!(*told.lock().unwrap(), b"last words\n");
            }
            kill(Pid::from_raw(heir), nix::sys::signal::SIGKILL).unwrap();
        }
    });
}

#[test]
fn the_last_complaints_are_told_before_the_end() {
    on_tokio(1, async {
        let hex = "78".repeat(700);
        for _ in 0..20 {
            let told = Arc::new(Mutex::new(0));
            let count = Arc::clone(&told);
            let output = helper(["close", "1", "dribble", "2", &hex])
                .stream()
                .on_stderr(move |said| *count.lock().unwrap() += said.len())
                .start()
                .await
                .unwrap();
            assert!(rest(output).await.is_empty());
            assert_eq!(*told.lock().unwrap(), 700);
        }
    });
}

/// The children's actors live on another thread, which would close an input at once.
#[test]
fn a_broken_input_is_never_the_end_of_it_for_the_child() {
    on_tokio(1, async {
        let dir = tempfile::tempdir().unwrap();
        let whole = dir.path().join("whole");
        let then = [
            "say",
            "ready",
            "drain",
            "0",
            "list",
            whole.to_str().unwrap(),
        ];
        for round in 0..60 {
            let (go, input) = held_back(Some(cut()));
            let input = stream::iter([Ok(Bytes::from("begin"))]).chain(input);
            let mut output = helper(then).stream().input(input).start().await.unwrap();
            let process = output.process().clone();
            assert_eq!(next(&mut output).await.unwrap().unwrap(), "ready\n");
            if round % 2 == 0 {
                drop(go);
                assert!(next(&mut output).await.unwrap().is_err());
            }
            drop(output);
            let status = in_time(process.exited()).await;
            assert_eq!(status.signal(), Some(Signal::KILL), "in round {round}");
        }
        assert!(!whole.exists());
    });
}

#[test]
fn a_drop_kills_what_an_exited_child_has_left() {
    run(async {
        let leaving = helper(["hold", "exit"]).on_leftovers(OnLeftovers::Leave);
        let mut output = leaving.stream().start().await.unwrap();
        let said = next(&mut output).await.unwrap().unwrap();
        let held = str::from_utf8(&said).unwrap().trim();
        let member: i32 = held.trim_start_matches("held ").parse().unwrap();
        in_time(output.process().exited()).await;
        // Its member holds the output.
        assert!(output.next().now_or_never().is_none());
        assert!(!is_gone(member));
        drop(output);
        let seen = || format!("{member} lives");
        eventually("a death", || is_gone(member).then_some(()), seen).await;
    });
}

#[test]
fn pieces_without_bytes_hold_up_nobody() {
    run(async {
        let empty = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::new()));
        let said = helper(["say", "done"]).stream().input(empty).start().await;
        let said: Vec<Bytes> = in_time(said.unwrap().try_collect()).await.unwrap();
        assert_eq!(said.concat(), b"done\n");
    });
}

#[test]
fn a_child_that_takes_a_long_piece_bit_by_bit_is_not_idle() {
    run(async {
        let limit = Duration::from_millis(800);
        // Twice the limit for each of them, in steps of a twentieth.
        let fast = "for i in $(seq 40); do head -c 60000 > /dev/null; sleep 0.04; done";
        // Less than what makes room in the queue of a sink.
        let slow =
            "for i in $(seq 40); do dd bs=1000 count=1 of=/dev/null 2> /dev/null; sleep 0.04; done";
        let taken_by = async |script| {
            let command = Command::new("sh").args(["-c", script]);
            let stream = command.stream().input(vec![b'x'; 4_000_000]);
            let output = stream.idle_timeout(limit).start().await.unwrap();
            let end = rest(output).await;
            assert!(end.is_empty(), "{script}: {end:?}");
        };
        // One that takes nothing is.
        let not_taken = async {
            let stream = helper(["pause"]).stream().input(vec![b'x'; 4_000_000]);
            let mut output = stream.idle_timeout(limit).start().await.unwrap();
            let failure = next(&mut output).await.unwrap().unwrap_err();
            assert!(matches!(failure, StreamFailure::Idle { .. }), "{failure:?}");
        };
        futures::join!(taken_by(fast), taken_by(slow), not_taken);
    });
}

#[test]
fn an_input_that_never_comes_is_dropped_with_the_stream() {
    run(async {
        let (held, mut dropped) = oneshot::channel::<()>();
        let input = stream::poll_fn(move |_| -> Poll<Option<Piece>> {
            let _ = &held;
            Poll::Pending
        });
        let mut output = helper(["say", "x", "pause"])
            .stream()
            .input(input)
            .start()
            .await
            .unwrap();
        assert_eq!(next(&mut output).await.unwrap().unwrap(), "x\n");
        assert_eq!(dropped.try_recv(), Ok(None));
        drop(output);
        assert!(dropped.try_recv().is_err());
    });
}

#[test]
fn all_that_is_said_to_standard_error_is_told_before_the_end() {
    run(async {
        for _ in 0..20 {
            // More pieces than a turn of a stream has, behind the end of the output.
            let script = "exec >&-; for i in $(seq 200); do echo $i >&2; done";
            let told = Arc::new(Mutex::new(Vec::<u8>::new()));
            let into = Arc::clone(&told);
            let command = Command::new("sh").args(["-c", script]);
            let stream = command
                .stream()
                .on_stderr(move |said| into.lock().unwrap().extend(said));
            let output = stream.start().await.unwrap();
            assert!(
                in_time(output.try_collect::<Vec<Bytes>>())
                    .await
                    .unwrap()
                    .is_empty()
            );
            assert!(told.lock().unwrap().ends_with(b"\n200\n"));
        }
    });
}

#[test]
fn the_input_is_let_go_of_when_the_output_is_over() {
    run(async {
        let held = Arc::new(());
        let weak = Arc::downgrade(&held);
        let body = stream::pending::<Result<Bytes, std::io::Error>>().map(move |item| {
            let _ = &held;
            item
        });
        // A child that lives on, within its grace.
        let command = helper(["ignore", "15", "pause"]);
        let limit = Duration::from_millis(50);
        let stream = command.stream().input(body).timeout(limit).grace(DEADLINE);
        let mut output = stream.start().await.unwrap();
        assert!(next(&mut output).await.unwrap().is_err());
        assert!(weak.upgrade().is_none(), "held by an output that is over");
        output.process().kill();
    });
}
