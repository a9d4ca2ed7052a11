//! What is left of a host's children when the host ends, each host in a process of its own: the
//! test run once more with a mark in its environment.

use crate::common;

use std::fs;
use std::process::{Command as HostCommand, Output};
use std::sync::mpsc;
use std::time::Duration;

use actix::prelude::*;
use actix_process::{Command, NoProtocol, OnOrphaned, ProcessHandle, ProcessSupervisor, Spawn};
use common::census::{is_gone, state_and_parent};
use common::helper::helper;
use common::isolated::this_test;
use common::trace::{Trace, spawned, spawned_by};
use common::{DEADLINE, block_on_thread, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Tells the host that it is one; its value is the test's own argument.
const MARK: &str = "ACTIX_PROCESS_HOST";

/// Whether this is a host, and its argument.
fn role() -> Option<String> {
    std::env::var(MARK).ok()
}

/// Runs this test once more, as a host with `argument`, until it ends.
fn host(argument: &str) -> Output {
    HostCommand::new(std::env::current_exe().unwrap())
        .args([&this_test(), "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, argument)
        .output()
        .unwrap()
}

/// The children of a host that has ended.
#[derive(Debug)]
struct Children {
    left: i32,
    killed: i32,
    terminated: i32,
    stubborn: i32,
}

const NAMES: [&str; 4] = ["left", "killed", "terminated", "stubborn"];

fn commands() -> [Command; 4] {
    let child = |policy| helper(["say", "ready", "pause"]).on_orphaned(policy);
    let long = OnOrphaned::Terminate(10 * DEADLINE);
    let stubborn = helper(["ignore", "15", "say", "ready", "pause"]);
    [
        child(OnOrphaned::Leave),
        child(OnOrphaned::Kill),
        child(long),
        stubborn.on_orphaned(long),
    ]
}

/// In a host: spawns one child for each policy, waits until each is ready, and prints their pids.
async fn spawn_and_print() -> Vec<ProcessHandle> {
    let (trace, protocol) = Trace::start();
    let mut processes = Vec::new();
    for (name, command) in NAMES.iter().zip(commands()) {
        let process = command.spawn(&protocol).await.unwrap();
        trace.output(&process, 1, "ready").await;
        println!("\nchild {name} {}", process.pid().unwrap());
        processes.push(process);
    }
    processes
}

impl Children {
    fn printed_by(host: &Output) -> Self {
        let [left, killed, terminated, stubborn] =
            NAMES.map(|name| Self::pid_printed_by(host, name));
        Self {
            left,
            killed,
            terminated,
            stubborn,
        }
    }

    fn pid_printed_by(host: &Output, name: &str) -> i32 {
        let text = String::from_utf8_lossy(&host.stdout);
        let mark = format!("child {name} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&mark));
        line.and_then(|pid| pid.parse().ok())
            .unwrap_or_else(|| panic!("no pid of {name} in {host:?}"))
    }

    /// The host applied every policy: SIGKILL, SIGTERM, or nothing. Nobody escalates any more.
    fn assert_policies_applied(&self) {
        let this = Guard(vec![self.left, self.stubborn]);
        System::new().block_on(async {
            for pid in [self.killed, self.terminated] {
                let seen = || format!("{:?} of {self:?}", state_and_parent(pid));
                eventually("its death", || is_gone(pid).then_some(()), seen).await;
            }
        });
        this.assert_alive();
    }

    /// No policy was applied.
    fn assert_untouched(&self) {
        Guard(vec![self.left, self.killed, self.terminated, self.stubborn]).assert_alive();
    }
}

/// Survivors, killed when the test is done with them.
struct Guard(Vec<i32>);

impl Guard {
    fn assert_alive(&self) {
        for pid in &self.0 {
            assert!(is_helper(*pid), "{pid}: {:?}", state_and_parent(*pid));
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        for pid in &self.0 {
            if is_helper(*pid) {
                let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
        }
    }
}

/// Whether `pid` is a living process of our helper program, not some descendant of its number.
fn is_helper(pid: i32) -> bool {
    let cmdline = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    !is_gone(pid) && cmdline.windows(7).any(|window| window == b"@helper")
}

/// Ends a host as a return from main does.
fn return_from_main() -> ! {
    std::process::exit(0)
}

fn assert_hosts_apply_every_policy(hosts: usize) {
    for _ in 0..hosts {
        let ended = host("");
        assert!(ended.status.success(), "{ended:?}");
        Children::printed_by(&ended).assert_policies_applied();
    }
}

#[test]
fn a_main_that_merely_returns_applies_every_policy() {
    if role().is_some() {
        System::new().block_on(spawn_and_print());
        return_from_main();
    }
    // Whether other arbiters' threads still get to run is a matter of luck: several times.
    assert_hosts_apply_every_policy(5);
}

#[test]
fn a_main_that_returns_applies_the_policies_of_children_on_other_arbiters() {
    if role().is_some() {
        System::new().block_on(async {
            let arbiter = Arbiter::new();
            let (ready, all_ready) = tokio::sync::oneshot::channel();
            arbiter.spawn(async move {
                let _ = ready.send(spawn_and_print().await);
            });
            all_ready.await.unwrap();
        });
        return_from_main();
    }
    assert_hosts_apply_every_policy(10);
}

#[test]
fn a_main_that_panics_applies_every_policy() {
    if role().is_some() {
        System::new().block_on(async {
            spawn_and_print().await;
            panic!("a main that panics, on purpose");
        });
    }
    let ended = host("");
    assert!(!ended.status.success(), "{ended:?}");
    Children::printed_by(&ended).assert_policies_applied();
}

#[test]
fn a_stopped_system_applies_every_policy() {
    if role().is_some() {
        let system = System::new();
        system.block_on(spawn_and_print());
        System::current().stop();
        system.run().unwrap();
        return_from_main();
    }
    assert_hosts_apply_every_policy(5);
}

/// Takes long to write the line of an orphan whose supervisor is gone.
struct SlowLogger(mpsc::Sender<()>);

impl log::Log for SlowLogger {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &log::Record) {
        let line = record.args().to_string();
        if line.contains("is orphaned, its supervisor is gone") {
            self.0.send(()).unwrap();
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_main_that_returns_waits_for_a_policy_that_another_thread_applies() {
    if role().is_some() {
        let (enter, entered) = mpsc::channel();
        log::set_boxed_logger(Box::new(SlowLogger(enter))).unwrap();
        log::set_max_level(log::LevelFilter::Warn);
        System::new().block_on(async {
            let arbiter = Arbiter::new();
            let supervisor = ProcessSupervisor::start_in_arbiter(&arbiter.handle(), |_| {
                ProcessSupervisor::new()
            });
            let child = helper(["say", "ready", "pause"]).on_orphaned(OnOrphaned::Kill);
            let (trace, process) = spawned_by(&supervisor, child).await;
            trace.output(&process, 1, "ready").await;
            println!("\nchild killed {}", process.pid().unwrap());
            arbiter.stop();
            entered.recv_timeout(DEADLINE).unwrap();
        });
        return_from_main();
    }
    let ended = host("");
    assert!(ended.status.success(), "{ended:?}");
    let pid = Children::pid_printed_by(&ended, "killed");
    let _guard = Guard(vec![pid]);
    System::new().block_on(eventually(
        "its death",
        || is_gone(pid).then_some(()),
        || format!("{:?}", state_and_parent(pid)),
    ));
}

#[test]
fn a_stopped_system_in_a_host_that_lives_on_escalates_and_reaps() {
    if role().is_some() {
        let system = System::new();
        let (trace, process) = system.block_on(async {
            let child = helper(["ignore", "15", "say", "ready", "pause"]);
            let child = child.on_orphaned(OnOrphaned::Terminate(Duration::from_millis(50)));
            let (trace, process) = spawned(child).await;
            trace.output(&process, 1, "ready").await;
            (trace, process)
        });
        System::current().stop();
        system.run().unwrap();
        // No System is left, and no arbiter: the process-wide thread does it.
        let status = block_on_thread(process.ended());
        assert_eq!(status.signal(), Some(actix_process::Signal::KILL));
        assert_eq!(common::census::children(), []);
        drop(trace);
        println!("\nreaped");
        return_from_main();
    }
    let ended = host("");
    let text = String::from_utf8_lossy(&ended.stdout);
    assert!(
        ended.status.success() && text.contains("\nreaped\n"),
        "{ended:?}"
    );
}

#[test]
fn a_supervisor_of_the_systems_own_arbiter_applies_every_policy_when_main_returns() {
    if role().is_some() {
        System::new().block_on(async {
            let supervisor = ProcessSupervisor::new().start();
            let (trace, protocol) = Trace::start();
            for (name, command) in NAMES.iter().zip(commands()) {
                let spawn = Spawn::new(command, &protocol);
                let process = supervisor.send(spawn).await.unwrap().unwrap();
                trace.output(&process, 1, "ready").await;
                println!("\nchild {name} {}", process.pid().unwrap());
            }
        });
        return_from_main();
    }
    let ended = host("");
    assert!(ended.status.success(), "{ended:?}");
    Children::printed_by(&ended).assert_policies_applied();
}

#[test]
fn process_exit_applies_no_policy() {
    if role().is_some() {
        System::new().block_on(async {
            let _processes = spawn_and_print().await;
            std::process::exit(0);
        });
    }
    let ended = host("");
    assert!(ended.status.success(), "{ended:?}");
    Children::printed_by(&ended).assert_untouched();
}

/// Living processes whose command line has `token`.
fn bearers_of(token: &str) -> Vec<i32> {
    let listing = fs::read_dir("/proc").unwrap().flatten();
    listing
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| !is_gone(*pid))
        .filter(|pid| {
            let cmdline = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&cmdline).contains(token)
        })
        .collect()
}

#[test]
fn a_main_that_returns_in_the_middle_of_a_spawn_leaves_no_child() {
    if let Some(argument) = role() {
        let (micros, token) = argument.split_once(' ').unwrap();
        let delay = Duration::from_micros(micros.parse().unwrap());
        System::new().block_on(async {
            // The threads exist, so that the delay meets the spawn and not their start.
            let warm = helper(["exit"]).spawn(NoProtocol).await.unwrap();
            warm.ended().await;
            let supervisor = ProcessSupervisor::current().unwrap();
            let command = helper(["pause", token]);
            supervisor.do_send(Spawn::new(command, NoProtocol));
            std::thread::sleep(delay);
        });
        return_from_main();
    }
    for round in 0..40 {
        let token = format!("mid-spawn-{}-{round}", std::process::id());
        let ended = host(&format!("{} {token}", round * 50));
        assert!(ended.status.success(), "{ended:?}");
        System::new().block_on(async {
            let gone = || bearers_of(&token).is_empty().then_some(());
            let seen = || {
                let guard = Guard(bearers_of(&token));
                format!("{:?} after {} us", guard.0, round * 50)
            };
            eventually("the child's death", gone, seen).await;
        });
    }
}
