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

impl Target {
    pub(super) const fn window(&self) -> Option<&Arc<Window>> {
        match self {
            Self::Nobody => None,
            Self::Protocol(window, _) | Self::Stream(window, _) => Some(window),
        }
    }
}
