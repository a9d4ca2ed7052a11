//! What a worker is sent.

use std::io;
use std::task::{Context, Poll};

use super::LinkJob;
use super::json_lines::job_line;
use super::pipes::JobPipe;
use crate::Bytes;
use crate::FdSink;
use crate::ProcessHandle;
use crate::pool::core::JobNumber;
use crate::pool::wire::{FrameKind, encode_head};

/// So many bytes may wait beside the longest job for a worker that reads slowly, and the answers to so many pings.
const PONG_BYTES: usize = 64 * 1024;
const PONGS: usize = 1024;

/// Where a worker reads its jobs from.
pub(super) enum WorkerInput {
    Frames(JobPipe),
    /// Its standard input.
    Lines(ProcessHandle, FdSink),
    /// The same, and it ends with the job.
    Whole(ProcessHandle),
}

impl WorkerInput {
    /// Gives a job to the worker.
    ///
    /// # Errors
    ///
    /// It takes no more. That a one-shot process does not read its job is none.
    pub(super) fn send_job(&mut self, job: &LinkJob) -> Result<(), InputClosed> {
        match self {
            Self::Frames(_) => self.send(FrameKind::Job, job.id, &job.body),
            Self::Lines(process, _) => {
                let line = job_line(job.id, &job.body);
                process.write(line).map_err(|_| InputClosed)
            }
            Self::Whole(process) => {
                if !job.body.is_empty() {
                    let _ = process.write(job.body.clone());
                }
                process.close_stdin();
                Ok(())
            }
        }
    }

    /// What fits into a packet goes as one from now on. Whether that can be.
    pub(super) fn begin_packets(&mut self) -> bool {
        match self {
            Self::Frames(pipe) => pipe.begin_packets(),
            Self::Lines(..) | Self::Whole(_) => false,
        }
    }

    /// Sends a job as a packet, or nothing of it. Whether it was sent.
    pub(super) fn send_packet(&mut self, job: &LinkJob) -> bool {
        let head = encode_head(FrameKind::Job, job.id, job.body.len());
        match (self, head) {
            (Self::Frames(pipe), Ok(head)) => pipe.write_packet(&head, &job.body),
            _ => false,
        }
    }

    /// Takes back the jobs of which `wanted` is true, as far as the worker has not read them.
    ///
    /// # Errors
    ///
    /// No descriptor is left for that.
    pub(super) fn take_back(
        &mut self,
        wanted: impl Fn(JobNumber) -> bool,
    ) -> io::Result<Vec<JobNumber>> {
        match self {
            Self::Frames(pipe) => pipe.take_back(wanted),
            Self::Lines(..) | Self::Whole(_) => Ok(Vec::new()),
        }
    }

    /// Sends a frame. To a worker that speaks none it is nothing.
    ///
    /// # Errors
    ///
    /// As [`send_job`](Self::send_job).
    pub(super) fn send(
        &mut self,
        kind: FrameKind,
        id: u64,
        body: &Bytes,
    ) -> Result<(), InputClosed> {
        let Self::Frames(pipe) = self else {
            return Ok(());
        };
        // One that is too long was refused when it was submitted.
        let head = encode_head(kind, id, body.len()).map_err(|_| InputClosed)?;
        let written: io::Result<()> = pipe.write(&head, body, kind == FrameKind::Job);
        written.map_err(|_| InputClosed)
    }

    /// Answers a ping.
    ///
    /// # Errors
    ///
    /// The worker has sent more of them than it may without reading the answers.
    pub(super) fn send_pong(
        &mut self,
        id: u64,
        body: &Bytes,
        max_frame: usize,
    ) -> Result<(), PongsWait> {
        if let Self::Frames(pipe) = self
            && (pipe.kept() > max_frame.saturating_add(PONG_BYTES) || pipe.kept_frames() > PONGS)
        {
            return Err(PongsWait);
        }
        // A worker that has closed it is told by its end.
        let _ = self.send(FrameKind::Pong, id, body);
        Ok(())
    }

    /// How many bytes wait for the worker to read.
    pub(super) fn queued(&self) -> usize {
        match self {
            Self::Frames(pipe) => pipe.kept(),
            Self::Lines(_, sink) => sink.queued(),
            Self::Whole(_) => 0,
        }
    }

    /// Ready when no job can be given to it any more. A one-shot process need not read its job.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Frames(pipe) => pipe.poll_gone(cx),
            Self::Lines(_, sink) => sink.poll_gone(cx),
            Self::Whole(_) => Poll::Pending,
        }
    }

    /// Writes what waits to an input that is closed. Ready when that is done.
    pub(super) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Frames(pipe) => pipe.poll_closed(cx),
            Self::Lines(..) | Self::Whole(_) => Poll::Ready(()),
        }
    }

    /// There are no more jobs.
    pub(super) fn close(&mut self) {
        match self {
            Self::Frames(pipe) => pipe.close(),
            Self::Lines(process, _) | Self::Whole(process) => process.close_stdin(),
        }
    }
}

/// The worker takes no more.
pub(super) struct InputClosed;

/// Too many answers to pings wait for the worker to read.
pub(super) struct PongsWait;
