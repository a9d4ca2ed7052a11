//! A guard that cannot be started when its monitor starts: it is told, and tried again.

use std::process::Command as StdCommand;
use std::time::Duration;

use actix::System;
use actix_process::Command;
use actix_process::monitor::{
    CgroupPlace, EventKind, Events, Monitor, OnHostDeath, Ready, Reported, Service,
};
use futures::StreamExt;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::common::hanging_exec::HangingExec;
use crate::common::helper::helper;
use crate::common::hosts::{Host, role, tell};
use crate::common::isolated::skipped;
use crate::common::mounts::isolated_with_mounts;
use crate::common::{in_time, run};

/// The next event of the monitor itself that is about its guard.
async fn of_the_guard(events: &mut Events) -> EventKind {
    in_time(async {
        loop {
            if let Some(Reported::Event(event)) = events.next().await
                && let EventKind::GuardMissing { .. } | EventKind::GuardReplaced = event.what
            {
                return event.what;
            }
        }
    })
    .await
}

fn done(program: &str, args: &[&str]) -> bool {
    let status = StdCommand::new(program).args(args).status();
    status.is_ok_and(|status| status.success())
}

/// No test but the host of the one below. It has mounts of its own, where `/bin/sh` cannot be executed at first.
#[test]
fn host() {
    let Some(_) = role() else { return };
    if unshare(CloneFlags::CLONE_NEWNS).is_err()
        || !done("mount", &["--make-rprivate", "/"])
        || !done("mount", &["--bind", "/dev/null", "/bin/sh"])
    {
        return tell("no mounts");
    }
    // The threads that come from here on have these mounts.
    System::new().block_on(async {
        // The parent-death signal reaches the child, not its child.
        let family = helper(["leave", "1", "pause", "say", "ready", "pause"]);
        let service = Service::new("web", family)
            .on_host_death(OnHostDeath::Kill)
            .ready(Ready::line("ready"));
        let monitor = Monitor::new().cgroups(CgroupPlace::Nowhere);
        let monitor = monitor.service(service).start().unwrap();
        let mut events = monitor.events();
        let missing = of_the_guard(&mut events).await;
        assert!(
            matches!(&missing, EventKind::GuardMissing { problem, .. } if !problem.is_empty()),
            "{missing:?}"
        );
        in_time(monitor.ready("web")).await.unwrap();
        tell("ready");
        assert!(done("umount", &["/bin/sh"]));
        assert_eq!(of_the_guard(&mut events).await, EventKind::GuardReplaced);
        tell("guarded");
        std::future::pending::<()>().await;
    });
}

#[test]
fn a_guard_that_comes_late_kills_what_started_before_it() {
    let mut host = Host::start("late");
    let told = host.told();
    if told == "no mounts" {
        return skipped("no mounts can be made");
    }
    assert_eq!(told, "ready");
    assert_eq!(host.told(), "guarded");
    assert_eq!(host.services("").len(), 2);
    host.kill();
    host.none_left(|host| host.services(""));
}

#[test]
fn services_do_not_wait_for_a_guard_whose_shell_hangs() {
    isolated_with_mounts(|| {
        let hung = HangingExec::new();
        let program = hung.helper([]).get_program().to_owned();
        let shell = std::fs::canonicalize("/bin/sh").unwrap();
        mount(
            Some(&*program),
            &shell,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )
        .unwrap();
        run(async {
            let sleep = Service::new("sleep", Command::new("sleep").arg("600"));
            let monitor = Monitor::new().service(sleep).start().unwrap();
            let mut events = monitor.events();
            let missing = of_the_guard(&mut events).await;
            assert!(
                matches!(missing, EventKind::GuardMissing { .. }),
                "{missing:?}"
            );
            in_time(monitor.ready("sleep")).await.unwrap();
            let report = in_time(monitor.shutdown(Duration::from_secs(20))).await;
            assert_eq!(report.clean, ["sleep"]);
        });
    });
}
