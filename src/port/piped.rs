//! The parent's end of one piped descriptor, on its way to its actor.

use crate::port::role::Role;

/// The parent's end of the child's descriptor `fd`: first as it was opened, then as the arbiter's runtime has it.
#[derive(Debug)]
pub(crate) struct Piped<E> {
    pub(crate) fd: i32,
    pub(crate) role: Role,
    pub(crate) end: E,
}
