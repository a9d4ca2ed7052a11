//! What happened to a start: its child, its readiness, its end; and what follows by the service's policy.

use std::sync::Arc;
use std::time::Duration;

use super::instance::{Instance, InstancePhase};
use super::timers::TimerKind;
use super::{Core, Effect, Fact, How, RunEnd, Slot};
use crate::Signal;
use crate::StoppedBy;
use crate::monitor::error::StartFailure;
use crate::monitor::exit::{Exit, ExitKind};
use crate::monitor::restart::AfterEnd;
use crate::monitor::restart_history::NextTry;
use crate::monitor::state::ServiceState;

/// The least time from a start that gave no child to the next one: such a start can fail at once, and fail again at once, for ever.
const LAUNCHES_APART: Duration = Duration::from_millis(10);

impl Core {
    /// Takes note of what happened to the start of this generation. What comes for another one is dropped, and counted.
    pub(in crate::monitor) fn fact(&mut self, slot: Slot, generation: u64, fact: Fact) {
        let current = |instance: &&Instance| instance.generation == generation;
        let Some(phase) = self
            .get(slot)
            .filter(current)
            .map(|instance| instance.phase)
        else {
            return self.count_stale(slot);
        };
        match (phase, fact) {
            (InstancePhase::Launching, Fact::Spawned { pid }) => self.spawned(slot, pid),
            (InstancePhase::Launching, Fact::NotStarted { failure, permanent }) => {
                self.not_started(slot, failure, permanent);
            }
            (InstancePhase::Up { ready: false }, Fact::Ready) => self.ready(slot),
            (InstancePhase::Up { ready: true }, Fact::Unready) => {
                self.set_phase(slot, InstancePhase::Up { ready: false });
            }
            (InstancePhase::Up { ready: false }, Fact::NeverReady { problem })
                if !self.get(slot).is_some_and(|instance| instance.was_ready) =>
            {
                self.never_ready(slot, problem);
            }
            (InstancePhase::Up { .. }, Fact::Unhealthy) => {
                self.stop_run(slot, ExitKind::Unhealthy, How::Ladder);
            }
            (InstancePhase::Up { .. }, Fact::Missed) => {
                self.stop_run(slot, ExitKind::Watchdog, How::Watchdog);
            }
            (InstancePhase::Up { .. }, Fact::Exited) => {
                self.timers.clear(slot, TimerKind::Launch);
                self.timers.clear(slot, TimerKind::Idle);
                self.set_phase(slot, InstancePhase::Stopping);
                self.is_reaped(slot);
            }
            (InstancePhase::Stopping, Fact::Exited) => self.is_reaped(slot),
            (InstancePhase::Stopping, Fact::NotStarted { .. }) if self.has_no_child(slot) => {
                self.given_up(slot);
            }
            // It was too late to give it up: it is being killed.
            (InstancePhase::Stopping, Fact::Spawned { pid }) => self.note_child(slot, pid),
            (InstancePhase::Up { .. } | InstancePhase::Stopping, Fact::Unkillable) => {
                self.cannot_be_killed(slot)
            }
            (InstancePhase::Up { .. } | InstancePhase::Stopping, Fact::Over(end)) => {
                self.over(slot, end)
            }
            _ => self.count_stale(slot),
        }
    }

    /// From now on another process may have its pid. The group keeps its number while somebody is in it.
    fn is_reaped(&mut self, slot: Slot) {
        if let Some(instance) = self.instance(slot) {
            instance.pid = None;
        }
    }

    /// Counts what came for a start that is over, or that has no use for it any more.
    pub(in crate::monitor) fn count_stale(&mut self, slot: Slot) {
        if let Some(instance) = self.instance(slot) {
            instance.stale += 1;
        }
    }

    /// The time has come for what was to be done by now.
    pub(in crate::monitor) fn tick(&mut self) {
        while let Some((slot, kind)) = self.timers.take_due(self.now) {
            match kind {
                TimerKind::Launch => self.late(slot),
                TimerKind::Backoff => {
                    if self
                        .get(slot)
                        .is_some_and(|i| i.phase == InstancePhase::Backoff)
                    {
                        self.set_phase(slot, InstancePhase::Waiting);
                    }
                }
                TimerKind::Idle => self.dirty.push_back(slot),
                TimerKind::Shutdown => self.shutdown_is_due(),
            }
        }
    }

    fn has_no_child(&self, slot: Slot) -> bool {
        self.get(slot)
            .is_some_and(|instance| instance.since.is_none())
    }

