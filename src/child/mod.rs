//! The record of one child, which all parts that have to do with the child share.
//!
//! The record outlives every actor. The code that reaps the child or closes a pipe, on any thread,
//! tells the record, and the record sends the events that follow to the protocol, in order.

pub(crate) mod drain_clock;
mod draining;
mod escalation;
pub(crate) mod event_sink;
pub(crate) mod framer;
pub(crate) mod lifecycle;
pub(crate) mod live_process;
mod orphan;
pub(crate) mod progress;
mod reaping;
pub(crate) mod start_gate;
mod time_limit;

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Once, OnceLock};
use std::time::{Duration, SystemTime};

use crate::child::drain_clock::DrainClock;
use crate::child::lifecycle::{Lifecycle, LifecycleInput, LifecycleOutput};
use crate::child::live_process::LiveProcess;
use crate::child::progress::{Phase, Progress};
use crate::child::start_gate::Gate;
use crate::child::time_limit::TimeLimit;
use crate::command::containment::Containment;
use crate::command::spec::{OnLeftovers, OnOrphaned};
use crate::event::{CloseReason, ProcessEvent};
use crate::id::ProcessId;
use crate::ladder::Ladder;
use crate::port::Port;
use crate::port::mailbox_turns::MailboxTurns;
use crate::port::window::Credit;
use crate::status::ExitStatus;
use crate::sync::lock;
use crate::sys;
use crate::sys::io::Registered;
use crate::text::Escaped;
use crate::threads::janitor::Timer;
use crate::threads::spawners::{Kin, Tie};

use escalation::Escalation;
pub(crate) use escalation::Report;
pub(crate) use event_sink::{EventSink, Receipt};

/// One child, from before its clone to after its end.
pub(crate) struct Child {
    pub(crate) id: ProcessId,
    pub(crate) program: Arc<str>,
    /// What it is called: as its command says, or as the program.
    pub(crate) name: Arc<str>,
    /// Information only: the number may be another's by now.
    pub(crate) spawned_pid: i32,
    pub(crate) started_at: SystemTime,
    pub(crate) live: LiveProcess,
    pub(crate) progress: Progress,
    pub(crate) mailbox_turns: Arc<MailboxTurns>,
    /// Shut until the protocol, if there is one, has handled `ConnectionMade`.
    pub(crate) gate: Gate,
    clock: Option<Box<DrainClock>>,
    time_limit: Option<Box<TimeLimit>>,
    ports: OnceLock<Box<[Port]>>,
    /// A terminal's master until the child is reaped: closed earlier, it would hang the child up
    /// that has merely closed its end of it.
    terminal: Mutex<Option<Arc<Registered<OwnedFd>>>>,
    /// Keeps the thread whose end would kill the child, until it is reaped.
    tie: Mutex<Option<Tie>>,
    /// Threads like the one that asked for it: they may signal it where others may not.
    asker: OnceLock<Kin>,
    /// Its clone began and ended then, in hundredths of a second since the boot, if that is known.
    pub(crate) start: OnceLock<(u64, u64)>,
    pub(crate) containment: Containment,
    on_orphaned: OnOrphaned,
    /// Whoever keeps it warns of its end: see `Command::orphaned_quietly`.
    is_quiet_orphan: bool,
    /// The policy for orphans was applied.
    orphaned: Once,
    on_leftovers: OnLeftovers,
    /// The policy for leftovers was applied.
    settled: AtomicBool,
    /// The ways out that are being taken: one for each call.
    escalations: Mutex<Vec<Arc<Escalation>>>,
    /// The next ring of the clock.
    ring: Mutex<Option<Timer>>,
    core: Mutex<Core>,
}

struct Core {
    life: Lifecycle,
    event_sink: Option<Arc<dyn EventSink>>,
    on_ended: Option<Hook>,
}

type Hook = Box<dyn FnOnce() + Send>;

/// What a record starts with.
pub(crate) struct Origin {
    pub(crate) id: ProcessId,
    pub(crate) program: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) spawned_pid: i32,
    pub(crate) event_sink: Option<Arc<dyn EventSink>>,
    pub(crate) mailbox_turns: Arc<MailboxTurns>,
    pub(crate) on_orphaned: OnOrphaned,
    pub(crate) is_quiet_orphan: bool,
    pub(crate) on_leftovers: OnLeftovers,
    pub(crate) ended_timeout: Option<Duration>,
    pub(crate) time_limit: Option<(Duration, Ladder)>,
    /// How many piped descriptors are read.
    pub(crate) readers: usize,
    pub(crate) live: LiveProcess,
    pub(crate) containment: Containment,
}

