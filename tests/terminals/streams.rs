//! A terminal whose output is a stream and whose input is a sink: data, back-pressure, and every end,
//! as of pipes.

use crate::common;

use std::time::Duration;

use actix::Addr;
use actix_process::{
    CloseReason, Command, Fd, NoProtocol, ProcessEvent, ProcessHandle, Pty, PtySize, Signal,
    StreamError, WriteError,
};
use common::census::Census;
use common::helper::{helper, pattern};
use common::isolated::isolated;
use common::streams::{at_hand, bytes, next, until};
use common::trace::{Die, Trace, Tracer};
use common::tty::pair;
use common::{run, soon, start_all_threads};
use futures::SinkExt;

const SIZE: PtySize = PtySize::new(24, 80);
const LARGE: usize = 2_000_000;

/// Long enough that something which should be held up would have come through, mostly.
const A_WHILE: Duration = Duration::from_millis(100);
const SOON: Duration = Duration::from_millis(50);

/// A terminal whose output is a stream.
fn lines() -> Pty {
    Pty::new(SIZE).echo(false).stream()
}

/// The same, which passes bytes as they are.
fn raw() -> Pty {
    Pty::new(SIZE).raw(true).stream()
}

async fn spawn(command: Command) -> (Trace, Addr<Tracer>, ProcessHandle) {
    let (trace, protocol) = Trace::start();
    let process = command.spawn(&protocol).await.unwrap();
    (trace, protocol, process)
}

fn has_data(events: &[ProcessEvent]) -> bool {
    let data = |event: &ProcessEvent| matches!(event, ProcessEvent::ChildDataReceived { .. });
    events.iter().any(data)
}

#[test]
fn what_is_typed_goes_by_a_sink_and_what_is_shown_comes_by_a_stream() {
    run(async {
        let (trace, _, process) = spawn(helper(["cat"]).pty(lines())).await;
        let mut keys = process.stdin().unwrap();
        let mut shown = process.stdout().unwrap().lines(1000);
        for round in 0..100 {
            let line = format!("line {round}");
            keys.send(format!("{line}\n").into()).await.unwrap();
            assert_eq!(next(&mut shown).await.unwrap().unwrap(), line);
        }
        // A terminal's sink closes nothing: the end is typed.
        soon("the flush", keys.close()).await.unwrap();
        keys.send("\x04".into()).await.unwrap();
        assert!(next(&mut shown).await.is_none());
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1]);
        assert!(!has_data(&history.events));
        assert_eq!(history.closes()[&0], CloseReason::ByChild);
        assert_eq!(history.closes()[&1], CloseReason::ByChild);
        assert_eq!(history.status().code(), Some(0));
    });
}

#[test]
fn every_byte_is_in_the_stream_before_its_end() {
    run(async {
        for size in [0, 1, 4095, 4096, 300_000, LARGE] {
            let child = helper(["spam", &size.to_string()]).pty(raw());
            let (trace, _, process) = spawn(child).await;
            let taken = bytes(process.stdout().unwrap()).await;
            assert!(taken == pattern(size), "{} of {size} bytes", taken.len());
            let history = trace.ended(&process).await;
            history.assert_rules(&[0, 1]);
            assert_eq!(history.closes()[&1], CloseReason::ByChild);
        }
    });
}

#[test]
fn a_stream_that_is_not_taken_holds_the_child_up_and_loses_nothing() {
    run(async {
        let size = LARGE.to_string();
        let child = helper(["spam", &size, "tell", "4", "written"]).pty(raw().window(10_000));
        let (trace, _, process) = spawn(child.fd(4, Fd::read())).await;
        actix_rt::time::sleep(A_WHILE).await;
        assert!(!has_data(&trace.of(&process)), "it was not held up");
        assert_eq!(process.try_status(), None);
        let mut stream = process.stdout().unwrap();
        let first = next(&mut stream).await.unwrap();
        let taken = [first.to_vec(), bytes(stream).await].concat();
        assert!(taken == pattern(LARGE));
        let history = trace.ended(&process).await;
        assert_eq!(history.text(4), "written\n");
        history.assert_rules(&[0, 1, 4]);
    });
}

#[test]
fn what_is_at_hand_is_the_window_of_the_terminal() {
    run(async {
        // Its own, then the command's.
        let child = || helper(["spam", "100000"]);
        let own = child().pty(raw().window(10_000)).window(50_000);
        let commands = child().pty(raw()).window(20_000);
        let least = child().pty(raw().window(0));
        for (command, most) in [(own, 10_000), (commands, 20_000), (least, 4096)] {
            let process = command.spawn(NoProtocol).await.unwrap();
            let mut stream = process.stdout().unwrap();
            let (mut taken, mut largest) = (Vec::new(), 0);
            while let Some(data) = next(&mut stream).await {
                // Without a turn for the reader between them.
                let waiting = [vec![data], at_hand(&mut stream)].concat().concat();
                assert!(waiting.len() <= most, "{} of {most} bytes", waiting.len());
                largest = largest.max(waiting.len());
                taken.extend(waiting);
                actix_rt::time::sleep(Duration::from_millis(1)).await;
            }
            assert!(taken == pattern(100_000), "window {most}");
            assert!(
                largest > most / 2,
                "{largest} of {most} bytes were ever there"
            );
        }
    });
}

