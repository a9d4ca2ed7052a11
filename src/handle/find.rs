//! The wait for a prompt, or for the line by which a program says that it is ready.

use std::future::{Future, poll_fn};
use std::ops::Range;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use crate::handle::stream::FdStream;
use crate::threads::deadline::Deadline;

/// The most bytes that are kept while a needle is looked for.
const MOST_KEPT: usize = 1024 * 1024;

/// What [`FdStream::find`] looks for: bytes as they are, or a closure that gives where in the bytes that have come so far the needle is.
/// The closure is called again with more bytes until it gives something; a range beyond the bytes counts as their end.
///
/// ```
/// use std::time::Duration;
///
/// use actix_process::Command;
///
/// # actix::System::new().block_on(async {
/// let mut child = Command::new("sh").args(["-c", "echo loading; echo ERROR: no port"]).open().await?;
/// // One or the other. The range is empty, so it stays in the stream.
/// let ready_or_error = |seen: &[u8]| {
///     let is_either = |rest: &[u8]| rest.starts_with(b"ready\n") || rest.starts_with(b"ERROR: ");
///     let at = (0..seen.len()).find(|at| is_either(&seen[*at..]))?;
///     Some(at..at)
/// };
/// let time = Duration::from_secs(10);
/// assert_eq!(child.stdout.find(ready_or_error, time).await?, "loading\n");
/// assert_eq!(child.stdout.find("\n", time).await?, "ERROR: no port");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub trait Needle {
    /// Where in `hay` the needle is. Nothing before `searched` bytes was found in an earlier call: a needle of bytes starts there, less
    /// its own length.
    fn find_in(&mut self, hay: &[u8], searched: usize) -> Option<Range<usize>>;
}

impl<F: FnMut(&[u8]) -> Option<Range<usize>>> Needle for F {
    fn find_in(&mut self, hay: &[u8], _: usize) -> Option<Range<usize>> {
        self(hay)
    }
}

fn find_bytes(needle: &[u8], hay: &[u8], searched: usize) -> Option<Range<usize>> {
    if needle.is_empty() {
        return Some(0..0);
    }
    let from = searched.saturating_sub(needle.len() - 1);
    let mut windows = hay.get(from..)?.windows(needle.len());
    let at = from + windows.position(|window| window == needle)?;
    Some(at..at + needle.len())
}

macro_rules! bytes_are_needles {
    ($($bytes:ty),*) => {$(
        impl Needle for $bytes {
            fn find_in(&mut self, hay: &[u8], searched: usize) -> Option<Range<usize>> {
                find_bytes(self.as_ref(), hay, searched)
            }
        }
    )*};
}

bytes_are_needles!(&str, String, &[u8], Vec<u8>, Bytes);

impl<const N: usize> Needle for &[u8; N] {
    fn find_in(&mut self, hay: &[u8], searched: usize) -> Option<Range<usize>> {
        find_bytes(self.as_slice(), hay, searched)
    }
}

/// Why [`FdStream::find`] has found nothing. What had come by then is still in the stream.
///
/// ```
/// use std::time::Duration;
///
/// use actix_process::{Command, FindError};
///
/// # actix::System::new().block_on(async {
/// let mut child = Command::new("sh").args(["-c", "echo no port; exit 1"]).open().await?;
/// let error = child.stdout.find("ready\n", Duration::from_secs(10)).await.unwrap_err();
/// assert!(matches!(error, FindError::Ended { seen: 8 }));
/// assert_eq!(child.wait().await.code(), Some(1));
/// # Ok::<(), actix_process::SpawnError>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// The descriptor was closed before: the child has died, or has closed it. This comes at once, unless a descendant that has left the
    /// child's group holds the descriptor: then it is open.
    #[error("the output ended, after {seen} bytes, before what was looked for came")]
    Ended {
        /// How many bytes had come.
        seen: usize,
    },
    /// The time is over, and the descriptor is open.
    #[error("what was looked for did not come within {within:?}; {seen} bytes came")]
    TimedOut {
        /// How many bytes had come.
        seen: usize,
        /// The time.
        within: Duration,
    },
    /// 1 MiB came without it.
    #[error("what was looked for did not come in the first {seen} bytes")]
    TooMuch {
        /// How many bytes had come.
        seen: usize,
    },
}

impl FdStream {
    /// Reads until `needle` comes, gives what came before it, and takes the needle out. The stream goes on behind the
    /// needle.
    ///
    /// `needle` is bytes as they are (`"Password: "`, `b"ready\n"`), or a closure that looks for more than one thing: see
    /// [`Needle`]. The first place counts. At most 1 MiB, and one piece more, is kept meanwhile. The future may be dropped: what it read is still
    /// in the stream. For any runtime, or none.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use actix_process::Command;
    /// use futures::StreamExt;
    ///
    /// # actix::System::new().block_on(async {
    /// let script = "echo loading; echo ready; echo 42";
    /// let mut child = Command::new("sh").args(["-c", script]).open().await?;
    /// let log = child.stdout.find("ready\n", Duration::from_secs(10)).await?;
    /// assert_eq!(log, "loading\n");
    /// let mut lines = child.stdout.lines(1024);
    /// assert_eq!(lines.next().await.unwrap()?, "42");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`FindError::Ended`] at once when the descriptor closes before, [`FindError::TimedOut`] after `within`,
    /// [`FindError::TooMuch`] after 1 MiB.
    pub async fn find(
        &mut self,
        mut needle: impl Needle,
        within: Duration,
    ) -> Result<Bytes, FindError> {
        let mut deadline = Deadline::after(within);
        let mut hay = Hay {
            stream: self,
            bytes: BytesMut::new(),
        };
        let mut searched = 0;
        loop {
            let more = poll_fn(|cx| match hay.stream.poll_piece(cx) {
                Poll::Ready(piece) => Poll::Ready(Ok(piece)),
                Poll::Pending => Pin::new(&mut deadline).poll(cx).map(|()| Err(())),
            });
            let more = more.await;
            let seen = hay.bytes.len();
            match more {
                Ok(Some(piece)) => hay.bytes.extend_from_slice(&piece),
                Ok(None) => return Err(FindError::Ended { seen }),
                Err(()) => return Err(FindError::TimedOut { seen, within }),
            }
            let seen = hay.bytes.len();
            if let Some(found) = needle.find_in(&hay.bytes, searched) {
                let before = hay.bytes.split_to(found.start.min(seen));
                hay.bytes.advance(found.len().min(hay.bytes.len()));
                return Ok(before.freeze());
            }
            if seen >= MOST_KEPT {
                return Err(FindError::TooMuch { seen });
            }
            searched = seen;
        }
    }
}

/// What was read of a stream. The rest goes back at the drop.
struct Hay<'a> {
    stream: &'a mut FdStream,
    bytes: BytesMut,
}

impl Drop for Hay<'_> {
    fn drop(&mut self) {
        self.stream.put_back = std::mem::take(&mut self.bytes).freeze();
    }
}
