//! A child as a filter: a body in, its output out, and its failure told.

use crate::common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_process::{Bytes, Command, Fd, Signal, StreamFailure};
use common::census::{is_gone, state_and_parent};
use common::helper::{helper, pattern};
use common::streams::{next, rest};
use common::{DEADLINE, eventually, in_time, on_tokio, run};
use futures::{FutureExt, Stream, StreamExt, TryStreamExt, stream};

type Item = Result<Bytes, StreamFailure>;

async fn whole(output: impl Stream<Item = Item> + Unpin) -> Vec<u8> {
    let pieces: Vec<Bytes> = in_time(output.try_collect()).await.unwrap();
    pieces.concat()
}

/// What came, and the failure that was last.
async fn broken(output: impl Stream<Item = Item> + Unpin) -> (Vec<u8>, StreamFailure) {
    let mut items = rest(output).await;
    let failure = items.pop().unwrap().unwrap_err();
    let pieces: Vec<Bytes> = items.into_iter().map(Result::unwrap).collect();
    (pieces.concat(), failure)
}

async fn gone(pid: i32) {
    let seen = || format!("{pid} {:?}", state_and_parent(pid));
    eventually("a death", || is_gone(pid).then_some(()), seen).await;
}

fn held(said: &Bytes) -> i32 {
    let text = String::from_utf8_lossy(said);
    // What it echoes may follow.
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches("held ").parse().unwrap()
}

#[test]
fn bytes_and_streams_go_in_and_come_out() {
    run(async {
        let cat = helper(["cat"]);
        let bytes = pattern(1_000_000);
        let output = cat.stream().input(bytes.clone()).start().await.unwrap();
        assert!(whole(output).await == bytes);
        assert_eq!(
            whole(cat.stream().input("text").start().await.unwrap()).await,
            b"text"
        );
        let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
            bytes.chunks(777).map(|piece| Ok(piece.to_vec())).collect();
        let body = stream::iter(pieces);
        let output = cat.stream().input(body).start().await.unwrap();
        assert!(whole(output).await == bytes);
        // None at all.
        assert_eq!(whole(cat.stream().start().await.unwrap()).await, b"");
    });
}

#[test]
fn a_status_that_is_no_success_is_the_last_item_with_what_was_complained() {
    run(async {
        let command = helper(["say", "half", "tell", "2", "oops", "exit", "3"]);
        let mut output = command.stream().start().await.unwrap();
        assert_eq!(next(&mut output).await.unwrap().unwrap(), "half\n");
        let failure = next(&mut output).await.unwrap().unwrap_err();
        assert!(
            failure.to_string().ends_with("` exited with code 3: oops"),
            "{failure}"
        );
        let StreamFailure::Failed { status, stderr, .. } = failure else {
            panic!("{failure:?}");
        };
        assert_eq!((status.code(), &stderr[..]), (Some(3), &b"oops\n"[..]));
        assert!(next(&mut output).await.is_none());
        assert_eq!(output.status().unwrap().code(), Some(3));

        let (_, failure) = broken(helper(["raise", "9"]).stream().start().await.unwrap()).await;
        assert!(
            failure.to_string().ends_with("was killed by SIGKILL"),
            "{failure}"
        );
    });
}

#[test]
fn other_codes_may_be_a_success_and_zero_a_failure() {
    run(async {
        let exits = |code: &str| {
            helper(["say", "out", "exit", code])
                .stream()
                .ok_codes([1, 2])
        };
        assert_eq!(whole(exits("1").start().await.unwrap()).await, b"out\n");
        let (came, failure) = broken(exits("0").start().await.unwrap()).await;
        assert_eq!(came, b"out\n");
        assert!(
            matches!(failure, StreamFailure::Failed { .. }),
            "{failure:?}"
        );
    });
}

#[test]
fn the_tail_of_a_long_complaint_is_shown_and_never_holds_up_the_child() {
    run(async {
        let command = helper([
            "flood",
            "2",
            "3000000",
            "tell",
            "2",
            "\nthe end",
            "exit",
            "1",
        ]);
        let (_, failure) = broken(command.stream().start().await.unwrap()).await;
        assert!(failure.to_string().ends_with("the end"), "{failure}");
        let StreamFailure::Failed { stderr, .. } = failure else {
            panic!("{failure:?}");
        };
        assert_eq!(stderr.len(), 4096);
    });
}

