//! The end of a producer: it is told to stop before its protocol hears of the close, and nothing
//! but a close after the flush waits for it.

use crate::common;

use std::time::Duration;

use crate::tools::producing::{Note, Notes, PIPE, Producer, Teller, fill};
use actix::prelude::*;
use actix_process::producer::ProducerCommand::{Pause, Resume, Stop};
use actix_process::producer::ProducerKind::{self, Pull, Push};
use actix_process::producer::{ProducerCommand, ProducerGuard, ToProducer};
use actix_process::{CloseReason, Command, Fd, NoProtocol, OnOrphaned, ProcessHandle};
use actix_process::{PtySize, Spawn, WriteError};
use common::helper::helper;
use common::run;
use common::trace::{Die, Trace, spawned};
use tokio::sync::oneshot;

const CLOSED: Result<(), WriteError> = Err(WriteError::Closed { fd: 0 });

/// A producer of one child's 0, in each state that one can be in.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Running,
    Paused,
    Asked,
}

const STATES: [State; 3] = [State::Running, State::Paused, State::Asked];

impl State {
    /// Registers a producer, and gets it into this state. The child does not read.
    async fn of(self, producer: &Producer, process: &ProcessHandle) -> ProducerGuard {
        fill(process, 0).await;
        let kind = if self == Self::Asked { Pull } else { Push };
        let guard = producer.register(process, 0, kind).unwrap();
        if self == Self::Paused {
            guard.write(vec![0; PIPE + 1]).unwrap();
        }
        assert_eq!(producer.told_so_far(0).await, self.told());
        guard
    }

    /// What the producer was told so far.
    const fn told(self) -> &'static [ProducerCommand] {
        match self {
            Self::Running => &[],
            Self::Paused => &[Pause],
            Self::Asked => &[Resume],
        }
    }
}

/// Has a child with a producer, loses 0 by `lose`, and holds the order of what follows.
async fn assert_stopped(
    command: &Command,
    reason: CloseReason,
    lose: impl AsyncFn(&Producer, &ProcessHandle),
) {
    for state in STATES {
        let producer = Producer::start();
        let process = producer.spawn(command.clone()).await;
        let guard = state.of(&producer, &process).await;
        lose(&producer, &process).await;
        assert_eq!(producer.notes.lost(0).await, reason, "{state:?}");
        let told = [state.told(), &[Stop]].concat();
        assert_eq!(producer.notes.of(0), told);
        producer.notes.assert_stop_before_close(0);
        // Nothing is told, nor taken, any more.
        assert_eq!(guard.write("late"), CLOSED);
        assert_eq!(process.write("late"), CLOSED);
        process.kill();
        process.lose_connection();
        producer.notes.ended().await;
        assert_eq!(guard.write("late"), CLOSED);
        drop(guard);
        assert_eq!(producer.told_so_far(0).await, told);
    }
}

#[test]
fn a_producer_is_told_to_stop_before_the_childs_close_is_reported() {
    run(async {
        let child = helper(["take", "3", "1", "close", "0", "pause"]).fd(3, Fd::write());
        assert_stopped(&child, CloseReason::ByChild, async |_, process| {
            process.write_to_child(3, "!").unwrap();
        })
        .await;
    });
}

#[test]
fn a_producer_is_told_to_stop_before_the_close_at_the_childs_exit_is_reported() {
    run(async {
        let child = helper(["take", "3", "1"]).fd(3, Fd::write());
        assert_stopped(&child, CloseReason::ByChild, async |_, process| {
            process.write_to_child(3, "!").unwrap();
        })
        .await;
    });
}

#[test]
fn a_kill_waits_for_no_producer() {
    run(async {
        assert_stopped(
            &helper(["pause"]),
            CloseReason::ByChild,
            async |_, process| {
                assert!(process.kill());
            },
        )
        .await;
    });
}

#[test]
fn an_abort_waits_for_no_producer() {
    run(async {
        assert_stopped(
            &helper(["pause"]),
            CloseReason::Aborted,
            async |_, process| {
                process.abort(0);
            },
        )
        .await;
    });
}

#[test]
fn an_abort_ends_a_close_that_waits_for_a_producer() {
    run(async {
        assert_stopped(
            &helper(["pause"]),
            CloseReason::Aborted,
            async |_, process| {
                process.close_stdin();
                process.abort(0);
            },
        )
        .await;
    });
}

#[test]
fn a_childs_close_ends_a_close_that_waits_for_a_producer() {
    run(async {
        assert_stopped(
            &helper(["pause"]),
            CloseReason::ByChild,
            async |_, process| {
                process.close_stdin();
                assert!(process.kill());
            },
        )
        .await;
    });
}

#[test]
fn a_cut_waits_for_no_producer() {
    run(async {
        assert_stopped(&helper(["pause"]), CloseReason::Cut, async |_, process| {
            process.cut_connection();
        })
        .await;
    });
}

