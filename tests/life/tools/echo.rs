//! A child that echoes, to see whether it and its actors live; and callers that have no arbiter.

use actix_process::{Command, Decoded, ExitStatus, Fd, NoProtocol, ProcessHandle};
use futures::StreamExt;
use tokio_util::codec::LinesCodec;

use crate::common::block_on_thread;
use crate::common::helper::helper;

/// Runs `act` on a thread of its own, which has no arbiter.
pub fn on_a_thread<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::spawn(act).join().unwrap()
}

pub async fn ended(process: &ProcessHandle) -> ExitStatus {
    process.ended().await
}

/// A child that says "ready", echoes its input, and ends with that, and its output as lines.
pub struct Echo {
    pub process: ProcessHandle,
    lines: Decoded<LinesCodec>,
}

pub fn echo() -> Command {
    helper(["say", "ready", "cat"]).stdout(Fd::stream())
}

/// One that only says "ready": it ends by a signal, also when its input is closed before that.
pub fn pausing() -> Command {
    helper(["say", "ready", "pause"]).stdout(Fd::stream())
}

impl Echo {
    pub async fn spawn(command: Command) -> Self {
        let process = command.spawn(NoProtocol).await.unwrap();
        Self::of(process).await
    }

    pub async fn of(process: ProcessHandle) -> Self {
        let lines = process.take_stream(1).unwrap().lines(1024);
        let mut echo = Self { process, lines };
        assert_eq!(echo.line().await, "ready");
        echo
    }

    pub async fn line(&mut self) -> String {
        self.lines.next().await.unwrap().unwrap()
    }

    /// It is there, and its actors work.
    pub async fn assert_alive(&mut self) {
        self.process.write("there?\n").unwrap();
        assert_eq!(self.line().await, "there?");
    }

    pub async fn end(mut self) {
        self.process.close_stdin();
        assert!(self.lines.next().await.is_none());
        assert!(ended(&self.process).await.success());
    }
}

/// A child of nobody's System, asked for on a thread without anything.
pub fn of_no_system(command: Command) -> Echo {
    on_a_thread(move || block_on_thread(Echo::spawn(command)))
}
