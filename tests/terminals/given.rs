//! Terminals that are given, and all that is refused about terminals before there is a child.

use crate::common;

use std::fs::File;
use std::os::fd::OwnedFd;

use actix_process::{
    CloseReason, Command, Fd, FdMap, NoProtocol, Pty, PtySize, SpawnError, SpawnStep,
};
use common::census::open_fds;
use common::helper::helper;
use common::isolated::isolated;
use common::limits::set_soft_limit;
use common::trace::{Trace, spawned};
use common::tty::{another, pair, slave_of};
use common::{run, start_all_threads};
use nix::libc;

const SIZE: PtySize = PtySize::new(24, 80);

/// How many descriptors of this process are masters, and slaves.
fn ends() -> (usize, usize) {
    let fds = open_fds();
    let count = |begin: &str| fds.values().filter(|it| it.starts_with(begin)).count();
    (count("/dev/ptmx"), count("/dev/pts/"))
}

async fn refused(command: &Command) -> SpawnError {
    let (trace, protocol) = Trace::start();
    let error = command.spawn(&protocol).await.unwrap_err();
    assert!(trace.events().is_empty(), "{error}");
    error
}

#[test]
fn a_given_terminal_is_the_childs_like_a_new_one() {
    run(async {
        let (master, slave) = pair();
        let child = helper(["session", "0", "cat"]).pty(Pty::from_ends(master, slave));
        let (trace, process) = spawned(child).await;
        let pid = process.pid().unwrap();
        trace.output(&process, 1, "controlled true").await;
        process.write("typed\n\x04").unwrap();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1]);
        let said = history.text(1);
        let session =
            format!("session {pid} group {pid} foreground {pid} of {pid} controlled true\r\n");
        assert!(said.contains(&session), "{said}");
        assert_eq!(said.matches("typed\r\n").count(), 2, "{said}");
        assert_eq!(history.closes()[&1], CloseReason::ByChild);
        assert_eq!(history.status().code(), Some(0));
    });
}

#[test]
fn the_spawn_closes_the_slave_and_owns_the_master() {
    isolated(|| {
        run(async {
            let before = start_all_threads().await;
            let (master, slave) = pair();
            let child = helper(["say", "ready", "cat"]).pty(Pty::from_ends(master, slave));
            assert_eq!(ends(), (1, 1));
            let (trace, process) = spawned(&child).await;
            assert_eq!(ends(), (1, 0));
            trace.output(&process, 1, "ready").await;
            process.write("\x04").unwrap();
            trace.ended(&process).await;
            // Neither the handle nor the command holds any of it.
            before.assert_restored_but_spawners().await;
            drop((process, child));
        });
    });
}

#[test]
fn the_master_is_open_until_the_child_is_reaped() {
    isolated(|| {
        run(async {
            let given = || {
                let (master, slave) = pair();
                Pty::from_ends(master, slave)
            };
            for pty in [&given as &dyn Fn() -> Pty, &|| Pty::new(SIZE)] {
                let pty = pty();
                let actions = ["close", "0", "close", "1", "close", "2", "drain", "3"];
                let child = helper(actions).pty(pty).fd(3, Fd::write());
                let (trace, process) = spawned(&child).await;
                trace.lost(&process, 0).await;
                trace.lost(&process, 1).await;
                assert_eq!(ends(), (1, 0));
                process.close_child_fd(3);
                let history = trace.ended(&process).await;
                assert_eq!(history.status().code(), Some(0), "{:?}", history.status());
                assert_eq!(ends(), (0, 0));
            }
        });
    });
}

