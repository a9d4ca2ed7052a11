//! Services whose output goes to an actor of the user's.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use actix_process::monitor::{
    Backoff, Exit, ExitKind, MonitorHandle, Ready, Restart, Service, ServiceState, Start,
};
use actix_process::{Bytes, Command, Fd, Line, ProcessHandle, ProcessProtocol, process_protocol};

use crate::changes::{Changes, READY, RUNNING, add, empty, end, exit_of, pid, sh};
use crate::common::census::{children, is_gone};
use crate::common::isolated::isolated;
use crate::common::slow_protocol::{SlowProtocol, Withheld};
use crate::common::{eventually, in_time, run};

/// Keeps what it gets. Says that the service is ready when it says "hello"; panics when it says "panic", and stops when it says "stop".
struct Greeter {
    start: Start,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Actor for Greeter {
    type Context = Context<Self>;
}

impl ProcessProtocol for Greeter {
    fn line_received(
        &mut self,
        process: &ProcessHandle,
        fd: i32,
        line: Line,
        ctx: &mut Self::Context,
    ) {
        let text = String::from_utf8_lossy(&line.text).into_owned();
        match text.as_str() {
            "hello" => {
                self.start.set_ready();
                let _ = process.write("you are heard\n");
            }
            "panic" => panic!("a panic of a test"),
            "stop" => ctx.stop(),
            _ => {}
        }
        self.heard.lock().unwrap().push(format!("{fd}: {text}"));
    }

    fn child_data_received(
        &mut self,
        _: &ProcessHandle,
        fd: i32,
        data: Bytes,
        _: &mut Self::Context,
    ) {
        let text = String::from_utf8_lossy(&data).into_owned();
        self.heard.lock().unwrap().push(format!("{fd}: {text:?}"));
    }
}
process_protocol!(Greeter);

fn lines(script: &str) -> Command {
    sh(script).stdout(Fd::lines(1024))
}

/// A service with a new greeter for each start, and what all of them hear.
fn greeted(command: Command) -> (Service, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&heard);
    let service = Service::new("it", command).protocol(move |start: &Start| {
        let (start, heard) = (start.clone(), Arc::clone(&all));
        Greeter { start, heard }.start()
    });
    let restart = Restart::on_failure().backoff(Backoff::none());
    (service.restart(restart).ready(Ready::protocol()), heard)
}

#[test]
fn it_gets_lines_and_bytes_and_says_when_the_service_is_ready() {
    run(async {
        let script = "read x; echo hello; read y; echo \"$y\"; printf oops >&2; exec sleep 600";
        let (service, heard) = greeted(lines(script));
        let monitor = empty();
        let mut changes = Changes::of(&monitor);
        let added = add(&monitor, service);
        changes.until("it", RUNNING).await;
        assert_eq!(monitor.status("it").await.unwrap().state, RUNNING);
        monitor.write("it", "go\n").await.unwrap();
        changes.until("it", READY).await;
        in_time(added).await.unwrap().unwrap();
        let all = ["1: hello", "1: you are heard", "2: \"oops\""];
        let came = || (*heard.lock().unwrap() == all).then_some(());
        eventually("its output", came, || {
            format!("{:?}", heard.lock().unwrap())
        })
        .await;
        end(&monitor).await;
    });
}

#[test]
fn its_child_is_restarted_and_each_start_has_its_own() {
    run(async {
        let (service, heard) = greeted(lines("echo hello; read x; read y; exit 3"));
        let monitor = empty();
        let mut changes = Changes::of(&monitor);
        in_time(monitor.add(service)).await.unwrap();
        let first = changes.until("it", READY).await;
        monitor.write("it", "end\n").await.unwrap();
        let exit = exit_of(&changes.until("it", ServiceState::Waiting).await);
        assert_eq!(exit.kind, ExitKind::Code);
        let second = changes.until("it", READY).await;
        assert!(second.generation > first.generation && second.pid != first.pid);
        assert_eq!(*heard.lock().unwrap(), ["1: hello", "1: hello"]);
        let child = pid(&monitor, "it").await;
        in_time(monitor.stop("it")).await.unwrap();
        assert!(is_gone(child));
        let exit = monitor.status("it").await.unwrap().last_exit.unwrap();
        assert_eq!(exit.kind, ExitKind::Stopped);
        end(&monitor).await;
    });
}

/// What comes of a service whose protocol actor dies by this word of its child.
async fn dies(word: &str) {
    let script = format!("echo hello; read x; read y; echo {word}; exec sleep 600");
    let (service, _) = greeted(lines(&script));
    let monitor = empty();
    let mut changes = Changes::of(&monitor);
    in_time(monitor.add(service)).await.unwrap();
    let child = changes.until("it", READY).await.pid.unwrap();
    monitor.write("it", "end\n").await.unwrap();
    let exit: Exit = exit_of(&changes.until("it", ServiceState::Waiting).await);
    assert_eq!(exit.kind, ExitKind::Signal, "{word}: {exit:?}");
    assert!(is_gone(child));
    changes.until("it", READY).await;
    let status = monitor.status("it").await.unwrap();
    assert_eq!(status.restarts, 1);
    end(&monitor).await;
}

