//! Why a run ended, in events, status and errors.

use std::time::Duration;

use actix_process::monitor::{
    Exit, ExitKind, Monitor, MonitorContainment, MonitorError, Ready, Restart, Service,
    ServiceState,
};
use actix_process::{Ladder, Signal};

use crate::changes::{Changes, READY, add, empty, end, exit_of, failed_exit, failure, pid, sh};
use crate::common::isolated::skipped;
use crate::common::{in_time, run};

/// How a service ended that is ready for a moment, and not started again: as its event and its status tell.
async fn ends(script: &str, restart: Restart) -> (Exit, ServiceState) {
    let monitor = empty();
    let mut changes = Changes::of(&monitor);
    let service = Service::new("it", sh(script)).restart(restart);
    let service = service.ready(Ready::line("ready"));
    in_time(monitor.add(service)).await.unwrap();
    changes.until("it", READY).await;
    monitor.write("it", "end\n").await.unwrap();
    changes.until("it", ServiceState::Stopping).await;
    let ended = loop {
        let status = monitor.status("it").await.unwrap();
        if !matches!(status.state, ServiceState::Stopping | READY) {
            break status;
        }
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    };
    let event = changes.until("it", ended.state).await;
    let exit = exit_of(&event);
    assert_eq!(ended.last_exit.unwrap(), exit);
    end(&monitor).await;
    (exit, ended.state)
}

#[test]
fn each_end_by_itself_has_its_kind() {
    run(async {
        let never = Restart::never;
        let (exit, state) = ends("echo ready; read x; exit 0", never()).await;
        assert_eq!((exit.kind, state), (ExitKind::Ok, ServiceState::Exited));
        let (exit, state) = ends("echo ready; read x; exit 3", never()).await;
        assert_eq!((exit.kind, state), (ExitKind::Code, ServiceState::Failed));
        assert_eq!(exit.status.unwrap().code(), Some(3));
        // Another one for whom that is success.
        let (exit, state) = ends("echo ready; read x; exit 3", never().success_codes([3])).await;
        assert_eq!((exit.kind, state), (ExitKind::Ok, ServiceState::Exited));
        // Without a cgroup that says otherwise, a SIGKILL of anybody's is a signal.
        let (exit, state) = ends("echo ready; read x; kill -9 $$", never()).await;
        assert_eq!((exit.kind, state), (ExitKind::Signal, ServiceState::Failed));
        assert_eq!(exit.status.unwrap().signal(), Some(Signal::KILL));
    });
}

#[test]
fn how_long_it_ran_is_from_its_spawn_on() {
    run(async {
        let (exit, _) = ends("sleep 0.6; echo ready; read x; exit 1", Restart::never()).await;
        assert!(exit.ran >= Duration::from_millis(300), "{exit:?}");
        assert!(exit.ran < Duration::from_secs(30), "{exit:?}");
    });
}

#[test]
fn a_stop_is_told_from_an_escalation() {
    run(async {
        let monitor = empty();
        let ladder = || Ladder::new().term(Duration::from_millis(300)).kill();
        let polite = Service::new("polite", sh("echo bye >&2; exec sleep 600"));
        let deaf = "trap '' TERM; echo on; while :; do sleep 0.05; done";
        let deaf = Service::new("deaf", sh(deaf)).ready(Ready::line("on"));
        let both = [polite.ready(Ready::line("bye")), deaf].map(|one| one.stop(ladder()));
        in_time(monitor.add_all(both)).await.unwrap();
        let expected = [("polite", ExitKind::Stopped), ("deaf", ExitKind::Escalated)];
        for (id, kind) in expected {
            in_time(monitor.stop(id)).await.unwrap();
            let status = monitor.status(id).await.unwrap();
            assert_eq!(status.state, ServiceState::Stopped);
            assert_eq!(status.last_exit.unwrap().kind, kind, "{id}");
        }
        end(&monitor).await;
    });
}

