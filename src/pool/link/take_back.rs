//! What a worker was sent ahead is written as packets, of which each read takes one. So the rest is in the pipe until the worker has done
//! with those before, and can be taken out of it again.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::pipes::{JobPipe, fd_of};
use crate::Bytes;
use crate::pool::core::JobNumber;
use crate::pool::wire::{FrameDecoder, FrameKind, HEAD, MAX_PACKET};
use crate::sys::io::{move_all, pipe, write};

/// Whether a job with this body can be sent ahead.
pub(in crate::pool) fn fits_a_packet(body: &Bytes) -> bool {
    HEAD + body.len() <= MAX_PACKET
}

impl JobPipe {
    /// Writes frames as packets from now on, where they fit into one. Whether that can be, and they can be taken back.
    pub(super) fn begin_packets(&mut self) -> bool {
        self.wants_packets = self.reader().is_ok();
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
    /// All is taken out in one step, and the rest written by one call: in between the worker finds nothing.
    ///
    /// # Errors
    ///
    /// No descriptor is left for that. Nothing was taken out.
    pub(super) fn take_back(
        &mut self,
        wanted: impl Fn(JobNumber) -> bool,
    ) -> io::Result<Vec<JobNumber>> {
        let (there, aside) = pipe()?;
        match move_all(self.reader()?.as_fd(), aside.as_fd()) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
        drop(aside);
        let (taken, stays) = parted(&read_all(there.into()), wanted);
        // By one stream, which takes no more pages than it took. It is of no matter to a worker that has closed its end.
        self.set_packets(self.packets && stays.is_empty());
        if let Some(pipe) = self.pipe.as_ref().filter(|_| !stays.is_empty()) {
            let written = match self.writes.write(|| write(fd_of(pipe), &stays)) {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(_) => stays.len(),
            };
            self.keep_first(Bytes::from(stays).slice(written..));
        }
        Ok(taken)
    }

    /// The other end of the pipe. It is not kept: the worker's end would be missed no more.
    fn reader(&self) -> io::Result<File> {
        let pipe = self.pipe.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
        options.open(path)
    }
}

/// A read takes no more than one packet, and needs room for it. Nobody else writes to this pipe, or reads it.
fn read_all(mut pipe: File) -> Vec<u8> {
    let (mut all, mut packet) = (Vec::new(), [0; MAX_PACKET]);
    loop {
        match pipe.read(&mut packet) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return all,
            Ok(count) => all.extend_from_slice(packet.get(..count).unwrap_or_default()),
        }
    }
}

/// The jobs that are wanted, and the bytes of all else.
fn parted(mut bytes: &[u8], wanted: impl Fn(JobNumber) -> bool) -> (Vec<JobNumber>, Vec<u8>) {
    let decoder = FrameDecoder::from_pool(MAX_PACKET);
    let (mut taken, mut stays) = (Vec::new(), Vec::new());
    while let Ok(Some((frame, size))) = decoder.decode_copied(bytes)
        && let Some((of_frame, rest)) = bytes.split_at_checked(size)
    {
        if frame.kind == FrameKind::Job && wanted(frame.id) {
            taken.push(frame.id);
        } else {
            stays.extend_from_slice(of_frame);
        }
        bytes = rest;
    }
    // A long frame, which no job follows that was sent ahead.
    stays.extend_from_slice(bytes);
    (taken, stays)
}
