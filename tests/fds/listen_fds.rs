//! A child finds the sockets that it is handed by systemd's variables, and they are nobody else's.

use crate::common;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

use actix_process::{Command, Fd, FdMap, NoProtocol, PtySize, SpawnStep};
use common::helper::{helper, numbers};
use common::isolated::{isolated, isolated_with, skipped};
use common::many_fds::ManyFds;
use common::refuse::{Call, refuse};
use common::report::may_change_ids;
use common::trace::{history, spawned};
use common::{DEADLINE, eventually, run};
use nix::libc;

/// A shell that tells what it finds.
fn teller() -> Command {
    // `ls` is not the last, or the shell would become it, with the directory that it lists.
    let script = r#"echo "$$ $LISTEN_PID $LISTEN_FDS $LISTEN_FDNAMES"; ls /proc/$$/fd; exit 0"#;
    Command::new("/bin/sh").args(["-c", script])
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// That a child of `command` finds two sockets, its own pid, and no further descriptor.
async fn assert_found(command: Command) {
    // A number that has fewer digits than the next one, now and then, is overwritten in full.
    for _ in 0..3 {
        let sockets = [("web", Fd::from(listener())), ("a b", listener().into())];
        let output = command.clone().listen_fds(sockets).output().await.unwrap();
        let said = String::from_utf8(output.stdout.to_vec()).unwrap();
        let words: Vec<&str> = said.split_whitespace().collect();
        let (pids, rest) = words.split_at(2);
        assert_eq!(pids[0], pids[1], "{said}");
        assert_eq!(rest, ["2", "web:a", "b", "0", "1", "2", "3", "4"], "{said}");
    }
}

#[test]
fn they_are_from_3_on_with_the_childs_own_pid() {
    run(assert_found(teller()));
}

#[test]
fn so_they_are_where_the_clone_shares_the_parents_table() {
    isolated(|| {
        run(async {
            let many = ManyFds::open().await;
            assert_found(teller()).await;
            drop(many);
        });
    });
}

#[test]
fn so_they_are_for_a_child_of_another_user() {
    isolated(|| {
        if may_change_ids() {
            run(assert_found(teller().uid(65534).gid(65534)));
        }
    });
}

#[test]
fn so_they_are_for_a_child_that_is_forked() {
    isolated(|| {
        if may_change_ids() {
            refuse(Call::Any(libc::SYS_memfd_create), libc::ENOSYS);
            run(assert_found(teller().uid(65534).gid(65534)));
        }
    });
}

#[test]
fn so_they_are_on_a_terminal() {
    run(async {
        let command = teller().listen_fds([("web", listener())]);
        let shown = command.pty(PtySize::new(24, 80)).output().await.unwrap();
        let shown = String::from_utf8(shown.stdout.to_vec()).unwrap();
        let words: Vec<&str> = shown.split_whitespace().collect();
        assert_eq!(words[0], words[1], "{shown}");
        assert_eq!(words[2..], ["1", "web", "0", "1", "2", "3"], "{shown}");
    });
}

const SERVER: &str = r#"
import os, socket
assert os.environ["LISTEN_PID"] == str(os.getpid()), os.environ["LISTEN_PID"]
names = os.environ["LISTEN_FDNAMES"].split(":")
assert len(names) == int(os.environ["LISTEN_FDS"]), names
fds = dict(zip(names, range(3, 3 + len(names))))
open_now = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))
assert open_now[:7] == list(range(7)) and len(open_now) == 8, open_now
web = socket.fromfd(fds["web"], socket.AF_INET, socket.SOCK_STREAM)
assert web.getblocking()
local = socket.fromfd(fds["local"], socket.AF_UNIX, socket.SOCK_STREAM)
for server in (web, local):
    peer, _ = server.accept()
    peer.sendall(peer.recv(64).upper())
    peer.close()
udp = socket.fromfd(fds["udp"], socket.AF_INET, socket.SOCK_DGRAM)
data, sender = udp.recvfrom(64)
udp.sendto(data.upper(), sender)
log = socket.fromfd(fds["log"], socket.AF_UNIX, socket.SOCK_DGRAM)
print(log.recv(64).decode())
"#;

