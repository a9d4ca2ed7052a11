//! What several files of this program share, and no other program.

#![expect(unreachable_pub, reason = "as in `common`")]

pub mod held_bytes;
pub mod producing;
pub mod two_parts;
