//! Many services, and many starts: they cost little while they are quiet, and leave nothing behind.

use std::fs;
use std::future::Future;
use std::time::{Duration, Instant};

use actix_process::monitor::{
    Backoff, Monitor, MonitorHandle, Ready, Restart, Service, ServiceState, Status,
};
use actix_process::{Command, Ladder};
use futures::future::join_all;
use nix::libc;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::common::census::{Census, children, open_fds};
use crate::common::cgroups;
use crate::common::heap::{heap, isolated_for_heap};
use crate::common::helper::helper;
use crate::common::isolated::{isolated, skipped};
use crate::common::limits::set_soft_limit;
use crate::common::{amount, eventually, in_time, run, start_all_threads};

fn name(number: usize) -> String {
    format!("service-{number}")
}

fn sleeping(number: usize) -> Service {
    Service::new(name(number), Command::new("sleep").arg("600"))
}

/// A monitor of these services, when all are ready.
async fn started(services: Vec<Service>) -> MonitorHandle {
    let count = services.len();
    let monitor = Monitor::new().services(services).start().unwrap();
    let all = join_all((0..count).map(|number| monitor.ready(name(number))));
    for ready in in_time(all).await {
        ready.unwrap();
    }
    monitor
}

/// Whether this process may have the descriptors of so many services.
fn has_descriptors(services: usize) -> bool {
    // Three pipes, a pidfd, and two for a cgroup; more for those that are being started.
    let wanted = services as u64 * 8 + 300;
    let (_, hard) = set_soft_limit(libc::RLIMIT_NOFILE, wanted);
    if hard < wanted {
        skipped(&format!("{wanted} descriptors are wanted, {hard} allowed"));
    }
    hard >= wanted
}

/// The CPU time of all threads of this process so far.
fn cpu_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let time = usage.user_time() + usage.system_time();
    Duration::from_micros(time.num_microseconds() as u64)
}

#[test]
fn a_thousand_quiet_services_take_less_than_a_hundredth_of_a_core() {
    isolated(|| {
        run(async {
            let count = amount(1000, 200);
            if !has_descriptors(count) {
                return;
            }
            let monitor = started((0..count).map(sleeping).collect()).await;
            // A machine that is busy wakes what was late at the start.
            let looked = quietest_share(Duration::from_secs(2)).await;
            assert!(looked < 0.01, "{looked} of a core");
            let all = monitor.all().await.unwrap();
            assert_eq!(all.iter().filter(|status| status.is_ready()).count(), count);
            let report = monitor.shutdown(Duration::from_secs(60)).await;
            assert_eq!(report.clean.len(), count, "{report:?}");
        });
    });
}

/// The CPU time of this process over `time`, as a share of one core: the first that is small, or the third.
async fn quietest_share(time: Duration) -> f64 {
    let mut share = f64::INFINITY;
    for _ in 0..3 {
        let before = cpu_time();
        actix_rt::time::sleep(time).await;
        share = (cpu_time() - before).div_duration_f64(time);
        if share < 0.01 {
            break;
        }
    }
    share
}

/// How many pidfds this process has.
pub(crate) fn pidfds() -> usize {
    let listing = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let targets = listing.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets
        .filter(|target| target.to_string_lossy().contains("pidfd"))
        .count()
}

/// Nothing but the guard of the monitor is left: no child, no descriptor of one, no cgroup.
async fn quiet() -> Census {
    // The guard waits for its next line.
    let guard = || matches!(children()[..], [(_, 'S')]);
    // The janitor removes a cgroup before it closes the files of it.
    let of_cgroup = |target: &String| target.contains("/actix-process-");
    let no_cgroup = || cgroups::ours().is_empty() && !open_fds().values().any(of_cgroup);
    let is_quiet = || guard() && pidfds() <= 1 && no_cgroup();
    eventually(
        "only the guard to be left",
        || is_quiet().then(Census::take),
        || format!("{:#?}, {:?}", Census::take(), cgroups::ours()),
    )
    .await
}

/// Does `work` twice. The first time fewer things are done, so that what is made once is there. The second
/// time leaves nothing: no descriptor, child, thread or cgroup, and no memory for each.
async fn leaves_nothing<F: Future<Output = ()>>(count: usize, work: impl Fn(usize) -> F) {
    work(amount(300, 50)).await;
    let before = quiet().await;
    let heap_before = heap();
    work(count).await;
    quiet().await;
    before.assert_restored_but_spawners().await;
    let grown = heap().saturating_sub(heap_before);
    // Less than any record of each of a thousand. The last 1,024 events are kept: the first time there were not as many if
    // fewer things are done.
    let room = amount(16, 640) * 1024;
    assert!(grown < room, "{grown} bytes more than {heap_before}");
}

