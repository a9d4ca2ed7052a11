//! A protocol that writes down every event, and lets a test wait for them.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use actix::prelude::*;
use actix_process::{
    CloseReason, Command, ExitStatus, FromProcess, Line, ProcessEvent, ProcessHandle, ProcessId,
    ProcessProtocol, ProcessSupervisor, Spawn, process_protocol,
};
use bytes::Bytes;
use tokio::sync::Notify;

use super::{DEADLINE, in_time};

/// The events so far, of all children of one [`Tracer`].
#[derive(Clone, Default)]
pub struct Trace {
    shared: Arc<Shared>,
    /// Of one whose protocol nobody else keeps.
    _protocol: Option<Addr<Tracer>>,
}

#[derive(Default)]
struct Shared {
    events: Mutex<Vec<(ProcessId, ProcessEvent)>>,
    changed: Notify,
}

impl Trace {
    /// A trace and a started actor that fills it.
    pub fn start() -> (Self, Addr<Tracer>) {
        let trace = Self::default();
        let tracer = Tracer {
            trace: trace.clone(),
        };
        (trace, tracer.start())
    }

    /// The same, with the actor on another arbiter.
    pub fn start_in(arbiter: &ArbiterHandle) -> (Self, Addr<Tracer>) {
        let trace = Self::default();
        let tracer = Tracer {
            trace: trace.clone(),
        };
        (trace, Tracer::start_in_arbiter(arbiter, |_| tracer))
    }

    /// All events, oldest first.
    pub fn events(&self) -> Vec<(ProcessId, ProcessEvent)> {
        self.shared.events.lock().unwrap().clone()
    }

    /// The events of one child.
    pub fn of(&self, process: &ProcessHandle) -> Vec<ProcessEvent> {
        let id = process.id();
        let events = self.events().into_iter();
        events
            .filter(|(of, _)| *of == id)
            .map(|(_, event)| event)
            .collect()
    }

    pub fn push(&self, id: ProcessId, event: ProcessEvent) {
        self.shared.events.lock().unwrap().push((id, event));
        self.shared.changed.notify_waiters();
    }

    /// Waits until `found` finds what it wants in one child's events.
    pub async fn until<T>(
        &self,
        process: &ProcessHandle,
        what: &str,
        found: impl Fn(&[ProcessEvent]) -> Option<T>,
    ) -> T {
        let wait = async {
            loop {
                let changed = self.shared.changed.notified();
                if let Some(value) = found(&self.of(process)) {
                    return value;
                }
                changed.await;
            }
        };
        match actix_rt::time::timeout(DEADLINE, wait).await {
            Ok(value) => value,
            Err(_) => panic!("waited for {what}; saw {:?}", short(&self.of(process))),
        }
    }

    /// Waits for `ProcessEnded`; gives the child's whole history.
    pub async fn ended(&self, process: &ProcessHandle) -> History {
        let events = self.until(process, "ProcessEnded", |events| match events.last() {
            Some(ProcessEvent::ProcessEnded { .. }) => Some(events.to_vec()),
            _ => None,
        });
        History {
            events: events.await,
        }
    }

    /// Waits for `ProcessExited`.
    pub async fn exited(&self, process: &ProcessHandle) -> ExitStatus {
        self.until(process, "ProcessExited", |events| {
            events.iter().find_map(|event| match event {
                ProcessEvent::ProcessExited { status } => Some(*status),
                _ => None,
            })
        })
        .await
    }

    /// Waits until what came from `fd` contains `text`.
    pub async fn output(&self, process: &ProcessHandle, fd: i32, text: &str) -> Vec<u8> {
        self.until(process, &format!("{text:?} on fd {fd}"), |events| {
            let data = data_of(events, fd);
            contains(&data, text.as_bytes()).then_some(data)
        })
        .await
    }

