//! SIGTERM and SIGINT to the host, which begin a shutdown if that is asked for.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use actix::System;
use actix_process::Ladder;
use actix_process::monitor::{Monitor, Ready, Service, ServiceLine};
use nix::sys::signal::Signal;

use crate::common::helper::helper;
use crate::common::hosts::{Host, role, tell};

const LONG: Duration = Duration::from_secs(600);

/// No test but the host of those below.
#[test]
fn host() {
    let Some(role) = role() else { return };
    if role == "blocked" {
        return blocked();
    }
    System::new().block_on(async {
        let actions: &[&str] = match role.as_str() {
            "stubborn" => &["ignore", "15", "say", "ready", "pause"],
            _ => &["say", "ready", "pause"],
        };
        let service = Service::new("web", helper(actions.iter().copied()))
            .ready(Ready::line("ready"))
            .stop(Ladder::new().term(LONG).kill());
        let monitor = Monitor::new().shutdown_within(LONG).service(service);
        let monitor = monitor.start().unwrap();
        monitor.ready("web").await.unwrap();
        if role != "not asked for" {
            monitor.closing_on_signals().await.unwrap();
            monitor.closing_on_signals().await.unwrap();
        }
        tell("ready");
        monitor.closing().await;
        tell("closing");
        let report = monitor.closed().await;
        tell(format_args!("{:?} {:?}", report.clean, report.killed));
    });
}

/// No test but the host of one below, whose closure blocks the monitor's arbiter for ever.
fn blocked() {
    System::new().block_on(async {
        let family = helper([
            "leave", "1", "pause", "say", "ready", "take", "0", "1", "say", "block", "pause",
        ]);
        let block = |line: &ServiceLine<'_>| {
            if line.bytes == b"block" {
                tell("blocked");
                loop {
                    std::thread::park();
                }
            }
        };
        let service = Service::new("web", family).ready(Ready::line("ready"));
        let monitor = Monitor::new()
            .guard(false)
            .shutdown_within(LONG)
            .service(service.on_line(block));
        let monitor = monitor.start().unwrap();
        monitor.ready("web").await.unwrap();
        monitor.closing_on_signals().await.unwrap();
        monitor.write("web", "x").await.unwrap();
        monitor.closed().await;
    });
}

#[test]
fn a_second_one_kills_at_once_while_a_closure_blocks_the_monitor() {
    let mut host = Host::start("blocked");
    assert_eq!(host.told(), "blocked");
    assert_eq!(host.services("").len(), 2);
    host.signal(Signal::SIGTERM);
    // Two of the same number may be merged.
    host.signal(Signal::SIGINT);
    host.none_left(|host| host.services(""));
}

#[test]
fn each_of_the_two_begins_a_shutdown() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut host = Host::start("asked for");
        assert_eq!(host.told(), "ready");
        host.signal(signal);
        assert_eq!(host.told(), "closing");
        assert_eq!(host.told(), r#"["web"] []"#);
        assert!(host.ended().success());
        host.none_left(|host| host.services(""));
    }
}

#[test]
fn a_second_one_kills_at_once() {
    let mut host = Host::start("stubborn");
    assert_eq!(host.told(), "ready");
    host.signal(Signal::SIGTERM);
    assert_eq!(host.told(), "closing");
    assert_eq!(host.services("").len(), 1);
    host.signal(Signal::SIGINT);
    assert_eq!(host.told(), r#"[] ["web"]"#);
    assert!(host.ended().success());
}

#[test]
fn nothing_is_installed_unless_it_is_asked_for() {
    let mut host = Host::start("not asked for");
    assert_eq!(host.told(), "ready");
    host.signal(Signal::SIGTERM);
    assert_eq!(host.ended().signal(), Some(Signal::SIGTERM as i32));
    host.none_left(|host| host.services(""));
}
