//! A directory that hangs: a file system that answers nothing, in a mount namespace of this thread's.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

use crate::common::mounts::own_mounts;

/// Whoever enters the directory hangs until this is dropped; then it gets an error.
pub struct HangingDir {
    /// Closed, it ends the file system.
    device: Option<File>,
    dir: TempDir,
}

impl HangingDir {
    /// `None` where there is no FUSE, or this is not root. Call it before other threads start: they
    /// are in the namespace as well.
    pub fn mount() -> Option<Self> {
        let mut device = File::options()
            .read(true)
            .write(true)
            .open("/dev/fuse")
            .ok()?;
        if !own_mounts() {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let options = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,allow_other",
            device.as_raw_fd()
        );
        let kind = Some("fuse");
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(kind, dir.path(), kind, flags, Some(&*options)).ok()?;
        greet(&mut device)?;
        let device = Some(device);
        Some(Self { device, dir })
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Answers the kernel's first request, which all others wait for.
fn greet(device: &mut File) -> Option<()> {
    let mut request = vec![0; 64 * 1024];
    let length = device.read(&mut request).ok()?;
    let unique = request[..length].get(8..16)?;
    // Version 7.31, no options, writes of a page: 16 bytes of header and 64 of body.
    let mut answer = vec![0; 80];
    answer[0] = 80;
    answer[8..16].copy_from_slice(unique);
    answer[16] = 7;
    answer[20] = 31;
    answer[16 + 20..16 + 24].copy_from_slice(&4096_u32.to_le_bytes());
    device.write_all(&answer).ok()
}

impl Drop for HangingDir {
    fn drop(&mut self) {
        drop(self.device.take());
        let _ = umount2(self.dir.path(), MntFlags::MNT_DETACH);
    }
}
