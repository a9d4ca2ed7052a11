//! What becomes of streams at the end: of the child, its protocol, its arbiter, or their own.

use crate::common;

use std::time::Duration;

use actix::prelude::*;
use actix_process::{
    CloseReason, Command, Fd, FdStream, NoProtocol, OnOrphaned, ProcessHandle, Signal, SpawnStep,
};
use common::helper::{counted, helper, pattern};
use common::isolated::isolated;
use common::streams::{bytes, next, spawn, streaming};
use common::trace::{Die, Trace, data_of};
use common::{eventually, run, start_all_threads};

#[test]
fn a_stream_ends_when_the_protocol_dies() {
    run(async {
        for policy in [OnOrphaned::Kill, OnOrphaned::Leave] {
            let command = streaming(&["say", "one", "pause"]).on_orphaned(policy);
            let (_trace, protocol, process) = spawn(command).await;
            let mut stream = process.take_stream(1).unwrap();
            assert_eq!(next(&mut stream).await.unwrap(), "one\n");
            protocol.do_send(Die::Stop);
            assert_eq!(next(&mut stream).await, None);
            if policy == OnOrphaned::Leave {
                assert!(process.kill());
            }
            let status = process.ended().await;
            assert_eq!(status.signal(), Some(Signal::KILL));
        }
    });
}

#[test]
fn a_stream_ends_when_the_arbiter_that_reads_it_stops() {
    run(async {
        let arbiter = Arbiter::new();
        let (tell, told) = tokio::sync::oneshot::channel();
        arbiter.spawn(async move {
            let command = streaming(&["say", "one", "pause"]);
            let _ = tell.send(command.spawn(NoProtocol).await.unwrap());
        });
        let process = told.await.unwrap();
        let mut stream = process.take_stream(1).unwrap();
        assert_eq!(next(&mut stream).await.unwrap(), "one\n");
        arbiter.stop();
        assert_eq!(next(&mut stream).await, None);
        let status = process.ended().await;
        assert_eq!(status.signal(), Some(Signal::KILL));
    });
}

#[test]
fn output_collects_what_would_be_streams() {
    run(async {
        let actions = ["say", "one", "tell", "2", "two", "flood", "7", "300000"];
        let command = helper(actions).stdout(Fd::stream()).stderr(Fd::stream());
        let command = command.fd(7, Fd::stream().window(5000));
        let output = command.output().await.unwrap();
        assert_eq!(
            (output.stdout, output.stderr),
            ("one\n".into(), "two\n".into())
        );
        assert!(output.status.success());
        let merged = command.output().merge_stderr().await.unwrap();
        assert_eq!(merged.stdout.len(), 8);
        assert!(command.status().await.unwrap().success());
    });
}

#[test]
fn output_refuses_a_stream_that_is_named_twice_as_any_spawn_does() {
    run(async {
        let twice = [(1, Fd::stream()), (1, Fd::stream())];
        let command = helper(["say", "one"]).fds(twice.into());
        let error = command.spawn(NoProtocol).await.unwrap_err();
        assert_eq!(
            (error.step(), error.subject()),
            (SpawnStep::Invalid, "fd 1")
        );
        let error = command.output().await.unwrap_err().to_string();
        assert!(error.contains("named twice"), "{error}");
    });
}

const TIMEOUT: Duration = Duration::from_millis(50);

#[test]
fn an_ended_timeout_cuts_an_idle_descendant_of_a_stream_that_nobody_took() {
    run(async {
        let actions = ["leave", "1", "pause", "say", "last", "take", "0", "1"];
        let (trace, _, process) = spawn(streaming(&actions).ended_timeout(TIMEOUT)).await;
        // What it said waits longer than a short turn before the clock begins.
        actix_rt::time::sleep(Duration::from_millis(20)).await;
        process.write("x").unwrap();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert_eq!(history.closes()[&1], CloseReason::Cut);
        let taken = bytes(process.take_stream(1).unwrap()).await;
        let taken = String::from_utf8(taken).unwrap();
        assert!(taken.ends_with("last\n"), "{taken}");
        kill_descendant(taken.as_bytes());
    });
}

/// How a child with a stream that nobody takes comes to its end.
#[derive(Debug, Clone, Copy)]
enum Cutter {
    Call,
    Timeout,
}

