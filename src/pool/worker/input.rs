//! The descriptor that a worker's jobs come from.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::OwnedFd;

use bytes::BytesMut;

use crate::pool::wire::{Frame, FrameDecoder};

/// So much is read at once: what a pipe holds.
const READ_SIZE: usize = 64 * 1024;

/// The frames of a pool.
#[derive(Debug)]
pub(super) struct FrameReader {
    file: File,
    decoder: FrameDecoder,
    bytes: BytesMut,
    space: Box<[u8]>,
}

impl FrameReader {
    /// `max`: the most bytes of a body.
    pub(super) fn new(fd: OwnedFd, max: usize) -> Self {
        Self {
            file: fd.into(),
            decoder: FrameDecoder::from_pool(max),
            bytes: BytesMut::new(),
            space: vec![0; READ_SIZE].into(),
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
            if let Some(frame) = self.decoder.decode(&mut self.bytes).map_err(invalid)? {
                return Ok(Some(frame));
            }
            let count = match self.file.read(&mut self.space) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let Some(data) = self.space.get(..count).filter(|data| !data.is_empty()) else {
                self.decoder.check_end(&self.bytes).map_err(invalid)?;
                return Ok(None);
            };
            self.bytes.extend_from_slice(data);
        }
    }
}
