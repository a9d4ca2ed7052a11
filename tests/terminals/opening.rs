//! What a new terminal is like, and that its two ends belong together whatever `/dev/pts` says.

use crate::common;

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use actix_process::{Command, NoProtocol, Pty, PtySize, SpawnStep};
use common::isolated::isolated;
use common::mounts::isolated_with_mounts;
use common::refuse::{Call, refuse};
use common::trace::spawned;
use common::{run, start_all_threads};
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sys::stat::Mode;

const SIZE: PtySize = PtySize::new(24, 80);

fn sh(script: &str) -> Command {
    Command::new("sh").args(["-c", script])
}

#[test]
fn a_new_terminal_erases_whole_characters_of_utf8() {
    run(async {
        let modes = sh("stty -a | grep -o -e '-*iutf8'").pty(SIZE);
        assert_eq!(modes.output().await.unwrap().stdout, b"iutf8\r\n");
        let child = sh("read line; echo \"<$line>\"").pty(Pty::new(SIZE).echo(false));
        let (trace, process) = spawned(child).await;
        process.write("a\u{e9}\x7fb\u{6f22}\x7f\n").unwrap();
        assert_eq!(trace.ended(&process).await.text(1), "<ab>\r\n");
    });
}

/// What `wc -c` counts of a line of so many bytes, its newline included, that is typed.
async fn counted(length: usize, pty: Pty) -> usize {
    let (trace, process) = spawned(sh("head -n 1 | wc -c").pty(pty)).await;
    let line = format!("{}\n", "x".repeat(length - 1));
    process.write(line).unwrap();
    trace.ended(&process).await.text(1).trim().parse().unwrap()
}

#[test]
fn a_line_typed_holds_4095_bytes_and_its_newline() {
    run(async {
        let by_lines = || Pty::new(SIZE).echo(false);
        assert_eq!(counted(4000, by_lines()).await, 4000);
        assert_eq!(counted(4096, by_lines()).await, 4096);
        // The rest of the line is lost without a word.
        assert_eq!(counted(4097, by_lines()).await, 4096);
        assert_eq!(counted(5000, by_lines()).await, 4096);
        // Raw, there are no lines.
        assert_eq!(counted(5000, by_lines().raw(true)).await, 5000);
        assert_eq!(counted(300_000, by_lines().raw(true)).await, 300_000);
    });
}

/// How `/dev/ptmx` comes to be of another file system than `/dev/pts`.
enum Ptmx {
    /// By a symbolic link: the kernel knows the other ends.
    Linked,
    /// Bound there alone: the kernel looks for them in `/dev/pts`, too.
    Bound,
}

/// Two file systems of terminals.
struct Two {
    /// The number 0 of the one in `/dev/pts`, which is somebody else's: its master.
    theirs: OwnedFd,
    /// The directory of that to which `/dev/ptmx` belongs.
    ours: PathBuf,
}

impl Two {
    /// Nobody has written to the terminal that somebody else reads.
    fn assert_silent(&self) {
        let error = nix::unistd::read(&self.theirs, &mut [0; 64]).unwrap_err();
        assert_eq!(error, nix::errno::Errno::EAGAIN);
    }
}

/// A master of the file system in `place`, unlocked.
fn master_in(place: &Path) -> OwnedFd {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let master = open(&place.join("ptmx"), flags, Mode::empty()).unwrap();
    let unlock: libc::c_int = 0;
    // SAFETY: reads one int from a live local.
    let unlocked = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &unlock) };
    assert_eq!(unlocked, 0);
    master
}

fn terminal_0_in(place: &Path) -> OwnedFd {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    open(&place.join("0"), flags, Mode::empty()).unwrap()
}

