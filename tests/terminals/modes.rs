//! The size and the modes of a terminal: as the child finds them, and as they are changed.

use crate::common;

use actix_process::{NoProtocol, Pty, PtySize, ResizeError, Signal};
use common::helper::{helper, pattern};
use common::isolated::isolated;
use common::refuse::{Call, refuse};
use common::run;
use common::trace::{Trace, history, spawned};
use common::tty::{
    another, change, echo_off, kernels_modes, make_raw, modes, new_modes, pair, slave_of,
};

const SIZE: PtySize = PtySize::new(24, 80);

/// SIGWINCH.
const WINCH: &str = "28";

/// What a child says that does one thing on a terminal.
async fn said(action: &str, pty: impl Into<Pty>) -> String {
    history(&helper([action, "0"]).pty(pty)).await.text(1)
}

#[test]
fn the_child_finds_the_size_at_its_first_act() {
    run(async {
        assert_eq!(said("size", PtySize::new(30, 100)).await, "30 100 0 0\r\n");
        let mut pixels = PtySize::new(1, 65535);
        (pixels.x_pixels, pixels.y_pixels) = (640, 480);
        assert_eq!(said("size", pixels).await, "1 65535 640 480\r\n");
        let changed = Pty::new(SIZE).size(PtySize::new(7, 9));
        assert_eq!(said("size", changed).await, "7 9 0 0\r\n");
        // Unknown only when that is asked for.
        assert_eq!(said("size", PtySize::new(0, 0)).await, "0 0 0 0\r\n");
    });
}

#[test]
fn a_size_can_be_asked_of_a_terminal() {
    let (master, slave) = pair();
    assert_eq!(PtySize::of(&slave).unwrap(), PtySize::new(0, 0));
    run(async {
        let pty = Pty::from_ends(another(&master), slave).size(PtySize::new(11, 22));
        helper(["exit", "0"]).pty(pty).status().await.unwrap();
    });
    assert_eq!(PtySize::of(&master).unwrap(), PtySize::new(11, 22));
    let slave = slave_of(&master);
    assert_eq!(PtySize::of(&slave).unwrap(), PtySize::new(11, 22));
    let null = std::fs::File::open("/dev/null").unwrap();
    let error = PtySize::of(&null).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(nix::libc::ENOTTY));
}

#[test]
fn the_modes_are_the_kernels_with_utf8_unless_asked_for() {
    run(async {
        let usual = new_modes(|_| {});
        let told = said("modes", SIZE).await;
        assert_eq!(told, format!("{usual}\r\n"));
        let told = said("modes", Pty::new(SIZE).echo(true).raw(false)).await;
        assert_eq!(told, format!("{usual}\r\n"));
    });
}

#[test]
fn echo_off_is_that_and_nothing_else() {
    run(async {
        let told = said("modes", Pty::new(SIZE).echo(false)).await;
        assert_eq!(told, format!("{}\r\n", new_modes(echo_off)));

        let child = helper(["cat"]).pty(Pty::new(SIZE).echo(false));
        let (trace, process) = spawned(child).await;
        process.write("secret\n\x04").unwrap();
        assert_eq!(trace.ended(&process).await.text(1), "secret\r\n");
    });
}

#[test]
fn raw_is_as_cfmakeraw_makes_it() {
    run(async {
        let told = said("modes", Pty::new(SIZE).raw(true)).await;
        assert_eq!(told, format!("{}\n", new_modes(make_raw)));
        let told = said("modes", Pty::new(SIZE).raw(true).echo(false)).await;
        assert_eq!(told, format!("{}\n", new_modes(make_raw)));
        let told = said("modes", Pty::new(SIZE).echo(true).raw(true)).await;
        let with_echo = new_modes(|modes| {
            make_raw(modes);
            let echo = nix::sys::termios::LocalFlags::ECHO;
            modes.local_flags.insert(echo);
        });
        assert_eq!(told, format!("{with_echo}\n"));
    });
}

