//! How much of a busy child's data is held at once: few enough bytes to stay in any CPU's cache.
//!
//! A byte is copied from the child's memory to a page of the pipe, from there to a read buffer, and is looked at by the
//! protocol. Pages and buffers are used again and again, so where all of them together fit the second-level cache of a
//! CPU, the copying takes place there; where they do not, each copy waits for memory. The smallest such cache of a
//! server's CPU is 512 KiB. Half of it is ours; the other half is for what the child and the protocol do besides.
//!
//! The sizes do not depend on the machine: a rule that is kept everywhere can be tested anywhere.

/// What a busy child may keep hot.
const HOT: usize = 256 * 1024;

/// A read buffer, and so the largest read: a default pipe's capacity. A child on another CPU cannot write while the
/// kernel copies from its pipe, so that more at once is slower there.
pub(super) const READ: usize = 64 * 1024;

/// What a pipe that is found full again and again grows to: two reads, so that a child on another CPU fills one half
/// while the other is on its way.
pub(super) const GROWN_PIPE: usize = 2 * READ;

/// After so many bytes a reader lets its arbiter do something else: a protocol there then handles what came while it
/// is in the CPU's cache, and its buffer is the next to be filled.
pub(super) const BYTES_PER_TURN: usize = READ;

/// What a turn reads at most: the read that ends it may begin when a byte is left of it. No two reads are in the same
/// bytes, whether they are copied out of the buffer or it is handed over.
const MOST_IN_A_TURN: usize = BYTES_PER_TURN - 1 + READ;

// Of a protocol on the reader's arbiter. Where it has another, what is on its way is bounded by the window.
const _: () = assert!(GROWN_PIPE + MOST_IN_A_TURN <= HOT);
