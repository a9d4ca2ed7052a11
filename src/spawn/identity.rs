//! Who a child shall be: names and numbers looked up. May block in the name service.

use std::collections::BTreeSet;
use std::ffi::{CString, OsStr, OsString};

use nix::unistd::{
    Gid, Uid, User, getegid, geteuid, getgrouplist, getgroups, getresgid, getresuid,
};

use crate::command::spec::Spec;
use crate::error::{SpawnError, SpawnStep};
use crate::sys::caps::CapSets;

/// The ids that a child takes on; `None` for what it keeps of the parent's.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) groups: Option<Vec<u32>>,
    /// The parent's groups are these but for the child's own one, which it has or takes: they will do
    /// where they may not be set.
    pub(crate) groups_may_stay: bool,
    /// Of the user that was asked for by name.
    pub(crate) account: Option<Account>,
    /// What capabilities remain: those of the old user do not.
    pub(crate) capabilities: Option<CapSets>,
}

/// What the environment of a user's programs says of the user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Account {
    name: OsString,
    arbiter_ref: OsString,
    shell: OsString,
}

impl Account {
    fn of(user: &User) -> Self {
        let shell = match user.shell.as_os_str() {
            // passwd(5).
            none if none.is_empty() => "/bin/sh".as_ref(),
            shell => shell,
        };
        Self {
            name: user.name.clone().into(),
            arbiter_ref: user.dir.clone().into(),
            shell: shell.to_owned(),
        }
    }

    /// As environment variables.
    pub(crate) fn variables(&self) -> [(&'static str, &OsStr); 4] {
        let Self {
            name,
            arbiter_ref,
            shell,
        } = self;
        [
            ("HOME", arbiter_ref),
            ("USER", name),
            ("LOGNAME", name),
            ("SHELL", shell),
        ]
    }
}

impl Identity {
    /// What the command asks for. A user without a group brings the group that passwd names; the
    /// supplementary groups become the user's unless the command lists them: never the parent's.
    pub(crate) fn resolve(spec: &Spec) -> Result<Self, SpawnError> {
        let asked = spec.user.is_some() || spec.uid.is_some() || spec.gid.is_some();
        if !asked && spec.groups.is_none() {
            return Ok(Self {
                capabilities: capabilities(spec, None)?,
                ..Self::default()
            });
        }
        let user = if asked { user_of(spec)? } else { None };
        let uid = match &spec.user {
            Some(_) => user.as_ref().map(|user| user.uid.as_raw()),
            None => spec.uid,
        };
        let gid = match (spec.gid, uid, &user) {
            (Some(gid), ..) => Some(gid),
            (None, Some(_), Some(user)) => Some(user.gid.as_raw()),
            (None, Some(uid), None) => {
                return Err(SpawnError::identity(
                    format!("uid {uid}"),
                    "is not in passwd, so its group must be given",
                ));
            }
            (None, None, _) => None,
        };
        let groups = match &spec.groups {
            Some(groups) => Some(groups.clone()),
            None => Some(groups_of(user.as_ref(), gid)?),
        };
        let capabilities = capabilities(spec, uid)?;
        let named = user.filter(|_| spec.user.is_some());
        let identity = Self {
            uid,
            gid,
            groups,
            groups_may_stay: false,
            account: named.as_ref().map(Account::of),
            capabilities,
        };
        Ok(identity.without_what_is_so_already())
    }

    /// An unprivileged parent may ask for what it is; the calls themselves need privilege.
    fn without_what_is_so_already(mut self) -> Self {
        let own = self.gid.unwrap_or_else(|| getegid().as_raw());
        let all = |groups: &[u32]| groups.iter().copied().collect::<BTreeSet<u32>>();
        // Ids that cannot be read are no reason to leave them as they are.
        if let Ok(ours) = getgroups() {
            let ours: BTreeSet<u32> = ours.into_iter().map(Gid::as_raw).collect();
            self.groups = self.groups.filter(|wanted| all(wanted) != ours);
            let will_do = |wanted: &Vec<u32>| {
                all(wanted)
                    .symmetric_difference(&ours)
                    .all(|gid| *gid == own)
            };
            self.groups_may_stay = self.groups.as_ref().is_some_and(will_do);
        }
        if let Ok(ours) = getresuid() {
            let ours = [ours.real, ours.effective, ours.saved].map(Uid::as_raw);
            self.uid = self.uid.filter(|uid| ours != [*uid; 3]);
        }
        if let Ok(ours) = getresgid() {
            let ours = [ours.real, ours.effective, ours.saved].map(Gid::as_raw);
            self.gid = self.gid.filter(|gid| ours != [*gid; 3]);
        }
        self
    }

