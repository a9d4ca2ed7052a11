//! A kernel or a sandbox that refuses what one option of the child needs: the spawn fails at that
//! option's step, names it, and leaves nothing.

use crate::common;

use actix_process::{Command, NoProtocol, Resource, Signal, SpawnStep};
use common::helper::helper;
use common::isolated::isolated;
use common::limits::is_root;
use common::refuse::{Call, assert_fails, refuse};
use common::trace::history;
use common::{run, start_all_threads};
use nix::libc;

/// Not what the kernel itself would say.
const REFUSED: i32 = libc::EDQUOT;

/// The ids and groups that this process has: to take them on needs no privilege.
fn as_it_is() -> Command {
    let groups = nix::unistd::getgroups().unwrap();
    helper(["pause"])
        .uid(nix::unistd::geteuid().as_raw())
        .gid(nix::unistd::getegid().as_raw())
        .groups(groups.into_iter().map(|group| group.as_raw()))
}

/// One test each: what is refused, to which child, and what the error says failed.
macro_rules! refusals {
    ($($name:ident: $call:expr, $errno:expr, $command:expr => $step:ident $subject:expr;)*) => {$(
        #[test]
        fn $name() {
            isolated(|| {
                run(async {
                    let failed = (SpawnStep::$step, $errno);
                    let error = assert_fails($command, $call, failed).await;
                    assert_eq!(error.subject(), $subject);
                });
            });
        }
    )*};
}

refusals! {
    setsid_refused_is_the_step_identity: Call::Any(libc::SYS_setsid), REFUSED,
        helper(["pause"]).setsid(true) => Identity "session";
    setpgid_refused_is_the_step_identity: Call::Any(libc::SYS_setpgid), REFUSED,
        helper(["pause"]).process_group(0) => Identity "process group 0";
    setpriority_refused_is_the_step_limits: Call::Any(libc::SYS_setpriority), REFUSED,
        helper(["pause"]).nice(7) => Limits "nice 7";
    umask_refused_is_the_step_limits: Call::Any(libc::SYS_umask), REFUSED,
        helper(["pause"]).umask(0o27) => Limits "umask 27";
    // Threads ask for the limit of their stack.
    prlimit_refused_is_the_step_limits:
        Call::Second(libc::SYS_prlimit64, libc::RLIMIT_CORE.cast_signed()), REFUSED,
        helper(["pause"]).rlimit(Resource::Core, 0, 0) => Limits "rlimit Core";
    setgroups_refused_is_the_step_identity: Call::Any(libc::SYS_setgroups), REFUSED,
        helper(["pause"]).gid(7).groups([4_000_001, 4_000_002])
        => Identity "groups [4000001, 4000002]";
    setresgid_refused_is_the_step_identity: Call::Any(libc::SYS_setresgid), REFUSED,
        as_it_is().gid(7) => Identity "gid 7";
    setresuid_refused_is_the_step_identity: Call::Any(libc::SYS_setresuid), REFUSED,
        as_it_is().uid(7) => Identity "uid 7";
    no_new_privs_refused_is_the_step_identity:
        Call::First(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS), REFUSED,
        helper(["pause"]).no_new_privs(true) => Identity "no_new_privs";
    a_parent_death_signal_refused_is_the_step_identity:
        Call::First(libc::SYS_prctl, libc::PR_SET_PDEATHSIG), REFUSED,
        helper(["pause"]).parent_death_signal(Signal::TERM)
        => Identity "parent_death_signal SIGTERM";
    // An answer that is not the parent's pid: it died before the signal was asked for.
    a_parent_that_is_gone_already_is_the_step_identity: Call::Any(libc::SYS_getppid), libc::ESRCH,
        helper(["pause"]).parent_death_signal(Signal::TERM)
        => Identity "parent_death_signal SIGTERM";
}

#[test]
fn who_one_is_already_is_not_asked_for() {
    isolated(|| {
        run(async {
            start_all_threads().await;
            for call in [
                libc::SYS_setgroups,
                libc::SYS_setresgid,
                libc::SYS_setresuid,
            ] {
                refuse(Call::Any(call), REFUSED);
            }
            let child = as_it_is().spawn(NoProtocol).await.unwrap();
            assert!(child.kill());
            child.ended().await;
        });
    });
}

#[test]
fn an_oom_score_without_privilege_is_the_step_limits() {
    isolated(|| {
        run(async {
            history(&helper(["exit", "0"])).await;
            if is_root() {
                nix::unistd::setuid(65534.into()).unwrap();
                // Else /proc/self belongs to root.
                nix::sys::prctl::set_dumpable(true).unwrap();
            }
            let child = || Command::new("/bin/cat").arg("/proc/self/oom_score_adj");
            let error = child()
                .oom_score_adj(-1000)
                .spawn(NoProtocol)
                .await
                .unwrap_err();
            assert_eq!(
                (error.step(), error.subject(), error.errno()),
                (SpawnStep::Limits, "oom_score_adj -1000", Some(libc::EACCES))
            );
            // Only to become less likely a victim needs privilege.
            let output = child().oom_score_adj(900).output().await.unwrap();
            assert_eq!(output.stdout, b"900\n");
        });
    });
}
