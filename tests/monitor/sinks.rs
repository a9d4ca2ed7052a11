//! The log and the file of a service: what they get, what they lose, and that they hold up nobody.

use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use actix::System;
use actix_process::Command;
use actix_process::monitor::{EventKind, Monitor, MonitorHandle, Restart, Service, Since, Start};

use crate::common::helper::helper;
use crate::common::isolated::isolated;
use crate::common::slow_protocol::{SlowProtocol, Withheld};
use crate::common::{DEADLINE, block_on_thread, eventually, in_time, run};
use crate::tools::streams::{SHUTDOWN, event, has_ended, next, rest};

/// Waits until a file has this text.
async fn assert_has(path: &Path, text: &str) {
    let read = || fs::read_to_string(path).unwrap_or_default();
    eventually(
        "the text of a file",
        || (read() == text).then_some(()),
        || format!("{:?}, not {text:?}", read()),
    )
    .await;
}

#[test]
fn a_file_is_appended_and_made_anew_after_a_rename() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (path, renamed) = (folder.path().join("log"), folder.path().join("log.1"));
        fs::write(&path, "before\n").unwrap();
        let echo = Service::new("echo", helper(["cat"])).file(&path);
        let monitor = Monitor::new().service(echo).start().unwrap();
        monitor.ready("echo").await.unwrap();
        monitor
            .write("echo", b"one\n\xff\n".as_slice())
            .await
            .unwrap();
        let read = || fs::read(&path).unwrap();
        eventually(
            "the first lines",
            || (read() == b"before\none\n\xff\n").then_some(()),
            || format!("{}", read().escape_ascii()),
        )
        .await;
        fs::rename(&path, &renamed).unwrap();
        monitor.write("echo", "two\n").await.unwrap();
        let both = || fs::read(&renamed).unwrap();
        eventually(
            "a line in the renamed file",
            || both().ends_with(b"\ntwo\n").then_some(()),
            || format!("{}", both().escape_ascii()),
        )
        .await;
        monitor.reopen_files().await.unwrap();
        monitor.write("echo", "three\n").await.unwrap();
        assert_has(&path, "three\n").await;
        monitor.shutdown(SHUTDOWN).await;
        assert!(both().ends_with(b"\ntwo\n"));
    });
}

/// A pipe that somebody has open for reading, and does not read.
fn unread_pipe(folder: &Path) -> (PathBuf, fs::File) {
    let path = folder.join("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut options = fs::OpenOptions::new();
    let options = options.read(true).custom_flags(nix::libc::O_NONBLOCK);
    let reader = options.open(&path).unwrap();
    (path, reader)
}

#[test]
fn the_shutdown_is_answered_when_the_files_are_written() {
    waits_for_a_file(async |_| {});
}

#[test]
fn a_shutdown_waits_for_the_file_of_a_service_that_was_removed() {
    waits_for_a_file(async |monitor| monitor.remove("words").await.unwrap());
}

/// That the shutdown waits for the file of a service that has ended, after `act`.
fn waits_for_a_file(act: impl AsyncFnOnce(&MonitorHandle)) {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (path, mut reader) = unread_pipe(folder.path());
        // More than a pipe has room for, and less than what waits for it.
        let count = 50_000;
        let words = Service::new("words", Command::new("seq").arg(count.to_string()))
            .restart(Restart::never())
            .file(&path);
        let monitor = Monitor::new().service(words).start().unwrap();
        let mut events = monitor.events();
        has_ended(&monitor, &mut events, "words").await;
        act(&monitor).await;
        let closing = monitor.closing();
        let read = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&read);
        let thread = thread::spawn(move || {
            block_on_thread(closing);
            // Far less than the shutdown waits for a file, and far more than it takes without.
            thread::sleep(Duration::from_millis(300));
            while !kept.lock().unwrap().ends_with(b"\n50000\n") {
                let mut piece = [0; 4096];
                match reader.read(&mut piece) {
                    Ok(size) => kept.lock().unwrap().extend_from_slice(&piece[..size]),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
        });
        monitor.shutdown(SHUTDOWN).await;
        // What is not read yet is in the pipe.
        let size = read.lock().unwrap().len();
        assert!(size > 100_000, "{size} bytes");
        in_time(tokio::task::spawn_blocking(|| thread.join()))
            .await
            .unwrap()
            .unwrap();
    });
}

#[test]
fn a_file_that_cannot_take_more_holds_up_neither_the_service_nor_the_shutdown() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (path, _reader) = unread_pipe(folder.path());
        let words = Service::new("words", Command::new("seq").arg("400000"))
            .restart(Restart::never())
            .file(&path);
        let monitor = Monitor::new().service(words).start().unwrap();
        let mut events = monitor.events();
        has_ended(&monitor, &mut events, "words").await;
        let status = monitor.status("words").await.unwrap();
        assert!(status.lost_bytes > 100_000, "{status:?}");
        let last = next(&mut monitor.follow("words", Since::Last(1)), 1).await;
        assert_eq!(last, ["400000 1 400000"]);
        let begun = Instant::now();
        monitor.shutdown(SHUTDOWN).await;
        assert!(
            begun.elapsed() < Duration::from_secs(15),
            "{:?}",
            begun.elapsed()
        );
    });
}

