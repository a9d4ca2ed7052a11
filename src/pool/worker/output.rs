//! The descriptor that a worker's frames go to.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use crate::pool::wire::{FrameKind, encode_head};
use crate::sys::io::write;

/// A frame of at most so many bytes is copied into one piece, which is cheaper to write than two.
const SMALL: usize = 8 * 1024;

/// Frames of several threads, each whole.
#[derive(Debug)]
pub(super) struct FrameWriter(Mutex<Written>);

#[derive(Debug)]
struct Written {
    file: File,
    /// For a small frame.
    piece: Vec<u8>,
    /// Why a write failed. Part of a frame may have been written: none may follow.
    failed: Option<ErrorKind>,
}

impl FrameWriter {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self(Mutex::new(Written {
            file: fd.into(),
            piece: Vec::new(),
            failed: None,
        }))
    }

    /// Writes a frame, by one system call as a rule, without copying a large body. Waits while the pipe is full.
    pub(super) fn send(&self, kind: FrameKind, id: u64, body: &[u8]) -> io::Result<()> {
        let head = encode_head(kind, id, body.len()).map_err(io::Error::other)?;
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kind) = written.failed {
            return Err(kind.into());
        }
        let Written { file, piece, .. } = &mut *written;
        let result = if head.len() + body.len() <= SMALL {
            piece.clear();
            piece.extend_from_slice(&head);
            piece.extend_from_slice(body);
            write_all(file, piece)
        } else {
            write_both(file, &head, body)
        };
        written.failed = result.as_ref().err().map(io::Error::kind);
        result
    }
}

fn write_all(file: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match write(file.as_fd(), bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
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