#[test]
fn a_slave_that_the_caller_keeps_holds_up_the_end_as_a_descendant_does() {
    run(async {
        let (master, slave) = pair();
        let kept = another(&slave);
        let child = helper(["say", "x"]).pty(Pty::from_ends(master, slave));
        let (trace, process) = spawned(child).await;
        trace.output(&process, 1, "x").await;
        let status = trace.exited(&process).await;
        assert_eq!(process.try_status(), Some(status));
        nix::unistd::write(&kept, b"y\n").unwrap();
        trace.output(&process, 1, "y").await;
        drop(kept);
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1]);
        assert_eq!(history.text(1), "x\r\ny\r\n");
    });
}

#[test]
fn a_failed_spawn_takes_a_given_terminal_too() {
    isolated(|| {
        run(async {
            let before = start_all_threads().await;
            for (command, step) in [
                (Command::new("/no/such/program"), SpawnStep::Exec),
                (
                    Command::new("true").current_dir("/no/such/dir"),
                    SpawnStep::Cwd,
                ),
                (Command::new("true").fd(-1, Fd::null()), SpawnStep::Invalid),
                (Command::new("true").process_group(0), SpawnStep::Invalid),
                (Command::new("true").fd(7, Fd::inherit(999)), SpawnStep::Fds),
            ] {
                let (master, slave) = pair();
                let command = command.pty(Pty::from_ends(master, slave));
                let error = refused(&command).await;
                assert_eq!(error.step(), step, "{error}");
                assert_eq!(ends(), (0, 0), "{error}");
                let error = refused(&command.current_dir("/")).await;
                assert_eq!(error.step(), SpawnStep::Invalid, "{error}");
            }
            before.assert_restored_but_spawners().await;
        });
    });
}

#[test]
fn a_second_spawn_is_refused() {
    run(async {
        let (master, slave) = pair();
        let command = Command::new("true").pty(Pty::from_ends(master, slave));
        assert!(command.status().await.unwrap().success());
        for command in [command.clone(), command] {
            let error = refused(&command).await;
            assert_eq!(error.step(), SpawnStep::Invalid, "{error}");
            assert_eq!(error.subject(), "pty", "{error}");
            assert!(error.detail().contains("earlier spawn"), "{error}");
        }
    });
}

#[test]
fn what_is_no_terminal_is_told_from_one() {
    run(async {
        let null = || OwnedFd::from(File::open("/dev/null").unwrap());
        let (master, slave) = pair();
        let (strange_master, strange_slave) = pair();
        let (master, slave) = (|| another(&master), || another(&slave));
        let (of_master, of_slave) = ("the master that was given", "the slave that was given");
        for (ends, subject, errno) in [
            ((null(), slave()), of_master, Some(libc::ENOTTY)),
            ((master(), null()), of_slave, Some(libc::ENOTTY)),
            // The wrong way round.
            ((slave(), master()), of_master, Some(libc::ENOTTY)),
            ((slave(), slave()), of_master, Some(libc::ENOTTY)),
            ((master(), master()), of_slave, None),
            // Of another terminal.
            ((master(), strange_slave), of_slave, None),
            ((strange_master, slave()), of_slave, None),
        ] {
            let command = Command::new("true").pty(Pty::from_ends(ends.0, ends.1));
            let error = refused(&command).await;
            let told = (error.step(), error.subject(), error.errno());
            assert_eq!(told, (SpawnStep::Pty, subject, errno), "{error}");
        }
        let command = Command::new("true").pty(Pty::from_ends(master(), slave()));
        assert!(command.spawn(NoProtocol).await.is_ok());
    });
}

#[test]
fn a_terminal_of_another_session_is_refused() {
    run(async {
        let (master, slave) = pair();
        let pty = Pty::from_ends(another(&master), slave);
        let first = helper(["say", "ready", "cat"]).pty(pty);
        let (trace, first) = spawned(first).await;
        trace.output(&first, 1, "ready").await;

        let second = Pty::from_ends(another(&master), slave_of(&master));
        let error = refused(&Command::new("true").pty(second)).await;
        let told = (error.step(), error.subject(), error.errno());
        let expected = (
            SpawnStep::Pty,
            "the controlling terminal",
            Some(libc::EPERM),
        );
        assert_eq!(told, expected, "{error}");

        // The first one has taken no harm.
        first.write("typed\n\x04").unwrap();
        let history = trace.ended(&first).await;
        assert_eq!(history.status().code(), Some(0), "{:?}", history.status());
        assert_eq!(history.text(1).matches("typed\r\n").count(), 2);
    });
}