impl Child {
    /// A record of a child with these piped descriptors.
    pub(crate) fn new(origin: Origin, piped: impl IntoIterator<Item = i32>) -> Arc<Self> {
        let gate = Gate::default();
        if origin.event_sink.is_none() {
            gate.open();
        }
        Arc::new(Self {
            id: origin.id,
            program: origin.program,
            name: origin.name,
            spawned_pid: origin.spawned_pid,
            started_at: SystemTime::now(),
            live: origin.live,
            progress: Progress::default(),
            mailbox_turns: origin.mailbox_turns,
            gate,
            clock: origin
                .ended_timeout
                .map(|timeout| Box::new(DrainClock::new(timeout, origin.readers))),
            time_limit: origin
                .time_limit
                .map(|(time, ladder)| Box::new(TimeLimit::new(time, ladder))),
            ports: OnceLock::new(),
            terminal: Mutex::default(),
            tie: Mutex::default(),
            asker: OnceLock::new(),
            start: OnceLock::new(),
            containment: origin.containment,
            on_orphaned: origin.on_orphaned,
            is_quiet_orphan: origin.is_quiet_orphan,
            orphaned: Once::new(),
            on_leftovers: origin.on_leftovers,
            settled: AtomicBool::new(false),
            escalations: Mutex::default(),
            ring: Mutex::default(),
            core: Mutex::new(Core {
                life: Lifecycle::new(piped),
                event_sink: origin.event_sink,
                on_ended: None,
            }),
        })
    }

    /// The way to each piped descriptor; empty before the spawn is committed.
    pub(crate) fn ports(&self) -> &[Port] {
        self.ports.get().map_or(&[], |ports| ports)
    }

    pub(crate) fn port(&self, fd: i32) -> Option<&Port> {
        self.ports().iter().find(|port| port.fd() == fd)
    }

    /// Once, at the commit.
    pub(crate) fn set_ports(&self, ports: Vec<Port>) {
        let _ = self.ports.set(ports.into());
        // Its supervisor may be gone by now: `orphan` found no ports to close.
        if self.orphaned.is_completed() {
            self.close_ports_of_orphan();
        }
    }

    /// Keeps a terminal's master open until the child is reaped or this side hangs up.
    pub(crate) fn keep_terminal(&self, master: Arc<Registered<OwnedFd>>) {
        *lock(&self.terminal) = Some(master);
    }

    /// Keeps the thread that cloned the child until it is reaped, if it must, and knows its like.
    pub(crate) fn keep_threads(&self, tie: Option<Tie>, asker: Kin) {
        *lock(&self.tie) = tie;
        let _ = self.asker.set(asker);
    }

    fn release_terminal(&self) {
        let master = lock(&self.terminal).take();
        drop(master);
    }

    /// This side has closed one half of the terminal: the other closes as well.
    fn hang_up(&self, closed: i32, reason: CloseReason) {
        let reason = match reason {
            // The master stays until the child is dead; each half takes note by itself.
            CloseReason::ByChild => return,
            // The other half has not failed.
            CloseReason::Failed { .. } => CloseReason::Aborted,
            reason => reason,
        };
        let ports = self.ports().iter();
        for port in ports.filter(|port| port.is_terminal() && port.fd() != closed) {
            port.close(reason);
        }
        self.release_terminal();
    }

    /// Runs `hook` when the last event was queued.
    pub(crate) fn on_ended(&self, hook: impl FnOnce() + Send + 'static) {
        lock(&self.core).on_ended = Some(Box::new(hook));
    }

