//! What a service says of itself by sd_notify, from real senders.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

use actix_process::Signal;
use actix_process::monitor::{
    Alive, Backoff, ExitKind, Followed, MonitorHandle, Ready, Restart, Service, ServiceState,
    Since, Status, When,
};
use actix_process::{Command, Ladder};
use futures::StreamExt;

use crate::changes::{Changes, READY, RUNNING, add, empty, end, exit_of, failed_exit, failure, sh};
use crate::common::isolated::skipped;
use crate::common::{DEADLINE, in_time, run};

const SENDER: &str = "import os,socket,sys\n\
    s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\n\
    a='\\0'+os.environ['NOTIFY_SOCKET'][1:]\n\
    print(os.environ['NOTIFY_SOCKET'],os.environ.get('WATCHDOG_USEC'),flush=True)\n\
    for l in sys.stdin: s.sendto(l.strip().replace('|','\\n').encode(),a)\n";

/// A service that sends each line of its input, where `|` is a newline.
fn sender() -> Service {
    let python = Command::new("/usr/bin/python3").args(["-c", SENDER]);
    Service::new("it", python).restart(Restart::never())
}

async fn says(monitor: &MonitorHandle, message: &str) {
    monitor.write("it", format!("{message}\n")).await.unwrap();
}

/// Whether there is such a program.
fn has_systemd_notify() -> bool {
    let has = Path::new("/usr/bin/systemd-notify").exists();
    if !has {
        skipped("there is no systemd-notify");
    }
    has
}

