//! Terminals and slowness: pauses, slow protocols, sinks and producers on either half.

use crate::common;

use std::time::Duration;

use actix::prelude::*;
use actix_process::producer::{
    ProducerCommand, ProducerError, ProducerGuard, ProducerKind, ToProducer,
};
use actix_process::{
    CloseReason, Command, Fd, ProcessEvent, ProcessHandle, Pty, PtySize, Signal, WriteError,
};
use common::helper::{helper, pattern};
use common::slow_protocol::{SlowProtocol, Withheld};
use common::trace::{Trace, data_of, spawned};
use common::{DEADLINE, eventually, run};
use futures::SinkExt;
use futures::channel::mpsc;

const LARGE: usize = 2_000_000;

/// Long enough that something which should be held up would have come through, mostly.
const A_WHILE: Duration = Duration::from_millis(100);

fn raw() -> Pty {
    Pty::new(PtySize::new(24, 80)).raw(true)
}

/// A real program that gives back on 1 the `n` first bytes of 0.
fn head(n: usize) -> Command {
    Command::new("head").args(["-c", &n.to_string()]).pty(raw())
}

#[test]
fn a_pause_blocks_the_child_and_loses_nothing() {
    run(async {
        let size = LARGE.to_string();
        let child = helper(["take", "3", "1", "spam", &size, "tell", "4", "written"]);
        let child = child.pty(raw()).fd(3, Fd::write()).fd(4, Fd::read());
        let (trace, process) = spawned(child).await;
        // By all of them, and by the one.
        process.pause_child_fd(1);
        process.write_to_child(3, "x").unwrap();
        actix_rt::time::sleep(A_WHILE).await;
        let so_far = trace.of(&process);
        assert_eq!(data_of(&so_far, 1).len(), 0);
        assert_eq!(data_of(&so_far, 4).len(), 0, "it was not held up");
        process.resume_producing();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 3, 4]);
        assert!(history.data(1) == pattern(LARGE));
        assert_eq!(history.status().code(), Some(0));
    });
}

#[test]
fn pausing_what_is_written_does_nothing() {
    run(async {
        let (trace, process) = spawned(head(LARGE)).await;
        process.pause_child_fd(0);
        process.write(pattern(LARGE)).unwrap();
        let history = trace.ended(&process).await;
        assert!(history.data(1) == pattern(LARGE));
    });
}

#[test]
fn a_paused_terminal_tells_no_end_but_the_exit() {
    run(async {
        let child = helper(["take", "3", "1", "spam", "3000", "exit", "4"]);
        let child = child.pty(raw()).fd(3, Fd::write());
        let (trace, process) = spawned(child).await;
        process.pause_producing();
        process.write_to_child(3, "x").unwrap();
        assert_eq!(trace.exited(&process).await.code(), Some(4));
        // The half that is written is closed meanwhile.
        assert_eq!(trace.lost(&process, 0).await, CloseReason::ByChild);
        actix_rt::time::sleep(A_WHILE).await;
        let so_far = trace.of(&process);
        let of_output = |event: &ProcessEvent| match event {
            ProcessEvent::ChildDataReceived { .. } | ProcessEvent::ProcessEnded { .. } => true,
            ProcessEvent::ChildConnectionLost { fd, .. } => *fd == 1,
            _ => false,
        };
        assert!(!so_far.iter().any(of_output), "{so_far:?}");
        process.resume_producing();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 3]);
        assert!(history.data(1) == pattern(3000));
        assert_eq!(history.closes()[&1], CloseReason::ByChild);
    });
}

#[test]
fn a_slow_protocol_holds_its_child_up() {
    run(async {
        const WINDOW: usize = 10_000;
        const MESSAGES: usize = 64;
        let (withheld, protocol) = SlowProtocol::start_new();
        let size = LARGE.to_string();
        let child = helper(["spam", &size]).pty(raw()).window(WINDOW);
        let process = child.spawn(&protocol).await.unwrap();
        let seen = || format!("{} bytes", withheld.lock().unwrap().received.len());
        // The reader may also stop before the window is full: after 2 ms of data.
        let begun = || (withheld.lock().unwrap().bytes > 0).then_some(());
        eventually("data", begun, seen).await;
        actix_rt::time::sleep(A_WHILE).await;
        assert_eq!(process.try_status(), None, "it was not held up");
        let ended = || {
            Withheld::let_go(&withheld);
            withheld.lock().unwrap().ended.then_some(())
        };
        eventually("the end", ended, seen).await;
        let withheld = withheld.lock().unwrap();
        assert!(withheld.received == pattern(LARGE));
        assert!(withheld.most_bytes <= WINDOW, "{}", withheld.most_bytes);
        assert!(
            withheld.most_messages <= MESSAGES,
            "{}",
            withheld.most_messages
        );
    });
}

