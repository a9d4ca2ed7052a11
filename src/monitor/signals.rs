//! SIGTERM and SIGINT as the beginning of a shutdown.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use actix::Addr;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::Monitor;
use super::actor::Ask;
use super::error::MonitorError;
use super::shutdown_report::ShutdownReport;

/// The wish for them, with where the answer goes.
pub(super) struct Handlers {
    address: Addr<Monitor>,
    closed: Pin<Box<dyn Future<Output = ShutdownReport> + Send>>,
    tell: oneshot::Sender<Result<(), MonitorError>>,
}

impl Handlers {
    pub(super) fn new(
        address: Addr<Monitor>,
        closed: impl Future<Output = ShutdownReport> + Send + 'static,
        tell: oneshot::Sender<Result<(), MonitorError>>,
    ) -> Self {
        Self {
            address,
            closed: Box::pin(closed),
            tell,
        }
    }

    /// Installs them. On the monitor's arbiter.
    pub(super) fn install(self) {
        let both = signal(SignalKind::terminate()).and_then(|terminate| {
            let interrupt = signal(SignalKind::interrupt())?;
            Ok((terminate, interrupt))
        });
        let (mut terminate, mut interrupt) = match both {
            Ok(both) => both,
            Err(error) => {
                let error = MonitorError::Arbiter(Arc::new(error));
                return drop(self.tell.send(Err(error)));
            }
        };
        let (address, mut closed) = (self.address, self.closed);
        actix_rt::spawn(async move {
            let mut kill = false;
            loop {
                let signalled = poll_fn(|cx| match terminate.poll_recv(cx) {
                    Poll::Ready(_) => Poll::Ready(true),
                    Poll::Pending => match interrupt.poll_recv(cx) {
                        Poll::Ready(_) => Poll::Ready(true),
                        // An arbiter that was given to the monitor goes on.
                        Poll::Pending => closed.as_mut().poll(cx).map(|_| false),
                    },
                });
                if !signalled.await {
                    return;
                }
                address.do_send(Ask::ShutdownNow { kill });
                kill = true;
            }
        });
        let _ = self.tell.send(Ok(()));
    }
}
