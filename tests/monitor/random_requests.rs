//! Random sequences of requests and crashes over a few real services, against what a small model says of each at rest.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use actix_process::monitor::{
    EventKind, Lease, Monitor, MonitorError, MonitorHandle, Restart, Service, ServiceState, When,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::common::census::children;
use crate::common::isolated::isolated;
use crate::common::{DEADLINE, amount, in_time, run};
use crate::watched::{READY, Watched, at_once, pausing};

/// a, b after a, c with b, lazy on demand
const IDS: [&str; 4] = ["a", "b", "c", "lazy"];

fn service(id: &str) -> Service {
    let service = pausing(id).restart(at_once(Restart::on_failure()));
    match id {
        "b" => service.after("a", When::Ready),
        "c" => service.with("b"),
        "lazy" => service.on_demand().idle_stop(Duration::ZERO),
        _ => service,
    }
}

#[derive(Debug, Clone)]
enum Act {
    Start(usize),
    Stop(usize),
    Restart(usize),
    RestartNow(usize),
    /// One of those before, whose answer is waited for at the next rest.
    Later(Box<Self>),
    Crash(usize),
    Remove(usize),
    Add(usize),
    Lease,
    Release,
    /// Until all that was asked for is answered, and nothing is on its way.
    Rest,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let id = || 0..IDS.len();
    let later = prop_oneof![
        id().prop_map(Act::Start),
        id().prop_map(Act::Stop),
        id().prop_map(Act::Restart),
        id().prop_map(Act::RestartNow),
    ];
    let act = prop_oneof![
        8 => later.prop_map(|act| Act::Later(Box::new(act))),
        3 => id().prop_map(Act::Start),
        3 => id().prop_map(Act::Stop),
        2 => id().prop_map(Act::Restart),
        1 => id().prop_map(Act::RestartNow),
        3 => id().prop_map(Act::Crash),
        1 => id().prop_map(Act::Remove),
        2 => id().prop_map(Act::Add),
        2 => Just(Act::Lease),
        2 => Just(Act::Release),
        2 => Just(Act::Rest),
    ];
    proptest::collection::vec(act, 1..25)
}

/// What the model knows of a service.
#[derive(Debug, Default, Clone, Copy)]
struct Known {
    /// Somebody wants it: by a start, or because it was added.
    wanted: bool,
}

struct World {
    watched: Watched,
    known: BTreeMap<&'static str, Known>,
    leases: Vec<Lease>,
    /// The service on demand was stopped by hand: no lease from before keeps it up.
    is_barred: bool,
    /// What c was stopped with was removed: it goes on without it.
    goes_alone: bool,
    later: Vec<(Act, Answering)>,
}

type Answering = Pin<Box<dyn Future<Output = Result<(), MonitorError>>>>;

impl World {
    /// Asks for a start, a stop or a restart.
    fn ask(&self, act: &Act) -> Answering {
        let monitor = MonitorHandle::clone(&self.watched);
        let act = act.clone();
        Box::pin(async move {
            match act {
                Act::Start(n) => monitor.start(IDS[n]).await,
                Act::Stop(n) => monitor.stop(IDS[n]).await,
                Act::Restart(n) => monitor.restart(IDS[n]).await,
                Act::RestartNow(n) => monitor.restart_now(IDS[n]).await,
                other => panic!("{other:?}"),
            }
        })
    }

    async fn act(&mut self, act: &Act) {
        if let Act::Later(act) = act {
            let mut asking = self.ask(act);
            // It is sent now; the monitor's thread may be quick.
            if let Poll::Ready(answer) = futures::poll!(&mut asking) {
                asking = Box::pin(std::future::ready(answer));
            }
            match **act {
                Act::Start(n) if self.is_there(n) => self.want(IDS[n], true),
                Act::Restart(n) if self.is_there(n) => self.restarted(IDS[n]),
                Act::Stop(n) if self.is_there(n) => self.want(IDS[n], false),
                _ => {}
            }
            return self.later.push(((**act).clone(), asking));
        }
        self.act_now(act).await;
    }

    fn is_there(&self, n: usize) -> bool {
        self.known.contains_key(IDS[n])
    }

