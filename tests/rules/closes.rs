//! The delivery rules about writes and closes, lost owners and failed spawns, 9 to 12, each by
//! tests named for it.

use crate::common;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::tools::events::{count, is_end, is_lost};
use actix_process::{Bytes, CloseReason, Command, ExitStatus, Fd, FdMap, OnOrphaned, ProcessEvent};
use actix_process::{ProcessHandle, Signal, WriteError};
use common::census::Census;
use common::drop_probe::DropProbe;
use common::helper::{helper, pattern};
use common::isolated::isolated;
use common::trace::{Die, Trace, data_of, spawned};
use common::{eventually, run};

const BY_CHILD: CloseReason = CloseReason::ByChild;
const BY_PARENT: CloseReason = CloseReason::ByParent;

fn is_exit(event: &ProcessEvent) -> bool {
    matches!(event, ProcessEvent::ProcessExited { .. })
}

#[test]
fn rule_09_writes_to_one_descriptor_keep_their_order() {
    run(async {
        let (trace, process) = spawned(helper(["cat"])).await;
        let mut sent = String::new();
        for line in 0..3000 {
            let text = [format!("{line} "), "is ".to_owned(), format!("{line}\n")];
            sent.extend(text.iter().map(String::as_str));
            match line % 3 {
                0 => process.write(text.concat()).unwrap(),
                1 => process.write_sequence(text).unwrap(),
                _ => process.write_to_child(0, text.concat()).unwrap(),
            }
        }
        process.close_stdin();
        assert_eq!(trace.ended(&process).await.text(1), sent);
    });
}

#[test]
fn rule_09_close_stdin_writes_the_whole_queue_first() {
    run(async {
        const SIZE: usize = 10 * 1024 * 1024;
        let (trace, process) = spawned(helper(["cat"])).await;
        let sent = pattern(SIZE);
        process.write(sent.clone()).unwrap();
        process.close_stdin();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert_eq!(history.closes()[&0], BY_PARENT);
        assert!(history.data(1) == sent, "other bytes came back");
    });
}

#[test]
fn rule_09_lose_connection_flushes_what_is_written_and_drops_what_is_read() {
    run(async {
        let (go, mut let_go) = std::io::pipe().unwrap();
        let map = FdMap::from([
            (0, Fd::write()),
            (1, Fd::read()),
            (3, Fd::write()),
            (4, Fd::read()),
            (5, Fd::from(std::os::fd::OwnedFd::from(go))),
        ]);
        // It dies of a signal if it gets less than it wants.
        let child = helper([
            "take", "5", "1", "take", "3", "1000000", "take", "0", "1000000", "drain", "0",
            "drain", "3", "exit", "9",
        ]);
        let (trace, process) = spawned(child.fds(map)).await;
        process.write(vec![0; 1_000_000]).unwrap();
        process.write_to_child(3, vec![3; 1_000_000]).unwrap();
        process.lose_connection();
        for fd in [1, 4] {
            assert_eq!(trace.lost(&process, fd).await, BY_PARENT);
        }
        assert_eq!(count(&trace.of(&process), is_lost), 2);
        assert_eq!(process.write("more"), Err(WriteError::Closed { fd: 0 }));

        let_go.write_all(b"!").unwrap();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 3, 4]);
        assert_eq!(
            history.status().code(),
            Some(9),
            "it got less than was queued"
        );
        assert_eq!(history.closes()[&0], BY_PARENT);
        assert_eq!(history.closes()[&3], BY_PARENT);
    });
}

#[test]
fn rule_10_the_childs_close_of_its_stdin_is_reported_at_once() {
    run(async {
        let child = helper(["close", "0", "say", "ready", "pause"]);
        let (trace, process) = spawned(child).await;
        trace.output(&process, 1, "ready").await;
        assert_eq!(trace.lost(&process, 0).await, CloseReason::ByChild);
        assert!(process.kill());
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
    });
}

