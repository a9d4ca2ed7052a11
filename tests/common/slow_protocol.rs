//! A protocol that holds its child up.

use std::sync::{Arc, Mutex};

use actix::prelude::*;
use actix_process::{FromProcess, ProcessEvent};

/// A protocol that keeps what it gets, with the credit, until it is told to let go.
pub struct SlowProtocol {
    withheld: Arc<Mutex<Withheld>>,
}

#[derive(Default)]
pub struct Withheld {
    pub kept: Vec<FromProcess>,
    /// Of `kept`.
    pub bytes: usize,
    pub received: Vec<u8>,
    pub most_bytes: usize,
    pub most_messages: usize,
    pub ended: bool,
}

impl SlowProtocol {
    /// A started one, and what it keeps.
    pub fn start_new() -> (Arc<Mutex<Withheld>>, Addr<Self>) {
        let withheld = Arc::new(Mutex::new(Withheld::default()));
        let slow = Self {
            withheld: Arc::clone(&withheld),
        };
        (withheld, slow.start())
    }
}

impl Withheld {
    /// Gives all credit back. Not by a drop inside the lock: it wakes others.
    pub fn let_go(withheld: &Mutex<Self>) {
        let mut withheld = withheld.lock().unwrap();
        withheld.bytes = 0;
        let kept = std::mem::take(&mut withheld.kept);
        drop(withheld);
        drop(kept);
    }
}

impl Actor for SlowProtocol {
    type Context = Context<Self>;
}

impl Handler<FromProcess> for SlowProtocol {
    type Result = ();

    fn handle(&mut self, message: FromProcess, _: &mut Self::Context) {
        let mut withheld = self.withheld.lock().unwrap();
        match &message.event {
            ProcessEvent::ChildDataReceived { data, .. } => {
                withheld.received.extend_from_slice(data);
                withheld.bytes += data.len();
                withheld.kept.push(message);
                withheld.most_bytes = withheld.most_bytes.max(withheld.bytes);
                withheld.most_messages = withheld.most_messages.max(withheld.kept.len());
            }
            ProcessEvent::ProcessEnded { .. } => withheld.ended = true,
            _ => {}
        }
    }
}
