//! What lives and dies with this program, for the layers that keep children running: an arbiter of their own, the kill of all
//! children at once, and the guard that does that when this program itself is killed.

pub(crate) mod closing;
pub(crate) mod guard;
pub(crate) mod home;
pub(crate) mod kill_all;
pub(crate) mod spawn;
