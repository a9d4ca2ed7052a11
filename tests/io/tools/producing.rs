//! An actor that is producer and protocol in one, and writes down in one list what it is told.

use std::sync::{Arc, Mutex};

use actix::prelude::*;
use actix_process::producer::{
    ProducerCommand, ProducerError, ProducerGuard, ProducerKind, ToProducer,
};
use actix_process::{Bytes, CloseReason, Command, ExitStatus, ProcessEvent, ProcessHandle};
use actix_process::{ProcessProtocol, process_protocol};
use futures::SinkExt;
use tokio::sync::{Notify, oneshot};

use crate::common::trace::Die;
use crate::common::{DEADLINE, soon};

/// What a pipe holds whose child does not read.
pub const PIPE: usize = 64 * 1024;

/// Fills the pipe of `fd`, which the child does not read: from now on the queue keeps all it gets.
pub async fn fill(process: &ProcessHandle, fd: i32) {
    let mut sink = process.sink(fd).unwrap();
    let sent = soon("a pipe full", sink.send(vec![0; PIPE].into()));
    sent.await.unwrap();
}

/// One thing that the actor was told.
#[derive(Debug, Clone, PartialEq)]
pub enum Note {
    /// By the descriptor, as its producer.
    Told(i32, ProducerCommand),
    /// As the protocol.
    Event(ProcessEvent),
    /// It has stopped.
    Stopped,
}

/// Waits until all that was queued for `fd` is written.
pub async fn flushed(process: &ProcessHandle, fd: i32) {
    let mut sink = process.sink(fd).unwrap();
    soon("the flush", sink.flush()).await.unwrap();
}

/// The list, which outlives the actor.
#[derive(Clone, Default)]
pub struct Notes {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    notes: Mutex<Vec<Note>>,
    changed: Notify,
}

impl Notes {
    pub fn push(&self, note: Note) {
        self.shared.notes.lock().unwrap().push(note);
        self.shared.changed.notify_waiters();
    }

    /// All of it so far.
    pub fn all(&self) -> Vec<Note> {
        self.shared.notes.lock().unwrap().clone()
    }

    /// What the producer of `fd` was told so far.
    pub fn of(&self, fd: i32) -> Vec<ProducerCommand> {
        let notes = self.all().into_iter();
        notes
            .filter_map(|note| match note {
                Note::Told(of, command) if of == fd => Some(command),
                _ => None,
            })
            .collect()
    }

    /// Waits until `found` finds what it wants.
    pub async fn until<T>(&self, what: &str, found: impl Fn(&[Note]) -> Option<T>) -> T {
        let wait = async {
            loop {
                let changed = self.shared.changed.notified();
                if let Some(value) = found(&self.all()) {
                    return value;
                }
                changed.await;
            }
        };
        match actix_rt::time::timeout(DEADLINE, wait).await {
            Ok(value) => value,
            Err(_) => panic!("waited for {what}; saw {:?}", self.all()),
        }
    }

    /// Waits until the producer of `fd` was told as many commands as `wanted` has: these.
    pub async fn told(&self, fd: i32, wanted: &[ProducerCommand]) {
        let enough = |_: &[Note]| (self.of(fd).len() >= wanted.len()).then_some(());
        self.until(&format!("{wanted:?} of fd {fd}"), enough).await;
        assert_eq!(self.of(fd), wanted, "fd {fd}");
    }

    /// Waits until `fd` is closed.
    pub async fn lost(&self, fd: i32) -> CloseReason {
        self.until(&format!("the close of fd {fd}"), |notes| lost(notes, fd))
            .await
    }

    /// Whether the protocol was told that `fd` is closed.
    pub fn is_lost(&self, fd: i32) -> bool {
        lost(&self.all(), fd).is_some()
    }

    /// Waits for `ProcessEnded`.
    pub async fn ended(&self) -> ExitStatus {
        self.until("ProcessEnded", |notes| {
            notes.iter().find_map(|note| match note {
                Note::Event(ProcessEvent::ProcessEnded { status }) => Some(*status),
                _ => None,
            })
        })
        .await
    }

    /// Waits until the child's 1 has said `text`.
    pub async fn output(&self, text: &str) {
        self.until(&format!("{text:?}"), |notes| {
            let mut said = Vec::new();
            for note in notes {
                if let Note::Event(ProcessEvent::ChildDataReceived { fd: 1, data }) = note {
                    said.extend_from_slice(data);
                }
            }
            String::from_utf8_lossy(&said).contains(text).then_some(())
        })
        .await;
    }

    /// Holds that the last that the producer of `fd` was told is `Stop`, once, and that its protocol
    /// learned of the close later.
    pub fn assert_stop_before_close(&self, fd: i32) {
        let notes = self.all();
        let is_stop = |note: &&Note| **note == Note::Told(fd, ProducerCommand::Stop);
        assert_eq!(notes.iter().filter(is_stop).count(), 1, "{notes:?}");
        assert_eq!(self.of(fd).last(), Some(&ProducerCommand::Stop));
        let stop = notes.iter().position(|note| is_stop(&note));
        let close = (1..=notes.len()).find(|end| lost(&notes[..*end], fd).is_some());
        assert!(stop.unwrap() + 1 < close.expect("no close"), "{notes:?}");
    }
}

