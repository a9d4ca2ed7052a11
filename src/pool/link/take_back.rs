//! What a worker was sent ahead is written as packets, of which each read takes one. So the rest is in the pipe until the worker has done
//! with those before, and can be taken out of it again.
//!
//! No packet is written behind a stream that the worker has not read: the kernel puts a small one into the stream's last page, as if it was none, and a read that
//! comes from the stream to a packet throws away what of that it has no room for.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::aside::PipeAside;
use super::pipes::{JobPipe, fd_of};
use crate::Bytes;
use crate::pool::core::JobNumber;
use crate::pool::wire::{FrameDecoder, FrameKind, HEAD, MAX_PACKET};
use crate::sys::io::{is_empty, write};

/// Whether a job with this body can be sent ahead.
pub(in crate::pool) fn fits_a_packet(body: &Bytes) -> bool {
    HEAD + body.len() <= MAX_PACKET
}

impl JobPipe {
    /// Writes frames as packets from now on, where they fit into one. Whether that can be, and they can be taken back.
    pub(super) fn begin_packets(&mut self) -> bool {
        self.aside = PipeAside::of_this_thread().ok();
        // A sandbox may refuse any step of it.
        self.wants_packets = self.take_back(|_| false).is_ok();
        self.set_packets(true);
        self.packets
    }

    /// Sets what is written next, as one packet or not.
    pub(super) fn set_packets(&mut self, on: bool) {
        let on = on && self.wants_packets;
        if on == self.packets {
            return;
        }
        let Some(pipe) = &self.pipe else { return };
        // Where a sandbox lets nobody ask, it may be full.
        if on && !is_empty(fd_of(pipe)) {
            return;
        }
        let mut flags = OFlag::O_NONBLOCK;
        flags.set(OFlag::O_DIRECT, on);
        if fcntl(fd_of(pipe), FcntlArg::F_SETFL(flags)).is_ok() {
            self.packets = on;
        }
    }

    /// Writes a frame as one packet now, or nothing of it.
    pub(super) fn write_packet(&mut self, head: &[u8; HEAD], body: &Bytes) -> bool {
        if self.kept() > 0 || self.is_closing() || HEAD + body.len() > MAX_PACKET {
            return false;
        }
        self.set_packets(true);
        self.packets && self.write_now(head, body).is_ok()
    }

    /// Takes the jobs of which `wanted` is true out of the pipe, as far as the worker has not read them. What else is there stays, in order.
    ///
    /// All is taken out in one step, and the rest written at once: in between the worker finds nothing.
    ///
    /// # Errors
    ///
    /// No descriptor is left for that. Nothing was taken out.
    pub(super) fn take_back(
        &mut self,
        wanted: impl Fn(JobNumber) -> bool,
    ) -> io::Result<Vec<JobNumber>> {
        let aside = self.aside.as_ref().ok_or(ErrorKind::Unsupported)?;
        let all = aside.empty(self.reader()?.as_fd())?;
        let Parted { taken, stays, rest } = parted(&all, wanted);
        let mut unwritten = Vec::new();
        // Packets are packets again, so that they take no more pages than before.
        for frame in stays {
            self.put_again(frame, &mut unwritten);
        }
        if !rest.is_empty() {
            self.set_packets(false);
            self.put_again(rest, &mut unwritten);
        }
        for piece in unwritten.into_iter().rev() {
            self.keep_first(Bytes::copy_from_slice(piece));
        }
        Ok(taken)
    }

    /// Writes it, or as much of it as there is room for, unless something before it is unwritten.
    fn put_again<'a>(&mut self, bytes: &'a [u8], unwritten: &mut Vec<&'a [u8]>) {
        let Some(pipe) = &self.pipe else { return };
        if !unwritten.is_empty() {
            return unwritten.push(bytes);
        }
        let written = match self.writes.write(|| write(fd_of(pipe), bytes)) {
            Ok(written) => written,
            // Of no matter to a worker that has closed its end.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => bytes.len(),
            // There is no room, or no memory for it now.
            Err(_) => 0,
        };
        if let Some(left @ [_, ..]) = bytes.get(written..) {
            unwritten.push(left);
        }
    }

    /// The other end of the pipe. It is not kept: the worker's end would be missed no more.
    fn reader(&self) -> io::Result<File> {
        let pipe = self.pipe.as_ref().ok_or(ErrorKind::BrokenPipe)?;
        let path = format!("/proc/thread-self/fd/{}", pipe.as_raw_fd());
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
        options.open(path)
    }
}

/// What was in a pipe.
#[derive(Debug, Default)]
struct Parted<'a> {
    /// The jobs that were wanted.
    taken: Vec<JobNumber>,
    /// The frames before `rest` but for those.
    stays: Vec<&'a [u8]>,
    /// A long frame, or a part of one, which no job follows that was sent ahead.
    rest: &'a [u8],
}

fn parted(mut bytes: &[u8], wanted: impl Fn(JobNumber) -> bool) -> Parted<'_> {
    let decoder = FrameDecoder::from_pool(MAX_PACKET);
    let mut parted = Parted::default();
    while let Ok(Some((frame, size))) = decoder.decode_copied(bytes)
        && let Some((of_frame, rest)) = bytes.split_at_checked(size)
    {
        if frame.kind == FrameKind::Job && wanted(frame.id) {
            parted.taken.push(frame.id);
        } else {
            parted.stays.push(of_frame);
        }
        bytes = rest;
    }
    parted.rest = bytes;
    parted
}
