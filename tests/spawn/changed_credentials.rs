//! libc's setuid and the like change all threads of a process. A spawn that was asked for before is
//! done with the ids, groups and capabilities of then, or refused.

use crate::common;

use std::time::Instant;

use actix_process::SpawnStep;
use common::isolated::isolated;
use common::report::{may_change_ids, status};
use common::run;
use common::trace::Trace;
use nix::unistd::{Gid, Uid, seteuid, setgroups};

const NOBODY: u32 = 65534;
const SPAWNS: usize = 200;

/// Spawns under `before`, changes to `after` at once: no child has `wrong` after `key`.
fn never(key: &'static str, wrong: &str, before: impl Fn(), after: impl Fn()) {
    run(async {
        let begun = Instant::now();
        let (mut refused, mut done) = (0, 0);
        for _ in 0..SPAWNS {
            let (trace, protocol) = Trace::start();
            before();
            let spawning = status().spawn(&protocol);
            after();
            match spawning.await {
                Ok(process) => {
                    let text = trace.ended(&process).await.text(1);
                    let line = text.lines().find_map(|line| line.strip_prefix(key));
                    let line = line.unwrap_or_else(|| panic!("no {key} in {text}"));
                    assert_ne!(line.split_whitespace().collect::<Vec<_>>().join(" "), wrong);
                    done += 1;
                }
                Err(error) => {
                    assert_eq!(error.step(), SpawnStep::Clone, "{error}");
                    refused += 1;
                }
            }
        }
        eprintln!("{refused} refused, {done} done, {:?}", begun.elapsed());
    });
}

fn no_new_privs() {
    nix::sys::prctl::set_no_new_privs().unwrap();
}

fn ids_change(begin: impl Fn()) {
    if !may_change_ids() {
        return;
    }
    isolated(|| {
        begin();
        never(
            "Uid:",
            "0 0 0 0",
            || seteuid(Uid::from_raw(NOBODY)).unwrap(),
            || seteuid(Uid::from_raw(0)).unwrap(),
        );
    });
}

#[test]
fn no_child_has_a_user_of_after_it_was_asked_for() {
    ids_change(|| ());
}

#[test]
fn no_child_of_a_thread_of_its_own_has_a_user_of_after_it_was_asked_for() {
    ids_change(no_new_privs);
}

fn groups_change(begin: impl Fn()) {
    if !may_change_ids() {
        return;
    }
    isolated(|| {
        begin();
        never(
            "Groups:",
            "0 7",
            || setgroups(&[Gid::from_raw(5)]).unwrap(),
            || setgroups(&[Gid::from_raw(0), Gid::from_raw(7)]).unwrap(),
        );
    });
}

#[test]
fn no_child_has_groups_of_after_it_was_asked_for() {
    groups_change(|| ());
}

#[test]
fn no_child_of_a_thread_of_its_own_has_groups_of_after_it_was_asked_for() {
    groups_change(no_new_privs);
}
