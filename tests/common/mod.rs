//! What the tests share: a helper program, a protocol that writes down what it is told, and a
//! census of what a process has.

#![allow(dead_code, unreachable_pub, reason = "no test file uses all of it")]

pub mod asker;
pub mod attack;
pub mod browser;
pub mod census;
pub mod cgroups;
pub mod echo;
pub mod events;
pub mod example;
pub mod files;
pub mod forked;
pub mod full_cgroup;
pub mod fuse;
pub mod held_calls;
pub mod helper;
pub mod hoarder;
pub mod host;
pub mod http;
pub mod hung;
pub mod isolated;
pub mod ledger;
pub mod limits;
pub mod many;
pub mod mounts;
pub mod patterns;
pub mod producing;
pub mod refuse;
pub mod taking;
pub mod told;
pub mod trace;
pub mod tty;
pub mod watched;
pub mod websocket;

use std::future::Future;
use std::time::Duration;

/// How long anything may take. Reached only when something is wrong.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Runs `test` in a System of its own, on this thread.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    let _ = env_logger::builder().is_test(true).try_init();
    actix::System::new().block_on(async {
        actix_rt::time::timeout(2 * DEADLINE, test)
            .await
            .expect("the test did not end in time")
    })
}

/// Waits for `future`, as long as anything may take.
pub async fn in_time<T>(future: impl Future<Output = T>) -> T {
    actix_rt::time::timeout(DEADLINE, future)
        .await
        .expect("nothing came in time")
}

/// What `future` gives before the deadline. One that is ready by then, but that nobody woke, is late.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let deadline = std::pin::pin!(actix_rt::time::sleep(DEADLINE));
    match futures::future::select(deadline, std::pin::pin!(future)).await {
        futures::future::Either::Left(_) => panic!("{what} does not resolve"),
        futures::future::Either::Right((value, _)) => value,
    }
}

/// Waits until `condition` gives something; fails with `what` and what `seen` says if it never
/// does. For what can only be looked at, like /proc.
pub async fn eventually<T>(
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
    seen: impl Fn() -> String,
) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(
            begun.elapsed() < DEADLINE,
            "waited for {what}; saw {}",
            seen()
        );
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The most memory that this process ever used, in bytes.
pub fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<usize>().unwrap() * 1024
}

/// Makes every thread run that spawns, failed and cancelled ones included, ever start for good;
/// gives the census then.
pub async fn start_all_threads() -> census::Census {
    let (trace, protocol) = trace::Trace::start();
    let child = helper::helper(["pause"]).spawn(&protocol);
    let process = child.await.unwrap();
    // The janitor minds the time.
    assert!(process.terminate(Duration::from_millis(1)));
    trace.ended(&process).await;
    eventually(
        "the janitor",
        || {
            let threads = census::threads();
            threads
                .contains(&"actix-process-j".to_owned())
                .then_some(())
        },
        || format!("{:?}", census::threads()),
    )
    .await;
    census::Census::quiet().await
}

/// Writes an executable file by another process. A descriptor of ours that is open for writing
/// could be in a child that is just being spawned, and the file be "busy" for a moment.
pub fn write_executable(path: &std::path::Path, content: &str) {
    let status = std::process::Command::new("sh")
        .args([
            "-c",
            "printf %s \"$1\" > \"$2\" && chmod 755 \"$2\"",
            "sh",
            content,
        ])
        .arg(path)
        .status();
    assert!(status.unwrap().success());
}

/// Copies this program to `path`, by another process for the same reason.
pub fn copy_of_this_program(path: &std::path::Path) {
    let status = std::process::Command::new("cp")
        .arg(std::env::current_exe().unwrap())
        .arg(path)
        .status();
    assert!(status.unwrap().success());
}

/// Waits for `future` on this thread without any runtime.
pub fn block_on_thread<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    let begun = std::time::Instant::now();
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        let left = DEADLINE.checked_sub(begun.elapsed());
        std::thread::park_timeout(left.expect("the future did not resolve in time"));
    }
}