fn lost(notes: &[Note], fd: i32) -> Option<CloseReason> {
    notes.iter().find_map(|note| match note {
        Note::Event(ProcessEvent::ChildConnectionLost { fd: of, reason }) if *of == fd => {
            Some(*reason)
        }
        _ => None,
    })
}

/// The actor.
pub struct Teller {
    notes: Notes,
    /// Dropped with the actor.
    guards: Vec<ProducerGuard>,
}

/// A started [`Teller`] and its list.
#[derive(Clone)]
pub struct Producer {
    pub notes: Notes,
    pub actor: Addr<Teller>,
}

impl Producer {
    pub fn start() -> Self {
        let notes = Notes::default();
        let actor = Teller::new(&notes).start();
        Self { notes, actor }
    }

    /// The same, on another arbiter.
    pub fn start_in(arbiter: &ArbiterHandle) -> Self {
        let notes = Notes::default();
        let teller = Teller::new(&notes);
        let actor = Teller::start_in_arbiter(arbiter, |_| teller);
        Self { notes, actor }
    }

    /// Spawns a child whose protocol this is.
    pub async fn spawn(&self, command: Command) -> ProcessHandle {
        command.spawn(&self.actor).await.unwrap()
    }

    pub fn register(
        &self,
        process: &ProcessHandle,
        fd: i32,
        kind: ProducerKind,
    ) -> Result<ProducerGuard, ProducerError> {
        process.register_producer(fd, kind, self.actor.clone())
    }

    /// What the producer of `fd` was told, including all that is in its mailbox now.
    pub async fn told_so_far(&self, fd: i32) -> Vec<ProducerCommand> {
        self.caught_up().await;
        self.notes.of(fd)
    }

    /// Waits until the actor has handled what is in its mailbox now.
    pub async fn caught_up(&self) {
        let (tell, told) = oneshot::channel();
        self.actor.do_send(Mark(tell));
        soon("a message to it", told).await.unwrap();
    }

    /// Lets the actor have a guard.
    pub async fn keep(&self, guard: ProducerGuard) {
        self.actor.do_send(Keep(guard));
        self.caught_up().await;
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Mark(oneshot::Sender<()>);

#[derive(Message)]
#[rtype(result = "()")]
struct Keep(ProducerGuard);

impl Teller {
    pub fn new(notes: &Notes) -> Self {
        Self {
            notes: notes.clone(),
            guards: Vec::new(),
        }
    }

    pub fn push(&self, note: Note) {
        self.notes.push(note);
    }

    fn note(&self, event: ProcessEvent) {
        self.notes.push(Note::Event(event));
    }
}

impl Actor for Teller {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        self.notes.push(Note::Stopped);
    }
}

impl Handler<ToProducer> for Teller {
    type Result = ();

    fn handle(&mut self, told: ToProducer, _: &mut Self::Context) {
        self.notes.push(Note::Told(told.fd, told.command));
    }
}

impl Handler<Mark> for Teller {
    type Result = ();

    fn handle(&mut self, mark: Mark, _: &mut Self::Context) {
        let _ = mark.0.send(());
    }
}

impl Handler<Keep> for Teller {
    type Result = ();

    fn handle(&mut self, keep: Keep, _: &mut Self::Context) {
        self.guards.push(keep.0);
    }
}

impl Handler<Die> for Teller {
    type Result = ();

    fn handle(&mut self, die: Die, ctx: &mut Self::Context) {
        die.of(ctx);
    }
}

impl ProcessProtocol for Teller {
    fn connection_made(&mut self, _: &ProcessHandle, _: &mut Self::Context) {
        self.note(ProcessEvent::ConnectionMade);
    }
    fn child_data_received(
        &mut self,
        _: &ProcessHandle,
        fd: i32,
        data: Bytes,
        _: &mut Self::Context,
    ) {
        self.note(ProcessEvent::ChildDataReceived { fd, data });
    }
    fn child_connection_lost(
        &mut self,
        _: &ProcessHandle,
        fd: i32,
        reason: CloseReason,
        _: &mut Self::Context,
    ) {
        self.note(ProcessEvent::ChildConnectionLost { fd, reason });
    }
    fn process_exited(&mut self, _: &ProcessHandle, status: ExitStatus, _: &mut Self::Context) {
        self.note(ProcessEvent::ProcessExited { status });
    }
    fn process_ended(&mut self, _: &ProcessHandle, status: ExitStatus, _: &mut Self::Context) {
        self.note(ProcessEvent::ProcessEnded { status });
    }
}
process_protocol!(Teller);
