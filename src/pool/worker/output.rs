//! The descriptor that a worker's frames go to.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use crate::pool::wire::{FrameKind, encode_head};

/// Frames of several threads, each whole.
#[derive(Debug)]
pub(super) struct FrameWriter(Mutex<Written>);

#[derive(Debug)]
struct Written {
    file: File,
    /// Why a write failed. Part of a frame may have been written: none may follow.
    failed: Option<ErrorKind>,
}

impl FrameWriter {
    pub(super) fn new(fd: OwnedFd) -> Self {
        let file = fd.into();
        Self(Mutex::new(Written { file, failed: None }))
    }

    /// Writes a frame, by one system call as a rule, without copying the body. Waits while the pipe is full.
    pub(super) fn send(&self, kind: FrameKind, id: u64, body: &[u8]) -> io::Result<()> {
        let head = encode_head(kind, id, body.len()).map_err(io::Error::other)?;
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kind) = written.failed {
            return Err(kind.into());
        }
        let result = write_both(&mut written.file, &head, body);
        written.failed = result.as_ref().err().map(io::Error::kind);
        result
    }
}

fn write_both(file: &mut File, head: &[u8], body: &[u8]) -> io::Result<()> {
    let mut pieces = [IoSlice::new(head), IoSlice::new(body)];
    let mut rest = &mut pieces[..];
    // Takes away what is empty.
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut rest, count),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