#[test]
fn a_kill_by_somebody_else_during_a_stop_is_still_a_stop() {
    run(async {
        let monitor = empty();
        let mut changes = Changes::of(&monitor);
        let deaf = "trap '' TERM; echo on; while :; do sleep 0.05; done";
        let service = Service::new("it", sh(deaf)).ready(Ready::line("on"));
        in_time(monitor.add(service)).await.unwrap();
        let pid = pid(&monitor, "it").await;
        let stop = actix_rt::spawn({
            let monitor = monitor.clone();
            async move { monitor.stop("it").await }
        });
        changes.until("it", ServiceState::Stopping).await;
        let pid = nix::unistd::Pid::from_raw(pid);
        nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL).unwrap();
        in_time(stop).await.unwrap().unwrap();
        let exit = monitor.status("it").await.unwrap().last_exit.unwrap();
        assert_eq!(exit.kind, ExitKind::Stopped);
        end(&monitor).await;
    });
}

#[test]
fn the_last_4_kib_of_its_standard_error_are_told() {
    run(async {
        let monitor = empty();
        let mut changes = Changes::of(&monitor);
        let script = "echo of no interest; seq 3000 >&2; printf end >&2; exit 9";
        let service = Service::new("it", sh(script)).ready(Ready::notify());
        let failure = failure(in_time(monitor.add(service.restart(Restart::never()))).await);
        let mut all: String = (1..=3000).map(|n| format!("{n}\n")).collect();
        all.push_str("end");
        let tail = &all.as_bytes()[all.len() - 4096..];
        let event = changes.until("it", ServiceState::Failed).await;
        assert_eq!(&exit_of(&event).tail[..], tail);
        let status = monitor.status("it").await.unwrap();
        assert_eq!(&status.last_exit.as_ref().unwrap().tail[..], tail);
        assert_eq!(&failed_exit(&failure).tail[..], tail);
        // The words end with the last line; `Debug` shows nothing of it.
        assert!(failure.to_string().ends_with(": end"), "{failure}");
        for debug in [
            format!("{status:?}"),
            format!("{event:?}"),
            format!("{:?}", failed_exit(&failure)),
        ] {
            assert!(debug.contains("4096 bytes"), "{debug}");
            assert!(!debug.contains("2999"), "{debug}");
        }
        end(&monitor).await;
    });
}

#[test]
fn what_is_wrong_with_its_start_is_told() {
    run(async {
        let monitor = empty();
        let missing = actix_process::Command::new("/no/such/program");
        let result = in_time(monitor.add(Service::new("it", missing))).await;
        let failure = failure(result);
        assert!(
            failure.to_string().contains("/no/such/program"),
            "{failure}"
        );
        let status = monitor.status("it").await.unwrap();
        assert_eq!(status.state, ServiceState::Failed);
        // There was no run, so there is no end of one.
        assert!(status.last_exit.is_none());
        let ready = in_time(monitor.ready("it")).await;
        assert!(matches!(ready, Err(MonitorError::StartFailed { .. })));
        end(&monitor).await;
    });
}

#[test]
fn what_the_kernel_kills_for_its_memory_is_out_of_memory() {
    run(async {
        let monitor = Monitor::new().guard(false).start().unwrap();
        let has_memory = match monitor.containment() {
            MonitorContainment::Cgroup { controllers } => {
                controllers.iter().any(|controller| controller == "memory")
            }
            _ => false,
        };
        if !has_memory {
            end(&monitor).await;
            return skipped("no cgroup with the controller `memory` can be made here");
        }
        let mut changes = Changes::of(&monitor);
        let hungry =
            "/usr/bin/python3 -c 'x = [bytes(1 << 20) + b\"x\" * (1 << 20) for _ in range(500)]'";
        let service = Service::new("it", sh(&format!("echo ready; exec {hungry}")));
        let service = service.ready(Ready::line("ready")).memory_max(64 << 20);
        let _added = add(&monitor, service.restart(Restart::never()));
        let exit = exit_of(&changes.until("it", ServiceState::Failed).await);
        assert_eq!(exit.kind, ExitKind::OutOfMemory);
        end(&monitor).await;
    });
}
