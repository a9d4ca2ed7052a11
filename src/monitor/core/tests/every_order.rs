//! One service, and every sequence of requests, facts and ticks up to a length.

use std::time::Duration;

use super::super::{Fact, LeaseId, Policy, Request};
use super::policies::{end, killed, not_started};
use super::world::{Run, World};
use super::{ms, on_demand, secs, service};
use crate::Signal;
use crate::monitor::backoff::Backoff;
use crate::monitor::restart::Restart;
use crate::monitor::state::ServiceState;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Start,
    Ready,
    Stop,
    Restart,
    RestartNow,
    Remove,
    Lease,
    Release,
    Spawned,
    NotStarted,
    NeverStarted,
    IsReady,
    Unready,
    NeverReady,
    Unhealthy,
    Missed,
    Exited,
    Unkillable,
    Success,
    Failure,
    Killed,
    Later,
    MuchLater,
}

const REQUESTS: [Step; 8] = [
    Step::Start,
    Step::Ready,
    Step::Stop,
    Step::Restart,
    Step::RestartNow,
    Step::Remove,
    Step::Lease,
    Step::Release,
];

const FACTS: [Step; 15] = [
    Step::Spawned,
    Step::NotStarted,
    Step::NeverStarted,
    Step::IsReady,
    Step::Unready,
    Step::NeverReady,
    Step::Unhealthy,
    Step::Missed,
    Step::Exited,
    Step::Unkillable,
    Step::Success,
    Step::Failure,
    Step::Killed,
    Step::Later,
    Step::MuchLater,
];

impl Step {
    fn fact(self) -> Option<Fact> {
        Some(match self {
            Self::Spawned => Fact::Spawned { pid: 5 },
            Self::NotStarted => not_started(false),
            Self::NeverStarted => not_started(true),
            Self::IsReady => Fact::Ready,
            Self::Unready => Fact::Unready,
            Self::NeverReady => Fact::NeverReady {
                problem: "its output ended".into(),
            },
            Self::Unhealthy => Fact::Unhealthy,
            Self::Missed => Fact::Missed,
            Self::Exited => Fact::Exited,
            Self::Unkillable => Fact::Unkillable,
            Self::Success => Fact::Over(end(0)),
            Self::Failure => Fact::Over(end(1)),
            Self::Killed => Fact::Over(killed(Signal::KILL)),
            _ => return None,
        })
    }

    /// Whether a driver can say so of such a run.
    fn fits(self, run: Option<Run>) -> bool {
        match self {
            Self::Spawned | Self::NotStarted | Self::NeverStarted => run == Some(Run::Launching),
            Self::IsReady | Self::Unready | Self::NeverReady | Self::Unhealthy | Self::Missed => {
                run == Some(Run::Up)
            }
            Self::Exited | Self::Unkillable | Self::Success | Self::Failure | Self::Killed => {
                matches!(run, Some(Run::Up | Run::Stopping(_)))
            }
            _ => true,
        }
    }
}

#[derive(Clone)]
struct Node {
    world: World,
    leases: Vec<LeaseId>,
}

impl Node {
    fn run(&self) -> Option<Run> {
        self.world.runs.values().next().map(|(_, run)| *run)
    }

    fn step(&mut self, step: Step) {
        let world = &mut self.world;
        let before = world
            .core
            .slot(&"a".into())
            .map(|slot| world.core.get(slot).unwrap().state());
        match step {
            Step::Start => _ = world.ask("a", Request::Start),
            Step::Ready => _ = world.ask("a", Request::Ready),
            Step::Restart => _ = world.ask("a", Request::Restart),
            Step::RestartNow => _ = world.ask("a", Request::RestartNow),
            Step::Remove => _ = world.ask("a", Request::Remove),
            Step::Stop => {
                let ticket = world.ask("a", Request::Stop);
                // What is wanted beats timers: it acts at once.
                if !matches!(
                    before,
                    Some(ServiceState::Running { .. } | ServiceState::Stopping) | None
                ) {
                    world.ok(ticket);
                    assert_eq!(world.state("a"), ServiceState::Stopped);
                }
            }
            Step::Lease => {
                let (lease, _) = world.lease("a");
                self.leases.push(lease);
            }
            Step::Release => {
                if let Some(lease) = self.leases.pop() {
                    world.release(lease);
                }
            }
            Step::Later => world.pass(ms(300)),
            Step::MuchLater => world.pass(secs(70)),
            _ => {
                if let (Some(fact), true) = (step.fact(), before.is_some()) {
                    world.fact("a", fact);
                }
            }
        }
        self.stale_facts_change_nothing();
    }

