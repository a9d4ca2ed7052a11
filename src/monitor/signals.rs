//! SIGTERM and SIGINT as the beginning of a shutdown.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use actix::Addr;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::Monitor;
use super::actor::Ask;
use super::error::MonitorError;

/// The wish for them, with where the answer goes.
pub(super) struct Handlers {
    address: Addr<Monitor>,
    tell: oneshot::Sender<Result<(), MonitorError>>,
}

impl Handlers {
    pub(super) const fn new(
        address: Addr<Monitor>,
        tell: oneshot::Sender<Result<(), MonitorError>>,
    ) -> Self {
        Self { address, tell }
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
        let address = self.address;
        actix_rt::spawn(async move {
            let mut kill = false;
            loop {
                poll_fn(|cx| match terminate.poll_recv(cx) {
                    Poll::Ready(_) => Poll::Ready(()),
                    Poll::Pending => interrupt.poll_recv(cx).map(drop),
                })
                .await;
                address.do_send(Ask::ShutdownNow { kill });
                kill = true;
            }
        });
        let _ = self.tell.send(Ok(()));
    }
}
