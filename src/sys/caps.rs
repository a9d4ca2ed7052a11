//! The capability sets of a thread.

use std::io;

use nix::libc;

use super::cvt;

/// Bit n of each is capability n.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CapSets {
    pub(crate) effective: u64,
    pub(crate) permitted: u64,
    pub(crate) inheritable: u64,
}

/// What capget and capset take: version 3 and "this thread", then six words.
pub(super) type Raw = [u32; 8];

/// _LINUX_CAPABILITY_VERSION_3: sets of 64 bits, since Linux 2.6.26.
const VERSION: u32 = 0x2008_0522;
/// Where the words begin.
pub(super) const DATA: usize = 2;

impl CapSets {
    /// Those of this thread.
    pub(crate) fn of_this_thread() -> io::Result<Self> {
        let mut raw: Raw = [VERSION, 0, 0, 0, 0, 0, 0, 0];
        let header = raw.as_mut_ptr();
        // SAFETY: the header is two words, and the kernel writes six behind it.
        cvt(unsafe { libc::syscall(libc::SYS_capget, header, header.wrapping_add(DATA)) })?;
        let [_, _, e_low, p_low, i_low, e_high, p_high, i_high] = raw;
        let joined = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        Ok(Self {
            effective: joined(e_low, e_high),
            permitted: joined(p_low, p_high),
            inheritable: joined(i_low, i_high),
        })
    }

    pub(super) fn raw(self) -> Raw {
        let low = |set: u64| set as u32;
        let high = |set: u64| (set >> 32) as u32;
        let (e, p, i) = (self.effective, self.permitted, self.inheritable);
        [
            VERSION,
            0,
            low(e),
            low(p),
            low(i),
            high(e),
            high(p),
            high(i),
        ]
    }
}
