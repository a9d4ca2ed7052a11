//! The status of services is complete, right, and waits for nobody; events are bounded.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_process::monitor::{
    Backoff, EventKind, ExitKind, Monitor, MonitorContainment, MonitorError, MonitorHandle,
    OnHostDeath, Reported, Restart, Service, ServiceState, Since, Start, When,
};
use actix_process::{Command, ExitStatus, Fd, PtySize, Signal};
use futures::StreamExt;

use crate::common::census::open_fds;
use crate::common::helper::helper;
use crate::common::isolated::isolated;
use crate::common::{eventually, in_time, run};
use crate::scale::pidfds;
use crate::tools::streams::{SHUTDOWN, event, next};

#[test]
fn a_status_is_told_while_closures_and_children_hang() {
    run(async {
        let (release, held) = mpsc::channel::<()>();
        let held = Mutex::new(held);
        let stuck = Service::new("stuck", move |_: &Start| {
            let _ = held.lock().unwrap().recv();
            Ok(helper(["pause"]))
        });
        let stopped = helper(["pause"]);
        let deaf = Service::new("deaf", stopped);
        let later = Service::new("later", helper(["pause"])).after("stuck", When::Ready);
        let monitor = Monitor::new()
            .services([stuck, deaf, later])
            .start()
            .unwrap();
        monitor.ready("deaf").await.unwrap();
        monitor.signal("deaf", Signal::STOP).await.unwrap();
        let all = in_time(monitor.all()).await.unwrap();
        let states: Vec<_> = all.iter().map(|one| (&*one.id, one.state)).collect();
        let ready = ServiceState::Running { ready: true };
        assert_eq!(
            states,
            [
                ("stuck", ServiceState::Starting),
                ("deaf", ready),
                ("later", ServiceState::Waiting)
            ]
        );
        in_time(monitor.all_with_usage()).await.unwrap();
        drop(release);
        monitor.ready("later").await.unwrap();
        monitor.shutdown(SHUTDOWN).await;
    });
}

#[test]
fn each_field_of_a_status_is_right() {
    run(async {
        let fails = Service::new("fails", helper(["tell", "2", "oops", "exit", "3"]))
            .restart(Restart::always().backoff(Backoff::new().first(LONG).cap(LONG)));
        let runs = Service::new("runs", helper(["hold", "pause"]));
        let leased = Service::keyed("leased", |_: &str, _: &Start| Ok(helper(["pause"])));
        let monitor = Monitor::new()
            .services([fails, runs, leased])
            .start()
            .unwrap();
        let mut events = monitor.events();
        // A grandchild that is just being made can miss a signal to its group.
        let mut held = monitor.follow("runs", Since::Start);
        next(&mut held, 1).await;
        monitor.restart("runs").await.unwrap();
        monitor.ready("runs").await.unwrap();
        next(&mut held, 2).await;
        let lease = monitor.lease_key("leased", "a key").await.unwrap();
        if monitor.status("fails").await.unwrap().state != ServiceState::Backoff {
            event(&mut events, "a backoff", |event| {
                matches!(
                    event.what,
                    EventKind::State {
                        to: ServiceState::Backoff,
                        ..
                    }
                )
                .then_some(())
            })
            .await;
        }

        let fails = monitor.status("fails").await.unwrap();
        assert_eq!((fails.state, fails.pid), (ServiceState::Backoff, None));
        assert_eq!((fails.restarts, fails.uptime, fails.usage), (0, None, None));
        assert_eq!((fails.descriptors, fails.leases), (0, 0));
        let next_try = fails.next_try.unwrap();
        assert!(next_try > Duration::from_secs(300), "{next_try:?}");
        let exit = fails.last_exit.unwrap();
        assert!(
            matches!(exit.status, Some(ExitStatus::Exited { code: 3, .. })),
            "{exit:?}"
        );
        assert_eq!(
            (exit.kind, &exit.tail[..]),
            (ExitKind::Code, &b"oops\n"[..])
        );

        let all = monitor.all_with_usage().await.unwrap();
        let runs = all.iter().find(|one| &*one.id == "runs").unwrap();
        assert!(runs.is_ready() && runs.restarts == 1, "{runs:?}");
        assert!(
            runs.generation > fails.generation && runs.uptime.is_some(),
            "{runs:?}"
        );
        assert_eq!(runs.next_try, None);
        let exit = runs.last_exit.as_ref().unwrap();
        assert_eq!(exit.kind, ExitKind::Stopped);
        let usage = runs.usage.as_ref().unwrap();
        assert!(
            usage.rss > 0 && (1..=2).contains(&usage.processes),
            "{usage:?}"
        );

        let leased = all.iter().find(|one| &*one.id == "leased").unwrap();
        assert_eq!((leased.key.as_deref(), leased.leases), (Some("a key"), 1));
        assert_eq!(lease.process().pid(), leased.pid);
        let unknown = monitor.status("unknown").await;
        assert!(
            matches!(unknown, Err(MonitorError::NotFound { .. })),
            "{unknown:?}"
        );
        drop(lease);
        monitor.shutdown(SHUTDOWN).await;
    });
}

