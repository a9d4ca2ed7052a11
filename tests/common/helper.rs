//! The program that the tests spawn: the test binary itself.
//!
//! Called with `@helper` as its first argument, it runs the actions that follow, before main and
//! the test harness, and exits. So a test needs no shell and no other file, wherever it runs.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{self, Stdio};

use actix_process::Command;
use nix::libc;
use nix::sys::signal::SigSet;
use nix::unistd::{Pid, getpgid, setpgid};

use super::patterns::write_packets;
use super::tty;

mod worker;

pub use super::patterns::{counted, digest, pattern};

/// A command that runs `actions`, one after the other:
///
/// | action | does |
/// |---|---|
/// | `say TEXT`, `tell FD TEXT` | writes a line to 1, or to FD |
/// | `cat` | copies 0 to 1 until the end |
/// | `drain FD` | reads FD to its end |
/// | `digest FD MICROS` | reads FD to its end, and sleeps after each 64 KiB; says the [`digest`] |
/// | `take FD N` | reads N bytes from FD |
/// | `spam N` | writes N bytes to 1: those of [`pattern`] |
/// | `tiny N` | writes N bytes to 1, one at a time |
/// | `pour N` | writes N bytes to 1 from one small buffer |
/// | `flood FD N` | as `spam`, to FD |
/// | `count N` | writes N bytes to 1: those of [`counted`]; tells 2 after each 8 KiB how many so far |
/// | `put FD HEX`, `dribble FD HEX` | writes these bytes to FD, at once or one at a time |
/// | `packets FD FIRST N` | writes N packets to FD, each as [`packet`](super::patterns::packet) has it, from number FIRST on |
/// | `drip` | writes to 1, one byte at a time, until nobody reads |
/// | `chatter` | writes a line to 1 every few milliseconds, until nobody reads |
/// | `copy FROM TO` | copies descriptor FROM to TO until the end |
/// | `store FD PATH` | copies FD to a file until the end |
/// | `leave N ACTION...` | leaves a grandchild that runs the next N words; says `held PID` |
/// | `close FD` | closes FD |
/// | `ignore SIGNAL`, `raise SIGNAL` | by number |
/// | `block SIGNAL`, `await SIGNAL` | by number; the second waits for a blocked one, says `got SIGNAL` |
/// | `setpgid`, `setsid` | makes a process group, or a session, of its own |
/// | `rejoin` | joins its parent's process group |
/// | `session FD`, `size FD`, `modes FD` | tells 1 what [`tty`](super::tty) has for this terminal |
/// | `hold` | leaves a grandchild that holds all its descriptors until killed; says `held PID` |
/// | `hold-until FD` | leaves one that holds them until FD ends, then says `descendant done` and exits |
/// | `reuse PID` | forks until one has this pid: it leads a group, says `reused`, and `alive` when 0 ends |
/// | `lease PATH` | takes a write lease on PATH, so that an exec of it hangs |
/// | `fds`, `list PATH` | lists its descriptors, to 1 or a file: number, what, blocking or not |
/// | `status`, `env`, `cwd`, `args` | tells about itself |
/// | `trace PID` | becomes the tracer of PID, which it never waits for; says `refused` if it may not |
/// | `link FD TO` | writes to TO what FD is |
/// | `show PATH` | writes a file to 1 |
/// | `worker`, `worker ahead` | does jobs of a pool, and takes some ahead or none: see `helper/worker.rs` |
/// | `pause` | waits for ever |
/// | `exit CODE` | exits; 0 without it |
pub fn helper<I: IntoIterator>(actions: I) -> Command
where
    I::Item: AsRef<str>,
{
    let actions = actions.into_iter().map(|action| action.as_ref().to_owned());
    Command::new(std::env::current_exe().unwrap())
        .arg("@helper")
        .args(actions.collect::<Vec<_>>())
}

/// Bytes as the helper's arguments have them.
pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    let bytes = bytes.as_ref().iter();
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(byte).collect()
}

// SAFETY: the loader runs it before main, on the main thread, after std has noted the arguments
// (its own entry has a priority); it touches nothing but its own process.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    let mut args = std::env::args_os();
    let is_grandchild = args.next().is_some_and(|arg| arg == "grandchild");
    if args.next().is_some_and(|arg| arg == "@helper") {
        if is_grandchild {
            // Nobody waits for a descendant that its test has left: longer than any test takes.
            // SAFETY: an integer.
            unsafe { libc::alarm(300) };
        }
        let args: Vec<String> = args.map(|arg| arg.into_string().unwrap()).collect();
        run(&args);
        process::exit(0);
    }
}

