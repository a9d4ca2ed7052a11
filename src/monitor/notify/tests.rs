//! Real senders.

use std::io::{ErrorKind, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

use futures::FutureExt;
use nix::unistd::getuid;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::Opened;

/// Past the harness, which hides what a test prints.
fn skipped(why: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or_default();
    let _ = writeln!(io::stderr(), "{name}: skipped: {why}");
}

const DEADLINE: Duration = Duration::from_secs(60);

/// Defines `say`, which sends bytes, and maybe descriptors, as sd_notify does.
const PYTHON: &str = r#"
import array, os, socket, sys
name = os.environ["NOTIFY_SOCKET"]
assert name[0] == "@"
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect("\0" + name[1:])
def say(data, fds=[]):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    s.sendmsg([data], rights)
def rest():
    sys.stdin.read()
"#;

fn python(script: &str) -> Command {
    Command::new("python3").args(["-c", &format!("{PYTHON}\n{script}")])
}

/// A child with a socket, and what was heard of it. Dropping it kills the child.
struct Service {
    child: Opened,
    heard: UnboundedReceiver<Heard>,
    listener: JoinHandle<()>,
}

impl Service {
    async fn start(command: Command) -> Self {
        let socket = NotifySocket::bind().unwrap();
        let child = environment(command, Some(&socket), None).open().await;
        Self::of(child.unwrap(), socket)
    }

    fn of(child: Opened, socket: NotifySocket) -> Self {
        let (tell, heard) = unbounded_channel();
        let process = child.process.clone();
        let listener = tokio::task::spawn_local(async move {
            let error = socket.listen(process, |heard| tell.send(heard).unwrap_or(()));
            panic!("{}", error.await);
        });
        Self {
            child,
            heard,
            listener,
        }
    }

    async fn next(&mut self) -> Heard {
        let next = timeout(DEADLINE, self.heard.recv()).await;
        next.expect("nothing is heard").unwrap()
    }

    async fn says(&mut self, line: &str) {
        self.child.stdout.find(line, DEADLINE).await.unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

fn run(test: impl Future<Output = ()>) {
    actix::System::new().block_on(test.boxed_local());
}

fn says(datagram: &str) -> Heard {
    Heard::Message(NotifyMessage::parse(datagram.as_bytes()).unwrap())
}

#[test]
fn what_the_service_says_is_heard_in_its_order() {
    run(async {
        let script = r#"
say(b"STATUS=loading\nEXTEND_TIMEOUT_USEC=5000000")
say(b"")
say(b"STATUS=" + b"x" * 5000)
say(b"READY=1\n")
say(b"a\0b")
say(b"WATCHDOG=1")
rest()"#;
        let mut service = Service::start(python(script)).await;
        let expected = [
            says("STATUS=loading\nEXTEND_TIMEOUT_USEC=5000000"),
            Heard::Malformed,
            Heard::Malformed,
            says("READY=1"),
            Heard::Malformed,
            says("WATCHDOG=1"),
        ];
        for heard in expected {
            assert_eq!(service.next().await, heard);
        }
    });
}

#[test]
fn systemd_notify_is_heard() {
    if !Path::new("/usr/bin/systemd-notify").exists() {
        return skipped("there is no systemd-notify");
    }
    run(async {
        // It ends when its barrier was read, or fails.
        let script = "systemd-notify --ready --status='all is well' && echo told; read x";
        let mut service = Service::start(Command::new("sh").args(["-c", script])).await;
        let Heard::Message(message) = service.next().await else {
            panic!("no message");
        };
        assert!(message.ready);
        assert_eq!(message.status.as_deref(), Some("all is well"));
        service.says("told\n").await;
    });
}

#[test]
fn a_sender_that_is_already_gone_is_heard_if_it_was_of_the_same_user() {
    run(async {
        let socket = NotifySocket::bind().unwrap();
        // Two of another user first, if that can be.
        let script = r#"
if os.getuid() == 0:
    for _ in range(2):
        if os.fork() == 0:
            os.setsid()
            os.setuid(54321)
            say(b"READY=1")
            os._exit(0)
        os.wait()
if os.fork() == 0:
    os.setsid()
    say(b"READY=1\nSTATUS=gone")
    os._exit(0)
os.wait()
print("told", flush=True)
rest()"#;
        let command = environment(python(script), Some(&socket), None);
        let mut child = command.open().await.unwrap();
        child.stdout.find("told\n", DEADLINE).await.unwrap();
        let mut service = Service::of(child, socket);
        if getuid().is_root() {
            assert_eq!(service.next().await, Heard::Stranger);
            assert_eq!(service.next().await, Heard::Stranger);
        }
        assert_eq!(service.next().await, says("READY=1\nSTATUS=gone"));
    });
}

#[test]
fn a_stranger_is_not_heard() {
    run(async {
        let socket = NotifySocket::bind().unwrap();
        let address = SocketAddr::from_abstract_name(&socket.name).unwrap();
        let stranger = UnixDatagram::unbound().unwrap();
        stranger.send_to_addr(b"READY=1", &address).unwrap();
        let command = environment(
            python("input(); say(b'STATUS=own'); rest()"),
            Some(&socket),
            None,
        );
        let child = command.open().await.unwrap();
        stranger.send_to_addr(b"READY=1", &address).unwrap();
        child.process.write("\n").unwrap();
        let mut service = Service::of(child, socket);
        assert_eq!(service.next().await, Heard::Stranger);
        assert_eq!(service.next().await, Heard::Stranger);
        assert_eq!(service.next().await, says("STATUS=own"));
    });
}

#[test]
fn a_descendant_in_another_session_is_heard() {
    run(async {
        let script = r#"
if os.fork() == 0:
    os.setsid()
    say(b"READY=1")
rest()"#;
        let mut service = Service::start(python(script)).await;
        assert_eq!(service.next().await, says("READY=1"));
    });
}

#[test]
fn descriptors_that_come_along_are_closed() {
    run(async {
        // The last writer of the pipe is gone when nobody has what was sent.
        let script = r#"
r, w = os.pipe()
say(b"FDSTORE=1\nFDNAME=x", [w, w, w])
say(b"BARRIER=1", [w])
os.close(w)
assert os.read(r, 1) == b""
print("closed", flush=True)
say(b"READY=1")
rest()"#;
        let mut service = Service::start(python(script)).await;
        assert_eq!(service.next().await, Heard::Descriptors);
        assert_eq!(service.next().await, Heard::Descriptors);
        service.says("closed\n").await;
        assert_eq!(service.next().await, says("READY=1"));
    });
}

#[test]
fn a_service_of_another_user_is_heard() {
    if !getuid().is_root() {
        return skipped("only root runs a child as another user");
    }
    run(async {
        let command = Command::new("/usr/bin/python3");
        if !Path::new("/usr/bin/python3").exists() {
            return skipped("there is no /usr/bin/python3");
        }
        let script = format!("{PYTHON}\nsay(b'READY=1'); rest()");
        let command = command.args(["-c", &script]).uid(54321).gid(54321);
        let mut service = Service::start(command.current_dir("/")).await;
        assert_eq!(service.next().await, says("READY=1"));
    });
}

#[test]
fn nothing_is_left_of_a_socket() {
    run(async {
        let mut service = Service::start(python("say(b'READY=1'); rest()")).await;
        assert_eq!(service.next().await, says("READY=1"));
        let socket = NotifySocket::bind().unwrap();
        let address = SocketAddr::from_abstract_name(&socket.name).unwrap();
        let again = NotifySocket::bind_to(socket.name.clone()).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AddrInUse);
        let process = service.child.process.clone();
        let listening = tokio::task::spawn_local(async move {
            timeout(Duration::ZERO, socket.listen(process, |_| ())).await
        });
        assert!(listening.await.unwrap().is_err());
        let sender = UnixDatagram::unbound().unwrap();
        // What another test spawns may hold a copy until its exec.
        let begun = std::time::Instant::now();
        let refused = loop {
            match sender.send_to_addr(b"READY=1", &address) {
                Err(error) => break error,
                Ok(_) => assert!(begun.elapsed() < DEADLINE, "the socket is open"),
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_flood_lets_others_have_their_turn() {
    run(async {
        let script = "print('go', flush=True)\nwhile True: say(b'STATUS=x')";
        let mut service = Service::start(python(script)).await;
        service.says("go\n").await;
        for _ in 0..100 {
            timeout(DEADLINE, tokio::time::sleep(Duration::from_millis(1)))
                .await
                .unwrap();
        }
        assert_eq!(service.next().await, says("STATUS=x"));
    });
}

#[test]
fn a_listener_is_small() {
    run(async {
        let child = Command::new("sleep").arg("60").open().await.unwrap();
        let socket = NotifySocket::bind().unwrap();
        let listener = socket.listen(child.process, |_| ());
        assert!(size_of_val(&listener) <= 512, "{}", size_of_val(&listener));
    });
}

#[test]
fn what_is_read_after_the_end_of_the_child_is_late() {
    run(async {
        let socket = NotifySocket::bind().unwrap();
        let script = python("say(b'STATUS=last')");
        let command = environment(script, Some(&socket), None);
        let child = command.open().await.unwrap();
        child.process.exited().await;
        assert_eq!(Service::of(child, socket).next().await, Heard::Late);
    });
}

fn variables(command: &Command) -> Vec<(String, Option<String>)> {
    let text = |value: &std::ffi::OsStr| value.to_str().unwrap().to_owned();
    let mut all: Vec<_> = command
        .get_envs()
        .map(|(key, value)| (text(key), value.map(text)))
        .collect();
    all.sort();
    all
}

#[test]
fn the_variables_are_those_of_the_service_and_never_the_hosts() {
    let expect = |command: &Command, expected: [Option<&str>; 3]| {
        let names = [SOCKET, WATCHDOG_PID, WATCHDOG_TIME];
        let pairs = names.iter().zip(expected);
        let expected: Vec<_> = pairs
            .map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)))
            .collect();
        assert_eq!(variables(command), expected);
    };
    let plain = Command::new("x");
    expect(&environment(plain.clone(), None, None), [None; 3]);
    let socket = NotifySocket::bind().unwrap();
    let address = socket.address();
    let told = environment(plain.clone(), Some(&socket), None);
    expect(&told, [Some(&address), None, None]);
    let period = Some(Duration::from_millis(1500));
    let watched = environment(plain.clone(), Some(&socket), period);
    expect(&watched, [Some(&address), None, Some("1500000")]);
    // What the command says itself stays where the monitor has nothing to say.
    let own = plain.env(SOCKET, "/s").env(WATCHDOG_TIME, "1");
    let own = own.env(WATCHDOG_PID, "2");
    expect(
        &environment(own.clone(), None, None),
        [Some("/s"), Some("2"), Some("1")],
    );
    let told = environment(own.clone(), Some(&socket), None);
    expect(&told, [Some(&address), Some("2"), Some("1")]);
    let watched = environment(own, Some(&socket), period);
    expect(&watched, [Some(&address), None, Some("1500000")]);
}
