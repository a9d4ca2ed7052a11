//! The closure that makes the command of each start.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use actix_process::Command;
use actix_process::monitor::{
    Backoff, MonitorContainment, MonitorError, Ready, Restart, Service, ServiceState, Start,
    StartError, StartFailure,
};

use crate::changes::{Changes, READY, add, empty, end, failure, sh};
use crate::common::{eventually, in_time, run};

#[test]
fn it_is_told_which_start_it_is_for() {
    run(async {
        let starts = Arc::new(Mutex::new(Vec::<Start>::new()));
        let seen = Arc::clone(&starts);
        let service = Service::new("it", move |start: &Start| {
            let port = start.free_port()?;
            assert_eq!(start.free_port()?, port);
            seen.lock().unwrap().push(start.clone());
            Ok(sh(if start.attempt < 3 {
                "exit 3"
            } else {
                "echo up; read x"
            }))
        });
        let restart = Restart::always().backoff(Backoff::none());
        let monitor = empty();
        let mut changes = Changes::of(&monitor);
        let _ = in_time(monitor.add(service.restart(restart).ready(Ready::line("up")))).await;
        changes.until("it", READY).await;
        let starts = starts.lock().unwrap().clone();
        assert_eq!(starts.len(), 3);
        let attempts: Vec<u32> = starts.iter().map(|start| start.attempt).collect();
        assert_eq!(attempts, [1, 2, 3]);
        assert!(starts.is_sorted_by(|a, b| a.generation < b.generation));
        assert!(
            starts
                .iter()
                .all(|start| &*start.id == "it" && start.key.is_none())
        );
        let last = monitor.status("it").await.unwrap().generation;
        assert_eq!(starts[2].generation, last);
        // By hand its failures are forgotten.
        end(&monitor).await;
    });
}

#[test]
fn its_error_or_its_panic_is_a_failed_start() {
    run(async {
        type Make = fn(&Start) -> Result<Command, StartError>;
        let closures: [(Make, &str); 3] = [
            (|_| Err("no licence".into()), "no licence"),
            (|_| panic!("a panic of a test"), "panicked"),
            (|_| Ok(sh("x").arg("\0")), "command"),
        ];
        for (closure, text) in closures {
            let monitor = empty();
            let other = Service::new("other", sh("exec sleep 600"));
            let service = Service::new("it", closure).restart(Restart::never());
            in_time(monitor.add(other)).await.unwrap();
            let failure = failure(in_time(monitor.add(service)).await);
            assert!(matches!(failure, StartFailure::Command(_)), "{failure:?}");
            assert!(failure.to_string().contains(text), "{failure}");
            let status = monitor.status("it").await.unwrap();
            assert_eq!(status.state, ServiceState::Failed);
            assert!(monitor.status("other").await.unwrap().is_ready());
            end(&monitor).await;
        }
    });
}

#[test]
fn a_failed_one_is_tried_again() {
    run(async {
        let service = Service::new("it", |start: &Start| match start.attempt {
            1 => Err("not yet".into()),
            2 => panic!("a panic of a test"),
            _ => Ok(sh("exec sleep 600")),
        });
        let restart = Restart::on_failure().backoff(Backoff::none());
        let monitor = empty();
        let mut changes = Changes::of(&monitor);
        let failure = failure(in_time(monitor.add(service.restart(restart))).await);
        assert!(failure.to_string().contains("not yet"), "{failure}");
        changes.until("it", READY).await;
        end(&monitor).await;
    });
}

/// A closure that hangs until the sender is dropped, and how many calls of it do.
fn hanging() -> (mpsc::Sender<()>, Arc<AtomicUsize>, Service) {
    let (hold, held) = mpsc::channel::<()>();
    let (held, inside) = (Arc::new(Mutex::new(held)), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&inside);
    let service = Service::new("it", move |_: &Start| {
        count.fetch_add(1, Ordering::AcqRel);
        let _ = held.lock().unwrap().recv();
        count.fetch_sub(1, Ordering::AcqRel);
        Ok(sh("exec sleep 600"))
    });
    (hold, inside, service)
}

