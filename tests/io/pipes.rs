//! Descriptors of a child: writing, closing from either side, and numbers above 2.

use crate::common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix::prelude::*;
use actix_process::{Bytes, CloseReason, Fd, FdMap, NoProtocol, Signal, WriteError};
use actix_process::{ProcessHandle, ProcessProtocol, process_protocol};
use common::census::{Census, is_gone, open_fds};
use common::drop_probe::DropProbe;
use common::helper::{helper, pattern};
use common::isolated::isolated;
use common::trace::{Trace, spawned};
use common::{eventually, run};

#[test]
fn a_write_after_a_close_from_this_side_says_so() {
    run(async {
        let (trace, protocol) = Trace::start();
        let closed = Err(WriteError::Closed { fd: 0 });
        let process = helper(["drain", "0"]).spawn(&protocol).await.unwrap();
        process.write("before").unwrap();
        process.close_stdin();
        assert_eq!(process.write("after"), closed);
        assert_eq!(process.write_sequence(["after"]), closed);
        let history = trace.ended(&process).await;
        assert_eq!(history.closes()[&0], CloseReason::ByParent);
        assert_eq!(process.write("after the end"), closed);

        let process = helper(["pause"]).spawn(&protocol).await.unwrap();
        process.abort(0);
        assert_eq!(process.write("after"), closed);
        assert!(process.kill());
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
    });
}

#[test]
fn a_write_after_a_close_from_the_childs_side_says_so() {
    run(async {
        let (trace, process) = spawned(helper(["close", "0", "pause"])).await;
        assert_eq!(trace.lost(&process, 0).await, CloseReason::ByChild);
        assert_eq!(process.write("x"), Err(WriteError::Closed { fd: 0 }));
        assert!(process.kill());
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
    });
}

#[test]
fn a_write_to_what_is_no_pipe_of_ours_is_not_writable() {
    run(async {
        let (trace, protocol) = Trace::start();
        let child = helper(["pause"]).fd(3, Fd::null()).fd(4, Fd::inherit(2));
        let process = child.spawn(&protocol).await.unwrap();
        for fd in [1, 2, 3, 4, 5, -1] {
            let refused = Err(WriteError::NotWritable { fd });
            assert_eq!(process.write_to_child(fd, "x"), refused);
        }
        assert!(process.kill());
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);

        let deaf = helper(["exit", "0"]).stdin(Fd::null());
        let process = deaf.spawn(&protocol).await.unwrap();
        assert_eq!(process.write("x"), Err(WriteError::NotWritable { fd: 0 }));
        trace.ended(&process).await.assert_rules(&[1, 2]);
    });
}

#[test]
fn abort_drops_the_queue_and_closes() {
    run(async {
        const SIZE: usize = 1 << 20;
        let child = helper(["take", "3", "1", "cat"]).fd(3, Fd::write());
        let (trace, process) = spawned(child).await;
        let dropped = Arc::new(AtomicBool::new(false));
        let data = DropProbe(vec![7; SIZE], Arc::clone(&dropped));
        process.write(Bytes::from_owner(data)).unwrap();
        process.abort(0);
        assert_eq!(trace.lost(&process, 0).await, CloseReason::Aborted);
        assert!(dropped.load(Ordering::SeqCst), "the queue is kept");

        process.write_to_child(3, "!").unwrap();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2, 3]);
        let got = history.data(1).len();
        assert!(got < SIZE, "all of it was written");
        assert!(history.status().success(), "{}", history.status());
    });
}

#[test]
fn abort_of_a_descriptor_that_is_read_closes_it() {
    run(async {
        let (trace, process) = spawned(helper(["drip"])).await;
        process.abort(1);
        assert_eq!(trace.lost(&process, 1).await, CloseReason::Aborted);
        assert_eq!(trace.exited(&process).await.signal(), Some(Signal::PIPE));
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
    });
}

