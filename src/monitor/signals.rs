//! SIGTERM and SIGINT as the beginning of a shutdown, and the second of them as the kill of everything.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::access::Access;
use super::actor::Ask;
use super::error::MonitorError;

/// Installs the handlers, and waits for signals on a thread of its own: a closure of a user's that blocks the monitor's arbiter does not
/// hold up the kill. The thread ends with the monitor.
pub(super) async fn begin_shutdowns(access: Access) -> Result<(), MonitorError> {
    let failed = |error| MonitorError::Arbiter(Arc::new(error));
    if access.shared.has_ended() {
        return Err(MonitorError::Ended);
    }
    let (tell, told) = oneshot::channel();
    let thread = thread::Builder::new().name("actix-process-signal".to_owned());
    let started = thread.spawn(move || match install() {
        Ok((runtime, both)) => {
            let _ = tell.send(Ok(()));
            runtime.block_on(wait(access, both));
        }
        Err(error) => drop(tell.send(Err(error))),
    });
    started.map_err(failed)?;
    told.await.map_err(|_| MonitorError::Ended)?.map_err(failed)
}

/// The handlers, with the runtime that they tell.
fn install() -> io::Result<(Runtime, [Signal; 2])> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let both = [
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    ];
    drop(entered);
    Ok((runtime, both))
}

/// Until the monitor has ended.
async fn wait(access: Access, mut both: [Signal; 2]) {
    let mut closed = pin!(access.shared.closed());
    let mut is_second = false;
    loop {
        let signalled = poll_fn(|cx| {
            // One at a time: two that came together are the first and the second.
            if both
                .iter_mut()
                .any(|signal| signal.poll_recv(cx).is_ready())
            {
                return Poll::Ready(true);
            }
            closed.as_mut().poll(cx).map(|_| false)
        });
        if !signalled.await {
            return;
        }
        if is_second {
            access.kill("a second signal to shut down has come");
        } else {
            access.tell(Ask::ShutdownNow { kill: false });
        }
        is_second = true;
    }
}
