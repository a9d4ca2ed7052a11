//! Half an input is never taken for a whole one: neither a timeout, nor the end of an arbiter, closes the input of a child that
//! lives.

use crate::common;

use std::path::Path;
use std::time::Duration;

use actix_process::{Bytes, Command, ProcessHandle, StreamFailure};
use common::{amount, run};
use futures::{StreamExt, TryStreamExt, stream};

type Piece = Result<Bytes, std::io::Error>;

/// A child that makes the file `whole` at the end of its input.
fn reader_to_the_end(whole: &Path) -> Command {
    let script = "echo ready; read -r line || :; exec 3>\"$0\"";
    Command::new("sh").args(["-c", script]).arg(whole)
}

/// Time in which a child that took the end of half an input for that of a whole one would tell.
fn grace() -> Duration {
    Duration::from_millis(amount(2000, 800) as u64)
}

/// A piece, and then nothing for ever: an upload that hangs.
fn half() -> impl futures::Stream<Item = Piece> {
    stream::iter([Ok(Bytes::from("begin"))]).chain(stream::pending())
}

#[test]
fn a_drop_after_a_timeout_is_no_end_of_input() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let whole = dir.path().join("whole");
        let script = "trap '' TERM; echo ready; cat > \"$0.part\"; mv \"$0.part\" \"$0\"";
        let command = Command::new("sh").args(["-c", script]).arg(&whole);
        let stream = command
            .stream()
            .input(half())
            .timeout(Duration::from_millis(300));
        let mut output = stream.grace(grace()).start().await.unwrap();
        let process = output.process().clone();
        let failure = loop {
            match output.next().await.unwrap() {
                Ok(_) => {}
                Err(failure) => break failure,
            }
        };
        assert!(
            matches!(failure, StreamFailure::TimedOut { .. }),
            "{failure:?}"
        );
        drop(output);
        let status = process.ended().await;
        assert!(
            !whole.exists(),
            "the child took half an input for a whole one: {status}"
        );
    });
}

#[test]
fn a_drop_after_idle_is_no_end_of_input() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let whole = dir.path().join("whole");
        let script = "trap '' TERM; cat > \"$0.part\"; mv \"$0.part\" \"$0\"";
        let command = Command::new("sh").args(["-c", script]).arg(&whole);
        let stream = command
            .stream()
            .input(half())
            .idle_timeout(Duration::from_millis(300));
        let output = stream.grace(grace()).start().await.unwrap();
        let process = output.process().clone();
        let failure = output.try_collect::<Vec<_>>().await.unwrap_err();
        assert!(matches!(failure, StreamFailure::Idle { .. }), "{failure:?}");
        let status = process.ended().await;
        assert!(
            !whole.exists(),
            "the child took half an input for a whole one: {status}"
        );
    });
}

#[test]
fn the_signal_of_a_timeout_comes_before_the_close() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let mut took = 0;
        let rounds = amount(100, 30);
        for round in 0..rounds {
            let whole = dir.path().join(format!("whole{round}"));
            let command = reader_to_the_end(&whole);
            let body = stream::pending::<Piece>();
            let stream = command
                .stream()
                .input(body)
                .timeout(Duration::from_millis(30));
            let output = stream.start().await.unwrap();
            let process = output.process().clone();
            let told = tokio::spawn(async move {
                let mut output = output;
                while let Some(Ok(_)) = output.next().await {}
                drop(output);
            });
            told.await.unwrap();
            process.ended().await;
            took += usize::from(whole.exists());
        }
        assert_eq!(
            took, 0,
            "of {rounds} children took the close for the end before they got the SIGTERM"
        );
    });
}

/// Ends the arbiter of 20 children that read to the end of their input; none may take that for the end. `begin` starts one, sees that it is
/// ready, and gives its process with what must not be dropped before.
async fn end_their_arbiters<T>(begin: impl AsyncFn(Command) -> (ProcessHandle, T)) {
    let dir = tempfile::tempdir().unwrap();
    let mut took = 0;
    for round in 0..20 {
        let whole = dir.path().join(format!("whole{round}"));
        let arbiter = actix::Arbiter::new();
        let (process, _kept) = begin(reader_to_the_end(&whole).on(&arbiter)).await;
        arbiter.stop();
        let _ = arbiter.join();
        process.exited().await;
        took += usize::from(whole.exists());
    }
    assert_eq!(
        took, 0,
        "of 20 children took the end of the arbiter for the end of the input"
    );
}

#[test]
fn the_end_of_an_arbiter_is_no_end_of_input() {
    run(end_their_arbiters(async |command: Command| {
        let mut output = command.stream().input(half()).start().await.unwrap();
        assert_eq!(output.next().await.unwrap().unwrap(), "ready\n");
        (output.process().clone(), output)
    }));
}

#[test]
fn the_end_of_an_arbiter_is_no_end_of_input_for_an_opened_child() {
    run(end_their_arbiters(async |command: Command| {
        let mut child = command.open().await.unwrap();
        assert_eq!(child.stdout.next().await.unwrap(), "ready\n");
        (child.process.clone(), child)
    }));
}

#[test]
fn the_end_of_an_arbiter_is_no_end_of_input_where_a_task_of_it_has_the_stream() {
    let dir = tempfile::tempdir().unwrap();
    let mut took = 0;
    for round in 0..20 {
        let whole = dir.path().join(format!("whole{round}"));
        let command = reader_to_the_end(&whole);
        let process = run(async move {
            let mut output = command.stream().input(half()).start().await.unwrap();
            assert_eq!(output.next().await.unwrap().unwrap(), "ready\n");
            let process = output.process().clone();
            actix::spawn(async move { while let Some(Ok(_)) = output.next().await {} });
            actix_rt::time::sleep(Duration::from_millis(5)).await;
            process
        });
        // `main` has returned.
        futures::executor::block_on(process.exited());
        took += usize::from(whole.exists());
    }
    assert_eq!(
        took, 0,
        "of 20 children took the end of the System for the end of the input"
    );
}

/// How many of 20 children of an arbiter like an HTTP worker's took its end for that of their input. `younger`: a task that was
/// started after the child has the stream.
fn stopped_workers_child_took(younger: bool) -> usize {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let mut took = 0;
        for round in 0..20 {
            let whole = dir.path().join(format!("whole{round}"));
            let command = reader_to_the_end(&whole);
            let arbiter = actix::Arbiter::new();
            let (tell, told) = tokio::sync::oneshot::channel();
            arbiter.spawn(async move {
                let mut output = command.stream().input(half()).start().await.unwrap();
                assert_eq!(output.next().await.unwrap().unwrap(), "ready\n");
                let process = output.process().clone();
                let rest = async move { while let Some(Ok(_)) = output.next().await {} };
                if younger {
                    actix::spawn(rest);
                    let _ = tell.send(process);
                } else {
                    let _ = tell.send(process);
                    rest.await;
                }
            });
            let process = told.await.unwrap();
            actix_rt::time::sleep(Duration::from_millis(5)).await;
            arbiter.stop();
            let _ = arbiter.join();
            process.exited().await;
            took += usize::from(whole.exists());
        }
        took
    })
}

#[test]
fn the_end_of_a_worker_is_no_end_of_input() {
    assert_eq!(
        [false, true].map(stopped_workers_child_took),
        [0, 0],
        "of 20 children, with the stream in an older task and in a younger one"
    );
}
