//! The child's steps in their order, each with what its failure means.

use std::borrow::Cow;
use std::ffi::CString;
use std::fmt;
use std::os::fd::RawFd;

use crate::command::spec::Spec;
use crate::error::{SpawnError, SpawnStep};
use crate::limits;
use crate::spawn::identity::Identity;
use crate::sys::clone::CloneError;
use crate::sys::fdplan::FdStep;
use crate::sys::handshake::Failed;
use crate::sys::step::Steps;

/// The subject of an error about the cgroup.
pub(crate) const CGROUP: &str = "cgroup";

/// How a child gets into a cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CgroupJoin {
    /// It gets into none.
    None,
    /// By its clone.
    ByClone,
    /// By a step, which writes into the file that it has under this number, and closes it.
    ByStep(RawFd),
}

/// Steps, and what the failure of each means.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) steps: Steps,
    pub(crate) labels: StepLabels,
    /// The first step that changes the ids, or comes after it.
    pub(crate) identity: usize,
}

/// For each step of the child which step of the spawn it is, and on what.
#[derive(Debug, Default)]
pub(crate) struct StepLabels(Vec<(SpawnStep, Subject)>);

/// What a step is about. Most spawns place descriptors only, and need no text unless one fails.
#[derive(Debug, Clone)]
enum Subject {
    Fd(RawFd),
    Text(Cow<'static, str>),
}

impl From<String> for Subject {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<&'static str> for Subject {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fd(fd) => write!(f, "fd {fd}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl StepLabels {
    /// Whether there is no child because it could not join its cgroup.
    pub(crate) fn is_cgroup(&self, clone_error: &CloneError) -> bool {
        let CloneError::Child { failed, .. } = clone_error else {
            return false;
        };
        let &Failed::Step(index) = failed else {
            return false;
        };
        let subject = self.0.get(index).map(|(_, subject)| subject);
        matches!(subject, Some(Subject::Text(text)) if text == CGROUP)
    }

    /// What the failure of the step with this index means.
    pub(crate) fn error(&self, index: usize, source: std::io::Error) -> SpawnError {
        match self.0.get(index) {
            Some((step, subject)) => SpawnError::new(*step, subject.to_string(), source),
            None => SpawnError::new(SpawnStep::Clone, "an unknown step", source),
        }
    }
}

impl Plan {
    /// The order is this: the descriptors, first, since a copy of the parent's keeps files busy and
    /// pipes open; the groups; the limits, which would limit the descriptors' steps; the ids, which
    /// give up the privilege for the limits. A chdir, which may hang, comes after everything else was
    /// closed. The step of the cgroup comes as late as may be: a child that shares the parent's memory is killed
    /// together with it if memory runs out in the cgroup.
    pub(crate) fn new(
        spec: &Spec,
        cwd: Option<CString>,
        identity: &Identity,
        fds: &[FdStep],
        cgroup: CgroupJoin,
    ) -> Self {
        let mut plan = Self::default();
        for step in fds {
            let subject = Subject::Fd(step.target());
            plan.add(SpawnStep::Fds, subject, |steps| steps.fd(*step));
        }
        plan.add(SpawnStep::Fds, "other descriptors", Steps::close_others);
        plan.join_groups(spec, cgroup != CgroupJoin::None);
        if spec.pty.is_some() {
            let subject = "the controlling terminal";
            plan.add(SpawnStep::Pty, subject, Steps::set_controlling_terminal);
        }
        plan.set_limits(spec);
        let (before, after) = if spec.chdir_as_parent {
            (cwd, None)
        } else {
            (None, cwd)
        };
        let procs = match cgroup {
            CgroupJoin::ByStep(procs) => Some(procs),
            CgroupJoin::None | CgroupJoin::ByClone => None,
        };
        // With other ids it may not join any more; it does not share the memory then.
        let (before_ids, last) = if identity.changes_ids() {
            (procs, None)
        } else {
            (None, procs)
        };
        plan.change_dir(spec, before);
        plan.join_cgroup(before_ids);
        plan.identity = plan.steps.len();
        plan.take_identity(spec, identity);
        plan.change_dir(spec, after);
        plan.tie_to_parent(spec);
        plan.join_cgroup(last);
        plan
    }

    fn add(&mut self, step: SpawnStep, subject: impl Into<Subject>, add: impl FnOnce(&mut Steps)) {
        let subject = subject.into();
        add(&mut self.steps);
        self.labels
            .0
            .resize_with(self.steps.len(), || (step, subject.clone()));
    }

    fn join_groups(&mut self, spec: &Spec, in_cgroup: bool) {
        if spec.setsid || spec.pty.is_some() {
            self.add(SpawnStep::Identity, "session", Steps::set_session);
        }
        // A child that shall be contained, and has no cgroup, is held by a group.
        let own = spec.contain.is_some() && !in_cgroup && !spec.setsid && spec.pty.is_none();
        if let Some(group) = spec.process_group.or_else(|| own.then_some(0)) {
            let subject = format!("process group {group}");
            self.add(SpawnStep::Identity, subject, |steps| {
                steps.set_process_group(group);
            });
        }
    }

