//! The host's own SIGCHLD: it is left to the host, whatever that does with it, and no child has it.

use crate::common;

use actix_process::IgnoredSignals;

use std::fs;
use std::os::unix::process::CommandExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use actix_process::Command;
use common::hanging_exec::HangingExec;
use common::helper::helper;
use common::isolated::{isolated, isolated_with};
use common::report::{status, told};
use common::trace::{Trace, history};
use common::{DEADLINE, eventually, run};
use futures::FutureExt;
use nix::libc;
use nix::sys::signal::{SigSet, Signal};

/// Calls of the handler in this process, and in a child, which shares its memory until the exec.
static HERE: AtomicUsize = AtomicUsize::new(0);
static ELSEWHERE: AtomicUsize = AtomicUsize::new(0);
static ME: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_: i32) {
    // SAFETY: no arguments; may be called in a handler.
    let pid = unsafe { libc::getpid() };
    let here = pid as usize == ME.load(Ordering::SeqCst);
    let calls = if here { &HERE } else { &ELSEWHERE };
    calls.fetch_add(1, Ordering::SeqCst);
}

/// What SIGCHLD does in this process.
fn set_disposition(disposition: libc::sighandler_t) {
    ME.store(std::process::id() as usize, Ordering::SeqCst);
    // SAFETY: zeroes are a whole sigaction; the handler only counts.
    let set = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = disposition;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGCHLD, &raw const action, std::ptr::null_mut())
    };
    assert_eq!(set, 0);
}

fn counting() -> libc::sighandler_t {
    let handler: extern "C" fn(i32) = count;
    handler as libc::sighandler_t
}

#[test]
fn a_handler_of_the_hosts_is_called_for_each_death() {
    isolated(|| {
        set_disposition(counting());
        run(async {
            for _ in 0..30 {
                let before = HERE.load(Ordering::SeqCst);
                assert_eq!(history(&helper(["say", "bye"])).await.text(1), "bye\n");
                eventually(
                    "a call of the handler",
                    || (HERE.load(Ordering::SeqCst) > before).then_some(()),
                    || format!("{before} before, and no more"),
                )
                .await;
            }
            assert_eq!(ELSEWHERE.load(Ordering::SeqCst), 0);
        });
    });
}

#[test]
fn no_handler_of_the_hosts_runs_in_a_child_and_none_inherits_anything() {
    isolated(|| {
        // For the flood of signals, which goes to the group.
        nix::unistd::setpgid(nix::unistd::Pid::from_raw(0), nix::unistd::Pid::from_raw(0)).unwrap();
        for disposition in [counting(), libc::SIG_DFL, libc::SIG_IGN] {
            set_disposition(disposition);
            let stop = Arc::new(AtomicBool::new(false));
            let flood = std::thread::spawn({
                let stop = Arc::clone(&stop);
                move || {
                    while !stop.load(Ordering::SeqCst) {
                        // SAFETY: integers.
                        unsafe { libc::kill(0, libc::SIGCHLD) };
                        std::thread::yield_now();
                    }
                }
            });
            run(async {
                for _ in 0..20 {
                    for key in ["SigBlk:", "SigIgn:", "SigCgt:"] {
                        let child = status().ignored_signals(IgnoredSignals::Reset);
                        assert_eq!(told(child, key).await, "0000000000000000", "{key}");
                    }
                }
            });
            stop.store(true, Ordering::SeqCst);
            flood.join().unwrap();
            assert_eq!(ELSEWHERE.load(Ordering::SeqCst), 0);
        }
        assert!(HERE.load(Ordering::SeqCst) > 0);
    });
}

/// Threads that take SIGCHLD, and wait for an event in a call that returns EINTR for any signal that wakes it.
struct Waiting {
    event: libc::c_int,
    threads: Vec<(i32, std::thread::JoinHandle<usize>)>,
}

impl Waiting {
    /// Each of `count` threads counts how often it was interrupted.
    async fn start(count: usize) -> Self {
        // SAFETY: integers.
        let event = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        assert!(event >= 0);
        let (tell, told) = mpsc::channel();
        let mut threads = Vec::new();
        for _ in 0..count {
            let tell = tell.clone();
            let thread = std::thread::spawn(move || {
                SigSet::from(Signal::SIGCHLD).thread_unblock().unwrap();
                // SAFETY: no arguments.
                tell.send(unsafe { libc::gettid() }).unwrap();
                interruptions_until(event)
            });
            threads.push((told.recv_timeout(DEADLINE).unwrap(), thread));
        }
        for (tid, _) in &threads {
            let call = || fs::read_to_string(format!("/proc/self/task/{tid}/syscall")).unwrap();
            let wanted = format!("{} ", libc::SYS_epoll_pwait);
            let is_in_it = || call().starts_with(&wanted).then_some(());
            eventually("a thread to wait", is_in_it, call).await;
        }
        Self { event, threads }
    }

    /// Ends the waiting; gives how often each thread was interrupted.
    fn interruptions(self) -> Vec<usize> {
        let one = 1_u64;
        // SAFETY: writes 8 bytes of a local.
        let written = unsafe { libc::write(self.event, (&raw const one).cast(), 8) };
        assert_eq!(written, 8);
        let threads = self.threads.into_iter();
        threads.map(|(_, thread)| thread.join().unwrap()).collect()
    }
}

fn interruptions_until(event: libc::c_int) -> usize {
    let mut interruptions = 0;
    // SAFETY: integers and live locals; a null mask changes none.
    unsafe {
        let epoll = libc::epoll_create1(libc::EPOLL_CLOEXEC);
        let mut wanted = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: 0,
        };
        let added = libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, event, &raw mut wanted);
        assert_eq!(added, 0);
        loop {
            match libc::epoll_pwait(epoll, &raw mut wanted, 1, -1, std::ptr::null()) {
                1 => break,
                _ => interruptions += 1,
            }
        }
        libc::close(epoll);
    }
    interruptions
}

#[test]
fn deaths_interrupt_no_call_of_a_host_that_has_no_handler() {
    // The kernel wakes one thread that does not block the signal: only those that wait are left.
    let blocked = |host: &mut std::process::Command| {
        // SAFETY: one system call over a local.
        unsafe { host.pre_exec(|| Ok(SigSet::from(Signal::SIGCHLD).thread_block()?)) };
    };
    isolated_with(blocked, || {
        for disposition in [libc::SIG_DFL, libc::SIG_IGN] {
            run(async {
                // It waits for a child of its own.
                let lease = HangingExec::new();
                set_disposition(disposition);
                let (trace, protocol) = Trace::start();
                let mut processes = Vec::new();
                for _ in 0..50 {
                    processes.push(Command::new("cat").spawn(&protocol).await.unwrap());
                }
                // The threads that cloned those, whom the kernel tells of the deaths, are in a clone
                // when they die.
                let mut hung = [(); 4].map(|()| lease.helper(["exit"]).spawn(&protocol));
                for spawning in &mut hung {
                    assert!(spawning.now_or_never().is_none());
                }
                lease.until_children(54).await;
                let waiting = Waiting::start(16).await;
                for process in processes {
                    assert!(process.kill());
                    trace.ended(&process).await;
                }
                assert_eq!(waiting.interruptions(), [0; 16]);
                drop(hung);
                lease.until_children(0).await;
                set_disposition(libc::SIG_DFL);
            });
        }
    });
}
