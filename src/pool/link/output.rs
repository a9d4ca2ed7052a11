//! What a worker prints, on its way to those who follow it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix_rt::time::{Instant, timeout};
use futures_core::Stream;
use tokio::task::JoinHandle;

use crate::Bytes;
use crate::FdStream;
use crate::ProcessHandle;
use crate::monitor::output::ServiceOutput;

/// Reads the outputs of a worker that are no answers, and keeps the last lines of them.
pub(super) struct OutputPump {
    output: PrintedOutput,
    tasks: Vec<JoinHandle<()>>,
}

/// The lines of a worker.
#[derive(Clone)]
pub(super) struct PrintedOutput(Rc<RefCell<ServiceOutput>>);

impl OutputPump {
    /// Reads these descriptors, as far as they are pipes of this program.
    pub(super) fn start(process: &ProcessHandle, fds: &[i32], mut output: ServiceOutput) -> Self {
        output.started(1);
        let output = PrintedOutput(Rc::new(RefCell::new(output)));
        let streams = fds
            .iter()
            .filter_map(|fd| Some((*fd, process.take_stream(*fd).ok()?)));
        let tasks = streams.map(|(fd, stream)| actix_rt::spawn(read(fd, stream, output.clone())));
        Self {
            tasks: tasks.collect(),
            output,
        }
    }

    pub(super) fn printed(&self) -> PrintedOutput {
        self.output.clone()
    }

    /// Waits until all that was printed is read, but no longer than this.
    pub(super) async fn read_out(&mut self, at_most: Duration) {
        let begun = Instant::now();
        while let Some(task) = self.tasks.last_mut() {
            if timeout(at_most.saturating_sub(begun.elapsed()), task)
                .await
                .is_err()
            {
                return;
            }
            self.tasks.pop();
        }
    }

    /// Waits for the end of all of them; gives the last of the standard error.
    pub(super) async fn ended(self) -> Bytes {
        for task in self.tasks {
            let _ = task.await;
        }
        let mut output = self.output.0.borrow_mut();
        output.close();
        output.tail()
    }
}

impl PrintedOutput {
    pub(super) fn data(&self, fd: i32, chunk: &[u8]) {
        self.0.borrow_mut().data(fd, chunk);
    }

    /// The last of the standard error until now.
    pub(super) fn tail(&self) -> Bytes {
        self.0.borrow().tail()
    }
}

async fn read(fd: i32, mut stream: FdStream, output: PrintedOutput) {
    while let Some(chunk) =
        std::future::poll_fn(|cx| std::pin::Pin::new(&mut stream).poll_next(cx)).await
    {
        output.data(fd, &chunk);
    }
    output.0.borrow_mut().closed(fd);
}