#[test]
fn the_cut_of_an_ended_timeout_waits_for_no_producer() {
    run(async {
        // The descendant does not read 0 before 3 ends, which the cut closes as well.
        let descendant = ["leave", "2", "drain", "3", "take", "4", "1"];
        let child = helper(descendant).fd(3, Fd::write()).fd(4, Fd::write());
        let child = child.ended_timeout(Duration::from_millis(20));
        assert_stopped(&child, CloseReason::Cut, async |_, process| {
            process.write_to_child(4, "!").unwrap();
        })
        .await;
    });
}

#[test]
fn the_close_of_an_orphan_waits_for_no_producer() {
    run(async {
        for policy in [OnOrphaned::Kill, OnOrphaned::Leave] {
            for state in STATES {
                let (_, protocol) = Trace::start();
                let producer = Producer::start();
                let child = helper(["take", "3", "1", "exit", "0"]).fd(3, Fd::write());
                let child = child.on_orphaned(policy);
                let process = child.spawn(&protocol).await.unwrap();
                let guard = state.of(&producer, &process).await;
                process.close_stdin();
                protocol.do_send(Die::Stop);
                let told = [state.told(), &[Stop]].concat();
                producer.notes.told(0, &told).await;
                assert_eq!(guard.write("late"), CLOSED);
                process.ended().await;
                drop(guard);
                assert_eq!(producer.told_so_far(0).await, told);
            }
        }
    });
}

#[test]
fn a_producer_is_told_to_stop_when_the_arbiter_of_the_pipes_stops() {
    run(async {
        let arbiter = Arbiter::new();
        let (tell, told) = oneshot::channel();
        arbiter.spawn(async {
            let child = Spawn::new(helper(["pause"]), NoProtocol);
            let supervisor = actix_process::ProcessSupervisor::current().unwrap();
            let _ = tell.send(supervisor.send(child).await.unwrap().unwrap());
        });
        let process = told.await.unwrap();
        let producer = Producer::start();
        let guard = producer.register(&process, 0, Pull).unwrap();
        arbiter.stop();
        producer.notes.told(0, &[Resume, Stop]).await;
        assert_eq!(guard.write("late"), CLOSED);
        process.ended().await;
        assert_eq!(producer.told_so_far(0).await, [Resume, Stop]);
    });
}

#[test]
fn the_producers_of_all_descriptors_are_told_to_stop() {
    run(async {
        let producer = Producer::start();
        let child = helper(["pause"]).fd(3, Fd::write()).fd(70, Fd::write());
        let process = producer.spawn(child).await;
        let kinds: [(i32, ProducerKind); 3] = [(0, Push), (3, Pull), (70, Push)];
        let guards = kinds.map(|(fd, kind)| producer.register(&process, fd, kind).unwrap());
        assert!(process.kill());
        producer.notes.ended().await;
        for (fd, _) in kinds {
            producer.notes.assert_stop_before_close(fd);
        }
        drop(guards);
    });
}

#[test]
fn the_producer_of_a_terminal_is_told_to_stop_before_the_hang_up_is_reported() {
    run(async {
        let producer = Producer::start();
        let child = helper(["say", "ready", "pause"]).pty(PtySize::new(24, 80));
        let process = producer.spawn(child).await;
        producer.notes.output("ready").await;
        let guard = producer.register(&process, 0, Push).unwrap();
        assert!(process.kill());
        producer.notes.ended().await;
        producer.notes.assert_stop_before_close(0);
        drop(guard);
    });
}

/// A producer of which nobody but the crate has an address, that is busy in a future of its own.
struct Lonely {
    teller: Teller,
    busy: Option<(oneshot::Sender<()>, std::sync::mpsc::Receiver<()>)>,
}

impl Actor for Lonely {
    type Context = Context<Self>;
}

impl Handler<ToProducer> for Lonely {
    type Result = ();

    fn handle(&mut self, told: ToProducer, ctx: &mut Self::Context) {
        if let Some((begun, go_on)) = self.busy.take() {
            let busy = async move {
                // Not in the turn that handled the message.
                actix_rt::task::yield_now().await;
                begun.send(()).unwrap();
                go_on.recv().unwrap();
            };
            ctx.spawn(busy.into_actor(self));
        }
        self.teller.push(Note::Told(told.fd, told.command));
    }
}

#[test]
fn a_producer_is_told_to_stop_though_nobody_has_its_address_any_more() {
    run(async {
        let arbiter = Arbiter::new();
        let (trace, process) = spawned(helper(["pause"])).await;
        let notes = Notes::default();
        let (tell, begun) = oneshot::channel();
        let (let_go, go_on) = std::sync::mpsc::channel();
        let lonely = Lonely {
            teller: Teller::new(&notes),
            busy: Some((tell, go_on)),
        };
        let actor = Lonely::start_in_arbiter(&arbiter.handle(), |_| lonely);
        let guard = process.register_producer(0, Pull, actor).unwrap();
        // The actor has looked into its mailbox, and does something else.
        begun.await.unwrap();
        process.abort(0);
        trace.lost(&process, 0).await;
        let_go.send(()).unwrap();
        notes.told(0, &[Resume, Stop]).await;
        assert!(process.kill());
        trace.ended(&process).await;
        drop(guard);
        arbiter.stop();
    });
}
