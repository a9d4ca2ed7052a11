//! The output of services: what followers and sinks are promised.

mod feeds;
mod files;
mod followers;
mod follows;
mod logs;
mod sinks;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::{OutputSource, OutputSpec, ServiceOutput};

fn output(spec: &OutputSpec) -> ServiceOutput {
    ServiceOutput::new(spec, OutputSource::new(spec), Arc::from("web"), None)
}

/// What a stream has now.
fn take_ready<S: Stream + Unpin>(stream: &mut S) -> Vec<S::Item> {
    let cx = &mut Context::from_waker(Waker::noop());
    let mut items = Vec::new();
    while let Poll::Ready(Some(item)) = Pin::new(&mut *stream).poll_next(cx) {
        items.push(item);
    }
    items
}
