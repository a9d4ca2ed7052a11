//! Somebody who got the number of a service's group is never signalled: a real reuse, in a pid namespace, whose next
//! number can be chosen.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command as StdCommand, Stdio};
use std::time::Duration;

use actix_process::monitor::{Backoff, Monitor, MonitorHandle, Restart, Service, ServiceState};
use actix_process::{Command, Signal};

use crate::common::isolated::{MARK, is_isolated, this_test};
use crate::common::limits::is_root;
use crate::common::{in_time, run};

const LONG: Duration = Duration::from_secs(600);

/// Runs the calling test alone, as the first process of a pid namespace. Not if this process may make none.
fn in_a_pid_namespace(body: impl FnOnce()) {
    if is_isolated() {
        return body();
    }
    if !is_root() {
        return;
    }
    let output = StdCommand::new("unshare")
        .args(["--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(std::env::current_exe().unwrap())
        .args([&this_test(), "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{complaint}");
    assert!(told.contains("1 passed"), "{told}\n{complaint}");
}

/// Somebody with this number, who leads a group.
fn with_number(number: i32) -> Child {
    for _ in 0..500 {
        std::fs::write("/proc/sys/kernel/ns_last_pid", (number - 1).to_string()).unwrap();
        let mut child = StdCommand::new("sleep")
            .arg("600")
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        if child.id() == number.unsigned_abs() {
            return child;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    panic!("the number {number} was not to be had");
}

/// Kills a service that runs; gives the pid that it had, when the service is in this state.
async fn killed(monitor: &MonitorHandle, id: &str, state: ServiceState) -> i32 {
    monitor.ready(id).await.unwrap();
    let pid = monitor.status(id).await.unwrap().pid.unwrap();
    monitor.signal(id, Signal::KILL).await.unwrap();
    in_time(async {
        while monitor.status(id).await.unwrap().state != state {
            actix_rt::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    pid
}

fn sleep(id: &str) -> Service {
    let late = Backoff::new().first(LONG).cap(LONG);
    let command = Command::new("sleep").arg("600");
    Service::new(id, command).restart(Restart::always().backoff(late))
}

#[test]
fn a_reused_group_is_not_signalled_by_a_stop_a_shutdown_or_a_kill_of_all() {
    in_a_pid_namespace(|| {
        run(async {
            let services = ["stop", "restart", "shutdown", "drop"].map(sleep);
            let monitor = Monitor::new().services(services).start().unwrap();
            let other = Monitor::new().service(sleep("drop")).start().unwrap();
            let mut pids = Vec::new();
            for id in ["stop", "restart", "shutdown"] {
                pids.push(killed(&monitor, id, ServiceState::Backoff).await);
            }
            pids.push(killed(&other, "drop", ServiceState::Backoff).await);
            let bystanders: Vec<_> = pids.into_iter().map(with_number).collect();

            in_time(monitor.stop("stop")).await.unwrap();
            in_time(monitor.restart("restart")).await.unwrap();
            assert!(monitor.signal("shutdown", Signal::KILL).await.is_err());
            let report = in_time(monitor.shutdown(LONG)).await;
            assert_eq!(report.clean.len(), 2, "{report:?}");
            let closed = other.closed();
            drop(other);
            in_time(closed).await;
            for mut bystander in bystanders {
                assert_eq!(bystander.try_wait().unwrap(), None, "it was killed");
                bystander.kill().unwrap();
                bystander.wait().unwrap();
            }
        });
    });
}
