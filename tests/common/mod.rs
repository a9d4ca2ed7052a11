//! What the tests share: a helper program, a protocol that writes down what it is told, and a
//! census of what a process has.

#![allow(dead_code, unreachable_pub, reason = "no test file uses all of it")]

pub mod census;
pub mod helper;
pub mod isolated;
pub mod trace;

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
