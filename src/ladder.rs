//! The steps by which a child is stopped, and the order in which they are taken. Plain data: no clock,
//! no signal is sent here.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::signal::Signal;

/// How long a child may take to die of SIGKILL before it is given up.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// How a child is stopped: steps that are taken one after the other, each with the time that the child has until
/// the next one. For [`ProcessHandle::stop`](crate::ProcessHandle::stop).
///
/// Signals go to all that belongs to the child: the child itself, and its cgroup
/// ([`Command::contained`](crate::Command::contained)) or else the process group that it leads. SIGCONT follows
/// each signal but SIGKILL and those that stop or continue a process: without SIGCONT a stopped process would
/// not act on the signal.
///
/// ```
/// use actix_process::{Command, Ladder, NoProtocol, StoppedBy};
/// use std::time::Duration;
///
/// # actix::System::new().block_on(async {
/// let cat = Command::new("cat").spawn(NoProtocol).await?;
/// let second = Duration::from_secs(1);
/// let stopped = cat.stop(Ladder::eof(5 * second).term(5 * second).kill()).await?;
/// assert_eq!(stopped.by, StoppedBy::Eof);
/// assert!(stopped.status.success());
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "a ladder does nothing until a child is stopped by it"]
pub struct Ladder {
    steps: Vec<LadderStep>,
}

/// What is done, and how long the child has then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LadderStep {
    pub(crate) act: Act,
    pub(crate) wait: Duration,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Act {
    Eof,
    Say(Bytes),
    Signal(Signal),
}

impl fmt::Debug for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eof => f.write_str("Eof"),
            Self::Say(bytes) => write!(f, "Say({} bytes)", bytes.len()),
            Self::Signal(signal) => write!(f, "Signal({signal})"),
        }
    }
}

/// The step that made a child stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoppedBy {
    /// No step: the child was gone before the first one.
    Itself,
    /// The child's standard input was closed.
    Eof,
    /// Bytes were written to the child's standard input.
    Said,
    /// This signal was sent.
    Signal(Signal),
}

impl Ladder {
    /// A ladder without a step: a stop by it does nothing, and waits for nothing.
    pub const fn new() -> Self {
        Self { steps: Vec::new() }
    }

    /// A ladder that begins as by [`then_eof`](Self::then_eof), which is the usual first step.
    pub fn eof(wait: Duration) -> Self {
        Self::new().then_eof(wait)
    }

    /// Closes the child's standard input, as [`close_stdin`](crate::ProcessHandle::close_stdin) does, and gives
    /// the child `wait` until the next step. What was queued is written first, but the next step does not wait
    /// for that. On a terminal that is read by lines its end-of-input character (Ctrl-D, unless its modes say
    /// otherwise) is typed. The step is left out where this program does not write the input, and on a terminal
    /// that is read key by key.
    pub fn then_eof(self, wait: Duration) -> Self {
        self.then(Act::Eof, wait)
    }

    /// Writes `bytes` to the child's standard input, and gives the child `wait` until the next step. The step is
    /// left out where [`write`](crate::ProcessHandle::write) would be refused.
    pub fn say(self, bytes: impl Into<Bytes>, wait: Duration) -> Self {
        self.then(Act::Say(bytes.into()), wait)
    }

    /// Sends `signal`, and gives the child `wait` until the next step.
    pub fn signal(self, signal: Signal, wait: Duration) -> Self {
        self.then(Act::Signal(signal), wait)
    }

    /// Sends SIGTERM, and gives the child `wait` until the next step.
    pub fn term(self, wait: Duration) -> Self {
        self.signal(Signal::TERM, wait)
    }

    /// Sends SIGKILL. The stop ends 2 seconds later at the latest, also if a process is still alive then.
    pub fn kill(self) -> Self {
        self.signal(Signal::KILL, LINGER)
    }

    /// The steps of `other` after these.
    pub fn followed_by(mut self, other: Self) -> Self {
        self.steps.extend(other.steps);
        self
    }

