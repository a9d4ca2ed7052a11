//! What is wrong with a service, looked at alone.

use std::time::Duration;

use super::{CommandSource, Service, ServiceSpec};
use crate::Command;
use crate::Fd;
use crate::Signal;
use crate::StoppedBy;
use crate::monitor::core::Kinship;
use crate::monitor::error::MonitorError;
use crate::monitor::spec_error::SpecProblem;

/// A process takes its time to die of SIGKILL.
const LEAST_KILL: Duration = Duration::from_millis(100);

impl ServiceSpec {
    /// What can be said before any start. What depends on other services, and on this host, is checked elsewhere.
    pub(in crate::monitor) fn check(&self) -> Result<(), SpecProblem> {
        let problem = |field, text: String| Err(SpecProblem::new(field, text));
        self.policy.restart.check()?;
        if let Some(text) = self.ready.problem() {
            return problem("ready", text);
        }
        if let Some(text) = self.alive.as_ref().and_then(|alive| alive.problem()) {
            return problem("alive", text);
        }
        if self.ladder.last() != Some(StoppedBy::Signal(Signal::KILL)) {
            let text = "its last step is not SIGKILL, so a stop could leave the service running";
            return problem("stop", text.to_owned());
        }
        if self.ladder.last_wait().is_none_or(|wait| wait < LEAST_KILL) {
            let text = format!("its last step, SIGKILL, has less than {LEAST_KILL:?}");
            return problem("stop", text);
        }
        if self.policy.essential && self.policy.restart.is_endless() {
            let text =
                "with `Restart::always`, without a limit and fatal codes, it never ends for good";
            return problem("essential", text.to_owned());
        }
        if let Err((field, text)) = self.output.check() {
            return problem(field, text);
        }
        let keyed = matches!(self.policy.kinship, Kinship::Keyed { .. });
        if self.at_most_set && !keyed {
            return problem("at_most", "the service is not keyed".to_owned());
        }
        if self.idle_stop_set && self.policy.kinship == Kinship::Always {
            let text = "the service is not on demand, so no lease keeps it running";
            return problem("idle_stop", text.to_owned());
        }
        if self.spawn_for.is_some() && self.ready.needs_output() {
            let text = "its output goes to the protocol, so the monitor sees no line of it";
            return problem("ready", text.to_owned());
        }
        let CommandSource::Fixed(command) = &self.source else {
            return Ok(());
        };
        let alive_needs = self.alive.as_ref().is_some_and(|alive| alive.needs_port());
        // A protocol's closure may call it as well.
        if self.spawn_for.is_none() && (self.ready.needs_port() || alive_needs) {
            let field = if self.ready.needs_port() {
                "ready"
            } else {
                "alive"
            };
            let text = "no closure makes the command, so nobody calls `free_port`";
            return problem(field, text.to_owned());
        }
        self.check_command(command)
    }

    /// The same for a command, which may come late.
    pub(in crate::monitor) fn check_command(&self, command: &Command) -> Result<(), SpecProblem> {
        let problem = |field, text: String| Err(SpecProblem::new(field, text));
        if let Err(error) = command.check() {
            return problem("command", error.to_string());
        }
        if let Some(limit) = self.limits.first()
            && command.is_contained()
        {
            let text = "the command says itself by which cgroup its child is held";
            return problem(limit, text.to_owned());
        }
        let map = command.fd_map();
        let is_read = |fd: i32| {
            let read = |fd: &Fd| fd.is_read() && !fd.is_stream() || fd.is_terminal();
            map.get(fd).is_some_and(read)
        };
        if self.spawn_for.is_none()
            && let Some((n, _)) = map.iter().find(|(_, fd)| fd.is_stream())
        {
            let text = format!("its descriptor {n} is a stream, which nobody can take");
            return problem("command", text);
        }
        if self.ready.needs_output()
            && self.ready.notification_fd().is_none()
            && ![0, 1, 2]
                .into_iter()
                .chain(map.iter().map(|(n, _)| n))
                .any(|fd| self.ready.watches_lines_of(fd) && is_read(fd))
        {
            let text = "the output that it looks at is not piped";
            return problem("ready", text.to_owned());
        }
        if let Some(fd) = self.ready.notification_fd()
            && map.get(fd).is_some()
        {
            let text = format!("descriptor {fd} is mapped otherwise by the command");
            return problem("ready", text);
        }
        Ok(())
    }
}

/// Checks each service alone.
pub(in crate::monitor) fn checked(
    services: Vec<Service>,
) -> Result<Vec<ServiceSpec>, MonitorError> {
    let specs = services.into_iter().map(Service::into_spec);
    let specs: Vec<ServiceSpec> = specs.collect();
    for spec in &specs {
        let checked = spec.check();
        checked.map_err(|problem| problem.of(&spec.policy.id))?;
    }
    Ok(specs)
}
