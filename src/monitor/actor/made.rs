//! The closure of a service, called on a thread of its own.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use crate::Command;
use crate::monitor::one_line::one_line;
use crate::monitor::service::Make;
use crate::monitor::start::Start;

/// Calls the closure on a thread of its own: it may take its time.
pub(super) fn make_elsewhere(
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