#[test]
fn a_new_terminal_that_cannot_be_opened_is_told_of() {
    isolated(|| {
        run(async {
            let before = start_all_threads().await;
            let next = before.fds.keys().max().unwrap() + 1;
            for room in 0..2 {
                let (soft, _) = set_soft_limit(libc::RLIMIT_NOFILE, next as u64 + room);
                // Fill what is free below.
                let filling: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok())
                    .take(1000)
                    .collect();
                let mut filling = filling;
                filling.truncate(filling.len() - room as usize);
                let error = refused(&Command::new("true").pty(SIZE)).await;
                drop(filling);
                set_soft_limit(libc::RLIMIT_NOFILE, soft);
                let told = (error.step(), error.subject(), error.errno());
                let expected = (SpawnStep::Pty, "opening a terminal", Some(libc::EMFILE));
                assert_eq!(told, expected, "{error}");
            }
            before.assert_restored_but_spawners().await;
        });
    });
}

#[test]
fn senseless_combinations_are_refused_by_name() {
    run(async {
        // Nobody may be spawned, not even for a moment: there is no such program.
        let plain = || Command::new("/no/such/program");
        let base = || plain().pty(SIZE);
        let terminal = base().fd_map().get(1).unwrap().clone();
        let cases = [
            (base().process_group(0), "pty"),
            (plain().process_group(7).pty(SIZE), "pty"),
            (base().setsid(true).process_group(0), "setsid"),
            (base().stdin(Fd::null()), "fd 0"),
            (plain().stdin(Fd::write()).pty(SIZE), "fd 0"),
            (base().fd(0, Fd::inherit(0)), "fd 0"),
            (base().stdout(Fd::read()), "fd 1"),
            (plain().stdout(Fd::stream()).pty(SIZE), "fd 1"),
            (base().fds(FdMap::stdio()), "fd 0"),
            (plain().fds([(1, Fd::null())].into()).pty(SIZE), "fd 1"),
            (base().fds([(1, Fd::null())].into()), "fd 1"),
            (base().fd(1, terminal.clone().window(1 << 16)), "fd 1"),
            (base().fd(-2, Fd::null()), "fd -2"),
            // A terminal where the command has none.
            (plain().fd(1, terminal.clone()), "fd 1"),
            (plain().fd(5, terminal.clone()), "fd 5"),
        ];
        for (command, subject) in cases {
            let error = refused(&command).await;
            let told = (error.step(), error.subject());
            assert_eq!(told, (SpawnStep::Invalid, subject), "{error}");
        }
        // It can be told to type, but not to close.
        let typed = base().output().input("x").await.unwrap_err();
        assert!(typed.to_string().contains("fd 0"), "{typed}");

        for command in [
            base().setsid(true),
            base().setsid(false),
            base().fd(5, terminal.clone()),
            base().stderr(terminal),
        ] {
            let error = refused(&command).await;
            assert_eq!(error.step(), SpawnStep::Exec, "{error}");
        }
    });
}

#[test]
fn the_terminal_can_be_given_to_the_child_once_more() {
    run(async {
        let child = helper(["tell", "5", "through", "link", "5", "1", "link", "0", "1"]);
        let terminal = child.clone().pty(SIZE).fd_map().get(1).unwrap().clone();
        let child = child.fd(5, terminal).pty(SIZE);
        let history = common::trace::history(&child).await;
        history.assert_rules(&[0, 1]);
        let said = history.text(1);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[0], "through");
        assert_eq!(lines[1], lines[2]);
    });
}
