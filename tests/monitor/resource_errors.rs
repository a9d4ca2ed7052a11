//! A start that fails for want of descriptors or processes: it is told, tried again later, and nobody else is touched.

use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use actix_process::monitor::{
    Backoff, CgroupPlace, Event, EventKind, Monitor, Restart, Service, ServiceState, StartFailure,
};
use nix::libc;

use crate::common::census::open_fds;
use crate::common::isolated::{isolated, isolated_from, skipped};
use crate::common::limits::{is_root, set_soft_limit};
use crate::common::{copy_of_this_program, in_time, run};
use crate::watched::{READY, Watched, failure, ms, pausing};

fn patient(id: &str) -> Service {
    let backoff = Backoff::new().first(ms(20)).cap(ms(20));
    pausing(id).restart(Restart::on_failure().backoff(backoff))
}

/// Two services that run, and the monitor's threads.
async fn quiet(cgroups: CgroupPlace) -> Watched {
    let monitor = Monitor::new().guard(false).cgroups(cgroups);
    let watched = Watched::start_of(monitor, [patient("a"), patient("b")]).await;
    for id in ["a", "b"] {
        in_time(watched.ready(id)).await.unwrap();
    }
    watched
}

/// Adds a service while `errno` is what each spawn gets, until `mend` is called.
async fn goes_without(watched: &Watched, errno: i32, mend: impl FnOnce()) {
    let before = (watched.pid("a").await, watched.pid("b").await);
    let answer = in_time(watched.add(patient("c"))).await;
    let failed = failure(answer);
    let failed_with = match &failed {
        StartFailure::Spawn(error) => error.errno(),
        StartFailure::Setup { error, .. } => error.raw_os_error(),
        _ => None,
    };
    assert_eq!(failed_with, Some(errno), "{failed}");
    // It is tried again and again.
    watched.times("c", ServiceState::Backoff, 3).await;
    let told = |event: &Event| match &event.what {
        EventKind::State {
            to: ServiceState::Backoff,
            problem,
            exit,
            ..
        } => Some((problem.clone(), exit.clone())),
        _ => None,
    };
    let told: Vec<_> = watched.events().iter().filter_map(told).collect();
    for (problem, exit) in told {
        assert!(problem.is_some_and(|problem| !problem.is_empty()));
        assert_eq!(exit, None);
    }
    assert_eq!(watched.look("a").await.state, READY);
    assert_eq!((watched.pid("a").await, watched.pid("b").await), before);
    mend();
    in_time(watched.ready("c")).await.ok();
    watched.once("c", READY).await;
    assert_eq!((watched.pid("a").await, watched.pid("b").await), before);
    assert_eq!(watched.generations("a").len(), 1);
    watched.end().await;
}

async fn goes_without_descriptors(cgroups: CgroupPlace) {
    let watched = quiet(cgroups).await;
    let next = *open_fds().keys().max().unwrap() as u64 + 1;
    // What is free below the limit is taken.
    let fillers = std::iter::from_fn(|| {
        let file = std::fs::File::open("/dev/null").ok()?;
        ((file.as_raw_fd() as u64) < next).then_some(file)
    });
    let fillers: Vec<_> = fillers.collect();
    let (soft, _) = set_soft_limit(libc::RLIMIT_NOFILE, next);
    goes_without(&watched, libc::EMFILE, || {
        set_soft_limit(libc::RLIMIT_NOFILE, soft);
    })
    .await;
    drop(fillers);
}

#[test]
fn without_descriptors_that_start_fails_and_backs_off_and_others_run_on() {
    isolated(|| run(goes_without_descriptors(CgroupPlace::Nowhere)));
}

#[test]
fn without_descriptors_for_its_cgroup_as_well() {
    isolated(|| run(goes_without_descriptors(CgroupPlace::Found)));
}

#[test]
fn without_processes_that_start_fails_and_backs_off_and_others_run_on() {
    const NOBODY: u32 = 65534;
    // RLIMIT_NPROC does not bind root.
    if !is_root() && !crate::common::isolated::is_isolated() {
        return skipped("only root can become nobody");
    }
    let dir = tempfile::tempdir().unwrap();
    let copy = || {
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open.clone())?;
        let path = dir.path().join("test");
        copy_of_this_program(&path);
        std::fs::set_permissions(&path, open)?;
        Ok(path)
    };
    let change = |command: &mut std::process::Command| {
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
    };
    isolated_from(copy, change, || {
        run(async {
            let watched = quiet(CgroupPlace::Nowhere).await;
            let (soft, _) = set_soft_limit(libc::RLIMIT_NPROC, 1);
            goes_without(&watched, libc::EAGAIN, || {
                set_soft_limit(libc::RLIMIT_NPROC, soft);
            })
            .await;
        });
    });
}
