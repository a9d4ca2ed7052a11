//! A service that is ready and does not answer any more is stopped, and started again.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_process::Command;
use actix_process::monitor::{Alive, Backoff, ExitKind, Restart, Service, ServiceState};

use crate::changes::{Changes, READY, empty, end, exit_of, pid, sh};
use crate::common::{eventually, in_time, run};

/// A miss is found soon, and a restart follows at once.
fn watched(alive: Alive) -> Service {
    let service = Service::new("it", sh("echo said >&2; exec sleep 600"));
    let restart = Restart::on_failure().backoff(Backoff::none());
    let alive = alive.every(Duration::from_millis(50)).misses(2);
    service.alive(alive).restart(restart)
}

/// It lives until `fall`, and is another process after that.
async fn falls(alive: Alive, fall: impl FnOnce()) {
    let monitor = empty();
    let mut changes = Changes::of(&monitor);
    in_time(monitor.add(watched(alive))).await.unwrap();
    let event = changes.until("it", READY).await;
    let first = pid(&monitor, "it").await;
    fall();
    let stopping = changes.until("it", ServiceState::Stopping).await;
    assert_eq!(stopping.generation, event.generation);
    let again = changes.until("it", ServiceState::Waiting).await;
    let exit = exit_of(&again);
    assert_eq!(exit.kind, ExitKind::Unhealthy);
    assert_eq!(exit.tail, "said\n");
    let second = changes.until("it", READY).await;
    assert!(second.generation > event.generation);
    assert_ne!(second.pid, Some(first));
    let status = monitor.status("it").await.unwrap();
    assert_eq!(status.last_exit.unwrap().kind, ExitKind::Unhealthy);
    assert!(status.restarts >= 1);
    end(&monitor).await;
}

#[test]
fn a_port_that_answers_no_more() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        falls(Alive::tcp(address), || drop(listener)).await;
    });
}

#[test]
fn a_command_that_fails() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("up");
        std::fs::write(&file, "").unwrap();
        let alive = Alive::exec(Command::new("test").arg("-e").arg(&file));
        falls(alive, || std::fs::remove_file(&file).unwrap()).await;
    });
}

#[test]
fn a_closure_that_says_no() {
    run(async {
        let asked = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&asked);
        // Every other look fails, which is one miss in a row; then all of them.
        let alive = Alive::probe(move |_| {
            let n = seen.fetch_add(1, Ordering::AcqRel);
            async move {
                match n {
                    0 | 2 | 4 => Ok(()),
                    _ => Err("it does not answer".into()),
                }
            }
        });
        falls(alive, || {}).await;
        // Two misses in a row came only after these.
        assert!(asked.load(Ordering::Acquire) >= 7);
    });
}

#[test]
fn nobody_looks_after_the_stop() {
    run(async {
        let asked = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&asked);
        let alive = Alive::probe(move |_| {
            seen.fetch_add(1, Ordering::AcqRel);
            async { Ok(()) }
        });
        let monitor = empty();
        in_time(monitor.add(watched(alive))).await.unwrap();
        let looked = || (asked.load(Ordering::Acquire) > 2).then_some(());
        eventually("some looks", looked, String::new).await;
        in_time(monitor.stop("it")).await.unwrap();
        let before = asked.load(Ordering::Acquire);
        // A look that goes on would come in this time.
        actix_rt::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(asked.load(Ordering::Acquire), before);
        end(&monitor).await;
    });
}
