//! Who a child is, and that the parent stays who it was.

use crate::common;

use std::future::IntoFuture;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use actix_process::{Command, Fd, FdMap, IgnoredSignals, NoProtocol, Resource, Signal, SpawnStep};
use common::census::is_gone;
use common::hanging_exec::HangingExec;
use common::helper::helper;
use common::isolated::isolated;
use common::report::{may_change_ids, status, told};
use common::trace::{data_of, spawned};
use common::{eventually, run, start_all_threads};

const NOBODY: u32 = 65534;

#[test]
fn a_user_brings_its_group_and_its_groups() {
    if !may_change_ids() {
        return;
    }
    run(async {
        let user = || status().user("nobody").current_dir("/");
        assert_eq!(told(user(), "Uid:").await, "65534 65534 65534 65534");
        assert_eq!(told(user(), "Gid:").await, "65534 65534 65534 65534");
        assert_eq!(told(user(), "Groups:").await, "65534");
        let by_number = status().uid(NOBODY).current_dir("/");
        assert_eq!(
            told(by_number.clone(), "Gid:").await,
            "65534 65534 65534 65534"
        );
        assert_eq!(told(by_number, "Groups:").await, "65534");
    });
}

#[test]
fn group_and_groups_can_be_chosen() {
    if !may_change_ids() {
        return;
    }
    run(async {
        let child = || status().uid(NOBODY).gid(7).groups([3, 5]);
        assert_eq!(told(child(), "Gid:").await, "7 7 7 7");
        assert_eq!(told(child(), "Groups:").await, "3 5");
        assert_eq!(told(child().groups([]), "Groups:").await, "");
        // A uid that passwd does not know has no groups but the one that is given.
        let unknown = status().uid(4_000_000).gid(7);
        assert_eq!(told(unknown, "Groups:").await, "7");
    });
}

#[test]
fn unknown_users_and_missing_groups_are_identity_errors() {
    run(async {
        let error = status()
            .user("no-such-user")
            .spawn(NoProtocol)
            .await
            .unwrap_err();
        assert_eq!(error.step(), SpawnStep::Identity);
        assert!(error.subject().contains("no-such-user"), "{error}");
        let error = status().uid(4_000_000).spawn(NoProtocol).await.unwrap_err();
        assert_eq!(error.step(), SpawnStep::Identity);
        assert!(error.detail().contains("group"), "{error}");
    });
}

#[test]
fn missing_privilege_is_an_identity_error() {
    if !may_change_ids() {
        return;
    }
    isolated(|| {
        run(async {
            // The descriptors of the runtime exist before the ids change.
            let before = start_all_threads().await;
            nix::unistd::setgroups(&[]).unwrap();
            nix::unistd::setgid(NOBODY.into()).unwrap();
            nix::unistd::setuid(NOBODY.into()).unwrap();
            let child = status().uid(0).gid(0);
            let error = child.spawn(NoProtocol).await.unwrap_err();
            assert_eq!(error.step(), SpawnStep::Identity);
            assert_eq!(error.errno(), Some(nix::libc::EPERM));
            before.assert_restored_but_spawners().await;
            // To be who one is needs no privilege.
            let same = status().uid(NOBODY).gid(NOBODY).groups([]);
            assert_eq!(told(same, "Uid:").await, "65534 65534 65534 65534");
        });
    });
}

#[test]
fn the_parents_ids_and_dumpable_flag_are_untouched() {
    if !may_change_ids() {
        return;
    }
    isolated(|| {
        run(async {
            let me = || std::fs::read_to_string("/proc/self/status").unwrap();
            let ids = |text: &str| -> Vec<String> {
                let wanted = [
                    "Uid:",
                    "Gid:",
                    "Groups:",
                    "CapEff:",
                    "Umask:",
                    "NoNewPrivs:",
                ];
                let lines = text
                    .lines()
                    .filter(|l| wanted.iter().any(|w| l.starts_with(w)));
                lines.map(str::to_owned).collect()
            };
            let before = ids(&me());
            let children = (0..40).map(|n| {
                let child = status().uid(NOBODY).gid(n).umask(0o77).no_new_privs(true);
                child.current_dir("/").output().into_future()
            });
            for output in futures::future::join_all(children).await {
                assert!(output.unwrap().status.success());
            }
            assert_eq!(ids(&me()), before);
            assert_eq!(nix::sys::prctl::get_dumpable(), Ok(true));
        });
    });
}

