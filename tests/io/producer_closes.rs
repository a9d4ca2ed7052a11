//! A close with a producer registered happens when its guard is dropped: by hand, or by the death
//! of the producer.

use crate::common;

use crate::tools::held_bytes::HeldBytes;
use crate::tools::producing::{Note, PIPE, Producer, fill, flushed};
use actix::prelude::*;
use actix_process::producer::ProducerCommand::{Pause, Resume, Stop};
use actix_process::producer::ProducerError;
use actix_process::producer::ProducerKind::{self, Pull, Push};
use actix_process::{CloseReason, Command, Fd, ProcessHandle, WriteError};
use common::census::Census;
use common::helper::helper;
use common::isolated::isolated;
use common::trace::{Die, spawned};
use common::{run, start_all_threads};
use futures::{FutureExt, SinkExt};

const CLOSED: Result<(), WriteError> = Err(WriteError::Closed { fd: 0 });

/// A child that reads so much and `last` from 0 when 3 says so; exits with 9 if 0 ends there.
fn reading(bytes: usize) -> Command {
    let bytes = bytes.to_string();
    let child = helper([
        "take", "3", "1", "take", "0", &bytes, "take", "0", "4", "drain", "0", "exit", "9",
    ]);
    child.fd(3, Fd::write())
}

fn close_stdin(process: &ProcessHandle) {
    process.close_stdin();
}

fn lose_connection(process: &ProcessHandle) {
    process.lose_connection();
}

fn close_child_fd(process: &ProcessHandle) {
    process.close_child_fd(0);
}

/// By a sink, which then waits as well; it is dropped, which takes nothing back.
fn close_sink(process: &ProcessHandle) {
    assert_eq!(process.stdin().unwrap().close().now_or_never(), None);
}

const CLOSES: [fn(&ProcessHandle); 4] = [close_stdin, lose_connection, close_child_fd, close_sink];

/// That 0 is still open, for the guard only.
async fn assert_waits(producer: &Producer, process: &ProcessHandle) {
    let mut sink = process.stdin().unwrap();
    assert_eq!(process.write("no"), CLOSED);
    assert_eq!(process.write_sequence(["no"]), CLOSED);
    assert_eq!(sink.feed("no".into()).await, CLOSED);
    let refused = producer.register(process, 0, Push).map(drop);
    assert_eq!(
        refused,
        Err(ProducerError::Write(WriteError::Closed { fd: 0 }))
    );
    producer.caught_up().await;
    assert!(!producer.notes.is_lost(0), "{:?}", producer.notes.all());
}

/// Closes 0 of a child with a producer that is running, paused or asked; holds that the close waits
/// until the guard drops, though all is written, and that the producer is told no end.
async fn assert_waiting(paused: bool, kind: ProducerKind) {
    for close in CLOSES {
        let producer = Producer::start();
        let queued = if paused { PIPE + 1 } else { 10 };
        let process = producer.spawn(reading(PIPE + queued)).await;
        fill(&process, 0).await;
        let guard = producer.register(&process, 0, kind).unwrap();
        guard.write(vec![0; queued]).unwrap();
        let mut told = match (kind, paused) {
            (Pull, _) => vec![Resume],
            (_, true) => vec![Pause],
            _ => vec![],
        };
        assert_eq!(producer.told_so_far(0).await, told);
        // The child is to read, and then the close comes before it does.
        process.write_to_child(3, "!").unwrap();
        close(&process);
        assert_waits(&producer, &process).await;

        flushed(&process, 0).await;
        assert_waits(&producer, &process).await;
        if kind == Pull || paused {
            told.push(Resume);
        }
        assert_eq!(producer.told_so_far(0).await, told);
        guard.write("last").unwrap();
        flushed(&process, 0).await;
        assert_waits(&producer, &process).await;
        if kind == Pull {
            told.push(Resume);
        }
        assert_eq!(producer.told_so_far(0).await, told);

        drop(guard);
        assert_eq!(producer.notes.lost(0).await, CloseReason::ByParent);
        assert_eq!(producer.notes.ended().await.code(), Some(9));
        assert_eq!(producer.told_so_far(0).await, told);
    }
}

#[test]
fn a_close_waits_for_a_push_producer_that_is_not_paused() {
    // Twisted closes after the flush here, against what it documents.
    run(assert_waiting(false, Push));
}

#[test]
fn a_close_waits_for_a_push_producer_that_is_paused() {
    run(assert_waiting(true, Push));
}

#[test]
fn a_close_waits_for_a_pull_producer() {
    run(assert_waiting(false, Pull));
}

#[test]
fn what_the_guard_wrote_last_is_written_before_the_close() {
    run(async {
        const SIZE: usize = 10 * PIPE;
        let held_bytes = HeldBytes::default();
        let producer = Producer::start();
        let process = producer.spawn(reading(SIZE)).await;
        let guard = producer.register(&process, 0, Push).unwrap();
        process.close_stdin();
        guard.write(held_bytes.zeros(SIZE)).unwrap();
        guard.write("last").unwrap();
        drop(guard);
        // More than the pipe holds waits for the child.
        assert!(!producer.notes.is_lost(0));
        assert_eq!(held_bytes.held(), SIZE);
        process.write_to_child(3, "!").unwrap();
        assert_eq!(producer.notes.lost(0).await, CloseReason::ByParent);
        process.close_child_fd(3);
        assert_eq!(producer.notes.ended().await.code(), Some(9));
        assert_eq!(held_bytes.held(), 0);
    });
}

