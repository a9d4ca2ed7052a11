//! A child has the state of the thread that asked for it: never that of whoever spawned before, and
//! never more than the asker. Here: scheduling, capabilities and ids.

use crate::{common, follows_the_asker};

use std::thread;

use crate::tools::asker::{
    CAP_NET_RAW, CAP_SYS_ADMIN, call, change_capabilities, done, has, output_of, prctl, status_line,
};
use actix_process::Command;
use common::helper::helper;
use nix::libc;

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
}
