//! A descriptor of which the parent keeps the last bytes.

use super::fd_map::{Fd, Kind};

impl Fd {
    /// A pipe that the child writes and the parent reads, and of which the parent keeps the last `bytes` bytes, at least 1:
    /// [`ProcessHandle::tail`](crate::ProcessHandle::tail) gives them, while the child lives and after its end. For what
    /// matters only when something has gone wrong, as standard error often does.
    ///
    /// The child never waits for anybody: what it writes is read at once, and the oldest bytes are dropped. (A
    /// [pause](crate::ProcessHandle::pause_child_fd) holds it up, as it does for every descriptor that is read.) The memory
    /// grows with what comes, to `bytes` at most. The protocol gets only the close. There is no
    /// [`window`](Self::window).
    ///
    /// [`Command::output`](crate::Command::output) and its like collect such a descriptor as every other that is read.
    ///
    /// ```
    /// use actix_process::{Command, Fd, NoProtocol};
    ///
    /// # actix::System::new().block_on(async {
    /// let script = "seq 1000 >&2; echo 'no space left' >&2; exit 1";
    /// let child = Command::new("sh").args(["-c", script]).stderr(Fd::tail(24));
    /// let process = child.spawn(NoProtocol).await?;
    /// if !process.ended().await.success() {
    ///     let tail = process.tail(2).unwrap();
    ///     assert_eq!(&tail.bytes[..], b"\n999\n1000\nno space left\n");
    ///     assert_eq!(tail.left_out, 3883);
    /// }
    /// # Ok::<(), actix_process::SpawnError>(()) }).unwrap();
    /// ```
    #[must_use]
    pub const fn tail(bytes: usize) -> Self {
        Self::new(Kind::Tail(bytes))
    }

    /// Whether this is a pipe that the parent reads, and of which the parent keeps the [tail](Self::tail).
    #[must_use]
    pub const fn is_tail(&self) -> bool {
        matches!(self.kind, Kind::Tail(_))
    }
}
