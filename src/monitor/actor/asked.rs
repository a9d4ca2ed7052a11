//! What handles and messages ask of the monitor.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::{Context, Handler, Message};
use tokio::sync::{oneshot, watch};

use super::{Current, Engine};
use crate::Bytes;
use crate::ProcessHandle;
use crate::PtySize;
use crate::Signal;
use crate::monitor::Monitor;
use crate::monitor::core::{Instance, Kinship, LeaseId, Policy, Request, Slot, Ticket};
use crate::monitor::error::MonitorError;
use crate::monitor::name::ServiceName;
use crate::monitor::sampling::{self, Usage};
use crate::monitor::service::ServiceSpec;
use crate::monitor::shutdown_report::ShutdownReport;
use crate::monitor::spec_error::{SpecError, SpecProblem};
use crate::monitor::state::ServiceState;
use crate::monitor::status::Status;

type Tell<T> = oneshot::Sender<Result<T, MonitorError>>;

/// One request, and where its answer goes.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::monitor) enum Ask {
    Request(ServiceName, Request, Tell<()>),
    Add(Vec<ServiceSpec>, Tell<()>),
    AllReady(Tell<()>),
    /// The ticket is answered when it is ready.
    Lease(ServiceName, LeaseId, Tell<()>),
    /// Of a lease of this service that was given.
    Current(ServiceName, LeaseId, Tell<watch::Receiver<Current>>),
    Release(LeaseId),
    Signal(ServiceName, Signal, Tell<()>),
    Write(ServiceName, Bytes, Tell<()>),
    Resize(ServiceName, PtySize, Tell<()>),
    Reopen(Tell<()>),
    /// Of all, or of one; with what their processes use.
    Status(Option<ServiceName>, bool, Tell<Vec<Status>>),
    Shutdown(Duration, oneshot::Sender<ShutdownReport>),
    /// By a signal: the usual deadline, or none.
    ShutdownNow {
        kill: bool,
    },
}

impl Handler<Ask> for Monitor {
    type Result = ();

    fn handle(&mut self, ask: Ask, ctx: &mut Context<Self>) {
        self.with(ctx, |engine| engine.ask(ask));
    }
}

impl Engine {
    fn ask(&mut self, ask: Ask) {
        self.tick();
        match ask {
            Ask::Request(name, request, tell) => {
                let ticket = self.ticket(tell);
                let removes = matches!(request, Request::Remove);
                self.core.request(&name, request, ticket);
                if removes {
                    // Of a keyed one without instances nothing else tells.
                    self.forget_spec(&name.id);
                }
            }
            Ask::Add(services, tell) => self.add_checked(services, tell),
            Ask::AllReady(tell) => self.all_ready(tell),
            Ask::Lease(name, lease, tell) => {
                let ticket = self.ticket(tell);
                self.core.lease(&name, lease, ticket);
            }
            Ask::Current(name, lease, tell) => {
                let slot = self.core.leased(lease);
                let current = slot.and_then(|slot| self.follow_current(slot));
                let _ = tell.send(current.ok_or(MonitorError::NotFound { name }));
            }
            Ask::Release(lease) => self.core.release(lease),
            Ask::Signal(name, signal, tell) => {
                let sent = |process: &ProcessHandle| process.signal_group(signal);
                let _ = tell.send(self.act(&name, |process| Ok(sent(process)?)));
            }
            Ask::Write(name, data, tell) => {
                let _ = tell.send(self.act(&name, |process| Ok(process.write(data)?)));
            }
            Ask::Resize(name, size, tell) => {
                let _ = tell.send(self.act(&name, |process| Ok(process.resize(size)?)));
            }
            Ask::Reopen(tell) => {
                for place in self.places.iter().flatten() {
                    place.output.reopen();
                }
                let _ = tell.send(Ok(()));
            }
            Ask::Status(name, usage, tell) => self.tell_status(name, usage, tell),
            Ask::Shutdown(within, tell) => {
                self.shutdown_waiters.push(tell);
                self.core.shut_down(within);
            }
            Ask::ShutdownNow { kill } => {
                let within = if kill {
                    Duration::ZERO
                } else {
                    self.shutdown_within
                };
                self.core.shut_down(within);
            }
        }
    }

