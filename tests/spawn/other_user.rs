//! What is made for a child of another user is that user's, and who one is already needs no privilege.

use crate::common;

use std::ffi::OsStr;

use actix_process::{Command, Fd, NoProtocol, Pty, PtySize, Resource, SpawnStep};
use common::isolated::{MARK, is_isolated, isolated, skipped};
use common::limits::set_soft_limit;
use common::report::{may_change_ids, status, told};
use common::run;
use common::tty::pair;
use nix::libc;
use nix::unistd::{Gid, setgroups, setresgid, setresuid};

const NOBODY: u32 = 65534;
/// In no passwd.
const UNKNOWN: u32 = 4_000_001;

/// Runs `test` as a user with these groups and no privilege.
fn as_user<F: Future<Output = ()>>(
    (uid, gid): (u32, u32),
    groups: &'static [u32],
    test: impl FnOnce() -> F,
) {
    if !may_change_ids() {
        return;
    }
    isolated(|| {
        let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
        setgroups(&groups).unwrap();
        setresgid(gid.into(), gid.into(), gid.into()).unwrap();
        setresuid(uid.into(), uid.into(), uid.into()).unwrap();
        run(test());
    });
}

async fn assert_is(child: Command, (uid, gid): (u32, u32)) {
    for (key, id) in [("Uid:", uid), ("Gid:", gid)] {
        let four = format!("{id} {id} {id} {id}");
        assert_eq!(told(child.clone(), key).await, four);
    }
}

#[test]
fn an_unprivileged_host_may_name_its_own_user() {
    as_user((NOBODY, NOBODY), &[], || async {
        let ours = (NOBODY, NOBODY);
        assert_is(status().uid(NOBODY).gid(NOBODY), ours).await;
        assert_is(status().uid(NOBODY), ours).await;
        assert_is(status().user("nobody"), ours).await;
        assert_is(status().gid(NOBODY), ours).await;
        assert_is(status().groups([NOBODY]), ours).await;
    });
}

#[test]
fn an_unprivileged_host_may_name_its_own_group_among_its_groups() {
    as_user((NOBODY, NOBODY), &[7, NOBODY], || async {
        let child = || status().uid(NOBODY).gid(NOBODY);
        assert_is(child().groups([7]), (NOBODY, NOBODY)).await;
        assert_is(child().groups([NOBODY, 7, 7]), (NOBODY, NOBODY)).await;
    });
}

#[test]
fn a_user_that_passwd_does_not_know_may_be_named_by_itself() {
    as_user((UNKNOWN, 12345), &[], || async {
        assert_is(status().uid(UNKNOWN).gid(12345), (UNKNOWN, 12345)).await;
    });
}

#[test]
fn groups_that_the_named_user_has_not_are_not_kept() {
    as_user((NOBODY, NOBODY), &[1, 2], || async {
        let child = status().uid(NOBODY).gid(NOBODY);
        let error = child.spawn(NoProtocol).await.unwrap_err();
        assert_eq!(error.step(), SpawnStep::Identity);
        assert_eq!(error.errno(), Some(libc::EPERM));
        assert!(error.subject().contains("groups"), "{error}");
        // A group of the host's for the child's own one.
        let error = status().gid(1).groups([2]).spawn(NoProtocol).await;
        assert_eq!(error.unwrap_err().step(), SpawnStep::Identity);
    });
}

#[test]
fn the_root_of_a_user_namespace_may_name_itself() {
    if is_isolated() {
        // Where setgroups is denied to everybody.
        return run(async {
            assert_is(status().uid(0).gid(0), (0, 0)).await;
            assert_is(status().user("root"), (0, 0)).await;
        });
    }
    if !may_change_ids() {
        return;
    }
    let inside = |program: &OsStr, args: &[&str]| {
        let mut command = std::process::Command::new("setpriv");
        command.args(["--clear-groups", "unshare", "--map-root-user", "--"]);
        command.arg(program).args(args).env(MARK, "1");
        command.output().unwrap()
    };
    if !inside("true".as_ref(), &[]).status.success() {
        return skipped("no user namespace can be made");
    }
    let this = std::env::current_exe().unwrap();
    let name = common::isolated::this_test();
    let output = inside(this.as_ref(), &[&name, "--exact", "--nocapture"]);
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains("1 passed"), "{text}\n{errors}");
}

#[test]
fn what_is_so_already_needs_no_privilege() {
    if !may_change_ids() {
        return;
    }
    isolated(|| {
        // None of it may be taken back without privilege.
        // SAFETY: integers.
        assert_eq!(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 5) }, 0);
        std::fs::write("/proc/self/oom_score_adj", "10").unwrap();
        let (_, hard) = set_soft_limit(libc::RLIMIT_NOFILE, u64::MAX);
        setgroups(&[]).unwrap();
        setresgid(NOBODY.into(), NOBODY.into(), NOBODY.into()).unwrap();
        setresuid(NOBODY.into(), NOBODY.into(), NOBODY.into()).unwrap();
        run(async {
            let child = status()
                .uid(NOBODY)
                .nice(5)
                .rlimit(Resource::OpenFiles, hard, hard)
                .umask(0o22);
            assert_is(child, (NOBODY, NOBODY)).await;
            assert_is(status().oom_score_adj(10), (NOBODY, NOBODY)).await;
        });
    });
}

