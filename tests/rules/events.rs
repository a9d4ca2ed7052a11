//! The delivery rules of the crate's documentation, each by tests named for it: 1 to 6 here, 7 and
//! 8 in `flow.rs`, 9 to 12 in `closes.rs`, 13 in `timeout.rs`, 16 in `io/lines.rs` and `io/frames.rs`.

use crate::common;

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Waker};
use std::time::Duration;

use crate::tools::events::{count, is_end, is_lost};
use actix::prelude::*;
use actix_process::{CloseReason, Command, Fd, FdMap, FromProcess, ProcessEvent, Spawn};
use common::helper::{helper, pattern};
use common::trace::{Trace, data_of, spawned};
use common::{eventually, run};

#[test]
fn rule_01_connection_made_is_first_and_once() {
    run(async {
        let (trace, protocol) = Trace::start();
        let process = helper(["say", "hello"]).spawn(&protocol).await.unwrap();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert_eq!(history.text(1), "hello\n");

        let failed = Command::new("/no/such/program").spawn(&protocol).await;
        assert!(failed.is_err());
        let made = trace.events().into_iter();
        let made = made.filter(|(_, event)| matches!(event, ProcessEvent::ConnectionMade));
        assert_eq!(made.count(), 1);
    });
}

#[test]
fn rule_01_a_cancelled_spawn_sends_no_event() {
    run(async {
        let (trace, protocol) = Trace::start();
        for _ in 0..20 {
            let mut spawning = pin!(helper(["say", "never"]).spawn(&protocol));
            let polled = spawning
                .as_mut()
                .poll(&mut TaskContext::from_waker(Waker::noop()));
            assert!(polled.is_pending());
            // Nothing ran on this arbiter since the poll: it cannot be committed.
            spawning.set(Command::new("unused").spawn(&protocol));
        }
        // Passes the same spawner threads as those before it.
        let process = helper(["say", "hello"]).spawn(&protocol).await.unwrap();
        trace.ended(&process).await;
        let others = trace.events();
        let others: Vec<_> = others
            .iter()
            .filter(|(id, _)| *id != process.id())
            .collect();
        assert!(others.is_empty(), "{others:?}");
    });
}

#[test]
fn rule_02_the_exit_is_told_at_the_reap_while_a_descendant_holds_every_pipe() {
    run(async {
        let child = helper(["hold-until", "0", "exit", "3"]);
        let (trace, process) = spawned(child).await;
        let status = trace.exited(&process).await;
        assert_eq!(status.code(), Some(3));
        let so_far = trace.of(&process);
        assert_eq!(count(&so_far, is_lost) + count(&so_far, is_end), 0);

        process.close_stdin();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert_eq!(history.status(), status);
    });
}

#[test]
fn rule_03_each_of_many_descriptors_is_lost_once_and_before_the_end() {
    run(async {
        const FDS: i32 = 40;
        let mut map = FdMap::new();
        let mut actions = Vec::new();
        for fd in 0..FDS {
            if fd % 2 == 1 {
                map = map.set(fd, Fd::read());
                actions.extend(["tell".to_owned(), fd.to_string(), format!("I am {fd}")]);
            } else {
                map = map.set(fd, Fd::write());
            }
        }
        let (trace, process) = spawned(helper(actions).fds(map)).await;
        let history = trace.ended(&process).await;
        history.assert_rules(&(0..FDS).collect::<Vec<_>>());
        for fd in (1..FDS).step_by(2) {
            assert_eq!(history.text(fd), format!("I am {fd}\n"));
        }
    });
}

#[test]
fn rule_04_what_a_descendant_writes_after_the_death_is_delivered_before_the_close() {
    run(async {
        let child = helper(["say", "first", "hold-until", "0"]);
        let (trace, process) = spawned(child).await;
        trace.exited(&process).await;
        process.close_stdin();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        let text = history.text(1);
        assert!(text.starts_with("first\nheld "), "{text}");
        assert!(text.ends_with("\ndescendant done\n"), "{text}");
    });
}

