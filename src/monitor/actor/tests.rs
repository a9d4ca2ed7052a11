//! What a monitor keeps of starts that are over: nothing.

use std::time::Duration;

use actix::{Context, Handler, Message};

use super::GuardSlot;
use crate::Command;
use crate::monitor::{Backoff, Monitor, MonitorHandle, Restart, Service};

const LONG: Duration = Duration::from_secs(60);

/// How many records there are: of the guard, of the kill of all, by process, and of those who wait.
#[derive(Message)]
#[rtype(result = "[usize; 4]")]
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
            engine.tickets.len(),
        ])
    }
}

async fn records(monitor: &MonitorHandle) -> [usize; 4] {
    monitor.addr().send(Records).await.unwrap()
}

fn in_a_system(test: impl Future<Output = ()>) {
    crate::monitor::guard::tests::in_a_system(test);
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
        while monitor.status("crash").await.unwrap().restarts < 20
            || monitor.status("crash").await.unwrap().pid.is_some()
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(records(&monitor).await, [1, 1, 1, 0]);
        monitor.stop("sleep").await.unwrap();
        assert_eq!(records(&monitor).await, [0, 0, 0, 0]);
        monitor.shutdown(LONG).await;
    });
}
