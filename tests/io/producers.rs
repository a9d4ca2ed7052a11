//! Producers: when they are told to pause and to resume, and who is refused.

use crate::common;

use crate::tools::held_bytes::HeldBytes;
use crate::tools::producing::{PIPE, Producer, fill, flushed};
use actix_process::producer::ProducerCommand::{Pause, Resume, Stop};
use actix_process::producer::ProducerError;
use actix_process::producer::ProducerKind::{self, Pull, Push};
use actix_process::{Fd, ProcessHandle, WriteError};
use common::helper::helper;
use common::run;
use futures::SinkExt;

/// Above this many bytes in its queue a push producer is paused.
const MARK: usize = 64 * 1024;

/// A child that reads nothing from 0 until `go` tells it to, then what its pipe held, then, told
/// once more, all the rest.
fn in_two_steps() -> actix_process::Command {
    let pipe = PIPE.to_string();
    let first = ["take", "3", "1", "take", "0", &pipe, "say", "first"];
    helper([&first[..], &["take", "3", "1", "drain", "0"]].concat()).fd(3, Fd::write())
}

fn go(process: &ProcessHandle) {
    process.write_to_child(3, "!").unwrap();
}

#[test]
fn a_push_producer_is_paused_above_64_kib_and_resumed_when_all_is_written() {
    run(async {
        let held_bytes = HeldBytes::default();
        let producer = Producer::start();
        let process = producer.spawn(in_two_steps()).await;
        let guard = producer.register(&process, 0, Push).unwrap();
        // It fills the pipe, and is not told of it.
        fill(&process, 0).await;
        for _ in 0..4 {
            guard.write(held_bytes.zeros(MARK / 4)).unwrap();
        }
        assert_eq!(producer.told_so_far(0).await, []);
        guard.write(held_bytes.zeros(1)).unwrap();
        assert_eq!(producer.told_so_far(0).await, [Pause]);
        // It is paused: nobody tells it again, whoever writes.
        guard.write(held_bytes.zeros(2 * MARK)).unwrap();
        process.write(held_bytes.zeros(1)).unwrap();
        assert_eq!(producer.told_so_far(0).await, [Pause]);

        // A pipe full less is not all.
        go(&process);
        producer.notes.output("first").await;
        held_bytes.shrinks_to(2 * MARK + 2).await;
        assert_eq!(producer.told_so_far(0).await, [Pause]);
        go(&process);
        producer.notes.told(0, &[Pause, Resume]).await;
        assert_eq!(held_bytes.held(), 0);

        // Less than the mark is neither.
        guard.write(held_bytes.zeros(MARK)).unwrap();
        flushed(&process, 0).await;
        assert_eq!(producer.told_so_far(0).await, [Pause, Resume]);
        drop(guard);
        process.close_stdin();
        assert!(producer.notes.ended().await.success());
        assert_eq!(producer.notes.of(0), [Pause, Resume]);
    });
}

#[test]
fn what_others_write_counts_for_a_producer() {
    run(async {
        let producer = Producer::start();
        let process = producer.spawn(in_two_steps()).await;
        let _guard = producer.register(&process, 0, Push).unwrap();
        fill(&process, 0).await;
        let mut sink = process.stdin().unwrap();
        sink.feed(vec![0; MARK / 2].into()).await.unwrap();
        process.write(vec![0; MARK / 2]).unwrap();
        assert_eq!(producer.told_so_far(0).await, []);
        process.write_sequence(["", "x"]).unwrap();
        assert_eq!(producer.told_so_far(0).await, [Pause]);
        assert!(process.kill());
        producer.notes.ended().await;
        assert_eq!(producer.notes.of(0), [Pause, Stop]);
    });
}

#[test]
fn a_push_producer_that_comes_to_a_full_queue_is_paused_at_once() {
    run(async {
        let producer = Producer::start();
        let process = producer.spawn(in_two_steps()).await;
        fill(&process, 0).await;
        process.write(vec![0; MARK]).unwrap();
        let guard = producer.register(&process, 0, Push).unwrap();
        assert_eq!(producer.told_so_far(0).await, []);
        drop(guard);
        process.write("x").unwrap();
        let _guard = producer.register(&process, 0, Push).unwrap();
        assert_eq!(producer.told_so_far(0).await, [Pause]);
        go(&process);
        go(&process);
        producer.notes.told(0, &[Pause, Resume]).await;
        assert!(process.kill());
        producer.notes.ended().await;
    });
}

