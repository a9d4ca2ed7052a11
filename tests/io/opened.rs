//! A child that is opened: its sink and streams without a protocol, and whose drop kills what.

use crate::common;

use actix_process::{
    Command, Fd, FdStream, Ladder, Opened, PtySize, Signal, SpawnStep, StoppedBy, WriteError,
};
use common::census::{is_gone, state_and_parent};
use common::helper::{helper, pattern};
use common::streams::{bytes, next};
use common::{DEADLINE, eventually, in_time, on_tokio, run};
use futures::{FutureExt, SinkExt};

async fn gone(pid: i32) {
    let seen = || format!("{pid} {:?}", state_and_parent(pid));
    eventually("a death", || is_gone(pid).then_some(()), seen).await;
}

/// The pid that the child says, or says that it left behind.
async fn said_pid(stdout: &mut FdStream) -> i32 {
    let line = stdout.find("\n", DEADLINE).await.unwrap();
    let text = String::from_utf8_lossy(&line);
    text.trim_start_matches("held ").parse().unwrap()
}

/// A child with a member of its group, whose pid this gives.
async fn with_a_member() -> (Opened, i32) {
    let mut child = helper(["hold", "cat"]).open().await.unwrap();
    let member = said_pid(&mut child.stdout).await;
    (child, member)
}

async fn assert_echoes(child: &mut Opened) {
    child.stdin.send("ping\n".into()).await.unwrap();
    let echoed = child.stdout.find("\n", DEADLINE).await.unwrap();
    assert_eq!(echoed, "ping");
}

#[test]
fn what_is_written_and_said_passes_and_the_drop_of_stdin_is_its_end() {
    run(async {
        let actions = ["tell", "2", "careful", "cat", "exit", "3"];
        let mut child = helper(actions).open().await.unwrap();
        assert_echoes(&mut child).await;
        assert_eq!(next(&mut child.stderr).await.unwrap(), "careful\n");
        let Opened {
            process,
            stdin,
            stdout,
            stderr,
            ..
        } = child;
        drop(stdin);
        assert_eq!(bytes(stdout).await, b"");
        assert_eq!(bytes(stderr).await, b"");
        assert_eq!(in_time(process.ended()).await.code(), Some(3));
    });
}

#[test]
fn dropping_all_of_it_kills_the_child_and_its_group() {
    run(async {
        let (child, member) = with_a_member().await;
        let process = child.process.clone();
        drop(child);
        assert_eq!(in_time(process.ended()).await.signal(), Some(Signal::KILL));
        gone(member).await;
    });
}

/// The child's actors live on another thread, which would close its input at once.
#[test]
fn the_drop_that_kills_is_never_the_end_of_its_input_for_the_child() {
    on_tokio(1, async {
        for round in 0..60 {
            let mut child = helper(["say", "ready", "drain", "0"]).open().await.unwrap();
            let process = child.process.clone();
            assert_eq!(next(&mut child.stdout).await.unwrap(), "ready\n");
            if round % 2 == 0 {
                drop(child);
            } else {
                drop(child.io());
            }
            let status = in_time(process.exited()).await;
            assert_eq!(status.signal(), Some(Signal::KILL), "in round {round}");
        }
    });
}

#[test]
fn each_part_that_was_taken_out_keeps_the_child_until_it_drops() {
    run(async {
        for last in 0..3 {
            let (child, member) = with_a_member().await;
            let process = child.process.clone();
            let Opened {
                mut stdin,
                mut stdout,
                stderr,
                ..
            } = child;
            // It answers: it is not merely slow to die.
            stdin.send("one\n".into()).await.unwrap();
            assert_eq!(stdout.find("\n", DEADLINE).await.unwrap(), "one");
            let mut parts: Vec<Box<dyn Send>> = match last {
                // Within an adapter.
                0 => vec![
                    Box::new(stderr),
                    Box::new(stdin),
                    Box::new(stdout.lines(80)),
                ],
                1 => vec![Box::new(stdin), Box::new(stdout), Box::new(stderr)],
                _ => vec![Box::new(stdout), Box::new(stderr), Box::new(stdin)],
            };
            let kept = parts.pop();
            drop(parts);
            assert!(!is_gone(member), "{last}: killed while a part is left");
            drop(kept);
            in_time(process.ended()).await;
            gone(member).await;
        }
    });
}

#[test]
fn a_detached_child_lives_on() {
    run(async {
        let mut child = helper(["hold", "pause"]).open().await.unwrap().detach();
        let member = said_pid(&mut child.stdout).await;
        let process = child.process.clone();
        drop(child);
        assert!(!is_gone(member) && process.try_status().is_none());
        process.signal_group(Signal::INT).unwrap();
        // Not of a SIGKILL that came before.
        assert_eq!(in_time(process.ended()).await.signal(), Some(Signal::INT));
    });
}

#[test]
fn what_the_command_maps_otherwise_is_absent() {
    run(async {
        let command = helper(["say", "out", "tell", "2", "log"]);
        let log = tempfile::NamedTempFile::new().unwrap();
        let command = command.stdin(Fd::null()).stderr(log.reopen().unwrap());
        let mut child = command.open().await.unwrap();
        assert_eq!(next(&mut child.stdout).await.unwrap(), "out\n");
        assert_eq!(next(&mut child.stderr).await, None);
        let refused = child.stdin.send("x".into()).await;
        assert_eq!(refused, Err(WriteError::NotWritable { fd: 0 }));
        assert!(child.stdin.present().is_none() && child.stderr.present().is_none());
        assert!(child.stdout.present().is_some());
        in_time(child.process.ended()).await;
        assert_eq!(std::fs::read(log.path()).unwrap(), b"log\n");
    });
}

