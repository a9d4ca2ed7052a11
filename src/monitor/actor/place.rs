//! What the monitor has of one instance of a service: its output, its run, and who leases it.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::ExitStatus;
use crate::ProcessHandle;
use crate::ProcessId;
use crate::StoppedBy;
use crate::monitor::alive::Beats;
use crate::monitor::containment::Leaf;
use crate::monitor::name::ServiceName;
use crate::monitor::notify::NotifySocket;
use crate::monitor::output::ServiceOutput;
use crate::monitor::ready::ReadyFeed;
use crate::monitor::service::ServiceSpec;
use crate::monitor::start::Start;
use crate::monitor::state::ServiceState;

pub(super) struct ServicePlace {
    pub(super) name: ServiceName,
    pub(super) spec: Arc<ServiceSpec>,
    pub(super) output: ServiceOutput,
    pub(super) run: Option<Box<ServiceRun>>,
    /// Each call of its closure has a clone.
    pub(super) making: Arc<()>,
    /// By sd_notify.
    pub(super) ignored_messages: u64,
    /// What those are told who have a lease; there from the first one on.
    pub(super) current: Option<watch::Sender<Current>>,
}

/// What the holder of a lease sees.
#[derive(Debug, Clone)]
pub(in crate::monitor) enum Current {
    Up {
        process: ProcessHandle,
        start: Start,
    },
    /// Not ready: it is being started again, or will not be.
    Down { state: ServiceState },
}

/// One start, from its launch until nobody is left of it.
pub(super) struct ServiceRun {
    pub(super) generation: u64,
    pub(super) start: Start,
    pub(super) id: Option<ProcessId>,
    pub(super) process: Option<ProcessHandle>,
    pub(super) leaf: Option<Leaf>,
    /// Its command makes its cgroup.
    pub(super) made_cgroup: bool,
    /// The launch, then the wait for readiness, then the watch.
    pub(super) task: Task,
    pub(super) notify: Task,
    /// Until its child is there.
    pub(super) socket: Option<NotifySocket>,
    /// Until it is ready.
    pub(super) ready: Option<ReadyFeed>,
    pub(super) beats: Option<Beats>,
    pub(super) status_text: Option<Arc<str>>,
    /// The guard knows of it.
    pub(super) guarded: bool,
    /// It got a SIGKILL that is not of its ladder.
    pub(super) killed: bool,
    /// Gives up the spawn, while that is under way.
    pub(super) cancel: Option<oneshot::Sender<()>>,
    /// It was given up before its child was there.
    pub(super) abandoned: bool,
    /// Its closure is called when one of an earlier start has returned.
    pub(super) waits_to_make: bool,
    /// How many stops are under way.
    pub(super) stops: u32,
    /// Nobody is left of it: by which step.
    pub(super) swept: Option<StoppedBy>,
    /// How many of its group outlived the child.
    pub(super) outlived: usize,
    pub(super) exited: Option<ExitStatus>,
    /// How many of its pipes are open; a terminal is one.
    pub(super) pipes: usize,
    /// All of its output was taken.
    pub(super) drained: bool,
}

impl ServiceRun {
    pub(super) const fn new(start: Start) -> Self {
        Self {
            generation: start.generation,
            start,
            id: None,
            process: None,
            leaf: None,
            made_cgroup: false,
            task: Task(None),
            notify: Task(None),
            socket: None,
            ready: None,
            beats: None,
            status_text: None,
            guarded: false,
            killed: false,
            cancel: None,
            abandoned: false,
            waits_to_make: false,
            stops: 0,
            swept: None,
            outlived: 0,
            exited: None,
            pipes: 0,
            drained: false,
        }
    }

    /// How many descriptors of this program it takes.
    pub(super) fn descriptors(&self) -> usize {
        let Some(process) = &self.process else {
            return usize::from(self.socket.is_some());
        };
        let pipes = if self.drained { 0 } else { self.pipes };
        // Its cgroup.events and its cgroup.kill.
        let made_cgroup = if self.made_cgroup { 2 } else { 0 };
        pipes
            + made_cgroup
            + usize::from(self.exited.is_none() && process.try_status().is_none())
            + usize::from(self.leaf.is_some())
            + usize::from(self.notify.is_there())
    }
}

/// A task on the monitor's arbiter, which goes with its owner.
#[derive(Default)]
pub(super) struct Task(Option<JoinHandle<()>>);

impl Task {
    /// In place of the task before.
    pub(super) fn set(&mut self, future: impl Future<Output = ()> + 'static) {
        self.end();
        self.0 = Some(actix_rt::spawn(future));
    }

    pub(super) const fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Lets it run on by itself. It has little left to do, and its memory is kept for nobody then.
    pub(super) fn let_go(&mut self) {
        self.0 = None;
    }

    pub(super) fn end(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.end();
    }
}
