//! The signal mask and dispositions that a child starts with.

use crate::common;

use std::fs;

use actix_process::{Command, IgnoredSignals};
use common::helper::helper;
use common::isolated::isolated;
use common::report::{may_change_ids, status, told};
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

/// What /proc says of a set of signals.
fn set_of(signals: &[i32]) -> String {
    let set = signals.iter().fold(0_u64, |set, n| set | 1 << (n - 1));
    format!("{set:016x}")
}

/// Ignored by the host, by the program or by whoever started it.
const IGNORED: [i32; 4] = [libc::SIGHUP, libc::SIGINT, 40, 64];

/// Ignored by the host, and not by its children: libc's own two, which posix_spawn may have left so.
const LIBCS: [i32; 2] = [32, 33];

/// Ignores signals, handles others and blocks all.
fn mind_no_signals() {
    extern "C" fn nothing(_: i32) {}
    // The kernel's own struct: handler, flags, restorer, mask. 1 is SIG_IGN.
    let ignore = [1_u64, 0, 0, 0];
    // Not SIGCHLD: ignored, it would take the exit status away.
    for signal in IGNORED.into_iter().chain(LIBCS).chain([libc::SIGPIPE]) {
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
    // SAFETY: a disposition, a handler that does nothing, and 8 bytes of a local.
    unsafe {
        // A shell may have started the tests in the background, which ignores it.
        libc::signal(libc::SIGQUIT, libc::SIG_DFL);
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
}

/// What a child has of the host's, with this change to its command.
async fn assert_starts_with(ignored: &[i32], change: impl FnOnce(Command) -> Command) {
    let history = history(&change(helper(["status"]))).await;
    let zero = set_of(&[]);
    assert_eq!(
        signal_lines(&history.text(1)),
        [
            format!("SigBlk:\t{zero}"),
            format!("SigIgn:\t{}", set_of(ignored)),
            format!("SigCgt:\t{zero}")
        ]
    );
}

#[test]
fn a_child_ignores_what_the_host_ignores_but_sigpipe() {
    isolated(|| {
        mind_no_signals();
        let ours = || fs::read_to_string("/proc/thread-self/status").unwrap();
        run(async {
            let before = ours();
            assert_starts_with(&IGNORED, |child| child).await;
            assert_eq!(signal_lines(&ours()), signal_lines(&before));
        });
    });
}

#[test]
fn a_child_starts_with_default_signals_when_asked_to() {
    isolated(|| {
        mind_no_signals();
        run(assert_starts_with(&[], |child| {
            child.ignored_signals(IgnoredSignals::Reset)
        }));
    });
}

#[test]
fn a_child_of_another_user_ignores_what_the_host_ignores() {
    if !may_change_ids() {
        return;
    }
    isolated(|| {
        mind_no_signals();
        run(async {
            let child = || status().user("nobody").current_dir("/");
            assert_eq!(told(child(), "SigIgn:").await, set_of(&IGNORED));
            assert_eq!(told(child(), "SigBlk:").await, set_of(&[]));
            assert_eq!(told(child(), "SigCgt:").await, set_of(&[]));
            let reset = child().ignored_signals(IgnoredSignals::Reset);
            assert_eq!(told(reset, "SigIgn:").await, set_of(&[]));
        });
    });
}

#[test]
fn ignored_children_of_the_host_are_none_of_its_childs_business() {
    isolated(|| {
        run(async {
            // SAFETY: no handler, only a disposition.
            unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
            let ignored = told(status(), "SigIgn:").await;
            let ignored = u64::from_str_radix(&ignored, 16).unwrap();
            assert_eq!(ignored & 1 << (libc::SIGCHLD - 1), 0, "{ignored:x}");
        });
    });
}