#[test]
fn a_pull_producer_is_asked_once_when_it_is_registered_and_once_a_drain() {
    run(async {
        let held_bytes = HeldBytes::default();
        let producer = Producer::start();
        let process = producer.spawn(in_two_steps()).await;
        fill(&process, 0).await;
        let guard = producer.register(&process, 0, Pull).unwrap();
        assert_eq!(producer.told_so_far(0).await, [Resume]);
        // However much it writes, it is not paused.
        for _ in 0..8 {
            guard.write(held_bytes.zeros(MARK)).unwrap();
        }
        assert_eq!(producer.told_so_far(0).await, [Resume]);
        go(&process);
        producer.notes.output("first").await;
        held_bytes.shrinks_to(7 * MARK).await;
        assert_eq!(producer.told_so_far(0).await, [Resume]);
        go(&process);
        flushed(&process, 0).await;
        assert_eq!(producer.told_so_far(0).await, [Resume, Resume]);
        assert!(process.kill());
        producer.notes.ended().await;
    });
}

#[test]
fn a_pull_producer_that_writes_nothing_is_not_asked_again_before_the_next_drain() {
    run(async {
        let producer = Producer::start();
        let process = producer.spawn(helper(["cat"])).await;
        let guard = producer.register(&process, 0, Pull).unwrap();
        guard.write("").unwrap();
        process.write_sequence(["", ""]).unwrap();
        // Both have gone through the writer, and the child, when this has.
        process.write("one\n").unwrap();
        producer.notes.output("one\n").await;
        assert_eq!(producer.told_so_far(0).await, [Resume, Resume]);
        guard.write("").unwrap();
        guard.write("two\n").unwrap();
        producer.notes.output("two\n").await;
        assert_eq!(producer.told_so_far(0).await, [Resume; 3]);
        drop(guard);
        process.close_stdin();
        producer.notes.ended().await;
        assert_eq!(producer.notes.of(0), [Resume; 3]);
    });
}

#[test]
fn a_second_producer_is_refused_and_told_nothing() {
    run(async {
        let (first, second) = (Producer::start(), Producer::start());
        let process = first.spawn(helper(["drain", "0"])).await;
        let refused = Err(ProducerError::AlreadyRegistered { fd: 0 });
        let guard = first.register(&process, 0, Pull).unwrap();
        for kind in [Push, Pull] {
            for producer in [&first, &second] {
                let result = producer.register(&process, 0, kind);
                assert_eq!(result.map(drop), refused, "{kind:?}");
            }
        }
        guard.write("x").unwrap();
        first.notes.told(0, &[Resume, Resume]).await;
        assert_eq!(second.told_so_far(0).await, []);

        // The place is free when the guard is dropped.
        drop(guard);
        let guard = second.register(&process, 0, Pull).unwrap();
        assert_eq!(second.told_so_far(0).await, [Resume]);
        guard.write("x").unwrap();
        second.notes.told(0, &[Resume, Resume]).await;
        drop(guard);
        process.close_stdin();
        assert!(first.notes.ended().await.success());
        assert_eq!(first.notes.of(0), [Resume, Resume]);
        assert_eq!(second.told_so_far(0).await, [Resume, Resume]);
    });
}

#[test]
fn one_that_is_unregistered_is_told_nothing_and_its_successor_starts_afresh() {
    run(async {
        for (kind, begin) in [(Push, Pause), (Pull, Resume)] {
            let (first, second) = (Producer::start(), Producer::start());
            let process = first.spawn(in_two_steps()).await;
            fill(&process, 0).await;
            let guard = first.register(&process, 0, Push).unwrap();
            guard.write(vec![0; MARK + 1]).unwrap();
            drop(guard);
            assert_eq!(first.told_so_far(0).await, [Pause]);
            let guard = second.register(&process, 0, kind).unwrap();
            assert_eq!(second.told_so_far(0).await, [begin]);
            go(&process);
            go(&process);
            second.notes.told(0, &[begin, Resume]).await;
            assert!(process.kill());
            second.notes.told(0, &[begin, Resume, Stop]).await;
            first.notes.ended().await;
            assert_eq!(first.notes.of(0), [Pause]);
            drop(guard);
        }
    });
}

