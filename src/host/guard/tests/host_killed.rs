//! Hosts that are killed by SIGKILL: this test program once more, which runs the test [`host`] alone.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command as StdCommand, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use procfs::process::all_processes;

use super::{FAMILY, Family, all_gone, guard, guard_gone, in_a_system, members};
use crate::{Command, Fd, NoProtocol};

/// Says what the host does.
const ROLE: &str = "ACTIX_PROCESS_GUARD_TEST_HOST";
/// All that a host starts has it in its environment.
const TAG: &str = "ACTIX_PROCESS_GUARD_TEST_TAG";

struct Host {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Host {
    fn start(role: &str, tag: &str) -> Self {
        let name = concat!(module_path!(), "::host");
        let (_, name) = name.split_once("::").unwrap();
        let mut child = StdCommand::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(TAG, tag)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// The numbers in the line that begins so.
    fn told(&mut self, begin: &str) -> Vec<i32> {
        let mut line = String::new();
        loop {
            line.clear();
            let count = self.output.read_line(&mut line).unwrap();
            assert!(count > 0, "the host has ended");
            if let Some((_, numbers)) = line.split_once(begin) {
                let numbers = numbers.split_whitespace();
                return numbers.map(|number| number.parse().unwrap()).collect();
            }
        }
    }

    /// Its drop does it.
    fn kill(self) {
        drop(self);
    }
}

/// How many processes have `tag`.
fn tagged(tag: &str) -> Vec<i32> {
    let wanted = format!("{TAG}={tag}");
    let processes = all_processes().unwrap().filter_map(Result::ok);
    let tagged = processes.filter(|process| {
        let mut environment = Vec::new();
        let file = std::fs::File::open(format!("/proc/{}/environ", process.pid));
        let read = file.and_then(|mut file| file.read_to_end(&mut environment));
        read.is_ok()
            && environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == wanted.as_bytes())
    });
    tagged.map(|process| process.pid).collect()
}

/// No test but the host of those below.
#[test]
fn host() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    in_a_system(async {
        let (guard, _told, pid) = guard().await;
        if role == "three" {
            let families = [
                Family::spawn().await,
                Family::spawn().await,
                Family::spawn().await,
            ];
            guard.add(1, &families[0].process);
            guard.add(2, &families[1].process);
            guard.remove(2);
            super::all_told(&guard).await;
            let [a, b, c] = families.each_ref().map(|family| family.group);
            println!("host: {pid} {a} {b} {c}");
            return std::future::pending().await;
        }
        println!("host: {pid}");
        // Starts, more and more, several at a time.
        for round in 0_u64.. {
            let starts = (0..4).map(|n| round * 4 + n).map(|generation| {
                let guard = &guard;
                async move {
                    let (name, value) = guard.announce(generation);
                    guard.tell();
                    let command = Command::new("/bin/sh")
                        .args(["-c", FAMILY])
                        .process_group(0)
                        .stdin(Fd::null())
                        .stdout(Fd::null())
                        .parent_death_signal(crate::Signal::KILL)
                        .env(name, value);
                    let process = command.spawn(NoProtocol).await.unwrap();
                    guard.add(generation, &process);
                }
            });
            futures::future::join_all(starts).await;
        }
    });
}

#[test]
fn a_killed_host_takes_its_listed_groups_with_it() {
    in_a_system(async {
        let mut host = Host::start("three", "three");
        let told = host.told("host: ");
        let [guard, listed, removed, never] = told[..] else {
            panic!("{told:?}");
        };
        assert_eq!(members(listed), 2);
        host.kill();
        guard_gone(guard).await;
        all_gone(listed).await;
        let left = [members(removed), members(never)];
        for group in [removed, never] {
            killpg(Pid::from_raw(group), Signal::SIGKILL).unwrap();
        }
        assert_eq!(left, [2, 2]);
    });
}

/// Kills hosts in the midst of starts; gives how many processes have survived, of how many hosts.
async fn storms(count: u32) -> (usize, u32) {
    let mut survivors = 0;
    let mut bad = 0;
    for n in 0..count {
        let tag = format!("storm {} {n}", std::process::id());
        let mut host = Host::start("storm", &tag);
        let guard = host.told("host: ")[0];
        tokio::time::sleep(Duration::from_micros(fastrand::u64(1000..200_000))).await;
        host.kill();
        guard_gone(guard).await;
        // What was killed may take a moment to be gone.
        let begun = Instant::now();
        let mut left = tagged(&tag);
        while !left.is_empty() && begun.elapsed() < Duration::from_secs(5) {
            tokio::time::sleep(Duration::from_millis(5)).await;
            left = tagged(&tag);
        }
        survivors += left.len();
        bad += u32::from(!left.is_empty());
        for pid in left {
            let _ = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    (survivors, bad)
}

#[test]
fn nothing_survives_a_host_that_is_killed_while_it_starts_services() {
    in_a_system(async {
        let all = std::env::var_os("ACTIX_PROCESS_ALL").is_some();
        assert_eq!(storms(if all { 50 } else { 10 }).await, (0, 0));
    });
}