#[test]
fn rule_04_every_byte_comes_though_the_child_dies_with_a_full_pipe() {
    run(async {
        const SIZE: usize = 3_000_001;
        let (trace, process) = spawned(helper(["spam", &SIZE.to_string()])).await;
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert!(history.data(1) == pattern(SIZE), "other bytes came");
    });
}

#[test]
fn rule_05_the_exit_comes_before_or_after_data_and_closes() {
    run(async {
        let (trace, protocol) = Trace::start();
        let descendant = helper(["hold-until", "0"]);
        let descendant = descendant.spawn(&protocol).await.unwrap();
        trace.exited(&descendant).await;
        descendant.close_stdin();
        let events = trace.ended(&descendant).await.events;
        let exit = events.iter().position(is_exit).unwrap();
        assert!(!data_of(&events[exit..], 1).is_empty());
        assert_eq!(count(&events[exit..], is_lost), 3);

        let child = helper([
            "say", "last", "close", "0", "close", "1", "close", "2", "pause",
        ]);
        let process = child.spawn(&protocol).await.unwrap();
        for fd in 0..3 {
            assert_eq!(trace.lost(&process, fd).await, CloseReason::ByChild);
        }
        assert_eq!(count(&trace.of(&process), is_exit), 0);
        assert!(process.kill());
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert_eq!(history.text(1), "last\n");
    });
}

fn is_exit(event: &ProcessEvent) -> bool {
    matches!(event, ProcessEvent::ProcessExited { .. })
}

/// Asks for a child and stays in the asking call until that child must be running.
struct Asking {
    inside: bool,
    seen: Arc<Mutex<Vec<&'static str>>>,
}

impl Actor for Asking {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.inside = true;
        let supervisor = actix_process::ProcessSupervisor::current().unwrap();
        supervisor.do_send(Spawn::new(helper(["say", "hello"]), ctx.address()));
        // No wait for anything: time for a crate that breaks the rule to do so.
        std::thread::sleep(Duration::from_millis(50));
        self.inside = false;
        self.seen.lock().unwrap().push("asked");
    }
}

impl Handler<FromProcess> for Asking {
    type Result = ();

    fn handle(&mut self, message: FromProcess, ctx: &mut Self::Context) {
        assert!(!self.inside, "an event inside the call that spawns");
        let mut seen = self.seen.lock().unwrap();
        match message.event {
            ProcessEvent::ConnectionMade => seen.push("made"),
            ProcessEvent::ProcessEnded { .. } => {
                seen.push("ended");
                ctx.stop();
            }
            _ => {}
        }
    }
}

#[test]
fn rule_06_events_are_messages_that_come_after_the_call_that_spawns() {
    run(async {
        let seen = Arc::new(Mutex::new(Vec::new()));
        Asking {
            inside: false,
            seen: Arc::clone(&seen),
        }
        .start();
        let seen = || seen.lock().unwrap().clone();
        eventually(
            "the end of the child",
            || seen().contains(&"ended").then_some(()),
            || format!("{:?}", seen()),
        )
        .await;
        assert_eq!(seen(), ["asked", "made", "ended"]);
    });
}

#[test]
fn rule_06_the_first_event_is_in_the_mailbox_before_the_answer() {
    run(async {
        let (trace, protocol) = Trace::start();
        for _ in 0..20 {
            let process = helper(["exit", "0"]).spawn(&protocol).await.unwrap();
            // A message of ours, queued now, is handled after it.
            let _ = protocol.send(Mark).await;
            assert_eq!(
                trace.of(&process).first(),
                Some(&ProcessEvent::ConnectionMade)
            );
        }
    });
}

#[derive(Message)]
#[rtype(result = "()")]
struct Mark;

impl Handler<Mark> for common::trace::Tracer {
    type Result = ();

    fn handle(&mut self, _: Mark, _: &mut Self::Context) {}
}
