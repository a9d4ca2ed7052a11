//! For these tests: a monitor to which services are added one by one, and what its events tell of their states.

use std::time::Duration;

use actix_process::monitor::{
    Event, EventKind, Events, Exit, Monitor, MonitorError, MonitorHandle, Reported, Service,
    ServiceState, StartFailure,
};
use actix_process::{Command, ProcessHandle};
use futures::StreamExt;

use crate::common::DEADLINE;

pub(crate) const RUNNING: ServiceState = ServiceState::Running { ready: false };
pub(crate) const READY: ServiceState = ServiceState::Running { ready: true };

/// What a shell does with this script.
pub(crate) fn sh(script: &str) -> Command {
    Command::new("sh").args(["-c", script])
}

/// A monitor without services and without a guard.
pub(crate) fn empty() -> MonitorHandle {
    Monitor::new().guard(false).start().unwrap()
}

/// Stops all that a monitor has.
pub(crate) async fn end(monitor: &MonitorHandle) {
    monitor.shutdown(Duration::from_secs(20)).await;
}

/// The changes of state that a monitor tells of.
pub(crate) struct Changes {
    events: Events,
    seen: Vec<Event>,
}

impl Changes {
    /// From now on.
    pub(crate) fn of(monitor: &MonitorHandle) -> Self {
        Self {
            events: monitor.events(),
            seen: Vec::new(),
        }
    }

    /// Waits for the next change of this service to this state.
    pub(crate) async fn until(&mut self, id: &str, to: ServiceState) -> Event {
        loop {
            let next = actix_rt::time::timeout(DEADLINE, self.events.next()).await;
            let Ok(Some(Reported::Event(event))) = next else {
                panic!("no {to} of {id}, but {next:?} after {:#?}", self.seen);
            };
            self.seen.push(event.clone());
            if event.id.as_deref() == Some(id) && state_of(&event) == Some(to) {
                return event;
            }
        }
    }

    /// All states of this service so far, the newest last.
    pub(crate) fn states(&self, id: &str) -> Vec<ServiceState> {
        let of = self
            .seen
            .iter()
            .filter(|event| event.id.as_deref() == Some(id));
        of.filter_map(state_of).collect()
    }
}

fn state_of(event: &Event) -> Option<ServiceState> {
    match &event.what {
        EventKind::State { to, .. } => Some(*to),
        _ => None,
    }
}

/// The end of a run, of which this event tells.
pub(crate) fn exit_of(event: &Event) -> Exit {
    match &event.what {
        EventKind::State {
            exit: Some(exit), ..
        } => exit.clone(),
        _ => panic!("no exit: {event:?}"),
    }
}

/// The failure of a start.
pub(crate) fn failure(result: Result<(), MonitorError>) -> StartFailure {
    match result {
        Err(MonitorError::StartFailed { failure, .. }) => failure,
        other => panic!("no failed start: {other:?}"),
    }
}

/// The end of the run by which a start failed.
pub(crate) fn failed_exit(failure: &StartFailure) -> Exit {
    match failure {
        StartFailure::Unready {
            exit: Some(exit), ..
        }
        | StartFailure::Ended(exit) => Exit::clone(exit),
        other => panic!("no exit: {other:?}"),
    }
}

/// Adds a service without waiting for the answer.
pub(crate) fn add(monitor: &MonitorHandle, service: Service) -> Added {
    let monitor = monitor.clone();
    actix_rt::spawn(async move { monitor.add(service).await })
}

pub(crate) type Added = actix_rt::task::JoinHandle<Result<(), MonitorError>>;

/// The pid of the child of a service that runs.
pub(crate) async fn pid(monitor: &MonitorHandle, id: &str) -> i32 {
    monitor.status(id).await.unwrap().pid.unwrap()
}

/// The pid of a child.
pub(crate) fn pid_of(process: &ProcessHandle) -> i32 {
    process.spawned_pid()
}
