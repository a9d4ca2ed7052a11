//! Terminals: opening a pair, sizes and modes.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::libc;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::stat::{Mode, fstat};
use nix::sys::termios::{InputFlags, LocalFlags, SetArg, cfmakeraw, tcgetattr, tcsetattr};

use super::cvt;
use super::io::{above_stdio, read};
use crate::terminal_modes::TerminalModes;
use crate::winsize::PtySize;

/// Both ends of a terminal.
#[derive(Debug)]
pub(crate) struct PtyEnds {
    pub(crate) master: OwnedFd,
    pub(crate) slave: OwnedFd,
}

const BOTH_WAYS: OFlag = OFlag::O_RDWR.union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

/// Opens a new terminal. Neither end becomes this process's controlling terminal; both are
/// close-on-exec from birth. `None` if what has its other end's name is another terminal: `/dev/ptmx`
/// and `/dev/pts` may be of two file systems.
pub(crate) fn open() -> io::Result<Option<PtyEnds>> {
    let master = posix_openpt(BOTH_WAYS)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let slave = match peer(master.as_fd()) {
        Ok(slave) => Some(slave),
        // `/dev/pts` is not the file system of `/dev/ptmx`.
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => None,
        // Linux 4.12 and before, a sandbox.
        Err(_) => by_name(&master)?,
    };
    Ok(slave.map(|slave| PtyEnds {
        master: above_stdio(OwnedFd::from(master)),
        slave: above_stdio(slave),
    }))
}

/// A master's other end, by no name.
fn peer(master: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = BOTH_WAYS.bits();
    // SAFETY: an integer; the call opens a descriptor, which is ours then.
    unsafe {
        let peer = cvt(libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags).into())?;
        Ok(OwnedFd::from_raw_fd(peer as RawFd))
    }
}

/// The other end of a fresh master, if the terminal that has its name is that.
fn by_name(master: &PtyMaster) -> io::Result<Option<OwnedFd>> {
    let name = ptsname_r(master)?;
    let slave = nix::fcntl::open(Path::new(&name), BOTH_WAYS, Mode::empty())?;
    // Two terminals of two file systems may have one number, but not one size which no one can guess.
    let [.., a, b, c, d] = RandomState::new().build_hasher().finish().to_be_bytes();
    let mark = PtySize::new(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    set_size(master.as_fd(), mark)?;
    let same = size(slave.as_fd())? == mark;
    set_size(master.as_fd(), PtySize::new(0, 0))?;
    Ok(same.then_some(slave))
}

/// Whether `fd` is a terminal's master.
pub(crate) fn check_master(fd: BorrowedFd<'_>) -> io::Result<()> {
    number(fd, libc::TIOCGPTN).map(drop)
}

/// read(2) of a master. EIO: nobody has the other end, and nothing is left of what was written to it
/// (unless somebody opened, wrote and closed it once more in between).
///
/// The kernel (`n_tty_read`) looks for data first and for the other end after that. What is written
/// and closed in between stays for a second read.
pub(crate) fn read_master(master: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    match read(master, buffer) {
        Err(error) if is_hang_up(&error) => read(master, buffer),
        result => result,
    }
}

/// Whether the error is a terminal's way to say that nobody has its other end.
pub(crate) fn is_hang_up(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EIO)
}

/// Whether `slave` is the other end of this master.
///
/// # Errors
///
/// The kernel's if `slave` is no terminal at all.
pub(crate) fn is_slave_of(slave: BorrowedFd<'_>, master: BorrowedFd<'_>) -> io::Result<bool> {
    // Of a master it tells the slave's number.
    let same = number(slave, libc::TIOCGDEV)? == number(master, libc::TIOCGDEV)?;
    if !same || check_master(slave).is_ok() {
        return Ok(false);
    }
    // Terminals of two file systems may have one number. Where that cannot be asked, it is enough.
    match peer(master) {
        Ok(peer) => Ok(file(peer.as_fd())? == file(slave)?),
        Err(_) => Ok(true),
    }
}

