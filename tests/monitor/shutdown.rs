//! The shutdown: what it refuses, in which order it stops, when it kills, and what it reports.

use std::time::{Duration, Instant};

use actix_process::monitor::{
    CgroupPlace, EventKind, Monitor, MonitorError, MonitorHandle, Ready, Reported, Service,
    ServiceState, When,
};
use actix_process::{Command, Ladder, Signal};
use futures::{FutureExt, StreamExt};
use nix::libc;

use crate::common::census::is_gone;
use crate::common::helper::helper;
use crate::common::{in_time, run};

const LONG: Duration = Duration::from_secs(600);

/// By SIGTERM, with all the time there is.
fn patient() -> Ladder {
    Ladder::new().term(LONG).kill()
}

fn sleep(id: &str) -> Service {
    Service::new(id, Command::new("sleep").arg("600")).stop(patient())
}

/// One that takes no notice of SIGTERM, and no longer ladder than a shutdown.
fn stubborn(id: &str) -> Service {
    let ignored = libc::SIGTERM.to_string();
    let command = helper(["ignore", &ignored, "say", "ready", "pause"]);
    Service::new(id, command)
        .ready(Ready::line("ready"))
        .stop(patient())
}

async fn all_ready(monitor: &MonitorHandle) {
    for status in monitor.all().await.unwrap() {
        monitor.ready(&*status.id).await.unwrap();
    }
}

#[test]
fn a_shutdown_refuses_starts_and_stops_in_reverse_order() {
    run(async {
        let keyed = Service::keyed("keyed", |_: &str, _: &_| Ok(Command::new("true")));
        let monitor = Monitor::new()
            .service(sleep("a"))
            .service(sleep("b").after("a", When::Ready))
            .service(stubborn("c").after("b", When::Ready))
            .service(keyed)
            .start()
            .unwrap();
        monitor.ready("c").await.unwrap();
        let mut events = monitor.events();
        let (closing, closed) = (monitor.closing(), monitor.closed());
        let mut closed = Box::pin(closed);
        let begun = Instant::now();
        let shutdown = monitor.shutdown(LONG);
        in_time(closing).await;
        in_time(monitor.closing()).await;

        for result in [
            monitor.start("a").await,
            monitor.ready("a").await,
            monitor.restart("c").await,
            monitor.restart_now("a").await,
            monitor.add(sleep("d")).await,
            monitor.lease("a").await.map(drop),
            monitor.lease_key("keyed", "x").await.map(drop),
        ] {
            assert!(
                matches!(result, Err(MonitorError::ShuttingDown)),
                "{result:?}"
            );
        }
        // What comes after them is still there.
        for (id, state) in [
            ("a", ServiceState::Running { ready: true }),
            ("b", ServiceState::Running { ready: true }),
            ("c", ServiceState::Stopping),
        ] {
            assert_eq!(monitor.status(id).await.unwrap().state, state, "{id}");
        }
        assert!(closed.as_mut().now_or_never().is_none());
        monitor.signal("c", Signal::USR1).await.unwrap();
        let report = in_time(shutdown).await;
        assert_eq!(report.clean, ["c", "b", "a"], "{report:?}");
        assert_eq!(report.killed, [] as [&str; 0]);
        assert_eq!(report.unkillable, [] as [&str; 0]);
        assert_eq!(report.leftovers, 0);
        assert!(
            report.took <= begun.elapsed() && !report.took.is_zero(),
            "{report:?}"
        );
        assert_eq!(in_time(closed).await, report);
        assert_eq!(in_time(monitor.shutdown(LONG)).await, report, "once more");
        in_time(monitor.closing()).await;

        let mut told = Vec::new();
        while let Some(event) = in_time(events.next()).await {
            if let Reported::Event(event) = event {
                told.push(event.what);
            }
        }
        assert_eq!(told.first(), Some(&EventKind::ShutdownBegan));
        let result = monitor.start("a").await;
        assert!(matches!(result, Err(MonitorError::Ended)), "{result:?}");
    });
}

#[test]
fn what_is_left_at_the_deadline_is_killed() {
    run(async {
        let monitor = Monitor::new()
            .service(stubborn("stubborn"))
            .service(sleep("stopped"))
            .service(sleep("good"))
            .start()
            .unwrap();
        all_ready(&monitor).await;
        let mut pids = Vec::new();
        for status in monitor.all().await.unwrap() {
            pids.push(status.pid.unwrap());
        }
        monitor.signal("stopped", Signal::STOP).await.unwrap();
        let deadline = Duration::from_millis(300);
        let mut report = in_time(monitor.shutdown(deadline)).await;
        report.clean.sort();
        assert_eq!(report.killed, ["stubborn"], "{report:?}");
        // The ladder continues who is stopped.
        assert_eq!(report.clean, ["good", "stopped"], "{report:?}");
        assert_eq!(report.unkillable, [] as [&str; 0]);
        assert!(report.took >= deadline, "{report:?}");
        assert!(pids.iter().all(|pid| is_gone(*pid)), "{pids:?}");
    });
}

#[test]
fn a_second_shutdown_can_make_the_time_shorter_and_not_longer() {
    run(async {
        let monitor = Monitor::new().service(stubborn("c")).start().unwrap();
        all_ready(&monitor).await;
        let first = monitor.shutdown(LONG);
        let second = monitor.shutdown(Duration::ZERO);
        let third = monitor.shutdown(LONG);
        let report = in_time(first).await;
        assert_eq!(report.killed, ["c"], "{report:?}");
        assert_eq!(in_time(second).await, report);
        assert_eq!(in_time(third).await, report);
    });
}

#[test]
fn the_report_counts_what_outlived_the_child() {
    run(async {
        // The child ends by SIGTERM, and its child does not.
        let words = ["leave", "5", "ignore", "15", "say", "ready", "pause"];
        let command = helper(words.into_iter().chain(["pause"]));
        let service = Service::new("family", command)
            .ready(Ready::line("ready"))
            .stop(Ladder::new().term(Duration::from_millis(300)).kill());
        for place in [CgroupPlace::Nowhere, CgroupPlace::Found] {
            let monitor = Monitor::new().cgroups(place).service(service.clone());
            let monitor = monitor.start().unwrap();
            all_ready(&monitor).await;
            let report = in_time(monitor.shutdown(LONG)).await;
            assert_eq!(report.killed, ["family"], "{report:?}");
            assert_eq!(report.leftovers, 1, "{report:?}");
        }
    });
}

#[test]
fn a_shutdown_of_nothing_is_over_at_once() {
    run(async {
        let monitor = Monitor::new().start().unwrap();
        let report = in_time(monitor.shutdown(LONG)).await;
        assert_eq!(report.clean, [] as [&str; 0], "{report:?}");

        let never = sleep("never").on_demand();
        let monitor = Monitor::new().service(never).start().unwrap();
        let report = in_time(monitor.shutdown(LONG)).await;
        assert_eq!(report.clean, [] as [&str; 0], "{report:?}");
    });
}
