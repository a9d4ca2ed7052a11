//! One start of a service: what its command is made from.

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// What went wrong before a service's command was there: any error of the closure that makes it.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;

/// One start of a service, as the closure sees it that makes the command.
///
/// Each start has a generation of its own. A port that the closure asked for is here for probes as well.
#[derive(Clone)]
#[non_exhaustive]
pub struct Start {
    /// The service.
    pub id: Arc<str>,
    /// Which instance of a [keyed](super::Service::keyed) service.
    pub key: Option<Arc<str>>,
    /// A number that no other start of this monitor has; later starts have greater ones.
    pub generation: u64,
    /// 1 for the first try, and one more for each try after a failure, until the service was ready for long enough to forget them.
    pub attempt: u32,
    shared: Arc<StartShared>,
}

/// What the clones of one start have in common.
#[derive(Default)]
struct StartShared {
    port: Mutex<Option<u16>>,
    is_ready: AtomicBool,
    said_ready: Notify,
}

impl Start {
    pub(super) fn new(id: Arc<str>, key: Option<Arc<str>>, generation: u64, attempt: u32) -> Self {
        Self {
            id,
            key,
            generation,
            attempt,
            shared: Arc::default(),
        }
    }

    /// A TCP port of the loopback address that nobody listened on a moment ago: the kernel chooses it. The same one each time
    /// that this is called on one start.
    ///
    /// Nobody keeps the port until the child listens. Another program may take it in between; the start fails then, and the
    /// next one has another port.
    ///
    /// # Errors
    ///
    /// No socket can be made or bound.
    pub fn free_port(&self) -> io::Result<u16> {
        let mut port = self
            .shared
            .port
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(port) = *port {
            return Ok(port);
        }
        let free = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        *port = Some(free);
        Ok(free)
    }

    /// The port that [`free_port`](Self::free_port) gave in this start, if it was called.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        *self
            .shared
            .port
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that the service is ready, for [`Ready::protocol`](super::Ready::protocol): the protocol actor calls this on its clone of the
    /// start. Any thread may call it. The first call counts; without `Ready::protocol` none does.
    ///
    /// ```
    /// # use actix_process::monitor::Start;
    /// fn greeting_received(start: &Start, line: &[u8]) {
    ///     if line.starts_with(b"220 ") {
    ///         start.set_ready();
    ///     }
    /// }
    /// ```
    pub fn set_ready(&self) {
        self.shared.is_ready.store(true, Ordering::Release);
        // Kept for a waiter that comes later.
        self.shared.said_ready.notify_one();
    }

    /// Ends when somebody has called `set_ready`. One may wait at a time.
    pub(super) async fn until_ready(&self) {
        while !self.shared.is_ready.load(Ordering::Acquire) {
            self.shared.said_ready.notified().await;
        }
    }
}

impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start")
            .field("id", &self.id)
            .field("key", &self.key)
            .field("generation", &self.generation)
            .field("attempt", &self.attempt)
            .field("port", &self.port())
            .finish()
    }
}
