//! A child has the umask, directory and namespaces of the thread that asked for it, also where they are
//! that thread's alone.

use crate::{common, follows_the_asker};

use crate::tools::asker::{output_of, status_line, unshare};
use actix_process::Command;
use common::helper::helper;
use nix::libc;

fn namespace(name: &'static str) -> String {
    let link = format!("/proc/self/ns/{name}");
    output_of(Command::new("readlink").arg(link))
}

/// What this process's own first thread has.
fn is_not_ours(name: &str, child: &str) -> bool {
    let ours = std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
    ours.to_str().unwrap() != child.trim()
}

follows_the_asker! {
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