    /// What the last step does: the reason by which a child stops that minds no other step. `None` for a ladder without steps.
    ///
    /// ```
    /// use actix_process::{Ladder, Signal, StoppedBy};
    /// use std::time::Duration;
    ///
    /// let ladder = Ladder::eof(Duration::from_secs(1)).kill();
    /// assert_eq!(ladder.last(), Some(StoppedBy::Signal(Signal::KILL)));
    /// ```
    #[must_use]
    pub fn last(&self) -> Option<StoppedBy> {
        self.steps.last().map(|step| step.act.as_reason())
    }

    /// How long the child has after the last step. `None` for a ladder without steps.
    ///
    /// ```
    /// use actix_process::Ladder;
    /// use std::time::Duration;
    ///
    /// assert_eq!(Ladder::new().kill().last_wait(), Some(Duration::from_secs(2)));
    /// ```
    #[must_use]
    pub fn last_wait(&self) -> Option<Duration> {
        self.steps.last().map(|step| step.wait)
    }

    /// SIGTERM, `grace`, SIGKILL.
    pub(crate) fn terminate(grace: Duration) -> Self {
        Self::new().term(grace).kill()
    }

    fn then(mut self, act: Act, wait: Duration) -> Self {
        self.steps.push(LadderStep { act, wait });
        self
    }
}

impl Act {
    const fn as_reason(&self) -> StoppedBy {
        match self {
            Self::Eof => StoppedBy::Eof,
            Self::Say(_) => StoppedBy::Said,
            Self::Signal(signal) => StoppedBy::Signal(*signal),
        }
    }

    /// Whether a stopped process needs SIGCONT to act on it.
    pub(crate) fn wants_continue(signal: Signal) -> bool {
        let without = [
            Signal::KILL,
            Signal::CONT,
            Signal::STOP,
            Signal::TSTP,
            Signal::TTIN,
            Signal::TTOU,
        ];
        !without.contains(&signal)
    }
}

/// A ladder that is being climbed.
#[derive(Debug)]
pub(crate) struct Climb {
    steps: Vec<LadderStep>,
    at: At,
    by: StoppedBy,
    /// Without the step that is being taken.
    by_before: StoppedBy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Ground,
    Step(usize),
    Off,
}

/// Something that happened. Each may come at any time, any number of times, in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClimbInput {
    Begin,
    /// There was no way to take this step.
    LeftOut(usize),
    /// The time of this step is over.
    Elapsed(usize),
    /// Nothing is left of what is to be stopped.
    Gone,
    /// Nobody wants it any more.
    GivenUp,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClimbOutput {
    Nothing,
    /// Take this step.
    Take(usize),
    /// The end, told once.
    Finish {
        gone: bool,
        by: StoppedBy,
    },
}

impl Climb {
    pub(crate) fn new(ladder: Ladder) -> Self {
        Self {
            steps: ladder.steps,
            at: At::Ground,
            by: StoppedBy::Itself,
            by_before: StoppedBy::Itself,
        }
    }

    pub(crate) fn get(&self, step: usize) -> Option<&LadderStep> {
        self.steps.get(step)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.at == At::Off
    }

    /// Whether this step is the one that time is being given for.
    pub(crate) fn is_at(&self, step: usize) -> bool {
        self.at == At::Step(step)
    }

    pub(crate) fn step(&mut self, input: ClimbInput) -> ClimbOutput {
        match (self.at, input) {
            (At::Off, _) => ClimbOutput::Nothing,
            (_, ClimbInput::Gone) => self.finish(true),
            (_, ClimbInput::GivenUp) => self.finish(false),
            (At::Ground, ClimbInput::Begin) => self.take(0),
            (At::Step(now), ClimbInput::LeftOut(step)) if now == step => {
                self.by = self.by_before;
                self.take(now + 1)
            }
            (At::Step(now), ClimbInput::Elapsed(step)) if now == step => self.take(now + 1),
            _ => ClimbOutput::Nothing,
        }
    }

    fn take(&mut self, step: usize) -> ClimbOutput {
        let Some(next) = self.steps.get(step) else {
            return self.finish(false);
        };
        self.at = At::Step(step);
        // Now: the death that it brings about may be told before it returns.
        self.by_before = self.by;
        self.by = next.act.as_reason();
        ClimbOutput::Take(step)
    }