#[test]
fn one_that_hangs_holds_up_its_own_service_only_and_has_few_threads() {
    run(async {
        let (hold, inside, service) = hanging();
        let backoff = Backoff::new().first(Duration::from_millis(20)).factor(1.0);
        let restart = Restart::on_failure().backoff(backoff);
        let ready = Ready::started().within(Duration::from_millis(100));
        let monitor = empty();
        let mut changes = Changes::of(&monitor);
        let added = add(&monitor, service.ready(ready).restart(restart));
        changes.until("it", ServiceState::Starting).await;
        let other = Service::new("other", |_: &Start| Ok(sh("exec sleep 600")));
        in_time(monitor.add(other)).await.unwrap();
        let failure = failure(in_time(added).await.unwrap());
        let late = matches!(failure, StartFailure::Unready { exit: None, .. });
        assert!(late && failure.to_string().contains("100ms"), "{failure}");
        for _ in 0..12 {
            changes.until("it", ServiceState::Starting).await;
        }
        assert!(inside.load(Ordering::Acquire) <= 4, "{inside:?}");
        drop(hold);
        changes.until("it", READY).await;
        end(&monitor).await;
    });
}

#[test]
fn a_stop_does_not_wait_for_it() {
    run(async {
        let (hold, inside, service) = hanging();
        let monitor = empty();
        let mut changes = Changes::of(&monitor);
        let _added = add(&monitor, service);
        changes.until("it", ServiceState::Starting).await;
        let called = || (inside.load(Ordering::Acquire) == 1).then_some(());
        eventually("a call", called, String::new).await;
        in_time(monitor.stop("it")).await.unwrap();
        assert_eq!(
            monitor.status("it").await.unwrap().state,
            ServiceState::Stopped
        );
        drop(hold);
        let over = || (inside.load(Ordering::Acquire) == 0).then_some(());
        eventually("the end of the closure", over, String::new).await;
        // What it has made for a start that was given up is not spawned.
        actix_rt::time::sleep(Duration::from_millis(100)).await;
        let status = monitor.status("it").await.unwrap();
        assert_eq!((status.pid, status.state), (None, ServiceState::Stopped));
        end(&monitor).await;
    });
}

#[test]
fn one_whose_command_is_refused_is_not_called_again() {
    run(async {
        let calls = Arc::new(AtomicUsize::new(0));
        let refused: [fn() -> Service; 2] = [
            || Service::new("it", |_: &Start| Ok(sh("x").arg("a\0b"))),
            || {
                let contained = |_: &Start| Ok(sh("exec sleep 600").contained());
                Service::new("it", contained).memory_max(64 << 20)
            },
        ];
        for service in refused {
            let restart = Restart::on_failure().backoff(Backoff::none());
            let monitor = empty();
            let cgroups = matches!(
                monitor.containment(),
                MonitorContainment::Cgroup { controllers } if controllers.iter().any(|one| one == "memory")
            );
            let answer = in_time(monitor.add(service().restart(restart))).await;
            if let (Err(MonitorError::Spec(error)), false) = (&answer, cgroups) {
                assert_eq!(error.field, "memory_max");
                end(&monitor).await;
                continue;
            }
            let failure = failure(answer);
            assert!(matches!(failure, StartFailure::Command(_)), "{failure:?}");
            let status = monitor.status("it").await.unwrap();
            assert_eq!(
                (status.state, status.restarts),
                (ServiceState::Failed, 0),
                "{calls:?}"
            );
            end(&monitor).await;
        }
    });
}

/// The text of an error of the user's: lines, a terminal's escapes, and too much.
fn rude() -> StartError {
    format!("one\ntwo \u{1b}[2J \"quoted\" {}", "x".repeat(5000)).into()
}

fn is_polite(text: &str) {
    assert!(text.contains("one\\ntwo \\u{1b}[2J \"quoted\""), "{text:?}");
    assert!(text.len() < 1300, "{} bytes", text.len());
    assert!(!text.contains(char::is_control), "{text:?}");
}

#[test]
fn the_text_of_an_error_of_the_users_is_one_line_and_not_long() {
    run(async {
        let never = Restart::never();
        let closure = Service::new("it", |_: &Start| Err(rude()));
        let probe = Service::new("it", sh("exec sleep 600"))
            .ready(Ready::probe(|_| async { Err(rude()) }).within(Duration::from_millis(300)));
        let loud = sh("printf 'one\\ntwo \\033[2J \"quoted\"' >&2; exit 1");
        let exec = Service::new("it", sh("exec sleep 600"))
            .ready(Ready::exec(loud).within(Duration::from_millis(500)));
        for (service, all) in [(closure, true), (probe, true), (exec, false)] {
            let monitor = empty();
            let answer = in_time(monitor.add(service.restart(never.clone()))).await;
            let text = answer.unwrap_err().to_string();
            assert!(!text.contains(char::is_control), "{text:?}");
            assert!(text.contains("two"), "{text:?}");
            if all {
                is_polite(&text);
            }
            end(&monitor).await;
        }
    });
}
