//! What children tell about themselves, and who this process is.

use actix_process::Command;

use super::isolated::skipped;
use super::trace::spawned;

/// Whether this is root; tells that the test is skipped if not.
pub fn may_change_ids() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skipped("only root may change ids");
    }
    root
}

/// What a child that tells about itself says after `key`.
pub async fn told(command: Command, key: &str) -> String {
    let (trace, process) = spawned(command).await;
    let text = trace.ended(&process).await.text(1);
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let line = line.unwrap_or_else(|| panic!("no {key} in {text}"));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A command that any user may run: the test binary may be where others may not look.
pub fn status() -> Command {
    Command::new("/bin/cat").arg("/proc/self/status")
}

/// Whether a change of ids needs no copy of the memory here.
pub fn has_trampoline() -> bool {
    cfg!(target_arch = "x86_64")
        && !cfg!(actix_process_force_no_trampoline)
        && nix::unistd::geteuid().is_root()
}