/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);

/// Descriptors of this program, but for those that come and go with timers and threads.
fn descriptors() -> usize {
    open_fds().len()
}

/// Adds the service, and waits until its status tells `wanted`, and so many are open.
async fn costs(monitor: &MonitorHandle, service: Service, before: usize, wanted: usize) {
    let id = service_id(&service);
    monitor.add(service).await.unwrap();
    let told = async || monitor.status(&id).await.unwrap().descriptors;
    let mut last = 0;
    for _ in 0..1000 {
        last = told().await;
        if descriptors() - before == last && last == wanted {
            return;
        }
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
    panic!(
        "{id}: {last} told, {wanted} wanted, {} of {:#?}",
        descriptors() - before,
        open_fds()
    );
}

fn service_id(service: &Service) -> String {
    let shown = format!("{service:?}");
    let id = shown.split('"').nth(1).unwrap();
    id.to_owned()
}

#[test]
fn the_descriptors_of_a_service_are_those_that_this_program_has_open_for_it() {
    // Without pidfds there is one fewer.
    if cfg!(actix_process_force_no_pidfd) {
        return;
    }
    isolated(|| {
        run(async {
            let folder = tempfile::tempdir().unwrap();
            // No parent-death signal, whose thread is there for good.
            let service = |id: &str, command| Service::new(id, command);
            let monitor = Monitor::new().guard(false).start().unwrap();
            // What is opened once for all.
            monitor
                .add(service("first", helper(["pause"])))
                .await
                .unwrap();
            let without_pidfd = usize::from(pidfds() == 0);
            monitor.remove("first").await.unwrap();
            let before = crate::common::census::Census::quiet().await.fds.len();
            let cgroup = match monitor.containment() {
                // Its cgroup.events and cgroup.kill, or its directory.
                MonitorContainment::Cgroup { controllers } => {
                    let memory = controllers.iter().any(|name| name == "memory");
                    if memory { 1 } else { 2 }
                }
                _ => 0,
            };
            let all = [
                (service("usual", helper(["pause"])), 4),
                (
                    service("closes", helper(["close", "0", "close", "2", "pause"])),
                    2,
                ),
                (
                    service(
                        "quiet",
                        helper(["pause"]).stdin(Fd::null()).stdout(Fd::null()),
                    ),
                    2,
                ),
                (
                    service("terminal", helper(["pause"]).pty(PtySize::new(24, 80))),
                    2,
                ),
                (
                    service("file", helper(["say", "a", "pause"])).file(folder.path().join("log")),
                    5,
                ),
                (
                    service("notify", Command::new("sh").args(["-c", NOTIFY]))
                        .ready(actix_process::monitor::Ready::line("there")),
                    4,
                ),
                (
                    service("left", helper(["pause"])).on_host_death(OnHostDeath::Leave),
                    4,
                ),
            ];
            for (service, wanted) in all {
                let id = service_id(&service);
                let wanted = wanted + cgroup - without_pidfd;
                costs(&monitor, service, before, wanted).await;
                monitor.remove(&id).await.unwrap();
                eventually(
                    "its descriptors to be closed",
                    || (descriptors() == before).then_some(()),
                    || format!("{id}: {:#?}", open_fds()),
                )
                .await;
            }
            monitor.shutdown(SHUTDOWN).await;
        });
    });
}

const NOTIFY: &str = "echo there; exec sleep 600";

#[test]
fn who_is_slow_to_take_events_knows_how_many_were_missed() {
    run(async {
        let monitor = Monitor::new().start().unwrap();
        let mut slow = monitor.events();
        let quick = monitor.events();
        let counted = Arc::new(Mutex::new(0_u64));
        let count = Arc::clone(&counted);
        let quick = tokio::task::spawn_local(quick.for_each(move |item| {
            match item {
                Reported::Event(_) => *count.lock().unwrap() += 1,
                Reported::Lagged(missed) => *count.lock().unwrap() += missed,
                other => panic!("{other:?}"),
            }
            std::future::ready(())
        }));
        for number in 0..700 {
            let id = format!("s{number}");
            let service = Service::new(&id, helper(["pause"])).on_demand();
            monitor.add(service).await.unwrap();
            monitor.remove(&id).await.unwrap();
        }
        let first = in_time(slow.next()).await.unwrap();
        let Reported::Lagged(missed) = first else {
            panic!("{first:?}");
        };
        monitor.shutdown(SHUTDOWN).await;
        let rest: Vec<_> = in_time(slow.collect()).await;
        in_time(quick).await.unwrap();
        assert!(rest.len() <= 1024 + 1, "{}", rest.len());
        let all = rest.iter().map(|item| match item {
            Reported::Event(_) => 1,
            // Of the shutdown.
            Reported::Lagged(missed) => *missed,
            other => panic!("{other:?}"),
        });
        let all = missed + all.sum::<u64>();
        // Added and removed each, and the begin of the shutdown.
        assert!(all >= 1401, "{missed} of {all}");
        assert_eq!(all, *counted.lock().unwrap());
    });
}