#[test]
fn an_absent_part_that_drops_closes_nothing() {
    run(async {
        let command = helper(["drain", "0", "tell", "2", "late", "say", "done"]);
        let command = command.stderr(Fd::same_as(1));
        let mut child = command.open().await.unwrap();
        drop(child.stderr);
        child.stdin.close().await.unwrap();
        assert_eq!(bytes(child.stdout).await, b"late\ndone\n");
    });
}

#[test]
fn lines_for_callbacks_are_a_stream_of_bytes_here() {
    run(async {
        let command = helper(["say", "one", "say", "two"]).stdout(Fd::lines(80));
        let child = command.open().await.unwrap();
        assert_eq!(bytes(child.stdout).await, b"one\ntwo\n");
    });
}

#[test]
fn a_terminal_has_one_reader_one_writer_and_a_size() {
    run(async {
        let command = helper(["size", "0", "cat"]).pty(PtySize::new(24, 80));
        let mut child = command.open().await.unwrap();
        assert_eq!(
            child.stdout.find("\r\n", DEADLINE).await.unwrap(),
            "24 80 0 0"
        );
        child.resize(PtySize::new(30, 100)).unwrap();
        child.stdin.send("word\n".into()).await.unwrap();
        // The echo of the terminal, and that of the child.
        for _ in 0..2 {
            assert_eq!(child.stdout.find("\r\n", DEADLINE).await.unwrap(), "word");
        }
        assert!(child.stderr.present().is_none());
        child.stdin.send("\x04".into()).await.unwrap();
        assert!(in_time(child.process.exited()).await.success());
    });
}

#[test]
fn a_wait_reads_and_throws_away_what_it_is_not_given_time_for() {
    run(async {
        let actions = [
            "drain", "0", "spam", "3000000", "flood", "2", "3000000", "exit", "4",
        ];
        let child = helper(actions).open().await.unwrap();
        assert_eq!(in_time(child.wait()).await.code(), Some(4));
    });
}

#[test]
fn a_stop_takes_the_steps_of_its_ladder_while_the_child_writes() {
    run(async {
        let child = helper(["drain", "0", "spam", "3000000"])
            .open()
            .await
            .unwrap();
        let stopped = in_time(child.stop(Ladder::eof(DEADLINE).kill())).await;
        let stopped = stopped.unwrap();
        assert_eq!(
            (stopped.by, stopped.status.code()),
            (StoppedBy::Eof, Some(0))
        );
    });
}

#[test]
fn a_wait_that_drops_kills_the_child() {
    run(async {
        let (child, member) = with_a_member().await;
        let process = child.process.clone();
        assert!(child.wait().now_or_never().is_none());
        assert_eq!(in_time(process.ended()).await.signal(), Some(Signal::KILL));
        gone(member).await;
    });
}

#[test]
fn a_child_in_the_foreground_has_this_programs_group() {
    run(async {
        for (foreground, same) in [(false, false), (true, true)] {
            let open = helper(["pause"]).open();
            let open = if foreground { open.foreground() } else { open };
            let child = open.await.unwrap();
            let pid = nix::unistd::Pid::from_raw(child.process.pid().unwrap());
            let group = nix::unistd::getpgid(Some(pid)).unwrap();
            assert_eq!(group == nix::unistd::getpgrp(), same, "{foreground}");
        }
    });
}

#[test]
fn a_program_that_cannot_be_started_is_an_error_of_the_open() {
    run(async {
        let error = Command::new("/no/such/program").open().await.unwrap_err();
        assert_eq!(error.step(), SpawnStep::Exec);
    });
}

#[test]
fn a_child_is_opened_with_no_arbiter_and_with_no_runtime() {
    on_tokio(2, async {
        assert_echoes(&mut helper(["cat"]).open().await.unwrap()).await;
    });
    std::thread::spawn(|| {
        futures::executor::block_on(async {
            assert_echoes(&mut helper(["cat"]).open().await.unwrap()).await;
        });
    })
    .join()
    .unwrap();
}

#[test]
fn a_drop_on_a_thread_without_a_runtime_kills_too() {
    run(async {
        let (child, member) = with_a_member().await;
        std::thread::spawn(move || drop(child)).join().unwrap();
        gone(member).await;
    });
}

#[test]
fn what_is_read_in_part_goes_on_as_a_stream() {
    run(async {
        use tokio::io::AsyncReadExt;
        let mut child = helper(["spam", "300000"]).open().await.unwrap();
        let mut first = vec![0; 100_001];
        in_time(child.stdout.read_exact(&mut first)).await.unwrap();
        let rest = bytes(child.stdout).await;
        assert!([first, rest].concat() == pattern(300_000));
    });
}

#[test]
fn the_streams_give_no_byte_of_the_child_to_debug() {
    run(async {
        use tokio::io::AsyncBufReadExt;
        let mut child = helper(["say", "secret", "pause"]).open().await.unwrap();
        assert_eq!(in_time(child.stdout.fill_buf()).await.unwrap(), b"secret\n");
        assert!(!format!("{child:?}").contains("secret"));
        assert_eq!(next(&mut child.stdout).await.unwrap(), "secret\n");
    });
}