    /// All of them, or none. The answer comes when those that start at once are ready, or the first one has failed.
    fn add_checked(&mut self, services: Vec<ServiceSpec>, tell: Tell<()>) {
        if self.core.is_shutting_down() {
            return drop(tell.send(Err(MonitorError::ShuttingDown)));
        }
        let policies: Vec<_> = services.iter().map(|spec| spec.policy.clone()).collect();
        let checked = self.core.check(&policies);
        let limits = || check_limits(&self.cgroups, &services);
        if let Err(error) = checked.and_then(|()| limits()) {
            return drop(tell.send(Err(error.into())));
        }
        self.add(services);
        let always = policies.into_iter().filter(is_always);
        self.when_ready(always.map(|policy| policy.id).collect(), tell);
    }

    fn all_ready(&mut self, tell: Tell<()>) {
        let awaited = self.core.all().filter(|(slot, instance)| {
            let state = instance.state();
            let is_over = matches!(state, ServiceState::Exited | ServiceState::Stopped);
            !is_over && self.core.policy_of(*slot).is_some_and(is_always)
        });
        let ids = awaited.map(|(_, instance)| Arc::clone(&instance.name.id));
        self.when_ready(ids.collect(), tell);
    }

    /// Answers when all of them are ready or have failed: with the first failure.
    fn when_ready(&mut self, ids: Vec<Arc<str>>, tell: Tell<()>) {
        let waits: Vec<_> = ids
            .into_iter()
            .map(|id| {
                let (tell, told) = oneshot::channel();
                let ticket: Ticket = self.ticket(tell);
                let name = ServiceName { id, key: None };
                self.core.request(&name, Request::Ready, ticket);
                told
            })
            .collect();
        actix_rt::spawn(async move {
            let mut result = Ok(());
            for wait in waits {
                let answer = wait.await.unwrap_or(Err(MonitorError::Ended));
                result = result.and(answer);
            }
            let _ = tell.send(result);
        });
    }

    /// Does something to the child of a service that runs.
    fn act(
        &self,
        name: &ServiceName,
        act: impl FnOnce(&ProcessHandle) -> Result<(), MonitorError>,
    ) -> Result<(), MonitorError> {
        let slot = self.core.slot(name);
        let found = slot.and_then(|slot| Some((self.core.get(slot)?, self.place_at(slot)?)));
        let Some((instance, place)) = found else {
            return Err(MonitorError::NotFound { name: name.clone() });
        };
        match place.run.as_ref().and_then(|run| run.process.as_ref()) {
            Some(process) => act(process),
            None => Err(MonitorError::State {
                name: name.clone(),
                state: instance.state(),
            }),
        }
    }

    fn tell_status(&self, name: Option<ServiceName>, usage: bool, tell: Tell<Vec<Status>>) {
        let slots: Vec<Slot> = match &name {
            None => self.core.all().map(|(slot, _)| slot).collect(),
            Some(name) => match self.core.slot(name) {
                Some(slot) => vec![slot],
                None => {
                    let error = MonitorError::NotFound { name: name.clone() };
                    return drop(tell.send(Err(error)));
                }
            },
        };
        let group = |slot: Slot| self.core.get(slot).and_then(|it: &Instance| it.group);
        let all = slots
            .iter()
            .filter_map(|slot| Some((group(*slot), self.status(*slot, None)?)));
        let all: Vec<(Option<i32>, Status)> = all.collect();
        if !usage {
            let all = all.into_iter().map(|(_, status)| status);
            return drop(tell.send(Ok(all.collect())));
        }
        // A look at all processes takes its time.
        actix_rt::task::spawn_blocking(move || {
            let groups: Vec<i32> = all.iter().filter_map(|(group, _)| *group).collect();
            let used: HashMap<i32, Usage> = sampling::sample(&groups).unwrap_or_default();
            let with = |(group, mut status): (Option<i32>, Status)| {
                status.usage = group.and_then(|group| used.get(&group).cloned());
                status
            };
            let _ = tell.send(Ok(all.into_iter().map(with).collect()));
        });
    }
}

/// Whether it is wanted without a lease.
fn is_always(policy: &Policy) -> bool {
    policy.kinship == Kinship::Always
}

/// The limits that this host cannot set.
pub(in crate::monitor) fn check_limits(
    cgroups: &crate::monitor::containment::ServiceCgroups,
    services: &[ServiceSpec],
) -> Result<(), SpecError> {
    for spec in services {
        if let Err(problem) = cgroups.check(&spec.limits) {
            return Err(SpecProblem::new(problem.field, problem.problem).of(&spec.policy.id));
        }
    }
    Ok(())
}
