//! Who waits for the result of which job.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_core::Stream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::result::{JobId, JobResult};
use super::results::Results;

/// Shared by a submitter and the task that reads results for it.
#[derive(Debug, Default)]
pub(super) struct ResultWaiters {
    waiting: Mutex<HashMap<JobId, Vec<oneshot::Sender<JobResult>>>>,
}

/// The task that reads results; its drop ends it.
#[derive(Debug)]
pub(super) struct ReadingTask(JoinHandle<()>);

/// Waits for one result. The drop ends the wait.
pub(super) struct ResultWaiter {
    waiters: Arc<ResultWaiters>,
    id: JobId,
    told: oneshot::Receiver<JobResult>,
}

impl ResultWaiters {
    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Vec<oneshot::Sender<JobResult>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait_for(self: &Arc<Self>, id: &JobId) -> ResultWaiter {
        let (tell, told) = oneshot::channel();
        self.lock().entry(id.clone()).or_default().push(tell);
        ResultWaiter {
            waiters: Arc::clone(self),
            id: id.clone(),
            told,
        }
    }

    fn tell(&self, result: JobResult) {
        let waiting = self.lock().remove(&result.id);
        for tell in waiting.into_iter().flatten() {
            let _ = tell.send(result.clone());
        }
    }

    /// Gives results to those who wait for them.
    pub(super) fn read(self: &Arc<Self>, mut results: Results) -> ReadingTask {
        let waiters = Arc::clone(self);
        ReadingTask(tokio::spawn(async move {
            while let Some(result) =
                std::future::poll_fn(|cx| Pin::new(&mut results).poll_next(cx)).await
            {
                waiters.tell(result);
            }
        }))
    }
}

impl ReadingTask {
    /// Its runtime is gone.
    pub(super) fn has_ended(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for ReadingTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ResultWaiter {
    /// The result, when it is stored. It never comes if the reading task has ended.
    pub(super) async fn result(&mut self) -> JobResult {
        match (&mut self.told).await {
            Ok(result) => result,
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for ResultWaiter {
    fn drop(&mut self) {
        self.told.close();
        let mut waiting = self.waiters.lock();
        if let Some(tells) = waiting.get_mut(&self.id) {
            tells.retain(|tell| !tell.is_closed());
            if tells.is_empty() {
                waiting.remove(&self.id);
            }
        }
    }
}