    /// Waits until `fd` is closed.
    pub async fn lost(&self, process: &ProcessHandle, fd: i32) -> CloseReason {
        self.until(process, &format!("the close of fd {fd}"), |events| {
            events.iter().find_map(|event| match event {
                ProcessEvent::ChildConnectionLost { fd: of, reason } if *of == fd => Some(*reason),
                _ => None,
            })
        })
        .await
    }
}

fn contains(data: &[u8], text: &[u8]) -> bool {
    text.is_empty() || data.windows(text.len()).any(|window| window == text)
}

/// What came from `fd`, joined.
pub fn data_of(events: &[ProcessEvent], fd: i32) -> Vec<u8> {
    let mut joined = Vec::new();
    for event in events {
        if let ProcessEvent::ChildDataReceived { fd: of, data } = event
            && *of == fd
        {
            joined.extend_from_slice(data);
        }
    }
    joined
}

/// Spawns `command` with a protocol of its own, which lives as long as what it writes down.
pub async fn spawned(command: impl Borrow<Command>) -> (Trace, ProcessHandle) {
    let (mut trace, protocol) = Trace::start();
    let process = in_time(command.borrow().spawn(&protocol)).await.unwrap();
    trace._protocol = Some(protocol);
    (trace, process)
}

/// The same, by this supervisor.
pub async fn spawned_by(
    supervisor: &Addr<ProcessSupervisor>,
    command: impl Into<Command>,
) -> (Trace, ProcessHandle) {
    let (mut trace, protocol) = Trace::start();
    let spawn = Spawn::new(command, &protocol);
    let process = in_time(supervisor.send(spawn)).await.unwrap().unwrap();
    trace._protocol = Some(protocol);
    (trace, process)
}

/// The lines that came from `fd`.
pub fn lines_of(events: &[ProcessEvent], fd: i32) -> Vec<Line> {
    let lines = events.iter().filter_map(|event| match event {
        ProcessEvent::ChildLineReceived { fd: of, line } if *of == fd => Some(line.clone()),
        _ => None,
    });
    lines.collect()
}

/// Spawns `command` and waits for its end.
pub async fn history(command: &Command) -> History {
    let (trace, process) = spawned(command).await;
    trace.ended(&process).await
}

/// Events for a message: data by its length.
pub fn short(events: &[ProcessEvent]) -> Vec<String> {
    events
        .iter()
        .map(|event| match event {
            ProcessEvent::ChildDataReceived { fd, data } if data.len() > 60 => {
                format!("{} bytes from fd {fd}", data.len())
            }
            event => format!("{event:?}"),
        })
        .collect()
}

/// All events of a child that has ended.
#[derive(Debug)]
pub struct History {
    pub events: Vec<ProcessEvent>,
}

impl History {
    pub fn data(&self, fd: i32) -> Vec<u8> {
        data_of(&self.events, fd)
    }

    pub fn lines(&self, fd: i32) -> Vec<Line> {
        lines_of(&self.events, fd)
    }

    pub fn text(&self, fd: i32) -> String {
        String::from_utf8(self.data(fd)).expect("text")
    }

    pub fn status(&self) -> ExitStatus {
        match self.events.last() {
            Some(ProcessEvent::ProcessEnded { status }) => *status,
            last => panic!("the last event is {last:?}"),
        }
    }

    /// Why each descriptor was closed.
    pub fn closes(&self) -> BTreeMap<i32, CloseReason> {
        let mut closes = BTreeMap::new();
        for event in &self.events {
            if let ProcessEvent::ChildConnectionLost { fd, reason } = event {
                let twice = closes.insert(*fd, *reason);
                assert_eq!(twice, None, "fd {fd} was closed twice");
            }
        }
        closes
    }

