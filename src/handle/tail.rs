//! A look at the last bytes of an output.

use bytes::Bytes;

use crate::handle::ProcessHandle;
use crate::port::Port;
use crate::sys;

/// The last bytes of a descriptor that is an [`Fd::tail`](crate::Fd::tail), as they were when somebody looked. `Debug`
/// shows how many they are.
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Tail {
    /// The last bytes: all, if no more than the tail holds have come.
    pub bytes: Bytes,
    /// How many bytes came before these, and are dropped.
    pub left_out: u64,
}

/// No content.
impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail")
            .field("bytes", &self.bytes.len())
            .field("left_out", &self.left_out)
            .finish()
    }
}

impl ProcessHandle {
    /// How many bytes have come of `fd`, if it is a tail.
    pub(crate) fn said(&self, fd: i32) -> u64 {
        let kept = self.child().port(fd).and_then(Port::kept);
        match kept {
            Some(kept) if !sys::copy::is_copy() => kept.total(),
            _ => 0,
        }
    }

    /// What has been read last of `fd`, which the command made an [`Fd::tail`](crate::Fd::tail): a copy, which takes nothing
    /// away. `None` for another descriptor, and in a copy, by fork, of the process that spawned the child.
    ///
    /// It can be asked for at any time, from any thread. When the close of `fd` was told
    /// ([`ended`](Self::ended) comes after it), it is the end of all that the child wrote, unless this side closed the descriptor.
    /// While the child lives, what it wrote a moment ago may still be in the pipe.
    ///
    /// ```
    /// use actix_process::{Command, Fd, NoProtocol};
    ///
    /// # actix::System::new().block_on(async {
    /// let command = Command::new("sh").args(["-c", "echo oops >&2"]).stderr(Fd::tail(1024));
    /// let process = command.spawn(NoProtocol).await?;
    /// process.ended().await;
    /// assert_eq!(&process.tail(2).unwrap().bytes[..], b"oops\n");
    /// assert!(process.tail(1).is_none());
    /// # Ok::<(), actix_process::SpawnError>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn tail(&self, fd: i32) -> Option<Tail> {
        let kept = self.child().port(fd)?.kept()?;
        // The thread that held its lock at the fork is not here.
        if sys::copy::is_copy() {
            return None;
        }
        let kept = kept.look();
        Some(Tail {
            bytes: kept.bytes.into(),
            left_out: kept.left_out,
        })
    }
}
