//! For these tests: streams of a monitor, taken item by item.

#![expect(unreachable_pub, reason = "as in `common`")]

pub mod streams;
