//! What a protocol does in its first event, `ConnectionMade`, is done before the first byte is read.

use crate::common;

use std::sync::Mutex;

use actix::prelude::*;
use actix_process::{
    CloseReason, Command, Fd, FromProcess, OnOrphaned, ProcessEvent, ProcessHandle, ProcessId,
    PtySize,
};
use common::helper::{helper, pattern};
use common::trace::{Die, Raw, Trace, data_of, spawned};
use common::{amount, eventually, in_time, run, soon, streams};

/// A relay that does something about the first event, and drops it when it is done.
struct First {
    trace: Trace,
    act: fn(FromProcess, &mut Context<Self>),
}

impl First {
    fn start_new(act: fn(FromProcess, &mut Context<Self>)) -> (Trace, Addr<Self>) {
        let trace = Trace::default();
        let first = Self {
            trace: trace.clone(),
            act,
        };
        (trace, first.start())
    }

    fn start_in(
        arbiter: &ArbiterHandle,
        act: fn(FromProcess, &mut Context<Self>),
    ) -> (Trace, Addr<Self>) {
        let trace = Trace::default();
        let first = Self {
            trace: trace.clone(),
            act,
        };
        (trace, Self::start_in_arbiter(arbiter, |_| first))
    }
}

impl Actor for First {
    type Context = Context<Self>;
}

impl Handler<FromProcess> for First {
    type Result = ();

    fn handle(&mut self, message: FromProcess, ctx: &mut Context<Self>) {
        let event = message.event.clone();
        self.trace.push(message.process.id(), event.clone());
        if event == ProcessEvent::ConnectionMade {
            (self.act)(message, ctx);
        }
    }
}

/// Whose first event has paused them.
static PAUSED: Mutex<Vec<ProcessId>> = Mutex::new(Vec::new());

fn pause(message: FromProcess, _: &mut Context<First>) {
    message.process.pause_producing();
    PAUSED.lock().unwrap().push(message.process.id());
}

/// Pauses after some turns of the arbiter, in a future that has the message.
fn pause_later(message: FromProcess, ctx: &mut Context<First>) {
    let later = async move {
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
        message.process.pause_producing();
        PAUSED.lock().unwrap().push(message.process.id());
        drop(message);
    };
    ctx.spawn(fut::wrap_future::<_, First>(later));
}

fn of_output(event: &ProcessEvent) -> bool {
    match event {
        ProcessEvent::ChildDataReceived { .. } | ProcessEvent::ProcessEnded { .. } => true,
        ProcessEvent::ChildConnectionLost { fd, .. } => *fd != 0,
        _ => false,
    }
}

const SIZE: usize = 60_000;

/// A child that writes what a pipe holds, and exits.
fn quick() -> Command {
    Command::new("head").args(["-c", &SIZE.to_string(), "/dev/zero"])
}

/// Nothing of a dead child comes before the resume, then all does.
async fn assert_held(trace: &Trace, process: &ProcessHandle) {
    trace.exited(process).await;
    let paused = || PAUSED.lock().unwrap().contains(&process.id()).then_some(());
    eventually("the pause", paused, || format!("{:?}", trace.of(process))).await;
    // The arbiter has had its turns, and the readers theirs.
    let (other, turns) = spawned(Command::new("true")).await;
    other.ended(&turns).await;
    let so_far = trace.of(process);
    assert!(
        !so_far.iter().any(of_output),
        "{:?}",
        common::trace::short(&so_far)
    );
    process.resume_producing();
    let history = trace.ended(process).await;
    assert_eq!(history.data(1).len(), SIZE);
}

#[test]
fn what_is_paused_there_gives_nothing_before_the_resume() {
    run(async {
        let arbiter = Arbiter::new();
        for round in 0..amount(200, 80) {
            let act = if round % 2 == 0 { pause } else { pause_later };
            let (trace, protocol) = match round % 4 {
                0 | 1 => First::start_new(act),
                _ => First::start_in(&arbiter.handle(), act),
            };
            let process = quick().spawn(&protocol).await.unwrap();
            assert_held(&trace, &process).await;
        }
        arbiter.stop();
    });
}

#[test]
fn a_terminal_that_is_paused_there_gives_nothing_before_the_resume() {
    run(async {
        for _ in 0..20 {
            let (trace, protocol) = First::start_new(pause);
            let child = helper(["say", "words"]).pty(PtySize::new(24, 80));
            let process = child.spawn(&protocol).await.unwrap();
            trace.exited(&process).await;
            let so_far = trace.of(&process);
            assert!(!so_far.iter().any(of_output), "{so_far:?}");
            process.resume_producing();
            assert_eq!(trace.ended(&process).await.text(1), "words\r\n");
        }
    });
}

#[test]
fn of_what_is_closed_there_nothing_comes() {
    run(async {
        for _ in 0..50 {
            let (trace, protocol) = First::start_new(|made, _| made.process.close_stdout());
            let process = quick().spawn(&protocol).await.unwrap();
            let history = trace.ended(&process).await;
            history.assert_rules(&[0, 1, 2]);
            assert_eq!(history.closes()[&1], CloseReason::ByParent);
            assert!(history.data(1).is_empty());
        }
    });
}

