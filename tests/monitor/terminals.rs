//! A service on a terminal: what is typed, its size, its bytes and its lines.

use actix_process::monitor::{Monitor, MonitorHandle, Restart, Service, Since};
use actix_process::{Command, PtySize};
use futures::StreamExt;

use crate::common::{in_time, run};
use crate::tools::streams::{SHUTDOWN, has_ended, next, raw_until, rest};

/// It answers each line with the size of its terminal.
fn sizes() -> Service {
    let script = "echo ready; while read line; do echo \"$line $(stty size)\"; done";
    let command = Command::new("sh")
        .args(["-c", script])
        .pty(PtySize::new(24, 80));
    Service::new("sizes", command).restart(Restart::always())
}

async fn started() -> MonitorHandle {
    let monitor = Monitor::new().service(sizes()).start().unwrap();
    monitor.ready("sizes").await.unwrap();
    monitor
}

#[test]
fn a_terminal_is_written_resized_followed_and_attached_again() {
    run(async {
        let monitor = started().await;
        let mut first = monitor.follow_raw("sizes");
        raw_until(&mut first, "ready\r\n").await;
        monitor.write("sizes", "one\r").await.unwrap();
        raw_until(&mut first, "one 24 80\r\n").await;
        monitor
            .resize("sizes", PtySize::new(30, 100))
            .await
            .unwrap();
        monitor.write("sizes", "two\r").await.unwrap();
        raw_until(&mut first, "two 30 100\r\n").await;
        // Nobody is attached now; what comes is kept.
        drop(first);
        let mut lines = monitor.follow("sizes", Since::Now);
        monitor.write("sizes", "three\r").await.unwrap();
        while !next(&mut lines, 1).await[0].ends_with("three 30 100") {}
        let mut again = monitor.follow_raw("sizes");
        let replay = raw_until(&mut again, "three 30 100\r\n").await;
        for text in ["ready\r\n", "one 24 80\r\n", "two 30 100\r\n"] {
            assert!(replay.contains(text), "{replay:?}");
        }
        monitor.restart("sizes").await.unwrap();
        let later = raw_until(&mut again, "ready\r\n").await;
        assert!(later.contains("<restarted>"), "{later:?}");
        // A new terminal has the size of its command.
        monitor.write("sizes", "four\r").await.unwrap();
        raw_until(&mut again, "four 24 80\r\n").await;
        monitor.shutdown(SHUTDOWN).await;
        let end: Vec<_> = in_time(again.collect()).await;
        assert_eq!(format!("{:?}", end.last()), "Some(Closed)");
    });
}

#[test]
fn the_lines_of_a_terminal_are_those_of_descriptor_1_without_their_cr() {
    run(async {
        let monitor = started().await;
        let mut lines = monitor.follow("sizes", Since::Start);
        assert_eq!(next(&mut lines, 1).await, ["1 1 ready"]);
        monitor.write("sizes", "hi\r").await.unwrap();
        // The echo, and the answer.
        assert_eq!(next(&mut lines, 2).await, ["2 1 hi", "3 1 hi 24 80"]);
        monitor.shutdown(SHUTDOWN).await;
        assert_eq!(rest(lines).await, ["closed"]);
    });
}

#[test]
fn the_tail_of_a_terminal_is_the_last_of_its_output() {
    run(async {
        let command = Command::new("sh").args(["-c", "echo no luck; exit 3"]);
        let command = command.pty(PtySize::new(24, 80));
        let unlucky = Service::new("unlucky", command).restart(Restart::never());
        let monitor = Monitor::new().service(unlucky).start().unwrap();
        let mut events = monitor.events();
        has_ended(&monitor, &mut events, "unlucky").await;
        let exit = monitor.status("unlucky").await.unwrap().last_exit.unwrap();
        assert_eq!(exit.tail, "no luck\r\n");
        monitor.shutdown(SHUTDOWN).await;
    });
}
