//! What is given to a child: made blocking, and one open file for as many numbers as the command says.

use crate::common;

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use actix_process::{
    CloseReason, Command, Fd, FdMap, NoProtocol, Pty, PtySize, SpawnStep, WriteError,
};
use common::helper::{helper, numbers};
use common::trace::{history, spawned};
use common::tty::pair;
use common::{in_time, run};
use nix::fcntl::{FcntlArg, OFlag, fcntl};

const SIZE: PtySize = PtySize::new(24, 80);

fn flags(fd: impl AsFd) -> OFlag {
    OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL).unwrap())
}

fn set_nonblocking(fd: impl AsFd) {
    let flags = flags(&fd) | OFlag::O_NONBLOCK;
    fcntl(fd, FcntlArg::F_SETFL(flags)).unwrap();
}

/// More than any buffer holds, written to a reader that only begins when the writer cannot go on.
async fn assert_whole(ours: impl Read + Send + 'static, theirs: Fd) {
    const LENGTH: usize = 4 << 20;
    let child = helper(["tell", "2", "ready", "pour", &LENGTH.to_string()]);
    let (trace, process) = spawned(child.stdout(theirs)).await;
    trace.output(&process, 2, "ready").await;
    let mut ours = ours;
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        ours.read_to_end(&mut all).unwrap();
        all.len()
    });
    assert!(trace.ended(&process).await.status().success());
    assert_eq!(reader.join().unwrap(), LENGTH);
}

#[test]
fn what_is_given_away_is_blocking_for_the_child() {
    run(async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        assert_whole(ours, theirs.into()).await;

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        theirs.set_nonblocking(true).unwrap();
        assert_whole(listener.accept().unwrap().0, theirs.into()).await;

        let (ours, theirs) = std::io::pipe().unwrap();
        set_nonblocking(&theirs);
        assert_whole(ours, theirs.into()).await;
    });
}

#[test]
fn a_given_terminal_is_blocking_for_the_child() {
    run(async {
        let (master, slave) = pair();
        set_nonblocking(&slave);
        let child = helper(["fds"]).pty(Pty::from_ends(master, slave));
        let said = history(&child).await.text(1);
        assert_eq!(said.matches(" blocking").count(), 3, "{said}");
    });
}

#[test]
fn what_is_lent_stays_as_it_is() {
    run(async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let shared = std::sync::Arc::new(OwnedFd::from(theirs));
        let child = helper(["fds"]).fd(5, Fd::share(shared.clone()));
        let said = history(&child).await.text(1);
        assert!(said.contains("nonblocking"), "{said}");
        assert!(flags(&shared).contains(OFlag::O_NONBLOCK));
        drop(ours);
    });
}

#[test]
fn same_as_is_the_same_pipe_in_either_direction_and_order_of_naming() {
    run(async {
        let one = |n| Fd::same_as(n);
        for map in [
            FdMap::from([(1, Fd::read()), (2, one(1))]),
            FdMap::from([(2, one(1)), (1, Fd::read())]),
            FdMap::from([(2, one(7)), (7, one(1)), (1, Fd::read())]),
        ] {
            let child = helper(["tell", "1", "a", "tell", "2", "b", "tell", "1", "c"]);
            let history = history(&child.fds(map)).await;
            history.assert_rules(&[1]);
            assert_eq!(history.text(1), "a\nb\nc\n");
        }
        let swapped = FdMap::from([(2, Fd::read()), (1, one(2))]);
        let child = helper(["tell", "1", "a", "tell", "2", "b"]).fds(swapped);
        let history = history(&child).await;
        history.assert_rules(&[2]);
        assert_eq!(history.text(2), "a\nb\n");
        assert_eq!(history.closes()[&2], CloseReason::ByChild);
    });
}

#[test]
fn same_as_works_for_every_kind() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let file = || std::fs::File::create(&path).unwrap();
        let shared = std::sync::Arc::new(OwnedFd::from(file()));
        let (reader, _writer) = std::io::pipe().unwrap();
        for fd in [
            Fd::read(),
            Fd::write(),
            Fd::null(),
            Fd::inherit(0),
            file().into(),
            Fd::share(shared),
            reader.into(),
        ] {
            let child = helper(["link", "5", "1", "link", "6", "1"]);
            let said = history(&child.fd(6, Fd::same_as(5)).fd(5, fd))
                .await
                .text(1);
            let (five, six) = said.split_once('\n').unwrap();
            assert_eq!(five, six.trim_end(), "{said}");
        }
        let child = helper(["link", "0", "1", "link", "9", "1"]).pty(SIZE);
        let said = history(&child.fd(9, Fd::same_as(0))).await.text(1);
        let (zero, nine) = said.split_once("\r\n").unwrap();
        assert_eq!(zero, nine.trim_end(), "{said}");
    });
}

