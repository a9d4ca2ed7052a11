//! Code of the user's that may panic.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::super::one_line::one_line;
use super::super::start::StartError;
use super::ProbeAnswer;

const PANICKED: &str = "panicked";

/// Calls a closure of the user's.
pub(super) fn call<T>(closure: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(closure)).map_err(|_| PANICKED.to_owned())
}

/// A future of the user's whose panic, in a poll or in the drop, is a failure.
pub(super) struct Caught(Option<ProbeAnswer>);

impl Caught {
    pub(super) const fn new(future: ProbeAnswer) -> Self {
        Self(Some(future))
    }
}

impl Future for Caught {
    type Output = Result<(), String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = &mut self.0 else {
            return Poll::Ready(Err(PANICKED.to_owned()));
        };
        // The text of an error is the user's code too.
        let polled = call(|| {
            let polled = future.as_mut().poll(cx);
            polled.map(|result| result.map_err(|error: StartError| one_line(&error.to_string())))
        });
        match polled {
            Ok(polled) => polled,
            Err(panicked) => Poll::Ready(Err(panicked)),
        }
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        let future = self.0.take();
        let _ = call(|| drop(future));
    }
}
