//! A spawn is committed or cancelled, never both and never neither.

use crate::common;

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use actix_process::supervisor::Shutdown;
use actix_process::{
    Command, Fd, FromProcess, ProcessEvent, ProcessHandle, ProcessSupervisor, Signal, Spawn,
    SpawnStep,
};
use common::census::{Census, children};
use common::hanging_exec::HangingExec;
use common::helper::helper;
use common::isolated::isolated;
use common::trace::{Die, Trace, history};
use common::{DEADLINE, eventually, run, start_all_threads};
use futures::FutureExt;
use futures::future::join_all;

#[test]
fn dropping_an_unpolled_spawning_does_nothing() {
    isolated(|| {
        run(async {
            let before = Census::take();
            let (trace, protocol) = Trace::start();
            let file: OwnedFd = std::fs::File::open("/dev/zero").unwrap().into();
            let command = helper(["fds"]).fd(7, file);
            drop(command.spawn(&protocol));
            // No supervisor was started for it, and the moved descriptor is still there.
            assert_eq!(Census::take().threads, before.threads);
            let process = command.spawn(&protocol).await.unwrap();
            let text = trace.ended(&process).await.text(1);
            assert!(text.contains("7 /dev/zero"), "{text}");
        });
    });
}

/// Writes down what it is told, with the handle.
#[derive(Default)]
struct Keeper {
    told: Rc<RefCell<Vec<(ProcessHandle, ProcessEvent)>>>,
}

impl Actor for Keeper {
    type Context = Context<Self>;
}

impl Handler<FromProcess> for Keeper {
    type Result = ();

    fn handle(&mut self, message: FromProcess, _: &mut Self::Context) {
        let FromProcess { process, event, .. } = message;
        self.told.borrow_mut().push((process, event));
    }
}

/// Polls a spawn and lets the others run, at most `rounds` times, then drops it.
async fn give_up_after(rounds: usize, command: &Command, protocol: &Addr<Keeper>) {
    let mut spawning = command.spawn(protocol);
    for _ in 0..rounds {
        if (&mut spawning).now_or_never().is_some() {
            return;
        }
        if rounds.is_multiple_of(2) {
            tokio::task::yield_now().await;
        } else {
            // To hit other stages: the spawner thread gets on meanwhile.
            actix_rt::time::sleep(Duration::from_micros(200)).await;
        }
    }
}

#[test]
fn a_spawning_dropped_at_any_stage_is_committed_or_cancelled() {
    isolated(|| {
        run(async {
            let mut all = Vec::new();
            for number in 0..300_usize {
                let keeper = Keeper::default();
                let told = Rc::clone(&keeper.told);
                let command = if number.is_multiple_of(3) {
                    Command::new("/bin/true")
                } else {
                    helper(["pause"])
                };
                let protocol = keeper.start();
                give_up_after(number % 20, &command, &protocol).await;
                all.push((told, protocol));
            }
            // What is not cancelled lives: only then does it die of this signal.
            let mut asked = Vec::new();
            for (told, _) in &all {
                let handle = told.borrow().first().map(|(handle, _)| handle.clone());
                asked.push(handle.map(|handle| handle.signal(Signal::TERM).is_ok()));
            }
            // Answers when nothing is in flight and all are reaped.
            let supervisor = ProcessSupervisor::current().unwrap();
            let grace = DEADLINE;
            let report = supervisor.send(Shutdown { grace }).await.unwrap();
            assert!(report.unreaped.is_empty(), "{report:?}");
            assert_eq!(children(), []);

            let mut committed = 0;
            for (number, (told, _)) in all.iter().enumerate() {
                let handle = told.borrow().first().map(|(handle, _)| handle.clone());
                let Some(handle) = handle else {
                    continue;
                };
                committed += 1;
                let status = handle.ended().await;
                let end = ProcessEvent::ProcessEnded { status };
                eventually(
                    "ProcessEnded",
                    || (told.borrow().last()?.1 == end).then_some(()),
                    || format!("{:?}", told.borrow()),
                )
                .await;
                assert_eq!(told.borrow()[0].1, ProcessEvent::ConnectionMade);
                if !number.is_multiple_of(3) {
                    assert_eq!(status.signal(), Some(Signal::TERM), "{number}: {status}");
                    assert_ne!(asked[number], Some(false), "{number} was dead before");
                }
            }
            assert!((1..300).contains(&committed), "{committed} of 300");
        });
    });
}

#[test]
fn cancelled_spawns_leave_nothing() {
    isolated(|| {
        run(async {
            let (trace, protocol) = Trace::start();
            let cancel = async || {
                let mut spawning = helper(["pause"]).spawn(&protocol);
                assert!((&mut spawning).now_or_never().is_none());
                drop(spawning);
            };
            let before = start_all_threads().await;
            for _ in 0..50 {
                join_all((0..4).map(|_| cancel())).await;
            }
            // Behind them in the queue.
            history(&helper(["say", "hello"])).await;
            before.assert_restored_but_spawners().await;
            assert!(trace.events().is_empty());
        });
    });
}