#[test]
fn a_given_terminal_keeps_what_is_not_asked_for() {
    run(async {
        let ours = |modes: &mut nix::sys::termios::Termios| {
            modes.control_chars[nix::libc::VINTR] = 24;
            modes
                .local_flags
                .remove(nix::sys::termios::LocalFlags::IEXTEN);
        };
        let (master, slave) = pair();
        change(&slave, ours);
        drop(slave);
        let given = || Pty::from_ends(another(&master), slave_of(&master));

        assert_eq!(
            said("modes", given()).await,
            format!("{}\r\n", kernels_modes(ours))
        );
        // The first child's end is no end for the next.
        let told = said("modes", given().echo(false)).await;
        let without_echo = kernels_modes(|modes| {
            ours(modes);
            echo_off(modes);
        });
        assert_eq!(told, format!("{without_echo}\r\n"));
        assert_eq!(modes(&master), without_echo);

        let sized = given().size(PtySize::new(5, 6));
        assert_eq!(said("size", sized).await, "5 6 0 0\r\n");
        assert_eq!(said("size", given()).await, "5 6 0 0\r\n");
        assert_eq!(PtySize::of(&master).unwrap(), PtySize::new(5, 6));
    });
}

#[test]
fn a_resize_is_told_by_sigwinch_and_can_be_read_then() {
    run(async {
        let child = helper(["block", WINCH, "say", "ready", "await", WINCH, "size", "0"]);
        let (trace, process) = spawned(child.pty(SIZE)).await;
        trace.output(&process, 1, "ready").await;
        let mut size = PtySize::new(50, 132);
        size.x_pixels = 9;
        process.resize(size).unwrap();
        let history = trace.ended(&process).await;
        assert_eq!(history.text(1), "ready\r\ngot 28\r\n50 132 9 0\r\n");
    });
}

#[test]
fn the_whole_foreground_group_is_told_of_a_resize() {
    run(async {
        let descendant = ["leave", "4", "await", WINCH, "say", "descendant"];
        let actions = [&["block", WINCH][..], &descendant, &["await", WINCH, "cat"]].concat();
        let child = helper(actions).pty(Pty::new(SIZE).echo(false));
        let (trace, process) = spawned(child).await;
        trace.output(&process, 1, "held").await;
        process.resize(PtySize::new(50, 132)).unwrap();
        trace.output(&process, 1, "descendant").await;
        trace
            .until(&process, "two of them", |events| {
                let said = common::trace::data_of(events, 1);
                let said = String::from_utf8(said).unwrap();
                (said.matches("got 28").count() == 2).then_some(())
            })
            .await;
        process.write("\x04").unwrap();
        assert_eq!(trace.ended(&process).await.status().code(), Some(0));
    });
}

#[test]
fn only_another_size_is_told() {
    run(async {
        for (to, pending) in [(SIZE, false), (PtySize::new(24, 81), true)] {
            let child = helper(["block", WINCH, "say", "ready", "take", "0", "1", "status"]);
            let (trace, process) = spawned(child.pty(SIZE)).await;
            trace.output(&process, 1, "ready").await;
            process.resize(to).unwrap();
            process.write("\n").unwrap();
            let status = trace.ended(&process).await.text(1);
            let line = status.lines().find(|line| line.starts_with("ShdPnd"));
            let line = line.unwrap();
            assert_eq!(line.ends_with("08000000"), pending, "{line}");
        }
    });
}

#[test]
fn a_size_is_set_when_the_call_returns() {
    run(async {
        let (master, slave) = pair();
        let child = helper(["cat"]).pty(Pty::from_ends(another(&master), slave));
        let (trace, process) = spawned(child).await;
        // More than the kernel takes is queued, and the arbiter has no turn.
        process.write(pattern(3_000_000)).unwrap();
        for rows in 1..=100 {
            let size = PtySize::new(rows, 2 * rows);
            process.resize(size).unwrap();
            assert_eq!(PtySize::of(&master).unwrap(), size);
        }
        let handle = process.clone();
        let elsewhere = std::thread::spawn(move || handle.resize(SIZE));
        elsewhere.join().unwrap().unwrap();
        assert_eq!(PtySize::of(&master).unwrap(), SIZE);
        process.lose_connection();
        assert!(process.kill());
        trace.ended(&process).await.assert_rules(&[0, 1]);
    });
}

