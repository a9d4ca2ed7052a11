//! A host that changes its own environment: each spawn has it as it is when asked for, or newer.

use crate::common;

use std::ffi::OsStr;

use actix_process::Command;
use common::hanging_exec::HangingExec;
use common::helper::helper;
use common::isolated::isolated;
use common::report::told;
use common::run;
use common::trace::Trace;
use futures::FutureExt;
use futures::future::join_all;

const NAME: &str = "ACTIX_PROCESS_CHANGES";

fn set(name: &str, value: impl AsRef<OsStr>) {
    // SAFETY: this process runs one test, and all its threads read the environment by std's
    // functions, which take a lock.
    unsafe { std::env::set_var(name, value) };
}

/// What a child has for [`NAME`].
async fn seen(command: Command) -> String {
    told(command, "ACTIX_PROCESS_CHANGES=").await
}

#[test]
fn each_of_many_spawns_sees_the_change_before_it() {
    isolated(|| {
        run(async {
            for round in 0..50 {
                let value = format!("value {round}");
                set(NAME, &value);
                assert_eq!(seen(helper(["env"])).await, value);
            }
        });
    });
}

#[test]
fn spawns_asked_at_once_after_a_change_all_see_it() {
    isolated(|| {
        run(async {
            for round in 0..10 {
                let [old, new] = ["old", "new"].map(|value| format!("{value} {round}"));
                set(NAME, &old);
                let (trace, protocol) = Trace::start();
                let mut before = [(); 16].map(|()| helper(["env"]).spawn(&protocol));
                for spawning in &mut before {
                    assert!(spawning.now_or_never().is_none());
                }
                set(NAME, &new);
                let after = join_all((0..16).map(|_| seen(helper(["env"])))).await;
                assert!(after.iter().all(|value| *value == new), "{after:?}");
                for spawning in before {
                    let text = trace.ended(&spawning.await.unwrap()).await.text(1);
                    let has = |value| text.contains(&format!("\n{NAME}={value}\n"));
                    assert!(has(&old) || has(&new), "{text}");
                }
            }
        });
    });
}

#[test]
fn what_a_hung_spawn_has_read_serves_none_that_is_asked_later() {
    isolated(|| {
        run(async {
            let mut lease = HangingExec::new();
            let (trace, protocol) = Trace::start();
            set(NAME, "old");
            let mut hung = lease.helper(["env"]).spawn(&protocol);
            assert!((&mut hung).now_or_never().is_none());
            lease.until_children(1).await;
            for value in ["new", "newer"] {
                set(NAME, value);
                let all = join_all((0..16).map(|_| seen(helper(["env"])))).await;
                assert!(all.iter().all(|seen| *seen == value), "{all:?}");
            }
            lease.release();
            let text = trace.ended(&hung.await.unwrap()).await.text(1);
            assert!(text.contains(&format!("\n{NAME}=old\n")), "{text}");
        });
    });
}

#[test]
fn a_spawns_own_variables_stand_beside_the_changed_ones() {
    isolated(|| {
        run(async {
            for value in ["one", "two"] {
                set(NAME, value);
                assert_eq!(seen(helper(["env"]).env("OTHER", "x")).await, value);
                assert_eq!(seen(helper(["env"]).env(NAME, "own")).await, "own");
                assert_eq!(seen(helper(["env"])).await, value);
            }
        });
    });
}

#[test]
fn a_changed_path_leads_to_other_programs() {
    isolated(|| {
        run(async {
            let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
            for (dir, text) in dirs.iter().zip(["one", "two"]) {
                let script = format!("#!/bin/sh\necho is {text}\n");
                common::write_executable(&dir.path().join("here"), &script);
            }
            for (dir, text) in dirs.iter().zip(["one", "two"]) {
                set("PATH", dir.path());
                assert_eq!(told(Command::new("here"), "is").await, text);
            }
        });
    });
}
