//! Where what is read of a descriptor goes.

use std::sync::Arc;

use crate::child::Outlet;
use crate::port::stream_queue::Feed;
use crate::port::window::Window;

#[derive(Debug)]
pub(crate) enum Target {
    /// It is thrown away.
    Nobody,
    Protocol(Arc<Window>, Arc<dyn Outlet>),
    Stream(Arc<Window>, Arc<Feed>),
}
