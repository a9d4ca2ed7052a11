//! Descriptors of any number in either direction: data, close, pause and abort of each.

use crate::common;

use std::time::Duration;

use actix_process::{
    CloseReason, Fd, FdMap, ProcessEvent, ProcessHandle, Pty, PtySize, Signal, WriteError,
};
use common::helper::{helper, pattern};
use common::isolated::isolated;
use common::streams::next;
use common::trace::{data_of, spawned};
use common::{run, start_all_threads};
use futures::{FutureExt, StreamExt};

/// Long enough for a reader that does not pause.
const A_WHILE: Duration = Duration::from_millis(50);

#[test]
fn ten_descriptors_in_each_direction_each_carry_their_own() {
    run(async {
        let inputs: Vec<i32> = (0..10).map(|n| 3 + 7 * n).collect();
        let outputs: Vec<i32> = inputs.iter().map(|n| 300 - n).collect();
        let mut map: FdMap = inputs.iter().map(|n| (*n, Fd::write())).collect();
        let mut actions = Vec::new();
        for (from, to) in inputs.iter().zip(&outputs) {
            map = map.set(*to, Fd::read());
            actions.extend(["copy".to_owned(), from.to_string(), to.to_string()]);
        }
        let (trace, process) = spawned(helper(actions).fds(map)).await;
        let sent = |n: i32| [n.to_string().into_bytes(), pattern(50_000)].concat();
        for n in inputs.iter().rev() {
            process.write_to_child(*n, sent(*n)).unwrap();
            process.close_child_fd(*n);
        }
        let history = trace.ended(&process).await;
        history.assert_rules(&[inputs.clone(), outputs].concat());
        for n in inputs {
            assert!(
                history.data(300 - n) == sent(n),
                "other bytes on {}",
                300 - n
            );
            assert_eq!(history.closes()[&n], CloseReason::ByParent);
        }
    });
}

#[test]
fn zero_can_be_read_and_one_and_two_be_written() {
    run(async {
        let map = [(0, Fd::read()), (1, Fd::write()), (2, Fd::write())];
        let child = helper(["copy", "2", "0", "copy", "1", "0"]).fds(map.into());
        let (trace, process) = spawned(child).await;
        assert_eq!(process.write("x"), Err(WriteError::NotWritable { fd: 0 }));
        process.write_to_child(1, " one").unwrap();
        process.write_to_child(2, "two").unwrap();
        process.close_stderr();
        process.close_stdout();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert_eq!(history.text(0), "two one");
        assert_eq!(history.closes()[&1], CloseReason::ByParent);
    });
}

#[test]
fn aborting_an_input_drops_its_queue_and_leaves_the_others() {
    run(async {
        const MUCH: usize = 10 << 20;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stored");
        let stored = path.to_str().unwrap();
        let child = helper(["take", "4", "1", "store", "3", stored, "copy", "4", "5"]);
        let map = [(3, Fd::write()), (4, Fd::write()), (5, Fd::read())];
        let (trace, process) = spawned(child.fds(map.into())).await;
        process.write_to_child(3, vec![3; MUCH]).unwrap();
        process.abort(3);
        assert_eq!(trace.lost(&process, 3).await, CloseReason::Aborted);
        let closed = Err(WriteError::Closed { fd: 3 });
        assert_eq!(process.write_to_child(3, "more"), closed);
        process.write_to_child(4, "x and on").unwrap();
        process.close_child_fd(4);
        let history = trace.ended(&process).await;
        history.assert_rules(&[3, 4, 5]);
        assert_eq!(history.text(5), " and on");
        let kept = std::fs::metadata(&path).unwrap().len();
        assert!(kept < MUCH as u64, "all was written");
    });
}

#[test]
fn aborting_or_closing_an_output_is_a_broken_pipe_for_the_child_and_leaves_the_others() {
    run(async {
        for reason in [CloseReason::Aborted, CloseReason::ByParent] {
            // 13 is SIGPIPE: it goes on.
            let child = helper([
                "ignore", "13", "tell", "6", "ready", "take", "0", "1", "flood", "5", "1000000",
                "tell", "6", "on",
            ]);
            let child = child.fd(5, Fd::read()).fd(6, Fd::read());
            let (trace, process) = spawned(child).await;
            trace.output(&process, 6, "ready").await;
            match reason {
                CloseReason::Aborted => process.abort(5),
                _ => process.close_child_fd(5),
            }
            assert_eq!(trace.lost(&process, 5).await, reason);
            process.write("x").unwrap();
            let history = trace.ended(&process).await;
            history.assert_rules(&[0, 1, 2, 5, 6]);
            assert_eq!(history.text(6), "ready\non\n");
            assert_eq!(history.data(5), b"");
            assert_eq!(history.closes()[&6], CloseReason::ByChild);
        }
    });
}