    fn join_cgroup(&mut self, procs: Option<RawFd>) {
        if let Some(procs) = procs {
            self.add(SpawnStep::Limits, CGROUP, |steps| steps.join_cgroup(procs));
        }
    }

    fn set_limits(&mut self, spec: &Spec) {
        if let Some(nice) = spec.nice {
            self.add(SpawnStep::Limits, format!("nice {nice}"), |steps| {
                steps.set_nice(nice);
            });
        }
        if let Some(adjustment) = spec.oom_score_adj
            && !limits::oom_score_adj_is(adjustment)
        {
            let subject = format!("oom_score_adj {adjustment}");
            self.add(SpawnStep::Limits, subject, |steps| {
                steps.write_oom_score_adj(adjustment);
            });
        }
        if let Some(mask) = spec.umask {
            self.add(SpawnStep::Limits, format!("umask {mask:o}"), |steps| {
                steps.set_umask(mask);
            });
        }
        for (resource, limit) in &spec.limits {
            self.add(SpawnStep::Limits, format!("rlimit {resource:?}"), |steps| {
                steps.set_limit(*resource, *limit);
            });
        }
    }

    fn change_dir(&mut self, spec: &Spec, dir: Option<CString>) {
        if let (Some(dir), Some(path)) = (dir, &spec.current_dir) {
            self.add(
                SpawnStep::Cwd,
                path.to_string_lossy().into_owned(),
                |steps| {
                    steps.chdir(dir);
                },
            );
        }
    }

    /// Groups before the group, the user last: each needs the privilege that the next gives up.
    fn take_identity(&mut self, spec: &Spec, identity: &Identity) {
        if let Some(groups) = &identity.groups {
            let may_stay = identity.groups_may_stay;
            self.add(SpawnStep::Identity, format!("groups {groups:?}"), |steps| {
                steps.set_groups(groups, may_stay);
            });
        }
        let keeps = identity.uid.is_some() && !spec.ambient.is_empty();
        if keeps {
            self.keep_capabilities(true);
        }
        if let Some(gid) = identity.gid {
            self.add(SpawnStep::Identity, format!("gid {gid}"), |steps| {
                steps.set_gid(gid);
            });
        }
        if let Some(uid) = identity.uid {
            let subject = match &spec.user {
                Some(name) => format!("user {name:?} (uid {uid})"),
                None => format!("uid {uid}"),
            };
            self.add(SpawnStep::Identity, subject, |steps| steps.set_uid(uid));
        }
        if identity.changes_ids() {
            self.add(SpawnStep::Identity, "the saved ids", |steps| {
                steps.settle_ids(identity.uid, identity.gid);
            });
        }
        if let Some(sets) = identity.capabilities {
            self.add(SpawnStep::Identity, "capabilities", |steps| {
                steps.set_capabilities(sets);
            });
        }
        for capability in &spec.ambient {
            let subject = format!("ambient {capability}");
            self.add(SpawnStep::Identity, subject, |steps| {
                steps.raise_ambient(*capability);
            });
        }
        if keeps {
            self.keep_capabilities(false);
        }
    }

    fn keep_capabilities(&mut self, keep: bool) {
        self.add(SpawnStep::Identity, "capabilities", |steps| {
            steps.set_keep_capabilities(keep);
        });
    }

    fn tie_to_parent(&mut self, spec: &Spec) {
        if spec.no_new_privs {
            self.add(SpawnStep::Identity, "no_new_privs", Steps::set_no_new_privs);
        }
        if let Some(signal) = spec.parent_death_signal {
            let subject = format!("parent_death_signal {signal}");
            self.add(SpawnStep::Identity, subject, |steps| {
                steps.set_parent_death_signal(signal);
                steps.check_parent();
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A child that shares the parent's memory is killed together with it if memory runs out in the cgroup.
    #[test]
    fn the_cgroup_is_joined_last_or_just_before_the_ids_change() {
        let mut spec = Spec::new("true".as_ref());
        spec.current_dir = Some("/".into());
        spec.nice = Some(1);
        spec.no_new_privs = true;
        let as_we_are = Identity::default();
        let other = Identity {
            uid: Some(1),
            gid: Some(1),
            ..Identity::default()
        };
        for (identity, changes) in [(as_we_are, false), (other, true)] {
            let cwd = Some(c"/".to_owned());
            let plan = Plan::new(&spec, cwd, &identity, &[], CgroupJoin::ByStep(9));
            let is_it = |(_, subject): &(SpawnStep, Subject)| subject.to_string() == CGROUP;
            let joins: Vec<usize> = (0..plan.labels.0.len())
                .filter(|index| is_it(&plan.labels.0[*index]))
                .collect();
            let end = if changes {
                plan.identity
            } else {
                plan.steps.len()
            };
            assert_eq!(joins, [end - 2, end - 1]);
        }
    }
}