fn run(actions: &[String]) {
    let mut actions = actions.iter().map(String::as_str);
    while let Some(action) = actions.next() {
        let mut next = || actions.next().expect("an argument of the action");
        match action {
            "say" => tell(1, &format!("{}\n", next())),
            "tell" => {
                let fd = number(next());
                tell(fd, &format!("{}\n", next()));
            }
            "cat" => {
                let _ = io::copy(&mut *file(0), &mut *file(1));
            }
            "drain" => {
                let fd = number(next());
                let _ = io::copy(&mut *file(fd), &mut io::sink());
            }
            "digest" => {
                let (fd, micros) = (number(next()), number(next()));
                let mut so_far = 0;
                let mut piece = Vec::new();
                while let Ok(1..) = (&*file(fd)).take(64 * 1024).read_to_end(&mut piece) {
                    so_far = digest(so_far, &piece);
                    piece.clear();
                    std::thread::sleep(std::time::Duration::from_micros(micros as u64));
                }
                tell(1, &format!("digest {so_far:x}\n"));
            }
            "take" => {
                let fd = number(next());
                let mut bytes = vec![0; number(next()) as usize];
                file(fd).read_exact(&mut bytes).unwrap();
            }
            "spam" => {
                let _ = file(1).write_all(&pattern(number(next()) as usize));
            }
            "tiny" => {
                for byte in pattern(number(next()) as usize) {
                    file(1).write_all(&[byte]).unwrap();
                }
            }
            "pour" => {
                let mut left = number(next()) as usize;
                let piece = pattern(64 * 1024);
                while left > 0 {
                    let now = left.min(piece.len());
                    if file(1).write_all(&piece[..now]).is_err() {
                        break;
                    }
                    left -= now;
                }
            }
            "flood" => {
                let fd = number(next());
                let _ = file(fd).write_all(&pattern(number(next()) as usize));
            }
            "count" => {
                let size = number(next()) as usize;
                for begin in (0..size).step_by(8192) {
                    let end = size.min(begin + 8192);
                    if file(1).write_all(&counted(begin, end)).is_err() {
                        break;
                    }
                    tell(2, &format!("{end}\n"));
                }
            }
            "put" => {
                let fd = number(next());
                file(fd).write_all(&unhex(next())).unwrap();
            }
            "dribble" => {
                let fd = number(next());
                for byte in unhex(next()) {
                    file(fd).write_all(&[byte]).unwrap();
                }
            }
            "packets" => {
                let fd = number(next());
                write_packets(&file(fd), number(next()), number(next()));
            }
            "drip" => while file(1).write_all(b".").is_ok() {},
            "chatter" => {
                while file(1).write_all(b"and so on\n").is_ok() {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
            }
            "copy" => {
                let from = number(next());
                let _ = io::copy(&mut *file(from), &mut *file(number(next())));
            }
            "store" => {
                let from = number(next());
                let _ = io::copy(&mut *file(from), &mut File::create(next()).unwrap());
            }
            "leave" => {
                let words: Vec<&str> = (0..number(next())).map(|_| next()).collect();
                let pid = grandchild(&words);
                tell(1, &format!("held {pid}\n"));
            }
            // SAFETY: closes a descriptor that nothing here owns.
            "close" => drop(unsafe { OwnedFd::from_raw_fd(number(next())) }),
            // SAFETY: no handler, only a disposition.
            "ignore" => drop(unsafe { libc::signal(number(next()), libc::SIG_IGN) }),
            // SAFETY: an integer.
            "raise" => drop(unsafe { libc::raise(number(next())) }),
            "setpgid" => setpgid(Pid::this(), Pid::this()).unwrap(),
            "rejoin" => setpgid(Pid::this(), getpgid(Some(Pid::parent())).unwrap()).unwrap(),
            "setsid" => drop(nix::unistd::setsid().unwrap()),
            "block" => signal_set(next()).thread_block().unwrap(),
            "await" => {
                let got = signal_set(next()).wait().unwrap();
                tell(1, &format!("got {}\n", got as i32));
            }
            "session" => tell(1, &format!("{}\n", tty::session(&*file(number(next()))))),
            "size" => tell(1, &format!("{}\n", tty::size(number(next())))),
            "modes" => tell(1, &format!("{}\n", tty::modes(&*file(number(next()))))),
            "hold" => {
                let pid = grandchild(&["pause"]);
                tell(1, &format!("held {pid}\n"));
            }
            "hold-until" => {
                let fd = next();
                let pid = grandchild(&["drain", fd, "say", "descendant done"]);
                tell(1, &format!("held {pid}\n"));
            }
            "reuse" => reuse(number(next())),
            "lease" => {
                let program = File::open(next()).unwrap();
                // SAFETY: integers; the holder ignores the signal that announces the break.
                let taken = unsafe {
                    libc::signal(libc::SIGIO, libc::SIG_IGN);
                    libc::fcntl(program.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK)
                };
                assert_eq!(taken, 0, "{}", io::Error::last_os_error());
                std::mem::forget(program);
            }
            "trace" => {
                // SAFETY: integers.
                let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, number(next()), 0, 0) };
                if seized != 0 {
                    tell(1, "refused ");
                }
            }
            "link" => {
                let what = fs::read_link(format!("/proc/self/fd/{}", next())).unwrap();
                tell(number(next()), &format!("{}\n", what.display()));
            }
            "fds" => tell(1, &list_fds()),
            "list" => {
                let listing = list_fds();
                fs::write(next(), listing).unwrap();
            }
            "status" => tell(1, &fs::read_to_string("/proc/self/status").unwrap()),
            "show" => tell(1, &fs::read_to_string(next()).unwrap()),
            "env" => {
                for (key, value) in std::env::vars() {
                    tell(1, &format!("{key}={value}\n"));
                }
            }
            "cwd" => tell(
                1,
                &format!("{}\n", std::env::current_dir().unwrap().display()),
            ),
            "args" => {
                let all: Vec<String> = std::env::args().collect();
                tell(1, &format!("{all:?}\n"));
            }
            "worker" => worker::work(actions.next().is_some_and(|how| how == "ahead")),
            "pause" => loop {
                std::thread::park();
            },
            "exit" => process::exit(actions.next().map_or(0, number)),
            other => panic!("no action is named {other}"),
        }
    }
}

