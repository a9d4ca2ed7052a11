//! A child has the system call filters and Landlock domains of the thread that asked for it, and no others.

use crate::{common, follows_the_asker};

use crate::tools::asker::{
    CAP_SYS_ADMIN, call, change_capabilities, done, on_a_thread, output_of, prctl,
};
use actix_process::Command;
use common::isolated::{isolated, skipped};
use nix::libc;

/// Refuses `mkdir` to this thread, by a filter.
fn filter_mkdir() -> Result<(), String> {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
    let rules = [libc::SYS_mkdir, libc::SYS_mkdirat].map(|call| (call, Vec::new()));
    let filter: BpfProgram = SeccompFilter::new(
        rules.into(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EXDEV.cast_unsigned()),
        std::env::consts::ARCH.try_into().unwrap(),
    )
    .unwrap()
    .try_into()
    .unwrap();
    // Without `no_new_privs`, where we may.
    #[repr(C)]
    struct Program {
        length: u16,
        filter: *const libc::c_void,
    }
    let program = Program {
        length: filter.len() as u16,
        filter: filter.as_ptr().cast(),
    };
    let set_filter = 1;
    let args = [set_filter, 0, &raw const program as libc::c_long, 0, 0];
    done(call(libc::SYS_seccomp, args))
}

/// Refuses to make directories, by a Landlock domain.
fn landlock_mkdir() -> Result<(), String> {
    const MAKE_DIR: u64 = 1 << 7;
    landlock(MAKE_DIR)
}

/// Refuses to make block devices, which no test makes.
fn landlock_make_block() -> Result<(), String> {
    const MAKE_BLOCK: u64 = 1 << 11;
    landlock(MAKE_BLOCK)
}

/// Refuses what `rights` are about, by a Landlock domain.
fn landlock(rights: u64) -> Result<(), String> {
    let rules = [rights];
    let args = [rules.as_ptr() as libc::c_long, 8, 0, 0, 0];
    let ruleset = call(libc::SYS_landlock_create_ruleset, args);
    done(ruleset).map_err(|error| format!("no Landlock: {error}"))?;
    done(call(
        libc::SYS_landlock_restrict_self,
        [ruleset, 0, 0, 0, 0],
    ))
}

/// What a child says that tries to make a directory.
fn mkdir() -> String {
    let script = "d=$(mktemp -u) && mkdir $d 2>&1 && rmdir $d && echo made";
    output_of(Command::new("sh").args(["-c", script]))
}

follows_the_asker! {
    seccomp: mkdir, filter_mkdir, |said| said.contains("link");
    seccomp_without_new_privileges: mkdir,
        || {
            done(prctl(libc::PR_SET_NO_NEW_PRIVS, 1))?;
            filter_mkdir()
        },
        |said| said.contains("link");
    /// As in a container: it can add no more filters, and a pool is made for it.
    seccomp_without_the_means_to_add_filters: mkdir,
        || {
            filter_mkdir()?;
            change_capabilities(|halves| {
                for set in &mut halves[0] {
                    *set &= !(1 << CAP_SYS_ADMIN);
                }
            })
        },
        |said| said.contains("link");
    landlock: mkdir, landlock_mkdir, |said| !said.contains("made\n");
    landlock_without_new_privileges: mkdir,
        || {
            done(prctl(libc::PR_SET_NO_NEW_PRIVS, 1))?;
            landlock_mkdir()
        },
        |said| !said.contains("made\n");
}

/// As a container's first process its parent is nobody who could be looked at.
mod as_the_first_process {
    use super::*;
    use common::isolated::isolated_with;

    /// Runs `body` as the first process of a PID namespace.
    fn as_the_first(body: fn()) {
        if !nix::unistd::geteuid().is_root() {
            return skipped("only root can make such a process");
        }
        let change = |command: &mut std::process::Command| {
            let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
            let mut unshare = std::process::Command::new("unshare");
            unshare.args(["--pid", "--fork", "--mount-proc"]);
            unshare.arg(command.get_program()).args(args);
            unshare.env(common::isolated::MARK, "1");
            *command = unshare;
        };
        isolated_with(change, move || {
            assert_eq!(std::process::id(), 1);
            body();
        });
    }

    #[test]
    fn a_landlock_domain_without_no_new_privs_is_the_askers() {
        as_the_first(|| {
            assert!(mkdir().contains("made\n"));
            let child = on_a_thread(|| landlock_mkdir().map(|()| mkdir()));
            match child {
                Ok(child) => assert!(!child.contains("made\n"), "{child}"),
                Err(why) => skipped(&why),
            }
            assert!(mkdir().contains("made\n"));
        });
    }
}

/// A second domain of the same thread: its pool was made before.
#[test]
fn a_further_landlock_domain_is_the_askers() {
    isolated(|| {
        let child = on_a_thread(|| {
            landlock_make_block()?;
            let made = mkdir();
            assert!(made.contains("made\n"), "{made}");
            landlock_mkdir().map(|()| mkdir())
        });
        match child {
            Ok(child) => assert!(!child.contains("made\n"), "{child}"),
            Err(why) => skipped(&why),
        }
    });
}
