//! Where what is read of a descriptor goes.

use std::sync::Arc;

use crate::child::EventSink;
use crate::port::stream_queue::StreamQueue;
use crate::port::window::Window;

#[derive(Debug)]
pub(crate) enum Destination {
    /// It is thrown away.
    Nobody,
    Protocol(Arc<Window>, Arc<dyn EventSink>),
    Stream(Arc<Window>, Arc<StreamQueue>),
}
