//! Real children that become ready in each way, and that do not.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

use futures::future::Either;
use futures::{FutureExt, StreamExt};
use tokio::time::Instant;

use super::super::notify::{Heard, NotifyMessage, NotifySocket, environment};
use super::*;
use crate::{Command, Fd, ProcessEvent};

const DEADLINE: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);

fn run(test: impl Future<Output = ()>) {
    let timed = async { tokio::time::timeout(DEADLINE, test).await };
    let ended = actix::System::new().block_on(timed.boxed_local());
    ended.expect("the test hangs");
}

fn start() -> Start {
    Start::new("service".into(), None, 1, 1)
}

fn sh(script: &str) -> Command {
    Command::new("sh").args(["-c", script])
}

fn message(text: &str) -> NotifyMessage {
    let mut message = NotifyMessage::default();
    for line in text.lines() {
        match line.split_once('=').unwrap() {
            ("READY", _) => message.ready = true,
            ("STOPPING", _) => message.stopping = true,
            ("EXTEND_MS", time) => {
                message.extend = Some(Duration::from_millis(time.parse().unwrap()));
            }
            _ => panic!("{line}"),
        }
    }
    message
}

/// Runs a child as the monitor does, until its start is ready or has failed; `None` if the child ended before.
async fn outcome(ready: &Ready, start: &Start, command: Command) -> Option<Result<(), NotReady>> {
    let socket = ready.wants_notify().then(|| NotifySocket::bind().unwrap());
    let mut command = environment(command, socket.as_ref(), None);
    if let Some(fd) = ready.notification_fd() {
        command = command.fd(fd, Fd::read());
    }
    for fd in [1, 2] {
        if ready.watches_lines_of(fd) {
            command = command.fd(fd, Fd::lines(1024));
        }
    }
    command = command.process_group(0);
    let mut events = command.events().await.unwrap();
    let is_read = |fd| command.fd_map().get(fd).is_some_and(Fd::is_read);
    let (feed, wait) = begin(ready, start, &is_read);
    let listener = socket.map(|socket| {
        let (process, feed) = (events.process().clone(), feed.clone());
        tokio::task::spawn_local(async move {
            let heard = |heard| {
                if let Heard::Message(message) = heard {
                    feed.message(&message);
                }
            };
            socket.listen(process, heard).await
        })
    });
    let told = async {
        while let Some(event) = events.next().await {
            match event {
                ProcessEvent::ChildLineReceived { fd, line } => feed.line(fd, &line.text),
                ProcessEvent::ChildDataReceived { fd, data } => feed.data(fd, &data),
                ProcessEvent::ChildConnectionLost { fd, .. } => feed.closed(fd),
                _ => {}
            }
        }
    };
    let (mut wait, mut told) = (pin!(wait), pin!(told));
    let outcome = futures::future::select(wait.as_mut(), told.as_mut()).await;
    if let Some(listener) = listener {
        listener.abort();
    }
    match outcome {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right((_, wait)) => wait.now_or_never(),
    }
}

/// A child that tells in this way and then rests is ready; one that ends its output is not.
async fn by_output(ready: Ready, tells: &str, ends: &str) {
    let rests = sh(&format!("{tells}\nexec sleep 60"));
    assert_eq!(
        outcome(&ready, &start(), rests).await,
        Some(Ok(())),
        "{ready:?}"
    );
    let closes = sh(&format!("{ends}\nexec sleep 60"));
    let closed = outcome(&ready, &start(), closes).await;
    assert_eq!(closed, Some(Err(NotReady::Closed)), "{ready:?}");
}

#[test]
fn a_line_on_either_output_makes_it_ready_and_the_end_of_both_fails_it() {
    run(async {
        for tells in [
            "echo now ready: 1",
            "echo now ready: 1 >&2",
            "printf 'x\\nnow ready'; exec >&- 2>&-",
        ] {
            let ends = "echo read; echo y >&2; exec >&- 2>&-";
            by_output(Ready::line("ready"), tells, ends).await;
        }
        // One closed output is not the end.
        let ready = Ready::line(b"ready");
        let tells = sh("exec >&-; read x <&- 2>/dev/null; echo ready >&2; exec sleep 60");
        assert_eq!(outcome(&ready, &start(), tells).await, Some(Ok(())));
    });
}

