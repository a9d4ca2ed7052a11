//! Systems that are not the only one of their thread, or not on a runtime of one thread.

use crate::common;

use std::time::Instant;

use actix::System;
use actix_process::{Command, NoProtocol};
use common::census::{Census, children, threads};
use common::isolated::isolated;
use common::{DEADLINE, eventually, in_time, start_all_threads};
use futures::FutureExt;
use futures::future::join_all;

async fn spawn_one() {
    let spawning = Command::new("true").spawn(NoProtocol);
    let process = in_time(spawning).await.unwrap();
    assert!(in_time(process.ended()).await.success());
}

#[test]
fn a_second_system_on_a_thread_spawns_while_the_first_is_there() {
    let first = System::new();
    first.block_on(spawn_one());
    let second = System::new();
    second.block_on(spawn_one());
    drop(first);
    second.block_on(spawn_one());
}

/// More than a task may do at once by tokio's budget of 128 operations.
const MANY: usize = 200;

#[test]
fn a_runtime_of_several_threads_adopts_hundreds_of_children_at_once() {
    isolated(|| {
        let runtime = || {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(1).enable_all().build().unwrap()
        };
        System::with_tokio_rt(runtime).block_on(async {
            let sleep = Command::new("sleep").arg("600");
            let spawnings = (0..MANY).map(|_| sleep.spawn(NoProtocol));
            let mut all = join_all(spawnings);
            assert!((&mut all).now_or_never().is_none());
            // The arbiter is held up until all are there to be adopted.
            let begun = Instant::now();
            while children().len() < MANY {
                assert!(begun.elapsed() < DEADLINE, "{} children", children().len());
                std::thread::yield_now();
            }
            for spawned in in_time(all).await {
                let process = spawned.unwrap();
                assert!(process.kill());
                in_time(process.ended()).await;
            }
        });
    });
}

/// Waits until the process has no more descriptors than at `before`.
fn assert_restored(before: &Census) {
    // On a runtime that has a timer only, and so no descriptor.
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().build().unwrap();
    runtime.block_on(eventually(
        "the descriptors to be as before",
        || (Census::take().fds == before.fds).then_some(()),
        || format!("{:#?}, before {before:#?}", Census::take()),
    ));
}

/// What the process keeps for good is there, the janitor's as well, and nothing of a System.
fn quiet() -> Census {
    System::new().block_on(start_all_threads());
    let begun = Instant::now();
    loop {
        // A thread closes what it has before it is gone.
        if !threads().iter().any(|name| name.contains("actix-rt")) {
            return Census::take();
        }
        assert!(begun.elapsed() < DEADLINE, "{:?}", threads());
        std::thread::yield_now();
    }
}

#[test]
fn a_system_that_is_gone_leaves_no_descriptor() {
    isolated(|| {
        let before = quiet();
        for stop in [true, false].into_iter().cycle().take(20) {
            let system = System::new();
            system.block_on(async {
                spawn_one().await;
                if stop {
                    System::current().stop();
                }
            });
            if stop {
                system.run().unwrap();
            } else {
                drop(system);
            }
            assert_restored(&before);
        }
    });
}

#[test]
fn a_system_that_ends_amid_its_first_spawn_leaves_no_descriptor() {
    isolated(|| {
        let before = quiet();
        for round in 0..200 {
            let system = System::new();
            let arbiter = system.block_on(async { actix::Arbiter::new() });
            let (tell, told) = std::sync::mpsc::channel();
            arbiter.spawn(async move {
                tell.send(()).unwrap();
                let _ = Command::new("true").spawn(NoProtocol).await;
            });
            told.recv().unwrap();
            std::thread::sleep(std::time::Duration::from_micros(round % 20 * 20));
            arbiter.stop();
            drop(system);
            arbiter.join().unwrap();
            assert_restored(&before);
        }
    });
}