fn refused(process: &ProcessHandle, producer: &Producer, fd: i32) -> [ProducerError; 2] {
    let refused = |kind: ProducerKind| producer.register(process, fd, kind).map(drop).unwrap_err();
    [refused(Push), refused(Pull)]
}

#[test]
fn a_closed_descriptor_takes_no_producer_and_tells_it_nothing() {
    run(async {
        let closed = [ProducerError::Write(WriteError::Closed { fd: 0 }); 2];
        let producer = Producer::start();
        let closes: [fn(&ProcessHandle); 3] = [
            ProcessHandle::close_stdin,
            ProcessHandle::lose_connection,
            |process| process.abort(0),
        ];
        for close in closes {
            // Its queue is not written yet.
            let process = producer.spawn(in_two_steps()).await;
            process.write(vec![0; 10 * MARK]).unwrap();
            close(&process);
            assert_eq!(refused(&process, &producer, 0), closed);
            assert!(process.kill());
            process.ended().await;
            assert_eq!(refused(&process, &producer, 0), closed);
        }
        let child = Producer::start();
        let process = child.spawn(helper(["close", "0", "pause"])).await;
        child.notes.lost(0).await;
        assert_eq!(refused(&process, &producer, 0), closed);
        assert!(process.kill());
        child.notes.ended().await;
        assert_eq!(refused(&process, &producer, 0), closed);
        assert_eq!(producer.told_so_far(0).await, []);
    });
}

#[test]
fn what_is_not_written_takes_no_producer_and_tells_it_nothing() {
    run(async {
        let producer = Producer::start();
        let child = helper(["pause"]).fd(3, Fd::null()).fd(4, Fd::inherit(2));
        let process = producer.spawn(child.fd(5, Fd::stream())).await;
        for fd in [1, 2, 3, 4, 5, 9, -1, i32::MAX] {
            let not_writable = [ProducerError::Write(WriteError::NotWritable { fd }); 2];
            assert_eq!(refused(&process, &producer, fd), not_writable);
            assert_eq!(producer.told_so_far(fd).await, []);
        }
        assert!(process.kill());
        producer.notes.ended().await;
        let not_writable = [ProducerError::Write(WriteError::NotWritable { fd: 1 }); 2];
        assert_eq!(refused(&process, &producer, 1), not_writable);
    });
}

#[test]
fn the_producers_of_two_descriptors_go_by_their_own_queues() {
    run(async {
        let producer = Producer::start();
        let all = (PIPE + MARK + 1).to_string();
        let child = helper([
            "take", "3", "1", "take", "5", &all, "take", "3", "1", "drain", "0",
        ]);
        let child = child.fd(3, Fd::write()).fd(5, Fd::write());
        let process = producer.spawn(child).await;
        fill(&process, 0).await;
        fill(&process, 5).await;
        let zero = producer.register(&process, 0, Push).unwrap();
        let five = producer.register(&process, 5, Push).unwrap();
        assert_eq!((zero.fd(), five.fd()), (0, 5));
        five.write(vec![0; MARK + 1]).unwrap();
        assert_eq!(producer.told_so_far(5).await, [Pause]);
        assert_eq!(producer.told_so_far(0).await, []);
        zero.write(vec![0; MARK + 1]).unwrap();
        assert_eq!(producer.told_so_far(0).await, [Pause]);
        go(&process);
        producer.notes.told(5, &[Pause, Resume]).await;
        assert_eq!(producer.told_so_far(0).await, [Pause]);
        go(&process);
        producer.notes.told(0, &[Pause, Resume]).await;
        drop(zero);
        process.close_stdin();
        producer.notes.lost(0).await;
        assert_eq!(producer.notes.of(0), [Pause, Resume]);
        assert!(producer.notes.ended().await.success());
        assert_eq!(producer.notes.of(5), [Pause, Resume, Stop]);
        drop(five);
    });
}