#[test]
fn a_resize_that_the_kernel_refuses_says_so() {
    isolated(|| {
        run(async {
            let process = helper(["cat"]).pty(SIZE).spawn(NoProtocol).await.unwrap();
            let request = i32::try_from(nix::libc::TIOCSWINSZ).unwrap();
            refuse(
                Call::Second(nix::libc::SYS_ioctl, request),
                nix::libc::EPERM,
            );
            let errno = nix::libc::EPERM;
            let error = process.resize(PtySize::new(1, 2)).unwrap_err();
            assert_eq!(error, ResizeError::Failed { errno });
            assert!(
                error.to_string().contains("Operation not permitted"),
                "{error}"
            );
            process.write("\x04").unwrap();
            assert!(process.ended().await.success());
        })
    });
}

#[test]
fn the_last_resize_stays() {
    run(async {
        let child = helper(["say", "ready", "take", "0", "1", "size", "0"]);
        let process = child.pty(Pty::new(SIZE).echo(false));
        let (trace, process) = spawned(process).await;
        trace.output(&process, 1, "ready").await;
        for rows in 1..=40 {
            process.resize(PtySize::new(rows, 2 * rows)).unwrap();
        }
        process.write("\n").unwrap();
        let history = trace.ended(&process).await;
        assert_eq!(history.text(1), "ready\r\n40 80 0 0\r\n");
    });
}

#[test]
fn a_resize_does_not_wait_for_what_is_queued() {
    run(async {
        let child = helper(["block", WINCH, "say", "ready", "await", WINCH, "size", "0"]);
        let process = child.pty(Pty::new(SIZE).raw(true));
        let (trace, process) = spawned(process).await;
        trace.output(&process, 1, "ready").await;
        // More than the kernel takes, and nobody reads it.
        process.write(pattern(3_000_000)).unwrap();
        process.resize(PtySize::new(50, 132)).unwrap();
        let history = trace.ended(&process).await;
        assert_eq!(history.text(1), "ready\ngot 28\n50 132 0 0\n");
    });
}

#[test]
fn a_resize_without_an_open_terminal_is_refused() {
    run(async {
        let (trace, protocol) = Trace::start();
        let plain = helper(["cat"]).spawn(&protocol).await.unwrap();
        assert_eq!(plain.resize(SIZE), Err(ResizeError::NoTerminal));
        plain.close_stdin();
        trace.ended(&plain).await;
        assert_eq!(plain.resize(SIZE), Err(ResizeError::NoTerminal));

        let child = helper(["say", "ready", "pause"]).pty(SIZE);
        let process = child.spawn(&protocol).await.unwrap();
        trace.output(&process, 1, "ready").await;
        process.resize(SIZE).unwrap();
        process.lose_connection();
        trace.lost(&process, 0).await;
        assert_eq!(process.resize(SIZE), Err(ResizeError::Closed));
        let status = trace.ended(&process).await.status();
        assert_eq!(status.signal(), Some(Signal::HUP));
        assert_eq!(process.resize(SIZE), Err(ResizeError::Closed));
    });
}

#[test]
fn a_child_without_a_protocol_can_be_resized() {
    run(async {
        let (master, slave) = pair();
        let pty = Pty::from_ends(another(&master), slave);
        let child = helper(["block", WINCH, "await", WINCH]).pty(pty);
        let process = child.spawn(NoProtocol).await.unwrap();
        // Before the child blocks the signal it would be lost.
        common::eventually(
            "the child to be told",
            || {
                let rows = PtySize::of(&master).unwrap().rows;
                let _ = process.resize(PtySize::new(rows + 1, 80));
                process.try_status()
            },
            || format!("{:?}", PtySize::of(&master)),
        )
        .await;
        assert!(process.ended().await.success());
    });
}