#[test]
fn standard_error_goes_to_a_closure_or_into_the_output() {
    run(async {
        let command = helper(["say", "1", "tell", "2", "2", "say", "3"]);
        let told = Arc::new(Mutex::new(Vec::<u8>::new()));
        let into = Arc::clone(&told);
        let told_by = command
            .stream()
            .on_stderr(move |said| into.lock().unwrap().extend(said));
        assert_eq!(whole(told_by.start().await.unwrap()).await, b"1\n3\n");
        assert_eq!(*told.lock().unwrap(), b"2\n");
        let merged = command.stream().merge_stderr().start().await.unwrap();
        assert_eq!(whole(merged).await, b"1\n2\n3\n");
    });
}

#[test]
fn an_input_that_fails_kills_the_tree_and_is_the_last_item() {
    run(async {
        let command = helper(["hold", "cat"]);
        let body = stream::iter([Ok("begin"), Err(std::io::Error::other("cut"))]);
        // The error comes when the child has said its member's pid.
        let (tell, told) = futures::channel::oneshot::channel::<()>();
        let body = body.enumerate().then({
            let told = told.shared();
            move |(index, item)| {
                let told = told.clone();
                async move {
                    if index > 0 {
                        let _ = told.await;
                    }
                    item
                }
            }
        });
        let mut output = command.stream().input(body).start().await.unwrap();
        let process = output.process().clone();
        let member = held(&next(&mut output).await.unwrap().unwrap());
        tell.send(()).unwrap();
        let (_, failure) = broken(&mut output).await;
        let StreamFailure::Input(source) = &failure else {
            panic!("{failure:?}");
        };
        assert_eq!(source.to_string(), "cut");
        assert_eq!(in_time(process.exited()).await.signal(), Some(Signal::KILL));
        gone(member).await;
        assert!(next(&mut output).await.is_none());
    });
}

#[test]
fn a_child_that_stops_reading_early_is_no_failure() {
    run(async {
        let command = helper(["take", "0", "5", "close", "0", "say", "enough"]);
        let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(pattern(10_000)));
        let output = command.stream().input(endless).start().await.unwrap();
        assert_eq!(whole(output).await, b"enough\n");
    });
}

#[test]
fn an_input_is_asked_only_as_the_child_takes() {
    run(async {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let endless = stream::repeat_with(move || {
            count.fetch_add(1, Ordering::SeqCst);
            Ok::<_, std::io::Error>(Bytes::from(pattern(16 * 1024)))
        });
        let command = helper(["say", "ready", "pause"]);
        let mut output = command.stream().input(endless).start().await.unwrap();
        assert_eq!(next(&mut output).await.unwrap().unwrap(), "ready\n");
        // As long as anything moves.
        let mut before = usize::MAX;
        while asked.load(Ordering::SeqCst) != before {
            before = asked.load(Ordering::SeqCst);
            let wait = Duration::from_millis(300);
            assert!(actix_rt::time::timeout(wait, output.next()).await.is_err());
        }
        // The pipe, the queue of the sink, and what is on its way.
        assert!(before * 16 <= 512, "{before} pieces of 16 KiB");
    });
}

#[test]
fn a_dropped_stream_kills_the_tree_of_a_silent_child() {
    run(async {
        let mut output = helper(["hold", "pause"]).stream().start().await.unwrap();
        let process = output.process().clone();
        let member = held(&next(&mut output).await.unwrap().unwrap());
        drop(output);
        in_time(process.ended()).await;
        gone(member).await;
    });
}

#[test]
fn a_timeout_is_the_last_item_and_the_child_has_its_grace() {
    run(async {
        let limit = Duration::from_millis(100);
        let script =
            "trap 'echo saved > \"$0\"; exit' TERM; echo begun; while :; do sleep 0.01; done";
        let saved = tempfile::tempdir().unwrap();
        let path = saved.path().join("state");
        let command = Command::new("sh").args(["-c", script]).arg(&path);
        let stream = command.stream().timeout(limit).grace(DEADLINE);
        let mut output = stream.start().await.unwrap();
        let process = output.process().clone();
        // Whatever was said before the time was over.
        let failure = loop {
            match next(&mut output).await.unwrap() {
                Ok(_) => {}
                Err(failure) => break failure,
            }
        };
        assert!(matches!(failure, StreamFailure::TimedOut { after, .. } if after == limit));
        assert!(
            failure.to_string().contains("longer than 100ms"),
            "{failure}"
        );
        drop(output);
        // Not killed by the drop: TERM was sent, and its trap runs, unless TERM came before the trap was set.
        let status = in_time(process.ended()).await;
        assert_ne!(status.signal(), Some(Signal::KILL));
    });
}

