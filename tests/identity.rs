//! Who a child is, what it may use, and that the parent stays who it was.

mod common;

use std::future::IntoFuture;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use actix_process::{Command, Fd, FdMap, NoProtocol, Resource, Signal, SpawnStep, UNLIMITED};
use common::census::is_gone;
use common::helper::helper;
use common::isolated::isolated;
use common::trace::{Trace, data_of};
use common::{eventually, run, start_all_threads};

const NOBODY: u32 = 65534;

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        println!("skipped: only root may change ids");
    }
    root
}

/// What a child that tells about itself says after `key`.
async fn told(command: Command, key: &str) -> String {
    let (trace, protocol) = Trace::start();
    let process = command.spawn(&protocol).await.unwrap();
    let text = trace.ended(&process).await.text(1);
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let line = line.unwrap_or_else(|| panic!("no {key} in {text}"));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A command that any user may run: the test binary may be where others may not look.
fn status() -> Command {
    Command::new("/bin/cat").arg("/proc/self/status")
}

#[test]
fn a_user_brings_its_group_and_its_groups() {
    if !is_root() {
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
    if !is_root() {
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
    if !is_root() {
        return;
    }
    isolated("missing_privilege_is_an_identity_error", || {
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
    if !is_root() {
        return;
    }
    isolated("the_parents_ids_and_dumpable_flag_are_untouched", || {
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
fn the_directory_is_entered_as_the_child_or_by_choice_as_the_parent() {
    if !is_root() {
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
        let (trace, protocol) = Trace::start();
        let process = stat().setsid(true).spawn(&protocol).await.unwrap();
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
fn limits_umask_and_priority_are_the_childs_alone() {
    run(async {
        let limits = || Command::new("cat").arg("/proc/self/limits");
        let child =
            limits()
                .rlimit(Resource::OpenFiles, 100, 200)
                .rlimit(Resource::Core, 0, UNLIMITED);
        assert_eq!(told(child.clone(), "Max open files").await, "100 200 files");
        if is_root() {
            assert_eq!(told(child, "Max core file size").await, "0 unlimited bytes");
        }
        let error = limits()
            .rlimit(Resource::Cpu, 2, 1)
            .spawn(NoProtocol)
            .await
            .unwrap_err();
        assert_eq!(error.step(), SpawnStep::Invalid);

        assert_eq!(told(status().umask(0o27), "Umask:").await, "0027");

        let stat = Command::new("cat").arg("/proc/self/stat").nice(7);
        let text = stat.output().await.unwrap().stdout;
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text.split_whitespace().nth(18), Some("7"), "{text}");
        let error = status().nice(20).spawn(NoProtocol).await.unwrap_err();
        assert_eq!(error.step(), SpawnStep::Invalid);

        let oom = Command::new("cat")
            .arg("/proc/self/oom_score_adj")
            .oom_score_adj(321);
        assert_eq!(oom.output().await.unwrap().stdout, b"321\n");
        let ours = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
        assert_ne!(ours.trim(), "321");
        assert_eq!(told(status().no_new_privs(true), "NoNewPrivs:").await, "1");
    });
}

#[test]
fn a_limit_on_descriptors_does_not_limit_the_spawn_itself() {
    run(async {
        let _open: Vec<_> = (0..40).map(|_| std::io::pipe().unwrap()).collect();
        let child = Command::new("cat")
            .arg("/proc/self/limits")
            .rlimit(Resource::OpenFiles, 4, 4)
            .oom_score_adj(500);
        assert_eq!(told(child, "Max open files").await, "4 4 files");
        // A swap needs a number in between, and high numbers are placed before the limit.
        let swap = [(0, Fd::inherit(1)), (1, Fd::inherit(0)), (200, Fd::null())];
        let child = Command::new("true").fds(FdMap::from(swap));
        let child = child.rlimit(Resource::OpenFiles, 4, 4);
        let process = child.spawn(NoProtocol).await.unwrap();
        // Whether the loader can work with so few is not the question.
        process.ended().await.unwrap();
    });
}

#[test]
fn every_resource_can_be_limited() {
    use Resource as R;
    let all = [
        (R::AddressSpace, "Max address space"),
        (R::Core, "Max core file size"),
        (R::Cpu, "Max cpu time"),
        (R::Data, "Max data size"),
        (R::FileSize, "Max file size"),
        (R::Locks, "Max file locks"),
        (R::LockedMemory, "Max locked memory"),
        (R::MessageQueues, "Max msgqueue size"),
        (R::Nice, "Max nice priority"),
        (R::OpenFiles, "Max open files"),
        (R::Processes, "Max processes"),
        (R::ResidentSet, "Max resident set"),
        (R::RealTimePriority, "Max realtime priority"),
        (R::RealTimeCpu, "Max realtime timeout"),
        (R::PendingSignals, "Max pending signals"),
        (R::Stack, "Max stack size"),
    ];
    run(async {
        for (resource, name) in all {
            let (soft, _) = ours(name);
            // Lower than now, where there is a now; enough for cat to run.
            let limit = soft.min(4_000_000_000) / 2;
            let child = Command::new("cat")
                .arg("/proc/self/limits")
                .rlimit(resource, limit, limit);
            let line = told(child, name).await;
            let told = line.split(' ').next().unwrap();
            assert_eq!(told, limit.to_string(), "{name}");
        }
    });
}

/// This process's limit as /proc names it.
fn ours(name: &str) -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap();
    let mut numbers = line
        .split_whitespace()
        .map(|n| n.parse().unwrap_or(u64::MAX));
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn a_limit_above_the_hard_one_is_a_limits_error() {
    if !is_root() {
        return;
    }
    isolated("a_limit_above_the_hard_one_is_a_limits_error", || {
        run(async {
            Command::new("true").status().await.unwrap();
            nix::unistd::setgroups(&[]).unwrap();
            nix::unistd::setuid(NOBODY.into()).unwrap();
            let (_, hard) = ours("Max open files");
            let child = status().rlimit(Resource::OpenFiles, 10, hard + 1);
            let error = child.spawn(NoProtocol).await.unwrap_err();
            assert_eq!(error.step(), SpawnStep::Limits);
            assert_eq!(error.errno(), Some(nix::libc::EPERM));
            let error = status().nice(-5).spawn(NoProtocol).await.unwrap_err();
            assert_eq!(error.step(), SpawnStep::Limits);
        });
    });
}

#[test]
fn a_child_dies_with_its_parent_when_asked_to() {
    // The host prints its child's pid and is killed; nothing of ours runs then.
    run(async {
        let exe = std::env::current_exe().unwrap();
        let host = Command::new(exe)
            .args([
                "the_host_of_a_child_that_dies_with_it",
                "--exact",
                "--nocapture",
            ])
            .env("ACTIX_PROCESS_HOST", "1");
        let (trace, protocol) = Trace::start();
        let host = host.spawn(&protocol).await.unwrap();
        let child: i32 = trace
            .until(&host, "the child's pid", |events| {
                let text = String::from_utf8(data_of(events, 1)).unwrap();
                let (pid, _) = text.split_once("child is ")?.1.split_once('\n')?;
                pid.parse().ok()
            })
            .await;
        assert!(!is_gone(child));
        host.kill().unwrap();
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
        let (trace, protocol) = Trace::start();
        let child = helper(["say", "ready", "pause"]).parent_death_signal(Signal::TERM);
        let child = child.spawn(&protocol).await.unwrap();
        trace.output(&child, 1, "ready").await;
        println!("child is {}", child.pid().unwrap());
        trace.ended(&child).await;
    });
}

#[test]
fn a_child_is_born_into_its_cgroup() {
    if !is_root() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let mounted = nix::mount::mount(
        Some("none"),
        root.path(),
        Some("cgroup2"),
        nix::mount::MsFlags::empty(),
        None::<&str>,
    );
    if let Err(error) = mounted {
        println!("skipped: no cgroup v2 can be mounted: {error}");
        return;
    }
    let name = format!("actix-process-test-{}", std::process::id());
    let group = root.path().join(&name);
    std::fs::create_dir(&group).unwrap();
    run(async {
        let dir: OwnedFd = std::fs::File::open(&group).unwrap().into();
        let child = Command::new("cat").arg("/proc/self/cgroup").cgroup(dir);
        let text = String::from_utf8(child.output().await.unwrap().stdout).unwrap();
        assert!(text.lines().any(|l| l == format!("0::/{name}")), "{text}");
        let ours = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        assert!(!ours.contains(&name), "{ours}");

        let no_group: OwnedFd = std::fs::File::open("/tmp").unwrap().into();
        let error = Command::new("true")
            .cgroup(no_group)
            .spawn(NoProtocol)
            .await
            .unwrap_err();
        assert_eq!(
            (error.step(), error.subject()),
            (SpawnStep::Limits, "cgroup")
        );
    });
    eventually_removed(&group);
    // Another test's child may be about to exec, with the directory still open.
    nix::mount::umount2(root.path(), nix::mount::MntFlags::MNT_DETACH).unwrap();
}

/// A cgroup can be removed once the kernel has let go of its last process.
fn eventually_removed(group: &std::path::Path) {
    run(eventually(
        "the cgroup to be empty",
        || std::fs::remove_dir(group).ok(),
        || std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default(),
    ));
}

#[test]
fn all_options_together() {
    if !is_root() {
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
