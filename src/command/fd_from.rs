//! What becomes a descriptor of a child by itself: files, sockets, ends of pipes.

use std::fs::File;
use std::io::{PipeReader, PipeWriter};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{ChildStderr, ChildStdin, ChildStdout};
use std::sync::{Arc, Mutex};

use super::fd_map::{Fd, Kind};

macro_rules! moved {
    ($($owner:ty),+) => {
        $(impl From<$owner> for Fd {
            /// A descriptor that becomes the child's alone, made blocking; see [`Fd`]. The first spawn takes it,
            /// failed or not, and closes it in the parent; a second one is
            /// [`SpawnStep::Invalid`](crate::SpawnStep::Invalid).
            fn from(owner: $owner) -> Self {
                let fd = Mutex::new(Some(OwnedFd::from(owner)));
                Self::new(Kind::Moved(Arc::new(fd)))
            }
        })+
    };
}

moved!(OwnedFd, File, PipeReader, PipeWriter);
moved!(TcpStream, TcpListener, UdpSocket);
moved!(UnixStream, UnixListener, UnixDatagram);
moved!(ChildStdin, ChildStdout, ChildStderr);