#[test]
fn a_child_that_does_nothing_is_idle_and_one_that_takes_or_gives_is_not() {
    run(async {
        let limit = Duration::from_millis(400);
        let idle = async {
            let command = helper(["say", "one", "pause"]);
            let stream = command.stream().idle_timeout(limit);
            let mut output = stream.start().await.unwrap();
            assert_eq!(next(&mut output).await.unwrap().unwrap(), "one\n");
            // A reader that comes late does not make the child idle.
            actix_rt::time::sleep(2 * limit).await;
            assert!(output.next().now_or_never().is_none());
            let failure = next(&mut output).await.unwrap().unwrap_err();
            assert!(matches!(failure, StreamFailure::Idle { .. }), "{failure:?}");
        };
        // More than twice as long, by pieces of input.
        let ticks = stream::unfold(0, |count| async move {
            actix_rt::time::sleep(Duration::from_millis(40)).await;
            (count < 25).then_some((Ok::<_, std::io::Error>("x"), count + 1))
        });
        let takes = async {
            let command = helper(["drain", "0", "say", "done"]);
            let stream = command.stream().input(ticks).idle_timeout(limit);
            let output = stream.start().await.unwrap();
            assert_eq!(whole(output).await, b"done\n");
        };
        futures::join!(idle, takes);
    });
}

#[test]
fn lines_come_with_the_failure_behind_the_last_one() {
    run(async {
        let command = helper(["say", "one", "put", "1", "7477", "exit", "2"]);
        let mut lines = command.stream().start().await.unwrap().lines(80);
        let line = next(&mut lines).await.unwrap().unwrap();
        assert!(line.is_whole() && line.text == "one");
        let line = next(&mut lines).await.unwrap().unwrap();
        assert!(!line.is_whole() && line.text == "tw");
        assert!(next(&mut lines).await.unwrap().is_err());
        assert!(next(&mut lines).await.is_none());
        assert_eq!(lines.get_ref().status().unwrap().code(), Some(2));
    });
}

#[test]
fn a_program_that_is_not_there_was_never_started_and_takes_no_input() {
    run(async {
        let body = stream::poll_fn(
            |_| -> std::task::Poll<Option<Result<Bytes, std::io::Error>>> { panic!("asked") },
        );
        let missing = Command::new("/no/such/program").stream().input(body);
        assert!(missing.start().await.is_err());
    });
}

#[test]
fn what_the_command_maps_elsewhere_stays_there() {
    run(async {
        let log = tempfile::NamedTempFile::new().unwrap();
        let input = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(input.path(), "from a file").unwrap();
        let command = helper(["cat", "tell", "2", "hm", "exit", "1"])
            .stdin(input.reopen().unwrap())
            .stderr(log.reopen().unwrap());
        let (came, failure) = broken(command.stream().start().await.unwrap()).await;
        assert_eq!(came, b"from a file");
        assert!(
            failure.to_string().ends_with("exited with code 1"),
            "{failure}"
        );
        assert_eq!(std::fs::read(log.path()).unwrap(), b"hm\n");
    });
}

#[test]
fn a_stream_works_with_no_arbiter_and_moves_between_threads() {
    on_tokio(2, async {
        let body = stream::iter([Ok::<_, std::io::Error>("a"), Ok("b")]);
        let output = helper(["cat"]).stream().input(body).start().await.unwrap();
        let came = tokio::spawn(output.try_collect::<Vec<_>>()).await.unwrap();
        assert_eq!(came.unwrap().concat(), b"ab");
    });
}

#[test]
fn a_stream_whose_arbiter_is_gone_is_not_taken_for_whole() {
    run(async {
        let arbiter = actix::Arbiter::new();
        let command = helper(["say", "half", "pause"])
            .on(&arbiter)
            .stdin(Fd::null());
        let mut output = command.stream().start().await.unwrap();
        assert_eq!(next(&mut output).await.unwrap().unwrap(), "half\n");
        arbiter.stop();
        let failure = next(&mut output).await.unwrap().unwrap_err();
        // Whichever is noticed first: the loss, or the kill that it brings about.
        let told = matches!(
            failure,
            StreamFailure::Gone { .. } | StreamFailure::Failed { .. }
        );
        assert!(told, "{failure:?}");
    });
}
