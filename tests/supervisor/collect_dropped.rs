//! What a dropped `output` leaves behind, and a finished one: nothing.

use crate::common;

use std::future::{Future, IntoFuture};
use std::io::Read;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use actix::ArbiterHandle;
use actix::prelude::*;
use actix_process::supervisor::{List, ProcessState};
use actix_process::{CollectError, Command, Output};
use actix_process::{OnOrphaned, ProcessSupervisor};
use common::census::{Census, children, state_and_parent};
use common::helper::helper;
use common::isolated::isolated;
use common::{DEADLINE, block_on_thread, eventually, in_time, run, start_all_threads};
use futures::FutureExt;
use futures::future::{Either, select};
use nix::sys::signal::{SIGKILL, kill};
use nix::unistd::Pid;

const SOON: Duration = Duration::from_millis(50);

/// Polls `collecting` until its child runs: until the supervisor lists it so.
async fn until_running(collecting: impl Future<Output = Result<Output, CollectError>>) {
    let listed = async {
        let supervisor = ProcessSupervisor::current().unwrap();
        loop {
            let children = supervisor.send(List).await.unwrap();
            if children
                .iter()
                .any(|child| child.state == ProcessState::Running)
            {
                return;
            }
            actix_rt::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let listed = actix_rt::time::timeout(DEADLINE, listed);
    match select(pin!(collecting), pin!(listed)).await {
        Either::Left((result, _)) => panic!("{result:?}"),
        Either::Right((listed, _)) => listed.expect("a child to run"),
    }
}

#[test]
fn dropping_the_future_kills_and_reaps() {
    isolated(|| {
        run(async {
            let before = start_all_threads().await;
            let child = helper(["ignore", "15", "say", "ready", "pause"]);
            until_running(child.output().input("x").into_future()).await;
            before.assert_restored_but_spawners().await;
            // With a timer, which must not keep anything either.
            until_running(child.output().timeout(DEADLINE).into_future()).await;
            before.assert_restored_but_spawners().await;
        });
    });
}

#[test]
fn dropping_the_future_lets_go_of_what_descendants_hold() {
    isolated(|| {
        run(async {
            let before = start_all_threads().await;
            // The descendant holds all three pipes, and input is queued that it does not read. It is not killed
            // with the child.
            let child = helper(["hold", "pause"]).output().foreground();
            let collecting = child.input(vec![0; 1_000_000]).into_future();
            let descendant = eventually("a descendant", grandchild, || {
                format!("{:?}", Census::take())
            });
            let descendant = match select(pin!(collecting), pin!(descendant)).await {
                Either::Left((result, _)) => panic!("{result:?}"),
                Either::Right((descendant, _)) => descendant,
            };
            before.assert_restored_but_spawners().await;
            kill(Pid::from_raw(descendant), SIGKILL).unwrap();
        });
    });
}

/// The spawn has answered, and nobody has looked.
#[test]
fn dropping_the_future_before_it_takes_the_handle_kills() {
    isolated(|| {
        run(async {
            let before = start_all_threads().await;
            // The descendant holds all pipes, and is not killed with the child.
            let collecting = helper(["hold", "pause"]).output().foreground();
            let mut collecting = collecting.into_future();
            assert!((&mut collecting).now_or_never().is_none());
            let descendant = eventually("a descendant", grandchild, || {
                format!("{:?}", Census::take())
            });
            let descendant = descendant.await;
            drop(collecting);
            before.assert_restored_but_spawners().await;
            kill(Pid::from_raw(descendant), SIGKILL).unwrap();
        });
    });
}

/// The child of our only child.
fn grandchild() -> Option<i32> {
    let [(child, _)] = children()[..] else {
        return None;
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .find(|pid| state_and_parent(*pid).is_some_and(|(_, parent)| parent == child))
}

#[test]
fn dropping_the_future_at_any_moment_leaves_nothing() {
    isolated(|| {
        run(async {
            let before = start_all_threads().await;
            let child = helper(["spam", "200000", "pause"]);
            for step in 0..60 {
                let collecting = child.output().input("x").into_future();
                let time = Duration::from_micros(100 * step);
                let result = actix_rt::time::timeout(time, collecting).await;
                assert!(result.is_err(), "{result:?}");
            }
            before.assert_restored_but_spawners().await;
        });
    });
}

#[test]
fn results_of_every_kind_leave_nothing() {
    isolated(|| {
        run(async {
            let before = start_all_threads().await;
            let talker = helper(["say", "out", "tell", "2", "err"]);
            assert!(talker.output().await.is_ok());
            assert!(talker.output().timeout(DEADLINE).await.is_ok());
            assert!(talker.read().await.is_err());
            assert!(Command::new("/no/such/program").read().await.is_err());
            let pausing = helper(["pause"]).output().input(vec![0; 1_000_000]);
            assert!(pausing.timeout(SOON).await.is_err());
            before.assert_restored_but_spawners().await;
        });
    });
}

/// Collects a command in its context.
struct Asker(Command);

impl Actor for Asker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let collecting = self.0.output().into_future().into_actor(self);
        ctx.spawn(collecting.map(|result, _, _| panic!("it ended: {result:?}")));
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

impl Handler<Stop> for Asker {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

#[test]
fn an_actor_that_stops_kills_what_it_collects() {
    isolated(|| {
        run(async {
            let before = start_all_threads().await;
            let asker = Asker(helper(["pause"])).start();
            until_running(std::future::pending()).await;
            asker.send(Stop).await.unwrap();
            before.assert_restored_but_spawners().await;
        });
    });
}

#[test]
fn a_stopped_arbiter_is_told() {
    run(async {
        let arbiter = Arbiter::new();
        let (answer, answered) = tokio::sync::oneshot::channel();
        // Begun over there, and awaited here.
        arbiter.spawn(async move {
            let mut collecting = helper(["say", "ready", "pause"]).output().into_future();
            let first = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut collecting).poll(cx)));
            assert!(first.await.is_pending());
            let _ = answer.send(collecting);
        });
        let collecting = answered.await.unwrap();
        let stopping = async {
            until_running(std::future::pending()).await;
            arbiter.stop();
        };
        let (result, ()) = futures::future::join(collecting, stopping).await;
        assert!(matches!(result, Err(CollectError::Gone)), "{result:?}");
    });
}

/// No runtime polls this thread's future for another reason.
#[test]
fn a_stopped_arbiter_wakes_who_collects_also_if_the_child_would_live_on() {
    let (arbiter, stopping) = std::sync::mpsc::channel();
    let system = std::thread::spawn(move || {
        run(async move {
            let other = Arbiter::new();
            arbiter.send(other.handle()).unwrap();
            other.join().unwrap();
        });
    });
    let arbiter: ArbiterHandle = stopping.recv().unwrap();
    let (mut told, tell) = std::io::pipe().unwrap();
    // It is ready when it has got its input: when it has its actors.
    let child = helper(["take", "0", "1", "tell", "5", "ready", "pause"]).on(&arbiter);
    let child = child.fd(5, tell).on_orphaned(OnOrphaned::Leave);
    let stopper = std::thread::spawn(move || {
        told.read_exact(&mut [0]).unwrap();
        arbiter.stop();
    });
    let begun = Instant::now();
    let result = block_on_thread(child.output().input("x").into_future());
    assert!(begun.elapsed() < DEADLINE, "it was not woken: {result:?}");
    assert!(matches!(result, Err(CollectError::Gone)), "{result:?}");
    stopper.join().unwrap();
    system.join().unwrap();
}

#[test]
fn where_nothing_is_collected_a_stopped_arbiter_loses_nothing() {
    run(async {
        let arbiter = Arbiter::new();
        let child = helper(["pause"]).on(&arbiter.handle());
        let stopping = async {
            until_running(std::future::pending()).await;
            arbiter.stop();
        };
        let status = child.status().into_future();
        let (status, ()) = futures::future::join(in_time(status), stopping).await;
        assert!(status.unwrap().signal().is_some());
    });
}

#[test]
fn spawns_and_helpers_are_pending_for_ever_after_their_results() {
    run(async {
        let mut helped = helper(["say", "hi"]).output().into_future();
        assert_eq!((&mut helped).await.unwrap().stdout, b"hi\n");
        assert!((&mut helped).now_or_never().is_none());
        let mut refused = Command::new("").output().into_future();
        assert!((&mut refused).await.is_err());
        assert!((&mut refused).now_or_never().is_none());
        let mut spawned = helper(["say", "hi"]).spawn(actix_process::NoProtocol);
        let process = (&mut spawned).await.unwrap();
        assert!((&mut spawned).now_or_never().is_none());
        assert!(process.ended().await.success());
    });
}
