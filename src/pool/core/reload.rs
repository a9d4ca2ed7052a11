//! A change of the command. One worker of the new one shows whether it can be had; then the others are replaced, each after its job.
//!
//! Until then all other starts are held, and those that follow are of the former command if the first one fails.

use super::worker::WorkerAt;
use super::{PoolEffect, Recycling, Scheduler, StopWorker, WorkerId};

#[derive(Debug, Clone)]
pub(super) struct Reload {
    spec: u64,
    /// The first worker of the new command, from its start until it is ready.
    first: Option<WorkerId>,
    /// It was ready.
    proven: bool,
}

impl Scheduler {
    /// From now on workers are to be of another command. The answer is [`PoolEffect::Reloaded`] or [`PoolEffect::ReloadFailed`]. A
    /// one-shot pool without spares just takes it for the jobs that follow.
    pub(in crate::pool) fn reload(&mut self, spec: u64) {
        self.end_the_reload();
        if self.closing {
            self.effects.push(PoolEffect::ReloadFailed { spec });
        } else if self.terms.one_shot && self.terms.min == 0 {
            self.spec = spec;
            self.effects.push(PoolEffect::Reloaded { spec });
        } else {
            self.reload = Some(Reload {
                spec,
                first: None,
                proven: false,
            });
        }
    }

    /// Another one takes its place, or the pool ends: its first worker, if it is not ready, is given up. Where it was proven, the workers
    /// go on to be replaced by those of its command.
    pub(super) fn end_the_reload(&mut self) {
        let Some(reload) = self.reload.take() else {
            return;
        };
        if let Some(worker) = reload.first.filter(|_| !reload.proven) {
            self.stop_worker(worker, StopWorker::Ladder);
        }
        let spec = reload.spec;
        self.effects.push(PoolEffect::ReloadFailed { spec });
    }

    /// The command that was proven last. Workers are started of this one, and of that of a reload which is not proven yet.
    pub(in crate::pool) const fn current_spec(&self) -> u64 {
        self.spec
    }

    pub(super) fn reload_is_unproven(&self) -> bool {
        self.reload.as_ref().is_some_and(|reload| !reload.proven)
    }

    /// No other worker is started for the time being.
    pub(super) fn reload_waits_for_its_first(&self) -> bool {
        let reload = self.reload.as_ref();
        reload.is_some_and(|reload| !reload.proven && reload.first.is_some())
    }

    fn wants_first(&self) -> bool {
        let reload = self.reload.as_ref();
        reload.is_some_and(|reload| !reload.proven && reload.first.is_none())
    }

    /// Where all places are taken, the worker that was idle for longest gives its own, or the first to become idle. One that has its next job
    /// already never is: so one of these is sent no more.
    pub(super) fn make_room_for_the_reload(&mut self) {
        let wants_room =
            self.wants_first() && self.workers.len() >= self.terms.max && self.by.stopping == 0;
        if !wants_room {
            self.none_is_to_become_idle();
        } else if let Some(worker) = self.idle.first().copied() {
            self.retire(worker, Recycling::Reload);
        } else {
            self.one_is_to_become_idle();
        }
    }

    /// It is started at once, whatever became of starts of the former command.
    pub(super) fn start_first_of_the_reload(&mut self) {
        if !self.wants_first()
            || self.workers.len() >= self.terms.max
            || self.by.starting >= self.quarter()
        {
            return;
        }
        let Some(spec) = self.reload.as_ref().map(|reload| reload.spec) else {
            return;
        };
        let worker = self.start_worker(spec, None);
        if let Some(reload) = &mut self.reload {
            reload.first = Some(worker);
        }
    }

    /// This worker is ready.
    pub(super) fn prove_the_reload(&mut self, worker: WorkerId) {
        let Some(reload) = &mut self.reload else {
            return;
        };
        if reload.proven || reload.first != Some(worker) {
            return;
        }
        reload.proven = true;
        self.spec = reload.spec;
        let spec = self.spec;
        let old = self.workers.iter().filter(|(_, there)| there.spec != spec);
        for worker in old.map(|(worker, _)| *worker).collect::<Vec<_>>() {
            self.mark(worker, Recycling::Reload);
        }
    }

    /// The start of this worker has failed. True if that ends a reload: it is no failure of the pool then.
    pub(super) fn fail_the_reload(&mut self, worker: WorkerId) -> bool {
        let failed = |reload: &mut Reload| !reload.proven && reload.first == Some(worker);
        let Some(Reload { spec, .. }) = self.reload.take_if(failed) else {
            return false;
        };
        self.effects.push(PoolEffect::ReloadFailed { spec });
        true
    }

    /// Tells when all workers are of the new command. Processes of a one-shot pool that have a job are no matter.
    pub(super) fn look_at_the_reload(&mut self) {
        let one_shot = self.terms.one_shot;
        let done = |reload: &mut Reload| {
            reload.proven
                && self.workers.values().all(|there| {
                    there.spec == reload.spec
                        || one_shot && !matches!(there.at, WorkerAt::Starting | WorkerAt::Idle)
                })
        };
        if let Some(Reload { spec, .. }) = self.reload.take_if(done) {
            self.effects.push(PoolEffect::Reloaded { spec });
        }
    }
}
