//! What the tests share: a helper program, a protocol that writes down what it is told, and a
//! census of what a process has.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "a program uses a part of it; `tests/docs/common_is_used.rs` tells what none uses"
)]

mod amount;
pub mod capabilities;
pub mod census;
pub mod cgroups;
pub mod drop_probe;
pub mod example;
pub mod executables;
pub mod files;
pub mod forked;
pub mod hanging_exec;
pub mod heap;
pub mod helper;
pub mod hosts;
pub mod isolated;
pub mod limits;
pub mod many_fds;
pub mod mounts;
pub mod patterns;
pub mod refuse;
pub mod report;
pub mod servers;
pub mod slow_protocol;
pub mod streams;
pub mod trace;
pub mod tty;
pub mod waiting;

pub use amount::amount;
pub use executables::{copy_of_this_program, write_executable};
pub use waiting::*;

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
    let (trace, process) = trace::spawned(helper::helper(["pause"])).await;
    // The janitor minds the time.
    assert!(process.terminate(std::time::Duration::from_millis(1)));
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
