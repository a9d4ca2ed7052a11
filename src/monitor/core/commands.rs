//! What is asked of one service by hand.

use super::instance::{InstancePhase, Waiter};
use super::timers::TimerKind;
use super::{Core, LeaseId, Request, Slot, Ticket};
use crate::monitor::error::MonitorError;
use crate::monitor::name::ServiceName;
use crate::monitor::state::ServiceState;

impl Core {
    /// Each request is answered once.
    pub(in crate::monitor) fn request(
        &mut self,
        name: &ServiceName,
        request: Request,
        ticket: Ticket,
    ) {
        if matches!(request, Request::Remove) {
            return self.remove(name, ticket);
        }
        let Some(slot) = self.slot(name) else {
            let name = name.clone();
            return self.answer(ticket, Err(MonitorError::NotFound { name }));
        };
        // A service that is being removed does not come back.
        let leaving = self.entry_of(slot).is_some_and(|entry| entry.removed);
        if leaving && !matches!(request, Request::Stop) {
            let name = name.clone();
            return self.answer(ticket, Err(MonitorError::NotFound { name }));
        }
        if self.is_shutting_down() && !matches!(request, Request::Stop) {
            return self.answer(ticket, Err(MonitorError::ShuttingDown));
        }
        match request {
            Request::Start | Request::Restart if self.is_evicted(slot) => {
                if let Err(error) = self.make_room_for(slot) {
                    return self.answer(ticket, Err(*error));
                }
                self.request(name, request, ticket);
            }
            Request::Start => self.start(slot, ticket),
            Request::Ready => self.await_ready(slot, ticket),
            Request::Stop => self.stop(slot, ticket),
            Request::Restart => self.restart(slot, ticket),
            Request::RestartNow => self.restart_now(slot, ticket),
            Request::Remove => {}
        }
    }

    /// A waiter hears of the next readiness, or of the failure of a start that has not failed yet.
    /// `starts` says whether that was a request for a start.
    pub(super) fn push_waiter(
        &mut self,
        slot: Slot,
        ticket: Ticket,
        lease: Option<LeaseId>,
        starts: bool,
    ) {
        let Some(instance) = self.instance(slot) else {
            return;
        };
        if instance.unkillable {
            let name = instance.name.clone();
            self.end_lease(lease);
            return self.answer(ticket, Err(MonitorError::Unkillable { name }));
        }
        let beyond = if instance.is_stopping() || !instance.is_alive() {
            instance.generation
        } else {
            instance.generation.saturating_sub(1)
        };
        instance.waiters.push(Waiter {
            ticket,
            beyond,
            lease,
            starts,
        });
        self.dirty.push_back(slot);
    }

    fn start(&mut self, slot: Slot, ticket: Ticket) {
        if let Some(instance) = self.instance(slot) {
            instance.held = true;
        }
        self.bring_up(slot, ticket);
    }

    /// What is leased, or needed by another one, runs for as long as that lasts, however often it is started anew. Only where nobody
    /// wants it a request to start it anew is a start by hand.
    fn hold_if_idle(&mut self, slot: Slot) {
        if self.is_idle(slot)
            && let Some(instance) = self.instance(slot)
        {
            instance.held = true;
        }
    }

    fn bring_up(&mut self, slot: Slot, ticket: Ticket) {
        let Some(instance) = self.instance(slot) else {
            return;
        };
        instance.barred = false;
        if instance.is_stopping() && !instance.wanted {
            instance.again = true;
        }
        instance.wanted = true;
        match instance.phase {
            InstancePhase::Up { ready: true } if !instance.stop_asked => {
                return self.answer(ticket, Ok(()));
            }
            InstancePhase::Down(_) => {
                instance.forgive();
                self.set_phase(slot, InstancePhase::Waiting);
            }
            _ => {}
        }
        self.push_waiter(slot, ticket, None, true);
        self.overtake_stops(slot, "start");
    }

    fn await_ready(&mut self, slot: Slot, ticket: Ticket) {
        let Some(instance) = self.get(slot) else {
            return;
        };
        match instance.phase {
            InstancePhase::Up { ready: true } if !instance.stop_asked => {
                self.answer(ticket, Ok(()))
            }
            InstancePhase::Down(_) => self.answer(ticket, Err(instance.not_up())),
            // Nobody wants it again.
            _ if instance.is_stopping() && !instance.wanted => {
                self.answer(ticket, Err(instance.not_up()));
            }
            _ => self.push_waiter(slot, ticket, None, false),
        }
    }

    fn stop(&mut self, slot: Slot, ticket: Ticket) {
        let Some(instance) = self.instance(slot) else {
            return;
        };
        instance.wanted = false;
        instance.held = false;
        instance.again = false;
        instance.barred = true;
        if instance.unkillable {
            let name = instance.name.clone();
            self.answer(ticket, Err(MonitorError::Unkillable { name }));
        } else {
            instance.stop_waiters.push(ticket);
        }
        self.overtake_starts(slot, "stop");
        self.stop_with_companions(slot);
    }

    fn restart(&mut self, slot: Slot, ticket: Ticket) {
        self.overtake_starts(slot, "restart");
        self.overtake_stops(slot, "restart");
        // A lease whose start was overtaken has ended.
        self.hold_if_idle(slot);
        let Some(instance) = self.instance(slot) else {
            return;
        };
        instance.forgive();
        instance.wanted = true;
        instance.barred = false;
        if instance.is_alive() {
            instance.again = true;
        } else {
            self.timers.clear(slot, TimerKind::Backoff);
            self.set_phase(slot, InstancePhase::Waiting);
        }
        self.stop_with_companions(slot);
        // The failure of the run that is being ended is not the answer: it is stopping by now, or gone.
        self.push_waiter(slot, ticket, None, true);
    }

    fn restart_now(&mut self, slot: Slot, ticket: Ticket) {
        let Some(instance) = self.get(slot) else {
            return;
        };
        match instance.phase {
            InstancePhase::Backoff => {
                self.timers.clear(slot, TimerKind::Backoff);
                self.set_phase(slot, InstancePhase::Waiting);
                self.push_waiter(slot, ticket, None, true);
            }
            InstancePhase::Down(ServiceState::Failed) => {
                self.hold_if_idle(slot);
                self.bring_up(slot, ticket);
            }
            _ => self.await_ready(slot, ticket),
        }
    }

    /// Those who wait for a start hear that something else came in between.
    pub(super) fn overtake_starts(&mut self, slot: Slot, by: &'static str) {
        let Some(instance) = self.instance(slot) else {
            return;
        };
        let name = instance.name.clone();
        let waiters = std::mem::take(&mut instance.waiters);
        for waiter in waiters {
            self.end_lease(waiter.lease);
            let name = name.clone();
            self.answer(waiter.ticket, Err(MonitorError::Overtaken { name, by }));
        }
    }

    /// Those who wait for a stop hear that something else came in between.
    pub(super) fn overtake_stops(&mut self, slot: Slot, by: &'static str) {
        let Some(instance) = self.instance(slot) else {
            return;
        };
        let name = instance.name.clone();
        let waiters = std::mem::take(&mut instance.stop_waiters);
        for ticket in waiters {
            let name = name.clone();
            self.answer(ticket, Err(MonitorError::Overtaken { name, by }));
        }
    }
}
