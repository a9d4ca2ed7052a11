//! A child on its way out: takes the steps of a ladder until all that belongs to it is gone.
//!
//! The first step is taken by the calling thread, the others on the janitor's. The record tells of the
//! child's death; the other members of its group are found in /proc then, and their deaths awaited.

mod hunt;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Child;
use crate::child::live_process::{ProcessCommand, of_another};
use crate::error::SignalError;
use crate::event::CloseReason;
use crate::ladder::{Act, Climb, ClimbInput, ClimbOutput, Ladder, StoppedBy};
use crate::port::FdCommand;
use crate::signal::Signal;
use crate::sync::lock;
use crate::sys;
use crate::threads::janitor::{self, Timer, Watch};
use crate::tree::Extent;
use crate::tree::members::Leftover;

/// How an escalation ended.
#[derive(Debug)]
pub(crate) struct Report {
    /// The child has exited.
    pub(crate) exited: bool,
    pub(crate) by: StoppedBy,
    /// The other members that are alive.
    pub(crate) leftovers: Vec<Leftover>,
    /// How many other members the first look found that lived when the child had exited.
    pub(crate) outlived: usize,
    pub(crate) took: Duration,
}

/// One way out that is being taken. The escalation holds the child's record until it has ended, which takes a
/// bounded time. The record and the escalation's own timer hold the escalation.
pub(crate) struct Escalation {
    pub(super) child: Arc<Child>,
    extent: Extent,
    /// The caller gets the result of its first signal.
    is_answered: bool,
    begun: Instant,
    state: Mutex<EscalationState>,
}

struct EscalationState {
    climb: Climb,
    timer: Option<Timer>,
    /// Members whose deaths are awaited.
    watches: Vec<Watch>,
    /// The next look, where deaths cannot be awaited.
    look: Option<Timer>,
    outlived: Option<usize>,
    on_done: Option<Box<dyn FnOnce(Report) + Send>>,
}

impl Child {
    /// Takes the steps of `ladder`, the first one now; never blocks. `on_done` is told how it ended,
    /// unless there is no child but a record.
    pub(crate) fn escalate(
        self: &Arc<Self>,
        ladder: Ladder,
        on_done: impl FnOnce(Report) + Send + 'static,
    ) {
        // No lock, no thread of ours: the copy has none.
        if sys::copy::is_copy() {
            return on_done(Report {
                exited: self.progress.has_exited(),
                by: StoppedBy::Itself,
                leftovers: Vec::new(),
                outlived: 0,
                took: Duration::ZERO,
            });
        }
        if !self.live.record(|| ProcessCommand::Stop(ladder.clone())) {
            let _ = self.begin(Extent::Tree, false, ladder, on_done);
        }
    }

    /// SIGTERM now, SIGKILL after `grace`; nothing more if the SIGTERM fails.
    pub(super) fn insist(
        self: &Arc<Self>,
        extent: Extent,
        grace: Duration,
    ) -> Result<(), SignalError> {
        if sys::copy::is_copy() {
            return Err(of_another());
        }
        let command = || ProcessCommand::Terminate(extent, grace);
        if self.live.record(command) {
            return Ok(());
        }
        let (escalation, sent) = self.begin(extent, true, Ladder::terminate(grace), |_| {});
        if sent.is_err() {
            lock(&escalation.state).on_done = None;
            let _ = escalation.feed(ClimbInput::GivenUp);
        }
        sent
    }

    /// How many members the child has left, if it has exited: a look at all processes, where there is one.
    pub(crate) fn left_behind(&self) -> usize {
        if self.live.pid().is_some() {
            return 0;
        }
        let members = self.live.group_left().map(|group| group.members());
        members
            .and_then(Result::ok)
            .map_or(0, |members| members.len())
    }

    fn begin(
        self: &Arc<Self>,
        extent: Extent,
        is_answered: bool,
        ladder: Ladder,
        on_done: impl FnOnce(Report) + Send + 'static,
    ) -> (Arc<Escalation>, Result<(), SignalError>) {
        let escalation = Arc::new(Escalation {
            child: Arc::clone(self),
            extent,
            is_answered,
            begun: Instant::now(),
            state: Mutex::new(EscalationState {
                climb: Climb::new(ladder),
                timer: None,
                watches: Vec::new(),
                look: None,
                outlived: None,
                on_done: Some(Box::new(on_done)),
            }),
        });
        // Before anything is done, lest the death that it brings about is missed.
        lock(&self.escalations).push(Arc::clone(&escalation));
        let sent = if escalation.is_gone() {
            let _ = escalation.feed(ClimbInput::Gone);
            Err(SignalError::Exited)
        } else {
            escalation.feed(ClimbInput::Begin)
        };
        // The child may have been dead before, and have left others.
        if self.live.pid().is_none() {
            escalation.leader_died();
        }
        (escalation, sent)
    }

    /// The child's death was noted.
    pub(super) fn tell_escalations_of_death(&self) {
        let escalations = lock(&self.escalations).clone();
        for escalation in escalations {
            escalation.leader_died();
        }
    }
}

impl Escalation {
    /// Whether nothing is left, as far as it can be told without looking around.
    fn is_gone(&self) -> bool {
        self.child.live.pid().is_none()
            && (self.extent == Extent::Child || self.child.live.group_left().is_none())
    }

