//! The cgroup below which a monitor makes those of its services: its controllers, and what was left in it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::stat::{Mode, mkdirat};

use super::files::{self, Removal, below, exists, members, read, write};
use super::mounts::is_in_version_1;
use super::name::LeafMaker;
use super::removal;

/// Those of which there are limits.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

#[derive(Debug)]
pub(super) struct CgroupParent {
    /// Open, so that neither a chroot nor another mount comes in between.
    pub(super) dir: OwnedFd,
    /// For texts.
    path: PathBuf,
    pub(super) maker: LeafMaker,
    /// The root of all cgroups may have processes and controllers for its children.
    is_root: bool,
    /// It is this process's own cgroup, and has no controller `memory`.
    pub(super) is_plain: bool,
    /// The cgroups that were to be removed while somebody was in them.
    left: Mutex<Vec<PathBuf>>,
}

impl CgroupParent {
    /// Checks that cgroups can be made, joined and killed there: one is made. What dead hosts have left there is removed.
    ///
    /// # Errors
    ///
    /// Why not.
    pub(super) fn try_out(dir: OwnedFd, path: PathBuf) -> Result<Self, String> {
        let at = path.display().to_string();
        let failed = |what: &str, error: io::Error| format!("{at}: {what}: {error}");
        match files::is_cgroup(&dir) {
            Ok(true) => {}
            Ok(false) => return Err(format!("{at} is not a cgroup of version 2")),
            Err(error) => return Err(failed("its kind", error)),
        }
        // Whoever moves a process needs that in the cgroup above both ends, too.
        files::may_write(&dir, "cgroup.procs")
            .map_err(|error| failed("not delegated to this process", error))?;
        let is_root = !exists(&dir, "cgroup.type");
        let parent = Self {
            dir,
            path,
            maker: LeafMaker::new(),
            is_root,
            is_plain: false,
            left: Mutex::default(),
        };
        parent.sweep();
        let name = PathBuf::from(parent.maker.name(0, "trial"));
        parent
            .make(&name)
            .map_err(|error| failed("no cgroup can be made", error))?;
        let usable = parent.usable(&name);
        let _ = files::remove(&parent.dir, &name);
        usable.map_err(|why| format!("{at}: {why}"))?;
        if !is_root {
            // So that the kernel tells who was killed for want of memory. It may be refused.
            let _ = parent.enable("memory");
        }
        Ok(parent)
    }

    /// As [`try_out`](Self::try_out), of the cgroup in which this process is.
    pub(super) fn try_out_own(dir: OwnedFd, path: PathBuf) -> Result<Self, String> {
        let mut parent = Self::try_out(dir, path)?;
        let known = parent.words("cgroup.controllers");
        parent.is_plain = known.is_ok_and(|known| known.iter().all(|name| name != "memory"));
        Ok(parent)
    }

    fn usable(&self, trial: &Path) -> Result<(), String> {
        let kind = read(&self.dir, trial.join("cgroup.type"));
        let kind = kind.map_err(|error| format!("cgroup.type: {error}"))?;
        if kind.trim_end() != "domain" {
            return Err("it is for threads only".to_owned());
        }
        if !exists(&self.dir, trial.join("cgroup.kill")) {
            return Err("the kernel cannot kill a cgroup (Linux 5.14 can)".to_owned());
        }
        Ok(())
    }

    pub(super) fn make(&self, name: &Path) -> io::Result<()> {
        self.remove_left();
        Ok(mkdirat(&self.dir, name, Mode::from_bits_truncate(0o755))?)
    }

    /// By which limits can be set here.
    pub(super) fn controllers(&self) -> Vec<String> {
        let enabled = self.words("cgroup.subtree_control");
        let mut usable = enabled.unwrap_or_default();
        let is_free = self.is_root || members(&self.dir).is_ok_and(|members| members.is_empty());
        if is_free && files::may_write(&self.dir, "cgroup.subtree_control").is_ok() {
            usable.extend(self.words("cgroup.controllers").unwrap_or_default());
        }
        let known = CONTROLLERS.iter().map(|name| (*name).to_owned());
        known.filter(|name| usable.contains(name)).collect()
    }

    fn words(&self, file: &str) -> io::Result<Vec<String>> {
        let text = read(&self.dir, file)?;
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }

    /// Makes a controller work for the services' cgroups.
    ///
    /// # Errors
    ///
    /// Why that cannot be; the controller is named.
    pub(super) fn enable(&self, controller: &str) -> Result<(), String> {
        let here = self.path.display();
        let name = controller.to_owned();
        let failed =
            |error| format!("the controllers of the cgroup {here} cannot be read: {error}");
        if self
            .words("cgroup.subtree_control")
            .map_err(failed)?
            .contains(&name)
        {
            return Ok(());
        }
        if !self
            .words("cgroup.controllers")
            .map_err(failed)?
            .contains(&name)
        {
            let own = std::fs::read("/proc/self/cgroup").unwrap_or_default();
            let why = match is_in_version_1(&own, controller) {
                true => "this machine uses it in a hierarchy of version 1",
                false => "it is not delegated to it, or the kernel has none",
            };
            return Err(format!(
                "the cgroup {here} has no controller `{controller}`: {why}"
            ));
        }
        match write(
            &self.dir,
            "cgroup.subtree_control",
            &format!("+{controller}"),
        ) {
            Ok(()) => Ok(()),
            Err(error) => Err(format!(
                "the controller `{controller}` cannot be enabled in the cgroup {here}: {}",
                self.why_not(&error)
            )),
        }
    }

    fn why_not(&self, error: &io::Error) -> String {
        if error.raw_os_error() != Some(libc::EBUSY) {
            return error.to_string();
        }
        let members = members(&self.dir).unwrap_or_default();
        let others = members.iter().filter(|pid| **pid != self.maker.pid).count();
        match members.len() - others {
            0 => format!("{others} processes are in it, and the kernel allows none there"),
            _ if others == 0 => "this process is in it, and the kernel allows none there \
                (`DelegateSubgroup=` of systemd, or `CgroupPlace::MoveHost`, puts this process below it)"
                .to_owned(),
            _ => format!(
                "this process and {others} others are in it, and the kernel allows none there"
            ),
        }
    }

    /// Whether a process sits right in it, so that no controller can be enabled.
    pub(super) fn is_occupied(&self) -> bool {
        !self.is_root && members(&self.dir).is_ok_and(|members| !members.is_empty())
    }

    /// Moves this process into a cgroup below this one.
    pub(super) fn move_host(&mut self) -> Result<(), String> {
        let name = PathBuf::from(self.maker.name(0, "host"));
        let failed = |error: io::Error| {
            let _ = files::remove(&self.dir, &name);
            let here = self.path.display();
            format!("this process cannot move into a cgroup below {here}: {error}")
        };
        self.make(&name).map_err(failed)?;
        let pid = self.maker.pid.to_string();
        write(&self.dir, name.join("cgroup.procs"), &pid).map_err(failed)?;
        // This process's own is another one from now on.
        self.is_plain = false;
        let _ = self.enable("memory");
        Ok(())
    }

    /// A cgroup that is to be removed is not: it is removed later if somebody is in it, or on another thread if there is much below it.
    pub(super) fn leave(&self, name: PathBuf) {
        if let (Ok(Removal::TooMany), Ok(dir)) =
            (files::remove(&self.dir, &name), self.dir.try_clone())
        {
            removal::remove_when_empty(dir, vec![name]);
        } else {
            self.left().push(name);
        }
    }

    /// Removes those of them that are empty by now.
    fn remove_left(&self) {
        /// Of so many it is asked at once: each start of a service asks.
        const PIECE: usize = 8;
        let mut left = self.left();
        let piece = left.len().min(PIECE);
        let asked: Vec<PathBuf> = left.drain(..piece).collect();
        drop(left);
        for name in asked {
            if !matches!(files::remove(&self.dir, &name), Ok(Removal::Done)) {
                self.leave(name);
            }
        }
    }

    fn left(&self) -> std::sync::MutexGuard<'_, Vec<PathBuf>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes what hosts have left that died before they could, as far as it is empty.
    fn sweep(&self) {
        /// The owner of the directory may make any number of them: so many are looked at.
        const MOST: usize = 4096;
        const MOST_TIME: Duration = Duration::from_millis(200);
        let begun = Instant::now();
        for name in below(&self.dir, Path::new(""), MOST).unwrap_or_default() {
            let maker = name.to_str().and_then(LeafMaker::parse);
            if !maker.is_some_and(|maker| maker.is_dead(&self.maker)) {
                continue;
            }
            match files::remove(&self.dir, &name) {
                Ok(Removal::Done) => {}
                Ok(Removal::TooMany) => drop(files::remove_deep(&self.dir, &name)),
                Ok(Removal::Populated) => log::warn!(
                    "a host that is dead has left processes in the cgroup {}",
                    self.path.join(&name).display()
                ),
                Err(error) => log::debug!("the cgroup {} stays: {error}", name.display()),
            }
            if begun.elapsed() > MOST_TIME {
                break;
            }
        }
    }
}

impl Drop for CgroupParent {
    fn drop(&mut self) {
        // Not in a fork of the host.
        if std::process::id().cast_signed() != self.maker.pid {
            return;
        }
        let mut left = std::mem::take(&mut *self.left());
        left.retain(|name| !matches!(files::remove(&self.dir, name), Ok(Removal::Done)));
        if let (false, Ok(dir)) = (left.is_empty(), self.dir.try_clone()) {
            removal::remove_when_empty(dir, left);
        }
    }
}