#[test]
fn a_sink_waits_while_the_child_does_not_read() {
    run(async {
        let child = helper(["take", "3", "1", "copy", "0", "1"]).pty(raw());
        let (trace, _, process) = spawn(child.fd(3, Fd::write())).await;
        let mut keys = process.stdin().unwrap();
        let pieces: Vec<Vec<u8>> = pattern(LARGE).chunks(50_000).map(<[u8]>::to_vec).collect();
        let mut pieces = pieces.into_iter();
        let mut typed = 0;
        for piece in pieces.by_ref() {
            typed += piece.len();
            let sent = actix_rt::time::timeout(A_WHILE, keys.send(piece.into())).await;
            if sent.is_err() {
                break;
            }
        }
        assert!(typed < LARGE, "it took everything");
        process.write_to_child(3, "x").unwrap();
        let rest = actix_rt::spawn(async move {
            for piece in pieces {
                soon("room", keys.send(piece.into())).await.unwrap();
            }
        });
        let mut stream = process.stdout().unwrap();
        let mut taken = Vec::new();
        while taken.len() < LARGE {
            taken.extend(next(&mut stream).await.unwrap());
        }
        assert!(taken == pattern(LARGE));
        rest.await.unwrap();
        process.lose_connection();
        assert_eq!(next(&mut stream).await, None);
        trace.ended(&process).await.assert_rules(&[0, 1, 3]);
    });
}

#[test]
fn a_dropped_stream_is_read_and_thrown_away_and_hangs_nobody_up() {
    run(async {
        for paused in [false, true] {
            let size = LARGE.to_string();
            let actions = ["say", "ready", "spam", &size, "tell", "4", "written"];
            let actions = [&actions[..], &["take", "0", "3", "exit", "7"]].concat();
            let child = helper(actions).pty(raw()).fd(4, Fd::read());
            let (trace, _, process) = spawn(child).await;
            let mut stream = process.stdout().unwrap();
            until(&mut stream, "ready").await;
            if paused {
                process.pause_child_fd(1);
            }
            drop(stream);
            trace.output(&process, 4, "written").await;
            // It is typed to as before.
            process.write("abc").unwrap();
            let history = trace.ended(&process).await;
            history.assert_rules(&[0, 1, 4]);
            assert_eq!(history.status().code(), Some(7), "{:?}", history.status());
            assert_eq!(process.stdout().unwrap_err(), StreamError::Taken { fd: 1 });
        }
    });
}

#[test]
fn the_end_waits_for_a_stream_that_is_kept_until_it_is_taken() {
    run(async {
        let child = helper(["spam", "100000"]).pty(raw().window(5000));
        let (trace, _, process) = spawn(child).await;
        let stream = process.stdout().unwrap();
        let ended = process.ended();
        let waited = actix_rt::time::timeout(A_WHILE, ended).await;
        assert!(waited.is_err(), "its end came before the stream's");
        assert!(bytes(stream).await == pattern(100_000));
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1]);
    });
}

#[test]
fn a_cut_puts_what_the_terminal_holds_into_the_stream_and_waits_for_nobody() {
    run(async {
        for taken in [false, true] {
            let child = helper(["spam", "6000", "tell", "4", "written", "pause"]);
            let child = child.pty(raw().window(4096)).fd(4, Fd::read());
            let (trace, _, process) = spawn(child).await;
            let held = taken.then(|| process.stdout().unwrap());
            trace.output(&process, 4, "written").await;
            assert!(process.kill());
            trace.exited(&process).await;
            process.cut_connection();
            let history = trace.ended(&process).await;
            history.assert_rules(&[0, 1, 4]);
            let stream = held.unwrap_or_else(|| process.stdout().unwrap());
            assert!(bytes(stream).await == pattern(6000), "taken: {taken}");
        }
    });
}

#[test]
fn an_ended_timeout_cuts_a_descendant_that_holds_the_terminal() {
    run(async {
        for chatters in [false, true] {
            let descendant = if chatters { "chatter" } else { "pause" };
            let actions = ["ignore", "1", "leave", "1", descendant, "say", "last words"];
            let child = helper(actions).pty(lines()).ended_timeout(SOON);
            let (trace, _, process) = spawn(child).await;
            let history = trace.ended(&process).await;
            history.assert_rules(&[0, 1]);
            assert_eq!(history.closes()[&1], CloseReason::Cut);
            let said = bytes(process.stdout().unwrap()).await;
            let said = String::from_utf8(said).unwrap();
            assert!(said.contains("last words\r\n"), "{said}");
            let (_, pid) = said.split_once("held ").unwrap();
            let pid = pid.lines().next().unwrap().parse().unwrap();
            let pid = nix::unistd::Pid::from_raw(pid);
            // One that chatters may have got its error already.
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL);
        }
    });
}