/// Which file is open as `fd`.
fn file(fd: BorrowedFd<'_>) -> io::Result<(libc::dev_t, libc::ino_t)> {
    let status = fstat(fd)?;
    Ok((status.st_dev, status.st_ino))
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

/// Makes erasing take back a whole character of UTF-8, as terminals that show it do.
pub(crate) fn set_utf8(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut modes = tcgetattr(fd)?;
    modes.input_flags.insert(InputFlags::IUTF8);
    tcsetattr(fd, SetArg::TCSANOW, &modes)?;
    Ok(())
}

/// The modes that concern a program which types there. Either end of the terminal tells them.
pub(crate) fn modes(fd: BorrowedFd<'_>) -> io::Result<TerminalModes> {
    let flags = tcgetattr(fd)?.local_flags;
    Ok(TerminalModes {
        echo: flags.contains(LocalFlags::ECHO),
        canonical: flags.contains(LocalFlags::ICANON),
        signals: flags.contains(LocalFlags::ISIG),
    })
}

/// The byte that ends the input of a program which reads this terminal by lines, if there is one. Either
/// end tells.
pub(crate) fn end_of_input(fd: BorrowedFd<'_>) -> Option<u8> {
    let modes = tcgetattr(fd).ok()?;
    let by_lines = modes.local_flags.contains(LocalFlags::ICANON);
    let byte = modes.control_chars.get(libc::VEOF).copied()?;
    (by_lines && byte != libc::_POSIX_VDISABLE).then_some(byte)
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;
    use std::time::{Duration, Instant};
    use std::{hint, thread};

    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::unistd::Pid;

    use super::super::io::set_nonblocking;
    use super::*;

    /// All of them where ACTIX_PROCESS_ALL is set, as `.ci/run` does.
    const ROUNDS: usize = 10_000;
    const FEWER: usize = 2500;
    /// A round waits for a scheduler's slice where all share one CPU: fewer do then.
    const TIME: Duration = Duration::from_secs(10);
    const DEADLINE: Duration = Duration::from_secs(60);

    /// Takes the CPU from the thread that reads, again and again, as a busy host does to a virtual machine.
    /// Without the right to real-time scheduling it is only another busy thread.
    fn interrupt(done: &AtomicBool) {
        let parameter = libc::sched_param { sched_priority: 1 };
        // SAFETY: 0 is this thread; the structure is read only. It may be refused, as said.
        unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameter) };
        let mut pause = 50;
        while !done.load(Ordering::Relaxed) {
            pause = 50 + uneven(pause) % 101;
            thread::sleep(Duration::from_micros(pause));
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_micros(30) {}
        }
    }

    /// So that no two rounds meet in step: any large prime would do.
    const fn uneven(number: u64) -> u64 {
        number * 7919
    }

    fn read_to_hang_up(master: BorrowedFd<'_>) -> Vec<u8> {
        let mut said = Vec::new();
        let mut buffer = [0; 64];
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < DEADLINE, "no hang-up after {said:?}");
            match read_master(master, &mut buffer) {
                Ok(count) => said.extend_from_slice(&buffer[..count]),
                Err(error) if is_hang_up(&error) => return said,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
    }

    /// With one read in place of two, some of these are lost where real-time scheduling is allowed.
    #[test]
    fn what_is_written_just_before_the_other_end_closes_is_read() {
        let here = Pid::from_raw(0);
        let allowed = sched_getaffinity(here).unwrap();
        let mut first = CpuSet::new();
        let number = (0..CpuSet::count()).find(|cpu| allowed.is_set(*cpu).unwrap());
        first.set(number.unwrap()).unwrap();
        let rounds = match std::env::var_os("ACTIX_PROCESS_ALL") {
            Some(_) => ROUNDS,
            None => FEWER,
        };
        let done = AtomicBool::new(false);
        let (slaves, opened) = mpsc::channel::<OwnedFd>();
        thread::scope(|threads| {
            threads.spawn(|| {
                for (round, slave) in opened.into_iter().enumerate() {
                    for _ in 0..uneven(round as u64) % 1009 {
                        hint::spin_loop();
                    }
                    nix::unistd::write(&slave, b"line\n").unwrap();
                }
            });
            threads.spawn(|| {
                sched_setaffinity(here, &first).unwrap();
                interrupt(&done);
            });
            let reader = threads.spawn(|| {
                let slaves = slaves;
                sched_setaffinity(here, &first).unwrap();
                let begun = Instant::now();
                for round in (0..rounds).take_while(|_| begun.elapsed() < TIME) {
                    let PtyEnds { master, slave } = open().unwrap().unwrap();
                    set_nonblocking(master.as_fd()).unwrap();
                    slaves.send(slave).unwrap();
                    let said = read_to_hang_up(master.as_fd());
                    assert_eq!(said, b"line\r\n", "round {round}");
                }
            });
            let result = reader.join();
            done.store(true, Ordering::Relaxed);
            result.unwrap();
        });
    }
}
