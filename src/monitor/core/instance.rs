//! One instance of a service: its state, what is wanted of it, and who waits for it.

use std::sync::Arc;
use std::time::Duration;

use super::{LeaseId, StartFailure, Ticket};
use crate::monitor::error::MonitorError;
use crate::monitor::exit::{Exit, ExitKind};
use crate::monitor::name::ServiceName;
use crate::monitor::restart_history::RestartHistory;
use crate::monitor::state::ServiceState;

/// Where a service is between two starts. The public state is made from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InstancePhase {
    /// Nothing is there and nothing will be, as far as the service alone decides: stopped, exited or failed.
    Down(ServiceState),
    /// It starts as soon as its gate is open.
    Waiting,
    /// It waits for its restart.
    Backoff,
    /// Its command is being made or spawned.
    Launching,
    Up {
        ready: bool,
    },
    /// Its run is being ended, or what the run has left behind.
    Stopping,
}

/// Somebody who waits for readiness.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Waiter {
    pub(super) ticket: Ticket,
    /// The failure of this start, and of those before it, is not the answer.
    pub(super) beyond: u64,
    /// Its failure ends the lease.
    pub(super) lease: Option<LeaseId>,
    /// It asked for a start, and not only for news of one.
    pub(super) starts: bool,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(in crate::monitor) struct Instance {
    pub(in crate::monitor) name: ServiceName,
    pub(super) service: usize,
    pub(super) phase: InstancePhase,
    pub(in crate::monitor) generation: u64,
    /// Of its child, until that is reaped.
    pub(in crate::monitor) pid: Option<i32>,
    /// The number of its child's process group, until nobody is left of it.
    pub(in crate::monitor) group: Option<i32>,
    /// Since when it is ready.
    pub(super) ready_since: Option<Duration>,
    /// When the child of this generation was there.
    pub(in crate::monitor) since: Option<Duration>,
    /// How often it was started after the first time.
    pub(in crate::monitor) restarts: u64,
    pub(in crate::monitor) last_exit: Option<Exit>,
    pub(in crate::monitor) leases: usize,
    /// How much came for starts that were over.
    pub(in crate::monitor) stale: u64,
    /// Somebody wants it to run.
    pub(super) wanted: bool,
    /// Of a service on demand: it was started by hand.
    pub(super) held: bool,
    /// Of a service on demand: it was stopped by hand, and no lease from before that starts it.
    pub(super) barred: bool,
    /// It is started when it is down, whatever its policy says.
    pub(super) again: bool,
    /// It is to be stopped when what comes after it is down.
    pub(super) stop_asked: bool,
    /// It is to make room for another instance.
    pub(super) evicted: bool,
    /// It is there only until its end was told.
    pub(super) forgotten: bool,
    /// The present run was told to be unkillable.
    pub(super) unkillable: bool,
    /// Of a service on demand: somebody wanted it when that was last looked at.
    pub(super) in_demand: bool,
    /// It was ready in this generation.
    pub(super) was_ready: bool,
    /// Why this generation is being stopped.
    pub(super) cause: Option<ExitKind>,
    pub(super) problem: Option<Arc<str>>,
    pub(super) failure: Option<StartFailure>,
    pub(super) history: RestartHistory,
    /// No lease starts it before.
    pub(super) not_before: Duration,
    /// Since when nobody has a lease of it.
    pub(super) idle_since: Duration,
    pub(super) waiters: Vec<Waiter>,
    pub(super) stop_waiters: Vec<Ticket>,
}

impl Instance {
    pub(super) fn new(name: ServiceName, service: usize) -> Self {
        Self {
            name,
            service,
            phase: InstancePhase::Down(ServiceState::Stopped),
            generation: 0,
            pid: None,
            group: None,
            since: None,
            ready_since: None,
            restarts: 0,
            last_exit: None,
            leases: 0,
            stale: 0,
            wanted: false,
            held: false,
            barred: false,
            again: false,
            stop_asked: false,
            evicted: false,
            forgotten: false,
            unkillable: false,
            in_demand: false,
            was_ready: false,
            cause: None,
            problem: None,
            failure: None,
            history: RestartHistory::default(),
            not_before: Duration::ZERO,
            idle_since: Duration::ZERO,
            waiters: Vec::new(),
            stop_waiters: Vec::new(),
        }
    }

    pub(in crate::monitor) fn state(&self) -> ServiceState {
        match self.phase {
            InstancePhase::Down(state) => state,
            InstancePhase::Waiting => ServiceState::Waiting,
            InstancePhase::Backoff => ServiceState::Backoff,
            InstancePhase::Launching => ServiceState::Starting,
            InstancePhase::Up { ready } => ServiceState::Running { ready },
            InstancePhase::Stopping => ServiceState::Stopping,
        }
    }

    /// Whether there may be a process of it.
    pub(in crate::monitor) fn is_alive(&self) -> bool {
        matches!(
            self.phase,
            InstancePhase::Launching | InstancePhase::Up { .. } | InstancePhase::Stopping
        )
    }

    /// Whether it is going down, or is to.
    pub(super) fn is_stopping(&self) -> bool {
        self.stop_asked || self.phase == InstancePhase::Stopping
    }

    /// Why nobody need wait for its readiness.
    pub(super) fn not_up(&self) -> MonitorError {
        let (name, state) = (self.name.clone(), self.state());
        match &self.failure {
            Some(failure) if state == ServiceState::Failed => MonitorError::StartFailed {
                name,
                failure: failure.clone(),
            },
            _ => MonitorError::State { name, state },
        }
    }

    /// Its failures are forgotten: somebody asked for a start by hand.
    pub(super) fn forgive(&mut self) {
        self.history.forget();
        self.not_before = Duration::ZERO;
    }
}
