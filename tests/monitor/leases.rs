//! Services that run while somebody has a lease of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix_process::Command;
use actix_process::monitor::{
    Backoff, Lease, Monitor, MonitorError, MonitorHandle, Ready, Restart, Service, ServiceState,
    Start, When, messages,
};
use futures::future::join_all;

use crate::changes::{Changes, READY, RUNNING, empty, end, failed_exit, pid_of, sh};
use crate::common::census::is_gone;
use crate::common::{eventually, in_time, run};

/// Runs this script on demand, and counts its starts.
pub(crate) fn counted(id: &str, script: &'static str) -> (Service, Arc<AtomicUsize>) {
    let starts = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&starts);
    let service = Service::new(id, move |_: &Start| {
        count.fetch_add(1, Ordering::AcqRel);
        Ok(sh(script))
    });
    (service.on_demand(), starts)
}

pub(crate) async fn with(service: Service) -> MonitorHandle {
    let monitor = empty();
    in_time(monitor.add(service)).await.unwrap();
    monitor
}

/// Asks for a lease, in a task of its own, and waits until the monitor has heard of it.
async fn asks(
    monitor: &MonitorHandle,
    id: &'static str,
) -> actix_rt::task::JoinHandle<Result<Lease, MonitorError>> {
    let before = monitor.status(id).await.unwrap().leases;
    let asking = actix_rt::spawn({
        let monitor = monitor.clone();
        async move { monitor.lease(id).await }
    });
    leases(monitor, id, before + 1).await;
    asking
}

pub(crate) async fn leases(monitor: &MonitorHandle, id: &str, count: usize) {
    in_time(async {
        while monitor.status(id).await.unwrap().leases != count {
            actix_rt::task::yield_now().await;
        }
    })
    .await;
}

async fn state(monitor: &MonitorHandle, id: &str) -> ServiceState {
    monitor.status(id).await.unwrap().state
}

#[test]
fn a_thousand_waiters_have_one_start() {
    run(async {
        let (service, starts) = counted("it", "read x; echo up; exec sleep 600");
        let monitor = with(service.ready(Ready::line("up"))).await;
        assert_eq!(state(&monitor, "it").await, ServiceState::Stopped);
        let asking = actix_rt::spawn({
            let monitor = monitor.clone();
            async move { join_all((0..1000).map(|_| monitor.lease("it"))).await }
        });
        leases(&monitor, "it", 1000).await;
        let mut changes = Changes::of(&monitor);
        while monitor.write("it", "go\n").await.is_err() {
            actix_rt::task::yield_now().await;
        }
        let leases = in_time(asking).await.unwrap();
        let leases: Vec<Lease> = leases.into_iter().map(Result::unwrap).collect();
        let pid = pid_of(leases[0].process());
        assert!(leases.iter().all(|lease| pid_of(lease.process()) == pid));
        assert_eq!(starts.load(Ordering::Acquire), 1);
        changes.until("it", READY).await;
        drop(leases);
        end(&monitor).await;
    });
}

#[test]
fn a_thousand_waiters_have_one_failure() {
    run(async {
        let script = "read x; echo the disk is full >&2; exit 3";
        let (service, starts) = counted("it", script);
        let service = service.ready(Ready::line("up")).restart(Restart::never());
        let monitor = with(service).await;
        let asking = actix_rt::spawn({
            let monitor = monitor.clone();
            async move { join_all((0..1000).map(|_| monitor.lease("it"))).await }
        });
        leases(&monitor, "it", 1000).await;
        while monitor.write("it", "go\n").await.is_err() {
            actix_rt::task::yield_now().await;
        }
        let answers = in_time(asking).await.unwrap();
        assert_eq!(answers.len(), 1000);
        for answer in answers {
            let Err(MonitorError::StartFailed { failure, .. }) = answer else {
                panic!("{answer:?}");
            };
            assert_eq!(failed_exit(&failure).tail, "the disk is full\n");
        }
        assert_eq!(starts.load(Ordering::Acquire), 1);
        leases(&monitor, "it", 0).await;
        end(&monitor).await;
    });
}

#[test]
fn who_drops_the_future_gives_the_lease_up() {
    run(async {
        let (service, starts) = counted("it", "read x; echo up; exec sleep 600");
        let service = service.ready(Ready::line("up")).idle_stop(Duration::ZERO);
        let monitor = with(service).await;
        let mut changes = Changes::of(&monitor);
        let first = asks(&monitor, "it").await;
        let second = asks(&monitor, "it").await;
        changes.until("it", RUNNING).await;
        first.abort();
        leases(&monitor, "it", 1).await;
        second.abort();
        changes.until("it", ServiceState::Stopped).await;
        assert!(!changes.states("it").contains(&READY));
        leases(&monitor, "it", 0).await;
        assert_eq!(starts.load(Ordering::Acquire), 1);
        end(&monitor).await;
    });
}