#[test]
fn restarts_leave_nothing() {
    isolated_for_heap(|| {
        run(async {
            start_all_threads().await;
            // They die at once, and are started again at once.
            let restart = Restart::always().backoff(Backoff::none());
            let names: Vec<String> = (0..8).map(name).collect();
            let mut monitor = Monitor::new();
            for name in &names {
                let service = Service::new(name.clone(), Command::new("true"));
                monitor = monitor.service(service.restart(restart.clone()).on_demand());
            }
            let monitor = monitor.start().unwrap();
            leaves_nothing(amount(10_000, 200), async |count| {
                let before = generation(&monitor).await;
                for name in &names {
                    // One that has died since is told as a failure.
                    let _ = monitor.start(name.as_str()).await;
                }
                let begun = Instant::now();
                while generation(&monitor).await < before + count as u64 {
                    assert!(begun.elapsed() < Duration::from_secs(100), "{begun:?}");
                    actix_rt::time::sleep(Duration::from_millis(5)).await;
                }
                for name in &names {
                    monitor.stop(name.as_str()).await.unwrap();
                }
                for status in monitor.all().await.unwrap() {
                    assert_eq!(status.state, ServiceState::Stopped);
                    assert_eq!(status.pid, None);
                    assert_eq!(status.descriptors, 0);
                }
            })
            .await;
            monitor.shutdown(Duration::from_secs(60)).await;
        });
    });
}

/// Of the last start.
async fn generation(monitor: &MonitorHandle) -> u64 {
    let all = monitor.all().await.unwrap();
    all.iter().map(|status| status.generation).max().unwrap()
}

#[test]
fn adds_and_removes_leave_nothing() {
    isolated_for_heap(|| {
        run(async {
            start_all_threads().await;
            let monitor = Monitor::new().start().unwrap();
            leaves_nothing(amount(1000, 50), async |count| {
                for number in 0..count {
                    monitor.add(sleeping(number)).await.unwrap();
                    monitor.remove(name(number)).await.unwrap();
                }
                assert_eq!(monitor.all().await.unwrap(), []);
            })
            .await;
            monitor.shutdown(Duration::from_secs(60)).await;
        });
    });
}

#[test]
fn a_status_tells_how_many_descriptors_a_service_takes() {
    // Without pidfds there is one fewer.
    if cfg!(actix_process_force_no_pidfd) {
        return;
    }
    isolated(|| {
        run(async {
            start_all_threads().await;
            let monitor = Monitor::new().start().unwrap();
            monitor.add(sleeping(0)).await.unwrap();
            let settled = || {
                // Neither a spawn nor an end is under way.
                (pidfds() == children().len()).then(|| open_fds().len())
            };
            let look = || eventually("spawns to be over", settled, || format!("{:?}", open_fds()));
            let before = look().await;
            monitor.add_all((1..=10).map(sleeping)).await.unwrap();
            let told = |status: &Status| status.descriptors;
            let told: usize = monitor.all().await.unwrap()[1..].iter().map(told).sum();
            let wanted = before + told;
            eventually(
                "so many descriptors",
                || (open_fds().len() == wanted).then_some(()),
                || format!("{}, wanted {wanted}", open_fds().len()),
            )
            .await;
            monitor.shutdown(Duration::from_secs(60)).await;
        });
    });
}

#[test]
fn many_that_ignore_sigterm_are_stopped_as_fast_as_one() {
    isolated(|| {
        run(async {
            let count = amount(500, 50);
            if !has_descriptors(count) {
                return;
            }
            let ladder = Duration::from_secs(1);
            let mut took = Duration::MAX;
            // A machine that is busy may be late.
            for _ in 0..3 {
                took = stop_of_deaf(count, ladder).await;
                assert!(took >= ladder, "{took:?}");
                if took < ladder + Duration::from_secs(2) {
                    return;
                }
            }
            panic!("{took:?}");
        });
    });
}

/// How long the shutdown takes of so many services that ignore SIGTERM.
async fn stop_of_deaf(count: usize, ladder: Duration) -> Duration {
    let term = libc::SIGTERM.to_string();
    let deaf = helper(["ignore", &term, "say", "deaf", "pause"]);
    let services = (0..count).map(|number| {
        let service = Service::new(name(number), deaf.clone());
        let service = service.ready(Ready::line("deaf"));
        service.stop(Ladder::new().term(ladder).kill())
    });
    let monitor = started(services.collect()).await;
    let begun = Instant::now();
    let report = monitor.shutdown(Duration::from_secs(60)).await;
    let took = begun.elapsed();
    assert_eq!(report.killed.len(), count, "{report:?}");
    took
}
