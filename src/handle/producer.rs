//! Producers: actors that write to a child as fast as it reads, Twisted's `IPushProducer` and
//! `IPullProducer`. One is registered by
//! [`ProcessHandle::register_producer`](crate::ProcessHandle::register_producer).

use std::fmt;
use std::sync::Arc;

use actix::{Message, Recipient};
use bytes::Bytes;

use crate::child::Child;
use crate::error::WriteError;
use crate::handle::ProcessHandle;
use crate::port::FdCommand;
use crate::sys;

pub use crate::error::ProducerError;
pub use crate::port::write_queue::{ProducerCommand, ProducerKind};

/// A command of the crate to a producer, as a message.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
#[non_exhaustive]
pub struct ToProducer {
    /// The child that the producer writes to.
    pub process: ProcessHandle,
    /// The child's descriptor.
    pub fd: i32,
    /// What the producer is to do.
    pub command: ProducerCommand,
    /// With the last command, the address of the mailbox that it is in: an actor whose last address
    /// drops stops with what is in its mailbox if it had just found that empty.
    _address: Option<Recipient<Self>>,
}

impl ToProducer {
    /// A message as the crate sends it, for tests of producers.
    #[must_use]
    pub const fn new(process: ProcessHandle, fd: i32, command: ProducerCommand) -> Self {
        Self {
            process,
            fd,
            command,
            _address: None,
        }
    }
}

impl ProcessHandle {
    /// Registers `producer` for `fd`, any descriptor of the child that this program
    /// writes. The crate tells the producer when to write: see [`ProducerKind`].
    ///
    /// While a producer is registered, a close of the descriptor waits: [`close_stdin`](Self::close_stdin)
    /// and [`lose_connection`](Self::lose_connection) close it when the guard has dropped and all is
    /// written. The guard's own [`write`](ProducerGuard::write) works until then. Neither [`abort`](Self::abort) nor a close by
    /// the child waits for the producer. The handle and sinks may write to the descriptor
    /// as well; what they write counts as queued.
    ///
    /// Keep the guard in the producer's actor: then its death unregisters it.
    ///
    /// ```
    /// use actix::prelude::*;
    /// use actix_process::producer::{ProducerCommand, ProducerGuard, ProducerKind, ToProducer};
    /// use actix_process::{Command, NoProtocol, ProcessHandle};
    ///
    /// /// Counts to a thousand.
    /// struct Counter {
    ///     process: ProcessHandle,
    ///     next: u32,
    ///     guard: Option<ProducerGuard>,
    /// }
    ///
    /// impl Actor for Counter {
    ///     type Context = Context<Self>;
    ///
    ///     fn started(&mut self, ctx: &mut Self::Context) {
    ///         let registered = self.process.register_producer(0, ProducerKind::Pull, ctx.address());
    ///         // Closed already: there is nobody to count for.
    ///         self.guard = registered.ok();
    ///         // Waits for the guard.
    ///         self.process.close_stdin();
    ///     }
    /// }
    ///
    /// impl Handler<ToProducer> for Counter {
    ///     type Result = ();
    ///
    ///     fn handle(&mut self, told: ToProducer, ctx: &mut Self::Context) {
    ///         match (told.command, &self.guard) {
    ///             (ProducerCommand::Resume, Some(guard)) if self.next < 1000 => {
    ///                 let _ = guard.write(format!("{}\n", self.next));
    ///                 self.next += 1;
    ///             }
    ///             _ => {
    ///                 self.guard = None;
    ///                 ctx.stop();
    ///             }
    ///         }
    ///     }
    /// }
    ///
    /// # System::new().block_on(async {
    /// let process = Command::new("cat").spawn(NoProtocol).await?;
    /// let (next, guard) = (0, None);
    /// Counter { process: process.clone(), next, guard }.start();
    /// assert!(process.ended().await.success());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`ProducerError::AlreadyRegistered`] if the descriptor has a producer; [`ProducerError::Write`] after a
    /// close from either side, and for a descriptor that this program does not write. The producer gets no
    /// message then.
    pub fn register_producer(
        &self,
        fd: i32,
        kind: ProducerKind,
        producer: impl Into<Recipient<ToProducer>>,
    ) -> Result<ProducerGuard, ProducerError> {
        let port = self
            .child()
            .port(fd)
            .ok_or(WriteError::NotWritable { fd })?;
        let producer = producer.into();
        // The record holds this until the descriptor is closed; it must not hold itself.
        let child = Arc::downgrade(self.child());
        let tell = move |command| {
            if let Some(child) = child.upgrade() {
                // Its registration, which the last command ends, may have its only address.
                let is_last = command == ProducerCommand::Stop;
                producer.do_send(ToProducer {
                    process: Self::new(child),
                    fd,
                    command,
                    _address: is_last.then(|| producer.clone()),
                });
            }
        };
        let registration = port.register(kind, Box::new(tell))?;
        Ok(ProducerGuard {
            child: Arc::clone(self.child()),
            fd,
            registration,
        })
    }
}

/// A producer's registration. Dropping it unregisters the producer, and a close that
/// waited for the producer follows. The producer gets no more messages then, but for those in its mailbox already.
#[must_use = "dropping it unregisters the producer"]
pub struct ProducerGuard {
    child: Arc<Child>,
    fd: i32,
    registration: u64,
}

impl ProducerGuard {
    /// Queues bytes, also while a close waits for this producer.
    ///
    /// # Errors
    ///
    /// [`WriteError::Closed`] when the descriptor is closed, which the producer was told by
    /// [`ProducerCommand::Stop`].
    pub fn write(&self, data: impl Into<Bytes>) -> Result<(), WriteError> {
        let fd = self.fd;
        match self.child.port(fd) {
            Some(port) => port.write_of_producer(FdCommand::Write(data.into()), self.registration),
            None => Err(WriteError::NotWritable { fd }),
        }
    }

    /// The child's descriptor.
    #[must_use]
    pub const fn fd(&self) -> i32 {
        self.fd
    }
}

impl Drop for ProducerGuard {
    fn drop(&mut self) {
        if sys::copy::is_copy() {
            return;
        }
        if let Some(port) = self.child.port(self.fd) {
            port.unregister(self.registration);
        }
    }
}

impl fmt::Debug for ProducerGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProducerGuard")
            .field("process", &self.child.id)
            .field("fd", &self.fd)
            .finish_non_exhaustive()
    }
}