#[test]
fn the_end_waits_for_nobody_to_take_a_stream_once_it_was_cut() {
    run(async {
        for cutter in [Cutter::Call, Cutter::Timeout] {
            for taken in [false, true] {
                let command = streaming(&["count", "50000000"]);
                let command = match cutter {
                    Cutter::Call => command,
                    Cutter::Timeout => command.ended_timeout(TIMEOUT),
                };
                let (trace, _, process) = spawn(command).await;
                let held = taken.then(|| process.take_stream(1).unwrap());
                held_up(&trace, &process).await;
                assert!(process.kill());
                trace.exited(&process).await;
                if let Cutter::Call = cutter {
                    process.cut_connection();
                }
                let history = trace.ended(&process).await;
                history.assert_rules(&[0, 1, 2]);
                assert_eq!(history.closes()[&1], CloseReason::Cut, "{cutter:?}");
                // All that it wrote can still be taken: a piece more than it said, at most.
                let written = progress(&trace, &process);
                let stream = held.unwrap_or_else(|| process.take_stream(1).unwrap());
                let all = bytes(stream).await;
                assert!(all.len() >= written, "{} of {written} bytes", all.len());
                assert!(all.len() <= written + 8192, "{} of {written}", all.len());
                assert!(all == counted(0, all.len().next_multiple_of(8))[..all.len()]);
            }
        }
    });
}

/// How much a child that counts says that it wrote.
fn progress(trace: &Trace, process: &ProcessHandle) -> usize {
    let said = String::from_utf8(data_of(&trace.of(process), 2)).unwrap();
    let whole = said.rfind('\n').map_or("", |end| &said[..end]);
    let last = whole.lines().next_back();
    last.map_or(0, |number| number.parse().unwrap())
}

/// Waits until it has said no more for a while: the window is full, of bytes or pieces, and the pipe.
async fn held_up(trace: &Trace, process: &ProcessHandle) {
    let (mut last, mut looks) = (0, 0);
    eventually(
        "the child to be held up",
        || {
            let before = std::mem::replace(&mut last, progress(trace, process));
            looks = if before == last { looks + 1 } else { 0 };
            (last > 0 && looks > 20).then_some(())
        },
        || format!("{} bytes", progress(trace, process)),
    )
    .await;
}

/// Kills the grandchild that a line "held PID" in `said` names.
fn kill_descendant(said: &[u8]) {
    let text = String::from_utf8_lossy(said);
    let pid = text.lines().find_map(|line| line.strip_prefix("held "));
    let pid = nix::unistd::Pid::from_raw(pid.unwrap().parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[test]
fn streams_leave_nothing_whatever_becomes_of_them() {
    isolated(|| {
        run(async {
            let before = start_all_threads().await;
            let mut kept = Vec::new();
            for _ in 0..10 {
                kept.push(lead_every_life().await);
            }
            before.assert_restored_but_spawners().await;
            for stream in kept {
                assert_eq!(bytes(stream).await, pattern(100_000));
            }
            before.assert_restored_but_spawners().await;
        });
    });
}

/// Taken and read; never taken; dropped too soon; never begun. Gives one that is kept unread.
async fn lead_every_life() -> FdStream {
    let command = streaming(&["spam", "100000"]);
    let (trace, _, process) = spawn(command.clone()).await;
    assert_eq!(
        bytes(process.take_stream(1).unwrap()).await,
        pattern(100_000)
    );
    trace.ended(&process).await;

    let (trace, _, process) = spawn(command.clone()).await;
    trace.ended(&process).await;

    let (trace, _, process) = spawn(streaming(&["drip"])).await;
    drop(process.take_stream(1).unwrap());
    trace.ended(&process).await;

    let failed = Command::new("/no/such/program").stdout(Fd::stream());
    failed.spawn(NoProtocol).await.unwrap_err();

    let (trace, _, process) = spawn(command).await;
    trace.ended(&process).await;
    process.take_stream(1).unwrap()
}

#[test]
fn a_stream_keeps_neither_its_child_nor_its_protocol() {
    run(async {
        let (trace, protocol) = Trace::start();
        let process = streaming(&["say", "one"]).spawn(&protocol).await.unwrap();
        let mut stream = process.take_stream(1).unwrap();
        trace.ended(&process).await;
        let weak = protocol.downgrade();
        drop((protocol, process));
        eventually(
            "the protocol to be let go",
            || weak.upgrade().is_none_or(|a| !a.connected()).then_some(()),
            || "it lives".to_owned(),
        )
        .await;
        assert_eq!(next(&mut stream).await.unwrap(), "one\n");
        assert_eq!(next(&mut stream).await, None);
    });
}