    fn finish(&mut self, gone: bool) -> ClimbOutput {
        self.at = At::Off;
        let by = self.by;
        ClimbOutput::Finish { gone, by }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    /// Holds what the machine is answerable for against one sequence of inputs.
    fn check(steps: usize, inputs: &[ClimbInput], outputs: &[ClimbOutput]) {
        let taken = outputs.iter().filter_map(|output| match output {
            ClimbOutput::Take(step) => Some(*step),
            _ => None,
        });
        let taken: Vec<_> = taken.collect();
        // Each once, in order, from the first on.
        assert_eq!(taken, (0..taken.len()).collect::<Vec<_>>(), "{inputs:?}");
        let finish = |output: &&ClimbOutput| matches!(output, ClimbOutput::Finish { .. });
        let ends: Vec<_> = outputs.iter().filter(finish).collect();
        assert!(ends.len() <= 1, "{inputs:?}: {outputs:?}");
        let gone = inputs.contains(&ClimbInput::Gone);
        let given_up = inputs.contains(&ClimbInput::GivenUp);
        match ends.first() {
            Some(ClimbOutput::Finish { gone: true, .. }) => assert!(gone, "{inputs:?}"),
            Some(_) => assert!(given_up || taken.len() == steps, "{inputs:?}"),
            None => assert!(!gone && !given_up, "{inputs:?}"),
        }
        // Nothing is done after the end.
        if let Some(end) = outputs.iter().position(|output| finish(&output)) {
            assert!(
                outputs[end + 1..]
                    .iter()
                    .all(|o| *o == ClimbOutput::Nothing)
            );
        }
    }

    fn explore(
        ladder: &Ladder,
        alphabet: &[ClimbInput],
        inputs: &mut Vec<ClimbInput>,
        left: usize,
    ) {
        let mut climb = Climb::new(ladder.clone());
        let outputs: Vec<_> = inputs.iter().map(|input| climb.step(*input)).collect();
        check(ladder.steps.len(), inputs, &outputs);
        if left > 0 {
            for input in alphabet {
                inputs.push(*input);
                explore(ladder, alphabet, inputs, left - 1);
                inputs.pop();
            }
        }
    }

    #[test]
    fn every_order_of_inputs_takes_each_step_once_and_ends_once() {
        let ladders = [
            Ladder::new(),
            Ladder::new().kill(),
            Ladder::eof(NOW).term(NOW).kill(),
        ];
        for ladder in ladders {
            let mut alphabet = vec![ClimbInput::Begin, ClimbInput::Gone, ClimbInput::GivenUp];
            for step in 0..ladder.steps.len() {
                alphabet.push(ClimbInput::LeftOut(step));
                alphabet.push(ClimbInput::Elapsed(step));
            }
            explore(&ladder, &alphabet, &mut Vec::new(), 5);
        }
    }

    #[test]
    fn the_last_step_that_was_taken_is_the_reason() {
        let ladder = Ladder::eof(NOW).say("x", NOW).term(NOW).kill();
        let mut climb = Climb::new(ladder);
        for input in [
            ClimbInput::Begin,
            ClimbInput::Elapsed(0),
            ClimbInput::LeftOut(1),
            // Late.
            ClimbInput::Elapsed(0),
        ] {
            climb.step(input);
        }
        // The child dies of the signal before the sender goes on.
        let by = StoppedBy::Signal(Signal::TERM);
        assert_eq!(
            climb.step(ClimbInput::Gone),
            ClimbOutput::Finish { gone: true, by }
        );

        let mut climb = Climb::new(Ladder::eof(NOW).say("x", NOW));
        for input in [
            ClimbInput::Begin,
            ClimbInput::Elapsed(0),
            ClimbInput::LeftOut(1),
        ] {
            let output = climb.step(input);
            if let ClimbOutput::Finish { by, .. } = output {
                assert_eq!(by, StoppedBy::Eof);
            }
        }
        assert!(climb.is_over());
    }

    #[test]
    fn what_is_said_is_not_shown() {
        let ladder = Ladder::new().say("secret", NOW);
        assert!(!format!("{ladder:?}").contains("secret"));
    }
}
