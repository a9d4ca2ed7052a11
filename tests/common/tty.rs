//! Terminals, looked at from both sides: by a test, and by the helper in a child.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::libc;
use nix::pty::openpty;
use nix::sys::termios::{InputFlags, LocalFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, getpid, getsid, tcgetpgrp};

/// A new terminal: master and slave, both close-on-exec.
pub fn pair() -> (OwnedFd, OwnedFd) {
    let ends = openpty(None, None).unwrap();
    for end in [&ends.master, &ends.slave] {
        let flags = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC);
        nix::fcntl::fcntl(end, flags).unwrap();
    }
    (ends.master, ends.slave)
}

/// A terminal's other end, opened once more.
pub fn slave_of(master: &OwnedFd) -> OwnedFd {
    let mut name = [0; 64];
    // SAFETY: writes a name and its NUL into the live local, as long as that is.
    let named = unsafe { libc::ptsname_r(master.as_raw_fd(), name.as_mut_ptr(), name.len()) };
    assert_eq!(named, 0);
    let name: Vec<u8> = name.iter().map(|byte| *byte as u8).collect();
    let name = std::ffi::CStr::from_bytes_until_nul(&name).unwrap();
    let mut options = fs::OpenOptions::new();
    let options = options.read(true).write(true);
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, libc::O_NOCTTY)
        .open(name.to_str().unwrap())
        .unwrap()
        .into()
}

/// One more descriptor of the same end.
pub fn another(end: &OwnedFd) -> OwnedFd {
    end.try_clone().unwrap()
}

/// All modes of a terminal as text.
pub fn modes(terminal: impl AsFd) -> String {
    text(&tcgetattr(terminal).unwrap())
}

/// What the modes of a terminal that the crate makes become by `change`, as text.
pub fn new_modes(change: impl FnOnce(&mut Termios)) -> String {
    kernels_modes(|modes| {
        modes.input_flags.insert(InputFlags::IUTF8);
        change(modes);
    })
}

/// What the modes of a terminal that the kernel makes become by `change`, as text.
pub fn kernels_modes(change: impl FnOnce(&mut Termios)) -> String {
    let (_master, slave) = pair();
    let mut modes = tcgetattr(&slave).unwrap();
    change(&mut modes);
    text(&modes)
}

pub fn make_raw(modes: &mut Termios) {
    cfmakeraw(modes);
}

pub fn echo_off(modes: &mut Termios) {
    modes.local_flags.remove(LocalFlags::ECHO);
}

/// Changes the modes of a terminal.
pub fn change(terminal: impl AsFd, change: impl FnOnce(&mut Termios)) {
    let mut modes = tcgetattr(&terminal).unwrap();
    change(&mut modes);
    tcsetattr(&terminal, SetArg::TCSANOW, &modes).unwrap();
}

fn text(modes: &Termios) -> String {
    format!(
        "{:x} {:x} {:x} {:x} {:?}",
        modes.input_flags.bits(),
        modes.output_flags.bits(),
        modes.control_flags.bits(),
        modes.local_flags.bits(),
        modes.control_chars
    )
}

/// The size of the terminal that is open as `fd`: "ROWS COLS X_PIXELS Y_PIXELS".
pub fn size(fd: i32) -> String {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: writes one winsize into the live local.
    let told = unsafe { libc::ioctl(fd, libc::TIOCGWINSZ, &mut size) };
    assert_eq!(told, 0, "{}", std::io::Error::last_os_error());
    format!(
        "{} {} {} {}",
        size.ws_row, size.ws_col, size.ws_xpixel, size.ws_ypixel
    )
}

/// Which session and groups this process is in, and whether the terminal on `fd` controls it.
pub fn session(fd: impl AsFd) -> String {
    // SAFETY: zeroes are a valid stat, and fstat writes one.
    let status = unsafe {
        let mut status: libc::stat = std::mem::zeroed();
        assert_eq!(libc::fstat(fd.as_fd().as_raw_fd(), &mut status), 0);
        status
    };
    format!(
        "session {} group {} foreground {} of {} controlled {}",
        getsid(None).unwrap(),
        getpgrp(),
        tcgetpgrp(fd).map_or(0, nix::unistd::Pid::as_raw),
        getpid(),
        controlling_terminal() == encoded(status.st_rdev)
    )
}

/// The number of this process's controlling terminal; 0 if it has none.
pub fn controlling_terminal() -> u32 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let number: i32 = fields.split_whitespace().nth(4).unwrap().parse().unwrap();
    number as u32
}

/// As /proc has device numbers.
fn encoded(device: libc::dev_t) -> u32 {
    let (major, minor) = (libc::major(device), libc::minor(device));
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}