    /// Takes in what happened, and does what follows. Gives what came of a signal, if one was sent.
    pub(super) fn feed(self: &Arc<Self>, mut input: ClimbInput) -> Result<(), SignalError> {
        loop {
            let output = lock(&self.state).climb.step(input);
            match output {
                ClimbOutput::Nothing => return Ok(()),
                ClimbOutput::Finish { gone, by } => {
                    self.finish(gone, by);
                    return Ok(());
                }
                ClimbOutput::Take(step) => {
                    let (taken, result) = self.take(step);
                    if taken {
                        self.give_time(step);
                        return result;
                    }
                    input = ClimbInput::LeftOut(step);
                }
            }
        }
    }

    /// Takes a step; tells whether there was a way to. The lock is not held: what is told here may call
    /// back.
    fn take(&self, step: usize) -> (bool, Result<(), SignalError>) {
        let act = match lock(&self.state).climb.get(step) {
            Some(step) => step.act.clone(),
            None => return (false, Ok(())),
        };
        let input = self.child.port(0);
        match act {
            Act::Eof => match input.filter(|port| !port.is_output()) {
                Some(port) if port.is_terminal() => {
                    let typed = port
                        .end_of_input()
                        .is_some_and(|byte| port.write(FdCommand::Write(byte)).is_ok());
                    (typed, Ok(()))
                }
                Some(port) => {
                    port.close(CloseReason::ByParent);
                    (true, Ok(()))
                }
                None => (false, Ok(())),
            },
            Act::Say(bytes) => {
                let said = input.is_some_and(|port| port.write(FdCommand::Write(bytes)).is_ok());
                (said, Ok(()))
            }
            Act::Signal(signal) => (true, self.signal(step, signal)),
        }
    }

    fn signal(&self, step: usize, signal: Signal) -> Result<(), SignalError> {
        let sent = self.child.send(self.extent, signal);
        let child = &self.child;
        match &sent {
            Ok(()) if signal == Signal::KILL && step > 0 => {
                log::warn!("{child} did not end in time and was killed");
            }
            // This thread, the janitor's or another owner's, may not signal the child. The child's asker may.
            Err(SignalError::NotPermitted | SignalError::Io(_))
                if (step > 0 || !self.is_answered)
                    && self.child.send_as_its_asker(self.extent, signal) => {}
            Err(error @ (SignalError::NotPermitted | SignalError::Io(_))) => {
                log::warn!("{child} lives on: {error}");
            }
            _ => {}
        }
        sent
    }

    /// The step was taken: the next one follows when its time is over.
    fn give_time(self: &Arc<Self>, step: usize) {
        let mut state = lock(&self.state);
        let wait = match state.climb.get(step) {
            // The end may have come in between.
            Some(taken) if state.climb.is_at(step) => taken.wait,
            _ => return,
        };
        let this = Arc::clone(self);
        let before = state.timer.replace(janitor::after(wait, move || {
            // It may be dead, and its arbiter too busy to reap it.
            this.child.try_reap();
            if this.is_gone() {
                let _ = this.feed(ClimbInput::Gone);
            } else {
                let _ = this.feed(ClimbInput::Elapsed(step));
            }
        }));
        drop(state);
        drop(before);
    }

    fn leader_died(self: &Arc<Self>) {
        if self.is_gone() {
            let _ = self.feed(ClimbInput::Gone);
        } else {
            hunt::look_around(Arc::clone(self));
        }
    }

    /// So many other members live, now that the child has exited. The first look counts.
    pub(super) fn note_outlived(&self, living: usize) {
        lock(&self.state).outlived.get_or_insert(living);
    }

    /// Whether nothing will follow any more.
    pub(super) fn is_over(&self) -> bool {
        lock(&self.state).climb.is_over()
    }

    /// Waits for these deaths, in place of others.
    pub(super) fn await_deaths(&self, watches: Vec<Watch>) {
        let mut state = lock(&self.state);
        // Over already: they end with this call.
        let before = if state.climb.is_over() {
            watches
        } else {
            std::mem::replace(&mut state.watches, watches)
        };
        drop(state);
        drop(before);
    }

    /// Looks again then.
    pub(super) fn look_again(&self, look: Timer) {
        let mut state = lock(&self.state);
        let before = if state.climb.is_over() {
            Some(look)
        } else {
            state.look.replace(look)
        };
        drop(state);
        drop(before);
    }

    fn finish(self: &Arc<Self>, gone: bool, by: StoppedBy) {
        let (timers, watches, outlived, on_done) = {
            let mut state = lock(&self.state);
            let watches = std::mem::take(&mut state.watches);
            let timers = (state.timer.take(), state.look.take());
            (timers, watches, state.outlived, state.on_done.take())
        };
        drop((timers, watches));
        let child = &self.child;
        let exited = child.live.pid().is_none();
        let group = if exited {
            child.live.group_left()
        } else {
            child.live.group()
        };
        let leftovers = match group {
            Some(group) if !gone && on_done.is_some() && self.extent == Extent::Tree => group
                .members()
                .unwrap_or_else(|_| vec![Leftover::unlisted()]),
            _ => Vec::new(),
        };
        lock(&child.escalations).retain(|other| !Arc::ptr_eq(other, self));
        if gone && self.extent == Extent::Tree {
            child.live.let_go();
        }
        child.settle();
        if let Some(on_done) = on_done {
            on_done(Report {
                exited,
                by,
                outlived: outlived.unwrap_or(leftovers.len()),
                leftovers,
                took: self.begun.elapsed(),
            });
        }
    }
}