#[test]
fn another_users_child_can_open_its_own_pipes_by_name() {
    if !may_change_ids() {
        return;
    }
    run(async {
        let script = "read line < /dev/stdin; echo \"<$line>\" > /dev/stdout; \
                      echo err > /dev/stderr; echo five > /dev/fd/5";
        let child = || Command::new("sh").args(["-c", script]).current_dir("/");
        let (trace, protocol) = common::trace::Trace::start();
        for child in [
            child().uid(NOBODY).gid(NOBODY),
            child().user("nobody"),
            child(),
        ] {
            let child = child.fd(5, Fd::read());
            let process = child.spawn(&protocol).await.unwrap();
            process.write("typed\n").unwrap();
            let history = trace.ended(&process).await;
            let told = [1, 2, 5].map(|fd| history.text(fd));
            assert_eq!(told, ["<typed>\n", "err\n", "five\n"]);
            assert!(history.status().success());
        }
    });
}

#[test]
fn another_users_terminal_is_that_users() {
    if !may_change_ids() {
        return;
    }
    run(async {
        let script = "stat -c %u $(tty); echo opened > $(tty); read line < $(tty)";
        let child = || Command::new("sh").args(["-c", script]).current_dir("/");
        let whose = |user: u32| format!("{user}\r\nopened\r\n");
        let pty = || Pty::new(PtySize::new(24, 80));
        let output = child().uid(NOBODY).gid(NOBODY).pty(pty()).output().await;
        let told = String::from_utf8(output.unwrap().stdout).unwrap();
        assert_eq!(told, whose(NOBODY));
        let output = child().pty(pty()).output().await.unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), whose(0));
        // What is given stays whose it is.
        let (master, slave) = pair();
        let owner = "stat -L -c %u /proc/self/fd/0";
        let given = Command::new("sh").args(["-c", owner]).uid(NOBODY);
        let given = given.gid(NOBODY).pty(Pty::from_ends(master, slave));
        assert_eq!(given.output().await.unwrap().stdout, b"0\r\n");
    });
}

#[test]
fn a_host_that_may_not_give_pipes_away_spawns_all_the_same() {
    if !may_change_ids() {
        return;
    }
    isolated(|| {
        run(async {
            common::start_all_threads().await;
            let call = common::refuse::Call::Any(libc::SYS_fchown);
            common::refuse::refuse(call, libc::EPERM);
            assert_is(status().uid(NOBODY), (NOBODY, NOBODY)).await;
        });
    });
}

async fn variables(child: Command) -> Vec<String> {
    let output = child.output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let wanted = ["HOME=", "USER=", "LOGNAME=", "SHELL="];
    let is_wanted = |line: &&str| wanted.iter().any(|key| line.starts_with(key));
    let mut lines: Vec<String> = text.lines().filter(is_wanted).map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_user_by_name_brings_home_user_logname_and_shell() {
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let (home, shell) = (nobody.dir.display(), nobody.shell.display());
    let home = format!("HOME={home}");
    let shell = format!("SHELL={shell}");
    if !may_change_ids() {
        return;
    }
    isolated(|| {
        // SAFETY: no other thread runs in this process yet.
        unsafe {
            std::env::set_var("HOME", "/host");
            std::env::set_var("USER", "host");
            std::env::set_var("LOGNAME", "host");
            std::env::set_var("SHELL", "/host/sh");
        }
        run(async {
            let env = || Command::new("/usr/bin/env").current_dir("/");
            let all = [&*home, "LOGNAME=nobody", &*shell, "USER=nobody"];
            assert_eq!(variables(env().user("nobody")).await, all);
            // What the command says about them holds.
            let said = env()
                .user("nobody")
                .env("HOME", "/mine")
                .env_remove("SHELL");
            let some = ["HOME=/mine", "LOGNAME=nobody", "USER=nobody"];
            assert_eq!(variables(said).await, some);
            let cleared = env().user("nobody").env_clear().env("USER", "me");
            assert_eq!(variables(cleared).await, ["USER=me"]);
            // Nobody else's do, and they are not left behind for the next.
            let hosts = ["HOME=/host", "LOGNAME=host", "SHELL=/host/sh", "USER=host"];
            assert_eq!(variables(env().uid(NOBODY).gid(NOBODY)).await, hosts);
            assert_eq!(variables(env()).await, hosts);
        });
    });
}
