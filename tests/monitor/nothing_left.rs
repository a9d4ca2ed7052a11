//! A monitor that has ended has left nothing in its host.

use std::time::Duration;

use actix_process::Command;
use actix_process::monitor::{Monitor, Ready, Service};

use crate::common::census::Census;
use crate::common::helper::helper;
use crate::common::isolated::isolated;
use crate::common::{amount, block_on_thread, cgroups, run, start_all_threads};

const LONG: Duration = Duration::from_secs(60);

/// A monitor from its start to its end.
async fn one() {
    let sleep = Service::new("sleep", Command::new("sleep").arg("600"));
    let family = helper(["leave", "1", "pause", "say", "ready", "pause"]);
    let family = Service::new("family", family).ready(Ready::line("ready"));
    let monitor = Monitor::new().service(sleep).service(family);
    let monitor = monitor.start().unwrap();
    monitor.ready("sleep").await.unwrap();
    monitor.ready("family").await.unwrap();
    monitor.restart("sleep").await.unwrap();
    let report = monitor.shutdown(LONG).await;
    assert_eq!(report.clean.len(), 2, "{report:?}");
}

/// One whose last handle is dropped.
async fn dropped() {
    let sleep = Service::new("sleep", Command::new("sleep").arg("600"));
    let monitor = Monitor::new().service(sleep).start().unwrap();
    monitor.ready("sleep").await.unwrap();
    let closed = monitor.closed();
    drop(monitor);
    let report = closed.await;
    assert_eq!(report.killed, ["sleep"], "{report:?}");
}

#[test]
fn fifty_monitors_leave_no_thread_descriptor_child_or_cgroup() {
    isolated(|| {
        run(async {
            one().await;
            dropped().await;
            let before = start_all_threads().await;
            for n in 0..amount(50, 12) {
                match n % 3 {
                    // On an arbiter of this System.
                    0 => one().await,
                    1 => dropped().await,
                    // In a System of its own.
                    _ => std::thread::spawn(|| block_on_thread(one()))
                        .join()
                        .unwrap(),
                }
            }
            before.assert_restored_but_spawners().await;
            let _ = Census::quiet().await;
            cgroups::none_left().await;
        });
    });
}
