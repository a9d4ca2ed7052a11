//! A protocol that holds its child up.

use std::sync::{Arc, Mutex};

use actix::prelude::*;
use actix_process::{FromProcess, ProcessEvent};

/// A protocol that keeps what it gets, with the credit, until it is told to let go.
pub struct Hoarder {
    hoard: Arc<Mutex<Hoard>>,
}

#[derive(Default)]
pub struct Hoard {
    pub kept: Vec<FromProcess>,
    /// Of `kept`.
    pub bytes: usize,
    pub received: Vec<u8>,
    pub most_bytes: usize,
    pub most_messages: usize,
    pub ended: bool,
}

impl Hoarder {
    /// A started one, and what it keeps.
    pub fn start_new() -> (Arc<Mutex<Hoard>>, Addr<Self>) {
        let hoard = Arc::new(Mutex::new(Hoard::default()));
        let hoarder = Self {
            hoard: Arc::clone(&hoard),
        };
        (hoard, hoarder.start())
    }
}

impl Hoard {
    /// Gives all credit back. Not by a drop inside the lock: it wakes others.
    pub fn let_go(hoard: &Mutex<Self>) {
        let mut hoard = hoard.lock().unwrap();
        hoard.bytes = 0;
        let kept = std::mem::take(&mut hoard.kept);
        drop(hoard);
        drop(kept);
    }
}

impl Actor for Hoarder {
    type Context = Context<Self>;
}

impl Handler<FromProcess> for Hoarder {
    type Result = ();

    fn handle(&mut self, message: FromProcess, _: &mut Self::Context) {
        let mut hoard = self.hoard.lock().unwrap();
        match &message.event {
            ProcessEvent::ChildDataReceived { data, .. } => {
                hoard.received.extend_from_slice(data);
                hoard.bytes += data.len();
                hoard.kept.push(message);
                hoard.most_bytes = hoard.most_bytes.max(hoard.bytes);
                hoard.most_messages = hoard.most_messages.max(hoard.kept.len());
            }
            ProcessEvent::ProcessEnded { .. } => hoard.ended = true,
            _ => {}
        }
    }
}