#[test]
fn closing_an_input_writes_its_queue_first() {
    run(async {
        let child = helper(["take", "0", "1", "copy", "200", "1"]).fd(200, Fd::write());
        let (trace, process) = spawned(child).await;
        process.write_to_child(200, pattern(3_000_000)).unwrap();
        process.close_child_fd(200);
        let closed = Err(WriteError::Closed { fd: 200 });
        assert_eq!(process.write_to_child(200, "more"), closed);
        process.write("x").unwrap();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2, 200]);
        assert!(history.data(1) == pattern(3_000_000), "other bytes came");
        assert_eq!(history.closes()[&200], CloseReason::ByParent);
    });
}

#[test]
fn a_pause_of_one_of_many_outputs_stops_that_one() {
    run(async {
        // A descendant speaks on 6 while the child is held up at 5.
        let child = helper([
            "leave", "3", "copy", "4", "6", "take", "3", "1", "tell", "5", "five", "flood", "5",
            "1000000", "drain", "3",
        ]);
        let child = child.fd(3, Fd::write()).fd(4, Fd::write());
        let child = child.fd(5, Fd::read()).fd(6, Fd::read());
        let (trace, process) = spawned(child).await;
        process.pause_child_fd(5);
        // An input is not paused, nor what is no descriptor of it.
        process.pause_child_fd(3);
        process.pause_child_fd(77);
        process.write_to_child(3, "x").unwrap();
        for round in 0..20 {
            let line = format!("round {round}\n");
            process.write_to_child(4, line.clone()).unwrap();
            trace.output(&process, 6, &line).await;
        }
        actix_rt::time::sleep(A_WHILE).await;
        assert_eq!(data_of(&trace.of(&process), 5), b"");
        assert_eq!(process.try_status(), None, "it was not held up");

        process.resume_child_fd(5);
        process.close_child_fd(3);
        process.close_child_fd(4);
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2, 3, 4, 5, 6]);
        assert!(history.data(5) == [b"five\n".to_vec(), pattern(1_000_000)].concat());
    });
}

#[test]
fn pause_producing_stops_every_reader_and_no_writer() {
    run(async {
        let child = helper([
            "take", "0", "1", "say", "one", "tell", "2", "two", "tell", "5", "five", "tell", "6",
            "six", "drain", "0",
        ]);
        let child = child.fd(5, Fd::read()).fd(6, Fd::stream());
        let (trace, process) = spawned(child).await;
        let mut six = process.take_stream(6).unwrap();
        process.pause_producing();
        process.write("x").unwrap();
        process.write(pattern(2_000_000)).unwrap();
        process.close_stdin();
        // All that was written is taken: the child drains it, and exits.
        assert_eq!(trace.lost(&process, 0).await, CloseReason::ByParent);
        assert!(trace.exited(&process).await.success());
        actix_rt::time::sleep(A_WHILE).await;
        let so_far = trace.of(&process);
        assert!(so_far.iter().all(|event| !is_data(event)), "{so_far:?}");
        assert_eq!(six.next().now_or_never(), None);

        process.resume_producing();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2, 5, 6]);
        let texts = [1, 2, 5].map(|fd| history.text(fd));
        assert_eq!(texts, ["one\n", "two\n", "five\n"]);
        assert_eq!(next(&mut six).await.unwrap(), "six\n");
        assert_eq!(next(&mut six).await, None);
    });
}

fn is_data(event: &ProcessEvent) -> bool {
    matches!(event, ProcessEvent::ChildDataReceived { .. })
}

