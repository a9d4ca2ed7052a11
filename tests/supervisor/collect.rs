//! `output`, `status` and `read`: a child run to its end.

use crate::common;

use std::fs::File;
use std::future::IntoFuture;
use std::io::Read;
use std::os::fd::OwnedFd;

use actix::prelude::*;
use actix_process::{CollectError, Command, Fd, OnLeftovers, Output, PtySize, Signal, SpawnStep};
use common::helper::{helper, pattern};
use common::run;
use futures::future::join_all;

#[test]
fn output_has_both_streams_and_the_status() {
    run(async {
        let child = helper(["say", "out", "tell", "2", "err", "say", "more", "exit", "3"]);
        let output = child.output().await.unwrap();
        assert_eq!(output.stdout, b"out\nmore\n");
        assert_eq!(output.stderr, b"err\n");
        assert_eq!(output.status.code(), Some(3));
        assert!(!output.truncated);
    });
}

#[test]
fn output_of_a_child_that_a_signal_kills_has_what_it_said() {
    run(async {
        let output = helper(["say", "last words", "raise", "9"]).output().await;
        let output = output.unwrap();
        assert_eq!(output.stdout, b"last words\n");
        assert_eq!(output.status.signal(), Some(Signal::KILL));
    });
}

#[test]
fn status_is_the_exit_code_or_the_signal() {
    run(async {
        let status = helper(["exit", "7"]).status().await.unwrap();
        assert_eq!(status.code(), Some(7));
        let status = helper(["raise", "6"]).status().await.unwrap();
        assert_eq!(status.signal(), Some(Signal::ABRT));
    });
}

#[test]
fn status_sends_what_the_child_says_to_dev_null() {
    run(async {
        let (mut told, tell) = std::io::pipe().unwrap();
        let script = "out=$(readlink /proc/$$/fd/1); err=$(readlink /proc/$$/fd/2); \
                      echo $out $err >&5";
        let child = Command::new("sh").args(["-c", script]);
        let child = child.fd(5, Fd::from(OwnedFd::from(tell)));
        assert!(child.status().await.unwrap().success());
        let mut text = String::new();
        told.read_to_string(&mut text).unwrap();
        assert_eq!(text, "/dev/null /dev/null\n");
    });
}

#[test]
fn status_leaves_descriptors_that_the_command_chose() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let file = OwnedFd::from(File::create(&path).unwrap());
        let child = helper(["say", "kept"]).stdout(Fd::from(file));
        assert!(child.status().await.unwrap().success());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "kept\n");
    });
}

#[test]
fn read_gives_standard_output_and_does_not_judge_the_status() {
    run(async {
        let read = helper(["say", "hello", "exit", "4"]).read().await.unwrap();
        assert_eq!(read.stdout, b"hello\n");
        assert_eq!(read.status.code(), Some(4));
    });
}

#[test]
fn read_refuses_a_byte_on_standard_error() {
    run(async {
        let child = helper(["say", "out", "tell", "2", "oh no", "exit", "1"]);
        let error = child.read().await.unwrap_err();
        assert!(error.to_string().contains("oh no"), "{error}");
        let CollectError::Stderr(output) = error else {
            panic!("{error:?}");
        };
        assert_eq!(output.stdout, b"out\n");
        assert_eq!(output.stderr, b"oh no\n");
        assert_eq!(output.status.code(), Some(1));
    });
}

#[test]
fn read_refuses_a_byte_on_standard_error_of_which_nothing_is_kept() {
    run(async {
        let child = helper(["tell", "2", "oh no"]);
        let error = child.read().output_limit(0).await.unwrap_err();
        let text = error.to_string();
        let CollectError::Stderr(output) = error else {
            panic!("{error:?}");
        };
        assert!(output.truncated && output.stderr.is_empty(), "{output:?}");
        assert_eq!(text, "wrote to its standard error (exit status: 0)");
        // What is too much on standard output is no error.
        let read = helper(["say", "12345"]).read().output_limit(0).await;
        assert!(read.unwrap().truncated);
    });
}

#[test]
fn read_takes_merged_standard_error() {
    run(async {
        let child = helper(["tell", "2", "err", "say", "out"]);
        let read = child.read().merge_stderr().await.unwrap();
        let mut lines: Vec<&str> = std::str::from_utf8(&read.stdout).unwrap().lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["err", "out"]);
        assert!(read.stderr.is_empty());
    });
}