    /// Whether processes of another user could look at the child before its exec. It has its memory
    /// for itself then: what it did to the flag that keeps them off would be done to the parent.
    pub(crate) const fn changes_ids(&self) -> bool {
        self.uid.is_some() || self.gid.is_some()
    }
}

/// The capability sets to be set after the change to `uid`; `None` to leave all as it is.
fn capabilities(spec: &Spec, uid: Option<u32>) -> Result<Option<CapSets>, SpawnError> {
    let wanted = ambient_set(spec);
    let changes = uid.filter(|uid| !is_ours(*uid));
    if changes.is_none() && wanted == 0 {
        return Ok(None);
    }
    let ours = CapSets::of_this_thread()
        .map_err(|error| SpawnError::new(SpawnStep::Identity, "capabilities", error))?;
    if let Some(lacking) = spec.ambient.iter().find(|c| c.bit() & ours.permitted == 0) {
        let subject = format!("ambient {lacking}");
        return Err(SpawnError::identity(
            subject,
            "this process does not have it",
        ));
    }
    Ok(Some(match changes {
        None => CapSets {
            inheritable: ours.inheritable | wanted,
            ..ours
        },
        // Root's program gets root's by its exec; up to it the child may need them.
        Some(0) => CapSets {
            effective: ours.permitted,
            permitted: ours.permitted,
            inheritable: wanted,
        },
        Some(_) => CapSets {
            effective: wanted,
            permitted: wanted,
            inheritable: wanted,
        },
    }))
}

/// The capabilities that the command names, a bit each.
fn ambient_set(spec: &Spec) -> u64 {
    spec.ambient.iter().fold(0, |set, c| set | c.bit())
}

/// Whether all of this process's uids are this one.
fn is_ours(uid: u32) -> bool {
    let ours = getresuid().map(|ids| [ids.real, ids.effective, ids.saved]);
    ours.is_ok_and(|ours| ours == [Uid::from_raw(uid); 3])
}

fn user_of(spec: &Spec) -> Result<Option<User>, SpawnError> {
    if let Some(name) = &spec.user {
        let subject = format!("user {name:?}");
        return match User::from_name(name) {
            Ok(Some(user)) => Ok(Some(user)),
            Ok(None) => Err(SpawnError::identity(subject, "is unknown")),
            Err(error) => Err(SpawnError::new(SpawnStep::Identity, subject, error.into())),
        };
    }
    let uid = spec.uid.map_or_else(geteuid, Uid::from_raw);
    User::from_uid(uid)
        .map_err(|error| SpawnError::new(SpawnStep::Identity, format!("uid {uid}"), error.into()))
}

/// A user's groups by the group file; for a user who is in no passwd, the group alone.
fn groups_of(user: Option<&User>, gid: Option<u32>) -> Result<Vec<u32>, SpawnError> {
    let gid = gid.map_or_else(getegid, Gid::from_raw);
    let Some(user) = user else {
        return Ok(vec![gid.as_raw()]);
    };
    let name = CString::new(user.name.as_str())
        .map_err(|_| SpawnError::invalid("the user's name", "holds a NUL"))?;
    let groups = getgrouplist(&name, gid).map_err(|error| {
        let subject = format!("the groups of {}", user.name);
        SpawnError::new(SpawnStep::Identity, subject, error.into())
    })?;
    Ok(groups.into_iter().map(Gid::as_raw).collect())
}