async fn until(monitor: &MonitorHandle, what: &str, holds: impl Fn(&Status) -> bool) -> Status {
    let begun = std::time::Instant::now();
    loop {
        let status = monitor.status("it").await.unwrap();
        if holds(&status) {
            return status;
        }
        assert!(begun.elapsed() < DEADLINE, "no {what}: {status:?}");
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The first line that it writes.
async fn first_line(monitor: &MonitorHandle) -> String {
    let mut lines = monitor.follow("it", Since::Start);
    loop {
        match in_time(lines.next()).await {
            Some(Followed::Line { bytes, .. }) => {
                return String::from_utf8_lossy(&bytes).into_owned();
            }
            Some(_) => {}
            None => panic!("no line"),
        }
    }
}

#[test]
fn systemd_notify_says_ready_and_its_status() {
    run(async {
        if !has_systemd_notify() {
            return;
        }
        let monitor = empty();
        let script = "systemd-notify --ready --status='serves 3 clients'; exec sleep 600";
        let service = Service::new("it", sh(script)).ready(Ready::notify());
        in_time(monitor.add(service)).await.unwrap();
        let shown = |status: &Status| status.status_text.as_deref() == Some("serves 3 clients");
        until(&monitor, "status", shown).await;
        end(&monitor).await;
    });
}

#[test]
fn python_says_each_word() {
    run(async {
        let monitor = empty();
        let mut changes = Changes::of(&monitor);
        let added = add(&monitor, sender().ready(Ready::notify()));
        changes.until("it", RUNNING).await;
        says(&monitor, "STATUS=loads").await;
        let loads = |status: &Status| status.status_text.as_deref() == Some("loads");
        let status = until(&monitor, "status", loads).await;
        assert_eq!(status.state, RUNNING);
        says(&monitor, "X_UNKNOWN=1|no line|STATUS=is up|READY=1").await;
        changes.until("it", READY).await;
        in_time(added).await.unwrap().unwrap();
        let is_up = |status: &Status| status.status_text.as_deref() == Some("is up");
        until(&monitor, "status", is_up).await;
        end(&monitor).await;
    });
}

#[test]
fn a_reload_takes_the_readiness_away_and_brings_it_back() {
    run(async {
        let monitor = empty();
        let mut changes = Changes::of(&monitor);
        let added = add(&monitor, sender().ready(Ready::notify()));
        changes.until("it", RUNNING).await;
        says(&monitor, "READY=1").await;
        in_time(added).await.unwrap().unwrap();
        let mut lease = in_time(monitor.lease("it")).await.unwrap();
        assert!(lease.is_current());
        changes.until("it", READY).await;
        says(&monitor, "RELOADING=1").await;
        changes.until("it", RUNNING).await;
        assert!(!lease.is_current());
        // Who comes after it waits, and so does who asks for a lease.
        let after = Service::new("after", sh("exec sleep 600")).after("it", When::Ready);
        let after = add(&monitor, after);
        changes.until("after", ServiceState::Waiting).await;
        let other = actix_rt::spawn({
            let monitor = monitor.clone();
            async move { monitor.lease("it").await }
        });
        until(&monitor, "second lease", |status| status.leases == 2).await;
        assert!(!other.is_finished());
        let state = monitor.status("after").await.unwrap().state;
        assert_eq!(state, ServiceState::Waiting);
        says(&monitor, "READY=1").await;
        changes.until("it", READY).await;
        in_time(after).await.unwrap().unwrap();
        let other = in_time(other).await.unwrap().unwrap();
        assert!(lease.is_current() && other.is_current());
        // It is the same process as before.
        assert_eq!(other.start().generation, lease.start().generation);
        let changed = futures::FutureExt::now_or_never(lease.changed());
        assert!(changed.is_none());
        drop((lease, other));
        end(&monitor).await;
    });
}

#[test]
fn a_reload_right_after_the_readiness_is_one() {
    run(async {
        let monitor = empty();
        let mut changes = Changes::of(&monitor);
        let added = add(&monitor, sender().ready(Ready::notify()));
        changes.until("it", RUNNING).await;
        // Both are in the socket before the monitor hears the first.
        says(&monitor, "READY=1\nRELOADING=1\nSTATUS=last").await;
        in_time(added).await.unwrap().unwrap();
        let last = |status: &Status| status.status_text.as_deref() == Some("last");
        until(&monitor, "last", last).await;
        changes.until("it", READY).await;
        changes.until("it", RUNNING).await;
        assert_eq!(monitor.status("it").await.unwrap().state, RUNNING);
        end(&monitor).await;
    });
}

#[test]
fn one_that_says_that_it_stops_is_not_ready() {
    run(async {
        let monitor = empty();
        let mut changes = Changes::of(&monitor);
        let added = add(&monitor, sender().ready(Ready::notify()));
        changes.until("it", RUNNING).await;
        says(&monitor, "STOPPING=1").await;
        let failure = failure(in_time(added).await.unwrap());
        assert_eq!(failed_exit(&failure).kind, ExitKind::Unready);
        assert!(failure.to_string().contains("stops"), "{failure}");
        // And one that was ready is so no more, until it ends by itself.
        let ready = actix_rt::spawn({
            let monitor = monitor.clone();
            async move { monitor.start("it").await }
        });
        changes.until("it", RUNNING).await;
        says(&monitor, "READY=1").await;
        changes.until("it", READY).await;
        in_time(ready).await.unwrap().unwrap();
        says(&monitor, "STOPPING=1").await;
        changes.until("it", RUNNING).await;
        end(&monitor).await;
    });
}

#[test]
fn a_service_gets_the_time_that_it_asks_for() {
    run(async {
        let monitor = empty();
        let mut changes = Changes::of(&monitor);
        let within = Duration::from_secs(3);
        let added = add(&monitor, sender().ready(Ready::notify().within(within)));
        changes.until("it", RUNNING).await;
        says(&monitor, "EXTEND_TIMEOUT_USEC=60000000|STATUS=wants more").await;
        let more = |status: &Status| status.status_text.as_deref() == Some("wants more");
        until(&monitor, "status", more).await;
        // Its time is over.
        actix_rt::time::sleep(within + Duration::from_millis(300)).await;
        assert_eq!(monitor.status("it").await.unwrap().state, RUNNING);
        says(&monitor, "READY=1").await;
        in_time(added).await.unwrap().unwrap();
        // A wish for less is none.
        in_time(monitor.stop("it")).await.unwrap();
        let again = actix_rt::spawn({
            let monitor = monitor.clone();
            async move { monitor.start("it").await }
        });
        changes.until("it", RUNNING).await;
        says(&monitor, "EXTEND_TIMEOUT_USEC=1").await;
        says(&monitor, "READY=1").await;
        in_time(again).await.unwrap().unwrap();
        end(&monitor).await;
    });
}

#[test]
fn strangers_are_not_heard_and_counted() {
    run(async {
        let monitor = empty();
        let mut changes = Changes::of(&monitor);
        let added = add(&monitor, sender().ready(Ready::notify()));
        changes.until("it", RUNNING).await;
        let line = first_line(&monitor).await;
        let name = line.split(' ').next().unwrap().strip_prefix('@').unwrap();
        let socket = UnixDatagram::unbound().unwrap();
        let address = SocketAddr::from_abstract_name(name).unwrap();
        socket
            .send_to_addr(b"READY=1\nSTATUS=mine", &address)
            .unwrap();
        let counted = |status: &Status| status.ignored_messages == 1;
        let status = until(&monitor, "stranger", counted).await;
        assert_eq!(status.state, RUNNING);
        assert_eq!(status.status_text, None);
        says(&monitor, "READY=1").await;
        in_time(added).await.unwrap().unwrap();
        assert_eq!(monitor.status("it").await.unwrap().ignored_messages, 1);
        end(&monitor).await;
    });
}

#[test]
fn a_watchdog_that_is_missed_aborts_and_starts_again() {
    run(async {
        let monitor = empty();
        let mut changes = Changes::of(&monitor);
        let alive = Alive::watchdog().every(Duration::from_millis(300));
        let restart = Restart::on_failure().backoff(Backoff::none());
        let service = Service::new("it", sh("ulimit -c 0; exec sleep 600"));
        let service = service.alive(alive).restart(restart);
        in_time(monitor.add(service)).await.unwrap();
        changes.until("it", ServiceState::Stopping).await;
        let exit = exit_of(&changes.until("it", ServiceState::Waiting).await);
        assert_eq!(exit.kind, ExitKind::Watchdog);
        assert_eq!(exit.status.unwrap().signal(), Some(Signal::ABRT));
        assert!(exit.ran >= Duration::from_millis(300), "{exit:?}");
        changes.until("it", READY).await;
        end(&monitor).await;
    });
}

#[test]
fn one_that_outlives_its_abort_gets_its_ladder() {
    run(async {
        let monitor = empty();
        let mut changes = Changes::of(&monitor);
        let script = "trap 'echo abort >&2' ABRT; trap 'echo term >&2' TERM; echo on >&2
            while :; do sleep 0.02; done";
        let alive = Alive::watchdog().every(Duration::from_millis(300));
        let ladder = Ladder::new().term(Duration::from_millis(500)).kill();
        let service = Service::new("it", sh(script)).alive(alive).stop(ladder);
        let service = service.ready(Ready::line("on"));
        in_time(monitor.add(service.restart(Restart::never())))
            .await
            .unwrap();
        let exit = exit_of(&changes.until("it", ServiceState::Failed).await);
        assert_eq!(exit.kind, ExitKind::Watchdog);
        assert_eq!(exit.status.unwrap().signal(), Some(Signal::KILL));
        // The shell may tell of its own child as well.
        let said = String::from_utf8_lossy(&exit.tail).into_owned();
        let said = said.lines().filter(|line| !line.ends_with("ed"));
        assert_eq!(said.collect::<Vec<_>>(), ["on", "abort", "term"]);
        end(&monitor).await;
    });
}

#[test]
fn one_that_feeds_its_watchdog_lives_until_it_bites() {
    run(async {
        let monitor = empty();
        let mut changes = Changes::of(&monitor);
        let every = Duration::from_secs(2);
        let alive = Alive::watchdog().every(every);
        let added = add(&monitor, sender().ready(Ready::notify()).alive(alive));
        changes.until("it", RUNNING).await;
        says(&monitor, "READY=1").await;
        in_time(added).await.unwrap().unwrap();
        assert!(first_line(&monitor).await.ends_with(" 2000000"));
        for _ in 0..6 {
            says(&monitor, "WATCHDOG=1").await;
            actix_rt::time::sleep(every / 4).await;
        }
        assert_eq!(monitor.status("it").await.unwrap().state, READY);
        says(&monitor, "WATCHDOG=trigger").await;
        let exit = exit_of(&changes.until("it", ServiceState::Failed).await);
        assert_eq!(exit.kind, ExitKind::Watchdog);
        assert_eq!(exit.status.unwrap().signal(), Some(Signal::ABRT));
        end(&monitor).await;
    });
}

#[test]
fn a_reload_that_is_over_in_the_same_message_ends_ready() {
    run(async {
        let monitor = empty();
        let mut changes = Changes::of(&monitor);
        let added = add(&monitor, sender().ready(Ready::notify()));
        changes.until("it", RUNNING).await;
        says(&monitor, "RELOADING=1|READY=1|STATUS=once").await;
        in_time(added).await.unwrap().unwrap();
        says(&monitor, "RELOADING=1").await;
        changes.until("it", READY).await;
        changes.until("it", RUNNING).await;
        says(&monitor, "RELOADING=1|READY=1").await;
        changes.until("it", READY).await;
        says(&monitor, "RELOADING=1|READY=1|STATUS=twice").await;
        until(&monitor, "status", |status| {
            status.status_text.as_deref() == Some("twice")
        })
        .await;
        assert!(monitor.status("it").await.unwrap().is_ready());
        end(&monitor).await;
    });
}
