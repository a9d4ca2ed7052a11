//! A handle works on any thread, with any runtime or none; and after the end each request is answered at once.

use std::time::{Duration, Instant};

use actix::{Arbiter, System};
use actix_process::PtySize;
use actix_process::Signal;
use actix_process::monitor::{Followed, Monitor, MonitorError, MonitorHandle, Service, Since};
use futures::StreamExt;

use crate::common::helper::helper;
use crate::common::{block_on_thread, in_time, on_tokio, run};
use crate::tools::streams::{SHUTDOWN, next, rest};

fn echo(id: &str) -> Service {
    Service::new(id, helper(["cat"]))
}

/// Uses what a handle has.
async fn use_it(monitor: &MonitorHandle) {
    monitor.ready("echo").await.unwrap();
    let mut follow = monitor.follow("echo", Since::Now);
    let mut raw = monitor.follow_raw("echo");
    let mut events = monitor.events();
    monitor.write("echo", "hello\n").await.unwrap();
    let line = follow.next().await.unwrap();
    assert!(
        matches!(&line, Followed::Line { bytes, .. } if bytes == "hello"),
        "{line:?}"
    );
    raw.next().await.unwrap();
    monitor.restart("echo").await.unwrap();
    events.next().await.unwrap();
    let mut lease = monitor.lease("leased").await.unwrap();
    monitor.signal("leased", Signal::KILL).await.unwrap();
    lease.changed().await.unwrap();
    monitor.add(echo("other")).await.unwrap();
    monitor.stop("other").await.unwrap();
    monitor.remove("other").await.unwrap();
    assert_eq!(monitor.all().await.unwrap().len(), 2);
    monitor.all_with_usage().await.unwrap();
    monitor.reopen_files().await.unwrap();
}

fn services() -> [Service; 2] {
    [echo("echo"), echo("leased").on_demand()]
}

#[test]
fn on_a_plain_thread_without_any_runtime() {
    let monitor = Monitor::new().services(services()).start().unwrap();
    block_on_thread(use_it(&monitor));
    let closing = monitor.closing();
    let report = block_on_thread(monitor.shutdown(SHUTDOWN));
    assert_eq!(report.clean.len() + report.killed.len(), 2, "{report:?}");
    block_on_thread(closing);
}

#[test]
fn on_tokio_with_several_threads() {
    on_tokio(2, async {
        let monitor = Monitor::new().services(services()).start().unwrap();
        let clone = monitor.clone();
        tokio::spawn(async move { use_it(&clone).await })
            .await
            .unwrap();
        monitor.shutdown(SHUTDOWN).await;
    });
}

#[test]
fn on_tokio_with_one_thread() {
    on_tokio(0, async {
        let monitor = Monitor::new().services(services()).start().unwrap();
        use_it(&monitor).await;
        monitor.shutdown(SHUTDOWN).await;
    });
}

#[test]
fn in_a_system_and_from_threads_outside_of_it() {
    run(async {
        let monitor = Monitor::new().services(services()).start().unwrap();
        use_it(&monitor).await;
        let clone = monitor.clone();
        let thread = std::thread::spawn(move || block_on_thread(use_it(&clone)));
        in_time(tokio::task::spawn_blocking(|| thread.join()))
            .await
            .unwrap()
            .unwrap();
        monitor.shutdown(SHUTDOWN).await;
    });
}

#[test]
fn on_an_arbiter_that_was_given_and_that_stays() {
    run(async {
        let arbiter = Arbiter::new();
        let monitor = Monitor::new().services(services()).on(&arbiter);
        let monitor = monitor.start().unwrap();
        use_it(&monitor).await;
        monitor.shutdown(SHUTDOWN).await;
        let (tell, told) = futures::channel::oneshot::channel();
        let said = arbiter.spawn_fn(move || {
            let _ = tell.send(());
        });
        assert!(said);
        in_time(told).await.unwrap();
        // That of this thread, too.
        let monitor = Monitor::new().services(services()).on(&Arbiter::current());
        let monitor = monitor.start().unwrap();
        use_it(&monitor).await;
        monitor.shutdown(SHUTDOWN).await;
        arbiter.stop();
    });
}

#[test]
fn on_an_arbiter_that_has_ended_nothing_waits_for_ever() {
    run(async {
        let arbiter = Arbiter::new();
        let handle = arbiter.handle();
        arbiter.stop();
        let _ = tokio::task::spawn_blocking(|| arbiter.join()).await;
        let monitor = Monitor::new().services(services()).on(&handle);
        let monitor = monitor.start().unwrap();
        assert_all_end(&monitor).await;
    });
}

