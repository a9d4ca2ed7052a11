//! What holds the processes of a service together: a cgroup of version 2 for each start, where this host may make one.
//!
//! Where those cgroups are made is [`find`]'s; the cgroup above them, with its controllers, is a [`CgroupParent`]; the one of a start
//! is a [`Leaf`].

mod files;
mod find;
mod leaf;
mod limits;
mod mounts;
mod name;
mod parent;
mod removal;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

pub(in crate::monitor) use leaf::{Leaf, LeafError};
pub use limits::CgroupLimits;
pub(in crate::monitor) use limits::LimitProblem;
use parent::CgroupParent;

/// What holds the processes of each service of a monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MonitorContainment {
    /// A cgroup (version 2) for each start of a service. It holds all that the service starts, in whatever session or process
    /// group: a stop reaches all of them, and is over when none is left. Only a process escapes that may move processes into
    /// another cgroup, and does: one of root, or of the user to whom the host's own cgroup belongs.
    Cgroup {
        /// The controllers by which limits can be set here, of `cpu`, `memory` and `pids`. Without `memory` nobody tells that the
        /// kernel killed a process for want of memory.
        controllers: Vec<String>,
    },
    /// The process group that the child of a service leads. A process that calls setsid or setpgid leaves it: daemons do, and shells
    /// with job control. A stop does not reach that process, and does not wait for it. No limit can be set.
    Group,
}

impl MonitorContainment {
    /// Which processes of a service escape, as text for a log or a user.
    #[must_use]
    pub const fn does_not_hold(&self) -> &'static str {
        match self {
            Self::Cgroup { .. } => crate::Containment::Cgroup.does_not_hold(),
            Self::Group => crate::Containment::Group.does_not_hold(),
        }
    }
}

impl fmt::Display for MonitorContainment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cgroup { controllers } if controllers.is_empty() => {
                f.write_str("cgroup without controllers")
            }
            Self::Cgroup { controllers } => write!(f, "cgroup with {}", controllers.join(", ")),
            Self::Group => f.write_str("process group"),
        }
    }
}

/// Where a monitor makes the cgroups of its services.
///
/// The kernel enables a controller, and so a limit, only for the children of a cgroup that holds no process itself (the root of
/// all cgroups excepted). Where a program sits right in the cgroup that was delegated to it, services get cgroups and no limits. Ways to
/// get limits:
///
/// - In a systemd unit: `Delegate=yes` and `DelegateSubgroup=host` (any name; systemd 254). systemd puts the program into the
///   subgroup, and [`Found`](Self::Found) uses the unit's cgroup above it.
/// - `Delegate=yes` alone, or a container whose cgroups are writable: [`MoveHost`](Self::MoveHost).
/// - A cgroup that somebody else has prepared: [`Directory`](Self::Directory).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CgroupPlace {
    /// Below this process's own cgroup, where that is writable; else services have process groups. In a unit of systemd with
    /// `DelegateSubgroup=`, below the unit's cgroup.
    #[default]
    Found,
    /// As [`Found`](Self::Found), and where this process would be in the way of limits, it moves into a cgroup below its own first, with
    /// all its threads. It stays there. Other processes of its cgroup, and the children that it has already, are not moved. Where no
    /// cgroup can be made, the monitor does not start.
    MoveHost,
    /// Below the cgroup with this directory. This process must be allowed to write into it and to move processes there: one without
    /// privilege must own the nearest cgroup that is above both. Where no cgroup can be made there, the monitor does not start.
    Directory(PathBuf),
    /// Nowhere: services have process groups.
    Nowhere,
}

/// What a monitor knows of the cgroups of its services. A clone is the same.
#[derive(Debug, Clone)]
pub(in crate::monitor) struct ServiceCgroups(Result<Arc<CgroupParent>, Arc<str>>);

impl ServiceCgroups {
    /// Looks for the place, and removes what dead hosts have left there. Takes some file operations: not for an arbiter.
    ///
    /// # Errors
    ///
    /// Why the place that was asked for by name does not do.
    pub(in crate::monitor) fn find(place: &CgroupPlace) -> Result<Self, String> {
        let found = match place {
            CgroupPlace::Nowhere => Err("the monitor is told to make none".to_owned()),
            CgroupPlace::Found => find::own(false),
            CgroupPlace::MoveHost => Ok(find::own(true)?),
            CgroupPlace::Directory(path) => Ok(find::given(path)?),
        };
        if let Err(why) = &found {
            log::debug!("services have no cgroups: {why}");
        }
        Ok(Self(found.map(Arc::new).map_err(Arc::from)))
    }

    /// What a user is told of it.
    pub(in crate::monitor) fn containment(&self) -> MonitorContainment {
        match &self.0 {
            Ok(parent) => MonitorContainment::Cgroup {
                controllers: parent.controllers(),
            },
            Err(_) => MonitorContainment::Group,
        }
    }

    /// Whether these limits can be meant, and set here. Enables the controllers that they need.
    pub(in crate::monitor) fn check(&self, limits: &CgroupLimits) -> Result<(), LimitProblem> {
        limits.check()?;
        for file in limits.files() {
            let enabled = match &self.0 {
                Ok(parent) => parent.enable(file.controller),
                Err(why) => Err(format!("services have no cgroups here: {why}")),
            };
            enabled.map_err(|problem| LimitProblem {
                field: file.field,
                problem,
            })?;
        }
        Ok(())
    }

    /// Whether a child without limits needs no cgroup of the monitor's: [`Command::contained_by_cgroup`] makes one at the same place, on
    /// the spawning thread. So it is where the cgroups are made right below this process's own, and the controller `memory` is not
    /// there, by which a [`Leaf`] tells of an end for want of memory.
    ///
    /// [`Command::contained_by_cgroup`]: crate::Command::contained_by_cgroup
    pub(in crate::monitor) fn command_makes_it(&self, limits: &CgroupLimits) -> bool {
        self.0.as_ref().is_ok_and(|parent| parent.is_plain) && limits.files().is_empty()
    }

    /// A new cgroup for a start of a service; `None` where services have process groups. Takes some file operations (about 0.1 ms).
    ///
    /// # Errors
    ///
    /// It cannot be made, or a limit not be set. Nothing is left of it then.
    pub(in crate::monitor) fn leaf(
        &self,
        service: &str,
        generation: u64,
        limits: &CgroupLimits,
    ) -> Result<Option<Leaf>, LeafError> {
        match &self.0 {
            Ok(parent) => Leaf::make(parent, service, generation, limits).map(Some),
            Err(_) => match limits.files().first() {
                Some(file) => Err(LeafError::unsupported(file.file)),
                None => Ok(None),
            },
        }
    }
}