#[test]
fn a_shutdown_is_answered_though_its_system_stops_while_a_file_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _reader) = unread_pipe(folder.path());
    let (tell, told) = mpsc::channel();
    let host = thread::spawn(move || {
        let system = System::new();
        let words = Service::new("words", Command::new("seq").arg("50000"))
            .restart(Restart::never())
            .file(&path);
        let monitor = system.block_on(async {
            let monitor = Monitor::new().service(words).start().unwrap();
            let mut events = monitor.events();
            has_ended(&monitor, &mut events, "words").await;
            monitor
        });
        let current = system.block_on(async { System::current() });
        tell.send((monitor, current)).unwrap();
        system.run().unwrap();
    });
    let (monitor, system) = told.recv_timeout(DEADLINE).unwrap();
    let closing = monitor.closing();
    let (tell, told) = mpsc::channel();
    let waiting = thread::spawn(move || {
        let report = block_on_thread(monitor.shutdown(SHUTDOWN));
        tell.send(report).unwrap();
    });
    block_on_thread(closing);
    system.stop();
    let report = told.recv_timeout(DEADLINE);
    assert_eq!(report.map(|report| report.unkillable.len()), Ok(0));
    waiting.join().unwrap();
    host.join().unwrap();
}

#[test]
fn a_full_disk_is_told_once_and_its_end_with_what_was_lost() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (path, file) = (folder.path().join("log"), folder.path().join("file"));
        symlink("/dev/full", &path).unwrap();
        let echo = Service::new("echo", helper(["cat"])).file(&path);
        let monitor = Monitor::new().service(echo).start().unwrap();
        let mut events = monitor.events();
        let mut follow = monitor.follow("echo", Since::Start);
        monitor.ready("echo").await.unwrap();
        monitor.write("echo", "one\n").await.unwrap();
        let problem = event(&mut events, "the failure", |event| match &event.what {
            EventKind::SinkFailed { problem, .. } => Some(problem.clone()),
            _ => None,
        });
        let problem = problem.await;
        assert!(problem.contains("No space left"), "{problem}");
        // The service is followed as ever.
        monitor.write("echo", "two\n").await.unwrap();
        assert_eq!(next(&mut follow, 2).await, ["1 1 one", "2 1 two"]);
        fs::remove_file(&path).unwrap();
        symlink(&file, &path).unwrap();
        monitor.reopen_files().await.unwrap();
        monitor.write("echo", "three\n").await.unwrap();
        let lost = event(&mut events, "the recovery", |event| match event.what {
            EventKind::SinkRecovered { lost, .. } => Some(lost),
            EventKind::SinkFailed { .. } => panic!("told twice"),
            _ => None,
        });
        // What waited for room is written.
        assert_eq!(lost.await, 0);
        assert_has(&file, "one\ntwo\nthree\n").await;
        let report = monitor.shutdown(SHUTDOWN).await;
        assert_eq!(report.clean, ["echo"]);
    });
}

#[test]
fn a_protocol_of_the_users_gets_the_output_and_its_window_holds_up_the_child() {
    run(async {
        let (withheld, slow) = SlowProtocol::start_new();
        let pour = Service::new("pour", helper(["pour", "8000000"]))
            .restart(Restart::never())
            .protocol(move |_: &Start| slow.clone());
        let monitor = Monitor::new().service(pour).start().unwrap();
        let mut events = monitor.events();
        monitor.ready("pour").await.unwrap();
        eventually(
            "the first data",
            || (withheld.lock().unwrap().bytes > 0).then_some(()),
            || "none".to_owned(),
        )
        .await;
        // Nothing of it is kept here.
        let follow = monitor.follow("pour", Since::Start);
        let status = monitor.status("pour").await.unwrap();
        assert!(status.is_ready(), "{status:?}");
        let took = || {
            Withheld::let_go(&withheld);
            withheld.lock().unwrap().ended.then_some(())
        };
        eventually("the end", took, || {
            withheld.lock().unwrap().received.len().to_string()
        })
        .await;
        has_ended(&monitor, &mut events, "pour").await;
        let (received, most) = {
            let withheld = withheld.lock().unwrap();
            (withheld.received.len(), withheld.most_bytes)
        };
        assert_eq!(received, 8_000_000);
        assert!(most < 2_000_000, "{most} bytes at a time");
        monitor.shutdown(SHUTDOWN).await;
        assert_eq!(rest(follow).await, ["closed"]);
    });
}

/// What the log got for the target `words`.
static RECORDS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Records;

impl log::Log for Records {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.target() == "words" {
            let text = format!("{} {}", record.level(), record.args());
            RECORDS.lock().unwrap().push(text);
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_log_gets_so_many_lines_in_a_time_and_one_about_the_others() {
    isolated(|| {
        log::set_logger(&Records).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
        run(async {
            let script = "seq 1 1000; read x; echo oops >&2";
            let words = Service::new("words", Command::new("sh").args(["-c", script]))
                .restart(Restart::never())
                .log("words")
                .log_rate(3, Duration::from_secs(3600));
            let monitor = Monitor::new().service(words).start().unwrap();
            let mut events = monitor.events();
            let mut follow = monitor.follow("words", Since::Start);
            next(&mut follow, 1000).await;
            let status = monitor.status("words").await.unwrap();
            assert_eq!(status.dropped_lines, 997);
            monitor.write("words", "go on\n").await.unwrap();
            has_ended(&monitor, &mut events, "words").await;
            monitor.shutdown(SHUTDOWN).await;
        });
        let records = RECORDS.lock().unwrap();
        assert_eq!(
            *records,
            ["INFO 1", "INFO 2", "INFO 3", "WARN 998 lines suppressed"]
        );
    });
}