#[test]
fn input_and_output_flow_at_the_same_time() {
    run(async {
        let (trace, process) = spawned(head(LARGE)).await;
        process.write(pattern(LARGE)).unwrap();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1]);
        assert!(history.data(1) == pattern(LARGE));
        assert_eq!(history.status().code(), Some(0));
    });
}

#[test]
fn a_sink_types_with_back_pressure() {
    run(async {
        let child = helper(["take", "3", "1", "copy", "0", "1"]);
        let child = child.pty(raw()).fd(3, Fd::write());
        let (trace, process) = spawned(child).await;
        let mut sink = process.stdin().unwrap();
        // Nobody reads yet: there is an end to what it takes.
        let pieces: Vec<Vec<u8>> = pattern(LARGE).chunks(50_000).map(<[u8]>::to_vec).collect();
        let mut pieces = pieces.into_iter();
        let mut typed = 0;
        for piece in pieces.by_ref() {
            typed += piece.len();
            let sent = actix_rt::time::timeout(A_WHILE, sink.send(piece.into())).await;
            if sent.is_err() {
                break;
            }
        }
        assert!(typed < LARGE, "it took everything");
        process.write_to_child(3, "x").unwrap();
        for piece in pieces {
            let sent = actix_rt::time::timeout(DEADLINE, sink.send(piece.into())).await;
            sent.expect("no room").unwrap();
        }
        let all = |events: &[ProcessEvent]| {
            let data = data_of(events, 1);
            (data.len() >= LARGE).then_some(data)
        };
        assert!(trace.until(&process, "all of it", all).await == pattern(LARGE));
        process.lose_connection();
        let closed = actix_rt::time::timeout(DEADLINE, sink.send("late".into())).await;
        let refused = closed.expect("it waits").unwrap_err();
        assert_eq!(refused, WriteError::Closed { fd: 0 });
        trace.ended(&process).await.assert_rules(&[0, 1, 3]);
    });
}

/// Types the lines from 0 to `lines`, then hangs up, if it gets that far.
struct Typist {
    process: ProcessHandle,
    kind: ProducerKind,
    lines: u32,
    next: u32,
    guard: Option<ProducerGuard>,
    told: mpsc::UnboundedSender<ProducerCommand>,
}

impl Actor for Typist {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let registered = self.process.register_producer(0, self.kind, ctx.address());
        self.guard = Some(registered.unwrap());
        let again = self.process.register_producer(0, self.kind, ctx.address());
        assert_eq!(
            again.unwrap_err(),
            ProducerError::AlreadyRegistered { fd: 0 }
        );
        let read = self.process.register_producer(1, self.kind, ctx.address());
        assert_eq!(
            read.unwrap_err(),
            ProducerError::Write(WriteError::NotWritable { fd: 1 })
        );
    }
}

impl Handler<ToProducer> for Typist {
    type Result = ();

    fn handle(&mut self, message: ToProducer, ctx: &mut Self::Context) {
        let _ = self.told.unbounded_send(message.command);
        match (message.command, &self.guard) {
            (ProducerCommand::Resume, Some(guard)) if self.next < self.lines => {
                guard.write(format!("line {}\n", self.next)).unwrap();
                self.next += 1;
            }
            (ProducerCommand::Pause, _) => {}
            _ => {
                self.guard = None;
                ctx.stop();
            }
        }
    }
}

#[test]
fn a_pull_producer_types_as_fast_as_the_child_reads() {
    run(async {
        const LINES: u32 = 2000;
        let pty = Pty::new(PtySize::new(24, 80)).echo(false);
        let child = helper(["copy", "0", "3"]).pty(pty).fd(3, Fd::read());
        let (trace, process) = spawned(child).await;
        let (told, mut tells) = mpsc::unbounded();
        Typist {
            process: process.clone(),
            kind: ProducerKind::Pull,
            lines: LINES,
            next: 0,
            guard: None,
            told,
        }
        .start();
        let last = format!("line {}\n", LINES - 1);
        trace.output(&process, 3, &last).await;
        // Its guard is gone, so the end of the input is ours to type.
        process.write("\x04").unwrap();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 3]);
        let lines: String = (0..LINES).map(|n| format!("line {n}\n")).collect();
        assert!(history.text(3) == lines);
        let mut resumes = 0;
        while let Ok(command) = tells.try_recv() {
            assert_eq!(command, ProducerCommand::Resume);
            resumes += 1;
        }
        assert_eq!(resumes, LINES + 1);
    });
}