    /// Takes in what happened and queues the events that follow. Their order is that of the record's lock;
    /// what is foreign (waiters' wakers, the user's logger) and what locks again follows when that is free.
    pub(crate) fn apply(self: &Arc<Self>, input: LifecycleInput) {
        if sys::copy::is_copy() {
            return;
        }
        let mut protocol_is_gone = false;
        let mut done = None;
        let mut hook = None;
        let mut receipts = [None, None];
        let mut told = log::log_enabled!(log::Level::Debug).then(Vec::new);
        let mut advanced = false;
        let waker;
        // Before the end is told: it is closed then.
        if let LifecycleInput::Reaped = input {
            self.release_terminal();
            let tie = lock(&self.tie).take();
            drop(tie);
            self.stop_time_limit();
        }
        // Producers are told before the protocol.
        if let LifecycleInput::Closed(fd, reason) = input
            && let Some(port) = self.port(fd)
        {
            port.closed(reason);
            if port.is_terminal() {
                self.hang_up(fd, reason);
            }
        }
        {
            let mut core = lock(&self.core);
            let Core {
                life,
                event_sink,
                on_ended,
            } = &mut *core;
            life.step(input, |output| {
                if let Some(event_sink) = event_sink {
                    protocol_is_gone |= !event_sink.is_connected();
                    let receipt = self.emit(event_sink, output);
                    match output {
                        LifecycleOutput::Made => receipts[0] = receipt,
                        _ => receipts[1] = receipts[1].take().or(receipt),
                    }
                    if let Some(told) = &mut told {
                        told.push(output);
                    }
                }
                match output {
                    LifecycleOutput::Exited => {
                        self.progress.advance(Phase::Exited);
                        advanced = true;
                    }
                    LifecycleOutput::Ended => {
                        self.progress.advance(Phase::Ended);
                        advanced = true;
                        self.mailbox_turns.note_end();
                        done = event_sink.take();
                        hook = on_ended.take();
                    }
                    LifecycleOutput::Made | LifecycleOutput::Lost(..) => {}
                }
            });
            // Of the last event: a taker may have taken the ones before, and wait with another task by now.
            waker = event_sink
                .as_ref()
                .or(done.as_ref())
                .and_then(|sink| sink.take_waker());
        }
        for output in told.into_iter().flatten() {
            self.note(output);
        }
        if let Some(waker) = waker {
            waker.wake();
        }
        // The waiters come after the event.
        if advanced {
            self.progress.wake();
        }
        drop((done, receipts));
        if let LifecycleInput::Reaped = input {
            self.start_draining();
            self.tell_escalations_of_death();
        }
        if let Some(hook) = hook {
            self.stop_clock();
            self.settle();
            hook();
        }
        if protocol_is_gone {
            self.orphan("its protocol is gone");
        }
    }

    fn emit(self: &Arc<Self>, to: &Arc<dyn EventSink>, output: LifecycleOutput) -> Option<Receipt> {
        // Known before the record hears of the reap.
        let status = || self.progress.status().unwrap_or(ExitStatus::Unknown);
        let event = match output {
            LifecycleOutput::Made => {
                let event = ProcessEvent::ConnectionMade;
                return Some(Arc::clone(to).emit_with_receipt(self, event));
            }
            LifecycleOutput::Lost(fd, reason) => ProcessEvent::ChildConnectionLost { fd, reason },
            LifecycleOutput::Exited => ProcessEvent::ProcessExited { status: status() },
            LifecycleOutput::Ended => {
                let event = ProcessEvent::ProcessEnded { status: status() };
                return Some(Arc::clone(to).emit_with_receipt(self, event));
            }
        };
        to.emit(self, event, None);
        None
    }

    fn note(&self, output: LifecycleOutput) {
        match output {
            LifecycleOutput::Made => log::debug!("{self} is connected"),
            LifecycleOutput::Lost(fd, reason) => log::debug!("{self} fd {fd} closed: {reason:?}"),
            LifecycleOutput::Exited => {
                let status = self.progress.status().unwrap_or(ExitStatus::Unknown);
                log::debug!("{self} exited: {status}");
            }
            LifecycleOutput::Ended => log::debug!("{self} ended"),
        }
    }

    /// Queues what was read for the protocol. False if it is gone. A reader's data are before its close since
    /// they are sent by the same thread.
    pub(crate) fn deliver(
        self: &Arc<Self>,
        event_sink: &dyn EventSink,
        event: ProcessEvent,
        credit: Credit,
    ) -> bool {
        if !event_sink.is_connected() {
            self.orphan("its protocol is gone");
            return false;
        }
        event_sink.emit(self, event, Some(credit));
        if let Some(waker) = event_sink.take_waker() {
            waker.wake();
        }
        true
    }

    /// The way to the receiver of the events, until the last event.
    pub(crate) fn event_sink(&self) -> Option<Arc<dyn EventSink>> {
        lock(&self.core).event_sink.clone()
    }

    /// The piped descriptors that are still open.
    pub(crate) fn open_fds(&self) -> Vec<i32> {
        lock(&self.core).life.open_fds().collect()
    }
}

/// As lines of the log name it.
impl fmt::Display for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, pid, name) = (self.id, self.spawned_pid, Escaped(&self.name));
        write!(f, "process {id} (pid {pid}, {name})")
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("id", &self.id)
            .field("program", &self.program)
            .field("pid", &self.live.pid())
            .finish_non_exhaustive()
    }
}