#[test]
fn a_child_of_another_user_has_its_descriptors_and_no_others() {
    if !may_change_ids() {
        return;
    }
    run(async {
        let child = Command::new("/bin/ls").arg("/proc/self/fd");
        let child = child.uid(NOBODY).gid(NOBODY).current_dir("/");
        // Its own descriptor of the listing is one more.
        assert_eq!(child.clone().read().await.unwrap().stdout, b"0\n1\n2\n3\n");
        let more = child.fd(3, Fd::null()).fd(5, Fd::null());
        let output = more.output().await.unwrap();
        assert_eq!(output.stdout, b"0\n1\n2\n3\n4\n5\n");
    });
}

#[test]
fn arguments_and_environment_reach_a_child_of_another_user() {
    if !may_change_ids() {
        return;
    }
    run(async {
        let long = "x".repeat(50_000);
        let child = Command::new("sh").args(["-c", "printf '%s,' \"$0\" \"$@\" \"$TEXT\"; id -u"]);
        let child = child
            .args(["zero", "", "a b", &long])
            .env("TEXT", "of the environment");
        let child = child.uid(NOBODY).gid(NOBODY).current_dir("/");
        let output = child.output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text, format!("zero,,a b,{long},of the environment,65534\n"));
        // A PATH that is longer than a trampoline has room for.
        let path = format!("{}/usr/bin:/bin", "/no/such:".repeat(6000));
        let output = child.env("PATH", path).output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
    });
}

/// Whether this process is dumpable, as the kernel has it.
fn dumpable() -> bool {
    nix::sys::prctl::get_dumpable().unwrap()
}

#[test]
fn the_hosts_dumpable_flag_is_its_own_while_a_child_changes_its_ids() {
    if !may_change_ids() {
        return;
    }
    isolated(|| {
        run(async {
            let mut hung = HangingExec::new();
            let child = || {
                hung.helper(["exit", "0"])
                    .uid(NOBODY)
                    .gid(NOBODY)
                    .current_dir("/")
            };
            let spawning = actix_rt::spawn(child().status().into_future());
            let pid = hung.until_child_beside(&[]).await;
            until_uid(pid, NOBODY).await;
            assert!(dumpable(), "a child has changed its host's flag");
            // Another one comes and goes meanwhile.
            let other = status().uid(NOBODY).gid(NOBODY).current_dir("/");
            assert_eq!(told(other.clone(), "Uid:").await, "65534 65534 65534 65534");
            assert!(dumpable());
            nix::sys::prctl::set_dumpable(false).unwrap();
            assert_eq!(told(other, "Uid:").await, "65534 65534 65534 65534");
            assert!(!dumpable(), "a child has undone what the host did");
            hung.release();
            assert!(spawning.await.unwrap().unwrap().success());
            assert!(!dumpable(), "a child has undone what the host did");
        });
    });
}

/// Waits until a process has taken on this uid.
async fn until_uid(pid: i32, uid: u32) {
    let status = || std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n");
    let changed = || status().contains(&line).then_some(());
    eventually("the change of the uid", changed, status).await;
}

#[test]
fn a_child_that_hangs_with_other_ids_leaves_no_core() {
    if !may_change_ids() {
        return;
    }
    isolated(|| {
        run(async {
            let dir = tempfile::tempdir().unwrap();
            std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
            let hung = HangingExec::new();
            for signal in [Signal::QUIT, Signal::XCPU, Signal::SEGV, Signal::ABRT] {
                // A shell may have started the tests in the background, which ignores SIGQUIT.
                let child = hung
                    .helper(["exit", "0"])
                    .ignored_signals(IgnoredSignals::Reset);
                let child = child.uid(NOBODY).gid(NOBODY);
                let unlimited = actix_process::UNLIMITED;
                let child = child.rlimit(Resource::Core, unlimited, unlimited);
                let child = child.current_dir(dir.path());
                let spawning = actix_rt::spawn(child.status().into_future());
                let pid = hung.until_child_beside(&[]).await;
                until_uid(pid, NOBODY).await;
                // SAFETY: integers; the child is not reaped yet.
                unsafe { nix::libc::kill(pid, signal.number()) };
                let status = spawning.await.unwrap().unwrap();
                assert!(!status.success() && !status.core_dumped(), "{status}");
                let left = std::fs::read_dir(dir.path()).unwrap().count();
                assert_eq!(left, 0, "a core file");
            }
        });
    });
}

