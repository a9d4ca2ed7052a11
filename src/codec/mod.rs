//! The codecs that streams, sinks and protocols are used with: tokio-util's, and those that it does not have.
//!
//! For [`FdStream::decode`](crate::FdStream::decode), [`FdSink::encode`](crate::FdSink::encode) and
//! [`FramedProtocol::decode`](crate::FramedProtocol::decode). The traits are tokio-util's and part of this crate's API, so a
//! major version of tokio-util is one of this crate.

mod content_length;
mod header;

pub use content_length::{ContentLength, ContentLengthError};
pub use tokio_util::codec::*;
