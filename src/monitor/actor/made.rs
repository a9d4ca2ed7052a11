//! The closure of a service, called on a thread of its own.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use super::told::StartTold;
use super::{Engine, Told};
use crate::Command;
use crate::monitor::core::Slot;
use crate::monitor::error::StartFailure;
use crate::monitor::one_line::one_line;
use crate::monitor::service::{CommandSource, Make};
use crate::monitor::start::Start;

/// How many closures of one instance may run at a time. More than one does when a start was given up and the closure goes on. One more
/// waits until one of them returns, as long as a launch may take.
const MAKING: usize = 4;

impl Engine {
    /// Calls the closure that makes the command, or does so when one of an earlier start has returned.
    pub(super) fn make(&mut self, slot: Slot, generation: u64, make: Make) {
        let address = self.address.clone();
        let Some(place) = self.place(slot) else {
            return;
        };
        let Some(run) = &mut place.run else {
            return;
        };
        run.waits_to_make = Arc::strong_count(&place.making) > MAKING;
        if run.waits_to_make {
            return;
        }
        let making = Arc::clone(&place.making);
        let made = move |made| {
            drop(making);
            address.do_send(Told::Start(slot, generation, StartTold::Made(made)));
        };
        if let Err(error) = make_elsewhere(make, run.start.clone(), made) {
            let failure = StartFailure::setup("the thread of its closure", error);
            self.refuse(slot, generation, failure, false);
        }
    }

    /// A closure of a start that was given up has returned: one that waits for that may be called.
    pub(super) fn make_what_waits(&mut self, slot: Slot) {
        let Some(place) = self.place_at(slot) else {
            return;
        };
        if let Some(run) = place.run.as_ref().filter(|run| run.waits_to_make)
            && let CommandSource::Made(make) = place.spec.source.clone()
        {
            self.make(slot, run.generation, make);
        }
    }
}

/// Calls the closure on a thread of its own: it may take its time.
fn make_elsewhere(
    make: Make,
    start: Start,
    made: impl FnOnce(Result<Box<Command>, Arc<str>>) + Send + 'static,
) -> io::Result<()> {
    let work = move || {
        // The text of an error is the user's code too.
        let result = catch_unwind(AssertUnwindSafe(|| {
            let made = make(&start).map(Box::new);
            made.map_err(|error| one_line(&error.to_string()).into())
        }));
        made(result.unwrap_or_else(|_| Err("its closure panicked".into())));
    };
    let thread = thread::Builder::new().name("actix-process-start".to_owned());
    thread.spawn(work).map(drop)
}
