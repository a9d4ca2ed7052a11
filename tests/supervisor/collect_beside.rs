//! What goes on beside the collecting: an input that comes, lines that are told of, a cancel.

use crate::common;

use std::future::IntoFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_process::{
    Bytes, Collect, CollectError, Command, Fd, Line, Output, PtySize, Signal, Why,
};
use common::census::{is_gone, state_and_parent};
use common::hanging_exec::HangingExec;
use common::helper::{helper, pattern};
use common::isolated::isolated;
use common::{eventually, in_time, run};
use futures::{FutureExt, stream};

async fn collected(collect: Collect<Output>) -> Result<Output, CollectError> {
    in_time(collect.into_future()).await
}

/// Lines that are told of.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Line>>>);

impl Told {
    fn teller(&self) -> impl FnMut(Line) + Send + use<> {
        let told = Arc::clone(&self.0);
        move |line| told.lock().unwrap().push(line)
    }

    fn texts(&self) -> Vec<String> {
        let told = self.0.lock().unwrap();
        told.iter()
            .map(|line| line.to_string_lossy().into_owned())
            .collect()
    }
}

#[test]
fn a_stream_is_an_input_and_is_asked_as_the_child_takes() {
    run(async {
        let bytes = pattern(3_000_000);
        let pieces: Vec<_> = bytes.chunks(10_001).map(Bytes::copy_from_slice).collect();
        let pieces = stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
        let cat = helper(["cat"]).output().input_stream(pieces);
        assert!(collected(cat).await.unwrap().stdout == bytes);
        // A child that stops reading early is its own judge.
        let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 10_000]));
        let head = helper(["take", "0", "5", "close", "0", "say", "enough"]);
        let output = collected(head.output().input_stream(endless))
            .await
            .unwrap();
        assert_eq!(output.stdout, b"enough\n");
    });
}

