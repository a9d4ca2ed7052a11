//! A private socket for what a service says by sd_notify.

mod message;
mod sender;
#[cfg(test)]
mod tests;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::{self, IoSliceMut};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::cmsg_space;
use nix::sys::socket::sockopt::PassCred;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg, setsockopt};
use tokio::io::Interest;

use crate::Command;
use crate::ProcessHandle;

use message::MAX_DATAGRAM;
pub(in crate::monitor) use message::{NotifyMessage, WatchdogWord};

/// How many datagrams are read before others on this thread have their turn.
const TURN: usize = 32;

/// How often another name is tried when one is taken.
const NAMES: usize = 8;

const SOCKET: &str = "NOTIFY_SOCKET";
const WATCHDOG_TIME: &str = "WATCHDOG_USEC";
const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// The socket of one start of a service, to which the service sends its messages.
///
/// Its name is in the abstract namespace, so a service that runs as another user or in another root directory reaches it, and nothing
/// is left on a disk when this program is killed. A service in another network namespace does not reach it.
///
/// A name there has no permissions, and `/proc/net/unix` lists it. So each datagram is judged by the credentials that the kernel adds:
/// its sender is the child, a member of the child's group, or a descendant of the child. A sender that is already reaped (as
/// `systemd-notify --no-block` may be) passes if it ran as a user of the child's. Other datagrams are ignored and counted.
#[derive(Debug)]
pub(in crate::monitor) struct NotifySocket {
    socket: UnixDatagram,
    name: String,
}

/// What came of one datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::monitor) enum Heard {
    /// From the service.
    Message(NotifyMessage),
    /// From the service, but too long, empty, or with a NUL inside.
    Malformed,
    /// From the service or from anybody else, with descriptors. None of them was taken: the kernel has closed them. `FDSTORE` and
    /// `BARRIER` come so, and the sender of a barrier sees that its descriptor is closed.
    Descriptors,
    /// From a process that is not of the service.
    Stranger,
    /// From anybody, and read when the child was reaped: there is nothing to judge its sender by.
    Late,
}

impl NotifySocket {
    /// Any thread may call this, before the spawn.
    pub(in crate::monitor) fn bind() -> io::Result<Self> {
        let mut bound = Err(io::ErrorKind::AddrInUse.into());
        for _ in 0..NAMES {
            bound = Self::bind_to(name());
            if !matches!(&bound, Err(error) if error.kind() == io::ErrorKind::AddrInUse) {
                break;
            }
        }
        bound
    }

    fn bind_to(name: String) -> io::Result<Self> {
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        // A datagram that comes before this is a stranger's: the child is not there yet.
        setsockopt(&socket, PassCred, &true)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, name })
    }

    /// The value of `NOTIFY_SOCKET`.
    pub(in crate::monitor) fn address(&self) -> String {
        format!("@{}", self.name)
    }

    /// Tells of each datagram, one after the other, until it is dropped. To be polled on a thread with a tokio runtime. It ends with an
    /// error if the socket cannot be registered or read.
    ///
    /// Costs one descriptor, what tokio has of it, and a future of at most 512 bytes, for each start that has a socket. A datagram costs two
    /// system calls, and look-ups in `/proc` if its sender is not in the child's group.
    pub(in crate::monitor) async fn listen(
        self,
        process: ProcessHandle,
        mut tell: impl FnMut(Heard),
    ) -> io::Error {
        let socket = match tokio::net::UnixDatagram::from_std(self.socket) {
            Ok(socket) => socket,
            Err(error) => return error,
        };
        loop {
            for _ in 0..TURN {
                let read = || receive(&socket, &process);
                match socket.async_io(Interest::READABLE, read).await {
                    Ok(heard) => tell(heard),
                    Err(error) => return error,
                }
            }
            tokio::task::yield_now().await;
        }
    }
}

/// The command with the variables of sd_notify: those of `socket`, or else none of this program's own, which would have the service talk
/// to whatever manages this program. What the command itself sets or removes stays, unless there is a socket.
///
/// `WATCHDOG_PID` is never set, since nobody knows the child's number before the exec. Without it `sd_watchdog_enabled` takes the time
/// as meant for the process that asks.
pub(in crate::monitor) fn environment(
    command: Command,
    socket: Option<&NotifySocket>,
    watchdog: Option<Duration>,
) -> Command {
    let has_own = |name: &str| command.get_envs().any(|(key, _)| key == name);
    let kept = [SOCKET, WATCHDOG_TIME, WATCHDOG_PID].map(|name| (name, has_own(name)));
    let without = |command: Command, name: &str| match kept.contains(&(name, true)) {
        true => command,
        false => command.env_remove(name),
    };
    let Some(socket) = socket else {
        return [SOCKET, WATCHDOG_TIME, WATCHDOG_PID]
            .into_iter()
            .fold(command, without);
    };
    let command = command.env(SOCKET, socket.address());
    match watchdog {
        Some(time) => command
            .env(WATCHDOG_TIME, time.as_micros().to_string())
            .env_remove(WATCHDOG_PID),
        None => [WATCHDOG_TIME, WATCHDOG_PID]
            .into_iter()
            .fold(command, without),
    }
}

/// 128 bits that nobody guesses, so that no late sender of an earlier start meets the socket of another.
fn name() -> String {
    let word = || RandomState::new().hash_one(std::process::id());
    format!("actix-process/notify/{:016x}{:016x}", word(), word())
}

/// Reads one datagram and judges it. The buffers are here, not in the future, which lives as long as the service.
fn receive(socket: &impl AsRawFd, process: &ProcessHandle) -> io::Result<Heard> {
    // One byte more than a message has, to see that a datagram is too long.
    let mut data = [0; MAX_DATAGRAM + 1];
    // With no room for descriptors the kernel installs none.
    let mut control = cmsg_space!(UnixCredentials);
    let mut pieces = [IoSliceMut::new(&mut data)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut pieces, Some(&mut control), flags)?;
    let length = message.bytes;
    // An error: what came along did not fit.
    let mut all = message.cmsgs().into_iter().flatten();
    let credentials = all.find_map(|one| match one {
        ControlMessageOwned::ScmCredentials(credentials) => Some(credentials),
        _ => None,
    });
    let Some(credentials) = credentials else {
        return Ok(Heard::Descriptors);
    };
    let Some(child) = process.pid() else {
        return Ok(Heard::Late);
    };
    if !sender::belongs(credentials.pid(), credentials.uid(), child) {
        return Ok(Heard::Stranger);
    }
    let datagram = data.get(..length).unwrap_or_default();
    Ok(NotifyMessage::parse(datagram).map_or(Heard::Malformed, Heard::Message))
}