#[test]
fn a_line_counts_only_on_the_descriptor_that_is_named() {
    run(async {
        let ready = Ready::line("ready").on(2);
        by_output(ready, "echo ready >&2", "echo ready; exec 2>&-").await;
    });
}

#[cfg(feature = "regex")]
#[test]
fn a_line_that_a_regex_matches_makes_it_ready() {
    run(async {
        let regex = regex::bytes::Regex::new(r"^port \d+$").unwrap();
        let ends = "echo port x; echo a port 1; exec >&- 2>&-";
        by_output(Ready::line(regex), "echo port 7001", ends).await;
    });
}

#[test]
fn a_newline_on_the_notification_descriptor_makes_it_ready_and_its_close_fails_it() {
    run(async {
        by_output(
            Ready::fd(5),
            "printf x >&5; echo >&5; exec 5>&-",
            "printf x >&5; exec 5>&-",
        )
        .await;
    });
}

#[test]
fn an_exit_before_the_line_closes_the_output() {
    run(async {
        let closed = outcome(&Ready::line("ready"), &start(), sh("exit 3")).await;
        assert_eq!(closed, Some(Err(NotReady::Closed)));
        let closed = outcome(&Ready::fd(3), &start(), sh("exit 3")).await;
        assert_eq!(closed, Some(Err(NotReady::Closed)));
    });
}

#[test]
fn it_is_never_ready_because_time_is_up() {
    run(async {
        for ready in [
            Ready::line("ready"),
            Ready::fd(3),
            Ready::notify(),
            Ready::protocol(),
        ] {
            let ready = ready.within(SHORT);
            let late = outcome(&ready, &start(), Command::new("sleep").arg("60")).await;
            assert_eq!(late, Some(Err(NotReady::Late { last: None })), "{ready:?}");
        }
        // The last of several tries, or the only one, which was cut.
        let hangs = Ready::probe(|_| std::future::pending()).within(SHORT);
        let late = outcome(&hangs, &start(), Command::new("sleep").arg("60")).await;
        assert!(matches!(late, Some(Err(NotReady::Late { .. }))), "{late:?}");
        let fails = Ready::probe(|_| async { Err("no table".into()) }).within(SHORT);
        let late = outcome(&fails, &start(), Command::new("sleep").arg("60")).await;
        let text = late.unwrap().unwrap_err().to_string();
        assert_eq!(text, "not ready in time: no table");
    });
}

#[test]
fn a_message_makes_it_ready_and_stopping_fails_it() {
    run(async {
        let python = |says: &str| {
            let script = format!(
                "import os, socket, time\n\
                 s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
                 s.connect('\\0' + os.environ['NOTIFY_SOCKET'][1:])\n\
                 s.send(b'STATUS=begins')\n\
                 s.send(b'{says}')\n\
                 time.sleep(60)"
            );
            Command::new("python3").args(["-c", &script])
        };
        let ready = Ready::notify();
        let said = start();
        assert_eq!(
            outcome(&ready, &said, python("READY=1")).await,
            Some(Ok(()))
        );
        let stopping = outcome(&ready, &said, python("STOPPING=1")).await;
        assert_eq!(stopping, Some(Err(NotReady::Stopping)));
    });
}

