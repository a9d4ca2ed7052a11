//! A stop at every point of a start acts at once, and nothing comes of that start later.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_process::monitor::{
    Monitor, MonitorError, Ready, Restart, Service, ServiceState, Start, When,
};
use actix_process::{Command, NoProtocol};

use crate::common::census::{children, is_gone};
use crate::common::hanging_exec::HangingExec;
use crate::common::helper::helper;
use crate::common::isolated::isolated;
use crate::common::{DEADLINE, amount, eventually, in_time, run};
use crate::gate::Gate;
use crate::watched::{READY, Watched, helping, late, ms, pausing};

/// Stops a service whose start is somewhere on its way; who waits for the start must hear of it.
async fn stop_while_waited_for(watched: &Watched, id: &str, state: ServiceState) {
    let (started, ()) = futures::join!(in_time(watched.start(id)), async {
        watched.once(id, state).await;
        in_time(watched.stop(id)).await.unwrap();
        let status = watched.look(id).await;
        assert_eq!((status.state, status.pid), (ServiceState::Stopped, None));
    });
    let error = started.unwrap_err();
    let overtaken = matches!(&error, MonitorError::Overtaken { by: "stop", .. });
    assert!(overtaken, "{error}");
}

/// Nothing of it comes later: a whole other start has gone by.
async fn assert_stays_stopped(watched: &Watched, id: &str, starts: usize) {
    in_time(watched.add(pausing("another"))).await.unwrap();
    in_time(watched.remove("another")).await.unwrap();
    assert_eq!(watched.look(id).await.state, ServiceState::Stopped);
    assert_eq!(
        watched.generations(id).len(),
        starts,
        "{:?}",
        watched.texts()
    );
}

#[test]
fn while_its_closure_hangs() {
    run(async {
        let (go, gone) = mpsc::channel::<()>();
        let gone = Mutex::new(gone);
        let calls = Arc::new(AtomicUsize::new(0));
        let called = Arc::clone(&calls);
        let service = Service::new("a", move |start: &Start| {
            called.fetch_add(1, Ordering::SeqCst);
            // Only the first one hangs, whichever thread is the first to run.
            if start.generation == 1 {
                let _ = gone.lock().unwrap().recv();
            }
            Ok(helper(["pause"]))
        });
        // A start that still waits for the guard would call no closure.
        let monitor = Monitor::new().guard(false);
        let watched = Watched::start_of(monitor, [service.on_demand()]).await;
        stop_while_waited_for(&watched, "a", ServiceState::Starting).await;
        assert_stays_stopped(&watched, "a", 1).await;
        // A further start does not wait for the first one's closure.
        in_time(watched.start("a")).await.unwrap();
        let pid = watched.pid("a").await;
        assert_eq!(watched.look("a").await.stale, 0);
        // Its answer comes too late. It is dropped, and counted.
        go.send(()).unwrap();
        let begun = Instant::now();
        let mut stale = 0;
        while stale == 0 {
            assert!(begun.elapsed() < DEADLINE, "{:?}", watched.look("a").await);
            actix_rt::time::sleep(ms(5)).await;
            stale = watched.look("a").await.stale;
        }
        assert_eq!(stale, 1);
        assert_eq!(watched.pid("a").await, pid);
        assert_eq!(calls.load(Ordering::SeqCst), 2);
        watched.end().await;
    });
}

#[test]
fn while_its_exec_hangs() {
    isolated(|| {
        run(async {
            let hanging = HangingExec::new();
            let service = Service::new("a", hanging.helper(["pause"])).on_demand();
            let watched = Watched::start_of(Monitor::new().guard(false), [service]).await;
            let (started, ()) = futures::join!(in_time(watched.start("a")), async {
                let pids = hanging.until_children(1).await;
                assert_eq!(watched.look("a").await.state, ServiceState::Starting);
                in_time(watched.stop("a")).await.unwrap();
                assert_eq!(watched.look("a").await.state, ServiceState::Stopped);
                // Long before the exec would go on.
                eventually(
                    "its end",
                    || is_gone(pids[0]).then_some(()),
                    || format!("{pids:?}"),
                )
                .await;
            });
            assert!(
                matches!(started, Err(MonitorError::Overtaken { .. })),
                "{started:?}"
            );
            hanging.until_children(0).await;
            // The shutdown does not wait for such an exec either.
            let (started, ()) = futures::join!(in_time(watched.start("a")), async {
                hanging.until_children(1).await;
                watched.end().await;
            });
            assert!(
                matches!(started, Err(MonitorError::ShuttingDown)),
                "{started:?}"
            );
            hanging.until_children(0).await;
        });
    });
}

