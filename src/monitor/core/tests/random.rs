//! Random graphs and random sequences of what may happen, against what must hold when all has come to rest.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::instance::InstancePhase;
use super::super::{Fact, Instance, Kinship, LeaseId, Policy, Request, Ticket};
use super::happenings::{Happening, happening, policies};
use super::policies::{end, killed, not_started};
use super::world::{Run, World};
use super::{ms, on_demand, secs, service};
use crate::Signal;
use crate::monitor::name::ServiceName;
use crate::monitor::service::When;
use crate::monitor::state::ServiceState;

/// What was asked for, as far as it says what is wanted now.
#[derive(Default)]
struct Model {
    /// By a request by hand: `true` for a start, `false` for a stop.
    by_hand: BTreeMap<ServiceName, bool>,
    leases: BTreeMap<LeaseId, (ServiceName, Ticket)>,
    /// Those that were there when their service was stopped by hand.
    void: BTreeSet<LeaseId>,
    unkillable: bool,
}

struct Play {
    world: World,
    model: Model,
    added: usize,
}

impl Play {
    fn names(&self) -> Vec<ServiceName> {
        self.world
            .core
            .all()
            .map(|(_, instance)| instance.name.clone())
            .collect()
    }

    fn a_name(&self, n: usize) -> Option<ServiceName> {
        let names = self.names();
        (!names.is_empty()).then(|| names[n % names.len()].clone())
    }

    fn a_run(&self, n: usize, fits: impl Fn(Run) -> bool) -> Option<(usize, u64)> {
        let runs = self.world.runs.iter().filter(|(_, (_, run))| fits(*run));
        let runs: Vec<_> = runs
            .map(|(slot, (generation, _))| (*slot, *generation))
            .collect();
        (!runs.is_empty()).then(|| runs[n % runs.len()])
    }

    fn happens(&mut self, n: usize, fact: Fact, fits: impl Fn(Run) -> bool) {
        if let Some((slot, generation)) = self.a_run(n, fits) {
            self.world.happens(slot, generation, fact);
        }
    }

    fn by_hand(&mut self, n: usize, request: Request) {
        let Some(name) = self.a_name(n) else { return };
        let starts = match request {
            Request::Start => Some(true),
            Request::Restart => return self.restart(name),
            Request::Stop => Some(false),
            _ => None,
        };
        let ticket = self.world.ask(name.clone(), request);
        if let (Some(starts), false) = (starts, self.is_refused(ticket)) {
            if !starts {
                let leases = self.leases_of(&name);
                self.model.void.extend(leases);
            }
            self.model.by_hand.insert(name, starts);
        }
    }

    /// What nobody wants is wanted from then on, as after a start.
    fn restart(&mut self, name: ServiceName) {
        let needed = self.world.core.all().any(|(slot, follower)| {
            let policy = self.world.core.policy_of(slot).unwrap();
            let is_after = policy.after.iter().any(|after| after.id == name.id);
            is_after && follower.wanted && !matches!(follower.phase, InstancePhase::Down(_))
        });
        let ticket = self.world.ask(name.clone(), Request::Restart);
        if self.is_refused(ticket) {
            return;
        }
        let leases = self.leases_of(&name);
        self.model.void.retain(|lease| !leases.contains(lease));
        if self.model.by_hand.get(&name) != Some(&true) {
            let core = &self.world.core;
            if needed || leases.iter().any(|lease| core.leased(*lease).is_some()) {
                self.model.by_hand.remove(&name);
            } else {
                self.model.by_hand.insert(name, true);
            }
        }
    }

    fn is_refused(&self, ticket: Ticket) -> bool {
        self.world.reply(ticket).is_some_and(|reply| {
            reply.is_err_and(|text| text.contains("there is no") || text.contains("all "))
        })
    }

    fn leases_of(&self, name: &ServiceName) -> BTreeSet<LeaseId> {
        let of = self.model.leases.iter().filter(|(_, (of, _))| of == name);
        of.map(|(lease, _)| *lease).collect()
    }