#[test]
fn what_is_cut_there_is_closed_when_it_was_handled() {
    run(async {
        let (trace, protocol) = First::start_new(|made, _| made.process.cut_connection());
        let process = helper(["pause"]).spawn(&protocol).await.unwrap();
        assert_eq!(trace.lost(&process, 1).await, CloseReason::Cut);
        assert!(process.kill());
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
    });
}

/// Where a protocol puts its first event that never has done with it.
static KEPT: Mutex<Vec<FromProcess>> = Mutex::new(Vec::new());

fn keep(message: FromProcess, _: &mut Context<First>) {
    KEPT.lock().unwrap().push(message);
}

/// Drops the first event of `process`; not under the lock, since it wakes the readers.
fn let_go(process: &ProcessHandle) {
    let mut kept = KEPT.lock().unwrap();
    let at = kept.iter().position(|kept| kept.process == *process);
    let made = at.map(|at| kept.swap_remove(at));
    drop(kept);
    drop(made);
}

#[test]
fn as_long_as_it_is_kept_nothing_is_read_but_streams() {
    run(async {
        let (trace, protocol) = First::start_new(keep);
        let child = helper(["spam", "1000", "flood", "5", "1000"]).fd(5, Fd::stream());
        let process = child.spawn(&protocol).await.unwrap();
        let streamed = streams::bytes(process.take_stream(5).unwrap()).await;
        assert_eq!(streamed, pattern(1000));
        trace.exited(&process).await;
        assert!(data_of(&trace.of(&process), 1).is_empty());
        let_go(&process);
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2, 5]);
        assert_eq!(history.data(1), pattern(1000));
    });
}

#[test]
fn what_is_closed_while_it_is_kept_is_closed_at_once() {
    run(async {
        let (trace, protocol) = First::start_new(keep);
        let process = helper(["spam", "1000", "pause"])
            .spawn(&protocol)
            .await
            .unwrap();
        process.lose_connection();
        for fd in [1, 2] {
            assert_eq!(trace.lost(&process, fd).await, CloseReason::ByParent);
        }
        assert!(process.kill());
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
        let_go(&process);
    });
}

#[test]
fn an_orphan_whose_first_event_is_kept_ends() {
    run(async {
        let (trace, protocol) = First::start_new(keep);
        let arbiter = Arbiter::new();
        let (tell, told) = tokio::sync::oneshot::channel();
        arbiter.spawn(async move {
            let child = helper(["spam", "1000", "pause"]).on_orphaned(OnOrphaned::Kill);
            let _ = tell.send(child.spawn(&protocol).await.unwrap());
        });
        let process = in_time(told).await.unwrap();
        arbiter.stop();
        arbiter.join().unwrap();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert_eq!(history.closes()[&1], CloseReason::Gone);
        let_go(&process);
    });
}

#[test]
fn a_protocol_that_dies_before_it_or_in_it_leaves_a_child_that_ends() {
    run(async {
        for round in 0..60 {
            let child = helper(["spam", "1000", "pause"]).on_orphaned(OnOrphaned::Kill);
            let arbiter = Arbiter::new();
            let trace = Trace::default();
            let raw = Raw { trace };
            let protocol = match round % 3 {
                0 => raw.start(),
                _ => Raw::start_in_arbiter(&arbiter.handle(), |_| raw),
            };
            let spawning = child.spawn(&protocol);
            match round % 3 {
                2 => _ = arbiter.stop(),
                _ => protocol.do_send(Die::Stop),
            }
            // It may have been gone before the commit.
            if let Ok(process) = in_time(spawning).await {
                soon("the end", process.ended()).await;
            }
            arbiter.stop();
        }
    });
}

#[test]
fn a_protocol_that_is_blocked_gets_all_when_it_goes_on() {
    run(async {
        let arbiter = Arbiter::new();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        arbiter.spawn_fn(move || _ = wait.recv());
        let (trace, protocol) = Trace::start_in(&arbiter.handle());
        let child = helper(["spam", "50000"]);
        let process = in_time(child.spawn(&protocol)).await.unwrap();
        in_time(process.exited()).await;
        assert!(trace.events().is_empty());
        drop(go);
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert!(history.data(1) == pattern(50_000));
        arbiter.stop();
    });
}

/// With the message in its hands. Its handler is written by hand, so its death shows at the next event.
#[test]
fn a_protocol_that_panics_in_it_leaves_a_child_that_ends() {
    run(async {
        let arbiter = Arbiter::new();
        for _ in 0..5 {
            let (_, protocol) = First::start_in(&arbiter.handle(), |_, _| {
                panic!("a first event that panics, on purpose")
            });
            let child = helper(["chatter"]).on_orphaned(OnOrphaned::Kill);
            let process = in_time(child.spawn(&protocol)).await.unwrap();
            soon("the end", process.ended()).await;
        }
        arbiter.stop();
    });
}
