//! What several files of this program share, and no other program.

#![expect(unreachable_pub, reason = "as in `common`")]

pub mod echo;
pub mod isolated_host;
