//! What a program has at hand is taken as it is: files, sockets and pipe ends as descriptors, the
//! parent's own three as a map, a reference to a recipient as a protocol.

use crate::common;

use std::fmt::Debug;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::Stdio;

use actix::Recipient;
use actix_process::{Command, Fd, FdMap, FromProcess, ProcessEvent};
use common::helper::helper;
use common::isolated::isolated;
use common::trace::{Trace, history, spawned};
use common::{in_time, run};
use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// What is open as `fd` here: of a socket or a pipe its number, which no other has while it lives.
fn what_is(fd: impl AsFd) -> String {
    let link = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    fs::read_link(link).unwrap().display().to_string()
}

/// The child gets this very file, blocking, and the parent's number of it is free while the child has it.
async fn assert_is_given(ours: impl AsFd + Into<Fd> + Debug) {
    let name = format!("{ours:?}");
    let flags = OFlag::from_bits_retain(fcntl(&ours, FcntlArg::F_GETFL).unwrap());
    fcntl(&ours, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).unwrap();
    let (number, what) = (ours.as_fd().as_raw_fd(), what_is(&ours));
    let child = helper(["fds", "say", "ready", "drain", "0"]).fd(7, ours);
    let (trace, process) = spawned(&child).await;
    let said = trace.output(&process, 1, "ready").await;
    let said = String::from_utf8(said).unwrap();
    let line = format!("7 {what} blocking");
    assert!(
        said.lines().any(|had| had == line),
        "{name}: no {line:?} in {said}"
    );
    let now = fs::read_link(format!("/proc/self/fd/{number}"));
    assert!(
        now.is_err() || now.unwrap().display().to_string() != what,
        "{name}"
    );
    process.close_stdin();
    assert!(trace.ended(&process).await.status().success(), "{name}");
}

#[test]
fn whatever_owns_a_descriptor_becomes_the_childs() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        assert_is_given(File::create(path("file")).unwrap()).await;
        assert_is_given(OwnedFd::from(File::create(path("owned")).unwrap())).await;

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_is_given(TcpStream::connect(address).unwrap()).await;
        assert_is_given(listener).await;
        assert_is_given(UdpSocket::bind("127.0.0.1:0").unwrap()).await;

        assert_is_given(UnixStream::pair().unwrap().0).await;
        assert_is_given(UnixListener::bind(path("socket")).unwrap()).await;
        assert_is_given(UnixDatagram::unbound().unwrap()).await;

        let (reader, writer) = std::io::pipe().unwrap();
        assert_is_given(reader).await;
        assert_is_given(writer).await;
    });
}

#[test]
fn the_pipes_of_a_child_of_std_become_the_childs() {
    run(async {
        let mut other = std::process::Command::new("sleep");
        let other = other.arg("60").stdin(Stdio::piped());
        let other = other.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut other = other.spawn().unwrap();
        assert_is_given(other.stdin.take().unwrap()).await;
        assert_is_given(other.stdout.take().unwrap()).await;
        assert_is_given(other.stderr.take().unwrap()).await;
        other.kill().unwrap();
        other.wait().unwrap();
    });
}

#[test]
fn a_connection_that_waits_at_a_given_listener_is_the_childs_to_take() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let accepting =
            "import socket,sys; c,_ = socket.socket(fileno=0).accept(); c.sendall(b'hello')";
        let child = Command::new("python3")
            .args(["-c", accepting])
            .stdin(listener);
        let output = in_time(child.output().into_future()).await;
        match output {
            Ok(output) => assert!(output.status.success(), "{output:?}"),
            // Not every machine has it.
            Err(error) => return eprintln!("no python3: {error}"),
        }
        let mut said = String::new();
        std::io::Read::read_to_string(&mut ours, &mut said).unwrap();
        assert_eq!(said, "hello");
    });
}

#[test]
fn standard_descriptors_are_files_as_they_are() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("in"), "words\n").unwrap();
        let create = |name: &str| File::create(path(name)).unwrap();
        let child = helper([
            "cat", "tell", "2", "two", "tell", "3", "three", "tell", "4", "four",
        ])
        .stdin(File::open(path("in")).unwrap())
        .stdout(create("out"))
        .stderr(create("err"))
        .fd(3, create("three"));
        let map = child.fd_map().clone();
        let map = map.set(4, create("four")).set(5, Fd::null());
        assert!(history(&child.fds(map)).await.status().success());
        for (name, text) in [
            ("out", "words\n"),
            ("err", "two\n"),
            ("three", "three\n"),
            ("four", "four\n"),
        ] {
            assert_eq!(fs::read_to_string(path(name)).unwrap(), text, "{name}");
        }
    });
}

#[test]
fn an_inherited_map_is_the_parents_own_three() {
    // Its 0 is null, its 1 and 2 are two pipes.
    isolated(|| {
        run(async {
            let map = FdMap::inherit().set(9, Fd::read());
            let numbers: Vec<i32> = map.iter().map(|(n, _)| n).collect();
            assert_eq!(numbers, [0, 1, 2, 9]);
            let child = helper(["link", "0", "9", "link", "1", "9", "link", "2", "9"]);
            let said = history(&child.fds(map)).await.text(9);
            let own = [
                what_is(std::io::stdin()),
                what_is(std::io::stdout()),
                what_is(std::io::stderr()),
            ];
            assert_eq!(said.lines().collect::<Vec<_>>(), own);
            assert_ne!(own[1], own[2]);
        });
    });
}

#[test]
fn a_reference_to_a_recipient_is_a_protocol_for_many_children() {
    run(async {
        let (trace, protocol) = Trace::start();
        let recipient: Recipient<FromProcess> = protocol.recipient();
        let one = helper(["say", "one"]).spawn(&recipient).await.unwrap();
        let two = helper(["say", "two"]).spawn(&recipient).await.unwrap();
        for (process, text) in [(one, "one\n"), (two, "two\n")] {
            let history = trace.ended(&process).await;
            assert_eq!(history.events[0], ProcessEvent::ConnectionMade);
            assert_eq!(history.text(1), text);
        }
    });
}
