//! For these tests: a monitor whose events are written down from its first one on.

use std::fmt::Debug;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use actix_process::Command;
use actix_process::monitor::{
    Backoff, Event, EventKind, Exit, Monitor, MonitorError, MonitorHandle, Reported, Restart,
    Service, ServiceState, StartFailure, Status, messages,
};
use futures::StreamExt;

use crate::common::census::is_gone;
use crate::common::helper::helper;
use crate::common::{eventually, in_time};

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Longer than any test.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// `READY` of a service that runs and is ready.
pub(crate) const READY: ServiceState = ServiceState::Running { ready: true };

/// A service whose child is the helper with these actions.
pub(crate) fn helping<const N: usize>(id: &str, actions: [&str; N]) -> Service {
    Service::new(id, helper(actions))
}

/// A service that runs until it is stopped.
pub(crate) fn pausing(id: &str) -> Service {
    helping(id, ["pause"])
}

/// A service that runs until its standard input is closed: by [`MonitorHandle`] or with its monitor.
pub(crate) fn shell(id: &str, script: &str) -> Service {
    Service::new(id, Command::new("sh").args(["-c", script]))
}

/// Restarts at once, for ever.
pub(crate) fn at_once(restart: Restart) -> Restart {
    restart.backoff(Backoff::none())
}

/// Restarts only by hand, as far as a test can see.
pub(crate) fn late(restart: Restart) -> Restart {
    restart.backoff(Backoff::new().first(LONG).cap(LONG).jitter(0.0))
}

pub(crate) struct Watched {
    monitor: MonitorHandle,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Deref for Watched {
    type Target = MonitorHandle;

    fn deref(&self) -> &MonitorHandle {
        &self.monitor
    }
}

impl Watched {
    pub(crate) async fn start(services: impl IntoIterator<Item = Service>) -> Self {
        Self::start_of(Monitor::new(), services).await
    }

    /// The services are added once the events are listened to.
    pub(crate) async fn start_of(
        monitor: Monitor,
        services: impl IntoIterator<Item = Service>,
    ) -> Self {
        let monitor = monitor.start().unwrap();
        let mut stream = monitor.events();
        let events = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&events);
        actix_rt::spawn(async move {
            while let Some(reported) = stream.next().await {
                let Reported::Event(event) = reported else {
                    panic!("{reported:?}");
                };
                written.lock().unwrap().push(event);
            }
        });
        let services: Vec<Service> = services.into_iter().collect();
        let count = services.len();
        monitor.addr().do_send(messages::Add { services });
        let watched = Self { monitor, events };
        watched
            .until("the services", |events| {
                let added = events.iter().filter(|event| event.what == EventKind::Added);
                (added.count() >= count).then_some(())
            })
            .await;
        watched
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.lock().clone()
    }

    pub(crate) async fn until<T>(&self, what: &str, find: impl Fn(&[Event]) -> Option<T>) -> T {
        eventually(what, || find(&self.lock()), || self.texts().join(", ")).await
    }

    /// Each change of a state: `web starting`.
    pub(crate) fn texts(&self) -> Vec<String> {
        let events = self.events();
        let changes = events.iter().filter_map(|event| match &event.what {
            EventKind::State { to, .. } => {
                Some(format!("{} {to}", event.id.as_deref().unwrap_or("?")))
            }
            _ => None,
        });
        changes.collect()
    }

    /// The states that a service came to, in their order.
    pub(crate) fn states(&self, id: &str) -> Vec<ServiceState> {
        let events = self.events();
        let of = events
            .iter()
            .filter(|event| event.id.as_deref() == Some(id));
        let states = of.filter_map(|event| match event.what {
            EventKind::State { to, .. } => Some(to),
            _ => None,
        });
        states.collect()
    }

    /// Waits until a service has come to a state so many times.
    pub(crate) async fn times(&self, id: &str, state: ServiceState, times: usize) {
        let what = format!("{id} {state} {times} times");
        let come = || {
            let states = self.states(id);
            (states.iter().filter(|to| **to == state).count() >= times).then_some(())
        };
        eventually(&what, come, || self.texts().join(", ")).await;
    }

    /// Waits until a service has come to a state.
    pub(crate) async fn once(&self, id: &str, state: ServiceState) {
        self.times(id, state, 1).await;
    }

    /// The generations of a service that were started.
    pub(crate) fn generations(&self, id: &str) -> Vec<u64> {
        let events = self.events();
        let started = events.iter().filter(|event| {
            let starting = matches!(
                event.what,
                EventKind::State {
                    to: ServiceState::Starting,
                    ..
                }
            );
            starting && event.id.as_deref() == Some(id)
        });
        started.map(|event| event.generation).collect()
    }

    pub(crate) async fn look(&self, id: &str) -> Status {
        in_time(self.monitor.status(id)).await.unwrap()
    }

    pub(crate) async fn last_exit(&self, id: &str) -> Exit {
        let status = self.look(id).await;
        let exit = status.last_exit.clone();
        exit.unwrap_or_else(|| panic!("{status:?}"))
    }

    pub(crate) async fn pid(&self, id: &str) -> i32 {
        let status = self.look(id).await;
        status.pid.unwrap_or_else(|| panic!("{status:?}"))
    }

    /// Kills the child of a service, as a crash does; gives the pid that it had.
    pub(crate) async fn crash(&self, id: &str) -> i32 {
        let pid = self.pid(id).await;
        kill(pid);
        pid
    }

    /// Shuts down; nothing may be left of any service.
    pub(crate) async fn end(&self) {
        let report = in_time(self.monitor.shutdown(LONG)).await;
        assert!(report.unkillable.is_empty(), "{report:?}");
        let pids = self.events().into_iter().filter_map(|event| event.pid);
        for pid in pids.collect::<std::collections::BTreeSet<i32>>() {
            assert!(is_gone(pid), "{pid} is left; {:?}", self.texts());
        }
    }
}

pub(crate) fn kill(pid: i32) {
    let pid = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

/// The failure that a request was answered with.
pub(crate) fn failure<T: Debug>(answer: Result<T, MonitorError>) -> StartFailure {
    match answer {
        Err(MonitorError::StartFailed { failure, .. }) => failure,
        other => panic!("{other:?}"),
    }
}
