//! The janitor's beginning, and its replacement by a thread that is like the main thread.

use std::io;
use std::sync::mpsc;

use super::{Janitor, QUEUE, Request, ring, start_at, start_thread};
use crate::sync::lock;
use crate::threads::main_thread;

/// Starts the thread, unless it runs and is like the main thread, or the calling one is not. Once it
/// runs nothing that it is given is dropped.
pub(crate) fn start() -> io::Result<()> {
    let (runs, odd) = {
        let queue = lock(&QUEUE);
        (queue.wakeup.is_some(), queue.odd)
    };
    if runs && !odd {
        return Ok(());
    }
    // Not under the lock.
    let odd = !main_thread::is_like_us();
    let mut queue = lock(&QUEUE);
    if queue.wakeup.is_none() {
        start_at(&mut queue)?;
        queue.odd = odd;
    } else if queue.odd && !odd {
        match start_successor() {
            Ok(successor) => {
                queue.odd = false;
                queue.requests.push(Request::HandOver(successor));
                ring(queue);
            }
            Err(error) => log::debug!("cannot start another janitor: {error}"),
        }
    }
    Ok(())
}

/// A thread like the calling one, that waits for what the present one has.
fn start_successor() -> io::Result<mpsc::Sender<Janitor>> {
    let (to, from) = mpsc::channel::<Janitor>();
    start_thread("actix-process-janitor", move || {
        if let Ok(janitor) = from.recv() {
            janitor.run();
        }
    })?;
    Ok(to)
}