    fn play(&mut self, happening: &Happening) {
        let up = |run| run == Run::Up;
        let launching = |run| run == Run::Launching;
        let alive = |run: Run| run != Run::Launching;
        match *happening {
            Happening::Start(n) => self.by_hand(n, Request::Start),
            Happening::Stop(n) => self.by_hand(n, Request::Stop),
            Happening::Restart(n) => self.by_hand(n, Request::Restart),
            Happening::Ready(n) => self.by_hand(n, Request::Ready),
            Happening::Remove(n) => self.by_hand(n, Request::Remove),
            Happening::Add(n, m) => self.add(n, m),
            Happening::Lease(n, key) => self.lease(n, key),
            Happening::Release(n) => {
                let leases: Vec<LeaseId> = self.model.leases.keys().copied().collect();
                if let Some(lease) = (!leases.is_empty()).then(|| leases[n % leases.len()]) {
                    self.model.leases.remove(&lease);
                    self.world.release(lease);
                }
            }
            Happening::Spawned(n) => self.happens(n, Fact::Spawned { pid: 3 }, launching),
            Happening::IsReady(n) => self.happens(n, Fact::Ready, up),
            Happening::NotStarted(n, permanent) => {
                self.happens(n, not_started(permanent), launching);
            }
            Happening::Crash(n) => self.happens(n, Fact::Over(killed(Signal::SEGV)), alive),
            Happening::Succeed(n) => self.happens(n, Fact::Over(end(0)), alive),
            Happening::Unhealthy(n) => self.happens(n, Fact::Unhealthy, up),
            Happening::Unkillable(n) => {
                let stopping = |run| matches!(run, Run::Stopping(_));
                self.model.unkillable |= self.a_run(n, stopping).is_some();
                self.happens(n, Fact::Unkillable, stopping);
            }
            Happening::Pass(millis) => self.world.pass(ms(millis)),
            Happening::Rest => {
                self.world.rest();
                self.at_rest();
            }
        }
        let world = &self.world;
        for (lease, (_, ticket)) in &self.model.leases {
            let failed = matches!(world.reply(*ticket), Some(Err(_)));
            if failed {
                assert_eq!(world.core.leased(*lease), None, "a lease that failed");
            }
        }
        self.model
            .leases
            .retain(|lease, _| world.core.leased(*lease).is_some());
    }

    fn add(&mut self, n: usize, m: usize) {
        let id = format!("t{}", self.added);
        self.added += 1;
        let policy = match self.a_name(n) {
            Some(other) if m.is_multiple_of(2) => service(&id).after(&other.id, When::Ready),
            Some(other) => on_demand(&id).with(&other.id),
            None => service(&id),
        };
        if !self.world.began && self.world.core.check(std::slice::from_ref(&policy)).is_ok() {
            self.world.add(vec![policy]);
        }
    }

    fn lease(&mut self, n: usize, key: usize) {
        let ids = self.world.core.policies().map(|policy| {
            (
                policy.id.clone(),
                matches!(policy.kinship, Kinship::Keyed { .. }),
            )
        });
        let ids: Vec<_> = ids.collect();
        let Some((id, keyed)) = (!ids.is_empty()).then(|| ids[n % ids.len()].clone()) else {
            return;
        };
        let key = keyed.then(|| format!("k{}", key % 4).into());
        let name = ServiceName { id, key };
        let (lease, ticket) = self.world.lease(name.clone());
        let reply = self.world.reply(ticket);
        // One that fails for a dependency's sake was accepted nevertheless.
        let accepted = !matches!(reply, Some(Err(_)));
        if accepted || self.world.core.slot(&name).is_some() && self.lifted(ticket) {
            if self.model.by_hand.get(&name) == Some(&false) && self.is_on_demand(&name) {
                self.model.by_hand.remove(&name);
            }
            // A new lease makes those of old good again.
            let leases = self.leases_of(&name);
            self.model.void.retain(|lease| !leases.contains(lease));
            self.model.leases.insert(lease, (name, ticket));
        }
    }

    fn lifted(&self, ticket: Ticket) -> bool {
        let reply = self.world.reply(ticket);
        reply.is_some_and(|reply| reply.is_err_and(|text| text.contains(" waits for ")))
    }

    fn is_on_demand(&self, name: &ServiceName) -> bool {
        let slot = self.world.slot(name);
        self.world.core.policy_of(slot).unwrap().kinship != Kinship::Always
    }

    fn only(&self, id: &str) -> Option<&Instance> {
        let slot = self.world.core.slot(&id.into())?;
        self.world.core.get(slot)
    }

    /// Whether nothing but the state of others keeps it from its start.
    fn may_start(&self, policy: &Policy) -> bool {
        let after = policy.after.iter().all(|after| {
            let state = self.only(&after.id).unwrap().state();
            match after.when {
                When::Ready => state == ServiceState::Running { ready: true },
                When::Ended => matches!(state, ServiceState::Exited | ServiceState::Failed),
                When::Succeeded => state == ServiceState::Exited,
            }
        });
        let with = policy.with.iter().all(|id| {
            let state = self.only(id).unwrap().state();
            !matches!(state, ServiceState::Stopped | ServiceState::Failed)
        });
        after && with
    }

