//! The signal mask and dispositions that a child starts with.

mod common;

use std::fs;

use common::helper::helper;
use common::isolated::isolated;
use common::run;
use common::trace::history;
use nix::libc;

/// The lines of a /proc status about signals.
fn signal_lines(status: &str) -> Vec<&str> {
    let lines = status.lines();
    lines
        .filter(|line| {
            ["SigBlk", "SigIgn", "SigCgt"]
                .iter()
                .any(|name| line.starts_with(name))
        })
        .collect()
}

#[test]
fn a_child_starts_with_default_signals_whatever_the_parent_does_with_its_own() {
    isolated(
        "a_child_starts_with_default_signals_whatever_the_parent_does_with_its_own",
        || {
            extern "C" fn nothing(_: i32) {}
            // The kernel's own struct: handler, flags, restorer, mask. 1 is SIG_IGN.
            let ignore = [1_u64, 0, 0, 0];
            // Not SIGCHLD: ignored, it would take the exit status away.
            for signal in [libc::SIGPIPE, libc::SIGINT, 32, 33, 40, 64] {
                // SAFETY: reads a kernel_sigaction; libc's wrapper refuses 32 and 33.
                let result = unsafe {
                    libc::syscall(
                        libc::SYS_rt_sigaction,
                        signal,
                        ignore.as_ptr(),
                        std::ptr::null::<u8>(),
                        8,
                    )
                };
                assert_eq!(result, 0, "{signal}");
            }
            let handler: extern "C" fn(i32) = nothing;
            // SAFETY: a handler that does nothing, and 8 bytes of a local.
            unsafe {
                libc::signal(libc::SIGUSR1, handler as libc::sighandler_t);
                let all = u64::MAX;
                libc::syscall(
                    libc::SYS_rt_sigprocmask,
                    libc::SIG_SETMASK,
                    &raw const all,
                    std::ptr::null::<u8>(),
                    8,
                );
            }
            let ours = || fs::read_to_string("/proc/thread-self/status").unwrap();
            run(async {
                let before = ours();
                let history = history(&helper(["status"])).await;
                let status = history.text(1);
                let zero = "0000000000000000";
                assert_eq!(
                    signal_lines(&status),
                    ["SigBlk", "SigIgn", "SigCgt"].map(|name| format!("{name}:\t{zero}"))
                );
                assert!(
                    !signal_lines(&before)
                        .iter()
                        .all(|line| line.ends_with(zero))
                );
                assert_eq!(signal_lines(&ours()), signal_lines(&before));
            });
        },
    );
}
