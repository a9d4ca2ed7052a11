//! What happens to children whose owner is gone while the host lives on: `on_orphaned` in every
//! way of losing the owner. Hosts that end are in orphans_at_exit.rs.

use crate::common;

use std::sync::mpsc;
use std::time::Duration;

use crate::tools::isolated_host::in_a_host_of_its_own;
use actix::prelude::*;
use actix_process::supervisor::{List, ProcessState};
use actix_process::{
    CloseReason, Command, FromProcess, IntoProtocol, NoProtocol, OnOrphaned, ProcessEvent,
    ProcessHandle, ProcessProtocol, ProcessSupervisor, Signal, Spawn, process_protocol,
};
use common::census::{is_gone, state_and_parent};
use common::helper::helper;
use common::trace::{Die, Raw, Trace, spawned};
use common::{DEADLINE, eventually, in_time, run};

/// Short, for children that die of SIGKILL only.
const GRACE: Duration = Duration::from_millis(50);

/// Children of one owner, one for each policy.
struct Family {
    left: ProcessHandle,
    killed: ProcessHandle,
    terminated: ProcessHandle,
    stubborn: ProcessHandle,
}

/// Each says that it is ready and then lives until a signal ends it, whatever its pipes do.
fn commands() -> [Command; 4] {
    let child = |policy| helper(["say", "ready", "pause"]).on_orphaned(policy);
    [
        child(OnOrphaned::Leave),
        child(OnOrphaned::Kill),
        // A grace that nothing here lives to see the end of.
        child(OnOrphaned::Terminate(10 * DEADLINE)),
        helper(["ignore", "15", "say", "ready", "pause"]).on_orphaned(OnOrphaned::Terminate(GRACE)),
    ]
}

impl Family {
    async fn spawn(protocol: impl IntoProtocol + Clone) -> Self {
        let [left, killed, terminated, stubborn] = commands();
        Self {
            left: left.spawn(protocol.clone()).await.unwrap(),
            killed: killed.spawn(protocol.clone()).await.unwrap(),
            terminated: terminated.spawn(protocol.clone()).await.unwrap(),
            stubborn: stubborn.spawn(protocol).await.unwrap(),
        }
    }

    async fn spawn_by(supervisor: &Addr<ProcessSupervisor>, trace: &Trace) -> Self {
        let protocol = trace.another();
        let [left, killed, terminated, stubborn] =
            commands().map(|command| supervisor.send(Spawn::new(command, &protocol)));
        Self {
            left: left.await.unwrap().unwrap(),
            killed: killed.await.unwrap().unwrap(),
            terminated: terminated.await.unwrap().unwrap(),
            stubborn: stubborn.await.unwrap().unwrap(),
        }
    }

    fn members(&self) -> [&ProcessHandle; 4] {
        [&self.left, &self.killed, &self.terminated, &self.stubborn]
    }

    async fn ready(self, trace: &Trace) -> Self {
        for member in self.members() {
            trace.output(member, 1, "ready").await;
        }
        self
    }

    /// Waits until each child got what its policy says, and was reaped.
    async fn assert_policies_applied(&self) {
        assert_eq!(signal_of(&self.killed).await, Some(Signal::KILL));
        assert_eq!(signal_of(&self.terminated).await, Some(Signal::TERM));
        assert_eq!(signal_of(&self.stubborn).await, Some(Signal::KILL));
        // By now whatever would have been sent to this one has been sent.
        let pid = self.left.pid().expect("it is left running");
        assert!(!is_gone(pid), "{:?}", state_and_parent(pid));
        assert_eq!(self.left.try_status(), None);
        // It is reaped when it exits, all the same.
        self.left.signal(Signal::USR1).unwrap();
        assert_eq!(signal_of(&self.left).await, Some(Signal::USR1));
        for member in self.members() {
            in_time(member.ended()).await;
        }
    }
}

async fn signal_of(process: &ProcessHandle) -> Option<Signal> {
    in_time(process.exited()).await.signal()
}

/// Another tracer for the same trace: the children's events without their owner.
trait Another {
    fn another(&self) -> Addr<Raw>;
}

impl Another for Trace {
    fn another(&self) -> Addr<Raw> {
        let trace = self.clone();
        Raw { trace }.start()
    }
}

#[test]
fn a_protocol_that_stops_orphans_its_children() {
    in_a_host_of_its_own(|| {
        run(async {
            let (trace, protocol) = Trace::start();
            let family = Family::spawn(&protocol).await.ready(&trace).await;
            protocol.do_send(Die::Stop);
            family.assert_policies_applied().await;
        });
    });
}

