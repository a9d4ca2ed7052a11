//! No process of the user that a child becomes gets at the memory of the host, however quick it is.
//!
//! A host as root keeps a secret on its heap and spawns children as nobody. Processes of nobody's
//! try every fresh process, in every way that Linux has, for the secret.

use crate::common;

use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use actix::prelude::*;
use actix_process::{Command, NoProtocol};
use common::copy_of_this_program;
use common::fuse::HangingDir;
use common::hung::Hung;
use common::isolated::{named::isolated_with, skipped};
use common::refuse::{Call, refuse};
use common::told::may_change_ids;
use nix::libc;

const NOBODY: u32 = 65534;
/// How many children there are, unless this variable says otherwise.
const SPAWNS: usize = 1_000;
const SPAWNS_VARIABLE: &str = "ACTIX_PROCESS_ATTACK_SPAWNS";
/// Marks an attacker; tells it what to look for.
const ATTACK: &str = "ACTIX_PROCESS_ATTACK";
/// A variable that only the host has.
const ENVIRONMENT: &str = "ACTIX_PROCESS_ATTACK_SECRET";
const ARBITERS: usize = 3;
const ATTACKERS: usize = 2;

#[test]
fn no_process_of_the_childs_user_reads_the_hosts_memory() {
    attacked(
        "no_process_of_the_childs_user_reads_the_hosts_memory",
        || (),
    );
}

#[test]
fn no_process_of_a_forked_childs_user_reads_the_hosts_memory() {
    // Without memfds a child that changes its ids has a copy of the memory.
    attacked(
        "no_process_of_a_forked_childs_user_reads_the_hosts_memory",
        || refuse(Call::Any(libc::SYS_memfd_create), libc::ENOSYS),
    );
}

/// Runs the attack as the test `name`, after `begin`.
fn attacked(name: &str, begin: impl FnOnce()) {
    if !may_change_ids() {
        return;
    }
    isolated_with(
        name,
        |host| {
            host.env(ENVIRONMENT, "in the environment");
        },
        || {
            let spawns = std::env::var(SPAWNS_VARIABLE).ok();
            begin();
            let dir = HangingDir::mount();
            if dir.is_none() {
                skipped("no directory that hangs");
            }
            attack(spawns.map_or(SPAWNS, |number| number.parse().unwrap()), dir);
        },
    );
}

fn attack(spawns: usize, hanging_dir: Option<HangingDir>) {
    let mut secret = Box::new([0_u8; 32]);
    File::open("/dev/urandom")
        .unwrap()
        .read_exact(&mut *secret)
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("attacker");
    copy_of_this_program(&program);
    let attack = format!(
        "{} {} {}",
        std::process::id(),
        secret.as_ptr() as usize,
        common::helper::hex(*secret)
    );
    let attackers: Vec<Attacker> = (0..ATTACKERS)
        .map(|_| Attacker::start(&program, &attack))
        .collect();
    let busy = Attacker(
        std::process::Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .unwrap(),
    );
    let begun = Instant::now();
    // Longer than a test is given: as many spawns as were asked for.
    System::new().block_on(async {
        let hung = Hung::new();
        let hanging = hung
            .helper(["exit", "0"])
            .uid(NOBODY)
            .gid(NOBODY)
            .env_clear();
        let hanging = hanging.spawn(NoProtocol);
        actix_rt::spawn(async move { drop(hanging.await) });
        let others: Vec<u32> = attackers.iter().chain([&busy]).map(|a| a.0.id()).collect();
        let first = hung.until_child_beside(&others).await;
        if let Some(dir) = &hanging_dir {
            let child = Command::new("/bin/true")
                .uid(NOBODY)
                .gid(NOBODY)
                .env_clear();
            let hanging = child.current_dir(dir.path()).spawn(NoProtocol);
            actix_rt::spawn(async move { drop(hanging.await) });
            let others: Vec<u32> = others.iter().copied().chain([first as u32]).collect();
            hung.until_child_beside(&others).await;
        }
        let arbiters: Vec<Arbiter> = (0..ARBITERS).map(|_| Arbiter::new()).collect();
        let done = arbiters.iter().map(|arbiter| {
            let (tell, told) = tokio::sync::oneshot::channel();
            arbiter.spawn(async move {
                for _ in 0..spawns / ARBITERS {
                    let child = Command::new("/bin/true").uid(NOBODY).gid(NOBODY);
                    // An attacker may stop it for a while.
                    let child = child.current_dir("/").env_clear();
                    assert!(child.status().await.unwrap().success());
                }
                let _ = tell.send(());
            });
            told
        });
        futures::future::try_join_all(done).await.unwrap();
        drop(hanging_dir);
    });
    let took = begun.elapsed();
    drop(busy);
    let mut fresh = 0;
    let mut read = 0;
    let mut texts = String::new();
    for attacker in attackers {
        let text = attacker.stop();
        fresh += number_after(&text, "fresh ");
        read += number_after(&text, "read ");
        texts += &text;
    }
    println!("{spawns} spawns in {took:?}: {fresh} processes looked at, {read} reads");
    assert_eq!(read, 0, "the secret is out:\n{texts}");
    assert!(
        fresh > spawns / 4,
        "the attackers have seen little:\n{texts}"
    );
    drop(secret);
}

