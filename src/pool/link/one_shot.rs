//! A process for one job: its end is the end of the answer, and its status decides.

use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use super::STATUS;
use super::current::{CurrentJob, Parts, WholeParts};
use super::output::OutputPump;
use super::talk::{TalkEnd, WorkerLink};
use crate::Bytes;
use crate::ExitStatus;
use crate::Fd;
use crate::pool::error::JobError;
use crate::pool::framing::Framing;

/// The input of a process whose job has no body: it has ended when the process begins. It is a pipe, as for other jobs: some programs, ripgrep for one,
/// look for other work where their input is none.
pub(in crate::pool) fn empty_input() -> Fd {
    match pipe2(OFlag::O_CLOEXEC) {
        Ok((ended, _)) => ended.into(),
        // The spawn says why.
        Err(_) => Fd::write(),
    }
}

impl WorkerLink {
    pub(super) fn is_one_shot(&self) -> bool {
        matches!(self.settings.framing, Framing::OneShot)
    }

    /// The status decides.
    pub(super) async fn one_shot_exited(
        &mut self,
        status: ExitStatus,
        pump: &mut OutputPump,
    ) -> TalkEnd {
        let Some(current) = self.desk.current().take() else {
            return TalkEnd::Closed;
        };
        let succeeded = status
            .code()
            .is_some_and(|code| self.settings.success_codes.contains(&code));
        let (job, whole) = current.whole(Bytes::new());
        let answer = match (succeeded, status.signal()) {
            (true, _) => Ok(whole),
            (false, None) => {
                pump.read_out(STATUS).await;
                let tail = pump.printed().tail();
                Err(JobError::Failed { status, tail })
            }
            // Somebody has killed it.
            (false, Some(_)) => {
                *self.desk.current() = Some(CurrentJob {
                    id: job,
                    parts: Parts::Whole(WholeParts::default()),
                    cancelled: false,
                    was_ahead: false,
                });
                return TalkEnd::Closed;
            }
        };
        self.answered(job, answer);
        TalkEnd::Done
    }
}
