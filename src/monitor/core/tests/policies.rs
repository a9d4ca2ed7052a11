//! Services and facts in few words.

use std::time::Duration;

use super::super::{Fact, Kinship, Policy, Precondition, RunEnd};
use crate::Bytes;
use crate::ExitStatus;
use crate::Signal;
use crate::StoppedBy;
use crate::monitor::backoff::Backoff;
use crate::monitor::error::StartFailure;
use crate::monitor::restart::Restart;
use crate::monitor::service::When;

/// A service that is always wanted, restarted after a failure with 200 ms, 400 ms and so on.
pub(super) fn service(id: &str) -> Policy {
    Policy {
        id: id.into(),
        kinship: Kinship::Always,
        restart: Restart::on_failure().backoff(Backoff::new().jitter(0.0)),
        launch_within: Duration::from_secs(10),
        idle_stop: Duration::from_secs(60),
        essential: false,
        after: Vec::new(),
        with: Vec::new(),
    }
}

pub(super) fn on_demand(id: &str) -> Policy {
    Policy {
        kinship: Kinship::OnDemand,
        ..service(id)
    }
}

pub(super) fn keyed(id: &str, at_most: usize) -> Policy {
    Policy {
        kinship: Kinship::Keyed { at_most },
        ..service(id)
    }
}

impl Policy {
    pub(super) fn after(mut self, id: &str, when: When) -> Self {
        let id = id.into();
        self.after.push(Precondition { id, when });
        self
    }

    pub(super) fn with(mut self, id: &str) -> Self {
        self.with.push(id.into());
        self
    }

    pub(super) fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    pub(super) const fn essential(mut self) -> Self {
        self.essential = true;
        self
    }
}

pub(super) fn end(code: u8) -> RunEnd {
    RunEnd {
        status: ExitStatus::from_code(code),
        by: StoppedBy::Itself,
        leftovers: 0,
        out_of_memory: false,
        tail: Bytes::new(),
    }
}

pub(super) fn killed(signal: Signal) -> RunEnd {
    RunEnd {
        status: ExitStatus::from_signal(signal),
        by: StoppedBy::Signal(signal),
        ..end(0)
    }
}

pub(super) fn not_started(permanent: bool) -> Fact {
    Fact::NotStarted {
        failure: StartFailure::Command("no port".into()),
        permanent,
    }
}