#[test]
fn a_paused_output_does_not_notice_its_end_before_the_resume() {
    run(async {
        let child = helper(["take", "0", "1", "close", "5", "tell", "2", "closed", "cat"]);
        let child = child.fd(5, Fd::read());
        let (trace, process) = spawned(child).await;
        process.pause_child_fd(5);
        process.write("x").unwrap();
        trace.output(&process, 2, "closed").await;
        actix_rt::time::sleep(A_WHILE).await;
        let lost = |event: &_| matches!(event, ProcessEvent::ChildConnectionLost { .. });
        assert!(!trace.of(&process).iter().any(lost));
        process.resume_child_fd(5);
        assert_eq!(trace.lost(&process, 5).await, CloseReason::ByChild);
        process.close_stdin();
        trace.ended(&process).await.assert_rules(&[0, 1, 2, 5]);
    });
}

#[test]
fn after_the_end_every_command_to_a_descriptor_is_nothing() {
    run(async {
        let child = helper(["exit", "0"]).fd(5, Fd::read()).fd(6, Fd::write());
        let (trace, process) = spawned(child).await;
        let events = trace.ended(&process).await.events;
        for fd in [1, 5, 6] {
            process.pause_child_fd(fd);
            process.resume_child_fd(fd);
            process.abort(fd);
            process.close_child_fd(fd);
        }
        process.pause_producing();
        process.resume_producing();
        let closed = Err(WriteError::Closed { fd: 6 });
        assert_eq!(process.write_to_child(6, "x"), closed);
        actix_rt::time::sleep(A_WHILE).await;
        assert_eq!(trace.of(&process), events);
    });
}

#[test]
fn a_pause_of_a_terminal_holds_its_child_up() {
    run(async {
        const SIZE: usize = 500_000;
        let actions = [
            "take",
            "3",
            "1",
            "spam",
            &SIZE.to_string(),
            "tell",
            "2",
            "written",
        ];
        let pty = Pty::new(PtySize::new(24, 80)).raw(true);
        let child = helper(actions)
            .pty(pty)
            .stderr(Fd::read())
            .fd(3, Fd::write());
        let (trace, process) = spawned(child).await;
        process.pause_child_fd(1);
        process.write_to_child(3, "x").unwrap();
        actix_rt::time::sleep(A_WHILE).await;
        let so_far = trace.of(&process);
        assert!(so_far.iter().all(|event| !is_data(event)), "{so_far:?}");
        assert_eq!(process.try_status(), None, "it was not held up");
        process.resume_child_fd(1);
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2, 3]);
        assert!(history.data(1) == pattern(SIZE));
        assert_eq!(history.text(2), "written\n");
    });
}

#[test]
fn lose_connection_drops_outputs_above_two_though_they_are_paused() {
    run(async {
        let child = helper([
            "tell", "5", "ready", "take", "3", "1", "flood", "5", "1000000",
        ]);
        let child = child.fd(3, Fd::write()).fd(5, Fd::read());
        let (trace, process) = spawned(child).await;
        trace.output(&process, 5, "ready").await;
        process.pause_producing();
        process.write_to_child(3, "x").unwrap();
        process.lose_connection();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2, 3, 5]);
        assert_eq!(history.status().signal(), Some(Signal::PIPE));
        assert_eq!(history.text(5), "ready\n");
    });
}

#[test]
fn extra_descriptors_leave_nothing_however_they_are_closed() {
    isolated(|| {
        run(async {
            let before = start_all_threads().await;
            let ways: [fn(&ProcessHandle, i32); 4] = [
                ProcessHandle::close_child_fd,
                ProcessHandle::abort,
                |process, _| process.lose_connection(),
                |process, _| assert!(process.kill()),
            ];
            for close in ways {
                for fd in 3..=6 {
                    let child = helper(["copy", "3", "4", "flood", "6", "1000000"]);
                    let map = [
                        (3, Fd::write()),
                        (4, Fd::read()),
                        (5, Fd::write()),
                        (6, Fd::read()),
                    ];
                    let (trace, process) = spawned(child.fds(map.into())).await;
                    process.write_to_child(3, pattern(300_000)).unwrap();
                    process.write_to_child(5, pattern(300_000)).unwrap();
                    process.pause_child_fd(6);
                    close(&process, fd);
                    process.close_child_fd(3);
                    process.resume_producing();
                    trace.ended(&process).await.assert_rules(&[3, 4, 5, 6]);
                }
            }
            before.assert_restored_but_spawners().await;
        });
    });
}