#[test]
fn lose_connection_waits_for_the_producer_of_each_descriptor() {
    run(async {
        let producer = Producer::start();
        let child = helper(["drain", "0", "drain", "5", "exit", "9"]);
        let process = producer.spawn(child.fd(5, Fd::write())).await;
        let zero = producer.register(&process, 0, Pull).unwrap();
        let five = producer.register(&process, 5, Push).unwrap();
        process.lose_connection();
        for fd in [1, 2] {
            assert_eq!(producer.notes.lost(fd).await, CloseReason::ByParent);
        }
        drop(zero);
        assert_eq!(producer.notes.lost(0).await, CloseReason::ByParent);
        five.write("more").unwrap();
        flushed(&process, 5).await;
        producer.caught_up().await;
        assert!(!producer.notes.is_lost(5));
        drop(five);
        assert_eq!(producer.notes.ended().await.code(), Some(9));
    });
}

#[test]
fn a_guard_without_a_close_closes_nothing() {
    run(async {
        let producer = Producer::start();
        let process = producer.spawn(helper(["cat"])).await;
        drop(producer.register(&process, 0, Push).unwrap());
        process.write("still\n").unwrap();
        producer.notes.output("still\n").await;
        process.close_stdin();
        assert!(producer.notes.ended().await.success());
        assert_eq!(producer.notes.of(0), []);
    });
}

/// Has a producer keep its guard, closes, and lets it die.
async fn assert_death_closes(producer: Producer, die: impl FnOnce(&Producer)) {
    let (trace, process) = spawned(helper(["drain", "0"])).await;
    let guard = producer.register(&process, 0, Push).unwrap();
    producer.keep(guard).await;
    process.close_stdin();
    die(&producer);
    assert_eq!(trace.lost(&process, 0).await, CloseReason::ByParent);
    let history = trace.ended(&process).await;
    history.assert_rules(&[0, 1, 2]);
    assert!(history.status().success());
    assert_eq!(producer.notes.of(0), []);
}

#[test]
fn a_producer_that_stops_lets_the_close_happen() {
    run(async {
        let die = |producer: &Producer| producer.actor.do_send(Die::Stop);
        assert_death_closes(Producer::start(), die).await;
    });
}

#[test]
fn a_producer_that_panics_lets_the_close_happen() {
    run(async {
        let die = |producer: &Producer| producer.actor.do_send(Die::Panic);
        assert_death_closes(Producer::start(), die).await;
    });
}

#[test]
fn a_producer_whose_arbiter_stops_lets_the_close_happen() {
    run(async {
        let arbiter = Arbiter::new();
        let producer = Producer::start_in(&arbiter.handle());
        assert_death_closes(producer, |_| assert!(arbiter.stop())).await;
    });
}

#[test]
fn a_producer_that_dies_before_a_close_leaves_its_place() {
    run(async {
        let (trace, process) = spawned(helper(["cat"])).await;
        let (first, second) = (Producer::start(), Producer::start());
        let guard = first.register(&process, 0, Push).unwrap();
        first.keep(guard).await;
        first.actor.do_send(Die::Stop);
        first
            .notes
            .until("its stop", |notes| {
                notes.contains(&Note::Stopped).then_some(())
            })
            .await;
        let guard = common::eventually(
            "its place to be free",
            || second.register(&process, 0, Pull).ok(),
            || "a producer".to_owned(),
        )
        .await;
        guard.write("x\n").unwrap();
        second.notes.told(0, &[Resume, Resume]).await;
        trace.output(&process, 1, "x").await;
        drop(guard);
        process.close_stdin();
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
        assert_eq!(first.notes.of(0), []);
    });
}

/// One child with a producer that ends in this way; waits until its actor is gone.
async fn round(kind: ProducerKind, way: u32) {
    let producer = Producer::start();
    let notes = producer.notes.clone();
    let process = producer.spawn(helper(["drain", "0"])).await;
    let guard = producer.register(&process, 0, kind).unwrap();
    guard.write(vec![0; PIPE * 2]).unwrap();
    match way {
        // The guard outlives the child.
        0 => {
            assert!(process.kill());
            notes.ended().await;
            drop(guard);
        }
        // Its own protocol dies: the child is orphaned as well.
        1 => {
            producer.keep(guard).await;
            process.close_stdin();
            producer.actor.do_send(Die::Stop);
            process.ended().await;
        }
        // The guard is dropped with its actor, which the guard's record knows until the close.
        2 => {
            producer.keep(guard).await;
            process.abort(0);
            notes.ended().await;
            assert_eq!(notes.of(0).last(), Some(&Stop));
        }
        _ => {
            process.close_stdin();
            drop(guard);
            notes.ended().await;
        }
    }
    drop((producer, process));
    let stopped = |notes: &[Note]| notes.contains(&Note::Stopped).then_some(());
    notes.until("the end of the producer", stopped).await;
}

#[test]
fn producers_leave_nothing_however_they_end() {
    isolated(|| {
        run(async {
            start_all_threads().await;
            let before = Census::quiet().await;
            for kind in [Push, Pull] {
                for way in [0, 1, 2, 3].repeat(5) {
                    round(kind, way).await;
                }
            }
            before.assert_restored_but_spawners().await;
        });
    });
}
