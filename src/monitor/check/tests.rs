//! Real listeners, commands and closures.

use std::future::{pending, ready};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::FutureExt;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use tokio::net::TcpSocket;

use super::*;

const LONG: Duration = Duration::from_secs(60);

fn run(test: impl Future<Output = ()>) {
    actix::System::new().block_on(test.boxed_local());
}

fn start() -> Start {
    Start::new("service".into(), None, 1, 1)
}

fn sh(script: &str) -> Check {
    Check::exec(Command::new("sh").args(["-c", script]))
}

#[test]
fn a_listener_is_found() {
    run(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let check = Check::tcp(listener.local_addr().unwrap());
        assert_eq!(check.once(&start(), LONG).await, Ok(()));
        drop(listener);
        let error = check.once(&start(), LONG).await.unwrap_err();
        assert!(error.contains("refused"), "{error}");
    });
}

#[test]
fn the_port_of_the_start_is_asked() {
    run(async {
        let start = start();
        let error = Check::Port.once(&start, LONG).await.unwrap_err();
        assert_eq!(error, "the start has chosen no port");
        let port = start.free_port().unwrap();
        let error = Check::Port.once(&start, LONG).await.unwrap_err();
        assert!(error.contains("refused"), "{error}");
        let _listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        assert_eq!(Check::Port.once(&start, LONG).await, Ok(()));
    });
}

#[test]
fn a_connection_to_itself_is_told_from_one_to_a_listener() {
    run(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        assert!(is_itself(&socket.connect(address).await.unwrap()));
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
        assert!(!is_itself(&stream.unwrap()));
    });
}

#[test]
fn a_command_answers_by_its_exit_code() {
    run(async {
        assert_eq!(sh("exit 0").once(&start(), LONG).await, Ok(()));
        let error = sh("echo no table >&2; exit 1").once(&start(), LONG).await;
        assert_eq!(error.unwrap_err(), "`sh` exited with code 1: no table");
        let missing = Check::exec(Command::new("/no/such/program"));
        let error = missing.once(&start(), LONG).await.unwrap_err();
        assert!(error.contains("/no/such/program"), "{error}");
    });
}

/// The pid that a process of the command has written.
async fn pid_in(path: &std::path::Path) -> Pid {
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if let Some(line) = text.strip_suffix('\n') {
            return Pid::from_raw(line.parse().unwrap());
        }
        assert!(begun.elapsed() < LONG, "no pid in {text:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn dies(pid: Pid) {
    let begun = Instant::now();
    while kill(pid, None) != Err(Errno::ESRCH) {
        assert!(begun.elapsed() < LONG, "{pid} is not killed");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn a_command_that_hangs_is_killed_with_its_group() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        // Both ignore SIGTERM; the grandchild writes its own pid.
        let script =
            "trap '' TERM; sh -c 'echo $$ > \"$0\"; while :; do sleep 60; done' \"$0\" & wait";
        let command = Command::new("sh").args(["-c", script]).arg(&path);
        let hangs = Check::exec(command);
        // By its time: the first that is long enough for the grandchild to write.
        for time in [100, 1000, 10_000].map(Duration::from_millis) {
            let error = hangs.once(&start(), time).await.unwrap_err();
            assert_eq!(error, format!("no answer in {time:?}"));
            if std::fs::read(&path).is_ok_and(|pid| pid.ends_with(b"\n")) {
                break;
            }
        }
        let grandchild = pid_in(&path).await;
        dies(grandchild).await;
        // By the drop of its future.
        std::fs::remove_file(&path).unwrap();
        let start = start();
        let try_ = tokio::task::spawn_local(async move { hangs.once(&start, LONG).await });
        let grandchild = pid_in(&path).await;
        try_.abort();
        assert!(try_.await.unwrap_err().is_cancelled());
        dies(grandchild).await;
    });
}

#[test]
fn a_closure_answers_and_a_panic_of_it_is_a_failure() {
    run(async {
        let start = start();
        let once = |check: Check| {
            let start = start.clone();
            async move { check.once(&start, LONG).await }
        };
        assert_eq!(once(Check::probe(|_| ready(Ok(())))).await, Ok(()));
        let fails = Check::probe(|start: Start| ready(Err(format!("not {}", start.id).into())));
        assert_eq!(once(fails).await, Err("not service".to_owned()));
        let at_once = Check::probe(|_| -> std::future::Ready<_> { panic!("on purpose") });
        assert_eq!(once(at_once).await, Err("panicked".to_owned()));
        let later = Check::probe(|_| async {
            tokio::task::yield_now().await;
            panic!("on purpose")
        });
        assert_eq!(once(later).await, Err("panicked".to_owned()));
    });
}

struct PanicsInDrop<'a>(&'a AtomicU32);

impl Drop for PanicsInDrop<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("on purpose");
    }
}

#[test]
fn a_closure_that_hangs_is_dropped_even_if_that_panics() {
    static DROPS: AtomicU32 = AtomicU32::new(0);
    run(async {
        let hangs = Check::probe(|_| async {
            let _held = PanicsInDrop(&DROPS);
            pending().await
        });
        let error = hangs.once(&start(), Duration::from_millis(10)).await;
        assert_eq!(error, Err("no answer in 10ms".to_owned()));
        assert_eq!(DROPS.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn what_cannot_work_is_a_problem() {
    for bad in [
        "",
        "localhost:1",
        "127.0.0.1",
        "127.0.0.1:0",
        ":80",
        "1.2.3.4:99999",
    ] {
        let problem = Check::tcp(bad).problem().unwrap();
        assert!(
            problem.starts_with(&format!("{bad:?} is no IP address")),
            "{problem}"
        );
    }
    assert!(Check::exec(Command::new("")).problem().is_some());
    for good in ["127.0.0.1:1", "[::1]:65535"] {
        assert_eq!(Check::tcp(good).problem(), None);
    }
    assert_eq!(sh("exit 1").problem(), None);
}

#[test]
fn no_argument_of_a_command_is_shown() {
    let command = Command::new("psql").arg("secret-1").env("P", "secret-2");
    assert_eq!(format!("{:?}", Check::exec(command)), "exec \"psql\"");
}
