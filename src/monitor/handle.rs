//! What a program has of a running monitor.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use tokio::sync::oneshot;

use super::Monitor;
use super::access::{Access, RequestAnswer};
use super::actor::Ask;
use super::containment::MonitorContainment;
use super::core::Request;
use super::error::MonitorError;
use super::events::Events;
use super::lease::Lease;
use super::name::ServiceName;
use super::output::{Follow, FollowRaw, Since};
use super::service::{Service, checked};
use super::shared::MonitorShared;
use super::shutdown_report::ShutdownReport;
use super::signals;
use super::status::Status;
use crate::Bytes;
use crate::PtySize;
use crate::Signal;

/// A handle of a running [`Monitor`]. A clone is a handle of the same monitor. It works on any thread, with any runtime or none.
///
/// Requests are idempotent: to start what runs, or to stop what is stopped, is done at once. Each is answered when it is done, or
/// when another one has taken its place ([`MonitorError::Overtaken`]). Dropping a future of a request takes nothing back, but
/// [`lease`](Self::lease)'s.
///
/// When the last handle and the last [`Lease`] are dropped, all services are killed at once, and a warning in the log says so. A program that ends in order
/// calls [`shutdown`](Self::shutdown) first.
#[derive(Debug, Clone)]
pub struct MonitorHandle {
    last: Arc<LastHandle>,
}

/// Its drop is that of the last handle.
#[derive(Debug)]
struct LastHandle {
    access: Access,
}

impl Drop for LastHandle {
    fn drop(&mut self) {
        if !self.access.shared.has_ended() {
            self.access.kill("the last handle of a monitor was dropped");
        }
    }
}

impl MonitorHandle {
    pub(super) fn new(access: Access) -> Self {
        Self {
            last: Arc::new(LastHandle { access }),
        }
    }

    /// The monitor as an actor, for the messages of [`messages`](super::messages).
    ///
    /// The monitor is the [protocol](crate::ProcessProtocol) of its own children. What it is told of others it ignores.
    #[must_use]
    pub fn addr(&self) -> Addr<Monitor> {
        self.access().address.clone()
    }

    fn access(&self) -> &Access {
        &self.last.access
    }

    fn shared(&self) -> &MonitorShared {
        &self.access().shared
    }

    fn ask<T>(
        &self,
        ask: impl FnOnce(oneshot::Sender<Result<T, MonitorError>>) -> Ask,
    ) -> RequestAnswer<T> {
        self.access().ask(ask)
    }

    fn request(&self, name: ServiceName, request: Request) -> RequestAnswer<()> {
        self.ask(|tell| Ask::Request(name, request, tell))
    }

    /// Adds a service, and waits until it is ready. One that is on demand is not started.
    ///
    /// # Errors
    ///
    /// [`MonitorError::Spec`]: nothing was added. [`MonitorError::StartFailed`] and others, as for [`start`](Self::start): it is added, and goes on
    /// as its [`Restart`](super::Restart) says.
    pub async fn add(&self, service: Service) -> Result<(), MonitorError> {
        self.add_all([service]).await
    }

    /// Adds services, all or none of them, and waits until those are ready that are not on demand.
    ///
    /// # Errors
    ///
    /// As for [`add`](Self::add). One that failed is told when all of them have an answer.
    pub async fn add_all(
        &self,
        services: impl IntoIterator<Item = Service>,
    ) -> Result<(), MonitorError> {
        let specs = checked(services.into_iter().collect())?;
        self.ask(|tell| Ask::Add(specs, tell)).await
    }

    /// Stops a service and forgets it, with all its instances; or one instance of a keyed service.
    ///
    /// # Errors
    ///
    /// [`MonitorError::Needed`] if another service comes after it. Those that are [stopped with](Service::with) it go on without it.
    pub async fn remove(&self, name: impl Into<ServiceName>) -> Result<(), MonitorError> {
        self.request(name.into(), Request::Remove).await
    }