#[test]
fn a_protocol_that_panics_orphans_its_children() {
    in_a_host_of_its_own(|| {
        run(async {
            let (trace, protocol) = Trace::start();
            let family = Family::spawn(&protocol).await.ready(&trace).await;
            protocol.do_send(Die::Panic);
            family.assert_policies_applied().await;
        });
    });
}

#[test]
fn a_protocol_without_dispatch_that_stops_or_panics_is_missed_at_the_next_event() {
    in_a_host_of_its_own(|| {
        for how in [Die::Stop, Die::Panic] {
            run(async {
                let trace = Trace::default();
                let protocol = trace.another();
                let family = Family::spawn(&protocol).await.ready(&trace).await;
                protocol.do_send(how);
                eventually(
                    "the protocol to be gone",
                    || (!protocol.connected()).then_some(()),
                    || "it lives".to_owned(),
                )
                .await;
                for member in family.members() {
                    // Its close is the event.
                    member.close_stdin();
                }
                family.assert_policies_applied().await;
            });
        }
    });
}

/// A protocol whose thread stands still in a handler until it is told how to go on.
struct Gate;

impl Actor for Gate {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Wait(mpsc::Sender<()>, mpsc::Receiver<Die>);

impl Handler<Wait> for Gate {
    type Result = ();