    /// No launch or stop is under way, all have succeeded lately, and no delay is left.
    fn at_rest(&self) {
        let core = &self.world.core;
        // Who waits for readiness goes on waiting while that is still possible.
        if !core
            .all()
            .any(|(_, instance)| instance.state() == ServiceState::Waiting)
        {
            assert_eq!(
                self.world.unanswered(),
                [0_u64; 0],
                "no answer, and all is at rest"
            );
        }
        if self.world.began {
            assert!(core.all().all(|(_, instance)| !instance.is_alive()));
            return;
        }
        for (slot, instance) in core.all() {
            let (name, state) = (&instance.name, instance.state());
            let policy = core.policy_of(slot).unwrap();
            let told = || format!("{name} is {state}: {:#?}", self.world.log);
            let by_hand = self.model.by_hand.get(name);
            let leased = self.model.leases.iter().any(|(lease, (of, _))| {
                of == name && core.leased(*lease).is_some() && !self.model.void.contains(lease)
            });
            let needed = core.all().any(|(other, follower)| {
                let named = core.policy_of(other).unwrap().after.iter();
                let mut named = named.filter(|after| after.id == name.id);
                named.next().is_some()
                    && matches!(
                        follower.state(),
                        ServiceState::Running { .. } | ServiceState::Waiting
                    )
            });
            let wanted = match (policy.kinship, by_hand) {
                (_, Some(false)) => false,
                (Kinship::Always, _) | (_, Some(true)) => true,
                _ => leased || needed,
            };
            match state {
                ServiceState::Running { ready } => assert!(ready && wanted, "{}", told()),
                ServiceState::Waiting => {
                    assert!(wanted && !self.may_start(policy), "{}", told());
                }
                ServiceState::Stopped => assert!(!wanted, "{}", told()),
                ServiceState::Exited | ServiceState::Failed => {}
                _ => panic!("{}", told()),
            }
        }
    }

    /// In a shutdown nothing is stopped before what comes after it.
    fn finish(mut self) {
        self.world.rest();
        self.at_rest();
        let up = self.world.runs.keys().map(|slot| {
            let core = &self.world.core;
            (
                core.get(*slot).unwrap().name.clone(),
                core.policy_of(*slot).unwrap().clone(),
            )
        });
        let up: Vec<(ServiceName, Policy)> = up.collect();
        self.world.news();
        self.world.shut_down(secs(20));
        self.world.quiesce();
        let report = self.world.report.clone().expect("an end");
        if !self.model.unkillable {
            let place = |name: &ServiceName| {
                report
                    .clean
                    .iter()
                    .position(|gone| *gone == name.to_string())
            };
            for (name, policy) in &up {
                for (other, _) in up
                    .iter()
                    .filter(|(other, _)| policy.after.iter().any(|after| after.id == other.id))
                {
                    assert!(place(name).unwrap() < place(other).unwrap(), "{report:?}");
                }
            }
        }
        assert_eq!(self.world.unanswered(), [0_u64; 0]);
        for lease in self.model.leases.keys() {
            self.world.release(*lease);
        }
        for name in self.names() {
            self.world.ask(name, Request::Stop);
        }
        assert_eq!(self.world.unanswered(), [0_u64; 0]);
        assert!(self.world.runs.is_empty());
    }
}

proptest! {
    #[test]
    fn after_any_sequence_all_that_is_wanted_is_up_and_nothing_else(
        specs in proptest::collection::vec(
            (
                0..11_u8,
                0..5_u8,
                prop::bool::weighted(0.05),
                prop::option::weighted(0.7, (0..100_usize, 0..4_u8)),
                prop::option::weighted(0.3, 0..100_usize),
            ),
            1..7,
        ),
        happenings in proptest::collection::vec(happening(), 0..60),
    ) {
        let world = World::new(policies(&specs));
        let mut play = Play { world, model: Model::default(), added: 0 };
        for happening in &happenings {
            play.play(happening);
        }
        play.finish();
    }

    #[test]
    fn when_all_is_removed_nothing_is_left(
        specs in proptest::collection::vec(
            (0..11_u8, 0..5_u8, Just(false), prop::option::of((0..100_usize, 0..4_u8)), Just(None)),
            1..7,
        ),
        happenings in proptest::collection::vec(happening(), 0..40),
    ) {
        let world = World::new(policies(&specs));
        let mut play = Play { world, model: Model::default(), added: 0 };
        for happening in &happenings {
            play.play(happening);
        }
        for _ in 0..20 {
            let ids: Vec<_> = play.world.core.policies().map(|policy| policy.id.to_string()).collect();
            for id in ids.iter().rev() {
                play.world.ask(id.as_str(), Request::Remove);
                play.world.quiesce();
            }
        }
        prop_assert_eq!(play.world.unanswered(), Vec::<Ticket>::new());
        play.world.assert_empty();
    }
}
