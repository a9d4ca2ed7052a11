//! Children whose arbiter or System is gone and that are left to live: when they die, they are
//! reaped all the same, and whoever waits learns how. What the policies do is in orphans.rs.

use crate::common;

use crate::tools::isolated_host::in_a_host_of_its_own;
use actix::prelude::*;
use actix_process::{NoProtocol, OnOrphaned, ProcessHandle, Signal};
use common::census::children;
use common::helper::helper;
use common::isolated::isolated;
use common::{block_on_thread, in_time, run};
use futures::future::join_all;

/// Spawns `count` children that are to be left, on the arbiter where this runs.
async fn spawn(count: usize) -> Vec<ProcessHandle> {
    let mut processes = Vec::new();
    for _ in 0..count {
        let child = helper(["pause"]).on_orphaned(OnOrphaned::Leave);
        processes.push(child.spawn(NoProtocol).await.unwrap());
    }
    processes
}

/// The same on another arbiter.
async fn spawn_on(arbiter: &Arbiter, count: usize) -> Vec<ProcessHandle> {
    let (give, given) = tokio::sync::oneshot::channel();
    arbiter.spawn(async move {
        let _ = give.send(spawn(count).await);
    });
    in_time(given).await.unwrap()
}

async fn assert_reaped(processes: &[ProcessHandle]) {
    for exited in join_all(processes.iter().map(|p| in_time(p.exited()))).await {
        assert_eq!(exited.signal(), Some(Signal::USR1), "{exited}");
    }
    assert!(processes.iter().all(|process| process.pid().is_none()));
}

#[test]
fn each_child_of_an_arbiter_that_is_gone_is_reaped() {
    in_a_host_of_its_own(|| {
        run(async {
            let arbiter = Arbiter::new();
            let processes = spawn_on(&arbiter, 20).await;
            arbiter.stop();
            arbiter.join().unwrap();
            assert!(processes.iter().all(|p| p.try_status().is_none()));
            for process in &processes {
                process.signal(Signal::USR1).unwrap();
            }
            assert_reaped(&processes).await;
        });
    });
}

#[test]
fn each_child_that_dies_while_its_arbiter_stops_is_reaped() {
    in_a_host_of_its_own(|| {
        run(async {
            for round in 0..20 {
                let arbiter = Arbiter::new();
                let processes = spawn_on(&arbiter, 10).await;
                // The stop is somewhere among the deaths.
                for (at, process) in processes.iter().enumerate() {
                    if at == round % 10 {
                        arbiter.stop();
                    }
                    process.signal(Signal::USR1).unwrap();
                }
                assert_reaped(&processes).await;
                arbiter.join().unwrap();
            }
        });
    });
}

#[test]
fn a_child_that_is_dead_before_its_blocked_arbiter_hears_of_it_is_reaped() {
    in_a_host_of_its_own(|| {
        run(async {
            let arbiter = Arbiter::new();
            let processes = spawn_on(&arbiter, 5).await;
            let (waits, waiting) = tokio::sync::oneshot::channel();
            let (go_on, told) = std::sync::mpsc::channel::<()>();
            arbiter.spawn_fn(move || {
                let _ = waits.send(());
                let _ = told.recv_timeout(common::DEADLINE);
            });
            in_time(waiting).await.unwrap();
            for process in &processes {
                process.signal(Signal::USR1).unwrap();
            }
            // It stops before it looks at anything else.
            arbiter.stop();
            go_on.send(()).unwrap();
            assert_reaped(&processes).await;
            arbiter.join().unwrap();
        });
    });
}

#[test]
fn each_child_of_a_system_that_is_gone_is_reaped() {
    isolated(|| {
        for stopped in [false, true] {
            let system = System::new();
            let mut processes = system.block_on(spawn(10));
            let arbiter = system.block_on(async { Arbiter::new() });
            processes.extend(system.block_on(spawn_on(&arbiter, 10)));
            if stopped {
                System::current().stop();
                system.run().unwrap();
            } else {
                drop(system);
                arbiter.stop();
            }
            arbiter.join().unwrap();
            for process in &processes {
                assert_eq!(process.try_status(), None);
                process.signal(Signal::USR1).unwrap();
            }
            for process in &processes {
                let status = block_on_thread(process.exited());
                assert_eq!(status.signal(), Some(Signal::USR1), "{status}");
            }
            assert_eq!(children(), []);
        }
    });
}