#[test]
fn before_it_is_ready() {
    run(async {
        let unready = [
            ("line", Ready::line("never")),
            ("fd", Ready::fd(5)),
            ("notify", Ready::notify()),
            ("tcp", Ready::tcp("127.0.0.1:1")),
            ("after", Ready::after(Duration::from_secs(600))),
            (
                "exec",
                Ready::exec(helper(["pause"])).timeout(Duration::from_secs(20)),
            ),
            (
                "probe",
                Ready::probe(|_| std::future::pending()).timeout(Duration::from_secs(20)),
            ),
        ];
        let ids = unready.clone().map(|(id, _)| id);
        let services = unready.map(|(id, ready)| pausing(id).ready(ready).on_demand());
        let watched = Watched::start(services).await;
        for id in ids {
            stop_while_waited_for(&watched, id, ServiceState::Running { ready: false }).await;
        }
        for id in ids {
            assert_stays_stopped(&watched, id, 1).await;
            let exit = watched.last_exit(id).await;
            assert_eq!(exit.kind, actix_process::monitor::ExitKind::Stopped, "{id}");
        }
        watched.end().await;
    });
}

#[test]
fn in_backoff() {
    run(async {
        let failing = helping("a", ["exit", "1"]).restart(late(Restart::on_failure()));
        let watched = Watched::start([failing]).await;
        watched.once("a", ServiceState::Backoff).await;
        let (ready, ()) = futures::join!(in_time(watched.ready("a")), async {
            watched.look("a").await;
            in_time(watched.stop("a")).await.unwrap();
        });
        assert!(
            matches!(ready, Err(MonitorError::Overtaken { by: "stop", .. })),
            "{ready:?}"
        );
        assert_stays_stopped(&watched, "a", 1).await;
        assert_eq!(watched.look("a").await.next_try, None);
        watched.end().await;
    });
}

#[test]
fn while_it_waits_for_another_one() {
    run(async {
        let services = [
            pausing("db").ready(Ready::line("never")),
            pausing("web").after("db", When::Ready).on_demand(),
        ];
        let watched = Watched::start(services).await;
        stop_while_waited_for(&watched, "web", ServiceState::Waiting).await;
        // Nor when the other one gets there.
        in_time(watched.stop("db")).await.unwrap();
        assert_stays_stopped(&watched, "web", 0).await;
        in_time(watched.stop("db")).await.unwrap();
        watched.end().await;
    });
}

#[test]
fn what_waited_and_was_stopped_does_not_start_when_the_other_one_is_ready() {
    run(async {
        let db = crate::watched::shell("db", "read line; echo up; exec sleep 600");
        let services = [
            db.ready(Ready::line("up")),
            pausing("web").after("db", When::Ready),
        ];
        let watched = Watched::start(services).await;
        watched.once("web", ServiceState::Waiting).await;
        in_time(watched.stop("web")).await.unwrap();
        watched
            .once("db", ServiceState::Running { ready: false })
            .await;
        in_time(watched.write("db", "\n")).await.unwrap();
        watched.once("db", READY).await;
        assert_stays_stopped(&watched, "web", 0).await;
        watched.end().await;
    });
}

