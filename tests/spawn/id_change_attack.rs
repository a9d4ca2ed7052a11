//! No process of the user that a child becomes gets at the memory of the host, however quick it is.
//!
//! A host as root keeps a secret on its heap and spawns children as nobody. Processes of nobody's
//! try every fresh process, in every way that Linux has, for the secret.
//!
//! Run by hand with `fs.suid_dumpable` 0, 1 and 2, 3,000 spawns each: nothing was read. Without the child's
//! `PR_SET_DUMPABLE` the secret was read 223 times in 1,000 forks with 1, and never with 2.

use crate::common;

use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::Instant;

use crate::tools::attack::{Attack, SECRET_VALUE};
use crate::tools::fuse::HangingDir;
use actix::prelude::*;
use actix_process::{Command, NoProtocol};
use common::hanging_exec::HangingExec;
use common::isolated::{isolated_with, skipped};
use common::refuse::{Call, refuse};
use common::report::may_change_ids;
use common::{amount, copy_of_this_program};
use nix::libc;

const NOBODY: u32 = 65534;
/// How many children there are, unless this variable says otherwise: fewer than with all tests in full.
fn spawns_by_default() -> usize {
    amount(1_000, 400)
}
const SPAWNS_VARIABLE: &str = "ACTIX_PROCESS_ATTACK_SPAWNS";
/// Marks an attacker; tells it what to look for.
const ATTACK: &str = "ACTIX_PROCESS_ATTACK";
/// A variable that only the host has.
const ENVIRONMENT: &str = "ACTIX_PROCESS_ATTACK_SECRET";
const ARBITERS: usize = 3;
const ATTACKERS: usize = 2;

#[test]
fn no_process_of_the_childs_user_reads_the_hosts_memory() {
    attacked(|| ());
}

#[test]
fn no_process_of_a_forked_childs_user_reads_the_hosts_memory() {
    // Without memfds a child that changes its ids has a copy of the memory.
    attacked(|| refuse(Call::Any(libc::SYS_memfd_create), libc::ENOSYS));
}

/// Runs the attack as the test `name`, after `begin`.
fn attacked(begin: impl FnOnce()) {
    if !may_change_ids() {
        return;
    }
    isolated_with(
        |host| {
            host.env(ENVIRONMENT, SECRET_VALUE);
        },
        || {
            let spawns = std::env::var(SPAWNS_VARIABLE).ok();
            begin();
            let dir = HangingDir::mount();
            if dir.is_none() {
                skipped("no directory that hangs");
            }
            attack(
                spawns.map_or_else(spawns_by_default, |number| number.parse().unwrap()),
                dir,
            );
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
        let hung = HangingExec::new();
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
