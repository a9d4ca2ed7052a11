//! Which descriptors of a child are decoded, on the way from the protocol to their readers.

use std::fmt;
use std::sync::{Arc, Mutex};

use crate::child::framer::Framer;
use crate::child::{self, Child, EventSink};
use crate::command::fd_map::{Fd, FdMap, Kind};
use crate::error::SpawnError;
use crate::event::ProcessEvent;
use crate::port::window::Credit;
use crate::sync::lock;

/// Taken out one by one when the readers are made.
#[derive(Default)]
pub(super) struct Framers {
    by_fd: Mutex<Vec<(i32, Box<dyn Framer>)>>,
}

impl Framers {
    pub(super) fn add(&mut self, fd: i32, framer: Box<dyn Framer>) {
        let by_fd = self.by_fd.get_mut();
        by_fd
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push((fd, framer));
    }

    fn fds(&self) -> Vec<i32> {
        lock(&self.by_fd).iter().map(|(fd, _)| *fd).collect()
    }

    fn take(&self, fd: i32) -> Option<Box<dyn Framer>> {
        let mut by_fd = lock(&self.by_fd);
        let index = by_fd.iter().position(|(of, _)| *of == fd)?;
        Some(by_fd.swap_remove(index).1)
    }

    /// Each must be a descriptor whose data goes to the protocol.
    pub(super) fn check(&self, map: &FdMap, terminal_is_stream: bool) -> Result<(), SpawnError> {
        let fds = self.fds();
        for (index, fd) in fds.iter().enumerate() {
            let why = match map.get(*fd) {
                _ if fds.iter().take(index).any(|before| before == fd) => "is decoded twice",
                Some(kind) if kind.is_terminal() && *fd == 1 && !terminal_is_stream => continue,
                Some(Fd {
                    kind: Kind::Read, ..
                }) => continue,
                _ => "is to be decoded, but is no Fd::read()",
            };
            return Err(SpawnError::invalid(format!("fd {fd}"), why));
        }
        Ok(())
    }
}

impl fmt::Debug for Framers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Framers").field(&self.fds()).finish()
    }
}

/// The way to a protocol that has some descriptors decoded. Frames and events go into the mailbox of one actor, both by
/// `do_send`, and those of one descriptor are sent by one thread, its close last: so they are in order.
#[derive(Debug)]
pub(super) struct FramedSink {
    pub(super) sink: Arc<dyn EventSink>,
    pub(super) framers: Arc<Framers>,
}

impl EventSink for FramedSink {
    fn emit_with_receipt(
        self: Arc<Self>,
        child: &Arc<Child>,
        event: ProcessEvent,
    ) -> child::Receipt {
        Arc::clone(&self.sink).emit_with_receipt(child, event)
    }

    fn emit(&self, child: &Arc<Child>, event: ProcessEvent, credit: Option<Credit>) {
        self.sink.emit(child, event, credit);
    }

    fn is_connected(&self) -> bool {
        self.sink.is_connected()
    }

    fn take_framer(&self, fd: i32) -> Option<Box<dyn Framer>> {
        self.framers.take(fd)
    }
}