#[test]
fn rule_10_a_broken_pipe_drops_the_queue_and_is_told_as_the_close() {
    run(async {
        let child = helper(["take", "0", "10", "close", "0", "say", "ready", "pause"]);
        let (trace, process) = spawned(child).await;
        let dropped = Arc::new(AtomicBool::new(false));
        let data = DropProbe(vec![7; 1 << 20], Arc::clone(&dropped));
        process.write(Bytes::from_owner(data)).unwrap();
        process.write("behind it").unwrap();
        assert_eq!(trace.lost(&process, 0).await, BY_CHILD);
        assert!(dropped.load(Ordering::SeqCst), "the queue is kept");
        assert_eq!(process.write("more"), Err(WriteError::Closed { fd: 0 }));
        assert_eq!(count(&trace.of(&process), is_exit), 0);
        assert!(process.kill());
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
    });
}

#[test]
fn rule_11_dropping_the_handle_does_nothing() {
    run(async {
        let child = helper(["take", "0", "5", "say", "alive", "drain", "0", "exit", "6"]);
        let (trace, process) = spawned(&child).await;
        let observer = trace.clone();
        let id = process.id();
        process.write("hello").unwrap();
        process.close_stdin();
        drop(process);
        let own = || {
            let events = observer.events().into_iter();
            let own = events.filter(|(of, _)| *of == id).map(|(_, event)| event);
            own.collect::<Vec<_>>()
        };
        eventually(
            "the end of a child without a handle",
            || own().last().filter(|event| is_end(event)).cloned(),
            || format!("{:?}", own()),
        )
        .await;
        assert_eq!(data_of(&own(), 1), b"alive\n");
        assert_eq!(count(&own(), |e| is_exited_with(e, 6)), 1);
    });
}

fn is_exited_with(event: &ProcessEvent, code: i32) -> bool {
    matches!(event, ProcessEvent::ProcessExited { status } if status.code() == Some(code))
}

/// Ends the protocol of a running child; gives the child's status.
async fn orphaned(policy: OnOrphaned, die: Die) -> ExitStatus {
    let (trace, protocol) = Trace::start();
    // With its pipes closed, it ends by itself if it is left alone.
    let child = helper(["say", "ready", "drain", "0", "exit", "7"]).on_orphaned(policy);
    let process: ProcessHandle = child.spawn(&protocol).await.unwrap();
    trace.output(&process, 1, "ready").await;
    protocol.do_send(die);
    drop(protocol);
    let end = actix_rt::time::timeout(common::DEADLINE, process.ended()).await;
    let status = end.expect("the child was never reaped");
    assert_eq!(process.pid(), None);
    status
}

#[test]
fn rule_11_a_child_whose_protocol_stopped_follows_its_policy_and_is_reaped() {
    run(async {
        let killed = orphaned(OnOrphaned::Kill, Die::Stop).await;
        assert_eq!(killed.signal(), Some(Signal::KILL));
        let grace = Duration::from_secs(3600);
        let terminated = orphaned(OnOrphaned::Terminate(grace), Die::Stop).await;
        assert_eq!(terminated.signal(), Some(Signal::TERM));
        let left = orphaned(OnOrphaned::Leave, Die::Stop).await;
        assert_eq!(left.code(), Some(7));
    });
}

#[test]
fn rule_12_no_failed_spawn_leaves_anything() {
    isolated(|| {
        run(async {
            let (trace, protocol) = Trace::start();
            // One that works, so that the crate's own threads are there before the count.
            let process = helper(["exit", "0"]).spawn(&protocol).await.unwrap();
            trace.ended(&process).await;
            process.ended().await;
            let events = trace.events().len();
            let before = Census::quiet().await;

            let twice = FdMap::from([(1, Fd::read()), (1, Fd::read())]);
            let failing = [
                Command::new(""),
                Command::new("/no/such/program"),
                Command::new("no-such-program-anywhere"),
                Command::new("/"),
                Command::new("/etc/passwd"),
                Command::new("true").arg("a\0b"),
                Command::new("true").env("A=B", "c"),
                Command::new("true").current_dir("/no/such/dir"),
                Command::new("true").arg("x".repeat(8 << 20)),
                Command::new("true").fds(twice),
                Command::new("true").fd(9, Fd::inherit(999)),
            ];
            for _ in 0..5 {
                for command in &failing {
                    let result = command.spawn(&protocol).await;
                    assert!(result.is_err(), "{command:?} was spawned");
                }
            }
            before.assert_restored_but_spawners().await;
            assert_eq!(trace.events().len(), events, "an event of no child");
        });
    });
}
