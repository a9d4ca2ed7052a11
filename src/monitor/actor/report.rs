//! What the monitor tells of its services: events, status, and what leases see.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;

use super::place::ServicePlace;
use super::{Current, Engine, Told};
use crate::monitor::core::Slot;
use crate::monitor::event::{Event, EventKind};
use crate::monitor::exit::Exit;
use crate::monitor::output::{OnFileNews, ServiceOutput};
use crate::monitor::sampling::Usage;
use crate::monitor::state::ServiceState;
use crate::monitor::status::Status;

impl Engine {
    /// A new instance.
    pub(super) fn born(&mut self, slot: Slot) {
        let Some(instance) = self.core.get(slot) else {
            return;
        };
        let name = instance.name.clone();
        let Some(spec) = self.specs.get(&name.id).cloned() else {
            return;
        };
        let news: Option<OnFileNews> = spec.output.file.as_ref().map(|_| {
            let (address, name) = (self.address.clone(), name.clone());
            Arc::new(move |news| address.do_send(Told::File(name.clone(), news))) as OnFileNews
        });
        let source = self.shared.make_output(&name, &spec.output);
        let output = ServiceOutput::new(&spec.output, source, name.to_string().into(), news);
        if self.places.len() <= slot {
            self.places.resize_with(slot + 1, || None);
        }
        if let Some(place) = self.places.get_mut(slot) {
            *place = Some(ServicePlace {
                name,
                spec,
                output,
                run: None,
                making: Arc::default(),
                ignored_messages: 0,
                current: None,
            });
        }
        self.publish(slot, EventKind::Added);
    }

    pub(super) fn forget(&mut self, slot: Slot) {
        let Some(mut place) = self.places.get_mut(slot).and_then(Option::take) else {
            return;
        };
        place.output.close();
        self.removed_files.take(&place.output);
        self.shared.outputs().remove(&place.name);
        self.forget_spec(&place.name.id);
        self.shared.events.publish(Event {
            id: Some(place.name.id.clone()),
            key: place.name.key.clone(),
            ..Event::of_the_monitor(SystemTime::now(), EventKind::Removed)
        });
    }

    /// Forgets what a service is, if the core has no such service any more.
    pub(super) fn forget_spec(&mut self, id: &Arc<str>) {
        if self.core.policies().all(|policy| policy.id != *id) {
            self.specs.remove(id);
        }
    }

    pub(super) fn publish(&self, slot: Slot, what: EventKind) {
        let instance = self.core.get(slot);
        let of = instance.map_or((0, None), |instance| (instance.generation, instance.pid));
        self.publish_of(slot, of, what);
    }

    fn publish_of(&self, slot: Slot, (generation, pid): (u64, Option<i32>), what: EventKind) {
        let Some(place) = self.place_at(slot) else {
            return;
        };
        self.shared.events.publish(Event {
            id: Some(Arc::clone(&place.name.id)),
            key: place.name.key.clone(),
            generation,
            pid,
            at: SystemTime::now(),
            what,
        });
    }

    pub(super) fn changed(
        &mut self,
        slot: Slot,
        of: (u64, Option<i32>),
        (from, to): (ServiceState, ServiceState),
        exit: Option<Exit>,
    ) {
        if let Some(place) = self.place_at(slot) {
            log::debug!("service {}: {from}, now {to}", place.name);
        }
        let failed = matches!(to, ServiceState::Failed | ServiceState::Backoff);
        let problem = self.core.failure(slot).filter(|_| failed);
        let problem = problem.map(ToString::to_string);
        // A kill of all has its own warning.
        if !self.shared.kill_all.has_killed()
            && let (Some(problem), Some(place)) = (&problem, self.place_at(slot))
        {
            log::warn!("service {} {to}: {problem}", place.name);
        }
        // Whoever hears of the event finds that the leases tell the same.
        self.tell_leases(slot);
        let waits = to == ServiceState::Backoff;
        let next_try = self.core.next_try(slot).filter(|_| waits);
        self.publish_of(
            slot,
            of,
            EventKind::State {
                from,
                to,
                exit,
                problem,
                next_try,
            },
        );
    }

    fn current(&self, slot: Slot) -> Current {
        let state = self.core.get(slot).map(|instance| instance.state());
        let state = state.unwrap_or(ServiceState::Stopped);
        let run = self.place_at(slot).and_then(|place| place.run.as_ref());
        match run.and_then(|run| Some((run.process.clone()?, run.start.clone()))) {
            Some((process, start)) if state == (ServiceState::Running { ready: true }) => {
                Current::Up { process, start }
            }
            _ => Current::Down { state },
        }
    }

    fn tell_leases(&mut self, slot: Slot) {
        let current = self.current(slot);
        if let Some(tell) = self.place_at(slot).and_then(|place| place.current.as_ref()) {
            let _ = tell.send_replace(current);
        }
    }

    /// What the holder of a lease sees from now on.
    pub(super) fn follow_current(&mut self, slot: Slot) -> Option<watch::Receiver<Current>> {
        let current = self.current(slot);
        let place = self.place(slot)?;
        let tell = place
            .current
            .get_or_insert_with(|| watch::Sender::new(current));
        Some(tell.subscribe())
    }

    pub(super) fn status(&self, slot: Slot, usage: Option<Usage>) -> Option<Status> {
        let instance = self.core.get(slot)?;
        let place = self.place_at(slot)?;
        let run = place.run.as_ref();
        let counters = place.output.counters();
        Some(Status {
            id: Arc::clone(&place.name.id),
            key: place.name.key.clone(),
            state: instance.state(),
            pid: instance.pid,
            generation: instance.generation,
            restarts: instance.restarts,
            uptime: instance
                .since
                .map(|since| self.began.elapsed().saturating_sub(since)),
            next_try: self.core.next_try(slot),
            last_exit: instance.last_exit.clone(),
            status_text: run.and_then(|run| run.status_text.clone()),
            ignored_messages: place.ignored_messages,
            leases: instance.leases,
            usage,
            descriptors: run.map_or(0, |run| run.descriptors()) + place.output.descriptors(),
            dropped_lines: counters.suppressed,
            stale: instance.stale,
            lost_bytes: counters.file_lost,
        })
    }
}