#[test]
fn same_as_is_nothing_of_its_own_to_the_parent() {
    run(async {
        let fd = Fd::same_as(1);
        assert!(!fd.is_read() && !fd.is_stream() && !fd.is_write() && !fd.is_terminal());
        let child = helper(["copy", "0", "4"]).fd(4, fd).fd(5, Fd::same_as(0));
        let child = child.stdout(Fd::stream());
        let (trace, process) = spawned(child).await;
        let refused = process.write_to_child(5, "no").unwrap_err();
        assert!(
            matches!(refused, WriteError::NotWritable { .. }),
            "{refused:?}"
        );
        assert!(process.take_stream(4).is_err());
        let stream = process.take_stream(1).unwrap();
        process.write("through 0").unwrap();
        process.close_stdin();
        let chunks: Vec<_> = futures::StreamExt::collect(stream).await;
        assert_eq!(chunks.concat(), b"through 0");
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
    });
}

#[test]
fn same_as_nothing_or_itself_is_refused() {
    run(async {
        // Nobody may be spawned, not even for a moment: there is no such program.
        let child = || Command::new("/no/such/program");
        let same = Fd::same_as;
        for (command, subject) in [
            (child().stderr(same(2)), "fd 2"),
            (child().stderr(same(9)), "fd 2"),
            (child().stderr(same(-1)), "fd 2"),
            (child().stdout(same(2)).stderr(same(1)), "fd 1"),
            (child().fd(5, same(6)).fd(6, same(7)).fd(7, same(5)), "fd 5"),
            (child().fd(4, same(5)).fd(5, same(5)), "fd 4"),
            (child().stderr(same(1).window(1 << 20)), "fd 2"),
            (child().stdout(same(2)).pty(SIZE), "fd 1"),
        ] {
            let error = command.spawn(NoProtocol).await.unwrap_err();
            let told = (error.step(), error.subject());
            assert_eq!(told, (SpawnStep::Invalid, subject), "{error}");
        }
    });
}

#[test]
fn same_as_closes_nothing_of_its_neighbours_however_many_descriptors_there_are() {
    run(async {
        // Above these the spawn goes by reserved slots.
        let null = || std::fs::File::open("/dev/null").unwrap();
        let many: Vec<_> = (0..200).map(|_| null()).collect();
        let mut map = FdMap::stdio();
        for n in 3..7 {
            map = map.set(n, Fd::same_as(n - 2));
        }
        let said = history(&helper(["fds"]).fds(map)).await.text(1);
        assert_eq!(numbers(&said), [0, 1, 2, 3, 4, 5, 6], "{said}");
        drop(many);
    });
}

/// Executed and killed at once, a quick program has mostly done nothing: one of several rounds would show it.
#[test]
fn the_spawn_of_an_arbiter_that_has_stopped_executes_nothing() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..100 {
            let proof = dir.path().join(round.to_string());
            let touch = Command::new("touch").arg(&proof);
            let home = actix::Arbiter::new();
            let (tell, told) = std::sync::mpsc::channel();
            home.spawn_fn(move || tell.send(touch.spawn(NoProtocol)).unwrap());
            let spawning = told.recv_timeout(common::DEADLINE).unwrap();
            home.stop();
            home.join().unwrap();
            let error = in_time(spawning).await.unwrap_err();
            assert_eq!(error.step(), SpawnStep::Register);
            assert!(!proof.exists(), "round {round}");
        }
    });
}

/// Its spawn ends before any supervisor's table was found.
#[test]
fn a_spawn_in_a_system_that_has_stopped_closes_what_is_given_away() {
    let (tell, told) = std::sync::mpsc::channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let asker = std::thread::spawn(move || {
        let system = actix::System::new();
        system.block_on(async { actix::System::current().stop() });
        system.run().unwrap();
        let command = Command::new("true").stdout(writer);
        let error = futures::executor::block_on(command.spawn(NoProtocol)).unwrap_err();
        assert_eq!(error.step(), SpawnStep::Register, "{error}");
        // The command is kept meanwhile.
        wait.recv().unwrap();
        drop(command);
    });
    std::thread::spawn(move || tell.send(reader.read_to_end(&mut Vec::new()).unwrap()));
    let end = told.recv_timeout(common::DEADLINE);
    go.send(()).unwrap();
    asker.join().unwrap();
    assert_eq!(end, Ok(0));
}