/// What comes back for `said`.
fn asked(mut peer: impl Read + Write, said: &str) -> String {
    peer.write_all(said.as_bytes()).unwrap();
    let mut answer = [0; 64];
    let count = peer.read(&mut answer).unwrap();
    String::from_utf8(answer[..count].to_vec()).unwrap()
}

fn connected(address: SocketAddr) -> TcpStream {
    let peer = TcpStream::connect(address).unwrap();
    peer.set_read_timeout(Some(DEADLINE)).unwrap();
    peer
}

#[test]
fn python_serves_on_each_kind_of_socket() {
    if !has("python3") {
        return skipped("there is no python3");
    }
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let web = listener();
        web.set_nonblocking(true).unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (to_web, to_udp) = (web.local_addr().unwrap(), udp.local_addr().unwrap());
        let sockets = [
            ("web", Fd::from(web)),
            ("local", UnixListener::bind(path("local")).unwrap().into()),
            ("udp", udp.into()),
            ("log", UnixDatagram::bind(path("log")).unwrap().into()),
        ];
        let server = Command::new("python3").args(["-c", SERVER]);
        let (trace, process) = spawned(server.listen_fds(sockets)).await;
        // They were listening before the child ran, so nothing waits for it to be ready.
        assert_eq!(asked(connected(to_web), "web"), "WEB");
        let local = UnixStream::connect(path("local")).unwrap();
        local.set_read_timeout(Some(DEADLINE)).unwrap();
        assert_eq!(asked(local, "local"), "LOCAL");
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.set_read_timeout(Some(DEADLINE)).unwrap();
        sender.send_to(b"udp", to_udp).unwrap();
        let mut answer = [0; 8];
        let count = sender.recv(&mut answer).unwrap();
        assert_eq!(&answer[..count], b"UDP");
        let log = UnixDatagram::unbound().unwrap();
        log.send_to(b"logged", path("log")).unwrap();
        let history = trace.ended(&process).await;
        assert_eq!(history.text(1), "logged\n", "{}", history.text(2));
        assert!(history.status().success());
        // This program has none of them any more.
        let refused = TcpStream::connect(to_web).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    });
}

/// By libsystemd's own `sd_listen_fds`.
#[test]
fn systemds_proxy_serves_on_a_socket() {
    const PROXY: &str = "/usr/lib/systemd/systemd-socket-proxyd";
    if !Path::new(PROXY).exists() {
        return skipped("there is no systemd-socket-proxyd");
    }
    run(async {
        let (web, behind) = (listener(), listener());
        let address = web.local_addr().unwrap();
        let to = behind.local_addr().unwrap().to_string();
        let proxy = Command::new(PROXY).arg(to).listen_fds([("web", web)]);
        let (trace, process) = spawned(proxy).await;
        let peer = connected(address);
        behind.set_nonblocking(true).unwrap();
        let seen = || format!("{:?}", trace.of(&process));
        let served = eventually("the proxy", || behind.accept().ok(), seen).await;
        let (mut served, _) = served;
        served.write_all(b"through the proxy").unwrap();
        served.shutdown(Shutdown::Both).unwrap();
        assert_eq!(asked(peer, ""), "through the proxy");
        process.kill();
        trace.ended(&process).await;
    });
}

#[test]
fn they_are_in_no_other_child() {
    run(async {
        let holder = helper(["say", "ready", "pause"]);
        let (trace, process) = spawned(holder.listen_fds([("web", listener())])).await;
        trace.output(&process, 1, "ready").await;
        let told = history(&helper(["fds"])).await.text(1);
        assert_eq!(numbers(&told), [0, 1, 2], "{told}");
        let told = history(&helper(["env"])).await.text(1);
        assert!(!told.contains("LISTEN_FDNAMES"), "{told}");
        process.kill();
        trace.ended(&process).await;
    });
}

