//! Whatever the end of a monitor without a shutdown, all services are killed by then, and one warning says so. The hosts have neither a
//! guard nor parent-death signals, and end without a moment in which anything else could kill.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use actix::{Arbiter, System};
use actix_process::monitor::{CgroupPlace, Monitor, MonitorHandle, OnHostDeath, Ready, Service};
use nix::libc;

use crate::common::helper::helper;
use crate::common::hosts::{Host, role, tell};
use crate::common::{block_on_thread, on_tokio};

/// A child and its child.
fn family(id: &str) -> Service {
    let command = helper(["leave", "1", "pause", "say", "ready", "pause"]);
    Service::new(id, command)
        .ready(Ready::line("ready"))
        .on_host_death(OnHostDeath::Leave)
}

fn monitor() -> Monitor {
    let services = ["a", "b", "c"].map(family);
    // Where there are cgroups somebody else's may be swept, with a warning.
    let monitor = Monitor::new().cgroups(CgroupPlace::Nowhere).guard(false);
    monitor.services(services)
}

async fn ready(monitor: &MonitorHandle) {
    for id in ["a", "b", "c"] {
        monitor.ready(id).await.unwrap();
    }
}

async fn started() -> MonitorHandle {
    let monitor = monitor().start().unwrap();
    ready(&monitor).await;
    monitor
}

/// No test but the host of those below.
#[test]
fn host() {
    let Some(role) = role() else { return };
    match role.as_str() {
        "a dropped handle" => System::new().block_on(async {
            let handle = started().await;
            let other = handle.clone();
            drop(handle);
            assert!(other.status("a").await.unwrap().pid.is_some());
            drop(other);
        }),
        "a dropped lease" => System::new().block_on(async {
            let handle = started().await;
            let lease = handle.lease("a").await.unwrap();
            drop(handle);
            assert!(lease.is_current());
            drop(lease);
        }),
        "a stopped System" => {
            let system = System::new();
            system.block_on(async { std::mem::forget(started().await) });
            System::current().stop();
            system.run().unwrap();
        }
        "an actix main that returns" => {
            System::new().block_on(async { std::mem::forget(started().await) });
        }
        "a tokio main that returns" => on_tokio(2, async {
            let _handle = started().await;
        }),
        "a tokio main that returns before a task" => on_tokio(2, async {
            let handle = started().await;
            tokio::spawn(async move {
                let _handle = handle;
                std::future::pending::<()>().await;
            });
        }),
        "a main without a runtime" => {
            let _handle = block_on_thread(started());
        }
        "a panic of main" => {
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                System::new().block_on(async {
                    let _handle = started().await;
                    panic!("of main");
                });
            }));
            assert!(panicked.is_err());
        }
        "an arbiter that was given" => System::new().block_on(async {
            let arbiter = Arbiter::new();
            let handle = monitor().on(&arbiter).start().unwrap();
            ready(&handle).await;
            std::mem::forget(handle);
            arbiter.stop();
            arbiter.join().unwrap();
        }),
        "a panic of the monitor" => System::new().block_on(async {
            struct Panics;
            impl Wake for Panics {
                fn wake(self: Arc<Self>) {
                    panic!("of the monitor, which wakes who waits");
                }
            }
            let handle = started().await;
            let closed = handle.closed();
            let waker = Waker::from(Arc::new(Panics));
            let mut waiting = Vec::new();
            // The answer may be there before the question is left.
            loop {
                let mut status = Box::pin(handle.status("a"));
                let polled = status.as_mut().poll(&mut Context::from_waker(&waker));
                waiting.push(status);
                if polled.is_pending() {
                    break;
                }
            }
            let report = closed.await;
            assert_eq!(report.killed, ["a", "b", "c"], "{report:?}");
            assert!(handle.status("a").await.is_err());
            std::mem::forget(handle.clone());
        }),
        other => panic!("no role {other}"),
    }
    tell("over");
    // SAFETY: ends the process with all its threads, now.
    unsafe { libc::_exit(0) }
}

fn all_are_killed_with_one_warning(role: &str) {
    let mut host = Host::start(role);
    assert_eq!(host.told(), "over");
    assert!(host.ended().success(), "{role}: {}", host.log());
    host.none_left(|host| host.services(""));
    let warnings = host.warnings();
    let [warning] = &warnings[..] else {
        panic!("{role}: {}", host.log());
    };
    assert!(warning.ends_with(": 3 services were killed"), "{warning}");
}

#[test]
fn a_dropped_last_handle_kills_all() {
    all_are_killed_with_one_warning("a dropped handle");
}

#[test]
fn a_dropped_last_lease_kills_all() {
    all_are_killed_with_one_warning("a dropped lease");
}

#[test]
fn a_stopped_system_kills_all() {
    all_are_killed_with_one_warning("a stopped System");
}

#[test]
fn a_main_that_returns_kills_all() {
    for role in [
        "an actix main that returns",
        "a tokio main that returns",
        "a tokio main that returns before a task",
        "a main without a runtime",
    ] {
        all_are_killed_with_one_warning(role);
    }
}

#[test]
fn a_panic_of_main_kills_all() {
    all_are_killed_with_one_warning("a panic of main");
}

#[test]
fn a_panic_of_the_monitor_kills_all() {
    all_are_killed_with_one_warning("a panic of the monitor");
}

#[test]
fn the_end_of_the_arbiter_that_it_was_given_kills_all() {
    all_are_killed_with_one_warning("an arbiter that was given");
}

#[test]
fn a_shutdown_that_somebody_waits_for_goes_on_when_the_handles_are_dropped() {
    crate::common::run(async {
        let monitor = started().await;
        let shutdown = monitor.shutdown(Duration::from_secs(60));
        drop(monitor);
        let report = shutdown.await;
        assert_eq!(report.clean.len(), 3, "{report:?}");
    });
}
