//! What the handles of a monitor share with the monitor.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::containment::MonitorContainment;
use super::core::LeaseId;
use super::event::Event;
use super::name::ServiceName;
use super::output::{Broadcast, OutputSource, OutputSpec, Since};
use super::shutdown_report::ShutdownReport;
use crate::host::closing::ActorClosing;
use crate::host::kill_all::KillAll;

/// How many events are kept for those who are slow to take them.
const EVENTS: usize = 1024;

#[derive(Debug)]
pub(super) struct MonitorShared {
    pub(super) events: Broadcast<Event>,
    pub(super) kill_all: KillAll,
    pub(super) containment: MonitorContainment,
    /// The outputs of all instances.
    outputs: Mutex<HashMap<ServiceName, OutputSource>>,
    closing: ActorClosing<ShutdownReport>,
    last_lease: AtomicU64,
}

impl MonitorShared {
    pub(super) fn new(containment: MonitorContainment) -> Self {
        Self {
            events: Broadcast::new(EVENTS),
            kill_all: KillAll::new("services"),
            containment,
            outputs: Mutex::default(),
            closing: ActorClosing::new(),
            last_lease: AtomicU64::new(0),
        }
    }

    pub(super) fn lease_id(&self) -> LeaseId {
        self.last_lease.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn outputs(&self) -> MutexGuard<'_, HashMap<ServiceName, OutputSource>> {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn output(&self, name: &ServiceName) -> OutputSource {
        let found = self.outputs().get(name).cloned();
        found.unwrap_or_else(OutputSource::none)
    }

    /// The output of an instance, which somebody may follow already.
    pub(super) fn make_output(&self, name: &ServiceName, spec: &OutputSpec) -> OutputSource {
        let mut outputs = self.outputs();
        let source = outputs.entry(name.clone());
        source.or_insert_with(|| OutputSource::new(spec)).clone()
    }

    pub(super) fn subscribe(&self) -> super::output::Subscription<Event> {
        self.events.subscribe(Since::Now)
    }

    pub(super) fn begin_closing(&self) {
        self.closing.begin();
    }

    /// Nothing runs any more. The first report counts.
    pub(super) fn end(&self, report: ShutdownReport) {
        self.closing.end(report);
        self.events.close();
        let outputs = std::mem::take(&mut *self.outputs());
        outputs.values().for_each(OutputSource::close);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.closing.has_ended()
    }

    /// Ends when a shutdown has begun.
    pub(super) fn closing(&self) -> impl Future<Output = ()> + Send + use<> {
        self.closing.begun()
    }

    /// Ends when nothing runs any more.
    pub(super) fn closed(&self) -> impl Future<Output = ShutdownReport> + Send + use<> {
        self.closing.over()
    }
}
