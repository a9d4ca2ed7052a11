//! What the monitor's own tasks and threads tell the monitor.

use std::sync::Arc;
use std::time::SystemTime;

use actix::{Context, Handler, Message};

use super::Engine;
use crate::Command;
use crate::ExitStatus;
use crate::ProcessHandle;
use crate::SpawnError;
use crate::Stopped;
use crate::Unkillable;
use crate::host::guard::GuardEvent;
use crate::monitor::Monitor;
use crate::monitor::alive::Unhealthy;
use crate::monitor::core::{Fact, Slot};
use crate::monitor::error::StartFailure;
use crate::monitor::event::{Event, EventKind};
use crate::monitor::exit::ExitKind;
use crate::monitor::name::ServiceName;
use crate::monitor::notify::NotifyMessage;
use crate::monitor::output::FileNews;
use crate::monitor::ready::NotReady;
use crate::monitor::restart::is_hopeless;

#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::monitor) enum Told {
    /// Of one start.
    Start(Slot, u64, StartTold),
    Guard(GuardEvent),
    File(ServiceName, FileNews),
}

pub(in crate::monitor) enum StartTold {
    /// Its command was made.
    Made(Result<Box<Command>, Arc<str>>),
    NotSpawned(SpawnError),
    /// It was found while it was launched that there will be no child; whether another try cannot help.
    NotStarted(StartFailure, bool),
    /// With a protocol of the user's: it runs.
    Spawned(ProcessHandle),
    Ready(Result<(), NotReady>),
    Unhealthy(Unhealthy),
    Notified(Box<NotifyMessage>),
    /// A message that was not heard.
    Ignored,
    Stopped(Result<Stopped, Unkillable>),
    /// With a protocol of the user's: it was reaped.
    Exited(ExitStatus),
    /// With a protocol of the user's: its outputs are read to their end, or had their time for that.
    Drained,
}

impl Handler<Told> for Monitor {
    type Result = ();

    fn handle(&mut self, told: Told, ctx: &mut Context<Self>) {
        self.with(ctx, |engine| engine.told(told));
    }
}

impl Engine {
    fn told(&mut self, told: Told) {
        match told {
            Told::Start(slot, generation, told) => {
                let current = self.place_at(slot).and_then(|place| place.run.as_ref());
                if current.is_some_and(|run| run.generation == generation) {
                    self.start_told(slot, generation, told);
                } else {
                    self.core.count_stale(slot);
                    if matches!(told, StartTold::Made(_)) {
                        self.make_what_waits(slot);
                    }
                }
            }
            Told::Guard(event) => self.guard_told(&event),
            Told::File(name, news) => self.file_told(&name, news),
        }
    }

    fn start_told(&mut self, slot: Slot, generation: u64, told: StartTold) {
        self.tick();
        match told {
            StartTold::Made(Ok(command)) => self.spawn(slot, generation, *command),
            StartTold::Made(Err(problem)) => {
                self.not_started(slot, generation, StartFailure::Command(problem), false);
            }
            StartTold::NotSpawned(error) => {
                let permanent = is_hopeless(&error);
                let failure = StartFailure::Spawn(Arc::new(error));
                self.not_started(slot, generation, failure, permanent);
            }
            StartTold::NotStarted(failure, permanent) => {
                self.not_started(slot, generation, failure, permanent);
            }
            StartTold::Spawned(process) => self.spawned(slot, generation, &process),
            // A reload that began meanwhile is over when the service says so.
            StartTold::Ready(Ok(())) if self.core.is_reloading(slot) => {}
            StartTold::Ready(Ok(())) => {
                if let Some(Some(run)) = self.place(slot).map(|place| &mut place.run) {
                    run.ready = None;
                    run.task.let_go();
                }
                self.core.fact(slot, generation, Fact::Ready);
            }
            StartTold::Ready(Err(why)) => {
                let problem = why.to_string().into();
                self.core
                    .fact(slot, generation, Fact::NeverReady { problem });
            }
            StartTold::Unhealthy(why) => {
                if let Some(place) = self.place_at(slot) {
                    log::warn!("service {}: {why}", place.name);
                }
                let fact = match why.kind {
                    ExitKind::Watchdog => Fact::Missed,
                    _ => Fact::Unhealthy,
                };
                self.core.fact(slot, generation, fact);
            }
            StartTold::Notified(message) => self.notified(slot, generation, &message),
            StartTold::Ignored => {
                if let Some(place) = self.place(slot) {
                    place.ignored_messages += 1;
                }
            }
            StartTold::Stopped(result) => self.stopped(slot, generation, &result),
            StartTold::Exited(status) => self.exited(slot, generation, status),
            StartTold::Drained => self.drained(slot, generation),
        }
    }

    fn notified(&mut self, slot: Slot, generation: u64, message: &NotifyMessage) {
        let Some(place) = self.place(slot) else {
            return;
        };
        let tells_ready = place.spec.ready.wants_notify();
        if let (Some(text), Some(run)) = (&message.status, &mut place.run) {
            run.status_text = Some(text.as_str().into());
        }
        // A reload that is over in the same message is none.
        // In the order of the messages: the wait for readiness has its turn later.
        if message.stopping || (message.reloading && !message.ready) {
            self.core.fact(slot, generation, Fact::Unready);
        } else if message.ready && (tells_ready || self.core.is_reloading(slot)) {
            self.core.fact(slot, generation, Fact::Ready);
        }
    }

    fn guard_told(&mut self, event: &GuardEvent) {
        let missing = |problem: String| EventKind::GuardMissing { problem };
        let what = match event {
            GuardEvent::NotStarted { error } => {
                log::warn!("a monitor has no guard yet: {error}");
                missing(error.to_string())
            }
            GuardEvent::Lost { status } => {
                log::warn!("the guard of a monitor is gone: {status}");
                missing(format!("the guard is gone: {status}"))
            }
            GuardEvent::Failed { error, delay } => {
                return log::warn!("no guard for a monitor, next try in {delay:?}: {error}");
            }
            GuardEvent::Replaced => EventKind::GuardReplaced,
        };
        let event = Event::of_the_monitor(SystemTime::now(), what);
        self.shared.events.publish(event);
    }

    fn file_told(&mut self, name: &ServiceName, news: FileNews) {
        let Some(slot) = self.core.slot(name) else {
            return;
        };
        let what = match news {
            FileNews::Failing(error) => {
                log::warn!("the file of service {name} cannot be written: {error}");
                EventKind::SinkFailed {
                    problem: error.to_string(),
                }
            }
            FileNews::Recovered { lost } => EventKind::SinkRecovered { lost },
        };
        self.publish(slot, what);
    }
}