/// Polls once.
async fn poll_once<F: Future>(future: &mut Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

#[test]
fn a_message_moves_the_end_of_the_time_away_and_never_nearer() {
    run(async {
        let ready = Ready::notify().within(Duration::from_millis(300));
        let (feed, wait) = begin(&ready, &start(), &|_| false);
        let mut wait = pin!(wait);
        let begun = Instant::now();
        assert_eq!(poll_once(&mut wait).await, None);
        feed.message(&message("EXTEND_MS=900"));
        feed.message(&message("EXTEND_MS=1"));
        assert_eq!(wait.await, Err(NotReady::Late { last: None }));
        assert!(begun.elapsed() >= Duration::from_millis(900));
        // Nor can a time that no clock holds break it.
        let (feed, wait) = begin(&ready, &start(), &|_| false);
        let mut wait = pin!(wait);
        assert_eq!(poll_once(&mut wait).await, None);
        feed.message(&NotifyMessage {
            extend: Some(Duration::MAX),
            ..NotifyMessage::default()
        });
        feed.message(&message("READY=1"));
        assert_eq!(wait.await, Ok(()));
    });
}

#[test]
fn the_protocol_says_it_from_any_thread_also_before_the_wait() {
    run(async {
        let start = start();
        let (_, wait) = begin(&Ready::protocol(), &start, &|_| false);
        let mut wait = pin!(wait);
        assert_eq!(poll_once(&mut wait).await, None);
        let clone = start.clone();
        let thread = std::thread::spawn(move || clone.set_ready());
        assert_eq!(wait.await, Ok(()));
        thread.join().unwrap();
        let (_, again) = begin(&Ready::protocol(), &start, &|_| false);
        assert_eq!(again.await, Ok(()));
    });
}

#[test]
fn a_server_is_ready_when_its_port_takes_a_connection() {
    run(async {
        let start = start();
        let port = start.free_port().unwrap().to_string();
        let server = ["-m", "http.server", "--bind", "127.0.0.1", &port];
        let server = Command::new("python3").args(server);
        let connects = Ready::tcp(format!("127.0.0.1:{port}"));
        for ready in [Ready::port(), connects.every(Duration::from_millis(5))] {
            let outcome = outcome(&ready, &start, server.clone()).await;
            assert_eq!(outcome, Some(Ok(())), "{ready:?}");
        }
    });
}

#[test]
fn a_command_is_tried_until_it_succeeds() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("there");
        let test = Command::new("test").arg("-e").arg(&path);
        let makes = sh("touch \"$0\"; exec sleep 60");
        let ready = Ready::exec(test);
        assert_eq!(
            outcome(&ready, &start(), makes.arg(&path)).await,
            Some(Ok(()))
        );
    });
}

#[test]
fn no_two_tries_run_at_the_same_time_and_each_has_its_time() {
    static RUNNING: AtomicU32 = AtomicU32::new(0);
    static TRIES: AtomicU32 = AtomicU32::new(0);

    struct Try;

    impl Drop for Try {
        fn drop(&mut self) {
            RUNNING.fetch_sub(1, Ordering::SeqCst);
        }
    }

    run(async {
        let probe = Ready::probe(|_| async {
            assert_eq!(RUNNING.fetch_add(1, Ordering::SeqCst), 0);
            let _try = Try;
            if TRIES.fetch_add(1, Ordering::SeqCst) < 3 {
                std::future::pending::<()>().await;
            }
            Ok(())
        });
        let probe = probe
            .timeout(Duration::from_millis(5))
            .every(Duration::from_millis(1));
        let (_, wait) = begin(&probe, &start(), &|_| false);
        assert_eq!(wait.await, Ok(()));
        assert_eq!(TRIES.load(Ordering::SeqCst), 4);
        assert_eq!(RUNNING.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn a_start_is_ready_at_once_or_after_a_time() {
    run(async {
        let (_, wait) = begin(&Ready::started(), &start(), &|_| false);
        assert_eq!(wait.now_or_never(), Some(Ok(())));
        let begun = Instant::now();
        let (_, wait) = begin(&Ready::after(SHORT).within(SHORT / 2), &start(), &|_| false);
        assert_eq!(wait.await, Ok(()));
        assert!(begun.elapsed() >= SHORT);
    });
}

#[test]
fn what_cannot_work_is_a_problem() {
    let zero = Duration::ZERO;
    for bad in [
        Ready::started().within(zero),
        Ready::after(zero),
        Ready::tcp("127.0.0.1:1").every(zero),
        Ready::tcp("127.0.0.1:1").timeout(zero),
        Ready::tcp("127.0.0.1:1").timeout(Duration::from_secs(31)),
        Ready::tcp("localhost"),
        Ready::exec(Command::new("")),
        Ready::fd(2),
        Ready::fd(-1),
        Ready::line("x").on(-1),
    ] {
        assert!(bad.problem().is_some(), "{bad:?}");
    }
    for good in [
        Ready::default(),
        Ready::after(Duration::from_secs(90)),
        Ready::tcp("127.0.0.1:1").within(SHORT),
        Ready::exec(Command::new("true")),
        Ready::fd(3),
        Ready::line("x").on(4),
        Ready::notify(),
        Ready::port(),
    ] {
        assert_eq!(good.problem(), None, "{good:?}");
    }
}

#[test]
fn nothing_that_a_command_is_given_is_shown() {
    let command = Command::new("psql").arg("secret").env("P", "secret");
    let shown = format!("{:?}", Ready::exec(command));
    assert!(
        shown.contains("psql") && !shown.contains("secret"),
        "{shown}"
    );
}