#[test]
fn stdin_is_null_unless_given() {
    run(async {
        // With a pipe that nobody closes it would never end.
        let cat = Command::new("cat");
        for output in [cat.output().await, cat.read().await] {
            let output = output.unwrap();
            assert!(output.status.success());
            assert!(output.stdout.is_empty());
        }
        assert!(cat.status().await.unwrap().success());
        let fds = helper(["fds"]).output().await.unwrap();
        let fds = String::from_utf8(fds.stdout).unwrap();
        assert!(fds.starts_with("0 /dev/null "), "{fds}");
    });
}

#[test]
fn stdin_that_the_command_chose_is_left() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in");
        std::fs::write(&path, "from a file").unwrap();
        let file = OwnedFd::from(File::open(&path).unwrap());
        let output = Command::new("cat").stdin(Fd::from(file)).output().await;
        assert_eq!(output.unwrap().stdout, b"from a file");

        let closed = helper(["fds"]).fds([(1, Fd::read())].into());
        let fds = closed.output().await.unwrap();
        let fds = String::from_utf8(fds.stdout).unwrap();
        assert!(fds.starts_with("1 pipe:"), "{fds}");
    });
}

#[test]
fn input_is_written_and_closed() {
    run(async {
        let sort = Command::new("sort");
        let sorted = sort.output().input("b\nc\na\n").await.unwrap();
        assert_eq!(sorted.stdout, b"a\nb\nc\n");
        let nothing = sort.output().input("").await.unwrap();
        assert!(nothing.stdout.is_empty());
        // Also in place of what the command chose.
        let given = sort.stdin(Fd::null()).read().input("x\n").await.unwrap();
        assert_eq!(given.stdout, b"x\n");
        let status = helper(["take", "0", "3", "exit", "5"]).status();
        assert_eq!(status.input("abc").await.unwrap().code(), Some(5));
    });
}

#[test]
fn input_for_a_child_on_a_terminal_is_refused() {
    run(async {
        let cat = Command::new("cat").pty(PtySize::new(24, 80));
        let result = cat.output().input("x").await;
        let Err(CollectError::Spawn(error)) = result else {
            panic!("{result:?}");
        };
        assert_eq!(
            (error.step(), error.subject()),
            (SpawnStep::Invalid, "fd 0")
        );
    });
}

#[test]
fn five_mebibytes_go_through_cat_and_back() {
    run(async {
        let bytes = pattern(5 * 1024 * 1024);
        let output = Command::new("cat").output().input(bytes.clone()).await;
        let output = output.unwrap();
        assert!(output.status.success());
        // Not assert_eq: it would print them.
        assert!(output.stdout == bytes, "{} bytes", output.stdout.len());
    });
}

#[test]
fn input_that_the_child_ignores_is_no_error() {
    run(async {
        let bytes = pattern(5 * 1024 * 1024);
        let gone = helper(["exit", "6"]).output().input(bytes.clone()).await;
        assert_eq!(gone.unwrap().status.code(), Some(6));

        let some = helper(["take", "0", "10", "close", "0", "say", "enough"]);
        let some = some.output().input(bytes).await.unwrap();
        assert!(some.status.success());
        assert_eq!(some.stdout, b"enough\n");
    });
}

#[test]
fn output_limit_keeps_the_first_bytes_and_lets_the_child_run_on() {
    run(async {
        let child = helper(["spam", "1000000", "tell", "2", "done", "exit", "2"]);
        let output = child.output().output_limit(1000).await.unwrap();
        assert!(output.truncated);
        assert!(output.stdout == pattern(1000));
        assert_eq!(output.stdout_left_out, 999_000);
        // The other stream has a limit of its own.
        assert_eq!(output.stderr, b"done\n");
        assert_eq!(output.status.code(), Some(2));
    });
}

#[test]
fn output_that_fits_its_limit_is_not_truncated() {
    run(async {
        let exact = helper(["say", "1234"]).output().output_limit(5);
        let exact = exact.await.unwrap();
        assert_eq!((&*exact.stdout, exact.truncated), (&b"1234\n"[..], false));
        let over = helper(["say", "1234"]).output().output_limit(4);
        let over = over.await.unwrap();
        assert_eq!((&*over.stdout, over.truncated), (&b"1234"[..], true));
        let silent = helper(["exit", "0"]).output().output_limit(0);
        assert!(!silent.await.unwrap().truncated);
    });
}

