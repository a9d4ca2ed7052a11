//! The descriptor that a worker's jobs come from.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};

use bytes::BytesMut;

use crate::pool::wire::{Frame, FrameDecoder, WireError};
use crate::sys::io::read;

/// So much is read at once: what a pipe holds.
const READ_SIZE: usize = 64 * 1024;

/// The frames of a pool.
#[derive(Debug)]
pub(super) struct FrameReader {
    fd: OwnedFd,
    decoder: FrameDecoder,
    bytes: BytesMut,
    space: Box<[u8]>,
    /// What of the space is a frame still, or more: mostly it is one, and no more.
    there: Range<usize>,
}

impl FrameReader {
    /// `max`: the most bytes of a body.
    pub(super) fn new(fd: OwnedFd, max: usize) -> Self {
        Self {
            fd,
            decoder: FrameDecoder::from_pool(max),
            bytes: BytesMut::new(),
            space: vec![0; READ_SIZE].into(),
            there: 0..0,
        }
    }

    /// Waits for the next frame; `None` when the descriptor was closed behind one.
    ///
    /// # Errors
    ///
    /// The descriptor's; `InvalidData` for what is no frame.
    pub(super) fn read_frame(&mut self) -> io::Result<Option<Frame>> {
        let invalid = |error| io::Error::new(ErrorKind::InvalidData, error);
        loop {
            if let Some(frame) = self.next_frame().map_err(invalid)? {
                return Ok(Some(frame));
            }
            let count = match read(self.fd.as_fd(), &mut self.space) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if count == 0 {
                self.decoder.check_end(&self.bytes).map_err(invalid)?;
                return Ok(None);
            }
            self.there = 0..count;
        }
    }

    /// Of what was read.
    fn next_frame(&mut self) -> Result<Option<Frame>, WireError> {
        let data = self.space.get(self.there.clone()).unwrap_or_default();
        if self.bytes.is_empty()
            && let Some((frame, size)) = self.decoder.decode_copied(data)?
        {
            self.there.start += size;
            return Ok(Some(frame));
        }
        self.bytes.extend_from_slice(data);
        self.there = 0..0;
        self.decoder.decode(&mut self.bytes)
    }
}
