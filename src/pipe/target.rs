//! Where what is read of a descriptor goes.

use std::sync::Arc;

use crate::child::Outlet;
use crate::credit::Window;
use crate::feed::Feed;

#[derive(Debug)]
pub(crate) enum Target {
    /// It is thrown away.
    Nobody,
    Protocol(Arc<Window>, Arc<dyn Outlet>),
    Stream(Arc<Window>, Arc<Feed>),
}