/// Runs `test` where `/dev` has terminals of two file systems.
fn with_two<F: Future<Output = ()>>(ptmx: Ptmx, test: impl FnOnce(Two) -> F) {
    isolated_with_mounts(|| {
        let nothing = None::<&str>;
        let put = |what: &Path, place: &Path, flags| {
            mount(Some(what), place, nothing, flags, nothing).unwrap();
        };
        let dir = tempfile::tempdir().unwrap();
        let [theirs, ours, dev] = ["theirs", "ours", "dev"].map(|name| dir.path().join(name));
        for place in [&theirs, &ours, &dev] {
            std::fs::create_dir(place).unwrap();
        }
        for place in [&theirs, &ours] {
            let options = Some("newinstance,ptmxmode=0666,mode=0620");
            mount(
                Some("devpts"),
                place,
                Some("devpts"),
                MsFlags::empty(),
                options,
            )
            .unwrap();
        }
        std::fs::create_dir(dev.join("pts")).unwrap();
        put(&theirs, &dev.join("pts"), MsFlags::MS_BIND);
        std::fs::write(dev.join("null"), "").unwrap();
        put(Path::new("/dev/null"), &dev.join("null"), MsFlags::MS_BIND);
        match ptmx {
            Ptmx::Linked => symlink(ours.join("ptmx"), dev.join("ptmx")).unwrap(),
            Ptmx::Bound => {
                std::fs::write(dev.join("ptmx"), "").unwrap();
                put(&ours.join("ptmx"), &dev.join("ptmx"), MsFlags::MS_BIND);
            }
        }
        put(&dev, Path::new("/dev"), MsFlags::MS_BIND | MsFlags::MS_REC);
        let two = Two {
            theirs: master_in(&theirs),
            ours,
        };
        // Open as of somebody who works there.
        let _slave = terminal_0_in(&theirs);
        run(test(two));
    });
}

fn refuse_peer() {
    let peer = Call::Second(libc::SYS_ioctl, libc::TIOCGPTPEER as i32);
    refuse(peer, libc::ENOTTY);
}

async fn assert_refused(pty: impl Into<Pty>, why: &str) {
    let error = sh("echo secret").pty(pty).spawn(NoProtocol).await;
    let error = error.unwrap_err();
    assert_eq!(error.step(), SpawnStep::Pty, "{error}");
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn a_child_is_on_the_terminal_that_we_read_and_on_no_other_of_its_name() {
    with_two(Ptmx::Linked, |two| async move {
        let output = sh("echo secret").pty(SIZE).output().await.unwrap();
        assert_eq!(output.stdout, b"secret\r\n");
        two.assert_silent();
    });
}

#[test]
fn a_terminal_whose_other_end_is_not_in_dev_pts_fails_the_spawn() {
    with_two(Ptmx::Bound, |two| async move {
        let before = start_all_threads().await;
        assert_refused(SIZE, "/dev/pts").await;
        before.assert_restored_but_spawners().await;
        two.assert_silent();
    });
}

#[test]
fn another_terminal_of_that_name_fails_the_spawn_where_there_is_only_the_name() {
    with_two(Ptmx::Linked, |two| async move {
        let before = start_all_threads().await;
        refuse_peer();
        assert_refused(SIZE, "/dev/pts").await;
        before.assert_restored_but_spawners().await;
        two.assert_silent();
    });
}

#[test]
fn ends_of_two_file_systems_are_no_terminal() {
    with_two(Ptmx::Linked, |two| async move {
        // Number 0 in both.
        let _master = master_in(&two.ours);
        let slave = terminal_0_in(&two.ours);
        let theirs = two.theirs.try_clone().unwrap();
        assert_refused(Pty::from_ends(theirs, slave), "other end").await;
        two.assert_silent();
    });
}

#[test]
fn terminals_work_where_the_name_is_all_there_is() {
    isolated(|| {
        run(async {
            start_all_threads().await;
            refuse_peer();
            let child = || sh("stty size; tty > /dev/null && echo on a terminal");
            let output = child().pty(PtySize::new(7, 9)).output().await.unwrap();
            assert_eq!(output.stdout, b"7 9\r\non a terminal\r\n");
            let output = child().pty(PtySize::new(0, 0)).output().await.unwrap();
            assert_eq!(output.stdout, b"0 0\r\non a terminal\r\n");
            let (master, slave) = common::tty::pair();
            let given = child().pty(Pty::from_ends(master, slave));
            let output = given.output().await.unwrap();
            assert_eq!(output.stdout, b"0 0\r\non a terminal\r\n");
        });
    });
}
