//! Terminals: opening a pair, sizes and modes.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::libc;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::stat::Mode;
use nix::sys::termios::{LocalFlags, SetArg, cfmakeraw, tcgetattr, tcsetattr};

use super::cvt;
use super::io::above_stdio;
use crate::winsize::PtySize;

/// Both ends of a terminal.
#[derive(Debug)]
pub(crate) struct PtyEnds {
    pub(crate) master: OwnedFd,
    pub(crate) slave: OwnedFd,
}

/// Opens a new terminal. Neither end becomes this process's controlling terminal; both are
/// close-on-exec from birth.
pub(crate) fn open() -> io::Result<PtyEnds> {
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname_r(&master)?;
    let slave = nix::fcntl::open(
        Path::new(&name),
        OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?;
    Ok(PtyEnds {
        master: above_stdio(OwnedFd::from(master)),
        slave: above_stdio(slave),
    })
}

/// Whether `fd` is a terminal's master.
pub(crate) fn check_master(fd: BorrowedFd<'_>) -> io::Result<()> {
    number(fd, libc::TIOCGPTN).map(drop)
}

/// Whether `slave` is the other end of this master.
///
/// # Errors
///
/// The kernel's if `slave` is no terminal at all.
pub(crate) fn is_slave_of(slave: BorrowedFd<'_>, master: BorrowedFd<'_>) -> io::Result<bool> {
    // Of a master it tells the slave's number.
    let same = number(slave, libc::TIOCGDEV)? == number(master, libc::TIOCGDEV)?;
    Ok(same && check_master(slave).is_err())
}

/// What one of the ioctls says that give an unsigned int.
fn number(fd: BorrowedFd<'_>, request: libc::Ioctl) -> io::Result<libc::c_uint> {
    let mut number: libc::c_uint = 0;
    // SAFETY: the callers' requests write one unsigned int, into the live local.
    cvt(unsafe { libc::ioctl(fd.as_raw_fd(), request, &raw mut number) }.into())?;
    Ok(number)
}

pub(crate) fn size(fd: BorrowedFd<'_>) -> io::Result<PtySize> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: TIOCGWINSZ writes one winsize into the live local.
    cvt(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) }.into())?;
    let mut told = PtySize::new(size.ws_row, size.ws_col);
    told.x_pixels = size.ws_xpixel;
    told.y_pixels = size.ws_ypixel;
    Ok(told)
}

/// Sets the size; the kernel tells the foreground group by SIGWINCH if it is another one.
pub(crate) fn set_size(fd: BorrowedFd<'_>, size: PtySize) -> io::Result<()> {
    let size = libc::winsize {
        ws_row: size.rows,
        ws_col: size.cols,
        ws_xpixel: size.x_pixels,
        ws_ypixel: size.y_pixels,
    };
    // SAFETY: TIOCSWINSZ reads one winsize from the live local.
    cvt(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }.into()).map(drop)
}

/// Sets the modes in which the program finds its terminal.
pub(crate) fn set_modes(fd: BorrowedFd<'_>, raw: bool, echo: Option<bool>) -> io::Result<()> {
    if !raw && echo.is_none() {
        return Ok(());
    }
    let mut modes = tcgetattr(fd)?;
    if raw {
        cfmakeraw(&mut modes);
    }
    if let Some(echo) = echo {
        modes.local_flags.set(LocalFlags::ECHO, echo);
        modes.local_flags.remove(LocalFlags::ECHONL);
    }
    tcsetattr(fd, SetArg::TCSANOW, &modes)?;
    Ok(())
}
