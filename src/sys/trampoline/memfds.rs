//! The two memfds of a trampoline: the program, which nobody can change once it is sealed, and the page
//! for the report.
//!
//! A fork of the host that is made during the spawn has copies of both descriptors, and may be
//! anybody's later. A seal is the file's, not the descriptor's.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

use nix::libc;

use super::PAGE;
use crate::sys::cvt;

/// Since Linux 6.3, whatever vm.memfd_noexec is, but for 2. Before, each is executable.
const MFD_EXEC: u32 = 0x10;
const MFD_NOEXEC_SEAL: u32 = 0x8;
/// Since Linux 5.1: a process that has mapped the file may still write to it, no other one may.
pub(super) const F_SEAL_FUTURE_WRITE: i32 = 0x10;

/// A file for the program, empty and not sealed yet.
pub(super) fn program() -> io::Result<File> {
    memfd(MFD_EXEC)
}

/// Writes the program, and seals it.
///
/// No descriptor with the code stays open for all spawns. When a host has closed what it does not know, the
/// number may be another file's, and root would execute that.
pub(super) fn write_program(file: &File, program: &[u8]) -> io::Result<()> {
    file.write_all_at(program, 0)?;
    // Refused while somebody has the file mapped to write to it.
    let size = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
    seal(file, libc::F_SEAL_WRITE | size | libc::F_SEAL_SEAL)?;
    // A copy could write to it before it was sealed.
    let mut sealed = vec![0; program.len()];
    file.read_exact_at(&mut sealed, 0)?;
    if sealed == program {
        Ok(())
    } else {
        Err(ErrorKind::InvalidData.into())
    }
}

/// A file of one page. It never gets smaller: else the host's next look at it would be a SIGBUS.
pub(super) fn report() -> io::Result<File> {
    let file = memfd(MFD_NOEXEC_SEAL)?;
    file.set_len(PAGE as u64)?;
    seal(&file, libc::F_SEAL_SHRINK | libc::F_SEAL_GROW)?;
    Ok(file)
}

fn seal(file: &File, seals: i32) -> io::Result<()> {
    // SAFETY: integers.
    cvt(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) }.into()).map(drop)
}

/// With a flag that the kernel may not know.
fn memfd(flag: u32) -> io::Result<File> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let made = match make(flags | flag) {
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => make(flags),
        result => result,
    };
    made.map(|fd| File::from(crate::sys::io::above_stdio(fd)))
}

fn make(flags: u32) -> io::Result<OwnedFd> {
    // SAFETY: a NUL-terminated name.
    let fd = cvt(unsafe { libc::syscall(libc::SYS_memfd_create, c"spawn".as_ptr(), flags) })?;
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