/// Each request is answered at once, by `Ended`.
async fn assert_all_end(monitor: &MonitorHandle) {
    let begun = Instant::now();
    let ended = |what: &str, result: Result<(), MonitorError>| {
        assert!(
            matches!(result, Err(MonitorError::Ended)),
            "{what}: {result:?}"
        );
    };
    ended("add", in_time(monitor.add(echo("more"))).await);
    ended("remove", in_time(monitor.remove("echo")).await);
    ended("start", in_time(monitor.start("echo")).await);
    ended("ready", in_time(monitor.ready("echo")).await);
    ended("stop", in_time(monitor.stop("echo")).await);
    ended("restart", in_time(monitor.restart("echo")).await);
    ended("restart_now", in_time(monitor.restart_now("echo")).await);
    ended(
        "signal",
        in_time(monitor.signal("echo", Signal::TERM)).await,
    );
    ended("write", in_time(monitor.write("echo", "x")).await);
    ended(
        "resize",
        in_time(monitor.resize("echo", PtySize::new(1, 1))).await,
    );
    ended("reopen", in_time(monitor.reopen_files()).await);
    ended("status", in_time(monitor.status("echo")).await.map(drop));
    ended("all", in_time(monitor.all()).await.map(drop));
    ended("usage", in_time(monitor.all_with_usage()).await.map(drop));
    ended("lease", in_time(monitor.lease("leased")).await.map(drop));
    ended("signals", in_time(monitor.closing_on_signals()).await);
    assert_eq!(rest(monitor.follow("echo", Since::Start)).await, ["closed"]);
    in_time(monitor.follow_raw("echo").collect::<Vec<_>>()).await;
    in_time(monitor.events().collect::<Vec<_>>()).await;
    in_time(monitor.closing()).await;
    in_time(monitor.closed()).await;
    in_time(monitor.shutdown(SHUTDOWN)).await;
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn after_the_end_each_request_is_answered_at_once() {
    run(async {
        let monitor = Monitor::new().services(services()).start().unwrap();
        monitor.ready("echo").await.unwrap();
        let first = monitor.shutdown(SHUTDOWN).await;
        assert_all_end(&monitor).await;
        assert_eq!(first, monitor.shutdown(SHUTDOWN).await);
        assert_eq!(first, monitor.closed().await);
    });
}

#[test]
fn requests_while_it_shuts_down_are_refused() {
    run(async {
        let slow = Service::new("slow", helper(["ignore", "15", "say", "ready", "pause"])).stop(
            actix_process::Ladder::new()
                .term(Duration::from_secs(60))
                .kill(),
        );
        let monitor = Monitor::new()
            .services(services())
            .service(slow)
            .start()
            .unwrap();
        let mut follow = monitor.follow("slow", Since::Start);
        assert_eq!(next(&mut follow, 1).await, ["1 1 ready"]);
        let shutdown = monitor.shutdown(Duration::from_secs(60));
        let refused = |result: Result<(), MonitorError>| {
            assert!(
                matches!(result, Err(MonitorError::ShuttingDown)),
                "{result:?}"
            );
        };
        refused(in_time(monitor.start("echo")).await);
        refused(in_time(monitor.add(echo("more"))).await);
        refused(in_time(monitor.lease("leased")).await.map(drop));
        refused(in_time(monitor.ready("echo")).await);
        // A status is told, and a later deadline that is sooner holds.
        assert_eq!(in_time(monitor.all()).await.unwrap().len(), 3);
        let report = in_time(monitor.shutdown(Duration::ZERO)).await;
        assert_eq!(report, in_time(shutdown).await);
        assert!(report.killed.contains(&"slow".to_owned()), "{report:?}");
    });
}

#[test]
fn when_its_system_stops_the_monitor_ends_and_nobody_waits() {
    let system = System::new();
    let (monitor, pid) = system.block_on(async {
        let monitor = Monitor::new().services(services()).start().unwrap();
        monitor.ready("echo").await.unwrap();
        let pid = monitor.status("echo").await.unwrap().pid.unwrap();
        (monitor, pid)
    });
    System::current().stop();
    system.run().unwrap();
    block_on_thread(monitor.closed());
    let begun = Instant::now();
    while !crate::common::census::is_gone(pid) {
        assert!(begun.elapsed() < SHUTDOWN);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(matches!(
        block_on_thread(monitor.start("echo")),
        Err(MonitorError::Ended)
    ));
}