#[test]
fn a_hang_up_by_either_side_ends_the_stream() {
    run(async {
        let waits = || helper(["say", "ready", "pause"]).pty(lines());
        for aborted in [None, Some(0), Some(1)] {
            let (trace, _, process) = spawn(waits()).await;
            let mut stream = process.stdout().unwrap();
            until(&mut stream, "ready").await;
            let reason = match aborted {
                Some(half) => {
                    process.abort(half);
                    CloseReason::Aborted
                }
                None => {
                    process.lose_connection();
                    CloseReason::ByParent
                }
            };
            assert_eq!(next(&mut stream).await, None);
            let history = trace.ended(&process).await;
            history.assert_rules(&[0, 1]);
            assert_eq!(history.closes()[&1], reason);
            assert_eq!(history.status().signal(), Some(Signal::HUP));
        }
        // The child's own end of it; the child lives on.
        let actions = ["say", "last", "close", "0", "close", "1", "close", "2"];
        let actions = [&actions[..], &["drain", "3", "exit", "5"]].concat();
        let child = helper(actions).pty(lines()).fd(3, Fd::write());
        let (trace, _, process) = spawn(child).await;
        assert_eq!(bytes(process.stdout().unwrap()).await, b"last\r\n");
        assert_eq!(process.try_status(), None);
        assert_eq!(trace.lost(&process, 0).await, CloseReason::ByChild);
        let mut keys = process.stdin().unwrap();
        let closed = Err(WriteError::Closed { fd: 0 });
        assert_eq!(keys.send("late".into()).await, closed);
        process.close_child_fd(3);
        assert_eq!(trace.ended(&process).await.status().code(), Some(5));
    });
}

#[test]
fn a_stream_ends_when_the_protocol_dies_and_the_terminal_is_hung_up() {
    run(async {
        let child = helper(["say", "ready", "pause"]).pty(lines());
        let (_trace, protocol, process) = spawn(child).await;
        let mut stream = process.stdout().unwrap();
        until(&mut stream, "ready").await;
        protocol.do_send(Die::Stop);
        assert_eq!(next(&mut stream).await, None);
        let status = soon("its end", process.ended()).await;
        assert!(!status.success(), "{status}");
    });
}

#[test]
fn a_terminal_has_a_stream_only_if_it_is_one_and_only_at_one() {
    run(async {
        let child = helper(["drain", "3"]).fd(3, Fd::write());
        let process = child.clone().pty(SIZE).spawn(NoProtocol).await.unwrap();
        assert_eq!(
            process.stdout().unwrap_err(),
            StreamError::NotStream { fd: 1 }
        );
        process.close_child_fd(3);
        let process = child.pty(lines()).spawn(NoProtocol).await.unwrap();
        for fd in [0, 2] {
            let refused = process.take_stream(fd).unwrap_err();
            assert_eq!(refused, StreamError::NotStream { fd });
        }
        for fd in [1, 2] {
            let refused = process.sink(fd).unwrap_err();
            assert_eq!(refused, WriteError::NotWritable { fd });
        }
        assert!(process.stdout().is_ok());
        process.close_child_fd(3);
        soon("its end", process.ended()).await;
    });
}

#[test]
fn a_given_terminal_and_a_pipe_beside_one_are_streams_too() {
    run(async {
        let (master, slave) = pair();
        let child = helper(["say", "one", "tell", "2", "two"]);
        let child = child.pty(Pty::from_ends(master, slave).stream());
        let (trace, _, process) = spawn(child.stderr(Fd::stream())).await;
        assert_eq!(bytes(process.stderr().unwrap()).await, b"two\n");
        assert_eq!(bytes(process.stdout().unwrap()).await, b"one\r\n");
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
    });
}

#[test]
fn output_collects_what_would_be_a_terminals_stream() {
    run(async {
        let command = helper(["say", "one", "tell", "2", "two"]).pty(lines());
        let output = command.output().await.unwrap();
        assert_eq!(output.stdout, b"one\r\ntwo\r\n");
        assert!(command.status().await.unwrap().success());
        // The command is as it was.
        let process = command.spawn(NoProtocol).await.unwrap();
        assert_eq!(bytes(process.stdout().unwrap()).await.len(), 10);
    });
}

#[test]
fn terminal_streams_leave_nothing_whatever_becomes_of_them() {
    isolated(|| {
        run(async {
            start_all_threads().await;
            let before = Census::quiet().await;
            for round in 0..40 {
                let child = helper(["say", "ready", "spam", "30000", "take", "0", "1"]);
                let process = child.pty(raw()).spawn(NoProtocol).await.unwrap();
                let mut keys = process.stdin().unwrap();
                let mut stream = process.stdout().unwrap();
                match round % 5 {
                    0 => drop(stream),
                    1 => process.lose_connection(),
                    2 => assert!(process.kill()),
                    3 => process.cut_connection(),
                    _ => drop(until(&mut stream, "ready").await),
                }
                // Refused where it is closed.
                let _ = keys.send("x".into()).await;
                soon("its end", process.ended()).await;
            }
            before.assert_restored_but_spawners().await;
        });
    });
}