    fn note_child(&mut self, slot: Slot, pid: i32) {
        let now = self.now;
        if let Some(instance) = self.instance(slot) {
            instance.pid = Some(pid);
            instance.group = Some(pid);
            instance.since = Some(now);
        }
    }

    fn spawned(&mut self, slot: Slot, pid: i32) {
        self.timers.clear(slot, TimerKind::Launch);
        self.note_child(slot, pid);
        self.set_phase(slot, InstancePhase::Up { ready: false });
    }

    fn ready(&mut self, slot: Slot) {
        self.timers.clear(slot, TimerKind::Launch);
        let now = self.now;
        let Some(instance) = self.instance(slot) else {
            return;
        };
        let first = !std::mem::replace(&mut instance.was_ready, true);
        instance.ready_since.get_or_insert(now);
        instance.failure = None;
        let generation = instance.generation;
        let waiters = if instance.stop_asked {
            Vec::new()
        } else {
            std::mem::take(&mut instance.waiters)
        };
        self.set_phase(slot, InstancePhase::Up { ready: true });
        for waiter in waiters {
            self.answer(waiter.ticket, Ok(()));
        }
        if first {
            self.effects.push(Effect::Watch { slot, generation });
        }
        self.dirty.push_back(slot);
    }

    fn never_ready(&mut self, slot: Slot, problem: Arc<str>) {
        if let Some(instance) = self.instance(slot) {
            instance.problem = Some(problem);
        }
        self.stop_run(slot, ExitKind::Unready, How::Ladder);
    }

    /// There is no child in time.
    fn late(&mut self, slot: Slot) {
        let within = self.entry_of(slot).map(|entry| entry.policy.launch_within);
        let Some(instance) = self.get(slot) else {
            return;
        };
        if instance.phase != InstancePhase::Launching {
            return;
        }
        let text = format!("not spawned within {:?}", within.unwrap_or_default());
        if let Some(instance) = self.instance(slot) {
            instance.problem = Some(text.into());
        }
        self.abandon(slot, ExitKind::Unready);
    }

    /// Nothing is left of a start that was given up before its child was there.
    fn given_up(&mut self, slot: Slot) {
        let Some(instance) = self.instance(slot) else {
            return;
        };
        let problem = instance.problem.take();
        match problem.filter(|_| instance.cause == Some(ExitKind::Unready)) {
            Some(problem) => {
                let exit = None;
                self.not_started(slot, StartFailure::Unready { problem, exit }, false);
            }
            None => self.is_down(slot, None),
        }
    }

    fn not_started(&mut self, slot: Slot, failure: StartFailure, permanent: bool) {
        let Some(entry) = self.entry_of(slot) else {
            return;
        };
        let next = entry.policy.restart.judge_failed_start(permanent);
        self.is_down(slot, Some((failure, next)));
    }

    fn over(&mut self, slot: Slot, end: RunEnd) {
        let now = self.now;
        let Some(entry) = self.entry_of(slot) else {
            return;
        };
        let restart = entry.policy.restart.clone();
        let Some(instance) = self.instance(slot) else {
            return;
        };
        let escalated = end.by == StoppedBy::Signal(Signal::KILL);
        let is_ok = restart.judge(Some(end.status), None).kind == ExitKind::Ok;
        let known = match instance.cause {
            Some(ExitKind::Stopped) if escalated => Some(ExitKind::Escalated),
            None if end.out_of_memory && !is_ok => Some(ExitKind::OutOfMemory),
            None if !instance.was_ready => Some(ExitKind::Unready),
            cause => cause,
        };
        let verdict = restart.judge(Some(end.status), known);
        let exit = Exit {
            status: Some(end.status),
            kind: verdict.kind,
            ran: now.saturating_sub(instance.since.unwrap_or(now)),
            tail: end.tail,
        };
        if let Some(since) = instance.ready_since {
            let readiness = now.saturating_sub(since);
            instance.history.was_ready_for(&restart, readiness);
        }
        let failure = if instance.was_ready {
            StartFailure::Ended(Box::new(exit.clone()))
        } else {
            let problem = instance.problem.take();
            StartFailure::Unready {
                problem: problem.unwrap_or_else(|| "it ended before it was ready".into()),
                exit: Some(Box::new(exit.clone())),
            }
        };
        instance.last_exit = Some(exit);
        if end.leftovers > 0 {
            let count = end.leftovers;
            self.effects.push(Effect::Leftovers { slot, count });
        }
        self.count_in_the_ending(slot, escalated, end.leftovers);
        self.is_down(slot, Some((failure, verdict.next)));
    }