#[test]
fn it_is_stopped_when_it_was_idle_for_its_time_and_a_lease_keeps_it() {
    run(async {
        let (service, starts) = counted("it", "exec sleep 600");
        let time = Duration::from_millis(700);
        let monitor = with(service.idle_stop(time)).await;
        let mut changes = Changes::of(&monitor);
        let lease = in_time(monitor.lease("it")).await.unwrap();
        let other = in_time(monitor.lease("it")).await.unwrap();
        let pid = pid_of(lease.process());
        drop(lease);
        // While somebody has one it is not idle.
        actix_rt::time::sleep(time * 2).await;
        assert_eq!(state(&monitor, "it").await, READY);
        drop(other);
        // Within its time it is kept.
        actix_rt::time::sleep(time / 4).await;
        let again = in_time(monitor.lease("it")).await.unwrap();
        assert_eq!(pid_of(again.process()), pid);
        actix_rt::time::sleep(time * 2).await;
        assert_eq!(state(&monitor, "it").await, READY);
        let begun = Instant::now();
        drop(again);
        changes.until("it", ServiceState::Stopped).await;
        assert!(begun.elapsed() >= time);
        assert!(is_gone(pid));
        assert_eq!(starts.load(Ordering::Acquire), 1);
        let anew = in_time(monitor.lease("it")).await.unwrap();
        assert_ne!(pid_of(anew.process()), pid);
        drop(anew);
        end(&monitor).await;
    });
}

#[test]
fn a_lease_of_a_service_that_restarts_says_so() {
    run(async {
        let service = Service::new("it", |start: &Start| {
            let port = start.free_port()?;
            Ok(sh(&format!("echo {port} up; read x; exit 3")))
        });
        let restart = Restart::on_failure().backoff(Backoff::none());
        let service = service
            .ready(Ready::line("up"))
            .restart(restart)
            .on_demand();
        let monitor = with(service).await;
        let mut lease = in_time(monitor.lease("it")).await.unwrap();
        let (pid, start) = (pid_of(lease.process()), lease.start().clone());
        assert!(lease.is_current());
        monitor.write("it", "end\n").await.unwrap();
        in_time(lease.changed()).await.unwrap();
        assert!(lease.is_current());
        assert_ne!(pid_of(lease.process()), pid);
        assert!(lease.start().generation > start.generation);
        assert_ne!(lease.start().port().unwrap(), start.port().unwrap());
        assert_eq!(lease.start().attempt, 2);
        // The lease holds the new one as it held the old one.
        assert_eq!(monitor.status("it").await.unwrap().leases, 1);
        // A restart by hand is one as well.
        let (restarted, changed) =
            in_time(async { futures::join!(monitor.restart("it"), lease.changed()) }).await;
        restarted.unwrap();
        changed.unwrap();
        drop(lease);
        end(&monitor).await;
    });
}

#[test]
fn a_restart_by_hand_of_a_leased_service_does_not_keep_it_running_without_a_lease() {
    run(async {
        let (service, starts) = counted("it", "exec sleep 600");
        let monitor = with(service.idle_stop(Duration::ZERO)).await;
        let mut changes = Changes::of(&monitor);
        let lease = in_time(monitor.lease("it")).await.unwrap();
        in_time(monitor.restart("it")).await.unwrap();
        assert_eq!(state(&monitor, "it").await, READY);
        drop(lease);
        changes.until("it", ServiceState::Stopped).await;
        assert_eq!(starts.load(Ordering::Acquire), 2);
        end(&monitor).await;
    });
}

#[test]
fn a_stop_or_a_removal_ends_what_is_leased() {
    run(async {
        let (service, starts) = counted("it", "exec sleep 600");
        let monitor = with(service).await;
        let mut lease = in_time(monitor.lease("it")).await.unwrap();
        let pid = pid_of(lease.process());
        in_time(monitor.stop("it")).await.unwrap();
        assert!(is_gone(pid) && !lease.is_current());
        let changed = in_time(lease.changed()).await;
        let stopped = matches!(
            changed,
            Err(MonitorError::State {
                state: ServiceState::Stopped,
                ..
            })
        );
        assert!(stopped, "{changed:?}");
        // No lease from before starts it; a new one does, and both see it.
        assert_eq!(state(&monitor, "it").await, ServiceState::Stopped);
        assert_eq!(starts.load(Ordering::Acquire), 1);
        let mut other = in_time(monitor.lease("it")).await.unwrap();
        in_time(lease.changed()).await.unwrap();
        assert_eq!(pid_of(lease.process()), pid_of(other.process()));
        let pid = pid_of(lease.process());
        in_time(monitor.remove("it")).await.unwrap();
        assert!(is_gone(pid));
        for lease in [&mut lease, &mut other] {
            let changed = in_time(lease.changed()).await;
            assert!(changed.is_err(), "{changed:?}");
        }
        let missing = in_time(monitor.lease("it")).await;
        assert!(matches!(missing, Err(MonitorError::NotFound { .. })));
        drop((lease, other));
        end(&monitor).await;
    });
}

