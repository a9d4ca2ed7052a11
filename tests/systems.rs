//! Systems that are not the only one of their thread, or not on a runtime of one thread.

mod common;

use std::time::Instant;

use actix::System;
use actix_process::{Command, NoProtocol};
use common::census::children;
use common::isolated::isolated;
use common::{DEADLINE, in_time};
use futures::FutureExt;
use futures::future::join_all;

async fn spawn_one() {
    let spawning = Command::new("true").spawn(NoProtocol);
    let process = in_time(spawning).await.unwrap();
    assert!(in_time(process.ended()).await.unwrap().success());
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
    isolated(
        "a_runtime_of_several_threads_adopts_hundreds_of_children_at_once",
        || {
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
                    process.kill().unwrap();
                    in_time(process.ended()).await.unwrap();
                }
            });
        },
    );
}