/// Writes down what it is told, and keeps its guard until it is told to stop.
struct Patient {
    guard: Option<ProducerGuard>,
    told: mpsc::UnboundedSender<ProducerCommand>,
}

impl Actor for Patient {
    type Context = Context<Self>;
}

impl Handler<ToProducer> for Patient {
    type Result = ();

    fn handle(&mut self, message: ToProducer, _: &mut Self::Context) {
        let _ = self.told.unbounded_send(message.command);
        if message.command == ProducerCommand::Stop {
            self.guard = None;
        }
    }
}

#[derive(Message)]
#[rtype(result = "Result<(), WriteError>")]
struct Type(usize);

impl Handler<Type> for Patient {
    type Result = Result<(), WriteError>;

    fn handle(&mut self, message: Type, _: &mut Self::Context) -> Self::Result {
        self.guard.as_ref().unwrap().write(pattern(message.0))
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct LetGo;

impl Handler<LetGo> for Patient {
    type Result = ();

    fn handle(&mut self, _: LetGo, _: &mut Self::Context) {
        self.guard = None;
    }
}

/// A child on a terminal that says `ready`, and a push producer on its 0.
async fn with_producer(
    actions: &[&str],
) -> (
    Trace,
    ProcessHandle,
    Addr<Patient>,
    mpsc::UnboundedReceiver<ProducerCommand>,
) {
    let child = helper(actions).pty(raw());
    let (trace, process) = spawned(child).await;
    trace.output(&process, 1, "ready").await;
    let (told, tells) = mpsc::unbounded();
    let patient = Patient::create(|ctx| {
        let guard = process.register_producer(0, ProducerKind::Push, ctx.address());
        let guard = Some(guard.unwrap());
        Patient { guard, told }
    });
    (trace, process, patient, tells)
}

#[test]
fn a_push_producer_is_paused_while_the_child_does_not_read() {
    run(async {
        let actions = ["say", "ready", "pause"];
        let (trace, process, producer, mut tells) = with_producer(&actions).await;
        // More than the kernel takes besides.
        producer.send(Type(1_000_000)).await.unwrap().unwrap();
        assert_eq!(next(&mut tells).await, ProducerCommand::Pause);
        assert!(process.kill());
        assert_eq!(next(&mut tells).await, ProducerCommand::Stop);
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1]);
        assert_eq!(history.closes()[&0], CloseReason::ByChild);
    });
}

#[test]
fn lose_connection_waits_for_a_producer() {
    run(async {
        let actions = ["say", "ready", "take", "0", "10", "say", "taken", "pause"];
        let (trace, process, producer, mut tells) = with_producer(&actions).await;
        process.lose_connection();
        assert_eq!(process.write("x"), Err(WriteError::Closed { fd: 0 }));
        producer.send(Type(10)).await.unwrap().unwrap();
        actix_rt::time::sleep(A_WHILE).await;
        assert_eq!(process.try_status(), None, "it was hung up");
        producer.send(LetGo).await.unwrap();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1]);
        assert_eq!(history.closes()[&0], CloseReason::ByParent);
        assert_eq!(history.status().signal(), Some(Signal::HUP));
        assert!(tells.try_recv().is_err(), "it was told more");
    });
}

#[test]
fn abort_waits_for_no_producer() {
    run(async {
        let actions = ["say", "ready", "pause"];
        let (trace, process, _producer, mut tells) = with_producer(&actions).await;
        process.abort(1);
        assert_eq!(next(&mut tells).await, ProducerCommand::Stop);
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1]);
        assert_eq!(history.closes()[&0], CloseReason::Aborted);
        assert_eq!(history.status().signal(), Some(Signal::HUP));
    });
}

async fn next(tells: &mut mpsc::UnboundedReceiver<ProducerCommand>) -> ProducerCommand {
    common::streams::next(tells).await.unwrap()
}
