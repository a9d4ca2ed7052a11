//! What a monitor keeps of starts that are over: nothing.

use std::pin::{Pin, pin};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use actix::{Context, Handler, Message};

use super::GuardSlot;
use crate::Command;
use crate::monitor::{
    Backoff, Monitor, MonitorHandle, Ready, Restart, Service, ServiceState, Start, When,
};

const LONG: Duration = Duration::from_secs(60);

/// How many records there are: of the guard, of the kill of all, by process, of those who wait, and of specs.
#[derive(Message)]
#[rtype(result = "[usize; 5]")]
struct Records;

impl Handler<Records> for Monitor {
    type Result = actix::MessageResult<Records>;

    fn handle(&mut self, _: Records, _: &mut Context<Self>) -> Self::Result {
        let engine = self.engine.as_ref().unwrap();
        let guarded = match &engine.guard {
            GuardSlot::There(guard) => guard.listed(),
            _ => 0,
        };
        actix::MessageResult([
            guarded,
            engine.shared.kill_all.count(),
            engine.by_process.len(),
            engine.tickets.len() + engine.core.waiting(),
            engine.specs.len(),
        ])
    }
}

async fn records(monitor: &MonitorHandle) -> [usize; 5] {
    monitor.addr().send(Records).await.unwrap()
}

fn in_a_system(test: impl Future<Output = ()>) {
    crate::host::guard::tests::in_a_system(test);
}

#[test]
fn starts_that_are_over_are_in_no_list() {
    in_a_system(async {
        let quick = Backoff::new().first(Duration::ZERO);
        let sleep = Service::new("sleep", Command::new("sleep").arg("600"));
        let crash = Service::new("crash", Command::new("true"))
            .restart(Restart::always().backoff(quick).limit(20, LONG));
        let missing = Service::new("missing", Command::new("/no/such/program"));
        let monitor = Monitor::new().services([sleep, crash, missing]);
        let monitor = monitor.start().unwrap();
        monitor.ready("sleep").await.unwrap();
        for _ in 0..20 {
            monitor.restart("sleep").await.unwrap();
        }
        // Its pid is told no more before its run is over.
        while monitor.status("crash").await.unwrap().state != ServiceState::Failed {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(records(&monitor).await, [1, 1, 1, 0, 3]);
        monitor.stop("sleep").await.unwrap();
        assert_eq!(records(&monitor).await, [0, 0, 0, 0, 3]);
        monitor.shutdown(LONG).await;
    });
}

#[test]
fn waits_that_were_dropped_are_forgotten() {
    in_a_system(async {
        let never = Service::new("db", Command::new("sleep").arg("600"))
            .ready(Ready::line("never").within(LONG));
        let waits = Service::new("web", Command::new("sleep").arg("600")).after("db", When::Ready);
        let monitor = Monitor::new().services([never, waits]).start().unwrap();
        let kept = monitor.ready("web");
        let mut kept = pin!(kept);
        let mut leases = Vec::new();
        for n in 0..3000 {
            drop_after_poll(monitor.ready("web"));
            drop_after_poll(monitor.start("web"));
            drop_after_poll(monitor.lease("web"));
            if n % 1000 == 0 {
                let mut lease = Box::pin(monitor.lease("web"));
                assert!(poll_once(lease.as_mut()).is_pending());
                leases.push(lease);
            }
        }
        assert!(poll_once(kept.as_mut()).is_pending());
        let [.., waiting, _] = records(&monitor).await;
        assert!(waiting < 1000, "{waiting}");
        assert_eq!(monitor.status("web").await.unwrap().leases, leases.len());
        // Those that wait are answered.
        monitor.stop("web").await.unwrap();
        assert!(kept.await.is_err());
        for lease in leases {
            assert!(lease.await.is_err());
        }
        assert_eq!(records(&monitor).await[3], 0);
        monitor.shutdown(LONG).await;
    });
}

fn drop_after_poll(future: impl Future) {
    assert!(poll_once(pin!(future)).is_pending());
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut TaskContext::from_waker(Waker::noop()))
}

#[test]
fn the_spec_of_a_keyed_service_that_never_ran_goes_with_it() {
    in_a_system(async {
        let monitor = Monitor::new().start().unwrap();
        for _ in 0..3 {
            let keyed = Service::keyed("k", |_: &str, _: &Start| Ok(Command::new("true")));
            monitor.add(keyed).await.unwrap();
            assert_eq!(records(&monitor).await[4], 1);
            monitor.remove("k").await.unwrap();
            assert_eq!(records(&monitor).await[4], 0);
        }
        monitor.shutdown(LONG).await;
    });
}
