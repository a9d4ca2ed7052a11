//! A driver that executes nothing by itself: a test says what happens to each launch and each stop. It holds what is true after
//! every step, whatever the test does.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::{Core, Fact, How, LeaseId, Policy, Request, RunEnd, Slot, Ticket};
use super::policies::killed;
use crate::Signal;
use crate::monitor::error::MonitorError;
use crate::monitor::name::ServiceName;
use crate::monitor::shutdown_report::ShutdownReport;
use crate::monitor::state::ServiceState;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    Launching,
    Up,
    Stopping(How),
}

#[derive(Debug, Clone, Default)]
pub(super) struct World {
    pub(super) core: Core,
    pub(super) now: Duration,
    pub(super) runs: BTreeMap<Slot, (u64, Run)>,
    pub(super) names: BTreeMap<Slot, ServiceName>,
    pub(super) states: BTreeMap<Slot, ServiceState>,
    pub(super) tickets: BTreeMap<Ticket, Option<Result<(), MonitorError>>>,
    pub(super) last_generation: u64,
    last_lease: LeaseId,
    /// "launch web", "abandon web", "stop web", "kill web", "abort web", "unkillable web", "left web 3".
    pub(super) log: Vec<String>,
    pub(super) began: bool,
    pub(super) report: Option<ShutdownReport>,
    /// What is given up is not gone until the test says so.
    pub(super) gives_up_slowly: bool,
}

impl World {
    pub(super) fn new(policies: Vec<Policy>) -> Self {
        let mut world = Self {
            core: Core::new(Duration::from_secs(20)),
            ..Self::default()
        };
        world.add(policies);
        world
    }

    pub(super) fn add(&mut self, policies: Vec<Policy>) {
        self.core.check(&policies).unwrap();
        self.core.add(policies);
        self.take();
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        let ticket = self.tickets.len() as Ticket;
        self.tickets.insert(ticket, None);
        ticket
    }

    pub(super) fn ask(&mut self, name: impl Into<ServiceName>, request: Request) -> Ticket {
        let ticket = self.ticket();
        self.core.request(&name.into(), request, ticket);
        self.take();
        ticket
    }

    pub(super) fn lease(&mut self, name: impl Into<ServiceName>) -> (LeaseId, Ticket) {
        let ticket = self.ticket();
        self.last_lease += 1;
        self.core.lease(&name.into(), self.last_lease, ticket);
        self.take();
        (self.last_lease, ticket)
    }

    pub(super) fn release(&mut self, lease: LeaseId) {
        self.core.release(lease);
        self.take();
    }

    pub(super) fn shut_down(&mut self, within: Duration) {
        self.core.shut_down(within);
        self.take();
    }

    pub(super) fn slot(&self, name: impl Into<ServiceName>) -> Slot {
        let name = name.into();
        self.core
            .slot(&name)
            .unwrap_or_else(|| panic!("no {name}: {:#?}", self.log))
    }

    pub(super) fn state(&self, name: impl Into<ServiceName>) -> ServiceState {
        self.core.get(self.slot(name)).unwrap().state()
    }

    /// What happens to the present run.
    pub(super) fn fact(&mut self, name: impl Into<ServiceName>, fact: Fact) {
        let slot = self.slot(name);
        let generation = self.core.get(slot).unwrap().generation;
        self.happens(slot, generation, fact);
    }

    pub(super) fn happens(&mut self, slot: Slot, generation: u64, fact: Fact) {
        if let Some((_, run)) = self.runs.get_mut(&slot).filter(|run| run.0 == generation) {
            match (&fact, *run) {
                (Fact::Spawned { .. }, Run::Launching) => *run = Run::Up,
                (Fact::NotStarted { .. }, Run::Launching)
                | (Fact::Over(_), Run::Up | Run::Stopping(_)) => {
                    self.runs.remove(&slot);
                }
                (Fact::NotStarted { .. }, Run::Stopping(_))
                    if self.core.get(slot).unwrap().since.is_none() =>
                {
                    self.runs.remove(&slot);
                }
                (Fact::Exited, Run::Up) => *run = Run::Stopping(How::Ladder),
                _ => {}
            }
        }
        self.core.fact(slot, generation, fact);
        self.take();
    }

    pub(super) fn spawned(&mut self, name: impl Into<ServiceName>) {
        self.fact(name, Fact::Spawned { pid: 7 });
    }

    /// Spawned, and ready.
    pub(super) fn up(&mut self, name: impl Into<ServiceName>) {
        let name = name.into();
        self.spawned(name.clone());
        self.fact(name, Fact::Ready);
    }

    pub(super) fn over(&mut self, name: impl Into<ServiceName>, end: RunEnd) {
        self.fact(name, Fact::Over(end));
    }

    pub(super) fn to(&mut self, now: Duration) {
        self.now = self.now.max(now);
        self.core.at(self.now, 0.5);
        self.core.tick();
        self.take();
        let deadline = self.core.deadline();
        assert!(deadline.is_none_or(|at| at > self.now), "{deadline:?}");
    }

    /// Lets the time pass, from one deadline to the next.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.core.deadline().filter(|at| *at <= until) {
            self.to(at);
        }
        self.to(until);
    }

    /// Each launch succeeds, and each stop, until there are none. The time stands still.
    pub(super) fn quiesce(&mut self) {
        let mut steps = 0;
        loop {
            let pending = self.runs.iter().find_map(|(slot, (generation, run))| {
                let ready = self.core.get(*slot).unwrap().state();
                let fact = match run {
                    Run::Launching => Fact::Spawned { pid: 8 },
                    Run::Up if ready == (ServiceState::Running { ready: false }) => Fact::Ready,
                    Run::Up => return None,
                    Run::Stopping(How::Kill) => Fact::Over(killed(Signal::KILL)),
                    Run::Stopping(_) => Fact::Over(killed(Signal::TERM)),
                };
                Some((*slot, *generation, fact))
            });
            let Some((slot, generation, fact)) = pending else {
                return;
            };
            self.happens(slot, generation, fact);
            steps += 1;
            assert!(
                steps < 200_000,
                "no rest: {:#?}",
                &self.log[self.log.len() - 20..]
            );
        }
    }

    /// As [`quiesce`](Self::quiesce), with all delays of restarts.
    pub(super) fn rest(&mut self) {
        self.quiesce();
        for _ in 0..100 {
            self.pass(Duration::from_secs(1));
            self.quiesce();
        }
    }

    pub(super) fn reply(&self, ticket: Ticket) -> Option<Result<(), String>> {
        let reply = self.tickets[&ticket].as_ref()?;
        Some(reply.as_ref().copied().map_err(ToString::to_string))
    }

    #[track_caller]
    pub(super) fn ok(&self, ticket: Ticket) {
        assert_eq!(self.reply(ticket), Some(Ok(())), "{:#?}", self.log);
    }

    #[track_caller]
    pub(super) fn waits(&self, ticket: Ticket) {
        assert_eq!(self.reply(ticket), None, "{:#?}", self.log);
    }

    #[track_caller]
    pub(super) fn refused(&self, ticket: Ticket, text: &str) {
        assert_eq!(
            self.reply(ticket),
            Some(Err(text.to_owned())),
            "{:#?}",
            self.log
        );
    }

    pub(super) fn unanswered(&self) -> Vec<Ticket> {
        let open = self.tickets.iter().filter(|(_, reply)| reply.is_none());
        open.map(|(ticket, _)| *ticket).collect()
    }

    /// What was logged since the last time.
    pub(super) fn news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }
}