#[test]
fn waiters_of_a_lease_hear_of_a_stop() {
    run(async {
        let (service, _) = counted("it", "exec sleep 600");
        let monitor = with(service.ready(Ready::line("never"))).await;
        let asking = asks(&monitor, "it").await;
        in_time(monitor.stop("it")).await.unwrap();
        let answer = in_time(asking).await.unwrap();
        let overtaken = matches!(answer, Err(MonitorError::Overtaken { by: "stop", .. }));
        assert!(overtaken, "{answer:?}");
        leases(&monitor, "it", 0).await;
        end(&monitor).await;
    });
}

#[test]
fn a_lease_by_message() {
    run(async {
        let (service, starts) = counted("it", "exec sleep 600");
        let monitor = with(service.idle_stop(Duration::ZERO)).await;
        let mut changes = Changes::of(&monitor);
        let name = "it".into();
        let lease = in_time(monitor.addr().send(messages::Lease { name })).await;
        let lease = lease.unwrap().unwrap();
        assert_eq!(starts.load(Ordering::Acquire), 1);
        assert!(lease.is_current());
        drop(lease);
        changes.until("it", ServiceState::Stopped).await;
        let name = "nobody".into();
        let missing = in_time(monitor.addr().send(messages::Lease { name })).await;
        assert!(matches!(
            missing.unwrap(),
            Err(MonitorError::NotFound { .. })
        ));
        end(&monitor).await;
    });
}

#[test]
fn a_lease_keeps_the_monitor_when_the_last_handle_is_dropped() {
    run(async {
        let (service, _) = counted("it", "exec sleep 600");
        let monitor = Monitor::new()
            .service(service)
            .guard(false)
            .start()
            .unwrap();
        let other = Service::new("other", sh("exec sleep 600"));
        in_time(monitor.add(other)).await.unwrap();
        let lease = in_time(monitor.lease("it")).await.unwrap();
        let other = monitor.status("other").await.unwrap().pid.unwrap();
        let closed = monitor.closed();
        drop(monitor);
        // What would be told in a moment is told before this is.
        let pid = pid_of(lease.process());
        actix_rt::time::sleep(Duration::from_millis(200)).await;
        assert!(lease.is_current() && !is_gone(pid) && !is_gone(other));
        drop(lease);
        in_time(closed).await;
        for pid in [pid, other] {
            eventually("its end", || is_gone(pid).then_some(()), || pid.to_string()).await;
        }
    });
}

#[test]
fn who_comes_after_one_on_demand_has_it_for_as_long_as_it_is_wanted() {
    run(async {
        let (service, starts) = counted("it", "exec sleep 600");
        let time = Duration::from_millis(500);
        let monitor = with(service.idle_stop(time)).await;
        let mut changes = Changes::of(&monitor);
        let after = Service::new("after", sh("exec sleep 600")).after("it", When::Ready);
        in_time(monitor.add(after)).await.unwrap();
        assert_eq!(state(&monitor, "it").await, READY);
        actix_rt::time::sleep(time * 2).await;
        assert_eq!(state(&monitor, "it").await, READY);
        let begun = Instant::now();
        in_time(monitor.stop("after")).await.unwrap();
        changes.until("it", ServiceState::Stopped).await;
        // It was not idle before.
        assert!(begun.elapsed() >= time, "{:?}", begun.elapsed());
        in_time(monitor.start("after")).await.unwrap();
        assert_eq!(state(&monitor, "it").await, READY);
        assert_eq!(starts.load(Ordering::Acquire), 2);
        end(&monitor).await;
    });
}

#[test]
fn a_lease_of_a_service_that_is_removed_in_between_finds_no_service() {
    run(async {
        let service = Service::new("it", Command::new("sleep").arg("600"));
        let monitor = Monitor::new().guard(false).service(service);
        let monitor = monitor.start().unwrap();
        in_time(monitor.ready("it")).await.unwrap();
        let mut lease = Box::pin(monitor.lease("it"));
        assert!(futures::poll!(lease.as_mut()).is_pending());
        in_time(monitor.remove("it")).await.unwrap();
        let error = in_time(lease).await.unwrap_err();
        assert!(matches!(error, MonitorError::NotFound { .. }), "{error:?}");
        monitor.shutdown(Duration::from_secs(20)).await;
    });
}
