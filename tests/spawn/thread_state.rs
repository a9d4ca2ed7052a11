//! A child has the state of the thread that asked for it: never that of whoever spawned before, and
//! never more than the asker.

use crate::common;

use std::thread;

use actix_process::Command;
use common::helper::helper;
use common::isolated::{named::isolated, skipped};
use common::run;
use nix::libc;

/// What `command` writes, spawned by this thread.
fn output_of(command: Command) -> String {
    run(async move {
        let output = command.output().await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    })
}

/// A line of a child's /proc/self/status.
fn status_line(name: &str) -> String {
    let status = output_of(helper(["status"]));
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.strip_prefix(':'));
    value
        .unwrap_or_else(|| panic!("no {name} in {status}"))
        .trim()
        .to_owned()
}

/// Runs `act` on a thread of its own.
fn on_a_thread<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    thread::spawn(act).join().unwrap()
}

/// A thread changes itself, and asks for the first child of all: it has the change, another's has not.
fn assert_the_first(
    name: &str,
    look: fn() -> String,
    change: fn() -> Result<(), String>,
    is_changed: fn(&str) -> bool,
) {
    isolated(name, || {
        let changed = on_a_thread(move || change().map(|()| look()));
        let changed = match changed {
            Ok(changed) => changed,
            Err(why) => return skipped(&why),
        };
        assert!(is_changed(&changed), "the asker's own: {changed}");
        let other = on_a_thread(look);
        assert!(!is_changed(&other), "another thread's: {other}");
    });
}

/// A thread changes itself after it has asked, and others have: its next child has the change, and
/// no other's.
fn assert_a_later_one(
    name: &str,
    look: fn() -> String,
    change: fn() -> Result<(), String>,
    is_changed: fn(&str) -> bool,
) {
    isolated(name, || {
        let other = look();
        assert!(!is_changed(&other), "before: {other}");
        let changed = on_a_thread(move || {
            let before = look();
            change().map(|()| (before, look()))
        });
        let (before, changed) = match changed {
            Ok(changed) => changed,
            Err(why) => return skipped(&why),
        };
        assert!(!is_changed(&before), "before: {before}");
        assert!(is_changed(&changed), "the asker's own: {changed}");
        let other = look();
        assert!(!is_changed(&other), "another thread's: {other}");
    });
}