#[test]
fn an_input_that_fails_kills_the_child_and_is_the_error() {
    run(async {
        let begin = stream::iter([Ok("begin"), Err(std::io::Error::other("cut"))]);
        let cat = helper(["cat"]).output().input_stream(begin);
        match collected(cat).await {
            Err(CollectError::Input { source, output, .. }) => {
                assert_eq!(source.to_string(), "cut");
                assert_eq!(output.status.signal(), Some(Signal::KILL));
                assert_eq!(output.why, Why::Input);
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn what_is_there_once_is_taken_by_the_first_run() {
    run(async {
        let pieces = stream::iter([Ok::<_, std::io::Error>("x")]);
        let plan = helper(["cat"]).output().input_stream(pieces);
        assert_eq!(collected(plan.clone()).await.unwrap().stdout, b"x");
        let error = collected(plan).await.unwrap_err();
        assert!(error.to_string().contains("earlier run"), "{error}");
        let plan = helper(["exit"])
            .output()
            .cancelled_by(futures::future::pending());
        collected(plan.clone()).await.unwrap();
        assert!(matches!(collected(plan).await, Err(CollectError::Spawn(_))));
    });
}

#[test]
fn each_line_is_told_of_and_everything_is_collected() {
    run(async {
        let (out, err) = (Told::default(), Told::default());
        let actions = [
            "say", "one", "tell", "2", "hm", "say", "", "put", "1", "7477",
        ];
        let output = helper(actions)
            .output()
            .each_line(1, out.teller())
            .each_line(2, err.teller());
        let output = collected(output).await.unwrap();
        assert_eq!(out.texts(), ["one", "", "tw"]);
        assert_eq!(err.texts(), ["hm"]);
        assert_eq!(
            (&output.stdout[..], &output.stderr[..]),
            (&b"one\n\ntw"[..], &b"hm\n"[..])
        );
    });
}

#[test]
fn much_is_told_of_and_what_is_kept_is_bounded_as_ever() {
    run(async {
        let told = Told::default();
        let command = Command::new("seq").arg("200000");
        let output = collected(command.output().each_line(1, told.teller()).keep_ends(6)).await;
        let output = output.unwrap();
        assert_eq!(output.stdout, b"1\n2\n3\n00000\n");
        assert!(output.truncated && output.stdout_left_out > 1_000_000);
        let texts = told.texts();
        assert_eq!((texts.len(), &*texts[199_999]), (200_000, "200000"));
    });
}

#[test]
fn a_descriptor_beyond_the_outputs_can_be_told_of_and_one_that_is_not_read_cannot() {
    run(async {
        let told = Told::default();
        let command = helper(["tell", "3", "progress", "say", "out"]).fd(3, Fd::read());
        let output = collected(command.output().each_line(3, told.teller()))
            .await
            .unwrap();
        assert_eq!(
            (told.texts(), output.stdout),
            (vec!["progress".to_owned()], b"out\n".to_vec())
        );
        for fd in [0, 2, 7] {
            let command = helper(["exit"]).stderr(Fd::null());
            let error = collected(command.output().each_line(fd, |_| ()))
                .await
                .unwrap_err();
            assert!(error.to_string().contains(&format!("fd {fd}")), "{error}");
        }
    });
}

#[test]
fn the_lines_of_a_terminal_are_told_of() {
    run(async {
        let told = Told::default();
        let command = helper(["say", "shown"]).pty(PtySize::new(24, 80));
        let output = collected(command.output().each_line(1, told.teller()))
            .await
            .unwrap();
        assert!(
            told.texts().contains(&"shown".to_owned()),
            "{:?}",
            told.texts()
        );
        assert!(String::from_utf8_lossy(&output.stdout).contains("shown\r\n"));
    });
}

#[test]
fn merged_lines_are_told_of_in_their_order() {
    run(async {
        let told = Told::default();
        let command = helper(["say", "1", "tell", "2", "2", "say", "3"]);
        let output = command.output().merge_stderr().each_line(1, told.teller());
        assert_eq!(collected(output).await.unwrap().stdout, b"1\n2\n3\n");
        assert_eq!(told.texts(), ["1", "2", "3"]);
    });
}

#[test]
fn too_much_of_what_is_told_of_kills_as_well() {
    run(async {
        let command = helper(["drip"]);
        let output = command
            .output()
            .each_line(1, |_| ())
            .output_limit_kills(1000);
        match collected(output).await {
            Err(CollectError::OutputLimit(output)) => {
                assert_eq!((output.stdout.len(), output.why), (1000, Why::OutputLimit));
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_timeout_ends_a_run_whose_lines_are_told_of() {
    run(async {
        let told = Told::default();
        let command = helper(["say", "begun", "pause"]);
        let output = command.output().each_line(1, told.teller());
        match collected(output.timeout(Duration::from_millis(300))).await {
            Err(CollectError::TimedOut(output)) => assert_eq!(output.why, Why::TimedOut),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_cancel_terminates_the_group_and_gives_what_came() {
    run(async {
        let (tell, told) = futures::channel::oneshot::channel::<i32>();
        let mut tell = Some(tell);
        let member = told.shared();
        let cancel = member.clone().map(|_| ());
        let begun = move |line: Line| {
            let text = line.to_string_lossy().into_owned();
            let member = text.trim_start_matches("held ").parse().unwrap();
            tell.take().unwrap().send(member).unwrap();
        };
        let command = helper(["hold", "pause"]).output().own_group();
        let output = command.each_line(1, begun).cancelled_by(cancel);
        match collected(output).await {
            Err(CollectError::Cancelled(output)) => {
                assert_eq!(output.why, Why::Cancelled);
                assert_eq!(output.status.signal(), Some(Signal::TERM));
                assert!(output.stdout.starts_with(b"held "));
            }
            other => panic!("{other:?}"),
        }
        let member = member.await.unwrap();
        let seen = || format!("{member} {:?}", state_and_parent(member));
        eventually("a death", || is_gone(member).then_some(()), seen).await;
    });
}

#[test]
fn a_cancel_of_an_exec_that_hangs_gives_up_the_spawn() {
    isolated(|| {
        run(async {
            let mut lease = HangingExec::new();
            let (tell, told) = futures::channel::oneshot::channel::<()>();
            let cancel = told.map(|_| ());
            let run = lease.helper(["exit"]).output().cancelled_by(cancel);
            let mut run = run.into_future();
            assert!((&mut run).now_or_never().is_none());
            lease.until_children(1).await;
            drop(tell);
            match in_time(run).await {
                Err(CollectError::Cancelled(output)) => assert_eq!(output.why, Why::Cancelled),
                other => panic!("{other:?}"),
            }
            lease.release();
        });
    });
}

#[test]
fn a_cancel_that_comes_too_late_changes_nothing() {
    run(async {
        let (tell, told) = futures::channel::oneshot::channel::<()>();
        let run = helper(["say", "done"])
            .output()
            .cancelled_by(told.map(|_| ()));
        let output = collected(run).await.unwrap();
        assert_eq!(
            (&output.stdout[..], output.why),
            (&b"done\n"[..], Why::Exited)
        );
        drop(tell);
    });
}