#[test]
fn output_limit_holds_for_standard_error_and_for_both_merged() {
    run(async {
        let child = helper(["tell", "2", "123456789", "say", "123456789"]);
        let apart = child.output().output_limit(10).await.unwrap();
        assert_eq!((apart.stdout.len(), apart.stderr.len()), (10, 10));
        assert!(!apart.truncated);
        let merged = child.output().output_limit(10).merge_stderr();
        let merged = merged.await.unwrap();
        assert_eq!((merged.stdout.len(), merged.stderr.len()), (10, 0));
        assert!(merged.truncated);
    });
}

#[test]
fn descendants_of_the_pipes_that_are_left_are_waited_for() {
    run(async {
        // The child exits at once; its descendant lives until the input's end, and speaks last.
        let child = helper(["hold-until", "0", "exit", "1"]).on_leftovers(OnLeftovers::Leave);
        let output = child.output().input("x").await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("descendant done"), "{text}");
        assert_eq!(output.status.code(), Some(1));
    });
}

#[test]
fn a_spawn_error_is_passed_on() {
    run(async {
        let missing = Command::new("/no/such/program");
        let errors = [
            missing.output().await.unwrap_err(),
            missing.status().await.unwrap_err(),
            missing.read().input("x").await.unwrap_err(),
        ];
        for error in errors {
            assert!(error.to_string().contains("/no/such/program"), "{error}");
            let text = error.to_string();
            let CollectError::Spawn(error) = error else {
                panic!("{error:?}");
            };
            assert_eq!(error.to_string(), text);
            assert_eq!(error.step(), SpawnStep::Exec);
        }
        let invalid = Command::new("").output().await;
        let Err(CollectError::Spawn(error)) = invalid else {
            panic!("{invalid:?}");
        };
        assert_eq!(error.step(), SpawnStep::Invalid);
    });
}

#[test]
fn nothing_runs_before_the_await() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let touch = |name: &str| Command::new("touch").arg(dir.path().join(name));
        drop(touch("collect").output());
        drop(touch("collecting").output().into_future());
        assert!(touch("awaited").status().await.unwrap().success());
        assert!(dir.path().join("awaited").exists());
        assert!(!dir.path().join("collect").exists());
        assert!(!dir.path().join("collecting").exists());
    });
}

#[test]
fn one_command_and_one_collect_serve_many_times() {
    run(async {
        let cat = Command::new("cat");
        let plan = cat.output().input("again");
        for _ in 0..3 {
            assert_eq!(plan.clone().await.unwrap().stdout, b"again");
        }
        assert!(cat.output().await.unwrap().stdout.is_empty());
    });
}

#[test]
fn many_at_once_each_get_their_own() {
    run(async {
        let all = (0..100_u8).map(|n| async move {
            let bytes = pattern(1000 * usize::from(n));
            let child = helper(["tell", "2", &n.to_string(), "cat", "exit", &n.to_string()]);
            let output = child.output().input(bytes.clone()).await.unwrap();
            assert!(output.stdout == bytes, "{n}: {} bytes", output.stdout.len());
            assert_eq!(output.stderr, format!("{n}\n").into_bytes());
            assert_eq!(output.status.code(), Some(n.into()));
        });
        assert_eq!(join_all(all).await.len(), 100);
    });
}

/// Collects a command in its context and passes on the result.
struct Asker {
    command: Command,
    answer: Option<tokio::sync::oneshot::Sender<Result<Output, CollectError>>>,
}

impl Actor for Asker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let collecting = self.command.output().into_future().into_actor(self);
        ctx.spawn(collecting.map(|result, asker, ctx| {
            if let Some(answer) = asker.answer.take() {
                let _ = answer.send(result);
            }
            ctx.stop();
        }));
    }
}

#[test]
fn an_actor_collects_in_its_context() {
    run(async {
        let (answer, answered) = tokio::sync::oneshot::channel();
        Asker {
            command: helper(["say", "for an actor"]),
            answer: Some(answer),
        }
        .start();
        let output = answered.await.unwrap().unwrap();
        assert_eq!(output.stdout, b"for an actor\n");
    });
}

#[test]
fn it_runs_on_any_arbiter() {
    run(async {
        let arbiter = Arbiter::new();
        let (answer, answered) = tokio::sync::oneshot::channel();
        let collecting = helper(["say", "elsewhere"]).output().into_future();
        arbiter.spawn(async move {
            let _ = answer.send(collecting.await);
        });
        let output = answered.await.unwrap().unwrap();
        assert_eq!(output.stdout, b"elsewhere\n");
        arbiter.stop();
    });
}