#[test]
fn a_socket_that_is_shared_serves_child_after_child_and_a_moved_one_the_first() {
    run(async {
        let socket = Arc::new(OwnedFd::from(listener()));
        let many = teller().listen_fds([("web", Fd::share(socket))]);
        for _ in 0..2 {
            let output = many.output().await.unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        let once = teller().listen_fds([("web", listener())]);
        once.output().await.unwrap();
        let error = once.spawn(NoProtocol).await.unwrap_err();
        assert_eq!(error.step(), SpawnStep::Invalid);
        let expected = "invalid command: fd 3: an earlier spawn took its descriptor";
        assert_eq!(error.to_string(), expected);
    });
}

#[test]
fn what_the_command_and_the_host_say_of_the_variables_does_not_count() {
    let lie = |command: &mut std::process::Command| {
        command
            .env("LISTEN_FDS", "7")
            .env("LISTEN_PID", "1")
            .env("LISTEN_FDNAMES", "x");
    };
    isolated_with(lie, || {
        run(async {
            let ways: [fn(Command) -> Command; 4] = [
                |command| command,
                Command::env_clear,
                |command| command.env("LISTEN_PID", "1").env("LISTEN_FDS", "9"),
                |command| {
                    command
                        .env_remove("LISTEN_FDNAMES")
                        .env_remove("LISTEN_PID")
                },
            ];
            for change in ways {
                let sockets = || [("web", listener())];
                for command in [
                    change(helper(["env"])).listen_fds(sockets()),
                    change(helper(["env"]).listen_fds(sockets())),
                ] {
                    let (trace, process) = spawned(&command).await;
                    let pid = process.spawned_pid();
                    let told = trace.ended(&process).await.text(1);
                    let mut said: Vec<&str> = told
                        .lines()
                        .filter(|line| line.starts_with("LISTEN_"))
                        .collect();
                    said.sort_unstable();
                    let listen_pid = format!("LISTEN_PID={pid}");
                    assert_eq!(said, ["LISTEN_FDNAMES=web", "LISTEN_FDS=1", &listen_pid]);
                }
            }
            // Without sockets they are inherited as ever.
            let none: [(&str, Fd); 0] = [];
            let told = history(&helper(["env"]).listen_fds(none)).await.text(1);
            assert!(told.contains("LISTEN_FDNAMES=x\n"), "{told}");
        });
    });
}

#[test]
fn a_second_call_and_a_map_of_all_descriptors_replace_them() {
    run(async {
        let first = helper(["fds"]).listen_fds([("a", listener()), ("b", listener())]);
        let second = first.clone().listen_fds([("c", listener())]);
        assert_eq!(numbers(&history(&second).await.text(1)), [0, 1, 2, 3]);
        let none = first.fds(FdMap::stdio());
        assert_eq!(numbers(&history(&none).await.text(1)), [0, 1, 2]);
    });
}

#[test]
fn what_cannot_be_is_refused_before_the_spawn() {
    run(async {
        let web = || [("web", listener())];
        let named = |name: &str| helper(["pause"]).listen_fds([(name, listener())]);
        let fd_4 = helper(["pause"]).fd(4, Fd::null());
        let moved = helper(["pause"]).listen_fds(web());
        let moved = moved.fd_map().get(3).cloned().unwrap();
        let name = "invalid command: the name of the socket on fd 3: \
                    is not 1 to 255 printable characters of ASCII without a colon";
        for (command, expected) in [
            (
                helper(["pause"]).fd(3, Fd::null()).listen_fds(web()),
                "invalid command: fd 3: is named twice",
            ),
            (
                helper(["pause"])
                    .listen_fds(web())
                    .fd(3, File::open("/").unwrap()),
                "invalid command: fd 3: is named twice",
            ),
            (
                fd_4.listen_fds([("a", listener()), ("b", listener())]),
                "invalid command: fd 4: is named twice",
            ),
            (
                helper(["pause"]).fd(5, moved),
                "invalid command: fd 5: is a socket of listen_fds under another number",
            ),
            (
                helper(["pause"]).listen_fds([("pipe", Fd::read())]),
                "invalid command: fd 3: is a socket of listen_fds, but nothing is given",
            ),
            (named("a:b"), name),
            (named("a\0"), name),
            (named("a\nb"), name),
            (named("\u{7f}"), name),
            (named("é"), name),
            (named(""), name),
            (named(&"x".repeat(256)), name),
        ] {
            let error = command.spawn(NoProtocol).await.unwrap_err();
            assert_eq!(
                (error.step(), &*error.to_string()),
                (SpawnStep::Invalid, expected)
            );
        }
        let longest = "x".repeat(255);
        let child = helper(["env"]).listen_fds([(&longest, listener())]);
        let told = history(&child).await.text(1);
        assert!(
            told.contains(&format!("LISTEN_FDNAMES={longest}\n")),
            "{told}"
        );
    });
}

fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).exists())
}