    /// Starts a service, and waits until it is ready. One that [failed](super::ServiceState::Failed) or
    /// [exited](super::ServiceState::Exited) begins anew: its failures are forgotten. One that waits for a restart still waits, see
    /// [`restart_now`](Self::restart_now). One that is on demand runs then without a lease, until it is stopped.
    ///
    /// # Errors
    ///
    /// The first failure of a start, while it may be tried again; [`MonitorError::Dependency`] if it waits for a service that does not get where it
    /// should; [`MonitorError::Overtaken`] by a stop, a restart or a removal.
    pub async fn start(&self, name: impl Into<ServiceName>) -> Result<(), MonitorError> {
        self.request(name.into(), Request::Start).await
    }

    /// Waits until a service is ready, without asking for its start.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start); [`MonitorError::State`] if nobody wants it to run.
    pub async fn ready(&self, name: impl Into<ServiceName>) -> Result<(), MonitorError> {
        self.request(name.into(), Request::Ready).await
    }

    /// Waits until all services are ready that are not on demand, without asking for their start. One that was stopped is not waited for, nor is one that has
    /// ended and is [not restarted](super::ServiceState::Exited).
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start). One that failed is told when all of them have an answer.
    pub async fn all_ready(&self) -> Result<(), MonitorError> {
        self.ask(Ask::AllReady).await
    }

    /// Stops a service by its ladder, and waits until nobody is left of its group. A service that waits, or is being started, is stopped at
    /// once. Leases do not keep it running.
    ///
    /// # Errors
    ///
    /// [`MonitorError::Unkillable`]; [`MonitorError::Overtaken`] by a start or a restart.
    pub async fn stop(&self, name: impl Into<ServiceName>) -> Result<(), MonitorError> {
        self.request(name.into(), Request::Stop).await
    }

    /// Stops a service if it runs, starts it, and waits until it is ready. Its failures are forgotten. One that is on demand, and that nobody
    /// wants, runs then without a lease, as after a [`start`](Self::start). One that is leased, or runs for a service that comes after it,
    /// runs on for as long as that lasts.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start); [`MonitorError::State`] if its last lease is dropped meanwhile.
    pub async fn restart(&self, name: impl Into<ServiceName>) -> Result<(), MonitorError> {
        self.request(name.into(), Request::Restart).await
    }

    /// Makes a start now that waits in [`Backoff`](super::ServiceState::Backoff), or that is tried no more, and waits until the service is
    /// ready. One that runs is left alone. What is leased runs for as long as it is leased, as after a
    /// [`restart`](Self::restart).
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start).
    pub async fn restart_now(&self, name: impl Into<ServiceName>) -> Result<(), MonitorError> {
        self.request(name.into(), Request::RestartNow).await
    }

    /// Sends a signal to the group of a service, or its cgroup.
    ///
    /// # Errors
    ///
    /// [`MonitorError::State`] if it has no child; [`MonitorError::Signal`].
    pub async fn signal(
        &self,
        name: impl Into<ServiceName>,
        signal: Signal,
    ) -> Result<(), MonitorError> {
        let name = name.into();
        self.ask(|tell| Ask::Signal(name, signal, tell)).await
    }

    /// Writes to the standard input of a service, or types on its terminal. Resolves when the bytes are queued; the queue has no bound.
    ///
    /// # Errors
    ///
    /// [`MonitorError::State`] if it has no child; [`MonitorError::Write`].
    pub async fn write(
        &self,
        name: impl Into<ServiceName>,
        data: impl Into<Bytes>,
    ) -> Result<(), MonitorError> {
        let (name, data) = (name.into(), data.into());
        self.ask(|tell| Ask::Write(name, data, tell)).await
    }

    /// Sets the size of the terminal of a service.
    ///
    /// # Errors
    ///
    /// [`MonitorError::State`] if it has no child; [`MonitorError::Resize`].
    pub async fn resize(
        &self,
        name: impl Into<ServiceName>,
        size: PtySize,
    ) -> Result<(), MonitorError> {
        let name = name.into();
        self.ask(|tell| Ask::Resize(name, size, tell)).await
    }

    /// Opens the [files](Service::file) of all services anew: for a program that has renamed them, such as logrotate.
    ///
    /// # Errors
    ///
    /// [`MonitorError::Ended`].
    pub async fn reopen_files(&self) -> Result<(), MonitorError> {
        self.ask(Ask::Reopen).await
    }

    /// The status of one service. No child is waited for.
    ///
    /// # Errors
    ///
    /// [`MonitorError::NotFound`].
    pub async fn status(&self, name: impl Into<ServiceName>) -> Result<Status, MonitorError> {
        let name = name.into();
        let asked = name.clone();
        let all = self
            .ask(|tell| Ask::Status(Some(name), false, tell))
            .await?;
        let first = all.into_iter().next();
        first.ok_or(MonitorError::NotFound { name: asked })
    }

    /// The status of all services, in the order in which they were added. No child is waited for.
    ///
    /// # Errors
    ///
    /// [`MonitorError::Ended`].
    pub async fn all(&self) -> Result<Vec<Status>, MonitorError> {
        self.ask(|tell| Ask::Status(None, false, tell)).await
    }

    /// The same, with what the processes of each service [use](Status::usage): one look at all processes of the host.
    ///
    /// # Errors
    ///
    /// [`MonitorError::Ended`].
    pub async fn all_with_usage(&self) -> Result<Vec<Status>, MonitorError> {
        self.ask(|tell| Ask::Status(None, true, tell)).await
    }

    /// A lease of a service: the future starts the service if it is [on demand](Service::on_demand), and resolves when the service is ready. It
    /// runs until the last lease is dropped, and for its [`idle_stop`](Service::idle_stop) after that.
    ///
    /// However many ask at a time, there is one start, and all get the same readiness or the same failure. Dropping the future gives the
    /// lease up.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start). While a start that failed may not be tried again, its failure comes at once.
    pub async fn lease(&self, id: impl AsRef<str>) -> Result<Lease, MonitorError> {
        self.take_lease(id.as_ref().into()).await
    }

    /// The same for the instance of a [keyed](Service::keyed) service that has this key.
    ///
    /// # Errors
    ///
    /// As for [`lease`](Self::lease), and [`MonitorError::AllLeased`].
    pub async fn lease_key(
        &self,
        id: impl AsRef<str>,
        key: impl AsRef<str>,
    ) -> Result<Lease, MonitorError> {
        self.take_lease((id.as_ref(), key.as_ref()).into()).await
    }

    async fn take_lease(&self, name: ServiceName) -> Result<Lease, MonitorError> {
        let lease = Lease::take(self.access().clone(), name).await?;
        Ok(lease.keeping(self.clone()))
    }

    /// The lines of a service, from `since` on. A service that is not there gives [`Closed`](super::Followed::Closed) at once, and so does
    /// everybody get it when a shutdown begins: no stream holds up a server until the last service is stopped.
    ///
    /// The body of a stream of server-sent events: the number of a line is the event's id, so a browser that comes back with
    /// `Last-Event-ID` gets what it has missed, and nothing twice.
    ///
    /// ```
    /// use actix_process::Command;
    /// use actix_process::monitor::{Followed, Monitor, MonitorHandle, Service, Since};
    /// use futures::{Stream, StreamExt};
    ///
    /// fn body(monitor: &MonitorHandle, last_event_id: Option<&str>) -> impl Stream<Item = String> + use<> {
    ///     let last = last_event_id.and_then(|id| id.parse().ok());
    ///     let since = last.map_or(Since::Last(100), Since::Seq);
    ///     monitor.follow("web", since).map(|item| match item {
    ///         Followed::Line { seq, bytes, .. } => format!("id: {seq}\ndata: {}\n\n", String::from_utf8_lossy(&bytes)),
    ///         Followed::Lagged(missed) => format!("event: lagged\ndata: {missed}\n\n"),
    ///         Followed::Restarted => "event: restarted\ndata:\n\n".to_owned(),
    ///         _ => "event: closed\ndata:\n\n".to_owned(),
    ///     })
    /// }
    ///
    /// # actix::System::new().block_on(async {
    /// let web = Service::new("web", Command::new("sh").args(["-c", "echo one; echo two; exec sleep 60"]));
    /// let monitor = Monitor::new().service(web).start()?;
    /// let seen: Vec<String> = body(&monitor, None).take(2).collect().await;
    /// assert_eq!(seen, ["id: 1\ndata: one\n\n", "id: 2\ndata: two\n\n"]);
    /// let again = body(&monitor, Some("1")).next().await;
    /// assert_eq!(again.as_deref(), Some("id: 2\ndata: two\n\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn follow(&self, name: impl Into<ServiceName>, since: Since) -> Follow {
        self.shared().output(&name.into()).follow(since)
    }

    /// The bytes of a service as they come, from what is kept on: of its terminal, or of its standard output.
    pub fn follow_raw(&self, name: impl Into<ServiceName>) -> FollowRaw {
        self.shared().output(&name.into()).follow_raw(1)
    }

    /// What happens to all services from now on, as a bounded stream.
    pub fn events(&self) -> Events {
        Events::new(self.shared().subscribe())
    }

    /// What holds the processes of each service together.
    #[must_use]
    pub fn containment(&self) -> &MonitorContainment {
        &self.shared().containment
    }

    /// Stops all services, in the reverse of their order, kills at the deadline what is left, and ends the monitor. Whoever follows a
    /// service gets [`Closed`](super::Followed::Closed) when this begins. The answer comes when the files of services are written, also of
    /// those that were removed, for which it waits 2 seconds at most. No start is made any more, and all that wait for one are told so. A
    /// later call can only make the deadline shorter; all get the same report.
    ///
    /// A service may ask for the shutdown of its own monitor. The future is a handle as well: while it is there, the drop of the others kills
    /// nothing.
    pub fn shutdown(
        &self,
        deadline: Duration,
    ) -> impl Future<Output = ShutdownReport> + Send + use<> {
        let (tell, told) = oneshot::channel();
        self.access().tell(Ask::Shutdown(deadline, tell));
        let closed = self.closed();
        // Who waits for the end does not want the kill that the drop of the last handle is.
        let handle = self.clone();
        async move {
            let report = match told.await {
                Ok(report) => report,
                // It had ended before.
                Err(_) => closed.await,
            };
            drop(handle);
            report
        }
    }

    /// Resolves when a shutdown has begun, whoever began it: for `HttpServer::shutdown_signal`, and for streams that would hold a server up.
    pub fn closing(&self) -> impl Future<Output = ()> + Send + use<> {
        self.shared().closing()
    }

    /// Resolves when the monitor has ended.
    pub fn closed(&self) -> impl Future<Output = ShutdownReport> + Send + use<> {
        self.shared().closed()
    }

    /// From now on SIGTERM and SIGINT to this program begin a shutdown, with the time of
    /// [`Monitor::shutdown_within`](super::Monitor::shutdown_within). A second one kills all services at once, also while a
    /// closure blocks the monitor's arbiter. The program does
    /// not end by the signals any more: it goes on when the monitor has [closed](Self::closed).
    ///
    /// # Errors
    ///
    /// [`MonitorError::Arbiter`]: the handlers cannot be installed. [`MonitorError::Ended`].
    pub async fn closing_on_signals(&self) -> Result<(), MonitorError> {
        signals::begin_shutdowns(self.access().clone()).await
    }
}
