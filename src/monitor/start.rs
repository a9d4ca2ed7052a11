//! One start of a service: what its command is made from.

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

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
    port: Arc<Mutex<Option<u16>>>,
}

impl Start {
    pub(super) fn new(id: Arc<str>, key: Option<Arc<str>>, generation: u64, attempt: u32) -> Self {
        Self {
            id,
            key,
            generation,
            attempt,
            port: Arc::default(),
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
        let mut port = self.port.lock().unwrap_or_else(PoisonError::into_inner);
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
        *self.port.lock().unwrap_or_else(PoisonError::into_inner)
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