fn write_much_to_children_that_exit_at_once() {
    run(async {
        let (trace, protocol) = Trace::start();
        let before = settled(&trace, &protocol).await;
        let much = Bytes::from(vec![1; 10 << 20]);
        for round in 0..30 {
            let process = helper(["exit", "0"]).spawn(&protocol).await.unwrap();
            if round % 2 == 0 {
                // Without a turn for the arbiter, which would be told of the close before the write.
                let begun = Instant::now();
                while !process.pid().is_none_or(is_gone) {
                    assert!(begun.elapsed() < common::DEADLINE, "it does not exit");
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            for piece in 0..10 {
                let at = piece << 20;
                // Refused as soon as the close is known.
                let _ = process.write(much.slice(at..at + (1 << 20)));
            }
            let history = trace.ended(&process).await;
            history.assert_rules(&[0, 1, 2]);
            assert_eq!(history.closes()[&0], CloseReason::ByChild);
            assert!(history.status().success(), "{}", history.status());
        }
        before.assert_restored_but_spawners().await;
    });
}

/// What this process has when a first child came and went.
async fn settled(trace: &Trace, protocol: &Addr<common::trace::Tracer>) -> Census {
    let process = helper(["exit", "0"]).spawn(protocol).await.unwrap();
    trace.ended(&process).await;
    Census::quiet().await
}

#[test]
fn ten_mebibytes_to_a_child_that_exits_at_once_neither_hang_nor_leak() {
    isolated(write_much_to_children_that_exit_at_once);
}

#[test]
fn ten_mebibytes_to_a_child_that_exits_at_once_raise_no_sigpipe() {
    isolated(|| {
        use nix::sys::signal::{SigHandler, Signal, signal};
        // SAFETY: installs no handler; std had it ignored, so one that is raised now kills.
        unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
        write_much_to_children_that_exit_at_once();
    });
}

#[test]
fn descriptors_above_two_carry_data_in_both_directions() {
    run(async {
        let map = FdMap::from([
            (3, Fd::write()),
            (4, Fd::read()),
            (10, Fd::read()),
            (9, Fd::write()),
        ]);
        let child = helper(["copy", "3", "4", "copy", "9", "10"]).fds(map);
        let (trace, process) = spawned(child).await;
        let sent = pattern(300_000);
        process.write_to_child(9, "for ten").unwrap();
        process.write_to_child(3, sent.clone()).unwrap();
        process.close_child_fd(3);
        process.close_child_fd(9);
        let history = trace.ended(&process).await;
        history.assert_rules(&[3, 4, 9, 10]);
        assert!(history.data(4) == sent, "other bytes came back");
        assert_eq!(history.text(10), "for ten");
    });
}

#[test]
fn empty_writes_are_nothing() {
    run(async {
        let (trace, process) = spawned(helper(["cat"])).await;
        process.write("").unwrap();
        process.write_sequence(["", ""]).unwrap();
        process.write_sequence(Vec::<Bytes>::new()).unwrap();
        process.write("a\n").unwrap();
        trace.output(&process, 1, "a\n").await;
        process.write("").unwrap();
        process.write_sequence(["", "b", ""]).unwrap();
        process.close_stdin();
        assert_eq!(trace.ended(&process).await.text(1), "a\nb");
    });
}

#[test]
fn a_sequence_longer_than_one_system_call_takes_keeps_its_order() {
    run(async {
        let (trace, process) = spawned(helper(["cat"])).await;
        let pieces: Vec<String> = (0..2000).map(|n| format!("{n}-")).collect();
        let wanted = pieces.concat();
        process.write_sequence(pieces).unwrap();
        process.close_stdin();
        assert_eq!(trace.ended(&process).await.text(1), wanted);
    });
}

#[test]
fn a_closed_stdout_gives_the_child_a_sigpipe_and_leaves_its_stderr() {
    run(async {
        let child = helper([
            "tell", "2", "ready", "take", "0", "1", "tell", "2", "go", "drip",
        ]);
        let (trace, process) = spawned(child).await;
        trace.output(&process, 2, "ready").await;
        process.close_stdout();
        assert_eq!(trace.lost(&process, 1).await, CloseReason::ByParent);
        process.write("x").unwrap();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert_eq!(history.text(2), "ready\ngo\n");
        assert_eq!(history.closes()[&2], CloseReason::ByChild);
        assert_eq!(history.status().signal(), Some(Signal::PIPE));
    });
}

#[test]
fn the_childs_close_of_one_pipe_leaves_the_others() {
    run(async {
        let child = helper(["close", "1", "copy", "0", "2"]);
        let (trace, process) = spawned(child).await;
        assert_eq!(trace.lost(&process, 1).await, CloseReason::ByChild);
        process.write("still here\n").unwrap();
        trace.output(&process, 2, "still here").await;
        process.close_stdin();
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
    });
}

#[test]
fn closing_what_is_closed_or_unknown_does_nothing() {
    run(async {
        let (trace, process) = spawned(helper(["cat"])).await;
        process.close_child_fd(7);
        process.abort(-1);
        process.pause_child_fd(0);
        process.resume_child_fd(9);
        process.close_stderr();
        process.close_stderr();
        trace.lost(&process, 2).await;
        process.close_stderr();
        process.abort(2);
        process.write("x").unwrap();
        process.close_stdin();
        process.close_stdin();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert_eq!(history.text(1), "x");
        process.lose_connection();
        process.close_stdin();
        process.resume_producing();
    });
}

#[test]
fn a_kept_handle_costs_no_descriptor() {
    isolated(|| {
        run(async {
            let (trace, protocol) = Trace::start();
            let before = settled(&trace, &protocol).await;
            let mut kept = Vec::new();
            for _ in 0..20 {
                let process = helper(["say", "hello"]).spawn(&protocol).await.unwrap();
                trace.ended(&process).await;
                kept.push(process.clone());
                kept.push(process);
            }
            before.assert_restored_but_spawners().await;
            assert!(kept.iter().all(|process| process.try_status().is_some()));
        });
    });
}

#[test]
fn lines_go_to_and_fro_one_by_one() {
    run(async {
        let (trace, process) = spawned(helper(["cat"])).await;
        for round in 0..300 {
            let line = format!("round {round};\n");
            process.write(line.clone()).unwrap();
            trace.output(&process, 1, &line).await;
        }
        process.close_stdin();
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
    });
}

#[test]
fn a_child_without_a_protocol_never_blocks_on_its_output() {
    run(async {
        let child = helper(["spam", "3000000", "exit", "5"]);
        let process = child.spawn(NoProtocol).await.unwrap();
        let end = actix_rt::time::timeout(common::DEADLINE, process.ended());
        let status = end.await.expect("it blocks");
        assert_eq!(status.code(), Some(5));
    });
}

/// Counts this process's pipes whenever it is told of a close.
struct Counting(Arc<Mutex<Vec<usize>>>);

impl Actor for Counting {
    type Context = Context<Self>;
}

impl ProcessProtocol for Counting {
    fn child_connection_lost(
        &mut self,
        _: &ProcessHandle,
        _: i32,
        _: CloseReason,
        _: &mut Context<Self>,
    ) {
        self.0.lock().unwrap().push(pipes());
    }
}
process_protocol!(Counting);

fn pipes() -> usize {
    open_fds().values().filter(|what| *what == "pipe:").count()
}

#[test]
fn a_descriptor_is_closed_before_its_close_is_told() {
    isolated(|| {
        run(async {
            helper(["exit"]).status().await.unwrap();
            let counts = Arc::default();
            // On an arbiter that is free while ours closes.
            let arbiter = Arbiter::new();
            let protocol = Counting(Arc::clone(&counts));
            let counting = Counting::start_in_arbiter(&arbiter.handle(), |_| protocol);
            let before = pipes();
            // By the child, one after the other, and the last two by us.
            let child = helper(["close", "0", "close", "1", "close", "2", "pause"]);
            let child = child.fd(5, Fd::write()).fd(6, Fd::read());
            let process = child.spawn(&counting).await.unwrap();
            process.close_child_fd(5);
            process.close_child_fd(6);
            let told = || counts.lock().unwrap().len();
            let all_told = || (told() == 5).then_some(());
            eventually("five closes", all_told, || told().to_string()).await;
            assert!(process.kill());
            process.ended().await;
            // Others may have been closed as well, but not told of yet.
            for (left, count) in (0..5).rev().zip(&*counts.lock().unwrap()) {
                assert!(*count <= before + left, "{counts:?}, {before} before");
            }
            arbiter.stop();
        });
    });
}
