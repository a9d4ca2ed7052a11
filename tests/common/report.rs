//! What children tell about themselves, and whether this process may change who they are.

use actix_process::Command;

use super::trace::spawned;

pub use super::isolated::may_change_ids;

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