#[test]
fn its_death_is_the_end_of_the_run() {
    run(async {
        dies("stop").await;
        dies("panic").await;
    });
}

#[test]
fn the_death_of_one_that_would_leave_its_child_is_the_end_of_the_run_too() {
    run(async {
        let script = "echo hello; read x; read y; echo stop; exec sleep 600";
        let command = lines(script).on_orphaned(actix_process::OnOrphaned::Leave);
        let (service, _) = greeted(command);
        let monitor = empty();
        let mut changes = Changes::of(&monitor);
        in_time(monitor.add(service)).await.unwrap();
        let child = changes.until("it", READY).await.pid.unwrap();
        monitor.write("it", "end\n").await.unwrap();
        changes.until("it", ServiceState::Waiting).await;
        assert!(is_gone(child));
        changes.until("it", READY).await;
        end(&monitor).await;
    });
}

#[test]
fn a_panic_of_its_closure_is_a_failed_start() {
    run(async {
        let service = Service::new("it", sh("exec sleep 600"));
        let service = service.protocol(|start: &Start| {
            assert!(start.attempt > 1, "a panic of a test");
            actix_process::NoProtocol
        });
        let restart = Restart::on_failure().backoff(Backoff::none());
        let monitor = empty();
        let mut changes = Changes::of(&monitor);
        let failure = crate::changes::failure(in_time(monitor.add(service.restart(restart))).await);
        assert!(failure.to_string().contains("panicked"), "{failure}");
        changes.until("it", READY).await;
        end(&monitor).await;
    });
}

#[test]
fn a_slow_one_holds_up_its_own_child_only() {
    run(async {
        let withheld = Arc::new(Mutex::new(None::<Arc<Mutex<Withheld>>>));
        let made = Arc::clone(&withheld);
        let flood = "i=0; while :; do echo 0123456789012345678901234567890123456789; done";
        let slow = Service::new("slow", sh(flood)).protocol(move |_: &Start| {
            let (kept, address) = SlowProtocol::start_new();
            *made.lock().unwrap() = Some(kept);
            address
        });
        let monitor = empty();
        in_time(monitor.add(slow)).await.unwrap();
        let kept = withheld.lock().unwrap().clone().unwrap();
        let bytes = || kept.lock().unwrap().bytes;
        eventually(
            "a flood",
            || (bytes() > 0).then_some(()),
            || bytes().to_string(),
        )
        .await;
        // Another service, and the monitor, go on.
        let (service, _) = greeted(lines("echo hello; exec sleep 600"));
        in_time(monitor.add(service)).await.unwrap();
        assert!(monitor.status("slow").await.unwrap().is_ready());
        actix_rt::time::sleep(Duration::from_millis(300)).await;
        assert!(bytes() <= 1 << 20, "{} bytes on their way", bytes());
        let before = bytes();
        Withheld::let_go(&kept);
        let more = || (bytes() > 0).then_some(());
        eventually("more", more, || before.to_string()).await;
        Withheld::let_go(&kept);
        in_time(monitor.stop("slow")).await.unwrap();
        end(&monitor).await;
    });
}

#[test]
fn what_is_kept_of_its_standard_error_is_told() {
    run(async {
        let command = lines("echo the disk is full >&2; exit 3").stderr(Fd::tail(100));
        let (service, _) = greeted(command);
        let monitor = empty();
        let mut changes = Changes::of(&monitor);
        let service = service.restart(Restart::never());
        let failure = crate::changes::failure(in_time(monitor.add(service)).await);
        let exit = exit_of(&changes.until("it", ServiceState::Failed).await);
        assert_eq!(exit.tail, "the disk is full\n", "{failure}");
        assert!(
            failure.to_string().contains("the disk is full"),
            "{failure}"
        );
        end(&monitor).await;
    });
}

#[test]
fn a_start_that_is_stopped_at_any_moment_leaves_no_child() {
    isolated(|| {
        run(async {
            let monitor = empty();
            // The protocol is gone with its child only.
            let service = Service::new("it", sh("exec sleep 600"));
            let service = service.protocol(|_: &Start| actix_process::NoProtocol);
            in_time(monitor.add(service)).await.unwrap();
            for round in 0..150 {
                in_time(monitor.stop("it")).await.unwrap();
                let started = start(&monitor);
                actix_rt::task::yield_now().await;
                // The monitor is on another thread. No timer is so fine.
                std::thread::sleep(Duration::from_micros(round * 20));
                in_time(monitor.stop("it")).await.unwrap();
                let _ = in_time(started).await;
            }
            let none = || children().is_empty().then_some(());
            eventually("no child", none, || format!("{:?}", children())).await;
            end(&monitor).await;
        });
    });
}

fn start(monitor: &MonitorHandle) -> crate::changes::Added {
    let monitor = monitor.clone();
    actix_rt::spawn(async move { monitor.start("it").await })
}
