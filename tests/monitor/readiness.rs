//! A service is ready when it says so, or a look at it says so, and never because time is up.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix_process::Command;
use actix_process::monitor::{
    ExitKind, Followed, MonitorError, MonitorHandle, Ready, Restart, Service, ServiceState, Since,
    Start, StartFailure,
};
use futures::StreamExt;

use crate::changes::{Changes, READY, RUNNING, add, empty, end, exit_of, failed_exit, failure, sh};
use crate::common::census::is_gone;
use crate::common::{eventually, in_time, run};

/// It becomes ready only after `open`, and by way of all three states.
async fn becomes_ready(service: Service, open: impl AsyncFnOnce(&MonitorHandle)) {
    let monitor = empty();
    let mut changes = Changes::of(&monitor);
    let added = add(&monitor, service.restart(Restart::never()));
    changes.until("it", RUNNING).await;
    let before = monitor.status("it").await.unwrap();
    assert_eq!(before.state, RUNNING, "ready before it was");
    open(&monitor).await;
    changes.until("it", READY).await;
    in_time(added).await.unwrap().unwrap();
    let starting = ServiceState::Starting;
    assert!(
        changes.states("it").ends_with(&[starting, RUNNING, READY]),
        "{:?}",
        changes.states("it")
    );
    assert!(monitor.status("it").await.unwrap().is_ready());
    end(&monitor).await;
}

async fn says_go(monitor: &MonitorHandle) {
    monitor.write("it", "go\n").await.unwrap();
}

#[test]
fn one_that_runs_is_ready_at_once() {
    run(async {
        let monitor = empty();
        let mut changes = Changes::of(&monitor);
        let service = Service::new("it", sh("exec sleep 600"));
        in_time(monitor.add(service)).await.unwrap();
        changes.until("it", READY).await;
        let states = [ServiceState::Starting, RUNNING, READY];
        assert!(changes.states("it").ends_with(&states));
        end(&monitor).await;
    });
}

#[test]
fn one_is_ready_after_its_time_and_not_before() {
    run(async {
        let time = Duration::from_millis(300);
        // That it is longer than `within` does not count.
        let ready = Ready::after(time).within(Duration::from_millis(1));
        let begun = Instant::now();
        let service = Service::new("it", sh("exec sleep 600")).ready(ready);
        becomes_ready(service, async |_| {}).await;
        assert!(begun.elapsed() >= time);
    });
}

#[test]
fn a_line_of_either_output_tells_it() {
    run(async {
        for script in ["read x; echo it is up", "read x; echo it is up >&2"] {
            let script = format!("echo not yet; {script}; exec sleep 600");
            let service = Service::new("it", sh(&script)).ready(Ready::line("is up"));
            becomes_ready(service, says_go).await;
        }
    });
}

#[test]
fn a_newline_on_a_descriptor_tells_it() {
    run(async {
        let script = "printf x >&3; read x; echo >&3; exec sleep 600";
        let service = Service::new("it", sh(script)).ready(Ready::fd(3));
        becomes_ready(service, says_go).await;
    });
}

#[test]
fn a_port_that_answers_tells_it() {
    run(async {
        let serve = |start: &Start| {
            let port = start.free_port()?;
            Ok(sh(&format!(
                "read x; exec /usr/bin/python3 -m http.server --bind 127.0.0.1 {port}"
            )))
        };
        let service = Service::new("it", serve).ready(Ready::port());
        becomes_ready(service, says_go).await;
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap();
        drop(port);
        let service = Service::new("it", sh("exec sleep 600")).ready(Ready::tcp(address));
        let mut listener = None;
        becomes_ready(service, async |_| {
            listener = Some(std::net::TcpListener::bind(address).unwrap());
        })
        .await;
    });
}

#[test]
fn a_command_that_succeeds_tells_it() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("up");
        let ready = Ready::exec(Command::new("test").arg("-e").arg(&file));
        let service = Service::new("it", sh("exec sleep 600")).ready(ready);
        becomes_ready(service, async |_| std::fs::write(&file, "").unwrap()).await;
    });
}

#[test]
fn a_closure_tells_it() {
    run(async {
        let is_up = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_up);
        let ready = Ready::probe(move |start: Start| {
            assert_eq!(&*start.id, "it");
            let is_up = seen.load(Ordering::Acquire);
            async move { is_up.then_some(()).ok_or_else(|| "not yet".into()) }
        });
        let service = Service::new("it", sh("exec sleep 600")).ready(ready);
        becomes_ready(service, async |_| is_up.store(true, Ordering::Release)).await;
    });
}

/// The failure of its first start, after which there is none.
async fn fails(service: Service) -> StartFailure {
    let monitor = empty();
    let mut changes = Changes::of(&monitor);
    let failure = failure(in_time(monitor.add(service.restart(Restart::never()))).await);
    let event = changes.until("it", ServiceState::Failed).await;
    assert!(
        !changes.states("it").contains(&READY),
        "{:?}",
        changes.states("it")
    );
    let status = monitor.status("it").await.unwrap();
    let exit = failed_exit(&failure);
    assert_eq!(exit_of(&event), exit);
    assert_eq!(status.last_exit.unwrap(), exit);
    assert_eq!(exit.kind, ExitKind::Unready);
    end(&monitor).await;
    failure
}