/// Waits until no child is left. The kernel breaks the lease after 45 seconds, which would end one as well.
async fn until_none_is_left(lease: &HangingExec, begun: Instant) {
    lease.until_children(0).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
}

#[test]
fn cancelling_kills_a_hung_exec_at_once() {
    isolated(|| {
        run(async {
            let lease = HangingExec::new();
            let (trace, protocol) = Trace::start();
            let mut spawning = lease.helper(["say", "alive"]).spawn(&protocol);
            assert!((&mut spawning).now_or_never().is_none());
            lease.until_children(1).await;
            let begun = Instant::now();
            drop(spawning);
            until_none_is_left(&lease, begun).await;
            assert!(trace.events().is_empty());
        });
    });
}

#[test]
fn an_arbiter_that_stops_in_mid_clone_cancels_its_spawn() {
    isolated(|| {
        run(async {
            let lease = HangingExec::new();
            let (trace, protocol) = Trace::start();
            let arbiter = Arbiter::new();
            let command = lease.helper(["say", "alive"]);
            let to = protocol.clone();
            arbiter.spawn(async move { drop(command.spawn(&to).await) });
            lease.until_children(1).await;
            let begun = Instant::now();
            arbiter.stop();
            arbiter.join().unwrap();
            until_none_is_left(&lease, begun).await;
            assert!(trace.events().is_empty());
        });
    });
}

#[test]
fn a_child_whose_arbiter_stopped_in_mid_clone_is_killed_when_its_exec_goes_on() {
    isolated(|| {
        run(async {
            let mut lease = HangingExec::new();
            let (trace, protocol) = Trace::start();
            let supervisor = ProcessSupervisor::current().unwrap();
            let arbiter = Arbiter::new();
            let command = lease.helper(["pause"]);
            let to = protocol.clone();
            // A message: there is no future whose drop could cancel.
            arbiter.spawn(async move { supervisor.do_send(Spawn::new(command, &to)) });
            lease.until_children(1).await;
            arbiter.stop();
            arbiter.join().unwrap();
            lease.release();
            lease.until_children(0).await;
            assert!(trace.events().is_empty());
        });
    });
}

#[test]
fn a_system_that_ends_in_mid_clone_leaves_no_child() {
    isolated(|| {
        for by_message in [false, true] {
            let lease = HangingExec::new();
            let system = System::new();
            system.block_on(async {
                let (_, protocol) = Trace::start();
                let command = lease.helper(["pause"]);
                if by_message {
                    let supervisor = ProcessSupervisor::current().unwrap();
                    supervisor.do_send(Spawn::new(command, &protocol));
                } else {
                    actix_rt::spawn(async move { drop(command.spawn(&protocol).await) });
                }
                lease.until_children(1).await;
            });
            let begun = Instant::now();
            drop(system);
            while !lease.children().is_empty() {
                assert!(
                    begun.elapsed() < Duration::from_secs(30),
                    "{:?}",
                    children()
                );
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    });
}

#[test]
fn a_shutdown_kills_a_hung_exec() {
    isolated(|| {
        run(async {
            let lease = HangingExec::new();
            let (trace, protocol) = Trace::start();
            let mut spawning = lease.helper(["pause"]).spawn(&protocol);
            assert!((&mut spawning).now_or_never().is_none());
            lease.until_children(1).await;
            let supervisor = ProcessSupervisor::current().unwrap();
            let grace = Duration::from_secs(10);
            let report = supervisor.send(Shutdown { grace }).await.unwrap();
            assert!(report.unreaped.is_empty(), "{report:?}");
            assert!(lease.children().is_empty());
            let error = spawning.await.unwrap_err();
            assert_eq!(error.step(), SpawnStep::Register, "{error}");
            assert!(trace.events().is_empty());
        });
    });
}

#[test]
fn a_dead_protocol_gets_no_child() {
    isolated(|| {
        run(async {
            let (trace, protocol) = Trace::start();
            let before = start_all_threads().await;
            protocol.send(Die::Stop).await.unwrap();
            eventually(
                "the protocol to be dead",
                || (!protocol.connected()).then_some(()),
                || "it lives".to_owned(),
            )
            .await;
            let command = helper(["pause"]).fd(5, Fd::read());
            let error = command.spawn(&protocol).await.unwrap_err();
            assert_eq!(error.step(), SpawnStep::Register, "{error}");
            before.assert_restored_but_spawners().await;
            assert!(trace.events().is_empty());
        });
    });
}
