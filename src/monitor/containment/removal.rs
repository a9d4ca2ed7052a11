//! The removal of cgroups whose processes have been killed and are not gone yet, when the monitor is.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::files::{self, Removal};

/// What is not empty by then cannot be killed: the next monitor here removes it, when the host is dead.
const MOST_TIME: Duration = Duration::from_secs(10);

/// Removes them when nobody is in them, on a thread of its own, which ends with that.
pub(super) fn remove_when_empty(dir: OwnedFd, names: Vec<PathBuf>) {
    let thread = thread::Builder::new().name("actix-process-cgroup".to_owned());
    let removed = thread.spawn(move || {
        if let Err(error) = remove_all(&dir, names) {
            log::debug!("cgroups stay: {error}");
        }
    });
    if let Err(error) = removed {
        log::debug!("cgroups stay: {error}");
    }
}

fn remove_all(dir: &OwnedFd, mut names: Vec<PathBuf>) -> io::Result<()> {
    let begun = Instant::now();
    let changes = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    // Open as long as they are watched. The kernel tells of each change.
    let mut watched = Vec::with_capacity(names.len());
    for name in &names {
        if let Ok(events) = files::open(dir, name.join("cgroup.events"), OFlag::O_RDONLY) {
            changes.add(
                &events,
                EpollEvent::new(EpollFlags::EPOLLPRI | EpollFlags::EPOLLET, 0),
            )?;
            watched.push(events);
        }
    }
    loop {
        names.retain(|name| match files::remove(dir, name) {
            Ok(Removal::Populated) => true,
            Ok(Removal::TooMany) => {
                if let Err(error) = files::remove_deep(dir, name) {
                    log::debug!("the cgroup {} stays: {error}", name.display());
                }
                false
            }
            Ok(Removal::Done) | Err(_) => false,
        });
        let left = MOST_TIME.saturating_sub(begun.elapsed());
        if names.is_empty() || left.is_zero() {
            return Ok(());
        }
        let millis = u16::try_from(left.as_millis()).unwrap_or(u16::MAX);
        let mut event = [EpollEvent::empty()];
        match changes.wait(&mut event, EpollTimeout::from(millis)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
