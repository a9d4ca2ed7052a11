//! A child that writes in two parts, so that a read ends between them.

use actix_process::Command;

use crate::common::helper::{helper, hex};

/// Writes `begin` to its 1, tells `half` on its 2, and writes `end` when it was given a byte.
pub fn two_parts(begin: impl AsRef<[u8]>, end: impl AsRef<[u8]>) -> Command {
    let begun = ["put", "1", &hex(begin), "tell", "2", "half"].map(str::to_owned);
    let ended = ["take", "0", "1", "put", "1", &hex(end)].map(str::to_owned);
    helper(begun.iter().chain(&ended))
}