    /// No process of it is there any more. What comes next is what was asked for meanwhile; else what its policy says of the failure.
    pub(super) fn is_down(&mut self, slot: Slot, end: Option<(StartFailure, AfterEnd)>) {
        for kind in [TimerKind::Launch, TimerKind::Idle] {
            self.timers.clear(slot, kind);
        }
        let ending = self.is_shutting_down();
        let Some(instance) = self.instance(slot) else {
            return;
        };
        instance.pid = None;
        instance.group = None;
        instance.since = None;
        instance.ready_since = None;
        instance.unkillable = false;
        // One that was to be stopped for another one's sake, and ended before its turn came, is as if its turn had come.
        let asked = std::mem::take(&mut instance.stop_asked);
        let stopped = instance.cause.take() == Some(ExitKind::Stopped) || asked || end.is_none();
        let again = std::mem::take(&mut instance.again);
        let failure = end.as_ref().map(|(failure, _)| failure.clone());
        if let (Some(failure), false) = (&failure, stopped) {
            instance.failure = Some(failure.clone());
        }
        let wanted = instance.wanted && !ending;
        let next = match end {
            _ if !wanted => InstancePhase::Down(ServiceState::Stopped),
            _ if again || stopped => InstancePhase::Waiting,
            Some((failure, next)) => self.by_policy(slot, failure, next),
            None => InstancePhase::Waiting,
        };
        if let (Some(failure), true) = (failure, wanted && !again && !stopped) {
            self.fail_waiters(slot, &failure);
        }
        let by_itself = wanted && !again && !stopped;
        self.set_phase(slot, next);
        self.start_again_for_those_who_wait(slot);
        self.answer_stops(slot);
        self.stop_what_it_held_up(slot);
        // Those who end with success leave their companions alone, as in OTP.
        if by_itself && next != InstancePhase::Down(ServiceState::Exited) {
            self.stop_companions(slot);
        }
        if by_itself
            && matches!(
                self.get(slot).map(|i| i.phase),
                Some(InstancePhase::Down(_))
            )
        {
            self.look_at_the_essential(slot);
        }
        self.dirty.push_back(slot);
        self.look_at_the_ending();
    }

    /// What the service's own policy makes of an end.
    fn by_policy(&mut self, slot: Slot, failure: StartFailure, next: AfterEnd) -> InstancePhase {
        let (now, random) = (self.now, self.random);
        let idle = self.is_idle(slot);
        let Some(entry) = self.entry_of(slot) else {
            return InstancePhase::Down(ServiceState::Stopped);
        };
        let restart = entry.policy.restart.clone();
        let Some(instance) = self.instance(slot) else {
            return InstancePhase::Down(ServiceState::Stopped);
        };
        let had_child = failure.had_child();
        match next {
            AfterEnd::Stopped => InstancePhase::Down(ServiceState::Stopped),
            AfterEnd::Exited => {
                // A lease that starts it anew waits as after a first failure, however often it ends so.
                instance.not_before = now.saturating_add(restart.get_backoff().delay(1, random));
                InstancePhase::Down(ServiceState::Exited)
            }
            AfterEnd::Failed => {
                // A lease tries again, but not at once.
                let delay = match instance.history.next_try(&restart, now, random) {
                    NextTry::After(delay) => delay,
                    NextTry::LimitReached(limit) => limit.window,
                };
                instance.not_before = now.saturating_add(delay);
                InstancePhase::Down(ServiceState::Failed)
            }
            AfterEnd::Restart => match instance.history.next_try(&restart, now, random) {
                NextTry::LimitReached(limit) => {
                    instance.failure = Some(StartFailure::Limit {
                        count: limit.count,
                        window: limit.window,
                        last: Box::new(failure),
                    });
                    instance.not_before = now.saturating_add(limit.window);
                    InstancePhase::Down(ServiceState::Failed)
                }
                NextTry::After(delay) => {
                    let delay = if had_child {
                        delay
                    } else {
                        delay.max(LAUNCHES_APART)
                    };
                    let at = now.saturating_add(delay);
                    instance.not_before = at;
                    if idle {
                        // Nobody has a lease: the next one starts it.
                        instance.wanted = false;
                        return InstancePhase::Down(ServiceState::Stopped);
                    }
                    if delay.is_zero() {
                        return InstancePhase::Waiting;
                    }
                    self.timers.set(slot, TimerKind::Backoff, at);
                    InstancePhase::Backoff
                }
            },
        }
    }
}
