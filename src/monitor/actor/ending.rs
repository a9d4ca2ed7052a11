//! The end of a monitor.

use std::sync::Arc;
use std::time::Duration;

use actix::{ActorContext, Context};

use super::{Engine, GuardSlot};
use crate::host::closing::EndAtDrop;
use crate::monitor::Monitor;
use crate::monitor::output::ServiceOutput;
use crate::monitor::shutdown_report::ShutdownReport;

/// The end waits so long for the files of services to be written.
const FLUSH: Duration = Duration::from_secs(2);

impl Engine {
    /// Nothing runs any more, or nothing that can be killed.
    pub(super) fn end(&mut self, report: ShutdownReport) {
        log::debug!(
            "a monitor has ended: {} clean, {} killed, {} unkillable",
            report.clean.len(),
            report.killed.len(),
            report.unkillable.len()
        );
        for place in self.places.iter_mut().flatten() {
            place.output.close();
        }
        self.over = Some(report);
    }

    /// Tells of the end, and ends the guard and the actor, if this is the end.
    pub(super) fn leave(&mut self, ctx: &mut Context<Monitor>) {
        let Some(report) = self.over.take() else {
            return;
        };
        // What cannot be killed is signalled no more.
        self.shared.kill_all.end();
        let ending = match std::mem::replace(&mut self.guard, GuardSlot::None) {
            GuardSlot::There(guard) => Some(guard.end()),
            _ => None,
        };
        let shared = Arc::clone(&self.shared);
        let told = report.clone();
        let end = EndAtDrop::new(move || shared.end(told));
        let home = self.home.clone();
        self.is_over = true;
        let waiters = std::mem::take(&mut self.shutdown_waiters);
        let outputs = self.places.iter().flatten().map(|place| &place.output);
        let flushing: Vec<_> = outputs.map(ServiceOutput::flushed).collect();
        let removed = std::mem::take(&mut self.removed_files);
        actix_rt::spawn(async move {
            let flushed = async {
                removed.written().await;
                for file in flushing {
                    file.await;
                }
            };
            if actix_rt::time::timeout(FLUSH, flushed).await.is_err() {
                log::warn!(
                    "a file of a service is not written in {FLUSH:?}, and not waited for any more"
                );
            }
            if let Some(ending) = ending {
                ending.await;
            }
            drop(end);
            for waiter in waiters {
                let _ = waiter.send(report.clone());
                // The answer to a message goes on by a task of this arbiter.
                actix_rt::task::yield_now().await;
            }
            home.end();
        });
        ctx.stop();
    }
}