    /// Asks, and waits for the answer, which must be one that the request may have.
    async fn act_now(&mut self, act: &Act) {
        let id = match act {
            Act::Start(n)
            | Act::Stop(n)
            | Act::Restart(n)
            | Act::RestartNow(n)
            | Act::Crash(n)
            | Act::Remove(n)
            | Act::Add(n) => IDS[*n],
            _ => "lazy",
        };
        let there = self.known.contains_key(id);
        let answer = match act {
            Act::Crash(_) => {
                let status = in_time(self.watched.status(id)).await;
                if let Some(pid) = status.ok().and_then(|status| status.pid) {
                    kill_if_there(pid);
                }
                Ok(())
            }
            Act::Remove(_) => in_time(self.watched.remove(id)).await,
            Act::Add(_) => in_time(self.watched.add(service(id))).await,
            Act::Lease => {
                let lease = in_time(self.watched.lease("lazy")).await;
                lease.map(|lease| self.leases.push(lease))
            }
            Act::Release => {
                drop(self.leases.pop());
                Ok(())
            }
            Act::Rest => return self.rest().await,
            asked => in_time(self.ask(asked)).await,
        };
        self.judge(act, id, there, answer);
    }

    /// All that was asked for is answered, once.
    async fn take_answers(&mut self) {
        for (act, answering) in std::mem::take(&mut self.later) {
            match (&act, in_time(answering).await) {
                (
                    _,
                    Ok(()) | Err(MonitorError::Overtaken { .. } | MonitorError::NotFound { .. }),
                ) => {}
                (
                    Act::Start(_) | Act::Restart(_) | Act::RestartNow(_),
                    Err(MonitorError::StartFailed { .. } | MonitorError::Dependency { .. }),
                ) => {}
                (Act::RestartNow(_), Err(MonitorError::State { .. })) => {}
                // Its last lease was dropped meanwhile.
                (Act::Restart(3), Err(MonitorError::State { .. })) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn judge(
        &mut self,
        act: &Act,
        id: &'static str,
        there: bool,
        answer: Result<(), MonitorError>,
    ) {
        match (act, &answer) {
            (Act::Crash(_) | Act::Release, _) => {}
            (Act::Add(_), Ok(())) => {
                assert!(!there);
                let wanted = id != "lazy";
                self.known.insert(id, Known { wanted });
                self.goes_alone &= id != "c";
            }
            (Act::Add(_), Err(MonitorError::Spec(_))) => {
                let missing = |other| !self.known.contains_key(other);
                assert!(there || id == "b" && missing("a") || id == "c" && missing("b"));
            }
            // Added, and waits for one that is stopped.
            (Act::Add(_), Err(MonitorError::Dependency { .. })) => {
                self.known.insert(id, Known { wanted: true });
                self.goes_alone &= id != "c";
            }
            (Act::Remove(_), Ok(())) => {
                assert!(there);
                self.known.remove(id);
                self.goes_alone |= id == "b";
                if id == "lazy" {
                    self.leases.clear();
                }
            }
            (Act::Remove(_), Err(MonitorError::Needed { by, .. })) => {
                assert!(self.known.contains_key(&**by), "{by}");
            }
            (_, Err(MonitorError::NotFound { .. })) => assert!(!there, "{act:?}"),
            (Act::Stop(_), Ok(())) => self.want(id, false),
            (Act::Start(_), Ok(()) | Err(MonitorError::Dependency { .. })) => self.want(id, true),
            (Act::Restart(_), Ok(()) | Err(MonitorError::Dependency { .. })) => self.restarted(id),
            (Act::Lease, Ok(())) => {
                assert!(there);
                self.is_barred = false;
            }
            (Act::RestartNow(_), Ok(()) | Err(MonitorError::Dependency { .. })) => {}
            (Act::RestartNow(_), Err(MonitorError::State { .. })) => {
                assert!(!self.is_wanted(id));
            }
            // It crashed on its way up, or goes down at the moment: by this test's own hand.
            (_, Err(MonitorError::StartFailed { .. })) => {}
            other => panic!("{id}: {other:?}"),
        }
        match (act, &answer) {
            (Act::Start(_), Err(MonitorError::StartFailed { .. })) => self.want(id, true),
            (Act::Restart(_), Err(MonitorError::StartFailed { .. })) => self.restarted(id),
            _ => {}
        }
    }

    /// What is leased runs for as long as it is leased.
    fn restarted(&mut self, id: &'static str) {
        if id == "lazy" && !self.leases.is_empty() {
            self.is_barred = false;
        } else {
            self.want(id, true);
        }
    }

    fn want(&mut self, id: &'static str, wanted: bool) {
        self.known.insert(id, Known { wanted });
        if id == "lazy" {
            self.is_barred = !wanted;
        }
    }

    fn is_wanted(&self, id: &str) -> bool {
        let known = self.known.get(id).is_some_and(|known| known.wanted);
        known || id == "lazy" && !self.leases.is_empty() && !self.is_barred
    }

    /// Waits until each service is where the model has it, with one process or none, and no other process is there.
    async fn rest(&mut self) {
        self.take_answers().await;
        let begun = Instant::now();
        while let Some(why) = self.unrest().await {
            assert!(
                begun.elapsed() < DEADLINE,
                "{why}; {:?}",
                self.watched.texts()
            );
            actix_rt::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn unrest(&self) -> Option<String> {
        let all = in_time(self.watched.all()).await.unwrap();
        assert_eq!(all.len(), self.known.len(), "{all:?}");
        for status in &all {
            let id = &*status.id;
            let waits = match id {
                "b" => !self.is_wanted("a"),
                "c" => !(self.goes_alone || self.is_wanted("a") && self.is_wanted("b")),
                _ => false,
            };
            let fits = match status.state {
                // What it came after may have been stopped later.
                READY => {
                    self.is_wanted(id) && (id != "c" || self.goes_alone || self.is_wanted("b"))
                }
                ServiceState::Stopped => !self.is_wanted(id),
                ServiceState::Waiting => self.is_wanted(id) && waits,
                _ => false,
            };
            if !fits || status.pid.is_some() != (status.state == READY) {
                return Some(format!("{status:?}, wanted: {}", self.is_wanted(id)));
            }
        }
        let mut pids: Vec<i32> = all.iter().filter_map(|status| status.pid).collect();
        pids.sort_unstable();
        let mut there: Vec<i32> = children().into_iter().map(|(pid, _)| pid).collect();
        there.sort_unstable();
        (there != pids).then(|| format!("{there:?}, not {pids:?}"))
    }
}

/// It may have been stopped in between.
fn kill_if_there(pid: i32) {
    let pid = nix::unistd::Pid::from_raw(pid);
    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
}

async fn one_case(acts: Vec<Act>) {
    let monitor = Monitor::new().guard(false);
    let watched = Watched::start_of(monitor, IDS.map(service)).await;
    let known = IDS.map(|id| {
        let wanted = id != "lazy";
        (id, Known { wanted })
    });
    let mut world = World {
        watched,
        known: known.into(),
        leases: Vec::new(),
        is_barred: false,
        goes_alone: false,
        later: Vec::new(),
    };
    for act in &acts {
        world.act(act).await;
    }
    world.rest().await;
    let generations: Vec<u64> = IDS
        .iter()
        .flat_map(|id| world.watched.generations(id))
        .collect();
    let mut distinct = generations.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), generations.len());
    let bad = |kind: &EventKind| matches!(kind, EventKind::Unkillable);
    assert!(!world.watched.events().iter().any(|event| bad(&event.what)));
    world.leases.clear();
    world.watched.end().await;
    assert_eq!(children(), []);
}

#[test]
fn each_service_is_where_the_model_has_it() {
    isolated(|| {
        let config = Config {
            cases: amount(200, 12).try_into().unwrap(),
            failure_persistence: None,
            max_shrink_iters: amount(0, 8).try_into().unwrap(),
            ..Config::default()
        };
        let mut runner = TestRunner::new(config);
        let result = runner.run(&acts(), |acts| {
            run(one_case(acts));
            Ok(())
        });
        result.unwrap_or_else(|error| panic!("{error}"));
    });
}