#[test]
fn none_is_ready_because_time_is_up() {
    run(async {
        let within = Duration::from_millis(300);
        let kinds = [
            Ready::line("never"),
            Ready::fd(3),
            Ready::notify(),
            Ready::protocol(),
            Ready::tcp("127.0.0.1:1"),
            Ready::exec(Command::new("false")),
            Ready::probe(|_| async { Err("nobody knows".into()) }),
            Ready::probe(|_| pending()),
        ];
        for ready in kinds {
            let text = format!("{ready:?}");
            let script = "echo so far >&2; exec sleep 600";
            let service = Service::new("it", sh(script)).ready(ready.within(within));
            let failure = fails(service).await;
            assert!(
                failure.to_string().contains("not ready in time"),
                "{text}: {failure}"
            );
            assert_eq!(failed_exit(&failure).tail, "so far\n", "{text}");
            if text.contains("exec") {
                assert!(
                    failure.to_string().contains("`false` exited with code 1"),
                    "{failure}"
                );
            }
        }
    });
}

#[test]
fn a_failure_tells_what_the_last_look_has_seen() {
    run(async {
        let ready = Ready::probe(|_| async { Err("nobody knows".into()) });
        let service = Service::new("it", sh("exec sleep 600"))
            .ready(ready.within(Duration::from_millis(300)));
        let text = fails(service).await.to_string();
        assert!(text.contains("nobody knows"), "{text}");
    });
}

#[test]
fn the_end_of_its_output_before_is_a_failed_start() {
    run(async {
        let scripts = [
            ("exec 1>&- 2>&-", Ready::line("never")),
            ("exec 1>&-", Ready::line("never").on(1)),
            ("exec 3>&-", Ready::fd(3)),
        ];
        for (close, ready) in scripts {
            let script = format!("echo gone >&2; {close}; exec sleep 600");
            let service = Service::new("it", sh(&script)).ready(ready);
            let failure = fails(service).await;
            let text = failure.to_string();
            assert!(text.contains("closed its output"), "{close}: {text}");
            assert_eq!(failed_exit(&failure).tail, "gone\n", "{close}");
        }
    });
}

#[test]
fn an_exit_before_is_a_failed_start() {
    run(async {
        let kinds = [
            Ready::after(Duration::from_secs(600)),
            Ready::line("never"),
            Ready::fd(3),
            Ready::notify(),
            Ready::protocol(),
            Ready::tcp("127.0.0.1:1"),
            Ready::exec(Command::new("false")),
            Ready::probe(|_| pending()),
        ];
        for ready in kinds {
            let text = format!("{ready:?}");
            for code in [0, 3] {
                let script = format!("echo the disk is full >&2; exit {code}");
                let service = Service::new("it", sh(&script)).ready(ready.clone());
                let failure = fails(service).await;
                let exit = failed_exit(&failure);
                assert_eq!(exit.status.unwrap().code(), Some(code), "{text}");
                assert_eq!(exit.tail, "the disk is full\n", "{text}");
                let words = failure.to_string();
                assert!(words.contains("the disk is full"), "{text}: {words}");
            }
        }
    });
}

#[test]
fn a_probe_ends_when_the_service_stops() {
    struct Gone(Arc<AtomicUsize>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Release);
        }
    }
    run(async {
        let gone = Arc::new(AtomicUsize::new(0));
        let begun = Arc::new(AtomicUsize::new(0));
        let (counter, calls) = (Arc::clone(&gone), Arc::clone(&begun));
        let probe = Ready::probe(move |_| {
            calls.fetch_add(1, Ordering::Release);
            let gone = Gone(Arc::clone(&counter));
            async move {
                let _gone = gone;
                pending().await
            }
        });
        let probe = probe.timeout(Duration::from_secs(30));
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pid");
        let script = format!(
            "echo $$ > {0}.new; mv {0}.new {0}; sleep 600",
            file.display()
        );
        let exec = Ready::exec(sh(&script)).timeout(Duration::from_secs(30));
        let monitor = empty();
        let services = [("probe", probe), ("exec", exec)];
        let added = services.map(|(id, ready)| {
            let service = Service::new(id, sh("exec sleep 600"));
            add(&monitor, service.ready(ready))
        });
        let pid = || std::fs::read_to_string(&file).ok()?.trim().parse().ok();
        let pid: i32 = eventually("a probe", pid, || format!("{file:?}")).await;
        let begun = || (begun.load(Ordering::Acquire) == 1).then_some(());
        eventually("a probe", begun, String::new).await;
        for id in ["probe", "exec"] {
            in_time(monitor.stop(id)).await.unwrap();
        }
        assert_eq!(gone.load(Ordering::Acquire), 1);
        eventually("its end", || is_gone(pid).then_some(()), || pid.to_string()).await;
        for added in added {
            let answer = in_time(added).await.unwrap();
            let overtaken = matches!(answer, Err(MonitorError::Overtaken { by: "stop", .. }));
            assert!(overtaken, "{answer:?}");
        }
        end(&monitor).await;
    });
}

#[test]
fn what_comes_on_the_notification_descriptor_is_no_output() {
    run(async {
        let script = "printf 'x\\n' >&3; read go; echo said; exec sleep 600";
        let service = Service::new("it", sh(script)).ready(Ready::fd(3));
        let monitor = empty();
        in_time(monitor.add(service)).await.unwrap();
        let mut lines = monitor.follow("it", Since::Start);
        monitor.write("it", "go\n").await.unwrap();
        loop {
            match in_time(lines.next()).await {
                Some(Followed::Line { fd, bytes, .. }) => {
                    assert_eq!((fd, &bytes[..]), (1, &b"said"[..]));
                    break;
                }
                Some(_) => {}
                None => panic!("no line"),
            }
        }
        end(&monitor).await;
    });
}
