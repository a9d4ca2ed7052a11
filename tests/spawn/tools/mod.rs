//! What several files of this program share, and no other program.

#![expect(unreachable_pub, reason = "as in `common`")]

pub mod asker;
pub mod attack;
pub mod full_cgroup;
pub mod fuse;
pub mod held_calls;