fn number_after(text: &str, key: &str) -> usize {
    let rest = text.lines().find_map(|line| line.strip_prefix(key));
    rest.unwrap_or_else(|| panic!("no {key} in {text}"))
        .parse()
        .unwrap()
}

/// A process that is killed when this drops.
struct Attacker(Child);

impl Attacker {
    fn start(program: &std::path::Path, attack: &str) -> Self {
        let mut command = std::process::Command::new(program);
        let attacker = command
            .args([
                &common::isolated::test_beside("the_attacker"),
                "--exact",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(ATTACK, attack)
            .env_remove(ENVIRONMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .uid(NOBODY)
            .gid(NOBODY)
            .current_dir("/");
        Self(attacker.spawn().unwrap())
    }

    /// Ends the attack; what it tells.
    fn stop(mut self) -> String {
        drop(self.0.stdin.take());
        let mut text = String::new();
        let stdout = self.0.stdout.as_mut().unwrap();
        stdout.read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_attacker() {
    let Ok(attack) = std::env::var(ATTACK) else {
        return;
    };
    let mut words = attack.split(' ');
    let mut next = || words.next().unwrap();
    let (host, address) = (next().parse().unwrap(), next().parse().unwrap());
    let mut attack = Attack {
        host,
        address,
        secret: next().to_owned(),
        fresh: 0,
        read: 0,
        tried: 0,
    };
    println!();
    attack.run();
    println!(
        "fresh {}\ntried {}\nread {}",
        attack.fresh, attack.tried, attack.read
    );
}

struct Attack {
    host: i32,
    address: usize,
    secret: String,
    /// Processes that were looked at.
    fresh: usize,
    /// Attempts.
    tried: usize,
    /// Attempts that gave the secret.
    read: usize,
}

/// What an attempt tells.
#[derive(PartialEq, Eq)]
enum Told {
    /// The process may not be looked at, yet.
    Refused,
    /// It is gone, or its memory is not the host's.
    Nothing,
    Secret,
}

impl Attack {
    /// Goes on until stdin is at its end.
    fn run(&mut self) {
        let last_pid = File::open("/proc/loadavg").unwrap();
        let last_pid = || {
            let mut text = [0; 64];
            let length = last_pid.read_at(&mut text, 0).unwrap();
            let text = str::from_utf8(&text[..length]).unwrap();
            text.trim_end()
                .rsplit(' ')
                .next()
                .unwrap()
                .parse::<i32>()
                .unwrap()
        };
        let mut targets: Vec<(i32, usize)> = Vec::new();
        let mut last = last_pid();
        // What hangs already.
        targets.extend((self.host..=last).map(|pid| (pid, 0)));
        for round in 0_usize.. {
            let newest = last_pid();
            if newest < last || newest > last + 1000 {
                last = newest - 1;
            }
            targets.extend((last + 1..=newest).map(|pid| (pid, 0)));
            last = newest;
            // Who is about to be.
            for pid in newest + 1..newest + 4 {
                if self.attempt(pid, 0) == Told::Secret {
                    self.found(pid, 0);
                }
            }
            let mut left = Vec::with_capacity(targets.len());
            for (pid, attempts) in targets {
                if attempts == 0 {
                    self.fresh += 1;
                }
                match self.attempt(pid, attempts) {
                    Told::Secret => self.found(pid, attempts),
                    // A stranger is left in peace.
                    Told::Refused if attempts == 200 && !self.is_childs(pid) => {}
                    Told::Refused => left.push((pid, attempts + 1)),
                    Told::Nothing => {}
                }
            }
            targets = left;
            if round.is_multiple_of(64) && is_at_end(0) {
                return;
            }
        }
    }

    fn found(&mut self, pid: i32, attempts: usize) {
        self.read += 1;
        if self.read < 20 {
            println!("{pid}: the secret, by way {}", attempts % WAYS);
        }
    }

    fn is_childs(&self, pid: i32) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.split(' ').nth(1));
        parent.is_some_and(|parent| parent == self.host.to_string())
    }

    /// The quickest way most of the time, each of the others now and then.
    fn attempt(&mut self, pid: i32, attempts: usize) -> Told {
        self.tried += 1;
        match attempts % WAYS {
            3 => self.by_mem(pid),
            7 => self.by_file(pid, "environ", "in the environment"),
            11 => self.by_maps(pid),
            15 => self.by_trace(pid),
            19 => self.when_stopped(pid),
            _ => self.by_readv(pid),
        }
    }

    fn told(&self, got: isize, memory: &[u8]) -> Told {
        match std::io::Error::last_os_error().raw_os_error() {
            _ if got > 0 => self.is_secret(memory),
            Some(libc::EPERM | libc::EACCES) => Told::Refused,
            _ => Told::Nothing,
        }
    }

    fn is_secret(&self, memory: &[u8]) -> Told {
        if common::helper::hex(memory) == self.secret {
            Told::Secret
        } else {
            Told::Nothing
        }
    }

    fn by_readv(&self, pid: i32) -> Told {
        let mut memory = [0_u8; 32];
        let local = libc::iovec {
            iov_base: memory.as_mut_ptr().cast(),
            iov_len: memory.len(),
        };
        let remote = libc::iovec {
            iov_base: self.address as *mut libc::c_void,
            iov_len: memory.len(),
        };
        // SAFETY: the kernel writes at most 32 bytes into the local.
        let got =
            unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
        self.told(got, &memory)
    }

    fn by_mem(&self, pid: i32) -> Told {
        let file = match File::options()
            .read(true)
            .write(true)
            .open(format!("/proc/{pid}/mem"))
        {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Told::Refused;
            }
            Err(_) => return Told::Nothing,
        };
        let mut memory = [0_u8; 32];
        match file.read_at(&mut memory, self.address as u64) {
            Ok(1..) => self.is_secret(&memory),
            _ => Told::Nothing,
        }
    }

    fn by_file(&self, pid: i32, name: &str, wanted: &str) -> Told {
        match fs::read(format!("/proc/{pid}/{name}")) {
            Ok(text) if String::from_utf8_lossy(&text).contains(wanted) => Told::Secret,
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Told::Refused,
            _ => Told::Nothing,
        }
    }

    /// Whether the process has the host's mappings: something is where the secret is.
    fn by_maps(&self, pid: i32) -> Told {
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/maps")) else {
            return Told::Refused;
        };
        let covers = |line: &str| -> Option<bool> {
            let (begin, end) = line.split_once(' ')?.0.split_once('-')?;
            let number = |text| usize::from_str_radix(text, 16).ok();
            Some((number(begin)?..number(end)?).contains(&self.address))
        };
        match text.lines().any(|line| covers(line) == Some(true)) {
            true => Told::Secret,
            false if text.is_empty() => Told::Refused,
            false => Told::Nothing,
        }
    }

    fn by_trace(&self, pid: i32) -> Told {
        // SAFETY: integers; a process that was seized is let go of again.
        unsafe {
            if libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) != 0 {
                return self.told(-1, &[]);
            }
            let told = self.by_readv(pid);
            libc::ptrace(libc::PTRACE_INTERRUPT, pid, 0, 0);
            let mut status = 0;
            libc::waitpid(pid, &raw mut status, libc::__WALL);
            libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0);
            told
        }
    }

    /// A process of the user's can be stopped where it is, and looked at in peace.
    fn when_stopped(&self, pid: i32) -> Told {
        if !self.is_childs(pid) {
            return Told::Refused;
        }
        // SAFETY: integers.
        if unsafe { libc::kill(pid, libc::SIGSTOP) } != 0 {
            return self.by_readv(pid);
        }
        let begun = Instant::now();
        let mut told = Told::Refused;
        while told == Told::Refused && begun.elapsed() < Duration::from_millis(3) {
            told = self.by_readv(pid);
            if told == Told::Refused {
                told = self.by_mem(pid);
            }
        }
        // SAFETY: integers.
        unsafe { libc::kill(pid, libc::SIGCONT) };
        told
    }
}

/// Attempts at one process until all ways were tried once.
const WAYS: usize = 20;

fn is_at_end(fd: i32) -> bool {
    let mut poll = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one live pollfd.
    unsafe { libc::poll(&raw mut poll, 1, 0) > 0 }
}
