//! The way from handles, leases and messages to a running monitor.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix::Addr;
use tokio::sync::oneshot;

use super::Monitor;
use super::actor::Ask;
use super::error::MonitorError;
use super::shared::MonitorShared;

/// The address of a monitor, and what it shares. It does not keep the monitor running.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub(super) address: Addr<Monitor>,
    pub(super) shared: Arc<MonitorShared>,
}

impl Access {
    /// Sends the request now; the future waits for the answer.
    pub(super) fn ask<T>(
        &self,
        ask: impl FnOnce(oneshot::Sender<Result<T, MonitorError>>) -> Ask,
    ) -> RequestAnswer<T> {
        ask_at(&self.address, ask)
    }

    /// Kills all that the monitor runs, now, and ends the monitor.
    pub(super) fn kill(&self, why: &str) {
        // It hears of the shutdown before it hears of the first death, lest it takes that for a crash.
        let tell = || self.tell(Ask::ShutdownNow { kill: true });
        self.shared.kill_all.kill_after(why, tell);
    }

    pub(super) fn tell(&self, ask: Ask) {
        self.address.do_send(ask);
    }
}

/// Sends the request now; the future waits for the answer.
pub(super) fn ask_at<T>(
    address: &Addr<Monitor>,
    ask: impl FnOnce(oneshot::Sender<Result<T, MonitorError>>) -> Ask,
) -> RequestAnswer<T> {
    let (tell, told) = oneshot::channel();
    address.do_send(ask(tell));
    RequestAnswer(told)
}

/// The answer to a request.
#[derive(Debug)]
pub(super) struct RequestAnswer<T>(oneshot::Receiver<Result<T, MonitorError>>);

impl<T> Future for RequestAnswer<T> {
    type Output = Result<T, MonitorError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let told = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(told.unwrap_or(Err(MonitorError::Ended)))
    }
}