macro_rules! follows_the_asker {
    ($($(#[$doc:meta])* $name:ident: $look:expr, $change:expr, $is_changed:expr;)*) => {
        $(
            $(#[$doc])*
            mod $name {
                use super::*;

                #[test]
                fn of_the_first_asker() {
                    let name = concat!(stringify!($name), "::of_the_first_asker");
                    assert_the_first(name, $look, $change, $is_changed);
                }

                #[test]
                fn of_a_later_asker() {
                    let name = concat!(stringify!($name), "::of_a_later_asker");
                    assert_a_later_one(name, $look, $change, $is_changed);
                }
            }
        )*
    };
}

fn done(result: i64) -> Result<(), String> {
    if result < 0 {
        return Err(std::io::Error::last_os_error().to_string());
    }
    Ok(())
}

/// A raw system call: libc's would change all threads.
fn call(number: libc::c_long, args: [libc::c_long; 5]) -> i64 {
    let [a, b, c, d, e] = args;
    // SAFETY: each caller passes integers, or pointers to what the call reads.
    unsafe { libc::syscall(number, a, b, c, d, e) }
}

fn prctl(option: i32, argument: libc::c_long) -> i64 {
    call(libc::SYS_prctl, [option.into(), argument, 0, 0, 0])
}

fn namespace(name: &'static str) -> String {
    let link = format!("/proc/self/ns/{name}");
    output_of(Command::new("readlink").arg(link))
}

/// What this process's own first thread has.
fn is_not_ours(name: &str, child: &str) -> bool {
    let ours = std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
    ours.to_str().unwrap() != child.trim()
}

fn unshare(flags: i32) -> Result<(), String> {
    done(call(libc::SYS_unshare, [flags.into(), 0, 0, 0, 0]))
}

/// Without these capabilities, by number; `sets` says in which of effective, permitted, inheritable.
fn change_capabilities(change: impl FnOnce(&mut [[u32; 3]; 2])) -> Result<(), String> {
    let header = [0x2008_0522_u32, 0];
    let mut halves = [[0_u32; 3]; 2];
    let args = |halves: &mut [[u32; 3]; 2]| {
        let halves = halves.as_mut_ptr() as libc::c_long;
        [header.as_ptr() as libc::c_long, halves, 0, 0, 0]
    };
    done(call(libc::SYS_capget, args(&mut halves)))?;
    change(&mut halves);
    done(call(libc::SYS_capset, args(&mut halves)))
}

const CAP_NET_RAW: u32 = 13;
const CAP_SYS_ADMIN: u32 = 21;

fn has(capability: u32, set: &str) -> bool {
    u64::from_str_radix(set, 16).unwrap() & 1 << capability != 0
}

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

fn cpus() -> String {
    status_line("Cpus_allowed_list")
}

follows_the_asker! {
    nice_value: || output_of(Command::new("nice")),
        || {
            // SAFETY: integers. This thread's, on Linux.
            done(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 7) }.into())
        },
        |nice| nice == "7\n";
    affinity: cpus,
        || {
            let mut set = nix::sched::CpuSet::new();
            set.set(0).unwrap();
            nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set).unwrap();
            let processors = thread::available_parallelism().unwrap().get();
            let online = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap();
            if online.trim() == "0" {
                return Err(format!("one processor only: {processors}"));
            }
            Ok(())
        },
        |cpus| cpus == "0";
    real_time_scheduling: || output_of(helper(["show", "/proc/self/sched"])),
        || {
            let priority = [5_i32];
            let fifo = libc::SCHED_FIFO.into();
            done(call(libc::SYS_sched_setscheduler, [0, fifo, priority.as_ptr() as i64, 0, 0]))
        },
        |sched| {
            let policy = sched.lines().find(|line| line.starts_with("policy"));
            policy.unwrap_or_else(|| panic!("{sched}")).trim().ends_with(" 1")
        };
    io_priority: || output_of(Command::new("ionice")),
        || done(call(libc::SYS_ioprio_set, [1, 0, 3 << 13, 0, 0])),
        |class| class.contains("idle");
    timer_slack: || output_of(helper(["show", "/proc/self/timerslack_ns"])),
        || done(prctl(libc::PR_SET_TIMERSLACK, 77_777)),
        |slack| slack == "77777\n";
    personality: || output_of(Command::new("uname").arg("-m")),
        || done(call(libc::SYS_personality, [8, 0, 0, 0, 0])),
        |machine| machine != "x86_64\n" && machine != "aarch64\n";
    memory_policy: || output_of(helper(["show", "/proc/self/numa_maps"])),
        || {
            let nodes = [1_u64];
            let interleave = 3;
            let args = [interleave, nodes.as_ptr() as i64, 64, 0, 0];
            done(call(libc::SYS_set_mempolicy, args))
        },
        |maps| maps.contains(" interleave:");
    speculation: || status_line("Speculation_Store_Bypass"),
        || {
            let store_bypass = 0;
            let disable = 1 << 2;
            let number = libc::PR_SET_SPECULATION_CTRL.into();
            done(call(libc::SYS_prctl, [number, store_bypass, disable, 0, 0]))
        },
        |state| state == "thread mitigated";
    no_new_privs: || status_line("NoNewPrivs"),
        || done(prctl(libc::PR_SET_NO_NEW_PRIVS, 1)),
        |set| set == "1";
    bounding_set: || status_line("CapBnd"),
        || done(prctl(libc::PR_CAPBSET_DROP, CAP_NET_RAW.into())),
        |set| !has(CAP_NET_RAW, set);
    permitted_set: || status_line("CapPrm"),
        || {
            // Root would get them back at the exec.
            done(prctl(libc::PR_SET_SECUREBITS, 1 | 1 << 2))?;
            change_capabilities(|halves| halves[0][1] &= !(1 << CAP_NET_RAW) & !(1 << CAP_SYS_ADMIN))
                .or_else(|_| change_capabilities(|halves| {
                    for set in &mut halves[0] {
                        *set &= !(1 << CAP_NET_RAW);
                    }
                }))
        },
        |set| !has(CAP_NET_RAW, set);
    ambient_set: || status_line("CapAmb"),
        || {
            change_capabilities(|halves| halves[0][2] |= 1 << CAP_NET_RAW)?;
            let raise = 2;
            let number = libc::PR_CAP_AMBIENT.into();
            done(call(libc::SYS_prctl, [number, raise, CAP_NET_RAW.into(), 0, 0]))
        },
        |set| has(CAP_NET_RAW, set);
    user_ids: || status_line("Uid"),
        || done(call(libc::SYS_setresuid, [65534, 65534, 65534, 0, 0])),
        |ids| ids == "65534\t65534\t65534\t65534";
    group_ids: || status_line("Gid"),
        || done(call(libc::SYS_setresgid, [65534, 65534, 65534, 0, 0])),
        |ids| ids == "65534\t65534\t65534\t65534";
    groups: || status_line("Groups"),
        || {
            let groups = [12_345_u32];
            done(call(libc::SYS_setgroups, [1, groups.as_ptr() as i64, 0, 0, 0]))
        },
        |groups| groups == "12345";
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
    umask: || status_line("Umask"),
        || {
            unshare(libc::CLONE_FS)?;
            // SAFETY: an integer.
            unsafe { libc::umask(0o135) };
            Ok(())
        },
        |mask| mask == "0135";
    directory: || output_of(helper(["cwd"])),
        || {
            unshare(libc::CLONE_FS)?;
            std::env::set_current_dir("/proc").unwrap();
            Ok(())
        },
        |dir| dir == "/proc\n";
    mount_namespace: || namespace("mnt"),
        || unshare(libc::CLONE_NEWNS),
        |child| is_not_ours("mnt", child);
    network_namespace: || namespace("net"),
        || unshare(libc::CLONE_NEWNET),
        |child| is_not_ours("net", child);
    uts_namespace: || namespace("uts"),
        || unshare(libc::CLONE_NEWUTS),
        |child| is_not_ours("uts", child);
    ipc_namespace: || namespace("ipc"),
        || unshare(libc::CLONE_NEWIPC),
        |child| is_not_ours("ipc", child);
    cgroup_namespace: || namespace("cgroup"),
        || unshare(libc::CLONE_NEWCGROUP),
        |child| is_not_ours("cgroup", child);
    time_namespace: || namespace("time"),
        || {
            const CLONE_NEWTIME: i32 = 0x80;
            unshare(CLONE_NEWTIME)
        },
        |child| is_not_ours("time", child);
}

/// As a container's first process its parent is nobody who could be looked at.
mod as_the_first_process {
    use super::*;
    use common::isolated::named::isolated_with;

    /// Runs `body` as the first process of a PID namespace.
    fn as_the_first(name: &str, body: fn()) {
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
        isolated_with(name, change, move || {
            assert_eq!(std::process::id(), 1);
            body();
        });
    }

    #[test]
    fn a_landlock_domain_without_no_new_privs_is_the_askers() {
        let name = "as_the_first_process::a_landlock_domain_without_no_new_privs_is_the_askers";
        as_the_first(name, || {
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
    isolated("a_further_landlock_domain_is_the_askers", || {
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
