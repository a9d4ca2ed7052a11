//! A lease: a service runs as long as somebody has one.

use std::fmt;

use tokio::sync::watch;

use super::access::Access;
use super::actor::{Ask, Current};
use super::core::LeaseId;
use super::error::MonitorError;
use super::name::ServiceName;
use super::start::Start;
use super::state::ServiceState;
use crate::ProcessHandle;

/// A share in a running service; made by [`MonitorHandle::lease`](super::MonitorHandle::lease) when the service is ready. The drop of a lease
/// gives the share back: when nobody has a lease any more, the service is stopped after its [`idle_stop`](super::Service::idle_stop).
///
/// If the service ends meanwhile it is started again, as its [`Restart`](super::Restart) says: [`changed`](Self::changed) tells of that, and
/// [`process`](Self::process) is the new process then.
///
/// ```
/// # use std::time::Duration;
/// use actix_process::Command;
/// use actix_process::monitor::{Monitor, Service};
///
/// # actix::System::new().block_on(async {
/// let tool = Service::new("tool", Command::new("sleep").arg("60")).on_demand();
/// let monitor = Monitor::new().service(tool).start()?;
/// let mut lease = monitor.lease("tool").await?;
/// let first = lease.process().clone();
/// first.kill();
/// lease.changed().await?;
/// assert_ne!(lease.process().id(), first.id());
/// drop(lease);
/// # monitor.shutdown(Duration::from_secs(20)).await;
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[must_use = "its drop gives the service back"]
pub struct Lease {
    held: LeaseHold,
    name: ServiceName,
    current: watch::Receiver<Current>,
    process: ProcessHandle,
    start: Start,
    /// A handle of the monitor. Dropped after `held`.
    keeps: Option<Box<dyn Send + Sync>>,
}

/// Gives the lease up when it is dropped, also before it was given.
struct LeaseHold {
    access: Access,
    id: LeaseId,
}

impl Drop for LeaseHold {
    fn drop(&mut self) {
        self.access.tell(Ask::Release(self.id));
    }
}

impl Lease {
    pub(super) async fn take(access: Access, name: ServiceName) -> Result<Self, MonitorError> {
        let id = access.shared.lease_id();
        let held = LeaseHold {
            access: access.clone(),
            id,
        };
        loop {
            let asked = name.clone();
            access.ask(|tell| Ask::Lease(asked, id, tell)).await?;
            let asked = name.clone();
            let mut current = access.ask(|tell| Ask::Current(asked, id, tell)).await?;
            let seen = current.borrow_and_update().clone();
            if let Current::Up { process, start } = seen {
                return Ok(Self {
                    held,
                    name,
                    current,
                    process,
                    start,
                    keeps: None,
                });
            }
            // It went down again in between.
            access.tell(Ask::Release(id));
        }
    }

    /// The monitor lives as long as this.
    pub(super) fn keeping(mut self, keeps: impl Send + Sync + 'static) -> Self {
        self.keeps = Some(Box::new(keeps));
        self
    }

    /// The service.
    #[must_use]
    pub const fn name(&self) -> &ServiceName {
        &self.name
    }

    /// Its process, as of the last readiness that this lease has seen: at first that of the lease, later those of
    /// [`changed`](Self::changed).
    #[must_use]
    pub const fn process(&self) -> &ProcessHandle {
        &self.process
    }

    /// The start of that process: its [port](Start::port), for example.
    #[must_use]
    pub const fn start(&self) -> &Start {
        &self.start
    }

    /// Whether that process is the present one, and ready.
    #[must_use]
    pub fn is_current(&self) -> bool {
        match &*self.current.borrow() {
            Current::Up { start, .. } => start.generation == self.start.generation,
            Current::Down { .. } => false,
        }
    }

    /// Resolves when the service is ready in another process than [`process`](Self::process), which is that one from then on. Dropping the
    /// future changes nothing.
    ///
    /// # Errors
    ///
    /// [`MonitorError::State`] if the service is down for good: it was stopped, has exited or failed. [`MonitorError::Ended`].
    pub async fn changed(&mut self) -> Result<(), MonitorError> {
        loop {
            let seen = self.current.borrow_and_update().clone();
            match seen {
                Current::Up { process, start } if start.generation != self.start.generation => {
                    self.process = process;
                    self.start = start;
                    return Ok(());
                }
                Current::Down {
                    state:
                        state @ (ServiceState::Stopped | ServiceState::Exited | ServiceState::Failed),
                } => {
                    let name = self.name.clone();
                    return Err(MonitorError::State { name, state });
                }
                _ => {}
            }
            let changed = self.current.changed().await;
            changed.map_err(|_| MonitorError::Ended)?;
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("id", &self.held.id)
            .field("name", &self.name)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}