/// Forks short-lived processes until the kernel has come round to `wanted`.
fn reuse(wanted: i32) {
    extern "C" fn child(wanted: *mut libc::c_void) -> i32 {
        // SAFETY: from the loop below, where it lives.
        if process::id() as i32 == unsafe { *wanted.cast::<i32>() } {
            // SAFETY: integers.
            unsafe { libc::setpgid(0, 0) };
            tell(1, "reused\n");
            let _ = io::copy(&mut *file(0), &mut io::sink());
            tell(1, "alive\n");
        }
        0
    }

    // SAFETY: this process has one thread, and the dead are reaped by the kernel.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let mut stack = vec![0_u128; 1 << 14];
    // A third of what a copy of the memory costs, some 32,000 times.
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    loop {
        // SAFETY: the stack and the number live until the child is gone, as this process waits for that.
        match unsafe {
            let top = stack.as_mut_ptr_range().end;
            libc::clone(
                child,
                top.cast(),
                flags,
                (&raw const wanted).cast_mut().cast(),
            )
        } {
            pid if pid == wanted => return,
            // There were too many at once.
            -1 => std::thread::yield_now(),
            _ => {}
        }
    }
}

fn signal_set(number_of_one: &str) -> SigSet {
    let signal = nix::sys::signal::Signal::try_from(number(number_of_one)).unwrap();
    SigSet::from(signal)
}

fn number(text: &str) -> i32 {
    text.parse().expect("a number")
}

/// A descriptor as a file that is not closed.
fn file(fd: i32) -> std::mem::ManuallyDrop<File> {
    // SAFETY: never closed by this value.
    std::mem::ManuallyDrop::new(unsafe { File::from_raw_fd(fd) })
}

fn tell(fd: i32, text: &str) {
    let _ = file(fd).write_all(text.as_bytes());
}

/// This program once more, with all descriptors of this one.
fn grandchild(actions: &[&str]) -> u32 {
    process::Command::new("/proc/self/exe")
        .arg0("grandchild")
        .arg("@helper")
        .args(actions)
        .stdin(Stdio::inherit())
        .spawn()
        .unwrap()
        .id()
}

fn list_fds() -> String {
    let mut fds: Vec<i32> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    fds.sort_unstable();
    let mut text = String::new();
    for fd in fds {
        let Ok(target) = fs::read_link(format!("/proc/self/fd/{fd}")) else {
            continue;
        };
        let target = target.to_string_lossy();
        if target.ends_with("/fd") {
            continue;
        }
        // SAFETY: the listing just named it, and this process has one thread.
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        let flags = nix::fcntl::fcntl(borrowed, nix::fcntl::FcntlArg::F_GETFL).unwrap();
        let mode = if flags & libc::O_NONBLOCK == 0 {
            "blocking"
        } else {
            "nonblocking"
        };
        text.push_str(&format!("{fd} {target} {mode}\n"));
    }
    text
}

/// The numbers that `fds` named.
pub fn numbers(text: &str) -> Vec<i32> {
    let lines = text.lines();
    lines
        .map(|line| line.split(' ').next().unwrap().parse().unwrap())
        .collect()
}