#[test]
fn the_directory_is_entered_as_the_child_or_by_choice_as_the_parent() {
    if !may_change_ids() {
        return;
    }
    run(async {
        let private = tempfile::tempdir().unwrap();
        std::fs::set_permissions(private.path(), PermissionsExt::from_mode(0o700)).unwrap();
        let child = Command::new("/bin/true")
            .uid(NOBODY)
            .current_dir(private.path());
        let error = child.spawn(NoProtocol).await.unwrap_err();
        assert_eq!(error.step(), SpawnStep::Cwd);
        assert_eq!(error.errno(), Some(nix::libc::EACCES));
        let child = child.chdir_as_parent(true);
        assert!(child.status().await.unwrap().success());
    });
}

#[test]
fn a_session_is_led_by_the_child() {
    run(async {
        let stat = || Command::new("cat").arg("/proc/self/stat");
        let (trace, process) = spawned(stat().setsid(true)).await;
        let text = trace.ended(&process).await.text(1);
        let fields: Vec<&str> = text.split_whitespace().collect();
        let (pid, group, session) = (fields[0], fields[4], fields[5]);
        assert_eq!((group, session), (pid, pid));

        let both = stat().setsid(true).process_group(0);
        let error = both.spawn(NoProtocol).await.unwrap_err();
        assert_eq!(error.step(), SpawnStep::Invalid);
    });
}

#[test]
fn a_child_dies_with_its_parent_when_asked_to() {
    // The host prints its child's pid and is killed; nothing of ours runs then.
    run(async {
        let exe = std::env::current_exe().unwrap();
        let host = Command::new(exe)
            .args([
                &common::isolated::test_beside("the_host_of_a_child_that_dies_with_it"),
                "--exact",
                "--nocapture",
            ])
            .env("ACTIX_PROCESS_HOST", "1");
        let (trace, host) = spawned(host).await;
        let child: i32 = trace
            .until(&host, "the child's pid", |events| {
                let text = String::from_utf8(data_of(events, 1)).unwrap();
                let (pid, _) = text.split_once("child is ")?.1.split_once('\n')?;
                pid.parse().ok()
            })
            .await;
        assert!(!is_gone(child));
        assert!(host.kill());
        eventually(
            "the child to die with its parent",
            || is_gone(child).then_some(()),
            || format!("{:?}", common::census::state_and_parent(child)),
        )
        .await;
        trace.ended(&host).await;
    });
}

#[test]
fn the_host_of_a_child_that_dies_with_it() {
    if std::env::var_os("ACTIX_PROCESS_HOST").is_none() {
        return;
    }
    run(async {
        let child = helper(["say", "ready", "pause"]).parent_death_signal(Signal::TERM);
        let (trace, child) = spawned(child).await;
        trace.output(&child, 1, "ready").await;
        println!("child is {}", child.pid().unwrap());
        trace.ended(&child).await;
    });
}

#[test]
fn all_options_together() {
    if !may_change_ids() {
        return;
    }
    run(async {
        let child = Command::new("/bin/cat")
            .arg("/proc/self/status")
            .user("nobody")
            .groups([9])
            .setsid(true)
            .umask(0o2)
            .nice(3)
            .rlimit(Resource::Core, 0, 0)
            .oom_score_adj(10)
            .no_new_privs(true)
            .parent_death_signal(Signal::KILL)
            .current_dir("/")
            .fds(FdMap::from([(1, Fd::read()), (7, Fd::null())]));
        assert_eq!(told(child.clone(), "Groups:").await, "9");
        assert_eq!(told(child.clone(), "Umask:").await, "0002");
        let output = child
            .output()
            .timeout(Duration::from_secs(30))
            .await
            .unwrap();
        assert!(output.status.success());
    });
}
