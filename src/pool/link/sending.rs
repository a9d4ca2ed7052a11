//! What a worker is sent.

use bytes::BytesMut;

use super::LinkJob;
use super::json_lines::job_line;
use crate::Bytes;
use crate::ProcessHandle;
use crate::WriteError;
use crate::pool::framing::Framing;
use crate::pool::wire::{FrameKind, HEAD, encode_head};

/// Larger bodies go by a write of their own, smaller ones are copied to their head.
const COPIED: usize = 16 * 1024;

/// Gives a job to a worker.
pub(super) fn send_job(
    process: &ProcessHandle,
    framing: Framing,
    input: i32,
    job: &LinkJob,
) -> Result<(), WriteError> {
    match framing {
        Framing::Frames => send_frame(process, input, job),
        Framing::JsonLines => process.write_to_child(input, job_line(job.id, &job.body)),
        Framing::OneShot => {
            let written = match job.body.is_empty() {
                true => Ok(()),
                false => process.write_to_child(input, job.body.clone()),
            };
            process.close_child_fd(input);
            written
        }
    }
}

/// Sends a job: its head and its body by one write if it is small.
fn send_frame(process: &ProcessHandle, fd: i32, job: &LinkJob) -> Result<(), WriteError> {
    send(process, fd, FrameKind::Job, job.id, &job.body)
}

pub(super) fn send(
    process: &ProcessHandle,
    fd: i32,
    kind: FrameKind,
    id: u64,
    body: &Bytes,
) -> Result<(), WriteError> {
    let Ok(head) = encode_head(kind, id, body.len()) else {
        // It was refused when it was submitted.
        return Ok(());
    };
    if body.len() > COPIED {
        process.write_to_child(fd, Bytes::copy_from_slice(&head))?;
        return process.write_to_child(fd, body.clone());
    }
    let mut frame = BytesMut::with_capacity(HEAD + body.len());
    frame.extend_from_slice(&head);
    frame.extend_from_slice(body);
    process.write_to_child(fd, frame.freeze())
}