    fn stale_facts_change_nothing(&mut self) {
        let world = &mut self.world;
        let Some(slot) = world.core.slot(&"a".into()) else {
            return;
        };
        let generation = world.core.get(slot).unwrap().generation;
        for old in [generation.wrapping_sub(1), generation + 1] {
            let count = world.core.stale();
            world.core.fact(slot, old, Fact::Over(end(3)));
            assert_eq!(world.core.stale(), count + 1);
            assert!(world.core.effects().is_empty());
        }
    }

    /// From here on all starts succeed: everybody is answered, and a shutdown finds its end.
    fn drain(&mut self) {
        self.world.quiesce();
        self.world.pass(secs(200));
        self.world.quiesce();
        assert_eq!(
            self.world.unanswered(),
            [0_u64; 0],
            "no answer, and all is at rest"
        );
        self.world.shut_down(secs(1));
        self.world.quiesce();
        assert!(self.world.report.is_some());
        assert_eq!(self.world.core.deadline(), None);
        assert!(self.world.runs.is_empty());
        self.world.release(1);
        let ticket = self.world.ask("a", Request::Start);
        assert!(self.world.reply(ticket).is_some_and(|reply| reply.is_err()));
    }
}

fn all(node: &Node, depth: usize, any_fact: bool, path: &mut Vec<Step>, count: &mut u64) {
    if depth == 0 {
        *count += 1;
        return node.clone().drain();
    }
    for step in REQUESTS.into_iter().chain(FACTS) {
        if !any_fact && !step.fits(node.run()) {
            continue;
        }
        let mut next = node.clone();
        path.push(step);
        next.step(step);
        all(&next, depth - 1, any_fact, path, count);
        path.pop();
    }
}

/// The steps that led to a failed assertion.
struct Told(Vec<Step>);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("after these steps: {:?}", self.0);
        }
    }
}

fn every_order(policy: Policy, prefix: &[Step], depth: usize, any_fact: bool) {
    let mut node = Node {
        world: World::new(vec![policy]),
        leases: Vec::new(),
    };
    let mut told = Told(prefix.to_vec());
    for step in prefix {
        node.step(*step);
    }
    let mut count = 0;
    all(&node, depth, any_fact, &mut told.0, &mut count);
    assert!(count > 1000);
}

fn zero(restart: Restart) -> Restart {
    restart.backoff(Backoff::none())
}

const UP: [Step; 2] = [Step::Spawned, Step::IsReady];

#[test]
fn every_order_of_three_steps_with_every_fact_at_any_time() {
    every_order(service("a"), &[], 3, true);
    every_order(on_demand("a"), &[], 3, true);
}

#[test]
fn every_order_of_a_service_that_is_restarted_after_failures() {
    // One more where there is time for that.
    let depth = if std::env::var_os("ACTIX_PROCESS_ALL").is_some() {
        4
    } else {
        3
    };
    every_order(service("a"), &[], depth, false);
    every_order(service("a"), &UP, 3, false);
}

#[test]
fn every_order_of_a_service_that_is_always_restarted_at_once() {
    let policy = service("a").restart(zero(Restart::always()).limit(2, secs(60)));
    every_order(policy.clone(), &[], 3, false);
    every_order(policy, &UP, 3, false);
}

#[test]
fn every_order_of_a_service_that_is_never_restarted() {
    every_order(service("a").restart(Restart::never()), &UP, 3, false);
    every_order(
        service("a").restart(Restart::never()),
        &[Step::Spawned, Step::Exited],
        3,
        false,
    );
}

#[test]
fn every_order_of_an_essential_service() {
    every_order(service("a").essential(), &UP, 3, false);
}

#[test]
fn every_order_of_a_service_on_demand() {
    let mut policy = on_demand("a");
    policy.idle_stop = Duration::ZERO;
    every_order(policy, &[Step::Lease], 3, false);
    every_order(
        on_demand("a"),
        &[Step::Lease, Step::Spawned, Step::IsReady],
        3,
        false,
    );
    let never = on_demand("a").restart(Restart::never());
    every_order(never, &[Step::Lease, Step::Spawned], 3, false);
}
