//! A service that this host may not kill: the monitor says so, ends without it, and signals it no more.

use std::time::{Duration, Instant};

use actix_process::Command;
use actix_process::monitor::{CgroupPlace, Monitor, MonitorError, OnHostDeath, Service};
use futures::StreamExt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::capabilities::may_kill_others;
use crate::common::census::is_gone;
use crate::common::isolated::isolated;
use crate::common::report::may_change_ids;
use crate::common::{eventually, in_time, run};

const NOBODY: u32 = 65534;

#[test]
fn a_shutdown_ends_without_what_cannot_be_killed_and_reports_that() {
    if !may_change_ids() {
        return;
    }
    isolated(|| {
        may_kill_others(false);
        run(async {
            let other = Command::new("sleep").arg("600").uid(NOBODY);
            let other = Service::new("other", other).on_host_death(OnHostDeath::Leave);
            let good = Service::new("good", Command::new("sleep").arg("600"));
            let monitor = Monitor::new()
                .cgroups(CgroupPlace::Nowhere)
                .services([other, good]);
            let monitor = monitor.start().unwrap();
            monitor.ready("other").await.unwrap();
            monitor.ready("good").await.unwrap();
            let pid = monitor.status("other").await.unwrap().pid.unwrap();
            let begun = Instant::now();
            let report = in_time(monitor.shutdown(Duration::from_millis(100))).await;
            assert_eq!(report.unkillable, ["other"], "{report:?}");
            assert_eq!(report.clean, ["good"], "{report:?}");
            assert_eq!(report.killed, [] as [&str; 0], "{report:?}");
            // The time of the kill, and a second for the answer.
            let most = Duration::from_secs(10);
            assert!(
                report.took <= begun.elapsed() && report.took < most,
                "{report:?}"
            );
            let result = monitor.stop("other").await;
            assert!(matches!(result, Err(MonitorError::Ended)), "{result:?}");

            may_kill_others(true);
            drop(monitor);
            // Nobody signals it any more, and the crate reaps it when it dies.
            assert!(!is_gone(pid));
            kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
            let gone = || is_gone(pid).then_some(());
            eventually("its end", gone, || pid.to_string()).await;
        });
    });
}

#[test]
fn a_member_of_the_group_that_cannot_be_killed_keeps_its_service_stopping() {
    // Without pidfds a group is not found again after the child was reaped.
    if cfg!(actix_process_force_no_pidfd) {
        return;
    }
    if !may_change_ids() {
        return;
    }
    isolated(|| {
        run(async {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("pid");
            // Of another user, in the group of a child of ours.
            let script = format!(
                "setpriv --reuid {NOBODY} --clear-groups sleep 600 <&- >&- 2>&- & echo $! >{}; exec sleep 600",
                file.display()
            );
            let a = Service::new("a", Command::new("sh").args(["-c", &script]))
                .on_host_death(OnHostDeath::Leave)
                .stop(
                    actix_process::Ladder::new()
                        .term(Duration::from_millis(50))
                        .kill(),
                );
            let monitor = Monitor::new().cgroups(CgroupPlace::Nowhere).guard(false);
            may_kill_others(false);
            let monitor = monitor.service(a).start().unwrap();
            monitor.ready("a").await.unwrap();
            let read = || std::fs::read_to_string(&file).ok();
            let other = eventually(
                "its pid",
                || read()?.trim().parse::<i32>().ok(),
                || format!("{:?}", read()),
            )
            .await;
            let owner = || std::fs::metadata(format!("/proc/{other}")).ok();
            let is_nobody = || {
                use std::os::unix::fs::MetadataExt;
                owner().filter(|owner| owner.uid() == NOBODY).map(drop)
            };
            eventually("another user", is_nobody, || format!("{:?}", owner())).await;
            let stopped = in_time(monitor.stop("a")).await;
            assert!(
                matches!(stopped, Err(MonitorError::Unkillable { .. })),
                "{stopped:?}"
            );
            let state = monitor.status("a").await.unwrap().state;
            assert_eq!(state, actix_process::monitor::ServiceState::Stopping);
            assert!(!is_gone(other));
            // It goes after all.
            std::thread::spawn(move || {
                may_kill_others(true);
                kill(Pid::from_raw(other), Signal::SIGKILL).unwrap();
            })
            .join()
            .unwrap();
            let mut events = monitor.events();
            let mut state = monitor.status("a").await.unwrap().state;
            while state != actix_process::monitor::ServiceState::Stopped {
                let told = in_time(events.next()).await;
                assert!(told.is_some(), "{state}");
                state = monitor.status("a").await.unwrap().state;
            }
            assert!(is_gone(other));
            in_time(monitor.shutdown(Duration::from_secs(5))).await;
        });
    });
}
