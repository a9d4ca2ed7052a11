//! Where what is read of a descriptor goes.

use std::sync::Arc;

use super::framing::FdFraming;
use crate::child::EventSink;
use crate::port::kept_output::KeptOutput;
use crate::port::stream_queue::StreamQueue;
use crate::port::window::Window;

#[derive(Debug)]
pub(crate) enum Destination {
    /// It is thrown away.
    Nobody,
    Protocol(Arc<Window>, Arc<dyn EventSink>),
    /// As lines or frames.
    Framed(FdFraming),
    Stream(Arc<Window>, Arc<StreamQueue>),
    /// It is kept here, within a bound, and nobody is waited for.
    Kept(Arc<KeptOutput>),
}

impl Destination {
    /// Whether a protocol is told of what is read.
    pub(super) const fn is_protocol(&self) -> bool {
        matches!(self, Self::Protocol(..) | Self::Framed(_))
    }
}