    /// Holds the rules that every child keeps: 1, 2 and 3.
    pub fn assert_rules(&self, piped: &[i32]) {
        let events = &self.events;
        let shown = || short(events);
        assert_eq!(
            events.first(),
            Some(&ProcessEvent::ConnectionMade),
            "{:?}",
            shown()
        );
        let once: [fn(&ProcessEvent) -> bool; 3] = [
            |event| matches!(event, ProcessEvent::ConnectionMade),
            |event| matches!(event, ProcessEvent::ProcessExited { .. }),
            |event| matches!(event, ProcessEvent::ProcessEnded { .. }),
        ];
        for wanted in once {
            let count = events.iter().filter(|event| wanted(event)).count();
            assert_eq!(count, 1, "{:?}", shown());
        }
        let closed: Vec<i32> = self.closes().into_keys().collect();
        let mut piped = piped.to_vec();
        piped.sort_unstable();
        assert_eq!(closed, piped, "{:?}", shown());
        for (at, event) in events.iter().enumerate() {
            if let ProcessEvent::ChildConnectionLost { fd, .. } = event {
                assert!(
                    data_of(&events[at..], *fd).is_empty()
                        && lines_of(&events[at..], *fd).is_empty(),
                    "data of fd {fd} after its close"
                );
            }
            if let ProcessEvent::ProcessExited { status } = event {
                assert_eq!(*status, self.status());
            }
        }
    }
}

/// The actor that fills a [`Trace`].
pub struct Tracer {
    trace: Trace,
}

impl Actor for Tracer {
    type Context = Context<Self>;
}

impl ProcessProtocol for Tracer {
    fn connection_made(&mut self, process: &ProcessHandle, _: &mut Self::Context) {
        self.trace.push(process.id(), ProcessEvent::ConnectionMade);
    }
    fn child_data_received(
        &mut self,
        process: &ProcessHandle,
        fd: i32,
        data: Bytes,
        _: &mut Self::Context,
    ) {
        self.trace
            .push(process.id(), ProcessEvent::ChildDataReceived { fd, data });
    }
    fn line_received(
        &mut self,
        process: &ProcessHandle,
        fd: i32,
        line: Line,
        _: &mut Self::Context,
    ) {
        let event = ProcessEvent::ChildLineReceived { fd, line };
        self.trace.push(process.id(), event);
    }
    fn child_connection_lost(
        &mut self,
        process: &ProcessHandle,
        fd: i32,
        reason: CloseReason,
        _: &mut Self::Context,
    ) {
        self.trace.push(
            process.id(),
            ProcessEvent::ChildConnectionLost { fd, reason },
        );
    }
    fn process_exited(
        &mut self,
        process: &ProcessHandle,
        status: ExitStatus,
        _: &mut Self::Context,
    ) {
        self.trace
            .push(process.id(), ProcessEvent::ProcessExited { status });
    }
    fn process_ended(
        &mut self,
        process: &ProcessHandle,
        status: ExitStatus,
        _: &mut Self::Context,
    ) {
        self.trace
            .push(process.id(), ProcessEvent::ProcessEnded { status });
    }
}
process_protocol!(Tracer);

/// Makes an actor stop or panic.
#[derive(Message)]
#[rtype(result = "()")]
pub enum Die {
    Stop,
    Panic,
}

impl Die {
    /// Does it to the actor whose context this is.
    pub fn of<A: Actor<Context = Context<A>>>(self, ctx: &mut Context<A>) {
        match self {
            Self::Stop => ctx.stop(),
            Self::Panic => panic!("an actor that panics, on purpose"),
        }
    }
}

impl Handler<Die> for Tracer {
    type Result = ();

    fn handle(&mut self, die: Die, ctx: &mut Self::Context) {
        die.of(ctx);
    }
}

/// A relay without `dispatch`: an actor whose handler is written by hand.
pub struct Raw {
    pub trace: Trace,
}

impl Actor for Raw {
    type Context = Context<Self>;
}

impl Handler<FromProcess> for Raw {
    type Result = ();

    fn handle(&mut self, message: FromProcess, _: &mut Self::Context) {
        self.trace.push(message.process.id(), message.event);
    }
}

impl Handler<Die> for Raw {
    type Result = ();

    fn handle(&mut self, die: Die, ctx: &mut Self::Context) {
        die.of(ctx);
    }
}