/// Starts and stops again and again, each time a little later.
async fn at_any_moment(service: Service) {
    let before = children();
    let monitor = Monitor::new().guard(false);
    let watched = Watched::start_of(monitor, [service.on_demand()]).await;
    for round in 0..amount(2000, 150) {
        let (started, stopped) = futures::join!(in_time(watched.start("a")), async {
            for _ in 0..round % 12 {
                actix_rt::task::yield_now().await;
            }
            actix_rt::time::sleep(Duration::from_micros(50 * (round % 30) as u64)).await;
            in_time(watched.stop("a")).await
        });
        stopped.unwrap();
        assert!(
            matches!(started, Ok(()) | Err(MonitorError::Overtaken { .. })),
            "{started:?}"
        );
    }
    // What was given up on its way to its exec is gone a moment later.
    let gone = || (children() == before).then_some(());
    eventually("no child", gone, || {
        format!("{:?}, before {before:?}", children())
    })
    .await;
    watched.end().await;
}

#[test]
fn at_any_moment_of_its_spawn() {
    isolated(|| run(at_any_moment(pausing("a"))));
}

#[test]
fn at_any_moment_of_a_spawn_for_a_protocol_of_the_users() {
    isolated(|| {
        run(at_any_moment(pausing("a").protocol(|_| NoProtocol)));
    });
}

#[test]
fn at_any_moment_of_a_start_by_a_closure() {
    isolated(|| {
        let made = |_: &Start| Ok(Command::new("sleep").arg("600"));
        run(at_any_moment(Service::new("a", made)));
    });
}

#[test]
fn a_start_waits_for_the_closures_of_starts_that_were_given_up() {
    run(async {
        let gate = Arc::new(Gate::default());
        let of_the_closure = Arc::clone(&gate);
        let service = Service::new("a", move |_: &Start| {
            of_the_closure.pass();
            Ok(Command::new("sleep").arg("600"))
        });
        let monitor = Monitor::new().guard(false);
        let watched = Watched::start_of(monitor, [service.on_demand()]).await;
        for given_up in 1..=4 {
            let started = watched.start("a");
            let stopped = async {
                eventually(
                    "a closure at the gate",
                    || (gate.waiting() == given_up).then_some(()),
                    || gate.waiting().to_string(),
                )
                .await;
                in_time(watched.stop("a")).await
            };
            let (started, stopped) = futures::join!(in_time(started), stopped);
            assert!(
                matches!(started, Err(MonitorError::Overtaken { .. })),
                "{started:?}"
            );
            stopped.unwrap();
        }
        let (started, ()) = futures::join!(in_time(watched.start("a")), async {
            watched.look("a").await;
            assert_eq!(gate.waiting(), 4);
            gate.open();
        });
        started.unwrap();
        watched.end().await;
    });
}

#[test]
fn a_stop_of_a_start_is_answered_when_its_child_is_gone() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let born = dir.path().join("born");
        let script = format!("echo $$ >>{}; exec sleep 600", born.display());
        let monitor = Monitor::new().guard(false);
        let service = Service::new("a", Command::new("sh").args(["-c", &script])).on_demand();
        let watched = Watched::start_of(monitor, [service]).await;
        for round in 0..amount(1000, 60) {
            let starting = watched.start("a");
            let stopping = async {
                for _ in 0..round % 25 {
                    tokio::task::yield_now().await;
                }
                in_time(watched.stop("a")).await
            };
            let (_, stopped) = futures::join!(starting, stopping);
            stopped.unwrap();
            let said = std::fs::read_to_string(&born).unwrap_or_default();
            for pid in said.lines() {
                assert!(
                    is_gone(pid.parse().unwrap()),
                    "{pid} lives, in round {round}"
                );
            }
            let _ = std::fs::remove_file(&born);
        }
    });
}

#[test]
fn starts_that_fail_at_once_and_again_hold_up_nobody() {
    run(async {
        let spec = Service::new("a", Command::new("true"))
            .restart(crate::watched::at_once(Restart::always()))
            .protocol(|_: &Start| -> NoProtocol { std::panic::resume_unwind(Box::new("none")) });
        let watched = Watched::start([spec.on_demand(), pausing("b")]).await;
        let error = in_time(watched.start("a")).await.unwrap_err();
        assert!(matches!(error, MonitorError::StartFailed { .. }), "{error}");
        in_time(watched.ready("b")).await.unwrap();
        in_time(watched.stop("a")).await.unwrap();
        in_time(watched.shutdown(Duration::from_secs(60))).await;
    });
}
