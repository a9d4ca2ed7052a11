//! Capability numbers with names.

use std::fmt;

/// A capability of Linux: a piece of root's power, see capabilities(7).
///
/// ```
/// use actix_process::Capability;
///
/// assert_eq!(Capability::NET_BIND_SERVICE.to_string(), "CAP_NET_BIND_SERVICE");
/// assert_eq!(Capability::new(10), Some(Capability::NET_BIND_SERVICE));
/// assert_eq!(Capability::new(64), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability(u8);

macro_rules! named_capabilities {
    ($($name:ident $number:literal $doc:literal;)*) => {
        impl Capability {
            $(
                #[doc = $doc]
                pub const $name: Self = Self($number);
            )*

            /// The name, `CAP_` included. `None` for a capability that is younger than this crate.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(concat!("CAP_", stringify!($name))),)*
                    _ => None,
                }
            }
        }
    };
}

named_capabilities! {
    CHOWN 0 "Give files to other users.";
    DAC_OVERRIDE 1 "Read, write and execute whatever the mode of a file says.";
    DAC_READ_SEARCH 2 "Read files and search directories whatever their mode says.";
    FOWNER 3 "Act on files as their owner.";
    FSETID 4 "Keep set-user-id bits when a file is changed.";
    KILL 5 "Signal any process.";
    SETGID 6 "Take on any group.";
    SETUID 7 "Take on any user.";
    SETPCAP 8 "Change capability sets beyond one's own.";
    LINUX_IMMUTABLE 9 "Set the immutable and append-only flags.";
    NET_BIND_SERVICE 10 "Bind ports below 1024.";
    NET_BROADCAST 11 "Broadcast (unused).";
    NET_ADMIN 12 "Administer the network.";
    NET_RAW 13 "Use raw and packet sockets.";
    IPC_LOCK 14 "Lock memory.";
    IPC_OWNER 15 "Use System V objects of others.";
    SYS_MODULE 16 "Load kernel modules.";
    SYS_RAWIO 17 "Reach devices' ports and memory.";
    SYS_CHROOT 18 "Call chroot, and join mount namespaces.";
    SYS_PTRACE 19 "Trace any process.";
    SYS_PACCT 20 "Switch process accounting.";
    SYS_ADMIN 21 "Many things, mount among them.";
    SYS_BOOT 22 "Reboot.";
    SYS_NICE 23 "Raise priorities, of others' processes too.";
    SYS_RESOURCE 24 "Exceed resource limits.";
    SYS_TIME 25 "Set the clock.";
    SYS_TTY_CONFIG 26 "Configure terminals, and hang them up.";
    MKNOD 27 "Make device files.";
    LEASE 28 "Take leases on any file.";
    AUDIT_WRITE 29 "Write to the audit log.";
    AUDIT_CONTROL 30 "Configure auditing.";
    SETFCAP 31 "Give capabilities to files.";
    MAC_OVERRIDE 32 "Override mandatory access control.";
    MAC_ADMIN 33 "Configure mandatory access control.";
    SYSLOG 34 "Read and configure the kernel's log.";
    WAKE_ALARM 35 "Wake the system up.";
    BLOCK_SUSPEND 36 "Keep the system from suspending.";
    AUDIT_READ 37 "Read the audit log.";
    PERFMON 38 "Observe performance.";
    BPF 39 "Use BPF.";
    CHECKPOINT_RESTORE 40 "Checkpoint and restore processes.";
}

impl Capability {
    /// The capability with this number, or `None` unless it is 0 to 63.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < 64 {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The number, 0 to 63.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Its bit in a set.
    pub(crate) const fn bit(self) -> u64 {
        1 << self.0
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "capability {}", self.0),
        }
    }
}

impl fmt::Debug for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