    fn handle(&mut self, wait: Wait, ctx: &mut Context<Self>) {
        let _ = wait.0.send(());
        match wait.1.recv_timeout(DEADLINE).unwrap() {
            Die::Stop => ctx.stop(),
            Die::Panic => panic!("a protocol that panics, on purpose"),
        }
    }
}

impl ProcessProtocol for Gate {
    fn connection_made(&mut self, _: &ProcessHandle, _: &mut Context<Self>) {
        panic!("it was to die before");
    }
}
process_protocol!(Gate);

#[test]
fn a_protocol_that_dies_before_it_handled_connection_made_orphans_its_children() {
    in_a_host_of_its_own(|| {
        for how in [Die::Stop, Die::Panic] {
            run(async {
                let arbiter = Arbiter::new();
                let gate = Gate::start_in_arbiter(&arbiter.handle(), |_| Gate);
                let (waits, waiting) = mpsc::channel();
                let (go_on, told) = mpsc::channel();
                gate.do_send(Wait(waits, told));
                waiting.recv_timeout(DEADLINE).unwrap();

                let child = helper(["pause"]).on_orphaned(OnOrphaned::Terminate(10 * DEADLINE));
                let process = child.spawn(&gate).await.unwrap();
                go_on.send(how).unwrap();
                assert_eq!(signal_of(&process).await, Some(Signal::TERM));
                in_time(process.ended()).await;
                arbiter.stop();
            });
        }
    });
}

#[test]
fn the_protocol_of_one_child_does_not_take_anothers_with_it() {
    in_a_host_of_its_own(|| {
        run(async {
            let (trace, protocol) = Trace::start();
            let mine = helper(["say", "ready", "pause"]).spawn(&protocol);
            let mine = mine.await.unwrap();
            let (others, others_child) = spawned(helper(["say", "ready", "cat"])).await;
            trace.output(&mine, 1, "ready").await;
            others.output(&others_child, 1, "ready").await;
            protocol.do_send(Die::Stop);
            assert_eq!(signal_of(&mine).await, Some(Signal::KILL));
            others_child.write("still here").unwrap();
            others.output(&others_child, 1, "still here").await;
            others_child.close_stdin();
            assert!(others.ended(&others_child).await.status().success());
        });
    });
}

#[test]
fn an_asking_arbiter_that_stops_orphans_its_children_and_their_protocol_hears_all() {
    in_a_host_of_its_own(|| {
        run(async {
            let (trace, protocol) = Trace::start();
            let arbiter = Arbiter::new();
            let (give, given) = tokio::sync::oneshot::channel();
            arbiter.spawn(async move {
                let _ = give.send(Family::spawn(&protocol).await);
            });
            let family = in_time(given).await.unwrap().ready(&trace).await;
            arbiter.stop();
            family.assert_policies_applied().await;
            for member in family.members() {
                let history = trace.ended(member).await;
                history.assert_rules(&[0, 1, 2]);
                let closes = history.closes();
                assert!(
                    closes.values().all(|reason| *reason == CloseReason::Gone),
                    "{closes:?}"
                );
            }
        });
    });
}

#[test]
fn a_supervisor_whose_arbiter_stops_orphans_its_children_and_their_protocol_hears_all() {
    in_a_host_of_its_own(|| {
        run(async {
            let trace = Trace::default();
            let arbiter = Arbiter::new();
            let supervisor = ProcessSupervisor::start_in_arbiter(&arbiter.handle(), |_| {
                ProcessSupervisor::new()
            });
            let family = Family::spawn_by(&supervisor, &trace).await;
            let family = family.ready(&trace).await;
            arbiter.stop();
            family.assert_policies_applied().await;
            for member in family.members() {
                trace.ended(member).await.assert_rules(&[0, 1, 2]);
            }
        });
    });
}

#[test]
fn a_supervisor_without_addresses_lives_while_it_has_children() {
    in_a_host_of_its_own(|| {
        run(async {
            let trace = Trace::default();
            let supervisor = ProcessSupervisor::new().start();
            let weak = supervisor.downgrade();
            let child = helper(["say", "ready", "cat", "exit", "5"]);
            let process = supervisor.send(Spawn::new(child, trace.another()));
            let process = process.await.unwrap().unwrap();
            drop(supervisor);
            trace.output(&process, 1, "ready").await;
            process.write("still here").unwrap();
            trace.output(&process, 1, "still here").await;
            let supervisor = weak.upgrade().expect("it lives");
            assert_eq!(supervisor.send(List).await.unwrap().len(), 1);
            drop(supervisor);
            process.close_stdin();
            assert_eq!(trace.ended(&process).await.status().code(), Some(5));
            eventually(
                "the supervisor to stop",
                || {
                    weak.upgrade()
                        .is_none_or(|addr| !addr.connected())
                        .then_some(())
                },
                || "it lives".to_owned(),
            )
            .await;
        });
    });
}

#[test]
fn a_dropped_handle_does_nothing() {
    in_a_host_of_its_own(|| {
        run(async {
            let process = helper(["pause"]).spawn(NoProtocol).await.unwrap();
            let (id, pid) = (process.id(), process.pid().unwrap());
            drop(process);
            // The whole life of another child: time enough for anything that a drop might start.
            let other = helper(["exit"]).spawn(NoProtocol).await.unwrap();
            in_time(other.ended()).await;

            let supervisor = ProcessSupervisor::current().unwrap();
            let listed = supervisor.send(List).await.unwrap();
            let info = listed.iter().find(|info| info.id == id).unwrap();
            assert_eq!((info.pid, info.state), (Some(pid), ProcessState::Running));
            assert_eq!(info.open_fds, [0, 1, 2]);
            assert!(!is_gone(pid));
        });
    });
}

#[test]
fn an_owner_lost_twice_counts_once() {
    in_a_host_of_its_own(|| {
        // The second loss must not cut short the grace of the first.
        run(async {
            let (trace, protocol) = Trace::start();
            let arbiter = Arbiter::new();
            let (give, given) = tokio::sync::oneshot::channel();
            let asked = protocol.clone();
            arbiter.spawn(async move {
                let child = helper(["ignore", "15", "say", "ready", "pause"]);
                let child = child.on_orphaned(OnOrphaned::Terminate(10 * DEADLINE));
                let _ = give.send(child.spawn(&asked).await);
            });
            let process = in_time(given).await.unwrap().unwrap();
            trace.output(&process, 1, "ready").await;
            protocol.do_send(Die::Stop);
            arbiter.stop();
            arbiter.join().unwrap();
            let pid = process.pid().expect("it ignores SIGTERM");
            assert!(!is_gone(pid));
            assert!(process.kill());
            assert_eq!(signal_of(&process).await, Some(Signal::KILL));
            in_time(process.ended()).await;
        });
    });
}

#[test]
fn a_bare_recipient_is_a_protocol_like_its_actor() {
    in_a_host_of_its_own(|| {
        run(async {
            let (trace, protocol) = Trace::start();
            let recipient: Recipient<FromProcess> = protocol.clone().recipient();
            let process = helper(["say", "ready", "pause"]).spawn(recipient);
            let process = process.await.unwrap();
            trace.output(&process, 1, "ready").await;
            assert_eq!(trace.of(&process)[0], ProcessEvent::ConnectionMade);
            protocol.do_send(Die::Stop);
            assert_eq!(signal_of(&process).await, Some(Signal::KILL));
        });
    });
}
